-- For how long the messages and attempts of an application are kept, in
-- microseconds; 0 for as long as those of others.
ALTER TABLE application ADD COLUMN message_retention BIGINT NOT NULL DEFAULT 0;
ALTER TABLE application ADD COLUMN attempt_retention BIGINT NOT NULL DEFAULT 0;
CREATE INDEX application_retention ON application (id) WHERE message_retention > 0 OR attempt_retention > 0;
CREATE INDEX digest_list ON digest (application_id, id);
