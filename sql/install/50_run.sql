-- Running.

CREATE PROCEDURE wh.run(
    feeds text[] DEFAULT NULL,
    full_refresh boolean DEFAULT false,
    wait boolean DEFAULT true,
    publish_anyway boolean DEFAULT false,
    together boolean DEFAULT false,
    objects text[] DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'wh_run';
COMMENT ON PROCEDURE wh.run(text[], boolean, boolean, boolean, boolean, text[]) IS
    'runs one cycle: every feed, then dimensions and facts, component by component';
REVOKE ALL ON PROCEDURE wh.run(text[], boolean, boolean, boolean, boolean, text[]) FROM PUBLIC;

CREATE FUNCTION wh.plan(
    feeds text[] DEFAULT NULL,
    full_refresh boolean DEFAULT false,
    ingest boolean DEFAULT true,
    samples int DEFAULT 0,
    OUT object text, OUT kind text, OUT rows_read bigint, OUT rows_staged bigint, OUT rows_rejected bigint,
    OUT rows_repeated bigint, OUT rows_superseded bigint, OUT rows_inserted bigint, OUT rows_updated bigint,
    OUT rows_deleted bigint, OUT rows_repointed bigint, OUT warnings bigint, OUT samples_written jsonb)
RETURNS SETOF record
LANGUAGE C
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_plan';
COMMENT ON FUNCTION wh.plan(text[], boolean, boolean, int) IS
    'what a run would change, by table: computed, then rolled back';
REVOKE ALL ON FUNCTION wh.plan(text[], boolean, boolean, int) FROM PUBLIC;

CREATE FUNCTION wh.explain(name text)
RETURNS SETOF text
LANGUAGE C
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_explain';
COMMENT ON FUNCTION wh.explain(text) IS
    'the SQL that the engine derives from a dimension''s or fact''s query, and its plan';
REVOKE ALL ON FUNCTION wh.explain(text) FROM PUBLIC;
