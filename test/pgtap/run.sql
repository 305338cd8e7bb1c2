-- A run and what tells of it: wh.run, wh.plan, wh.status, wh.lineage, wh.check, wh.explain,
-- wh.alter_dimension, wh.alter_fact, and who may do what.
SELECT no_plan();

CREATE SCHEMA src;
CREATE TABLE src.customer (customer_id int, name text, email text, updated_at timestamptz);
CREATE TABLE src.sale (sale_id int, customer_id int, sold_at timestamptz, amount numeric);
SELECT wh.create_feed('customer', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'updated_at') \g /dev/null
SELECT wh.create_feed('sale', 'src.sale', 'append', key => '{sale_id}', sequence_by => 'sold_at') \g /dev/null
SELECT wh.create_dimension('customer', 'SELECT customer_id, name, email FROM customer', '{customer_id}') \g /dev/null
SELECT wh.create_fact('sale', 'SELECT sale_id, customer_id, sold_at, amount FROM sale', '{sale_id}', 'sold_at',
                      '{"customer_id": "customer"}') \g /dev/null

SELECT results_eq('SELECT object, kind, state FROM wh.status ORDER BY kind, object',
    $$VALUES ('mart.customer', 'dimension', 'never run'), ('mart.sale', 'fact', 'never run'),
             ('staging.customer', 'feed', 'never run'), ('staging.sale', 'feed', 'never run')$$,
    'status before the first run');
SELECT bag_eq('SELECT from_object, to_object FROM wh.lineage',
    $$VALUES ('src.customer', 'staging.customer'), ('src.sale', 'staging.sale'),
             ('staging.customer', 'mart.customer'), ('staging.sale', 'mart.sale'),
             ('mart.customer', 'mart.sale')$$, 'lineage follows the data');

INSERT INTO src.customer VALUES (1, 'a', 'a@x', '2024-01-01'), (2, 'b', 'b@x', '2024-01-01');
INSERT INTO src.sale VALUES (10, 1, '2024-01-02', 5), (11, 3, '2024-01-03', 7);

-- plan computes and takes back
SELECT results_eq('SELECT object, kind, rows_staged, rows_inserted FROM wh.plan() ORDER BY kind, object, rows_inserted',
    $$VALUES ('mart.customer', 'dimension', 0::bigint, 2::bigint), ('mart.sale', 'fact', 0, 2),
             ('staging.customer', 'feed', 2, 2), ('staging.sale', 'feed', 2, 2)$$, 'plan counts what a run would do')
WHERE (SELECT count(*) FROM wh.plan()) = 4
UNION ALL
SELECT results_eq('SELECT object, kind, rows_staged, rows_inserted FROM wh.plan() ORDER BY kind, object, rows_inserted',
    $$VALUES ('mart.customer', 'dimension', 0::bigint, 1::bigint), ('mart.customer', 'dimension', 0, 2),
             ('mart.sale', 'fact', 0, 2),
             ('staging.customer', 'feed', 2, 2), ('staging.sale', 'feed', 2, 2)$$, 'plan counts what a run would do')
WHERE (SELECT count(*) FROM wh.plan()) = 5;
SELECT is((SELECT count(*) FROM staging.customer_history) + (SELECT count(*) FROM mart.sale)
          + (SELECT count(*) FROM wh.batch), 0::bigint, 'plan left nothing behind');
SELECT ok((SELECT bool_and(jsonb_array_length(samples_written) = 1) FROM wh.plan(samples => 1)
           WHERE rows_staged > 0), 'plan shows samples');

CALL wh.run();
SELECT is((SELECT count(*) FROM wh.status WHERE state = 'ready'), 4::bigint, 'all is ready after a run');
SELECT is((SELECT rows FROM wh.status WHERE object = 'mart.customer'), 3::bigint, 'rows count the inferred member');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'check holds');

