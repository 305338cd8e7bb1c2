-- Options of wh_kafka: what is refused, and what the hints say. Needs no broker.
SELECT no_plan();

CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text; BEGIN
  EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT; RETURN hint; END $$;
CREATE FUNCTION all_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text; b text; c text; BEGIN
  EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, b = PG_EXCEPTION_DETAIL, c = PG_EXCEPTION_HINT;
  RETURN concat_ws('|', a, b, c); END $$;

SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka$$, 'HV002', NULL, 'a server needs bootstrap_servers');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', plugin_library_paths 'evil')$$,
  'HV00D', NULL, 'no setting that loads a library');
SELECT throws_ok(format($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', %I 'evil')$$, o), 'HV00D', NULL, o)
FROM unnest(ARRAY['plugin.library.paths', 'sasl.kerberos.kinit.cmd', 'sasl_kerberos_kinit_cmd', 'debug', 'ssl.engine.location',
  'ssl_engine_location', 'statistics_interval_ms', 'enable_auto_commit', 'auto_offset_reset', 'ssl_providers', 'offset_store_path', 'log_queue']) o;
SELECT is(hint_of($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS ("bootstrap.servers" 'x')$$),
  'Perhaps you meant the option "bootstrap_servers".', 'librdkafka''s spelling is understood');
SELECT is(hint_of($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', securty_protocol 'ssl')$$),
  'Perhaps you meant the option "security_protocol".', 'a near miss');
SELECT is(hint_of($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', password 'x')$$),
  'It is an option of the user mapping.', 'an option in the wrong place');
SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', socket_timeout_ms 'soon')$$,
  'HV024', 'invalid value for option "socket_timeout_ms"', 'values are checked as librdkafka checks them');

SELECT throws_ok($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers ', ')$$, 'HV024', NULL, 'no broker is none');
SELECT throws_ok(format($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', sasl_mechanism %L)$$, m), 'HV024', NULL, m)
FROM unnest(ARRAY['AWS_MSK_IAM', 'GSSAPI', '']) m;
SELECT lives_ok(format($$CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', sasl_mechanism %L); DROP SERVER s$$, m), m)
FROM unnest(ARRAY['PLAIN', 'scram-sha-256', 'SCRAM-SHA-512']) m;

CREATE SERVER s FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers '127.0.0.1:1', socket_timeout_ms '1000');
SELECT throws_ok(format('CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (topic %L)', t), 'HV024', NULL, 'no topic has this name: ' || quote_literal(t))
FROM unnest(ARRAY[E'a\nb', 'a b', '..', 'ä', repeat('x', 250)]) t;
SELECT throws_ok($$CREATE FOREIGN TABLE f (a int) SERVER s$$, 'HV002', NULL, 'a table needs a topic');
SELECT throws_ok($$CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (topic 't', format 'xml')$$, 'HV024', NULL, 'formats are known');
SELECT throws_ok($$CREATE FOREIGN TABLE f (a int OPTIONS (metadata 'size')) SERVER s OPTIONS (topic 't')$$, 'HV024', NULL, 'metadata is known');
SELECT throws_ok($$CREATE FOREIGN TABLE f (a int OPTIONS (metadata 'key', path 'k')) SERVER s OPTIONS (topic 't')$$, 'HV00D', NULL, 'not both');
CREATE FOREIGN TABLE no_key (a int) SERVER s OPTIONS (topic 't', key_column 'b');
SELECT throws_ok('SELECT * FROM no_key', '42703', NULL, 'key_column must be a column');
CREATE FOREIGN TABLE not_debezium (a int OPTIONS (metadata 'operation')) SERVER s OPTIONS (topic 't');
SELECT throws_ok('SELECT * FROM not_debezium', 'HV024', NULL, 'metadata of Debezium needs that format');
CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (topic 't');
SELECT throws_ok('SELECT * FROM f', '08001', NULL, 'no broker there');
SELECT throws_ok('UPDATE f SET a = 1', '0A000', NULL, 'no UPDATE');
SELECT throws_ok('DELETE FROM f', '0A000', NULL, 'no DELETE');
SELECT throws_ok('INSERT INTO f VALUES (1) ON CONFLICT DO NOTHING', '0A000', NULL, 'no ON CONFLICT');
SELECT lives_ok('EXPLAIN SELECT * FROM f', 'planning talks to no broker');

-- files are for those who may read files; secrets are shown to nobody
CREATE ROLE ann;
GRANT USAGE ON FOREIGN DATA WRAPPER wh_kafka TO ann;
SET ROLE ann;
SELECT throws_ok($$CREATE SERVER z FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers 'x', ssl_ca_location '/etc/passwd')$$,
  '42501', NULL, 'a file needs pg_read_server_files');
RESET ROLE;
SELECT unalike(all_of($$CREATE USER MAPPING FOR ann SERVER s OPTIONS (ssl_key_pem 'hush-hush')$$), '%hush-hush%', 'a bad key is not shown');
SELECT unalike(all_of($$CREATE USER MAPPING FOR public SERVER s OPTIONS (username 'u', password 'hush-hush', bad 'x')$$), '%hush-hush%', 'nor a password');

SELECT * FROM finish();
