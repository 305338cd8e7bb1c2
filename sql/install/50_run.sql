-- Running.

CREATE PROCEDURE wh.run(
    feeds text[] DEFAULT NULL,
    full_refresh boolean DEFAULT false,
    wait boolean DEFAULT true,
    publish_anyway boolean DEFAULT false)
LANGUAGE C
AS 'MODULE_PATHNAME', 'wh_run';
COMMENT ON PROCEDURE wh.run(text[], boolean, boolean, boolean) IS
    'runs one cycle: every feed, then every dimension, then every fact';
REVOKE ALL ON PROCEDURE wh.run(text[], boolean, boolean, boolean) FROM PUBLIC;
