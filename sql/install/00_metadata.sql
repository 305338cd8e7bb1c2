-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION widgets_wh" to load this file. \quit

-- widgets_wh: schema and catalogs. Every table here is written by the engine only.

-- Who owns a schema can put functions of his own into it: it must be new, and ours.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_depend d
               WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
                 AND d.refobjid = 'wh'::pg_catalog.regnamespace
                 AND d.classid <> 'pg_catalog.pg_extension'::pg_catalog.regclass)
        OR NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
                       WHERE n.nspname = 'wh' AND r.rolsuper) THEN
        RAISE EXCEPTION 'schema "wh" exists, and is not empty or not a superuser''s' USING
            ERRCODE = 'duplicate_schema',
            HINT = 'The extension needs schema wh for itself: rename or drop it.';
    END IF;
END
$$;

COMMENT ON SCHEMA wh IS 'widgets_wh: sources, feeds, dimensions, facts and their runs';

CREATE SEQUENCE wh.object_id_seq;
CREATE SEQUENCE wh.batch_id_seq;
COMMENT ON SEQUENCE wh.object_id_seq IS 'ids of feeds, dimensions and facts';
COMMENT ON SEQUENCE wh.batch_id_seq IS 'ids of batches';

-- What exists ------------------------------------------------------------------------

CREATE TABLE wh.feed (
    feed_id bigint PRIMARY KEY DEFAULT nextval('wh.object_id_seq'),
    relation regclass NOT NULL UNIQUE,
    history regclass UNIQUE,
    change_log regclass UNIQUE,
    source regclass NOT NULL,
    load text NOT NULL CHECK (load IN ('append', 'upsert', 'snapshot')),
    key text[] NOT NULL DEFAULT '{}',
    sequence_by text,
    deleted_when text,
    watermark text,
    watermark_overlap interval NOT NULL DEFAULT '10 minutes',
    watermark_value text,
    redact jsonb NOT NULL DEFAULT '{}',
    time_zone text NOT NULL DEFAULT 'UTC',
    reject_limit bigint,
    options jsonb NOT NULL DEFAULT '{}',
    is_paused boolean NOT NULL DEFAULT false,
    reads bigint NOT NULL DEFAULT 0,
    last_batch_id bigint,
    CHECK (load = 'append' OR key <> '{}')
);
COMMENT ON TABLE wh.feed IS 'a row per feed: what is copied from which source into which staging relation, and how';
COMMENT ON COLUMN wh.feed.relation IS 'the staging relation: a table (append) or the view of current rows (upsert, snapshot)';
COMMENT ON COLUMN wh.feed.history IS 'every version of every key (upsert, snapshot); null for append';
COMMENT ON COLUMN wh.feed.change_log IS 'images of staged rows that were rewritten or removed, until every reader has used them';
COMMENT ON COLUMN wh.feed.watermark_value IS 'highest value of the watermark column seen, as text';
COMMENT ON COLUMN wh.feed.options IS 'options of the kind of source, such as where a Kafka feed starts';
COMMENT ON COLUMN wh.feed.reads IS 'reads done, for the positions of table sources';
COMMENT ON COLUMN wh.feed.last_batch_id IS 'last batch that changed staged rows';

CREATE TABLE wh.screen (
    feed_id bigint NOT NULL REFERENCES wh.feed ON DELETE CASCADE,
    screen text NOT NULL,
    condition text NOT NULL,
    action text NOT NULL CHECK (action IN ('reject', 'warn')),
    PRIMARY KEY (feed_id, screen)
);
COMMENT ON TABLE wh.screen IS 'conditions that a record must not fail, by feed';

