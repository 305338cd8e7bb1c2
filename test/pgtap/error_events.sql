-- The life of error events: open, retried, settled, dismissed; gone with their feed or fact, or by age.
SELECT no_plan();
SET client_min_messages = error;
CREATE SCHEMA src;
CREATE FUNCTION states(feed text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(coalesce(record_key[1], '-') || ' ' || state, ', ' ORDER BY error_event_id) FROM wh.error_event e WHERE e.feed = $1 $$;
CREATE FUNCTION open_errors(object text) RETURNS bigint LANGUAGE sql AS $$ SELECT open_errors FROM wh.status s WHERE s.object = $1 $$;

-- a later record of the key
CREATE TABLE src.a (id int, v int, at timestamptz);
INSERT INTO src.a VALUES (1, 1, '2024-01-01'), (2, -2, '2024-01-02'), (3, -3, '2024-01-03'), (NULL, 4, '2024-01-01');
SELECT wh.create_feed('a', 'src.a', 'upsert', '{id}', sequence_by => 'at', watermark => 'at', watermark_overlap => '10 years') \g /dev/null
SELECT wh.add_screen('a', 'positive', 'v > 0') \g /dev/null
CALL wh.run();
SELECT is(states('staging.a'), '2 open, 3 open, - open', 'rejected records are open, with the keys that can be read');
SELECT is(open_errors('staging.a'), 3::bigint, 'wh.status counts them');
INSERT INTO src.a VALUES (2, 2, '2024-01-05'), (3, 3, '2024-01-01');
CALL wh.run();
SELECT is(states('staging.a'), '2 settled, 3 open, - open', 'a later record of the key settles, an earlier one does not');
SELECT is((SELECT count(*) FROM wh.error_event WHERE (closed_at IS NULL) <> (state = 'open')), 0::bigint, 'closed events say since when');
SELECT results_eq($$SELECT open_errors, rows_rejected FROM wh.status WHERE object = 'staging.a'$$, 'VALUES (2::bigint, 3::bigint)', 'open errors are fewer, rejected ones as many');
SELECT count(*) AS batches FROM wh.batch \gset
CALL wh.run();
SELECT is((SELECT count(*) FROM wh.batch), :batches::bigint, 'records that are rejected again are nothing new');
INSERT INTO src.a VALUES (3, 33, '2024-01-03');
CALL wh.run();
SELECT is(states('staging.a'), '2 settled, 3 settled, - open', 'so does one of the same time in a later batch');

-- tried again
SELECT wh.drop_screen('a', 'positive') \g /dev/null
INSERT INTO src.a VALUES (5, NULL, NULL);
CALL wh.run();
SELECT is(states('staging.a'), '2 settled, 3 settled, - open, 5 open', 'a record without time is open');
SELECT is(wh.retry_error_events('a'), 2::bigint, 'settled ones are tried too: their versions may be missing from the history');
SELECT is(states('staging.a'), '2 retried, 3 retried, - open, 5 open', 'what passes is retried');
SELECT is((SELECT count(*) FROM staging.a_history WHERE id = 2), 2::bigint, 'and staged');
SELECT results_eq($$SELECT open_errors, rows_rejected FROM wh.status WHERE object = 'staging.a'$$, 'VALUES (2::bigint, 2::bigint)', 'retried ones are no rejected records any more');
SELECT is(wh.retry_error_events('a'), 0::bigint, 'they are not tried once more');
-- the record is back, and wrong again
SELECT wh.add_screen('a', 'positive', 'v > 0') \g /dev/null
CALL wh.run();
SELECT is(states('staging.a'), '2 open, 3 open, - open, 5 open', 'a record that comes again and is rejected again is open again');
SELECT is(open_errors('staging.a'), 4::bigint, 'as one event');

-- dismissed
SELECT is(wh.dismiss_error_events('a', $$record_key = '{5}'$$), 1::bigint, 'those of a condition are dismissed');
SELECT is(wh.dismiss_error_events('a', 'sqlstate = ''23502'' -- no key'), 1::bigint, 'also by their sqlstate');
SELECT is(states('staging.a'), '2 open, 3 open, - dismissed, 5 dismissed', 'and no others');
CALL wh.run();
SELECT is(states('staging.a'), '2 open, 3 open, - dismissed, 5 dismissed', 'they stay so when the records come again');
SELECT is(wh.retry_error_events('a'), 0::bigint, 'and are not tried again');
SELECT is(wh.dismiss_error_events('staging.a'), 2::bigint, 'without condition, all');
SELECT is(open_errors('staging.a'), 0::bigint, 'none is open');
SELECT throws_ok($$SELECT wh.dismiss_error_events(NULL)$$, '22004', NULL, 'no feed');
SELECT throws_ok($$SELECT wh.dismiss_error_events('nothing')$$, '42704', NULL, 'an unknown feed');
SELECT throws_ok($$SELECT wh.dismiss_error_events('a', 'nothing > 1')$$, '42703', NULL, 'an unknown column');
SELECT throws_ok($$SELECT wh.dismiss_error_events('a', 'true); DELETE FROM src.a; SELECT (1')$$, '42601', NULL, 'more than a condition');
SELECT is((SELECT count(*) > 0 FROM src.a), true, 'which is not run');

-- a table that was read whole
CREATE TABLE src.whole (id int, v int);
INSERT INTO src.whole VALUES (NULL, 1), (NULL, 2), (NULL, 3), (4, 4);
SELECT wh.create_feed('whole', 'src.whole', 'upsert', '{id}') \g /dev/null
CALL wh.run();
SELECT is(states('staging.whole'), '- open, - open, - open', 'three without key');
DELETE FROM src.whole WHERE v = 2;
CALL wh.run();
SELECT is(states('staging.whole'), '- open, - settled, - open', 'a record that is not in its table any more is settled');
SELECT wh.dismiss_error_events('whole', 'raw_record IS NOT NULL AND convert_from(raw_record, ''UTF8'') LIKE ''%"1"%''') \g /dev/null
INSERT INTO src.whole VALUES (NULL, 2);
CALL wh.run();
SELECT is(states('staging.whole'), '- dismissed, - open, - open', 'it is open again when it is back; a dismissed one is not');

-- files: replaced, and read whole
\setenv dir :tmp
\! printf 'id,v\n1,1\n,2\n3,x\n' > $dir/events_1.csv; printf 'id,w\n7,7\n' > $dir/events_2.csv
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FOREIGN TABLE src.file (id int, v int) SERVER files OPTIONS (pattern 'events_*.csv');
SELECT wh.create_feed('file', 'src.file', 'upsert', '{id}') \g /dev/null
CALL wh.run();
SELECT is(states('staging.file'), '- open, 3 open, - open', 'two records of a file, and another file');
\! printf 'id,w\n1,1\n' > $dir/events_1.csv
CALL wh.run();
SELECT is(states('staging.file'), '- open, 3 open, - open, - open', 'a content that cannot be read settles nothing');
\! printf 'id,v\n1,1\n,2\n3,4\n' > $dir/events_1.csv; printf 'id,v\n7,7\n' > $dir/events_2.csv
CALL wh.run();
SELECT is((SELECT count(*) FROM wh.error_event WHERE feed = 'staging.file' AND state = 'open'), 1::bigint, 'one that is read whole settles the events of those before');
SELECT is((SELECT state FROM wh.error_event WHERE feed = 'staging.file' ORDER BY error_event_id DESC LIMIT 1), 'open', 'its own are open');

-- facts
CREATE TABLE src.f (id int, n int, at timestamptz);
INSERT INTO src.f VALUES (1, 1, '2024-01-01'), (2, 1, '2024-01-01'), (3, 2, '2024-01-01');
SELECT wh.create_feed('f', 'src.f', 'upsert', '{id}') \g /dev/null
SELECT wh.create_fact('f', 'SELECT n, at, id FROM f', '{n}', 'at', '{}') \g /dev/null
CALL wh.run(feeds => '{f}');
SELECT is(open_errors('mart.f'), 1::bigint, 'two rows of one grain: one is an event');
CALL wh.run(feeds => '{f}', full_refresh => true);
SELECT is(open_errors('mart.f'), 1::bigint, 'also when all is computed');
UPDATE src.f SET n = 3 WHERE id = 2;
CALL wh.run(feeds => '{f}');
CALL wh.run(feeds => '{f}', full_refresh => true);
SELECT is((SELECT string_agg(state, ',') FROM wh.error_event WHERE fact = 'mart.f'), 'settled', 'a full refresh without it settles it');
UPDATE src.f SET n = 1 WHERE id = 2;
CALL wh.run(feeds => '{f}');
SELECT is(open_errors('mart.f'), 1::bigint, 'it is open again when it is back');
SELECT is(wh.dismiss_error_events('f', 'fact IS NOT NULL'), 1::bigint, 'a fact''s events are dismissed by its name');
SELECT wh.drop_fact('f') \g /dev/null
SELECT is((SELECT count(*) FROM wh.error_event WHERE fact = 'mart.f'), 0::bigint, 'and go with it');

-- a record longer than what an event keeps: a part of it, that says so
CREATE TABLE src.long (id int, v text, at timestamptz);
INSERT INTO src.long VALUES (1, repeat('x', 70000000), '2024-01-01'), (2, 'short', '2024-01-01');
SELECT wh.create_feed('long', 'src.long', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.add_screen('long', 'short', 'length(v) < 10') \g /dev/null
CALL wh.run(feeds => '{long}');
SELECT results_eq($$SELECT raw_form, octet_length(raw_record) BETWEEN 67000000 AND 67200000, errors->1->>'message' FROM wh.error_event WHERE feed = 'staging.long'$$,
  $$VALUES ('part', true, 'only a part of the record is stored: it is longer than 64 MB')$$, 'a very long record has a part of it in its event');
SELECT results_eq('SELECT id FROM staging.long', 'VALUES (2)', 'and others are staged');
UPDATE src.long SET v = overlay(v PLACING 'y' FROM 70000000) WHERE id = 1;
CALL wh.run(feeds => '{long}');
SELECT is((SELECT count(*) FROM wh.error_event WHERE feed = 'staging.long'), 2::bigint, 'one that differs behind the cut is another one');
CREATE TABLE src.said (id int, v text);
INSERT INTO src.said VALUES (1, repeat('x', 20000));
SELECT wh.create_feed('said', 'src.said', 'append', '{id}', sequence_by => $$CASE WHEN v::int > 0 THEN date '2024-01-01' END$$) \g /dev/null
CALL wh.run(feeds => '{said}');
SELECT cmp_ok((SELECT length(message) FROM wh.error_event WHERE feed = 'staging.said'), '<', 9000, 'a message that quotes a long value is cut');
SELECT wh.drop_feed('said') \g /dev/null
SELECT wh.drop_feed('long') \g /dev/null

-- gone with their feed
SELECT wh.drop_feed('whole') \g /dev/null
SELECT is(states('staging.whole'), NULL, 'events go with their feed');
CREATE SCHEMA own;
SELECT wh.create_feed('own.gone', 'src.f', 'append', '{at}', sequence_by => 'NULL::date') \g /dev/null
CALL wh.run(feeds => '{own.gone}');
SELECT is(open_errors('own.gone'), 3::bigint, 'three without time');
DROP SCHEMA own CASCADE;
SELECT is(states('own.gone'), NULL, 'also when its schema is dropped');

-- gone by age: closed ones only
UPDATE wh.error_event SET closed_at = closed_at - interval '15 days';
SELECT count(*) FILTER (WHERE state = 'open') AS open FROM wh.error_event \gset
SELECT cmp_ok(:open, '>', 0, 'some are open');
\setenv PGDATABASE :DBNAME
\! psql -Xqc 'SET client_min_messages = error' -c 'CALL wh.run()'
SELECT set_eq('SELECT DISTINCT state FROM wh.error_event', ARRAY['open', 'dismissed'], 'after widgets_wh.batch_retention closed ones go');
SELECT set_eq($$SELECT DISTINCT read_no IS NOT NULL FROM wh.error_event WHERE state = 'dismissed'$$, ARRAY[true], 'not dismissed records of tables, which come again and again');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
