-- Conditions on a foreign table whose values are known only while the query runs.
-- Needs a foreign table t (n int, part int, off bigint, at timestamptz). Each shape of query gives the
-- same rows on it as on a plain table with its rows, and can be explained, with and without running.
CREATE TABLE plain AS SELECT * FROM t;
CREATE TABLE seen AS SELECT part, max(off) - 3 AS off, min(at) AS at FROM plain GROUP BY part;
INSERT INTO seen VALUES (NULL, NULL, NULL), (77, 1000000, 'infinity');
ANALYZE plain, seen;
CREATE VIEW view_of_t AS SELECT * FROM t WHERE off >= (SELECT min(off) FROM seen);
CREATE VIEW view_of_plain AS SELECT * FROM plain WHERE off >= (SELECT min(off) FROM seen);
CREATE FUNCTION newest_of_t(p int) RETURNS bigint LANGUAGE plpgsql AS
  $$DECLARE bound bigint := (SELECT off FROM seen WHERE part = p); BEGIN
    RETURN (SELECT sum(n) FROM t WHERE part = p AND off > bound); END $$;
CREATE FUNCTION newest_of_plain(p int) RETURNS bigint LANGUAGE plpgsql AS
  $$DECLARE bound bigint := (SELECT off FROM seen WHERE part = p); BEGIN
    RETURN (SELECT sum(n) FROM plain WHERE part = p AND off > bound); END $$;

