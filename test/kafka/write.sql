-- INSERT and COPY produce messages.
\getenv bootstrap KAFKA_BOOTSTRAP
\getenv tmp WH_TMP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');

-- every value comes back as it went
\! $KAFKA_CTL topic write_types 1
CREATE FOREIGN TABLE types (id int, big bigint, small smallint, f8 float8, f4 float4, n numeric, t text, vc varchar(10), c char(4), b bool,
    d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, x bytea, "Quoted ""name""" text,
    inner_a int OPTIONS (path 'in.a'), inner_b text OPTIONS (path 'in.deeper.b'))
  SERVER shop OPTIONS (topic 'write_types', key_column 'id');
CREATE TABLE wanted (id int, big bigint, small smallint, f8 float8, f4 float4, n numeric, t text, vc varchar(10), c char(4), b bool,
    d date, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb, x bytea, "Quoted ""name""" text, inner_a int, inner_b text);
INSERT INTO wanted VALUES
  (1, 9223372036854775807, -32768, 0.1 + 0.2::float8, 1.1, 12345678901234567890.12345678901234567890, E'a"b\\c\n\té€😀\x01', 'x', 'y', true,
   '2024-02-29', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+05:30', '1 year 2 mons 3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
   '{"a" : [1,  2.50]}', '{"b": [1, 2.50, {"c": null}]}', '\x00ff', 'q', 7, 'deep'),
  (2, 0, 0, 'NaN', '-Infinity', 'NaN', '', '', '', false, 'infinity', '-infinity', '0044-03-15 BC', '-00:00:01', NULL, '"text"', '[]', '', NULL, NULL, NULL),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = 0; SET TimeZone = 'Asia/Kolkata';
INSERT INTO types SELECT * FROM wanted;
RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits;
SELECT is_empty('SELECT types::text FROM types EXCEPT SELECT wanted::text FROM wanted', 'values come back exactly, whatever the session''s styles');
SELECT is((SELECT count(*) FROM types), 3::bigint, 'all of them');
\! kcat -C -q -e -b $KAFKA_BOOTSTRAP -t write_types -o 2 -f '%k|%s\n' > $WH_TMP/line
SELECT is(pg_read_file(:'tmp' || '/line'), '3|{"id":3,"big":null,"small":null,"f8":null,"f4":null,"n":null,"t":null,"vc":null,"c":null,"b":null,"d":null,"ts":null,"tz":null,"iv":null,"u":null,"j":null,"jb":null,"x":null,"Quoted \"name\"":null,"in":{"a":null,"deeper":{"b":null}}}' || E'\n', 'as kcat sees it');

-- 100,000 rows
\! $KAFKA_CTL topic write_many 4
CREATE FOREIGN TABLE many (id int, name text, amount numeric(12,2), at timestamptz) SERVER shop OPTIONS (topic 'write_many', key_column 'id');
INSERT INTO many SELECT i, 'name ' || i, i * 1.01, '2024-01-01'::timestamptz + i * interval '1 s' FROM generate_series(1, 100000) i;
\! kcat -C -q -e -b $KAFKA_BOOTSTRAP -t write_many -f '%k\n' | sort -n | uniq | wc -l | tr -d '\n' > $WH_TMP/count
SELECT is(pg_read_file(:'tmp' || '/count'), '100000', '100,000 keys read back by kcat');
SELECT results_eq('SELECT count(*), count(DISTINCT id), sum(id)::bigint, sum(amount), max(name) FROM many',
  'VALUES (100000::bigint, 100000::bigint, 5000050000, 5050050500.00, ''name 99999'')', 'and by SELECT');

