-- Debezium's envelope, and deletes by tombstone.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
\! $KAFKA_CTL topic dbz 1
CREATE FOREIGN TABLE raw (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'dbz', format 'text');
CREATE FOREIGN TABLE customer (id int, name text, city text OPTIONS (path 'address.city'), op text OPTIONS (metadata 'operation'),
    lsn jsonb OPTIONS (metadata 'source'), at timestamptz OPTIONS (metadata 'source_time'), off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'dbz', format 'debezium');
INSERT INTO raw (k, v) VALUES
  ('{"id":1}', '{"before":null,"after":{"id":1,"name":"Ann","address":{"city":"Oslo"}},"source":{"ts_ms":1704067200123,"lsn":10},"op":"r","ts_ms":1}'),
  ('{"id":2}', '{"before":null,"after":{"id":2,"name":"Bob"},"source":{"ts_ms":1704067201000,"lsn":11},"op":"c"}'),
  ('{"id":1}', '{"op":"u","before":{"id":1,"name":"Ann"},"after":{"id":1,"name":"Anna"},"source":{"ts_ms":1704067202000,"lsn":12}}'),
  ('{"id":2}', '{"op":"d","before":{"id":2,"name":"Bob"},"after":null,"source":{"ts_ms":1704067203000,"lsn":13}}'),
  ('{"id":2}', NULL),
  ('{"schema":{},"payload":{"id":3}}', '{"schema":{"op":"x"},"payload":{"op":"c","before":null,"after":{"id":3,"name":"Cid"},"source":{"ts_ms":1704067204000}}}'),
  ('{"schema":{},"payload":{"id":3}}', '{"schema":{},"payload":{"op":"d","before":null,"after":null,"source":{"ts_ms":1704067205000}}}'),
  ('{"schema":{},"payload":{"id":3}}', NULL);
SELECT results_eq('SELECT id, name, city, op, (lsn ->> ''lsn'')::int, extract(epoch FROM at)::numeric(20,3) FROM customer ORDER BY off', $$VALUES
  (1, 'Ann', 'Oslo', 'r', 10, 1704067200.123), (2, 'Bob', NULL, 'c', 11, 1704067201.000), (1, 'Anna', NULL, 'u', 12, 1704067202.000),
  (2, 'Bob', NULL, 'd', 13, 1704067203.000), (2, NULL, NULL, NULL, NULL, NULL), (3, 'Cid', NULL, 'c', NULL, 1704067204.000),
  (3, NULL, NULL, 'd', NULL, 1704067205.000), (3, NULL, NULL, NULL, NULL, NULL)$$,
  'snapshot, insert, update, delete, tombstone; with and without schema');
INSERT INTO raw (k, v) VALUES
  ('x', '{"op":"t","source":{}}'), ('x', '{"op":"q"}'), ('x', '{"id": 1}'), ('x', '{"op":"u","after":null}'), ('x', '{"payload":5}'), ('x', NULL), (NULL, NULL);
SELECT results_eq('SELECT "offset"::int, sqlstate FROM wh.kafka_errors(''customer'')',
  $$VALUES (8, '0A000'), (9, '22P02'), (10, '22P02'), (11, '22P02'), (12, '22P02'), (13, '22P02'), (14, '23502')$$, 'truncate and what is no change are refused');
SELECT throws_like('SELECT * FROM customer WHERE off = 8', '%truncated%', 'truncate: clearly');
SELECT throws_ok($$INSERT INTO customer (id) VALUES (1)$$, '0A000', NULL, 'no INSERT');

-- as a feed: versions by source time, deletes, and error events for what is no change
SELECT wh.create_feed('customer', 'customer', 'upsert', '{id}', sequence_by => 'at') \gset x
SELECT wh.create_feed('screened', 'customer', 'upsert', '{id}', sequence_by => 'at') \gset x
SELECT wh.add_screen('screened', 'named', 'length(name) > 0') \gset x
SELECT wh.ingest('customer') \gset x
SELECT wh.ingest('screened') \gset x
SELECT results_eq('SELECT id, name, is_deleted, extract(epoch FROM effective_from)::numeric(20,3) FROM staging.customer_history WHERE effective_from < ''2025-01-01'' ORDER BY id, effective_from', $$VALUES
  (1, 'Ann', false, 1704067200.123), (1, 'Anna', false, 1704067202.000), (2, 'Bob', false, 1704067201.000), (2, 'Bob', true, 1704067203.000),
  (3, 'Cid', false, 1704067204.000), (3, NULL, true, 1704067205.000)$$, 'a feed has the versions of the database, at its times');
SELECT results_eq('SELECT id, name, is_deleted, effective_from FROM staging.screened_history ORDER BY 1, 4', 'SELECT id, name, is_deleted, effective_from FROM staging.customer_history ORDER BY 1, 4', 'with a screen as well');
SELECT results_eq('SELECT id, name FROM staging.customer ORDER BY id', $$VALUES (1, 'Anna')$$, 'and its current rows');
SELECT results_eq('SELECT "offset"::int, sqlstate FROM wh.error_event WHERE feed = ''staging.customer'' ORDER BY 1', $$VALUES (8, '0A000'), (9, '22P02'), (10, '22P02'), (11, '22P02'), (12, '22P02'), (13, '22P02'), (14, '23502')$$,
  'what is no change is an error event, a truncate as well');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');

\! $KAFKA_CTL topic tomb 1
\! printf '7\t{"id":7,"n":1}\n8\t{"n":2}\n7\t\\N\n' | $KAFKA_CTL produce tomb
CREATE FOREIGN TABLE keyed (id int, n int, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'tomb', key_column 'id');
SELECT results_eq('SELECT id, n FROM keyed ORDER BY off', 'VALUES (7, 1), (8, 2), (7, NULL)', 'key_column: of tombstones, and where the value has none');
SELECT is_empty('SELECT * FROM wh.kafka_errors(''keyed'')', 'no errors');

SELECT * FROM finish();
