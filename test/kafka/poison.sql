-- Poison: of 100,000 messages 1 % are wrong in ten ways. Each is an error event with all of the message;
-- all others are staged; what a fix makes right is staged by a retry.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
SELECT setseed(0.7);
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');
\! $KAFKA_CTL topic poison_kinds 4 retention.ms=-1 max.message.bytes=6000000
CREATE FOREIGN TABLE wire (payload bytea, key text OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers'), part int OPTIONS (metadata 'partition'),
    off bigint OPTIONS (metadata 'offset'), at timestamptz OPTIONS (metadata 'timestamp'))
  SERVER shop OPTIONS (topic 'poison_kinds', format 'text');
CREATE FOREIGN TABLE click (id int NOT NULL, amount numeric(10,2), count int, page text NOT NULL, note text, tags jsonb,
    off bigint OPTIONS (metadata 'offset'), part int OPTIONS (metadata 'partition')) SERVER shop OPTIONS (topic 'poison_kinds');

-- the wrong ones stand anywhere; ten of them have 5 MB
CREATE TABLE sent (id int PRIMARY KEY, kind text NOT NULL, payload bytea NOT NULL, part int, at timestamptz, headers jsonb);
INSERT INTO sent
  SELECT id, kind, CASE kind
      WHEN 'truncated JSON' THEN convert_to(left(good, 10 + id % 20), 'UTF8')
      WHEN 'wrong type' THEN convert_to(replace(good, '"amount":1.5', '"amount":"much"'), 'UTF8')
      WHEN 'overflow' THEN convert_to(replace(good, '"count":1', '"count":2147483648'), 'UTF8')
      WHEN 'invalid UTF-8' THEN overlay(convert_to(good, 'UTF8') PLACING '\xc328' FROM position('"home' IN good) + 1)
      WHEN 'NUL byte' THEN overlay(convert_to(good, 'UTF8') PLACING '\x00' FROM position('"home' IN good) + 2 FOR 1)
      WHEN 'missing field' THEN convert_to(regexp_replace(good, '"page":"[^"]*",', ''), 'UTF8')
      WHEN 'too deep' THEN convert_to(replace(good, '[1]', repeat('[', 7000) || repeat(']', 7000)), 'UTF8')
      WHEN 'empty' THEN ''::bytea
      WHEN 'array' THEN convert_to('[' || good || ']', 'UTF8')
      WHEN '5 MB' THEN convert_to(replace(good, 'short', repeat(md5(id::text) || chr(8364), 5000000 / 35)), 'UTF8')
      ELSE convert_to(good, 'UTF8') END,
    id % 4, '2024-01-01'::timestamptz + id * interval '1 second', CASE WHEN id % 3 = 0 THEN jsonb_build_object('trace', id::text) END
  FROM (SELECT id, format('{"id":%s,"amount":1.5,"count":1,"page":"home %s","note":"short","tags":{"a":[1]}}', id, id) AS good,
          CASE WHEN place > 1000 THEN 'good' WHEN place <= 10 THEN '5 MB'
            ELSE (ARRAY['truncated JSON', 'wrong type', 'overflow', 'invalid UTF-8', 'NUL byte', 'missing field', 'too deep', 'empty', 'array'])[1 + place % 9] END AS kind
        FROM (SELECT id, row_number() OVER (ORDER BY random()) AS place FROM generate_series(1, 100000) id) p) k;
SELECT cmp_ok((SELECT min(length(payload)) FROM sent WHERE kind = '5 MB'), '>', 4900000, 'large ones are large');
INSERT INTO wire (payload, key, headers, part, at) SELECT payload, id, headers, part, at FROM sent ORDER BY id;

