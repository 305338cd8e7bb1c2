-- Models: ready-made warehouses, as SQL scripts installed beside the extension.

CREATE FUNCTION wh.create_model(
    model text,
    role text DEFAULT 'warehouse',
    options jsonb DEFAULT '{}')
RETURNS void
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_create_model';
COMMENT ON FUNCTION wh.create_model(text, text, jsonb) IS
    'runs the script of an installed model for one role, as the caller';
REVOKE ALL ON FUNCTION wh.create_model(text, text, jsonb) FROM PUBLIC;
