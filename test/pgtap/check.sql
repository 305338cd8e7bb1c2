-- wh.check(): finds what was broken by hand, runs everything as its owner, and says what it leaves out.
SELECT no_plan();

CREATE ROLE t_a; GRANT wh_operator TO t_a;
CREATE ROLE t_b; GRANT wh_operator TO t_b;
GRANT CREATE ON DATABASE :DBNAME TO t_a, t_b;

-- what is broken by hand is found
CREATE SCHEMA src;
CREATE TABLE src.thing (id int, label text, doc json, at timestamptz);
CREATE TABLE src.sale (sale_id int, thing_id int, at timestamptz);
CREATE TABLE src.click (at timestamptz, n int);
INSERT INTO src.thing VALUES (1, 'a', '{"x":1}', '2024-01-01'), (1, 'b', '{"x":2}', '2024-02-01'), (1, 'c', '{"x":2}', '2024-03-01'), (2, 'z', NULL, '2024-01-01');
INSERT INTO src.sale VALUES (1, 1, '2024-01-15'), (2, 2, '2024-02-15'), (3, 9, '2024-02-15');
INSERT INTO src.click VALUES ('2024-01-01', 1), ('2024-01-01', 2);
SELECT wh.create_feed('thing', 'src.thing', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('sale', 'src.sale', 'append', '{sale_id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('click', 'src.click', 'append', '{n}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('thing', 'SELECT id, label, doc FROM thing', '{id}') \g /dev/null
SELECT wh.create_date_dimension('day', '2024-01-01', '2024-12-31') \g /dev/null
SELECT wh.create_fact('sale', 'SELECT sale_id, thing_id, at FROM sale', '{sale_id}', 'at', '{"thing_id": "thing", "at": "day"}') \g /dev/null
CALL wh.run();
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'nothing is wrong');
SELECT throws_ok($$SELECT * FROM wh.check('nothing')$$, '42704', NULL, 'what is checked must be there');
SELECT is_empty($$SELECT * FROM wh.check('thing')$$, 'a plain name');

CREATE FUNCTION src.broken(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE found text[];
BEGIN
    BEGIN
        EXECUTE statement;
        SELECT array_agg(checked_object || ': ' || failed_check || ' ' || failures ORDER BY 1) INTO found FROM wh.check();
        RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
    EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN NULL;
    END;
    RETURN QUERY SELECT unnest(found);
END $$;
SELECT set_eq($$SELECT src.broken('TRUNCATE mart.sale')$$, ARRAY['mart.sale: rows are those that batches wrote 3',
    'mart.thing: an inferred member is referred to 1'], 'a truncated fact');
SELECT set_eq($$SELECT src.broken('DELETE FROM mart.sale WHERE sale_id = 1')$$, ARRAY['mart.sale: rows are those that batches wrote 1'], 'a row of a fact is gone');
SELECT set_eq($$SELECT src.broken('TRUNCATE staging.thing_history')$$, ARRAY['staging.thing: rows in staging are those that batches staged 4'], 'a truncated history');
SELECT set_eq($$SELECT src.broken('DELETE FROM staging.sale WHERE sale_id = 1')$$, ARRAY['staging.sale: rows in staging are those that batches staged 1'], 'a keyed event is gone');
SELECT set_eq($$SELECT src.broken('DELETE FROM staging.click WHERE n = 1')$$, ARRAY['staging.click: rows in staging are those that batches staged 1'], 'as is another');
SELECT set_eq($$SELECT src.broken('UPDATE staging.thing_history SET effective_to = ''2024-01-20'' WHERE label = ''a''')$$,
    ARRAY['staging.thing: versions of a key follow each other without gap or overlap 1'], 'a gap');
SELECT set_eq($$SELECT src.broken('DELETE FROM mart.thing WHERE label = ''c''')$$,
    ARRAY['mart.thing: rows are those that batches wrote 1'], 'a version is gone');
SELECT set_eq($$SELECT src.broken('UPDATE mart.thing SET label = ''b'' WHERE label = ''c''')$$,
    ARRAY['mart.thing: neighbouring versions differ 1'], 'equal neighbours, also with a column that has no equality');
SELECT set_eq($$SELECT src.broken('UPDATE mart.thing SET label = NULL WHERE label IN (''b'', ''c'')')$$,
    ARRAY['mart.thing: neighbouring versions differ 1'], 'NULL equals NULL');
SELECT set_eq($$SELECT src.broken('UPDATE mart.thing SET effective_to = ''2024-02-15'' WHERE label = ''a''')$$,
    ARRAY['mart.thing: versions of a key do not overlap 1'], 'an overlap');
SELECT set_eq($$SELECT src.broken('UPDATE mart.thing SET is_current = true WHERE label = ''a''')$$,
    ARRAY['mart.thing: is_current tells the open version 1'], 'a wrong is_current');
SELECT set_eq($$SELECT src.broken('DELETE FROM mart.thing WHERE thing_key = -2')$$,
    ARRAY['mart.thing: members -1 (unknown) and -2 (not applicable) exist 1'], 'member -2 is gone');
SELECT set_eq($$SELECT src.broken('UPDATE mart.sale SET thing_key = -1 WHERE sale_id = 1')$$,
    ARRAY['mart.sale: thing_key refers to the version valid at at 1'], 'a wrong key');
SELECT set_eq($$SELECT src.broken('UPDATE wh.batch_step SET rows_repeated = 1 WHERE object = ''staging.click''')$$,
    ARRAY['staging.click: read = staged + rejected + repeated + superseded 1'], 'counts');
-- one that cannot be checked hides no other
ALTER TABLE mart.thing ENABLE ROW LEVEL SECURITY;
ALTER EVENT TRIGGER wh_guard_ddl DISABLE;
ALTER TABLE mart.thing FORCE ROW LEVEL SECURITY;
ALTER EVENT TRIGGER wh_guard_ddl ENABLE ALWAYS;
ALTER TABLE mart.thing OWNER TO t_a;
GRANT USAGE ON SCHEMA mart TO t_a;
SELECT set_eq($$SELECT checked_object, failed_check FROM wh.check() WHERE checked_object = 'mart.thing'$$,
    $$VALUES ('mart.thing', 'can be checked')$$, 'an object that fails is named');
SELECT set_eq($$SELECT src.broken('DELETE FROM staging.click WHERE n = 1') EXCEPT SELECT checked_object || ': ' || failed_check || ' ' || failures FROM wh.check()$$,
    ARRAY['staging.click: rows in staging are those that batches staged 1'], 'and hides no other');
ALTER TABLE mart.thing NO FORCE ROW LEVEL SECURITY;
ALTER TABLE mart.thing OWNER TO CURRENT_USER;

-- everything runs as its owner, with no more rights than his
SET ROLE t_a;
CREATE SCHEMA a;
CREATE TABLE a.ran_as (who text);
GRANT USAGE ON SCHEMA a TO PUBLIC;
CREATE FUNCTION a.trap(anyelement) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN INSERT INTO a.ran_as VALUES (current_user); RETURN true; END $$;
GRANT INSERT ON a.ran_as TO PUBLIC;
CREATE DOMAIN a.number AS int;
CREATE DOMAIN a.numbers AS int[];
CREATE TYPE a.pair AS (n int);
CREATE FUNCTION a.pair_equal(a.pair, a.pair) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN IF current_user <> 't_a' THEN RAISE EXCEPTION 'ran as %', current_user; END IF; RETURN $1.n = $2.n; END $$;
CREATE FUNCTION a.pair_text(a.pair) RETURNS text LANGUAGE plpgsql AS $$
BEGIN IF current_user <> 't_a' THEN RAISE EXCEPTION 'ran as %', current_user; END IF; RETURN 'x'; END $$;
CREATE OPERATOR a.= (LEFTARG = a.pair, RIGHTARG = a.pair, FUNCTION = a.pair_equal);
CREATE CAST (a.pair AS text) WITH FUNCTION a.pair_text(a.pair) AS IMPLICIT;
CREATE TABLE a.source (id int, p a.pair, label text, at timestamptz);
INSERT INTO a.source VALUES (1, ROW(1), 'x', '2024-01-01'), (1, ROW(2), 'x', '2024-02-01'), (2, NULL, 'y', '2024-01-01');
SELECT wh.create_feed('a.staged', 'a.source', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('a.thing', 'SELECT id::a.number AS id, p, label FROM a.staged', '{id}') \g /dev/null
SELECT wh.create_fact('a.things', 'SELECT id, label, at FROM a.staged', '{id}', 'at', '{"id": "a.thing"}') \g /dev/null
CALL wh.run();
CREATE FUNCTION a.label(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN IF current_user <> 't_a' THEN RAISE EXCEPTION 'ran as %', current_user; END IF; RETURN $1; END $$;
CREATE INDEX ON a.thing (a.label(label));
CREATE INDEX ON a.staged_history (id) WHERE a.label(label) = 'x';
ALTER DOMAIN a.number ADD CHECK (a.trap(VALUE));
ALTER TABLE a.staged_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE a.thing ENABLE ROW LEVEL SECURITY;
ALTER TABLE a.things ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON a.staged_history USING (a.trap(label));
CREATE POLICY p ON a.thing USING (a.trap(label));
CREATE POLICY p ON a.things USING (a.trap(label));
DELETE FROM a.ran_as;
RESET ROLE;
SELECT is_empty($$SELECT * FROM wh.check() WHERE checked_object LIKE 'a.%'$$, 'a superuser checks what another owns');
SELECT is_empty($$SELECT * FROM wh.check(rebuild => true) WHERE checked_object LIKE 'a.%' OR checked_object LIKE 'wh.%'$$, 'and rebuilds it');
SELECT is_empty($$SELECT who FROM a.ran_as WHERE who <> 't_a'$$, 'nothing ran but as its owner');

-- a stranger's rights
SET ROLE t_b;
SELECT is((SELECT count(*) FROM wh.check() WHERE failed_check <> 'skipped'), 0::bigint, 'an operator checks what he may read');
SELECT set_eq($$SELECT checked_object FROM wh.check() WHERE failed_check = 'skipped'$$,
    $$SELECT object FROM wh.status$$, 'and is told what was left out');
CREATE SCHEMA b;
CREATE TABLE b.source (id int, at timestamptz);
INSERT INTO b.source VALUES (1, '2024-01-01');
SELECT wh.create_feed('b.staged', 'b.source', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
CALL wh.run();
DELETE FROM b.staged_history;
SELECT set_eq($$SELECT checked_object, failures FROM wh.check() WHERE failed_check <> 'skipped'$$, $$VALUES ('b.staged', 1::bigint)$$, 'his own is checked');
SET ROLE t_a;
GRANT SELECT ON a.thing TO t_b;
SET ROLE t_b;
SELECT matches((SELECT detail FROM wh.check('a.thing')), 'may not read every row', 'nor is a sample shown of what a policy hides');
SELECT throws_ok('SELECT * FROM wh.check_queries(NULL)', '42501', NULL, 'the queries are nobody''s');
SELECT throws_ok($$SELECT wh.check_equality('int')$$, '42501', NULL, 'nor their parts');
RESET ROLE;
SELECT is_empty($$SELECT who FROM a.ran_as WHERE who <> 't_a'$$, 'still nothing ran but as its owner');

-- as many columns as a table can have
SELECT format('CREATE TABLE src.wide (id int, at timestamptz%s)', string_agg(format(', c%s int', i), '')) FROM generate_series(1, 1585) i \gexec
INSERT INTO src.wide (id, at, c1) VALUES (1, '2024-01-01', 1), (1, '2024-02-01', 2);
SELECT wh.create_feed('wide', 'src.wide', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('wide', 'SELECT * FROM wide', '{id}') \g /dev/null
CALL wh.run();
SELECT is_empty($$SELECT * FROM wh.check('wide')$$, 'a table of nearly 1,600 columns');
UPDATE mart.wide SET c1 = 2, at = '2024-01-01';
SELECT set_eq($$SELECT failed_check FROM wh.check('mart.wide')$$, ARRAY['neighbouring versions differ'], 'whose neighbours are compared');

SET client_min_messages = error;
DROP OWNED BY t_a, t_b CASCADE; DROP ROLE t_a, t_b;
SELECT * FROM finish();
