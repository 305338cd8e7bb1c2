-- Widgets Unlimited, operations: three systems that never talk to each other, with what they expose.
--
--   ecommerce   customer, customer_address, loyalty_number, customer_order, order_line_item
--               a Kafka topic per entity, or a row of ecommerce.outbox per message
--   inventory   product, supplier, inventory: a CSV file per entity and day
--   in_store    store, store_location, store_sales: the tables themselves
--
-- Run it with
--     SELECT wh.create_model('widgets', role => 'operations', options => '{"directory": "/srv/inventory"}');
-- or, to change it first, as an ordinary script:
--     psql -1 -c "SET widgets_wh.model_options = '{\"directory\": \"/srv/inventory\"}'" -f operations.sql
-- and then CALL wh.simulate(). Its options, none of which must be given:
--
-- option bootstrap_servers: Kafka; without, messages go to table ecommerce.outbox
-- option topic_prefix: put before each topic's name; by default nothing
-- option directory: the server's folder for CSV files, absolute; without, none are written
-- option start_date: the first simulated day; by default 2024-01-01
-- option seed: the same seed makes the same company; by default 1
-- option dirt: share of faulty values in the columns where real sources have them, up to 0.2; by default 0
-- option change_log: whether operations.change keeps every record handed out; by default true

CREATE SCHEMA operations;
COMMENT ON SCHEMA operations IS 'Widgets Unlimited: the simulator and its log';
CREATE SCHEMA ecommerce;
COMMENT ON SCHEMA ecommerce IS 'Widgets Unlimited: the web shop';
CREATE SCHEMA inventory;
COMMENT ON SCHEMA inventory IS 'Widgets Unlimited: products, suppliers and warehouses';
CREATE SCHEMA in_store;
COMMENT ON SCHEMA in_store IS 'Widgets Unlimited: the stores';

-- Options and log --------------------------------------------------------------------

CREATE TABLE operations.option (name text PRIMARY KEY, value jsonb NOT NULL);
INSERT INTO operations.option
SELECT * FROM jsonb_each('{"topic_prefix": "", "start_date": "2024-01-01", "seed": 1, "dirt": 0, "change_log": true}'
    || coalesce(nullif(current_setting('widgets_wh.model_options', true), ''), '{}')::jsonb) o
WHERE o.value <> 'null';
DO $$
DECLARE
    unknown text;
    options CONSTANT jsonb := (SELECT jsonb_object_agg(name, value) FROM operations.option);
BEGIN
    SELECT string_agg(name, ', ') INTO unknown FROM operations.option
    WHERE name NOT IN ('bootstrap_servers', 'topic_prefix', 'directory', 'start_date', 'seed', 'dirt', 'change_log');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'unknown option of model widgets, role operations: %', unknown USING
            ERRCODE = 'invalid_parameter_value',
            HINT = 'The options are bootstrap_servers, topic_prefix, directory, start_date, seed, dirt, change_log.';
    END IF;
    IF options ->> 'directory' NOT LIKE '/%' THEN
        RAISE EXCEPTION 'option "directory" must be an absolute path, not "%"', options ->> 'directory'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'For example "/srv/inventory", which the server can write.';
    END IF;
    IF jsonb_typeof(options -> 'dirt') <> 'number' OR NOT ((options ->> 'dirt')::float8 BETWEEN 0 AND 0.2) THEN
        RAISE EXCEPTION 'option "dirt" must be a share between 0 and 0.2' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(options -> 'change_log') <> 'boolean' THEN
        RAISE EXCEPTION 'option "change_log" must be true or false' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Errors of these casts say what is wrong.
    PERFORM (options ->> 'seed')::bigint, (options ->> 'start_date')::date;
END
$$;

