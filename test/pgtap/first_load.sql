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
SELECT * FROM finish();
