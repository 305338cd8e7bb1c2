-- The data generator's own arithmetic: what it computes without the executor equals PostgreSQL's result, bit by bit.
SELECT no_plan();
CREATE SCHEMA shop;
CREATE TABLE shop.sum (id int, s smallint, i int, big bigint, m numeric(10,2), n numeric, w numeric(30,0), f numeric(12,6), at timestamp, atz timestamptz,
  -- numbers
  x1 numeric, x2 numeric(12,2), x3 numeric, x4 numeric, x5 numeric(8,1), x6 numeric, x7 numeric, x8 numeric, x9 numeric(38,10),
  y1 int, y2 bigint, y3 bigint, y4 bigint, y5 int,
  -- times
  t1 timestamp, t2 timestamptz, t3 timestamp, t4 timestamp, t5 timestamp, t6 timestamptz);
CREATE TABLE shop.expression (col text, expression text);
INSERT INTO shop.expression VALUES
  ('x1', 'i * m'), ('x2', 'i * m'), ('x3', 'm - n * f + 3'), ('x4', 'round(m * (1 - f), 2)'), ('x5', 'm / 1 + m'), ('x6', '-(n - m)'),
  ('x7', 'round(f, 3) * s'), ('x8', 'w * w + big'), ('x9', 'n + f - 0.00005'),
  ('y1', 's * 3 - i'), ('y2', 'i + big'), ('y3', 'big * 2 - i'), ('y4', 's'), ('y5', 'CASE WHEN i > 0 THEN i * 2 END'),
  ('t1', 'at + i * interval ''1 second'''), ('t2', 'atz - interval ''3 hours'' * s'), ('t3', 'at + i * interval ''1 day 2 hours'''),
  ('t4', 'at + f * interval ''1 minute'''), ('t5', 'at + interval ''1 microsecond'' * 7'), ('t6', 'atz');
SELECT wh.create_generator('shop.sum', jsonb_build_object(
  'id', '{"kind": "sequence"}'::jsonb,
  's', '{"kind": "integer", "min": -100, "max": 100, "null_share": 0.02}'::jsonb,
  'i', '{"kind": "integer", "min": -100000, "max": 100000}'::jsonb,
  'big', '{"kind": "integer", "min": -4000000000000, "max": 4000000000000, "distribution": "normal", "mean": 0, "deviation": 900000}'::jsonb,
  'm', '{"kind": "money", "min": -5000, "max": 5000, "distribution": "normal", "mean": 0, "deviation": 40, "null_share": 0.02}'::jsonb,
  'n', '{"kind": "choice", "values": ["0", "0.00", "-0.5", "1e20", "99999999999999", "0.000000000001", "123.4500", "NaN", "1000000", "-20000.10", null, "0.0000000000000000001", "12345678901234567890.5", "10000", "0.0001"]}'::jsonb,
  'w', '{"kind": "choice", "values": ["3", "-70000000", "1000000000000000000000", "20000", "0"]}'::jsonb,
  'f', '{"kind": "number", "min": -2, "max": 2, "scale": 6}'::jsonb,
  'at', '{"kind": "timestamp", "from": "1990-01-01", "to": "2030-01-01"}'::jsonb,
  'atz', '{"kind": "timestamp", "from": "1990-01-01", "to": "2030-01-01"}'::jsonb)
  || (SELECT jsonb_object_agg(col, jsonb_build_object('kind', 'expression', 'expression', expression)) FROM shop.expression));
SELECT is((SELECT inserted FROM wh.generate('shop.sum', 20000, seed => 5)), 20000::bigint, 'rows with sums, products, roundings and times');
CREATE FUNCTION shop.differing() RETURNS TABLE (col text, differing bigint) LANGUAGE plpgsql AS $$
DECLARE e shop.expression; t text;
BEGIN
  FOR e IN SELECT * FROM shop.expression LOOP
    SELECT format_type(atttypid, atttypmod) INTO t FROM pg_attribute WHERE attrelid = 'shop.sum'::regclass AND attname = e.col;
    -- the binary form: 1.0 and 1.00 differ
    EXECUTE format('SELECT count(*) FROM shop.sum WHERE record_send(ROW(%I)) IS DISTINCT FROM record_send(ROW((%s)::%s))', e.col, e.expression, t) INTO differing;
    col := e.col;
    RETURN NEXT;
  END LOOP;
END $$;
SELECT is(differing, 0::bigint, format('%s is %s', col, expression)) FROM shop.differing() JOIN shop.expression USING (col);
SELECT ok((SELECT least(count(x1), count(x6), count(x8), count(t2)) > 15000 FROM shop.sum), 'most are not NULL');
SELECT ok((SELECT min(x2) < -1000000 AND max(x2) > 1000000 AND count(*) FILTER (WHERE x2 = 0) > 0 FROM shop.sum), 'of both signs, and zero');

-- What does not fit is PostgreSQL's error.
CREATE TABLE shop.small (id int, i int, price numeric(10,2), x numeric(5,2), y int, t timestamp);
CREATE FUNCTION shop.try(expression text, col text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM wh.create_generator('shop.small', jsonb_build_object('id', '{"kind": "sequence"}'::jsonb,
    'i', '{"kind": "integer", "min": 2000000000, "max": 2000000000}'::jsonb, 'price', '{"kind": "money", "min": 999.99, "max": 999.99}'::jsonb,
    col, jsonb_build_object('kind', 'expression', 'expression', expression)));
  PERFORM wh.generate('shop.small', 10);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT is(shop.try('price * 1', 'x'), NULL, 'a number at the limit fits');
SELECT is(shop.try('price + 0.01', 'x'), '22003 numeric field overflow', 'one above does not');
SELECT is(shop.try('price + 0.005', 'x'), '22003 numeric field overflow', 'nor one that is rounded up');
SELECT is(shop.try('i * 2', 'y'), '22003 integer out of range', 'an integer out of range');
SELECT is(shop.try('timestamp ''294276-12-31'' + i * interval ''1 day''', 't'), '22008 timestamp out of range', 'a time out of range');
SELECT is(shop.try('timestamp ''294276-12-31 23:00'' + i * interval ''1 second''', 't'), '22008 timestamp out of range', 'also by seconds');
SELECT is(shop.try('timestamp ''infinity'' + i * interval ''1 second''', 't'), NULL, 'infinity stays');
SELECT is((SELECT DISTINCT t FROM shop.small WHERE t IS NOT NULL), 'infinity'::timestamp, 'infinity');
SELECT * FROM finish();
