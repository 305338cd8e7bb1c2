-- Feeds: definitions refused and taken, event times, redaction, screens, error events,
-- watermarks, files remembered, changes of a definition.
SELECT no_plan();
SELECT set_config('wh_test.tmp', :'tmp', false) \gset
CREATE SCHEMA src;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION put(f text, content text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('COPY (SELECT regexp_split_to_table(%L, E''\n'')) TO %L WITH (FORMAT csv, DELIMITER E''\x01'', QUOTE E''\x02'')',
    content, current_setting('wh_test.tmp') || '/' || f);
END $$;
CREATE FUNCTION counts(feed regclass) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s read %s staged %s rejected %s repeated %s superseded', rows_read, rows_staged, rows_rejected, rows_repeated, rows_superseded)
  FROM wh.batch_step s JOIN wh.feed f ON f.feed_id = s.object_id WHERE f.relation = feed ORDER BY batch_id DESC LIMIT 1 $$;

-- Definitions refused
CREATE TABLE src.t (id int, v text, doc json, ts timestamp, n int);
CREATE TABLE src.ours (id int, effective_from date);
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'replace')$$, '22023', 'invalid load "replace"', 'unknown load');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert')$$, '22023', NULL, 'upsert needs a key');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'append')$$, '22023', 'an append feed over relation "t" needs a key', 'append over a table needs a key');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{nope}')$$, '42703', NULL, 'key column missing');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id,id}')$$, '42701', NULL, 'key column twice');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{doc}')$$, '42883', 'key column "doc" has type json, which cannot be compared', 'key without comparison');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.ours', 'upsert', '{id}')$$, '42701', 'source column "effective_from" has a name that staging uses itself', 'column named like ours');
SELECT throws_ok($$SELECT wh.create_feed(repeat('x', 58), 'src.t', 'upsert', '{id}')$$, '42622', NULL, 'names over 63 bytes');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', sequence_by => 'now()')$$, '42P17', NULL, 'sequence_by reads the clock');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', sequence_by => 'id')$$, '42804', 'sequence_by has type integer', 'sequence_by is no time');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', sequence_by => 'ts FROM src.ours')$$, '42601', NULL, 'sequence_by is one expression');
SELECT throws_ok(format($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', %s)$$, option), '42601', NULL, 'a star is no expression: ' || option)
FROM unnest(ARRAY[$$sequence_by => '*'$$, $$sequence_by => 'ts', deleted_when => '*'$$, $$sequence_by => 'ts', redact => '{"id": "*"}'$$]) option;
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', deleted_when => 'random() < 0.5')$$, '42P17', NULL, 'deleted_when is volatile');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', redact => '{"id": null}')$$, '22023', NULL, 'a key cannot be nulled');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', redact => '{"nope": null}')$$, '42703', NULL, 'redacted column missing');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'upsert', '{id}', time_zone => 'Mars/Olympus')$$, '22023', NULL, 'time zone unknown');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'snapshot', '{id}', watermark => 'n')$$, '22023', NULL, 'a snapshot has no watermark');
SELECT throws_ok($$SELECT wh.create_feed('x', 'src.t', 'append', '{id}', deleted_when => 'true')$$, '22023', NULL, 'events are never deleted');
CREATE TABLE src.plain (id int);
SELECT is(wh.create_feed('src.taken', 'src.plain', 'upsert', '{id}')::text, 'src.taken', 'qualified names are used as they are');
SELECT throws_ok($$SELECT wh.create_feed('src.taken', 'src.plain', 'upsert', '{id}')$$, '42P07', NULL, 'name taken');
SELECT throws_ok($$SELECT wh.create_feed('src.taken_history', 'src.plain', 'append', '{id}')$$, '42P07', NULL, 'name taken by a history');
SELECT lives_ok($$SELECT wh.drop_feed('src.taken')$$, 'dropped');
SELECT hasnt_relation('src', 'taken_history', 'its history is gone');
SELECT throws_ok($$SELECT wh.drop_feed('src.taken')$$, '42704', NULL, 'no such feed');

