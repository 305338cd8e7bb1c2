-- What is accepted at creation can be published: every statement that a publish will run is planned when an object is made,
-- and what cannot be, or would depend on anything but the data, is refused then, by its name and with a hint.
SET client_min_messages = warning;
SELECT no_plan();

CREATE SCHEMA src;
CREATE TABLE src.a (id int, x int, bits varbit, price money, words tsvector, at timestamptz);
CREATE TABLE src.b (id int, x int, note text, weight float8, at timestamptz);
SELECT wh.create_feed('a', 'src.a', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('b', 'src.b', 'upsert', '{id}', sequence_by => 'at') \g /dev/null

-- Refused -----------------------------------------------------------------------------------
SELECT throws_ok(format('SELECT wh.create_dimension(''no'', %L, ''{id}'', history => %L)', q, h), state, message, what) FROM (VALUES
  ('a join that PostgreSQL cannot plan', 'SELECT a.id, b.note FROM a FULL JOIN b ON a.x >= b.x', 'none', '0A000',
   'FULL JOIN is only supported with merge-joinable or hash-joinable join conditions'),
  ('a name of the engine''s own statements', 'SELECT id, x AS wh_t FROM a', 'auto', '42939', 'column name "wh_t" begins like the engine''s own'),
  ('a whole row as key', 'SELECT a AS id, x FROM a', 'auto', '0A000', 'natural key column "id" is a whole row'),
  ('the same without history', 'SELECT a AS id, x FROM a', 'none', '0A000', 'natural key column "id" is a whole row')) v(what, q, h, state, message);
SELECT throws_ok($$SELECT wh.create_fact('no', 'SELECT id, at FROM a', '{id}', NULL)$$, '22004', 'argument "event_time" must not be null', 'an argument that is missing');
SELECT throws_ok($$SELECT wh.create_dimension('no', 'SELECT id FROM a', NULL)$$, '22004', 'argument "natural_key" must not be null', 'of a dimension too');
SELECT wh.create_fact('first', 'SELECT id, x, at FROM a', '{id}', 'at') \g /dev/null
SELECT throws_ok($$SELECT wh.create_fact('no', 'SELECT x, count(*) AS n, max(at) AS at FROM mart.first GROUP BY x', '{x}', 'at')$$, '0A000',
  'a fact cannot read fact "mart.first"', 'a fact over a fact');
SELECT throws_ok($$SELECT wh.alter_fact('first', query => 'SELECT id, f.x, at FROM a JOIN mart.first f USING (id, at)')$$, '0A000', NULL, 'also when it is altered');

-- Taken -------------------------------------------------------------------------------------
-- keys whose type has no hash function
SELECT wh.create_dimension('d_' || c, format('SELECT DISTINCT ON (%1$s) %1$s, x FROM a ORDER BY %1$s, id', c), ARRAY[c], history => 'none'),
  wh.create_fact('f_' || c, format('SELECT id, %s, at FROM a', c), '{id}', 'at', jsonb_build_object(c, 'd_' || c))
FROM unnest('{bits,price,words}'::text[]) c \g /dev/null
-- a key that can be computed only from the rows that the WHERE keeps
CREATE TABLE src.wire (id int, kind text, code text, note text, at timestamptz);
SELECT wh.create_feed('wire', 'src.wire', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('company', $$SELECT code::int AS company_id, note FROM wire WHERE kind = 'CMP'$$, '{company_id}', history => h[1]),
  wh.create_dimension('company_' || h[1], $$SELECT w.code::int AS company_id, w.note, b.note AS other FROM wire w JOIN b ON b.id = w.code::int WHERE w.kind = 'CMP'$$,
  '{company_id}', history => h[1]) FROM (SELECT '{none}'::text[] h) s \g /dev/null
SELECT wh.create_dimension('company_auto', $$SELECT code::int AS company_id, note FROM wire WHERE kind = 'CMP'$$, '{company_id}') \g /dev/null
-- CTEs that sort or group by what they do not select
SELECT wh.create_dimension('newest', 'WITH r AS (SELECT x, note, row_number() OVER (PARTITION BY x ORDER BY id DESC) AS n FROM b) SELECT x, note FROM r WHERE n = 1', '{x}') \g /dev/null
SELECT wh.create_dimension('grouped', 'WITH g AS (SELECT x, max(note) AS note FROM b GROUP BY x, id) SELECT x, max(note) AS note FROM g GROUP BY x', '{x}') \g /dev/null
-- aggregates that keep their input get an order
SELECT wh.create_dimension('lists', 'SELECT x, array_agg(note) AS notes, string_agg(note, '','' ORDER BY weight) AS line
  FROM b GROUP BY x', '{x}') \g /dev/null
SELECT matches(pg_get_viewdef('mart.lists_definition'), e) FROM (VALUES ('array_agg\(b.note ORDER BY b.note\)'), ('string_agg\(b.note, .* ORDER BY b.weight, b.note\)')) v(e);

INSERT INTO src.a SELECT i, i % 3, (i % 4)::bit(4)::varbit, (i % 5)::numeric::money, ('w' || i % 3)::tsvector, timestamptz '2024-01-01' + i * interval '1 hour'
  FROM generate_series(1, 40) i;
INSERT INTO src.b SELECT i, i % 3, 'n' || i % 7, 0.1 * i, timestamptz '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 60) i;
CALL wh.run();
INSERT INTO src.a VALUES (50, 1, B'11111', 99, 'new', '2024-02-01'), (3, 1, B'0001', 1, 'w1', '2024-02-01');
INSERT INTO src.wire VALUES (1, 'CMP', '17', 'x', '2024-01-01'), (2, 'SEC', 'ABC', 'y', '2024-01-01'), (3, 'CMP', '19', 'x', '2024-01-01');
CALL wh.run();
INSERT INTO src.wire VALUES (4, 'SEC', 'DEF', 'z', '2024-01-02'), (5, 'CMP', '18', 'n', '2024-01-02'), (3, 'SEC', 'GHI', 'n', '2024-01-03');
INSERT INTO src.b VALUES (7, 1, 'changed', 1e10, '2024-02-01'), (10, 1, 'changed too', 0.3, '2024-02-01');
CALL wh.run();
SELECT results_eq('SELECT company_id, note FROM mart.company WHERE company_key > 0 ORDER BY 1', $$VALUES (17, 'x'), (18, 'n')$$, 'keys are computed from the rows that the WHERE keeps');
SELECT results_eq('SELECT company_id, effective_to::date FROM mart.company_auto WHERE company_auto_key > 0 ORDER BY 1',
  $$VALUES (17, 'infinity'::date), (18, 'infinity'), (19, '2024-01-03')$$, 'and of their versions');
SELECT is((SELECT count(*) FROM mart.f_bits f JOIN mart.d_bits d ON d.d_bits_key = f.bits_key WHERE f.bits = d.bits), 41::bigint, 'facts find members by a key without hash function');
SELECT is((SELECT count(*) FROM mart.d_bits WHERE d_bits_key > 0), 5::bigint, 'and infer none of them twice');
VACUUM FULL staging.b_history;
SELECT format('CLUSTER staging.b_history USING %I', relname) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'staging.b_history'::regclass AND indisunique \gexec
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'a rebuild from tables in another order gives the same');
SET array_nulls = off;
SET enable_hashjoin = off;
SET enable_sort = off;
SET transform_null_equals = on;
CALL wh.run(full_refresh => true);
RESET ALL;
SET client_min_messages = warning;
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and under other settings of the session');

-- wh.plan leaves alone what a run leaves alone
SELECT wh.pause_feed('b') \g /dev/null
INSERT INTO src.b VALUES (99, 9, 'paused', 1, '2024-03-01');
SELECT is((SELECT coalesce(sum(rows_read), 0) FROM wh.plan() WHERE object = 'staging.b'), 0::numeric, 'wh.plan does not load a paused feed');
SELECT * FROM finish();
