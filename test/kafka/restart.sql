-- The broker goes away and comes back.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap', fetch_message_max_bytes '10000', queued_max_messages_kbytes '1000', message_timeout_ms '2000');
\! $KAFKA_CTL topic restart 2
CREATE FOREIGN TABLE rows (n int, filler text) SERVER shop OPTIONS (topic 'restart');
INSERT INTO rows SELECT i, repeat('x', 200) FROM generate_series(1, 20000) i;
BEGIN;
DECLARE c CURSOR FOR SELECT n FROM rows;
FETCH 1 FROM c \gset first_
CREATE TEMP TABLE seen (n int);
CREATE FUNCTION fetch_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'c'; n int; BEGIN
  LOOP FETCH c INTO n; EXIT WHEN NOT FOUND; INSERT INTO seen VALUES (n); END LOOP;
  RETURN (SELECT count(DISTINCT s.n) FROM seen s); END $$;
\! $KAFKA_CTL kill && $KAFKA_CTL start
SELECT is(fetch_all(), 19999::bigint, 'a scan survives a restart of the broker');
SELECT is((SELECT count(*) FROM seen), 19999::bigint, 'and repeats nothing');
COMMIT;

\! $KAFKA_CTL stop
SELECT throws_ok('SELECT * FROM rows', '08001', NULL, 'reading without a broker');
SELECT throws_matching('INSERT INTO rows VALUES (0)', '(refused|timed out|No address|Disconnected|failure)', 'writing without a broker');
SELECT is((SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task')), 1::bigint, 'no thread is left');
\! $KAFKA_CTL start
SELECT is((SELECT count(*) FROM rows), 20000::bigint, 'it is back');

-- partitions are found when there are more
\! $KAFKA_CTL partitions restart 3
CREATE FOREIGN TABLE third (n int, p int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'restart');
INSERT INTO third VALUES (-3, 2);
SELECT is((SELECT n FROM third WHERE p = 2), -3, 'a new partition');
-- a topic deleted and made again
\! $KAFKA_CTL delete-topic restart
SELECT throws_ok('SELECT * FROM rows', 'HV00R', NULL, 'the topic is deleted');
\! $KAFKA_CTL topic restart 1
SELECT is_empty('SELECT * FROM rows', 'and made again');

SELECT * FROM finish();
