-- Facts.

CREATE FUNCTION wh.create_fact(
    fact text,
    query text,
    grain text[],
    event_time text,
    dimensions jsonb DEFAULT '{}',
    mode text DEFAULT 'upsert',
    time_zone text DEFAULT 'UTC')
RETURNS regclass
LANGUAGE C
SET search_path = staging, public, pg_temp
AS 'MODULE_PATHNAME', 'wh_create_fact';
COMMENT ON FUNCTION wh.create_fact(text, text, text[], text, jsonb, text, text) IS
    'declares a fact by a query over staged relations, and makes its table';
REVOKE ALL ON FUNCTION wh.create_fact(text, text, text[], text, jsonb, text, text) FROM PUBLIC;

CREATE FUNCTION wh.drop_fact(fact text)
RETURNS void
LANGUAGE C
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_fact';
COMMENT ON FUNCTION wh.drop_fact(text) IS 'drops a fact, its table and its definition';
REVOKE ALL ON FUNCTION wh.drop_fact(text) FROM PUBLIC;

CREATE FUNCTION wh.alter_fact(fact text, query text DEFAULT NULL, dimensions jsonb DEFAULT NULL)
RETURNS void
LANGUAGE C
SET search_path = staging, public, pg_temp
AS 'MODULE_PATHNAME', 'wh_alter_fact';
COMMENT ON FUNCTION wh.alter_fact(text, text, jsonb) IS
    'changes a fact''s query or dimensions, and rebuilds it from staging';
REVOKE ALL ON FUNCTION wh.alter_fact(text, text, jsonb) FROM PUBLIC;
