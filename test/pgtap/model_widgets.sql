-- The model widgets: operations in a database of their own, read by outbox, CSV files and postgres_fdw.
SELECT no_plan();
\getenv host PGHOST
\getenv port PGPORT
\getenv user PGUSER
CREATE EXTENSION dblink;
SELECT format('host=%s port=%s user=%s dbname=%s', :'host', :'port', :'user', :'DBNAME' || '_clean') AS clean,
    format('host=%s port=%s user=%s dbname=%s', :'host', :'port', :'user', :'DBNAME' || '_dirty') AS dirty,
    :'tmp' || '/widgets_clean' AS clean_dir, :'tmp' || '/widgets_dirty' AS dirty_dir \gset
\setenv CLEAN_DIR :clean_dir
\setenv DIRTY_DIR :dirty_dir
\set late_product :dirty_dir '/product_2024-01-09.csv'
\set late_supplier :dirty_dir '/supplier_2024-01-09.csv'
\! mkdir -p "$CLEAN_DIR" "$DIRTY_DIR" && chmod 777 "$CLEAN_DIR" "$DIRTY_DIR"
SELECT format('CREATE DATABASE %I TEMPLATE wh_template', :'DBNAME' || s) FROM unnest('{_clean,_dirty}'::text[]) s \gexec

SELECT throws_ok($$SELECT wh.create_model('widgets', options => '{"directory": "/tmp"}')$$, '22023', NULL, 'the operations database must be given');
SELECT throws_ok($$SELECT wh.create_model('widgets', options => '{"operations": {}}')$$, '22023', NULL, 'and the directory');
SELECT throws_ok($$SELECT wh.create_model('widgets', options => '{"directory": "/tmp", "operations": "x"}')$$, '22023', NULL, 'operations is an object');
SELECT is((SELECT count(*)::int FROM pg_namespace WHERE nspname LIKE 'widgets%'), 0, 'a model that fails leaves nothing');

-- A clean company: four days, a run after each --------------------------------------------
SELECT dblink_connect('ops', :'clean');
SELECT FROM dblink('ops', format($$SELECT wh.create_model('widgets', 'operations', %L)$$, json_build_object('directory', :'clean_dir', 'seed', 5))) t(x text);
SELECT wh.create_model('widgets', options => jsonb_build_object('directory', :'clean_dir',
    'operations', jsonb_build_object('host', :'host', 'port', :'port', 'user', :'user', 'dbname', :'DBNAME' || '_clean')));

-- The rules, by example.
SELECT is(widgets_source.parse_date(v), e::date, 'date ' || coalesce(v, 'NULL')) FROM (VALUES ('2024-01-31', '2024-01-31'), ('01/31/2024', '2024-01-31'), ('31 Jan 2024', '2024-01-31'),
    (' 2024-2-29 ', '2024-02-29'), ('2023-02-29', NULL), ('13/01/2024', NULL), ('31 Foo 2024', NULL), ('0000-01-01', NULL), ('', NULL), (NULL, NULL), ('soon', NULL), ('31 december 2024', '2024-12-31')) t(v, e);
SELECT is(widgets_source.parse_address(v), e::text[], 'address ' || coalesce(v, 'NULL')) FROM (VALUES
    (E'Ann Lee\n1 Oak St\nSan Jose, CA 95110', '{Ann Lee,1 Oak St,San Jose,CA,95110}'), (E'A\nB\nC, ny 10001-1234 ', '{A,B,C,ny,10001-1234}'),
    (E'Ann Lee\n1 Oak St', '{Unknown,Unknown,Unknown,Unknown,Unknown}'), ('Ann Lee 1 Oak St San Jose CA 95110', '{Unknown,Unknown,Unknown,Unknown,Unknown}'),
    (E'Ann\n1 Oak St\nSan Jose, CA XXXXX', '{Unknown,Unknown,Unknown,Unknown,Unknown}'), ('', '{Unknown,Unknown,Unknown,Unknown,Unknown}'), (NULL, '{Unknown,Unknown,Unknown,Unknown,Unknown}')) t(v, e);
SELECT is(widgets_source.clean(v), e, 'name ' || coalesce(v, 'NULL')) FROM (VALUES ('  Ann  Lee ', 'Ann Lee'), ('ANN LEE', 'Ann Lee'), ('ann lee', 'Ann Lee'), ('aNN lEE', 'Ann Lee'),
    ('Gary McCoy', 'Gary McCoy'), ('12 OAK ST', '12 Oak St'), ('', NULL), ('  ', NULL), (NULL, NULL)) t(v, e);
SELECT is(array_agg(widgets_source.referral_type(v) ORDER BY n), '{Online Advertising,Affiliate Marketing,None,Unknown,Unknown}', 'referral types') FROM (VALUES (1, 'OA'), (2, 'AM '), (3, ''), (4, 'QX'), (5, NULL)) t(n, v);
SELECT is(array_agg(widgets_source.sex(v) ORDER BY n), '{Female,Female,Male,Unknown,Unknown}', 'sexes') FROM (VALUES (1, 'F'), (2, ' f'), (3, 'male'), (4, 'XQ'), (5, NULL)) t(n, v);
SELECT is(array_agg(widgets_source.age_cohort(v::date) ORDER BY n), '{Born 1980-1989,Born 2000-2009,Unknown,Unknown}', 'age cohorts') FROM (VALUES (1, '1989-12-31'), (2, '2000-01-01'), (3, '1800-01-01'), (4, NULL)) t(n, v);
SELECT is(array[widgets_source.state(' ny'), widgets_source.state('New York'), widgets_source.zip('10001 '), widgets_source.zip(NULL)], '{NY,Unknown,10001,Unknown}', 'states and ZIP codes');

