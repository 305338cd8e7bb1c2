-- wh.retry_error_events over files and tables: after a fix, feeds are what they would be had
-- they been right from the start.
SELECT no_plan();
SET client_min_messages = error;
CREATE SCHEMA src;
CREATE TABLE setting AS SELECT :'tmp'::text AS dir;

-- Random feeds with faults ------------------------------------------------------------------

CREATE FUNCTION staged_at(history regclass, id int, at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE found boolean; BEGIN
  EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE id = $1 AND effective_from = $2)', history) INTO found USING id, at; RETURN found; END $$;
-- What a feed has: staged rows at their places, units, unstated keys, events that are left.
CREATE FUNCTION state_of(feed text, places boolean) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
DECLARE f wh.feed; BEGIN
  SELECT * INTO f FROM wh.feed WHERE relation = $1::regclass;
  RETURN QUERY EXECUTE format('SELECT ''row '' || ((to_jsonb(h) - ''batch_id'' - ''source_position''' || CASE WHEN f.sequence_by IS NULL THEN ' - ''effective_from'' - ''effective_to''' ELSE '' END || ')'
      || CASE WHEN places THEN ' || (SELECT jsonb_build_object(''at'', array[u.name, u.generation::text, (h.source_position & ((1::bigint << 40) - 1))::text])'
                               ' FROM wh.source_unit u WHERE u.feed_id = %1$s AND u.unit_no = h.source_position >> 40)' ELSE '' END
      || ')::text FROM %2$s h', f.feed_id, coalesce(f.history, f.relation));
  IF places THEN
    RETURN QUERY SELECT format('unit %s/%s %s %s', u.name, u.generation, u.event_time, u.is_complete) FROM wh.source_unit u WHERE u.feed_id = f.feed_id;
    -- of contents that count, and of keys of which no other record is right
    RETURN QUERY SELECT DISTINCT format('unstated %s/%s %s', u.name, u.generation, k.key) FROM wh.rejected_key k JOIN wh.source_unit u USING (feed_id, unit_no) WHERE k.feed_id = f.feed_id
      AND NOT staged_at(f.history, k.key[1]::int, u.event_time)
      AND NOT EXISTS (SELECT FROM wh.source_unit l WHERE l.feed_id = u.feed_id AND l.event_time = u.event_time AND (l.name, l.generation) > (u.name, u.generation));
  END IF;
  RETURN QUERY SELECT format('event %s/%s %s %s', e.file, e.line, CASE WHEN e.sqlstate <> '23505' AND f.redact = '{}' THEN convert_from(e.raw_record, 'UTF8') END,
      (SELECT string_agg(x ->> 'message', '; ' ORDER BY n) FROM jsonb_array_elements(e.errors) WITH ORDINALITY a(x, n) WHERE x ->> 'sqlstate' <> '55000'))
    FROM wh.error_event e WHERE e.object_id = f.feed_id; END $$;
CREATE FUNCTION differences(places boolean) RETURNS TABLE (which text, line text) LANGUAGE sql AS $$
  (SELECT 'retried', a.line FROM state_of('staging.faulty', places) a EXCEPT ALL SELECT 'retried', b.line FROM state_of('staging.right', places) b)
  UNION ALL
  (SELECT 'right', b.line FROM state_of('staging.right', places) b EXCEPT ALL SELECT 'right', a.line FROM state_of('staging.faulty', places) a) $$;
CREATE FUNCTION pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS $$SELECT a[ceil(random() * cardinality(a))]$$;
CREATE FUNCTION chance(p float8) RETURNS boolean LANGUAGE sql VOLATILE AS $$SELECT random() < p$$;

-- A random record: now and then one that a fault rejects, or nothing can make right.
CREATE FUNCTION random_record(key_faults boolean, nulls boolean, day int) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT concat_ws(',', CASE WHEN key_faults AND chance(0.04) THEN pick('x', 'NA') ELSE (random() * 8)::int::text END,
    CASE WHEN chance(0.1) THEN 'NA' WHEN chance(0.03) THEN 'bad' ELSE (random() * 9)::int::text END,
    CASE WHEN nulls AND chance(0.1) THEN 'NA' ELSE pick('a', 'b', '"c,d"', 'nobody', '"e"') END,
    CASE WHEN nulls AND chance(0.1) THEN 'NA' ELSE pick('m@x', 'n@x', '"n@x,"') END,
    '2024-01-0' || coalesce(day, 1 + (random() * 8)::int), CASE WHEN chance(0.03) THEN 'more' END) $$;
CREATE PROCEDURE write_file(name text, header boolean, day int, key_faults boolean, nulls boolean) LANGUAGE plpgsql AS $$
BEGIN
  CREATE TEMP TABLE lines AS SELECT 0 AS n, 'id,v,name,email,day' AS l WHERE header
    UNION ALL SELECT n, random_record(key_faults, nulls, day) FROM generate_series(1, (random() * 9)::int) n;
  EXECUTE format('COPY (SELECT l FROM lines ORDER BY n) TO %L', (SELECT dir FROM setting) || '/' || name);
  DROP TABLE lines; END $$;

