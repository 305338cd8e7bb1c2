-- Snapshots in any sequence: shrinking, growing, repeated, late, corrected, empty. After each one staging is what the set of
-- snapshots says, and a dimension over it can be published.
-- Environment: SEED (default random).
SELECT no_plan();
SET client_min_messages = error;
\getenv seed SEED
\if :{?seed}
\else
SELECT (random() * 1000000)::int AS seed \gset
\endif
SELECT diag('snapshot_sequences: SEED=' || :seed);
SELECT setseed(:seed / 1000000.0) \g /dev/null

CREATE SCHEMA src;
CREATE TABLE src.price (day date, product text, price int);
CREATE TABLE delivered (day date, product text, price int);      -- what counts: the last content of each day
CREATE TABLE days (day date PRIMARY KEY);
SELECT wh.create_feed('price', 'src.price', 'snapshot', '{product}', sequence_by => 'day') \g /dev/null

-- What staging must be: each statement of a key, and a delete where it is gone after it was there.
CREATE VIEW expected AS
SELECT product, day, price, NOT present AS is_deleted
FROM (SELECT p.product, d.day, v.price, v.product IS NOT NULL AS present,
        lag(v.product IS NOT NULL, 1, false) OVER (PARTITION BY p.product ORDER BY d.day) AS before
      FROM days d CROSS JOIN (SELECT DISTINCT product FROM delivered) p LEFT JOIN delivered v USING (day, product)) s
WHERE present OR before;
CREATE VIEW staged AS SELECT product, effective_from::date AS day, price, is_deleted FROM staging.price_history;

-- Deliver a set of a day; one of five repeats what the day has, one of eight is empty and so of no day.
CREATE PROCEDURE deliver() LANGUAGE plpgsql AS $$
DECLARE
  d date := date '2024-01-01' + (random() * 5)::int;
  share float8 := random();
BEGIN
  DELETE FROM src.price;
  IF random() < 0.2 THEN
    INSERT INTO src.price SELECT * FROM delivered WHERE day = d;
  ELSIF random() > 0.125 THEN
    INSERT INTO src.price SELECT d, 'p' || i, (random() * 2)::int FROM generate_series(1, 8) i WHERE random() < share;
  END IF;
  IF EXISTS (SELECT FROM src.price) THEN
    DELETE FROM delivered WHERE day = d;
    INSERT INTO delivered SELECT * FROM src.price;
    INSERT INTO days VALUES (d) ON CONFLICT DO NOTHING;
  END IF;
END $$;
CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM ((TABLE expected EXCEPT TABLE staged) UNION ALL (TABLE staged EXCEPT TABLE expected)) d $$;
CREATE PROCEDURE sequence(steps int) LANGUAGE plpgsql AS $$
BEGIN
  FOR step IN 1 .. steps LOOP
    CALL deliver();
    PERFORM wh.ingest('price');
    IF differences() > 0 THEN
      RAISE 'step %: staging is not what the snapshots say', step;
    END IF;
  END LOOP;
END $$;

SELECT lives_ok('CALL sequence(60)', 'after each of 60 snapshots staging is what the set of them says');
SELECT wh.create_dimension('price', 'SELECT product, price FROM price', '{product}') \g /dev/null
CALL wh.run();
SELECT string_agg('CALL deliver(); CALL wh.run(); SELECT is(differences(), 0::bigint, ''staged ' || i || '''); SELECT set_eq('
  '''SELECT product, price FROM mart.price WHERE is_current AND price_key > 0'', ''SELECT product, price FROM delivered WHERE day = '
  '(SELECT max(day) FROM days)'', ''published ' || i || ''')', E';\n') AS steps FROM generate_series(1, 12) i \gset
:steps;
SELECT is_empty('SELECT * FROM wh.check()', 'wh.check() finds nothing');
SELECT * FROM finish();
