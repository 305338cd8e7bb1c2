-- CSV foreign tables: options and their hints, EXPLAIN, ANALYZE, projection, import, sniffing.
SELECT no_plan();

SELECT set_config('wh_test.tmp', :'tmp', false) IS NULL AS x \gset
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION write_file(name text, content text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE o oid := lo_from_bytea(0, convert_to(content, 'UTF8'));
BEGIN
  PERFORM lo_export(o, current_setting('wh_test.tmp') || '/' || name);
  PERFORM lo_unlink(o);
END $$;
-- The hint of the error that a statement raises.
CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  RETURN hint;
END $$;

-- Options.
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int) SERVER files$$, 'HV002', 'either "filename" or "pattern" is required for a table of wrapper wh_csv');
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filename 'x', pattern 'y')$$, 'HV024', 'options "filename" and "pattern" exclude each other');
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filename 'x', delimitter ',')$$, 'HV00D', 'invalid option "delimitter"');
SELECT is(hint_of($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filename 'x', delimitter ',')$$), 'Perhaps you meant the option "delimiter".');
SELECT is(hint_of($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filenam 'x')$$), 'Perhaps you meant the option "filename".');
SELECT is(hint_of($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filename 'x', completely_other 'x')$$),
  'Valid options here are: comment, compression, currency, date_format, decimal, delimiter, encoding, escape, extra_columns, filename, format, header, long_records, max_record_size, missing_columns, name_case, negative, null, pattern, percent, quote, quoted_null, settle, short_records, skip, skip_footer, thousands, time_zone, trim.', 'nothing near: all there are');
SELECT throws_ok($$CREATE SERVER s2 FOREIGN DATA WRAPPER wh_csv OPTIONS (dir '/tmp')$$, 'HV00D', 'invalid option "dir"');
SELECT throws_ok($$CREATE SERVER s2 FOREIGN DATA WRAPPER wh_csv OPTIONS (directory 'tmp')$$, 'HV024', 'option "directory" must be an absolute path');
SELECT throws_ok($$CREATE USER MAPPING FOR CURRENT_USER SERVER files OPTIONS (username 'x')$$, 'HV00D', 'invalid option "username"');
SELECT is(hint_of($$CREATE USER MAPPING FOR CURRENT_USER SERVER files OPTIONS (username 'x')$$), 'There are no valid options in this context.');
SELECT throws_ok(format($$CREATE FOREIGN TABLE t (a int) SERVER files OPTIONS (filename 'x', %s)$$, o), 'HV024', m, o)
FROM (VALUES
  ($$header 'yes'$$, 'invalid value for option "header": "yes"'),
  ($$delimiter ',,,,,,,,,'$$, 'invalid value for option "delimiter": ",,,,,,,,,"'),
  ($$delimiter ''$$, 'invalid value for option "delimiter": ""'),
  ($$quote 'é'$$, 'invalid value for option "quote": "é"'),
  ($$quote ','$$, 'options "delimiter" and "quote" must differ'),
  ($$encoding 'klingon'$$, 'invalid value for option "encoding": "klingon"'),
  ($$compression 'lzma'$$, 'invalid value for option "compression": "lzma"'),
  ($$max_record_size '0'$$, 'invalid value for option "max_record_size": "0"'),
  ($$max_record_size '3 parsecs'$$, 'invalid value for option "max_record_size": "3 parsecs"'),
  ($$extra_columns 'maybe'$$, 'invalid value for option "extra_columns": "maybe"')) v(o, m);
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int OPTIONS (metadata 'offset')) SERVER files OPTIONS (filename 'x')$$, 'HV024', 'invalid value for option "metadata": "offset"');
CREATE FOREIGN TABLE wrong_meta (a int OPTIONS (metadata 'line')) SERVER files OPTIONS (filename 'x');
SELECT throws_ok($$SELECT * FROM wrong_meta$$, 'HV004', 'column "a" with metadata "line" must be of type bigint');
SELECT lives_ok($$CREATE FOREIGN TABLE no_data (a int) SERVER files OPTIONS (pattern 'there is no such *')$$);
SELECT is_empty('SELECT * FROM no_data', 'a pattern without files has no rows');

-- Tables over several files, headers in other orders, renamed and dropped columns.
SELECT write_file('sale_2024-01-02.csv', E'id,"Unit price",day\n1,2.50,2024-01-02\n2,3,2024-01-02\n');
SELECT write_file('sale_2024-01-03.csv', E'day,id,"Unit price"\n2024-01-03,3,\n');
SELECT write_file('sale_2024-01-03.csv.bak', E'junk');
CREATE FOREIGN TABLE sale (gone int, id int, price numeric OPTIONS (name 'Unit price'), day date, file text OPTIONS (metadata 'filename'), line bigint OPTIONS (metadata 'line'))
  SERVER files OPTIONS (pattern 'sale_*.csv');
