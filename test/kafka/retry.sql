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
SELECT set_eq($$SELECT "offset" FROM wh.error_event WHERE state = 'open'$$, ARRAY[2, 3, 4, 5]::bigint[], 'the others remain');
SELECT results_eq('SELECT jsonb_array_length(errors), message FROM wh.error_event WHERE "offset" = 4', $$VALUES (1, 'record fails screen "low"')$$, 'with the reasons of now');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE raw_record IS NULL AND state = 'open'), 1, 'a tombstone has no raw record');

-- with redacted columns: beside a feed that was right from the start
\! $KAFKA_CTL topic retry_redacted 2
CREATE FOREIGN TABLE secret (id int, email text, v int, w numeric, tag jsonb, off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'retry_redacted', key_column 'id');
CREATE FOREIGN TABLE secret_right (id int, email text, v int, tag jsonb, off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'retry_redacted', key_column 'id');
SELECT wh.create_feed('secret', 'secret', 'upsert', '{id}', redact => '{"email": "md5(email) || coalesce(v, 0)"}') \gset x
SELECT wh.create_feed('secret_right', 'secret_right', 'upsert', '{id}', redact => '{"email": "md5(email) || coalesce(v, 0)"}') \gset x
SELECT wh.add_screen('secret', 'low', 'v < 50') \gset x
\! (for i in $(seq 1 200); do printf '%d\t{"id":%d,"email":"who%d@x","v":%d,"w":%s,"tag":{"a":[%d]}}\n' $((i % 90)) $((i % 90)) $i $((i % 70)) "$([ $((i % 9)) = 0 ] && echo '"no number"' || echo 1.5)" $i; done; printf '300\t{"id":300,"email":"hidden@x","v":"x"}\n301\t{"id":301,"email":"hidden@x",\n1\t\\N\nx\t\\N\n') | $KAFKA_CTL produce retry_redacted
SELECT wh.ingest('secret') \gset x
SELECT wh.ingest('secret_right') \gset x
SELECT cmp_ok((SELECT count(*) FROM wh.error_event WHERE feed = 'staging.secret' AND raw_form = 'row'), '>', 50::bigint, 'records of redacted feeds are stored as rows');
SELECT is_empty($$SELECT * FROM wh.error_event WHERE feed LIKE 'staging.secret%' AND (convert_from(raw_record, 'UTF8') LIKE '%@x%' OR redacted::text LIKE '%@x%' OR message_key IS NOT NULL)$$, 'without what is redacted');
SELECT is(wh.retry_error_events('secret'), 0::bigint, 'none passes without a fix');
SELECT wh.drop_screen('secret', 'low') \gset x
SELECT cmp_ok(wh.retry_error_events('secret'), '>', 20::bigint, 'a screen less: some pass');
SELECT set_eq($$SELECT convert_from(raw_record, 'UTF8')::json ->> 'w' FROM wh.error_event WHERE feed = 'staging.secret' AND raw_form = 'row' AND state <> 'retried'$$, ARRAY['no number', NULL], 'not those of another fault, whose text is kept');
ALTER FOREIGN TABLE secret DROP COLUMN w;
SELECT throws_ok($$SELECT wh.retry_error_events('secret')$$, '42703', NULL, 'a column less is confirmed first');
SELECT wh.alter_feed('secret') \gset x
SELECT cmp_ok(wh.retry_error_events('secret'), '>', 20::bigint, 'a column less: others pass');
SELECT results_eq('SELECT (to_jsonb(h) - ''batch_id'' - ''source_position'' - ''w'')::text FROM staging.secret_history h ORDER BY 1', 'SELECT (to_jsonb(h) - ''batch_id'' - ''source_position'')::text FROM staging.secret_right_history h ORDER BY 1', 'staged as if nothing had been wrong');
SELECT results_eq($$SELECT "partition", "offset", errors FROM wh.error_event WHERE feed = 'staging.secret' AND state <> 'retried' ORDER BY 1, 2$$,
  $$SELECT "partition", "offset", errors FROM wh.error_event WHERE feed = 'staging.secret_right' ORDER BY 1, 2$$, 'and so are the events that are left');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.secret' AND state <> 'retried'), 3, 'a value that is wrong, a record that is cut, a key that is no number');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');
SELECT * FROM finish();
