-- Who may read what: files outside of a server's directory need pg_read_server_files.
SELECT no_plan();

SELECT set_config('wh_test.tmp', :'tmp', false) IS NULL AS x \gset
\! mkdir -p "$WH_TMP/in/sub" "$WH_TMP/out" && cd "$WH_TMP" && echo a > in/ok.csv && echo 1 >> in/ok.csv && cp in/ok.csv in/sub/ok.csv && cp in/ok.csv out/secret.csv
\! cd "$WH_TMP/in" && ln -sfn ../out/secret.csv link.csv && ln -sfn ../out outdir && ln -sfn ok.csv inner.csv && ln -sfn /etc/passwd passwd.csv && ln -sfn sub subdir
CREATE ROLE csv_reader_test;
CREATE ROLE csv_files_test IN ROLE pg_read_server_files;
GRANT USAGE ON FOREIGN DATA WRAPPER wh_csv TO csv_reader_test, csv_files_test;
GRANT USAGE ON SCHEMA wh TO csv_reader_test, csv_files_test;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wh TO csv_reader_test, csv_files_test;
GRANT CREATE ON SCHEMA public TO csv_reader_test, csv_files_test;
SELECT :'tmp' || '/in' AS inside, :'tmp' || '/out' AS outside \gset
CREATE SERVER confined FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'inside');
CREATE SERVER anywhere FOREIGN DATA WRAPPER wh_csv;
GRANT USAGE ON FOREIGN SERVER confined, anywhere TO csv_reader_test, csv_files_test;