ALTER FOREIGN TABLE sale DROP COLUMN gone;
SELECT results_eq('SELECT * FROM sale', $$VALUES (1, 2.50, date '2024-01-02', 'sale_2024-01-02.csv', 2::bigint), (2, 3, '2024-01-02', 'sale_2024-01-02.csv', 3), (3, NULL, '2024-01-03', 'sale_2024-01-03.csv', 2)$$, 'files in name order, columns by name');
SELECT results_eq('SELECT line FROM sale WHERE id > 1 ORDER BY price', $$VALUES (3::bigint), (2)$$, 'conditions and projection');
SELECT results_eq('SELECT s FROM sale s WHERE id = 3', $$SELECT s FROM sale s WHERE s.line = 2 AND s.file LIKE '%03.csv'$$, 'whole rows');
SELECT results_eq('SELECT a.id, b.id FROM sale a LEFT JOIN LATERAL (SELECT * FROM sale b WHERE b.id > a.id ORDER BY id LIMIT 1) b ON true', $$VALUES (1, 2), (2, 3), (3, NULL)$$, 'rescans');
SELECT throws_ok('UPDATE sale SET id = 1', '0A000', 'cannot update foreign table "sale"', 'read only');

CREATE FUNCTION explain(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || q; END $$;
SELECT ok(string_agg(explain, E'\n') LIKE '%CSV Files: sale_2024-01-02.csv (53 bytes), sale_2024-01-03.csv (34 bytes)%CSV Size: 87 bytes%CSV Rows: %', 'EXPLAIN shows files, sizes and rows')
  FROM explain('SELECT * FROM sale');
SELECT is((SELECT string_agg(explain, ' ') FROM explain('(COSTS OFF) SELECT * FROM sale')), 'Foreign Scan on sale   CSV Files: sale_2024-01-02.csv, sale_2024-01-03.csv');

-- Estimates and ANALYZE.
SELECT format('COPY (SELECT i AS id, i %% 10 AS k, repeat(''x'', 30) AS pad FROM generate_series(1, 20000) i) TO %L (FORMAT csv, HEADER)', :'tmp' || '/many.csv') \gexec
\! gzip -kf "$WH_TMP/many.csv"
CREATE FOREIGN TABLE many (id int, k int, pad text) SERVER files OPTIONS (filename 'many.csv');
CREATE FOREIGN TABLE many_gz (id int, k int, pad text) SERVER files OPTIONS (filename 'many.csv.gz');
CREATE FUNCTION rows_of(q text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE j json; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || q INTO j; RETURN (j->0->'Plan'->>'Plan Rows')::float8; END $$;
SELECT cmp_ok(abs(rows_of('SELECT * FROM many') - 20000), '<', 2000::float8, 'rows estimated from the first records');
SELECT cmp_ok(rows_of('SELECT * FROM many_gz'), '>', 5000::float8, 'rows of a compressed file estimated');
ANALYZE many;
SELECT cmp_ok(abs(rows_of('SELECT * FROM many WHERE k = 3') - 2000), '<', 500::float8, 'ANALYZE gives statistics');
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'many'::regclass), 20000::real, 'and the row count');
SELECT is((SELECT n_distinct FROM pg_stats WHERE tablename = 'many' AND attname = 'k'), 10::real);

