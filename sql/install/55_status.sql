-- What there is, how it stands, and where it comes from.

-- Planned as a function: what it costs must not make all of wh.status look worth compiling.
CREATE FUNCTION wh.find_components(OUT object_id bigint, OUT component_id bigint)
RETURNS SETOF record
LANGUAGE sql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
WITH RECURSIVE object AS (
    SELECT dimension_id AS object_id, relation FROM wh.dimension WHERE kind <> 'date'
    UNION ALL SELECT fact_id, relation FROM wh.fact),
link AS (
    SELECT r.fact_id AS a, r.dimension_id AS b
    FROM wh.fact_dimension r JOIN object o ON o.object_id = r.dimension_id
    UNION SELECT i.object_id, o.object_id FROM wh.input i JOIN object o ON o.relation = i.relation),
connected AS (SELECT a, b FROM link UNION SELECT b, a FROM link),
reach AS (
    SELECT object_id, object_id AS reached FROM object
    UNION SELECT r.object_id, c.b FROM reach r JOIN connected c ON c.a = r.reached)
SELECT object_id, min(reached) FROM reach GROUP BY object_id
$$;
COMMENT ON FUNCTION wh.find_components() IS 'for wh.component: each dimension and fact with the lowest id that it is connected with';
REVOKE ALL ON FUNCTION wh.find_components() FROM PUBLIC;

CREATE VIEW wh.component AS SELECT object_id, component_id FROM wh.find_components();
COMMENT ON VIEW wh.component IS 'dimensions and facts that are connected by reference, and published in one transaction; calendars connect nothing, and are in none';
COMMENT ON COLUMN wh.component.component_id IS 'the lowest of the ids of its objects';

CREATE VIEW wh.status AS
WITH feed_state AS (
    SELECT f.feed_id, f.relation::text AS object, f.last_batch_id,
           CASE WHEN f.is_paused THEN 'paused'
                WHEN w.state IN ('retrying', 'disconnected') THEN w.state
                WHEN l.state = 'running' THEN 'running'
                WHEN l.state = 'failed' AND (a.looked_at IS NULL OR a.looked_at < l.finished_at) THEN 'failed'
                WHEN l.state IS NULL AND f.last_batch_id IS NULL AND a.looked_at IS NULL THEN 'never run'
                ELSE 'ready' END AS state,
           l.started_at, l.message, l.detail, a.looked_at,
           w.message AS worker_message, w.detail AS worker_detail, w.rows_per_second, w.next_retry_at
    FROM wh.feed f
    LEFT JOIN LATERAL (SELECT v.state, v.message, v.detail, v.next_retry_at,
                              CASE v.state WHEN 'streaming' THEN v.reported_at END AS streams_since,
                              (SELECT sum(r.rows_per_second) FROM wh.worker_feed r
                               WHERE r.feed_id = f.feed_id) AS rows_per_second
                       FROM wh.worker_feed v WHERE v.feed_id = f.feed_id
                       ORDER BY array_position('{retrying,disconnected,streaming}'::text[], v.state), v.worker
                       LIMIT 1) w ON true
    LEFT JOIN LATERAL (SELECT greatest((SELECT k.looked_at FROM wh.last_look k WHERE k.object_id = f.feed_id),
                                       w.streams_since) AS looked_at) a ON true
    LEFT JOIN LATERAL (SELECT b.state, b.message, b.detail, b.started_at, b.finished_at FROM wh.batch b
                       WHERE b.object_id = f.feed_id ORDER BY b.batch_id DESC LIMIT 1) l ON true),
published AS (
    SELECT o.id, o.relation::text AS object, o.kind, o.last_batch_id, c.component_id, a.looked_at,
           l.started_at, l.object_id AS failed_at, l.object AS failed_at_object, l.message, l.detail,
           l.state = 'failed' AND (a.looked_at IS NULL OR a.looked_at < l.finished_at) AS is_failed,
           l.state = 'running' AS is_running
    FROM (SELECT dimension_id AS id, relation, 'dimension' AS kind, last_batch_id FROM wh.dimension
          UNION ALL SELECT fact_id, relation, 'fact', last_batch_id FROM wh.fact) o
    LEFT JOIN wh.component c ON c.object_id = o.id
    LEFT JOIN wh.last_look a ON a.object_id = o.id
    LEFT JOIN LATERAL (SELECT p.state, p.message, p.detail, p.object_id, p.object, p.started_at, p.finished_at
                       FROM wh.batch p
                       WHERE p.kind = 'publish' AND (p.objects IS NULL OR o.id = ANY (p.objects))
                       ORDER BY p.batch_id DESC LIMIT 1) l ON true)