SELECT wh.create_feed('click', 'click', 'append') \gset x
SELECT wh.add_screen('click', 'short', 'length(note) <= 100000') \gset x
SELECT wh.ingest('click') \gset x
SELECT results_eq('SELECT count(*), count(DISTINCT id), sum(id) FROM staging.click', $$SELECT count(*), count(*), sum(id) FROM sent WHERE kind = 'good'$$, 'all good ones are staged');
SELECT is((SELECT count(*) FROM staging.click), 99000::bigint, 'which are 99,000');
CREATE TABLE seen AS SELECT s.kind, s.id, e.* FROM wh.error_event e LEFT JOIN sent s ON s.id = convert_from(e.message_key, 'UTF8')::int;
SELECT results_eq('SELECT kind, sqlstate, "column", count(*)::int FROM seen GROUP BY 1, 2, 3 ORDER BY 1', $$VALUES
  ('5 MB', '23514', NULL, 10), ('NUL byte', '22021', NULL, 110), ('array', '22P02', NULL, 110), ('empty', '22P02', NULL, 110), ('invalid UTF-8', '22021', NULL, 110),
  ('missing field', '23502', 'page', 110), ('overflow', '22003', 'count', 110), ('too deep', '54000', NULL, 110), ('truncated JSON', '22P02', NULL, 110), ('wrong type', '22P02', 'amount', 110)$$,
  'each of the others is an event with its reason');
SELECT is_empty('SELECT kind, id FROM seen JOIN sent USING (kind, id) WHERE raw_record IS DISTINCT FROM payload', 'with the payload, byte for byte');
SELECT is_empty($$SELECT kind, id FROM seen JOIN sent USING (kind, id) WHERE topic <> 'poison_kinds' OR "partition" <> part OR message_timestamp <> at OR message_headers IS DISTINCT FROM headers$$,
  'with topic, partition, timestamp, key and headers');
SELECT is_empty($$SELECT s.id FROM seen s LEFT JOIN (SELECT key, part, off FROM wire) w ON w.part = s."partition" AND w.off = s."offset" WHERE w.key IS DISTINCT FROM s.id::text$$, 'and the offset');
SELECT results_eq('SELECT rows_read, rows_staged, rows_rejected FROM wh.batch_step', 'VALUES (100000::bigint, 99000::bigint, 1000::bigint)', 'counts are exact');

SELECT is(wh.retry_error_events('click'), 0::bigint, 'without a fix none is right');
ALTER FOREIGN TABLE click ALTER page DROP NOT NULL;
SELECT wh.drop_screen('click', 'short') \gset x
SELECT is(wh.retry_error_events('click'), 120::bigint, 'a field that may be missing and a screen less make 120 right');
SELECT is((SELECT count(*) FROM staging.click), 99120::bigint, 'which are staged');
SELECT set_eq('SELECT DISTINCT kind FROM sent JOIN staging.click USING (id)', ARRAY['good', 'missing field', '5 MB'], 'those and no others');
SELECT is_empty($$SELECT id FROM staging.click c JOIN sent s USING (id) WHERE c.note IS DISTINCT FROM convert_from(s.payload, 'UTF8')::jsonb ->> 'note' OR c.tags IS DISTINCT FROM (convert_from(s.payload, 'UTF8')::jsonb -> 'tags')
  OR c.effective_from <> s.at OR c.part <> s.part$$, 'with their values, times and partitions');
SELECT is_empty('SELECT key FROM wire w JOIN staging.click c ON c.id = w.key::int WHERE w.off <> c.off', 'and offsets');
SELECT is_empty('SELECT c.id FROM staging.click c JOIN wh.source_unit u ON u.unit_no = c.source_position >> 40 WHERE c.source_position & ((1::bigint << 40) - 1) <> off OR u.name <> ''poison_kinds/'' || part', 'at their positions');
SELECT results_eq($$SELECT error_event_id, raw_record, message FROM wh.error_event WHERE state <> 'retried' ORDER BY 1$$, $$SELECT error_event_id, raw_record, message FROM seen WHERE kind NOT IN ('5 MB', 'missing field') ORDER BY 1$$,
  'the other events are as they were');
SELECT is_empty($$SELECT * FROM wh.batch_step WHERE rows_read <> rows_staged + rows_rejected + rows_repeated + rows_superseded$$, 'counts reconcile');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
