-- What numbers, strings and keys mean: times as numbers, base64, arrays, schemas, keys of Connect, frames, headers.
\getenv bootstrap KAFKA_BOOTSTRAP
SELECT no_plan();
SET timezone = 'UTC';
CREATE SERVER shop FOREIGN DATA WRAPPER wh_kafka OPTIONS (bootstrap_servers :'bootstrap');

-- a number is a time only where something says what it counts
\! $KAFKA_CTL topic v_epoch 1
CREATE FOREIGN TABLE raw_epoch (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'v_epoch', format 'text');
INSERT INTO raw_epoch (v) VALUES
  ('{"d":19783,"s":1709280115,"ms":1709280115123,"us":1709280115123456,"ns":1709280115123456789,"t":37800000,"i":93784000000,"s0":-1}'),
  ('{"d":-1,"s":1.7092801155e9,"ms":-1,"us":-1,"ns":-1,"t":0,"i":-1500000,"s0":0.5}'),
  ('{"d":"2024-03-01","s":"2024-03-01 08:01:55","t":"10:30","i":"1 hour"}'),
  ('{"d":1709280115}'), ('{"s":170928011512345}'), ('{"t":86400001}'), ('{"d":1.5e999}'), ('{"s":true}'), ('{"plain":1}');
CREATE FOREIGN TABLE epoch (d date OPTIONS (epoch 'days'), s timestamp OPTIONS (epoch 'seconds'), ms timestamptz OPTIONS (epoch 'milliseconds'),
  us timestamp OPTIONS (epoch 'microseconds'), ns timestamp OPTIONS (epoch 'nanoseconds'), t time OPTIONS (epoch 'milliseconds'),
  i interval OPTIONS (epoch 'microseconds'), s0 timestamp(0) OPTIONS (epoch 'seconds'), plain date, off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'v_epoch');
