-- wh.describe_query: inputs, columns read, index hints; and the generated SQL on ephemeral
-- relations (here: a trigger's transition tables), as the engine runs it.
\ir ../lib/query_histories.sql
SET client_min_messages = warning;
SELECT no_plan();

SELECT test.fill(0.42);
SELECT test.define($$select c.customer_id, c.name, a.zip, k.label, v.page from customer c
  left join address a on a.customer_id = c.customer_id and a.type = 'B' left join city ci on ci.city_id = a.city_id
  left join country k on k.code = ci.country left join visit v on v.customer_id = c.customer_id$$);
SELECT results_eq($$SELECT relation::text, columns, text FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'input' ORDER BY 1$$,
  $$VALUES ('lk.country', '{code,label}'::text[], 'lookup'), ('st.address', '{customer_id,type,city_id,zip}', 'history'),
    ('st.city', '{city_id,country}', 'history'), ('st.customer', '{customer_id,name}', 'history'),
    ('st.visit', '{customer_id,page}', 'events')$$, 'inputs and the columns read');
SELECT results_eq($$SELECT relation::text, columns FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'index' ORDER BY 1, 2$$,
  $$VALUES ('st.address_history', '{city_id}'::text[]), ('st.address_history', '{customer_id}'), ('st.city_history', '{city_id}'),
    ('st.customer_history', '{customer_id}'), ('st.visit', '{customer_id}')$$, 'indexes wanted');
CREATE UNIQUE INDEX ON st.customer_history (customer_id, effective_from);
CREATE INDEX ON st.address_history (city_id) WHERE type = 'B';
SELECT is_empty($$SELECT FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'index' AND relation = 'st.customer_history'::regclass$$,
  'an index that starts with the column serves');
SELECT isnt_empty($$SELECT FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'index' AND relation = 'st.address_history'::regclass AND columns = '{city_id}'$$,
  'a partial index does not');

CREATE TABLE test.point (k1 int, t timestamptz);
CREATE TABLE test.result (form text, r text);
CREATE FUNCTION test.run_as_of() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE d record;
BEGIN
  FOR d IN SELECT part, text FROM wh.describe_query('test.definition', '{customer_id}') WHERE part LIKE 'as of%' LOOP
    EXECUTE format('INSERT INTO test.result SELECT %L, row(y.*)::text FROM (%s) y', d.part || TG_ARGV[0], d.text);
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER run AFTER INSERT ON test.point REFERENCING NEW TABLE AS wh_points FOR EACH STATEMENT EXECUTE FUNCTION test.run_as_of(', ephemeral');
DO $$
DECLARE d record;
BEGIN
  FOR d IN SELECT part, text FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'all points' LOOP
    EXECUTE 'INSERT INTO test.point ' || d.text;
  END LOOP;
  CREATE TEMP TABLE wh_points AS TABLE test.point;
  FOR d IN SELECT part, text FROM wh.describe_query('test.definition', '{customer_id}') WHERE part LIKE 'as of%' LOOP
    EXECUTE format('INSERT INTO test.result SELECT %L, row(y.*)::text FROM (%s) y', d.part, d.text);
  END LOOP;
END $$;
SELECT isnt_empty($$SELECT FROM test.result$$, 'there are rows to compare');
SELECT bag_eq($$SELECT r FROM test.result WHERE form = 'as of'$$, $$SELECT r FROM test.result WHERE form = 'as of, ephemeral'$$, 'points in an ephemeral relation');
SELECT bag_eq($$SELECT r FROM test.result WHERE form = 'as of'$$, $$SELECT r FROM test.result WHERE form = 'as of, hot, ephemeral'$$, 'points in an ephemeral relation, hot form');

-- Ties: the definition's ORDER BY decides, then every column.
SELECT test.define($$select customer_id, zip, address_id from address order by zip desc$$);
SELECT matches((SELECT text FROM wh.describe_query('test.definition', '{customer_id}') WHERE part = 'as of'),
  'ORDER BY (address\.)?wh_k1, (address\.)?wh_t, (address\.)?zip DESC, (address\.)?customer_id, (address\.)?address_id$', 'order of rows of one key and time');

-- The columns of a view may be renamed after it was made.
ALTER VIEW test.definition RENAME COLUMN customer_id TO id;
SELECT lives_ok($$SELECT FROM wh.describe_query('test.definition', '{id}')$$, 'a renamed key column');
SELECT throws_ok($$SELECT FROM wh.describe_query('test.definition', '{customer_id}')$$, '42703',
  'key column "customer_id" is not an output column of the query', 'its old name');
SELECT throws_ok($$SELECT FROM wh.describe_query('st.visit', '{visit_id}')$$, '42809', '"visit" is not a view', 'a table');
SELECT throws_ok($$SELECT FROM wh.describe_query('test.definition', '{id}', 'x')$$, '22023', 'unknown mode "x"', 'an unknown mode');
SELECT throws_ok($$SELECT FROM wh.describe_query('test.definition', '{}')$$, '22023', 'a key must have between 1 and 16 columns', 'no key');

-- Purity: what a definition may not call, and what it may.
CREATE FUNCTION test.pure(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM test.define(query);
  PERFORM wh.describe_query('test.definition', '{customer_id}', 'current');
  RETURN 'pure';
EXCEPTION WHEN invalid_object_definition THEN
  RETURN sqlerrm;
END $$;
CREATE SEQUENCE test.s;
CREATE VIEW lk.impure AS SELECT code FROM lk.country WHERE current_timestamp > '2024-01-01';
SELECT is(test.pure(format('select customer_id, %s x from customer', e)), format('a definition cannot use %s', w), e)
  FROM (VALUES ('random()', 'function random()'), ('nextval(''test.s'')', 'function nextval()'), ('clock_timestamp()', 'function clock_timestamp()'),
    ('timeofday()', 'function timeofday()'), ('statement_timestamp()', 'function statement_timestamp()'), ('localtime', 'LOCALTIME'),
    ('current_time(0)', 'CURRENT_TIME'), ('session_user', 'SESSION_USER'), ('current_schema', 'CURRENT_SCHEMA'),
    ('age(timestamptz ''2024-01-01'')', 'function age()'), ('txid_current()', 'function txid_current()'),
    ('pg_backend_pid()', 'function pg_backend_pid()'), ('(select count(*) from impure)', 'CURRENT_TIMESTAMP'),
    ('has_table_privilege(''st.visit'', ''select'')', 'function has_table_privilege()')) x(e, w);
SELECT is(test.pure(format('select customer_id, %s x from customer', e)), 'pure', e)
  FROM (VALUES ('to_char(timestamptz ''2024-01-01'', ''YYYY'')'), ('age(timestamp ''2024-01-01'', timestamp ''2023-01-01'')'), ('''2024-01-01''::text::date')) x(e);

SELECT * FROM finish();
