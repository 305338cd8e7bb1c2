-- Queries whose keys cannot be followed are evaluated as a whole: said at creation, exact, incremental, limited. That they are exact for any order of
-- records is shown by convergence.sql too (dimensions a_rank, c_both, d_areas).
SET client_min_messages = warning;
SELECT no_plan();
CREATE SCHEMA src;
CREATE TABLE src.player (player_id int, team text, points int, at timestamptz, gone bool DEFAULT false);
CREATE TABLE src.match (match_id int, home text, guest text, day date, at timestamptz);
CREATE TABLE src.season (season text, from_day date, to_day date);
INSERT INTO src.season VALUES ('spring', '2024-03-01', '2024-05-31'), ('summer', '2024-06-01', '2024-08-31');
SELECT wh.create_feed('player', 'src.player', 'upsert', '{player_id}', sequence_by => 'at', deleted_when => 'gone');
SELECT wh.create_feed('match', 'src.match', 'upsert', '{match_id}', sequence_by => 'at');

-- What each shape must be at every time, by the same query over the versions in effect at that time.
CREATE TABLE shape (name text, key text[], query text);
INSERT INTO shape VALUES
  ('ranked', '{player_id}', 'SELECT player_id, team, rank() OVER (PARTITION BY team ORDER BY points DESC, player_id) AS place FROM player'),
  ('running', '{player_id}', 'SELECT player_id, sum(points) OVER (ORDER BY player_id) AS total FROM player'),
  ('both', '{team}', 'SELECT coalesce(p.team, m.home) AS team, p.n, m.matches FROM (SELECT team, count(*) AS n FROM player GROUP BY 1) p
     FULL JOIN (SELECT home, count(*) AS matches FROM match GROUP BY 1) m ON m.home = p.team WHERE p.team IS NOT NULL OR m.home IS NOT NULL'),
  ('sides', '{match_id,team}', 'SELECT match_id, home AS team, day FROM match UNION SELECT match_id, guest, day FROM match'),
  ('best', '{player_id}', 'SELECT player_id, team, points FROM player ORDER BY points DESC, player_id LIMIT 2'),
  ('idle', '{player_id}', 'SELECT player_id, points FROM player WHERE team NOT IN (SELECT home FROM match WHERE home IS NOT NULL)'),
  ('in_season', '{match_id}', 'SELECT m.match_id, s.season FROM match m JOIN src.season s ON m.day BETWEEN s.from_day AND s.to_day'),
  ('shares', '{player_id}', 'WITH t AS (SELECT sum(points) AS total FROM player) SELECT p.player_id, p.points, t.total FROM player p, t'),
  ('cubed', '{team,kind}', 'SELECT coalesce(team, ''all'') AS team, CASE WHEN grouping(team) = 1 THEN ''all'' ELSE ''team'' END AS kind, sum(points) AS points FROM player GROUP BY ROLLUP (team)'),
  ('rows_of', '{player_id}', 'SELECT p.player_id, (to_jsonb(p) - ''gone'') || jsonb_build_object(''n'', count(*) OVER ()) AS whole_row FROM player p'),
  ('pairs', '{player_id,other_id}', 'SELECT p.player_id, o.player_id AS other_id, p.points - o.points AS ahead FROM player p JOIN player o ON o.player_id < p.player_id AND o.team = p.team');
SELECT wh.create_dimension(name, query, key) FROM shape;
SELECT results_eq($$SELECT name FROM shape s WHERE EXISTS (SELECT FROM wh.explain(s.name) l WHERE l LIKE '%as a whole as of every change%') ORDER BY 1$$,
  $$SELECT name FROM shape WHERE name <> 'in_season' ORDER BY 1$$, 'every shape but the range over a lookup table is evaluated as a whole, which wh.explain says');

-- A shape as of a time: the query over views of what was in effect.
CREATE SCHEMA past;
CREATE VIEW past.player AS SELECT player_id, team, points, at, gone FROM staging.player_history WHERE NOT is_deleted
  AND effective_from <= current_setting('test.t')::timestamptz AND effective_to > current_setting('test.t')::timestamptz;
CREATE VIEW past.match AS SELECT match_id, home, guest, day, at FROM staging.match_history WHERE NOT is_deleted
  AND effective_from <= current_setting('test.t')::timestamptz AND effective_to > current_setting('test.t')::timestamptz;
CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE plpgsql SET search_path = past, public, pg_catalog AS $$
DECLARE s shape; t timestamptz; wrong text;
BEGIN
  FOR t IN SELECT at FROM (SELECT effective_from FROM staging.player_history UNION SELECT effective_from FROM staging.match_history) x(at) ORDER BY random() LIMIT 12 LOOP
    PERFORM set_config('test.t', t::text, true);
    FOR s IN SELECT * FROM shape LOOP
      EXECUTE format('SELECT string_agg(d::text, '' '') FROM (
          (SELECT to_jsonb(q) FROM (%1$s) q EXCEPT SELECT to_jsonb(m) - ''{%2$I,effective_from,effective_to,is_current,is_inferred,batch_id}''::text[] FROM mart.%3$I m WHERE %2$I > 0 AND effective_from <= $1 AND effective_to > $1)
          UNION ALL
          (SELECT to_jsonb(m) - ''{%2$I,effective_from,effective_to,is_current,is_inferred,batch_id}''::text[] FROM mart.%3$I m WHERE %2$I > 0 AND effective_from <= $1 AND effective_to > $1 EXCEPT SELECT to_jsonb(q) FROM (%1$s) q)) d',
        s.query, s.name || '_key', s.name) INTO wrong USING t;
      IF wrong IS NOT NULL THEN RETURN NEXT format('%s as of %s: %s', s.name, t, wrong); END IF;
    END LOOP;
  END LOOP;
