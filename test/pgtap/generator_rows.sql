-- The data generator: the same rows from the same seed, however they are asked for; keys, parents, updates.
SELECT no_plan();
\set product_print 65b7ef9bd6205c2abe76a65c4b8383eb
\set customer_print d6e552a19e2442061a6686aa74b8074b
CREATE SCHEMA shop;
CREATE FUNCTION shop.fingerprint(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT md5(string_agg(t::text, E''\n'' ORDER BY t::text)) FROM %s t', relation) INTO result;
  RETURN result;
END $$;
-- A copy of a table and its generator, under the same name in another schema.
CREATE FUNCTION shop.twin(schema text, relation text) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
  EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', schema);
  EXECUTE format('CREATE TABLE %I.%I (LIKE shop.%I INCLUDING ALL)', schema, relation, relation);
  PERFORM wh.create_generator(format('%I.%I', schema, relation)::regclass,
      replace(g.columns::text, '"customer_order"', '"shop.customer_order"')::jsonb, g.mutable_columns, g.updated_at, g.dirt)
    FROM wh.generator g WHERE g.relation = format('shop.%I', relation)::regclass;
END $$;

CREATE TABLE shop.product (product_id int PRIMARY KEY, product_name text NOT NULL, category text,
  unit_price numeric(10,2), unit_cost numeric(10,2), weight real, code char(8), introduced date);
SELECT wh.create_generator('shop.product', '{
  "product_id": {"kind": "sequence"}, "product_name": {"kind": "product"},
  "category": {"kind": "choice", "values": ["Tools", "Home", null, "Garden"], "weights": [5, 3, 1, 1]},
  "unit_price": {"kind": "money", "min": 2, "max": 500, "distribution": "lognormal", "median": 25, "endings": [0.99, 0.49]},
  "margin": {"kind": "number", "type": "numeric", "min": 0.2, "max": 0.6, "distribution": "normal", "scale": 3},
  "unit_cost": {"kind": "expression", "expression": "round(unit_price * (1 - margin), 2)"},
  "weight": {"kind": "number", "min": 0.1, "max": 30, "scale": 1, "null_share": 0.25},
  "code": {"kind": "pattern", "pattern": "@@-##?*"},
  "introduced": {"kind": "date", "from": "2020-01-01", "to": "2023-12-31"}}', '{category,unit_price}');

CREATE TABLE shop.customer (customer_id int PRIMARY KEY, sex char(1), name text NOT NULL, email text NOT NULL UNIQUE,
  user_name text, phone text, address text, city text, state text, zip text, card text, is_active bool,
  inserted_at timestamptz, updated_at timestamptz);
SELECT wh.create_generator('shop.customer', '{
  "customer_id": {"kind": "sequence", "start": 1000, "step": 3}, "sex": {"kind": "choice", "values": ["F", "M"]},
  "name": {"kind": "name", "sex": "sex"}, "email": {"kind": "email", "from": "name", "unique": true},
  "user_name": {"kind": "user_name", "from": "name"}, "phone": {"kind": "phone"},
  "address": {"kind": "address", "name": "name"}, "city": {"kind": "city"}, "state": {"kind": "state"}, "zip": {"kind": "zip"},
  "card": {"kind": "card"}, "is_active": {"kind": "boolean", "share": 0.9},
  "inserted_at": {"kind": "timestamp", "from": "2023-01-01", "to": "2024-01-01", "distribution": "seasonal"},
  "updated_at": {"kind": "expression", "expression": "inserted_at"}}', '{email,city,is_active}', 'updated_at');

CREATE TABLE shop.customer_order (order_id bigint, customer_id int, ship_to text, ordered_at timestamp);
SELECT wh.create_generator('shop.customer_order', '{
  "order_id": {"kind": "sequence"},
  "customer_id": {"kind": "reference", "relation": "customer", "popularity": 0.7},
  "ship_to": {"kind": "reference", "relation": "customer", "column": "address"},
  "ordered_at": {"kind": "timestamp", "distribution": "seasonal", "order": "ascending"}}');

CREATE TABLE shop.line (line_id bigint, order_id bigint, product_id int, quantity int, unit_price numeric(10,2), total numeric,
  comments text, inserted_at timestamp);
SELECT wh.create_generator('shop.line', '{
  "line_id": {"kind": "sequence"}, "order_id": {"kind": "parent", "relation": "customer_order"},
  "inserted_at": {"kind": "parent", "relation": "customer_order", "column": "ordered_at"},
  "product_id": {"kind": "reference", "relation": "shop.product", "popularity": 1},
  "unit_price": {"kind": "reference", "relation": "shop.product"},
  "quantity": {"kind": "integer", "min": 1, "max": 9, "distribution": "zipf"},
  "total": {"kind": "expression", "expression": "quantity * unit_price"},
  "comments": {"kind": "text", "null_share": 0.8, "dirt": {"spaces": 0.1}}}', '{comments}');

-- What a call returns and logs.
SELECT is((g.batch, g.inserted, g.updated, g.first_key, g.last_key, g.dirt)::text, '(1,500,0,1,500,{})', 'the first batch')
FROM wh.generate('shop.product', 500, seed => 7) g;
SELECT is((g.first_key, g.last_key)::text, '(1000,3997)', 'keys follow start and step')
FROM wh.generate('shop.customer', 1000, seed => 7) g;
SELECT is((SELECT count(*)::int FROM wh.generator_batch WHERE relation = 'shop.product'::regclass AND inserted = 500), 1, 'logged');

-- The same on every machine: computed once, on x86-64.
SELECT is(shop.fingerprint('shop.product'), :'product_print', 'products as everywhere');
SELECT is(shop.fingerprint('shop.customer'), :'customer_print', 'customers as everywhere');

-- The same however split, and the next keys follow.
SELECT shop.twin('split', 'customer');
SELECT wh.generate('split.customer', 1, seed => 7);
SELECT wh.generate('split.customer', 399, seed => 7);
SELECT is((SELECT first_key FROM wh.generate('split.customer', 600, seed => 7)), 2200::bigint, 'keys go on');
SELECT is(shop.fingerprint('split.customer'), shop.fingerprint('shop.customer'), 'three batches make the rows of one');
SELECT shop.twin('other', 'customer');
SELECT wh.generate('other.customer', 1000, seed => 8);
SELECT isnt(shop.fingerprint('other.customer'), shop.fingerprint('shop.customer'), 'another seed, other rows');

-- Linked children, by one process, by several, with small and large writes.
SELECT wh.generate('shop.customer_order', 8000, batch_id => 10, seed => 7, time_from => '2024-01-01', time_to => '2024-02-01');
SELECT shop.twin('par', 'line');
SELECT is((SELECT inserted FROM wh.generate('shop.line', 5, link_parent => true, batch_id => 10, seed => 7)), 40000::bigint, 'five lines an order');
SELECT is((SELECT inserted FROM wh.generate('par.line', 5, link_parent => true, batch_id => 10, seed => 7, workers => 3)), 40000::bigint, 'by three processes');
SELECT is(shop.fingerprint('par.line'), shop.fingerprint('shop.line'), 'workers make the same rows');
SELECT is((SELECT dirt FROM wh.generator_batch WHERE relation = 'par.line'::regclass),
          (SELECT dirt FROM wh.generator_batch WHERE relation = 'shop.line'::regclass), 'and count the same faults');
SELECT is_empty('SELECT order_id FROM shop.line GROUP BY 1 HAVING count(*) <> 5', 'five lines for each order');
SELECT is((SELECT count(DISTINCT order_id)::int FROM shop.line), 8000, 'no order without lines');
SELECT is_empty('SELECT * FROM shop.line l WHERE NOT EXISTS (SELECT FROM shop.customer_order o WHERE (o.order_id, o.ordered_at) = (l.order_id, l.inserted_at))',
  'columns of a parent are of one row');
SELECT is_empty('SELECT * FROM shop.line l WHERE NOT EXISTS (SELECT FROM shop.product p WHERE (p.product_id, p.unit_price) = (l.product_id, l.unit_price))',
  'columns of a reference are of one row');
SELECT is_empty('SELECT * FROM shop.customer_order o WHERE NOT EXISTS (SELECT FROM shop.customer c WHERE (c.customer_id, c.address) = (o.customer_id, o.ship_to))',
  'also texts');
SELECT is_empty('SELECT * FROM shop.line WHERE total <> quantity * unit_price', 'expressions see the row');
SELECT is_empty('SELECT * FROM (SELECT order_id, ordered_at, lag(ordered_at) OVER (ORDER BY order_id) AS before FROM shop.customer_order) o WHERE before > ordered_at',
  'ascending times ascend with the key');
SELECT is_empty($$SELECT * FROM shop.customer_order WHERE ordered_at < '2024-01-01' OR ordered_at >= '2024-02-01'$$, 'times are in the window');

-- A second linked batch takes the parents of its batch only; small batches go the ordinary way.
SELECT wh.generate('shop.customer_order', 100, batch_id => 11, seed => 7, time_from => '2024-02-01', time_to => '2024-02-02');
SELECT wh.generate('shop.line', 3, link_parent => true, batch_id => 11, seed => 7);
SELECT is((SELECT array_agg(DISTINCT n) FROM (SELECT count(*)::int AS n FROM shop.line WHERE order_id > 8000 GROUP BY order_id) c), '{3}', 'three lines for each new order');
SELECT is((SELECT count(*)::int FROM shop.line WHERE order_id <= 8000), 40000, 'none for the old ones');
SELECT wh.generate('shop.line', 500, batch_id => 12, seed => 7);
SELECT ok((SELECT count(DISTINCT order_id) FROM shop.line WHERE line_id > 40300) > 300, 'without link_parent, parents are any that exist');

-- Roll back, all or nothing.
BEGIN;
SELECT wh.generate('shop.line', 60000, seed => 1, workers => 2);
ROLLBACK;
SELECT is((SELECT count(*)::int FROM shop.line), 40800, 'a roll-back takes all rows');
SELECT is((SELECT first_key FROM wh.generate('shop.line', 1, seed => 7)), 40801::bigint, 'and the keys');

-- In a subtransaction, and seen at once by the same transaction.
BEGIN;
SAVEPOINT a;
SELECT wh.generate('shop.product', 5000, seed => 7, workers => 2);
ROLLBACK TO a;
SELECT is((SELECT count(*)::int FROM shop.product), 500, 'a savepoint takes them back');
SELECT wh.generate('shop.product', 30000, seed => 7, workers => 2);
SELECT is((SELECT count(*)::int FROM shop.product WHERE product_id BETWEEN 501 AND 30500), 30000, 'indexed and visible at once');
COMMIT;
SET enable_seqscan = off;
SELECT is((SELECT count(*)::int FROM shop.product WHERE product_id > 0), 30500, 'the index of a table with rows has all of them');
SELECT wh.generate('par.line', 3000, seed => 7);
RESET enable_seqscan;

-- A large first batch into a table with indexes.
SELECT shop.twin('big', 'customer');
SELECT wh.generate('big.customer', 30000, seed => 7, workers => 2);
SET enable_seqscan = off;
SELECT is((SELECT count(*)::int FROM big.customer WHERE customer_id > 0), 30000, 'the primary key has all rows');
RESET enable_seqscan;
SELECT is((SELECT count(DISTINCT email)::int FROM big.customer), 30000, 'unique e-mails are unique');
SELECT is_empty('SELECT * FROM shop.customer EXCEPT SELECT * FROM big.customer', 'the first 1000 of 30000 are the 1000');
SELECT lives_ok('CREATE EXTENSION IF NOT EXISTS amcheck', 'amcheck is there');
SELECT lives_ok($$SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid IN ('big.customer'::regclass, 'shop.product'::regclass)$$, 'indexes are sound');
SELECT is_empty($$SELECT v.* FROM (VALUES ('big.customer'::regclass), ('shop.product'), ('shop.line'), ('par.line')) t(r), verify_heapam(t.r) v$$, 'heaps are sound');

-- Updates.
CREATE TABLE before AS SELECT * FROM shop.customer;
SELECT is((SELECT updated FROM wh.generate('shop.customer', 5, 61, seed => 7, time_from => '2024-03-01', time_to => '2024-03-02')), 61::bigint, 'updates are counted');
CREATE TABLE changed AS SELECT c.*, b.city AS b_city, b.state AS b_state, b.zip AS b_zip, b.email AS b_email, b.is_active AS b_active
  FROM shop.customer c JOIN before b USING (customer_id) WHERE c.* IS DISTINCT FROM b.*;
SELECT is((SELECT count(*)::int FROM changed), 61, 'so many rows differ');
SELECT is_empty($$SELECT * FROM changed WHERE (city <> b_city)::int + (email <> b_email)::int + (is_active <> b_active)::int > 1
  AND NOT (city <> b_city AND email = b_email AND is_active = b_active)$$, 'in one mutable column');
SELECT is_empty($$SELECT * FROM changed WHERE updated_at NOT BETWEEN '2024-03-01' AND '2024-03-02'$$, 'and in the update time');
SELECT is_empty($$SELECT * FROM changed c WHERE city <> b_city AND NOT EXISTS (SELECT FROM big.customer x WHERE (x.city, x.state, left(x.zip, 3)) = (c.city, c.state, left(c.zip, 3)))$$,
  'a new city brings its state and zip');
SELECT ok((SELECT bool_or(city <> b_city) AND bool_or(email <> b_email) AND bool_or(is_active <> b_active) FROM changed), 'every mutable column has its turn');
SELECT shop.twin('again', 'customer');
INSERT INTO again.customer SELECT * FROM before;
SELECT wh.generate('again.customer', 5, 61, batch_id => (SELECT max(batch_id) FROM wh.generator_batch WHERE relation = 'shop.customer'::regclass),
  seed => 7, time_from => '2024-03-01', time_to => '2024-03-02');
SELECT is(shop.fingerprint('again.customer'), shop.fingerprint('shop.customer'), 'the same seed and batch change the same');
SELECT is((SELECT updated FROM wh.generate('split.customer', 0, 5000, seed => 7)), 1000::bigint, 'more updates than rows: all rows');

-- Column defaults and generated columns; partial, hash and expression indexes.
CREATE TABLE shop.note (note_id int PRIMARY KEY, kind text DEFAULT 'plain', body text,
  size int GENERATED ALWAYS AS (length(body)) STORED, CHECK (length(body) > 0));
CREATE INDEX ON shop.note USING hash (body);
CREATE INDEX ON shop.note (left(lower(body), 20)) WHERE note_id % 2 = 0;
SELECT wh.create_generator('shop.note', '{"note_id": {"kind": "sequence"}, "body": {"kind": "text", "min": 1, "max": 40}}');
SELECT wh.generate('shop.note', 20);
SELECT wh.generate('shop.note', 5000);
SELECT is_empty($$SELECT * FROM shop.note WHERE kind <> 'plain' OR size <> length(body) OR size IS NULL$$, 'defaults and generated columns');
SELECT is((SELECT count(*)::int FROM shop.note WHERE body = (SELECT body FROM shop.note WHERE note_id = 4000)), 1, 'found by hash index');
SELECT wh.create_generator('shop.note', '{"note_id": {"kind": "sequence"}, "body": {"kind": "text", "min": 900, "max": 1000}}');
SELECT wh.generate('shop.note', 2500);
SELECT ok((SELECT bool_and(size > 20000) FROM shop.note WHERE note_id > 5020), 'wide rows are toasted');
SELECT is((SELECT count(*)::int FROM shop.note), 7520, 'all of them');

-- pg_dump keeps generators and what they did.
SELECT is((SELECT count(*)::int FROM pg_extension e, unnest(extconfig) c WHERE extname = 'widgets_wh'
  AND c IN ('wh.generator'::regclass, 'wh.generator_batch'::regclass)), 2, 'the catalogs are dumped');
SELECT wh.drop_generator('shop.note');
SELECT is_empty($$SELECT * FROM wh.generator WHERE relation = 'shop.note'::regclass$$, 'a generator can be dropped');
SELECT * FROM finish();
