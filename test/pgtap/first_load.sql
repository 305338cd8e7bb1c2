-- First loads: unique indexes are built at their end, and are there whenever something looks up through them.
SELECT no_plan();
SET client_min_messages = warning;
CREATE SCHEMA src;
CREATE TABLE src.customer (customer_id int, name text, updated_at timestamptz);
CREATE TABLE src.product (product_id int, name text, updated_at timestamptz);
CREATE TABLE src.sale (sale_id int, customer_id int, product_id int, sold_at timestamptz, quantity int);
INSERT INTO src.customer SELECT i % 500, 'name ' || i, timestamptz '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 2000) i;
INSERT INTO src.sale SELECT i, i % 500, i % 7, timestamptz '2024-01-01' + i * interval '1 hour', i FROM generate_series(1, 1000) i;
SELECT FROM wh.create_feed('customer', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'updated_at');
SELECT FROM wh.create_feed('product', 'src.product', 'upsert', key => '{product_id}', sequence_by => 'updated_at');
SELECT FROM wh.create_feed('sale', 'src.sale', 'append', key => '{sale_id}', sequence_by => 'sold_at');
SELECT FROM wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}');
SELECT FROM wh.create_dimension('product', 'SELECT product_id, name FROM product', '{product_id}');
SELECT FROM wh.create_fact('sale', 'SELECT sale_id, customer_id, product_id, sold_at, quantity FROM sale', '{sale_id}', 'sold_at',
  '{"customer_id": "customer", "product_id": "product"}');

-- unique_indexes(table): the columns of each unique index that is ready and whose entries are all there.
CREATE FUNCTION unique_indexes(relation regclass) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT string_agg(a.attname, ', ' ORDER BY k.place)
  FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place), pg_attribute a
  WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND a.attrelid = i.indrelid AND a.attnum = k.attnum
  GROUP BY i.indexrelid ORDER BY 1
$$;
SELECT results_eq($$SELECT unique_indexes('mart.customer')$$, $$VALUES ('customer_key')$$, 'a new dimension has its primary key');
CALL wh.run();
SELECT results_eq($$SELECT unique_indexes('mart.customer')$$, $$VALUES ('customer_id, effective_from'), ('customer_key')$$,
  'the first load made the index on the natural key');
SELECT bag_eq($$SELECT DISTINCT tablename::text FROM pg_stats WHERE schemaname IN ('mart', 'staging')$$,
  $$VALUES ('customer_history'), ('sale'), ('customer')$$, 'what was loaded has statistics');
SELECT results_eq($$SELECT unique_indexes('mart.product')$$, $$VALUES ('product_id, effective_from'), ('product_key')$$,
  'so did a publish that had nothing to load into the dimension, but a fact that looks members up');
SELECT is((SELECT count(*) FROM mart.product WHERE is_inferred), 7::bigint, 'the fact made inferred members');
SELECT is((SELECT count(*) FROM mart.customer WHERE customer_key > 0), 2000::bigint, 'all versions are there');
SELECT is_empty('SELECT * FROM wh.check()', 'all checks hold');

SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM staging.customer_history WHERE customer_id = 7), 4::bigint, 'staged versions are found through the index');
RESET enable_seqscan;
SELECT throws_ok($$INSERT INTO staging.customer_history SELECT * FROM staging.customer_history WHERE customer_id = 7$$, '23505', NULL,
  'which is still unique');

-- The next loads go through the indexes.
INSERT INTO src.customer SELECT customer_id, 'late', updated_at + interval '1 minute' FROM src.customer WHERE customer_id < 5;
INSERT INTO src.product SELECT i, 'product ' || i, timestamptz '2024-01-01' FROM generate_series(0, 6) i;
CALL wh.run();
SELECT is((SELECT count(*) FROM staging.customer_history), 2020::bigint, 'late versions are spliced in, repeats are not');
SELECT is((SELECT count(*) FROM mart.customer WHERE customer_key > 0), 2020::bigint, 'into the dimension too');
SELECT is((SELECT count(*) FROM mart.product WHERE is_inferred), 0::bigint, 'inferred members are completed');
SELECT is_empty('SELECT * FROM wh.check()', 'all checks still hold');