-- a second run changes nothing but, at most, the log
CREATE TEMP TABLE before AS SELECT (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.customer t) AS c,
    (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.sale t) AS s,
    (SELECT sum(hashtext(t::text || ctid::text)) FROM staging.customer_history t) AS h,
    (SELECT count(*) FROM wh.batch) AS b;
CALL wh.run();
SELECT results_eq('SELECT (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.customer t),
    (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.sale t),
    (SELECT sum(hashtext(t::text || ctid::text)) FROM staging.customer_history t),
    (SELECT count(*) FROM wh.batch)', 'SELECT * FROM before', 'a run with nothing new changes nothing');
CALL wh.run(full_refresh => true);
SELECT results_eq('SELECT (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.customer t),
    (SELECT sum(hashtext(t::text || ctid::text)) FROM mart.sale t)', 'SELECT c, s FROM before',
    'a full refresh changes nothing when nothing changed');

-- check finds what is wrong
CREATE FUNCTION pg_temp.check_after(damage text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE found text[];
BEGIN
    BEGIN
        EXECUTE damage;
        SELECT array_agg(failed_check ORDER BY failed_check) INTO found FROM wh.check(rebuild => true);
        RAISE EXCEPTION USING errcode = 'ZZ999';
    EXCEPTION WHEN sqlstate 'ZZ999' THEN NULL;
    END;
    RETURN QUERY SELECT unnest(found);
END $$;
SELECT bag_has($$SELECT pg_temp.check_after('UPDATE mart.customer SET is_current = false WHERE customer_id = 1')$$,
    $$VALUES ('is_current tells the open version')$$, 'a wrong is_current is found');
SELECT bag_has($$SELECT pg_temp.check_after('DELETE FROM mart.customer WHERE customer_key = -1')$$,
    $$VALUES ('members -1 (unknown) and -2 (not applicable) exist')$$, 'a missing member is found');
SELECT bag_has($$SELECT pg_temp.check_after('UPDATE mart.sale SET customer_key = 2 WHERE sale_id = 10')$$,
    $$VALUES ('customer_key refers to the version valid at sold_at')$$, 'a wrong surrogate key is found');
SELECT bag_has($$SELECT pg_temp.check_after('DELETE FROM mart.sale WHERE sale_id = 10')$$,
    $$VALUES ('equal to a full rebuild')$$, 'a missing fact row is found');
SELECT bag_has($$SELECT pg_temp.check_after('UPDATE mart.customer SET name = ''x'' WHERE customer_id = 2')$$,
    $$VALUES ('equal to a full rebuild')$$, 'a changed attribute is found');
SELECT bag_has($$SELECT pg_temp.check_after('UPDATE staging.customer_history SET effective_to = ''2030-01-01'' WHERE customer_id = 2')$$,
    $$VALUES ('versions of a key follow each other without gap or overlap')$$, 'a broken history is found');
SELECT bag_has($$SELECT pg_temp.check_after('DELETE FROM mart.sale WHERE sale_id = 11')$$,
    $$VALUES ('an inferred member is referred to')$$, 'an unneeded inferred member is found');
SELECT bag_has($$SELECT pg_temp.check_after('UPDATE wh.batch_step SET rows_read = rows_read + 1 WHERE batch_id = (SELECT min(batch_id) FROM wh.batch_step)')$$,
    $$VALUES ('read = staged + rejected + repeated + superseded')$$, 'counts that do not add up are found');

-- a failing feed
ALTER TABLE src.sale RENAME TO sale_gone;
CREATE VIEW src.broken AS SELECT sale_id, customer_id, sold_at, amount / 0 AS amount FROM src.sale_gone;
SELECT wh.create_feed('broken', 'src.broken', 'append', key => '{sale_id}', sequence_by => 'sold_at') \g /dev/null
INSERT INTO src.customer VALUES (1, 'a2', 'a@x', '2024-01-05');
LISTEN wh_alert;
SET client_min_messages = error;
SELECT throws_matching('CALL wh.run()', 'of the run''s feeds failed: staging.broken', 'a run with a failing feed ends with an error');
SELECT is((SELECT count(*) FROM mart.customer WHERE name = 'a2'), 0::bigint, 'and inside a transaction leaves nothing');
RESET client_min_messages;
\set ON_ERROR_STOP off
\o /dev/null
SET client_min_messages = error;
CALL wh.run();
RESET client_min_messages;
\o
\set ON_ERROR_STOP on
SELECT is((SELECT state FROM wh.status WHERE object = 'staging.broken'), 'failed', 'status says which feed failed');
SELECT matches((SELECT last_error FROM wh.status WHERE object = 'staging.broken'), 'division by zero', 'and why');
SELECT is((SELECT count(*) FROM staging.customer_history WHERE name = 'a2'), 1::bigint, 'the others are loaded');
SELECT is((SELECT count(*) FROM mart.customer WHERE name = 'a2'), 1::bigint, 'and published, as they do not read it');
SELECT wh.drop_feed('broken') \g /dev/null

-- a failing definition
SELECT wh.create_dimension('shaky', 'SELECT customer_id, 1 / (length(name) - 2) AS score FROM staging.customer', '{customer_id}') \g /dev/null
SELECT throws_matching('CALL wh.run()', 'division by zero', 'a definition that fails ends the run');
\set ON_ERROR_STOP off
SET client_min_messages = error;
\o /dev/null
CALL wh.run();
\o
\set ON_ERROR_STOP on
RESET client_min_messages;
SELECT is((SELECT (state, last_error)::text FROM wh.status WHERE object = 'mart.shaky'), '(failed,"division by zero")', 'status says which definition failed, and why');
SELECT is((SELECT count(*) FROM wh.status WHERE kind IN ('dimension', 'fact') AND (state = 'failed' OR last_error IS NOT NULL)), 1::bigint, 'and blames no other');
SELECT is((SELECT object FROM wh.batch ORDER BY batch_id DESC LIMIT 1), 'mart.shaky', 'so does the log of batches');
SELECT wh.drop_dimension('shaky') \g /dev/null

-- changing definitions
CREATE TEMP TABLE keys AS SELECT customer_key, customer_id, effective_from FROM mart.customer;
SELECT wh.alter_dimension('customer', query => 'SELECT customer_id, upper(name) AS name, email, length(name) AS name_length FROM customer',
                          scd => '{"email": 3}') \g /dev/null
SELECT results_eq('SELECT customer_key, customer_id, effective_from FROM mart.customer ORDER BY 1', 'SELECT * FROM keys ORDER BY 1',
    'altering a dimension keeps the surrogate keys');
SELECT results_eq($$SELECT name, name_length FROM mart.customer WHERE customer_id = 2$$, $$VALUES ('B', 1)$$, 'and computes the new columns');
SELECT has_column('mart', 'customer', 'previous_email', 'SCD type 3 adds its column');
SELECT wh.alter_fact('sale', query => 'SELECT sale_id, customer_id, sold_at, amount, amount * 2 AS double FROM sale') \g /dev/null
SELECT is((SELECT sum(double) FROM mart.sale), 24::numeric, 'altering a fact computes the new columns');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'check holds after altering');
SELECT throws_ok($$SELECT wh.alter_dimension('customer', query => 'SELECT customer_id::text, name FROM customer', scd => '{}')$$, '0A000', NULL,
    'a key column keeps its type');
SELECT throws_ok($$SELECT wh.alter_dimension('nothing', query => 'SELECT 1')$$, '42704', NULL, 'an unknown dimension');

-- explain
SELECT ok((SELECT count(*) > 5 FROM wh.explain('customer')), 'explain shows a dimension');
SELECT ok((SELECT count(*) > 5 FROM wh.explain('sale')), 'explain shows a fact');
SELECT throws_ok($$SELECT wh.explain('nothing')$$, '42704', NULL, 'explain of nothing');

-- refusals at creation, each with its own error
SELECT throws_ok($$SELECT wh.create_dimension('customer', 'SELECT customer_id FROM customer', '{customer_id}')$$, '42P07', NULL, 'a taken name');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id FROM customer', '{nope}')$$, '42703', NULL, 'a missing key column');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id, true AS is_current FROM customer', '{customer_id}')$$, '42939', NULL, 'a reserved column name');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id FROM customer', '{customer_id}', scd => '{"customer_id": 1}')$$, '22023', NULL, 'an SCD type of the key');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id FROM customer', '{customer_id}', default_scd => 4)$$, '22023', NULL, 'an unknown SCD type');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id, name FROM customer', '{customer_id}', scd => '{"name": 1.5}')$$, '22023', NULL, 'a fraction of an SCD type');
SELECT throws_ok(c, '22004', NULL, c) FROM unnest(ARRAY['SELECT wh.drop_feed(NULL)', 'SELECT wh.pause_feed(NULL)',
    'SELECT wh.ingest(NULL)', 'SELECT wh.drop_dimension(NULL)', 'SELECT wh.drop_fact(NULL)', 'SELECT wh.explain(NULL)',
    $$SELECT wh.add_screen('customer', 's', NULL)$$, $$SELECT wh.drop_screen('customer', NULL)$$,
    $$SELECT wh.write_csv('/tmp/x', NULL)$$]) c;
