-- Queries as of every change: rewritten query and change points against an oracle that runs
-- the same query on views filtered as of each time; touched keys against what really changed.
\ir ../lib/query_histories.sql
\ir ../lib/query_shapes.sql
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
-- WH_SEEDS random histories (20 unless told)
\set seeds 20
\getenv seeds WH_SEEDS
SELECT no_plan();

-- Compare the engine's states with the oracle's, at every time of the oracle.
CREATE FUNCTION test.check_as_of(query text, key text[], seed float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  d record;
  n int := array_length(key, 1);
  ks text := (SELECT string_agg('k' || i, ', ') FROM generate_subscripts(key, 1) i);
  wks text := (SELECT string_agg('wh_k' || i, ', ') FROM generate_subscripts(key, 1) i);
  cols text;
  missing int;
  extra int;
BEGIN
  PERFORM test.define(query);
  PERFORM test.fill(seed);
  SELECT string_agg('u' || attnum, ', ' ORDER BY attnum) INTO cols FROM pg_attribute
    WHERE attrelid = 'test.definition'::regclass AND attnum > 0;
  DROP TABLE IF EXISTS wh_points, ours, theirs, shown;
  CREATE TEMP TABLE theirs AS SELECT * FROM test.oracle(query, key);
  FOR d IN SELECT * FROM wh.describe_query('test.definition', key) LOOP
    IF d.part = 'all points' THEN
      EXECUTE 'CREATE TEMP TABLE wh_points AS ' || d.text;
    END IF;
  END LOOP;
  FOR d IN SELECT * FROM wh.describe_query('test.definition', key) LOOP
    IF d.part LIKE 'as of%' THEN
      DROP TABLE IF EXISTS ours, shown;
      EXECUTE format('CREATE TEMP TABLE ours AS SELECT jsonb_build_array(%1$s)::text k, wh_t t, row(%2$s)::text r FROM (%3$s) y(%1$s, wh_t, %2$s)',
                     wks, cols, d.text);
      -- the rows of a key at a time are those of its last point
      EXECUTE format('CREATE TEMP TABLE shown AS SELECT o.k, l.t, o.r FROM (SELECT g.t, jsonb_build_array(%1$s)::text k, max(p.t) point
                        FROM test.times() g(t) JOIN wh_points p ON p.t <= g.t GROUP BY g.t, %1$s) l JOIN ours o ON o.k = l.k AND o.t = l.point', ks);
      SELECT count(*) INTO missing FROM (SELECT k, t, r FROM theirs WHERE k NOT LIKE '%null%' EXCEPT ALL SELECT k, t, r FROM shown) s;
      SELECT count(*) INTO extra FROM (SELECT k, t, r FROM shown EXCEPT ALL SELECT k, t, r FROM theirs) s;
      IF missing + extra > 0 THEN
        RETURN format('%s: missing %s, extra %s of %s', d.part, missing, extra, (SELECT count(*) FROM theirs));
      END IF;
    END IF;
  END LOOP;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END $$;

-- Every key whose history differs after random changes must be touched.
CREATE FUNCTION test.check_touched(query text, key text[], seed float) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  ks text := (SELECT string_agg('k' || i, ', ') FROM generate_subscripts(key, 1) i);
  d record;
  missed text;
BEGIN
  PERFORM test.define(query);
  PERFORM test.fill(seed);
  DROP TABLE IF EXISTS differing, touched, before, after;
  CREATE TEMP TABLE before AS SELECT * FROM test.oracle(query, key);
  PERFORM test.change();
  CREATE TEMP TABLE after AS SELECT * FROM test.oracle(query, key);
  CREATE TEMP TABLE differing AS
    SELECT DISTINCT k FROM ((TABLE before EXCEPT ALL TABLE after) UNION ALL (TABLE after EXCEPT ALL TABLE before)) s
    WHERE k NOT LIKE '%null%';
  CREATE TEMP TABLE touched (k text);
  FOR d IN SELECT x.*, c.relname, f.feed_id FROM wh.describe_query('test.definition', key) x
             JOIN wh.feed f ON f.relation = x.relation JOIN pg_class c ON c.oid = coalesce(f.history, f.relation)
           WHERE part = 'touched' LOOP
    EXECUTE format('INSERT INTO touched SELECT jsonb_build_array(%s)::text FROM (WITH wh_changed_%s AS (TABLE changed.%I) %s) s',
                   ks, d.feed_id, d.relname, d.text);
  END LOOP;
  SELECT string_agg(k, ' ') INTO missed FROM (TABLE differing EXCEPT TABLE touched) s;
  RETURN missed;
END $$;

CREATE FUNCTION test.check_refused(query text, key text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM test.define(query);
  PERFORM wh.describe_query('test.definition', key);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  RETURN sqlerrm;
END $$;

-- One statement a shape: a transaction that makes too many tables runs out of locks.
SELECT format('SELECT matches(test.check_refused(query, key), refused, ''refused: '' || name) FROM test.shape WHERE name = %L', name)
  FROM test.shape WHERE refused IS NOT NULL ORDER BY name \gexec
SELECT format('SELECT is(test.check_as_of(query, key, %s), NULL, ''seed %s: '' || name) FROM test.shape WHERE name = %L', i / 100.0, i, name)
  FROM generate_series(1, :seeds) i, test.shape WHERE refused IS NULL ORDER BY i, name \gexec
SELECT format('SELECT is(test.check_touched(query, key, %s), NULL, ''seed %s: touched keys of '' || name) FROM test.shape WHERE name = %L', i / 100.0, i, name)
  FROM generate_series(1, (:seeds + 3) / 4) i, test.shape WHERE refused IS NULL ORDER BY i, name \gexec

SELECT * FROM finish();
