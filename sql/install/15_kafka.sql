-- Kafka as a source: a foreign table is a topic.

CREATE FUNCTION wh.wh_kafka_handler() RETURNS fdw_handler
  LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'wh_kafka_handler';
COMMENT ON FUNCTION wh.wh_kafka_handler() IS 'callbacks of the foreign-data wrapper wh_kafka';
REVOKE ALL ON FUNCTION wh.wh_kafka_handler() FROM PUBLIC;

CREATE FUNCTION wh.wh_kafka_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'wh_kafka_validator';
COMMENT ON FUNCTION wh.wh_kafka_validator(text[], oid) IS 'checks options of the foreign-data wrapper wh_kafka';
REVOKE ALL ON FUNCTION wh.wh_kafka_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER wh_kafka
  HANDLER wh.wh_kafka_handler VALIDATOR wh.wh_kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER wh_kafka IS 'topics of Apache Kafka as tables: SELECT reads, INSERT produces';

CREATE FUNCTION wh.kafka_errors(foreign_table regclass)
    RETURNS TABLE ("partition" int, "offset" bigint, message_timestamp timestamptz, message_key bytea,
        message_headers jsonb, raw_record bytea, "column" text, sqlstate text, message text)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_kafka_errors';
COMMENT ON FUNCTION wh.kafka_errors(regclass) IS
    'everything in the messages of a Kafka foreign table that cannot be read or converted';
REVOKE ALL ON FUNCTION wh.kafka_errors(regclass) FROM PUBLIC;
