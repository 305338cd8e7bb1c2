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

CREATE FUNCTION wh.read_csv(
    filename text, header text DEFAULT NULL, delimiter text DEFAULT NULL, quote text DEFAULT NULL,
    "null" text DEFAULT NULL, encoding text DEFAULT NULL, compression text DEFAULT NULL,
    max_record_size text DEFAULT NULL, extra_columns text DEFAULT NULL, options jsonb DEFAULT NULL)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100000 SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_read_csv';
COMMENT ON FUNCTION wh.read_csv(text, text, text, text, text, text, text, text, text, jsonb) IS
    'rows of a CSV file on the server''s machine; needs membership in pg_read_server_files';

CREATE FUNCTION wh.sniff_csv(
    filename text, options jsonb DEFAULT NULL, OUT delimiter text, OUT header text, OUT columns text[], OUT types text[],
    OUT records bigint, OUT statement text, OUT misfits bigint, OUT notes text[])
    LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_sniff_csv';
COMMENT ON FUNCTION wh.sniff_csv(text, jsonb) IS
    'what a CSV file looks like, and the CREATE FOREIGN TABLE for it; needs membership in pg_read_server_files';

CREATE FUNCTION wh.csv_errors(foreign_table regclass)
    RETURNS TABLE (file text, line bigint, byte_offset bigint, "column" text, sqlstate text, message text, raw_record bytea)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'wh_csv_errors';
COMMENT ON FUNCTION wh.csv_errors(regclass) IS
    'everything in the files of a CSV foreign table that cannot be read or converted';

REVOKE ALL ON FUNCTION wh.wh_csv_handler(), wh.wh_csv_validator(text[], oid),
    wh.read_csv(text, text, text, text, text, text, text, text, text, jsonb), wh.sniff_csv(text, jsonb), wh.csv_errors(regclass)
    FROM PUBLIC;
