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
    FROM wh.error_event e WHERE e.object_id = f.feed_id AND e.state <> 'retried'; END $$;
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
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(60, 130) i, LATERAL (SELECT * FROM trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'files: a retry after the fix gives what right feeds have');

-- Tables: what a feed cannot take is removed by a fix; the next read brings nothing new.
CREATE TABLE src.t (id int, v int, name text, day date, PRIMARY KEY (id, day));
CREATE FUNCTION table_trial(seed float8) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE load text; redact jsonb; what text; r record; watermark text; BEGIN
  PERFORM setseed(seed);
  load := pick('append', 'upsert', 'snapshot');
  redact := CASE WHEN chance(0.5) THEN '{}' ELSE '{"name": "md5(name) || v"}' END;
  watermark := CASE WHEN load = 'upsert' AND chance(0.5) THEN 'day' END;
  what := format('seed %s: %s redact %s watermark %s', seed, load, redact, watermark);
  TRUNCATE src.t;
  PERFORM wh.create_feed('right', 'src.t', load, '{id}', sequence_by => 'day', redact => redact, watermark => watermark, watermark_overlap => '0');
  PERFORM wh.create_feed('faulty', 'src.t', load, '{id}', sequence_by => 'day', redact => redact, watermark => watermark, watermark_overlap => '0');
  PERFORM wh.add_screen('faulty', 'low', 'v < 6');
  PERFORM wh.add_screen('faulty', 'known', '10 / v > 0');
  FOR i IN 1 .. 4 LOOP
    IF load = 'snapshot' THEN TRUNCATE src.t; END IF;
    INSERT INTO src.t SELECT (random() * 6)::int, (random() * 9)::int, pick('a', 'b', NULL, 'c"d'), date '2024-01-01' + i + CASE WHEN load <> 'snapshot' AND watermark IS NULL THEN (random() * 3)::int ELSE 0 END
      FROM generate_series(1, 1 + (random() * 7)::int) ON CONFLICT DO NOTHING;
    UPDATE src.t SET v = (random() * 9)::int, name = 'u' || i WHERE chance(0.3);
    PERFORM wh.ingest('right'); PERFORM wh.ingest('faulty');
    IF chance(0.3) THEN PERFORM wh.retry_error_events('faulty'); END IF;
  END LOOP;
  FOR r IN SELECT s.screen FROM wh.screen s ORDER BY 1 DESC LOOP
    PERFORM wh.drop_screen('faulty', r.screen);
    IF chance(0.5) THEN PERFORM wh.retry_error_events('faulty'); END IF;
  END LOOP;
  PERFORM wh.retry_error_events('faulty');
  RETURN QUERY SELECT what || ' ' || d.which || ': ' || d.line FROM differences(false) d;
  RETURN QUERY SELECT what || ': ' || c::text FROM wh.check() c;
  PERFORM wh.ingest('faulty'); PERFORM wh.ingest('right');
  RETURN QUERY SELECT what || ' read again ' || d.which || ': ' || d.line FROM differences(false) d;
  PERFORM wh.drop_feed('faulty'); PERFORM wh.drop_feed('right'); END $$;
SELECT is((SELECT string_agg(l, E'\n') FROM generate_series(1, 40) i, LATERAL (SELECT * FROM table_trial(i / 1000.0) LIMIT 4) t(l)), NULL, 'tables: a retry after the fix gives what right feeds have');

