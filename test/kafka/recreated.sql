-- A topic deleted and made again that has grown past what was read of the old one; and what only looks like it.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE FUNCTION all_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text; b text; c text; d text; BEGIN
  EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, b = PG_EXCEPTION_DETAIL, c = PG_EXCEPTION_HINT, d = RETURNED_SQLSTATE;
  RETURN concat_ws('|', d, a, b, c); END $$;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE src (id int, name text, part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'recreated');
\! $KAFKA_CTL topic recreated 2
INSERT INTO src SELECT i, 'old', i % 2 FROM generate_series(1, 20) i;
SELECT wh.create_feed('events', 'src', 'append') \gset x
SELECT wh.create_feed('states', 'src', 'upsert', '{id}') \gset x
SELECT wh.ingest('events') \gset x
SELECT wh.ingest('states') \gset x
INSERT INTO src SELECT i, 'old', i % 2 FROM generate_series(21, 24) i;
SELECT wh.ingest('events') \gset x
SELECT is((SELECT count(*)::int FROM staging.events), 24, 'a topic that goes on is read on');

\! $KAFKA_CTL delete-topic recreated
\! $KAFKA_CTL topic recreated 2
INSERT INTO src SELECT i, 'new', i % 2 FROM generate_series(1, 100) i;
SELECT matches(all_of($$SELECT wh.ingest('events')$$),
  '^22000\|topic "recreated", partition [01]: the message at offset 11 is another one than was read there\|The topic was deleted and made again.*\|.*wh.seek_feed\(<feed>, ''earliest''\)',
  'another topic of that name is told, though it is longer');
SELECT matches(all_of($$SELECT wh.ingest('states')$$), 'message at offset 9 is another one', 'by every feed');
SELECT is((SELECT count(*)::int FROM staging.events WHERE name = 'new'), 0, 'and nothing of it is staged');
\set ON_ERROR_STOP off
CALL wh.run(feeds => '{states}');
\set ON_ERROR_STOP on
SELECT is((SELECT state FROM wh.status WHERE object = 'staging.states'), 'failed', 'nor by a run, which says so');
SELECT wh.seek_feed('events', 'earliest') \gset x
SELECT wh.seek_feed('states', offsets => '{"1": 10}') \gset x
SELECT wh.ingest('events') \gset x
SELECT wh.ingest('states') \gset x
SELECT results_eq('SELECT count(*) FILTER (WHERE name = ''old''), count(*) FILTER (WHERE name = ''new'') FROM staging.events', 'VALUES (24::bigint, 100::bigint)', 'after a seek all of it is staged');
SELECT is((SELECT count(*)::int FROM staging.states WHERE name = 'new'), 90, 'or as much as was asked for; partitions that are not named from their start');
SELECT results_eq('SELECT DISTINCT feed, generation FROM wh.kafka_offset ORDER BY 1', $$VALUES ('staging.events', 2::bigint), ('staging.states', 2)$$, 'as the next generation');
SELECT is_empty($$SELECT * FROM staging.states WHERE id BETWEEN 1 AND 20 AND id % 2 = 0 AND name <> 'new'$$, 'which comes after the one before');
SELECT throws_ok($$SELECT wh.seek_feed('events', 'earliest')$$, '55000', NULL, 'a seek in the same topic is none in another');
SELECT is(wh.ingest('events'), NULL, 'and all is read');