SELECT is(widgets_source.inactive_since('{2024-01-01,2024-01-03,2024-01-02,2024-01-04}', '{f,f,t,f}'), '2024-01-03', 'inactive since the first time after the last active one');
SELECT is(widgets_source.inactive_since('{2024-01-01,2024-01-02}', '{f,t}'), NULL, 'not inactive');

SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
CALL wh.run();
-- A day's files come twice: under another name, and written again under their own.
\! cd "$CLEAN_DIR" && for f in *_2024-01-03.csv; do cp "$f" "${f%.csv}_again.csv" && cp "$f" x && mv x "$f"; done
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
CALL wh.run();

CREATE TEMP TABLE change AS SELECT * FROM dblink('ops', 'SELECT change_id, day, entity, key, record FROM operations.change') c(change_id bigint, day int, entity text, key bigint, record jsonb);
SELECT cmp_ok(count(*), '>', 12000::bigint, 'there are changes to compare with') FROM change;
\ir ../lib/widgets_oracle.sql
SELECT pg_temp.compare('after four days and files delivered twice');
SELECT is((SELECT count(*)::int FROM widgets.sales), 9200, 'a fact for each order line and store sale');
SELECT cmp_ok(count(*), '>', 5::bigint, 'some customers have a new version because of their address alone') FROM (
    SELECT customer_id FROM widgets.customer WHERE customer_key > 0 GROUP BY customer_id
    HAVING count(DISTINCT (billing_street, shipping_street)) > 1 AND count(DISTINCT (email, is_active)) = 1) c;
SELECT is((SELECT count(*)::int FROM wh.error_event WHERE state = 'open'), 0, 'nothing clean is rejected: what could not be read for a while is settled');
SELECT is((SELECT sum(warnings)::int FROM wh.batch_step), 0, 'nothing clean is warned of');
SELECT is_empty('SELECT name FROM widgets.customer WHERE is_inferred UNION ALL SELECT name FROM widgets.product WHERE is_inferred UNION ALL SELECT name FROM widgets.store WHERE is_inferred', 'no member is inferred');
SELECT is_empty($$SELECT customer_name FROM widgets_staging.customer WHERE widgets_source.clean(customer_name) IS DISTINCT FROM customer_name
    UNION ALL SELECT product_name FROM widgets_staging.product WHERE widgets_source.clean(product_name) IS DISTINCT FROM product_name
    UNION ALL SELECT supplier_name FROM widgets_staging.supplier WHERE widgets_source.clean(supplier_name) IS DISTINCT FROM supplier_name
    UNION ALL SELECT store_manager_name FROM widgets_staging.store WHERE widgets_source.clean(store_manager_name) IS DISTINCT FROM store_manager_name
    UNION ALL SELECT street_address FROM widgets_staging.store_location WHERE widgets_source.place(street_address) || widgets_source.place(city) <> street_address || city$$, 'nothing clean is changed');
SELECT is_empty($$SELECT product_id FROM widgets.product WHERE product_key > 0 AND supplier_name IN ('N/A', 'Unknown')$$, 'each product has a supplier from its first version on');
SELECT is_empty($$SELECT customer_id FROM widgets.customer WHERE customer_key > 0 AND 'Unknown' IN (name, sex, referral_type, billing_zip, shipping_zip)$$, 'nothing clean is unknown');

-- Operations = facts + error events, by day and channel (see also the dirty company).
CREATE FUNCTION pg_temp.conservation(refusals int DEFAULT 0) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS sold;
    CREATE TEMP TABLE sold AS SELECT * FROM dblink('ops', $r$
        SELECT 'store', transaction_date, sum(quantity), sum(total_price) FROM in_store.store_sales GROUP BY 2
        UNION ALL SELECT 'web', order_execution_time::date, sum(order_line_item_quantity), sum(order_line_item_total_price)
        FROM ecommerce.order_line_item JOIN ecommerce.customer_order USING (order_id) GROUP BY 2$r$) o(channel text, date date, quantity bigint, total numeric);
    -- Of a sale whose last record was rejected, that record counts, not the good one that the fact still has.
    DROP TABLE IF EXISTS refused;
    CREATE TEMP TABLE refused AS
        SELECT 'store' AS channel, (r ->> 'store_sales_id')::int AS sale_id, (r ->> 'transaction_date')::date AS sale_date, (r ->> 'quantity')::int AS quantity, (r ->> 'total_price')::numeric AS total
        FROM (SELECT convert_from(raw_record, 'UTF8')::jsonb AS r FROM wh.error_event WHERE feed = 'widgets_staging.store_sales') e
        UNION ALL SELECT 'web', (r ->> 'order_line_item_id')::int, order_execution_time::date, (r ->> 'order_line_item_quantity')::int, (r ->> 'order_line_item_total_price')::numeric
        FROM (SELECT convert_from(raw_record, 'UTF8')::jsonb AS r FROM wh.error_event WHERE feed = 'widgets_staging.order_line_item') e
        JOIN widgets_staging.customer_order ON order_id = (r ->> 'order_id')::int;
    RETURN NEXT is((SELECT count(*)::int FROM refused), refusals, refusals || ' sales are rejected');
    RETURN NEXT results_eq($q$SELECT channel, sale_date, sum(quantity), sum(total) FROM (
            SELECT channel, sale_date, quantity, total FROM widgets.sales s WHERE NOT EXISTS (SELECT FROM refused r WHERE (r.channel, r.sale_id) = (s.channel, s.sale_id))
            UNION ALL SELECT channel, sale_date, quantity, total FROM refused) f
        GROUP BY 1, 2 ORDER BY 1, 2$q$, 'SELECT * FROM sold ORDER BY channel, date', 'quantity and value are conserved, by day and channel');
