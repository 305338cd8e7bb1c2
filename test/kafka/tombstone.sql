-- Tombstones: a key is gone after what precedes it in its partition, whatever the clocks say and however the messages are batched.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
SET timezone = 'UTC';
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FUNCTION history(feed text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE format('SELECT concat_ws(''|'', id, v, is_deleted, effective_from, effective_to) FROM staging.%I ORDER BY id, effective_from', feed || '_history'); END $$;

-- by hand: delete and insert in one transaction at the source, minutes before Kafka has it; only the tombstone is left; echo; unknown key
\! $KAFKA_CTL topic tomb_dbz 1
CREATE FOREIGN TABLE raw_dbz (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'tomb_dbz', format 'text');
INSERT INTO raw_dbz (k, v) VALUES
  ('{"id":1}', '{"op":"c","after":{"id":1,"v":"old"},"source":{"ts_ms":1704067200000}}'),
  ('{"id":1}', '{"op":"d","before":{"id":1,"v":"old"},"source":{"ts_ms":1704067260000}}'), ('{"id":1}', NULL),
  ('{"id":1}', '{"op":"c","after":{"id":1,"v":"new"},"source":{"ts_ms":1704067260000}}'),
  ('{"id":2}', '{"op":"c","after":{"id":2,"v":"x"},"source":{"ts_ms":1704067200000}}'), ('{"id":2}', NULL),
  ('{"id":3}', '{"op":"c","after":{"id":3,"v":"y"},"source":{"ts_ms":4102444800000}}'),
  ('{"id":3}', '{"op":"d","before":{"id":3,"v":"y"},"source":{"ts_ms":4102444860000}}'), ('{"id":3}', NULL), ('{"id":3}', NULL);
CREATE FOREIGN TABLE dbz (id int, v text, at timestamptz OPTIONS (metadata 'source_time')) SERVER shop OPTIONS (topic 'tomb_dbz', format 'debezium');
SELECT wh.create_feed('dbz', 'dbz', 'upsert', '{id}', sequence_by => 'at') \gset x
SELECT wh.ingest('dbz') \gset x
SELECT results_eq($$SELECT history('dbz')$$, $$VALUES
  ('1|old|f|2024-01-01 00:00:00+00|2024-01-01 00:01:00+00'), ('1|new|f|2024-01-01 00:01:00+00|infinity'),
  ('2|x|f|2024-01-01 00:00:00+00|2024-01-01 00:00:00.000001+00'), ('2|t|2024-01-01 00:00:00.000001+00|infinity'),
  ('3|y|f|2100-01-01 00:00:00+00|2100-01-01 00:01:00+00'), ('3|y|t|2100-01-01 00:01:00+00|infinity')$$,
  'a tombstone repeats the delete before it; alone it is one, just after the last state');
SELECT is_empty('SELECT * FROM wh.check()', 'counts reconcile');
SELECT wh.seek_feed('dbz', 'earliest') \gset x
SELECT wh.ingest('dbz') \gset x
SELECT results_eq($$SELECT count(*)::int FROM history('dbz')$$, 'VALUES (6)', 'read once more: the same');

-- any history of a table, in any batches: current rows are the table's
\! $KAFKA_CTL topic tomb_random 1
CREATE FOREIGN TABLE raw_random (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'tomb_random', format 'text');
CREATE FOREIGN TABLE whole (id int, v text, at timestamptz OPTIONS (path 'ts', epoch 'milliseconds')) SERVER shop OPTIONS (topic 'tomb_random', key_column 'id');
CREATE FOREIGN TABLE pieces (id int, v text, at timestamptz OPTIONS (path 'ts', epoch 'milliseconds')) SERVER shop OPTIONS (topic 'tomb_random', key_column 'id');
SELECT wh.create_feed('pieces', 'pieces', 'upsert', '{id}', sequence_by => 'at') \gset x
SELECT setseed(0.7);
CREATE TABLE truth (id int PRIMARY KEY, v text);
CREATE PROCEDURE change_at_random(batches int) LANGUAGE plpgsql AS $$
DECLARE now_ms bigint := 1704067200000; k int; n int := 0;
BEGIN
  FOR b IN 1..batches LOOP
    FOR c IN 1..ceil(random() * 6) LOOP
      k := ceil(random() * 5); n := n + 1;
      -- often the clock of the source stands still
      now_ms := now_ms + floor(random() * 2) * 1000;
      IF EXISTS (SELECT FROM truth WHERE id = k) AND random() < 0.5 THEN
        DELETE FROM truth WHERE id = k;
        INSERT INTO raw_random (k, v) VALUES (k::text, NULL);
        -- reinserted at the same time or later
        CONTINUE WHEN random() < 0.5;
        now_ms := now_ms + 1;
      END IF;
      INSERT INTO truth VALUES (k, 'v' || n) ON CONFLICT (id) DO UPDATE SET v = excluded.v;
      INSERT INTO raw_random (k, v) VALUES (k::text, format('{"id":%s,"v":"v%s","ts":%s}', k, n, now_ms));
    END LOOP;
    PERFORM wh.ingest('pieces');
  END LOOP;
END $$;
CALL change_at_random(60);
SELECT wh.create_feed('whole', 'whole', 'upsert', '{id}', sequence_by => 'at') \gset x
SELECT wh.ingest('whole') \gset x
SELECT results_eq('SELECT id, v FROM staging.pieces ORDER BY id', 'SELECT id, v FROM truth ORDER BY id', 'current rows are the table''s');
SELECT results_eq($$SELECT history('whole')$$, $$SELECT history('pieces')$$, 'and the history does not depend on the batches');
SELECT is_empty('SELECT * FROM wh.error_event', 'no error events');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
