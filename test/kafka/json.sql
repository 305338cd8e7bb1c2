-- Format json against PostgreSQL's own: what is accepted, and every value.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
SELECT setseed(0.4);

-- Random JSON: names that columns have, names they have not, repeats, spaces, escapes.
CREATE FUNCTION pick(VARIADIC a text[]) RETURNS text LANGUAGE sql VOLATILE AS $$SELECT a[ceil(random() * cardinality(a))]$$;
CREATE FUNCTION space() RETURNS text LANGUAGE sql VOLATILE AS $$SELECT pick('', '', '', ' ', E'\n', E'\t ')$$;
CREATE FUNCTION random_value(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE k int := floor(random() * CASE WHEN depth > 0 THEN 11 ELSE 9 END); r text := ''; BEGIN
  CASE
    WHEN k < 2 THEN RETURN (random() * 100)::int::text;
    WHEN k = 2 THEN RETURN pick('-0', '0.10', '1e3', '-12.5E-2', '123456789012345678901234567890.123', '9223372036854775807', '1E+2', '2147483648');
    WHEN k = 3 THEN RETURN pick('true', 'false', 'null', 'null');
    WHEN k < 6 THEN RETURN '"' || pick('', 'a', '7', 'x y z and a long text without anything to escape', 'ünïcödé €', '2024-02-29', '1.50', 't', '☃') || '"';
    WHEN k < 9 THEN RETURN '"' || pick('a\"b', '\\', '\/\b\f\n\r\t', '\u0041\u00e9\u20ac', '\ud83d\ude00 smile', 'long text before an escape, to pass eight bytes \u0031', '\u0031\u0032') || '"';
    WHEN k = 9 THEN
      FOR i IN 1..floor(random() * 4) LOOP
        r := r || CASE WHEN i > 1 THEN ',' ELSE '' END || space() || random_value(depth - 1) || space();
      END LOOP;
      RETURN '[' || r || CASE WHEN r = '' THEN space() ELSE '' END || ']';
    ELSE
      FOR i IN 1..floor(random() * 5) LOOP
        r := r || CASE WHEN i > 1 THEN ',' ELSE '' END || space() || '"'
          || pick('a', 'b', 'i', 'n', 't', 'j', 'jb', 'deep', 'other', 'Other', '', '\u0061', 'bb', 'f') || '"' || space() || ':' || space() || random_value(depth - 1) || space();
      END LOOP;
      RETURN '{' || r || CASE WHEN r = '' THEN space() ELSE '' END || '}';
  END CASE; END $$;
CREATE FUNCTION random_object() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE v text; BEGIN
  LOOP
    v := random_value(4);
    IF v LIKE '{%' THEN RETURN space() || v || space(); END IF;
  END LOOP; END $$;
-- A slip: a character lost, doubled, or changed.
CREATE FUNCTION slip(v text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE p int := 1 + floor(random() * length(v)); BEGIN
  RETURN CASE floor(random() * 4)
    WHEN 0 THEN overlay(v PLACING '' FROM p FOR 1)
    WHEN 1 THEN left(v, p)
    WHEN 2 THEN overlay(v PLACING pick('"', '{', '}', '[', ']', ',', ':', '\', '0', '-', 'e', '.', 't', ' ', E'\x01', '\ud800', '\u0000') FROM p FOR 1)
    ELSE overlay(v PLACING pick('"', '{', '}', '[', ']', ',', ':', '\', '0', 'u', 'null') FROM p FOR 0) END; END $$;

CREATE TABLE sent AS SELECT id, CASE WHEN id % 3 = 0 THEN slip(v) ELSE v END AS v
  FROM (SELECT id, random_object() AS v FROM generate_series(1, 6000) id OFFSET 0) r;
CREATE FUNCTION jsonb_or_null(v text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN v::jsonb; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
ALTER TABLE sent ADD b jsonb;
UPDATE sent SET b = jsonb_or_null(v);

\! $KAFKA_CTL topic json_random 1
CREATE FOREIGN TABLE raw (v text, id text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'json_random', format 'text');
INSERT INTO raw SELECT v, id FROM sent ORDER BY id;
CREATE FOREIGN TABLE typed (id int OPTIONS (metadata 'key'), a text, b text, i text, n text, t text, j json, jb jsonb,
  ab text OPTIONS (path 'a.b'), deep jsonb OPTIONS (path 'deep.j'), deeper text OPTIONS (path 'deep.deep.t'), same text OPTIONS (path 't'),
  empty json OPTIONS (path ''))
  SERVER shop OPTIONS (topic 'json_random');

-- what is no correct object is refused, and nothing else
CREATE TABLE refused AS SELECT convert_from(message_key, 'UTF8')::int AS id, message FROM wh.kafka_errors('typed') WHERE "column" IS NULL;
SELECT is_empty($$SELECT s.id, s.v, r.message FROM sent s FULL JOIN refused r USING (id)
  WHERE (r.id IS NOT NULL) IS DISTINCT FROM (jsonb_typeof(s.b) IS DISTINCT FROM 'object')$$, 'accepts exactly what jsonb accepts as an object');
SELECT cmp_ok((SELECT count(*) FROM refused), '>', 500::bigint, 'many were refused');
SELECT is_empty('SELECT * FROM wh.kafka_errors(''typed'') WHERE "column" IS NOT NULL', 'text takes any value');

-- the values are those of json_populate_record
\! $KAFKA_CTL topic json_good 1
CREATE FOREIGN TABLE good_raw (v text, id text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'json_good', format 'text');
INSERT INTO good_raw SELECT v, id FROM sent WHERE jsonb_typeof(b) = 'object' ORDER BY id;
CREATE FOREIGN TABLE good (id int OPTIONS (metadata 'key'), a text, b text, i text, n text, t text, j json, jb jsonb,
  ab text OPTIONS (path 'a.b'), deep jsonb OPTIONS (path 'deep.j'), deeper text OPTIONS (path 'deep.deep.t'), same text OPTIONS (path 't'))
  SERVER shop OPTIONS (topic 'json_good');
CREATE TYPE flat AS (a text, b text, i text, n text, t text, j json, jb jsonb);
CREATE TABLE wanted AS SELECT s.id, f.*,
    CASE WHEN jsonb_typeof(s.b -> 'a') = 'object' THEN s.b #>> '{a,b}' END AS ab, nullif(s.b #> '{deep,j}', 'null') AS deep,
    s.b #>> '{deep,deep,t}' AS deeper, f.t AS same
  FROM sent s, json_populate_record(NULL::flat, s.v::json) f WHERE jsonb_typeof(s.b) = 'object';
-- json_populate_record writes a string's escapes anew
CREATE FUNCTION text_of(j json) RETURNS text LANGUAGE sql AS
  $$SELECT json_typeof(j) || CASE json_typeof(j) WHEN 'string' THEN j #>> '{}' ELSE j::text END$$;
CREATE TABLE got AS SELECT * FROM good;
SELECT is((SELECT count(*) FROM got), (SELECT count(*) FROM wanted), 'as many rows');
SELECT is_empty($$SELECT w, g FROM wanted w JOIN got g USING (id)
  WHERE (w.a, w.b, w.i, w.n, w.t, text_of(w.j), w.jb, w.deep, w.same) IS DISTINCT FROM (g.a, g.b, g.i, g.n, g.t, text_of(g.j), g.jb, g.deep, g.same)$$,
  'columns as json_populate_record sets them');
SELECT is_empty($$SELECT w.ab, g.ab, w.deeper, g.deeper FROM wanted w JOIN got g USING (id)
  WHERE regexp_replace(coalesce(w.ab, '-'), '[\s,0-9.eE+-]', '', 'g') <> regexp_replace(coalesce(g.ab, '-'), '[\s,0-9.eE+-]', '', 'g')
    AND g.ab !~ '^[\[{]' OR (w.deeper IS NULL) <> (g.deeper IS NULL)$$, 'nested paths as jsonb''s paths find them');

-- conversion to types
\! $KAFKA_CTL topic json_types 1
CREATE FOREIGN TABLE types_raw (v text) SERVER shop OPTIONS (topic 'json_types', format 'text');
CREATE FOREIGN TABLE types (i int, f float8, n numeric, n2 numeric(6,2), d date, ts timestamptz, b bool, u uuid, x bytea, a int[], c char(3), v varchar(4))
  SERVER shop OPTIONS (topic 'json_types');
INSERT INTO types_raw VALUES ('{"i": -12, "f": 1.5e300, "n": 123456789012345678901234567890.0123456789, "n2": "17.255", "d": "2024-02-29", "ts": "2024-02-29T12:00:00.123456+02:00", "b": true, "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "x": "\\x0102", "a": "{1,2}", "c": "x", "v": "abcd"}'),
  ('{"i": "7", "b": 1, "n": 1E-5, "f": 0}'), ('{}');
SELECT results_eq('SELECT * FROM types', $$VALUES (-12, 1.5e300::float8, 123456789012345678901234567890.0123456789::numeric, 17.26::numeric(6,2), '2024-02-29'::date,
    '2024-02-29 10:00:00.123456+00'::timestamptz, true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '\x0102'::bytea, '{1,2}'::int[], 'x'::char(3), 'abcd'::varchar(4)),
  (7, 0, 0.00001, NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)$$, 'typed values');

-- Poison of many kinds: every message but the good ones is an error, all of its errors are told
\! $KAFKA_CTL topic json_poison 1
\! (printf '{"id": 1, "n": 1}\n{"id": 2, "n": \n{"id": "x", "n": "y"}\n{"id": 99999999999}\n'; printf '{"t": "\377"}\n'; printf '\\x7b2274223a2022410042227d\n'; printf '{"t": "a\\\\u0000b"}\n'; (printf '{"o": '; head -c 5000 /dev/zero | tr '\0' '['; head -c 5000 /dev/zero | tr '\0' ']'; printf '}\n'); printf '\\x\n[1]\n{"id": 1} x\n"text"\n{"id": {"a": 1}}\n{"n": 1e200000}\n'; (printf '{"t": "'; head -c 5000000 /dev/zero | tr '\0' 'a'; printf '"}\n{"t": "short"}\n')) | sed 's/\\\\u/\\u/g' | $KAFKA_CTL produce json_poison
CREATE FOREIGN TABLE poison (id int, n numeric, t text, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'json_poison');
SELECT results_eq('SELECT "offset"::int, "column", sqlstate FROM wh.kafka_errors(''poison'') ORDER BY 1, 2', $$VALUES
  (1, NULL, '22P02'), (2, 'id', '22P02'), (2, 'n', '22P02'), (3, 'id', '22003'), (4, NULL, '22021'), (5, NULL, '22021'),
  (6, NULL, '22P05'), (7, NULL, '54000'), (8, NULL, '22P02'), (9, NULL, '22P02'), (10, NULL, '22P02'), (11, NULL, '22P02'), (12, 'id', '42804'), (13, 'n', '22003')$$,
  'each kind with its error');
SELECT is((SELECT length(t) FROM poison WHERE off = 14), 5000000, 'a value of 5 MB is no error');
SELECT is((SELECT convert_from(raw_record, 'UTF8') FROM wh.kafka_errors('poison') WHERE "offset" = 2 AND "column" = 'id'), '{"id": "x", "n": "y"}', 'the raw record');
CREATE FUNCTION error_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c text; h text; BEGIN
  EXECUTE query; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS c = PG_EXCEPTION_CONTEXT, h = PG_EXCEPTION_HINT; RETURN c || h; END $$;
SELECT matches(error_of('SELECT * FROM poison'), 'topic "json_poison", partition 0, offset 1\M.*Condition the query', 'SELECT says which message, and what to do');
SELECT matches(error_of('SELECT * FROM poison WHERE off = 3'), 'topic "json_poison", partition 0, offset 3\M.*Condition the query', 'also for a value that does not fit');
SELECT is((SELECT count(*) FROM poison WHERE off IN (0, 14, 15) AND off >= 14), 2::bigint, 'which helps');

SELECT * FROM finish();