END $$;
SELECT pg_temp.conservation();

-- Everything again from staging: nothing may change, surrogate keys included.
CREATE TEMP TABLE before AS SELECT md5(string_agg(c::text, E'\n' ORDER BY customer_key)) AS customers, (SELECT md5(string_agg(s::text, E'\n' ORDER BY channel, sale_id)) FROM widgets.sales s) AS sales FROM widgets.customer c;
CALL wh.run(full_refresh => true);
SELECT is((SELECT md5(string_agg(c::text, E'\n' ORDER BY customer_key)) FROM widgets.customer c), (SELECT customers FROM before), 'full_refresh changes no customer');
SELECT is((SELECT md5(string_agg(s::text, E'\n' ORDER BY channel, sale_id)) FROM widgets.sales s), (SELECT sales FROM before), 'and no sale');

-- A system that fails alone: the others are staged, nothing is published.
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
SELECT dblink_exec('ops', 'ALTER TABLE in_store.store_sales RENAME TO store_sales_away');
\set ON_ERROR_STOP 0
CALL wh.run();
\set ON_ERROR_STOP 1
SELECT is((SELECT array_agg(object) FROM wh.status WHERE state = 'failed' AND kind = 'feed'), '{widgets_staging.store_sales}'::text[], 'only the stores'' feed failed');
SELECT is((SELECT max(sale_date) FROM widgets.sales), '2024-01-04'::date, 'nothing is published');
SELECT cmp_ok((SELECT max(order_execution_time)::date FROM widgets_staging.customer_order), '=', '2024-01-05'::date, 'the other systems are staged');
\set ON_ERROR_STOP 0
CALL wh.run(publish_anyway => true);
\set ON_ERROR_STOP 1
SELECT is((SELECT array_agg(DISTINCT channel) FROM widgets.sales WHERE sale_date = '2024-01-05'), '{web}'::text[], 'by option the rest is published');
SELECT dblink_exec('ops', 'ALTER TABLE in_store.store_sales_away RENAME TO store_sales');
CALL wh.run();
SELECT is((SELECT count(DISTINCT channel)::int FROM widgets.sales WHERE sale_date = '2024-01-05'), 2, 'when all deliver, all is published');
SELECT pg_temp.conservation();
SELECT dblink_disconnect('ops');

-- A dirty company, whose e-commerce is a day late -------------------------------------------
DROP VIEW pg_temp.actual_sales, pg_temp.actual_dimension;
SELECT wh.drop_fact('widgets.sales');
SELECT wh.drop_dimension(d) FROM unnest('{widgets.customer,widgets.product,widgets.store,widgets.date}'::text[]) d;
SELECT wh.drop_feed(relation::text) FROM wh.feed;
DELETE FROM wh.error_event;
SET client_min_messages = error;
DROP SCHEMA widgets, widgets_staging, widgets_source CASCADE;
DROP SERVER widgets_inventory CASCADE;
DROP SERVER widgets_operations CASCADE;
DROP TABLE change, logged, state, expected_dimension, expected_sales CASCADE;
DROP FUNCTION pg_temp.at, pg_temp.words, pg_temp.tidy, pg_temp.dated, pg_temp.lines, pg_temp.version_at, pg_temp.compare;
SELECT dblink_connect('ops', :'dirty');
SELECT FROM dblink('ops', format($$SELECT wh.create_model('widgets', 'operations', %L)$$, json_build_object('directory', :'dirty_dir', 'seed', 7, 'dirt', 0.04))) t(x text);
SELECT wh.create_model('widgets', options => jsonb_build_object('directory', :'dirty_dir',
    'operations', jsonb_build_object('host', :'host', 'port', :'port', 'user', :'user', 'dbname', :'DBNAME' || '_dirty')));