-- Event times in the feed's time zone, whatever the session's
SET TimeZone = 'Asia/Tokyo';
SELECT wh.create_feed('london', 'src.t', 'upsert', '{id}', sequence_by => 'ts', time_zone => 'Europe/London') \gset
INSERT INTO src.t VALUES (1, 'a', '{}', '2024-07-01 12:00', 1), (2, 'b', NULL, 'infinity', 1), (3, 'c', NULL, NULL, 1), (NULL, 'd', NULL, '2024-01-01', 1);
SELECT isnt(wh.ingest('london'), NULL, 'loaded');
SET TimeZone = 'UTC';
SELECT is((SELECT effective_from FROM staging.london_history), '2024-07-01 11:00+00', 'event time in the feed''s time zone');
SELECT is(counts('staging.london'), '4 read 1 staged 3 rejected 0 repeated 0 superseded', 'no time, infinite time, no key: rejected');
SELECT set_eq($$SELECT sqlstate || ' ' || message FROM wh.error_event$$,
  ARRAY['22008 event time is infinite or out of range', '22004 event time is null', '23502 key column "id" is null'], 'and why');
SELECT is(wh.ingest('london'), NULL, 'the same rejects again are nothing new');
SELECT is((SELECT count(*)::int FROM wh.error_event), 3, 'and make no new error event');
SELECT throws_ok($$SELECT wh.alter_feed('london', time_zone => 'UTC')$$, '55000', NULL, 'the time zone stays when rows are staged');
SELECT lives_ok($$SELECT wh.drop_feed('london')$$, 'a feed is dropped with its rows');

-- Without sequence_by, a row of a table equal to its key's state is a repeat
CREATE TABLE src.state (id int PRIMARY KEY, v numeric);
INSERT INTO src.state VALUES (1, 1.0), (2, 2);
SELECT wh.create_feed('state', 'src.state', 'upsert', '{id}') \gset
SELECT wh.create_feed('whole', 'src.state', 'snapshot', '{id}') \gset
-- images are kept for who reads the feed
SELECT wh.create_dimension('whole', 'SELECT id, v FROM whole', '{id}') \gset x
SELECT wh.ingest('state'), wh.ingest('whole') \gset x
SELECT is(wh.ingest('state'), NULL, 'upsert: nothing new writes nothing');
SELECT is(wh.ingest('whole'), NULL, 'snapshot: nothing new writes nothing');
UPDATE src.state SET v = 1.00 WHERE id = 1;
DELETE FROM src.state WHERE id = 2;
SELECT wh.ingest('state'), wh.ingest('whole') \gset x
SELECT is((SELECT count(*)::int FROM staging.state_history WHERE id = 1), 2, '1.0 and 1.00 differ');
SELECT results_eq('SELECT id, is_deleted, effective_to = ''infinity'' FROM staging.whole_history ORDER BY id, effective_from',
  $$VALUES (1, false, false), (1, false, true), (2, false, false), (2, true, true)$$, 'absence is a delete');
SELECT results_eq('SELECT id, effective_to = ''infinity'' FROM staging.whole_change ORDER BY id',
  $$VALUES (1, true), (2, true)$$, 'the change log has the old images of closed rows');
INSERT INTO src.state VALUES (2, 2);
SELECT wh.ingest('whole') \gset x
SELECT is((SELECT count(*)::int FROM staging.whole), 2, 'a key returns');