END $$;

-- Random changes in batches, late ones among them.
SELECT setseed(0.5);
CREATE PROCEDURE batches(n int) LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  FOR i IN 1 .. n LOOP
    DELETE FROM src.player;
    DELETE FROM src.match;
    INSERT INTO src.player SELECT 1 + floor(random() * 6)::int, (ARRAY['red', 'blue', NULL])[1 + floor(random() * 3)::int], floor(random() * 20)::int,
      timestamptz '2024-03-01' + floor(random() * 60 * i) * interval '1 hour', random() < 0.15 FROM generate_series(1, 4);
    INSERT INTO src.match SELECT 1 + floor(random() * 5)::int, (ARRAY['red', 'blue', 'green'])[1 + floor(random() * 3)::int], 'red',
      date '2024-05-20' + floor(random() * 30)::int, timestamptz '2024-03-01' + floor(random() * 60 * i) * interval '1 hour' FROM generate_series(1, 2);
    COMMIT;
    CALL wh.run();
    FOR found IN SELECT * FROM differences() LOOP RAISE WARNING 'batch %: %', i, found; INSERT INTO wrong VALUES (found); END LOOP;
  END LOOP;
END $$;
CREATE TABLE wrong (what text);
CALL batches(8);
SELECT is_empty('TABLE wrong', 'after each of 8 batches the versions at random times are what the query gives as of them');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and what a rebuild gives');
SELECT cmp_ok((SELECT count(*) FROM mart.ranked WHERE ranked_key > 0), '>', 20::bigint, 'of many versions');
SELECT max(batch_id) AS last_batch FROM wh.batch \gset
CALL wh.run();
SELECT is((SELECT count(*) FROM wh.batch WHERE kind = 'publish' AND batch_id > :last_batch), 0::bigint, 'a run without news computes nothing');

-- Limits.
SELECT wh.drop_dimension(name) FROM shape WHERE name <> 'ranked';
DELETE FROM shape WHERE name <> 'ranked';
SET widgets_wh.whole_query_limit = 1;
INSERT INTO src.player SELECT i, 'blue', i, timestamptz '2024-06-01' + i * interval '1 minute' FROM generate_series(100, 1300) i;
SELECT throws_like('CALL wh.run()', 'evaluating the query as a whole as of % changes would read % rows each time', 'too much to read is an error that says so');
SELECT isnt(wh.ingest('player'), NULL, 'with so many rows staged');
SELECT throws_like($$SELECT wh.create_dimension('late', 'SELECT player_id, rank() OVER (ORDER BY points) AS place FROM player', '{player_id}')$$, '%PARTITION BY', 'such a query is refused at creation, by what stands in its way');
SELECT throws_ok($$SELECT wh.create_dimension('late', 'SELECT player_id, rank() OVER (ORDER BY points) AS place FROM player', '{player_id}')$$, '0A000');
RESET widgets_wh.whole_query_limit;
CALL wh.run();
SELECT is_empty('SELECT * FROM differences()', 'with a higher limit it is published');

-- What is refused as before.
SELECT throws_ok($$SELECT wh.create_dimension('x', 'SELECT player_id, points, rank() OVER (ORDER BY points) FROM player_history', '{player_id}')$$, '0A000');
SELECT throws_ok($$SELECT wh.create_dimension('x', 'SELECT season, rank() OVER (ORDER BY season) FROM src.season', '{season}')$$, '0A000');
SELECT throws_ok($$SELECT wh.create_dimension('x', 'SELECT player_id, random() AS r, rank() OVER (ORDER BY points) FROM player', '{player_id}')$$, '42P17');
SELECT * FROM finish();
