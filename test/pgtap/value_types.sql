-- Text that is no value of its column's type is a rejected record, for every type that came with the server, and for
-- domains, arrays, ranges and composites of them: never a failed run, never a lost record. (Since PostgreSQL 16 input functions
-- report errors without an exception; not all do.)
SELECT no_plan();
CREATE SCHEMA src;
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
\set file :tmp '/value_types.csv'
COPY (SELECT n, '{"x' || chr(1) || '[(' FROM generate_series(1, 3) n) TO :'file' (FORMAT csv);

CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN throws AS text CHECK (1 / length(left(VALUE, 0)) > 0);
CREATE TYPE pair AS (a int, b date);
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE dayrange AS RANGE (subtype = time);
CREATE TABLE tried AS
SELECT row_number() OVER (ORDER BY t.oid) AS no, format_type(t.oid, NULL) AS type
FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype IN ('b', 'd', 'r', 'm', 'e') AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype <> 'p' AND coalesce(e.typtype, 'b') IN ('b', 'r', 'm', 'd')
UNION ALL SELECT 10000 + o, t FROM unnest('{positive,throws,pair,color,dayrange,positive[],throws[],pair[],color[],dayrange[]}'::text[]) WITH ORDINALITY u(t, o);
SELECT cmp_ok((SELECT count(*) FROM tried), '>', 100::bigint, 'many types are tried');

SELECT format('CREATE FOREIGN TABLE src.v%s (n int, v %s) SERVER files OPTIONS (filename ''value_types.csv'', header ''none'')', no, type) FROM tried \gexec
-- what cannot be a column or a source of a feed is refused when it is made
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
CREATE TABLE made AS
SELECT no, type, refusal(format('SELECT wh.create_feed(%L, %L, ''append'')', 'v' || no, 'src.v' || no)) AS refused FROM tried;
SELECT cmp_ok((SELECT count(*) FROM made WHERE refused IS NULL), '>', 100::bigint, 'and most can be loaded');
CALL wh.run();
SELECT is_empty('SELECT object, last_error FROM wh.status WHERE last_error IS NOT NULL', 'no feed failed');
CREATE FUNCTION count_of(relation text) RETURNS bigint LANGUAGE plpgsql AS
  $$DECLARE n bigint; BEGIN EXECUTE format('SELECT count(*) FROM staging.%I', relation) INTO n; RETURN n; END $$;
SELECT is_empty($$SELECT type, count_of('v' || no) AS staged, (SELECT count(*) FROM wh.error_event e WHERE e.feed = 'staging.v' || no) AS rejected
  FROM made WHERE refused IS NULL AND count_of('v' || no) + (SELECT count(*) FROM wh.error_event e WHERE e.feed = 'staging.v' || no) <> 3$$,
  'each record is staged or rejected');
SELECT is_empty($$SELECT type FROM made WHERE count_of('v' || no) > 0 AND type = ANY ('{boolean,smallint,integer,bigint,numeric,real,double precision,money,
  date,time without time zone,time with time zone,timestamp without time zone,timestamp with time zone,interval,json,jsonb,jsonpath,xml,uuid,inet,cidr,
  macaddr,bit,bit varying,point,box,circle,polygon,tsquery,pg_lsn,regclass,regtype,regproc,int4range,tstzrange,int4multirange,datemultirange,
  integer[],date[],jsonb[],positive,throws,pair,color,dayrange,positive[],pair[],color[],dayrange[]}'::text[])$$, 'rejected by every type with a syntax');
SELECT * FROM finish();