-- Watermark
CREATE TABLE src.event (id int, at timestamptz, v text);
INSERT INTO src.event SELECT i, '2024-01-01'::timestamptz + i * interval '1 hour', 'v' FROM generate_series(1, 10) i;
SELECT wh.create_feed('event', 'src.event', 'append', '{id}', sequence_by => 'at', watermark => 'at', watermark_overlap => '2 hours') \gset
SELECT wh.create_feed('by_id', 'src.event', 'append', '{id}', sequence_by => 'at', watermark => 'id') \gset
SELECT wh.ingest('event'), wh.ingest('by_id') \gset x
INSERT INTO src.event VALUES (11, '2024-01-01 09:30+00', 'late'), (12, '2024-01-01 01:30+00', 'too late'), (13, '2024-01-02', 'new');
SELECT wh.ingest('event'), wh.ingest('by_id') \gset x
SELECT is(counts('staging.event'), '5 read 2 staged 0 rejected 3 repeated 0 superseded', 'reads from the highest value less the overlap');
SELECT is(counts('staging.by_id'), '4 read 3 staged 0 rejected 1 repeated 0 superseded', 'an id has no overlap');
SELECT is((SELECT watermark_value FROM wh.feed WHERE relation = 'staging.by_id'::regclass), '13', 'the watermark is stored');
SELECT is(wh.ingest('by_id'), NULL, 'nothing new');

SELECT is((SELECT count(*) FROM staging.state_change), 0::bigint, 'no images are kept of a feed that nothing reads');

-- Append: another payload under the same key
SELECT wh.create_dimension('event_reader', 'SELECT id, v FROM event', '{id}', history => 'none') \gset x
UPDATE src.event SET v = 'changed' WHERE id = 13;
SELECT wh.ingest('event') \gset x
SELECT is(counts('staging.event'), '1 read 0 staged 1 rejected 0 repeated 0 superseded', 'another payload is rejected');
SELECT is((SELECT v FROM staging.event WHERE id = 13), 'new', 'the first one stays');
SELECT is((SELECT sqlstate || (convert_from(raw_record, 'UTF8')::json ->> 'v') FROM wh.error_event WHERE feed = 'staging.event'),
  '23505changed', 'the other one is an error event');
UPDATE src.event SET v = 'earlier', at = '2024-01-01 23:00+00' WHERE id = 13;
SELECT wh.ingest('event') \gset x
SELECT is((SELECT v FROM staging.event WHERE id = 13), 'earlier', 'a record lower in order takes the place');
SELECT results_eq('SELECT v, batch_id = change_batch_id FROM staging.event_change ORDER BY 2', $$VALUES ('new', false), ('earlier', true)$$,
  'the change log has both images');

-- Redaction, screens, null checks, errors of expressions
CREATE FOREIGN TABLE src.person (id int, email text, age int NOT NULL, zip text, born date) SERVER files OPTIONS (pattern 'person_*.csv');
SELECT wh.create_feed('person', 'src.person', 'upsert', '{id}', sequence_by => 'born',
  redact => '{"email": "md5(email)", "zip": null}') \gset
SELECT wh.add_screen('person', 'adult', 'age >= 18') \gset
SELECT wh.add_screen('person', 'old', 'age < 100', 'warn') \gset
SELECT wh.add_screen('person', 'ratio', '100 / (age - 50) IS NOT NULL') \gset
SELECT throws_ok($$SELECT wh.add_screen('person', 'old', 'true')$$, '42710', NULL, 'screen name taken');
SELECT throws_ok($$SELECT wh.add_screen('person', 'bad', 'age')$$, '42804', NULL, 'a condition is boolean');
SELECT throws_ok($$SELECT wh.add_screen('person', 'bad', 'true', 'stop')$$, '22023', NULL, 'unknown action');
SELECT put('person_1.csv', $$id,email,age,zip,born
1,secret1@x,30,secretzip,2000-01-01
2,secret2@x,17,secretzip,2000-01-01
3,secret3@x,,secretzip,2000-01-01
4,secret4@x,50,secretzip,2000-01-01
5,secret5@x,130,secretzip,2000-01-01
6,secret6@x,3x,secretzip,200x-01-01
7,secret7@x,secretzip,2000-01-01
8,secret8@x,17,secretzip,$$) \gset x
SELECT wh.ingest('person') \gset x
SELECT is(counts('staging.person'), '8 read 2 staged 6 rejected 0 repeated 0 superseded', 'good rows around bad ones are kept');
SELECT results_eq('SELECT id, email, zip FROM staging.person ORDER BY id',
  $$VALUES (1, md5('secret1@x'), NULL::text), (5, md5('secret5@x'), NULL)$$, 'staged values are redacted');
