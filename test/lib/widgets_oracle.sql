-- The star schema of model widgets, computed in plain SQL from operations.change, another way than the model does.
-- Needs table change(change_id, entity, key, record). Times are UTC's.
CREATE TEMP TABLE logged AS
SELECT DISTINCT ON (entity, key, event_time) entity, key, record AS r, event_time
FROM (SELECT change_id, entity, key, record, coalesce(record ->> 'customer_updated_at', record ->> 'updated_at')::timestamp AS event_time FROM change) c
WHERE NOT (entity = 'customer_address' AND upper(coalesce(record ->> 'customer_address_type', '')) NOT IN ('B', 'S'))
ORDER BY entity, key, event_time, change_id DESC;
CREATE INDEX ON logged (entity, key, event_time);
CREATE INDEX ON logged ((r ->> 'customer_id')) WHERE entity = 'customer_address';
ANALYZE logged;

-- A record as it was at a time; NULL when there was none.
CREATE FUNCTION pg_temp.at(e text, k bigint, t timestamp) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT r FROM logged WHERE entity = e AND key = k AND event_time <= t ORDER BY event_time DESC LIMIT 1 $$;
CREATE FUNCTION pg_temp.words(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(w, ' ' ORDER BY n) FROM unnest(string_to_array(v, ' ')) WITH ORDINALITY u(w, n) WHERE w <> '' $$;
CREATE FUNCTION pg_temp.tidy(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN w <> lower(w) AND w = upper(w) OR ltrim(w, '0123456789 #') = '' IS FALSE AND ascii(ltrim(w, '0123456789 #')) BETWEEN 97 AND 122 THEN initcap(w) ELSE w END
    FROM (SELECT pg_temp.words(v) AS w) x $$;
CREATE FUNCTION pg_temp.dated(v text) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN v LIKE '____-__-__' THEN v::date WHEN v LIKE '__/__/____' THEN to_date(v, 'MM/DD/YYYY')
        WHEN v LIKE '__ ___ ____' THEN to_date(v, 'DD Mon YYYY') END $$;
-- {name, street, city, state, zip} of a record's address.
CREATE FUNCTION pg_temp.lines(has_row boolean, address text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN NOT has_row THEN array_fill('N/A'::text, '{5}')
        WHEN cardinality(l) = 3 AND l[3] LIKE '%, __ _____' AND right(l[3], 5) BETWEEN '00000' AND '99999'
        THEN ARRAY[pg_temp.tidy(l[1]), pg_temp.tidy(l[2]), pg_temp.tidy(split_part(l[3], ',', 1)), upper(left(right(l[3], 8), 2)), right(l[3], 5)]
        ELSE array_fill('Unknown'::text, '{5}') END
    FROM (SELECT string_to_array(address, E'\n') AS l) x $$;

-- Versions from states at points: equal neighbours are one.
CREATE TEMP TABLE state (dimension text, key bigint, t timestamp, attributes jsonb);
CREATE VIEW pg_temp.expected_version AS
SELECT dimension, key, attributes, t AS effective_from, lead(t, 1, 'infinity') OVER (PARTITION BY dimension, key ORDER BY t) AS effective_to
FROM (SELECT *, lag(attributes) OVER (PARTITION BY dimension, key ORDER BY t) AS previous FROM state) s
WHERE attributes IS DISTINCT FROM previous;

INSERT INTO state
SELECT 'customer', p.key, p.t, jsonb_build_object(
    'customer_id', c -> 'customer_id', 'name', coalesce(pg_temp.tidy(c ->> 'customer_name'), 'Unknown'), 'user_id', c -> 'customer_user_id',
    'email', lower(pg_temp.words(c ->> 'customer_email')),
    'referral_type', CASE WHEN c ->> 'customer_referral_type' = 'OA' THEN 'Online Advertising' WHEN c ->> 'customer_referral_type' = 'AM' THEN 'Affiliate Marketing'
        WHEN c ->> 'customer_referral_type' = '' THEN 'None' ELSE 'Unknown' END,
    'sex', CASE WHEN c ->> 'customer_sex' ILIKE 'm' THEN 'Male' WHEN c ->> 'customer_sex' ILIKE 'f' THEN 'Female' ELSE 'Unknown' END,
    'date_of_birth', c -> 'customer_date_of_birth',
    'age_cohort', coalesce('Born ' || left(c ->> 'customer_date_of_birth', 3) || '0-' || left(c ->> 'customer_date_of_birth', 3) || '9', 'Unknown'),
    'loyalty_number', c -> 'customer_loyalty_number', 'loyalty_tier', coalesce(initcap(pg_temp.at('loyalty_number', (c ->> 'customer_loyalty_number')::bigint, p.t) ->> 'tier'), 'N/A'),
    'is_preferred', c -> 'customer_is_preferred', 'is_active', c -> 'customer_is_active',
    'activation_date', left(c ->> 'customer_inserted_at', 10),
    'deactivation_date', CASE WHEN c -> 'customer_is_active' = 'false' THEN (SELECT min(i.event_time)::date FROM logged i
        WHERE (i.entity, i.key) = ('customer', p.key) AND i.event_time <= p.t AND NOT EXISTS (SELECT FROM logged a
            WHERE (a.entity, a.key) = ('customer', p.key) AND a.event_time BETWEEN i.event_time AND p.t AND a.r -> 'customer_is_active' = 'true')) END,
    'card_last_four', right(c ->> 'customer_credit_card_number', 4),
    'billing_name', b[1], 'billing_street', b[2], 'billing_city', b[3], 'billing_state', b[4], 'billing_zip', b[5],
    'shipping_name', s[1], 'shipping_street', s[2], 'shipping_city', s[3], 'shipping_state', s[4], 'shipping_zip', s[5])
FROM (
    SELECT key, event_time AS t FROM logged WHERE entity = 'customer'
    UNION SELECT (r ->> 'customer_id')::bigint, event_time FROM logged WHERE entity = 'customer_address'
    UNION SELECT c.key, l.event_time FROM logged c JOIN logged l ON l.entity = 'loyalty_number' AND l.key = (c.r ->> 'customer_loyalty_number')::bigint
        WHERE c.entity = 'customer') p,
    LATERAL (SELECT pg_temp.at('customer', p.key, p.t) AS c) c,
    LATERAL (SELECT (array_agg(a ORDER BY k DESC) FILTER (WHERE upper(a ->> 'customer_address_type') = 'B'))[1] AS ba,
                (array_agg(a ORDER BY k DESC) FILTER (WHERE upper(a ->> 'customer_address_type') = 'S'))[1] AS sa
        FROM (SELECT k, pg_temp.at('customer_address', k, p.t) AS a
              FROM (SELECT DISTINCT key AS k FROM logged WHERE entity = 'customer_address' AND r ->> 'customer_id' = p.key::text) k) a) a,
    LATERAL (SELECT pg_temp.lines(ba IS NOT NULL, ba ->> 'customer_address') AS b, pg_temp.lines(sa IS NOT NULL, sa ->> 'customer_address') AS s) l
WHERE c IS NOT NULL;

INSERT INTO state
SELECT 'product', p.key, p.t, jsonb_build_object(
    'product_id', r -> 'product_id', 'name', coalesce(pg_temp.tidy(r ->> 'product_name'), 'Unknown'), 'description', r -> 'product_description',
    'category', coalesce(pg_temp.tidy(r ->> 'product_category'), 'Unknown'), 'brand', r -> 'product_brand',
    'unit_cost', r -> 'product_unit_cost', 'unit_price', r -> 'product_unit_price', 'length', r -> 'product_dimension_length',
    'width', r -> 'product_dimension_width', 'height', r -> 'product_dimension_height', 'introduced_date', pg_temp.dated(r ->> 'product_introduced_date'),
    'is_discontinued', r -> 'product_discontinued', 'is_no_longer_offered', r -> 'product_no_longer_offered', 'supplier_id', r -> 'product_preferred_supplier_id',
    'supplier_name', CASE WHEN s IS NULL THEN 'N/A' ELSE pg_temp.tidy(s ->> 'supplier_name') END,
    'supplier_street', l[2], 'supplier_city', l[3], 'supplier_state', l[4], 'supplier_zip', l[5])
FROM (
    SELECT key, event_time AS t FROM logged WHERE entity = 'product'
    UNION SELECT p.key, s.event_time FROM logged p JOIN logged s ON s.entity = 'supplier' AND s.key = (p.r ->> 'product_preferred_supplier_id')::bigint
        WHERE p.entity = 'product') p,
    LATERAL (SELECT pg_temp.at('product', p.key, p.t) AS r) r,
    LATERAL (SELECT pg_temp.at('supplier', (r ->> 'product_preferred_supplier_id')::bigint, p.t) AS s) s,
    LATERAL (SELECT pg_temp.lines(s IS NOT NULL, s ->> 'supplier_address') AS l) l
WHERE r IS NOT NULL;

INSERT INTO state
SELECT 'store', p.key, p.t, jsonb_build_object('store_id', r -> 'store_id', 'channel', 'store', 'name', r -> 'store_name',
    'manager_name', coalesce(pg_temp.tidy(r ->> 'store_manager_name'), 'Unknown'), 'number_of_employees', r -> 'store_number_of_employees',
    'opened_date', r -> 'store_opened_date', 'closed_date', r -> 'store_closed_date',
    'street', CASE WHEN l IS NULL THEN 'N/A' ELSE pg_temp.tidy(l ->> 'street_address') END, 'city', CASE WHEN l IS NULL THEN 'N/A' ELSE pg_temp.tidy(l ->> 'city') END,
    'state', CASE WHEN l IS NULL THEN 'N/A' ELSE upper(l ->> 'state') END, 'zip', CASE WHEN l IS NULL THEN 'N/A' ELSE coalesce(nullif(l ->> 'zip_code', ''), 'Unknown') END,
    'sq_footage', l -> 'sq_footage')
FROM (
    SELECT key, event_time AS t FROM logged WHERE entity = 'store'
    UNION SELECT (r ->> 'store_id')::bigint, event_time FROM logged WHERE entity = 'store_location') p,
    LATERAL (SELECT pg_temp.at('store', p.key, p.t) AS r) r,
    LATERAL (SELECT pg_temp.at('store_location', max(key), p.t) AS l FROM logged WHERE entity = 'store_location' AND r ->> 'store_id' = p.key::text) l
WHERE r IS NOT NULL
UNION ALL
SELECT 'store', 0, '2010-01-01', '{"store_id": 0, "channel": "web", "name": "Web shop", "manager_name": "N/A", "number_of_employees": null, "opened_date": "2010-01-01",
    "closed_date": null, "street": "N/A", "city": "N/A", "state": "N/A", "zip": "N/A", "sq_footage": null}';

CREATE TEMP TABLE expected_dimension AS
SELECT dimension, key, jsonb_strip_nulls(attributes) AS attributes, effective_from, effective_to FROM pg_temp.expected_version;
CREATE INDEX ON expected_dimension (dimension, key);
ANALYZE expected_dimension;

-- The version of a member at a time; before the first, the first.
CREATE FUNCTION pg_temp.version_at(d text, k bigint, t timestamp) RETURNS timestamp LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(effective_from) FILTER (WHERE effective_from <= t), min(effective_from)) FROM expected_dimension WHERE dimension = d AND key = k $$;
CREATE TEMP TABLE expected_sales AS
WITH last AS (SELECT DISTINCT ON (entity, key) entity, key, r FROM logged ORDER BY entity, key, event_time DESC),
sale AS (
    SELECT 'web' AS channel, l.key AS sale_id, o.key AS order_number, (o.r ->> 'order_execution_time')::timestamp AS sold_at,
        left(o.r ->> 'order_execution_time', 10)::date AS sale_date, (o.r ->> 'customer_id')::bigint AS customer_id,
        (l.r ->> 'order_line_item_product_id')::bigint AS product_id, 0 AS store_id, (l.r ->> 'order_line_item_quantity')::int AS quantity,
        (l.r ->> 'order_line_item_unit_price')::numeric AS unit_price, (l.r ->> 'order_line_item_total_price')::numeric AS total, (o.r ->> 'order_cancelled')::boolean AS is_cancelled
    FROM last l JOIN last o ON o.entity = 'order' AND o.key = (l.r ->> 'order_id')::bigint WHERE l.entity = 'order_line_item'
    UNION ALL
    SELECT 'store', s.key, NULL, (s.r ->> 'inserted_at')::timestamp, (s.r ->> 'transaction_date')::date, (n.r ->> 'customer_id')::bigint,
        (s.r ->> 'product_id')::bigint, (s.r ->> 'store_id')::int, (s.r ->> 'quantity')::int, (s.r ->> 'unit_price')::numeric, (s.r ->> 'total_price')::numeric, false
    FROM last s LEFT JOIN last n ON n.entity = 'loyalty_number' AND n.key = (s.r ->> 'loyalty_number')::bigint WHERE s.entity = 'store_sales')
SELECT s.*, quantity * (coalesce(pg_temp.at('product', product_id, sold_at), (SELECT r FROM logged WHERE entity = 'product' AND key = product_id ORDER BY event_time LIMIT 1))
        ->> 'product_unit_cost')::numeric AS cost,
    pg_temp.version_at('customer', customer_id, sold_at) AS customer_from, pg_temp.version_at('product', product_id, sold_at) AS product_from,
    pg_temp.version_at('store', store_id, sold_at) AS store_from
FROM sale s;

-- The same of the warehouse.
CREATE VIEW pg_temp.actual_dimension AS
SELECT 'customer' AS dimension, customer_id::bigint AS key, jsonb_strip_nulls(to_jsonb(d) - '{customer_key,effective_from,effective_to,is_current,is_inferred,batch_id}'::text[]) AS attributes,
    effective_from AT TIME ZONE 'UTC' AS effective_from, effective_to AT TIME ZONE 'UTC' AS effective_to FROM widgets.customer d WHERE customer_key > 0
UNION ALL
SELECT 'product', product_id, jsonb_strip_nulls(to_jsonb(d) - '{product_key,effective_from,effective_to,is_current,is_inferred,batch_id}'::text[]),
    effective_from AT TIME ZONE 'UTC', effective_to AT TIME ZONE 'UTC' FROM widgets.product d WHERE product_key > 0
UNION ALL
SELECT 'store', store_id, jsonb_strip_nulls(to_jsonb(d) - '{store_key,effective_from,effective_to,is_current,is_inferred,batch_id}'::text[]),
    effective_from AT TIME ZONE 'UTC', effective_to AT TIME ZONE 'UTC' FROM widgets.store d WHERE store_key > 0;
CREATE VIEW pg_temp.actual_sales AS
SELECT f.channel, f.sale_id::bigint, f.order_number::bigint, f.sold_at, d.date AS sale_date, c.customer_id::bigint, p.product_id::bigint, s.store_id, f.quantity, f.unit_price, f.total, f.is_cancelled, f.cost,
    c.effective_from AT TIME ZONE 'UTC' AS customer_from, p.effective_from AT TIME ZONE 'UTC' AS product_from, s.effective_from AT TIME ZONE 'UTC' AS store_from
FROM widgets.sales f
JOIN widgets.date d USING (date_key)
LEFT JOIN widgets.customer c ON c.customer_key = f.customer_key AND c.customer_key <> -2
JOIN widgets.product p ON p.product_key = f.product_key JOIN widgets.store s ON s.store_key = f.store_key;

CREATE FUNCTION pg_temp.compare(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN NEXT is_empty('(SELECT ''missing'' AS is, * FROM (TABLE expected_dimension EXCEPT ALL TABLE pg_temp.actual_dimension) m LIMIT 5) UNION ALL
        (SELECT ''extra'', * FROM (TABLE pg_temp.actual_dimension EXCEPT ALL TABLE expected_dimension) e LIMIT 5)', 'the dimensions are the oracle''s ' || what);
    RETURN NEXT is_empty('(SELECT ''missing'' AS is, * FROM (TABLE expected_sales EXCEPT ALL TABLE pg_temp.actual_sales) m LIMIT 5) UNION ALL
        (SELECT ''extra'', * FROM (TABLE pg_temp.actual_sales EXCEPT ALL TABLE expected_sales) e LIMIT 5)', 'the facts are the oracle''s ' || what);
    RETURN NEXT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing ' || what);
END $$;
