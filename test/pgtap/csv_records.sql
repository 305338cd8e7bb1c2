-- Records: the reader gives the same rows and errors whatever the size of its buffer and
-- whether libcsv reads every byte or only quoted fields; on well-formed files they are COPY's.
SELECT no_plan();

SELECT round(random()::numeric, 6) AS seed \gset
SELECT diag('seed: ' || :'seed');
SELECT setseed(:seed) IS NULL AS x \gset

SELECT set_config('wh_test.tmp', :'tmp', false) IS NULL AS x \gset
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE o oid := lo_from_bytea(0, content);
BEGIN
  PERFORM lo_export(o, name);
  PERFORM lo_unlink(o);
END $$;
CREATE FUNCTION pick(variadic choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT choices[1 + floor(random() * array_length(choices, 1))::int] $$;

-- Everything a file gives: its good rows and its errors, in the file's order.
CREATE FOREIGN TABLE any_file (a text, b text, line bigint OPTIONS (metadata 'line'))
  SERVER files OPTIONS (filename 'random.csv', header 'none', max_record_size '60B');
CREATE FOREIGN TABLE null_file (a text, b text, line bigint OPTIONS (metadata 'line'))
  SERVER files OPTIONS (filename 'random.csv', header 'none', "null" 'NA', max_record_size '60B', delimiter ';', quote '''');
CREATE FUNCTION all_of(t regclass, size int, fast boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; rows text; row text;
BEGIN
  PERFORM set_config('widgets_wh.csv_buffer_size', size::text, true), set_config('widgets_wh.csv_fast_split', fast::text, true);
  SELECT string_agg(format('%s/%s %s %s %s %s', line, byte_offset, "column", sqlstate, message, raw_record), E'\n') INTO result FROM wh.csv_errors(t);
  -- The rows before the first error.
  BEGIN
    FOR row IN EXECUTE format('SELECT x::text FROM %s x', t) LOOP
      rows := concat_ws(E'\n', rows, row);
    END LOOP;
  EXCEPTION WHEN OTHERS THEN rows := concat_ws(E'\n', rows, SQLSTATE || SQLERRM);
  END;
  RETURN concat_ws(E'\n', result, rows);
END $$;

-- Random bytes of the kind that matters; check-valgrind sets wh_test.scale to do less.
CREATE TEMP TABLE difference (content text, t text, size int, fast boolean, got text, wanted text);
DO $$
DECLARE content text; wanted text; got text; t regclass; size int; fast boolean; i int;
BEGIN
  FOR i IN 1..(250 * coalesce(current_setting('wh_test.scale', true), '1')::float8)::int LOOP
    SELECT string_agg(pick('a', 'bc', 'é', ',', ',', '"', '"', '""', E'\n', E'\r\n', E'\r', '","', E'"\n"', ' ', ';', '''', 'NA', E'\na,b\n', 'longer text that fills a block of 64 bytes '), '')
      INTO content FROM generate_series(1, 1 + (random() * 40)::int);
    IF i % 5 = 0 THEN content := U&'\FEFF' || content; END IF;
    PERFORM write_file(current_setting('wh_test.tmp') || '/random.csv',
      convert_to(content, 'UTF8') || CASE WHEN i % 7 = 0 THEN '\xff00c3'::bytea ELSE ''::bytea END);
    FOREACH t IN ARRAY ARRAY['any_file', 'null_file']::regclass[] LOOP
      wanted := all_of(t, 262144, true);
      FOREACH size IN ARRAY ARRAY[1, 2, 3, 7, 13, 64, 4096, 262144] LOOP
        FOREACH fast IN ARRAY ARRAY[true, false] LOOP
          got := all_of(t, size, fast);
          IF got IS DISTINCT FROM wanted THEN
            INSERT INTO difference VALUES (content, t, size, fast, got, wanted);
          END IF;
        END LOOP;
      END LOOP;
    END LOOP;
  END LOOP;
END $$;
SELECT is((SELECT count(*) FROM difference), 0::bigint, 'same rows and errors for every buffer size and for libcsv alone');
SELECT diag(format(E'%s size %s fast %s: %L\ngot    %s\nwanted %s', t, size, fast, content, got, wanted)) FROM difference LIMIT 3;

-- Well-formed files are read as COPY reads them.
CREATE TEMP TABLE written (id int, a text, b text, c numeric, d text);
INSERT INTO written SELECT i,
    (SELECT string_agg(pick('a', ' ', 'é', ',', '"', E'\n', E'\r', E'\r\n', ';', '\', '\.', 'NULL', ''''), '') FROM generate_series(1, (random() * 6)::int) WHERE i > 0),
    pick('', 'x', ' y ', NULL, 'long ' || repeat('z', 100), '日本'), CASE WHEN random() < 0.9 THEN round((random() * 1000)::numeric, 2) END, pick(NULL, '', '""', ',', E'\n')
  FROM generate_series(1, 3000) i;
SELECT format('COPY (SELECT * FROM written ORDER BY id) TO %L (FORMAT csv, HEADER)', :'tmp' || '/copy_default.csv') \gexec
SELECT format('COPY (SELECT * FROM written ORDER BY id) TO %L (FORMAT csv, HEADER, DELIMITER ''|'', QUOTE '''''''', NULL ''NA'')', :'tmp' || '/copy_other.csv') \gexec
SELECT format('COPY (SELECT * FROM written ORDER BY id) TO %L (FORMAT csv, HEADER, FORCE_QUOTE *)', :'tmp' || '/copy_quoted.csv') \gexec
SELECT format('COPY (SELECT b FROM written ORDER BY id) TO %L (FORMAT csv)', :'tmp' || '/copy_one.csv') \gexec
CREATE FOREIGN TABLE copy_default (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'copy_default.csv');
CREATE FOREIGN TABLE copy_other (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'copy_other.csv', delimiter '|', quote '''', "null" 'NA');
CREATE FOREIGN TABLE copy_quoted (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'copy_quoted.csv');
CREATE FOREIGN TABLE copy_one (b text) SERVER files OPTIONS (filename 'copy_one.csv', header 'none');
CREATE TEMP TABLE by_copy (LIKE written); CREATE TEMP TABLE by_copy_other (LIKE written);
SELECT format('COPY by_copy FROM %L (FORMAT csv, HEADER)', :'tmp' || '/copy_default.csv') \gexec
SELECT format('COPY by_copy_other FROM %L (FORMAT csv, HEADER, DELIMITER ''|'', QUOTE '''''''', NULL ''NA'')', :'tmp' || '/copy_other.csv') \gexec
SELECT results_eq('SELECT * FROM copy_default', 'SELECT * FROM by_copy ORDER BY id', 'default options: as COPY');
SELECT results_eq('SELECT * FROM copy_other', 'SELECT * FROM by_copy_other ORDER BY id', 'other delimiter, quote and null: as COPY');
SELECT results_eq('SELECT * FROM copy_quoted', 'SELECT * FROM written ORDER BY id', 'everything quoted: what was written');
SELECT results_eq('SELECT * FROM copy_one', 'SELECT b FROM written ORDER BY id', 'one column: a blank line is a NULL');
SELECT is((SELECT count(*) FROM copy_default), 3000::bigint, 'count(*) splits records and converts nothing');

-- Compression, byte order mark, encodings.
\! gzip -kf "$WH_TMP/copy_default.csv"; gzip -c "$WH_TMP/copy_default.csv" > "$WH_TMP/named.bin"; zstd -qf "$WH_TMP/copy_default.csv" -o "$WH_TMP/copy_default.csv.zst"
\! (head -1000 "$WH_TMP/copy_one.csv" | gzip; tail -n +1001 "$WH_TMP/copy_one.csv" | gzip) > "$WH_TMP/members.csv.gz"
CREATE FOREIGN TABLE gz (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'copy_default.csv.gz');
CREATE FOREIGN TABLE zst (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'copy_default.csv.zst');
CREATE FOREIGN TABLE named (id int, a text, b text, c numeric, d text) SERVER files OPTIONS (filename 'named.bin', compression 'gzip');
CREATE FOREIGN TABLE members (b text) SERVER files OPTIONS (filename 'members.csv.gz', header 'none');
SET widgets_wh.csv_buffer_size = 1;
SELECT results_eq('SELECT * FROM gz LIMIT 300', 'SELECT * FROM written ORDER BY id LIMIT 300', 'gzip, a byte at a time');
SET widgets_wh.csv_buffer_size = 7;
SELECT results_eq('SELECT * FROM zst', 'SELECT * FROM written ORDER BY id', 'zstd, 7 bytes at a time');
RESET widgets_wh.csv_buffer_size;
SELECT results_eq('SELECT * FROM gz', 'SELECT * FROM written ORDER BY id', 'gzip by suffix');
SELECT results_eq('SELECT * FROM zst', 'SELECT * FROM written ORDER BY id', 'zstd by suffix');
SELECT results_eq('SELECT * FROM named', 'SELECT * FROM written ORDER BY id', 'gzip by option');
SELECT results_eq('SELECT * FROM members', 'SELECT b FROM written ORDER BY id', 'a gzip file of two members');

SELECT write_file(:'tmp' || '/bom.csv', '\xefbbbf'::bytea || convert_to(E'a,b\n1,x\n', 'UTF8'));
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L) AS t(a int, b text)', :'tmp' || '/bom.csv'), $$VALUES (1, 'x')$$, 'a byte order mark is no data');
SELECT write_file(:'tmp' || '/latin.csv', convert_to(E'größe,b\n1,Straße\n', 'LATIN1'));
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L, encoding => ''LATIN1'') AS t("größe" int, b text)', :'tmp' || '/latin.csv'), $$VALUES (1, 'Straße')$$, 'Latin 1, header too');
SELECT write_file(:'tmp' || '/sjis.csv', convert_to(E'a,b\n1,"表|ソ"\n2,能\n', 'SJIS'));
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L, encoding => ''SJIS'') AS t(a int, b text)', :'tmp' || '/sjis.csv'), $$VALUES (1, '表|ソ'), (2, '能')$$, 'Shift JIS');
SELECT throws_ok(format('SELECT * FROM wh.read_csv(%L, encoding => ''SJIS'', delimiter => ''|'') AS t(a int, b text)', :'tmp' || '/sjis.csv'), 'HV024',
  'delimiter or quote can be part of a character in encoding SJIS');

-- Line ends, blank lines, spaces, quotes and NULL.
SELECT write_file(:'tmp' || '/lines.csv', convert_to(E'a,b\r1,x\r\n\r\n2, y \n\n3,"q\r\nr"\r4,""\n5,\n6,5" pipe\n', 'UTF8'));
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L) AS t(a int, b text)', :'tmp' || '/lines.csv'),
  $$VALUES (1, 'x'), (2, ' y '), (3, E'q\r\nr'), (4, ''), (5, NULL), (6, '5" pipe')$$, 'LF, CRLF and CR; blank lines; spaces; "" is not NULL');
CREATE FOREIGN TABLE lines (a int, l bigint OPTIONS (metadata 'line'), f text OPTIONS (metadata 'filename'), b text) SERVER files OPTIONS (filename 'lines.csv');
SELECT results_eq('SELECT l, f FROM lines', $$VALUES (2::bigint, 'lines.csv'), (4, 'lines.csv'), (6, 'lines.csv'), (8, 'lines.csv'), (9, 'lines.csv'), (10, 'lines.csv')$$, 'line is that of the record''s first byte');
SELECT write_file(:'tmp' || '/na.csv', convert_to(E'a,b\nNA,"NA"\n,""\n', 'UTF8'));
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L, "null" => ''NA'') AS t(a text, b text)', :'tmp' || '/na.csv'), $$VALUES (NULL, 'NA'), ('', '')$$, 'null is the unquoted string only');

SELECT * FROM finish();
