-- Plain names in definitions and expressions reach relations of schemas staging and public, and no function, operator,
-- type or cast of another plain role.
SELECT no_plan();

CREATE ROLE t_def; GRANT wh_operator TO t_def;
CREATE ROLE t_trap;
GRANT CREATE ON DATABASE :DBNAME TO t_def, t_trap;
CREATE SCHEMA staging; CREATE SCHEMA mart;
GRANT ALL ON SCHEMA staging, mart TO t_def;
GRANT ALL ON SCHEMA staging, public TO t_trap;
CREATE SCHEMA util AUTHORIZATION t_trap;
GRANT USAGE ON SCHEMA util TO PUBLIC;

-- everything that a name could stand for
SET ROLE t_trap;
CREATE FUNCTION staging.trap(x anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE FUNCTION staging.upper(varchar) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE FUNCTION public.length(varchar) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE FUNCTION staging.same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE OPERATOR staging.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = staging.same);
CREATE OPERATOR public.<> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = staging.same);
CREATE OPERATOR staging.~~ (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = staging.same);
CREATE FUNCTION staging.longer(varchar, varchar) RETURNS varchar LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE AGGREGATE staging.max(varchar) (SFUNC = staging.longer, STYPE = varchar);
CREATE DOMAIN staging.label AS text CHECK (staging.trap(VALUE));
CREATE DOMAIN public.odd AS int CHECK (staging.trap(VALUE));
CREATE TYPE staging.two AS (a staging.label);
CREATE FUNCTION util.clean(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.upper($1)';
CREATE FUNCTION util.same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 OPERATOR(pg_catalog.=) $2';
CREATE OPERATOR util.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = util.same);
CREATE DOMAIN util.word AS text;
CREATE TYPE util.pair AS (n int);
CREATE TYPE util.mood AS ENUM ('good', 'bad');
CREATE FUNCTION util.pair_text(util.pair) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
CREATE CAST (util.pair AS text) WITH FUNCTION util.pair_text(util.pair) AS IMPLICIT;
RESET ROLE;

SET ROLE t_def;
CREATE SCHEMA def;
CREATE TABLE def.p (id int, code varchar(10), other varchar(10), pair util.pair, mood util.mood, at timestamptz);
INSERT INTO def.p VALUES (1, 'x', 'y', ROW(1), 'good', '2024-01-01');
SELECT wh.create_feed('p', 'def.p', 'upsert', '{id}', sequence_by => 'at') \g /dev/null

