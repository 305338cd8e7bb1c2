-- Dimensions.

CREATE FUNCTION wh.create_dimension(
    dimension text,
    query text,
    natural_key text[],
    scd jsonb DEFAULT '{}',
    default_scd int DEFAULT 2,
    history text DEFAULT 'auto',
    effective_grain text DEFAULT NULL,
    time_zone text DEFAULT 'UTC')
RETURNS regclass
LANGUAGE C
SET search_path = staging, public, pg_temp
AS 'MODULE_PATHNAME', 'wh_create_dimension';
COMMENT ON FUNCTION wh.create_dimension(text, text, text[], jsonb, int, text, text, text) IS
    'declares a dimension by a query over staged relations, and makes its table';
REVOKE ALL ON FUNCTION wh.create_dimension(text, text, text[], jsonb, int, text, text, text) FROM PUBLIC;

CREATE FUNCTION wh.drop_dimension(dimension text)
RETURNS void
LANGUAGE C
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_dimension';
COMMENT ON FUNCTION wh.drop_dimension(text) IS 'drops a dimension, its table and its definition';
REVOKE ALL ON FUNCTION wh.drop_dimension(text) FROM PUBLIC;

CREATE FUNCTION wh.alter_dimension(
    dimension text,
    query text DEFAULT NULL,
    scd jsonb DEFAULT NULL,
    default_scd int DEFAULT NULL,
    history text DEFAULT NULL,
    effective_grain text DEFAULT NULL)
RETURNS void
LANGUAGE C
SET search_path = staging, public, pg_temp
AS 'MODULE_PATHNAME', 'wh_alter_dimension';
COMMENT ON FUNCTION wh.alter_dimension(text, text, jsonb, int, text, text) IS
    'changes a dimension''s query or history, and rebuilds it from staging; surrogate keys of remaining versions stay';
REVOKE ALL ON FUNCTION wh.alter_dimension(text, text, jsonb, int, text, text) FROM PUBLIC;