SELECT results_eq($$SELECT line::int, e ->> 'column', e ->> 'sqlstate', e ->> 'message' FROM wh.error_event, jsonb_array_elements(errors) WITH ORDINALITY x(e, n)
    WHERE feed = 'staging.person' ORDER BY line, n$$,
  $$VALUES (3, NULL, '23514', 'record fails screen "adult"'),
    (4, 'age', '23502', 'null value in column "age"'),
    (5, NULL, '22012', 'screen "ratio": division by zero'),
    (7, 'age', '22P02', 'invalid input syntax for type integer: "3x"'),
    (7, 'born', '22007', 'invalid input syntax for type date: "200x-01-01" (not ISO 8601, and no other format is declared)'),
    (8, NULL, '22P04', 'record has 4 fields, but 5 are expected'),
    (8, NULL, '22P04', 'the raw record is not stored: its redacted columns cannot be told apart'),
    (9, 'born', '22004', 'event time is null'),
    (9, NULL, '23514', 'record fails screen "adult"')$$, 'all errors of a record, with their states');
SELECT is((SELECT count(*)::int FROM wh.error_event e WHERE e::text LIKE '%secret%' OR convert_from(raw_record, 'UTF8') LIKE '%secret%'), 0,
  'nothing redacted is in an error event');
SELECT is((SELECT convert_from(raw_record, 'UTF8') FROM wh.error_event WHERE feed = 'staging.person' AND line = 7), '6,,3x,,200x-01-01',
  'what is not redacted is there as it came');
SELECT is((SELECT warnings::int FROM wh.batch_step s JOIN wh.feed f ON f.feed_id = s.object_id WHERE relation = 'staging.person'::regclass), 1, 'a warn screen counts');
SELECT lives_ok($$SELECT wh.drop_screen('person', 'old')$$, 'a screen is dropped');
SELECT throws_ok($$SELECT wh.drop_screen('person', 'old')$$, '42704', NULL, 'once');

-- A rejected record of an error in a redacted column
CREATE FOREIGN TABLE src.pin (id int, pin int) SERVER files OPTIONS (pattern 'pin_*.csv');
SELECT wh.create_feed('pin', 'src.pin', 'upsert', '{id}', redact => '{"pin": "1000 / pin"}') \gset
SELECT put('pin_1.csv', $$id,pin
1,12secret34
2,0$$) \gset x
SELECT wh.ingest('pin') \gset x
SELECT results_eq($$SELECT message FROM wh.error_event WHERE feed = 'staging.pin' ORDER BY line$$,
  $$VALUES ('invalid value for column "pin"'), ('could not redact column "pin"')$$, 'messages do not quote a redacted column');

-- reject_limit
SELECT wh.alter_feed('person', reject_limit => 1) \gset x
SELECT put('person_2.csv', $$id,email,age,zip,born
10,a,30,b,2000-01-01
11,a,3,b,2000-01-01
12,a,4,b,2000-01-01$$) \gset x
SELECT throws_ok($$SELECT wh.ingest('person')$$, '22000', 'feed "staging.person" rejects more than 1 records', 'too many rejects fail the run');
SELECT is((SELECT count(*)::int FROM staging.person), 2, 'nothing of it is kept');
SELECT is((SELECT count(*)::int FROM wh.source_unit u JOIN wh.feed f USING (feed_id) WHERE relation = 'staging.person'::regclass), 1, 'nor remembered');
SELECT wh.alter_feed('person', reject_limit => -1) \gset x
SELECT isnt(wh.ingest('person'), NULL, 'without the limit it goes on');

