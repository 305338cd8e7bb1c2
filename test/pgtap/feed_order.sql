-- Staged histories do not depend on the order of files, on runs, or on repeats: random
-- deliveries in random order and batches against oracles in plain SQL.
SELECT no_plan();
SELECT set_config('wh_test.tmp', :'tmp', false) \gset
SELECT setseed(0.42) \gset

CREATE SCHEMA src;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');

-- What each file says, by case; line 1 is the header.
CREATE TABLE delivery (c int, file text, line int, id text, v text, ts timestamptz, gone text);

-- Write the files of a case in random order, with runs in between; some find nothing.
CREATE FUNCTION deliver(c int, feed text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE f text;
BEGIN
  FOR f IN SELECT file FROM (SELECT DISTINCT file FROM delivery d WHERE d.c = deliver.c) x ORDER BY random() LOOP
    EXECUTE format('COPY (SELECT id, v, ts, gone FROM delivery WHERE file = %L ORDER BY line) TO %L (FORMAT csv, HEADER)',
      f, current_setting('wh_test.tmp') || '/' || f);
    IF random() < 0.5 THEN
      PERFORM wh.ingest(feed);
      IF random() < 0.3 AND wh.ingest(feed) IS NOT NULL THEN
        RAISE 'a run that finds nothing new did something';
      END IF;
    END IF;
  END LOOP;
  PERFORM wh.ingest(feed);
END $$;

CREATE FUNCTION make_feed(c int, load text, deleted_when text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE name text := format('%s_%s', load, c);
BEGIN
  EXECUTE format('CREATE FOREIGN TABLE src.%I (id int, v text, ts timestamptz, gone boolean) SERVER files OPTIONS (pattern %L)',
    name, format('c%s_*.csv', c));
  PERFORM wh.create_feed(name, ('src.' || name)::regclass, load, '{id}', sequence_by => 'ts', deleted_when => deleted_when);
  RETURN name;
END $$;

CREATE TYPE version AS (id int, v text, effective_from timestamptz, effective_to timestamptz, is_deleted boolean, place text);

-- A staged history with its positions resolved to file and line.
CREATE FUNCTION staged(feed text) RETURNS SETOF version LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT h.id, h.v, h.effective_from, h.effective_to, h.is_deleted,
     u.name || '':'' || (h.source_position & ((1::bigint << 40) - 1))
    FROM staging.%I h JOIN wh.feed f ON f.history = %L::regclass
    JOIN wh.source_unit u ON u.feed_id = f.feed_id AND u.unit_no = h.source_position >> 40',
    feed || '_history', 'staging.' || feed || '_history');
END $$;

-- Upsert: few keys, few times, many ties and repeats.
INSERT INTO delivery
SELECT c, format('c%s_%s.csv', c, n), l + 1, (random() * 3)::int, chr(97 + (random() * 2)::int),
  '2024-01-01'::timestamptz + (random() * 8)::int * interval '1 day', CASE WHEN random() < 0.2 THEN 't' ELSE 'f' END
FROM generate_series(1, 15) c, generate_series(1, 6) n, generate_series(1, 5) l;

CREATE FUNCTION expected_upsert(c int) RETURNS SETOF version LANGUAGE sql AS $$
  WITH last AS (
    SELECT DISTINCT ON (d.id, ts) d.id::int, d.v, ts, gone = 't' AS gone, file || ':' || line AS place
    FROM delivery d WHERE d.c = expected_upsert.c
    ORDER BY d.id, ts, file COLLATE "C" DESC, line DESC)
  SELECT id, v, ts, coalesce(lead(ts) OVER (PARTITION BY id ORDER BY ts), 'infinity'), gone, place FROM last
$$;

SELECT count(deliver(c, make_feed(c, 'upsert', 'gone'))) FROM generate_series(1, 15) c \gset x
SELECT bag_eq(format('SELECT * FROM staged(%L)', 'upsert_' || c), format('SELECT * FROM expected_upsert(%s)', c),
  'upsert: any order gives the history of case ' || c) FROM generate_series(1, 15) c;

-- Snapshots: one time per file; some share a time; some keys (x) and some other columns
-- (wrong) cannot be converted.
INSERT INTO delivery
SELECT c, file, row_number() OVER (PARTITION BY file) + 1, CASE WHEN random() < 0.03 THEN 'x' ELSE id::text END,
  chr(97 + (random() * 2)::int), ts, CASE WHEN random() < 0.15 THEN 'wrong' END
FROM (SELECT c, format('c%s_%s.csv', c, n) AS file, '2024-01-01'::timestamptz + (random() * 7)::int * interval '1 day' AS ts
      FROM generate_series(101, 140) c, generate_series(1, 7) n) f,
  generate_series(1, 4) id
WHERE random() < 0.6;

CREATE FUNCTION expected_snapshot(c int) RETURNS SETOF version LANGUAGE plpgsql AS $$
DECLARE
  s record;
  present boolean[] := array_fill(false, ARRAY[4]);
  r delivery;
  found_rows version[] := '{}';
BEGIN
  FOR s IN SELECT ts, max(file COLLATE "C") AS file FROM delivery d
      WHERE d.c = expected_snapshot.c AND id <> 'x' AND gone IS NULL GROUP BY ts ORDER BY ts LOOP
    FOR k IN 1..4 LOOP
      SELECT * INTO r FROM delivery WHERE file = s.file AND id = k::text AND gone IS NULL;
      IF FOUND THEN
        found_rows := found_rows || ROW(k, r.v, s.ts, NULL, false, s.file || ':' || r.line)::version;
        present[k] := true;
      ELSIF NOT EXISTS (SELECT FROM delivery WHERE file = s.file AND id IN ('x', k::text)) THEN
        IF present[k] THEN
          found_rows := found_rows || ROW(k, NULL, s.ts, NULL, true, s.file || ':0')::version;
        END IF;
        present[k] := false;
      END IF;
    END LOOP;
  END LOOP;
  RETURN QUERY SELECT v.id, v.v, v.effective_from,
    coalesce(lead(v.effective_from) OVER (PARTITION BY v.id ORDER BY v.effective_from), 'infinity'), v.is_deleted, v.place
    FROM unnest(found_rows) v;
END $$;

SELECT count(deliver(c, make_feed(c, 'snapshot'))) FROM generate_series(101, 140) c \gset x
SELECT bag_eq(format('SELECT * FROM staged(%L)', 'snapshot_' || c), format('SELECT * FROM expected_snapshot(%s)', c),
  'snapshot: any order gives the history of case ' || c) FROM generate_series(101, 140) c;

-- Append with a key: the lowest in order stays.
INSERT INTO delivery SELECT c + 200, replace(file, 'c' || c || '_', 'c' || c + 200 || '_'), line, id, v, ts, gone
FROM delivery WHERE c <= 15;
SELECT count(deliver(c, make_feed(c, 'append'))) FROM generate_series(201, 215) c \gset x
CREATE FUNCTION staged_append(feed text) RETURNS SETOF version LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT h.id, h.v, h.effective_from, NULL::timestamptz, h.gone,
     u.name || '':'' || (h.source_position & ((1::bigint << 40) - 1))
    FROM staging.%I h JOIN wh.feed f ON f.relation = %L::regclass
    JOIN wh.source_unit u ON u.feed_id = f.feed_id AND u.unit_no = h.source_position >> 40',
    feed, 'staging.' || feed);