-- Cancellation is prompt.
CREATE FUNCTION cancelled(q text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE q;
  RETURN false;
EXCEPTION WHEN query_canceled THEN RETURN true;
END $$;
SELECT clock_timestamp() AS started \gset
SET statement_timeout = '100ms';
SELECT ok(cancelled('SELECT count(*) FROM many a, many b, many c'), 'a long scan can be cancelled');
RESET statement_timeout;
SELECT cmp_ok(clock_timestamp() - :'started'::timestamptz, '<', interval '5 seconds', 'promptly');

-- Import.
CREATE SCHEMA imported;
\! mkdir -p "$WH_TMP/import/deep" && chmod -R a+rwX "$WH_TMP/import"
SELECT write_file('import/Order Lines.csv', E'OrderID;Unit Price;note\n1;1.5;x\n');
SELECT write_file('import/code_1.csv', E'code,n,big,ratio,mixed,flag,day,at,atz,id,nothing,phone\n00123,1,12345678901,1e5,1,true,2024-01-02,2024-01-02 03:04,2024-01-02T03:04:05Z,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,,+49301\n');
SELECT write_file('import/code_2.csv', E'code,n,big,ratio,mixed,flag,day,at,atz,id,nothing,phone\n124,,2,2.5,a,f,2024-01-03,2024-01-02 03:04:05.5,2024-01-02 03:04:05+02,a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,,1\n');
SELECT write_file('import/code_3.csv', E'n,code\n');
SELECT write_file('import/readme.txt', 'x');
SELECT write_file('import/deep/plain.csv', E'1,2\n3,4\n');
IMPORT FOREIGN SCHEMA import FROM SERVER files INTO imported;
SELECT results_eq($$SELECT c.relname::text COLLATE "default", array_to_string(t.ftoptions, ' ') COLLATE "default" FROM pg_foreign_table t JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = 'imported'::regnamespace ORDER BY c.relname$$,
  $$VALUES ('code', 'pattern=import/code_[0-9]*.csv'), ('order_lines', 'filename=import/Order Lines.csv delimiter=;')$$, 'a table per file or family');
SELECT results_eq($$SELECT attname::text COLLATE "default", format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'imported.code'::regclass AND attnum > 0 ORDER BY attnum$$,
  $$VALUES ('code', 'text'), ('n', 'integer'), ('big', 'bigint'), ('ratio', 'double precision'), ('mixed', 'text'), ('flag', 'boolean'), ('day', 'date'),
    ('at', 'timestamp without time zone'), ('atz', 'timestamp with time zone'), ('id', 'uuid'), ('nothing', 'text'), ('phone', 'text')$$, 'types by all files');
SELECT results_eq('SELECT * FROM imported.order_lines', $$VALUES (1, 1.5, 'x')$$, 'and it can be read');
SELECT is((SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'imported.order_lines'::regclass AND attnum > 0), '{order_id,unit_price,note}');
CREATE SCHEMA limited;
IMPORT FOREIGN SCHEMA import LIMIT TO (code) FROM SERVER files INTO limited;
IMPORT FOREIGN SCHEMA "import/deep" FROM SERVER files INTO limited;
SELECT set_eq($$SELECT relname::text FROM pg_class WHERE relnamespace = 'limited'::regnamespace$$, $$VALUES ('code'), ('plain')$$, 'LIMIT TO; a directory below');
SELECT results_eq('SELECT * FROM limited.plain', $$VALUES (1, 2), (3, 4)$$, 'a file without header');
CREATE SCHEMA excepted;
IMPORT FOREIGN SCHEMA import EXCEPT (code) FROM SERVER files INTO excepted;
SELECT set_eq($$SELECT relname::text FROM pg_class WHERE relnamespace = 'excepted'::regnamespace$$, $$VALUES ('order_lines')$$, 'EXCEPT');
SELECT throws_ok($$IMPORT FOREIGN SCHEMA "../x" FROM SERVER files INTO excepted$$, '42501', 'schema "../x" is outside of the directory of its server');

-- Sniffing: the statement it gives works.
CREATE FUNCTION sniff(name text, OUT delimiter text, OUT header text, OUT columns text[], OUT types text[], OUT records bigint, OUT statement text) LANGUAGE sql AS
$$ SELECT delimiter, header, columns, types, records, statement FROM wh.sniff_csv(current_setting('wh_test.tmp') || '/' || name) $$;
SELECT is(ROW(delimiter, header, columns, types, records)::text, '(;,match,"{order_id,unit_price,note}","{integer,numeric,text}",1)', 'what a file looks like') FROM sniff('import/Order Lines.csv');
CREATE SERVER anywhere FOREIGN DATA WRAPPER wh_csv;
SELECT statement FROM sniff('import/Order Lines.csv') \gset
:statement
SELECT results_eq('SELECT * FROM order_lines', $$VALUES (1, 1.5, 'x')$$, 'and its statement works');
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L, delimiter => '';'', header => ''skip'') AS t(a int, b numeric, c text)', :'tmp' || '/import/Order Lines.csv'), $$VALUES (1, 1.5, 'x')$$, 'read_csv with options');
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L, header => ''none'') AS t(a int, b text)', :'tmp' || '/import/deep/plain.csv'), $$VALUES (1, '2'), (3, '4')$$, 'read_csv without header');
SELECT throws_ok($$SELECT * FROM wh.read_csv('relative.csv') AS t(a int)$$, '22023', 'file name "relative.csv" is not an absolute path');
SELECT throws_ok($$SELECT * FROM wh.csv_errors('pg_class')$$, '42809', NULL, 'csv_errors wants a CSV table');

SELECT * FROM finish();
