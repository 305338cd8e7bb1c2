-- Files as they are: each of test/lib/csv_shapes.sql is read by one declaration to the typed rows that it means, by
-- wh.read_csv too; and the sniffer's statement reads it to the same rows.
SELECT no_plan();
SET timezone = 'UTC';
\ir ../lib/csv_shapes.sql

CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
CREATE FUNCTION write_file(path text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE o oid := lo_from_bytea(0, content);
BEGIN PERFORM lo_export(o, path); PERFORM lo_unlink(o); END $$;
SELECT count(write_file(:'tmp' || '/' || name || '.csv', content)) >= 80 AS enough FROM shape \gset
SELECT ok(:'enough', 'at least 80 shapes');

CREATE FUNCTION options_of(options jsonb) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(format(', %I %L', key, value), ''), '') FROM jsonb_each_text($1) $$;
CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  EXECUTE format('SELECT string_agg(whole_row::text, E''\n'') FROM (%s) whole_row', query) INTO result;
  RETURN result;
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM;
END $$;
CREATE FUNCTION declared(s shape) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FOREIGN TABLE declared_%s (%s) SERVER files OPTIONS (filename %L%s)', s.name, s.columns, s.name || '.csv', options_of(s.options));
  RETURN rows_of('SELECT * FROM declared_' || s.name);
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM;
END $$;
CREATE FUNCTION sniffed(s shape, dir text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE given text;
BEGIN
  SELECT statement INTO given FROM wh.sniff_csv(dir || '/' || s.name || '.csv', s.sniff);
  EXECUTE given;
  RETURN rows_of('SELECT * FROM ' || s.name);
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM || coalesce(E'\n' || given, '');
END $$;
-- What the sniffer cannot know: columns that the file has not, what is deep in an object, and that whole numbers are days.
SELECT is(declared(shape), rows, name || ': declared') FROM shape ORDER BY name;
SELECT is(rows_of(format('SELECT * FROM wh.read_csv(%L, options => %L) AS t(%s)', :'tmp' || '/' || name || '.csv', options, columns)), rows, name || ': wh.read_csv')
FROM shape WHERE columns NOT LIKE '%OPTIONS%' ORDER BY name;
SELECT is(sniffed(shape, :'tmp'), rows, name || ': sniffed') FROM shape WHERE sniff <> 'null' AND name NOT IN ('missing_column', 'excel_serial_days', 'epoch') ORDER BY name;

SELECT * FROM finish();
