-- Rows that generated rows refer to come by a plain scan where that gives what a query does: the rows are the same.
SELECT no_plan();
-- A company and its lines, always under the same names, so that the same seed gives the same rows; then it is put aside.
-- Batches 1 and 3 of purchases are linked; a twist changes how they must be read.
CREATE FUNCTION pg_temp.company(aside text, key_type text, twist text DEFAULT '', condition text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CREATE SCHEMA shop;
  EXECUTE format('CREATE TABLE shop.purchase (dropped int, note text, purchase_id %s PRIMARY KEY, at timestamp, total numeric(10,2))', key_type);
  ALTER TABLE shop.purchase DROP COLUMN dropped;
  EXECUTE format('CREATE TABLE shop.line (line_id int, purchase_id %s, at timestamp, note text, other numeric(10,2), far text)', key_type);
  PERFORM wh.create_generator('shop.purchase', '{"purchase_id": {"kind": "sequence", "start": 5, "step": 2},
    "note": {"kind": "text", "min": 1, "max": 3, "null_share": 0.3}, "at": {"kind": "timestamp", "from": "2024-01-01", "to": "2024-02-01"}, "total": {"kind": "money"}}');
  PERFORM wh.create_generator('shop.line', replace('{"line_id": {"kind": "sequence"},
    "purchase_id": {"kind": "parent", "relation": "P"}, "at": {"kind": "parent", "relation": "P"}, "note": {"kind": "parent", "relation": "P"},
    "other": {"kind": "reference", "relation": "P", "column": "total", "reference": "other"},
    "far": {"kind": "reference", "relation": "P", "column": "note", "reference": "other"}}', '"P"',
    '"shop.purchase"' || coalesce(', "where": ' || to_json(condition), ''))::jsonb);
  PERFORM wh.generate('shop.purchase', rows, batch_id => batch, seed => 5) FROM (VALUES (1, 1, 3000), (2, 2, 500), (3, 1, 2000)) AS b (n, batch, rows);
  EXECUTE twist;
  ANALYZE shop.purchase;
  PERFORM wh.generate('shop.line', 2, link_parent => true, batch_id => 1, seed => 6);
  PERFORM wh.generate('shop.line', 4000, seed => 7);
  -- few of many parents
  PERFORM wh.generate('shop.purchase', 10, batch_id => 9, seed => 5);
  ANALYZE shop.purchase;
  PERFORM wh.generate('shop.line', 3, link_parent => true, batch_id => 9, seed => 8);
  EXECUTE format('ALTER SCHEMA shop RENAME TO %I', aside);
END $$;
CREATE FUNCTION pg_temp.lines(schema text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT md5(string_agg(l::text, '';'' ORDER BY line_id)) FROM %I.line l', schema) INTO result;
  RETURN result;
END $$;
SELECT pg_temp.company('query', 'int', condition => 'true'), pg_temp.company('scan', 'int'), pg_temp.company('whole', 'bigint'), pg_temp.company('small', 'smallint'),
  pg_temp.company('exact', 'numeric(9)'), pg_temp.company('exact query', 'numeric(9)', condition => 'true'), pg_temp.company('moved', 'int', 'UPDATE shop.purchase SET total = total WHERE purchase_id % 3 = 0'),
  pg_temp.company('child', 'int', 'CREATE TABLE shop.older () INHERITS (shop.purchase);
    WITH gone AS (DELETE FROM ONLY shop.purchase WHERE purchase_id < 1000 RETURNING *) INSERT INTO shop.older SELECT * FROM gone'),
  pg_temp.company('policy', 'int', 'ALTER TABLE shop.purchase ENABLE ROW LEVEL SECURITY');
SELECT is(pg_temp.lines(schema), pg_temp.lines('query'), schema || ': the same lines') FROM unnest('{scan,whole,small,moved,child,policy}'::text[]) AS schema;
SELECT is(pg_temp.lines('exact'), pg_temp.lines('exact query'), 'exact: the same lines');
SELECT is(count(*), 14030::bigint, 'two lines for each of one batch, three for each of the other') FROM scan.line;
SELECT is_empty('SELECT line_id FROM scan.line LEFT JOIN scan.purchase p USING (purchase_id, at) WHERE p.note IS DISTINCT FROM line.note', 'columns of a parent are of one row');

-- A policy that shows a part, and rights that show nothing.
CREATE ROLE keeper;
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO keeper;
CREATE TABLE shop.purchase (purchase_id int);
CREATE TABLE shop.line (line_id int, purchase_id int);
INSERT INTO shop.purchase SELECT generate_series(1, 1000);
ALTER TABLE shop.line OWNER TO keeper;
SELECT wh.create_generator('shop.line', '{"line_id": {"kind": "sequence"}, "purchase_id": {"kind": "reference", "relation": "shop.purchase"}}');
SELECT throws_ok($$SELECT wh.generate('shop.line', 10)$$, '42501', NULL, 'the owner of the lines must have the right to read purchases');
GRANT SELECT ON shop.purchase TO keeper;
ALTER TABLE shop.purchase ENABLE ROW LEVEL SECURITY;
CREATE POLICY early ON shop.purchase TO keeper USING (purchase_id < 100);
SELECT wh.generate('shop.line', 1000, seed => 9);
SELECT ok(max(purchase_id) < 100, 'policies hold for references') FROM shop.line;
REVOKE SELECT ON shop.purchase FROM keeper;
GRANT SELECT (purchase_id) ON shop.purchase TO keeper;
ALTER TABLE shop.purchase DISABLE ROW LEVEL SECURITY;
SELECT lives_ok($$SELECT wh.generate('shop.line', 1000, seed => 9)$$, 'the right to the column is enough');
DROP SCHEMA shop CASCADE;
DROP ROLE keeper;
SELECT * FROM finish();