SELECT max(batch_id) AS first_batch FROM wh.batch \gset
SELECT dblink_exec('ops', 'CREATE TABLE ecommerce.held (LIKE ecommerce.outbox)');
SELECT dblink_exec('ops', $$CREATE PROCEDURE ecommerce.delay() LANGUAGE sql AS 'INSERT INTO ecommerce.held SELECT * FROM ecommerce.outbox; DELETE FROM ecommerce.outbox'$$);
SELECT dblink_exec('ops', $$CREATE PROCEDURE ecommerce.release() LANGUAGE sql AS 'INSERT INTO ecommerce.outbox OVERRIDING SYSTEM VALUE SELECT * FROM ecommerce.held; DELETE FROM ecommerce.held'$$);
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
SELECT dblink_exec('ops', 'CALL ecommerce.delay()');
CALL wh.run();
SELECT cmp_ok((SELECT count(*) FROM widgets.customer WHERE is_inferred AND customer_id < 0), '>', 10::bigint, 'customers not known yet are inferred from their loyalty numbers');
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
-- Now only the first day's messages are to be read: those of the second are held.
SELECT dblink_exec('ops', 'CREATE TABLE ecommerce.second AS SELECT * FROM ecommerce.outbox');
SELECT dblink_exec('ops', 'DELETE FROM ecommerce.outbox');
SELECT dblink_exec('ops', 'CALL ecommerce.release()');
CALL wh.run();
SELECT is((SELECT count(*)::int FROM widgets.customer WHERE is_inferred AND customer_id < -100080), (SELECT count(DISTINCT customer_id)::int FROM widgets.sales WHERE customer_id < -100080), 'until they are known');
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
SELECT dblink_exec('ops', 'INSERT INTO ecommerce.outbox OVERRIDING SYSTEM VALUE SELECT * FROM ecommerce.second ON CONFLICT DO NOTHING');
CALL wh.run();
SELECT dblink_exec('ops', 'CALL wh.simulate(1)');
CALL wh.run();
CREATE TEMP TABLE change AS SELECT * FROM dblink('ops', 'SELECT change_id, day, entity, key, record FROM operations.change') c(change_id bigint, day int, entity text, key bigint, record jsonb);
\ir ../lib/widgets_oracle.sql
SELECT pg_temp.compare('of a dirty company with late e-commerce');
CALL wh.run(full_refresh => true);
SELECT pg_temp.compare('after full_refresh');
SELECT pg_temp.conservation();
SELECT is_empty('SELECT customer_id FROM widgets.customer WHERE is_inferred', 'no customer is inferred any more');

-- Every fault is counted by the generator, and found by what the warehouse's rules make of it.
CREATE TEMP TABLE injected AS SELECT * FROM dblink('ops', $$
    SELECT e.entity, c.key, f.key, sum(f.value::int)
    FROM wh.generator_batch b JOIN operations.entity e USING (relation) JOIN operations.exposed x ON (x.entity, x.day) = (e.entity, b.batch_id),
        jsonb_each(b.dirt) c, jsonb_each_text(c.value) f WHERE NOT (c.key LIKE '%updated_at' AND x.updated > 0) GROUP BY 1, 2, 3$$)
    i(entity text, col text, fault text, n bigint);
-- A wrong time of an update cannot be told from a right one, and needs no more than its place in the history:
-- the oracle saw to that. So times are counted for first records, of days without updates.
CREATE TEMP TABLE first_time AS SELECT DISTINCT ON (c.entity, key) c.entity, key, coalesce(record ->> 'customer_updated_at', record ->> 'updated_at') AS v, u.updated
    FROM change c JOIN dblink('ops', 'SELECT entity, day, updated FROM operations.exposed') u(entity text, day int, updated bigint) USING (entity, day) ORDER BY c.entity, key, change_id;
SELECT cmp_ok(count(*), '>', 30::bigint, 'many kinds of faults are injected') FROM injected;
CREATE TEMP TABLE seen (entity text, key bigint, event_time timestamptz, r jsonb);
INSERT INTO seen SELECT 'customer', customer_id, effective_from, to_jsonb(h) FROM widgets_staging.customer_history h
    UNION ALL SELECT 'customer_address', customer_address_id, effective_from, to_jsonb(h) FROM widgets_staging.customer_address_history h
    UNION ALL SELECT 'customer_address', (r ->> 'customer_address_id')::bigint, event_time, r
        FROM (SELECT DISTINCT event_time, convert_from(raw_record, 'UTF8')::jsonb - 'outbox_id' AS r FROM wh.error_event WHERE feed = 'widgets_staging.customer_address') e
    UNION ALL SELECT 'loyalty_number', loyalty_number, effective_from, to_jsonb(h) FROM widgets_staging.loyalty_number_history h
    UNION ALL SELECT 'order', order_id, effective_from, to_jsonb(h) FROM widgets_staging.customer_order_history h
    UNION ALL SELECT 'order_line_item', order_line_item_id, effective_from, to_jsonb(h) FROM widgets_staging.order_line_item_history h
    UNION ALL SELECT 'product', product_id, effective_from, to_jsonb(h) FROM widgets_staging.product_history h
    UNION ALL SELECT 'supplier', supplier_id, effective_from, to_jsonb(h) FROM widgets_staging.supplier_history h
    UNION ALL SELECT 'store', store_id, effective_from, to_jsonb(h) FROM widgets_staging.store_history h
    UNION ALL SELECT 'store_location', store_location_id, effective_from, to_jsonb(h) FROM widgets_staging.store_location_history h
    UNION ALL SELECT 'store_sales', store_sales_id, effective_from, to_jsonb(h) FROM widgets_staging.store_sales_history h
    UNION ALL SELECT 'inventory', inventory_event_id, effective_from, to_jsonb(h) FROM widgets_staging.inventory h
    UNION ALL SELECT DISTINCT 'inventory', split_part(r, ',', 1)::bigint, NULL::timestamptz, jsonb_build_object('inventory_event_type', split_part(r, ',', 2),
            'inserted_at', split_part(reverse(split_part(reverse(r), ',', 2)), E'\n', 1), 'updated_at', reverse(split_part(reverse(r), ',', 1)))
        FROM (SELECT rtrim(convert_from(raw_record, 'UTF8'), E'\r\n') AS r FROM wh.error_event WHERE feed = 'widgets_staging.inventory') e;