-- One unit of a source: a file's content, a topic's partition, or a read of a table.
-- A staged row's source_position is unit_no << 40 | low (line, offset or 0).
CREATE TABLE wh.source_unit (
    feed_id bigint NOT NULL REFERENCES wh.feed ON DELETE CASCADE,
    unit_no bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    generation bigint NOT NULL DEFAULT 1,
    size bigint,
    end_offset bigint,
    checksum bytea,
    file_state text,
    header bytea,
    event_time timestamptz,
    is_complete boolean NOT NULL DEFAULT true,
    batch_id bigint NOT NULL,
    PRIMARY KEY (feed_id, unit_no),
    UNIQUE (feed_id, name, generation)
);
COMMENT ON TABLE wh.source_unit IS 'what was read: a row per content of a file, partition of a topic, or read of a table';
COMMENT ON COLUMN wh.source_unit.generation IS 'counts contents loaded under one name, or incarnations of a topic';
COMMENT ON COLUMN wh.source_unit.size IS 'bytes of the file, or the partition''s next offset to read';
COMMENT ON COLUMN wh.source_unit.end_offset IS 'the partition''s end when it was read last';
COMMENT ON COLUMN wh.source_unit.checksum IS 'SHA-256 of the file; or the partition''s last message that was read: its offset, time, and CRC-32C of key and value';
COMMENT ON COLUMN wh.source_unit.file_state IS 'device, inode, size and change time of the file when read: unchanged means nothing to read';
COMMENT ON COLUMN wh.source_unit.header IS 'the file''s header, when records of it were rejected';
COMMENT ON COLUMN wh.source_unit.event_time IS 'the one event time of a snapshot';
COMMENT ON COLUMN wh.source_unit.is_complete IS 'false when a rejected row of a snapshot had no readable key: it deletes nothing; of a partition: false while messages in it wait for the end of an open transaction';

CREATE TABLE wh.dimension (
    dimension_id bigint PRIMARY KEY DEFAULT nextval('wh.object_id_seq'),
    relation regclass NOT NULL UNIQUE,
    definition regclass UNIQUE,
    kind text NOT NULL DEFAULT 'query' CHECK (kind IN ('query', 'date')),
    natural_key text[] NOT NULL,
    scd jsonb NOT NULL DEFAULT '{}',
    default_scd int NOT NULL DEFAULT 2,
    history text NOT NULL DEFAULT 'auto' CHECK (history IN ('auto', 'query', 'none')),
    effective_grain text CHECK (effective_grain IN ('hour', 'day', 'week', 'month')),
    time_zone text NOT NULL DEFAULT 'UTC',
    next_key bigint NOT NULL DEFAULT 1,
    last_batch_id bigint
);
COMMENT ON TABLE wh.dimension IS 'a row per dimension';
COMMENT ON COLUMN wh.dimension.definition IS 'the view that holds the query';
COMMENT ON COLUMN wh.dimension.next_key IS 'next surrogate key';

CREATE TABLE wh.fact (
    fact_id bigint PRIMARY KEY DEFAULT nextval('wh.object_id_seq'),
    relation regclass NOT NULL UNIQUE,
    definition regclass NOT NULL UNIQUE,
    grain text[] NOT NULL,
    event_time text NOT NULL,
    mode text NOT NULL DEFAULT 'upsert' CHECK (mode IN ('append', 'upsert', 'ledger')),
    time_zone text NOT NULL DEFAULT 'UTC',
    latest_event_time timestamptz,
    last_batch_id bigint
);
COMMENT ON COLUMN wh.fact.latest_event_time IS 'no row has a later event time';
COMMENT ON TABLE wh.fact IS 'a row per fact';

CREATE TABLE wh.fact_dimension (
    fact_id bigint NOT NULL REFERENCES wh.fact ON DELETE CASCADE,
    ordinal int NOT NULL,
    role text NOT NULL,
    columns text[] NOT NULL,
    dimension_id bigint NOT NULL REFERENCES wh.dimension,
    key_column text NOT NULL,
    PRIMARY KEY (fact_id, ordinal),
    UNIQUE (fact_id, key_column)
);
COMMENT ON TABLE wh.fact_dimension IS 'the dimensions of a fact: which columns find which dimension, into which key column';

-- What a dimension or fact reads, and how far it has used it.
CREATE TABLE wh.input (
    object_id bigint NOT NULL,
    relation regclass NOT NULL,
    feed_id bigint REFERENCES wh.feed,
    used_batch_id bigint,
    content_hash bytea,
    PRIMARY KEY (object_id, relation)
);
COMMENT ON TABLE wh.input IS 'the relations a dimension or fact reads, and the last batch of each that is in it';
COMMENT ON COLUMN wh.input.feed_id IS 'the feed that fills it; null for a plain lookup table';
COMMENT ON COLUMN wh.input.used_batch_id IS 'changes up to this batch are in the object; null: nothing yet';
COMMENT ON COLUMN wh.input.content_hash IS 'hash over a lookup table''s rows when last used';

