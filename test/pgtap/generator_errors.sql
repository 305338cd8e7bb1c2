-- The data generator: what it refuses, with which SQLSTATE.
SELECT no_plan();
CREATE SCHEMA shop;
CREATE TABLE shop.parent (id int PRIMARY KEY, at timestamp, code text NOT NULL DEFAULT 'x');
CREATE TABLE shop.child (id int PRIMARY KEY, parent_id int REFERENCES shop.parent, amount numeric(5,2), born date, small smallint);

CREATE FUNCTION shop.declare(relation regclass, columns jsonb) RETURNS text LANGUAGE sql AS
  $$SELECT format('SELECT wh.create_generator(%L, %L)', relation, columns)$$;
SELECT throws_ok(shop.declare('shop.parent', format('{"id": %s}', spec)::jsonb), state, NULL, spec)
FROM (VALUES
  ('{}', '22023'), ('1', '22023'), ('{"kind": "nothing"}', '22023'), ('{"kind": "integer", "mim": 1}', '22023'),
  ('{"kind": "integer", "min": "1"}', '22023'), ('{"kind": "integer", "min": 5, "max": 1}', '22023'),
  ('{"kind": "integer", "distribution": "gamma"}', '22023'), ('{"kind": "integer", "null_share": 0.1}', '22023'),
  ('{"kind": "integer", "null_share": 2}', '22023'), ('{"kind": "integer", "dirt": {"spaces": 0.1}}', '22023'),
  ('{"kind": "integer", "dirt": {"rust": 0.1}}', '22023'), ('{"kind": "integer", "dirt": {"missing": 0.1}}', '22023'),
  ('{"kind": "choice"}', '22023'), ('{"kind": "choice", "values": []}', '22023'),
  ('{"kind": "choice", "values": [1, 2], "weights": [1]}', '22023'), ('{"kind": "choice", "values": [1, 2], "weights": [0, 0]}', '22023'),
  ('{"kind": "choice", "values": [1, "x"]}', '22P02'),
  ('{"kind": "reference"}', '22023'), ('{"kind": "reference", "relation": "absent"}', '42P01'),
  ('{"kind": "reference", "relation": "child", "popularity": -1}', '22023'), ('{"kind": "reference", "relation": "child", "column": "absent"}', '42703'),
  ('{"kind": "expression"}', '22023'), ('{"kind": "expression", "expression": "1 +"}', '42601'),
  ('{"kind": "expression", "expression": "1, 2"}', '42601'), ('{"kind": "expression", "expression": "1 FROM shop.child"}', '42601'),
  ('{"kind": "expression", "expression": "(SELECT 1)"}', '0A000'), ('{"kind": "expression", "expression": "absent + 1"}', '42703'),
  ('{"kind": "expression", "expression": "*"}', '42601'), ('{"kind": "expression", "expression": "parent.*"}', '42601'), ('{"kind": "expression", "expression": "coalesce(*)"}', '42601'),
  ('{"kind": "expression", "expression": "random()::int"}', '22023'), ('{"kind": "expression", "expression": "extract(year FROM now())::int"}', '22023'),
  ('{"kind": "expression", "expression": "extract(year FROM current_date)::int"}', '22023'),
  ('{"kind": "expression", "expression": "''2024-01-01''::date"}', '42804'), ('{"kind": "expression", "expression": "id + 1"}', '22023'),
  ('{"kind": "sequence", "step": 0}', '22023'), ('{"kind": "timestamp"}', '22023'),
  ('{"kind": "email", "from": "absent"}', '42703'), ('{"kind": "integer", "type": "int"}', '22023')) t(spec, state);
