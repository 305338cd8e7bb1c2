-- wh.retry_error_events: what was wrong is staged after a fix, what still is stays an event.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE src (id int, name text, off bigint OPTIONS (metadata 'offset'), h jsonb OPTIONS (metadata 'headers'), k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'retry', key_column 'id');
\! $KAFKA_CTL topic retry 1
SELECT wh.create_feed('r', 'src', 'upsert', '{id}') \gset
SELECT wh.add_screen('r', 'named', 'name <> ''nobody''') \gset
SELECT wh.add_screen('r', 'low', 'id < 1000') \gset
\! printf '1\t{"id":1,"name":"a"}\n2\t{"id":2,"name":"nobody"}\n3\t{"id":"three","name":"bad"}\n4\t{"id":4,\n5\t{"id":5000,"name":"nobody"}\nx\t\\N\n' | $KAFKA_CTL produce retry
INSERT INTO src (id, name, h) VALUES (6, 'nobody', '{"from": "here"}');
SELECT wh.ingest('r') \gset x
SELECT is((SELECT count(*)::int FROM wh.error_event), 6, 'six events');
SELECT is(wh.retry_error_events('r'), 0::bigint, 'without a fix nothing passes');
SELECT is((SELECT count(*)::int FROM wh.error_event), 6, 'and all are still there');
SELECT wh.drop_screen('r', 'named') \gset
SELECT is(wh.retry_error_events('r'), 2::bigint, 'a screen less');
SELECT results_eq('SELECT id, name, off, h, k FROM staging.r ORDER BY id',
  $$VALUES (1, 'a', 0::bigint, NULL, '1'), (2, 'nobody', 1, NULL, '2'), (6, 'nobody', 6, '{"from": "here"}'::jsonb, '6')$$, 'are staged, with all of the message');
SELECT is((SELECT array_agg(source_position & ((1::bigint << 40) - 1) ORDER BY id) FROM staging.r_history), ARRAY[0, 1, 6]::bigint[], 'at their positions');
SELECT is_empty('SELECT id FROM staging.r_history WHERE effective_from > now()', 'and times');
SELECT set_eq('SELECT "offset" FROM wh.error_event', ARRAY[2, 3, 4, 5]::bigint[], 'the others remain');
SELECT results_eq('SELECT jsonb_array_length(errors), message FROM wh.error_event WHERE "offset" = 4', $$VALUES (1, 'record fails screen "low"')$$, 'with the reasons of now');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE raw_record IS NULL), 1, 'a tombstone has no raw record');
CREATE TABLE plain (id int);
SELECT wh.create_feed('plain', 'plain', 'append', '{id}') \gset
SELECT throws_ok($$SELECT wh.retry_error_events('plain')$$, '0A000', NULL, 'not for tables');
SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');
SELECT * FROM finish();
