-- Widgets Unlimited, operations: four days and more, and what each system hands out.
SELECT no_plan();
SELECT throws_ok('CALL wh.simulate(1)', '55000', 'this database has no operational systems to simulate', 'nothing to simulate');
SELECT throws_ok($$SELECT wh.write_csv('products.csv', 'SELECT 1')$$, '42602', NULL, 'a CSV file needs an absolute path');
SELECT is(wh.write_csv(:'tmp' || '/one.csv', $$SELECT 1 AS a, 'x,"y"'::text AS b, null::text AS c, date '2024-01-31' AS d$$), 1::bigint, 'a file of one row');
SELECT is(pg_read_file(:'tmp' || '/one.csv'), E'a,b,c,d\n1,"x,""y""",,2024-01-31\n', 'with a header, quoted as RFC 4180 says');
SELECT is(wh.write_csv(:'tmp' || '/one.csv', 'SELECT 2 AS a WHERE false'), 0::bigint, 'written again');
SELECT is(pg_read_file(:'tmp' || '/one.csv'), E'a\n', 'the new content replaces the old');
SELECT is((SELECT count(*)::int FROM pg_ls_dir(:'tmp') f WHERE f LIKE '%.part'), 0, 'nothing half written stays');
CREATE ROLE generator_writer;
GRANT USAGE ON SCHEMA wh TO generator_writer;
GRANT EXECUTE ON FUNCTION wh.write_csv(text, text) TO generator_writer;
SET ROLE generator_writer;
SELECT throws_ok(format($$SELECT wh.write_csv(%L, 'SELECT 1')$$, :'tmp' || '/two.csv'), '42501', NULL, 'only who may write server files');
RESET ROLE;
DROP OWNED BY generator_writer;
DROP ROLE generator_writer;

SELECT set_config('widgets_wh.model_options', json_build_object('directory', :'tmp', 'seed', 5)::text, false);
SET client_min_messages = error;
\ir ../../models/widgets/operations.sql
SET client_min_messages = warning;
CALL wh.simulate();
SELECT is((SELECT array_agg(date ORDER BY day) FROM operations.day), '{2024-01-01,2024-01-02,2024-01-03,2024-01-04}'::date[], 'four days');
SELECT results_eq($$SELECT day, entity, inserted, updated FROM operations.exposed WHERE entity IN ('product', 'customer', 'customer_address', 'order', 'order_line_item') ORDER BY 1, 2$$,
$$VALUES (1, 'customer', 200::bigint, 0::bigint), (1, 'customer_address', 200, 0), (1, 'product', 500, 0),
  (2, 'customer', 40, 0), (2, 'customer_address', 40, 0), (2, 'order', 1000, 0), (2, 'order_line_item', 5000, 0), (2, 'product', 50, 0),
  (3, 'customer', 0, 5), (3, 'customer_address', 0, 10), (3, 'order', 1000, 10), (3, 'order_line_item', 3000, 10), (3, 'product', 50, 5),
  (4, 'customer', 25, 61), (4, 'customer_address', 25, 0)$$, 'the standard four days');
SELECT is((SELECT array_agg(count ORDER BY entity) FROM (
  SELECT 'customer' AS entity, count(*)::int FROM ecommerce.customer UNION ALL SELECT 'address', count(*)::int FROM ecommerce.customer_address
  UNION ALL SELECT 'order', count(*)::int FROM ecommerce.customer_order UNION ALL SELECT 'line', count(*)::int FROM ecommerce.order_line_item) c),
  '{265,265,8000,2000}', 'are in the tables');

