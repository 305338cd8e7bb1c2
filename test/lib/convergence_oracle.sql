-- The oracle of the convergence tests: from raw records to what staging, dimensions and facts
-- must hold, by brute force, in plain SQL. It shares nothing with the engine: the user's query
-- runs on views (schema past) that show the rows valid at test.t(), once for every change time
-- of any input; everything else follows from those states.
CREATE SCHEMA src;      -- what feeds read
CREATE SCHEMA event;    -- all records of a case, each with its batch
CREATE SCHEMA truth;    -- staging as it must be
CREATE SCHEMA past;     -- the relations as of test.t()
CREATE SCHEMA past_def; -- definitions over schema past
CREATE SCHEMA test;

CREATE FUNCTION test.t() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT current_setting('test.t')::timestamptz $$;

CREATE TABLE test.feed (
  feed text PRIMARY KEY, family text NOT NULL, load text NOT NULL, key text[] NOT NULL,
  columns text[] NOT NULL,      -- all of the source
  rows_sql text NOT NULL);      -- generator of (key columns, payload columns) for key number k
CREATE TABLE test.dimension (
  dimension text PRIMARY KEY, family text NOT NULL, ordinal serial, columns text[] NOT NULL, key text[] NOT NULL,
  history text NOT NULL, scd int[] NOT NULL, grain text, zone text NOT NULL,
  equal text[] NOT NULL);       -- per column, an expression whose text is equal when the values are
CREATE TABLE test.fact (
  fact text PRIMARY KEY, family text NOT NULL, ordinal serial, columns text[] NOT NULL, grain text[] NOT NULL,
  event_time text NOT NULL, zone text NOT NULL, mode text NOT NULL, measures text[] NOT NULL);
CREATE TABLE test.role (fact text, ordinal int, dimension text, columns text[], key_column text);

-- What must be.
CREATE TABLE test.moment (i int PRIMARY KEY, t timestamptz NOT NULL);
CREATE TABLE test.state (object text, i int, nk text[], vals text[], eqs text[]);
CREATE TABLE test.version (dimension text, nk text[], vals text[], previous text[], f timestamptz, t timestamptz,
  is_current bool, is_inferred bool);
CREATE TABLE test.fact_row (fact text, vals text[], keys text[], posting text);
-- What is wrong.
CREATE TABLE test.difference (seed bigint, stage text, object text, side text, content text);

