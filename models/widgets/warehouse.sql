-- Widgets Unlimited, warehouse: three systems that never talk to each other, in one star schema.
--
--   e-commerce  Kafka topics customer, customer_address, loyalty_number, order, order_line_item
--               (or, without a broker, table ecommerce.outbox of the operations database)
--   inventory   CSV files product_*.csv, supplier_*.csv, inventory_*.csv
--   in-store    tables store, store_location, store_sales of the operations database
--
-- Run it, in a database of its own, with
--     SELECT wh.create_model('widgets', options => '{"directory": "/srv/inventory",
--         "operations": {"host": "db.example", "dbname": "operations", "user": "wh", "password": "..."},
--         "bootstrap_servers": "localhost:9092"}');
-- or, to change it first, as an ordinary script:
--     psql -1 -c "SET widgets_wh.model_options = '{...}'" -f warehouse.sql
-- and then CALL wh.run(). Its options:
--
-- option directory: the server's folder with the CSV files of the inventory; must be given
-- option operations: object, how postgres_fdw reaches the operations database (host, port, dbname, user, password, ...); must be given
-- option bootstrap_servers: Kafka; without, messages are read from ecommerce.outbox
-- option topic_prefix: what stands before each topic's name; by default nothing
-- option from_date: first day of the date dimension; by default 2020-01-01
-- option to_date: its last day; by default 2029-12-31
-- option fiscal_year_start: the first month of the fiscal year; by default 1

CREATE SCHEMA widgets_source;
COMMENT ON SCHEMA widgets_source IS 'Widgets Unlimited: what the three systems expose, and rules for harmonizing it';
CREATE SCHEMA widgets_staging;
COMMENT ON SCHEMA widgets_staging IS 'Widgets Unlimited: staged records';
CREATE SCHEMA widgets;
COMMENT ON SCHEMA widgets IS 'Widgets Unlimited: the star schema';
CREATE EXTENSION IF NOT EXISTS postgres_fdw;


-- Sources ----------------------------------------------------------------------------

DO $$
DECLARE
    options jsonb := '{"topic_prefix": "", "from_date": "2020-01-01", "to_date": "2029-12-31", "fiscal_year_start": 1}'
        || coalesce(nullif(current_setting('widgets_wh.model_options', true), ''), '{}')::jsonb;
    required text;
    entity record;
