-- The bulk writer: tuples of every kind of type are formed as PostgreSQL forms them, and written by one process or several.
SELECT no_plan();
CREATE EXTENSION IF NOT EXISTS amcheck;
CREATE EXTENSION IF NOT EXISTS pageinspect;
CREATE SCHEMA shop;
CREATE SCHEMA slot;
-- Both with columns that are no more.
SELECT format('CREATE TABLE %s.thing (gone int, b bool, id int, s smallint, c1 "char", gone_text text, big bigint, f4 real, c char(5),
  f8 float8, u uuid, n numeric, name name, t text, mac macaddr, arr int[], iv interval, j jsonb, raw bytea, ip inet, d date, at timestamptz,
  plain text, tz timetz, p point, last "char");
  ALTER TABLE %1$s.thing DROP gone, DROP gone_text, ALTER plain SET STORAGE PLAIN', schema)
FROM unnest('{shop,slot}'::text[]) schema \gexec
CREATE TABLE slot.narrow (id int, b bool, c "char");
CREATE TABLE shop.narrow (id int, b bool, c "char");
CREATE FUNCTION shop.declare(relation regclass) RETURNS void LANGUAGE sql AS $$
SELECT wh.create_generator(relation, '{
  "id": {"kind": "sequence"}, "b": {"kind": "boolean", "null_share": 0.3}, "s": {"kind": "integer", "max": 9, "null_share": 0.5},
  "c1": {"kind": "choice", "values": ["x", "y"]}, "big": {"kind": "integer"}, "f4": {"kind": "number", "null_share": 0.2}, "f8": {"kind": "number"},
  "c": {"kind": "pattern", "pattern": "@@#"}, "u": {"kind": "choice", "values": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", null]},
  "n": {"kind": "choice", "values": ["1.5", "-20000000000000000000.25", "0", "0.000", "NaN", "123456789.000001"]},
  "name": {"kind": "choice", "values": ["abc", null]}, "t": {"kind": "text", "min": 0, "max": 30, "null_share": 0.1},
  "mac": {"kind": "choice", "values": ["08:00:2b:01:02:03", null]}, "arr": {"kind": "choice", "values": ["{1,2,3}", "{}", null]},
  "iv": {"kind": "choice", "values": ["1 day", "2 hours"]}, "j": {"kind": "choice", "values": ["{\"a\": 1}", "[]"]},
  "raw": {"kind": "choice", "values": ["\\x00ff", "\\x"]}, "ip": {"kind": "choice", "values": ["10.0.0.1", "::1/64"]},
  "d": {"kind": "date", "from": "2024-01-01", "to": "2024-12-31"}, "at": {"kind": "timestamp", "from": "2024-01-01", "to": "2025-01-01", "null_share": 0.2},
  "plain": {"kind": "choice", "values": ["short", "", null]}, "tz": {"kind": "choice", "values": ["04:05:06+02", null]},
  "p": {"kind": "choice", "values": ["(1,2)", null]}, "last": {"kind": "choice", "values": ["z"]}}') $$;
SELECT shop.declare('shop.thing');
-- One table through the bulk writer, by the generator; the other by PostgreSQL's own COPY.
SELECT wh.generate('shop.thing', 4000, seed => 9);
SELECT format('COPY shop.thing TO %1$L; COPY slot.thing FROM %1$L', :'tmp' || '/thing') \gexec
SELECT is((SELECT count(*)::int FROM shop.thing), 4000, 'all rows');
SELECT is_empty('SELECT t::text FROM shop.thing t EXCEPT ALL SELECT t::text FROM slot.thing t', 'the same rows');
SELECT is_empty($$SELECT v.* FROM verify_heapam('shop.thing') v$$, 'sound pages');
CREATE FUNCTION shop.tuples(relation text) RETURNS TABLE (lp_len int, natts int, mask int, t_hoff int, t_bits text, t_data bytea) LANGUAGE sql AS $$
SELECT lp_len, t_infomask2 & 2047, t_infomask & x'00ff'::int & ~x'00f0'::int, t_hoff, t_bits, t_data
FROM generate_series(0, pg_relation_size(relation) / 8192 - 1) b, LATERAL heap_page_items(get_raw_page(relation, b::int)) i $$;
-- Values beyond 2 kB are elsewhere, their place in the tuple differs.
SELECT ok((SELECT count(*) > 3000 FROM shop.tuples('shop.thing') WHERE mask & 4 = 0), 'most rows are all on the page');
SELECT is_empty($$SELECT * FROM shop.tuples('shop.thing') WHERE mask & 4 = 0 EXCEPT ALL SELECT * FROM shop.tuples('slot.thing')$$, 'byte for byte as PostgreSQL forms them');
SELECT is_empty($$SELECT * FROM shop.tuples('slot.thing') WHERE mask & 4 = 0 EXCEPT ALL SELECT * FROM shop.tuples('shop.thing')$$, 'all of them');

-- Without any varlena, without a NULL, and more rows than line pointers fit.
SELECT wh.create_generator(r, '{"id": {"kind": "sequence"}, "b": {"kind": "boolean"}, "c": {"kind": "choice", "values": ["q", "r"]}}')
FROM (VALUES ('shop.narrow'::regclass)) v(r);
SELECT wh.generate('shop.narrow', 20000, seed => 9);
INSERT INTO slot.narrow SELECT * FROM shop.narrow;
SELECT is_empty($$SELECT * FROM shop.tuples('shop.narrow') EXCEPT ALL SELECT * FROM shop.tuples('slot.narrow')$$, 'narrow rows: the same bytes');
SELECT is(pg_relation_size('shop.narrow'), pg_relation_size('slot.narrow'), 'on as many pages');
SELECT is_empty($$SELECT v.* FROM verify_heapam('shop.narrow') v$$, 'which are sound');

-- A fill factor is kept.
ALTER TABLE shop.narrow SET (fillfactor = 50);
SELECT wh.generate('shop.narrow', 20000, seed => 10);
SELECT ok((SELECT pg_relation_size('shop.narrow') > 2.8 * pg_relation_size('slot.narrow')), 'half of each page stays free');

-- References of several processes: values by reference, short, long and NULL, are those of one.
CREATE TABLE shop.place (id int, code text, address text, price numeric(8,2), big numeric, doc jsonb, host name);
SELECT wh.create_generator('shop.place', '{"id": {"kind": "sequence"}, "code": {"kind": "pattern", "pattern": "@#", "null_share": 0.1},
  "address": {"kind": "text", "min": 1, "max": 12}, "price": {"kind": "money"}, "big": {"kind": "choice", "values": ["1e30", "2.5", null]},
  "doc": {"kind": "choice", "values": ["{\"k\": [1, 2]}", "3"]}, "host": {"kind": "choice", "values": ["one", "two"]}}');
SELECT wh.generate('shop.place', 2500, seed => 2);
CREATE TABLE shop.visit (id int, place int, code text, address text, price numeric(8,2), big numeric, doc jsonb, host name, far int);
CREATE TABLE slot.visit (LIKE shop.visit);
SELECT wh.create_generator(r, '{"id": {"kind": "sequence"}, "place": {"kind": "reference", "relation": "shop.place", "column": "id", "popularity": 0.9},
  "code": {"kind": "reference", "relation": "shop.place", "null_share": 0.2}, "address": {"kind": "reference", "relation": "shop.place"},
  "price": {"kind": "reference", "relation": "shop.place"}, "big": {"kind": "reference", "relation": "shop.place"},
  "doc": {"kind": "reference", "relation": "shop.place"}, "host": {"kind": "reference", "relation": "shop.place"},
  "far": {"kind": "reference", "relation": "shop.place", "column": "id", "reference": "other", "where": "price < 500"}}')
FROM unnest('{shop.visit,slot.visit}'::regclass[]) r;
SELECT wh.generate('shop.visit', 30000, seed => 4);
SELECT wh.generate('slot.visit', 30000, seed => 4, workers => 3);
SELECT is((SELECT md5(string_agg(v::text, ';' ORDER BY id)) FROM slot.visit v), (SELECT md5(string_agg(v::text, ';' ORDER BY id)) FROM shop.visit v), 'three processes make the rows of one');
SELECT is_empty($$SELECT v.* FROM shop.visit v LEFT JOIN shop.place p ON p.id = v.place AND p.address = v.address AND p.price = v.price
  AND p.big IS NOT DISTINCT FROM v.big AND p.doc = v.doc AND p.host = v.host AND (v.code IS NULL OR v.code = p.code) WHERE p.id IS NULL$$, 'columns of a reference are of one row');
SELECT ok((SELECT bool_and(p.price < 500) FROM shop.visit v JOIN shop.place p ON p.id = v.far), 'the other reference keeps its condition');
SELECT is_empty($$SELECT v.* FROM verify_heapam('slot.visit') v$$, 'sound pages of three processes');
SELECT * FROM finish();
