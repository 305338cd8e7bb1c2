-- Columns of a source that change: staging, history and all that reads them are widened without a loss, or the change is refused by name.
SELECT no_plan();
SET client_min_messages = warning;
CREATE SCHEMA src;
CREATE FUNCTION src.type_of(relation text, attribute text) RETURNS text LANGUAGE sql AS $$
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = relation::regclass AND attname = attribute $$;

-- Every type that can be widened, through staging, history, change log, view, dimension and fact.
CREATE TABLE src.wide (id smallint, i2 smallint, i4 int, i8 bigint, i4n int, f4 real, n numeric(6,2), n2 numeric(6,2), v varchar(5), vt varchar(5),
  b char(3), bt char(3), d date, ts timestamp, dtz date, j json, t3 timestamp(3), at timestamptz);
INSERT INTO src.wide VALUES (1, 1, 2, 3, 4, 0.5, 12.34, 5.50, 'abcde', 'v', 'x', 'y', '2024-07-01', '2024-07-01 12:00', '2024-07-02', '{"b": 1, "a": 2}', '2024-07-01 12:00:00.123', '2024-01-01'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2024-01-01');
SELECT wh.create_feed('wide', 'src.wide', 'upsert', '{id}', sequence_by => 'at', time_zone => 'Europe/Berlin') \g /dev/null
SELECT wh.create_dimension('wide', 'SELECT id, i2, i4, n, v, ts, i4n / 3 AS third FROM wide', '{id}') \g /dev/null
SELECT wh.create_fact('wides', 'SELECT id, i2 * 2::smallint AS twice, i8, d, at FROM wide', '{id}', 'at', '{"id": "wide"}') \g /dev/null
CALL wh.run();
UPDATE src.wide SET i2 = 7, at = '2024-02-01' WHERE id = 1;
CALL wh.run();
CREATE TABLE keys AS SELECT wide_key, id, effective_from FROM mart.wide;
-- What people put beside it.
CREATE ROLE wide_reader;
GRANT USAGE ON SCHEMA staging TO wide_reader;
GRANT SELECT ON staging.wide TO wide_reader;
COMMENT ON COLUMN staging.wide.i2 IS 'a comment';
CREATE INDEX wide_by_i2 ON staging.wide_history (i2);
CREATE VIEW src.over WITH (security_barrier = true) AS SELECT w.i2 + 1::smallint AS more, w.v, m.third FROM staging.wide w JOIN mart.wide m USING (id);
CREATE VIEW src.over_that AS SELECT * FROM src.over;
COMMENT ON VIEW src.over_that IS 'of a user';
GRANT SELECT ON src.over_that TO wide_reader;
SELECT 'staging.wide'::regclass::oid AS view, 'src.over_that'::regclass::oid AS over_that \gset
ALTER TABLE src.wide ALTER id TYPE bigint, ALTER i2 TYPE int, ALTER i4 TYPE bigint, ALTER i8 TYPE numeric, ALTER i4n TYPE numeric(20,4), ALTER f4 TYPE float8,
  ALTER n TYPE numeric(12,4), ALTER n2 TYPE numeric, ALTER v TYPE varchar(20), ALTER vt TYPE text, ALTER b TYPE char(9), ALTER bt TYPE text,
  ALTER d TYPE timestamp, ALTER ts TYPE timestamptz USING ts AT TIME ZONE 'Europe/Berlin', ALTER dtz TYPE timestamptz USING dtz::timestamp AT TIME ZONE 'Europe/Berlin',
  ALTER j TYPE jsonb, ALTER t3 TYPE timestamp(6), ADD extra text;
INSERT INTO src.wide VALUES (3000000000, 100000, 3000000000, 1e30, 1.5, 0.1, 1234567.8912, 1e20, 'longer than five', repeat('w', 100), 'abcdefghi', 'long one', '2024-07-01 10:00',
  '2024-07-03 12:00+02', '2024-07-03 12:00+02', '{"c": 1}', '2024-07-01 12:00:00.123456', '2024-03-01', 'new');
SELECT is(wh.source_changes(feed_id), '{"column \"id\" is staged as smallint and is now bigint","column \"i2\" is staged as smallint and is now integer","column \"i4\" is staged as integer and is now bigint","column \"i8\" is staged as bigint and is now numeric","column \"i4n\" is staged as integer and is now numeric(20,4)","column \"f4\" is staged as real and is now double precision","column \"n\" is staged as numeric(6,2) and is now numeric(12,4)","column \"n2\" is staged as numeric(6,2) and is now numeric","column \"v\" is staged as character varying(5) and is now character varying(20)","column \"vt\" is staged as character varying(5) and is now text","column \"b\" is staged as character(3) and is now character(9)","column \"bt\" is staged as character(3) and is now text","column \"d\" is staged as date and is now timestamp without time zone","column \"ts\" is staged as timestamp without time zone and is now timestamp with time zone","column \"dtz\" is staged as date and is now timestamp with time zone","column \"j\" is staged as json and is now jsonb","column \"t3\" is staged as timestamp(3) without time zone and is now timestamp(6) without time zone","column \"extra\" text is new"}'::text[], 'what has changed is told')
FROM wh.feed;
SELECT throws_matching($$SELECT wh.ingest('wide')$$, 'has changed its type', 'nothing is loaded until somebody says so');
SELECT is((SELECT count(*)::int FROM staging.wide_history), 3, 'nothing is staged');
SELECT lives_ok($$SELECT wh.alter_feed('wide')$$, 'wh.alter_feed follows');
SELECT is(wh.source_changes(feed_id), NULL, 'and nothing is left') FROM wh.feed;
SELECT lives_ok('CALL wh.run()', 'the next run takes the new values');
SELECT is_empty($$SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_attribute s ON s.attrelid = 'src.wide'::regclass AND s.attname = a.attname AND NOT s.attisdropped
  WHERE a.attrelid IN ('staging.wide'::regclass, 'staging.wide_history'::regclass, 'staging.wide_change'::regclass)
  AND (a.atttypid, a.atttypmod) <> (s.atttypid, s.atttypmod)$$, 'staging, history and change log have the types of the source');
SELECT is_empty($$SELECT to_jsonb(s) FROM src.wide s EXCEPT SELECT to_jsonb(w) FROM staging.wide w$$, 'and its rows, old and new');
SELECT results_eq($$SELECT id, i2, i4, n, v, third FROM mart.wide WHERE wide_key > 0 ORDER BY id, effective_from$$,
  $$VALUES (1::bigint, 1, 2::bigint, 12.34, 'abcde'::varchar, 4.0 / 3), (1, 7, 2, 12.34, 'abcde', 4.0 / 3), (2, NULL, NULL, NULL, NULL, NULL),
    (3000000000, 100000, 3000000000, 1234567.8912, 'longer than five', 0.5)$$, 'the dimension is as if it had been so from the start, and the key is wider');
SELECT results_eq($$SELECT id, twice, i8, d FROM mart.wides ORDER BY 1$$, $$VALUES (1::bigint, 14, 3::numeric, timestamp '2024-07-01'), (2, NULL, NULL, NULL), (3000000000, 200000, 1e30, '2024-07-01 10:00')$$, 'the fact too');
SELECT is_empty($$SELECT k.* FROM keys k EXCEPT SELECT wide_key, id, effective_from FROM mart.wide$$, 'surrogate keys are kept');
SELECT is((SELECT ts FROM staging.wide WHERE id = 1), timestamptz '2024-07-01 10:00+00', 'local times are of the feed''s zone');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'a rebuild is the same');
SELECT is((SELECT array_agg(i.indexrelid::regclass::text ORDER BY i.indexrelid::regclass::text COLLATE "C") FROM pg_index i WHERE indrelid = 'staging.wide_history'::regclass AND indisvalid), '{staging.wide_by_i2,staging.wide_history_id_effective_from_idx}', 'indexes are kept');
SELECT is('staging.wide'::regclass::oid, :view::oid, 'the feed''s view is the same');
SELECT is(col_description('staging.wide'::regclass, 2), 'a comment', 'with its comments');
SELECT ok(has_table_privilege('wide_reader', 'staging.wide', 'SELECT'), 'and grants');
SELECT is('src.over_that'::regclass::oid, :over_that::oid, 'views of users are the same');
SELECT is(src.type_of('src.over_that', 'more') || ', ' || src.type_of('src.over_that', 'v') || ', ' || src.type_of('src.over_that', 'third'), 'integer, character varying(20), numeric', 'their columns follow');
SELECT results_eq('SELECT DISTINCT more FROM src.over_that ORDER BY 1', 'VALUES (8), (100001), (NULL)', 'and can be read');
SELECT ok((SELECT 'security_barrier=true' = ANY (reloptions) FROM pg_class WHERE oid = 'src.over'::regclass), 'their options are kept');
SELECT is(obj_description(:over_that, 'pg_class'), 'of a user', 'their comments');
SELECT ok(has_table_privilege('wide_reader', 'src.over_that', 'SELECT'), 'their grants');
SELECT throws_ok('ALTER TABLE src.over_that RENAME TO x; DROP VIEW src.over', '2BP01', NULL, 'and their dependencies');
SELECT lives_ok('CALL wh.run()', 'a run that finds nothing new');
SELECT is((SELECT count(*)::int FROM staging.wide_history), 4, 'repeats nothing');