SELECT f.object,
       'feed' AS kind,
       CASE WHEN f.state = 'ready' AND k.waits THEN 'waiting' ELSE f.state END AS state,
       f.last_batch_id,
       greatest(f.started_at, f.looked_at) AS last_run_at,
       f.looked_at AS last_looked_at,
       greatest(s.finished_at, f.looked_at) AS last_success_at,
       s.finished_at AS last_news_at,
       clock_timestamp() - s.finished_at AS freshness,
       t.rows,
       NULL::bigint AS batches_behind,
       NULL::text AS withheld_by,
       e.rejected AS rows_rejected,
       e.open AS open_errors,
       CASE WHEN f.state IN ('retrying', 'disconnected') THEN f.worker_message
            WHEN f.state = 'failed' THEN f.message
            WHEN f.state = 'ready' AND k.waits THEN 'messages wait for the end of a transaction that a producer has left open' END AS last_error,
       CASE WHEN f.state IN ('retrying', 'disconnected') THEN f.worker_detail WHEN f.state = 'failed' THEN f.detail END AS last_error_detail,
       k.lag,
       f.rows_per_second,
       f.next_retry_at
FROM feed_state f
LEFT JOIN LATERAL (SELECT sum(o.lag)::bigint AS lag, bool_or(o.waits_for_transaction) AS waits FROM wh.kafka_offset o
                   WHERE o.feed = f.object) k ON true
LEFT JOIN LATERAL (SELECT b.finished_at FROM wh.batch b
                   WHERE b.object_id = f.feed_id AND b.state = 'succeeded'
                   ORDER BY b.batch_id DESC LIMIT 1) s ON true
LEFT JOIN LATERAL (SELECT sum(p.rows)::bigint AS rows
                   FROM (SELECT q.rows_staged AS rows FROM wh.batch_step q WHERE q.object_id = f.feed_id
                         UNION ALL SELECT q.rows_staged FROM wh.batch_total q WHERE q.object_id = f.feed_id) p) t ON true
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE v.state <> 'retried') AS rejected,
                          count(*) FILTER (WHERE v.state = 'open') AS open
                   FROM wh.error_event v
                   WHERE v.object_id = f.feed_id) e ON true
UNION ALL
SELECT o.object, o.kind,
       CASE WHEN o.is_running THEN 'running'
            WHEN o.is_failed AND coalesce(o.failed_at, o.id) = o.id THEN 'failed'
            WHEN n.unused > 0 AND o.last_batch_id IS NULL THEN 'never run'
            WHEN n.behind > 0 THEN 'behind'
            ELSE 'ready' END,
       o.last_batch_id,
       greatest(o.started_at, o.looked_at),
       o.looked_at,
       greatest(b.finished_at, o.looked_at),
       b.finished_at,
       clock_timestamp() - b.finished_at,
       t.rows,
       n.behind,
       CASE WHEN n.behind > 0 AND o.is_failed AND o.failed_at <> o.id THEN o.failed_at_object
            WHEN n.behind > 0 THEN u.failed END,
       e.rejected,
       e.open,
       CASE WHEN o.is_failed AND coalesce(o.failed_at, o.id) = o.id THEN o.message END,
       CASE WHEN o.is_failed AND coalesce(o.failed_at, o.id) = o.id THEN o.detail END,
       NULL, NULL, NULL
FROM published o
LEFT JOIN wh.batch b ON b.batch_id = o.last_batch_id
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE i.used_batch_id IS NULL) AS unused,
                          sum((SELECT count(*) FROM wh.batch_step q
                               WHERE q.object_id = i.feed_id
                                 AND q.batch_id > coalesce(i.used_batch_id, 0)))::bigint AS behind
                   FROM wh.input i WHERE i.object_id = o.id AND i.feed_id IS NOT NULL) n ON true