-- What holds in the systems.
SELECT is_empty('SELECT o.* FROM ecommerce.customer_order o LEFT JOIN ecommerce.customer_address a ON (a.customer_address_id, a.customer_id) = (o.order_shipping_address_id, o.customer_id) WHERE a IS NULL', 'an order''s customer and address belong together');
SELECT is_empty('SELECT l.* FROM ecommerce.order_line_item l LEFT JOIN inventory.product p ON (p.product_id, p.product_unit_price) = (l.order_line_item_product_id, l.order_line_item_unit_price) WHERE p IS NULL', 'a line has the price of its product');
SELECT is_empty('SELECT * FROM inventory.product p JOIN inventory.supplier s ON s.supplier_id = p.product_preferred_supplier_id WHERE s.inserted_at > p.inserted_at', 'a product''s supplier is there before it');
SELECT is_empty('SELECT * FROM inventory.product WHERE product_unit_cost >= product_unit_price', 'products cost less than their price');
SELECT is_empty('SELECT * FROM ecommerce.customer c FULL JOIN ecommerce.loyalty_number l ON (l.customer_id, l.loyalty_number) = (c.customer_id, c.customer_loyalty_number) WHERE l IS NULL AND c.customer_loyalty_number IS NOT NULL OR c IS NULL', 'loyalty numbers and customers agree');
SELECT is_empty($$SELECT * FROM ecommerce.customer_address WHERE customer_address !~ E'^[^\n]+\n\\d[^\n]+\n[^\n,]+, [A-Z]{2} \\d{5}$'$$, 'without dirt every address parses');
SELECT is_empty($$SELECT * FROM ecommerce.customer WHERE customer_referral_type NOT IN ('OA', 'AM', '') OR customer_sex NOT IN ('F', 'M') OR customer_name IS NULL$$, 'and every code is defined');
SELECT is_empty($$SELECT * FROM wh.generator_batch WHERE dirt <> '{}'$$, 'no fault is counted');
SELECT is_empty('SELECT * FROM operations.exposed WHERE duplicates > 0', 'nothing comes twice');
SELECT is_empty($$SELECT * FROM ecommerce.customer_order o JOIN operations.change c ON c.entity = 'order' AND c.key = o.order_id JOIN operations.day d USING (day)
  WHERE ((c.record ->> 'updated_at')::timestamp)::date <> d.date$$, 'a record''s update time is on its day');

-- What the systems hand out.
SELECT is((SELECT count(*)::bigint FROM ecommerce.outbox), (SELECT sum(inserted + updated)::bigint FROM operations.exposed WHERE system = 'ecommerce'), 'a message per insert or update');
SELECT is_empty($$SELECT topic, key, message FROM ecommerce.outbox EXCEPT SELECT entity, key::text, record FROM operations.change$$, 'messages are the full records of the log');
SELECT is_empty($$(SELECT DISTINCT ON (key) message FROM ecommerce.outbox WHERE topic = 'customer' ORDER BY key, outbox_id DESC) EXCEPT SELECT to_jsonb(c) FROM ecommerce.customer c$$, 'the last message of a key is its row');
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FOREIGN TABLE product_file (product_id int, product_name text, product_category text, product_unit_price numeric(10,2), updated_at timestamp,
  file text OPTIONS (metadata 'filename')) SERVER files OPTIONS (pattern 'product_*.csv');
SELECT results_eq('SELECT substring(file from ''product_.*''), count(*) FROM product_file GROUP BY 1 ORDER BY 1',
  $$VALUES ('product_2024-01-01.csv', 500::bigint), ('product_2024-01-02.csv', 50), ('product_2024-01-03.csv', 55)$$, 'a file per entity and day, with what changed');
SELECT is_empty('(SELECT DISTINCT ON (product_id) product_id, product_name, product_category, product_unit_price, updated_at FROM product_file ORDER BY product_id, file DESC) EXCEPT SELECT product_id, product_name, product_category, product_unit_price, updated_at FROM inventory.product', 'the last record of a key is its row');
SELECT is((SELECT count(*)::int FROM pg_ls_dir(:'tmp') f WHERE f LIKE '%.part'), 0, 'no file is left half written');

