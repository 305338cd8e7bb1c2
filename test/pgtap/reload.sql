-- wh.reload_feed reads a source again from its beginning: repeats touch nothing, what was missed is staged, hard deletes are found.
SELECT no_plan();
SET client_min_messages = warning;
CREATE SCHEMA src;

-- A table with a watermark.
CREATE TABLE src.item (a int, b text, v int, at timestamptz);
INSERT INTO src.item SELECT i, 'k' || i, i, '2024-01-01' FROM generate_series(1, 5) i;
SELECT wh.create_feed('item', 'src.item', 'upsert', '{a,b}', sequence_by => 'at', watermark => 'at', watermark_overlap => '0') \g /dev/null
SELECT wh.create_dimension('item', 'SELECT a, b, v FROM item', '{a,b}') \g /dev/null
CALL wh.run();
SELECT is(wh.reload_feed('item'), NULL, 'nothing differs: no batch');
CREATE TABLE before AS SELECT ctid::text AS place, * FROM staging.item_history;
-- Behind the watermark: a late change, a late key, hard deletes.
DELETE FROM src.item WHERE a IN (2, 3);
UPDATE src.item SET v = 44, at = '2023-12-31' WHERE a = 4;
INSERT INTO src.item VALUES (6, 'k6', 6, '2023-12-31'), (7, 'k7', 7, '2024-02-01');
CALL wh.run();
SELECT is((SELECT string_agg(a::text, ',' ORDER BY a) FROM staging.item), '1,2,3,4,5,7', 'a usual run does not see them');
SELECT isnt(wh.reload_feed('item'), NULL, 'a reload gives its batch');
SELECT results_eq('SELECT a, v, effective_from, is_deleted FROM staging.item_history WHERE a NOT IN (2, 3) ORDER BY 1, 3', $$VALUES
  (1, 1, timestamptz '2024-01-01', false), (4, 44, '2023-12-31', false), (4, 4, '2024-01-01', false), (5, 5, '2024-01-01', false), (6, 6, '2023-12-31', false), (7, 7, '2024-02-01', false)$$, 'what was missed, at its own time');
SELECT results_eq('SELECT a, is_deleted, effective_from > now() - interval ''1 hour'' FROM staging.item_history WHERE a IN (2, 3) ORDER BY 1, effective_from', 'VALUES (2, false, false), (2, true, true), (3, false, false), (3, true, true)', 'hard deletes, as of now');
SELECT is_empty($$SELECT place, a, effective_from FROM before WHERE a IN (1, 5) EXCEPT SELECT ctid::text, a, effective_from FROM staging.item_history$$, 'repeats touch nothing');
SELECT is(wh.reload_feed('item'), NULL, 'once more: nothing');
CALL wh.run();
SELECT is((SELECT string_agg(a::text, ',' ORDER BY a) FROM mart.item WHERE is_current AND item_key > 0), '1,4,5,6,7', 'the dimension follows');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'a rebuild is the same');

-- A redacted key; rejected rows are not missing.
CREATE TABLE src.person (email text, n int);
INSERT INTO src.person VALUES ('a@b', 1), ('c@d', 2), ('e@f', 3);
SELECT wh.create_feed('person', 'src.person', 'upsert', '{email}', redact => '{"email": "md5(email)"}') \g /dev/null
CALL wh.run();
SELECT wh.add_screen('person', 'small', 'n < 10') \g /dev/null
DELETE FROM src.person WHERE email = 'a@b';
UPDATE src.person SET n = 99 WHERE email = 'c@d';
SELECT wh.reload_feed('person') \g /dev/null
SELECT results_eq('SELECT email, n FROM staging.person ORDER BY n', $$VALUES (md5('c@d'), 2), (md5('e@f'), 3)$$, 'keys are compared as they are staged, and a rejected row is there');