SELECT throws_ok($$SELECT wh.create_feed('f', 999999, 'upsert', '{id}')$$, '42P01', NULL, 'a source that is not there');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id FROM customer', '{customer_id}', history => 'some')$$, '22023', NULL, 'an unknown history');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id FROM customer', '{customer_id}', time_zone => 'Nowhere')$$, '22023', NULL, 'an unknown time zone');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT 1; SELECT 2', '{a}')$$, '42601', NULL, 'two statements');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id, now() AS n FROM customer', '{customer_id}')$$, '42P17', NULL, 'a clock-reading function');
SELECT throws_ok(format('SELECT wh.create_dimension(%L, %L, %L)', repeat('n', 60), 'SELECT customer_id FROM customer', '{customer_id}'), '42622', NULL, 'a name that gets too long');
SELECT throws_ok($$SELECT wh.create_fact('f', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'amount', '{}')$$, '42703', NULL, 'a missing event time');
SELECT throws_ok($$SELECT wh.create_fact('f', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'customer_id', '{}')$$, '42804', NULL, 'an event time that is none');
SELECT throws_ok($$SELECT wh.create_fact('f', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'sold_at', '{"customer_id": "nope"}')$$, '42704', NULL, 'an unknown dimension');
SELECT throws_ok($$SELECT wh.create_fact('f', 'SELECT sale_id, customer_id::text, sold_at FROM sale', '{sale_id}', 'sold_at', '{"customer_id": "customer"}')$$, '42804', NULL, 'a key of another type');
SELECT throws_ok($$SELECT wh.create_fact('f', 'SELECT sale_id, customer_id, sold_at FROM sale', '{sale_id}', 'sold_at', '{}', mode => 'replace')$$, '22023', NULL, 'an unknown mode');
SELECT throws_ok($$SELECT wh.drop_dimension('customer')$$, '2BP01', NULL, 'a dimension in use stays');
SELECT throws_ok($$SELECT wh.drop_feed('customer')$$, '2BP01', NULL, 'a feed in use stays');