CREATE FUNCTION trial(seed float8) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  load text; key text[]; nulls boolean; redact jsonb; header text; sequence_by text; n int; name text; server text; r record; names text[] := '{}';
  dir text := (SELECT s.dir FROM setting s); what text; prefix text := format('retry_%s_', seed * 1000);
BEGIN
  PERFORM setseed(seed);
  nulls := chance(0.5);
  load := pick('append', 'append', 'upsert', 'snapshot', 'snapshot');
  key := CASE WHEN load = 'append' AND chance(0.4) THEN '{}' ELSE '{id}' END;
  redact := CASE WHEN chance(0.5) THEN '{}' WHEN chance(0.5) THEN '{"email": "md5(email) || v", "name": null}' ELSE '{"email": "coalesce(email, ''none'')"}' END;
  header := CASE WHEN redact = '{}' THEN pick('match', 'none', 'skip') ELSE pick('match', 'none') END;
  sequence_by := CASE WHEN load <> 'snapshot' AND chance(0.2) THEN NULL ELSE 'day' END;
  what := format('seed %s: %s %s redact %s header %s sequence_by %s', seed, load, key, redact, header, sequence_by);
  EXECUTE format('CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory %L)', dir);
  EXECUTE format('CREATE FOREIGN TABLE src.right (id int, v int, name text, email text, day date) SERVER files OPTIONS (pattern %L, header %L, "null" %L)', prefix || '*.csv', header, 'NA');
  EXECUTE format('CREATE FOREIGN TABLE src.faulty (id int, v int %s, name text %s, email text, day date) SERVER files OPTIONS (pattern %L, header %L, "null" %L)',
    pick('NOT NULL', ''), pick('NOT NULL', ''), prefix || '*.csv', header, CASE WHEN nulls THEN 'NA' ELSE '-' END);
  PERFORM wh.create_feed('right', 'src.right', load, key, sequence_by => sequence_by, redact => redact, deleted_when => CASE WHEN load <> 'append' THEN 'v / 2 = 4' END);
  PERFORM wh.create_feed('faulty', 'src.faulty', load, key, sequence_by => sequence_by, redact => redact,
    deleted_when => CASE WHEN load <> 'append' THEN pick('v / 2 = 4', '6 / (v - 2) = 100 OR v / 2 = 4') END);
  IF chance(0.7) THEN PERFORM wh.add_screen('faulty', 'low', 'v < 7'); END IF;
  IF chance(0.3) THEN PERFORM wh.add_screen('faulty', 'email', 'length(email) < 4'); END IF;
  FOR i IN 1 .. 1 + (random() * 4)::int LOOP
    name := format('%s%s.csv', prefix, (random() * 4)::int);
    CONTINUE WHEN name = ANY (names) AND load = 'append';
    names := names || name;
    CALL write_file(name, header <> 'none', CASE WHEN load = 'snapshot' THEN (random() * 4 + 1)::int END, chance(0.5), nulls);
    -- without sequence_by the time is the batch's: both feeds read at the same moments
    IF sequence_by IS NULL OR chance(0.5) THEN PERFORM wh.ingest('faulty'); END IF;
    IF sequence_by IS NULL OR load <> 'append' THEN PERFORM wh.ingest('right'); END IF;
    IF load <> 'append' THEN PERFORM wh.ingest('faulty'); END IF;   -- a content that no feed has seen cannot count
    IF chance(0.3) THEN PERFORM wh.retry_error_events('faulty'); END IF;
  END LOOP;
  PERFORM wh.ingest('faulty'); PERFORM wh.ingest('right');
  -- the fix, in steps
  ALTER FOREIGN TABLE src.faulty OPTIONS (SET "null" 'NA');
  IF chance(0.3) THEN PERFORM wh.retry_error_events('faulty'); END IF;
  ALTER FOREIGN TABLE src.faulty ALTER v DROP NOT NULL, ALTER name DROP NOT NULL;
  FOR r IN SELECT s.screen FROM wh.screen s LOOP PERFORM wh.drop_screen('faulty', r.screen); END LOOP;
  IF chance(0.3) THEN PERFORM wh.retry_error_events('faulty'); END IF;
  IF load <> 'append' THEN PERFORM wh.alter_feed('faulty', deleted_when => 'v / 2 = 4'); END IF;
  PERFORM wh.retry_error_events('faulty');
  RETURN QUERY SELECT what || ' ' || d.which || ': ' || d.line FROM differences(sequence_by IS NOT NULL) d;
  RETURN QUERY SELECT what || ': ' || c::text FROM wh.check() c;
  n := wh.retry_error_events('faulty');
  IF n <> 0 THEN RETURN NEXT what || ': a second retry finds ' || n || ' more'; END IF;
  PERFORM wh.drop_feed('faulty'); PERFORM wh.drop_feed('right');
  DROP SERVER files CASCADE; END $$;
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(1, 100) i, LATERAL (SELECT * FROM trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'files: a retry after the fix gives what right feeds have (1)');
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(101, 200) i, LATERAL (SELECT * FROM trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'files: a retry after the fix gives what right feeds have (2)');
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(201, 300) i, LATERAL (SELECT * FROM trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'files: a retry after the fix gives what right feeds have (3)');
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(301, 400) i, LATERAL (SELECT * FROM trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'files: a retry after the fix gives what right feeds have (4)');
SELECT * FROM finish();
