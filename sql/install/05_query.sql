-- Analysis of definitions.

CREATE FUNCTION wh.describe_query(definition regclass, key text[], mode text DEFAULT 'as_of')
RETURNS TABLE (part text, relation regclass, columns text[], text text)
LANGUAGE c STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_describe_query';
REVOKE ALL ON FUNCTION wh.describe_query(regclass, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION wh.describe_query(regclass, text[], text) IS
  'the inputs of a view over staged relations and the SQL that would keep it incremental: mode as_of or current';