-- Files: known ones are read again.
SELECT wh.write_csv(:'tmp' || '/doc_1.csv', $$SELECT * FROM (VALUES (1, 'short'), (2, repeat('y', 3000)), (3, 'z')) v(id, doc)$$) \g /dev/null
CREATE SERVER reload_files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FOREIGN TABLE src.doc (id int, doc text) SERVER reload_files OPTIONS (pattern 'doc_*.csv', max_record_size '2kB');
SELECT wh.create_feed('doc', 'src.doc', 'append', '{id}') \g /dev/null
CALL wh.run();
ALTER FOREIGN TABLE src.doc OPTIONS (SET max_record_size '1MB');
CALL wh.run();
SELECT is((SELECT array_agg(id ORDER BY id) FROM staging.doc), '{1,3}', 'a known file is not read by a usual run');
SELECT wh.reload_feed('doc') \g /dev/null
SELECT is((SELECT array_agg(id ORDER BY id) FROM staging.doc), '{1,2,3}', 'but by a reload: the record that was too long is there, the others once');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.doc' AND state = 'open'), 0, 'its error event is settled');
CREATE TABLE doc_before AS SELECT ctid::text AS place, * FROM staging.doc;
SELECT wh.reload_feed('doc') AS batch \gset
SELECT is((SELECT rows_staged || ' of ' || rows_read FROM wh.batch_step WHERE batch_id = :batch), '0 of 3', 'once more: all are repeats');
SELECT is_empty('SELECT * FROM doc_before EXCEPT SELECT ctid::text, * FROM staging.doc', 'nothing is touched');

-- Snapshots: each states what it stated.
SELECT wh.write_csv(:'tmp' || '/stock_1.csv', $$SELECT * FROM (VALUES (1, 5, date '2024-01-01'), (2, 6, '2024-01-01')) v(id, n, day)$$) \g /dev/null
SELECT wh.write_csv(:'tmp' || '/stock_2.csv', $$SELECT * FROM (VALUES (1, 7, date '2024-01-02')) v(id, n, day)$$) \g /dev/null
CREATE FOREIGN TABLE src.stock (id int, n int, day date) SERVER reload_files OPTIONS (pattern 'stock_*.csv');
SELECT wh.create_feed('stock', 'src.stock', 'snapshot', '{id}', sequence_by => 'day') \g /dev/null
CALL wh.run();
CREATE TABLE stock_before AS SELECT ctid::text AS place, * FROM staging.stock_history;
SELECT wh.reload_feed('stock') AS batch \gset
SELECT is((SELECT rows_staged || ' of ' || rows_read FROM wh.batch_step WHERE batch_id = :batch), '0 of 3', 'snapshots read again change nothing');
SELECT is_empty('SELECT * FROM stock_before EXCEPT SELECT ctid::text, * FROM staging.stock_history', 'not a row');

-- What cannot be.
CREATE FOREIGN TABLE src.log (id int, doc text) SERVER reload_files OPTIONS (pattern 'doc_*.csv');
SELECT wh.create_feed('log', 'src.log', 'append') \g /dev/null
SELECT throws_ok($$SELECT wh.reload_feed('log')$$, '55000', NULL, 'an append feed without a key would stage everything again');
SELECT throws_ok($$SELECT wh.reload_feed('nothing')$$, '42704', NULL, 'a feed that is not there');
SELECT throws_ok($$SELECT wh.reload_feed(NULL)$$, '22004', NULL, 'none is named');
DROP TABLE src.person CASCADE;
SELECT throws_ok($$SELECT wh.reload_feed('person')$$, '42P01', NULL, 'a source that is gone');
CREATE FUNCTION src.drop_it() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM wh.drop_feed('dropping'); RETURN 1; END $$;
CREATE VIEW src.dropping AS SELECT src.drop_it() AS id;
SELECT wh.create_feed('dropping', 'src.dropping', 'upsert', '{id}') \g /dev/null
SELECT throws_ok($$SELECT wh.ingest('dropping')$$, '55006', NULL, 'a feed is not dropped while it is loaded');
SELECT * FROM finish();
