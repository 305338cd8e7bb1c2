-- Malformed files: each has its SQLSTATE and message, both when a query raises it and when
-- wh.csv_errors lists it, and the good rows around it are kept.
SELECT no_plan();

CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE o oid := lo_from_bytea(0, content);
BEGIN
  PERFORM lo_export(o, name);
  PERFORM lo_unlink(o);
END $$;

-- A table m_<name> over file m_<name>.csv with the content.
CREATE FUNCTION given(name text, content bytea, options text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM write_file(current_setting('wh_test.tmp') || '/m_' || name || '.csv', content);
  EXECUTE format('CREATE FOREIGN TABLE %I (a int, b text, c numeric) SERVER files OPTIONS (filename %L %s)', 'm_' || name, 'm_' || name || '.csv', options);
END $$;
-- The errors of a table as text.
CREATE FUNCTION errors(t regclass) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws(' ', line, byte_offset, "column", sqlstate, message, '[' || convert_from(raw_record, 'LATIN1') || ']') FROM wh.csv_errors(t) $$;
SELECT set_config('wh_test.tmp', :'tmp', false) IS NULL AS x \gset

SELECT given('count', E'a,b,c\n1,x,1.5\n2,y\n3,z,1,9\n4,w,2\n');
SELECT throws_ok('SELECT * FROM m_count', '22P04', 'record has 2 fields, but 3 are expected', 'wrong field count');
SELECT throws_ok('SELECT count(*) FROM m_count', '22P04', 'record has 2 fields, but 3 are expected', 'also for count(*)');
SELECT set_eq($$SELECT errors('m_count')$$, $$VALUES ('3 14 22P04 record has 2 fields, but 3 are expected [2,y]'),
  ('4 18 22P04 record has 4 fields, but 3 are expected [3,z,1,9]')$$, 'both are listed');

SELECT given('quote', E'a,b,c\n1,"x\ny",1\n2,"unterminated,2\n3,z,3\n');
SELECT throws_ok('SELECT * FROM m_quote', '22P04', 'unterminated quoted field', 'unterminated quote');
SELECT set_eq($$SELECT errors('m_quote')$$, $$VALUES ('4 16 22P04 unterminated quoted field [2,"unterminated,2]')$$, 'the line after it is read');

SELECT given('swallow', convert_to(E'a,b,c\n1,"never closed,1\n' || (SELECT string_agg(format(E'%s,row %s,1\n', i, i), '') FROM generate_series(2, 20000) i), 'UTF8'),
  $$, max_record_size '10kB'$$);
SELECT set_eq($$SELECT errors('m_swallow')$$, $$VALUES ('2 6 22P04 unterminated quoted field [1,"never closed,1]')$$, 'the rest of the file is not swallowed');

SELECT given('after', E'a,b,c\n1,"x"y,1\n2,"z",2\n');
SELECT throws_ok('SELECT * FROM m_after', '22P04', 'unexpected data after closing quote', 'data after a closing quote');
SELECT set_eq($$SELECT errors('m_after')$$, $$VALUES ('2 6 22P04 unexpected data after closing quote [1,"x"y,1]')$$, 'and it is listed');

SELECT given('nul', 'a,b,c'::bytea || '\x0a'::bytea || '1,x'::bytea || '\x00'::bytea || 'y,1'::bytea || '\x0a'::bytea || '2,z,2'::bytea || '\x0a'::bytea);
SELECT throws_ok('SELECT * FROM m_nul', '22021', 'invalid byte sequence for encoding "UTF8": 0x00', 'NUL byte');
SELECT results_eq($$SELECT line, "column", sqlstate, raw_record FROM wh.csv_errors('m_nul')$$, $$VALUES (2::bigint, 'b', '22021', '\x312c7800792c31'::bytea)$$, 'listed with its raw bytes');
SELECT lives_ok('SELECT a FROM m_nul', 'a column that is not used is not looked at');

SELECT given('utf8', E'a,b,c\n1,'::bytea || '\xe92078'::bytea || E',1\n2,ok,2\n3,'::bytea || '\xc3'::bytea || E',3\n'::bytea);
SELECT throws_ok('SELECT * FROM m_utf8', '22021', 'invalid byte sequence for encoding "UTF8": 0xe9 0x20 0x78', 'invalid UTF-8');
SELECT set_eq($$SELECT line || ' ' || "column" || ' ' || message FROM wh.csv_errors('m_utf8')$$,
  $$VALUES ('2 b invalid byte sequence for encoding "UTF8": 0xe9 0x20 0x78'), ('4 b invalid byte sequence for encoding "UTF8": 0xc3')$$, 'every one is listed');

SELECT given('latin', convert_to(E'a,b,c\n1,\u0416,1\n', 'KOI8R'), $$, encoding 'KOI8R'$$);
SELECT results_eq('SELECT b FROM m_latin', $$VALUES (U&'\0416')$$, 'another encoding');

SELECT given('long', convert_to(E'a,b,c\n1,' || repeat('x', 300) || E',1\n2,ok,2\n', 'UTF8'), $$, max_record_size '100B'$$);
SELECT throws_ok('SELECT * FROM m_long', '54000', 'record is longer than max_record_size (100 bytes)', 'over-long record');
SELECT results_eq($$SELECT line, length(raw_record), message FROM wh.csv_errors('m_long')$$, $$VALUES (2::bigint, 100, 'record is longer than max_record_size (100 bytes)')$$, 'its first bytes are kept, the next line is read');

SELECT given('empty', ''::bytea);
SELECT throws_ok('SELECT * FROM m_empty', '22P04', 'file is empty: it has no header', 'empty file');
SELECT set_eq($$SELECT errors('m_empty')$$, $$VALUES ('22P04 file is empty: it has no header')$$, 'and it is listed');
SELECT given('empty2', ''::bytea, $$, header 'none'$$);
SELECT is_empty('SELECT * FROM m_empty2', 'an empty file without header has no rows');
SELECT given('header', E'a,b,c\n');
SELECT is_empty('SELECT * FROM m_header', 'header only: no rows');
SELECT is_empty($$SELECT errors('m_header')$$, 'and no error');

SELECT given('missing', E'a,x\n1,2\n');
SELECT throws_ok('SELECT * FROM m_missing', '22P04', 'column "b" is missing from the header', 'a missing column');
SELECT set_eq($$SELECT errors('m_missing')$$, $$VALUES ('1 0 b 22P04 column "b" is missing from the header [a,x]'), ('1 0 c 22P04 column "c" is missing from the header [a,x]')$$, 'all missing columns are named');
SELECT given('extra', E'x,c,b,a,y\n9,1.5,bee,1,9\n');
SELECT results_eq('SELECT * FROM m_extra', $$VALUES (1, 'bee', 1.5)$$, 'columns are found by name, others ignored');
SELECT given('extra2', E'x,c,b,a\n9,1.5,bee,1\n', $$, extra_columns 'error'$$);
SELECT throws_ok('SELECT * FROM m_extra2', '22P04', 'header has a column "x" that the table lacks', 'extra columns as an error');
SELECT given('twice', E'a,b,c,b\n1,2,3,4\n');
SELECT throws_ok('SELECT * FROM m_twice', '22P04', 'column "b" is more than once in the header', 'a column twice');

SELECT given('values', E'a,b,c\nx,ok,y\n99999999999,ok,1\n3,ok,3\n');
SELECT throws_ok('SELECT * FROM m_values', '22P02', 'invalid input syntax for type integer: "x"', 'a bad value is raised');
SELECT lives_ok('SELECT b FROM m_values', 'but not when its column is not used');
SELECT set_eq($$SELECT errors('m_values')$$, $$VALUES ('2 6 a 22P02 invalid input syntax for type integer: "x" [x,ok,y]'),
  ('2 6 c 22P02 invalid input syntax for type numeric: "y" [x,ok,y]'),
  ('3 13 a 22003 value "99999999999" is out of range for type integer [99999999999,ok,1]')$$, 'all errors of a row, not only the first');
DO $$
DECLARE context text;
BEGIN
  PERFORM * FROM m_values;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
  PERFORM set_config('wh_test.context', split_part(context, E'\n', 1), false);
END $$;
SELECT is(current_setting('wh_test.context'), 'CSV file "m_values.csv", line 2, column "a"', 'an error says file, line and column');

-- Files that can't be read, among files that can.
SELECT write_file(:'tmp' || '/f_1.csv', E'a,b,c\n1,one,1\n');
SELECT write_file(:'tmp' || '/f_5.csv', E'a,b,c\n5,five,5\n');
\! cd "$WH_TMP" && (echo a,b,c; seq 100000 | sed 's/.*/&,row &,1/') | gzip | head -c 100000 > f_2.csv.gz
\! cd "$WH_TMP" && printf 'no gzip at all' > f_3.csv.gz && mkdir -p f_4.csv && ln -sf nowhere f_6.csv && cp f_1.csv f_7.csv && chmod 000 f_7.csv && : > f_8.csv.gz
\! cd "$WH_TMP" && (echo a,b,c; seq 100000 | sed 's/.*/&,row &,1/') | zstd -q | head -c 20000 > f_9.csv.zst
CREATE FOREIGN TABLE f (a int, b text, c numeric) SERVER files OPTIONS (pattern 'f_*');
SELECT results_eq($$SELECT file, line IS NULL, sqlstate, message FROM wh.csv_errors('f')$$, $$VALUES
  ('f_2.csv.gz', false, 'XX001', 'file "f_2.csv.gz" is truncated: its gzip data ends too early'),
  ('f_3.csv.gz', false, 'XX001', 'gzip data of file "f_3.csv.gz" is corrupt'),
  ('f_4.csv', true, '42809', '"f_4.csv" is a directory'),
  ('f_6.csv', true, '58P01', 'could not open file "f_6.csv" for reading: No such file or directory'),
  ('f_7.csv', true, '42501', 'could not open file "f_7.csv" for reading: Permission denied'),
  ('f_8.csv.gz', false, 'XX001', 'file "f_8.csv.gz" is truncated: its gzip data ends too early'),
  ('f_9.csv.zst', false, 'XX001', 'file "f_9.csv.zst" is truncated: its zstd data ends too early')$$,
  'truncated gzip, no gzip, directory, gone, no permission, empty gzip, truncated zstd: the others are read');

CREATE FUNCTION reading(name text) RETURNS text LANGUAGE sql AS $$ SELECT format('SELECT count(*) FROM wh.read_csv(%L) AS t(a int, b text, c numeric)', current_setting('wh_test.tmp') || '/' || name) $$;
SELECT throws_ok(reading('f_2.csv.gz'), 'XX001', format('file "%s/f_2.csv.gz" is truncated: its gzip data ends too early', :'tmp'), 'truncated gzip');
SELECT throws_ok(reading('f_3.csv.gz'), 'XX001', format('gzip data of file "%s/f_3.csv.gz" is corrupt', :'tmp'), 'no gzip');
SELECT throws_ok(reading('f_4.csv'), '42809', format('"%s/f_4.csv" is a directory', :'tmp'), 'a directory');
SELECT throws_ok(reading('f_6.csv'), '58P01', format('could not open file "%s/f_6.csv" for reading: No such file or directory', :'tmp'), 'no file');
SELECT throws_ok(reading('f_7.csv'), '42501', format('could not open file "%s/f_7.csv" for reading: Permission denied', :'tmp'), 'no permission');

-- A file that goes between listing and opening.
\! cd "$WH_TMP" && cp f_1.csv g_1.csv && cp f_5.csv g_2.csv
CREATE FOREIGN TABLE g (a int, b text, c numeric) SERVER files OPTIONS (pattern 'g_*.csv');
BEGIN;
DECLARE going CURSOR FOR SELECT * FROM g;
SELECT results_eq('FETCH 1 FROM going', $$VALUES (1, 'one', 1::numeric)$$, 'the first file is read');
\! rm "$WH_TMP/g_2.csv"
SELECT throws_ok('FETCH ALL FROM going', '58P01', 'could not open file "g_2.csv" for reading: No such file or directory', 'the second is gone');
COMMIT;

SELECT * FROM finish();