-- csv, text, COPY
\! $KAFKA_CTL topic write_csv 1
CREATE FOREIGN TABLE csv (a text, b int, c text, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'write_csv', format 'csv');
CREATE TABLE csv_wanted (a text, b int, c text);
INSERT INTO csv_wanted VALUES ('plain', 1, 'x'), ('a,b', NULL, E'line\nbreak'), ('', 3, NULL), (NULL, 4, 'quote"d'), (NULL, NULL, NULL), ('é', 7, ' spaced ');
INSERT INTO csv (a, b, c) SELECT * FROM csv_wanted;
SELECT results_eq('SELECT a, b, c FROM csv ORDER BY off', 'SELECT * FROM csv_wanted', 'csv: also '''' and NULL');
\! printf 'too,1\nok,2,x\r\na,1,b,c\n"open,1,x\n"shut"x,1,y\nz,q,z\n' | $KAFKA_CTL produce write_csv
SELECT results_eq($$SELECT "offset", coalesce("column", '-'), sqlstate FROM wh.kafka_errors('csv') ORDER BY 1$$,
  $$VALUES (6::bigint, 'c', '22P04'), (8, '-', '22P04'), (9, 'a', '22P04'), (10, 'a', '22P04'), (11, 'b', '22P02')$$, 'records that are not right');
\! $KAFKA_CTL topic write_text 1 retention.ms=-1
CREATE FOREIGN TABLE lines (line bytea, key text OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers'), part int OPTIONS (metadata 'partition'),
    off bigint OPTIONS (metadata 'offset'), at timestamptz OPTIONS (metadata 'timestamp'), value bytea OPTIONS (metadata 'value'))
  SERVER shop OPTIONS (topic 'write_text', format 'text');
INSERT INTO lines (line, key, headers, part, at) VALUES ('\x00ff01', 'k', '{"a": "1", "b": ["x", "y"], "c": null}', 0, '2024-01-01 00:00:00.123+00'), (NULL, 'gone', NULL, NULL, NULL);
SELECT results_eq('SELECT line, key, headers, part, off, at < ''2024-01-02'', value FROM lines ORDER BY off',
  $$VALUES ('\x00ff01'::bytea, 'k', '{"a": "1", "b": ["x", "y"], "c": null}'::jsonb, 0, 0::bigint, true, '\x00ff01'::bytea), (NULL, 'gone', NULL, 0, 1, false, NULL)$$,
  'bytes, key, headers, partition and time are written; NULL is a tombstone');
SELECT throws_ok('INSERT INTO lines (line, off) VALUES (''x'', 5)', 'HV007', NULL, 'the broker decides the offset');
COPY lines (line) FROM STDIN;
by copy
\.
SELECT is((SELECT convert_from(line, 'UTF8') FROM lines WHERE off = 2), 'by copy', 'COPY FROM');
SELECT results_eq('INSERT INTO csv (a, b) VALUES (''r'', 1) RETURNING a, b', $$VALUES ('r', 1)$$, 'RETURNING gives what was sent');
PREPARE one AS INSERT INTO csv (a) VALUES ($1);
EXECUTE one('p1'); EXECUTE one('p2');
SELECT is((SELECT count(*) FROM csv WHERE off > 11 AND a LIKE 'p_'), 2::bigint, 'prepared');

-- a refusal aborts the statement; what was sent before stays sent
\! $KAFKA_CTL topic write_small 1 max.message.bytes=1000
CREATE FOREIGN TABLE small (t text) SERVER shop OPTIONS (topic 'write_small', format 'text');
SELECT throws_ok($$INSERT INTO small VALUES (repeat('x', 5000))$$, '54000', NULL, 'too large for the topic');
SELECT throws_ok($$INSERT INTO small VALUES (repeat('x', 9000000))$$, '54000', NULL, 'too large for the client');
CREATE FOREIGN TABLE missing (t text) SERVER shop OPTIONS (topic 'write_missing', format 'text');
SELECT throws_ok($$INSERT INTO missing VALUES ('x')$$, 'HV00R', NULL, 'no such topic');
CREATE FOREIGN TABLE bad_part (t text, p int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'write_small', format 'text');
SELECT throws_ok($$INSERT INTO bad_part VALUES ('x', 77)$$, 'HV00R', NULL, 'no such partition');
BEGIN;
INSERT INTO small VALUES ('rolled back');
ROLLBACK;
SELECT results_eq('SELECT t FROM small', ARRAY['rolled back'], 'ROLLBACK does not take messages back');
SELECT throws_ok('INSERT INTO small SELECT (1 / (3 - i))::text FROM generate_series(1, 5) i', '22012', NULL, 'an error in mid-statement');
SELECT is((SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task')), 1::bigint, 'leaves no thread');

SELECT * FROM finish();
