-- The foundation: who may do what, what is sent to whom, and what it is about.
--
-- One text for both databases. A comment that starts with the name of a
-- database and a colon is code for that database alone. Ids are 16 bytes that
-- grow with time, times are microseconds since 1970 (UTC), lists and maps are
-- JSON. Text is ordered by its bytes everywhere.

CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- The sender ---------------------------------------------------------------

CREATE TABLE environment (
    id         BYTEA NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    -- the application whose endpoints hear of the environment itself
    operational_id BYTEA,
    created_at BIGINT NOT NULL
);

-- One row, whose number grows with each change of what the acceptance of
-- messages relies on: applications, endpoints, event types, and tokens that end.
CREATE TABLE revision (
    id BIGINT NOT NULL PRIMARY KEY,
    n  BIGINT NOT NULL
);

CREATE TABLE application (
    id             BYTEA NOT NULL PRIMARY KEY,
    environment_id BYTEA NOT NULL REFERENCES environment (id),
    uid            TEXT,
    name           TEXT NOT NULL,
    metadata       TEXT NOT NULL,
    throttle       BIGINT NOT NULL,
    account_id     BYTEA,
    operational    BOOLEAN NOT NULL,
    -- grows with every change of the application or its endpoints, so that
    -- cached configuration can be recognised as old
    config_version BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleted_at     BIGINT
);
CREATE UNIQUE INDEX application_uid ON application (environment_id, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX application_list ON application (environment_id, id) WHERE deleted_at IS NULL;

-- Bearer tokens of the sender's API and links into the portal.
CREATE TABLE token (
    id             BYTEA NOT NULL PRIMARY KEY,
    environment_id BYTEA NOT NULL REFERENCES environment (id),
    application_id BYTEA, -- NULL for a token of the whole environment
    hash           BYTEA NOT NULL UNIQUE,
    hint           TEXT NOT NULL, -- the last characters, to tell tokens apart
    session_id     TEXT,
    capabilities   TEXT, -- NULL for all
    feature_flags  TEXT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL -- 0 for never
);
CREATE INDEX token_list ON token (environment_id, id);
CREATE INDEX token_application ON token (application_id) WHERE application_id IS NOT NULL;
CREATE INDEX token_expiry ON token (expires_at) WHERE expires_at > 0;

-- What came of POST requests that bear an idempotency key. The first column is
-- rounded up, so that rows are added at few places and dropped by range.
CREATE TABLE idempotency (
    expires_at   BIGINT NOT NULL,
    hash         BYTEA NOT NULL,
    message_id   BYTEA, -- the message that was made
    status       SMALLINT NOT NULL, -- 0 while the request is being worked on
    reply        BYTEA, -- sealed: it may hold a token
    locked_until BIGINT NOT NULL,
    PRIMARY KEY (expires_at, hash)
) /*sqlite: WITHOUT ROWID */;

-- Work that goes on after its request was answered, a slice at a time.
CREATE TABLE task (
    id             BYTEA NOT NULL PRIMARY KEY,
    environment_id BYTEA NOT NULL,
    application_id BYTEA,
    endpoint_id    BYTEA,
    name           TEXT NOT NULL,
    status         SMALLINT NOT NULL,
    params         TEXT NOT NULL,
    data           TEXT NOT NULL,
    counting       BOOLEAN NOT NULL,
    position       BYTEA NOT NULL, -- where the next slice begins
    total          BIGINT NOT NULL,
    done           BIGINT NOT NULL,
    next_at        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL
);
CREATE INDEX task_list ON task (environment_id, id);
CREATE INDEX task_endpoint ON task (endpoint_id, id) WHERE endpoint_id IS NOT NULL;
CREATE INDEX task_running ON task (next_at) WHERE status = 0;

-- How far each consumer of a poller has read.
CREATE TABLE consumer (
    endpoint_id BYTEA NOT NULL,
    name        TEXT NOT NULL,
    position    TEXT NOT NULL, -- confirmed: what comes after it is sent
    offered     TEXT NOT NULL, -- the iterator that was sent last
    PRIMARY KEY (endpoint_id, name)
);

CREATE TABLE endpoint (
    id              BYTEA NOT NULL PRIMARY KEY,
    application_id  BYTEA NOT NULL,
    uid             TEXT,
    url             TEXT NOT NULL,
    version         BIGINT NOT NULL,
    description     TEXT NOT NULL,
    event_types     TEXT,
    channels        TEXT,
    datasets        TEXT,
    filter          TEXT, -- a condition on the message, JSON
    kind            SMALLINT NOT NULL, -- what listens at the URL
    digest_window   BIGINT NOT NULL, -- how long events are gathered; 0 for not
    digest_most     BIGINT NOT NULL,
    headers         BYTEA NOT NULL, -- sealed: they carry credentials
    metadata        TEXT NOT NULL,
    throttle        BIGINT NOT NULL,
    disabled        BOOLEAN NOT NULL,
    disabled_reason TEXT NOT NULL,
    disabled_at     BIGINT NOT NULL,
    secrets         BYTEA NOT NULL, -- sealed
    failing_since   BIGINT NOT NULL,
    warnings        BIGINT NOT NULL,
    order_by        TEXT NOT NULL, -- '', 'dataset' or 'key'
    paused          BOOLEAN NOT NULL,
    resumed_at      BIGINT NOT NULL,
    release_rate    BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    updated_at      BIGINT NOT NULL,
    deleted_at      BIGINT
);
CREATE INDEX endpoint_trouble ON endpoint (id) WHERE failing_since > 0 OR disabled_reason <> '';
CREATE UNIQUE INDEX endpoint_uid ON endpoint (application_id, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX endpoint_list ON endpoint (application_id, id);

CREATE TABLE event_type (
    environment_id BYTEA NOT NULL,
    name           TEXT /*postgres: COLLATE "C" */ NOT NULL,
    description    TEXT NOT NULL,
    schemas        TEXT,
    archived       BOOLEAN NOT NULL,
    deprecated     BOOLEAN NOT NULL,
    validated      BOOLEAN NOT NULL, -- payloads must fit the newest schema
    feature_flags  TEXT,
    group_name     TEXT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    PRIMARY KEY (environment_id, name)
);

-- History: append-only, dropped by age.

CREATE TABLE message (
    id             BYTEA NOT NULL,
    application_id BYTEA NOT NULL,
    event_id       TEXT,
    event_type     TEXT NOT NULL,
    payload        BYTEA, -- NULL once expired or expunged
    channels       TEXT,
    tags           TEXT,
    dataset        TEXT,
    subject        TEXT, -- the name of the sample that it is about
    order_key      TEXT, -- the producer's own
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL, -- when the payload is dropped; 0 for with its row
    /*postgres: -- Ids are made before the commit, and commits come in any order: readers
    -- who must miss nothing go by transactions.
    xid            XID8 NOT NULL DEFAULT pg_current_xact_id(), */
    PRIMARY KEY (id, application_id)
);
CREATE INDEX message_expiry ON message (expires_at) WHERE expires_at > 0;
-- SQLite needs no row to tell by type and dataset, and by what came of an
-- attempt: a page looks at thousands.
CREATE INDEX message_list ON message (application_id, id/*sqlite: , event_type, dataset */);
/*postgres: CREATE INDEX message_poll ON message (application_id, xid, id); */
CREATE UNIQUE INDEX message_event ON message (application_id, event_id) WHERE event_id IS NOT NULL;

-- The datasets and samples that messages are about, for searches. Names come in
-- no order: an index that is kept with each message is written all over. Here
-- what is old enough is added in slices that are put in order first, so that
-- rows append. A slice covers the messages from its first to its last id.
CREATE TABLE message_slice (
    number   BIGINT NOT NULL PRIMARY KEY,
    first_id BYTEA NOT NULL,
    last_id  BYTEA NOT NULL
);
CREATE TABLE message_name (
    slice          BIGINT NOT NULL,
    application_id BYTEA NOT NULL,
    kind           SMALLINT NOT NULL, -- 0 for datasets, 1 for samples
    name           TEXT /*postgres: COLLATE "C" */ NOT NULL,
    part           BIGINT NOT NULL, -- a name with many messages has several rows
    message_ids    BYTEA NOT NULL, -- one after another
    PRIMARY KEY (slice, application_id, kind, name, part)
) /*sqlite: WITHOUT ROWID */;

CREATE TABLE attempt (
    id             BYTEA NOT NULL,
    application_id BYTEA NOT NULL,
    message_id     BYTEA NOT NULL,
    endpoint_id    BYTEA NOT NULL,
    replay         BIGINT NOT NULL,
    number         BIGINT NOT NULL,
    outcome        SMALLINT NOT NULL,
    ends           SMALLINT NOT NULL,
    status_code    SMALLINT NOT NULL,
    url            TEXT NOT NULL,
    started_at     BIGINT NOT NULL,
    dns            BIGINT NOT NULL, -- the phases, in microseconds
    connect        BIGINT NOT NULL,
    tls            BIGINT NOT NULL,
    first_byte     BIGINT NOT NULL,
    total          BIGINT NOT NULL,
    request_head   BYTEA NOT NULL,
    response_head  BYTEA NOT NULL,
    response       BYTEA NOT NULL,
    error          TEXT NOT NULL,
    PRIMARY KEY (id, application_id)
);
CREATE INDEX attempt_message ON attempt (message_id, endpoint_id, id/*sqlite: , outcome, ends */);
CREATE INDEX attempt_endpoint ON attempt (endpoint_id, id/*sqlite: , application_id, message_id, number, outcome, ends */);

-- Attempts counted by hour, endpoint, what came of them, and how long they took: bucket n ends at 2^(n/2) times 0.1 ms.
CREATE TABLE endpoint_hour (
    hour        BIGINT NOT NULL, -- when it began, in microseconds
    endpoint_id BYTEA NOT NULL,
    result      BIGINT NOT NULL, -- 0 succeeded, 1 failed, 2 canceled
    bucket      BIGINT NOT NULL,
    attempts    BIGINT NOT NULL,
    PRIMARY KEY (hour, endpoint_id, result, bucket)
) /*sqlite: WITHOUT ROWID */;

-- The queue: open deliveries only, so that it stays small whatever history
-- holds. A row is deleted when its delivery ends; the attempt that ended it
-- says how. replay is 0 for the promise made with the message itself.

CREATE TABLE delivery (
    message_id     BYTEA NOT NULL,
    endpoint_id    BYTEA NOT NULL,
    replay         BIGINT NOT NULL,
    application_id BYTEA NOT NULL,
    -- 0 for first attempts, which an endpoint that rests does not get; 1 for
    -- retries and replays, which keep their times; 2 for what is gathered until
    -- a digest is made of it; 3 for what waits for the end of its digest; 4 for
    -- what waits until an earlier delivery with its order_key has ended
    lane           SMALLINT NOT NULL,
    order_key      TEXT,
    attempts       BIGINT NOT NULL,
    calls          BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    due_at         BIGINT NOT NULL,
    held_since     BIGINT NOT NULL,
    owner          BYTEA, -- the node that has claimed it
    claim          BIGINT NOT NULL,
    lease_until    BIGINT NOT NULL,
    PRIMARY KEY (message_id, endpoint_id, replay)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX delivery_order ON delivery (endpoint_id, order_key, message_id) WHERE order_key IS NOT NULL;
CREATE INDEX delivery_waiting ON delivery (endpoint_id, lane, due_at) WHERE owner IS NULL;
CREATE INDEX delivery_gathered ON delivery (due_at) WHERE lane = 2;
/*postgres: CREATE INDEX delivery_lease ON delivery (lease_until) WHERE owner IS NOT NULL; */

-- Processes that serve this database, for the operator to see.
CREATE TABLE node (
    id         BYTEA NOT NULL PRIMARY KEY,
    version    TEXT NOT NULL,
    address    TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);

-- What is sent in place of messages: many told at once, or one in the form of a
-- chat service. A digest has a delivery of its own, whose message_id is its id.
CREATE TABLE digest (
    id             BYTEA NOT NULL,
    application_id BYTEA NOT NULL,
    endpoint_id    BYTEA NOT NULL,
    kind           SMALLINT NOT NULL,
    event_type     TEXT NOT NULL,
    dataset        TEXT,
    events         BIGINT NOT NULL,
    body           BYTEA, -- NULL once expired or expunged
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL, -- when the first of its payloads does; 0 for never
    PRIMARY KEY (id, application_id)
);
CREATE INDEX digest_expiry ON digest (expires_at) WHERE expires_at > 0;

-- Of which deliveries each delivery of a digest tells.
CREATE TABLE digest_event (
    digest_id      BYTEA NOT NULL,
    replay         BIGINT NOT NULL, -- of the digest
    message_id     BYTEA NOT NULL,
    message_replay BIGINT NOT NULL,
    PRIMARY KEY (digest_id, replay, message_id, message_replay)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX digest_event_message ON digest_event (message_id);

-- People -------------------------------------------------------------------

CREATE TABLE account (
    id               BYTEA NOT NULL PRIMARY KEY,
    name             TEXT /*postgres: COLLATE "C" */ NOT NULL,
    lower_name       TEXT NOT NULL UNIQUE,
    is_organization  BOOLEAN NOT NULL,
    is_operator      BOOLEAN NOT NULL,
    email            TEXT NOT NULL,
    password_hash    TEXT NOT NULL,
    webhooks_enabled BOOLEAN NOT NULL,
    application_id   BYTEA,
    created_at       BIGINT NOT NULL
);

CREATE TABLE member (
    organization_id BYTEA NOT NULL REFERENCES account (id),
    user_id         BYTEA NOT NULL REFERENCES account (id),
    is_admin        BOOLEAN NOT NULL,
    default_role    SMALLINT NOT NULL, -- in the organization's new datasets; 0 for none
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX member_user ON member (user_id);

CREATE TABLE api_key (
    id           BYTEA NOT NULL PRIMARY KEY,
    account_id   BYTEA NOT NULL REFERENCES account (id),
    label        TEXT NOT NULL,
    hash         BYTEA NOT NULL UNIQUE,
    hint         TEXT NOT NULL, -- the last characters, to tell keys apart
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX api_key_account ON api_key (account_id);

-- A browser that is logged in, for an account or with a token of an application.
CREATE TABLE session (
    hash       BYTEA NOT NULL PRIMARY KEY,
    account_id BYTEA REFERENCES account (id),
    token_id   BYTEA,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX session_token ON session (token_id) WHERE token_id IS NOT NULL;

-- Codes that open the portal once, with a token.
CREATE TABLE link (
    hash       BYTEA NOT NULL PRIMARY KEY,
    token_id   BYTEA NOT NULL
);
CREATE INDEX link_token ON link (token_id);

-- The registry -------------------------------------------------------------

CREATE TABLE dataset (
    id            BYTEA NOT NULL PRIMARY KEY,
    owner_id      BYTEA NOT NULL REFERENCES account (id),
    name          TEXT /*postgres: COLLATE "C" */ NOT NULL,
    is_public     BOOLEAN NOT NULL,
    properties    BYTEA NOT NULL, -- the writable fields, as JSON
    labelsets     BYTEA NOT NULL, -- few, as JSON; labels name them by id
    label_stats   BYTEA NOT NULL, -- labels of ground-truth by status, as JSON
    samples_count BIGINT NOT NULL,
    cloned_from   TEXT,
    created_at    BIGINT NOT NULL,
    -- set while a clone is being filled, to when that last went on
    hidden_at     BIGINT,
    -- set while events of a clone are still to be sent; negative when they are
    -- to be forgotten, because nobody had webhooks enabled
    sending_at    BIGINT,
    -- set when it is gone for everybody; its rows are removed in slices
    deleted_at    BIGINT
);
CREATE UNIQUE INDEX dataset_name ON dataset (owner_id, name) WHERE deleted_at IS NULL;
CREATE INDEX dataset_deleted ON dataset (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX dataset_hidden ON dataset (hidden_at) WHERE hidden_at IS NOT NULL;
CREATE INDEX dataset_sending ON dataset (id) WHERE sending_at IS NOT NULL;

CREATE TABLE collaborator (
    dataset_id BYTEA NOT NULL REFERENCES dataset (id),
    account_id BYTEA NOT NULL REFERENCES account (id),
    role       SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (dataset_id, account_id)
);
CREATE INDEX collaborator_account ON collaborator (account_id);

CREATE TABLE sample (
    id                BYTEA NOT NULL PRIMARY KEY,
    dataset_id        BYTEA NOT NULL REFERENCES dataset (id),
    name              TEXT /*postgres: COLLATE "C" */ NOT NULL,
    attributes        BYTEA,
    metadata          BYTEA NOT NULL,
    readme            TEXT NOT NULL,
    priority          DOUBLE PRECISION NOT NULL,
    assigned_labeler  BYTEA,
    assigned_reviewer BYTEA,
    created_by        BYTEA NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    UNIQUE (dataset_id, name)
);
CREATE INDEX sample_list ON sample (dataset_id, id);

CREATE TABLE label (
    sample_id   BYTEA NOT NULL REFERENCES sample (id),
    labelset_id BYTEA NOT NULL,
    attributes  BYTEA,
    status      TEXT NOT NULL,
    score       DOUBLE PRECISION,
    rating      DOUBLE PRECISION,
    created_by  BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_by  BYTEA NOT NULL,
    updated_at  BIGINT NOT NULL,
    reviewed_by BYTEA,
    reviewed_at BIGINT NOT NULL,
    PRIMARY KEY (sample_id, labelset_id)
);
CREATE INDEX label_labelset ON label (labelset_id, sample_id);

CREATE TABLE issue (
    id          BYTEA NOT NULL PRIMARY KEY,
    dataset_id  BYTEA NOT NULL REFERENCES dataset (id),
    sample_id   BYTEA NOT NULL REFERENCES sample (id),
    description TEXT NOT NULL,
    status      TEXT NOT NULL,
    anchor      BYTEA,
    created_by  BYTEA NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_by  BYTEA NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX issue_dataset ON issue (dataset_id, id);
CREATE INDEX issue_sample ON issue (sample_id, id);

CREATE TABLE comment (
    id         BYTEA NOT NULL PRIMARY KEY,
    issue_id   BYTEA NOT NULL REFERENCES issue (id),
    text       TEXT NOT NULL,
    created_by BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX comment_issue ON comment (issue_id, id);

-- Events of a clone, kept until it is whole and then sent in slices.
CREATE TABLE clone_event (
    dataset_id BYTEA NOT NULL REFERENCES dataset (id),
    number     BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    subject    TEXT NOT NULL,
    payload    BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (dataset_id, number)
);

-- Files, in chunks of one size. What is not complete is being written, or was
-- when a node died; what is dropped is removed in slices.
CREATE TABLE content (
    id         BYTEA NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    complete   BOOLEAN NOT NULL,
    dropped    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX content_unused ON content (created_at) WHERE dropped OR NOT complete;

CREATE TABLE chunk (
    content_id BYTEA NOT NULL REFERENCES content (id),
    number     BIGINT NOT NULL,
    data       BYTEA NOT NULL,
    PRIMARY KEY (content_id, number)
);

CREATE TABLE file (
    id           BYTEA NOT NULL PRIMARY KEY,
    owner_id     BYTEA NOT NULL,
    token        TEXT NOT NULL UNIQUE, -- what makes its URL unguessable
    name         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_id   BYTEA REFERENCES content (id),
    created_at   BIGINT NOT NULL
);

CREATE TABLE release (
    id            BYTEA NOT NULL PRIMARY KEY,
    dataset_id    BYTEA NOT NULL REFERENCES dataset (id),
    name          TEXT NOT NULL,
    description   TEXT NOT NULL,
    status        TEXT NOT NULL,
    samples_count BIGINT NOT NULL,
    file_id       BYTEA REFERENCES file (id),
    created_at    BIGINT NOT NULL,
    UNIQUE (dataset_id, name)
);
CREATE INDEX release_pending ON release (id) WHERE status = 'PENDING';
