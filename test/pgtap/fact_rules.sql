-- Facts by the contract's rules 13 and 15 to 21: members, inferred members, grain, modes, deletes.
SET client_min_messages = warning;
SELECT no_plan();
CREATE SCHEMA src;
CREATE TABLE src.store (country text, store_no int, title text, at timestamptz, deleted bool DEFAULT false);
CREATE TABLE src.customer (id int, name text, at timestamptz, deleted bool DEFAULT false);
CREATE TABLE src.orders (id int, line int, customer_id int, country text, store_no int, qty int, price numeric,
  ordered timestamptz, on_day date, at timestamptz, deleted bool DEFAULT false);
CREATE TABLE src.payment (id int, order_id int, amount numeric, customer_id int, at timestamptz);
CREATE TABLE public.rate (code int PRIMARY KEY, factor numeric);
INSERT INTO public.rate VALUES (1, 10);
SELECT wh.create_feed('store', 'src.store', 'upsert', '{country,store_no}', sequence_by => 'at', deleted_when => 'deleted');
SELECT wh.create_feed('customer', 'src.customer', 'upsert', '{id}', sequence_by => 'at', deleted_when => 'deleted');
SELECT wh.create_feed('orders', 'src.orders', 'upsert', '{id,line}', sequence_by => 'at', deleted_when => 'deleted');
SELECT wh.create_feed('payment', 'src.payment', 'append', '{id}', sequence_by => 'at');
SELECT wh.create_dimension('store', 'SELECT country, store_no, title FROM store', '{country,store_no}');
SELECT wh.create_dimension('customer', 'SELECT id, name FROM customer', '{id}');
SELECT wh.create_fact('lines', 'SELECT id, line, customer_id, country, store_no, qty, ordered FROM orders', '{id,line}', 'ordered',
  '{"customer_id": "customer", "store": {"dimension": "store", "columns": ["country", "store_no"]}}');
SELECT wh.create_fact('ledger', 'SELECT id, line, customer_id, qty, qty * price AS amount, at FROM orders', '{id,line}', 'at',
  '{"customer_id": "customer"}', mode => 'ledger');
SELECT wh.create_fact('totals', 'SELECT id, sum(qty) AS qty, max(customer_id) AS customer_id, min(ordered) AS ordered FROM orders GROUP BY id',
  '{id}', 'ordered', '{"customer_id": "customer"}');
SELECT wh.create_fact('paid', 'SELECT order_id, id, amount, customer_id, at FROM payment', '{order_id}', 'at', '{"customer_id": "customer"}', mode => 'append');
SELECT wh.create_fact('days', 'SELECT id, line, customer_id, on_day FROM orders', '{id,line}', 'on_day', '{"customer_id": "customer"}',
  time_zone => 'America/New_York');
SELECT wh.create_fact('rated', 'SELECT o.id, o.line, o.qty * r.factor AS points, o.at FROM orders o JOIN rate r ON r.code = o.line', '{id,line}', 'at', '{}');

CREATE FUNCTION src.at(d int, h int DEFAULT 0) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
$$ SELECT timestamptz '2024-06-01 00:00+00' + d * interval '1 day' + h * interval '1 hour' $$;
CREATE PROCEDURE src.run() LANGUAGE plpgsql AS $$
BEGIN
  CALL wh.run();
  DELETE FROM src.store; DELETE FROM src.customer; DELETE FROM src.orders; DELETE FROM src.payment;
END $$;
-- The customer that a fact's row refers to: name, or what kind of member it is.
CREATE FUNCTION src.customer_of(fact text, id int, line int DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(CASE WHEN f.customer_key < 0 THEN f.customer_key::text WHEN d.is_inferred THEN ''inferred'' ELSE d.name END, '','')
    FROM mart.%I f LEFT JOIN mart.customer d ON d.customer_key = f.customer_key WHERE f.id = $1 %s', fact,
    CASE WHEN line IS NULL THEN '' ELSE 'AND line = ' || line END) INTO r USING id;
  RETURN r;
END $$;

-- A refused row as text.
CREATE FUNCTION src.raw(r bytea) RETURNS text LANGUAGE sql AS $$ SELECT convert_from(r, 'UTF8') COLLATE "default" $$;

