-- What wh.status says of a feed's topic: an open transaction in the way; fields that no message has.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
\! $KAFKA_CTL topic state_tx 2
\! printf '1\t{"id":1}\n' | $KAFKA_CTL produce state_tx commit
\! printf '2\t{"id":2}\n' | $KAFKA_CTL produce state_tx open
\! printf '2\t{"id":3}\n' | $KAFKA_CTL produce state_tx
CREATE FOREIGN TABLE tx (id int) SERVER shop OPTIONS (topic 'state_tx');
SELECT wh.create_feed('tx', 'tx', 'append') \gset x
SELECT wh.ingest('tx') \gset x
SELECT results_eq($$SELECT state, last_error FROM wh.status WHERE object = 'staging.tx'$$,
  $$VALUES ('waiting', 'messages wait for the end of a transaction that a producer has left open')$$, 'an open transaction is told');
SELECT results_eq($$SELECT bool_or(waits_for_transaction), sum(lag) FILTER (WHERE waits_for_transaction) > 0 FROM wh.kafka_offset WHERE feed = 'staging.tx'$$, 'VALUES (true, true)', 'and in which partition');
SELECT count(*) AS batches FROM wh.batch \gset
SELECT wh.ingest('tx') \gset x
SELECT is((SELECT count(*) FROM wh.batch), :batches::bigint, 'to say it again writes nothing');
\! $KAFKA_CTL topic state_plain 1
\! printf '1\t{"id":1}\n2\t{"id":2}\n' | $KAFKA_CTL produce state_plain
\! printf '2\t{"id":3}\n' | $KAFKA_CTL produce state_plain open
CREATE FOREIGN TABLE plain (id int) SERVER shop OPTIONS (topic 'state_plain');
SELECT wh.create_feed('plain', 'plain', 'append') \gset x
SELECT wh.ingest('plain') \gset x
SELECT results_eq($$SELECT state, lag FROM wh.status WHERE object = 'staging.plain'$$, $$VALUES ('waiting', 1::bigint)$$, 'right behind messages without a transaction, too');

-- a name that PostgreSQL has folded, and one that nobody has
\! $KAFKA_CTL topic state_case 1
\! printf '1\t{"orderNo":1,"customerId":7}\n2\t{"orderNo":2,"customerId":8,"note":"customerid"}\n' | $KAFKA_CTL produce state_case
CREATE FOREIGN TABLE folded (orderno int OPTIONS (path 'orderNo'), customerId int, note text, rare text) SERVER shop OPTIONS (topic 'state_case');
SELECT wh.create_feed('folded', 'folded', 'append') \gset x
SELECT wh.ingest('folded') \gset x
SELECT results_eq($$SELECT warnings FROM wh.batch_step WHERE object = 'staging.folded'$$, 'VALUES (1::bigint)', 'a field that the messages have in other letters is a warning; a rare one in few messages is none');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