-- Empty tables. TRUNCATE makes files, which costs more than rows do; dead rows add up, so it is
-- done now and then.
CREATE SEQUENCE test.clearing;
CREATE FUNCTION test.clear(tables text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t text; thoroughly bool := nextval('test.clearing') % 100 < 6;
BEGIN
  IF thoroughly THEN
    EXECUTE 'TRUNCATE ' || array_to_string(tables, ', ');
  ELSE
    FOREACH t IN ARRAY tables LOOP EXECUTE 'DELETE FROM ' || t; END LOOP;
  END IF;
END $$;

-- Write text[] of columns of an alias.
CREATE FUNCTION test.texts(alias text, columns text[]) RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT 'ARRAY[' || string_agg(format('%I.%I::text', alias, c), ', ' ORDER BY i) || ']::text[]' FROM unnest(columns) WITH ORDINALITY u(c, i) $$;

CREATE FUNCTION test.names(columns text[], prefix text DEFAULT '') RETURNS text LANGUAGE sql IMMUTABLE
AS $$ SELECT string_agg(prefix || quote_ident(c), ', ' ORDER BY i) FROM unnest(columns) WITH ORDINALITY u(c, i) $$;

-- Feeds ------------------------------------------------------------------------------

-- Make a feed and everything the oracle needs for it. payload: "column type, ..." of the source.
CREATE PROCEDURE test.make_feed(family text, feed text, load text, key text[], key_def text, payload_def text, rows_sql text)
LANGUAGE plpgsql AS $$
DECLARE cols text[]; deletes bool := load = 'upsert';
BEGIN
  EXECUTE format('CREATE TABLE src.%I (%s, seq int, at timestamptz, deleted bool, %s)', feed, key_def, payload_def);
  SELECT array_agg(attname::text ORDER BY attnum) INTO cols FROM pg_attribute
   WHERE attrelid = ('src.' || quote_ident(feed))::regclass AND attnum > 0;
  INSERT INTO test.feed VALUES (feed, family, load, key, cols, rows_sql);
  EXECUTE format('CREATE TABLE event.%I (LIKE src.%1$I, grp int, batch int)', feed);
  EXECUTE format('CREATE TABLE truth.%I (LIKE src.%1$I, effective_from timestamptz, effective_to timestamptz, is_deleted bool)', feed);
  EXECUTE format('CREATE VIEW past.%I AS SELECT %s%s FROM truth.%1$I WHERE NOT is_deleted AND effective_from <= test.t()
                    AND (effective_to > test.t() OR effective_to = ''infinity'')',
                 feed, test.names(cols), CASE WHEN load = 'append' THEN ', effective_from' ELSE '' END);
  EXECUTE format('SELECT wh.create_feed(%L, %L, %L, %L, sequence_by => ''at'' %s)', feed, 'src.' || quote_ident(feed), load, key,
                 CASE WHEN deletes THEN ', deleted_when => ''deleted''' ELSE '' END);
END $$;

-- Fill truth.<feed> from event.<feed>.
CREATE FUNCTION test.truth_feed(f test.feed) RETURNS void LANGUAGE plpgsql AS $$
DECLARE k text := nullif(test.names(f.key), ''); cols text := test.names(f.columns);
  usable text := (SELECT coalesce(string_agg(format(' AND %I IS NOT NULL', c), ''), '') FROM unnest(f.key) c);
BEGIN
  IF f.load = 'upsert' THEN
    EXECUTE format('INSERT INTO truth.%I (%s, effective_from, effective_to, is_deleted)
      SELECT %2$s, at, coalesce(lead(at) OVER (PARTITION BY %3$s ORDER BY at), ''infinity''), deleted
        FROM (SELECT DISTINCT ON (%3$s, at) * FROM event.%1$I WHERE at IS NOT NULL %4$s ORDER BY %3$s, at, seq DESC) e',
      f.feed, cols, k, usable);
  ELSIF f.load = 'snapshot' THEN
    -- each snapshot states its keys until the next one
    EXECUTE format('WITH s AS (SELECT at, coalesce(lead(at) OVER (ORDER BY at), ''infinity'') til FROM event.%I GROUP BY at)
      INSERT INTO truth.%1$I (%2$s, effective_from, effective_to, is_deleted)
      SELECT %2$s, at, til, false FROM event.%1$I JOIN s USING (at)', f.feed, cols);
  ELSIF k IS NOT NULL THEN
    EXECUTE format('INSERT INTO truth.%I (%s, effective_from, effective_to, is_deleted)
      SELECT DISTINCT ON (%3$s) %2$s, at, ''infinity'', false FROM event.%1$I WHERE at IS NOT NULL %4$s ORDER BY %3$s, at, seq',
      f.feed, cols, k, usable);
  ELSE
    EXECUTE format('INSERT INTO truth.%I (%s, effective_from, effective_to, is_deleted)
      SELECT %2$s, at, ''infinity'', false FROM event.%1$I WHERE at IS NOT NULL', f.feed, cols);
  END IF;
END $$;

-- Note where staging differs from truth.
CREATE FUNCTION test.compare_feed(f test.feed, seed bigint, stage text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE extra text[] := CASE f.load WHEN 'append' THEN '{effective_from}' ELSE '{effective_from,effective_to,is_deleted}' END;
BEGIN
  EXECUTE format('WITH want AS (SELECT %1$s v FROM truth.%2$I x), have AS (SELECT %1$s v FROM staging.%3$I x %4$s)
    INSERT INTO test.difference
    SELECT $1, $2, %2$L, ''missing'', v::text FROM (TABLE want EXCEPT ALL TABLE have) a
    UNION ALL SELECT $1, $2, %2$L, ''unexpected'', v::text FROM (TABLE have EXCEPT ALL TABLE want) b',
    test.texts('x', f.columns || extra), f.feed, f.feed || CASE f.load WHEN 'append' THEN '' ELSE '_history' END,
    -- what a snapshot leaves out is deleted by rows of the engine's own
    CASE f.load WHEN 'snapshot' THEN 'WHERE NOT is_deleted' END) USING seed, stage;
END $$;

-- Dimensions -------------------------------------------------------------------------

-- Make a dimension and the oracle's definition of it. as_of: the query the oracle runs, if another.
CREATE PROCEDURE test.make_dimension(family text, dimension text, query text, key text[], scd jsonb DEFAULT '{}',
  history text DEFAULT 'auto', order_by text DEFAULT NULL, as_of text DEFAULT NULL, equal jsonb DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE cols text[]; eqs text[]; types int[];
BEGIN
  PERFORM set_config('search_path', 'past, pg_catalog', true);
  EXECUTE format('CREATE VIEW past_def.%I AS %s', dimension, coalesce(as_of, query));
  PERFORM set_config('search_path', 'public, pg_catalog', true);
  SELECT array_agg(attname::text ORDER BY attnum),
         array_agg(coalesce(equal ->> attname::text, format('q.%I', attname)) ORDER BY attnum),
         array_agg(coalesce((scd ->> attname::text)::int, 2) ORDER BY attnum) INTO cols, eqs, types
    FROM pg_attribute WHERE attrelid = ('past_def.' || quote_ident(dimension))::regclass AND attnum > 0;
  INSERT INTO test.dimension (dimension, family, columns, key, history, scd, zone, equal)
    VALUES (dimension, family, cols, key, history, types, 'UTC', eqs);
  EXECUTE format('CREATE FUNCTION test.%I() RETURNS void LANGUAGE plpgsql AS $f$
    DECLARE m record;
    BEGIN
      FOR m IN SELECT * FROM test.moment ORDER BY i LOOP
        PERFORM set_config(''test.t'', m.t::text, true);
        INSERT INTO test.state SELECT DISTINCT ON (%s) %L, m.i, %s, %s, ARRAY[%s]
          FROM past_def.%I q WHERE %s ORDER BY %s %s, %s;
      END LOOP;
    END $f$', 'eval_' || dimension, test.names(key, 'q.'), dimension, test.texts('q', key), test.texts('q', cols),
    (SELECT string_agg('(' || e || ')::text', ', ' ORDER BY i) FROM unnest(eqs) WITH ORDINALITY u(e, i)), dimension,
    (SELECT string_agg(format('q.%I IS NOT NULL', c), ' AND ') FROM unnest(key) c),
    test.names(key, 'q.'), coalesce(', ' || order_by, ''), test.names(cols, 'q.'));
  EXECUTE format('SELECT wh.create_dimension(%L, %L, %L, scd => %L, history => %L)', dimension,
    query || coalesce(' ORDER BY ' || order_by, ''), key, scd, history);
END $$;

-- Fill test.version for one dimension from its states.
CREATE FUNCTION test.versions_of(d test.dimension) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF d.history = 'none' THEN
    INSERT INTO test.version SELECT d.dimension, nk, vals, array_fill(NULL::text, ARRAY[cardinality(vals)]), '-infinity', 'infinity', true, false
      FROM test.state WHERE object = d.dimension AND i = (SELECT max(i) FROM test.moment);
    RETURN;
  END IF;
  INSERT INTO test.version
  WITH g AS (   -- the grain of every moment; without a grain each moment is one
    SELECT i, CASE WHEN d.grain IS NULL THEN t ELSE date_trunc(d.grain, t AT TIME ZONE d.zone) AT TIME ZONE d.zone END gs,
           CASE WHEN d.grain IS NULL THEN t ELSE (date_trunc(d.grain, t AT TIME ZONE d.zone) + ('1 ' || d.grain)::interval) AT TIME ZONE d.zone END gn
      FROM test.moment WHERE t <> 'infinity'),
  grains AS (
    SELECT gs, max(gn) gn, max(i) last_i, lead(gs) OVER w next_gs, lead(max(gn)) OVER w next_gn
      FROM g GROUP BY gs WINDOW w AS (ORDER BY gs)),
  s AS (        -- the last row of each key in each grain
    SELECT DISTINCT ON (nk, gs) s.nk, s.vals, s.eqs, s.i, g.gs
      FROM test.state s JOIN g USING (i) WHERE s.object = d.dimension ORDER BY nk, gs, i DESC),
  v AS (
    SELECT s.nk, s.vals, s.eqs, s.gs f,
           CASE WHEN s.i < r.last_i THEN r.gn WHEN r.next_gs IS NULL THEN 'infinity'
                WHEN EXISTS (SELECT FROM s o WHERE o.nk = s.nk AND o.gs = r.next_gs) THEN r.next_gs ELSE r.next_gn END t
      FROM s JOIN grains r USING (gs)),
  e AS (        -- column by column
    SELECT v.nk, v.f, v.t, c.n, c.val, c.eq, d.scd[c.n] scd FROM v, unnest(v.vals, v.eqs) WITH ORDINALITY c(val, eq, n)),
  x AS (
    SELECT nk, f, t, n, scd, val, eq, first_value(val) OVER w v0, first_value(eq) OVER w e0, last_value(val) OVER w v1, last_value(eq) OVER w e1
      FROM e WINDOW w AS (PARTITION BY nk, n ORDER BY f ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)),
  p AS (
    SELECT nk, n, (array_agg(val ORDER BY f DESC) FILTER (WHERE eq IS DISTINCT FROM e1))[1] previous FROM x WHERE scd = 3 GROUP BY nk, n),
  y AS (
    SELECT x.nk, x.f, x.t,
           array_agg(CASE x.scd WHEN 0 THEN v0 WHEN 2 THEN val ELSE v1 END ORDER BY n) vals,
           array_agg(CASE x.scd WHEN 0 THEN e0 WHEN 2 THEN eq ELSE e1 END ORDER BY n) eqs,
           array_agg(p.previous ORDER BY n) previous
      FROM x LEFT JOIN p USING (nk, n) GROUP BY x.nk, x.f, x.t),
  z AS (
    SELECT *, (lag(t) OVER w = f AND lag(eqs) OVER w = eqs) IS NOT TRUE opens FROM y WINDOW w AS (PARTITION BY nk ORDER BY f)),
  r AS (SELECT *, count(*) FILTER (WHERE opens) OVER (PARTITION BY nk ORDER BY f) run FROM z)
  SELECT d.dimension, o.nk, o.vals, o.previous, o.f, m.t, m.t = 'infinity', false
    FROM r o JOIN (SELECT nk, run, max(t) t FROM r GROUP BY nk, run) m USING (nk, run) WHERE o.opens;
END $$;

CREATE FUNCTION test.compare_dimension(d test.dimension, seed bigint, stage text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('WITH want AS (SELECT vals, previous, f, t, is_current, is_inferred FROM test.version WHERE dimension = %2$L),
    have AS (SELECT %1$s vals, ARRAY[%3$s]::text[] previous, effective_from, effective_to, is_current, is_inferred
               FROM mart.%2$I x WHERE %4$I > 0)
    INSERT INTO test.difference
    SELECT $1, $2, %2$L, ''missing'', a::text FROM (TABLE want EXCEPT ALL TABLE have) a
    UNION ALL SELECT $1, $2, %2$L, ''unexpected'', b::text FROM (TABLE have EXCEPT ALL TABLE want) b',
    test.texts('x', d.columns), d.dimension,
    (SELECT string_agg(CASE d.scd[i] WHEN 3 THEN format('previous_%s::text', c) ELSE 'NULL' END, ', ' ORDER BY i)
       FROM unnest(d.columns) WITH ORDINALITY u(c, i)), d.dimension || '_key') USING seed, stage;
END $$;

-- Facts ------------------------------------------------------------------------------

-- Make a fact and the oracle's definition of it. roles: as wh.create_fact takes them.
CREATE PROCEDURE test.make_fact(family text, fact text, query text, grain text[], event_time text, roles jsonb,
  mode text, measures text[] DEFAULT '{}')
LANGUAGE plpgsql AS $$
DECLARE cols text[]; time_type regtype;
BEGIN
  PERFORM set_config('search_path', 'past, pg_catalog', true);
  EXECUTE format('CREATE VIEW past_def.%I AS %s', fact, query);
  PERFORM set_config('search_path', 'public, pg_catalog', true);
  SELECT array_agg(attname::text ORDER BY attnum) INTO cols
    FROM pg_attribute WHERE attrelid = ('past_def.' || quote_ident(fact))::regclass AND attnum > 0;
  INSERT INTO test.fact (fact, family, columns, grain, event_time, zone, mode, measures)
    VALUES (fact, family, cols, grain, event_time, 'UTC', mode, measures);
  INSERT INTO test.role SELECT fact, row_number() OVER (), r.value ->> 'dimension',
      (SELECT array_agg(c ORDER BY i) FROM jsonb_array_elements_text(r.value -> 'columns') WITH ORDINALITY u(c, i)),
      regexp_replace(r.key, '_id$', '') || '_key' FROM jsonb_each(roles) r;
  -- rows at every moment for a ledger, at the last one for the others
  EXECUTE format('CREATE FUNCTION test.%I() RETURNS void LANGUAGE plpgsql AS $f$
    DECLARE m record;
    BEGIN
      FOR m IN SELECT * FROM test.moment WHERE %s ORDER BY i LOOP
        PERFORM set_config(''test.t'', m.t::text, true);
        INSERT INTO test.state SELECT DISTINCT ON (%s) %L, m.i, %s, %s FROM past_def.%I q
         WHERE %s ORDER BY %s, %s;
      END LOOP;
    END $f$', 'eval_' || fact,
    CASE mode WHEN 'ledger' THEN 't <> ''infinity''' ELSE 'i = (SELECT max(i) FROM test.moment)' END,
    test.names(grain, 'q.'), fact, test.texts('q', grain), test.texts('q', cols), fact,
    (SELECT string_agg(format('q.%I IS NOT NULL', c), ' AND ') FROM unnest(grain) c),
    test.names(grain, 'q.'), test.names(cols, 'q.'));
  EXECUTE format('SELECT wh.create_fact(%L, %L, %L, %L, %L, mode => %L)', fact, query, grain, event_time, roles, mode);
END $$;

-- Give the member a fact row must refer to, as text; makes the inferred ones.
CREATE FUNCTION test.member(dim text, key text[], at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE f timestamptz; d test.dimension;
BEGIN
  IF array_position(key, NULL) IS NOT NULL THEN
    RETURN CASE WHEN num_nulls(VARIADIC key) = cardinality(key) THEN '-2' ELSE '-1' END;
  END IF;
  SELECT v.f INTO f FROM test.version v WHERE v.dimension = dim AND v.nk = key
   ORDER BY coalesce(v.f <= at, true) DESC, CASE WHEN coalesce(v.f <= at, true) THEN v.f END DESC, v.f LIMIT 1;
  IF f IS NULL THEN
    SELECT * INTO d FROM test.dimension x WHERE x.dimension = dim;
    f := '-infinity';
    INSERT INTO test.version SELECT dim, key, array_agg(key[array_position(d.key, c)] ORDER BY i),
      array_agg(NULL::text), f, 'infinity', true, true FROM unnest(d.columns) WITH ORDINALITY u(c, i);
  END IF;
  RETURN key::text || '@' || f::text;
END $$;

-- Fill test.fact_row for one fact from its states.
CREATE FUNCTION test.rows_of(f test.fact) RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; time_at int := array_position(f.columns, f.event_time); at timestamptz; keys text[]; o test.role;
BEGIN
  FOR r IN
    WITH s AS (SELECT x.*, lag(i) OVER w = i - 1 AND lag(vals) OVER w = vals AS goes_on FROM test.state x WHERE object = f.fact
               WINDOW w AS (PARTITION BY nk ORDER BY i)),
    n AS (SELECT *, count(*) FILTER (WHERE goes_on IS NOT TRUE) OVER (PARTITION BY nk ORDER BY i) run FROM s),
    p AS (SELECT nk, vals, min(i) a, max(i) + 1 z FROM n GROUP BY nk, run, vals)
    SELECT vals, NULL AS posting FROM s WHERE f.mode <> 'ledger'
    UNION ALL
    SELECT vals, (SELECT t::text FROM test.moment WHERE i = a) || ' false ' FROM p WHERE f.mode = 'ledger'
    UNION ALL
    SELECT (SELECT array_agg(CASE WHEN c = ANY (f.measures) THEN (-(v::numeric))::text ELSE v END ORDER BY j)
              FROM unnest(vals, f.columns) WITH ORDINALITY u(v, c, j)),
           (SELECT t::text FROM test.moment WHERE i = z) || ' true ' || (SELECT t::text FROM test.moment WHERE i = a)
      FROM p WHERE f.mode = 'ledger' AND EXISTS (SELECT FROM test.moment WHERE i = z AND t <> 'infinity')
  LOOP
    -- a date or a timestamp means that time in the fact's zone
    at := CASE WHEN r.vals[time_at] ~ '[+-]\d\d(:\d\d)?$' AND r.vals[time_at] ~ ':' THEN r.vals[time_at]::timestamptz
               ELSE r.vals[time_at]::timestamp AT TIME ZONE f.zone END;
    keys := '{}';
    FOR o IN SELECT * FROM test.role WHERE fact = f.fact ORDER BY ordinal LOOP
      keys := keys || test.member(o.dimension, (SELECT array_agg(r.vals[array_position(f.columns, c)] ORDER BY i)
                                                  FROM unnest(o.columns) WITH ORDINALITY u(c, i)), at);
    END LOOP;
    INSERT INTO test.fact_row VALUES (f.fact, r.vals, keys, r.posting);
  END LOOP;
END $$;

CREATE FUNCTION test.compare_fact(f test.fact, seed bigint, stage text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('WITH want AS (SELECT vals, keys, posting FROM test.fact_row WHERE fact = %2$L),
    have AS (SELECT %1$s vals, ARRAY[%3$s]::text[] keys, %4$s posting FROM mart.%2$I x)
    INSERT INTO test.difference
    SELECT $1, $2, %2$L, ''missing'', a::text FROM (TABLE want EXCEPT ALL TABLE have) a
    UNION ALL SELECT $1, $2, %2$L, ''unexpected'', b::text FROM (TABLE have EXCEPT ALL TABLE want) b',
    test.texts('x', f.columns), f.fact,
    (SELECT string_agg(format('CASE WHEN x.%1$I < 0 THEN x.%1$I::text ELSE (SELECT %2$s::text || ''@'' || d.effective_from::text FROM mart.%3$I d WHERE d.%4$I = x.%1$I) END',
        r.key_column, test.texts('d', d.key), d.dimension, d.dimension || '_key'), ', ' ORDER BY r.ordinal)
       FROM test.role r JOIN test.dimension d USING (dimension) WHERE r.fact = f.fact),
    CASE f.mode WHEN 'ledger' THEN 'posted_at::text || '' '' || is_reversal::text || '' '' || coalesce(reverses_posted_at::text, '''')' ELSE 'NULL::text' END)
  USING seed, stage;
END $$;

-- All of a family --------------------------------------------------------------------

-- Compute what must be from event.*.
CREATE FUNCTION test.truth(fam text) RETURNS void LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE f test.feed; d test.dimension; c test.fact; q text := '';
BEGIN
  PERFORM test.clear('{test.moment,test.state,test.version,test.fact_row}' || array_agg(format('truth.%I', feed))) FROM test.feed WHERE family = fam;
  FOR f IN SELECT * FROM test.feed WHERE family = fam LOOP
    PERFORM test.truth_feed(f);
    q := q || format('SELECT effective_from t FROM truth.%I UNION SELECT effective_to FROM truth.%1$I UNION ', f.feed);
  END LOOP;
  EXECUTE 'INSERT INTO test.moment SELECT row_number() OVER (ORDER BY t), t FROM (' || q || 'SELECT ''infinity'') m(t)';
  FOR d IN SELECT * FROM test.dimension WHERE family = fam ORDER BY ordinal LOOP
    EXECUTE format('SELECT test.%I()', 'eval_' || d.dimension);
    PERFORM test.versions_of(d);
  END LOOP;
  FOR c IN SELECT * FROM test.fact WHERE family = fam ORDER BY ordinal LOOP
    EXECUTE format('SELECT test.%I()', 'eval_' || c.fact);
    PERFORM test.rows_of(c);
  END LOOP;
END $$;

-- Note where the warehouse differs from what must be.
CREATE FUNCTION test.compare(fam text, seed bigint, stage text) RETURNS void LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE f test.feed; d test.dimension; c test.fact;
BEGIN
  FOR f IN SELECT * FROM test.feed WHERE family = fam LOOP PERFORM test.compare_feed(f, seed, stage); END LOOP;
  FOR d IN SELECT * FROM test.dimension WHERE family = fam LOOP PERFORM test.compare_dimension(d, seed, stage); END LOOP;
  FOR c IN SELECT * FROM test.fact WHERE family = fam LOOP PERFORM test.compare_fact(c, seed, stage); END LOOP;
END $$;