-- More days: growth, seasons, dirt.
CREATE TEMP TABLE before AS SELECT md5(string_agg(t::text, ',' ORDER BY customer_id)) AS print FROM ecommerce.customer t;
CALL wh.simulate(3, scale => 2, growth => 0.5, dirt => 0.05);
SELECT is((SELECT max(day) FROM operations.day), 7, 'days go on');
SELECT ok((SELECT inserted BETWEEN 1100 AND 1600 FROM operations.exposed WHERE day = 5 AND entity = 'order'), 'orders follow scale, season and weekday');
SELECT ok((SELECT a.inserted > b.inserted FROM operations.exposed a, operations.exposed b WHERE (a.day, b.day, a.entity, b.entity) = (6, 7, 'order', 'order')), 'Saturday sells more than Sunday');
SELECT ok((SELECT sum(duplicates) > 50 FROM operations.exposed WHERE system = 'ecommerce'), 'with dirt, messages come twice');
SELECT is((SELECT count(*)::bigint FROM ecommerce.outbox), (SELECT sum(inserted + updated + duplicates)::bigint FROM operations.exposed WHERE system = 'ecommerce'), 'and are counted');
SELECT ok((SELECT count(DISTINCT k) >= 7 FROM wh.generator_batch, jsonb_each(dirt) c, jsonb_object_keys(c.value) k WHERE batch_id > 4), 'every kind of fault comes up');
SELECT ok((SELECT bool_and(c.customer_sex IS DISTINCT FROM 'x') FROM ecommerce.customer c WHERE customer_id <= 265), 'what was clean stays');
SELECT throws_ok($$SELECT operations.simulate_day('2024-01-07', NULL, 1, 0, NULL, 1)$$, '22023', NULL, 'days do not come twice');
SELECT throws_ok($$SELECT operations.simulate_day(NULL, NULL, 1, 0, 0.9, 1)$$, '22023', NULL, 'too much dirt');
SELECT throws_ok(format('CALL wh.simulate(%s)', arguments), '22023', NULL, 'refused: ' || arguments)
FROM unnest(string_to_array($$NULL|-1|1, pace => NULL|1, pace => '-1 s'|1, scale => NULL|1, scale => -1|1, scale => 'NaN'|1, scale => 'infinity'|1, growth => NULL|1, growth => -1|1, growth => 'NaN'|1, dirt => -1|1, dirt => 'NaN'|1, workers => 0|1, 'infinity'|1, '12000-01-01'$$, '|')) arguments;
SELECT is((SELECT max(day) FROM operations.day), 7, 'and no day is begun');
CALL wh.simulate(0);
SELECT is((SELECT max(day) FROM operations.day), 7, 'no days are none');
CALL wh.simulate(1, current_date);
SELECT is((SELECT date FROM operations.day WHERE day = 8), current_date, 'today is a day too');

-- The same seed, the same company: once more from the start, with other workers.
CREATE TEMP TABLE first_run AS SELECT day, entity, key, record FROM operations.change WHERE day <= 7;
SET client_min_messages = error;
DROP SCHEMA operations, ecommerce, inventory, in_store CASCADE;
\ir ../../models/widgets/operations.sql
SET client_min_messages = warning;
CALL wh.simulate();
CALL wh.simulate(3, scale => 2, growth => 0.5, dirt => 0.05, workers => 2);
SELECT is_empty('(SELECT day, entity, key, record FROM operations.change EXCEPT SELECT * FROM first_run) UNION ALL (SELECT * FROM first_run EXCEPT SELECT day, entity, key, record FROM operations.change)', 'the same seed makes the same company');
-- A small company may have days without a new store, and needs no log of changes.
SET client_min_messages = error;
DROP SCHEMA operations, ecommerce, inventory, in_store CASCADE;
SELECT set_config('widgets_wh.model_options', json_build_object('directory', :'tmp' || '/dated', 'seed', 5, 'change_log', false)::text, false);
\set dated :tmp '/dated'
\setenv DATED :dated
\! mkdir -p "$DATED" && chmod 777 "$DATED"
\ir ../../models/widgets/operations.sql
SET client_min_messages = warning;
SET datestyle = 'German, DMY';
SET timezone = 'Asia/Tokyo';
CALL wh.simulate(4, scale => 0.02);
RESET datestyle;
RESET timezone;
SELECT clock_timestamp() AS started_at \gset
CALL wh.simulate(2, scale => 0.02, pace => '0.3 s');
SELECT ok(clock_timestamp() - :'started_at' >= interval '0.3 s', 'days keep a pace');
SELECT ok((SELECT max(simulated_at) - min(simulated_at) >= interval '0.3 s' FROM operations.day WHERE day > 4), 'of pauses between them');
SELECT is((SELECT count(*)::int FROM operations.day), 6, 'a small scale');
SELECT ok((SELECT count(*) > 80 FROM ecommerce.order_line_item), 'has orders');
SELECT is_empty('SELECT * FROM operations.change', 'and by option no log');
SELECT is_empty($$SELECT f FROM pg_ls_dir('$$ || :'tmp' || $$/dated') f WHERE f !~ '^[a-z]+_2024-01-0[1-6]\.csv$'$$, 'names of files do not depend on the session');
SELECT cmp_ok((SELECT count(*)::int FROM pg_ls_dir(:'tmp' || '/dated')), '>', 6, 'there are some');
SELECT * FROM finish();