SET ROLE csv_reader_test;
SELECT throws_ok(format('SELECT * FROM wh.read_csv(%L) AS t(a int)', :'inside' || '/ok.csv'), '42501', 'permission denied to read files of the server''s machine', 'read_csv');
SELECT throws_ok(format('SELECT * FROM wh.sniff_csv(%L)', :'inside' || '/ok.csv'), '42501', NULL, 'sniff_csv');
SELECT throws_ok(format('CREATE SERVER mine FOREIGN DATA WRAPPER wh_csv OPTIONS (directory %L)', :'outside'), '42501', NULL, 'a server with a directory');
SELECT lives_ok('CREATE SERVER mine FOREIGN DATA WRAPPER wh_csv', 'a server without directory');
SELECT throws_ok(format('ALTER SERVER mine OPTIONS (ADD directory %L)', :'outside'), '42501', NULL, 'adding the directory later');
SELECT throws_ok(format('CREATE FOREIGN TABLE t (a int) SERVER mine OPTIONS (filename %L)', :'outside' || '/secret.csv'), '42501', NULL, 'an absolute file name');
SELECT throws_ok(format('CREATE FOREIGN TABLE t (a int) SERVER mine OPTIONS (pattern %L)', :'outside' || '/*.csv'), '42501', NULL, 'an absolute pattern');
SELECT throws_ok(format('CREATE FOREIGN TABLE t (a int) SERVER confined OPTIONS (filename %L)', :'inside' || '/ok.csv'), '42501', NULL, 'even inside the directory');
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int) SERVER confined OPTIONS (filename '../out/secret.csv')$$, '42501', 'option "filename" must not contain ".."');
SELECT throws_ok($$CREATE FOREIGN TABLE t (a int) SERVER confined OPTIONS (pattern 'sub/../../out/*')$$, '42501', 'option "pattern" must not contain ".."');
CREATE FOREIGN TABLE relative (a int) SERVER mine OPTIONS (filename 'postgresql.conf');
SELECT throws_ok('SELECT * FROM relative', '42501', 'permission denied to read files of the server''s machine', 'a relative name without a directory');
SELECT throws_ok('EXPLAIN SELECT * FROM relative', '42501', NULL, 'also in EXPLAIN');
SELECT throws_ok('ANALYZE relative', '42501', NULL, 'also in ANALYZE');
CREATE FOREIGN TABLE ok (a int) SERVER confined OPTIONS (filename 'ok.csv');
CREATE FOREIGN TABLE sub_ok (a int) SERVER confined OPTIONS (filename 'sub/ok.csv');
CREATE FOREIGN TABLE inner_link (a int) SERVER confined OPTIONS (filename 'inner.csv');
CREATE FOREIGN TABLE inner_dir (a int) SERVER confined OPTIONS (pattern 'subdir/*.csv');
CREATE FOREIGN TABLE link (a int) SERVER confined OPTIONS (filename 'link.csv');
CREATE FOREIGN TABLE passwd (a text) SERVER confined OPTIONS (filename 'passwd.csv', header 'none');
CREATE FOREIGN TABLE linked_dir (a int) SERVER confined OPTIONS (filename 'outdir/secret.csv');
CREATE FOREIGN TABLE linked_glob (a int) SERVER confined OPTIONS (pattern 'outdir/*.csv');
CREATE FOREIGN TABLE deep_glob (a int) SERVER confined OPTIONS (pattern '*/*.csv');
CREATE FOREIGN TABLE every (a int, f text OPTIONS (metadata 'filename')) SERVER confined OPTIONS (pattern '*.csv', header 'match');
SELECT results_eq('SELECT * FROM ok', 'VALUES (1)', 'a file of the directory');
SELECT results_eq('SELECT * FROM sub_ok', 'VALUES (1)', 'a file below');
SELECT results_eq('SELECT * FROM inner_link', 'VALUES (1)', 'a link that stays inside');
SELECT results_eq('SELECT * FROM inner_dir', 'VALUES (1)', 'a linked directory that stays inside');
SELECT throws_ok('SELECT * FROM link', '42501', 'file "link.csv" is outside of the directory of its server', 'a link that leads out');
SELECT throws_ok('SELECT * FROM passwd', '42501', NULL, 'a link that leads elsewhere');
SELECT throws_ok('SELECT * FROM linked_dir', '42501', NULL, 'a linked directory that leads out');
SELECT throws_ok('SELECT * FROM linked_glob', '42501', NULL, 'a pattern below it');
SELECT throws_ok('SELECT * FROM deep_glob', '42501', NULL, 'a pattern that meets it');
SELECT throws_ok('EXPLAIN SELECT * FROM linked_glob', '42501', NULL, 'nothing is told of files outside');
CREATE FUNCTION explain(q text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || q; END $$;
SELECT ok(bool_or(explain ~ 'link.csv [(]not readable[)]'), 'nor their size') FROM explain('SELECT * FROM link');
SELECT set_eq($$SELECT file, sqlstate FROM wh.csv_errors('every')$$, $$VALUES ('link.csv', '42501'), ('passwd.csv', '42501')$$, 'csv_errors lists them and goes on');
SELECT throws_ok(format('ALTER SERVER confined OPTIONS (SET directory %L)', :'outside'), '42501', NULL, 'changing the directory');
RESET ROLE;

GRANT SELECT ON link, ok TO csv_files_test;
SET ROLE csv_files_test;
SELECT throws_ok('SELECT * FROM link', '42501', NULL, 'a privileged role does not lead out of the directory either');
SELECT :'outside' || '/secret.csv' AS secret \gset
CREATE FOREIGN TABLE given (a int) SERVER anywhere OPTIONS (filename :'secret');
CREATE FOREIGN TABLE absolute (a int) SERVER confined OPTIONS (filename :'secret');
CREATE FOREIGN TABLE no_path (a int) SERVER anywhere OPTIONS (filename 'ok.csv');
SELECT results_eq('SELECT * FROM given', 'VALUES (1)', 'a member of pg_read_server_files names any file');
SELECT results_eq(format('SELECT * FROM wh.read_csv(%L) AS t(a int)', :'secret'), 'VALUES (1)', 'and reads it');
SELECT lives_ok(format('CREATE SERVER theirs FOREIGN DATA WRAPPER wh_csv OPTIONS (directory %L)', :'outside'), 'and makes servers with a directory');
SELECT throws_ok('SELECT * FROM absolute', '42501', format('file "%s" is outside of the directory of its server', :'secret'), 'a directory confines everybody');
SELECT throws_ok('SELECT * FROM no_path', 'HV024', 'file name "ok.csv" is relative, but its server has no option "directory"');
RESET ROLE;

-- The owner's right counts, so that one may give a file to others.
GRANT SELECT ON given TO csv_reader_test;
SET ROLE csv_reader_test;
SELECT results_eq('SELECT * FROM given', 'VALUES (1)', 'a file given by GRANT SELECT');
SELECT throws_ok($$SELECT * FROM wh.csv_errors('absolute')$$, '42501', NULL, 'csv_errors needs SELECT');
RESET ROLE;
ALTER FOREIGN TABLE given OWNER TO csv_reader_test;
SELECT throws_ok('SELECT * FROM given', '42501', NULL, 'an owner without the right gives nothing');

DROP OWNED BY csv_reader_test, csv_files_test;
DROP ROLE csv_reader_test, csv_files_test;
SELECT * FROM finish();
