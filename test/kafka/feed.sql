-- Feeds over topics: offsets commit with the rows; tombstones; late messages; messages that
-- are gone; a topic that was made anew.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SCHEMA src;
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
CREATE FOREIGN TABLE src.customer (id int, name text, ts timestamptz) SERVER shop
  OPTIONS (topic 'feed_customer', format 'json', key_column 'id');
CREATE FOREIGN TABLE src.click (id int, name text, ts timestamptz) SERVER shop
  OPTIONS (topic 'feed_customer', format 'json');
\! $KAFKA_CTL topic feed_customer 3
SELECT throws_ok($$SELECT wh.create_feed('s', 'src.customer', 'snapshot', '{id}')$$, '22023', 'a snapshot feed cannot read a topic', 'no snapshots of topics');
SELECT wh.create_feed('customer', 'src.customer', 'upsert', '{id}', sequence_by => 'ts') \gset
SELECT wh.create_feed('click', 'src.click', 'append', redact => '{"name": null}') \gset
SELECT wh.add_screen('customer', 'named', 'name <> ''nobody''') \gset
SELECT is(wh.ingest('customer'), NULL, 'an empty topic is nothing new');
\! printf '1\t{"id":1,"name":"a","ts":"2024-01-01T00:00:00Z"}\n1\t{"id":1,"name":"c","ts":"2024-01-03T00:00:00Z"}\n2\t{"id":2,"name":"x","ts":"2024-01-01T00:00:00Z"}\n2\t\\N\n3\t{"id":"three","name":"bad","ts":"2024-01-01T00:00:00Z"}\n4\t{"id":4,"name":"nobody","ts":"2024-01-01T00:00:00Z"}\n' | $KAFKA_CTL produce feed_customer
SELECT isnt(wh.ingest('customer'), NULL, 'messages are loaded');
SELECT results_eq('SELECT id, name, is_deleted FROM staging.customer_history ORDER BY id, effective_from',
  $$VALUES (1, 'a', false), (1, 'c', false), (2, 'x', false), (2, NULL, true)$$, 'versions, and a tombstone''s delete');
SELECT results_eq($$SELECT topic, convert_from(raw_record, 'UTF8')::json ->> 'name', sqlstate FROM wh.error_event WHERE feed = 'staging.customer' ORDER BY 2$$,
  $$VALUES ('feed_customer', 'bad', '22P02'), ('feed_customer', 'nobody', '23514')$$, 'rejects with their raw messages');
SELECT set_eq($$SELECT convert_from(message_key, 'UTF8') FROM wh.error_event WHERE feed = 'staging.customer'$$, ARRAY['3', '4'], 'and their keys');
SELECT is((SELECT sum(size)::int FROM wh.source_unit u JOIN wh.feed f USING (feed_id) WHERE relation = 'staging.customer'::regclass), 6, 'next offsets are stored');
SELECT is(wh.ingest('customer'), NULL, 'nothing is read twice');

BEGIN;
\! printf '1\t{"id":1,"name":"b","ts":"2024-01-02T00:00:00Z"}\n' | $KAFKA_CTL produce feed_customer
SELECT wh.ingest('customer') \gset x
ROLLBACK;
SELECT is((SELECT count(*)::int FROM staging.customer_history WHERE id = 1), 2, 'a run undone leaves no row');
SELECT isnt(wh.ingest('customer'), NULL, 'and the message is read again');
SELECT results_eq('SELECT name FROM staging.customer_history WHERE id = 1 ORDER BY effective_from',
  $$VALUES ('a'), ('b'), ('c')$$, 'a late message finds its place');

SELECT wh.ingest('click') \gset x
SELECT is((SELECT count(*)::int FROM staging.click WHERE name IS NOT NULL), 0, 'values are redacted');
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE feed = 'staging.click' AND (convert_from(raw_record, 'UTF8') LIKE '%bad%' OR message LIKE '%bad%')), 0, 'in raw messages too');

\! $KAFKA_CTL delete-topic feed_customer
\! $KAFKA_CTL topic feed_customer 3
\! printf '7\t{"id":7,"name":"new","ts":"2024-01-01T00:00:00Z"}\n' | $KAFKA_CTL produce feed_customer p=0
SELECT wh.ingest('customer') \gset x
SELECT is((SELECT name FROM staging.customer WHERE id = 7), 'new', 'a topic made anew is read from its start');
SELECT is((SELECT max(generation)::int FROM wh.source_unit u JOIN wh.feed f USING (feed_id) WHERE relation = 'staging.customer'::regclass), 2, 'as the next generation');
SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');
SELECT * FROM finish();