-- A key of text whose versions lie on several pages of the index: all of them are found, while the rows that follow are read.
CREATE TABLE src.meter (meter text, reading int, read_at timestamptz);
INSERT INTO src.meter SELECT 'meter ' || m, i, timestamptz '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 3) m, generate_series(1, 1000) i;
SELECT FROM wh.create_feed('meter', 'src.meter', 'upsert', key => '{meter}', sequence_by => 'read_at');
CALL wh.run();
UPDATE src.meter SET reading = -reading WHERE reading % 100 = 0;
INSERT INTO src.meter SELECT meter, 0, read_at + interval '1 minute' FROM src.meter WHERE reading % 100 = 50;
CALL wh.run();
SELECT results_eq('SELECT meter, reading, effective_from, effective_to FROM staging.meter_history ORDER BY 1, 3',
  $$SELECT meter, reading, read_at, lead(read_at, 1, 'infinity') OVER (PARTITION BY meter ORDER BY read_at) FROM src.meter ORDER BY 1, 3$$,
  'reading all again changes what changed');

-- A first load in the order of the key goes straight in until a record comes out of order. Whatever the order, staging, error
-- events and counts are the same: here the same records from the first to the last, and from the last to the first.
CREATE TABLE src.forward (no int, code text, name text, is_gone boolean, updated_at timestamptz);
INSERT INTO src.forward SELECT i, 'key ' || to_char(i, 'FM0000'), 'name ' || i, i % 11 = 0, timestamptz '2024-01-01' + i * interval '1 hour'
  FROM generate_series(1, 3000) i;
INSERT INTO src.forward SELECT i, code, CASE WHEN i % 3 = 0 THEN name ELSE 'other ' || i % 4 END, i % 13 = 0,
    CASE WHEN i % 3 = 0 OR i % 5 = 0 THEN updated_at ELSE updated_at + (i % 7 - 3) * interval '1 day' END
  FROM generate_series(3001, 4500) i JOIN src.forward ON no = i * 7 % 2999 + 1;
INSERT INTO src.forward VALUES (4501, 'key 0000', 'before all', false, '2024-01-01'), (4502, 'key 9999', 'after all', false, '2024-01-01');
CREATE TABLE src.backward AS SELECT * FROM src.forward ORDER BY no DESC;
ALTER TABLE src.forward DROP no;
ALTER TABLE src.backward DROP no;
SELECT FROM (VALUES ('forward'), ('backward')) d(direction), (VALUES ('upsert'), ('append')) l(load),
  wh.create_feed(direction || '_' || load, ('src.' || direction)::regclass, load, key => '{code}', sequence_by => 'updated_at',
                 deleted_when => CASE load WHEN 'upsert' THEN 'is_gone' END);
