-- wh.status in each state, and what a run says: times, errors, warnings and alerts; components.
SELECT no_plan();
SET client_min_messages = error;
\setenv PGDATABASE :DBNAME
\setenv PGOPTIONS ''
CREATE SCHEMA src;
CREATE FUNCTION status(object text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws('|', s.state, 'withheld by ' || s.withheld_by, s.last_error, 'detail: ' || s.last_error_detail) FROM wh.status s WHERE s.object = $1 $$;
-- what psql says, and hears on wh_alert, when another session does something
CREATE TABLE said (line text);
\set run '\\! (echo "LISTEN wh_alert;"; echo "CALL wh.run();"; echo "SELECT 1;") | psql -Xqt > $WH_TMP/said_$PGDATABASE 2>&1'
\set read 'TRUNCATE said; \\copy said FROM PROGRAM ''cat $WH_TMP/said_$PGDATABASE'' WITH (FORMAT csv, DELIMITER E''\\x01'', QUOTE E''\\x02'')'
CREATE FUNCTION alert() RETURNS TABLE (alert jsonb) LANGUAGE sql AS $$
  SELECT substring(line FROM 'with payload "(\{.*\})" received')::jsonb FROM said WHERE line ~ 'wh_alert' $$;

-- a feed and a dimension, from never run to ready
CREATE TABLE src.a (id int, v text, at timestamptz);
SELECT wh.create_feed('a', 'src.a', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('a', 'SELECT id, v::int AS v FROM a', '{id}') \g /dev/null
SELECT is(status('staging.a'), 'never run', 'a feed that never ran');
SELECT is(status('mart.a'), 'never run', 'nor did its dimension');
SELECT results_eq($$SELECT last_run_at, last_looked_at, last_success_at, last_news_at, freshness FROM wh.status WHERE object = 'staging.a'$$,
  'SELECT NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::interval', 'without times');
CALL wh.run();
SELECT is(status('staging.a'), 'ready', 'a run that finds nothing was a look');
SELECT ok(last_looked_at = last_run_at AND last_success_at = last_run_at AND last_news_at IS NULL, 'which has its time, and brought no news') FROM wh.status WHERE object = 'staging.a';
INSERT INTO src.a VALUES (1, '1', '2024-01-01');
CALL wh.run();
SELECT is(status('mart.a'), 'ready', 'published');
SELECT ok(last_looked_at > last_news_at AND last_run_at = last_looked_at AND freshness < interval '1 hour', object || ' has news') FROM wh.status;

-- an empty cycle: times are overwritten where they stand
CREATE TEMP TABLE looks AS SELECT ctid AS place, xmin AS writer, * FROM wh.last_look;
CREATE TEMP TABLE before AS SELECT object, last_news_at, last_looked_at FROM wh.status;
SELECT count(*) AS batches FROM wh.batch \gset
CALL wh.run();
SELECT is((SELECT count(*) FROM wh.batch), :batches::bigint, 'an empty cycle logs nothing');
SELECT results_eq('SELECT l.ctid, l.xmin::text FROM wh.last_look l ORDER BY object_id', 'SELECT place, writer::text FROM looks ORDER BY object_id', 'rows of looks are not written anew');
SELECT ok(s.last_looked_at > b.last_looked_at AND s.last_news_at = b.last_news_at, s.object || ' was looked at') FROM wh.status s JOIN before b USING (object);
BEGIN;
SELECT last_looked_at AS looked FROM wh.status WHERE object = 'staging.a' \gset
CALL wh.run();
ROLLBACK;
SELECT cmp_ok((SELECT last_looked_at FROM wh.status WHERE object = 'staging.a'), '>', :'looked'::timestamptz, 'a look is one, whatever becomes of its transaction');

-- a definition that fails at a value: no value is told
INSERT INTO src.a VALUES (2, 'card 4111', '2024-01-02');
:run
:read
SELECT is(status('mart.a'), 'failed|invalid input syntax for type ...: "..."', 'a publish that fails, without the value');
SELECT results_eq('SELECT state, object, message, sqlstate FROM wh.batch ORDER BY batch_id DESC LIMIT 1', $$VALUES ('failed', 'mart.a', 'invalid input syntax for type ...: "..."', '22P02')$$, 'so does the log');
SELECT results_eq($$SELECT alert - 'at' - 'batch_id' FROM alert()$$,
  $$VALUES ('{"event": "failed", "kind": "dimension", "object": "mart.a", "sqlstate": "22P02", "message": "invalid input syntax for type ...: \"...\"", "detail": null}'::jsonb)$$, 'and the alert, once');
SELECT ok(EXISTS (SELECT FROM said WHERE line LIKE 'ERROR%card 4111%'), 'who runs sees it');
SELECT ok(last_run_at > last_success_at, 'the try was later than the last success') FROM wh.status WHERE object = 'mart.a';
INSERT INTO src.a VALUES (2, '2', '2024-01-02');
DELETE FROM src.a WHERE v LIKE 'card%';
UPDATE src.a SET at = '2024-01-03' WHERE id = 2;
SELECT wh.alter_dimension('a', query => 'SELECT id, length(v) AS v FROM a') \g /dev/null
CALL wh.run();
SELECT is(status('mart.a'), 'ready', 'a definition that was mended is ready');

-- a feed that fails, and recovers without news; what waits for it
ALTER TABLE src.a RENAME v TO w;
INSERT INTO src.a VALUES (9, '9', '2024-01-04');
CREATE TABLE src.b (id int, at timestamptz);
INSERT INTO src.b VALUES (1, '2024-01-01');
SELECT wh.create_feed('b', 'src.b', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('ab', 'SELECT b.id, a.v FROM b LEFT JOIN a USING (id)', '{id}') \g /dev/null
SELECT wh.create_dimension('b', 'SELECT id FROM b', '{id}') \g /dev/null
:run
:read
SELECT is(status('staging.a'), 'failed|column "v" is missing from the source of feed "staging.a"|detail: It is staged, and was dropped or renamed in the source.', 'message and detail are parted');
SELECT is(status('mart.ab'), 'never run|withheld by staging.a', 'what reads it is withheld');
SELECT is(status('mart.b'), 'ready', 'what does not is published');
SELECT ok(EXISTS (SELECT FROM said WHERE line LIKE 'DETAIL:  Not published, because of feeds that failed: mart.ab%mart.a%' OR line LIKE 'DETAIL:  Not published, because of feeds that failed: mart.a, mart.ab%'), 'the run says so');
SELECT is((SELECT count(*) FROM alert() WHERE alert ->> 'object' = 'staging.a' AND alert ->> 'event' = 'failed'), 1::bigint, 'an alert came once');
\set ON_ERROR_STOP off
CALL wh.run(publish_anyway => true);
\set ON_ERROR_STOP on
SELECT is(status('mart.ab'), 'ready', 'with publish_anyway it is published');
ALTER TABLE src.a RENAME w TO v;
DELETE FROM src.a WHERE id = 9;
CALL wh.run();
SELECT is(status('staging.a'), 'ready', 'a feed whose last try found nothing new is ready');
SELECT wh.pause_feed('a') \g /dev/null
SELECT is(status('staging.a'), 'paused', 'or paused');
SELECT wh.resume_feed('a') \g /dev/null
SELECT wh.drop_dimension('ab') \g /dev/null

-- rejected records: a warning and an alert
CREATE TABLE src.r (id int, v int);
INSERT INTO src.r VALUES (NULL, 1), (NULL, 2), (3, 3);
SELECT wh.create_feed('r', 'src.r', 'append', '{id}') \g /dev/null
:run
:read
SELECT ok(EXISTS (SELECT FROM said WHERE line = 'WARNING:  feed "staging.r": 2 of 3 records rejected, see wh.error_event'), 'a run that rejects records says how many');
SELECT results_eq($$SELECT alert - 'at' - 'batch_id' FROM alert()$$, $$VALUES ('{"event": "rejected", "kind": "feed", "object": "staging.r", "rows_rejected": 2, "rows_read": 3}'::jsonb)$$, 'and so does an alert');
:run
:read
SELECT is_empty($$SELECT line FROM said WHERE line ~ 'WARNING|wh_alert'$$, 'the same records again are no news');
SELECT wh.drop_feed('r') \g /dev/null

-- components
CREATE TABLE src.c (id int, a_id int, at timestamptz, n text);
INSERT INTO src.c VALUES (1, 1, '2024-02-01', '5');
SELECT wh.create_feed('c', 'src.c', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_date_dimension('day', '2024-01-01', '2024-12-31') \g /dev/null
SELECT wh.create_fact('c', 'SELECT id, a_id, at, at::date AS day, n::int AS n FROM c', '{id}', 'at', '{"a_id": "a", "day": "day"}') \g /dev/null
SELECT wh.create_fact('d', 'SELECT id, at, at::date AS day FROM c', '{id}', 'at', '{"day": "day"}') \g /dev/null
SELECT results_eq($$SELECT string_agg(s.object, ',' ORDER BY s.object) FROM wh.component c JOIN (SELECT dimension_id AS object_id, relation::text AS object FROM wh.dimension
    UNION ALL SELECT fact_id, relation::text FROM wh.fact) s USING (object_id) GROUP BY component_id ORDER BY 1$$,
  $$VALUES ('mart.a,mart.c'), ('mart.b'), ('mart.d')$$, 'a fact is connected with its dimensions, a calendar connects nothing');
CALL wh.run();
SELECT is((SELECT count(*) FROM wh.batch WHERE kind = 'publish' AND started_at > (SELECT max(started_at) FROM wh.batch WHERE kind = 'ingest')), 2::bigint, 'each component is published by itself');
SELECT is_empty($$SELECT object FROM wh.status WHERE state <> 'ready'$$, 'all are ready');
INSERT INTO src.a VALUES (4, '4444', '2024-02-01');
INSERT INTO src.c VALUES (2, 4, '2024-02-02', 'x');
:run
:read
SELECT is(status('mart.c'), 'failed|invalid input syntax for type ...: "..."', 'a fact that fails');
SELECT is(status('mart.a'), 'behind|withheld by mart.c', 'keeps its dimensions as they were');
SELECT is((SELECT count(*) FROM mart.a WHERE id = 4), 0::bigint, 'all of them');
SELECT is(status('mart.d'), 'ready', 'other stars are published');
SELECT is((SELECT count(*) FROM mart.d), 2::bigint, 'with what is new');
SELECT ok(EXISTS (SELECT FROM said WHERE line LIKE 'WARNING:  mart.c was not published: invalid input syntax%'), 'the run warns of it');
SELECT ok(EXISTS (SELECT FROM said WHERE line LIKE 'ERROR:  invalid input syntax%'), 'and ends with its error');
SELECT ok(NOT EXISTS (SELECT FROM wh.plan() WHERE object IN ('mart.a', 'mart.c')), 'wh.plan leaves out what fails');
SELECT wh.alter_fact('d', query => 'SELECT id, at, at::date AS day, a_id FROM c') \g /dev/null
SELECT has_column('mart', 'd', 'a_id', 'others can be altered meanwhile');
SELECT wh.create_dimension('e', 'SELECT id, 10 / (id - 2) AS v FROM c', '{id}') \g /dev/null
:run
:read
SELECT ok(EXISTS (SELECT FROM said WHERE line = 'ERROR:  2 of the run''s feeds and publishes failed: mart.c, mart.e'), 'of two that fail the error has both names');
SELECT throws_matching('CALL wh.run()', 'feeds and publishes failed: mart.c, mart.e', 'also inside a transaction block');
SELECT throws_matching($$CALL wh.run(objects => '{e}')$$, 'division by zero', 'a run of some objects tries only their components');
SELECT lives_ok($$CALL wh.run(objects => '{d,b}')$$, 'which may be well');
SELECT throws_ok($$CALL wh.run(objects => '{nothing}')$$, '42704', NULL, 'an object that is not there');
INSERT INTO src.b VALUES (7, '2024-03-01');
\set ON_ERROR_STOP off
CALL wh.run(together => true);
\set ON_ERROR_STOP on
SELECT is((SELECT count(*) FROM mart.b WHERE id = 7), 0::bigint, 'together: nothing is published when one fails');
\set ON_ERROR_STOP off
CALL wh.run();
\set ON_ERROR_STOP on
SELECT is((SELECT count(*) FROM mart.b WHERE id = 7), 1::bigint, 'one by one: what can be');
SELECT wh.drop_dimension('e') \g /dev/null
UPDATE src.c SET n = '6', at = '2024-02-03' WHERE id = 2;
SELECT wh.add_screen('c', 'number', $$n ~ '^[0-9]+$'$$) \g /dev/null
SELECT wh.alter_fact('c', query => $$SELECT id, a_id, at, at::date AS day, CASE WHEN n ~ '^[0-9]+$' THEN n::int END AS n FROM c$$) \g /dev/null
CALL wh.run(together => true);
SELECT is_empty($$SELECT object FROM wh.status WHERE state <> 'ready'$$, 'all are ready again');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and right');

-- serialization
CREATE FUNCTION src.fails() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'conflict with recovery' USING ERRCODE = '40001'; END $$;
CREATE VIEW src.v AS SELECT 1 AS id, src.fails() AS v;
SELECT wh.create_feed('v', 'src.v', 'upsert', '{id}') \g /dev/null
SELECT last_value AS tried FROM wh.batch_id_seq \gset
\set ON_ERROR_STOP off
CALL wh.run(feeds => '{v}');
\set ON_ERROR_STOP on
SELECT is((SELECT last_value FROM wh.batch_id_seq) - :tried, 6::bigint, 'a source that answers 40001 is tried a few times');
SELECT is((SELECT sqlstate FROM wh.batch ORDER BY batch_id DESC LIMIT 1), '40001', 'then the feed fails with it');
SELECT throws_ok($$CALL wh.run(feeds => '{v}')$$, '40001', 'conflict with recovery', 'inside a transaction block the transaction fails with it');
SELECT wh.drop_feed('v') \g /dev/null
INSERT INTO src.a VALUES (5, '5', '2024-05-01');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM src.a \g /dev/null
\! psql -Xqc 'CALL wh.run()'
SELECT throws_ok('CALL wh.run()', '40001', 'could not serialize access: another run was faster', 'a snapshot that does not see another run''s rows is refused');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM src.a \g /dev/null
\! psql -Xqc 'CALL wh.run(full_refresh => true)'
SELECT lives_ok('CALL wh.run()', 'one that another run has written nothing behind is not');
COMMIT;
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
