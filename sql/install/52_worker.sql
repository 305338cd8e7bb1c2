-- Where Kafka feeds stand, and the background worker that loads them.

CREATE TABLE wh.worker_feed (
    feed_id bigint NOT NULL REFERENCES wh.feed ON DELETE CASCADE,
    worker int NOT NULL,
    state text NOT NULL CHECK (state IN ('streaming', 'retrying', 'disconnected')),
    failures int NOT NULL,
    message text,
    detail text,
    next_retry_at timestamptz,
    rows_per_second float8,
    worker_pid int NOT NULL DEFAULT pg_catalog.pg_backend_pid(),
    reported_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (feed_id, worker)
);
COMMENT ON TABLE wh.worker_feed IS 'how each background worker stands with its feeds, as of the last try that changed it';
COMMENT ON COLUMN wh.worker_feed.worker IS 'number of the worker, from 0: which of the feed''s partitions it loads';
COMMENT ON COLUMN wh.worker_feed.failures IS 'in a row; each doubles the time to the next try, up to a minute';
COMMENT ON COLUMN wh.worker_feed.rows_per_second IS 'messages read, over the last 5 seconds or more that brought any';

CREATE VIEW wh.kafka_offset AS
SELECT f.relation::text AS feed,
       left(u.name, -length(u.part) - 1) COLLATE "default" AS topic,
       u.part::int AS partition,
       u.generation,
       u.size AS next_offset,
       u.end_offset,
       u.end_offset - u.size AS lag,
       NOT u.is_complete AS waits_for_transaction
FROM wh.feed f
JOIN LATERAL (
    SELECT s.name, s.generation, s.size, s.end_offset, s.is_complete,
           substring(s.name FROM '[0-9]+$') AS part,
           max(s.generation) OVER (PARTITION BY substring(s.name FROM '^[^/]*')) AS latest
    FROM wh.source_unit s
    WHERE s.feed_id = f.feed_id) u ON u.generation = u.latest
JOIN pg_catalog.pg_foreign_table t ON t.ftrelid = f.source
JOIN pg_catalog.pg_foreign_server v ON v.oid = t.ftserver
JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = v.srvfdw AND w.fdwname = 'wh_kafka';
COMMENT ON VIEW wh.kafka_offset IS 'a row per partition that a feed has read: the next offset to read';
COMMENT ON COLUMN wh.kafka_offset.generation IS 'incarnation of the topic; the latest one that the feed has read';
COMMENT ON COLUMN wh.kafka_offset.end_offset IS 'the partition''s end when the feed read from it last';
COMMENT ON COLUMN wh.kafka_offset.lag IS 'messages left at that time';
COMMENT ON COLUMN wh.kafka_offset.waits_for_transaction IS 'a transaction of a producer is open there: what follows cannot be read before it ends';

CREATE FUNCTION wh.seek_feed(
    feed text,
    place text DEFAULT NULL,
    at timestamptz DEFAULT NULL,
    offsets jsonb DEFAULT NULL)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_seek_feed';
COMMENT ON FUNCTION wh.seek_feed IS 'set where a feed reads its topic on: ''earliest'' or ''latest'', from a time, or from given offsets';
REVOKE ALL ON FUNCTION wh.seek_feed FROM PUBLIC;

CREATE FUNCTION wh.pause_feed(feed text)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$SELECT wh.alter_feed(feed, is_paused => true)$$;
COMMENT ON FUNCTION wh.pause_feed IS 'load a feed no more until wh.resume_feed';
REVOKE ALL ON FUNCTION wh.pause_feed FROM PUBLIC;

CREATE FUNCTION wh.resume_feed(feed text)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$SELECT wh.alter_feed(feed, is_paused => false)$$;
COMMENT ON FUNCTION wh.resume_feed IS 'load a feed again, from where it had got';
REVOKE ALL ON FUNCTION wh.resume_feed FROM PUBLIC;

CREATE FUNCTION wh.retry_error_events(feed text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_retry_error_events';
COMMENT ON FUNCTION wh.retry_error_events IS 'try the records of a feed''s error events again; gives how many have no error any more';
REVOKE ALL ON FUNCTION wh.retry_error_events FROM PUBLIC;

CREATE FUNCTION wh.dismiss_error_events(feed text, condition text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_dismiss_error_events';
COMMENT ON FUNCTION wh.dismiss_error_events IS 'close the open error events of a feed or fact for which a condition holds; gives how many';
REVOKE ALL ON FUNCTION wh.dismiss_error_events FROM PUBLIC;

-- Error events go with their object, however it is dropped.
CREATE FUNCTION wh.after_object_delete()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM wh.error_event WHERE object_id = (to_jsonb(OLD) ->> TG_ARGV[0])::bigint;
    DELETE FROM wh.last_look WHERE object_id = (to_jsonb(OLD) ->> TG_ARGV[0])::bigint;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION wh.after_object_delete() IS 'trigger: removes the error events of an object that is dropped';
REVOKE ALL ON FUNCTION wh.after_object_delete() FROM PUBLIC;
CREATE TRIGGER after_delete AFTER DELETE ON wh.feed
    FOR EACH ROW EXECUTE FUNCTION wh.after_object_delete('feed_id');
CREATE TRIGGER after_delete AFTER DELETE ON wh.dimension
    FOR EACH ROW EXECUTE FUNCTION wh.after_object_delete('dimension_id');
CREATE TRIGGER after_delete AFTER DELETE ON wh.fact
    FOR EACH ROW EXECUTE FUNCTION wh.after_object_delete('fact_id');