CREATE FUNCTION pg_temp.fault(col text, v text, r jsonb) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN col IN ('customer_name', 'supplier_name', 'product_name', 'product_category', 'store_manager_name', 'street_address', 'city') THEN CASE
            WHEN widgets_source.clean(v) IS NULL THEN 'missing' WHEN widgets_source.squeeze(v) <> v THEN 'spaces' WHEN widgets_source.clean(v) <> v THEN 'case' END
        WHEN col = 'customer_email' THEN CASE WHEN btrim(v) <> v THEN 'spaces' WHEN lower(v) <> v THEN 'case' END
        WHEN col = 'customer_referral_type' THEN CASE WHEN widgets_source.referral_type(v) = 'Unknown' THEN 'undefined_code' END
        WHEN col = 'customer_sex' THEN CASE WHEN coalesce(v, '') = '' THEN 'missing' WHEN widgets_source.sex(v) = 'Unknown' THEN 'undefined_code' WHEN v <> left(widgets_source.sex(v), 1) THEN 'case' END
        WHEN col IN ('customer_address', 'supplier_address') THEN CASE WHEN widgets_source.parse_address(v) = array_fill('Unknown'::text, '{5}') THEN 'bad_address' END
        WHEN col = 'customer_address_type' THEN CASE WHEN v NOT IN ('B', 'S') THEN 'undefined_code' END
        WHEN col = 'tier' THEN CASE WHEN initcap(v) <> v THEN 'case' END
        WHEN col = 'state' THEN CASE WHEN widgets_source.state(v) <> v THEN 'case' END
        WHEN col = 'zip_code' THEN CASE WHEN widgets_source.zip(v) = 'Unknown' THEN 'missing' END
        WHEN col IN ('product_introduced_date', 'supplier_introduction_date') THEN CASE WHEN widgets_source.parse_date(v)::text <> v THEN 'date_format' END
        WHEN col IN ('transaction_type', 'inventory_event_type') THEN CASE WHEN lower(v) NOT IN ('credit', 'debit', 'cash', 'shipment', 'supply', 'return') THEN 'undefined_code' WHEN lower(v) <> v THEN 'case' END
        WHEN col IN ('updated_at', 'customer_updated_at') THEN CASE
            WHEN v::timestamp <= coalesce(r ->> 'inserted_at', r ->> 'customer_inserted_at')::timestamp - interval '1 day' THEN 'late'
            WHEN v::timestamp < coalesce(r ->> 'inserted_at', r ->> 'customer_inserted_at')::timestamp THEN 'out_of_order' END
    END $$;
CREATE TEMP TABLE found AS
SELECT entity, col, pg_temp.fault(col, v, r) AS fault, count(*) AS n FROM (
    SELECT i.entity, i.col, key, r, r ->> col AS v, lag(r ->> col) OVER w AS previous, row_number() OVER w AS nth
    FROM (SELECT DISTINCT entity, col FROM injected) i JOIN seen USING (entity)
    WINDOW w AS (PARTITION BY i.entity, i.col, key ORDER BY event_time)) f
WHERE (nth = 1 OR v IS DISTINCT FROM previous) AND pg_temp.fault(col, v, r) IS NOT NULL
    AND (col NOT LIKE '%updated_at' OR EXISTS (SELECT FROM first_time t WHERE (t.entity, t.key, t.updated) = (f.entity, f.key, 0) AND replace(t.v, 'T', ' ') = replace(f.v, 'T', ' ')))
GROUP BY 1, 2, 3;
SELECT results_eq('SELECT entity, col, fault, sum(n) FROM found GROUP BY 1, 2, 3 ORDER BY 1, 2, 3', 'SELECT entity, col, fault, n::numeric FROM injected ORDER BY 1, 2, 3', 'every injected fault is found, as its kind, and no other');
SELECT is_empty($$SELECT entity, col, fault, n, (SELECT n FROM found f WHERE (f.entity, f.col, f.fault) = (i.entity, i.col, i.fault)) AS found FROM injected i
    EXCEPT SELECT entity, col, fault, n, n FROM found$$, 'none is missing');

