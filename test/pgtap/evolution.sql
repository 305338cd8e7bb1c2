-- Warehouses that change while they run: definitions altered at random (columns dropped, added, retyped, put in another order, other SCD types and
-- roles), columns of sources widened, snapshots restated. After each change wh.check(rebuild) finds nothing and surrogate keys stay; in the end
-- the warehouse is what one made from the start with the last definitions is.
-- Environment: EVOLUTION_CASES (default 60), SEED (default random): case i has seed SEED + i - 1.
\getenv cases EVOLUTION_CASES
\getenv seed SEED
\if :{?cases}
\else
\set cases 60
\endif
\if :{?seed}
\else
SELECT floor(random() * 1000000000)::bigint AS seed \gset
\endif
SET client_min_messages = error;
SET jit = off;
\ir ../lib/evolution_cases.sql
SELECT plan(1);
SELECT diag('evolution: EVOLUTION_CASES=' || :cases || ' SEED=' || :seed);
SET synchronous_commit = off;
CALL test.evolution_cases(:seed, :cases);
SELECT is_empty($$SELECT DISTINCT ON (seed, stage, object, what) * FROM test.difference ORDER BY seed, stage, object, what LIMIT 40$$,
  'whatever is changed on the way, the warehouse is that of the last definitions (' || :cases || ' cases from seed ' || :seed || ')');
SELECT * FROM finish();