CREATE FUNCTION operations.option(name text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN (SELECT o.value #>> '{}' FROM operations.option o WHERE o.name = option.name);

CREATE TABLE operations.day (
    day int PRIMARY KEY,
    date date NOT NULL UNIQUE,
    seed bigint NOT NULL,
    simulated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE operations.day IS 'a row per simulated day; its number is the batch in wh.generator_batch';

CREATE TABLE operations.exposed (
    day int NOT NULL REFERENCES operations.day,
    system text NOT NULL,
    entity text NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    duplicates bigint NOT NULL,
    sent_to text NOT NULL,
    duration interval NOT NULL,
    PRIMARY KEY (day, entity)
);
COMMENT ON TABLE operations.exposed IS 'what each system handed out, by day and entity; duplicates are records handed out twice, on top of the others';

-- What a system handed out, record by record: the change log that any warehouse can be checked against.
CREATE TABLE operations.change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day int NOT NULL,
    entity text NOT NULL,
    key bigint NOT NULL,
    record jsonb NOT NULL
);
COMMENT ON TABLE operations.change IS 'every record handed out, in order, as it was then (dirt included, duplicates once), unless option change_log is false';

-- The systems' tables, and how their rows are made ------------------------------------

\ir operations.tables.sql
\ir operations.generators.sql

-- A day's work -----------------------------------------------------------------------

CREATE TYPE operations.step AS (
    entity text,
    inserts bigint,
    updates bigint,
    link_parent boolean
);

-- What happens on a day: the standard four, then a steady business with seasons and growth.
CREATE FUNCTION operations.plan(day int, date date, scale float8, growth float8) RETURNS SETOF operations.step
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    month_weights CONSTANT float8[] := '{0.82,0.80,0.92,0.93,1.00,0.98,0.94,0.97,0.95,1.02,1.25,1.42}';
    weekday_weights CONSTANT float8[] := '{0.93,0.90,0.92,0.97,1.12,1.22,0.94}';
    busy float8 := scale * month_weights[extract(month FROM date)::int]
        * weekday_weights[extract(isodow FROM date)::int] * power(1 + growth, day / 365.25);
BEGIN
    RETURN QUERY
    SELECT s.entity,
        -- on the first day, one of each at least: the others refer to them
        CASE WHEN s.link_parent OR s.inserts = 0 THEN s.inserts
            ELSE greatest(round(s.inserts * CASE WHEN s.is_trade THEN busy ELSE scale END), (s.day = 1)::int) END::bigint,
        round(s.updates * scale)::bigint, s.link_parent
    FROM (VALUES
        (1, 'supplier', 40, 0, false, false), (1, 'product', 500, 0, false, false),
        (1, 'customer', 200, 0, false, false), (1, 'customer_address', 1, 0, true, false), (1, 'loyalty_number', 1, 0, true, false),
        (1, 'store', 12, 0, false, false), (1, 'store_location', 1, 0, true, false), (1, 'store_sales', 300, 0, false, false),
        (1, 'inventory', 100, 0, false, false),
        (2, 'supplier', 5, 0, false, false), (2, 'product', 50, 0, false, false),
        (2, 'customer', 40, 0, false, false), (2, 'customer_address', 1, 0, true, false), (2, 'loyalty_number', 1, 0, true, false),
        (2, 'order', 1000, 0, false, false), (2, 'order_line_item', 5, 0, true, false),
        (2, 'store', 2, 0, false, false), (2, 'store_location', 1, 0, true, false), (2, 'store_sales', 300, 0, false, false),
        (2, 'inventory', 100, 0, false, false),
        (3, 'supplier', 0, 2, false, false), (3, 'product', 50, 5, false, false),
        (3, 'customer', 0, 5, false, false), (3, 'customer_address', 0, 10, false, false), (3, 'loyalty_number', 0, 3, false, false),
        (3, 'order', 1000, 10, false, false), (3, 'order_line_item', 3, 10, true, false),
        (3, 'store', 0, 1, false, false), (3, 'store_sales', 300, 5, false, false), (3, 'inventory', 100, 0, false, false),
        (4, 'customer', 25, 61, false, false), (4, 'customer_address', 1, 0, true, false), (4, 'loyalty_number', 1, 0, true, false),
        (4, 'store_location', 0, 2, false, false), (4, 'store_sales', 300, 0, false, false), (4, 'inventory', 100, 0, false, false),
        (5, 'supplier', 0, 1, false, false), (5, 'product', 3, 5, false, false),
        (5, 'customer', 25, 10, false, true), (5, 'customer_address', 1, 10, true, false), (5, 'loyalty_number', 1, 5, true, false),
        (5, 'order', 700, 15, false, true), (5, 'order_line_item', 4, 15, true, false),
        (5, 'store', 0, 1, false, false), (5, 'store_location', 0, 1, false, false), (5, 'store_sales', 400, 5, false, true),
        (5, 'inventory', 100, 0, false, true)) s(day, entity, inserts, updates, link_parent, is_trade)
    JOIN operations.entity e USING (entity)
    WHERE s.day = least(plan.day, 5)
    ORDER BY e.position;
END
$$;

-- Updates of the running day, until they are exposed.
CREATE UNLOGGED TABLE operations.updated (entity text NOT NULL, key bigint NOT NULL, PRIMARY KEY (entity, key));
CREATE FUNCTION operations.note_update() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO operations.updated VALUES (tg_argv[0], (to_jsonb(new) ->> tg_argv[1])::bigint) ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
DO $$
DECLARE
    e operations.entity;
BEGIN
    FOR e IN SELECT * FROM operations.entity LOOP
        EXECUTE format('CREATE TRIGGER note_update AFTER UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION operations.note_update(%L, %L)',
            e.relation, e.entity, e.key);
    END LOOP;
END
$$;

-- What the systems expose --------------------------------------------------------------

CREATE TABLE ecommerce.outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key text NOT NULL,
    message jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE ecommerce.outbox IS 'messages of the web shop when there is no Kafka';

-- With Kafka: a foreign table per topic, in schema ecommerce_topic.
DO $$
DECLARE
    e operations.entity;
BEGIN
    IF operations.option('bootstrap_servers') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE SERVER widgets_ecommerce FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers %L)',
        operations.option('bootstrap_servers'));
    CREATE SCHEMA ecommerce_topic;
    FOR e IN SELECT * FROM operations.entity WHERE system = 'ecommerce' LOOP
        EXECUTE (SELECT format('CREATE FOREIGN TABLE ecommerce_topic.%I (%s) SERVER widgets_ecommerce OPTIONS (topic %L, format ''json'', key_column %L)',
                e.entity, string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum),
                operations.option('topic_prefix') || e.entity, e.key)
            FROM pg_attribute WHERE attrelid = e.relation AND attnum > 0 AND NOT attisdropped);
    END LOOP;