LEFT JOIN LATERAL (SELECT string_agg(DISTINCT f.object, ', ') AS failed
                   FROM wh.component c JOIN wh.input i ON i.object_id = c.object_id JOIN feed_state f USING (feed_id)
                   WHERE c.component_id = o.component_id AND f.state = 'failed') u ON n.behind > 0
LEFT JOIN LATERAL (SELECT sum(p.rows)::bigint AS rows
                   FROM (SELECT q.rows_inserted - q.rows_deleted AS rows FROM wh.batch_step q WHERE q.object_id = o.id
                         UNION ALL SELECT q.rows_inserted - q.rows_deleted FROM wh.batch_total q
                         WHERE q.object_id = o.id) p) t ON true
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE v.state <> 'retried') AS rejected,
                          count(*) FILTER (WHERE v.state = 'open') AS open
                   FROM wh.error_event v
                   WHERE v.object_id = o.id) e ON true;
COMMENT ON VIEW wh.status IS 'a row per feed, dimension and fact: its state, times, rows, lag and the error of its last try';
COMMENT ON COLUMN wh.status.state IS 'of the last try: never run, ready, running, failed, paused; retrying and disconnected, of the background worker; behind, when something staged is not published';
COMMENT ON COLUMN wh.status.last_run_at IS 'when it was last tried, with whatever outcome';
COMMENT ON COLUMN wh.status.last_looked_at IS 'when its source, or what it reads, was last looked at without failing, news or not';
COMMENT ON COLUMN wh.status.last_success_at IS 'when a try last ended without failing';
COMMENT ON COLUMN wh.status.last_news_at IS 'end of the last batch that brought something';
COMMENT ON COLUMN wh.status.freshness IS 'time since then';
COMMENT ON COLUMN wh.status.withheld_by IS 'what keeps a dimension or fact behind: feeds of its component that failed, or the object that its publish failed at';
COMMENT ON COLUMN wh.status.last_error IS 'why the last try failed, without values of records; null when it did not';
COMMENT ON COLUMN wh.status.last_error_detail IS 'details of it that carry no values of records';
COMMENT ON COLUMN wh.status.lag IS 'messages of the topic that were left when the feed read from it last; wh.kafka_offset has it by partition';
COMMENT ON COLUMN wh.status.next_retry_at IS 'when the background worker tries a feed again that has failed';
COMMENT ON COLUMN wh.status.rows IS 'feed: records staged; dimension, fact: rows the engine wrote and did not remove';
COMMENT ON COLUMN wh.status.rows_rejected IS 'error events: records that were not staged, fact rows that were not loaded; those staged by a retry do not count';
COMMENT ON COLUMN wh.status.open_errors IS 'those of them that want somebody''s attention: wh.error_event with state open';
COMMENT ON COLUMN wh.status.batches_behind IS 'staged batches that are not in the dimension or fact yet';

CREATE VIEW wh.lineage AS
SELECT f.source::text AS from_object, 'source' AS from_kind, f.relation::text AS to_object, 'feed' AS to_kind,
       NULL::text AS via
FROM wh.feed f
UNION ALL
SELECT i.relation::text, CASE WHEN i.feed_id IS NULL THEN 'lookup' ELSE 'feed' END,
       coalesce(d.relation, c.relation)::text, CASE WHEN d.dimension_id IS NULL THEN 'fact' ELSE 'dimension' END,
       coalesce(d.definition, c.definition)::text
FROM wh.input i
LEFT JOIN wh.dimension d ON d.dimension_id = i.object_id
LEFT JOIN wh.fact c ON c.fact_id = i.object_id
UNION ALL
SELECT d.relation::text, 'dimension', c.relation::text, 'fact', r.key_column
FROM wh.fact_dimension r JOIN wh.fact c USING (fact_id) JOIN wh.dimension d USING (dimension_id);
COMMENT ON VIEW wh.lineage IS 'what each object is made from: sources, feeds, lookup tables, dimensions, facts';
COMMENT ON COLUMN wh.lineage.via IS 'the definition that reads it, or the key column that refers to it';
