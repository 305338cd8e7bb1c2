-- Conditions on a Kafka table that are known only while the query runs.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap', socket_timeout_ms '20000');
\! $KAFKA_CTL topic runtime_conditions 3
-- of different length: those that end first are paused, and read again by the next scan
\! for i in $(seq 1 30); do printf '%d\n' $i; done | $KAFKA_CTL produce runtime_conditions p=0
\! for i in $(seq 31 50); do printf '%d\n' $i; done | $KAFKA_CTL produce runtime_conditions p=1
\! for i in $(seq 51 60); do printf '%d\n' $i; done | $KAFKA_CTL produce runtime_conditions p=2
CREATE FOREIGN TABLE t (n int, part int OPTIONS (metadata 'partition'), off bigint OPTIONS (metadata 'offset'),
  at timestamptz OPTIONS (metadata 'timestamp')) SERVER shop OPTIONS (topic 'runtime_conditions', format 'text');
SELECT is((SELECT count(*) FROM t), 60::bigint, 'what there is');
\ir ../lib/runtime_conditions.sql

-- The text of pushed-down conditions
CREATE FUNCTION conditions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text; BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line LIKE '%Kafka Conditions: %' THEN RETURN NEXT regexp_replace(line, '.*Kafka Conditions: ', ''); END IF;
  END LOOP; END $$;
SELECT results_eq($$SELECT conditions('SELECT n FROM t WHERE off > 3 AND part = 1 AND n > 0')$$, ARRAY['((off > 3) AND (part = 1))'],
  'conditions that narrow the scan, and no others');
SELECT results_eq($$SELECT conditions('SELECT n FROM t AS other WHERE off > 3')$$, ARRAY['(off > 3)'], 'of an alias');
SELECT results_eq($$SELECT conditions('SELECT a.n FROM t a JOIN t b USING (n) WHERE b.off > 3 AND a.off < 7') c ORDER BY c$$,
  ARRAY['(off < 7)', '(off > 3)'], 'of two scans, each its own');
SELECT matches((SELECT conditions('SELECT n FROM t WHERE off > (SELECT max(off) FROM seen)')), '^\(off > .*(\$\d+|InitPlan 1).*\)$',
  'a parameter is shown by its number, or by its plan (17 and later)');
SELECT is((SELECT count(*) FROM conditions('SELECT n FROM t WHERE n > 3')), 0::bigint, 'no condition, no line');
SELECT * FROM finish();