-- What loses something is refused by name, nothing is changed, and the other feeds go on.
CREATE TABLE src.narrow (id int, code text, n numeric(8,2), at timestamptz);
INSERT INTO src.narrow VALUES (1, 'x', 1, '2024-01-01');
SELECT wh.create_feed('narrow', 'src.narrow', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
CALL wh.run();
ALTER TABLE src.narrow ALTER code TYPE int USING 5, ALTER n TYPE numeric(12,2);
INSERT INTO src.narrow VALUES (2, 6, 2, '2024-01-02');
INSERT INTO src.wide (id, at) VALUES (4, '2024-01-02');
SELECT throws_like($$SELECT wh.alter_feed('narrow')$$, '%column "code"%', 'the column is named');
SELECT is(src.type_of('staging.narrow_history', 'n'), 'numeric(8,2)', 'nothing is changed');
\set ON_ERROR_STOP off
CALL wh.run();
\set ON_ERROR_STOP on
SELECT ok(:'LAST_ERROR_MESSAGE' LIKE '%staging.narrow%', 'the feed fails');
SELECT is((SELECT count(*)::int FROM staging.wide WHERE id = 4), 1, 'the others go on');
SELECT lives_ok($$SELECT wh.pause_feed('narrow')$$, 'it can be paused');
SELECT throws_like(format('SELECT wh.alter_feed(%L)', 'narrow'), '%has changed its type%', 'it stays refused');
ALTER TABLE src.narrow ALTER code TYPE text;
SELECT wh.alter_feed('narrow', is_paused => false) \g /dev/null
ALTER TABLE src.narrow ALTER n TYPE numeric(6,2);
SELECT lives_ok($$SELECT wh.ingest('narrow')$$, 'a narrower type of the source fits what is staged');
SELECT is(src.type_of('staging.narrow', 'n'), 'numeric(12,2)', 'which stays as wide');
CREATE MATERIALIZED VIEW src.kept AS SELECT n FROM staging.narrow;
ALTER TABLE src.narrow ALTER n TYPE numeric;
SELECT throws_ok($$SELECT wh.alter_feed('narrow')$$, '2BP01', NULL, 'a materialized view is named');
DROP MATERIALIZED VIEW src.kept;
CREATE FUNCTION src.only_numeric(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION src.only_text(varchar) RETURNS text LANGUAGE sql AS 'SELECT $1';
CREATE VIEW src.calls AS SELECT src.only_numeric(n) AS n FROM staging.narrow;
SELECT lives_ok($$SELECT wh.alter_feed('narrow')$$, 'a view that calls a function');
SELECT throws_ok($$SELECT wh.alter_feed('narrow', on_source_change => 'perhaps')$$, '22023', NULL, 'on_source_change is one of two words');

-- Followed by itself: staging, a dimension, a fact.
CREATE TABLE src.line (line_id int, quantity smallint, label varchar(3), at timestamptz);
INSERT INTO src.line VALUES (1, 5, 'abc', '2024-01-01'), (2, 6, 'abc', '2024-01-01');
SELECT wh.create_feed('line', 'src.line', 'append', '{line_id}', sequence_by => 'at') \g /dev/null
SELECT wh.alter_feed('line', on_source_change => 'follow') \g /dev/null
SELECT wh.create_dimension('label', 'SELECT label FROM line GROUP BY label', '{label}') \g /dev/null
SELECT wh.create_fact('lines', 'SELECT line_id, quantity, label, at FROM line', '{line_id}', 'at', '{"label": "label"}') \g /dev/null
CALL wh.run();
ALTER TABLE src.line ALTER quantity TYPE int, ALTER label TYPE text, ADD note text;
INSERT INTO src.line VALUES (3, 100000, 'long label', '2024-01-02', 'a note');
SELECT lives_ok('CALL wh.run()', 'a feed follows by itself');
SELECT results_eq('SELECT line_id, quantity, label, note FROM staging.line ORDER BY 1', $$VALUES (1, 5, 'abc', NULL), (2, 6, 'abc', NULL), (3, 100000, 'long label', 'a note')$$, 'what is staged');
SELECT results_eq('SELECT f.line_id, f.quantity, d.label FROM mart.lines f JOIN mart.label d USING (label_key) ORDER BY 1', $$VALUES (1, 5, 'abc'), (2, 6, 'abc'), (3, 100000, 'long label')$$, 'the fact and its dimension');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'a rebuild is the same');

-- A dump of everything can be restored: each value fits its column.
SELECT is_empty($$SELECT c.oid::regclass, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace IN ('staging'::regnamespace, 'mart'::regnamespace)
  AND c.relkind = 'r' AND a.atttypid = 'varchar'::regtype AND a.atttypmod > 0 AND (xpath('/row/max/text()', query_to_xml(format('SELECT max(length(%I)) FROM %s', a.attname, c.oid::regclass), true, true, '')))[1]::text::int > a.atttypmod - 4$$, 'no text is longer than its column');

-- A source that is gone.
DROP TABLE src.line CASCADE;
SELECT lives_ok($$SELECT wh.pause_feed('line')$$, 'a feed whose source is gone can be paused');
SELECT lives_ok($$SELECT wh.alter_feed('line', reject_limit => 5)$$, 'and get another limit');
SELECT throws_ok($$SELECT wh.alter_feed('line', deleted_when => 'true')$$, '42P01', NULL, 'but nothing that is checked against the source');
SELECT throws_ok($$SELECT wh.add_screen('line', 's', 'line_id > 0')$$, '42P01', NULL, 'no screen either');
SELECT wh.drop_fact('lines') \g /dev/null
SELECT wh.drop_dimension('label') \g /dev/null
SELECT lives_ok($$SELECT wh.drop_feed('line')$$, 'it can be dropped');
SELECT * FROM finish();
DROP OWNED BY wide_reader;
DROP ROLE wide_reader;
