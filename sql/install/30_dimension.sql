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
LANGUAGE C STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_dimension';
COMMENT ON FUNCTION wh.drop_dimension(text) IS 'drops a dimension, its table and its definition';
REVOKE ALL ON FUNCTION wh.drop_dimension(text) FROM PUBLIC;