-- What becomes of each kind: a value of the star that is as it should be, a warning by a screen, or an error event by one.
CREATE TEMP TABLE outcome AS SELECT * FROM (VALUES
    ('customer', '{customer_email}', '{case,spaces}', 'fixed', NULL), ('customer', '{customer_name}', '{case,spaces}', 'fixed', NULL), ('customer', '{customer_sex}', '{case}', 'fixed', NULL),
    ('loyalty_number', '{tier}', '{case}', 'fixed', NULL), ('product', '{product_category,product_name}', '{case,spaces}', 'fixed', NULL), ('product', '{product_introduced_date}', '{date_format}', 'fixed', NULL),
    ('supplier', '{supplier_name}', '{case,spaces}', 'fixed', NULL), ('supplier', '{supplier_introduction_date}', '{date_format}', 'fixed', NULL), ('store', '{store_manager_name}', '{case,spaces}', 'fixed', NULL),
    ('store_location', '{city,street_address,state}', '{case,spaces}', 'fixed', NULL),
    ('customer', '{customer_name}', '{missing}', 'warn', 'has a name'), ('customer', '{customer_referral_type}', '{undefined_code}', 'warn', 'referral type is defined'),
    ('customer', '{customer_sex}', '{missing,undefined_code}', 'warn', 'sex is defined'), ('customer', '{customer_updated_at}', '{late,out_of_order}', 'warn', 'updated after it was made'),
    ('customer_address', '{customer_address}', '{bad_address}', 'warn', 'address parses'), ('supplier', '{supplier_address}', '{bad_address}', 'warn', 'address parses'),
    ('product', '{product_category}', '{missing}', 'warn', 'has a category'), ('store_location', '{zip_code}', '{missing}', 'warn', 'zip is a ZIP code'),
    ('store_sales', '{transaction_type}', '{undefined_code}', 'warn', 'transaction type is defined'), ('store_sales', '{transaction_type}', '{case}', 'warn', 'transaction type is in lower case'),
    ('inventory', '{inventory_event_type}', '{case}', 'warn', 'event type is in lower case'),
    ('customer_address', '{customer_address_type}', '{undefined_code}', 'reject', 'is billing or shipping'), ('inventory', '{inventory_event_type}', '{undefined_code}', 'reject', 'is shipment, supply or return')) o(entity, cols, faults, becomes, screen)
UNION ALL SELECT e, '{updated_at}', '{late,out_of_order}', 'warn', 'updated after it was made' FROM unnest('{customer_address,inventory,loyalty_number,order,order_line_item,product,supplier}'::text[]) e;
CREATE TEMP TABLE kind AS SELECT entity, col, fault, becomes, screen FROM outcome, unnest(cols::text[]) col, unnest(faults::text[]) fault;
SELECT is_empty('SELECT entity, col, fault FROM injected EXCEPT SELECT entity, col, fault FROM kind', 'each kind of fault has a rule');
-- Fixed: the oracle has the right values; here, that nothing in the star looks faulty.
SELECT is_empty($$SELECT col, v FROM (
        SELECT 'customer_name', name FROM widgets.customer UNION ALL SELECT 'customer_email', email FROM widgets.customer WHERE customer_key > 0
        UNION ALL SELECT 'tier', loyalty_tier FROM widgets.customer WHERE customer_key > 0 AND loyalty_tier <> 'N/A'
        UNION ALL SELECT 'product_name', name FROM widgets.product UNION ALL SELECT 'product_category', category FROM widgets.product UNION ALL SELECT 'supplier_name', supplier_name FROM widgets.product
        UNION ALL SELECT 'product_introduced_date', introduced_date::text FROM widgets.product UNION ALL SELECT 'store_manager_name', manager_name FROM widgets.store
        UNION ALL SELECT 'city', city FROM widgets.store UNION ALL SELECT 'street_address', street FROM widgets.store UNION ALL SELECT 'state', state FROM widgets.store WHERE store_key > 0 AND state <> 'N/A') s(col, v)
    WHERE pg_temp.fault(col, v, '{}') IN ('case', 'spaces', 'date_format')$$, 'faults that have a right value have it in the star');
SELECT is_empty($$SELECT sex FROM widgets.customer WHERE customer_key > 0 AND sex NOT IN ('Female', 'Male', 'Unknown')$$, 'sexes too');
-- Warned of: exactly the records with a fault of the screen's kind, and in the log.
CREATE FUNCTION pg_temp.flagged(OUT feed text, OUT screen text, OUT unnoticed bigint, OUT clean bigint, OUT faulty bigint) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR feed, screen, unnoticed, clean, faulty IN SELECT replace(f.relation::text, 'widgets_staging.', ''), s.screen, 0, 0, 0 FROM wh.screen s JOIN wh.feed f USING (feed_id) WHERE s.action = 'warn'
    LOOP
        -- Names of columns as constants, and OFFSET 0, let the planner put fault() into the query.
        EXECUTE (SELECT format('SELECT count(*) FILTER (WHERE is_faulty AND holds), count(*) FILTER (WHERE NOT is_faulty AND NOT holds), count(*) FILTER (WHERE is_faulty)
                FROM (SELECT holds, coalesce(pg_temp.fault(%1$L, v, r) = ANY (%2$L::text[]), false) AS is_faulty
                      FROM (SELECT coalesce(%3$s, true) AS holds, to_jsonb(h) AS r, to_jsonb(h) ->> %1$L AS v FROM %4$s h OFFSET 0) y) x',
                coalesce(o.col, ''), coalesce(o.faults, '{}'), s.condition, coalesce(f.history, f.relation))
            FROM wh.screen s JOIN wh.feed f USING (feed_id)
            LEFT JOIN (SELECT min(col) AS col, array_agg(fault) AS faults FROM kind k WHERE (k.entity, k.screen) = (replace(flagged.feed, 'customer_order', 'order'), flagged.screen)) o ON true
            WHERE s.screen = flagged.screen AND f.relation = ('widgets_staging.' || feed)::regclass) INTO unnoticed, clean, faulty;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE TEMP TABLE flagged AS SELECT * FROM pg_temp.flagged();
SELECT is_empty('SELECT * FROM flagged WHERE unnoticed > 0 OR clean > 0', 'each screen warns of the faults of its kinds, and of nothing clean');
SELECT is_empty($$SELECT DISTINCT i.entity, k.screen FROM injected i JOIN kind k USING (entity, col, fault) WHERE k.becomes = 'warn'
    EXCEPT SELECT replace(feed, 'customer_order', 'order'), screen FROM flagged WHERE faulty > 0$$, 'each that had something to warn of did');