SELECT throws_ok(shop.declare('shop.parent', '{"idd": {"kind": "sequence"}}'), '42703', 'column "idd" of relation "parent" does not exist', 'a misspelt column');
SELECT throws_ok(shop.declare('shop.parent', '{"v": {"kind": "sequence", "type": "absent"}}'), '42704', NULL, 'a type that does not exist');
SELECT throws_ok(shop.declare('shop.parent', '[]'), '22023', 'columns must be a JSON object', 'no object');
SELECT throws_ok(shop.declare('shop.parent', '{"id": {"kind": "sequence"}, "at": {"kind": "timestamp", "from": "2024-01-02", "to": "2024-01-01"}}'), '22023', NULL, 'a range that ends before it starts');
SELECT throws_ok(shop.declare('shop.parent', '{"id": {"kind": "sequence"}, "at": {"kind": "timestamp", "from": "soon", "to": "2024-01-01"}}'), '22007', NULL, 'no time');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', '{id}')$$, '22023', NULL, 'keys do not change');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', '{no}')$$, '42703', NULL, 'a mutable column that is not there');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', updated_at => 'code')$$, '42804', NULL, 'an update time of type text');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', dirt => '{"duplicate": 0.1}')$$, '22023', 'relation "parent" cannot have duplicate rows', 'duplicates under a primary key');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', dirt => '{"rust": 0.1}')$$, '22023', 'fault "rust" is none of whole rows', 'a fault that rows do not have');
SELECT throws_ok(format($$SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}}', dirt => '{"duplicate": %s}')$$, v), '22023', 'fault "duplicate" must be a share between 0 and 1', 'a share of ' || left(v, 9))
FROM unnest(ARRAY['7', '-0.1', '"x"', 'null', '1' || repeat('0', 400)]) v;
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', format('{"id": {"kind": "integer", "min": 1%s}}', repeat('0', 400))::jsonb)$$, '22023', NULL, 'a number beyond all');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', format('{"id": {"kind": "integer", "distribution": "normal", "mean": 1%s}}', repeat('0', 400))::jsonb)$$, '22023', NULL, 'a mean beyond all');
SELECT throws_ok($$SELECT wh.create_generator('pg_stat_activity', '{}')$$, '42809', NULL, 'a view');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', NULL)$$, '22004', NULL, 'null');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1)$$, '42704', 'relation "parent" has no generator', 'no generator');
SELECT throws_ok($$SELECT wh.drop_generator('shop.parent')$$, '42704', NULL, 'nothing to drop');

SELECT wh.create_generator('shop.parent', '{"id": {"kind": "sequence"}, "at": {"kind": "timestamp"}}');
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "parent_id": {"kind": "parent", "relation": "parent", "column": "id"},
  "amount": {"kind": "money", "min": 1, "max": 100}, "born": {"kind": "date", "from": "2000-01-01", "to": "2001-01-01"}}');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1)$$, '22023', 'generator of column "at" has no range of time', 'no range of time');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01')$$, '22023', NULL, 'half a window');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01', time_to => '2024-01-01')$$, '22023', NULL, 'an empty window');
SELECT throws_ok($$SELECT wh.generate('shop.parent', -1)$$, '22023', NULL, 'a negative number');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, workers => 0)$$, '22023', NULL, 'no process');
SELECT throws_ok($$SELECT wh.generate('shop.child', 1)$$, '55000', 'nothing to link to: no row of shop.parent can be referenced', 'nothing to link to');
SELECT throws_ok($$SELECT wh.generate('shop.child', 1, link_parent => true)$$, '55000', NULL, 'no parents in the batch');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, link_parent => true, time_from => '2024-01-01', time_to => '2024-01-02')$$, '22023', 'relation "parent" has no parent to link to', 'no parent declared');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 0, 1)$$, '22023', 'relation "parent" has no mutable column to update', 'nothing to update');
SELECT lives_ok($$SELECT wh.generate('shop.child', 0)$$, 'no rows need nothing');
SELECT wh.generate('shop.parent', 10, time_from => '2024-01-01', time_to => '2024-01-02');
SELECT lives_ok($$SELECT wh.generate('shop.child', 100)$$, 'foreign keys hold');