SELECT results_eq('SELECT d, s, ms, us, ns, t, i, s0 FROM epoch WHERE off < 3 ORDER BY off', $$VALUES
  ('2024-03-01'::date, '2024-03-01 08:01:55'::timestamp, '2024-03-01 08:01:55.123+00'::timestamptz, '2024-03-01 08:01:55.123456'::timestamp,
   '2024-03-01 08:01:55.123456'::timestamp, '10:30'::time, '26:03:04'::interval, '1969-12-31 23:59:59'::timestamp(0)),
  ('1969-12-31', '2024-03-01 08:01:55.5', '1969-12-31 23:59:59.999+00', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999', '00:00', '-1.5 s', '1970-01-01 00:00:00'),
  ('2024-03-01', '2024-03-01 08:01:55', NULL, NULL, NULL, '10:30', '1 hour', NULL)$$, 'epochs of every unit, in every spelling; text beside them');
SELECT results_eq($$SELECT "offset"::int, "column" FROM wh.kafka_errors('epoch')$$, $$VALUES (3, 'd'), (4, 's'), (5, 't'), (6, 'd'), (7, 's'), (8, 'plain')$$,
  'what is out of range, or no time, and a number of which nothing is said, are errors');
SELECT throws_like('SELECT plain FROM epoch WHERE off = 8', '%option epoch says what it counts', 'which names the option');
CREATE FOREIGN TABLE misplaced (a int OPTIONS (epoch 'days')) SERVER shop OPTIONS (topic 'v_epoch');
SELECT throws_ok('SELECT * FROM misplaced', 'HV024', NULL, 'epoch is for times');
SELECT throws_ok($$CREATE FOREIGN TABLE no (a date OPTIONS (epoch 'weeks')) SERVER shop OPTIONS (topic 't')$$, 'HV024', NULL, 'units are known');
SELECT throws_ok($$CREATE FOREIGN TABLE no (a bytea OPTIONS (encoding 'hex')) SERVER shop OPTIONS (topic 't')$$, 'HV024', NULL, 'encodings are known');
SELECT throws_ok($$CREATE FOREIGN TABLE no (a numeric OPTIONS (scale '-1')) SERVER shop OPTIONS (topic 't')$$, 'HV024', NULL, 'a scale is a number of digits');

-- bytes, decimals and arrays
\! $KAFKA_CTL topic v_bytes 1
CREATE FOREIGN TABLE raw_bytes (v text) SERVER shop OPTIONS (topic 'v_bytes', format 'text');
INSERT INTO raw_bytes VALUES
  ('{"b":"AQID","n":"MDk=","a":[1,null,3],"t":["a\"b","c,d",null,"\u20ac\ud83d\ude00",""],"m":[[1,2],[3,4]],"j":[{"x":[1,"}"]},5]}'),
  ('{"b":"\\x0102","n":"/w==","a":[],"x":"\\x0102"}'), ('{"b":"_-8","n":12.5}'), ('{"n":"AA=="}'),
  ('{"b":"A"}'), ('{"b":"é"}'), ('{"x":"AQID"}'), ('{"a":"{1}"}'), ('{"a":[1,"x"]}');
CREATE FOREIGN TABLE bytes (b bytea OPTIONS (encoding 'base64'), n numeric OPTIONS (scale '2'), a int[], t text[], m int[], j text[], x bytea, off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'v_bytes');
SELECT results_eq('SELECT b, n, a, t, m, j FROM bytes WHERE off < 4 ORDER BY off', $$VALUES
  ('\x010203'::bytea, 123.45, '{1,NULL,3}'::int[], ARRAY['a"b', 'c,d', NULL, '€😀', ''], '{{1,2},{3,4}}'::int[], ARRAY['{"x":[1,"}"]}', '5']),
  ('\x0102', -0.01, '{}', NULL, NULL, NULL), ('\xffef', 12.5, NULL, NULL, NULL, NULL), (NULL, 0.00, NULL, NULL, NULL, NULL)$$, 'base64, decimals with a scale, arrays');
SELECT results_eq($$SELECT "offset"::int, "column" FROM wh.kafka_errors('bytes')$$, $$VALUES (4, 'b'), (5, 'b'), (6, 'x'), (8, 'a')$$,
  'what is not base64, letters where bytes are to be, and elements of another type are errors');

-- keys: text, JSON, objects, Connect's, integers
\! $KAFKA_CTL topic v_key 1
\! printf '"abc"\t{"n":1}\nabc\t{"n":2}\n{"schema":{"type":"string"},"payload":"def"}\t{"n":3}\n{"id":"ghi"}\t{"n":4}\n{"schema":{},"payload":{"id":"jkl"}}\t{"n":5}\n7\t{"n":6}\n"\\u0061"\t\\N\n' | $KAFKA_CTL produce v_key
CREATE FOREIGN TABLE keyed (id text, n int, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_key', key_column 'id');
SELECT results_eq('SELECT id, n FROM keyed ORDER BY off', $$VALUES ('abc', 1), ('abc', 2), ('def', 3), ('ghi', 4), ('jkl', 5), ('7', 6), ('a', NULL)$$, 'keys of every form');
CREATE FOREIGN TABLE as_text (id text, n int, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_key', key_column 'id', key_format 'text');
SELECT results_eq('SELECT id FROM as_text WHERE off < 2 ORDER BY off', $$VALUES ('"abc"'), ('abc')$$, 'key_format text: as it stands');
CREATE FOREIGN TABLE as_json (id text, n int, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_key', key_column 'id', key_format 'json');
SELECT results_eq($$SELECT "offset"::int FROM wh.kafka_errors('as_json')$$, 'VALUES (1)', 'key_format json: what is none is an error');
SELECT throws_ok($$CREATE FOREIGN TABLE no (id text) SERVER shop OPTIONS (topic 't', key_format 'xml')$$, 'HV024', NULL, 'key formats are known');
\! $KAFKA_CTL topic v_int_key 1
\! printf '\\x00000005\t{"n":1}\n\\xffffffff\t{"n":2}\n\\x0000000000000005\t{"n":3}\n' | $KAFKA_CTL produce v_int_key
CREATE FOREIGN TABLE int_key (id int, n int) SERVER shop OPTIONS (topic 'v_int_key', key_column 'id', key_format 'int32');
CREATE FOREIGN TABLE long_key (id bigint, n int, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_int_key', key_column 'id', key_format 'int64');
SELECT results_eq($$SELECT "offset"::int, message FROM wh.kafka_errors('int_key')$$, $$VALUES (2, 'the key has 8 bytes: key_format says 4')$$, 'a key of another length');
SELECT results_eq('SELECT id FROM long_key WHERE off = 2', 'VALUES (5::bigint)', 'int64');

-- frames of a registry, topic, headers
\! $KAFKA_CTL topic v_frame 1
\! printf 'k\t\\x00000000077b226964223a317d\nk\t\\x0000000007024101\n' | $KAFKA_CTL produce v_frame
CREATE FOREIGN TABLE framed (id int, schema_id int OPTIONS (metadata 'schema_id'), topic text OPTIONS (metadata 'topic'), off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_frame');
SELECT results_eq('SELECT id, schema_id, topic FROM framed WHERE off = 0', $$VALUES (1, 7, 'v_frame')$$, 'JSON behind a frame is read, and the schema''s number shown');
SELECT ok(message LIKE 'message is framed by a schema registry (schema 7)%', 'and what is not JSON says that it is framed') FROM wh.kafka_errors('framed');
\! $KAFKA_CTL topic v_header 1
CREATE FOREIGN TABLE headed (id int, all_headers jsonb OPTIONS (metadata 'headers'), at timestamptz OPTIONS (header 'ce_time'), kind text OPTIONS (header 'ce_type'), off bigint OPTIONS (metadata 'offset'))
  SERVER shop OPTIONS (topic 'v_header');
INSERT INTO headed (id, all_headers) VALUES (1, '{"ce_time": "2024-03-01 08:00:00Z", "ce_type": ["a", "b"]}'), (2, '{"ce_type": "é"}'), (3, '{"ce_time": "soon"}');
SELECT results_eq('SELECT id, at, kind FROM headed WHERE off < 2 ORDER BY off', $$VALUES (1, '2024-03-01 08:00:00+00'::timestamptz, 'b'), (2, NULL, 'é')$$, 'a header as a column; the last one of a name');
SELECT results_eq($$SELECT "offset"::int, "column" FROM wh.kafka_errors('headed')$$, $$VALUES (2, 'at')$$, 'a header that is no value of its column');
SELECT throws_ok($$INSERT INTO headed (id, kind) VALUES (1, 'x')$$, 'HV007', NULL, 'single headers are not written');

-- Debezium's types: by the schema in the message, by options without it
\! $KAFKA_CTL topic v_dbz 1
CREATE FOREIGN TABLE raw_dbz (v text) SERVER shop OPTIONS (topic 'v_dbz', format 'text');
INSERT INTO raw_dbz SELECT format('{"schema":{"type":"struct","fields":[%s,{"field":"op","type":"string"}]},"payload":{"op":"c","before":null,"after":%s,"source":{"ts_ms":1.7092875300e12}}}',
    (SELECT string_agg(format('{"type":"struct","field":"%s","fields":%s}', f, fields), ',') FROM unnest(ARRAY['before', 'after']) f), after)
  FROM (VALUES ('[{"field":"id","type":"int32"},{"field":"p","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"3","connect.decimal.precision":"10"}},
      {"field":"v","type":"struct","name":"io.debezium.data.VariableScaleDecimal","fields":[]},{"field":"d","type":"int32","name":"io.debezium.time.Date"},
      {"field":"t","type":"int64","name":"io.debezium.time.MicroTime"},{"field":"ts","type":"int64","name":"io.debezium.time.MicroTimestamp"},
      {"field":"tms","type":"int64","name":"io.debezium.time.Timestamp"},{"field":"tns","type":"int64","name":"io.debezium.time.NanoTimestamp"},
      {"field":"tz","type":"string","name":"io.debezium.time.ZonedTimestamp"},{"field":"i","type":"int64","name":"io.debezium.time.MicroDuration"},
      {"field":"b","type":"bytes"},{"field":"doc","type":"string","name":"io.debezium.data.Json"},{"field":"bits","type":"bytes","name":"io.debezium.data.Bits","parameters":{"length":"10"}},
      {"field":"tags","type":"array","items":{"type":"string"}},{"field":"kind","type":"string","name":"io.debezium.data.Enum"}]',
    '{"id":1,"p":"ANg=","v":{"scale":4,"value":"MDk="},"d":19783,"t":37800000000,"ts":1709280115123456,"tms":1709280115123,"tns":1709280115123456789,"tz":"2024-03-01T08:01:55.5Z","i":93784000000,"b":"AQID","doc":"{\"a\": [1]}","bits":"AQI=","tags":["x","y z"],"kind":"new"}')) v(fields, after);
INSERT INTO raw_dbz VALUES ('{"op":"c","before":null,"after":{"id":2,"p":1.5,"d":"2024-03-01","b":"AQID","doc":"[]"},"source":{"ts_ms":1709287531000}}'),
  ('{"op":"c","after":{"id":3,"d":19783},"source":{"ts_ms":1709287531000}}'), ('{"op":"c","after":{"id":4,"doc":"{"},"source":{"ts_ms":1709287531000}}'),
  ('{"op":"c","after":{"id":5},"source":{"ts_ms":"soon"}}');
CREATE FOREIGN TABLE dbz (id int, p numeric, v numeric, d date, t time, ts timestamp, tms timestamp, tns timestamp, tz timestamptz, i interval, b bytea, doc jsonb,
    bits bit(10), tags text[], kind text, at timestamptz OPTIONS (metadata 'source_time'), off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_dbz', format 'debezium');
SELECT results_eq('SELECT id, p, v, d, t, ts, tms, tns, tz, i, b, doc, bits, tags, kind, at FROM dbz WHERE off = 0', $$VALUES
  (1, 0.216, 1.2345, '2024-03-01'::date, '10:30'::time, '2024-03-01 08:01:55.123456'::timestamp, '2024-03-01 08:01:55.123'::timestamp, '2024-03-01 08:01:55.123456'::timestamp,
   '2024-03-01 08:01:55.5+00'::timestamptz, '26:03:04'::interval, '\x010203'::bytea, '{"a": [1]}'::jsonb, B'1000000001', ARRAY['x', 'y z'], 'new', '2024-03-01 10:05:30+00'::timestamptz)$$,
  'every type by the schema in the message; a source time with an exponent');
SELECT results_eq('SELECT id, p, d, b, doc FROM dbz WHERE off = 1', $$VALUES (2, 1.5, '2024-03-01'::date, '\x010203'::bytea, '[]'::jsonb)$$, 'without a schema as JSON has it; bytes are base64');
SELECT results_eq($$SELECT "offset"::int, "column" FROM wh.kafka_errors('dbz')$$, $$VALUES (2, 'd'), (3, 'doc'), (4, 'at')$$,
  'a schema counts for its own message only; what is no JSON and no time are errors');
ALTER FOREIGN TABLE dbz ALTER d OPTIONS (ADD epoch 'days');
SELECT results_eq('SELECT d FROM dbz WHERE off = 2', $$VALUES ('2024-03-01'::date)$$, 'an option says it without a schema');

-- values that the source left out, MongoDB's rows, lines in a CSV message
\! $KAFKA_CTL topic v_toast 1
CREATE FOREIGN TABLE raw_toast (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'v_toast', format 'text');
INSERT INTO raw_toast (v, k) VALUES
  ('{"op":"u","before":{"id":1,"note":"long"},"after":{"id":1,"note":"__debezium_unavailable_value"}}', NULL),
  ('{"op":"u","before":null,"after":{"id":1,"note":"__debezium_unavailable_value"}}', NULL),
  ('{"op":"u","before":null,"after":{"id":1,"tags":["__debezium_unavailable_value"]}}', NULL),
  ('{"op":"u","before":null,"after":{"id":1,"b":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}}', NULL),
  ('{"op":"c","after":"{\"_id\": {\"$oid\": \"65e1\"}, \"id\": 5, \"note\": \"m\"}"}', '{"id":"{\"$oid\": \"65e1\"}"}'),
  ('{"op":"d","before":null,"after":null}', '{"id":"{\"$oid\": \"65e1\"}"}'), ('{"op":"c","after":"[]"}', NULL);
CREATE FOREIGN TABLE toast (id int, note text, tags text[], b bytea, oid text OPTIONS (path '_id.$oid'), off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_toast', format 'debezium');
SELECT results_eq('SELECT id, note FROM toast WHERE off = 0', $$VALUES (1, 'long')$$, 'the row before has the value');
SELECT results_eq($$SELECT "offset"::int, "column" FROM wh.kafka_errors('toast') WHERE "offset" < 4$$, $$VALUES (1, 'note'), (2, 'tags'), (3, 'b')$$, 'else it is an error, never the placeholder');
SELECT results_eq('SELECT id, note, oid FROM toast WHERE off = 4', $$VALUES (5, 'm', '65e1')$$, 'a row as a string of JSON');
SELECT results_eq('SELECT oid FROM toast WHERE off = 5', $$VALUES ('65e1')$$, 'and its key');
SELECT ok(count(*) = 1, 'a row that is no object is an error') FROM wh.kafka_errors('toast') WHERE "offset" = 6;
\! $KAFKA_CTL topic v_lines 1
CREATE FOREIGN TABLE raw_lines (v text) SERVER shop OPTIONS (topic 'v_lines', format 'text');
INSERT INTO raw_lines VALUES (E'5\n6\n7'), (E'"5\n6"\r\n'), (E'5\r6');
CREATE FOREIGN TABLE lines (v text, off bigint OPTIONS (metadata 'offset')) SERVER shop OPTIONS (topic 'v_lines', format 'csv');
SELECT results_eq('SELECT v FROM lines WHERE off = 1', $$VALUES (E'5\n6')$$, 'a line end in quotes is part of the field');
SELECT results_eq($$SELECT "offset"::int, message FROM wh.kafka_errors('lines')$$, $$VALUES (0, 'line end outside of quotes: the message has more than one record'), (2, 'line end outside of quotes: the message has more than one record')$$, 'one outside ends a record');

-- an append feed over changes has deletes as events, and no tombstones
\! $KAFKA_CTL topic v_audit 1
CREATE FOREIGN TABLE raw_audit (v text, k text OPTIONS (metadata 'key')) SERVER shop OPTIONS (topic 'v_audit', format 'text');
INSERT INTO raw_audit (k, v) VALUES ('{"id":1}', '{"op":"c","after":{"id":1,"name":"a"},"source":{"ts_ms":1709287530000}}'),
  ('{"id":1}', '{"op":"d","before":{"id":1,"name":"a"},"source":{"ts_ms":1709287531000}}'), ('{"id":1}', NULL);
CREATE FOREIGN TABLE audit (id int, name text, op text OPTIONS (metadata 'operation'), at timestamptz OPTIONS (metadata 'source_time')) SERVER shop OPTIONS (topic 'v_audit', format 'debezium');
SELECT wh.create_feed('audit', 'audit', 'append', sequence_by => 'at') \gset x
SELECT wh.ingest('audit') \gset x
SELECT results_eq('SELECT op, id, name FROM staging.audit ORDER BY at', $$VALUES ('c', 1, 'a'), ('d', 1, 'a')$$, 'the delete with its row; the tombstone is none');
SELECT is_empty('SELECT * FROM wh.error_event', 'and no error event');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing: counts reconcile');
SELECT * FROM finish();
