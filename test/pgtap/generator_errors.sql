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
DROP OWNED BY generator_tester;
DROP ROLE generator_tester;
SELECT * FROM finish();