-- What a type's input, or an expression, refuses names the column.
CREATE FUNCTION shop.context_of(statement text, OUT context text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
END $$;
CREATE TABLE shop.typed (id int, address inet, share int);
SELECT matches(shop.context_of($$SELECT wh.create_generator('shop.typed', '{"address": {"kind": "choice", "values": ["10.0.0.1", "home"]}}')$$), '^generator of column "address"\n', 'a value of a choice');
SELECT matches(shop.context_of($$SELECT wh.create_generator('shop.typed', '{"share": {"kind": "expression", "expression": "absent + 1"}}')$$), '^generator of column "share"\n', 'an expression that cannot be');
SELECT wh.create_generator('shop.typed', '{"id": {"kind": "sequence"}, "address": {"kind": "name"}}');
SELECT matches(shop.context_of(format($$SELECT wh.generate('shop.typed', %s, workers => 2)$$, n)), '^generator of column "address"\n', 'a value of a row, ' || n) FROM unnest('{10,3000,30000}'::int[]) n;
SELECT wh.create_generator('shop.typed', '{"id": {"kind": "sequence"}, "share": {"kind": "expression", "expression": "100 / (id - 5)"}}');
SELECT matches(shop.context_of($$SELECT wh.generate('shop.typed', 10)$$), '^generator of column "share"\n', 'an expression');

-- Constraints are honoured, by every way of writing.
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "parent_id": {"kind": "integer", "min": 1, "max": 50}}');
SELECT throws_ok($$SELECT wh.generate('shop.child', 100)$$, '23503', NULL, 'a foreign key, few rows');
SELECT throws_ok($$SELECT wh.generate('shop.child', 5000)$$, '23503', NULL, 'a foreign key, many rows');
SELECT throws_ok($$SELECT wh.generate('shop.child', 50000, workers => 2)$$, '23503', NULL, 'a foreign key, workers');
SELECT wh.create_generator('shop.child', '{"id": {"kind": "integer", "min": 1, "max": 1000}}');
SELECT throws_ok(format($$SELECT wh.generate('shop.child', %s, workers => 2)$$, n), '23505', NULL, 'a primary key, ' || n) FROM unnest('{1000,5000,50000}'::int[]) n;
TRUNCATE shop.child;
SELECT throws_ok(format($$SELECT wh.generate('shop.child', %s, workers => 2)$$, n), '23505', NULL, 'a primary key of an empty table, ' || n) FROM unnest('{1500,5000,50000}'::int[]) n;
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "small": {"kind": "integer", "max": 40000}}');
SELECT throws_ok(format($$SELECT wh.generate('shop.child', %s, workers => 2)$$, n), '22003', NULL, 'a value out of range, ' || n) FROM unnest('{1000,50000}'::int[]) n;
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "amount": {"kind": "money", "min": 900, "max": 1100}}');
SELECT throws_ok($$SELECT wh.generate('shop.child', 1000)$$, '22003', NULL, 'a numeric out of range');
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "small": {"kind": "integer", "max": 9}}');
ALTER TABLE shop.child ADD CHECK (small < 9);
SELECT throws_ok(format($$SELECT wh.generate('shop.child', %s, workers => 2)$$, n), '23514', NULL, 'a check, ' || n) FROM unnest('{1000,50000}'::int[]) n;
ALTER TABLE shop.child ALTER born SET NOT NULL;
SELECT throws_ok(format($$SELECT wh.generate('shop.child', %s, workers => 2)$$, n), '23502', NULL, 'not null, ' || n) FROM unnest('{10,50000}'::int[]) n;
SELECT is((SELECT count(*)::int FROM shop.child), 0, 'nothing of all that stayed');

-- What bulk writing cannot do is refused.
CREATE FUNCTION shop.stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER watch BEFORE INSERT ON shop.parent FOR EACH ROW EXECUTE FUNCTION shop.stop();
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01', time_to => '2024-01-02')$$, '0A000', NULL, 'a trigger');
ALTER TABLE shop.parent DISABLE TRIGGER watch;
SELECT lives_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01', time_to => '2024-01-02')$$, 'a disabled trigger');
CREATE TABLE shop.later (id int UNIQUE DEFERRABLE);
SELECT wh.create_generator('shop.later', '{"id": {"kind": "sequence"}}');
SELECT throws_ok($$SELECT wh.generate('shop.later', 1)$$, '0A000', NULL, 'a deferrable unique constraint');

-- What no row may be, by every way of writing.
CREATE TABLE shop.wide (id int, t text);
ALTER TABLE shop.wide ALTER t SET STORAGE PLAIN;
SELECT wh.create_generator('shop.wide', jsonb_build_object('id', jsonb_build_object('kind', 'sequence'),
  't', jsonb_build_object('kind', 'choice', 'values', jsonb_build_array(repeat('x', 9000)))));