SELECT is_empty($$SELECT * FROM (SELECT feed, sum(faulty) AS n FROM flagged GROUP BY 1) f
    JOIN (SELECT replace(object, 'widgets_staging.', '') AS feed, sum(warnings) AS logged FROM wh.batch_step WHERE batch_id > $$ || :first_batch || $$ GROUP BY 1) s USING (feed)
    WHERE logged < n OR (n = 0) <> (logged = 0)$$, 'the log counts them, those of records that came twice as well');
-- Rejected: as many records as faults, by their screen.
SELECT results_eq($$SELECT entity, screen, sum(n) FROM injected JOIN kind USING (entity, col, fault) WHERE becomes = 'reject' GROUP BY 1, 2 ORDER BY 1$$,
    $$SELECT replace(feed, 'widgets_staging.', ''), substring(message FROM '"(.*)"'), count(DISTINCT CASE WHEN feed LIKE '%address' THEN (convert_from(raw_record, 'UTF8')::jsonb - 'outbox_id')::text ELSE convert_from(raw_record, 'UTF8') END)::numeric
    FROM wh.error_event GROUP BY 1, 2 ORDER BY 1$$, 'each rejected record has one of the faults its screen is for');

-- Records handed out twice are noticed; every record is staged or rejected.
SELECT results_eq($$SELECT entity, sum(rows_read) - sum(rereads), sum(staged) FROM (
        SELECT CASE s.object WHEN 'widgets_staging.customer_order' THEN 'order' ELSE replace(s.object, 'widgets_staging.', '') END AS entity,
            s.rows_read, (f.watermark IS NOT NULL AND s.batch_id > min(s.batch_id) OVER (PARTITION BY s.object))::int AS rereads, s.rows_staged AS staged
        FROM wh.batch_step s JOIN wh.feed f ON f.feed_id = s.object_id WHERE s.object NOT LIKE '%store%' AND s.object NOT LIKE '%status' AND s.object NOT LIKE '%web_shop') s
    GROUP BY 1 ORDER BY 1$$,
  $$SELECT entity, sum(handed_out), sum(n) FROM (
        SELECT entity, handed_out, n FROM dblink('ops', 'SELECT entity, sum(inserted + updated + duplicates), sum(inserted + updated) FROM operations.exposed WHERE system <> ''in_store'' GROUP BY 1') e(entity text, handed_out numeric, n numeric)
        UNION ALL SELECT replace(feed, 'widgets_staging.', ''), 0, - count(DISTINCT raw_record) FROM (
            SELECT feed, CASE WHEN feed LIKE '%address' THEN (convert_from(raw_record, 'UTF8')::jsonb - 'outbox_id')::text ELSE convert_from(raw_record, 'UTF8') END AS raw_record FROM wh.error_event) x GROUP BY 1) e
    GROUP BY 1 ORDER BY 1$$, 'read = handed out, duplicates included; staged = handed out once less rejected');

-- A store sale that makes no sense, and one restated.
SELECT dblink_exec('ops', $$UPDATE in_store.store_sales SET total_price = total_price + 1, updated_at = '2024-01-05' WHERE store_sales_id = 7$$);
SELECT dblink_exec('ops', $$INSERT INTO in_store.store_sales SELECT 1000000, store_id, product_id, -1, unit_price, total_price, transaction_type, transaction_date, '4111111111111111', NULL, inserted_at, '2024-01-05' FROM in_store.store_sales WHERE store_sales_id = 8$$);
SELECT dblink_exec('ops', $$UPDATE in_store.store_sales SET quantity = 100, total_price = 100 * unit_price, updated_at = '2024-01-05' WHERE store_sales_id = 9$$);
CALL wh.run();
SELECT results_eq($$SELECT message FROM wh.error_event WHERE feed = 'widgets_staging.store_sales' ORDER BY 1$$,
    $$VALUES ('record fails screen "has store, product and quantity"'), ('record fails screen "total is quantity times price"')$$, 'bad sales are error events');
SELECT results_eq('SELECT sale_id, quantity FROM widgets.sales WHERE channel = ''store'' AND sale_id IN (7, 9, 1000000) ORDER BY 1',
    $$SELECT 7, (SELECT (record ->> 'quantity')::int FROM change WHERE entity = 'store_sales' AND key = 7 ORDER BY change_id DESC LIMIT 1) UNION ALL SELECT 9, 100$$, 'the last good record of a sale counts');

-- A whole day of the stores is restated, and an order line makes no sense: row for row what the oracle has.
SELECT dblink_exec('ops', $$UPDATE in_store.store_sales SET quantity = quantity + 1, total_price = (quantity + 1) * unit_price, updated_at = '2024-01-05 00:05'
    WHERE transaction_date = '2024-01-03' AND store_sales_id NOT IN (7, 9, 1000000)$$);
SELECT dblink_exec('ops', $$INSERT INTO ecommerce.order_line_item SELECT 1000000, order_id, order_line_item_product_id, 3, order_line_item_unit_price, 4 * order_line_item_unit_price, NULL, inserted_at, updated_at
    FROM ecommerce.order_line_item WHERE order_line_item_id = 8$$);
