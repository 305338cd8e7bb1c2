-- Reading topics: ends, gaps, pushed-down conditions, aborted scans.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');

CREATE FUNCTION threads() RETURNS bigint LANGUAGE sql AS
  $$SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task')$$;
CREATE FUNCTION open_files() RETURNS bigint LANGUAGE sql AS
  $$SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd')$$;
-- Run a query again until it returns true; a minute is a failure.
CREATE FUNCTION await(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE done boolean; BEGIN
  FOR i IN 1..600 LOOP
    EXECUTE query INTO done;
    IF done THEN RETURN true; END IF;
    PERFORM pg_sleep(0.1);
  END LOOP;
  RETURN false; END $$;

-- Transactions
\! $KAFKA_CTL topic read_tx 1
\! printf 'a\nb\n' | $KAFKA_CTL produce read_tx commit
\! printf 'c\nd\ne\n' | $KAFKA_CTL produce read_tx abort
\! printf 'f\n' | $KAFKA_CTL produce read_tx commit
\! printf 'g\nh\n' | $KAFKA_CTL produce read_tx abort
CREATE FOREIGN TABLE tx (line text, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'read_tx', format 'text');
SELECT results_eq('SELECT line FROM tx ORDER BY off', ARRAY['a', 'b', 'f'], 'rows of committed transactions only');
SELECT cmp_ok((SELECT max(off) FROM tx), '>', 2::bigint, 'offsets have gaps');
SELECT is_empty('SELECT 1 FROM tx WHERE off > 7', 'only aborted messages and markers there: the end is reached');
\! printf 'x\n' | $KAFKA_CTL produce read_tx open
\! printf 'y\n' | $KAFKA_CTL produce read_tx
SELECT results_eq('SELECT line FROM tx ORDER BY off', ARRAY['a', 'b', 'f'], 'an open transaction is the end');
CREATE SERVER dirty FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap', isolation_level 'read_uncommitted');
CREATE FOREIGN TABLE tx_dirty (line text) SERVER dirty OPTIONS (topic 'read_tx', format 'text');
SELECT is((SELECT count(*) FROM tx_dirty), 10::bigint, 'unless asked for');

-- Compaction
\! $KAFKA_CTL topic read_compact 1 cleanup.policy=compact segment.ms=50 min.cleanable.dirty.ratio=0.001 max.compaction.lag.ms=100
\! for i in $(seq 1 200); do printf 'k%d\t%d\n' $((i % 5)) $i; done | $KAFKA_CTL produce read_compact
\! sleep 0.2; printf 'last\t201\n' | $KAFKA_CTL produce read_compact
CREATE FOREIGN TABLE compact (value text, key text OPTIONS (metadata 'key'), off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'read_compact', format 'text');
SELECT ok(await('SELECT count(*) = 6 FROM compact'), 'the broker compacts, and a scan ends all the same');
SELECT results_eq('SELECT key, value FROM compact ORDER BY off', $$VALUES ('k1', '196'), ('k2', '197'), ('k3', '198'), ('k4', '199'), ('k0', '200'), ('last', '201')$$,
  'the last value of each key');
SELECT results_eq('SELECT value FROM compact WHERE off BETWEEN 3 AND 196 ORDER BY off', ARRAY['196', '197'], 'bounds inside a gap');

-- Deleted records
\! $KAFKA_CTL topic read_cut 2
\! for i in $(seq 0 99); do printf '%d\n' $i; done | $KAFKA_CTL produce read_cut p=0
\! $KAFKA_CTL truncate read_cut 0 40
CREATE FOREIGN TABLE cut (n int, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'),
  at timestamptz OPTIONS (metadata 'timestamp')) SERVER shop OPTIONS (topic 'read_cut', format 'text');
SELECT is((SELECT min(n) || '-' || max(n) || '/' || count(*) FROM cut), '40-99/60', 'from the earliest retained');
SELECT is((SELECT count(*) FROM cut WHERE off < 50), 10::bigint, 'a condition that begins before it');
\! $KAFKA_CTL truncate read_cut 0 100
SELECT is_empty('SELECT * FROM cut', 'nothing retained');

-- Conditions: what is pushed down changes nothing but the work
\! $KAFKA_CTL topic read_many 4 retention.ms=-1
CREATE FOREIGN TABLE many (n int, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'),
  at timestamptz OPTIONS (metadata 'timestamp')) SERVER shop OPTIONS (topic 'read_many');
INSERT INTO many (n, part, at)
  SELECT i, i % 3, '2024-01-01'::timestamptz + (i + (random() * 60)::int) * interval '1 second' FROM generate_series(1, 3000) i;
CREATE TABLE copied AS SELECT * FROM many;
SELECT is((SELECT count(*) FROM copied), 3000::bigint, 'all there');
CREATE FUNCTION random_condition() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg(c, ' AND ') FROM (SELECT (ARRAY[
    'part ' || op || ' ' || (random() * 4)::int,
    (random() * 3)::int || ' ' || op || ' part',
    'part IN (' || (random() * 4)::int || ', ' || (random() * 4)::int || ')',
    'off ' || op || ' ' || (random() * 1100)::int || '::' || (ARRAY['int', 'bigint', 'smallint'])[ceil(random() * 3)],
    'off BETWEEN ' || (random() * 500)::int || ' AND ' || (random() * 1000)::int,
    'at ' || op || ' ''2024-01-01''::timestamptz + ' || (random() * 3200)::int || ' * interval ''1 second''',
    'n ' || op || ' ' || (random() * 3000)::int])[ceil(random() * 7)] AS c
  FROM (SELECT (ARRAY['=', '<', '<=', '>', '>='])[ceil(random() * 5)] AS op FROM generate_series(1, 1 + (random() * 2)::int)) o) s $$;
CREATE FUNCTION differing_conditions(rounds int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c text; a bigint; b bigint; BEGIN
  FOR i IN 1..rounds LOOP
    c := random_condition();
    EXECUTE 'SELECT count(*) + coalesce(sum(n), 0) FROM many WHERE ' || c INTO a;
    EXECUTE 'SELECT count(*) + coalesce(sum(n), 0) FROM copied WHERE ' || c INTO b;
    IF a <> b THEN RETURN NEXT c; END IF;
  END LOOP; END $$;
SELECT is_empty('SELECT differing_conditions(60)', 'random conditions give the same rows as on a copy');
CREATE FUNCTION explained(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query; END $$;
SELECT results_eq($$SELECT trim(l) FROM explained('SELECT n FROM many WHERE part = 1 AND off >= 10 AND off < 20') l WHERE l ~ 'Topic|Offsets|Messages|Partitions'$$,
  ARRAY['Topic: read_many', 'Partitions: 1', 'Offsets: 1 [10, 20)', 'Messages: 10'], 'only the wanted messages are read');
SELECT cmp_ok((SELECT substring(l from 'Messages: (\d+)')::int FROM explained($q$SELECT n FROM many WHERE at >= '2024-01-01 00:45:00+00'$q$) l WHERE l ~ 'Messages'),
  '<', 500, 'a time becomes offsets');
SELECT is((SELECT count(*) FROM generate_series(1, 5) g, LATERAL (SELECT n FROM many WHERE off = g AND part = 0 OFFSET 0) x), 5::bigint, 'parameters and rescans');
SELECT is((SELECT count(*) FROM many a JOIN many b USING (n)), 3000::bigint, 'two scans at once');
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM many;
FETCH 1 FROM c \gset
INSERT INTO many (n) VALUES (-1);
MOVE FORWARD ALL IN c;
SELECT is((SELECT count(*) FROM many WHERE n = -1), 1::bigint, 'a later scan sees what was inserted');
COMMIT;

-- However a scan ends, no thread, no file is left
SELECT threads() AS before, open_files() AS files_before \gset
SELECT n FROM many LIMIT 1 \gset
SELECT is(threads(), :before::bigint, 'LIMIT');
SELECT throws_ok('SELECT 1 / (n - n) FROM many', '22012', NULL, 'an error in mid-scan');
SELECT is(threads(), :before::bigint, 'error');
SELECT throws_ok('SELECT 1 / (n - n) FROM many', '22012', NULL, 'and again');
SET statement_timeout = '500ms';
\set ON_ERROR_STOP off
SELECT count(pg_sleep(0.01)) FROM many;
\set ON_ERROR_STOP on
RESET statement_timeout;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'a cancel in mid-scan');
SELECT is(threads(), :before::bigint, 'cancel');
DO $$ BEGIN PERFORM 1 / (n - n) FROM many; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
SELECT is(threads(), :before::bigint, 'subtransaction');
SELECT is(open_files(), :files_before::bigint, 'no file is left open');

-- A topic that is not there, a broker that is not there
CREATE FOREIGN TABLE missing (a int) SERVER shop OPTIONS (topic 'read_missing');
SELECT throws_ok('SELECT * FROM missing', 'HV00R', NULL, 'topic missing');
CREATE SERVER nowhere FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '127.0.0.1:9', socket_timeout_ms '20000');
CREATE FOREIGN TABLE unreachable (a int) SERVER nowhere OPTIONS (topic 't');
SET statement_timeout = '300ms';
\set ON_ERROR_STOP off
SELECT * FROM unreachable;
\set ON_ERROR_STOP on
RESET statement_timeout;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '57014', 'waiting for a broker can be cancelled');
SELECT is(threads(), :before::bigint, 'and leaves no thread');

SELECT * FROM finish();
