-- Conditions on a CSV table that are known only while the query runs.
SELECT no_plan();
CREATE SERVER files FOREIGN DATA WRAPPER wh_csv OPTIONS (directory :'tmp');
\set first :tmp '/runtime_conditions_1.csv'
\set second :tmp '/runtime_conditions_2.csv'
COPY (SELECT n, n % 3 AS part, timestamptz '2024-01-01 00:00Z' + n * interval '1 hour' AS at FROM generate_series(1, 30) n) TO :'first' (FORMAT csv, HEADER);
COPY (SELECT n, n % 3 AS part, timestamptz '2024-01-01 00:00Z' + n * interval '1 hour' AS at FROM generate_series(31, 60) n) TO :'second' (FORMAT csv, HEADER);
CREATE FOREIGN TABLE t (n int, part int, off bigint OPTIONS (metadata 'line'), at timestamptz) SERVER files OPTIONS (pattern 'runtime_conditions_*.csv');
SELECT is((SELECT count(*) FROM t), 60::bigint, 'what there is');
\ir ../lib/runtime_conditions.sql
SELECT * FROM finish();