-- what is read is computed before
SELECT wh.create_feed('chain', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'updated_at') \g /dev/null
SELECT wh.create_dimension('chain_a', 'SELECT customer_id, name FROM chain', '{customer_id}') \g /dev/null
SELECT wh.create_dimension('chain_b', 'SELECT c.customer_id, a.name FROM chain c JOIN mart.chain_a a USING (customer_id)', '{customer_id}', history => 'none') \g /dev/null
SELECT throws_ok($$SELECT wh.alter_dimension('chain_a', query => 'SELECT c.customer_id, a.name FROM chain c JOIN mart.chain_a a USING (customer_id)')$$,
    '0A000', 'the definition of "mart.chain_a" cannot read "mart.chain_a"', 'a dimension does not read itself');
SELECT throws_ok($$SELECT wh.alter_dimension('chain_a', query => 'SELECT c.customer_id, a.name FROM chain c JOIN mart.chain_b a USING (customer_id)')$$,
    '0A000', NULL, 'nor what is made from it');
SELECT throws_ok($$SELECT wh.create_dimension('chain_c', 'SELECT c.customer_id, s.amount FROM chain c JOIN mart.sale s USING (customer_id)', '{customer_id}')$$,
    '0A000', NULL, 'nor a fact');
SELECT wh.drop_dimension('chain_b'), wh.drop_dimension('chain_a'), wh.drop_feed('chain') \g /dev/null

