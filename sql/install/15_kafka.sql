-- Kafka as a source: a foreign table is a topic.

CREATE FUNCTION wh.kafka_fdw_handler() RETURNS fdw_handler
  LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'wh_kafka_handler';
COMMENT ON FUNCTION wh.kafka_fdw_handler() IS 'callbacks of the foreign-data wrapper wh_kafka';
REVOKE ALL ON FUNCTION wh.kafka_fdw_handler() FROM PUBLIC;

CREATE FUNCTION wh.kafka_fdw_validator(options text[], catalog oid) RETURNS void
  LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'wh_kafka_validator';
COMMENT ON FUNCTION wh.kafka_fdw_validator(text[], oid) IS 'checks options of the foreign-data wrapper wh_kafka';
REVOKE ALL ON FUNCTION wh.kafka_fdw_validator(text[], oid) FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER wh_kafka
  HANDLER wh.kafka_fdw_handler VALIDATOR wh.kafka_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER wh_kafka IS 'topics of Apache Kafka as tables: SELECT reads, INSERT produces';