-- A file is loaded once; a known name with a new content
CREATE FOREIGN TABLE src.log (id int, v text) SERVER files OPTIONS (pattern 'log_*.csv');
SELECT put('log_1.csv', E'id,v\n1,a\n2,b') \gset x
SELECT wh.create_feed('log', 'src.log', 'append') \gset
SELECT wh.create_feed('keyed_log', 'src.log', 'append', '{id}') \gset
SELECT wh.create_feed('log_state', 'src.log', 'upsert', '{id}') \gset
SELECT wh.ingest('log'), wh.ingest('keyed_log'), wh.ingest('log_state') \gset x
SELECT put('log_1.csv', E'id,v\n1,a\n2,b') \gset x
SELECT is(wh.ingest('log'), NULL, 'the same content written again is skipped');
SELECT put('log_1.csv', E'id,v\n1,a\n2,c\n3,d') \gset x
SELECT put('log_2.csv', E'id,v\n4,e') \gset x
SELECT throws_ok($$SELECT wh.ingest('log')$$, '55000', 'file "log_1.csv" of feed "staging.log" has a new content', 'new content fails an append feed without key');
SELECT is((SELECT count(*)::int FROM staging.log), 2, 'nothing of that run is kept');
SELECT wh.ingest('keyed_log'), wh.ingest('log_state') \gset x
SELECT is(counts('staging.keyed_log'), '4 read 2 staged 1 rejected 1 repeated 0 superseded', 'with a key: repeats dropped, another payload rejected');
SELECT results_eq('SELECT id, v FROM staging.log_state ORDER BY id', $$VALUES (1, 'a'), (2, 'c'), (3, 'd'), (4, 'e')$$, 'upsert takes the new content');
SELECT results_eq($$SELECT name COLLATE "default", generation::int FROM wh.source_unit u JOIN wh.feed f USING (feed_id) WHERE relation = 'staging.log_state'::regclass ORDER BY 1, 2$$,
  $$VALUES ('log_1.csv', 1), ('log_1.csv', 2), ('log_2.csv', 1)$$, 'as its next generation');

-- A file that cannot be read is tried again
SELECT put('log_3.csv', E'id,w\n5,f') \gset x
SELECT wh.ingest('log_state') \gset x
SELECT is(wh.ingest('log_state'), NULL, 'the same failure is nothing new');
SELECT put('log_3.csv', E'id,v\n5,f') \gset x
SELECT isnt(wh.ingest('log_state'), NULL, 'the corrected file is read');
SELECT is((SELECT v FROM staging.log_state WHERE id = 5), 'f', 'and staged');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.log_state' AND file = 'log_3.csv'), 1, 'one error event for both tries');

-- A snapshot file with two times is refused, others go on
CREATE FOREIGN TABLE src.stock (id int, day date) SERVER files OPTIONS (pattern 'stock_*.csv');
SELECT wh.create_feed('stock', 'src.stock', 'snapshot', '{id}', sequence_by => 'day') \gset
SELECT put('stock_1.csv', E'id,day\n1,2024-01-01\n2,2024-01-02'), put('stock_2.csv', E'id,day\n1,2024-01-03\n3,2024-01-03') \gset x
SELECT wh.ingest('stock') \gset x
SELECT is(counts('staging.stock'), '4 read 2 staged 2 rejected 0 repeated 0 superseded', 'two times in one snapshot');
SELECT results_eq('SELECT id FROM staging.stock_history ORDER BY id', $$VALUES (1), (3)$$, 'nothing of that file is staged');

-- A column that the source gets later
ALTER TABLE src.state ADD COLUMN extra text DEFAULT 'new';
SELECT is(wh.ingest('state') IS NULL, false, 'rows still load') WHERE false;
SELECT wh.alter_feed('state') \gset x
SELECT wh.ingest('state') \gset x
SELECT results_eq('SELECT extra FROM staging.state ORDER BY id', $$VALUES ('new'), ('new')$$, 'is staged after wh.alter_feed');