-- Members ------------------------------------------------------------------------------
INSERT INTO src.customer (id, name, at) VALUES (1, 'a', src.at(10)), (1, 'b', src.at(20)), (1, 'c', src.at(40));
INSERT INTO src.customer VALUES (1, NULL, src.at(30), true);
INSERT INTO src.store (country, store_no, title, at) VALUES ('A', 1, 's', src.at(1));
INSERT INTO src.orders (id, line, customer_id, country, store_no, qty, price, ordered, on_day, at) VALUES
  (1, 1, 1, 'A', 1, 5, 2.0, src.at(15), '2024-06-11', src.at(15)),
  (1, 2, NULL, NULL, NULL, 5, 2.0, src.at(15), '2024-06-11', src.at(15)),
  (1, 3, 1, 'A', NULL, 1, 1.0, src.at(5), NULL, src.at(15)),
  (2, 1, 1, 'A', 1, 1, 1.0, src.at(35), '2024-07-01', src.at(35)),
  (2, 2, 1, 'A', 1, 1, 1.0, NULL, '2024-07-01', src.at(35)),
  (2, 3, 1, 'A', 1, 1, 1.0, 'infinity', '2024-07-01', src.at(35));
CALL src.run();
SELECT is((SELECT count(*) FROM mart.lines), 6::bigint, 'no lookup drops a row');
SELECT is(src.customer_of('lines', 1, 1), 'a', 'the version of the event time');
SELECT is(src.customer_of('lines', 1, 3), 'a', 'before the first version, the first');
SELECT is(src.customer_of('lines', 2, 1), 'b', 'in a gap, the last before it');
SELECT is(src.customer_of('lines', 2, 2), 'c', 'without an event time, the last');
SELECT is(src.customer_of('lines', 2, 3), 'c', 'at infinity, the last');
SELECT is(src.customer_of('lines', 1, 2), '-2', 'no natural key: not applicable');
SELECT results_eq('SELECT line, store_key FROM mart.lines WHERE id = 1 AND store_key < 0 ORDER BY 1', 'VALUES (2, -2::bigint), (3, -1)',
  'a natural key of NULLs is not applicable, a partly NULL one unknown');
SELECT is((SELECT array_agg(customer_key ORDER BY customer_key) FROM mart.customer WHERE customer_key < 0), '{-2,-1}'::bigint[], 'both members exist');

-- A date is its midnight in the fact's zone: 04:00 UTC in New York.
INSERT INTO src.customer (id, name, at) VALUES (2, 'a', src.at(1)), (2, 'b', src.at(10, 3)), (2, 'c', src.at(10, 5));
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, on_day, at) VALUES (3, 1, 2, 1, 1, src.at(10), '2024-06-11', src.at(10));
CALL src.run();
SELECT is(src.customer_of('days', 3, 1), 'b', 'a date means its midnight in the fact''s zone');

-- Inferred members ---------------------------------------------------------------------
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (4, 1, 7, 1, 1, src.at(10), src.at(10));
CALL src.run();
SELECT is(src.customer_of('lines', 4), 'inferred', 'a fact before its dimension refers to an inferred member');
SELECT results_eq('SELECT id, name, effective_from, effective_to, is_current FROM mart.customer WHERE is_inferred',
  $$VALUES (7, NULL::text, '-infinity'::timestamptz, 'infinity'::timestamptz, true)$$, 'one row, for all time');
CREATE TABLE src.key AS SELECT customer_key FROM mart.customer WHERE id = 7;
INSERT INTO src.customer (id, name, at) VALUES (7, 'late', src.at(30)), (7, 'later', src.at(50));
CALL src.run();
SELECT is(src.customer_of('lines', 4), 'late', 'the member is completed');
SELECT is((SELECT customer_key FROM mart.customer WHERE id = 7 AND name = 'late'), (SELECT customer_key FROM src.key), 'in place: the first version has its surrogate key');
SELECT is((SELECT rows_repointed FROM wh.batch_step WHERE object = 'mart.lines' ORDER BY batch_id DESC LIMIT 1), 0::bigint, 'no fact had to be re-pointed');
INSERT INTO src.customer VALUES (7, NULL, src.at(30), true), (7, NULL, src.at(50), true);
CALL src.run();
SELECT is(src.customer_of('lines', 4), 'inferred', 'when all versions go it is inferred again');
SELECT is((SELECT count(*) FROM mart.customer WHERE id = 7), 1::bigint, 'and nothing else is left of it');
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at, deleted) VALUES (4, 1, 7, 1, 1, src.at(10), src.at(10), true);
CALL src.run();
SELECT is((SELECT count(*) FROM mart.lines WHERE id = 4), 0::bigint, 'a fact whose source is deleted goes');
SELECT is((SELECT count(*) FROM mart.totals WHERE id = 4), 0::bigint, 'so does a group without rows');
SELECT is((SELECT count(*) FROM mart.customer WHERE id = 7), 0::bigint, 'and the inferred member that no fact refers to');
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (4, 2, 8, 1, 1, src.at(10), src.at(11));
CALL src.run();
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (4, 2, 1, 1, 1, src.at(10), src.at(11));
CALL src.run();
SELECT is((SELECT count(*) FROM mart.customer WHERE id = 8), 0::bigint, 'it goes also when the row comes to refer to another');