-- What happened ----------------------------------------------------------------------

CREATE TABLE wh.batch (
    batch_id bigint PRIMARY KEY DEFAULT nextval('wh.batch_id_seq'),
    kind text NOT NULL CHECK (kind IN ('ingest', 'publish')),
    object_id bigint,
    object text,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'succeeded', 'failed')),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    backend_pid int NOT NULL DEFAULT pg_backend_pid(),
    message text,
    detail text,
    sqlstate text,
    objects bigint[]
);
CREATE INDEX ON wh.batch (object_id, batch_id);
CREATE INDEX ON wh.batch (batch_id) WHERE state = 'running';
CREATE INDEX ON wh.batch (batch_id) WHERE kind = 'publish';
CREATE INDEX ON wh.batch (started_at);
COMMENT ON TABLE wh.batch IS 'a row per batch: the ingest of one feed, or one publish';
COMMENT ON COLUMN wh.batch.message IS 'why it failed, without values of records: "..." stands for what the message filled in';
COMMENT ON COLUMN wh.batch.objects IS 'ids of the dimensions and facts of a publish, which are connected';
COMMENT ON COLUMN wh.batch.object IS 'the feed of an ingest; the dimension or fact that a publish failed at, else null for a publish';

CREATE TABLE wh.last_look (
    object_id bigint PRIMARY KEY,
    looked_at timestamptz NOT NULL
);
COMMENT ON TABLE wh.last_look IS 'when each object was last looked at without failing; times are overwritten in place';

CREATE TABLE wh.batch_step (
    batch_id bigint NOT NULL REFERENCES wh.batch ON DELETE CASCADE,
    step int NOT NULL,
    object_id bigint,
    object text NOT NULL,
    first_block bigint,
    file_node bigint,
    rows_read bigint NOT NULL DEFAULT 0,
    rows_staged bigint NOT NULL DEFAULT 0,
    rows_rejected bigint NOT NULL DEFAULT 0,
    rows_repeated bigint NOT NULL DEFAULT 0,
    rows_superseded bigint NOT NULL DEFAULT 0,
    rows_inserted bigint NOT NULL DEFAULT 0,
    rows_updated bigint NOT NULL DEFAULT 0,
    rows_deleted bigint NOT NULL DEFAULT 0,
    rows_repointed bigint NOT NULL DEFAULT 0,
    warnings bigint NOT NULL DEFAULT 0,
    units_read bigint NOT NULL DEFAULT 0,
    units_skipped bigint NOT NULL DEFAULT 0,
    duration interval,
    PRIMARY KEY (batch_id, step)
);
CREATE INDEX ON wh.batch_step (object_id, batch_id);
COMMENT ON TABLE wh.batch_step IS 'what a batch did to one relation: read = staged + rejected + repeated + superseded';
COMMENT ON COLUMN wh.batch_step.object IS 'name of the feed, dimension or fact';
COMMENT ON COLUMN wh.batch_step.first_block IS 'rows that the batch added to the staging table are from this block on, while its file is file_node';
COMMENT ON COLUMN wh.batch_step.file_node IS 'number of the staging table''s file, mixed with the server''s identifier: a dump may be restored elsewhere';

CREATE TABLE wh.batch_total (
    object_id bigint PRIMARY KEY,
    steps bigint NOT NULL,
    until_batch_id bigint NOT NULL,
    rows_read bigint NOT NULL,
    rows_staged bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    rows_repeated bigint NOT NULL,
    rows_superseded bigint NOT NULL,
    rows_inserted bigint NOT NULL,
    rows_updated bigint NOT NULL,
    rows_deleted bigint NOT NULL,
    rows_repointed bigint NOT NULL,
    warnings bigint NOT NULL,
    units_read bigint NOT NULL,
    units_skipped bigint NOT NULL
);
COMMENT ON TABLE wh.batch_total IS 'sums of the steps of old batches, which are removed after widgets_wh.batch_retention';
COMMENT ON COLUMN wh.batch_total.until_batch_id IS 'the last batch that is in the sums';