CALL wh.run();
CREATE FUNCTION staged(direction text, load text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE format('SELECT (to_jsonb(s) - ''{batch_id,source_position}''::text[])::text FROM staging.%I s ORDER BY 1',
                              direction || '_' || load || CASE load WHEN 'upsert' THEN '_history' ELSE '' END);
END $$;
CREATE FUNCTION counted(direction text, load text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT format('%s staged, %s rejected, %s repeated, %s superseded', rows_staged, rows_rejected, rows_repeated, rows_superseded)
  FROM wh.batch_step WHERE object = 'staging.' || direction || '_' || load
$$;
CREATE FUNCTION refused(direction text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT encode(record_hash, 'hex') || message FROM wh.error_event WHERE feed = 'staging.' || direction || '_append' ORDER BY 1
$$;
SELECT results_eq($$SELECT staged('forward', 'upsert')$$, $$SELECT staged('backward', 'upsert')$$, 'an upsert feed stages the same in any order');
SELECT results_eq($$SELECT counted('forward', 'upsert')$$, $$SELECT counted('backward', 'upsert')$$, 'and counts the same');
SELECT results_eq($$SELECT staged('forward', 'append')$$, $$SELECT staged('backward', 'append')$$, 'so does an append feed');
SELECT results_eq($$SELECT counted('forward', 'append')$$, $$SELECT counted('backward', 'append')$$, 'and counts the same');
SELECT results_eq($$SELECT refused('forward')$$, $$SELECT refused('backward')$$, 'and refuses the same');
SELECT ok((SELECT every(n > 0) FROM (SELECT unnest(ARRAY[sum(rows_rejected), sum(rows_repeated), sum(rows_superseded)]) FROM wh.batch_step
           WHERE object LIKE 'staging.forward%') c(n)), 'there were records of each kind');
SET enable_seqscan = off;
SELECT is((SELECT count(*) FROM staging.forward_upsert_history WHERE code = 'key 0008'), (SELECT count(DISTINCT updated_at) FROM src.forward WHERE code = 'key 0008'),
  'the index built at the end finds versions that were rewritten before it');
RESET enable_seqscan;
SELECT is_empty('SELECT * FROM wh.check()', 'all checks hold in any order');

-- Keys beyond the highest that is there are not looked for, by staging and by facts: in batches or at once comes to the same.
CREATE TABLE src.batches (id int, quantity int, sold_at timestamptz, no int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE src.once (LIKE src.batches);
SELECT FROM (VALUES ('batches'), ('once')) s(source), (VALUES ('upsert'), ('append')) l(load),
  wh.create_feed(source || '_' || load, ('src.' || source)::regclass, load, key => '{id}', sequence_by => 'sold_at');
SELECT FROM (VALUES ('batches'), ('once')) s(source), wh.create_feed(source || '_event', ('src.' || source)::regclass, 'append',
  key => '{no}', sequence_by => 'sold_at');
SELECT FROM (VALUES ('batches'), ('once')) s(source), wh.create_fact(source || '_sum', format('SELECT id, quantity, sold_at FROM %s_event', source),
  '{id}', 'sold_at', '{}');
SELECT FROM (VALUES ('batches'), ('once')) s(source),
  wh.create_fact(source || '_fact', format('SELECT id, quantity, sold_at FROM %s_append', source), '{id}', 'sold_at', '{}');
-- sell(from, to, quantity, step): a sale of each id; smaller steps come earlier.
CREATE PROCEDURE sell(a int, b int, quantity int, step int) LANGUAGE sql AS $$
  INSERT INTO src.batches (id, quantity, sold_at) SELECT i, quantity, timestamptz '2024-01-01' + step * interval '1 hour' + i * interval '1 second' FROM generate_series(a, b) i
$$;
CALL wh.run();
CALL sell(10, 100, 1, 5);
CALL wh.run();
CALL sell(101, 120, 2, 6);
CALL wh.run();
CALL sell(1, 12, 3, 4);
CALL sell(90, 130, 4, 6);
CALL sell(119, 131, 5, 3);
CALL sell(131, 131, 6, 9);
CALL wh.run();
CALL sell(131, 140, 7, 1);
CALL wh.run();
INSERT INTO src.once SELECT * FROM src.batches ORDER BY random();
CALL wh.run();
SELECT results_eq($$SELECT staged('batches', 'upsert')$$, $$SELECT staged('once', 'upsert')$$, 'an upsert feed in batches');
SELECT results_eq($$SELECT staged('batches', 'append')$$, $$SELECT staged('once', 'append')$$, 'an append feed in batches');
SELECT results_eq($$SELECT refused('batches')$$, $$SELECT refused('once')$$, 'what it refuses');
SELECT results_eq('SELECT id, quantity, sold_at FROM mart.batches_fact ORDER BY 1', 'SELECT id, quantity, sold_at FROM mart.once_fact ORDER BY 1', 'a fact over it');
SELECT results_eq('SELECT id, quantity, sold_at FROM mart.batches_sum ORDER BY 1', 'SELECT id, quantity, sold_at FROM mart.once_sum ORDER BY 1',
  'a fact over events that repeat its grain');
SELECT is((SELECT count(*) FROM mart.batches_fact), 140::bigint, 'which has a row of each grain');
SELECT is_empty('SELECT * FROM wh.check()', 'all checks hold beyond the highest');
SELECT * FROM finish();