END $$;
SELECT bag_eq(format('SELECT * FROM staged_append(%L)', 'append_' || c),
  format('SELECT DISTINCT ON (id) id::int, v, ts, NULL::timestamptz, gone::boolean, file || %L || line
    FROM delivery WHERE c = %s ORDER BY id, ts, file COLLATE "C", line', ':', c),
  'append: any order gives the events of case ' || c) FROM generate_series(201, 215) c;

-- One key with many versions: time near-linear (quadratic would be 100 times as much).
CREATE TABLE src.hot (id int, v text, ts timestamptz);
SELECT wh.create_feed('hot_small', 'src.hot', 'upsert', '{id}', sequence_by => 'ts') \gset
SELECT wh.create_feed('hot', 'src.hot', 'upsert', '{id}', sequence_by => 'ts') \gset
CREATE FUNCTION load_hot(feed text, n int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE start timestamptz;
BEGIN
  TRUNCATE src.hot;
  INSERT INTO src.hot SELECT 1, 'a' || i, timestamptz '2000-01-01' + i * interval '2 s' FROM generate_series(1, n) i ORDER BY random();
  PERFORM wh.ingest(feed);
  TRUNCATE src.hot;
  INSERT INTO src.hot SELECT 1, 'b' || i, timestamptz '2000-01-01' + i * interval '2 s' + interval '1 s' FROM generate_series(1, n) i;
  start := clock_timestamp();
  PERFORM wh.ingest(feed);
  RETURN extract(epoch FROM clock_timestamp() - start);
END $$;
SELECT load_hot('hot_small', 10000) AS small, load_hot('hot', 100000) AS large \gset
SELECT cmp_ok(:large::float8, '<', 40 * :small::float8, 'late versions of a hot key: 10 times the rows within 40 times the time');
SELECT is_empty($$ SELECT * FROM (SELECT effective_to, lead(effective_from, 1, 'infinity') OVER (ORDER BY effective_from) AS next FROM staging.hot_history) x
  WHERE effective_to <> next $$, 'and they follow each other');

SELECT is_empty($$
  SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded
$$, 'counts reconcile');
SELECT is((SELECT sum(rows_read) FROM wh.batch_step s JOIN wh.feed f ON f.feed_id = s.object_id WHERE f.load = 'upsert' AND f.relation::text LIKE '%upsert%')::int,
  (SELECT count(*)::int FROM delivery WHERE c <= 15), 'every record is read once');
SELECT is_empty($$ SELECT file, line FROM wh.error_event WHERE object_id IN (SELECT feed_id FROM wh.feed WHERE load = 'append')
  GROUP BY file, line HAVING count(*) > 1 $$, 'no record has two error events');

SELECT * FROM finish();