-- The rows of a query as one text.
CREATE FUNCTION rows_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; BEGIN
  EXECUTE format('SELECT count(*) || '' rows '' || coalesce(string_agg(q::text, '' '' ORDER BY q::text COLLATE "C"), '''') FROM (%s) q', query) INTO result;
  RETURN result; END $$;
-- Lines of the query's plan that tell of conditions that the wrapper knows.
CREATE FUNCTION explained(query text, options text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE line text; n bigint := 0; BEGIN
  FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
    n := n + (line LIKE '%Kafka Conditions: %' OR line LIKE '%Filter: %')::int;
  END LOOP;
  RETURN n; END $$;

CREATE TABLE shape (no int GENERATED ALWAYS AS IDENTITY, what text, query text);
INSERT INTO shape (what, query) VALUES
('what is new since', 'SELECT * FROM t WHERE off > (SELECT min(off) FROM seen)'),
('any of an array that a query makes', 'SELECT * FROM t WHERE part = ANY (ARRAY(SELECT part FROM seen WHERE part > 0))'),
('a correlated sub-select', 'SELECT s.part, (SELECT max(n) FROM t WHERE t.off = s.off AND t.part = s.part) FROM seen s'),
('a correlated aggregate', 'SELECT s.part, (SELECT count(*) FROM t WHERE t.off > s.off) FROM seen s'),
('lateral', 'SELECT s.part AS p, l.* FROM seen s CROSS JOIN LATERAL (SELECT * FROM t WHERE t.part = s.part AND t.off >= s.off ORDER BY t.off LIMIT 2) l'),
('a lateral left join', 'SELECT s.part AS p, l.n FROM seen s LEFT JOIN LATERAL (SELECT n FROM t WHERE t.off < s.off ORDER BY t.part, t.off LIMIT 1) l ON true'),
('exists, not flattened', 'SELECT s.part FROM seen s WHERE EXISTS (SELECT 1 FROM t WHERE t.off = s.off AND t.part = s.part OFFSET 0)'),
('not in', 'SELECT * FROM t WHERE off NOT IN (SELECT off FROM seen WHERE off IS NOT NULL) AND part = (SELECT min(part) FROM seen)'),
('a materialized CTE', 'WITH m AS MATERIALIZED (SELECT max(off) AS o, min(part) AS p FROM seen WHERE part < 10) SELECT * FROM t WHERE off >= (SELECT o FROM m) AND part >= (SELECT p FROM m)'),
('a recursive CTE', 'WITH RECURSIVE r AS (SELECT 0::bigint AS o UNION ALL SELECT (SELECT min(off) FROM t WHERE off > r.o) FROM r WHERE r.o IS NOT NULL) SELECT * FROM r'),
('a sub-select in a sub-select', 'SELECT * FROM t WHERE off > (SELECT min(off) FROM seen WHERE part = (SELECT max(part) FROM seen WHERE part < 10))'),
('a correlated one two levels up', 'SELECT (SELECT (SELECT count(*) FROM t WHERE t.off > s.off) FROM (SELECT 1 OFFSET 0) x) FROM seen s'),
('arithmetic on a parameter', 'SELECT * FROM t WHERE part = 1 + (SELECT min(part) FROM seen) AND off >= (SELECT max(off) FROM seen WHERE part < 10) - 1'),
('a bound that is NULL', 'SELECT * FROM t WHERE off > (SELECT off FROM seen WHERE part IS NULL)'),
('a sub-select without rows', 'SELECT * FROM t WHERE part = (SELECT part FROM seen WHERE false)'),
('an array with NULL and what is not there', 'SELECT * FROM t WHERE part = ANY (ARRAY(SELECT part FROM seen))'),
('a timestamp', 'SELECT * FROM t WHERE at >= (SELECT max(at) FROM seen WHERE part < 10)'),
('a join whose other side is a bound', 'SELECT a.n, b.off FROM t a JOIN t b ON a.off = b.off AND a.part = b.part WHERE a.off > (SELECT min(off) FROM seen) AND b.off < (SELECT max(off) FROM seen)'),
('arms of a union', 'SELECT n FROM t WHERE off > (SELECT min(off) FROM seen) UNION ALL SELECT n FROM t WHERE off <= (SELECT min(off) FROM seen)'),
('under an aggregate with HAVING', 'SELECT part, count(*) FROM t WHERE off > (SELECT min(off) FROM seen) GROUP BY part HAVING count(*) >= (SELECT count(*) FROM seen WHERE part IS NULL)'),
('a window below', 'SELECT * FROM (SELECT n, part, row_number() OVER (PARTITION BY part ORDER BY off) AS r FROM t WHERE off > (SELECT min(off) FROM seen)) w WHERE r <= (SELECT count(*) FROM seen)'),
('a CASE of two sub-selects', 'SELECT * FROM t WHERE off = CASE WHEN (SELECT count(*) FROM seen) > 1 THEN (SELECT min(off) FROM seen) ELSE (SELECT max(off) FROM seen) END'),
('a view with a bound, and one more', 'SELECT * FROM view_of_t WHERE part = (SELECT max(part) FROM seen WHERE part < 10)'),
('a function that runs it', 'SELECT s.part, newest_of_t(s.part) FROM seen s');

SELECT is(rows_of(query), rows_of(regexp_replace(query, '(\m|_of_)t\M', '\1plain', 'g')), what) FROM shape ORDER BY no;
SELECT cmp_ok(explained(query, options), '>=', 0::bigint, format('%s (EXPLAIN %s)', what, options))
FROM shape, (VALUES ('COSTS off'), ('VERBOSE'), ('ANALYZE, TIMING off')) o(options) ORDER BY no, options;

-- Parameters of statements, with plans for any value
SET plan_cache_mode = force_generic_plan;
PREPARE between_offsets(bigint, bigint) AS SELECT count(*) FROM t WHERE off BETWEEN $1 AND $2;
PREPARE of_partitions(int[]) AS SELECT count(*) FROM t WHERE part = ANY ($1) AND off > (SELECT min(off) FROM seen WHERE part = ANY ($1));
SELECT results_eq('EXECUTE between_offsets(1, 3)', 'SELECT count(*) FROM plain WHERE off BETWEEN 1 AND 3', 'a prepared statement');
SELECT results_eq('EXECUTE between_offsets(NULL, 3)', 'VALUES (0::bigint)', 'whose parameter is NULL');
SELECT results_eq('EXECUTE of_partitions(''{1}'')',
  'SELECT count(*) FROM plain WHERE part = 1 AND off > (SELECT min(off) FROM seen WHERE part = 1)', 'with a sub-select that has the parameter too');
SELECT cmp_ok(explained('EXECUTE of_partitions(''{1}'')', 'COSTS off'), '>', 0::bigint, 'EXPLAIN of a prepared statement');
RESET plan_cache_mode;

-- Cursors, and writes that read it
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT n FROM t WHERE off > (SELECT min(off) FROM seen) ORDER BY n;
SELECT results_eq('FETCH 2 FROM c', 'SELECT n FROM plain WHERE off > (SELECT min(off) FROM seen) ORDER BY n LIMIT 2', 'a cursor');
SELECT results_eq('FETCH ABSOLUTE 1 FROM c', 'SELECT min(n) FROM plain WHERE off > (SELECT min(off) FROM seen)', 'back to its begin');
COMMIT;
UPDATE seen s SET off = (SELECT max(off) FROM t WHERE t.part = s.part AND t.off > s.off) WHERE part < 10;
SELECT results_eq('SELECT part, off FROM seen WHERE part < 10 ORDER BY part', 'SELECT part, max(off) FROM plain GROUP BY part ORDER BY part', 'an UPDATE by a correlated sub-select');
DELETE FROM seen s USING t WHERE t.part = s.part AND t.off >= s.off AND t.off >= (SELECT min(off) FROM seen);
SELECT results_eq('SELECT count(*) FROM seen', 'VALUES (2::bigint)', 'a DELETE that joins it');