-- made again with fewer partitions: what is left of them may look as if it went on
\! $KAFKA_CTL topic recreated_less 4
CREATE FOREIGN TABLE less (id int, part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'recreated_less');
INSERT INTO less VALUES (1, 3), (2, 3);
SELECT wh.create_feed('less', 'less', 'append') \gset x
SELECT wh.ingest('less') \gset x
\! $KAFKA_CTL delete-topic recreated_less
\! $KAFKA_CTL topic recreated_less 2
INSERT INTO less VALUES (3, 0), (4, 1);
SELECT matches(all_of($$SELECT wh.ingest('less')$$), '^22000\|topic "recreated_less" has no partition 3 any more\|.*wh.seek_feed\(<feed>, ''earliest''\)', 'a partition less is told');
SELECT set_eq('SELECT id FROM staging.less', ARRAY[1, 2], 'and nothing is staged');
SELECT wh.seek_feed('less', 'earliest') \gset x
SELECT wh.ingest('less') \gset x
SELECT set_eq('SELECT id FROM staging.less', ARRAY[1, 2, 3, 4], 'until a seek');
SELECT results_eq($$SELECT partition, generation, next_offset FROM wh.kafka_offset WHERE feed = 'staging.less' ORDER BY 1$$, 'VALUES (0, 2::bigint, 1::bigint), (1, 2, 1)', 'partitions that are no more are not shown');
\! $KAFKA_CTL partitions recreated_less 4
INSERT INTO less VALUES (5, 3), (6, 0);
SELECT wh.ingest('less') \gset x
SELECT results_eq('SELECT id FROM staging.less ORDER BY 1', 'SELECT generate_series(1, 6)', 'and are new when they come again: nothing is read twice');

-- the last message read is gone by retention, by compaction, or hidden by transactions: the topic is the same
\! $KAFKA_CTL topic recreated_cut 1
\! printf '1\t{"id":1}\n2\t{"id":2}\n' | $KAFKA_CTL produce recreated_cut
CREATE FOREIGN TABLE cut (id int) SERVER shop OPTIONS (topic 'recreated_cut');
SELECT wh.create_feed('cut', 'cut', 'append') \gset x
SELECT wh.ingest('cut') \gset x
\! printf '3\t{"id":3}\n' | $KAFKA_CTL produce recreated_cut
\! $KAFKA_CTL truncate recreated_cut 0 2
SELECT wh.ingest('cut') \gset x
SELECT set_eq('SELECT id FROM staging.cut', ARRAY[1, 2, 3], 'retention up to what is read');
\! printf '4\t{"id":4}\n' | $KAFKA_CTL produce recreated_cut commit
\! printf '5\t{"id":5}\n' | $KAFKA_CTL produce recreated_cut abort
SELECT wh.ingest('cut') \gset x
\! printf '6\t{"id":6}\n' | $KAFKA_CTL produce recreated_cut
SELECT wh.ingest('cut') \gset x
SELECT set_eq('SELECT id FROM staging.cut', ARRAY[1, 2, 3, 4, 6], 'transactions behind it');

\! $KAFKA_CTL topic recreated_compact 1 cleanup.policy=compact segment.ms=50 min.cleanable.dirty.ratio=0.001 max.compaction.lag.ms=100
\! for i in $(seq 1 20); do printf 'k%d\t{"id":%d}\n' $((i % 5)) $i; done | $KAFKA_CTL produce recreated_compact
CREATE FOREIGN TABLE compact (id int) SERVER shop OPTIONS (topic 'recreated_compact');
SELECT wh.create_feed('compact', 'compact', 'upsert', '{id}') \gset x
SELECT wh.ingest('compact') \gset x
\! for i in $(seq 21 40); do printf 'k%d\t{"id":%d}\n' $((i % 5)) $i; done | $KAFKA_CTL produce recreated_compact
\! sleep 0.2; printf 'last\t{"id":41}\n' | $KAFKA_CTL produce recreated_compact
CREATE FUNCTION await(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE done boolean; BEGIN
  FOR i IN 1..600 LOOP
    EXECUTE query INTO done;
    IF done THEN RETURN true; END IF;
    PERFORM pg_sleep(0.1);
  END LOOP;
  RETURN false; END $$;
SELECT ok(await('SELECT count(*) = 6 FROM compact'), 'the broker compacts');
SELECT wh.ingest('compact') \gset x
SELECT set_eq('SELECT id FROM staging.compact WHERE id > 20', ARRAY[36, 37, 38, 39, 40, 41], 'compaction of what is read');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
