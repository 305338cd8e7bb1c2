-- Synthetic staged relations with random histories, and an oracle, for the query_*.sql tests.
--
-- Schema st: feeds as the engine lays them out. Schema past: views of the same names that show
-- the rows as of the setting test.t: the user's query runs on them unchanged, so the oracle
-- shares nothing with the engine. Schema lk: plain lookup tables.
CREATE SCHEMA st;
CREATE SCHEMA past;
CREATE SCHEMA lk;
CREATE SCHEMA test;

-- Columns in another order than the view's, and a dropped one, on purpose.
CREATE TABLE st.customer_history (junk int, sex text, customer_id int, name text, region int, email varchar(40), effective_from timestamptz, effective_to timestamptz, is_deleted bool);
ALTER TABLE st.customer_history DROP COLUMN junk;
CREATE TABLE st.address_history (effective_from timestamptz, effective_to timestamptz, is_deleted bool, address_id int, customer_id int, type text, city_id int, zip text);
CREATE TABLE st.city_history (city_id int, name text, country text, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st.product_history (product_id int, sku text, supplier_id int, price numeric, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st.supplier_history (supplier_id bigint, name text, city_id int, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st.orders_history (order_id int, customer_id int, status text, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st.line_history (order_id int, line_no int, product_id int, qty int, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st."Odd Feed_history" ("Key Col" int, "select" text, "wh_t" text, t text, k1 int, p text, h text, effective_from timestamptz, effective_to timestamptz, is_deleted bool);
CREATE TABLE st.visit (visit_id int, junk int, customer_id int, page text, effective_from timestamptz, batch_id bigint);
ALTER TABLE st.visit DROP COLUMN junk;
CREATE TABLE lk.country (code text PRIMARY KEY, label text);
INSERT INTO lk.country VALUES ('A', 'Aland'), ('B', 'Bora'), ('C', 'Cuba');
CREATE TABLE lk.bridge (region int, city_id int);
INSERT INTO lk.bridge VALUES (1, 1), (2, 2), (3, 3), (1, 2);

CREATE TABLE test.feed (feed text PRIMARY KEY, columns text, key text[]);
INSERT INTO test.feed VALUES
  ('customer', 'customer_id, name, email, sex, region', '{customer_id}'),
  ('address', 'address_id, customer_id, type, city_id, zip', '{address_id}'),
  ('city', 'city_id, name, country', '{city_id}'),
  ('product', 'product_id, sku, supplier_id, price', '{product_id}'),
  ('supplier', 'supplier_id, name, city_id', '{supplier_id}'),
  ('orders', 'order_id, customer_id, status', '{order_id}'),
  ('line', 'order_id, line_no, product_id, qty', '{order_id,line_no}'),
  ('Odd Feed', '"Key Col", "select", wh_t, t, k1, p, h', '{Key Col}');
DO $$
DECLARE f record; s text;
BEGIN
  FOR f IN SELECT * FROM test.feed LOOP
    EXECUTE format('CREATE VIEW st.%I AS SELECT %s FROM st.%I WHERE effective_to = ''infinity'' AND NOT is_deleted',
                   f.feed, f.columns, f.feed || '_history');
    EXECUTE format('CREATE VIEW past.%I AS SELECT %s FROM st.%I WHERE NOT is_deleted
                      AND effective_from <= current_setting(''test.t'')::timestamptz
                      AND effective_to > current_setting(''test.t'')::timestamptz', f.feed, f.columns, f.feed || '_history');
    EXECUTE format('INSERT INTO wh.feed (relation, history, source, load, key) VALUES (%1$L, %2$L, %2$L, ''upsert'', %3$L)',
                   format('st.%I', f.feed), format('st.%I', f.feed || '_history'), f.key);
  END LOOP;
  INSERT INTO wh.feed (relation, source, load) VALUES ('st.visit', 'st.visit', 'append');
  CREATE VIEW past.visit AS SELECT * FROM st.visit WHERE effective_from <= current_setting('test.t')::timestamptz;
  FOREACH s IN ARRAY ARRAY['st', 'past'] LOOP
    PERFORM set_config('search_path', s || ',lk,public', true);
    CREATE VIEW v_addr AS SELECT a.address_id, a.customer_id cid, a.type, c.name AS city, c.country FROM address a LEFT JOIN city c ON c.city_id = a.city_id;
    CREATE VIEW v_cust AS SELECT customer_id AS id, upper(name) AS uname, region, email FROM customer WHERE sex IS DISTINCT FROM 'M';
    CREATE VIEW v_addr2 AS SELECT cid, max(city) mcity, count(*) n FROM v_addr GROUP BY cid;
    CREATE VIEW v_plain AS SELECT code, label || '!' lab FROM country;
  END LOOP;
END $$;

-- Random values: from 1 to n, and the same with some NULLs.
CREATE FUNCTION test.r(n int) RETURNS int LANGUAGE sql AS 'SELECT 1 + floor(random() * n)::int';
CREATE FUNCTION test.rn(n int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN random() < 0.15 THEN NULL ELSE 1 + floor(random() * n)::int END';

-- Random versions of n keys over 15 days, with deletes and gaps.
CREATE FUNCTION test.versions(nkeys int, density float)
RETURNS TABLE (k int, f timestamptz, e timestamptz, del bool) LANGUAGE sql AS $$
  WITH tm AS MATERIALIZED (SELECT k, d FROM generate_series(1, nkeys) k, generate_series(1, 15) d WHERE random() < density),
  v AS MATERIALIZED (SELECT k, d, lead(d) OVER (PARTITION BY k ORDER BY d) nd, random() r FROM tm)
  SELECT k, '2024-01-01'::timestamptz + d * interval '1 day',
         coalesce('2024-01-01'::timestamptz + nd * interval '1 day', 'infinity'), r < 0.15
  FROM v WHERE NOT r BETWEEN 0.15 AND 0.25 $$;

-- The histories of a seed; nothing to do when they are there.
CREATE TABLE test.filled (seed float);
CREATE FUNCTION test.fill(seed float) RETURNS void LANGUAGE plpgsql SET search_path = st, test, public AS $$
BEGIN
  PERFORM setseed(seed);
  IF EXISTS (SELECT FROM filled f WHERE f.seed = fill.seed) THEN
    RETURN;
  END IF;
  DELETE FROM filled;
  INSERT INTO filled VALUES (seed);
  DELETE FROM customer_history; DELETE FROM address_history; DELETE FROM city_history; DELETE FROM product_history;
  DELETE FROM supplier_history; DELETE FROM orders_history; DELETE FROM line_history; DELETE FROM "Odd Feed_history";
  DELETE FROM visit;
  INSERT INTO customer_history (customer_id, name, email, sex, region, effective_from, effective_to, is_deleted)
    SELECT k, 'n' || r(3), 'e' || r(3), (ARRAY['F', 'M', NULL])[r(3)], rn(3), f, e, del FROM versions(5, 0.2);
  INSERT INTO address_history (address_id, customer_id, type, city_id, zip, effective_from, effective_to, is_deleted)
    SELECT k, rn(5), (ARRAY['B', 'S'])[r(2)], rn(4), 'z' || r(3), f, e, del FROM versions(9, 0.25);
  INSERT INTO city_history (city_id, name, country, effective_from, effective_to, is_deleted)
    SELECT k, 'c' || r(4), (ARRAY['A', 'B', 'C', 'X'])[r(4)], f, e, del FROM versions(4, 0.2);
  INSERT INTO product_history (product_id, sku, supplier_id, price, effective_from, effective_to, is_deleted)
    SELECT k, 's' || r(4), rn(3), r(10) / 2.0, f, e, del FROM versions(5, 0.2);
  INSERT INTO supplier_history (supplier_id, name, city_id, effective_from, effective_to, is_deleted)
    SELECT k, 'sup' || r(3), rn(4), f, e, del FROM versions(3, 0.25);
  INSERT INTO orders_history (order_id, customer_id, status, effective_from, effective_to, is_deleted)
    SELECT k, rn(5), (ARRAY['open', 'paid', 'sent'])[r(3)], f, e, del FROM versions(6, 0.2);
  INSERT INTO line_history (order_id, line_no, product_id, qty, effective_from, effective_to, is_deleted)
    SELECT (k + 1) / 2, 1 + k % 2, rn(5), r(9), f, e, del FROM versions(12, 0.2);
  INSERT INTO "Odd Feed_history"
    SELECT k, 'x' || r(3), 'y' || r(3), 't' || r(2), rn(5), 'p' || r(2), 'h' || r(2), f, e, del FROM versions(5, 0.2);
  INSERT INTO visit (visit_id, customer_id, page, effective_from)
    SELECT row_number() OVER (), rn(5), 'p' || r(3), f FROM versions(4, 0.15);
END $$;

-- Change staged rows at random, as splices do; what changed goes to changed.<feed>.
CREATE SCHEMA changed;
DO $$
DECLARE h text;
BEGIN
  FOR h IN SELECT feed || '_history' FROM test.feed UNION ALL SELECT 'visit' LOOP
    EXECUTE format('CREATE TABLE changed.%1$I AS SELECT * FROM st.%1$I', h);
    EXECUTE format('CREATE TABLE changed.%2$I AS SELECT * FROM st.%1$I', h, h || ' before');
  END LOOP;
END $$;
CREATE FUNCTION test.change() RETURNS void LANGUAGE plpgsql SET search_path = st, test, public AS $$
DECLARE f text; h text;
BEGIN
  DELETE FROM filled;
  FOR h IN SELECT feed || '_history' FROM test.feed UNION ALL SELECT 'visit' LOOP
    EXECUTE format('DELETE FROM changed.%I', h || ' before');
    EXECUTE format('INSERT INTO changed.%I SELECT * FROM st.%I', h || ' before', h);
  END LOOP;
  UPDATE address_history SET customer_id = rn(5) WHERE random() < 0.12;
  UPDATE address_history SET city_id = rn(4) WHERE random() < 0.1;
  UPDATE customer_history SET is_deleted = NOT is_deleted WHERE random() < 0.08;
  UPDATE customer_history SET name = 'new' WHERE random() < 0.1;
  UPDATE customer_history SET region = rn(3) WHERE random() < 0.1;
  DELETE FROM city_history WHERE random() < 0.15;
  UPDATE orders_history SET effective_to = effective_from + (effective_to - effective_from) / 2
    WHERE effective_to < 'infinity' AND random() < 0.2;
  UPDATE orders_history SET effective_to = effective_from + interval '1 day' WHERE effective_to = 'infinity' AND random() < 0.15;
  UPDATE orders_history SET customer_id = rn(5) WHERE random() < 0.1;
  UPDATE line_history SET product_id = rn(5) WHERE random() < 0.1;
  DELETE FROM line_history WHERE order_id = (SELECT r(6)) OR random() < 0.05;
  DELETE FROM product_history WHERE random() < 0.1;
  UPDATE product_history SET supplier_id = rn(3) WHERE random() < 0.1;
  UPDATE product_history SET sku = 's' || r(4) WHERE random() < 0.1;
  UPDATE supplier_history SET name = 'sx' WHERE random() < 0.2;
  DELETE FROM "Odd Feed_history" WHERE random() < 0.1;
  UPDATE visit SET customer_id = rn(5) WHERE random() < 0.1;
  UPDATE visit SET page = 'px' WHERE random() < 0.1;
  DELETE FROM visit WHERE random() < 0.1;
  FOR h IN SELECT feed || '_history' FROM test.feed UNION ALL SELECT 'visit' LOOP
    EXECUTE format('DELETE FROM changed.%I', h);
    EXECUTE format('INSERT INTO changed.%1$I (TABLE changed.%2$I EXCEPT ALL TABLE st.%1$I) UNION ALL (TABLE st.%1$I EXCEPT ALL TABLE changed.%2$I)',
                   h, h || ' before');
    -- closing a version leaves no new image
    IF h <> 'visit' THEN
      EXECUTE format('DELETE FROM changed.%1$I c USING changed.%2$I b WHERE b.effective_to > c.effective_to
                        AND to_jsonb(b) - ''effective_to'' = to_jsonb(c) - ''effective_to''', h, h || ' before');
    END IF;
  END LOOP;
END $$;

-- Every time at which anything changes.
CREATE FUNCTION test.times() RETURNS SETOF timestamptz LANGUAGE sql AS $$
  SELECT '2024-01-01'::timestamptz + d * interval '12 hours' FROM generate_series(1, 33) d $$;

-- Run the query on the rows as of each time: key (as json), time, row. The query is made the
-- body of a function, so that it is planned once.
CREATE FUNCTION test.oracle(query text, key text[])
RETURNS TABLE (k text, t timestamptz, r text) LANGUAGE plpgsql SET search_path = past, lk, public AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION test.rows_now(OUT k text, OUT r text) RETURNS SETOF record LANGUAGE plpgsql AS %L',
    format('BEGIN RETURN QUERY SELECT jsonb_build_array(%s)::text, row(y.*)::text FROM (SELECT * FROM (%s) z) y; END',
           (SELECT string_agg(format('y.%I', c), ',' ORDER BY i) FROM unnest(key) WITH ORDINALITY u(c, i)), query));
  FOR t IN SELECT test.times() LOOP
    PERFORM set_config('test.t', t::text, true);
    RETURN QUERY SELECT y.k, oracle.t, y.r FROM test.rows_now() y;
  END LOOP;
END $$;

-- Store a query as a view, on the current rows.
CREATE FUNCTION test.define(query text) RETURNS void LANGUAGE plpgsql SET search_path = st, lk, public AS $$
BEGIN
  DROP VIEW IF EXISTS test.definition;
  EXECUTE 'CREATE VIEW test.definition AS ' || query;
END $$;