-- tries a definition; gives how it was refused
CREATE FUNCTION def.try(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wh.create_dimension('d', query, '{id}');
    PERFORM wh.drop_dimension('d');
    RETURN 'accepted';
EXCEPTION WHEN insufficient_privilege THEN RETURN 'refused ' || substring(SQLERRM FROM '^\w+ \S+');
END $$;
SELECT is(def.try(query), wanted, query) FROM (VALUES
    ('SELECT id, upper(code) AS c FROM p', 'refused function staging.upper'),
    ('SELECT id, length(code) AS c FROM p', 'refused function public.length'),
    ('SELECT id, trap(id) AS c FROM p', 'refused function staging.trap'),
    ('SELECT id, code FROM p WHERE code = other', 'refused operator staging.='),
    ('SELECT id, code FROM p WHERE code <> other', 'refused operator public.<>'),
    ('SELECT id, code FROM p WHERE NOT code <> other', 'refused operator public.<>'),
    ('SELECT id, code FROM p WHERE code LIKE other', 'refused operator staging.~~'),
    ('SELECT id, code FROM p WHERE code IN (other, ''a'')', 'refused operator staging.='),
    ('SELECT id, code FROM p WHERE code = ANY (ARRAY[other, ''a''])', 'refused operator staging.='),
    ('SELECT id, code FROM p WHERE code IS DISTINCT FROM other', 'refused operator staging.='),
    ('SELECT id, nullif(code, other) AS c FROM p', 'refused operator staging.='),
    ('SELECT id, CASE code WHEN other THEN 1 END AS c FROM p', 'refused operator staging.='),
    ('SELECT id, code FROM p WHERE code IN (SELECT q.other FROM p q WHERE q.id = p.id)', 'refused operator staging.='),
    ('SELECT p.id, q.code FROM p JOIN p q USING (id, code)', 'refused operator staging.='),
    ('SELECT id, max(code) AS c FROM p GROUP BY id', 'refused function staging.max'),
    ('SELECT id, code FROM (SELECT id, upper(code) AS code FROM p) s', 'refused function staging.upper'),
    ('WITH w AS (SELECT id, upper(code) AS code FROM p) SELECT id, code FROM w', 'refused function staging.upper'),
    ('SELECT id, code FROM p ORDER BY upper(code)', 'refused function staging.upper'),
    ('SELECT id, code::label AS c FROM p', 'refused type staging.label'),
    ('SELECT id, CAST(id AS odd) AS c FROM p', 'refused type public.odd'),
    ('SELECT id, CAST(ARRAY[code] AS label[]) AS c FROM p', 'refused type staging._label'),
    ('SELECT id, ''(x)''::two AS c FROM p', 'refused type staging.two'),
    ('SELECT id, textcat(pair, ''x'') AS c FROM p', 'refused function util.pair_text'),
    ('SELECT id, pair::text AS c FROM p', 'refused function util.pair_text'),
    ('SELECT id, (pair).n AS c FROM p', 'accepted'),
    ('SELECT id, util.clean(code) AS c FROM p', 'accepted'),
    ('SELECT id, code FROM p WHERE code OPERATOR(util.===) other', 'accepted'),
    ('SELECT id, code::util.word AS c FROM p', 'accepted'),
    ('SELECT id, pg_catalog.upper(code) AS c FROM p WHERE mood = ''good''', 'accepted'),
    ('SELECT id, code || ''x'' AS c FROM p WHERE code OPERATOR(pg_catalog.=) other', 'accepted')) v(query, wanted);

-- and expressions of feeds
SELECT throws_ok($$SELECT wh.create_feed('e', 'def.p', 'upsert', '{id}', sequence_by => 'at', deleted_when => 'pair::text = ''x''')$$, '42501', NULL,
    'deleted_when calls no cast of another');
SELECT throws_ok($$SELECT wh.add_screen('p', 's', 'textcat(pair, ''x'') <> ''''')$$, '42501', NULL, 'nor does a screen');
SELECT throws_ok($$SELECT wh.create_feed('e', 'def.p', 'upsert', '{id}', sequence_by => 'at', redact => '{"code": "pair::text"}')$$, '42501', NULL, 'nor a redaction');
SELECT lives_ok($$SELECT wh.add_screen('p', 's', 'util.clean(code) <> ''''')$$, 'what is written with its schema is called');

-- one's own and superusers' functions need no schema
CREATE FUNCTION staging.mine(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
SELECT is(def.try('SELECT id, mine(id) AS c FROM p'), 'accepted', 'one''s own function');
RESET ROLE;
CREATE FUNCTION public.everybodys(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
SET ROLE t_def;
SELECT is(def.try('SELECT id, everybodys(id) AS c FROM p'), 'accepted', 'a superuser''s function');

-- words that read the clock are refused where they can be seen
CREATE FUNCTION def.words(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN def.try(query);
EXCEPTION WHEN feature_not_supported THEN RETURN substring(SQLERRM FROM '".*"');
END $$;
SELECT is(def.words(query), wanted, query) FROM (VALUES
    ('SELECT id, at FROM p WHERE at < ''now''::timestamptz', '"now"'),
    ('SELECT id, at FROM p WHERE at < ''now''', '"now"'),
    ('SELECT id, timestamp '' Today 12:00'' AS t FROM p', '"today"'),
    ('SELECT id, at FROM p WHERE at::date BETWEEN date ''2024-01-01'' AND CAST(E''tomorrow'' AS date)', '"tomorrow"'),
    ('SELECT id, at FROM (SELECT id, at FROM p WHERE at IN (''2024-01-01'', ''yesterday'')) s', '"yesterday"'),
    ('SELECT id, ''now''::text AS t FROM p WHERE at < timestamptz ''infinity'' AND at > ''2024-01-01''', 'accepted')) v(query, wanted);
SELECT throws_ok($$SELECT wh.add_screen('p', 'w', 'at < ''now''')$$, '0A000', NULL, 'nor in a screen');
SELECT throws_ok($$SELECT wh.create_feed('e', 'def.p', 'upsert', '{id}', sequence_by => 'coalesce(at, timestamptz ''today'')')$$, '0A000', NULL, 'nor in sequence_by');
SELECT throws_ok($$SELECT wh.create_feed('e', 'def.p', 'upsert', '{id}', sequence_by => 'at', redact => '{"at": "''now''::timestamptz"}')$$, '0A000', NULL, 'nor in a redaction');

-- an alteration is looked at as the owner's, also when a superuser makes it
SELECT wh.create_dimension('d', 'SELECT id, code FROM p', '{id}') \g /dev/null
RESET ROLE;
SELECT throws_ok($$SELECT wh.alter_dimension('d', query => 'SELECT id, upper(code) AS code FROM p')$$, '42501', NULL, 'an alteration');
SELECT wh.create_fact('f', 'SELECT id, at FROM p', '{id}', 'at', '{}') \g /dev/null
SELECT throws_ok($$SELECT wh.alter_fact('f', query => 'SELECT id, at FROM p WHERE code = other')$$, '42501', NULL, 'so of a fact');
SELECT lives_ok('CALL wh.run()', 'runs work on');

-- another's policies run with nobody's rights, and filter nothing in silence
SET ROLE t_trap;
CREATE TABLE util.lookup (id int);
CREATE FUNCTION util.policy(int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'policy ran as %', current_user; END $$;
GRANT SELECT ON util.lookup TO t_def;
SET ROLE t_def;
SELECT wh.create_dimension('looked', 'SELECT p.id FROM p JOIN util.lookup l ON l.id OPERATOR(pg_catalog.=) p.id', '{id}', history => 'none') \g /dev/null
CALL wh.run();
SET ROLE t_trap;
ALTER TABLE util.lookup ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON util.lookup USING (util.policy(id));
INSERT INTO util.lookup VALUES (1);
RESET ROLE;
SELECT throws_like('CALL wh.run(full_refresh => true)', '%row-level security%', 'a policy of another stops the definition');
SELECT wh.drop_dimension('looked') \g /dev/null

-- nor is another's simulation run
SET ROLE t_trap;
CREATE SCHEMA operations;
CREATE FUNCTION operations.simulate_day(date, bigint, float8, float8, float8, int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'ran as %', current_user; END $$;
GRANT USAGE ON SCHEMA operations TO PUBLIC;
RESET ROLE;
SELECT throws_ok('CALL wh.simulate(1)', '42501', NULL, 'a stranger''s operations are not simulated');

SET client_min_messages = error;
DROP SCHEMA staging, mart CASCADE;
DROP OWNED BY t_def, t_trap CASCADE; DROP ROLE t_def, t_trap;
SELECT * FROM finish();
