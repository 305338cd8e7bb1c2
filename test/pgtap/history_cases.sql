-- The named cases of exact history: what one key's versions are after which records.
SET client_min_messages = warning;
SELECT no_plan();
CREATE SCHEMA src;
CREATE SCHEMA t;

-- Hours of 2024-05-01: at(10) is 10:00. Days begin every 24.
CREATE FUNCTION t.at(hour float) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
$$ SELECT timestamptz '2024-05-01 00:00+00' + hour * interval '1 hour' $$;
CREATE FUNCTION t.hour(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN isfinite(at) THEN trim_scale(extract(epoch FROM at - t.at(0)) / 3600)::text ELSE at::text END $$;

CREATE TABLE src.customer (id int, name text, phone text, at timestamptz, deleted bool);
CREATE TABLE src.address (id int, customer_id int, city text, at timestamptz, deleted bool);
CREATE TABLE src.visit (id int, customer_id int, at timestamptz);
SELECT wh.create_feed('customer', 'src.customer', 'upsert', '{id}', sequence_by => 'at', deleted_when => 'deleted');
SELECT wh.create_feed('address', 'src.address', 'upsert', '{id}', sequence_by => 'at', deleted_when => 'deleted');
SELECT wh.create_feed('visit', 'src.visit', 'append', '{id}', sequence_by => 'at');
SELECT wh.create_dimension('plain', 'SELECT id, name FROM customer', '{id}');
SELECT wh.create_dimension('typed', 'SELECT id, name, phone FROM customer', '{id}', scd => '{"phone": 1}');
SELECT wh.create_dimension('original', 'SELECT id, name, phone FROM customer', '{id}', scd => '{"phone": 0, "name": 3}');
SELECT wh.create_dimension('placed', 'SELECT c.id, c.name, a.city FROM customer c LEFT JOIN address a ON a.customer_id = c.id', '{id}');
SELECT wh.create_dimension('daily', 'SELECT c.id, c.name, a.city FROM customer c LEFT JOIN address a ON a.customer_id = c.id', '{id}',
  effective_grain => 'day');
SELECT wh.create_fact('visits', 'SELECT id, customer_id, at FROM visit', '{id}', 'at', '{"customer_id": "plain"}');

-- Deliver records "id value@hour ..." of one batch: a value of "-" deletes, "0" is the empty text.
CREATE FUNCTION t.customers(records text, phone text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
  INSERT INTO src.customer
  SELECT (m[1])::int, CASE m[2] WHEN '0' THEN '' WHEN '-' THEN NULL WHEN '?' THEN NULL ELSE m[2] END, phone, t.at((m[3])::float), m[2] = '-'
    FROM regexp_matches(records, '(\d+) (\S+)@(\S+)', 'g') m $$;
CREATE FUNCTION t.addresses(records text, customer_id int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO src.address
  SELECT (m[1])::int, customer_id, m[2], t.at((m[3])::float), m[2] = '-' FROM regexp_matches(records, '(\d+) (\S+)@(\S+)', 'g') m $$;
CREATE PROCEDURE t.run() LANGUAGE plpgsql AS $$
BEGIN
  CALL wh.run();
  DELETE FROM src.customer;
  DELETE FROM src.address;
  DELETE FROM src.visit;
END $$;
-- Write the versions of a key as "value [from,to)", in order.
CREATE FUNCTION t.versions(dimension text, id int, columns text DEFAULT 'coalesce(nullif(name, ''''), CASE WHEN name IS NULL THEN ''?'' ELSE ''0'' END)')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
  EXECUTE format('SELECT string_agg(%s || '' ['' || t.hour(effective_from) || '','' || t.hour(effective_to) || '')'', '' '' ORDER BY effective_from)
    FROM mart.%I WHERE id = $1', columns, dimension) INTO r USING id;
  RETURN r;
END $$;

-- Deletes and returns ------------------------------------------------------------------
SELECT t.customers('1 a@10 1 b@20 1 -@30 1 c@40');
CALL t.run();
SELECT is(t.versions('plain', 1), 'a [10,20) b [20,30) c [40,infinity)', 'a@10, b@20, delete@30, c@40: three versions and a gap');
SELECT t.customers('2 a@10 2 c@20');
CALL t.run();
CREATE TABLE t.keys AS SELECT plain_key, name FROM mart.plain WHERE id = 2;
SELECT t.customers('2 b@15');
CALL t.run();
SELECT is(t.versions('plain', 2), 'a [10,15) b [15,20) c [20,infinity)', 'late b@15 splits [10,20)');
SELECT is_empty('SELECT plain_key, name FROM t.keys EXCEPT SELECT plain_key, name FROM mart.plain', 'the versions around it keep their surrogate keys');
SELECT t.customers('2 z@5');
CALL t.run();
SELECT is(t.versions('plain', 2), 'z [5,10) a [10,15) b [15,20) c [20,infinity)', 'a late event before all history');
SELECT t.customers('3 a@10 3 d@40');
CALL t.run();
SELECT t.customers('3 c@30 3 b@20');
CALL t.run();
SELECT is(t.versions('plain', 3), 'a [10,20) b [20,30) c [30,40) d [40,infinity)', 'two late splits in one batch');
SELECT t.customers('4 a@10');
CALL t.run();
SELECT t.customers('4 -@15');
CALL t.run();
SELECT is(t.versions('plain', 4), 'a [10,15)', 'a late delete shortens');
SELECT is((SELECT is_current FROM mart.plain WHERE id = 4), false, 'and nothing is current then');
SELECT t.customers('5 -@20');
CALL t.run();
SELECT is(t.versions('plain', 5), NULL, 'a delete of a key never seen gives no version');
SELECT t.customers('5 a@10');
CALL t.run();
SELECT is(t.versions('plain', 5), 'a [10,20)', 'and closes an earlier record that arrives later');

-- Equal states -------------------------------------------------------------------------
SELECT t.customers('6 a@5 6 a@10 6 a@15');
CALL t.run();
SELECT is(t.versions('plain', 6), 'a [5,infinity)', 'equal states make one version');
SELECT t.customers('6 b@12');
CALL t.run();
SELECT is(t.versions('plain', 6), 'a [5,12) b [12,15) a [15,infinity)', 'a late different state at 12 gives three intervals');
SELECT t.customers('7 ?@5 7 0@6 7 ?@7');
CALL t.run();
SELECT is(t.versions('plain', 7), '? [5,6) 0 [6,7) ? [7,infinity)', 'NULL to the empty text is a change');
SELECT t.customers('8 a@10 8 b@10 8 c@20');
CALL t.run();
SELECT is(t.versions('plain', 8), 'b [10,20) c [20,infinity)', 'of two records at one time one wins, and no version has no length');

-- SCD types ----------------------------------------------------------------------------
SELECT t.customers('9 a@10', 'p1');
CALL t.run();
CREATE TABLE t.typed AS SELECT typed_key FROM mart.typed WHERE id = 9;
SELECT t.customers('9 a@20', 'p2');
CALL t.run();
SELECT is(t.versions('typed', 9, 'name || phone'), 'ap2 [10,infinity)', 'a change of a type 1 column alone makes no version');
SELECT is((SELECT typed_key FROM mart.typed WHERE id = 9), (SELECT typed_key FROM t.typed), 'and leaves the surrogate key');
SELECT t.customers('9 b@30', 'p3');
CALL t.run();
SELECT is(t.versions('typed', 9, 'name || phone'), 'ap3 [10,30) bp3 [30,infinity)', 'type 1 overwrites every version');
SELECT is(t.versions('original', 9, 'name || coalesce(previous_name, ''-'') || phone'), 'bap1 [10,infinity)',
  'type 0 keeps the original, type 3 the value before');

-- Two inputs ---------------------------------------------------------------------------
SELECT t.customers('20 a@1');
SELECT t.addresses('1 x@1', 20);
CALL t.run();
SELECT t.addresses('1 y@9', 20);
CALL t.run();
SELECT is(t.versions('placed', 20, 'name || city'), 'ax [1,9) ay [9,infinity)', 'the address changed, the customer did not');
SELECT t.customers('21 a@26');
SELECT t.addresses('2 x@26', 21);
CALL t.run();
SELECT t.customers('21 b@34');
SELECT t.addresses('2 y@38', 21);
CALL t.run();
SELECT is(t.versions('placed', 21, 'name || city'), 'ax [26,34) bx [34,38) by [38,infinity)', 'both changed at different times of one day');
SELECT is(t.versions('daily', 21, 'name || city'), 'by [24,infinity)', 'with day grain the last state of the day is the day''s');
SELECT t.customers('22 a@2');
SELECT t.addresses('3 x@2', 22);
CALL t.run();
SELECT t.addresses('3 y@34', 22);
CALL t.run();
SELECT is(t.versions('daily', 22, 'name || city'), 'ax [0,24) ay [24,infinity)', 'a change at 10:00 shows the state after it from the day''s start');
SELECT t.customers('22 -@80');
CALL t.run();
SELECT is(t.versions('daily', 22, 'name || city'), 'ax [0,24) ay [24,96)', 'an end moves to the start of the next day');
SELECT t.customers('23 a@1 24 b@1');
SELECT t.addresses('4 x@1', 23);
CALL t.run();
SELECT t.addresses('4 x@5', 24);
CALL t.run();
SELECT is(t.versions('placed', 23, 'name || coalesce(city, ''-'')'), 'ax [1,5) a- [5,infinity)', 'an address that moves away gives its customer a version');
SELECT is(t.versions('placed', 24, 'name || coalesce(city, ''-'')'), 'b- [1,5) bx [5,infinity)', 'and one to the customer it comes to');

-- Facts --------------------------------------------------------------------------------
SELECT t.customers('30 a@10');
INSERT INTO src.visit VALUES (1, 30, t.at(14)), (2, 30, t.at(11)), (3, 30, t.at(3));
CALL t.run();
SELECT results_eq('SELECT v.id, d.name FROM mart.visits v JOIN mart.plain d ON d.plain_key = v.customer_key ORDER BY 1',
  $$VALUES (1, 'a'), (2, 'a'), (3, 'a')$$, 'facts find the version of their time, or the first');
SELECT t.customers('30 b@12');
CALL t.run();
SELECT results_eq('SELECT v.id, d.name FROM mart.visits v JOIN mart.plain d ON d.plain_key = v.customer_key ORDER BY 1',
  $$VALUES (1, 'b'), (2, 'a'), (3, 'a')$$, 'the fact at 14 moves when the late version at 12 arrives');
SELECT is((SELECT rows_repointed FROM wh.batch_step WHERE object = 'mart.visits' ORDER BY batch_id DESC LIMIT 1), 1::bigint, 'and it alone');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check finds nothing');

-- A hot key ----------------------------------------------------------------------------
CREATE TABLE t.duration (versions int, seconds float);
CREATE PROCEDURE t.hot(versions int) LANGUAGE plpgsql AS $$
DECLARE started timestamptz;
BEGIN
  INSERT INTO src.customer SELECT 1000000 + versions, 'n' || i, NULL, t.at(i), false FROM generate_series(1, versions) i;
  INSERT INTO src.address SELECT 1000000 + versions, 1000000 + versions, 'c', t.at(0), false;
  COMMIT;
  started := clock_timestamp();
  CALL wh.run();
  INSERT INTO t.duration VALUES (versions, extract(epoch FROM clock_timestamp() - started));
  DELETE FROM src.customer;
  DELETE FROM src.address;
  COMMIT;
END $$;
SET jit = off;
CALL t.hot(1000);
CALL t.hot(10000);
CALL t.hot(100000);
SELECT is((SELECT count(*) FROM mart.plain WHERE id = 1100000), 100000::bigint, 'a key of 100,000 versions has them all');
SELECT is((SELECT count(*) FROM mart.placed WHERE id = 1100000 AND city = 'c'), 100000::bigint, 'joined ones too');
SELECT diag(format('%s versions of one key: %s s', versions, round(seconds::numeric, 2))) FROM t.duration;
SELECT cmp_ok((SELECT (max(seconds) FILTER (WHERE versions = 100000) / max(seconds) FILTER (WHERE versions = 10000))::numeric FROM t.duration), '<', 25::numeric,
  '10 times the versions of one key take less than 25 times as long');

-- An hour that comes twice, when clocks go back, is one grain from its first beginning on.
CREATE TABLE src.clock (id int, v text, at timestamptz);
INSERT INTO src.clock VALUES (1, 'a', '2024-10-26 12:00Z'), (1, 'b', '2024-10-27 00:30Z'), (1, 'c', '2024-10-27 01:30Z'),
    (1, 'd', '2024-10-27 02:30Z');
SELECT wh.create_feed('clock', 'src.clock', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('clock', 'SELECT id, v FROM clock', '{id}', effective_grain => 'hour', time_zone => 'Europe/Berlin') \g /dev/null
-- no record, however far its time, stops a publish
INSERT INTO src.clock VALUES (2, 'first', '4714-12-01 BC'), (3, 'last', '294276-12-31 23:00Z'), (4, 'far', '294276-06-01');
SELECT wh.create_dimension('clock_month', 'SELECT id, v FROM clock', '{id}', effective_grain => 'month', time_zone => 'America/Sao_Paulo') \g /dev/null
CALL wh.run();
SELECT results_eq('SELECT v, effective_from FROM mart.clock WHERE id = 1 ORDER BY effective_from',
    $$VALUES ('a', '2024-10-26 12:00Z'::timestamptz), ('c', '2024-10-27 00:00Z'), ('d', '2024-10-27 02:00Z')$$,
    'the hour that comes twice');
SELECT results_eq($$SELECT message, count(*) FROM wh.error_event WHERE feed = 'staging.clock' GROUP BY 1$$,
    $$VALUES ('event time is infinite or out of range', 2::bigint)$$, 'event times at the ends of the range are rejected');
SELECT results_eq('SELECT id FROM mart.clock_month WHERE is_current AND id IS NOT NULL ORDER BY 1', ARRAY[1, 4], 'the others are published');

-- Types without an order: json, xml and point. Of two rows for a key the first by text counts.
CREATE TABLE src.odd (id int, part int, j json, x xml, p point, at timestamptz);
INSERT INTO src.odd VALUES (1, 1, '{"a": 2}', '<b/>', '(1,2)', '2024-01-01'), (1, 2, '{"a": 1}', '<b/>', '(1,2)', '2024-01-01');
SELECT wh.create_feed('odd', 'src.odd', 'upsert', '{id,part}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('odd', 'SELECT id, j, x, p FROM odd', '{id}', scd => '{"p": 3}') \g /dev/null
SELECT wh.create_dimension('odd_now', 'SELECT id, j, x, p FROM odd', '{id}', history => 'none') \g /dev/null
CALL wh.run();
INSERT INTO src.odd VALUES (1, 2, '{"a": 1}', '<b/>', '(1,2)', '2024-01-02'), (1, 2, '{"a": 3}', '<b/>', '(1,3)', '2024-01-03');
CALL wh.run();
SELECT results_eq('SELECT j::text, x::text, p::text, previous_p::text, effective_from FROM mart.odd WHERE id = 1 ORDER BY effective_from',
    $$VALUES ('{"a": 1}', '<b/>', '(1,2)', NULL, '2024-01-01'::timestamptz), ('{"a": 2}', '<b/>', '(1,2)', NULL, '2024-01-03')$$,
    'types without an order are compared by their image and ordered by their text');
SELECT results_eq('SELECT j::text FROM mart.odd_now WHERE id = 1', $$VALUES ('{"a": 2}')$$, 'the same of current rows');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and hold');
SELECT * FROM finish();