-- what a session has set does not count
CREATE TABLE src.setting (id int, b bytea, d date, n numeric, at timestamptz);
INSERT INTO src.setting VALUES (1, '\x00ff', '2024-03-01', 1234.5, '2024-01-01');
SELECT wh.create_feed('setting', 'src.setting', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('setting', $$SELECT id, b::text AS b, d::text AS d, at::text AS at, to_char(d, 'TMMonth') AS m,
    to_char(n, '9G999D9') AS n, justify_days('40 days')::text AS i FROM setting$$, '{id}') \g /dev/null
SET bytea_output = 'escape'; SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -5;
CALL wh.run();
RESET bytea_output; RESET DateStyle; RESET TimeZone; RESET IntervalStyle; RESET extra_float_digits;
SELECT results_eq('SELECT b, d, at, m, i FROM mart.setting WHERE id = 1',
    $$VALUES ('\x00ff', '2024-03-01', '2024-01-01 00:00:00+00', 'March', '1 mon 10 days')$$, 'definitions run under settings of their own');
SELECT is_empty('SELECT * FROM wh.check(''mart.setting'', true)', 'the same under other settings');
SELECT throws_ok($$SELECT wh.create_dimension('d', 'SELECT customer_id, to_tsvector(name) AS t FROM customer', '{customer_id}')$$, '42P17', NULL, 'a text search without its configuration');
SELECT wh.drop_dimension('setting'), wh.drop_feed('setting') \g /dev/null

-- an operator needs no right on the catalogs; a reader may look only
CREATE ROLE t_operator; GRANT wh_operator TO t_operator;
CREATE ROLE t_reader; GRANT wh_reader TO t_reader;
GRANT CREATE ON DATABASE :DBNAME TO t_operator;
SET ROLE t_operator;
CREATE SCHEMA own;
CREATE TABLE own.thing (thing_id int, label text, at timestamptz);
INSERT INTO own.thing VALUES (1, 'x', '2024-01-01');
SELECT wh.create_feed('own.thing_feed', 'own.thing', 'upsert', key => '{thing_id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('own.thing_dim', 'SELECT thing_id, label FROM own.thing_feed', '{thing_id}') \g /dev/null
CALL wh.run(feeds => '{own.thing_feed}');
SELECT is((SELECT count(*) FROM own.thing_dim WHERE thing_id = 1), 1::bigint, 'an operator declares and runs');
SELECT throws_ok($$DELETE FROM wh.feed$$, '42501', NULL, 'an operator does not write the catalogs');
SET ROLE t_reader;
SELECT lives_ok('SELECT * FROM wh.status', 'a reader sees the status');
SELECT throws_ok('CALL wh.run()', '42501', NULL, 'a reader does not run');
SELECT throws_ok('SELECT raw_record FROM wh.error_event', '42501', NULL, 'a reader does not see raw records');
RESET ROLE;
SELECT lives_ok($$SELECT wh.drop_dimension('own.thing_dim'), wh.drop_feed('own.thing_feed')$$,
    'a dimension and its feed are dropped by one statement');
DROP OWNED BY t_operator, t_reader; DROP ROLE t_operator, t_reader;

-- what is added to the engine's tables and would be passed over is refused by runs too, should the event trigger be off
ALTER EVENT TRIGGER wh_guard_ddl DISABLE;
ALTER TABLE mart.customer ADD CONSTRAINT mine CHECK (name <> 'bad');
SELECT throws_ok('CALL wh.run(full_refresh => true)', '55000', 'table "customer" has a check constraint', 'a check constraint of one''s own');
ALTER TABLE mart.customer DROP CONSTRAINT mine;
ALTER TABLE staging.customer_history ALTER name SET NOT NULL;
INSERT INTO src.customer VALUES (77, NULL, NULL, '2024-01-01');
SELECT throws_ok($$SELECT wh.ingest('customer')$$, '23502', NULL, 'NOT NULL of one''s own');
ALTER TABLE staging.customer_history ALTER name DROP NOT NULL;
ALTER EVENT TRIGGER wh_guard_ddl ENABLE ALWAYS;
-- a publication of all tables does not stop the engine
SET client_min_messages = error;
CREATE PUBLICATION everything FOR ALL TABLES;
CALL wh.run();
INSERT INTO src.customer VALUES (77, 'x', NULL, '2024-01-02');
SELECT lives_ok($$SELECT wh.ingest('customer')$$, 'loads go on with a publication');
CALL wh.run();
DROP PUBLICATION everything;
RESET client_min_messages;

-- DROP of what the engine owns
SELECT throws_ok('DROP TABLE mart.customer', '2BP01', NULL, 'DROP TABLE of a dimension in use');
SELECT throws_ok('CREATE OR REPLACE VIEW mart.customer_definition AS ' || pg_get_viewdef('mart.customer_definition'::regclass), '55000', NULL,
    'a definition is not replaced by hand');
SELECT throws_ok('DROP VIEW mart.sale_definition', '2BP01', NULL, 'DROP VIEW of a definition');
SELECT throws_ok('DROP TABLE staging.customer_history CASCADE', '2BP01', NULL, 'DROP TABLE of a staged history');
SELECT wh.create_feed('gone.thing', 'src.customer', 'upsert', key => '{customer_id}', sequence_by => 'updated_at') \g /dev/null
SELECT wh.create_dimension('gone.dim', 'SELECT customer_id FROM gone.thing', '{customer_id}') \g /dev/null
SELECT wh.create_fact('gone.fact', 'SELECT customer_id, updated_at FROM gone.thing', '{customer_id}', 'updated_at', '{"customer_id": "gone.dim"}') \g /dev/null
CALL wh.run();
DROP TABLE gone.fact;
SELECT is((SELECT count(*) FROM wh.fact_dimension), 1::bigint, 'DROP TABLE of a fact drops the fact');
SET client_min_messages = error;
DROP SCHEMA gone CASCADE;
RESET client_min_messages;
SELECT is((SELECT count(*) FROM wh.status WHERE object LIKE 'gone.%' OR object ~ '^\d'), 0::bigint, 'DROP SCHEMA drops what is in it');
CALL wh.run(full_refresh => true);

SELECT wh.drop_fact('sale') \g /dev/null
SELECT is_empty('SELECT * FROM mart.customer WHERE is_inferred', 'dropping a fact removes the members only it needed');
SELECT wh.drop_dimension('customer') \g /dev/null
SELECT wh.drop_feed('sale') \g /dev/null
SELECT is((SELECT count(*) FROM wh.status), 1::bigint, 'what is dropped is gone');
SELECT * FROM finish();
