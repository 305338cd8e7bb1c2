-- Options of CSV tables in feeds, retries and imports; dates that no option declares; what is no CSV file.
SELECT no_plan();
SET timezone = 'America/New_York';
CREATE SCHEMA src;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION write_file(path text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE o oid := lo_from_bytea(0, content);
BEGIN PERFORM lo_export(o, path); PERFORM lo_unlink(o); END $$;
CREATE FUNCTION write_file(path text, content text) RETURNS void LANGUAGE sql AS $$ SELECT write_file(path, convert_to(content, 'UTF8')) $$;

-- Words that read the clock, and dates of no format, are errors; the same in a query, wh.csv_errors and a feed.
SELECT write_file(:'tmp' || '/day_1.csv', E'id,day,at\n1,today,2024-01-01\n2,2024-01-02,now\n3,02.01.2024,2024-01-01\n4,epoch,2024-01-01\n5,2024-01-02,2024-07-01 10:00\n6,infinity,2024-07-01T10:00+02\n7,2024-1-2,2024-01-01\n') IS NULL AS x \gset
CREATE FOREIGN TABLE src.day (id int, day date, at timestamptz) SERVER files OPTIONS (pattern 'day_*.csv');
SELECT results_eq($$SELECT line, "column", sqlstate FROM wh.csv_errors('src.day') ORDER BY line$$,
  $$VALUES (2::bigint, 'day', '22007'), (3, 'at', '22007'), (4, 'day', '22007'), (5, 'day', '22007'), (8, 'day', '22007')$$, 'errors of dates');
SELECT wh.create_feed('day', 'src.day', 'append', '{id}', time_zone => 'Europe/Berlin');
SET client_min_messages = error;
CALL wh.run();
SELECT results_eq($$SELECT id, day::text, at AT TIME ZONE 'UTC' FROM staging.day ORDER BY id$$,
  $$VALUES (5, '2024-01-02', timestamp '2024-07-01 08:00'), (6, 'infinity', '2024-07-01 08:00')$$, 'a feed reads times in its zone, not the session''s');
SELECT is((SELECT count(*) FROM wh.error_event WHERE feed = 'staging.day'), 5::bigint, 'and has the errors as events');
SELECT write_file(:'tmp' || '/zone_1.csv', E'at\n2024-07-01 10:00\n') IS NULL AS x \gset
CREATE FOREIGN TABLE src.zone (at timestamptz) SERVER files OPTIONS (filename 'zone_1.csv');
SELECT is((SELECT at FROM src.zone), timestamptz '2024-07-01 10:00+00', 'a query reads them in UTC');
ALTER FOREIGN TABLE src.zone OPTIONS (ADD time_zone 'Asia/Tokyo');
SELECT is((SELECT at FROM src.zone), timestamptz '2024-07-01 01:00+00', 'or in the table''s zone');
SELECT write_file(:'tmp' || '/array.csv', E'days\n"{2024-01-01,today}"\n') IS NULL AS x \gset
SELECT throws_ok(format('SELECT * FROM wh.read_csv(%L) AS t(days date[])', :'tmp' || '/array.csv'), '22007', NULL, 'arrays of dates too');

-- A feed with options; its rejected records are tried again as the file was: with its delimiter, without its header.
SELECT write_file(:'tmp' || '/sale_2024-05.csv', E'sep=;\nNr;Tag;Betrag\n1;02.05.2024;1.250,50\n2;31.04.2024;5,00\n3;03.05.2024;x\nSumme;;9,99\n') IS NULL AS x \gset
CREATE FOREIGN TABLE src.sale (id int OPTIONS (name 'nr'), day date OPTIONS (name '{day,tag}'), amount text OPTIONS (name 'betrag'),
    month date OPTIONS (metadata 'filename', match '_(\d+-\d+)', date_format 'YYYY-MM'))
  SERVER files OPTIONS (pattern 'sale_*.csv', decimal ',', thousands '.', date_format 'DD.MM.YYYY', skip_footer '1', name_case 'ignore');
SELECT wh.create_feed('sale', 'src.sale', 'upsert', '{id}', sequence_by => 'month');
CALL wh.run(feeds => '{sale}');
SELECT results_eq('SELECT id, day, amount, month FROM staging.sale ORDER BY id',
  $$VALUES (1, date '2024-05-02', '1.250,50', date '2024-05-01'), (3, '2024-05-03', 'x', '2024-05-01')$$, 'a feed with options');
SELECT results_eq($$SELECT line, message COLLATE "C", convert_from(raw_record, 'UTF8') COLLATE "C" FROM wh.error_event WHERE feed = 'staging.sale'$$,
  $$VALUES (4::bigint, 'invalid input syntax for type date: "31.04.2024" (not of the format DD.MM.YYYY)' COLLATE "C", '2;31.04.2024;5,00' COLLATE "C")$$, 'no day of the calendar');
ALTER FOREIGN TABLE src.sale ALTER COLUMN day OPTIONS (ADD date_format 'MM.DD.YYYY');
SELECT is(wh.retry_error_events('sale'), 0::bigint, 'still no day');
ALTER FOREIGN TABLE src.sale ALTER COLUMN day OPTIONS (DROP date_format, SET name '{tag2,tag}');
ALTER FOREIGN TABLE src.sale OPTIONS (ADD missing_columns 'null', ADD "null" '{"",31.04.2024}');
SELECT is(wh.retry_error_events('sale'), 1::bigint, 'the delimiter of the line sep= is known to a retry');
SELECT is((SELECT day IS NULL FROM staging.sale WHERE id = 2), true, 'and the text that is NULL now');

-- Files that are still being written.
CREATE FOREIGN TABLE src.fresh (id int OPTIONS (name 'Nr')) SERVER files OPTIONS (pattern 'sale_*.csv', settle '1h', skip_footer '1');
SELECT is((SELECT count(*) FROM src.fresh), 0::bigint, 'a fresh file is not there yet');
ALTER FOREIGN TABLE src.fresh OPTIONS (SET settle '0');
SELECT is((SELECT count(*) FROM src.fresh), 3::bigint, 'without waiting it is');

-- What is no CSV file is named.
SELECT throws_like(format('SELECT * FROM wh.read_csv(%L) AS t(a text)', :'tmp' || '/' || name || '.bin'), '%looks like ' || what || '%', what)
FROM (VALUES ('zip', '\x504b030414000000'::bytea, 'a zip archive'), ('xlsx', '\x504b0304140000005b436f6e74656e745f54797065735d2e786d6c', 'an Excel workbook'),
  ('parquet', '\x5041523115041500', 'a Parquet file'), ('xls', '\xd0cf11e0a1b11ae1', 'an old Excel workbook'), ('html', convert_to(E'\n<!DOCTYPE html><html>', 'UTF8'), 'an HTML page'),
  ('gz', '\x1f8b0800', 'gzip'), ('utf32', '\xfffe000061000000', 'UTF-32')) AS f(name, content, what), LATERAL write_file(:'tmp' || '/' || name || '.bin', content) AS w;
SELECT write_file(:'tmp' || '/lone.csv', '\xfffe61000a0000d86100'::bytea) IS NULL AS x \gset
SELECT throws_ok(format('SELECT * FROM wh.read_csv(%L) AS t(a text)', :'tmp' || '/lone.csv'), '22021', NULL, 'half a character of UTF-16');

-- Options that do not fit.
CREATE FUNCTION refused(options text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FOREIGN TABLE src.refused (a int) SERVER files OPTIONS (filename ''x'', %s)', options);
  EXECUTE 'SELECT * FROM src.refused';
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(refused(options), message, options) FROM (VALUES
  ($$date_format 'DD.MM'$$, 'HV024 invalid value for option "date_format": "DD.MM"'),
  ($$date_format 'DD.MM.YYYY HH12'$$, 'HV024 invalid value for option "date_format": "DD.MM.YYYY HH12"'),
  ($$decimal ','$$ || $$, thousands ','$$, 'HV024 options "decimal" and "thousands" must differ'),
  ($$decimal '5'$$, 'HV024 invalid value for option "decimal": "5"'),
  ($$negative 'red'$$, 'HV024 invalid value for option "negative": "red"'),
  ($$skip '-1'$$, 'HV024 invalid value for option "skip": "-1"'),
  ($$format 'json', header 'match'$$, 'HV024 a file of format fixed or json has no header to match'),
  ($$format 'fixed'$$, 'HV002 column "a" of a table of format fixed has no option "position"'),
  ($$time_zone 'Mars'$$, '22023 time zone "Mars" not recognized'),
  ($$escape ','$$, 'HV024 options "delimiter" and "escape" must differ')) AS v(options, message);
SELECT throws_ok($$SELECT * FROM wh.read_csv('/x', options => '{"filename": "y"}') AS t(a int)$$, 'HV00D', 'option "filename" cannot be given here');
SELECT throws_ok($$SELECT * FROM wh.read_csv('/x', options => '["y"]') AS t(a int)$$, '22023', 'options must be a JSON object of texts, numbers and booleans');

-- An import takes options too.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA "." LIMIT TO (day) FROM SERVER files INTO imported OPTIONS (date_format 'DD.MM.YYYY', "null" '{"",today,epoch}');
SELECT is((SELECT string_agg(option, ' ' ORDER BY option) FROM pg_foreign_table, unnest(ftoptions) option WHERE ftrelid = 'imported.day'::regclass),
  'date_format=DD.MM.YYYY null={"",today,epoch} pattern=day_[0-9]*.csv', 'options of an import');

-- What the sniffer is not sure of.
SELECT is(notes[1], 'column day: the day or the month may come first: left as text (option date_format)', 'said of dates')
FROM (SELECT write_file(:'tmp' || '/doubt.csv', E'id,day\n1,03/04/2024\n2,05/06/2024\n')) w, wh.sniff_csv(:'tmp' || '/doubt.csv');
SELECT is(notes[1], 'column v: the comma may be a decimal point or stand between thousands: left as text (options decimal and thousands)', 'said of numbers')
FROM (SELECT write_file(:'tmp' || '/comma.csv', E'id;v\n1;1,234\n2;5,678\n')) w, wh.sniff_csv(:'tmp' || '/comma.csv');
SELECT is(misfits, 1::bigint, 'what does not fit is counted')
FROM (SELECT write_file(:'tmp' || '/misfit.csv', E'id,v\n1,a\n2,b\n3\n4,d\n5,e\n')) w, wh.sniff_csv(:'tmp' || '/misfit.csv');

SELECT * FROM finish();
