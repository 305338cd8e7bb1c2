-- Login and encryption.
\getenv sasl KAFKA_SASL
\getenv ssl KAFKA_SSL
\getenv dir KAFKA_DIR
\set ca_file :dir /ca.pem
\set other_ca_file :dir /other-ca.pem
\getenv log WH_SERVER_LOG
SELECT no_plan();
\! $KAFKA_CTL topic login 1
\! echo hello | $KAFKA_CTL produce login

CREATE FUNCTION all_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text; b text; c text; d text; BEGIN
  EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, b = PG_EXCEPTION_DETAIL, c = PG_EXCEPTION_HINT, d = RETURNED_SQLSTATE;
  RETURN concat_ws('|', d, a, b, c); END $$;

CREATE SERVER scram FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'sasl', security_protocol 'sasl_plaintext', sasl_mechanism 'SCRAM-SHA-256');
CREATE FOREIGN TABLE by_scram (line text) SERVER scram OPTIONS (topic 'login', format 'text');
CREATE USER MAPPING FOR CURRENT_USER SERVER scram OPTIONS (username 'wh', password 'wh-secret');
SELECT results_eq('SELECT line FROM by_scram', ARRAY['hello'], 'SCRAM');
CREATE SERVER plain FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'sasl', security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN');
CREATE FOREIGN TABLE by_plain (line text) SERVER plain OPTIONS (topic 'login', format 'text');
CREATE USER MAPPING FOR PUBLIC SERVER plain OPTIONS (username 'wh', password 'wh-secret');
SELECT results_eq('SELECT line FROM by_plain', ARRAY['hello'], 'PLAIN, by the mapping for all users');
SELECT lives_ok($$INSERT INTO by_plain VALUES ('written')$$, 'writing logs in, too');
CREATE SERVER bearer FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'sasl', security_protocol 'sasl_plaintext', sasl_mechanism 'OAUTHBEARER',
  enable_sasl_oauthbearer_unsecure_jwt 'true');
CREATE FOREIGN TABLE by_bearer (line text) SERVER bearer OPTIONS (topic 'login', format 'text');
CREATE USER MAPPING FOR CURRENT_USER SERVER bearer OPTIONS (sasl_oauthbearer_config 'principal=wh');
SELECT results_eq('SELECT line FROM by_bearer LIMIT 1', ARRAY['hello'], 'OAUTHBEARER');

-- what the broker's access control refuses
\! $KAFKA_CTL topic login_closed 1
\! echo hello | $KAFKA_CTL produce login_closed
\! $KAFKA_CTL deny login_closed wh
CREATE FOREIGN TABLE closed (line text) SERVER scram OPTIONS (topic 'login_closed', format 'text');
SELECT matches(all_of('SELECT * FROM closed'), '^42501\|.*login_closed.*authorization.*access control', 'reading is refused');
SELECT matches(all_of($$INSERT INTO closed VALUES ('x')$$), '^42501\|.*login_closed.*authorization.*access control', 'and writing');
SELECT wh.create_feed('closed', 'closed', 'append') \gset x
SELECT matches(all_of($$SELECT wh.ingest('closed')$$), '^42501\|.*login_closed.*authorization.*access control', 'and loading');
\! $KAFKA_CTL allow login_closed wh
CREATE FUNCTION await(query text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  FOR i IN 1..600 LOOP
    IF all_of(query) = 'no error' THEN RETURN true; END IF;
    PERFORM pg_sleep(0.1);
  END LOOP;
  RETURN false; END $$;
SELECT ok(await($$SELECT wh.ingest('closed')$$), 'until it is allowed');
SELECT results_eq('SELECT line FROM staging.closed', ARRAY['hello'], 'then all is there');

ALTER USER MAPPING FOR CURRENT_USER SERVER scram OPTIONS (SET password 'hush-hush');
SELECT matches(all_of('SELECT * FROM by_scram'), '^28000.*Check username and password', 'wrong password: reading');
SELECT unalike(all_of('SELECT * FROM by_scram'), '%hush-hush%', 'is not shown');
SELECT matches(all_of($$INSERT INTO by_scram VALUES ('x')$$), '^28000.*Check username and password', 'wrong password: writing');
ALTER USER MAPPING FOR CURRENT_USER SERVER scram OPTIONS (DROP password);
SELECT matches(all_of('SELECT * FROM by_scram'), '^(28000|HV024)', 'no password');

CREATE SERVER tls FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'ssl', security_protocol 'ssl', ssl_ca_location :'ca_file');
CREATE FOREIGN TABLE by_tls (line text) SERVER tls OPTIONS (topic 'login', format 'text');
SELECT results_eq('SELECT line FROM by_tls LIMIT 1', ARRAY['hello'], 'TLS');
SELECT lives_ok($$INSERT INTO by_tls VALUES ('by TLS')$$, 'and writing');
ALTER SERVER tls OPTIONS (SET ssl_ca_location :'other_ca_file');
SELECT matches(all_of('SELECT * FROM by_tls'), '^08001.*certificate.*Check security_protocol', 'TLS with a wrong certificate: reading');
SELECT matches(all_of($$INSERT INTO by_tls VALUES ('x')$$), '^08001.*certificate.*Check security_protocol', 'writing');
\set ca `cat $KAFKA_DIR/ca.pem`
ALTER SERVER tls OPTIONS (DROP ssl_ca_location, ADD ssl_ca_pem :'ca');
SELECT results_eq('SELECT line FROM by_tls LIMIT 1', ARRAY['hello'], 'a certificate in the option itself');
ALTER SERVER tls OPTIONS (DROP ssl_ca_pem, SET security_protocol 'plaintext', ADD socket_timeout_ms '3000');
SELECT matches(all_of('SELECT * FROM by_tls'), '^08', 'no TLS where it is needed');

SELECT is((SELECT count(*) FROM regexp_split_to_table(pg_read_file(:'log'), '\n') l WHERE l LIKE '%wh-secret%' AND l NOT LIKE '%STATEMENT:%'),
  0::bigint, 'no password in the server''s log');

SELECT * FROM finish();
