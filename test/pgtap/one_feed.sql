-- A dimension over one feed reads its versions directly. It holds what the general form gives, which computes points: here the
-- same query with a second arm that yields nothing.
SELECT no_plan();
SET client_min_messages = warning;
CREATE SCHEMA src;
CREATE TABLE src.member (country text, no int, name text, level int, gone boolean, updated_at timestamptz);
CREATE TABLE src.label (level int, label text);
INSERT INTO src.label SELECT i % 5, 'label ' || i FROM generate_series(1, 8) i;
SELECT FROM wh.create_feed('member', 'src.member', 'upsert', key => '{country,no}', sequence_by => 'updated_at', deleted_when => 'gone');
CREATE TABLE shape (shape text, query text, arm text, grain text);
INSERT INTO shape (shape, query, arm, grain) SELECT s.*, g.grain FROM (VALUES
  ('plain', 'SELECT country, no, name, level FROM member', ' WHERE false'),
  ('filtered', 'SELECT no, country, name FROM member WHERE level % 3 > 0', ' AND false'),
  ('subquery', 'SELECT country, no, name, twice FROM (SELECT *, level * 2 AS twice FROM (SELECT * FROM member WHERE level < 9) a) b', ' WHERE false'),
  ('lookup', 'SELECT m.country, m.no, m.name, l.label FROM member m JOIN src.label l USING (level)', ' WHERE false'),
  ('exists', 'SELECT country, no, name FROM member m WHERE EXISTS (SELECT FROM src.label l WHERE l.level = m.level)', ' AND false'),
  ('grouped', 'SELECT country, no, max(name) AS name, sum(level) AS level FROM member GROUP BY country, no', ' HAVING false'),
  ('distinct', 'SELECT DISTINCT country, no, name FROM member', ' WHERE false'),
  ('several', 'SELECT country, no, name, v FROM member, LATERAL (VALUES (level), (level + 1), (0)) x(v) WHERE v > 2', ' AND false')) s(shape, query, arm),
  (VALUES (NULL), ('day')) g(grain);
UPDATE shape SET shape = shape || '_' || coalesce(grain, 'all');
SELECT FROM shape, wh.create_dimension(shape, query, '{country,no}', effective_grain => grain);
SELECT FROM shape, wh.create_dimension(shape || '_points', query || ' UNION ALL ' || query || arm, '{country,no}',
                                       effective_grain => grain);
SELECT is((SELECT count(*) FROM shape WHERE (SELECT string_agg(e::text, ' ') FROM wh.explain(shape) e) ~ 'wh_until'), 16::bigint,
  'all of them are read directly');
SELECT is((SELECT count(*) FROM shape WHERE (SELECT string_agg(e::text, ' ') FROM wh.explain(shape || '_points') e) ~ 'wh_until'), 0::bigint,
  'the others are not');

CREATE FUNCTION versions(dimension text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT (to_jsonb(d) - ''{batch_id,%s}''::text[])::text FROM mart.%I d WHERE no IS NOT NULL ORDER BY 1',
                              dimension || '_key', dimension);
END $$;
SELECT setseed(0.25);
-- batch(n): n events of 60 keys over 20 days, out of order, some at equal times, a fifth of them deletes.
CREATE PROCEDURE batch(n int) LANGUAGE sql AS $$
  INSERT INTO src.member SELECT chr(97 + (random() * 2)::int), (random() * 19)::int, CASE WHEN random() < 0.8 THEN 'name ' || (random() * 3)::int END,
    (random() * 9)::int, random() < 0.2, timestamptz '2024-01-01' + (random() * 480)::int * interval '1 hour'
  FROM generate_series(1, n)
$$;
CALL batch(300);
CALL wh.run();
SELECT results_eq(format('SELECT versions(%L)', shape), format('SELECT versions(%L)', shape || '_points'), shape || ': first load') FROM shape;
CALL batch(200);
CALL wh.run();
CALL batch(20);
CALL wh.run();
SELECT results_eq(format('SELECT versions(%L)', shape), format('SELECT versions(%L)', shape || '_points'), shape || ': touched keys') FROM shape;
CALL wh.run(full_refresh => true);
SELECT results_eq(format('SELECT versions(%L)', shape), format('SELECT versions(%L)', shape || '_points'), shape || ': full refresh') FROM shape;
SELECT ok(bool_and((SELECT count(*) FROM versions(shape)) > 100), 'there are many versions') FROM shape;
SELECT is_empty('SELECT * FROM wh.check()', 'all checks hold');
SELECT is((SELECT sum(warnings) FROM wh.batch_step WHERE object = 'mart.several_all'), (SELECT sum(warnings) FROM wh.batch_step WHERE object = 'mart.several_all_points'),
  'rows that come second at one time are counted');
SELECT * FROM finish();
