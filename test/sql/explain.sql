-- The SQL derived from definitions. Costs are left out; the statements are the point.
SET client_min_messages = warning;
CREATE SCHEMA src;
CREATE TABLE src.customer (customer_id int, name text, changed_at timestamptz);
CREATE TABLE src.address (address_id int, customer_id int, city text, changed_at timestamptz);
CREATE TABLE src.sale (sale_id int, customer_id int, sold_at timestamptz, amount numeric);
SELECT wh.create_feed('customer', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'changed_at');
SELECT wh.create_feed('address', 'src.address', 'upsert', key => '{address_id}', sequence_by => 'changed_at');
SELECT wh.create_feed('sale', 'src.sale', 'append', key => '{sale_id}', sequence_by => 'sold_at');
SELECT wh.create_dimension('one', 'SELECT customer_id, name FROM customer', '{customer_id}');
SELECT wh.create_dimension('two', 'SELECT c.customer_id, c.name, a.city FROM customer c LEFT JOIN address a USING (customer_id)', '{customer_id}');
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at, amount FROM sale', '{sale_id}', 'sold_at', '{"customer_id": "two"}');
\pset tuples_only on
\pset format unaligned
-- since PostgreSQL 16, columns of the only relation are not qualified
SELECT regexp_replace(line, '\m(customer|sale)\.', '', 'g') FROM wh.explain('one') line WHERE line !~ '^    ';
SELECT line FROM wh.explain('two') line WHERE line !~ '^    ';
SELECT regexp_replace(line, '\m(customer|sale)\.', '', 'g') FROM wh.explain('sale') line WHERE line !~ '^    ';