SELECT throws_ok(format($$SELECT wh.generate('shop.wide', %s)$$, n), '54000', 'row is too big: size 9032, maximum size 8160', 'a row wider than a page, ' || n) FROM unnest('{10,3000}'::int[]) n;
CREATE TABLE shop.parts (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE shop.part PARTITION OF shop.parts FOR VALUES FROM (0) TO (10);
SELECT wh.create_generator('shop.part', '{"id": {"kind": "sequence"}, "k": {"kind": "integer", "min": 5, "max": 50}}');
SELECT throws_ok(format($$SELECT wh.generate('shop.part', %s, workers => 2)$$, n), '23514', NULL, 'a row of another partition, ' || n) FROM unnest('{100,3000,30000}'::int[]) n;
SELECT wh.create_generator('shop.part', '{"id": {"kind": "sequence"}, "k": {"kind": "integer", "min": 0, "max": 9}}');
SELECT lives_ok($$SELECT wh.generate('shop.part', 3000)$$, 'rows of the partition');
CREATE DOMAIN shop.filled AS int NOT NULL;
CREATE DOMAIN shop.known AS int CHECK (VALUE IS NOT NULL);
CREATE TABLE shop.domains (id int, x shop.filled DEFAULT 1, y shop.known DEFAULT 2);
SELECT wh.create_generator('shop.domains', '{"id": {"kind": "sequence"}}');
SELECT lives_ok($$SELECT wh.generate('shop.domains', 10)$$, 'domains with defaults');
ALTER TABLE shop.domains ALTER x DROP DEFAULT;
SELECT throws_ok(format($$SELECT wh.generate('shop.domains', %s)$$, n), '23502', 'domain shop.filled does not allow null values', 'a NULL in a domain without, ' || n) FROM unnest('{10,3000}'::int[]) n;
SELECT wh.create_generator('shop.domains', '{"id": {"kind": "sequence"}, "x": {"kind": "integer"}, "y": {"kind": "integer", "null_share": 0.5}}');
SELECT throws_ok(format($$SELECT wh.generate('shop.domains', %s)$$, n), '23514', NULL, 'a NULL against the check of a domain, ' || n) FROM unnest('{10,3000}'::int[]) n;
SELECT wh.create_generator('shop.domains', '{"id": {"kind": "sequence"}, "x": {"kind": "integer", "min": 1, "max": 9}, "y": {"kind": "integer", "null_share": 0.99}}', '{y}');
SELECT throws_ok($$SELECT wh.generate('shop.domains', 0, 10)$$, '23514', NULL, 'the same for updates');
SELECT is((SELECT count(*)::int FROM shop.domains WHERE x IS NULL OR y IS NULL), 0, 'no such row stayed');

-- Foreign keys to a partitioned table hold in any of its partitions; those of an inheritance parent only in itself.
CREATE TABLE shop.store (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE shop.store_1 PARTITION OF shop.store FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.store_2 PARTITION OF shop.store FOR VALUES FROM (10) TO (20);
INSERT INTO shop.store SELECT generate_series(1, 15);
CREATE TABLE shop.stock (id int, store_id int REFERENCES shop.store);
SELECT wh.create_generator('shop.stock', '{"id": {"kind": "sequence"}, "store_id": {"kind": "reference", "relation": "store", "column": "id"}}');
SELECT lives_ok($$SELECT wh.generate('shop.stock', 3000)$$, 'references to a partitioned table');
SELECT is((SELECT count(DISTINCT store_id)::int FROM shop.stock), 15, 'to all of its partitions');
SELECT wh.create_generator('shop.stock', '{"id": {"kind": "sequence"}, "store_id": {"kind": "integer", "min": 1, "max": 19}}');
SELECT throws_ok($$SELECT wh.generate('shop.stock', 3000)$$, '23503', NULL, 'but not to what is in none of them');
CREATE TABLE shop.heir () INHERITS (shop.parent);
INSERT INTO shop.heir VALUES (999);
SELECT wh.create_generator('shop.child', '{"id": {"kind": "sequence"}, "parent_id": {"kind": "integer", "min": 999, "max": 999}, "born": {"kind": "date", "from": "2000-01-01", "to": "2001-01-01"}}');
SELECT throws_ok($$SELECT wh.generate('shop.child', 1)$$, '23503', NULL, 'nor to the row of an inheriting table');
DROP TABLE shop.heir;

-- Numbers without end.
CREATE TABLE shop.count (id int PRIMARY KEY, v int);
SELECT wh.create_generator('shop.count', '{"id": {"kind": "sequence"}, "v": {"kind": "integer", "min": 1, "max": 5}}', '{v}');
SELECT wh.generate('shop.count', 1000);
SELECT throws_ok(format($$SELECT wh.generate('shop.count', %s)$$, n), '22003', 'too many rows: their keys do not fit column "id" of type integer', n || ' rows')
FROM unnest('{2147482648,3000000000,9223372036854775807}'::bigint[]) n;
SELECT is((SELECT updated FROM wh.generate('shop.count', 0, n)), 1000::bigint, n || ' updates: all there are') FROM unnest('{2305843009213693952,9223372036854775807}'::bigint[]) n;
SELECT is((SELECT last_key FROM wh.generate('shop.count', 10)), 1010::bigint, 'goes on where it was');
CREATE TABLE shop.keyless (v int);
SELECT wh.create_generator('shop.keyless', '{"v": {"kind": "integer"}}');
SELECT wh.generate('shop.keyless', 10);
SELECT throws_ok($$SELECT wh.generate('shop.keyless', 9223372036854775807)$$, '22003', 'too many rows', 'rows without a key');
CREATE TABLE shop.last (id int);
SELECT wh.create_generator('shop.last', '{"id": {"kind": "sequence", "start": 2147483640}}');
SELECT throws_ok($$SELECT wh.generate('shop.last', 10)$$, '22003', NULL, 'keys that end');
SELECT lives_ok($$SELECT wh.generate('shop.last', 8, batch_id => 2147483647)$$, 'up to the last one');
SELECT throws_ok($$SELECT wh.generate('shop.keyless', 1)$$, '54000', 'there is no batch number after 2147483647', 'batch numbers that end');
SELECT lives_ok($$SELECT wh.generate('shop.keyless', 1, batch_id => 5)$$, 'another number can be given');
DELETE FROM wh.generator_batch WHERE batch_id = 2147483647;
SELECT throws_ok($$SELECT wh.create_generator('pg_description', '{"objsubid": {"kind": "sequence"}}')$$, '42501', '"pg_description" is a system catalog', 'a system catalog');

-- A table that goes takes its generator along: its OID may come again.
CREATE TABLE shop.brief (id int);
SELECT wh.create_generator('shop.brief', '{"id": {"kind": "sequence"}}');
SELECT wh.generate('shop.brief', 1);
SELECT 'shop.brief'::regclass::oid AS brief \gset
DROP TABLE shop.brief;
SELECT is((SELECT count(*)::int FROM (SELECT relation FROM wh.generator UNION ALL SELECT relation FROM wh.generator_batch) r WHERE relation::oid = :brief), 0, 'a dropped table has no generator');

-- Rights: those of the table.
CREATE ROLE generator_tester;
GRANT USAGE ON SCHEMA shop, wh TO generator_tester;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wh TO generator_tester;
SET ROLE generator_tester;
SELECT throws_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01', time_to => '2024-01-02')$$, '42501', NULL, 'no right to insert');
SELECT throws_ok($$SELECT wh.create_generator('shop.parent', '{}')$$, '42501', NULL, 'not the owner');
RESET ROLE;
GRANT INSERT ON shop.parent TO generator_tester;
SET ROLE generator_tester;
SELECT lives_ok($$SELECT wh.generate('shop.parent', 1, time_from => '2024-01-01', time_to => '2024-01-02')$$, 'the right to insert is enough');
SELECT throws_ok($$SELECT wh.generate('shop.parent', 0, 1)$$, '42501', NULL, 'no right to update');
RESET ROLE;
SET ROLE generator_tester;
SELECT throws_ok($$SELECT wh.drop_generator('shop.parent')$$, '42501', NULL, 'nor to forget a generator of another');
RESET ROLE;
GRANT CREATE ON SCHEMA shop TO generator_tester;
SET ROLE generator_tester;
CREATE TABLE shop.own (id int);
SELECT wh.create_generator('shop.own', '{"id": {"kind": "sequence"}}');
SELECT wh.generate('shop.own', 1);
SELECT lives_ok($$SELECT wh.drop_generator('shop.own')$$, 'the owner may');
SELECT throws_ok($$SELECT wh.drop_generator('shop.own')$$, '42704', 'relation "own" has no generator', 'once');
SELECT throws_ok($$SELECT wh.drop_generator(NULL)$$, '22004', NULL, 'nothing is dropped for NULL');
RESET ROLE;
DROP OWNED BY generator_tester;
DROP ROLE generator_tester;
SELECT * FROM finish();
