-- Feeds and screens.

CREATE FUNCTION wh.create_feed(
    feed text,
    source regclass,
    load text,
    key text[] DEFAULT '{}',
    sequence_by text DEFAULT NULL,
    deleted_when text DEFAULT NULL,
    watermark text DEFAULT NULL,
    watermark_overlap interval DEFAULT '10 minutes',
    redact jsonb DEFAULT '{}',
    time_zone text DEFAULT 'UTC',
    reject_limit bigint DEFAULT NULL)
RETURNS regclass
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_create_feed';
COMMENT ON FUNCTION wh.create_feed IS 'make a feed and its staging relations';
REVOKE ALL ON FUNCTION wh.create_feed FROM PUBLIC;

CREATE FUNCTION wh.ingest(feed text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_ingest';
COMMENT ON FUNCTION wh.ingest IS 'load what is new in one feed, in this transaction; gives the batch, or null when nothing was new';
REVOKE ALL ON FUNCTION wh.ingest FROM PUBLIC;