CREATE TABLE wh.error_event (
    error_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL,
    object_id bigint NOT NULL,
    feed text,
    fact text,
    file text,
    line bigint,
    byte_offset bigint,
    topic text,
    partition int,
    "offset" bigint,
    message_timestamp timestamptz,
    message_key bytea,
    message_headers jsonb,
    source_position bigint,
    read_no bigint,
    event_time timestamptz,
    raw_record bytea,
    raw_form text CHECK (raw_form IN ('record', 'row', 'part')),
    redacted jsonb,
    record_hash bytea NOT NULL,
    errors jsonb NOT NULL,
    "column" text,
    sqlstate text NOT NULL,
    message text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    record_key text[],
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'settled', 'dismissed')),
    closed_at timestamptz,
    settled_by text CHECK (settled_by IN ('key', 'read')),
    CHECK ((state = 'settled') = (settled_by IS NOT NULL)),
    CHECK ((state = 'open') = (closed_at IS NULL))
);
CREATE UNIQUE INDEX ON wh.error_event (object_id, source_position, record_hash) NULLS NOT DISTINCT;
CREATE INDEX ON wh.error_event (batch_id);
CREATE INDEX ON wh.error_event (object_id, hash_array(record_key)) WHERE state = 'open';
CREATE INDEX ON wh.error_event (closed_at) WHERE state <> 'open';
COMMENT ON TABLE wh.error_event IS 'records that were not staged, and fact rows that were not loaded: where they stood, their raw bytes, and why';
COMMENT ON COLUMN wh.error_event.errors IS 'every error of the record: [{"column", "sqlstate", "message"}, ...]; the first one is in the columns beside';
COMMENT ON COLUMN wh.error_event.read_no IS 'the read of a table that gave the record first';
COMMENT ON COLUMN wh.error_event.raw_form IS 'what raw_record is: the record as it came (its redacted fields cut out), its row as a JSON object of texts, or only a part of either, which cannot be tried again';
COMMENT ON COLUMN wh.error_event.redacted IS 'the redacted values of redacted columns, by name';
COMMENT ON COLUMN wh.error_event.record_key IS 'texts of the key''s columns, when they could be read: a later record of the key settles the event';
COMMENT ON COLUMN wh.error_event.state IS 'open: wants somebody''s attention; retried: tried again and staged; settled: its file or table was read whole without it since, or a later record of its key was staged; dismissed: by wh.dismiss_error_events';
COMMENT ON COLUMN wh.error_event.settled_by IS 'key: a later record of its key was staged; read: its file or table was read whole without it';
COMMENT ON COLUMN wh.error_event.closed_at IS 'when it was retried, settled or dismissed';
COMMENT ON COLUMN wh.error_event.feed IS 'the feed whose record it is; for a row refused by a fact, fact names it instead';

-- Configuration and positions are data: pg_dump keeps them.
SELECT pg_catalog.pg_extension_config_dump('wh.object_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('wh.batch_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('wh.feed', '');
SELECT pg_catalog.pg_extension_config_dump('wh.screen', '');
SELECT pg_catalog.pg_extension_config_dump('wh.source_unit', '');
SELECT pg_catalog.pg_extension_config_dump('wh.dimension', '');
SELECT pg_catalog.pg_extension_config_dump('wh.fact', '');
SELECT pg_catalog.pg_extension_config_dump('wh.fact_dimension', '');
SELECT pg_catalog.pg_extension_config_dump('wh.input', '');
SELECT pg_catalog.pg_extension_config_dump('wh.batch', '');
SELECT pg_catalog.pg_extension_config_dump('wh.last_look', '');
SELECT pg_catalog.pg_extension_config_dump('wh.batch_step', '');
SELECT pg_catalog.pg_extension_config_dump('wh.batch_total', '');
SELECT pg_catalog.pg_extension_config_dump('wh.error_event', '');
