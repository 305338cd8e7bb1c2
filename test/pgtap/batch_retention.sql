-- Old batches leave the log; what tells of them stays right.
SELECT no_plan();
SET widgets_wh.batch_retention = 0;
\setenv PGDATABASE :DBNAME
-- a process purges once a minute at most: each purge here is another's
\set run '\\! psql -Xqc "SET widgets_wh.batch_retention = \'1d\'" -c "CALL wh.run()"'

CREATE SCHEMA src;
CREATE TABLE src.customer (customer_id int, name text, updated_at timestamptz);
SELECT set_config('wh_test.file', :'tmp' || '/retention_', false) \g /dev/null
SELECT wh.create_feed('customer', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'updated_at') \g /dev/null
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FOREIGN TABLE src.event (event_id int, amount int) SERVER files OPTIONS (pattern 'retention_*.csv', header 'none');
SELECT wh.create_feed('event', 'src.event', 'append') \g /dev/null
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}') \g /dev/null
CREATE PROCEDURE pg_temp.cycle(i int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO src.customer VALUES (i % 3, 'n' || i, '2024-01-01'::timestamptz + i * interval '1 day');
  IF i <= 4 THEN
    EXECUTE format('COPY (SELECT x, CASE WHEN x = 2 THEN %L ELSE %L END FROM generate_series(1, 3) x) TO %L (FORMAT csv)',
      CASE WHEN i = 3 THEN 'bad' ELSE '7' END, '5', current_setting('wh_test.file') || i || '.csv');
  END IF;
  CALL wh.run();
END $$;
DO $$BEGIN FOR i IN 1..8 LOOP CALL pg_temp.cycle(i); END LOOP; END$$;

CREATE VIEW pg_temp.sums AS
SELECT object_id, sum(read) AS read, sum(staged) AS staged, sum(rejected) AS rejected, sum(inserted) AS inserted,
       sum(updated) AS updated, sum(steps) AS steps
FROM (SELECT object_id, rows_read AS read, rows_staged AS staged, rows_rejected AS rejected, rows_inserted AS inserted,
             rows_updated AS updated, 1 AS steps FROM wh.batch_step
      UNION ALL
      SELECT object_id, rows_read, rows_staged, rows_rejected, rows_inserted, rows_updated, steps FROM wh.batch_total) x
GROUP BY object_id;
CREATE TEMP TABLE sums_before AS SELECT * FROM pg_temp.sums;
CREATE TEMP TABLE status_before AS SELECT object, state, rows, rows_rejected, last_batch_id FROM wh.status;
CREATE TEMP TABLE referred AS SELECT batch_id FROM wh.error_event UNION SELECT last_batch_id FROM wh.status
    UNION SELECT u.batch_id FROM wh.source_unit u;
CREATE TEMP TABLE batch_before AS SELECT batch_id FROM wh.batch;

:run
SELECT set_eq('SELECT batch_id FROM wh.batch', 'SELECT batch_id FROM batch_before', 'young batches stay');
UPDATE wh.batch SET started_at = started_at - interval '2 days';
CALL wh.run();
SELECT set_eq('SELECT batch_id FROM wh.batch', 'SELECT batch_id FROM batch_before', '0 keeps all');
:run
SELECT isnt_empty('SELECT batch_id FROM batch_before EXCEPT SELECT batch_id FROM wh.batch', 'old ones are removed');
SELECT is_empty('SELECT batch_id FROM referred EXCEPT SELECT batch_id FROM wh.batch', 'but not those that something refers to');
SELECT set_eq('SELECT object, state, rows, rows_rejected, last_batch_id FROM wh.status', 'SELECT * FROM status_before', 'wh.status tells the same');
SELECT set_eq('SELECT * FROM pg_temp.sums', 'SELECT * FROM sums_before', 'nothing is missing from the sums');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'wh.check() holds');
CREATE TEMP TABLE log_before AS SELECT batch_id FROM wh.batch;
CREATE TEMP TABLE total_before AS SELECT * FROM wh.batch_total;
:run
SELECT set_eq('SELECT batch_id FROM wh.batch', 'SELECT batch_id FROM log_before', 'a second purge removes nothing');
SELECT set_eq('SELECT * FROM wh.batch_total', 'SELECT * FROM total_before', 'and counts nothing twice');

-- what a reader has not used stays: its publish fails here
INSERT INTO src.customer VALUES (1, 'late', '2024-01-02 12:00');
SELECT wh.ingest('customer') \g /dev/null
INSERT INTO src.customer VALUES (1, 'later', '2024-01-02 13:00');
SELECT wh.ingest('customer') \g /dev/null
UPDATE wh.batch SET started_at = started_at - interval '2 days' WHERE batch_id > (SELECT max(batch_id) FROM log_before);
CREATE TEMP TABLE unused AS SELECT s.batch_id FROM wh.batch_step s JOIN wh.input i ON i.feed_id = s.object_id WHERE s.batch_id > i.used_batch_id;
SELECT is((SELECT count(*) FROM unused), 2::bigint, 'two batches are not used yet');
CREATE TABLE src.other (id int, at timestamptz);
SELECT wh.create_feed('other', 'src.other', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
ALTER TABLE src.other RENAME at TO att;
\o /dev/null
\! psql -Xqc "SET widgets_wh.batch_retention = '1d'" -c "CALL wh.run()" 2>/dev/null
\o
SELECT is_empty('SELECT batch_id FROM unused EXCEPT SELECT batch_id FROM wh.batch', 'they stay');
ALTER TABLE src.other RENAME att TO at;
:run
UPDATE wh.batch SET started_at = started_at - interval '2 days' WHERE started_at > now() - interval '1 day';
INSERT INTO src.customer VALUES (1, 'last', '2024-03-01');
-- a read of a table is a unit that refers to its batch; a partition of a topic refers to its last one only
UPDATE wh.source_unit SET batch_id = (SELECT max(batch_id) FROM wh.batch);
:run
SELECT is((SELECT count(*) FROM wh.batch JOIN unused USING (batch_id)), 0::bigint, 'once used, they go');
SELECT is((SELECT string_agg(name, ',' ORDER BY effective_from) FROM mart.customer WHERE customer_id = 1),
    'n1,late,later,n4,n7,last', 'every version is there');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'wh.check() holds');
SELECT * FROM finish();
