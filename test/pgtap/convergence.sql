-- The engine's central promise, as a property: whatever the order, batching and repeats of the
-- records, staging, dimensions and facts are what an oracle computes by brute force.
-- Environment: CASES (default 500), SEED (default random): case i has seed SEED + i - 1, so a
-- failing case is repeated by CASES=1 SEED=<its seed>.
\getenv cases CASES
\getenv seed SEED
\if :{?cases}
\else
\set cases 500
\endif
\if :{?seed}
\else
SELECT floor(random() * 1000000000)::bigint AS seed \gset
\endif
SET client_min_messages = error;  -- records are rejected on purpose
SET jit = off;
\ir ../lib/convergence_oracle.sql
\ir ../lib/convergence_cases.sql
SELECT no_plan();
SELECT diag('convergence: CASES=' || :cases || ' SEED=' || :seed);
SET synchronous_commit = off;
CALL test.cases(:seed, :cases);
SELECT is_empty($$SELECT DISTINCT ON (seed, stage, object, side) * FROM test.difference ORDER BY seed, stage, object, side LIMIT 40$$,
  'any order and batching of the records gives what the oracle says (' || :cases || ' cases from seed ' || :seed || ')');
SELECT * FROM finish();