SELECT dblink_exec('ops', $$INSERT INTO ecommerce.outbox (topic, key, message) SELECT 'order_line_item', 1000000, to_jsonb(l) FROM ecommerce.order_line_item l WHERE order_line_item_id = 1000000$$);
CALL wh.run();
INSERT INTO change SELECT (SELECT max(change_id) FROM change) + row_number() OVER (), 5, 'store_sales', key, record
FROM dblink('ops', $$SELECT store_sales_id, to_jsonb(s) FROM in_store.store_sales s WHERE updated_at >= '2024-01-05' AND store_sales_id NOT IN (7, 1000000)$$) s(key bigint, record jsonb);
DROP VIEW pg_temp.actual_sales, pg_temp.actual_dimension;
DROP TABLE logged, state, expected_dimension, expected_sales CASCADE;
DROP FUNCTION pg_temp.at, pg_temp.words, pg_temp.tidy, pg_temp.dated, pg_temp.lines, pg_temp.version_at, pg_temp.compare;
\ir ../lib/widgets_oracle.sql
SELECT cmp_ok((SELECT count(*) FROM change WHERE day = 5), '>', 200::bigint, 'many sales are restated');
SELECT pg_temp.compare('after a day of the stores is restated');
SELECT pg_temp.conservation(3);
CALL wh.run(full_refresh => true);
SELECT pg_temp.compare('and after full_refresh');

-- A product both of whose records are dated before it was made, sold before both; its supplier comes later.
COPY (SELECT r.* FROM jsonb_populate_recordset(NULL::widgets_source.product, '[
    {"product_id": 600000, "product_name": "Late Widget", "product_unit_cost": 10, "product_preferred_supplier_id": 600000, "inserted_at": "2024-01-09", "updated_at": "2024-01-05"},
    {"product_id": 600000, "product_name": "Late Widget", "product_unit_cost": 12, "product_preferred_supplier_id": 600000, "inserted_at": "2024-01-09", "updated_at": "2024-01-06"}]') r)
TO :'late_product' (FORMAT csv, HEADER);
COPY (SELECT r.* FROM jsonb_populate_record(NULL::widgets_source.supplier, '{"supplier_id": 600000, "supplier_name": "Late Ltd", "inserted_at": "2024-01-07", "updated_at": "2024-01-07"}') r)
TO :'late_supplier' (FORMAT csv, HEADER);
SELECT dblink_exec('ops', $$INSERT INTO in_store.store_sales SELECT 600000, store_id, 600000, 2, 20, 40, 'cash', '2024-01-04', NULL, NULL, '2024-01-04 12:00', '2024-01-05' FROM in_store.store LIMIT 1$$);
SELECT count(*) AS errors FROM wh.error_event \gset
CALL wh.run();
SELECT is((SELECT array_agg(cost) FROM widgets.sales WHERE product_id = 600000), '{20.00}', 'the cost of a sale before the first record is that of the first');
SELECT is((SELECT count(*)::int FROM wh.error_event), :errors, 'and of no other');
SELECT results_eq($$SELECT effective_from AT TIME ZONE 'UTC', unit_cost, supplier_name FROM widgets.product WHERE product_id = 600000 ORDER BY 1$$,
    $$VALUES (timestamp '2024-01-05', 10.00, 'N/A'), ('2024-01-06', 12.00, 'N/A'), ('2024-01-07', 12.00, 'Late Ltd')$$, 'a product has no supplier until the supplier is there');

-- Secrets: no password, and of card numbers the last four digits only, in any table of this database.
CREATE TEMP TABLE secret AS SELECT DISTINCT v FROM dblink('ops', $$
    SELECT customer_password FROM ecommerce.customer UNION ALL SELECT record ->> 'customer_credit_card_number' FROM operations.change WHERE entity = 'customer'
    UNION ALL SELECT record ->> 'cc_number' FROM operations.change WHERE entity = 'store_sales' UNION ALL SELECT '4111111111111111'$$) s(v text) WHERE v IS NOT NULL;
CREATE FUNCTION pg_temp.leaks() RETURNS TABLE (relation text, leaks bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR relation IN SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('information_schema') AND n.nspname !~ '^pg_(temp|toast)' AND c.relname <> 'pg_statistic'
    LOOP
        -- Words of 12 and of 16 letters and digits are looked up; bytea is read as text.
        EXECUTE format($q$SELECT count(*) FROM (SELECT DISTINCT m[1] AS word FROM %s t, regexp_matches(
                t::text || coalesce(encode(decode(substring(to_jsonb(t) ->> 'raw_record' from 3), 'hex'), 'escape'), ''), '[A-Za-z0-9]{12,}', 'g') m) w
            JOIN secret s ON position(s.v IN w.word) > 0 AND length(w.word) < 100$q$, relation) INTO leaks;
        CONTINUE WHEN leaks = 0;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT is_empty('SELECT * FROM pg_temp.leaks()', 'no table holds a password or card number');
CREATE TABLE public.leak AS SELECT 'x"' || v || '"' AS x FROM secret LIMIT 1;
SELECT is((SELECT count(*)::int FROM pg_temp.leaks()), 1, 'one that did would be found');
SELECT is_empty('SELECT customer_id FROM widgets_staging.customer_history WHERE customer_password IS NOT NULL OR length(customer_credit_card_number) <> 4', 'staging has four digits and no password');
SELECT dblink_disconnect('ops');
SELECT * FROM finish();
