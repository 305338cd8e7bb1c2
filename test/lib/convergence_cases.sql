-- Random cases for the convergence tests: sets of feeds, dimensions and facts (families) that are
-- made once, random records for them, and their delivery in batches. Needs convergence_oracle.sql.

-- Random values. NULL in a quarter of the cases, where said so.
CREATE FUNCTION test.num(n int) RETURNS int LANGUAGE sql AS 'SELECT 1 + floor(random() * n)::int';
CREATE FUNCTION test.maybe(n int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN random() >= 0.25 THEN 1 + floor(random() * n)::int END';
CREATE FUNCTION test.word(prefix text, n int) RETURNS text LANGUAGE sql AS $$
  SELECT CASE floor(random() * 8)::int WHEN 0 THEN NULL WHEN 1 THEN NULL WHEN 2 THEN '' ELSE prefix || floor(random() * n)::int END $$;
-- 1.0 and 1.00 are equal and look different.
CREATE FUNCTION test.price() RETURNS numeric LANGUAGE sql AS $$
  SELECT (ARRAY[NULL, 1.0, 1.00, 2.5, 2.50, 7])[1 + floor(random() * 6)::int] $$;
CREATE FUNCTION test.events(k int) RETURNS int LANGUAGE sql AS $$
  SELECT 1 + floor(random() * CASE WHEN random() < 0.07 THEN 80 WHEN random() < 0.5 THEN 10 ELSE 3 END)::int $$;

-- Families ---------------------------------------------------------------------------

CALL test.make_feed('sales', 'a_customer', 'upsert', '{customer_id}', 'customer_id int', 'name text, region int, email text',
  'nullif(k, 6), test.word(''n'', 3), test.maybe(2), test.word(''e'', 4)');
CALL test.make_feed('sales', 'a_address', 'upsert', '{address_id}', 'address_id int', 'customer_id int, kind text, zip text',
  'k, test.maybe(5), (ARRAY[''B'', ''B'', ''S'', NULL])[test.num(4)], test.word(''z'', 3)');
CALL test.make_feed('sales', 'a_visit', 'append', '{visit_id}', 'visit_id int', 'customer_id int, address_id int, amount numeric, on_day date',
  'k * 100 + test.num(9), test.maybe(7), test.maybe(6), test.price(), date ''2024-03-01'' + test.maybe(50)');
CALL test.make_dimension('sales', 'a_cust', 'SELECT c.customer_id, c.name, c.region, c.email, b.zip AS billing_zip
  FROM a_customer c LEFT JOIN a_address b ON b.customer_id = c.customer_id AND b.kind = ''B''', '{customer_id}', '{"email": 3}');
CALL test.make_dimension('sales', 'a_addr', 'SELECT a.address_id, a.zip, c.region, c.name
  FROM a_address a JOIN a_customer c ON c.customer_id = a.customer_id', '{address_id}', order_by => 'zip DESC');
-- keys that no equality leads to: evaluated as a whole
CALL test.make_dimension('sales', 'a_rank', 'SELECT customer_id, name, email, row_number() OVER (PARTITION BY region ORDER BY name, customer_id) AS place
  FROM a_customer', '{customer_id}');
CALL test.make_fact('sales', 'a_visits', 'SELECT visit_id, customer_id, address_id, amount, at AS visited FROM a_visit',
  '{visit_id}', 'visited', '{"customer_id": {"dimension": "a_cust", "columns": ["customer_id"]}, "address_id": {"dimension": "a_addr", "columns": ["address_id"]}}', 'append');
CALL test.make_fact('sales', 'a_days', 'SELECT v.visit_id, v.customer_id, v.on_day, v.amount, c.region
  FROM a_visit v LEFT JOIN a_customer c ON c.customer_id = v.customer_id',
  '{visit_id}', 'on_day', '{"customer_id": {"dimension": "a_cust", "columns": ["customer_id"]}}', 'upsert');

CALL test.make_feed('orders', 'b_product', 'upsert', '{product_id}', 'product_id int', 'supplier_id bigint, price numeric, sku text',
  'k, test.maybe(4), test.price(), test.word(''s'', 3)');
CALL test.make_feed('orders', 'b_supplier', 'upsert', '{supplier_id}', 'supplier_id bigint', 'city text, rating numeric',
  'k, test.word(''c'', 3), test.price()');
CALL test.make_feed('orders', 'b_line', 'upsert', '{order_id,line_no}', 'order_id int, line_no smallint', 'product_id int, qty int, ordered timestamp',
  '1 + k / 3, 1 + k % 3, test.maybe(6), test.maybe(9), timestamp ''2024-03-01'' + test.maybe(600) * interval ''1 hour''');
CALL test.make_dimension('orders', 'b_products', 'SELECT p.product_id, p.sku, p.price, s.city, s.rating
  FROM b_product p LEFT JOIN b_supplier s ON s.supplier_id = p.supplier_id', '{product_id}', '{"price": 3, "city": 3}',
  equal => '{"price": "trim_scale(q.price)", "rating": "trim_scale(q.rating)"}');
CALL test.make_dimension('orders', 'b_suppliers', 'SELECT supplier_id, city, rating, effective_from, effective_to
  FROM b_supplier_history WHERE NOT is_deleted', '{supplier_id}', history => 'query',
  as_of => 'SELECT supplier_id, city, rating FROM b_supplier', equal => '{"rating": "trim_scale(q.rating)"}');
CALL test.make_fact('orders', 'b_lines', 'SELECT l.order_id, l.line_no, l.product_id, p.supplier_id, l.qty, l.qty * p.price AS amount, l.ordered
  FROM b_line l LEFT JOIN b_product p ON p.product_id = l.product_id', '{order_id,line_no}', 'ordered',
  '{"product_id": {"dimension": "b_products", "columns": ["product_id"]}, "supplier_id": {"dimension": "b_suppliers", "columns": ["supplier_id"]}}', 'upsert');
CALL test.make_fact('orders', 'b_ledger', 'SELECT l.order_id, l.line_no, l.product_id, p.sku, l.qty, l.qty * p.price AS amount, l.ordered
  FROM b_line l JOIN b_product p ON p.product_id = l.product_id', '{order_id,line_no}', 'ordered',
  '{"product_id": {"dimension": "b_products", "columns": ["product_id"]}}', 'ledger', '{qty,amount}');
CALL test.make_fact('orders', 'b_orders', 'SELECT l.order_id, count(*) AS n, sum(l.qty) AS qty, min(l.ordered) AS first_ordered, max(l.product_id) AS product_id
  FROM b_line l GROUP BY l.order_id', '{order_id}', 'first_ordered',
  '{"product_id": {"dimension": "b_products", "columns": ["product_id"]}}', 'upsert');

CALL test.make_feed('stores', 'c_store', 'upsert', '{country,store_no}', 'country text, store_no int', 'title text, opened date',
  'chr(64 + (1 + k % 2)), k / 2, test.word(''t'', 3), date ''2020-01-01'' + test.maybe(3)');
CALL test.make_feed('stores', 'c_staff', 'upsert', '{staff_id}', 'staff_id int', 'country text, store_no int, grade int',
  'k, chr(64 + test.maybe(2)), test.num(4) - 1, test.maybe(4)');
CALL test.make_feed('stores', 'c_event', 'append', '{event_id}', 'event_id int', 'country text, store_no int, code text, n int',
  'k * 100 + test.num(30), chr(64 + test.maybe(3)), test.maybe(3) - 1, test.word(''k'', 6), test.maybe(9)');
CALL test.make_dimension('stores', 'c_stores', 'SELECT s.country, s.store_no, s.title,
    (SELECT count(*) FROM c_staff t WHERE t.country = s.country AND t.store_no = s.store_no) AS staff
  FROM c_store s WHERE s.opened IS NOT NULL OR EXISTS (SELECT FROM c_staff t WHERE t.country = s.country AND t.store_no = s.store_no AND t.grade > 2)',
  '{country,store_no}', '{"title": 3}');
CALL test.make_dimension('stores', 'c_grades', 'SELECT country, store_no, max(grade) AS grade, count(*) AS n FROM c_staff GROUP BY country, store_no',
  '{country,store_no}');
CALL test.make_dimension('stores', 'c_now', 'SELECT country, store_no, title, opened FROM c_store', '{country,store_no}', history => 'none');
CALL test.make_dimension('stores', 'c_both', 'SELECT coalesce(s.store_no, g.store_no) AS store_no, coalesce(s.country, g.country) AS country, s.title, g.n
  FROM c_store s FULL JOIN (SELECT country, store_no, count(*) AS n FROM c_staff GROUP BY country, store_no) g ON g.country = s.country AND g.store_no = s.store_no',
  '{country,store_no}');
CALL test.make_fact('stores', 'c_events', 'SELECT country, store_no, code, n, at FROM c_event', '{country,code}', 'at',
  '{"store": {"dimension": "c_stores", "columns": ["country", "store_no"]}, "grade": {"dimension": "c_grades", "columns": ["country", "store_no"]},
    "now": {"dimension": "c_now", "columns": ["country", "store_no"]}}', 'append');
CALL test.make_fact('stores', 'c_jobs', 'SELECT t.staff_id, t.country, t.store_no, t.grade, s.opened FROM c_staff t
  LEFT JOIN c_store s ON s.country = t.country AND s.store_no = t.store_no', '{staff_id}', 'opened',
  '{"store": {"dimension": "c_stores", "columns": ["country", "store_no"]}}', 'upsert');

-- Each batch has one snapshot of d_price at most, at a time of its own.
CALL test.make_feed('prices', 'd_price', 'snapshot', '{item_id,area}', 'item_id int, area text', 'price numeric, label text',
  '1 + k / 2, chr(65 + k % 2), test.price(), test.word(''l'', 3)');
CALL test.make_feed('prices', 'd_item', 'upsert', '{item_id}', 'item_id int', 'name text, area text',
  'k, test.word(''n'', 3), chr(64 + test.maybe(2))');
CALL test.make_feed('prices', 'd_sale', 'append', '{sale_id}', 'sale_id int', 'item_id int, area text, qty int',
  'k, test.maybe(5), chr(64 + test.maybe(2)), test.maybe(9)');
CALL test.make_dimension('prices', 'd_prices', 'SELECT p.item_id, p.area, p.price, p.label, i.name
  FROM d_price p LEFT JOIN d_item i ON i.item_id = p.item_id', '{item_id,area}', '{"label": 3}',
  equal => '{"price": "trim_scale(q.price)"}');
CALL test.make_dimension('prices', 'd_items', 'SELECT i.item_id, i.name, p.price FROM d_item i
  LEFT JOIN d_price p ON p.item_id = i.item_id AND p.area = i.area', '{item_id}', '{}', equal => '{"price": "trim_scale(q.price)"}');
CALL test.make_dimension('prices', 'd_areas', 'SELECT area, count(*) AS n, max(label) AS label FROM (SELECT area, label, item_id FROM d_price
    UNION SELECT area, name, item_id FROM d_item) u GROUP BY area', '{area}', '{}');
CALL test.make_fact('prices', 'd_sales', 'SELECT s.sale_id, s.item_id, s.area, s.at, s.qty * p.price AS amount FROM d_sale s
  LEFT JOIN d_price p ON p.item_id = s.item_id AND p.area = s.area', '{sale_id}', 'at',
  '{"price": {"dimension": "d_prices", "columns": ["item_id", "area"]}, "item_id": {"dimension": "d_items", "columns": ["item_id"]}}', 'upsert');
CALL test.make_fact('prices', 'd_ledger', 'SELECT p.item_id, p.area, p.label, p.at AS stated, p.price FROM d_price p', '{item_id,area}', 'stated',
  '{"item_id": {"dimension": "d_items", "columns": ["item_id"]}}', 'ledger', '{price}');

-- Deliveries -------------------------------------------------------------------------

CREATE TABLE test.keys_before (dimension text, nk text[], f timestamptz, vals text[], key bigint, is_inferred bool);
CREATE TABLE test.fixed_member AS SELECT ''::text dimension, ''::text row WHERE false;
DO $$
DECLARE d test.dimension;
BEGIN
  FOR d IN SELECT * FROM test.dimension LOOP
    EXECUTE format('CREATE TABLE test.%I AS SELECT * FROM mart.%I', 'fixed_' || d.dimension, d.dimension);
  END LOOP;
END $$;

-- Fill event.* with random records: batches 1 to n, at most max_times different times.
CREATE FUNCTION test.generate(fam text, batches int) RETURNS void LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE f test.feed; grid timestamptz[]; days int := (ARRAY[1, 3, 12, 60])[test.num(4)];
  n int := (ARRAY[4, 10, 20, 45])[test.num(4)]; one int;
BEGIN
  SELECT array_agg(timestamptz '2024-03-05 00:00' + test.num(days) * interval '1 day' + test.num(8) * interval '3 hours'
                   + (random() < 0.2)::int * interval '7 minutes') INTO grid FROM generate_series(1, n);
  FOR f IN SELECT * FROM test.feed WHERE family = fam ORDER BY feed LOOP
    PERFORM test.clear(ARRAY[format('event.%I', f.feed)]);
    EXECUTE format('INSERT INTO event.%I (%s)
      SELECT %s, e.seq, CASE WHEN e.r >= 0.01 THEN $1[1 + floor(e.at * %s)::int] END, e.gone FROM
        (SELECT k, row_number() OVER () seq, random() at, random() r, random() < 0.2 gone
           FROM generate_series(1, %s) k, generate_series(1, test.events(k))) e',
      f.feed, test.names((SELECT array_agg(c ORDER BY (c IN ('seq', 'at', 'deleted')), i) FROM unnest(f.columns) WITH ORDINALITY u(c, i))),
      f.rows_sql, n, test.num(7) * CASE f.load WHEN 'append' THEN 2 ELSE 1 END) USING grid;
    -- what has one key and one time comes in one batch: their order is by image
    EXECUTE format('UPDATE event.%I e SET grp = g.grp FROM
        (SELECT x.ctid, dense_rank() OVER (ORDER BY %s) grp FROM event.%1$I x) g WHERE g.ctid = e.ctid',
      f.feed, CASE f.key WHEN '{}' THEN 'seq' ELSE test.names(f.key || '{at}') END);
    one := CASE WHEN random() < 0.15 THEN test.num(batches) END;
    EXECUTE format('UPDATE event.%I e SET batch = b.batch FROM
        (SELECT grp, coalesce(%L, 1 + floor(random() * %s))::int batch FROM generate_series(1, (SELECT max(grp) FROM event.%1$I)) grp) b WHERE b.grp = e.grp',
      f.feed, one, batches);
    IF f.load = 'snapshot' THEN
      -- one time per batch, one row per key; a batch may have none
      EXECUTE format('DELETE FROM event.%I WHERE at IS NULL', f.feed);
      EXECUTE format('UPDATE event.%I e SET at = m.at, deleted = false FROM
          (SELECT x.b, timestamptz ''2024-03-05 00:00'' + row_number() OVER (ORDER BY r) * interval ''%s hours'' AS at
             FROM (SELECT i AS b, random() AS r FROM generate_series(1, %s) i) x) m WHERE m.b = e.batch', f.feed, 7 * days, batches);
      EXECUTE format('DELETE FROM event.%I e USING event.%1$I o WHERE o.batch = e.batch AND (%s) = (%s) AND o.ctid > e.ctid',
        f.feed, test.names(f.key, 'o.'), test.names(f.key, 'e.'));
    ELSIF f.key <> '{}' THEN
      EXECUTE format('INSERT INTO event.%I (%s, grp, batch) SELECT %2$s, grp, b.batch FROM event.%1$I JOIN
          (SELECT * FROM (SELECT grp, random() r, 1 + floor(random() * %3$s)::int batch
                            FROM generate_series(1, (SELECT max(grp) FROM event.%1$I)) grp) c WHERE r < 0.15) b USING (grp)',
        f.feed, test.names(f.columns), batches);
    END IF;
  END LOOP;
END $$;

-- Choose SCD types, grains, time zones and modes.
CREATE FUNCTION test.configure(fam text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE d test.dimension; c test.fact;
BEGIN
  FOR d IN SELECT * FROM test.dimension WHERE family = fam ORDER BY ordinal LOOP
    SELECT array_agg(CASE WHEN s = 3 THEN 3 WHEN n = ANY (d.key) THEN 2 WHEN random() < 0.6 THEN 2 ELSE floor(random() * 2)::int END ORDER BY i)
      INTO d.scd FROM unnest(d.scd, d.columns) WITH ORDINALITY u(s, n, i);
    d.grain := CASE WHEN d.history <> 'none' THEN (ARRAY[NULL, NULL, NULL, NULL, 'hour', 'day', 'day', 'week', 'month'])[test.num(9)] END;
    d.zone := (ARRAY['UTC', 'America/New_York', 'Asia/Kolkata'])[test.num(3)];
    UPDATE test.dimension SET scd = d.scd, grain = d.grain, zone = d.zone WHERE dimension = d.dimension;
    UPDATE wh.dimension SET effective_grain = d.grain, time_zone = d.zone,
      scd = (SELECT jsonb_object_agg(n, s) FROM unnest(d.scd, d.columns) u(s, n) WHERE n <> ALL (d.key))
      WHERE relation = ('mart.' || quote_ident(d.dimension))::regclass;
  END LOOP;
  FOR c IN SELECT * FROM test.fact WHERE family = fam ORDER BY ordinal LOOP
    UPDATE test.fact SET zone = (ARRAY['UTC', 'America/New_York', 'Asia/Kolkata'])[test.num(3)] WHERE fact = c.fact RETURNING zone INTO c.zone;
    UPDATE wh.fact SET time_zone = c.zone, mode = CASE WHEN c.mode = 'append' AND random() < 0.5 THEN 'upsert' ELSE c.mode END
      WHERE relation = ('mart.' || quote_ident(c.fact))::regclass;
  END LOOP;
END $$;

-- Make a family's warehouse as it was when it was created.
CREATE FUNCTION test.reset(fam text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE d test.dimension; c test.fact; i regclass;
BEGIN
  PERFORM test.clear(ARRAY['wh.source_unit', 'wh.error_event', 'wh.batch_step', 'wh.batch', 'test.keys_before'] || ARRAY(
    SELECT format('src.%I', feed) FROM test.feed WHERE family = fam UNION ALL
    SELECT coalesce(history, relation)::text FROM wh.feed JOIN test.feed t ON relation = ('staging.' || quote_ident(t.feed))::regclass WHERE family = fam UNION ALL
    SELECT change_log::text FROM wh.feed JOIN test.feed t ON relation = ('staging.' || quote_ident(t.feed))::regclass WHERE family = fam AND change_log IS NOT NULL UNION ALL
    SELECT format('mart.%I', dimension) FROM test.dimension WHERE family = fam UNION ALL
    SELECT format('mart.%I', fact) FROM test.fact WHERE family = fam));
  FOR d IN SELECT * FROM test.dimension WHERE family = fam LOOP
    EXECUTE format('INSERT INTO mart.%I SELECT * FROM test.%I', d.dimension, 'fixed_' || d.dimension);
  END LOOP;
  -- a first load makes the index of a fact
  FOR c IN SELECT * FROM test.fact WHERE family = fam AND random() < 0.5 ORDER BY ordinal LOOP
    FOR i IN SELECT indexrelid FROM pg_index WHERE indrelid = ('mart.' || quote_ident(c.fact))::regclass AND indisunique LOOP
      EXECUTE format('DROP INDEX %s', i);
    END LOOP;
  END LOOP;
  UPDATE wh.feed SET reads = 0, last_batch_id = NULL, watermark_value = NULL;
  UPDATE wh.input SET used_batch_id = NULL, content_hash = NULL WHERE feed_id IS NOT NULL;
  UPDATE wh.fact SET latest_event_time = NULL, last_batch_id = NULL;
  UPDATE wh.dimension SET next_key = 1, last_batch_id = NULL;
END $$;

-- Put the records of a batch, or all, where the feeds read.
CREATE FUNCTION test.deliver(fam text, b int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE f test.feed;
BEGIN
  FOR f IN SELECT * FROM test.feed WHERE family = fam LOOP
    EXECUTE format('DELETE FROM src.%I', f.feed);
    CONTINUE WHEN f.load = 'snapshot' AND b IS NULL;
    EXECUTE format('INSERT INTO src.%I SELECT %s FROM event.%1$I %3$s', f.feed, test.names(f.columns),
      CASE WHEN b IS NULL THEN 'ORDER BY at, seq' ELSE format('WHERE batch = %s ORDER BY random()', b) END);
  END LOOP;
END $$;

-- Note surrogate keys that changed for no reason (rule 15), and remember them.
CREATE FUNCTION test.keys(fam text, seed bigint, stage text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE d test.dimension;
BEGIN
  FOR d IN SELECT * FROM test.dimension WHERE family = fam LOOP
    EXECUTE format('WITH now AS (SELECT %1$s nk, effective_from f, %2$s vals, %3$I key, is_inferred FROM mart.%4$I x WHERE %3$I > 0),
      old AS (DELETE FROM test.keys_before WHERE dimension = %4$L RETURNING *),
      put AS (INSERT INTO test.keys_before SELECT %4$L, nk, f, vals, key, is_inferred FROM now)
      INSERT INTO test.difference
      SELECT $1, $2, %4$L, ''surrogate key changed'', old::text || '' '' || now.key FROM old JOIN now USING (nk, f) WHERE old.key <> now.key AND old.is_inferred >= now.is_inferred
      UNION ALL
      SELECT $1, $2, %4$L, ''inferred member lost its surrogate key'', o::text FROM old o WHERE o.is_inferred
         AND EXISTS (SELECT FROM now n WHERE n.nk = o.nk) AND NOT EXISTS (SELECT FROM now n WHERE n.nk = o.nk AND n.key = o.key)
      UNION ALL
      SELECT $1, $2, %4$L, ''surrogate key twice'', key::text FROM now GROUP BY key HAVING count(*) > 1',
      test.texts('x', d.key), test.texts('x', d.columns), d.dimension || '_key', d.dimension) USING seed, stage;
  END LOOP;
END $$;

-- What a family's objects are called; resetting one family forgets the log of the others, which wh.check() would tell.
CREATE FUNCTION test.objects_of(fam text) RETURNS text[] LANGUAGE sql AS $$
  SELECT array_agg(name::regclass::text) FROM (SELECT 'staging.' || quote_ident(feed) AS name FROM test.feed WHERE family = fam
    UNION ALL SELECT 'mart.' || quote_ident(dimension) FROM test.dimension WHERE family = fam
    UNION ALL SELECT 'mart.' || quote_ident(fact) FROM test.fact WHERE family = fam) o $$;

-- Run in the caller's transaction: a function cannot commit.
CREATE FUNCTION test.run_in_block(feeds text[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL wh.run(feeds => feeds); END $$;

-- Run one case; commits as it goes.
CREATE PROCEDURE test.one_case(seed bigint) LANGUAGE plpgsql AS $$
DECLARE fam text; feeds text[]; batches int; checks bool := to_regprocedure('wh.check(text,boolean)') IS NOT NULL; n int; in_block bool; rebuild bool; snapshot int;
BEGIN
  PERFORM setseed(hashint8(seed)::float8 / 2147483648);
  fam := coalesce(nullif(current_setting('test.family', true), ''), (SELECT (array_agg(f ORDER BY f))[test.num(count(*)::int)] FROM (SELECT DISTINCT family f FROM test.feed) x));
  SELECT array_agg('staging.' || feed ORDER BY random()) INTO feeds FROM test.feed WHERE family = fam;
  batches := test.num(6);
  in_block := random() < 0.2;
  rebuild := random() < 0.1;
  PERFORM test.generate(fam, batches), test.configure(fam), test.truth(fam), test.reset(fam);
  COMMIT;
  FOR b IN 1 .. batches LOOP
    PERFORM test.deliver(fam, b);
    COMMIT;
    IF in_block THEN
      PERFORM test.run_in_block(feeds);
    ELSE
      CALL wh.run(feeds => feeds);
    END IF;
    PERFORM test.keys(fam, seed, 'batch ' || b);
    IF checks THEN
      INSERT INTO test.difference SELECT seed, 'batch ' || b, 'wh.check', 'broken', c::text FROM wh.check() c WHERE checked_object = ANY (test.objects_of(fam));
    END IF;
    COMMIT;
  END LOOP;
  PERFORM test.compare(fam, seed, 'batches');
  IF rebuild THEN
    INSERT INTO test.difference SELECT seed, 'rebuilt', 'wh.check', 'broken', c::text FROM wh.check(rebuild => true) c WHERE checked_object = ANY (test.objects_of(fam));
  END IF;
  n := (SELECT max(batch_id) FROM wh.batch);
  CALL wh.run(feeds => feeds);
  INSERT INTO test.difference SELECT seed, 'empty run', 'wh.batch', 'unexpected', b::text FROM wh.batch b WHERE batch_id > n AND kind = 'publish';
  n := (SELECT max(batch_id) FROM wh.batch);
  CALL wh.run(feeds => feeds, full_refresh => true);
  INSERT INTO test.difference SELECT seed, 'full refresh', object, 'changed', s::text FROM wh.batch_step s
    WHERE batch_id > n AND rows_inserted + rows_updated + rows_deleted + rows_repointed > 0;
  PERFORM test.reset(fam), test.deliver(fam, NULL);
  COMMIT;
  CALL wh.run(feeds => feeds);
  -- of snapshots one read gives one
  IF fam = 'prices' THEN
    FOR snapshot IN SELECT batch FROM event.d_price GROUP BY 1 ORDER BY min(at) LOOP
      DELETE FROM src.d_price;
      INSERT INTO src.d_price SELECT item_id, area, seq, at, deleted, price, label FROM event.d_price WHERE batch = snapshot;
      COMMIT;
      CALL wh.run(feeds => '{staging.d_price}');
    END LOOP;
  END IF;
  PERFORM test.compare(fam, seed, 'one batch');
  COMMIT;
END $$;

CREATE PROCEDURE test.cases(seed bigint, cases int) LANGUAGE plpgsql AS $$
BEGIN
  FOR s IN seed .. seed + cases - 1 LOOP
    IF current_setting('test.verbose', true) <> '' THEN RAISE WARNING 'case %', s; END IF;
    CALL test.one_case(s);
    EXIT WHEN (SELECT count(DISTINCT d.seed) FROM test.difference d) >= 10;
  END LOOP;
END $$;
