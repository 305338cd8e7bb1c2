-- Values read from CSV are those of PostgreSQL's own input functions, and so are the
-- errors: random spellings of each type, good and bad. Dates and times are ISO or an error, and no setting
-- of the session changes what is read: times without zone are in UTC.
SELECT no_plan();

CREATE TEMP TABLE seed AS SELECT coalesce(nullif(current_setting('wh_test.seed', true), '')::float8, round(random()::numeric, 6)::float8) AS seed;
SELECT diag('seed: ' || seed) FROM seed;
SELECT setseed(seed) IS NULL AS x FROM seed \gset

-- The expression of a type's input function; a cast to varchar(5) would cut silently.
CREATE FUNCTION input_expression(type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  EXECUTE format('CREATE TEMP TABLE probe (v %s)', type);
  SELECT t.typinput, t.oid, a.atttypmod INTO r
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = 'pg_temp.probe'::regclass AND a.attnum = 1;
  DROP TABLE probe;
  RETURN CASE WHEN r.atttypmod < 0 THEN format('%%L::%s', type)
              ELSE format('%s(%%L::cstring, %s, %s)', r.typinput, r.oid, r.atttypmod) END;
END $$;

CREATE FUNCTION try_cast(v text, expression text, OUT value text, OUT state text, OUT message text)
LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT (' || expression || ')::text', v) INTO value;
EXCEPTION WHEN OTHERS THEN
  state := SQLSTATE; message := SQLERRM;
END $$;

CREATE FUNCTION pick(variadic choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT choices[1 + floor(random() * array_length(choices, 1))::int] $$;

CREATE FUNCTION digits(n int) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT coalesce(string_agg(floor(random() * 10)::int::text, ''), '') FROM generate_series(1, n) $$;

CREATE FUNCTION a_number() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT pick('', '', '-', '+') || digits(pick('0', '1', '2', '5', '9', '10', '18', '19', '25')::int)
    || CASE WHEN random() < 0.5 THEN '.' || digits(pick('0', '1', '2', '3', '6', '17', '61')::int) ELSE '' END
    || CASE WHEN random() < 0.15 THEN pick('e', 'E') || pick('', '-', '+') || digits(pick('1', '2', '3')::int) ELSE '' END $$;

CREATE FUNCTION a_time() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT lpad(floor(random() * 10000)::int::text, 4, '0') || pick('-', '-', '-', '/') ||
    to_char(floor(random() * 14)::int, 'FM00') || '-' || to_char(floor(random() * 33)::int, 'FM00')
    || pick('', ' ', 'T', ' ', ' ', 't', '  ')
    || CASE WHEN random() < 0.8 THEN to_char(floor(random() * 25)::int, 'FM00') || ':' || to_char(floor(random() * 61)::int, 'FM00')
         || CASE WHEN random() < 0.8 THEN ':' || to_char(floor(random() * 61)::int, 'FM00') ELSE '' END
         || CASE WHEN random() < 0.4 THEN '.' || digits(pick('0', '1', '3', '6', '7', '9')::int) ELSE '' END ELSE '' END
    || pick('', '', '', 'Z', 'z', '+02', '-05:30', '+0130', '+15:59', '+16', ' Europe/Berlin', ' PST', '+1', ' BC') $$;

-- A year around changes of the offset from UTC.
CREATE FUNCTION a_near_time() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT to_char(timestamp '1880-01-01' + (random() * 160 * 365.25 * 1440)::int * interval '1 minute',
                 pick('YYYY-MM-DD HH24:MI:SS', 'YYYY-MM-DD', 'YYYY-MM-DD HH24:MI', 'MM/DD/YYYY HH24:MI', 'DD.MM.YYYY', 'YYYY-MM-DD"T"HH24:MI:SS.MS')) $$;

CREATE FUNCTION mutate(v text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE p int := 1 + floor(random() * (length(v) + 1))::int; r float8 := random();
BEGIN
  IF r < 0.6 THEN RETURN v;
  ELSIF r < 0.7 THEN RETURN left(v, p - 1) || substr(v, p + 1);
  ELSIF r < 0.8 THEN RETURN left(v, p - 1) || pick(' ', '-', '+', '.', 'e', ':', '0', '9', 'x', 'é', '_', E'\t') || substr(v, p);
  ELSIF r < 0.9 THEN RETURN pick(' ', E'\t', '  ', E'\n', '') || v || pick(' ', '', '  ', E'\n');
  ELSE RETURN left(v, p - 1) || pick('1', 'a', '-', '+') || substr(v, p + 1);
  END IF;
END $$;

-- check-valgrind sets wh_test.scale to do less.
SELECT coalesce(current_setting('wh_test.scale', true), '1') AS scale \gset
CREATE TEMP TABLE candidate AS
WITH raw AS (
  SELECT 'number' AS kind, a_number() AS v FROM generate_series(1, (1500 * :scale)::int)
  UNION ALL SELECT 'number', (random() * 10 ^ (random() * 40 - 20))::text FROM generate_series(1, (300 * :scale)::int)
  UNION ALL SELECT 'double', (random() * 1e18)::bigint || 'e' || (random() * 54 - 27)::int FROM generate_series(1, (30000 * :scale)::int)
  UNION ALL SELECT 'double', (2 ^ (40 + random() * 13)::int + (random() * 1000000)::bigint + pick('0.5', '0.25', '0.125', '0.375')::float8)::text || pick('', '', '0', '5', '00001') FROM generate_series(1, (3000 * :scale)::int)
  UNION ALL SELECT 'number', (random() * 10 ^ (random() * 10 - 5))::real::text FROM generate_series(1, (300 * :scale)::int)
  UNION ALL SELECT 'number', unnest(ARRAY['0', '-0', '00', '-0.0', '32767', '32768', '-32768', '-32769', '2147483647', '2147483648', '-2147483648',
    '-2147483649', '9223372036854775807', '9223372036854775808', '-9223372036854775808', '-9223372036854775809', 'NaN', 'nan', 'inf',
    'Infinity', '-infinity', '1e400', '1e-400', '1e-310', '.', '-', '+', '', ' ', '1.', '.5', '-.5', '1.e3', '0x1F', '1_000', '1e', '99999.995',
    '0.005', '0.004999', '12345678.99', '123456789.99', '10000', '100000000', '1000000000000', '0.0001', '0.00010000', '0.00001', '-0.0000000012', '.000000000000000000001', '0.00000000', '100000.00001', '9007199254740993',
    '179769313486231580793e289', '2.2250738585072011e-308', '16777217', '1e23', '8.5e22', '1.7976931348623159e308', '4.9e-324'])
  UNION ALL SELECT 'time', a_time() FROM generate_series(1, (1500 * :scale)::int)
  UNION ALL SELECT 'time', a_near_time() FROM generate_series(1, (1500 * :scale)::int)
  UNION ALL SELECT 'time', unnest(ARRAY['infinity', '-infinity', 'epoch', '0000-01-01', '0001-01-01', '9999-12-31', '2000-02-29', '1900-02-29',
    '2024-02-29 23:59:60', '2024-03-31 02:30:00', '2024-10-27 02:30:00', '2024-03-10 02:30', '20240102', '2024-1-2', '2024-001', '99-01-02',
    '24:00:00', '2024-01-01 24:00:00', '2024-01-01 00:00:00.123456', '2024-01-01 00:00:00.1234567', '1582-10-10 12:00', '2024-01-01Z', '2024-01-01+02'])
  UNION ALL SELECT 'bool', pick('t', 'f', 'true', 'false', 'TRUE', 'tr', 'y', 'no', 'on', 'off', 'of', 'o', '1', '0', '2', ' t ', '', 'yes', '10') FROM generate_series(1, (100 * :scale)::int)
  UNION ALL SELECT 'uuid', pick(gen_random_uuid()::text, upper(gen_random_uuid()::text), '{' || gen_random_uuid() || '}', replace(gen_random_uuid()::text, '-', '')) FROM generate_series(1, (200 * :scale)::int)
  UNION ALL SELECT 'text', pick('', 'a', 'ab', 'abcde', 'abcdef', 'äöüßé', 'äöüßéx', 'abc   ', 'abcde   ', '日本語', '日本語日本語', 'a,b"c', E'a\nb', E'x\r\ny') FROM generate_series(1, 60)
  UNION ALL SELECT 'other', pick('{"a": 1}', '{"a"', '1 day 02:00', '3 mons', '{1,2,3}', '{1,x}', '192.168.0.1/24', 'red', '[1,2)', 'abc', '12.5') FROM generate_series(1, 60))
SELECT row_number() OVER () AS id, kind, mutate(v) AS v FROM raw;

CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');

CREATE TEMP TABLE setting (datestyle text, timezone text, intervalstyle text);
INSERT INTO setting VALUES ('ISO, MDY', 'UTC', 'postgres'), ('German, DMY', 'Europe/Berlin', 'sql_standard'),
  ('SQL, YMD', 'America/New_York', 'iso_8601'), ('ISO, DMY', 'Asia/Kathmandu', 'postgres'), ('Postgres, MDY', 'Australia/Lord_Howe', 'postgres_verbose');

-- What a date, or a time of day, may look like: ISO, or as PostgreSQL writes it.
CREATE FUNCTION may_be(t text, v text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN t ~ '^(date|timestamp)' THEN v ~* '^[ \t]*(-?infinity|(\d{4,}-\d\d-\d\d|\d{8})((t|[ \t]+)\d\d(:\d\d(:\d\d)?|\d\d(\d\d)?)(\.\d+)?)?([ \t]*([+-]\d\d(:?\d\d){0,2}|Z|UTC|GMT|[a-z_+-]+/[a-z_/+-]+))?([ \t]*(BC|AD))?)[ \t\n\r]*$'
                   AND NOT (v ~ '^[ \t]*\d{4,}-' AND v ~* '^[ \t]*[\d-]+(t|[ \t]+)\d{4}')
              WHEN t ~ '^time' THEN v ~* '^[ \t]*t?\d\d(:\d\d(:\d\d)?|\d\d(\d\d)?)(\.\d+)?[ \t]*(am|pm)?([ \t]*([+-]\d\d(:?\d\d){0,2}|Z|UTC|GMT|[a-z_+-]+/[a-z_/+-]+))?[ \t\n\r]*$'
              ELSE true END $$;

CREATE FUNCTION compare(s setting, dir text, t text, kinds text[], OUT wrong_values text, OUT wrong_errors text, OUT tried bigint)
LANGUAGE plpgsql AS $$
DECLARE expression text := input_expression(t); good text := 'values_good.csv'; bad text := 'values_bad.csv';
BEGIN
  PERFORM set_config('datestyle', 'ISO, MDY', true), set_config('timezone', 'UTC', true), set_config('intervalstyle', 'postgres', true);
  CREATE TEMP TABLE trial ON COMMIT DROP AS
    SELECT c.id, c.v, r.* FROM candidate c, LATERAL try_cast(c.v, expression) r WHERE c.kind = ANY (kinds);
  UPDATE trial SET state = '22007' WHERE NOT may_be(t, v);
  EXECUTE format('COPY (SELECT id, v FROM trial WHERE state IS NULL ORDER BY id) TO %L (FORMAT csv, HEADER, FORCE_QUOTE (v))', dir || '/' || good);
  EXECUTE format('COPY (SELECT id, v FROM trial WHERE state IS NOT NULL ORDER BY id) TO %L (FORMAT csv, HEADER, FORCE_QUOTE (v))', dir || '/' || bad);
  EXECUTE format('CREATE TEMP TABLE wanted (id int, v %s)', t);
  EXECUTE format('COPY wanted FROM %L (FORMAT csv, HEADER)', dir || '/' || good);
  PERFORM set_config('datestyle', s.datestyle, true), set_config('timezone', s.timezone, true), set_config('intervalstyle', s.intervalstyle, true);
  EXECUTE format('CREATE FOREIGN TABLE good_values (id int, v %s) SERVER files OPTIONS (filename %L)', t, good);
  EXECUTE format('CREATE FOREIGN TABLE bad_values (id int, v %s, line bigint OPTIONS (metadata ''line'')) SERVER files OPTIONS (filename %L)', t, bad);
  EXECUTE format('SELECT string_agg(format(''%%s: %%s, not %%s'', trial.v, g.v, trial.value), ''; '')
                  FROM trial JOIN wanted w USING (id) LEFT JOIN good_values g USING (id)
                  WHERE record_image_eq(ROW(g.v), ROW(w.v)) IS NOT TRUE') INTO wrong_values;
  -- The function pins search_path, so names of types come out qualified.
  WITH expected AS (SELECT id, v, state, message FROM trial WHERE state IS NOT NULL),
       found AS (SELECT substring(encode(e.raw_record, 'escape') from '^\d+')::int AS id, e.sqlstate, replace(e.message, 'public.', '') AS message FROM wh.csv_errors('bad_values') e)
  SELECT string_agg(format('%s %s, not %s %s (%s)', f.sqlstate, f.message, e.state, e.message, e.v), '; ') INTO wrong_errors
  FROM expected e FULL JOIN found f USING (id)
  WHERE CASE WHEN t ~ '^(date|time)' THEN f.sqlstate IS NULL OR e.state IS NULL ELSE (f.sqlstate, f.message) IS DISTINCT FROM (e.state, e.message) END;
  SELECT count(*) INTO tried FROM trial;
  DROP FOREIGN TABLE good_values, bad_values;
  DROP TABLE trial, wanted;
END $$;

CREATE TEMP TABLE outcome AS
SELECT t.type, s.datestyle, s.timezone, c.*
FROM (VALUES ('smallint', '{number}'::text[], false), ('integer', '{number,bool}', false), ('bigint', '{number}', false), ('real', '{number}', false),
  ('double precision', '{number,double}', false), ('numeric', '{number}', false), ('numeric(10,2)', '{number}', false), ('numeric(5,0)', '{number}', false),
  ('numeric(3,5)', '{number}', false), ('numeric(5,-2)', '{number}', false), ('boolean', '{bool,number}', false), ('uuid', '{uuid,bool}', false),
  ('text', '{text,number}', false), ('varchar', '{text}', false), ('varchar(5)', '{text,number}', false), ('char(5)', '{text,bool}', false), ('"char"', '{text}', false),
  ('date', '{time,number}', true), ('timestamp', '{time,bool}', true), ('timestamp(2)', '{time}', true), ('timestamptz', '{time}', true),
  ('timestamptz(0)', '{time}', true), ('time', '{time}', false), ('interval', '{other,time,number}', true), ('jsonb', '{other,number}', false),
  ('int[]', '{other}', false), ('inet', '{other}', false), ('colour', '{other}', false), ('positive', '{number}', false), ('int4range', '{other}', false))
  AS t(type, kinds, by_setting)
JOIN setting s ON t.by_setting OR s.timezone = 'UTC'
CROSS JOIN LATERAL compare(s, :'tmp', t.type, t.kinds) c;

SELECT is(wrong_values, NULL, format('%s under %s, %s: same values (%s spellings)', type, datestyle, timezone, tried)) FROM outcome;
SELECT is(wrong_errors, NULL, format('%s under %s, %s: same errors', type, datestyle, timezone)) FROM outcome;

SELECT * FROM finish();
