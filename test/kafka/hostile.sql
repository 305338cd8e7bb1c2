-- Odd names, odd settings, odd values: an error that says what is wrong, or the right rows; never a thread that is left.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE a text; d text; BEGIN
  EXECUTE statement; RETURN 'no error';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, d = RETURNED_SQLSTATE; RETURN d || ' ' || a; END $$;

-- topics that no broker has
CREATE FUNCTION of_topic(topic text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE e text; BEGIN
  e := error_of(format('CREATE FOREIGN TABLE odd (a int) SERVER shop OPTIONS (topic %L)', topic));
  IF e <> 'no error' THEN RETURN 'refused'; END IF;
  e := error_of('SELECT * FROM odd');
  PERFORM wh.create_feed('odd', 'odd', 'append');
  IF error_of('SELECT wh.ingest(''odd'')') <> e THEN e := 'not the same: ' || error_of('SELECT wh.ingest(''odd'')'); END IF;
  PERFORM wh.drop_feed('odd');
  DROP FOREIGN TABLE odd;
  RETURN e; END $$;
SELECT matches(of_topic(t), '^(refused|HV00R |HV000 could not (read|use) topic)', 'topic ' || left(t, 20))
  FROM unnest(ARRAY['', ' ', '.', '..', 'a/b', 'a b', repeat('x', 249), repeat('x', 250), repeat('x', 5000), 'ä', E'a\nb', '%s%n', '^a.*', '*', 'no such']) t;

-- settings at the ends of their ranges
\! $KAFKA_CTL topic odd 3
CREATE FOREIGN TABLE odd (n int, t text, part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'odd');
INSERT INTO odd SELECT i, repeat('x', 300) FROM generate_series(1, 3000) i;
CREATE FUNCTION with_option(option text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE e text; BEGIN
  e := error_of(format('ALTER FOREIGN TABLE odd OPTIONS (ADD %I %L)', option, value));
  IF e <> 'no error' THEN RETURN left(e, 5); END IF;
  e := error_of('DO ''BEGIN ASSERT (SELECT count(DISTINCT n) = 3000 AND count(*) = 3000 FROM odd), ''''rows''''; END''');
  EXECUTE format('ALTER FOREIGN TABLE odd OPTIONS (DROP %I)', option);
  RETURN e; END $$;
SELECT results_eq($$SELECT o || ' ' || v, with_option(o, v) FROM (VALUES
    ('queued_max_messages_kbytes', '1'), ('queued_min_messages', '1'), ('fetch_message_max_bytes', '1'), ('fetch_message_max_bytes', '500'), ('fetch_wait_max_ms', '0'),
    ('fetch_min_bytes', '100000000'), ('fetch_error_backoff_ms', '0'), ('check_crcs', 'true'),
    ('queued_max_messages_kbytes', '0'), ('queued_max_messages_kbytes', '-1'), ('queued_max_messages_kbytes', '99999999999999999999'), ('queued_min_messages', 'many'),
    ('fetch_wait_max_ms', ''), ('isolation_level', 'none')) o(o, v)$$, $$VALUES
    ('queued_max_messages_kbytes 1', 'no error'), ('queued_min_messages 1', 'no error'), ('fetch_message_max_bytes 1', 'no error'), ('fetch_message_max_bytes 500', 'no error'), ('fetch_wait_max_ms 0', 'no error'),
    ('fetch_min_bytes 100000000', 'no error'), ('fetch_error_backoff_ms 0', 'no error'), ('check_crcs true', 'no error'),
    ('queued_max_messages_kbytes 0', 'HV024'), ('queued_max_messages_kbytes -1', 'HV024'), ('queued_max_messages_kbytes 99999999999999999999', 'HV024'), ('queued_min_messages many', 'HV024'),
    ('fetch_wait_max_ms ', 'HV024'), ('isolation_level none', 'HV024')$$, 'settings that are small, large, or none');

-- values that are written
CREATE FOREIGN TABLE wire (line text, key text OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition'), at timestamptz OPTIONS (metadata 'timestamp'),
  headers jsonb OPTIONS (metadata 'headers')) SERVER shop OPTIONS (topic 'odd', format 'text');
SELECT matches(error_of(format('INSERT INTO wire (line, %s) VALUES (%L, %s)', c, 'x', v)), e, c || ' ' || v) FROM (VALUES
  ('part', '3', '^HV00R'), ('part', '-1', '^[0-9A-Z]{5} '), ('part', '-2147483648', '^[0-9A-Z]{5} '), ('part', '2147483647', '^HV00R'),
  ('at', '''infinity''', '^[0-9A-Z]{5} '), ('at', '''-infinity''', '^[0-9A-Z]{5} '), ('at', '''1969-12-31''', '^[0-9A-Z]{5} '), ('at', '''294276-12-31''', '^([0-9A-Z]{5} |no error)'),
  ('headers', '''[1]''', '^[0-9A-Z]{5} '), ('headers', '''1''', '^[0-9A-Z]{5} '), ('headers', '''{"a": {"b": 1}}''', '^([0-9A-Z]{5} |no error)'), ('headers', '''{}''', 'no error'),
  ('headers', '''null''', '^([0-9A-Z]{5} |no error)')) c(c, v, e);
SELECT is((SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task')), 1::bigint, 'no thread is left');

-- arguments that are null
SELECT is(wh.retry_error_events(NULL), NULL, 'no feed: no events');
SELECT throws_ok($$SELECT wh.ingest(NULL)$$, '22004', NULL, 'no feed to load');
SELECT throws_ok($$SELECT wh.pause_feed(NULL)$$, '22004', NULL, 'none to pause');
SELECT throws_ok($$SELECT wh.retry_error_events('nothing')$$, '42704', NULL, 'an unknown feed');
SELECT * FROM finish();
