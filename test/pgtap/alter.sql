-- wh.alter_dimension and wh.alter_fact: columns are dropped, retyped and added anywhere in the table; the rows follow the
-- query by the names of the columns, surrogate keys stay with their versions, and a rebuild finds nothing to write.
SET client_min_messages = warning;
SELECT no_plan();

CREATE SCHEMA src;
CREATE TABLE src.product (product_id int, colour text, code int, label text, at timestamptz);
CREATE TABLE src.sale (sale_id int, product_id int, channel text, amount numeric, note text, at timestamptz);
SELECT wh.create_feed('product', 'src.product', 'upsert', '{product_id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('sale', 'src.sale', 'append', '{sale_id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('product', 'SELECT product_id, colour, code, label FROM product', '{product_id}') \g /dev/null
SELECT wh.create_fact(m || '_sale', 'SELECT sale_id, product_id, channel, amount, note, at FROM sale', '{sale_id}', 'at',
  '{"product_id": "product"}', mode => m) FROM unnest('{append,upsert}'::text[]) m \g /dev/null
SELECT wh.create_fact('ledger_product', 'SELECT p.product_id, p.colour, p.code, p.label, timestamptz ''2024-01-01'' AS at FROM product p',
  '{product_id}', 'at', '{}', mode => 'ledger') \g /dev/null
INSERT INTO src.product SELECT i, 'red', 10 * i + d, 'v' || d, timestamptz '2024-01-01' + d * interval '1 day'
  FROM generate_series(1, 4) i, generate_series(0, 1) d;
INSERT INTO src.sale SELECT i * 10 + d, i, 'web', i + d, 'n' || i, timestamptz '2024-01-01 12:00' + d * interval '1 day'
  FROM generate_series(1, 4) i, generate_series(0, 1) d;
CALL wh.run();
CREATE TABLE versions AS SELECT product_key, product_id, effective_from FROM mart.product;

CREATE FUNCTION moved() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM mart.product p JOIN versions v USING (product_id, effective_from) WHERE p.product_key <> v.product_key $$;
CREATE FUNCTION rebuild_finds() RETURNS SETOF text LANGUAGE sql AS $$ SELECT c::text FROM wh.check(rebuild => true) c $$;

-- a middle column goes
SELECT wh.alter_dimension('product', query => 'SELECT product_id, code, label FROM product') \g /dev/null
SELECT is(moved(), 0::bigint, 'a dropped column of a dimension moves no surrogate key');
SELECT results_eq($$SELECT product_id, code, label FROM mart.product WHERE product_id = 2 ORDER BY effective_from$$,
  $$VALUES (2, 20, 'v0'), (2, 21, 'v1')$$, 'the columns behind it keep their values');
SELECT wh.alter_fact(m || '_sale', query => 'SELECT sale_id, product_id, amount, note, at FROM sale')
  FROM unnest('{append,upsert}'::text[]) m \g /dev/null
SELECT wh.alter_fact('ledger_product', query => 'SELECT p.product_id, p.code, p.label, timestamptz ''2024-01-01'' AS at FROM product p') \g /dev/null
SELECT is_empty('SELECT * FROM rebuild_finds()', 'a rebuild finds nothing after columns were dropped');

-- a middle column changes its type, another one comes
SELECT wh.alter_dimension('product', query => 'SELECT product_id, code::text AS code, label, colour FROM product') \g /dev/null
SELECT wh.alter_fact(m || '_sale', query => 'SELECT sale_id, product_id, amount::text AS amount, note, channel, at FROM sale')
  FROM unnest('{append,upsert}'::text[]) m \g /dev/null
SELECT wh.alter_fact('ledger_product',
  query => 'SELECT p.product_id, p.code::numeric AS code, p.label, p.colour, timestamptz ''2024-01-01'' AS at FROM product p') \g /dev/null
SELECT is(moved(), 0::bigint, 'nor does a retyped one');
SELECT is_empty('SELECT * FROM rebuild_finds()', 'a rebuild finds nothing after columns were retyped and added');

-- and runs go on: a late version, corrections, repeats
INSERT INTO src.product VALUES (2, 'blue', 22, 'late', '2024-01-01 18:00'), (5, 'red', 50, 'new', '2024-01-03');
INSERT INTO src.sale VALUES (60, 2, 'web', 9, 'n', '2024-01-01 20:00'), (10, 1, 'web', 1, 'n1', '2024-01-01 12:00');
CALL wh.run();
SELECT is(moved(), 0::bigint, 'keys stay in the runs after');
SELECT results_eq($$SELECT p.label, s.amount, s.note, s.channel FROM mart.upsert_sale s JOIN mart.product p USING (product_key) WHERE sale_id IN (20, 60) ORDER BY sale_id$$,
  $$VALUES ('v0', '2', 'n2', 'web'), ('late', '9', 'n', 'web')$$, 'facts find the versions of their time');
SELECT results_eq($$SELECT code, label, is_reversal FROM mart.ledger_product WHERE product_id = 2 ORDER BY posted_at, is_reversal DESC$$,
  $$VALUES (20::numeric, 'v0', false), (-20, 'v0', true), (22, 'late', false), (-22, 'late', true), (21, 'v1', false)$$,
  'the ledger goes on');
SELECT is((SELECT count(*) FROM wh.error_event), 0::bigint, 'no error event is made of it');
CALL wh.run(full_refresh => true);
SELECT is(moved(), 0::bigint, 'a full refresh moves none');
SELECT is_empty('SELECT * FROM rebuild_finds()', 'and finds nothing');
SELECT * FROM finish();
