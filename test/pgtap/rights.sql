-- Who may do what, and that nobody's functions run with another's rights.
SELECT no_plan();

CREATE ROLE t_op; GRANT wh_operator TO t_op;
CREATE ROLE t_other; GRANT wh_operator TO t_other;
GRANT CREATE ON DATABASE :DBNAME TO t_op, t_other;

SET ROLE t_op;
CREATE SCHEMA own;
CREATE TABLE own.thing (thing_id int, label text, at timestamptz);
INSERT INTO own.thing VALUES (1, 'x', '2024-01-01');
SELECT wh.create_feed('own.thing_feed', 'own.thing', 'upsert', key => '{thing_id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('own.thing_dim', 'SELECT thing_id, label FROM own.thing_feed', '{thing_id}') \g /dev/null

-- functions that shadow those of pg_catalog do not run as the owner of the catalogs
CREATE TABLE own.caught (who text);
GRANT USAGE ON SCHEMA own TO PUBLIC; GRANT INSERT ON own.caught TO PUBLIC;
CREATE FUNCTION own.catch(s bigint, v bigint) RETURNS bigint LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO own.caught VALUES (current_user); RETURN greatest(s, v); END$$;
CREATE FUNCTION own.catch(s boolean, v boolean) RETURNS boolean LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO own.caught VALUES (current_user); RETURN v; END$$;
CREATE AGGREGATE own.min(bigint) (sfunc = own.catch, stype = bigint);
CREATE AGGREGATE own.sum(bigint) (sfunc = own.catch, stype = bigint);
CREATE AGGREGATE own.bool_and(boolean) (sfunc = own.catch, stype = boolean);
SET search_path = own, pg_catalog;
CALL wh.run();
INSERT INTO own.thing VALUES (1, 'y', '2024-02-01');
CALL wh.run();
CALL wh.run(full_refresh => true);
RESET search_path;
SELECT is_empty('SELECT * FROM own.caught', 'a search path cannot bring functions into the reading of catalogs');

-- nobody holds the engine's locks from SQL
SELECT pg_advisory_lock(2003304449, feed_id::int) FROM wh.feed \g /dev/null
SELECT pg_advisory_lock(2003304450, 0) \g /dev/null
\setenv PGDATABASE :DBNAME
RESET ROLE;
INSERT INTO own.thing VALUES (1, 'locked', '2024-02-02');
\! psql -Xqc "CALL wh.run(wait => false)" 2>&1
SELECT is((SELECT count(*) FROM own.thing_dim WHERE label = 'locked'), 1::bigint, 'nobody holds the engine''s locks from SQL');
SELECT pg_advisory_unlock_all() \g /dev/null
SET ROLE t_op;

-- a plan shows rows to who may read them, and fails without breaking the session
INSERT INTO own.thing VALUES (1, 'z', '2024-03-01');
SELECT ok((SELECT bool_and(samples_written IS NOT NULL) FROM wh.plan(samples => 1)), 'the owner sees samples');
SET ROLE t_other;
SELECT ok((SELECT bool_and(samples_written IS NULL) AND count(*) = 2 FROM wh.plan(samples => 1)),
    'others see counts only');
RESET ROLE;
SELECT throws_ok($$SELECT * FROM wh.plan(feeds => '{own.nothing}')$$, '42704', NULL, 'a plan that fails');
\o /dev/null
\set ON_ERROR_STOP off
SELECT * FROM wh.plan(feeds => '{own.nothing}');
\set ON_ERROR_STOP on
\o
SELECT is(pg_current_xact_id_if_assigned(), NULL, 'the session is not left inside a transaction');

-- what is not one's own
SET ROLE t_other;
SELECT throws_ok($$SELECT wh.alter_feed('own.thing_feed', is_paused => true)$$, '42501', NULL, 'another''s feed is not altered');
SELECT throws_ok($$SELECT wh.drop_feed('own.thing_feed')$$, '42501', NULL, 'nor dropped');
SELECT throws_ok($$SELECT wh.add_screen('own.thing_feed', 's', 'true')$$, '42501', NULL, 'nor screened');
SELECT throws_ok($$SELECT wh.drop_dimension('own.thing_dim')$$, '42501', NULL, 'another''s dimension is not dropped');
SELECT throws_ok($$SELECT wh.alter_dimension('own.thing_dim', default_scd => 1)$$, '42501', NULL, 'nor altered');
SELECT throws_ok($$SELECT wh.create_feed('other.thing', 'own.thing', 'upsert', '{thing_id}')$$, '42501', NULL,
    'a source must be readable');
SELECT throws_ok($$SELECT wh.read_csv('/etc/passwd')$$, '42501', NULL, 'no file is read');
SELECT throws_ok($$SELECT wh.write_csv('/tmp/x.csv', 'SELECT 1')$$, '42501', NULL, 'no file is written');
CREATE SCHEMA other;
SELECT throws_ok($$SELECT wh.create_dimension('other.d', 'SELECT thing_id, label FROM own.thing_feed', '{thing_id}')$$, '42501', NULL,
    'a definition reads what its owner may read');
CREATE TABLE other.sale (sale_id int, thing_id int, label text, at timestamptz);
INSERT INTO other.sale VALUES (1, 7, 'x', '2024-01-01');
SELECT wh.create_feed('other.sales', 'other.sale', 'upsert', '{sale_id}', sequence_by => 'at') \g /dev/null
SELECT throws_ok($$SELECT wh.create_fact('other.f', 'SELECT sale_id, thing_id, at FROM other.sales', '{sale_id}', 'at', '{"thing_id": "own.thing_dim"}')$$,
    '42501', NULL, 'and refers to what he may read');
SET ROLE t_op;
GRANT SELECT ON own.thing_feed, own.thing_feed_history, own.thing_feed_change TO t_other;
SET ROLE t_other;
SELECT lives_ok($$SELECT wh.create_dimension('other.d', 'SELECT s.sale_id, t.thing_id FROM other.sales s JOIN own.thing_feed t ON t.label = s.label', '{sale_id}')$$,
    'an index that only another can make is no error');
CALL wh.run();
SELECT is((SELECT count(*) FROM other.d WHERE sale_id = 1), 1::bigint, 'another''s feed is read where granted');
RESET ROLE;

-- a definition cannot be changed by somebody else than the owner of the table
ALTER TABLE other.d OWNER TO t_op;
SELECT throws_ok('CALL wh.run(full_refresh => true)', '55000', NULL, 'a table and its definition have one owner');
ALTER TABLE other.d OWNER TO t_other;
ALTER TABLE other.sales_history OWNER TO t_op;
INSERT INTO other.sale VALUES (2, 7, 'y', '2024-01-01');
SELECT throws_like($$SELECT wh.ingest('other.sales')$$, 'the relations of feed % have different owners', 'and a feed''s relations');
ALTER TABLE other.sales_history OWNER TO t_other;
SELECT wh.drop_dimension('other.d'), wh.drop_feed('other.sales') \g /dev/null

-- nor functions of indexes: each table is written as its owner
SET ROLE t_op;
CREATE FUNCTION own.indexed(x text) RETURNS text IMMUTABLE LANGUAGE plpgsql
    AS $$BEGIN IF current_user <> 't_op' THEN RAISE 'ran as %', current_user; END IF; RETURN x; END$$;
CREATE INDEX thing_indexed ON own.thing_dim (own.indexed(label));
RESET ROLE;
CREATE TABLE public.mine (id int, thing_id int, at timestamptz);
INSERT INTO public.mine VALUES (1, 4711, '2024-01-01');
SELECT wh.create_feed('mine', 'public.mine', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_fact('mine', 'SELECT id, thing_id, at FROM mine', '{id}', 'at', '{"thing_id": "own.thing_dim"}') \g /dev/null
SELECT lives_ok('CALL wh.run()', 'a superuser''s fact makes an inferred member in another''s dimension');
SELECT is((SELECT count(*) FROM own.thing_dim WHERE thing_id = 4711), 1::bigint, 'which is there');
SELECT wh.drop_fact('mine'), wh.drop_feed('mine') \g /dev/null

-- a superuser alters a dimension for its owner
SELECT wh.alter_dimension('own.thing_dim', query => 'SELECT thing_id, upper(label) AS label FROM own.thing_feed') \g /dev/null
SELECT lives_ok('CALL wh.run(full_refresh => true)', 'what a superuser alters stays its owner''s');

-- checking runs nobody's code: neither casts of theirs nor rules
SET ROLE t_op;
CREATE TYPE own.pair AS (a int);
CREATE FUNCTION own.pair_text(own.pair) RETURNS text LANGUAGE plpgsql
    AS $$BEGIN INSERT INTO own.caught VALUES (current_user); RETURN 'same'; END$$;
CREATE CAST (own.pair AS text) WITH FUNCTION own.pair_text(own.pair);
CREATE TABLE own.paired (id int, p own.pair, at timestamptz);
INSERT INTO own.paired VALUES (1, ROW(1), '2024-01-01'), (1, ROW(2), '2024-01-02');
SELECT wh.create_feed('own.pairs', 'own.paired', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('own.pair_dim', 'SELECT id, p FROM own.pairs', '{id}') \g /dev/null
CALL wh.run();
RESET ROLE;
SELECT is_empty('SELECT * FROM wh.check()', 'check holds');
SELECT is_empty('SELECT * FROM own.caught', 'and has called no cast of the owner');
SELECT wh.drop_dimension('own.pair_dim'), wh.drop_feed('own.pairs') \g /dev/null

SELECT wh.drop_dimension('own.thing_dim'), wh.drop_feed('own.thing_feed') \g /dev/null
SET client_min_messages = error;
DROP OWNED BY t_op, t_other CASCADE; DROP ROLE t_op, t_other;
SELECT * FROM finish();
