-- Feeds and screens.

CREATE TABLE wh.rejected_key (
    feed_id bigint NOT NULL REFERENCES wh.feed ON DELETE CASCADE,
    unit_no bigint NOT NULL,
    key text[] NOT NULL
);
CREATE INDEX ON wh.rejected_key (feed_id, unit_no);
ALTER TABLE wh.rejected_key REPLICA IDENTITY FULL;
COMMENT ON TABLE wh.rejected_key IS 'keys that a snapshot does not state, because their rows were rejected: they count as unchanged';
SELECT pg_catalog.pg_extension_config_dump('wh.rejected_key', '');

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
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_ingest';
COMMENT ON FUNCTION wh.ingest IS 'load what is new in one feed, in this transaction; gives the batch, or null when nothing was new';
REVOKE ALL ON FUNCTION wh.ingest FROM PUBLIC;

CREATE FUNCTION wh.reload_feed(feed text)
RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_reload_feed';
COMMENT ON FUNCTION wh.reload_feed IS 'read the whole source of a feed again and stage what differs, hard deletes included; gives the batch, or null when there was nothing to note';
REVOKE ALL ON FUNCTION wh.reload_feed FROM PUBLIC;

CREATE FUNCTION wh.alter_feed(
    feed text,
    deleted_when text DEFAULT NULL,
    watermark text DEFAULT NULL,
    watermark_overlap interval DEFAULT NULL,
    redact jsonb DEFAULT NULL,
    time_zone text DEFAULT NULL,
    reject_limit bigint DEFAULT NULL,
    is_paused boolean DEFAULT NULL,
    on_lost_messages text DEFAULT NULL,
    on_source_change text DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_alter_feed';
COMMENT ON FUNCTION wh.alter_feed IS 'change a feed, and stage columns that its source has got or widened since';
REVOKE ALL ON FUNCTION wh.alter_feed FROM PUBLIC;

CREATE FUNCTION wh.source_changes(feed_id bigint)
RETURNS text[]
LANGUAGE c STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_source_changes';
COMMENT ON FUNCTION wh.source_changes IS 'columns of a feed''s source that are new, or of another type than is staged; null when there are none';
REVOKE ALL ON FUNCTION wh.source_changes FROM PUBLIC;

CREATE FUNCTION wh.drop_feed(feed text)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_feed';
COMMENT ON FUNCTION wh.drop_feed IS 'drop a feed and its staging relations';
REVOKE ALL ON FUNCTION wh.drop_feed FROM PUBLIC;

CREATE FUNCTION wh.add_screen(object text, screen text, condition text, action text DEFAULT 'reject')
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_add_screen';
COMMENT ON FUNCTION wh.add_screen IS 'add a condition that records of a feed must not fail';
REVOKE ALL ON FUNCTION wh.add_screen FROM PUBLIC;

CREATE FUNCTION wh.drop_screen(object text, screen text)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_screen';
COMMENT ON FUNCTION wh.drop_screen IS 'drop a screen of a feed';
REVOKE ALL ON FUNCTION wh.drop_screen FROM PUBLIC;
