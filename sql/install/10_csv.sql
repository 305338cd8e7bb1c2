-- CSV files: the foreign data wrapper and its functions. ------------------------------

CREATE FUNCTION wh.wh_csv_handler() RETURNS fdw_handler
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_csv_fdw_handler';
COMMENT ON FUNCTION wh.wh_csv_handler() IS 'handler of the foreign data wrapper wh_csv';

CREATE FUNCTION wh.wh_csv_validator(text[], oid) RETURNS void
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_csv_fdw_validator';
COMMENT ON FUNCTION wh.wh_csv_validator(text[], oid) IS 'checks the options of servers, tables and columns of wh_csv';

CREATE FOREIGN DATA WRAPPER wh_csv HANDLER wh.wh_csv_handler VALIDATOR wh.wh_csv_validator;
COMMENT ON FOREIGN DATA WRAPPER wh_csv IS 'CSV files: plain, gzip or zstd';

REVOKE ALL ON FUNCTION wh.wh_csv_handler(), wh.wh_csv_validator(text[], oid) FROM PUBLIC;