-- Ledger -------------------------------------------------------------------------------
SELECT results_eq('SELECT qty, amount, posted_at, is_reversal, reverses_posted_at FROM mart.ledger WHERE id = 1 AND line = 1',
  $$VALUES (5, 10.0, src.at(15), false, NULL::timestamptz)$$, 'a ledger posts a row');
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (1, 1, 1, 3, 2.0, src.at(15), src.at(25));
CALL src.run();
SELECT results_eq('SELECT qty, amount, posted_at, is_reversal, reverses_posted_at FROM mart.ledger WHERE id = 1 AND line = 1 ORDER BY posted_at, is_reversal DESC',
  $$VALUES (5, 10.0, src.at(15), false, NULL::timestamptz), (-5, -10.0, src.at(25), true, src.at(15)), (3, 6.0, src.at(25), false, NULL)$$,
  'a correction is a reversal, linked to what it reverses, and a new row');
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at, deleted) VALUES (1, 1, 1, 3, 2.0, src.at(15), src.at(45), true);
CALL src.run();
SELECT results_eq('SELECT sum(qty), sum(amount), count(*) FROM mart.ledger WHERE id = 1 AND line = 1', 'VALUES (0::bigint, 0.0, 4::bigint)', 'a delete is reversed');
SELECT results_eq('SELECT is_reversal, reverses_posted_at FROM mart.ledger WHERE id = 1 AND line = 1 AND posted_at = src.at(45)',
  $$VALUES (true, src.at(25))$$, 'linked too');
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (1, 1, 1, 4, 2.0, src.at(15), src.at(20));
CALL src.run();
SELECT results_eq('SELECT qty, posted_at FROM mart.ledger WHERE id = 1 AND line = 1 ORDER BY posted_at, is_reversal DESC',
  $$VALUES (5, src.at(15)), (-5, src.at(20)), (4, src.at(20)), (-4, src.at(25)), (3, src.at(25)), (-3, src.at(45))$$,
  'a late record takes its place among the postings');

-- Append -------------------------------------------------------------------------------
DELETE FROM wh.error_event;
SELECT throws_ok(format($$SELECT wh.create_fact('kept', %L, '{id}', 'at', '{}', mode => 'append')$$, q), '0A000', NULL, 'append does not read ' || what)
FROM (VALUES ('a feed whose rows change', 'SELECT id, qty, at FROM orders WHERE line = 1'),
             ('its history', 'SELECT id, qty, at FROM orders_history WHERE line = 1'),
             ('a lookup table', 'SELECT p.id, r.factor, p.at FROM payment p JOIN rate r ON r.code = p.id'),
             ('a fact', 'SELECT order_id AS id, amount, at FROM mart.paid')) v(what, q);
INSERT INTO src.orders (id, line, customer_id, qty, price, ordered, at) VALUES (5, 1, 1, 1, 1, src.at(10), src.at(10)),
  (5, 1, 9, 2, 1, src.at(10), src.at(12));
