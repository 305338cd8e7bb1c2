-- wh.create_date_dimension: calendar and fiscal columns, members, keys used by a fact, errors.
SELECT no_plan();

SET lc_time = 'C';
SET TimeZone = 'Pacific/Apia';      -- a zone that left out a whole day, 2011-12-30
SELECT is(wh.create_date_dimension('day', '2007-12-20', '2012-01-10', 11)::text, 'mart.day', 'gives the table');
SELECT wh.create_date_dimension('shop."Plain Day"', '2000-01-01', '2030-12-31');
RESET TimeZone;

-- Shape.
SELECT col_is_pk('mart', 'day', 'day_key', 'day_key is the primary key');
SELECT has_column('shop', 'Plain Day', 'Plain Day_key', 'a qualified and quoted name works');
SELECT results_eq(
    $$SELECT attname::text COLLATE "default" FROM pg_attribute WHERE attrelid = 'mart.day'::regclass AND attnum > 0 ORDER BY attnum DESC LIMIT 5$$,
    ARRAY['batch_id', 'is_inferred', 'is_current', 'effective_to', 'effective_from'], 'the housekeeping columns come last');
SELECT results_eq(
    $$SELECT kind, natural_key, history FROM wh.dimension WHERE relation = 'mart.day'::regclass$$,
    $$VALUES ('date', '{date}'::text[], 'none')$$, 'is recorded as a date dimension');
SELECT results_eq(
    $$SELECT count(*), min(date), max(date), count(DISTINCT date) FROM mart.day WHERE day_key > 0$$,
    $$VALUES (1483::bigint, '2007-12-20'::date, '2012-01-10'::date, 1483::bigint)$$, 'a member per day, both ends included');
SELECT is_empty($$SELECT * FROM mart.day WHERE day_key > 0 AND day_key <> to_char(date::timestamp, 'YYYYMMDD')::bigint$$,
    'the key is the date as a number');
SELECT is_empty($$SELECT * FROM mart.day WHERE day_key > 0 AND (effective_from, effective_to, is_current, is_inferred)
    <> ('-infinity', 'infinity', true, false) OR batch_id IS NOT NULL$$, 'members are valid for ever');
SELECT results_eq(
    $$SELECT day_key, date, day, day_name, month_name, fiscal_year_quarter FROM mart.day WHERE day_key < 0 ORDER BY 1 DESC$$,
    $$VALUES (-1::bigint, NULL::date, NULL::int, 'Unknown', 'Unknown', 'Unknown'),
             (-2::bigint, NULL, NULL, 'Not applicable', 'Not applicable', 'Not applicable')$$, 'members -1 and -2');

-- Days worth knowing.
SELECT results_eq(
    $$SELECT date, iso_year, iso_week, iso_day, iso_year_week, year, day_of_year, is_weekend, day_name FROM mart.day
      WHERE date IN ('2007-12-31', '2008-12-29', '2008-12-31', '2009-12-31', '2010-01-03', '2010-01-04', '2012-01-01') ORDER BY 1$$,
    $$VALUES ('2007-12-31'::date, 2008, 1, 1, '2008-W01', 2007, 365, false, 'Monday'),
             ('2008-12-29', 2009, 1, 1, '2009-W01', 2008, 364, false, 'Monday'),
             ('2008-12-31', 2009, 1, 3, '2009-W01', 2008, 366, false, 'Wednesday'),
             ('2009-12-31', 2009, 53, 4, '2009-W53', 2009, 365, false, 'Thursday'),
             ('2010-01-03', 2009, 53, 7, '2009-W53', 2010, 3, true, 'Sunday'),
             ('2010-01-04', 2010, 1, 1, '2010-W01', 2010, 4, false, 'Monday'),
             ('2012-01-01', 2011, 52, 7, '2011-W52', 2012, 1, true, 'Sunday')$$, 'ISO weeks at year ends, week 53 too');
SELECT results_eq(
    $$SELECT date, fiscal_year, fiscal_quarter, fiscal_month, fiscal_year_quarter FROM mart.day
      WHERE date IN ('2009-10-31', '2009-11-01', '2010-01-31', '2010-02-01', '2010-10-31', '2010-11-01') ORDER BY 1$$,
    $$VALUES ('2009-10-31'::date, 2009, 4, 12, 'FY2009-Q4'), ('2009-11-01', 2010, 1, 1, 'FY2010-Q1'),
             ('2010-01-31', 2010, 1, 3, 'FY2010-Q1'), ('2010-02-01', 2010, 2, 4, 'FY2010-Q2'),
             ('2010-10-31', 2010, 4, 12, 'FY2010-Q4'), ('2010-11-01', 2011, 1, 1, 'FY2011-Q1')$$,
    'a fiscal year from 1 November is named by the calendar year in which it ends');
SELECT results_eq(
    $$SELECT day, month, month_name, quarter, year, year_month, year_quarter FROM mart.day WHERE date = '2010-08-09'$$,
    $$VALUES (9, 8, 'August', 3, 2010, '2010-08', '2010-Q3')$$, 'day, month, quarter, year');