-- What is kept, and what cannot be tried ------------------------------------------------------
CREATE FUNCTION write_lines(name text, VARIADIC lines text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('COPY (SELECT unnest(%L::text[])) TO %L', lines, (SELECT dir FROM setting) || '/' || name); END $$;
CREATE FUNCTION reasons(feed text) RETURNS TABLE (line bigint, form text, reasons text) LANGUAGE sql AS $$
  SELECT e.line, e.raw_form, (SELECT string_agg(x ->> 'message', '; ' ORDER BY n) FROM jsonb_array_elements(e.errors) WITH ORDINALITY a(x, n))
  FROM wh.error_event e WHERE e.feed = $1 AND e.state <> 'retried' ORDER BY 1 $$;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FOREIGN TABLE src.pin (id int, pin int, name text NOT NULL) SERVER files OPTIONS (filename 'retry_pin.csv', max_record_size '60');
SELECT wh.create_feed('pin', 'src.pin', 'append', '{id}', redact => '{"pin": "1000 / pin", "name": "upper(name) || ''!''"}') \gset x
SELECT wh.add_screen('pin', 'small', 'pin < 100') \gset x
SELECT write_lines('retry_pin.csv', 'name,id,pin', 'ann,1,5', 'bob,2,0', 'cid,3,x', ',4,500', 'eve,five,50', 'fay,6,', repeat('g', 70) || ',7,50', 'hal,8,100,9', 'ida,9,50') \gset x
SELECT wh.ingest('pin') \gset x
SELECT results_eq($$SELECT * FROM reasons('staging.pin')$$, $$VALUES (2::bigint, 'record', 'record fails screen "small"'), (3, 'part', 'could not redact column "pin"'),
    (4, 'part', 'invalid value for column "pin"'), (5, 'record', 'null value in column "name"'), (6, 'record', 'invalid input syntax for type integer: "five"'),
    (8, NULL, 'record is longer than max_record_size (60 bytes); the raw record is not stored: its redacted columns cannot be told apart'),
    (9, NULL, 'record has 4 fields, but 3 are expected; the raw record is not stored: its redacted columns cannot be told apart')$$, 'what is stored of records with redacted columns');
SELECT is_empty($$SELECT redacted FROM wh.error_event WHERE feed = 'staging.pin' AND (redacted::text ~ 'ann|500' OR convert_from(raw_record, 'UTF8') ~ 'ann|bob|cid|eve|500')$$, 'not what is redacted');
CREATE TABLE before AS SELECT error_event_id, created_at, batch_id, line FROM wh.error_event WHERE feed = 'staging.pin';
SELECT is(wh.retry_error_events('pin'), 0::bigint, 'without a fix nothing passes');
SELECT results_eq('SELECT error_event_id, created_at, line FROM before ORDER BY 1', $$SELECT error_event_id, created_at, line FROM wh.error_event WHERE feed = 'staging.pin' ORDER BY 1$$, 'events that fail again are kept');
SELECT results_eq($$SELECT line, reasons FROM reasons('staging.pin') WHERE line < 8 $$, $$VALUES (2::bigint, 'record fails screen "small"'),
    (3, 'could not redact column "pin"; cannot be tried again: only a part of the record is stored'),
    (4, 'invalid value for column "pin"; cannot be tried again: only a part of the record is stored'),
    (5, 'null value in column "name"'), (6, 'invalid input syntax for type integer: "five"')$$, 'those that cannot be tried say why');
SELECT count(*) AS batches FROM wh.batch \gset
SELECT is(wh.retry_error_events('pin'), 0::bigint, 'nor does it later');
SELECT is((SELECT count(*) FROM wh.batch), :batches::bigint, 'which is nothing to log');
SELECT wh.drop_screen('pin', 'small') \gset x
SELECT is(wh.retry_error_events('pin'), 1::bigint, 'a screen less');
ALTER FOREIGN TABLE src.pin ALTER name DROP NOT NULL;
SELECT is(wh.retry_error_events('pin'), 1::bigint, 'a null that is allowed');
SELECT results_eq('SELECT id, pin, name FROM staging.pin ORDER BY id', $$VALUES (1, 200, 'ANN!'), (4, 2, NULL), (6, NULL, 'FAY!'), (9, 20, 'IDA!')$$, 'values are redacted once');
SELECT is((SELECT count(DISTINCT effective_from)::int FROM staging.pin), 1, 'at the time of the first load');
SELECT wh.alter_feed('pin', redact => '{}') \gset x
SELECT is(wh.retry_error_events('pin'), 0::bigint, 'less redaction brings nothing back');

CREATE FOREIGN TABLE src.head (id int, v int) SERVER files OPTIONS (pattern 'retry_head_*.csv');
SELECT wh.create_feed('head', 'src.head', 'upsert', '{id}') \gset x
SELECT write_lines('retry_head_1.csv', 'id,w', '1,1', '2,2') \gset x
SELECT wh.ingest('head') \gset x
SELECT is(wh.retry_error_events('head'), 0::bigint, 'a file without its header');
SELECT is((SELECT reasons FROM reasons('staging.head')), 'column "v" is missing from the header; cannot be tried again: only a part of the record is stored', 'says so');
ALTER FOREIGN TABLE src.head ALTER v OPTIONS (ADD name 'w');
SELECT wh.ingest('head') \gset x
SELECT is((SELECT count(*)::int FROM staging.head), 2, 'the next run reads it');
SELECT write_lines('retry_head_2.csv', 'id,w', '3,3,3', '4,4', '5,x', '6,"six"""') \gset x
SELECT wh.ingest('head') \gset x
ALTER FOREIGN TABLE src.head OPTIONS (ADD delimiter ';');
SELECT is(wh.retry_error_events('head'), 0::bigint, 'a fix that makes it worse');
SELECT is((SELECT reasons FROM reasons('staging.head') WHERE line = 4), 'column "id" is missing from the header; column "w" is missing from the header', 'says what is wrong now');
ALTER FOREIGN TABLE src.head OPTIONS (SET delimiter ',', ADD "null" 'x');
SELECT is(wh.retry_error_events('head'), 1::bigint, 'a text for null');
SELECT is((SELECT v FROM staging.head WHERE id = 5), NULL, 'is one');

-- a snapshot that was refused as a whole
CREATE FOREIGN TABLE src.mixed (id int, day date) SERVER files OPTIONS (filename 'retry_mixed.csv', header 'none');
SELECT wh.create_feed('mixed', 'src.mixed', 'snapshot', '{id}', sequence_by => 'day') \gset x
SELECT write_lines('retry_mixed.csv', '1,2024-01-01', '2,2024-01-01', '3,2024-01-02') \gset x
SELECT wh.ingest('mixed') \gset x
SELECT is(wh.retry_error_events('mixed'), 0::bigint, 'a set of several times stays refused');
SELECT results_eq($$SELECT line, form FROM reasons('staging.mixed')$$, $$VALUES (1::bigint, 'row'), (2, 'row'), (3, 'row')$$, 'all of it');
SELECT wh.add_screen('mixed', 'that day', 'day = ''2024-01-01''') \gset x
SELECT is(wh.retry_error_events('mixed'), 2::bigint, 'until a screen keeps out what is wrong');
SELECT is((SELECT array_agg(id ORDER BY id) FROM staging.mixed), ARRAY[1, 2], 'the rest is staged');

-- a key of a snapshot whose record cannot be tried stays unstated
CREATE FOREIGN TABLE src.kept (id int, pin int, day date) SERVER files OPTIONS (pattern 'retry_kept_*.csv', header 'none');
SELECT wh.create_feed('kept', 'src.kept', 'snapshot', '{id}', sequence_by => 'day', redact => '{"pin": "pin % 10"}') \gset x
SELECT wh.add_screen('kept', 'three', 'id <> 3') \gset x
SELECT write_lines('retry_kept_1.csv', '1,10,2024-01-01', '2,20,2024-01-01', '4,4,2024-01-01') \gset x
SELECT write_lines('retry_kept_2.csv', '1,x,2024-01-02', '2,21,2024-01-02', '3,31,2024-01-02') \gset x
SELECT wh.ingest('kept') \gset x
SELECT wh.drop_screen('kept', 'three') \gset x
SELECT is(wh.retry_error_events('kept'), 1::bigint, 'a record of a snapshot is right now, another cannot be tried');
SELECT results_eq('SELECT id, pin FROM staging.kept ORDER BY id', 'VALUES (1, 0), (2, 1), (3, 1)', 'whose key is still as it was');

-- a table whose columns changed their names
CREATE TABLE src.named (id int, a text, b text);
INSERT INTO src.named VALUES (1, 'x', 'y'), (2, 'bad', 'z');
SELECT wh.create_feed('named', 'src.named', 'append', '{id}') \gset x
SELECT wh.add_screen('named', 'good', 'a <> ''bad''') \gset x
SELECT wh.ingest('named') \gset x
SELECT wh.drop_screen('named', 'good') \gset x
ALTER TABLE src.named RENAME b TO c;
SELECT wh.alter_feed('named') \gset x
SELECT is(wh.retry_error_events('named'), 0::bigint, 'a row is not staged without a column that has another name');
SELECT is((SELECT reasons FROM reasons('staging.named')), 'record fails screen "good"; cannot be tried again: the source''s columns have other names now', 'and says so');
ALTER TABLE src.named RENAME c TO b;
SELECT wh.alter_feed('named') \gset x
SELECT is(wh.retry_error_events('named'), 1::bigint, 'it is as it was');
SELECT is((SELECT b FROM staging.named WHERE id = 2), 'z', 'with all of its values');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
