-- The date dimension.

CREATE FUNCTION wh.create_date_dimension(
    dimension text,
    from_date date,
    to_date date,
    fiscal_year_start int DEFAULT 1)
RETURNS regclass
LANGUAGE c
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_create_date_dimension';
COMMENT ON FUNCTION wh.create_date_dimension(text, date, date, int) IS
    'makes a dimension with a member per day from one date to another, both included';
REVOKE ALL ON FUNCTION wh.create_date_dimension(text, date, date, int) FROM PUBLIC;