SELECT is_empty(
    $$SELECT date FROM shop."Plain Day" WHERE "Plain Day_key" > 0
      AND (fiscal_year, fiscal_quarter, fiscal_month) <> (year, quarter, month)$$,
    'a fiscal year from January is the calendar year');

-- A property: whatever the first month, fiscal years are whole and months count from it.
CREATE FUNCTION pg_temp.bad_days(start int) RETURNS SETOF date LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wh.create_date_dimension('d' || start, '2003-01-01', '2008-12-31', start);
    RETURN QUERY EXECUTE format($q$
        SELECT date FROM mart.d%1$s WHERE d%1$s_key > 0 AND NOT (
            fiscal_month BETWEEN 1 AND 12 AND fiscal_quarter = (fiscal_month + 2) / 3
            AND (fiscal_month = 1) = (month = %1$s)
            AND make_date(fiscal_year, %1$s, 1) - interval '1 year' * (%1$s > 1)::int <= date
            AND date < make_date(fiscal_year, %1$s, 1) + interval '1 year' * (%1$s = 1)::int)$q$, start);
END $$;
SELECT is_empty(format('SELECT pg_temp.bad_days(%s)', m), 'fiscal years from month ' || m) FROM generate_series(1, 12) m;

-- Used by a fact: in two roles, without date, and outside the range.
CREATE TABLE public.sale (sale_id int, sold_on date, paid_at timestamp);
SELECT wh.create_feed('sale', 'public.sale', 'append', '{sale_id}', sequence_by => 'sold_on');
SELECT wh.create_fact('sales', 'SELECT sale_id, sold_on, paid_at FROM staging.sale', '{sale_id}', 'sold_on',
                      '{"sold_on": "day", "paid_at": "day"}');
INSERT INTO public.sale VALUES (1, '2010-01-01', '2010-01-02 23:59'), (2, '2010-01-01', NULL), (3, '2013-05-01', 'infinity');
CALL wh.run();
SELECT results_eq('SELECT sale_id, sold_on_key, paid_at_key FROM mart.sales ORDER BY 1',
    $$VALUES (1, 20100101::bigint, 20100102::bigint), (2, 20100101, -2), (3, 20130501, -1)$$,
    'facts find days: in range, without date, not finite');
SELECT results_eq('SELECT day_key, date, is_inferred, year FROM mart.day WHERE date > ''2012-12-31''',
    $$VALUES (20130501::bigint, '2013-05-01'::date, true, NULL::int)$$, 'a day outside the range becomes an inferred member');
INSERT INTO public.sale VALUES (4, '0044-03-15 BC', '5000-01-01'), (5, '9999-12-31', '4713-01-01 BC');
CALL wh.run();
SELECT results_eq('SELECT sold_on_key, paid_at_key FROM mart.sales WHERE sale_id IN (4, 5) ORDER BY sale_id',
    $$VALUES (-1::bigint, 50000101::bigint), (99991231, -1)$$, 'a day before Christ is unknown');
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT throws_like($$SELECT wh.drop_dimension('day')$$, '%because fact%uses it', 'a date dimension in use stays');
SELECT lives_ok($$SELECT wh.drop_dimension('shop."Plain Day"')$$, 'one that is not used can be dropped');
SELECT hasnt_table('shop', 'Plain Day', 'and is gone');

-- Errors.
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '2010-01-02', '2010-01-01')$$, '22023',
    'from_date is after to_date', 'from after to');
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '2010-01-02', '2010-01-05', 13)$$, '22023',
    'invalid fiscal_year_start 13', 'fiscal start 13');
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '2010-01-02', '2010-01-05', 0)$$, '22023',
    'invalid fiscal_year_start 0', 'fiscal start 0');
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '-infinity', '2010-01-05')$$, '22008',
    'from_date is out of range', 'not a finite date');
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '2010-01-01', '10000-01-01')$$, '22008',
    'to_date is out of range', 'year 10000');
SELECT throws_ok($$SELECT wh.create_date_dimension('e', '0001-12-31 BC', '2010-01-01')$$, '22008',
    'from_date is out of range', 'before Christ');
SELECT throws_ok($$SELECT wh.create_date_dimension(NULL, '2010-01-01', '2010-01-01')$$, '22004',
    'arguments of wh.create_date_dimension must not be NULL', 'NULL');
SELECT throws_ok($$SELECT wh.create_date_dimension('day', '2010-01-01', '2010-01-01')$$, '42P07',
    'relation "mart.day" already exists', 'name taken');
SELECT throws_ok(format($$SELECT wh.create_date_dimension(%L, '2010-01-01', '2010-01-01')$$, repeat('x', 60)), '42622',
    format('name "%s_key" is too long', repeat('x', 60)), 'name too long');
SELECT lives_ok($$SELECT wh.create_date_dimension('one', '2010-01-01', '2010-01-01')$$, 'a single day');
SELECT lives_ok($$SELECT wh.create_date_dimension('iso', '0001-01-01', '0001-01-31'), wh.create_date_dimension('late', '9999-11-30', '9999-12-31', 2)$$,
    'the first and the last days there can be');

SELECT * FROM finish();