CALL src.run();
-- events: of two with one grain the first in order stays, whichever came first
INSERT INTO src.payment VALUES (10, 100, 2, 1, src.at(20)), (20, 200, 1, 1, src.at(20));
CALL src.run();
INSERT INTO src.payment VALUES (11, 100, 1, 55, src.at(19)), (19, 200, 9, 66, src.at(21));
CALL src.run();
SELECT results_eq('SELECT order_id, id FROM mart.paid ORDER BY 1', 'VALUES (100, 10), (200, 19)', 'several events of one grain: the first by all columns');
SELECT results_eq($$SELECT src.raw(raw_record) FROM wh.error_event WHERE fact = 'mart.paid' ORDER BY 1$$,
  $$VALUES ('(100,11,1,55,"2024-06-20 00:00:00+00")'), ('(200,20,1,1,"2024-06-21 00:00:00+00")')$$, 'the others become error events');
SELECT results_eq('SELECT id FROM mart.customer WHERE is_inferred ORDER BY 1', 'VALUES (9), (66)', 'which refer to no member');
INSERT INTO src.payment VALUES (30, NULL, 5, 1, src.at(20));
CALL src.run();
SELECT results_eq($$SELECT sqlstate FROM wh.error_event WHERE src.raw(raw_record) LIKE '(,30,%'$$, $$VALUES ('23502')$$, 'a NULL in the grain is an error event');

-- Lookup tables, full refresh ----------------------------------------------------------
SELECT is((SELECT sum(points) FROM mart.rated WHERE id = 2), 10::numeric, 'a lookup table is joined');
UPDATE public.rate SET factor = 20;
CALL src.run();
SELECT is((SELECT sum(points) FROM mart.rated WHERE id = 2), 20::numeric, 'its change recomputes the fact');
CALL wh.run(full_refresh => true);
SELECT is_empty('SELECT * FROM wh.batch_step WHERE batch_id = (SELECT max(batch_id) FROM wh.batch)
                    AND rows_inserted + rows_updated + rows_deleted + rows_repointed > 0', 'a full refresh changes nothing');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'wh.check finds nothing');
SELECT wh.drop_fact('paid');
SELECT is((SELECT count(*) FROM mart.customer WHERE id = 66), 0::bigint, 'a dropped fact takes the inferred members that only it needed');
SELECT throws_ok('SELECT wh.drop_dimension(''customer'')', '2BP01', NULL, 'a dimension in use stays');

-- Natural keys of fixed length, found by text, and the other way; keys that are equal but not the same.
CREATE COLLATION public.caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE src.coded (code char(5), name text COLLATE public.caseless, n numeric, at timestamptz);
CREATE TABLE src.used_code (id int, code text, name text, n int, at timestamptz);
INSERT INTO src.coded VALUES ('ab', 'Ann', 1.0, '2024-01-01'), ('abc', 'bob', 2.50, '2024-01-01'), ('ab', 'ANN', 3, '2024-02-01');
INSERT INTO src.used_code VALUES (1, 'ab', 'ann', 1, '2024-01-15'), (2, 'abc  ', 'BOB', 2, '2024-03-01'), (3, 'ab ', 'aNN', 1, '2024-03-01');
SELECT wh.create_feed('coded', 'src.coded', 'upsert', '{code}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('named', 'src.coded', 'upsert', '{name}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('used_code', 'src.used_code', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('coded', 'SELECT code, n FROM coded', '{code}') \g /dev/null
SELECT wh.create_dimension('named', 'SELECT name, n FROM named', '{name}') \g /dev/null
SELECT wh.create_dimension('code_use', 'SELECT c.code, u.name FROM coded c LEFT JOIN used_code u ON u.code = c.code', '{code}') \g /dev/null
SELECT wh.create_fact('used_code', 'SELECT id, code, name, at FROM used_code', '{id}', 'at', '{"code": "coded", "name": "named"}') \g /dev/null
CALL wh.run();
SELECT results_eq('SELECT u.id, c.code::text, c.n, d.name::text COLLATE "C" FROM mart.used_code u JOIN mart.coded c ON coded_key = code_key JOIN mart.named d ON named_key = name_key ORDER BY 1',
    $$VALUES (1, 'ab', 1.0, 'Ann' COLLATE "C"), (2, 'abc', 2.50, 'bob'), (3, 'ab', 3, 'ANN')$$, 'keys of fixed length, and keys that differ by case only');
INSERT INTO src.used_code VALUES (1, 'ab', 'Zoe', 1, '2024-04-01'), (2, 'abc', 'Yve', 1, '2024-04-01');
CALL wh.run();
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and hold');
SELECT * FROM finish();
