-- What users read when something is wrong, in full: message, detail and hint.
\set VERBOSITY default
SET client_min_messages = notice;
CREATE SCHEMA src;
CREATE TABLE src.customer (customer_id int, name text, changed_at timestamptz);
CREATE TABLE src.sale (sale_id int, customer_id int, sold_at timestamptz, amount numeric);
SELECT wh.create_feed('customer', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'changed_at');
SELECT wh.create_feed('sale', 'src.sale', 'append', key => '{sale_id}', sequence_by => 'sold_at');

-- dimensions
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{id}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, count(*) FROM customer', '{customer_id}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, now() AS seen FROM customer', '{customer_id}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name AS is_current FROM customer', '{customer_id}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}', scd => '{"name": 7}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}', scd => '{"nam": 1}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}', effective_grain => 'year');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM staging.customer_history', '{customer_id}');
SELECT wh.create_dimension('first_names', 'SELECT name FROM customer ORDER BY 1 LIMIT 5', '{name}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}');
SELECT wh.create_dimension('customer', 'SELECT customer_id, name FROM customer', '{customer_id}');

-- facts
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'sold_at', '{"customer": "customer"}');
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'sold_at', '["customer"]');
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id::text, sold_at FROM sale', '{sale_id}', 'sold_at', '{"customer_id": "customer"}');
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'customer_id', '{"customer_id": "customer"}');
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at, sum(amount) OVER () AS total FROM sale', '{sale_id}', 'sold_at', '{"customer_id": "customer"}');
SELECT wh.drop_dimension('customer');
SELECT wh.drop_feed('sale');
DROP TABLE mart.customer;
DROP TABLE staging.customer_history CASCADE;

-- runs
CALL wh.run(feeds => '{sales}');
SELECT * FROM wh.explain('sales');
DROP TABLE src.sale;
CALL wh.run();
