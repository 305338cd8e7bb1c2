-- Where a feed reads its topic on: seek, pause, messages that are gone, two consumers.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE src (id int, name text, part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp'))
  SERVER shop OPTIONS (topic 'position', format 'json');
\! $KAFKA_CTL topic position 2 retention.ms=-1
INSERT INTO src SELECT i, 'row', i % 2, '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(0, 99) i;
SELECT wh.create_feed('events', 'src', 'append') \gset
SELECT wh.create_feed('keyed', 'src', 'upsert', '{id}') \gset

SELECT throws_ok($$SELECT wh.seek_feed('events')$$, '22023', NULL, 'a place is needed');
SELECT throws_ok($$SELECT wh.seek_feed('events', 'middle')$$, '22023', NULL, 'an unknown place');
SELECT throws_ok($$SELECT wh.seek_feed('events', offsets => '{"2": 1}')$$, '22023', NULL, 'an unknown partition');
SELECT throws_ok($$SELECT wh.seek_feed('events', offsets => '{"1": 51}')$$, '22003', NULL, 'an offset beyond the end');
SELECT throws_ok($$SELECT wh.seek_feed('events', offsets => '{"1": "x"}')$$, '22023', NULL, 'no number');
SELECT throws_ok(format($$SELECT wh.seek_feed('events', offsets => '{"1": %s}')$$, n), '22023', 'the offset of partition 1 is not a whole number of at least 0', 'nor is ' || n) FROM unnest('{1.5,-1,"null",1e30,[1],true}'::text[]) n;
SELECT throws_ok(format($$SELECT wh.seek_feed('events', offsets => '{"%s": 1}')$$, p), '22023', NULL, 'no partition: ' || p) FROM unnest('{01,+1,-1,"1 ",x,"",99999999999}'::text[]) p;
SELECT throws_ok(format($$SELECT wh.seek_feed('events', offsets => '%s')$$, o), '22023', NULL, 'no object: ' || o) FROM unnest('{[1],1,"null"}'::text[]) o;
SELECT throws_ok($$SELECT wh.seek_feed('events', 'latest', now())$$, '22023', NULL, 'one place only');
SELECT throws_ok($$SELECT wh.seek_feed(NULL, 'latest')$$, '22004', NULL, 'no feed');
SELECT throws_ok($$SELECT wh.seek_feed('nothing', 'latest')$$, '42704', NULL, 'an unknown feed');

SELECT wh.seek_feed('events', 'latest') \gset
SELECT is(wh.ingest('events'), NULL, 'from the end on there is nothing');
INSERT INTO src VALUES (100, 'row', 0, '2024-01-02'), (101, 'row', 1, '2024-01-02');
SELECT wh.ingest('events') \gset x
SELECT set_eq('SELECT id FROM staging.events', ARRAY[100, 101], 'what came after a seek to the end');
SELECT throws_ok($$SELECT wh.seek_feed('events', 'earliest')$$, '55000', NULL, 'events are not staged twice');

SELECT wh.seek_feed('keyed', at => '2024-01-01 01:30') \gset
SELECT wh.ingest('keyed') \gset x
SELECT is((SELECT array_agg(id ORDER BY id) FROM staging.keyed), ARRAY(SELECT generate_series(90, 101)), 'from a time on');
CREATE FUNCTION seek_to(t timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN
  PERFORM wh.seek_feed('keyed', at => t);
  RETURN (SELECT sum(next_offset) FROM wh.kafka_offset WHERE feed = 'staging.keyed'); END $$;
SELECT is(seek_to(t::timestamptz), CASE WHEN t = 'infinity' THEN 102 ELSE 0 END::bigint, 'at ' || t)
  FROM unnest('{-infinity,0044-03-15 BC,1969-12-31 23:59:59.999+00,1969-12-31 23:59:59.998+00,1969-12-31 23:59:59.997+00,1969-12-31 23:59:59+00,1970-01-01+00,infinity}'::text[]) t;
SELECT wh.seek_feed('keyed', 'latest') \gset x
SELECT wh.seek_feed('keyed', offsets => '{"0": 0}') \gset
SELECT wh.ingest('keyed') \gset x
SELECT set_eq('SELECT id FROM staging.keyed WHERE id < 90', ARRAY(SELECT generate_series(0, 88, 2)), 'from given offsets on');
SELECT wh.seek_feed('keyed', 'earliest') \gset
SELECT wh.ingest('keyed') \gset x
SELECT is((SELECT count(*)::int FROM staging.keyed_history), 102, 'from the start: repeats change nothing');
SELECT results_eq($$SELECT feed, topic, partition, next_offset, lag FROM wh.kafka_offset ORDER BY 1, 3$$,
  $$VALUES ('staging.events', 'position', 0, 51::bigint, 0::bigint), ('staging.events', 'position', 1, 51, 0),
           ('staging.keyed', 'position', 0, 51, 0), ('staging.keyed', 'position', 1, 51, 0)$$, 'wh.kafka_offset');

SELECT wh.pause_feed('keyed') \gset
INSERT INTO src VALUES (102, 'row', 0, '2024-01-02');
CALL wh.run(feeds => '{keyed}');
SELECT is((SELECT count(*)::int FROM staging.keyed), 102, 'a paused feed is not loaded');
SELECT is((SELECT state FROM wh.status WHERE object = 'staging.keyed'), 'paused', 'and says so');
SELECT wh.resume_feed('keyed') \gset
CALL wh.run(feeds => '{keyed}');
SELECT is((SELECT count(*)::int FROM staging.keyed), 103, 'a resumed feed goes on');

-- messages that are gone before they were read
\! printf '200\t{"id":200}\n201\t{"id":201}\n202\t{"id":202}\n' | $KAFKA_CTL produce position p=1
\! $KAFKA_CTL truncate position 1 53
SELECT throws_matching($$SELECT wh.ingest('keyed')$$, 'topic "position", partition 1: messages from offset 51 to 52 are not retained', 'a gap is an error that names it');
SELECT throws_ok($$SELECT wh.alter_feed('keyed', on_lost_messages => 'maybe')$$, '22023', NULL, 'on_lost_messages is checked');
SELECT wh.alter_feed('keyed', on_lost_messages => 'continue') \gset
SELECT wh.ingest('keyed') \gset x
SELECT set_eq('SELECT id FROM staging.keyed WHERE id >= 200', ARRAY[202], 'or is left out by option');
SELECT results_eq($$SELECT topic, partition, "offset", message FROM wh.error_event WHERE feed = 'staging.keyed'$$,
  $$VALUES ('position', 1, 51::bigint, 'topic "position", partition 1: messages from offset 51 to 52 are not retained any more')$$, 'and is an error event');
SELECT wh.seek_feed('events', 'latest') \gset
SELECT is(wh.ingest('events'), NULL, 'or one seeks over it');
SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');

-- where a feed starts: a seek in the transaction that makes it, before anything is loaded
\! $KAFKA_CTL topic position_start 2 retention.ms=-1
CREATE FOREIGN TABLE start (id int, part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp')) SERVER shop OPTIONS (topic 'position_start');
INSERT INTO start SELECT i, i % 2, '2024-01-01'::timestamptz + i * interval '1 minute' FROM generate_series(0, 39) i;
BEGIN; SELECT wh.create_feed('start_earliest', 'start', 'append') \gset x
SELECT wh.seek_feed('start_earliest', 'earliest') \gset x
COMMIT;
BEGIN; SELECT wh.create_feed('start_latest', 'start', 'append') \gset x
SELECT wh.seek_feed('start_latest', 'latest') \gset x
COMMIT;
BEGIN; SELECT wh.create_feed('start_time', 'start', 'append') \gset x
SELECT wh.seek_feed('start_time', at => '2024-01-01 00:30:30') \gset x
COMMIT;
BEGIN; SELECT wh.create_feed('start_offsets', 'start', 'append') \gset x
SELECT wh.seek_feed('start_offsets', offsets => '{"0": 15, "1": 18}') \gset x
COMMIT;
BEGIN; SELECT wh.create_feed('start_one_offset', 'start', 'append') \gset x
SELECT wh.seek_feed('start_one_offset', offsets => '{"1": 18}') \gset x
COMMIT;
INSERT INTO start VALUES (40, 0, '2024-01-02'), (41, 1, '2024-01-02');
CALL wh.run(feeds => '{start_earliest,start_latest,start_time,start_offsets,start_one_offset}');
SELECT set_eq('SELECT id FROM staging.start_earliest', ARRAY(SELECT generate_series(0, 41)), 'a feed starts at the earliest message');
SELECT set_eq('SELECT id FROM staging.start_latest', ARRAY[40, 41], 'at the end');
SELECT set_eq('SELECT id FROM staging.start_time', ARRAY(SELECT generate_series(31, 41)), 'at a time');
SELECT set_eq('SELECT id FROM staging.start_offsets', ARRAY[30, 32, 34, 36, 38, 40, 37, 39, 41], 'at given offsets');
SELECT set_eq('SELECT id FROM staging.start_one_offset', ARRAY(SELECT generate_series(0, 40, 2) UNION SELECT unnest(ARRAY[37, 39, 41])), 'other partitions at their earliest message');

-- a second consumer of a feed neither repeats nor goes on beside the first
CREATE EXTENSION dblink;
\getenv host PGHOST
\getenv port PGPORT
SELECT dblink_connect('other', format('host=%s port=%s user=%s dbname=%s', :'host', :'port', current_user, current_database())) \gset
INSERT INTO src VALUES (300, 'row', 0, '2024-01-03');
SELECT dblink_exec('other', 'BEGIN ISOLATION LEVEL REPEATABLE READ') \gset
SELECT * FROM dblink('other', 'SELECT count(*) FROM staging.events') AS t(n bigint) \gset x
SELECT wh.ingest('events') \gset x
SELECT throws_matching($$SELECT * FROM dblink('other', 'SELECT wh.ingest(''events'')') AS t(b bigint)$$,
  '(could not serialize|in the meantime)', 'a second consumer with an old snapshot fails');
SELECT dblink_exec('other', 'ROLLBACK') \gset
SELECT is((SELECT count(*)::int FROM staging.events WHERE id = 300), 1, 'and repeats nothing');

-- a seek that waits for the first load sees what it has loaded
CREATE FOREIGN TABLE first_load (id int) SERVER shop OPTIONS (topic 'position_start');
SELECT wh.create_feed('first_load', 'first_load', 'append') \gset x
SELECT dblink_exec('other', 'BEGIN') \gset
SELECT * FROM dblink('other', $$SELECT wh.ingest('first_load')$$) AS t(b bigint) \gset x
SELECT dblink_connect('third', format('host=%s port=%s user=%s dbname=%s', :'host', :'port', current_user, current_database())) \gset
SELECT dblink_send_query('third', $$SELECT wh.seek_feed('first_load', 'earliest')$$) \gset
DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) LOOP PERFORM pg_sleep(0.02); END LOOP; END $$;
SELECT dblink_exec('other', 'COMMIT') \gset
SELECT throws_matching($$SELECT * FROM dblink_get_result('third') AS t(x text)$$, 'cannot go back', 'a seek that has waited for the first load');
SELECT wh.ingest('first_load') \gset x
SELECT results_eq('SELECT id FROM staging.first_load ORDER BY 1', 'SELECT generate_series(0, 41)', 'nothing is staged twice');
SELECT * FROM finish();
