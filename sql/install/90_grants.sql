-- Who may do what. PUBLIC may do nothing.
--
-- wh_reader sees how the warehouse stands; wh_operator also runs and changes it, and sees the error events of
-- what he may read; wh_admin sees all of them. What an operator creates belongs to him and is computed with his rights.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wh_reader') THEN
        CREATE ROLE wh_reader NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wh_operator') THEN
        CREATE ROLE wh_operator NOLOGIN;
        GRANT wh_reader TO wh_operator;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'wh_admin') THEN
        CREATE ROLE wh_admin NOLOGIN;
        GRANT wh_operator TO wh_admin;
    END IF;
END
$$;

-- Raw records are for those who may read what they would have become.
CREATE FUNCTION wh.readable_objects()
RETURNS SETOF bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.id
    FROM (SELECT feed_id AS id, relation FROM wh.feed UNION ALL SELECT fact_id, relation FROM wh.fact) o
    JOIN pg_class c ON c.oid = o.relation::oid
    WHERE has_schema_privilege(c.relnamespace, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
      AND NOT row_security_active(c.oid);
END;
COMMENT ON FUNCTION wh.readable_objects() IS 'ids of the feeds and facts of which the user may read every row';
REVOKE ALL ON FUNCTION wh.readable_objects() FROM PUBLIC;

ALTER TABLE wh.error_event ENABLE ROW LEVEL SECURITY;
CREATE POLICY wh_readable ON wh.error_event FOR SELECT USING (object_id IN (SELECT wh.readable_objects()));
CREATE POLICY wh_admin ON wh.error_event FOR SELECT TO wh_admin USING (true);
COMMENT ON POLICY wh_readable ON wh.error_event IS 'events of what the user may read';
COMMENT ON POLICY wh_admin ON wh.error_event IS 'every event';
ALTER TABLE wh.rejected_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY wh_readable ON wh.rejected_key FOR SELECT USING (feed_id IN (SELECT wh.readable_objects()));
CREATE POLICY wh_admin ON wh.rejected_key FOR SELECT TO wh_admin USING (true);
COMMENT ON POLICY wh_readable ON wh.rejected_key IS 'keys of feeds that the user may read';
COMMENT ON POLICY wh_admin ON wh.rejected_key IS 'every key';

-- A mart's readers: what is in the schema, and what its owner will make there.
CREATE FUNCTION wh.grant_mart(schema text, role text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    schema_id oid := (SELECT n.oid FROM pg_namespace n WHERE n.nspname = grant_mart.schema);
    granted bigint := 0;
    owners oid[] := ARRAY[(SELECT r.oid FROM pg_roles r WHERE r.rolname = current_user)];
    t record;
    o oid;
BEGIN
    IF grant_mart.schema IS NULL OR grant_mart.role IS NULL THEN
        RAISE EXCEPTION 'arguments of wh.grant_mart must not be null' USING ERRCODE = 'null_value_not_allowed';
    ELSIF schema_id IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', grant_mart.schema USING ERRCODE = 'invalid_schema_name';
    ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = grant_mart.role) THEN
        RAISE EXCEPTION 'role "%" does not exist', grant_mart.role USING ERRCODE = 'undefined_object';
    ELSIF NOT has_schema_privilege(schema_id, 'USAGE WITH GRANT OPTION') THEN
        RAISE EXCEPTION 'permission denied for schema %', grant_mart.schema USING ERRCODE = 'insufficient_privilege',
            HINT = 'The owner of the schema lets others use it.';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', grant_mart.schema, grant_mart.role);
    FOR t IN SELECT c.oid::regclass AS name, c.relowner, pg_has_role(c.relowner, 'USAGE') AS is_ours
             FROM (SELECT relation FROM wh.dimension UNION ALL SELECT relation FROM wh.fact) m
             JOIN pg_class c ON c.oid = m.relation::oid
             WHERE c.relnamespace = schema_id ORDER BY c.relname
    LOOP
        IF t.is_ours THEN
            EXECUTE format('GRANT SELECT ON %s TO %I', t.name, grant_mart.role);
            granted := granted + 1;
            owners := array_append(owners, t.relowner);
        ELSE
            RAISE WARNING '% belongs to another role', t.name USING HINT = 'Its owner grants it.';
        END IF;
    END LOOP;
    FOREACH o IN ARRAY (SELECT array_agg(DISTINCT u) FROM unnest(owners) u) LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
                       pg_get_userbyid(o), grant_mart.schema, grant_mart.role);
    END LOOP;
    RETURN granted;
END
$$;
COMMENT ON FUNCTION wh.grant_mart(text, text) IS
    'lets a role read the dimensions and facts of a schema, also those that their owners will make there; gives how many there are';
REVOKE ALL ON FUNCTION wh.grant_mart(text, text) FROM PUBLIC;

GRANT USAGE ON SCHEMA wh TO wh_reader;
GRANT SELECT ON wh.feed, wh.screen, wh.source_unit, wh.dimension, wh.fact, wh.fact_dimension, wh.input,
    wh.batch, wh.batch_step, wh.batch_total, wh.lineage, wh.worker_feed, wh.kafka_offset TO wh_reader;
GRANT SELECT ON wh.status, wh.component, wh.last_look TO wh_reader;
GRANT EXECUTE ON FUNCTION wh.find_components() TO wh_reader;
GRANT SELECT ON wh.error_event, wh.rejected_key, wh.generator, wh.generator_batch TO wh_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wh TO wh_operator;
GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA wh TO wh_operator;
-- parts of other functions, which call them as the owner of the catalogs
REVOKE ALL ON FUNCTION wh.check_queries(text), wh.check_equality(regtype) FROM PUBLIC, wh_operator;