END
$$;

-- Hands out an entity's new and changed rows of a day.
CREATE FUNCTION operations.expose(e operations.entity, day int, date date, dirt float8) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first_key bigint;
    last_key bigint;
    chosen text;
    records text;
    columns text;
    inserted bigint;
    changed bigint;
    twice bigint;
    sent_to text;
    started_at CONSTANT timestamptz := clock_timestamp();
BEGIN
    SELECT min(b.first_key), max(b.last_key) INTO first_key, last_key FROM wh.generator_batch b
    WHERE b.batch_id = day AND b.relation = e.relation AND b.inserted > 0;
    SELECT count(*) INTO changed FROM operations.updated u WHERE u.entity = e.entity;
    inserted := coalesce(last_key - first_key + 1, 0);
    IF inserted + changed = 0 THEN
        RETURN;
    END IF;
    SELECT string_agg(format('t.%I', attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = e.relation AND attnum > 0 AND NOT attisdropped;
    -- Two arms, each by the primary key's index: the table may be large.
    chosen := format('(SELECT * FROM %1$s WHERE %2$I BETWEEN %3$s AND %4$s'
        ' UNION ALL SELECT t.* FROM operations.updated u JOIN %1$s t ON t.%2$I = u.key WHERE u.entity = %5$L AND u.key NOT BETWEEN %3$s AND %4$s) t',
        e.relation, e.key, coalesce(first_key, 1), coalesce(last_key, 0), e.entity);
    -- As real sources do, some records come twice: the stores' tables cannot.
    records := format('SELECT %s FROM %s%s ORDER BY t.%I', columns, chosen,
        CASE WHEN dirt > 0 AND e.system <> 'in_store' THEN
            format(', (VALUES (1), (2)) n(n) WHERE n = 1 OR operations.draw(%s, t.%I) < %s', day, e.key, dirt) ELSE '' END,
        e.key);
    IF operations.option('change_log')::boolean THEN
        EXECUTE format('INSERT INTO operations.change (day, entity, key, record) SELECT %s, %L, t.%I, to_jsonb(t) FROM %s ORDER BY t.%3$I',
            day, e.entity, e.key, chosen);
    END IF;

    IF e.system = 'in_store' THEN
        sent_to := e.relation::text;
        twice := 0;
    ELSIF e.system = 'ecommerce' AND operations.option('bootstrap_servers') IS NOT NULL THEN
        EXECUTE format('INSERT INTO ecommerce_topic.%I %s', e.entity, records);
        GET DIAGNOSTICS twice = ROW_COUNT;
        sent_to := operations.option('topic_prefix') || e.entity;
    ELSIF e.system = 'ecommerce' THEN
        EXECUTE format('INSERT INTO ecommerce.outbox (topic, key, message) SELECT %L, r.%I, to_jsonb(r) FROM (%s) r',
            operations.option('topic_prefix') || e.entity, e.key, records);
        GET DIAGNOSTICS twice = ROW_COUNT;
        sent_to := 'ecommerce.outbox';
    ELSIF operations.option('directory') IS NOT NULL THEN
        sent_to := format('%s/%s_%s.csv', operations.option('directory'), e.entity, to_char(date, 'YYYY-MM-DD'));
        twice := wh.write_csv(sent_to, records);
    ELSE
        sent_to := 'nowhere: no directory';
        twice := inserted + changed;
    END IF;
    IF e.system <> 'in_store' THEN
        twice := twice - inserted - changed;
    END IF;
    INSERT INTO operations.exposed VALUES (day, e.system, e.entity, inserted, changed, twice, sent_to, clock_timestamp() - started_at);
END
$$;

-- A number of [0, 1) that depends on a day and a key only.
CREATE FUNCTION operations.draw(day int, key bigint) RETURNS float8
LANGUAGE sql IMMUTABLE
RETURN (hashint8extended(key, day) >> 11 & 4503599627370495) / 4503599627370496.0;

-- Simulates the next day: makes its rows in all systems, then hands them out. Returns its number.
CREATE FUNCTION operations.simulate_day(start_date date, seed bigint, scale float8, growth float8, dirt float8, workers int)
RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    today operations.day;
    previous operations.day;
    share float8 := coalesce(dirt, operations.option('dirt')::float8);
    s operations.step;
    e operations.entity;
BEGIN
    LOCK TABLE operations.day IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO previous FROM operations.day d ORDER BY d.day DESC LIMIT 1;
    today.day := coalesce(previous.day, 0) + 1;
    today.date := coalesce(start_date, previous.date + 1, operations.option('start_date')::date);
    today.seed := coalesce(seed, operations.option('seed')::bigint);
    IF today.date <= previous.date THEN
        RAISE EXCEPTION 'day % cannot be %: the day before it was %', today.day, today.date, previous.date
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Days follow each other; leave out start_date.';
    END IF;
    IF NOT (today.date BETWEEN '0001-01-01' AND '9999-12-31') THEN
        RAISE EXCEPTION 'day % cannot be %: it must be a date of the years 1 to 9999', today.day, today.date
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF scale IS NULL OR NOT (scale >= 0 AND scale <= 1e6) THEN
        RAISE EXCEPTION 'scale must be between 0 and 1000000' USING ERRCODE = 'invalid_parameter_value', HINT = '1 is the standard company.';
    END IF;
    IF growth IS NULL OR NOT (growth > -1 AND growth <= 1000) THEN
        RAISE EXCEPTION 'growth must be above -1 and at most 1000' USING ERRCODE = 'invalid_parameter_value', HINT = '0.1 is a tenth more trade a year.';
    END IF;
    IF NOT (share BETWEEN 0 AND 0.2) THEN
        RAISE EXCEPTION 'dirt must be a share between 0 and 0.2' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO operations.day VALUES (today.day, today.date, today.seed);
    IF dirt IS NOT NULL AND dirt <> operations.option('dirt')::float8 THEN
        UPDATE operations.option o SET value = to_jsonb(dirt) WHERE o.name = 'dirt';
        PERFORM operations.declare_generators(dirt);
    END IF;

    -- Changes first, so that a day's new rows are not changed on the same day.
    FOR s IN SELECT p.* FROM operations.plan(today.day, today.date, scale, growth) p WHERE p.inserts > 0 OR p.updates > 0 LOOP
        SELECT * INTO e FROM operations.entity WHERE entity = s.entity;
        -- A small scale may leave a day without parents.
        IF s.link_parent AND NOT EXISTS (SELECT FROM wh.generator_batch b
                WHERE b.batch_id = today.day AND b.relation = e.parent AND b.inserted > 0) THEN
            s.inserts := 0;
            s.link_parent := false;
        END IF;
        PERFORM wh.generate(e.relation, s.inserts, s.updates, s.link_parent, today.day, today.seed, workers,
            today.date, today.date + 1);
    END LOOP;
    FOR e IN SELECT * FROM operations.entity ORDER BY position LOOP
        PERFORM operations.expose(e, today.day, today.date, share);
    END LOOP;
    DELETE FROM operations.updated;
    RETURN today.day;
END
$$;
COMMENT ON FUNCTION operations.simulate_day(date, bigint, float8, float8, float8, int)
    IS 'simulates the next day in the caller''s transaction; CALL wh.simulate() runs it';