BEGIN
    FOREACH required IN ARRAY '{directory,operations}'::text[] LOOP
        IF options ->> required IS NULL THEN
            RAISE EXCEPTION 'model "widgets" needs the option "%"', required
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Write options => ''{"directory": "/srv/inventory", "operations": {"dbname": "operations"}}''.';
        END IF;
    END LOOP;
    IF jsonb_typeof(options -> 'operations') <> 'object' THEN
        RAISE EXCEPTION 'option "operations" must be an object'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'For example {"host": "db.example", "dbname": "operations", "user": "wh"}.';
    END IF;
    EXECUTE format('CREATE SERVER widgets_inventory FOREIGN DATA WRAPPER wh_csv OPTIONS (directory %L)', options ->> 'directory');
    -- Who connects is a matter of the user mapping, where is one of the server.
    EXECUTE (SELECT format('CREATE SERVER widgets_operations FOREIGN DATA WRAPPER postgres_fdw OPTIONS (fetch_size ''10000''%s)',
                 string_agg(format(', %I %L', key, value), '') FILTER (WHERE key NOT IN ('user', 'password', 'password_required')))
             FROM jsonb_each_text(options -> 'operations'));
    EXECUTE (SELECT format('CREATE USER MAPPING FOR CURRENT_USER SERVER widgets_operations%s',
                 ' OPTIONS (' || string_agg(format('%I %L', key, value), ', ') || ')')
             FROM jsonb_each_text(options -> 'operations') WHERE key IN ('user', 'password', 'password_required'));

    IF options ->> 'bootstrap_servers' IS NOT NULL THEN
        EXECUTE format('CREATE SERVER widgets_topics FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers %L)',
                       options ->> 'bootstrap_servers');
    ELSE
        CREATE FOREIGN TABLE widgets_source.outbox (outbox_id bigint, topic text, message jsonb)
            SERVER widgets_operations OPTIONS (schema_name 'ecommerce', table_name 'outbox');
    END IF;

    -- A relation per topic: its messages as rows. ORDER is a reserved word.
    FOR entity IN SELECT * FROM (VALUES
        ('customer', 'customer', 'customer_id', 'customer_id int, customer_name text, customer_user_id text, customer_password text,
            customer_email text, customer_referral_type text, customer_sex text, customer_date_of_birth date,
            customer_loyalty_number int, customer_credit_card_number text, customer_is_preferred boolean,
            customer_is_active boolean, customer_inserted_at timestamp, customer_updated_at timestamp'),
        ('customer_address', 'customer_address', 'customer_address_id', 'customer_address_id int, customer_id int,
            customer_address text, customer_address_type text, inserted_at timestamp, updated_at timestamp'),
        ('loyalty_number', 'loyalty_number', 'loyalty_number', 'loyalty_number int, customer_id int, issued date, tier text,
            inserted_at timestamp, updated_at timestamp'),
        ('order', 'customer_order', 'order_id', 'order_id int, customer_id int, order_shipping_address_id int,
            order_special_instructions text, order_shipping_cost numeric(8,2), order_execution_time timestamp,
            order_cancelled boolean, inserted_at timestamp, updated_at timestamp'),
        ('order_line_item', 'order_line_item', 'order_line_item_id', 'order_line_item_id int, order_id int,
            order_line_item_product_id int, order_line_item_quantity int, order_line_item_unit_price numeric(10,2),
            order_line_item_total_price numeric(12,2), order_line_comments text, inserted_at timestamp, updated_at timestamp'))
        e(topic, relation, key, columns)
    LOOP
        IF options ->> 'bootstrap_servers' IS NOT NULL THEN
            EXECUTE format('CREATE FOREIGN TABLE widgets_source.%I (%s) SERVER widgets_topics
                            OPTIONS (topic %L, format ''json'', key_column %L)',
                entity.relation, entity.columns, (options ->> 'topic_prefix') || entity.topic, entity.key);
        ELSE
            EXECUTE format('CREATE VIEW widgets_source.%I AS SELECT r.*, o.outbox_id
                            FROM widgets_source.outbox o, jsonb_to_record(o.message) AS r(%s) WHERE o.topic = %L',
                entity.relation, entity.columns, (options ->> 'topic_prefix') || entity.topic);
        END IF;
    END LOOP;
    PERFORM wh.create_date_dimension('widgets.date', (options ->> 'from_date')::date, (options ->> 'to_date')::date,
                                     (options ->> 'fiscal_year_start')::int);
END $$;

-- Dates of the inventory come in three formats, so they are text here.
CREATE FOREIGN TABLE widgets_source.product (
    product_id int, product_name text, product_description text, product_category text, product_brand text,
    product_preferred_supplier_id int, product_unit_cost numeric(10,2), product_unit_price numeric(10,2),
    product_dimension_length numeric(6,1), product_dimension_width numeric(6,1), product_dimension_height numeric(6,1),
    product_introduced_date text, product_discontinued boolean, product_no_longer_offered boolean,
    inserted_at timestamp, updated_at timestamp)
SERVER widgets_inventory OPTIONS (pattern 'product_*.csv');
CREATE FOREIGN TABLE widgets_source.supplier (
    supplier_id int, supplier_name text, supplier_address text, primary_contact_name text, primary_contact_phone text,
    secondary_contact_name text, secondary_contact_phone text, supplier_web_site text, supplier_introduction_date text,
    supplier_is_preferred boolean, supplier_is_active boolean, inserted_at timestamp, updated_at timestamp)
SERVER widgets_inventory OPTIONS (pattern 'supplier_*.csv');
CREATE FOREIGN TABLE widgets_source.inventory (
    inventory_event_id int, inventory_event_type text, inventory_product_id int, inventory_supplier_id int,
    inventory_warehouse_id int, inventory_quantity int, inventory_ship_address text, inventory_ship_customer_id int,
    inserted_at timestamp, updated_at timestamp)
SERVER widgets_inventory OPTIONS (pattern 'inventory_*.csv');

CREATE FOREIGN TABLE widgets_source.store (
    store_id int, store_name text, store_manager_name text, store_number_of_employees int, store_opened_date date,
    store_closed_date date, inserted_at timestamp, updated_at timestamp)
SERVER widgets_operations OPTIONS (schema_name 'in_store');
CREATE FOREIGN TABLE widgets_source.store_location (
    store_location_id int, store_id int, street_address text, city text, state text, zip_code text, sq_footage int,
    inserted_at timestamp, updated_at timestamp)
SERVER widgets_operations OPTIONS (schema_name 'in_store');
CREATE FOREIGN TABLE widgets_source.store_sales (
    store_sales_id int, store_id int, product_id int, quantity int, unit_price numeric(10,2), total_price numeric(12,2),
    transaction_type text, transaction_date date, cc_number text, loyalty_number int,
    inserted_at timestamp, updated_at timestamp)
SERVER widgets_operations OPTIONS (schema_name 'in_store');

-- No system lists the web shop as a store; this row does.
CREATE TABLE widgets_source.web_shop (store_id int PRIMARY KEY, store_name text NOT NULL, opened_date date NOT NULL, updated_at timestamp NOT NULL);
COMMENT ON TABLE widgets_source.web_shop IS 'the web shop as a member of the store dimension; change it with a new updated_at';
INSERT INTO widgets_source.web_shop VALUES (0, 'Web shop', '2010-01-01', '2010-01-01');


-- Rules ------------------------------------------------------------------------------
-- What a value means, whatever system it comes from. A value that no rule understands is
-- "Unknown" (a date: NULL), and a screen of its feed counts it.

CREATE FUNCTION widgets_source.squeeze(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '\s\s|^\s|\s$|[^\S ]' THEN nullif(btrim(regexp_replace(value, '\s+', ' ', 'g')), '') ELSE nullif(value, '') END;
COMMENT ON FUNCTION widgets_source.squeeze(text) IS 'without spaces at the ends and double ones within; NULL when nothing is left';

CREATE FUNCTION widgets_source.clean(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '^[^[:alpha:]]*[[:lower:]]' OR (value = upper(value) AND value ~ '[[:alpha:]]')
            THEN initcap(widgets_source.squeeze(value)) ELSE widgets_source.squeeze(value) END;
COMMENT ON FUNCTION widgets_source.clean(text) IS 'a name without spare spaces; one in all capitals, or whose first letter is small, gets its capitals back';

CREATE FUNCTION widgets_source.valid_date(year int, month int, day int) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN year BETWEEN 1 AND 9999 AND month BETWEEN 1 AND 12
             AND day BETWEEN 1 AND date_part('day', make_date(year, month, 1) + interval '1 month -1 day')
            THEN make_date(year, month, day) END;
COMMENT ON FUNCTION widgets_source.valid_date(int, int, int) IS 'the date, or NULL when there is no such day';

CREATE FUNCTION widgets_source.parse_date(value text) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN value ~ '^\s*\d{4}-\d\d?-\d\d?\s*$' THEN
        widgets_source.valid_date(split_part(value, '-', 1)::int, split_part(value, '-', 2)::int, split_part(value, '-', 3)::int)
    WHEN value ~ '^\s*\d\d?/\d\d?/\d{4}\s*$' THEN
        widgets_source.valid_date(split_part(value, '/', 3)::int, split_part(value, '/', 1)::int, split_part(value, '/', 2)::int)
    WHEN value ~* '^\s*\d\d? (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* \d{4}\s*$' THEN
        widgets_source.valid_date(split_part(btrim(value), ' ', 3)::int,
            strpos('janfebmaraprmayjunjulaugsepoctnovdec', lower(left(split_part(btrim(value), ' ', 2), 3))) / 3 + 1,
            split_part(btrim(value), ' ', 1)::int)
END;
COMMENT ON FUNCTION widgets_source.parse_date(text) IS 'a date from 2024-01-31, 01/31/2024 or 31 Jan 2024; NULL when it is none';

-- Matching without capturing, and cutting then, is much cheaper than regexp_match().
CREATE FUNCTION widgets_source.parse_address(address text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN address ~ '^[^\n]+\n[^\n]+\n[^\n,]+, *[[:alpha:]]{2} +\d{5}(?:-\d{4})?[ \t\n\r\f\v]*$' THEN
    ARRAY[split_part(address, E'\n', 1), split_part(address, E'\n', 2), split_part(split_part(address, E'\n', 3), ',', 1),
          left(ltrim(split_part(split_part(address, E'\n', 3), ',', 2)), 2),
          btrim(substr(ltrim(split_part(split_part(address, E'\n', 3), ',', 2)), 3), E' \t\n\r\f\v')]
    ELSE '{Unknown,Unknown,Unknown,Unknown,Unknown}'::text[] END;
COMMENT ON FUNCTION widgets_source.parse_address(text) IS
    'name, street, city, state and zip of an address on three lines, the last "city, ST zip"; each is Unknown when it is not such';

CREATE FUNCTION widgets_source.place(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(widgets_source.clean(value), 'Unknown');
COMMENT ON FUNCTION widgets_source.place(text) IS 'a street or city as every dimension writes it';

CREATE FUNCTION widgets_source.state(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '^\s*[[:alpha:]]{2}\s*$' THEN upper(btrim(value)) ELSE 'Unknown' END;
COMMENT ON FUNCTION widgets_source.state(text) IS 'the code of a state as every dimension writes it';

CREATE FUNCTION widgets_source.zip(value text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '^\s*\d{5}(-\d{4})?\s*$' THEN btrim(value) ELSE 'Unknown' END;
COMMENT ON FUNCTION widgets_source.zip(text) IS 'a ZIP code as every dimension writes it';

CREATE FUNCTION widgets_source.referral_type(code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE upper(btrim(code)) WHEN 'OA' THEN 'Online Advertising' WHEN 'AM' THEN 'Affiliate Marketing' WHEN '' THEN 'None' ELSE 'Unknown' END;
COMMENT ON FUNCTION widgets_source.referral_type(text) IS 'what a referral code stands for';

CREATE FUNCTION widgets_source.sex(code text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN lower(btrim(code)) IN ('f', 'female') THEN 'Female' WHEN lower(btrim(code)) IN ('m', 'male') THEN 'Male' ELSE 'Unknown' END;
COMMENT ON FUNCTION widgets_source.sex(text) IS 'Female, Male or Unknown';

CREATE FUNCTION widgets_source.age_cohort(born date) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN born BETWEEN '1900-01-01' AND '2029-12-31' THEN
    'Born ' || (date_part('year', born)::int / 10 * 10)::text || '-' || (date_part('year', born)::int / 10 * 10 + 9)::text
    ELSE 'Unknown' END;
COMMENT ON FUNCTION widgets_source.age_cohort(date) IS 'the decade of birth: unlike an age it does not change with the calendar';

CREATE FUNCTION widgets_source.inactive_since(times timestamp[], is_active boolean[]) RETURNS timestamp
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT min(i.t) FROM unnest(times, is_active) i(t, a)
        WHERE NOT i.a AND i.t > coalesce((SELECT max(l.t) FROM unnest(times, is_active) l(t, a) WHERE l.a), '-infinity'));
COMMENT ON FUNCTION widgets_source.inactive_since(timestamp[], boolean[]) IS 'the first time of being inactive after the last one of being active';


-- Feeds ------------------------------------------------------------------------------
-- Each system is read on its own: when one fails, the others are staged all the same, and
-- wh.run() publishes only when all have delivered (or with publish_anyway => true).
-- Passwords and card numbers are redacted before anything is stored, error events included.

DO $$
DECLARE
    -- Rows of ecommerce.outbox have numbers, which say how far it was read and are not kept.
    is_outbox boolean := to_regclass('widgets_source.outbox') IS NOT NULL;
    numbered text := CASE WHEN is_outbox THEN 'outbox_id' END;
    hidden jsonb := CASE WHEN is_outbox THEN '{"outbox_id": null}' ELSE '{}' END;
BEGIN
    PERFORM wh.create_feed('widgets_staging.customer', 'widgets_source.customer', 'upsert', '{customer_id}',
        sequence_by => 'customer_updated_at', watermark => numbered,
        redact => hidden || '{"customer_password": null, "customer_credit_card_number": "right(customer_credit_card_number, 4)"}');
    -- When a customer left is not in the record, only that he has: so each record counts as an
    -- event, too, of which nothing else is kept.
    PERFORM wh.create_feed('widgets_staging.customer_status', 'widgets_source.customer', 'append', '{customer_id,customer_updated_at}',
        sequence_by => 'customer_updated_at', watermark => numbered,
        redact => (SELECT jsonb_object_agg(attname, NULL) FROM pg_attribute
                   WHERE attrelid = 'widgets_source.customer'::regclass AND attnum > 0 AND NOT attisdropped
                     AND attname NOT IN ('customer_id', 'customer_is_active', 'customer_updated_at')));
    PERFORM wh.create_feed('widgets_staging.customer_address', 'widgets_source.customer_address', 'upsert', '{customer_address_id}',
        sequence_by => 'updated_at', watermark => numbered, redact => hidden);
    PERFORM wh.create_feed('widgets_staging.loyalty_number', 'widgets_source.loyalty_number', 'upsert', '{loyalty_number}',
        sequence_by => 'updated_at', watermark => numbered, redact => hidden);
    PERFORM wh.create_feed('widgets_staging.customer_order', 'widgets_source.customer_order', 'upsert', '{order_id}',
        sequence_by => 'updated_at', watermark => numbered, redact => hidden);
    PERFORM wh.create_feed('widgets_staging.order_line_item', 'widgets_source.order_line_item', 'upsert', '{order_line_item_id}',
        sequence_by => 'updated_at', watermark => numbered, redact => hidden);
END $$;

SELECT wh.create_feed('widgets_staging.product', 'widgets_source.product', 'upsert', '{product_id}', sequence_by => 'updated_at');
SELECT wh.create_feed('widgets_staging.supplier', 'widgets_source.supplier', 'upsert', '{supplier_id}', sequence_by => 'updated_at');
SELECT wh.create_feed('widgets_staging.inventory', 'widgets_source.inventory', 'append', '{inventory_event_id}', sequence_by => 'inserted_at');

SELECT wh.create_feed('widgets_staging.store', 'widgets_source.store', 'upsert', '{store_id}',
    sequence_by => 'updated_at', watermark => 'updated_at');
SELECT wh.create_feed('widgets_staging.store_location', 'widgets_source.store_location', 'upsert', '{store_location_id}',
    sequence_by => 'updated_at', watermark => 'updated_at');
SELECT wh.create_feed('widgets_staging.store_sales', 'widgets_source.store_sales', 'upsert', '{store_sales_id}',
    sequence_by => 'updated_at', watermark => 'updated_at',
    redact => '{"cc_number": "right(cc_number, 4)"}');
SELECT wh.create_feed('widgets_staging.web_shop', 'widgets_source.web_shop', 'upsert', '{store_id}', sequence_by => 'updated_at');


-- Screens ----------------------------------------------------------------------------
-- What cannot be used is rejected: it becomes an error event.

SELECT wh.add_screen('widgets_staging.order_line_item', 'has order, product and quantity',
    'coalesce(order_id IS NOT NULL AND order_line_item_product_id IS NOT NULL AND order_line_item_quantity > 0, false)');
SELECT wh.add_screen('widgets_staging.order_line_item', 'total is quantity times price',
    'order_line_item_total_price = order_line_item_quantity * order_line_item_unit_price');
SELECT wh.add_screen('widgets_staging.store_sales', 'has store, product and quantity',
    'coalesce(store_id IS NOT NULL AND product_id IS NOT NULL AND quantity > 0, false)');
SELECT wh.add_screen('widgets_staging.store_sales', 'total is quantity times price', 'total_price = quantity * unit_price');
SELECT wh.add_screen('widgets_staging.customer_address', 'is billing or shipping',
    $$coalesce(upper(btrim(customer_address_type)) IN ('B', 'S'), false)$$);
SELECT wh.add_screen('widgets_staging.inventory', 'is shipment, supply or return',
    $$coalesce(lower(btrim(inventory_event_type)) IN ('shipment', 'supply', 'return'), false)$$);

-- What can be used in part passes with a warning; the star schema says "Unknown" there.
SELECT wh.add_screen('widgets_staging.' || feed, screen, condition, 'warn')
FROM (VALUES
    ('customer', 'has a name', $$widgets_source.squeeze(customer_name) IS NOT NULL$$),
    ('customer', 'referral type is defined', $$widgets_source.referral_type(customer_referral_type) <> 'Unknown'$$),
    ('customer', 'sex is defined', $$widgets_source.sex(customer_sex) <> 'Unknown'$$),
    ('customer_address', 'address parses', $$(widgets_source.parse_address(customer_address))[5] <> 'Unknown'$$),
    ('supplier', 'address parses', $$(widgets_source.parse_address(supplier_address))[5] <> 'Unknown'$$),
    ('supplier', 'introduction date parses', $$widgets_source.parse_date(supplier_introduction_date) IS NOT NULL$$),
    ('product', 'introduction date parses', $$widgets_source.parse_date(product_introduced_date) IS NOT NULL$$),
    ('product', 'has a category', $$widgets_source.squeeze(product_category) IS NOT NULL$$),
    ('store_location', 'zip is a ZIP code', $$widgets_source.zip(zip_code) <> 'Unknown'$$),
    ('store_sales', 'transaction type is defined', $$coalesce(lower(btrim(transaction_type)) IN ('credit', 'debit', 'cash'), false)$$),
    -- A record whose update time is before its own making came out of order, or from a wrong clock.
    ('customer', 'updated after it was made', $$customer_updated_at >= customer_inserted_at$$),
    ('customer_address', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('loyalty_number', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('customer_order', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('order_line_item', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('product', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('supplier', 'updated after it was made', $$updated_at >= inserted_at$$),
    ('inventory', 'updated after it was made', $$updated_at >= inserted_at$$),
    -- Codes in another case are understood.
    ('inventory', 'event type is in lower case', $$inventory_event_type = lower(inventory_event_type)$$),
    ('store_sales', 'transaction type is in lower case',
     $$transaction_type = lower(transaction_type) OR lower(transaction_type) NOT IN ('credit', 'debit', 'cash')$$)) s(feed, screen, condition);


-- Dimensions -------------------------------------------------------------------------
-- Each query is written as if over current rows; the engine makes it historical. So a customer
-- gets a new version when the customer, the address or the loyalty number changes.

SELECT wh.create_dimension('widgets.customer', $$
    SELECT c.customer_id,
        coalesce(widgets_source.clean(c.customer_name), 'Unknown') AS name,
        c.customer_user_id AS user_id,
        lower(btrim(c.customer_email)) AS email,
        widgets_source.referral_type(c.customer_referral_type) AS referral_type,
        widgets_source.sex(c.customer_sex) AS sex,
        c.customer_date_of_birth AS date_of_birth,
        widgets_source.age_cohort(c.customer_date_of_birth) AS age_cohort,
        c.customer_loyalty_number AS loyalty_number,
        coalesce(initcap(btrim(l.tier)), 'N/A') AS loyalty_tier,
        c.customer_is_preferred AS is_preferred,
        c.customer_is_active AS is_active,
        c.customer_inserted_at::date AS activation_date,
        CASE WHEN NOT c.customer_is_active THEN e.inactive_since::date END AS deactivation_date,
        c.customer_credit_card_number AS card_last_four,
        CASE WHEN b.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(b.part[1]) END AS billing_name,
        CASE WHEN b.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(b.part[2]) END AS billing_street,
        CASE WHEN b.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(b.part[3]) END AS billing_city,
        CASE WHEN b.customer_id IS NULL THEN 'N/A' ELSE widgets_source.state(b.part[4]) END AS billing_state,
        CASE WHEN b.customer_id IS NULL THEN 'N/A' ELSE widgets_source.zip(b.part[5]) END AS billing_zip,
        CASE WHEN s.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.part[1]) END AS shipping_name,
        CASE WHEN s.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.part[2]) END AS shipping_street,
        CASE WHEN s.customer_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.part[3]) END AS shipping_city,
        CASE WHEN s.customer_id IS NULL THEN 'N/A' ELSE widgets_source.state(s.part[4]) END AS shipping_state,
        CASE WHEN s.customer_id IS NULL THEN 'N/A' ELSE widgets_source.zip(s.part[5]) END AS shipping_zip
    FROM widgets_staging.customer c
    LEFT JOIN widgets_staging.loyalty_number l ON l.loyalty_number = c.customer_loyalty_number
    LEFT JOIN (
        SELECT customer_id, widgets_source.inactive_since(array_agg(customer_updated_at ORDER BY customer_updated_at), array_agg(customer_is_active ORDER BY customer_updated_at)) AS inactive_since
        FROM widgets_staging.customer_status
        GROUP BY customer_id) e ON e.customer_id = c.customer_id
    LEFT JOIN (
        SELECT DISTINCT ON (customer_id) customer_id, widgets_source.parse_address(customer_address) AS part
        FROM widgets_staging.customer_address
        WHERE upper(btrim(customer_address_type)) = 'B'
        ORDER BY customer_id, customer_address_id DESC) b ON b.customer_id = c.customer_id
    LEFT JOIN (
        SELECT DISTINCT ON (customer_id) customer_id, widgets_source.parse_address(customer_address) AS part
        FROM widgets_staging.customer_address
        WHERE upper(btrim(customer_address_type)) = 'S'
        ORDER BY customer_id, customer_address_id DESC) s ON s.customer_id = c.customer_id$$,
    natural_key => '{customer_id}');

SELECT wh.create_dimension('widgets.product', $$
    SELECT p.product_id,
        coalesce(widgets_source.clean(p.product_name), 'Unknown') AS name,
        p.product_description AS description,
        coalesce(widgets_source.clean(p.product_category), 'Unknown') AS category,
        p.product_brand AS brand,
        p.product_unit_cost AS unit_cost,
        p.product_unit_price AS unit_price,
        p.product_dimension_length AS length,
        p.product_dimension_width AS width,
        p.product_dimension_height AS height,
        widgets_source.parse_date(p.product_introduced_date) AS introduced_date,
        p.product_discontinued AS is_discontinued,
        p.product_no_longer_offered AS is_no_longer_offered,
        p.product_preferred_supplier_id AS supplier_id,
        CASE WHEN s.supplier_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.supplier_name) END AS supplier_name,
        CASE WHEN s.supplier_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.part[2]) END AS supplier_street,
        CASE WHEN s.supplier_id IS NULL THEN 'N/A' ELSE widgets_source.place(s.part[3]) END AS supplier_city,
        CASE WHEN s.supplier_id IS NULL THEN 'N/A' ELSE widgets_source.state(s.part[4]) END AS supplier_state,
        CASE WHEN s.supplier_id IS NULL THEN 'N/A' ELSE widgets_source.zip(s.part[5]) END AS supplier_zip
    FROM widgets_staging.product p
    LEFT JOIN (
        SELECT supplier_id, supplier_name, widgets_source.parse_address(supplier_address) AS part
        FROM widgets_staging.supplier) s ON s.supplier_id = p.product_preferred_supplier_id$$,
    natural_key => '{product_id}');

-- The stores, and the web shop as one more.
SELECT wh.create_dimension('widgets.store', $$
    SELECT s.store_id, 'store' AS channel,
        widgets_source.place(s.store_name) AS name,
        widgets_source.place(s.store_manager_name) AS manager_name,
        s.store_number_of_employees AS number_of_employees,
        s.store_opened_date AS opened_date,
        s.store_closed_date AS closed_date,
        CASE WHEN l.store_id IS NULL THEN 'N/A' ELSE widgets_source.place(l.street_address) END AS street,
        CASE WHEN l.store_id IS NULL THEN 'N/A' ELSE widgets_source.place(l.city) END AS city,
        CASE WHEN l.store_id IS NULL THEN 'N/A' ELSE widgets_source.state(l.state) END AS state,
        CASE WHEN l.store_id IS NULL THEN 'N/A' ELSE widgets_source.zip(l.zip_code) END AS zip,
        l.sq_footage
    FROM widgets_staging.store s
    LEFT JOIN (
        SELECT DISTINCT ON (store_id) store_id, street_address, city, state, zip_code, sq_footage
        FROM widgets_staging.store_location
        ORDER BY store_id, store_location_id DESC) l ON l.store_id = s.store_id
    UNION ALL
    SELECT w.store_id, 'web', w.store_name, 'N/A', NULL::int, w.opened_date, NULL::date, 'N/A', 'N/A', 'N/A', 'N/A', NULL::int
    FROM widgets_staging.web_shop w$$,
    natural_key => '{store_id}');


-- The fact ---------------------------------------------------------------------------
-- A row per order line or store sale. A store sale with a loyalty number belongs to that
-- customer, one without to nobody (-2). A loyalty number that e-commerce has not told of yet is an
-- inferred customer of its own, under the negative number, until it does; likewise a line
-- without its order belongs to customer 0. Cost is what the product cost at the time; its
-- first record holds for the time before it, too.

SELECT wh.create_fact('widgets.sales', $$
    SELECT 'web' AS channel, l.order_line_item_id AS sale_id, l.order_id AS order_number,
        coalesce(o.order_execution_time, l.inserted_at) AS sold_at,
        coalesce(o.order_execution_time, l.inserted_at)::date AS sale_date,
        coalesce(o.customer_id, 0) AS customer_id,
        l.order_line_item_product_id AS product_id, 0 AS store_id,
        l.order_line_item_quantity AS quantity, l.order_line_item_unit_price AS unit_price,
        l.order_line_item_total_price AS total, l.order_line_item_quantity * p.product_unit_cost AS cost,
        coalesce(o.order_cancelled, false) AS is_cancelled
    FROM widgets_staging.order_line_item l
    LEFT JOIN widgets_staging.customer_order o ON o.order_id = l.order_id
    LEFT JOIN widgets_staging.product_history p ON p.product_id = l.order_line_item_product_id
        AND coalesce(o.order_execution_time, l.inserted_at) AT TIME ZONE 'UTC' < p.effective_to
        AND (coalesce(o.order_execution_time, l.inserted_at) AT TIME ZONE 'UTC' >= p.effective_from OR NOT EXISTS (SELECT FROM widgets_staging.product_history e WHERE e.product_id = p.product_id AND e.effective_from < p.effective_from))
    UNION ALL
    SELECT 'store', s.store_sales_id, NULL::int, s.sold_at, s.transaction_date,
        CASE WHEN s.loyalty_number IS NOT NULL THEN coalesce(n.customer_id, - s.loyalty_number) END,
        s.product_id, s.store_id, s.quantity, s.unit_price, s.total_price, s.quantity * p.product_unit_cost, false
    FROM (
        SELECT store_sales_id, product_id, store_id, quantity, unit_price, total_price, loyalty_number,
            coalesce(transaction_date, inserted_at::date) AS transaction_date,
            CASE WHEN inserted_at::date <> transaction_date THEN transaction_date::timestamp ELSE inserted_at END AS sold_at
        FROM widgets_staging.store_sales) s
    LEFT JOIN widgets_staging.loyalty_number n ON n.loyalty_number = s.loyalty_number
    LEFT JOIN widgets_staging.product_history p ON p.product_id = s.product_id
        AND s.sold_at AT TIME ZONE 'UTC' < p.effective_to
        AND (s.sold_at AT TIME ZONE 'UTC' >= p.effective_from OR NOT EXISTS (SELECT FROM widgets_staging.product_history e WHERE e.product_id = p.product_id AND e.effective_from < p.effective_from))$$,
    grain => '{channel, sale_id}',
    event_time => 'sold_at',
    dimensions => '{"date": {"dimension": "widgets.date", "columns": ["sale_date"]},
                    "customer_id": "widgets.customer",
                    "product_id": "widgets.product",
                    "store_id": "widgets.store"}');