-- What a rolled back run leaves: nothing
SELECT put('log_9.csv', E'id,v\n9,z') \gset x
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM staging.log_state_history) AS rows, (SELECT count(*) FROM wh.source_unit) AS units, (SELECT count(*) FROM wh.error_event) AS events;
BEGIN;
SELECT wh.ingest('log_state') \gset x
ROLLBACK;
SELECT results_eq('SELECT * FROM before', 'SELECT (SELECT count(*) FROM staging.log_state_history), (SELECT count(*) FROM wh.source_unit), (SELECT count(*) FROM wh.error_event)', 'a run undone leaves everything as before');
SELECT isnt(wh.ingest('log_state'), NULL, 'and can be done again');

-- Expressions that throw while a table is read spoil their records only
CREATE TABLE src.many (id int, v int);
INSERT INTO src.many SELECT i, i % 500 FROM generate_series(1, 3000) i;
SELECT wh.create_feed('many', 'src.many', 'upsert', '{id}', deleted_when => '1 / v < 0', redact => '{"v": "v / (v - 7)"}') \gset
SELECT wh.ingest('many') \gset x
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.many' AND message = 'could not redact column "v"'), 6, 'each record that cannot be redacted');
SELECT is((SELECT count(*)::int FROM staging.many_history), (SELECT count(*)::int FROM src.many WHERE v <> 7 AND v / (v - 7) <> 0), 'all others are staged');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.many'), (SELECT count(*)::int FROM src.many WHERE v = 7 OR v / (v - 7) = 0), 'or are error events');

-- A table that says itself which day its snapshot is of
CREATE TABLE src.balance (id int, amount int, day date);
SELECT wh.create_feed('balance', 'src.balance', 'snapshot', '{id}', sequence_by => 'day') \gset
INSERT INTO src.balance VALUES (1, 10, '2024-01-01'), (2, 20, '2024-01-01');
SELECT wh.ingest('balance') \gset x
SELECT is(wh.ingest('balance'), NULL, 'the same snapshot again changes nothing');
TRUNCATE src.balance;
INSERT INTO src.balance VALUES (1, 10, '2024-01-03');
SELECT wh.ingest('balance') \gset x
TRUNCATE src.balance;
INSERT INTO src.balance VALUES (2, 20, '2024-01-02'), (3, 30, '2024-01-02');
SELECT wh.ingest('balance') \gset x
SELECT results_eq('SELECT id, effective_from::date, effective_to::date, is_deleted FROM staging.balance_history ORDER BY 1, 2',
  $$VALUES (1, '2024-01-01'::date, '2024-01-02'::date, false), (1, '2024-01-02', '2024-01-03', true), (1, '2024-01-03', 'infinity', false),
    (2, '2024-01-01', '2024-01-02', false), (2, '2024-01-02', '2024-01-03', false), (2, '2024-01-03', 'infinity', true),
    (3, '2024-01-02', '2024-01-03', false), (3, '2024-01-03', 'infinity', true)$$, 'a late snapshot finds its place');

-- Who may do what
CREATE ROLE wh_test_other;
GRANT USAGE ON SCHEMA wh TO wh_test_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wh TO wh_test_other;
SET ROLE wh_test_other;
SELECT throws_ok($$SELECT wh.drop_feed('balance')$$, '42501', NULL, 'another role cannot drop a feed');
SELECT throws_ok($$SELECT wh.add_screen('balance', 's', 'true')$$, '42501', NULL, 'nor screen it');
SELECT throws_ok($$SELECT wh.create_feed('mine', 'src.balance', 'upsert', '{id}')$$, '42501', NULL, 'nor read what it may not read');
RESET ROLE;
DROP OWNED BY wh_test_other;
DROP ROLE wh_test_other;

SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');

