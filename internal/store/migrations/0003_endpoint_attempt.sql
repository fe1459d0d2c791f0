-- The attempts made at each endpoint, in order. On SQLite this is a table that
-- is written a thousand attempts at a time: as an index it would have a page of
-- each endpoint written in every transaction.
/*postgres: CREATE VIEW endpoint_attempt AS
SELECT endpoint_id, id, application_id, message_id, number, outcome, ends FROM attempt; */
/*sqlite: CREATE TABLE endpoint_attempt (
    endpoint_id    BYTEA NOT NULL,
    id             BYTEA NOT NULL,
    application_id BYTEA NOT NULL,
    message_id     BYTEA NOT NULL,
    number         BIGINT NOT NULL,
    outcome        SMALLINT NOT NULL,
    ends           SMALLINT NOT NULL,
    PRIMARY KEY (endpoint_id, id)
) WITHOUT ROWID;
INSERT INTO endpoint_attempt
SELECT endpoint_id, id, application_id, message_id, number, outcome, ends FROM attempt ORDER BY endpoint_id, id; -- in the order of the index, which goes after it
DROP INDEX attempt_endpoint;
CREATE TRIGGER attempt_deleted AFTER DELETE ON attempt BEGIN
    DELETE FROM endpoint_attempt WHERE endpoint_id = old.endpoint_id AND id = old.id;
END; */
-- Up to which attempt they are listed there, and counted by the hour: its place
-- in the table, and its id, by which it is found should places have changed.
/*sqlite: CREATE TABLE listed (
    place BIGINT NOT NULL,
    id    BYTEA NOT NULL
);
INSERT INTO listed SELECT coalesce(max(rowid), 0), coalesce((SELECT id FROM attempt ORDER BY rowid DESC LIMIT 1), x'') FROM attempt; */
