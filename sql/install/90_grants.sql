-- Who may do what. PUBLIC may do nothing.
--
-- wh_reader sees how the warehouse stands; wh_operator also runs and changes it, and sees the raw
-- records of error events. What an operator creates belongs to him and is computed with his rights.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wh_reader') THEN
        CREATE ROLE wh_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wh_operator') THEN
        CREATE ROLE wh_operator NOLOGIN;
        GRANT wh_reader TO wh_operator;
    END IF;
END
$$;

GRANT USAGE ON SCHEMA wh TO wh_reader;
GRANT SELECT ON wh.feed, wh.screen, wh.source_unit, wh.dimension, wh.fact, wh.fact_dimension, wh.input,
    wh.batch, wh.batch_step, wh.batch_total, wh.lineage, wh.worker_feed, wh.kafka_offset TO wh_reader;
GRANT SELECT ON wh.status TO wh_reader;
GRANT SELECT ON wh.error_event TO wh_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wh TO wh_operator;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA wh TO wh_operator;
-- parts of other functions, which call them as the owner of the catalogs
REVOKE ALL ON FUNCTION wh.check_queries(text), wh.check_equality(regtype) FROM PUBLIC, wh_operator;