-- no watermark hides rows: none, NaN, infinity, and dates that are yet to come
CREATE TABLE public.marked (id int, at timestamptz, t timestamptz, d date, n numeric, f float8, l timestamp);
SELECT wh.create_feed('marked_' || c, 'public.marked', 'upsert', '{id}', sequence_by => 'at', watermark => c, time_zone => 'America/Los_Angeles') FROM unnest(ARRAY['t', 'd', 'n', 'f', 'l']) c \g /dev/null
INSERT INTO public.marked VALUES (1, '2024-01-01', '2024-01-01', '2024-01-01', 1, 1, '2024-01-01'),
    (2, '2024-01-01', '2999-01-01', '2999-01-01', 'NaN', 'NaN', '2999-01-01'), (3, '2024-01-01', 'infinity', 'infinity', 'Infinity', 'Infinity', 'infinity');
SELECT wh.ingest('marked_' || c) FROM unnest(ARRAY['t', 'd', 'n', 'f', 'l']) c \g /dev/null
INSERT INTO public.marked VALUES (4, '2024-01-01', NULL, NULL, NULL, NULL, NULL), (5, '2024-01-01', now(), now(), 5, 5, now() AT TIME ZONE 'America/Los_Angeles');
SELECT wh.ingest('marked_' || c) FROM unnest(ARRAY['t', 'd', 'n', 'f', 'l']) c \g /dev/null
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM staging.marked_t), '1,2,3,4,5', 'by a timestamp');
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM staging.marked_d), '1,2,3,4,5', 'by a date');
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM staging.marked_n), '1,2,3,4,5', 'by a numeric');
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM staging.marked_f), '1,2,3,4,5', 'by a float');
SELECT is((SELECT string_agg(id::text, ',' ORDER BY id) FROM staging.marked_l), '1,2,3,4,5', 'by a timestamp of a time zone');
SELECT throws_ok($$SELECT wh.create_feed('marked_x', 'public.marked', 'upsert', '{id}', sequence_by => 'at', watermark => 't', watermark_overlap => '1000 years')$$,
    '22023', NULL, 'an overlap that ends before there were dates');

-- a key that no index takes is its record's error, not the feed's
CREATE TABLE public.long_key (k text, at timestamptz);
INSERT INTO public.long_key SELECT (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, n) i), '2024-01-01' FROM (VALUES (2), (80), (82), (1000)) v(n);
SELECT wh.create_feed('long_key', 'public.long_key', 'upsert', '{k}', sequence_by => 'at') \g /dev/null
SELECT wh.ingest('long_key') \g /dev/null
SELECT is((SELECT string_agg(length(k)::text, ',' ORDER BY length(k)) FROM staging.long_key), '64,2560', 'long keys are rejected');
SELECT is((SELECT string_agg(sqlstate || ' ' || message, ',') FROM wh.error_event WHERE feed = 'staging.long_key'),
    '54000 key is longer than 2600 bytes,54000 key is longer than 2600 bytes', 'with their reason');

-- a source that loses a column does not go on as nulls unasked
CREATE TABLE public.losing (id int, name text, n int, at timestamptz);
INSERT INTO public.losing VALUES (1, 'a', 1, '2024-01-01');
SELECT wh.create_feed('losing', 'public.losing', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.ingest('losing') \g /dev/null
ALTER TABLE public.losing RENAME name TO title;
INSERT INTO public.losing VALUES (1, 'b', 2, '2024-01-02');
SELECT throws_ok($$SELECT wh.ingest('losing')$$, '42703', 'column "name" is missing from the source of feed "staging.losing"', 'a renamed column');
ALTER TABLE public.losing RENAME title TO name;
ALTER TABLE public.losing DROP COLUMN n;
SELECT throws_ok($$SELECT wh.ingest('losing')$$, '42703', NULL, 'a dropped column');
SELECT wh.alter_feed('losing') \g /dev/null
SELECT wh.ingest('losing') \g /dev/null
SELECT results_eq('SELECT name, n FROM staging.losing_history ORDER BY effective_from', $$VALUES ('a', 1), ('b', NULL)$$,
    'wh.alter_feed lets it go on; what is staged stays');
ALTER TABLE public.losing DROP COLUMN name;
SELECT throws_ok($$SELECT wh.ingest('losing')$$, '42703', NULL, 'the next loss is another one');

SELECT * FROM finish();
