-- What there is, how it stands, and where it comes from.

CREATE VIEW wh.status AS
SELECT f.relation::text AS object,
       'feed' AS kind,
       CASE WHEN f.is_paused THEN 'paused'
            WHEN w.state IN ('retrying', 'disconnected') THEN w.state
            WHEN l.state = 'running' THEN 'running'
            WHEN l.state = 'failed' AND NOT coalesce(w.streams_since >= l.finished_at, false) THEN 'failed'
            WHEN l.state IS NULL AND f.last_batch_id IS NULL AND w.state IS NULL THEN 'never run'
            WHEN k.waits THEN 'waiting'
            ELSE 'ready' END AS state,
       f.last_batch_id,
       s.finished_at AS last_success_at,
       clock_timestamp() - s.finished_at AS freshness,
       t.rows,
       NULL::bigint AS batches_behind,
       e.rejected AS rows_rejected,
       e.open AS open_errors,
       CASE WHEN w.state IN ('retrying', 'disconnected') THEN w.message
            WHEN l.state = 'failed' AND NOT coalesce(w.streams_since >= l.finished_at, false) THEN l.message
            WHEN k.waits THEN 'messages wait for the end of a transaction that a producer has left open' END AS last_error,
       k.lag,
       w.rows_per_second,
       w.next_retry_at
FROM wh.feed f
LEFT JOIN LATERAL (SELECT v.state, v.message, v.next_retry_at,
                          CASE v.state WHEN 'streaming' THEN v.reported_at END AS streams_since,
                          (SELECT sum(r.rows_per_second) FROM wh.worker_feed r
                           WHERE r.feed_id = f.feed_id) AS rows_per_second
                   FROM wh.worker_feed v WHERE v.feed_id = f.feed_id
                   ORDER BY array_position('{retrying,disconnected,streaming}'::text[], v.state), v.worker
                   LIMIT 1) w ON true
LEFT JOIN LATERAL (SELECT sum(o.lag)::bigint AS lag, bool_or(o.waits_for_transaction) AS waits FROM wh.kafka_offset o
                   WHERE o.feed = f.relation::text) k ON true
LEFT JOIN LATERAL (SELECT b.state, b.message, b.finished_at FROM wh.batch b
                   WHERE b.object_id = f.feed_id ORDER BY b.batch_id DESC LIMIT 1) l ON true
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
SELECT o.relation::text, o.kind,
       CASE WHEN l.state = 'running' THEN 'running'
            WHEN l.state = 'failed' AND coalesce(l.object_id, o.id) = o.id THEN 'failed'
            WHEN n.unused > 0 AND o.last_batch_id IS NULL THEN 'never run'
            WHEN n.behind > 0 THEN 'behind'
            ELSE 'ready' END,
       o.last_batch_id,
       b.finished_at,
       clock_timestamp() - b.finished_at,
       t.rows,
       n.behind,
       e.rejected,
       e.open,
       CASE WHEN l.state = 'failed' AND coalesce(l.object_id, o.id) = o.id THEN l.message END,
       NULL, NULL, NULL
FROM (SELECT dimension_id AS id, relation, 'dimension' AS kind, last_batch_id FROM wh.dimension
      UNION ALL SELECT fact_id, relation, 'fact', last_batch_id FROM wh.fact) o
LEFT JOIN wh.batch b ON b.batch_id = o.last_batch_id
LEFT JOIN LATERAL (SELECT p.state, p.message, p.object_id FROM wh.batch p
                   WHERE p.kind = 'publish' ORDER BY p.batch_id DESC LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE i.used_batch_id IS NULL) AS unused,
                          sum((SELECT count(*) FROM wh.batch_step q
                               WHERE q.object_id = i.feed_id
                                 AND q.batch_id > coalesce(i.used_batch_id, 0)))::bigint AS behind
                   FROM wh.input i WHERE i.object_id = o.id AND i.feed_id IS NOT NULL) n ON true
LEFT JOIN LATERAL (SELECT sum(p.rows)::bigint AS rows
                   FROM (SELECT q.rows_inserted - q.rows_deleted AS rows FROM wh.batch_step q WHERE q.object_id = o.id
                         UNION ALL SELECT q.rows_inserted - q.rows_deleted FROM wh.batch_total q
                         WHERE q.object_id = o.id) p) t ON true
LEFT JOIN LATERAL (SELECT count(*) FILTER (WHERE v.state <> 'retried') AS rejected,
                          count(*) FILTER (WHERE v.state = 'open') AS open
                   FROM wh.error_event v
                   WHERE v.object_id = o.id) e ON true;
COMMENT ON VIEW wh.status IS 'a row per feed, dimension and fact: its state, last batch, rows, lag and last error';
COMMENT ON COLUMN wh.status.lag IS 'messages of the topic that were left when the feed read from it last; wh.kafka_offset has it by partition';
COMMENT ON COLUMN wh.status.next_retry_at IS 'when the background worker tries a feed again that has failed';
COMMENT ON COLUMN wh.status.rows IS 'feed: records staged; dimension, fact: rows the engine wrote and did not remove';
COMMENT ON COLUMN wh.status.rows_rejected IS 'error events: records that were not staged, fact rows that were not loaded; those staged by a retry do not count';
COMMENT ON COLUMN wh.status.open_errors IS 'those of them that want somebody''s attention: wh.error_event with state open';
COMMENT ON COLUMN wh.status.freshness IS 'time since the last batch that brought something';
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
