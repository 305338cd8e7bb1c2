-- The engine's own tables, altered by hand past the event triggers: each run compares them with what it remembers, and
-- refuses them by name before it writes. Nothing crashes, no value is stored as what it is not.
SET client_min_messages = warning;
SELECT no_plan();
SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger \gexec

CREATE SCHEMA src;
CREATE TABLE src.a (id int, city text, size bigint, at timestamptz);
SELECT wh.create_feed('a', 'src.a', 'upsert', '{id}', sequence_by => 'at') \g /dev/null
SELECT wh.create_feed('e', 'src.a', 'append', '{id,at}', sequence_by => 'at') \g /dev/null
SELECT wh.create_dimension('d', 'SELECT id, city, size FROM a', '{id}') \g /dev/null
SELECT wh.create_fact('f', 'SELECT id, city, size, at FROM a', '{id}', 'at', '{"id": "d"}') \g /dev/null
SELECT wh.create_fact('l', 'SELECT id, size, timestamptz ''2024-01-01'' AS at FROM a', '{id}', 'at', '{}', mode => 'ledger') \g /dev/null
INSERT INTO src.a SELECT i, 'city ' || i, i, '2024-01-01' FROM generate_series(1, 9) i;
CALL wh.run();

-- tries an alteration, a run with news after it, and undoes both
CREATE FUNCTION seen_by_run(VARIADIC statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text; state text; message text;
BEGIN
  BEGIN
    FOREACH s IN ARRAY statements LOOP EXECUTE s; END LOOP;
    INSERT INTO src.a SELECT i, 'town ' || i, i + 100, '2024-02-01' FROM generate_series(5, 12) i;
    INSERT INTO src.a VALUES (1, 'late', 77, '2023-06-01'), (2, 'same', 78, '2024-01-01');
    CALL wh.run();
    RAISE 'no error' USING ERRCODE = 'T0000';
  EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
  END;
  RETURN CASE state WHEN '55000' THEN '' ELSE state || ' ' END || message;
END $$;
SELECT is(seen_by_run(a), e) FROM (VALUES
  ('ALTER TABLE mart.d ALTER city TYPE varchar(20)', 'column "city" of table "d" has changed its type'),
  ('ALTER TABLE mart.d ALTER size TYPE text', 'column "size" of table "d" has changed its type'),
  ('ALTER TABLE mart.d ALTER city TYPE text COLLATE "C"', 'column "city" of table "d" has changed its type'),
  ('ALTER TABLE mart.d ALTER batch_id TYPE int', 'column "batch_id" of table "d" has changed its type'),
  ('ALTER TABLE mart.d ALTER effective_to TYPE text', 'column "effective_to" of table "d" has changed its type'),
  ('ALTER TABLE mart.f ALTER size TYPE text', 'column "size" of table "f" has changed its type'),
  ('ALTER TABLE mart.f ALTER city TYPE int USING 1', 'column "city" of table "f" has changed its type'),
  ('ALTER TABLE mart.f ALTER id_key TYPE int', 'column "id_key" of table "f" has changed its type'),
  ('ALTER TABLE mart.l ALTER size TYPE numeric(9,2)', 'column "size" of table "l" has changed its type'),
  ('ALTER TABLE mart.l ALTER is_reversal TYPE text', 'column "is_reversal" of table "l" has changed its type')) AS v(a, e);
SELECT is(seen_by_run(a), e) FROM (VALUES
  ('CREATE TABLE mart.child () INHERITS (mart.d)', '"d" is a table with inheritance now'),
  ('CREATE RULE r AS ON INSERT TO mart.f DO INSTEAD NOTHING', 'table "f" has a rule'),
  ('ALTER TABLE mart.f ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'table "f" has forced row level security'),
  ('ALTER TABLE mart.l ADD CHECK (size > 0)', 'table "l" has a check constraint'),
  ('ALTER TABLE mart.d ADD shout text GENERATED ALWAYS AS (upper(city)) STORED', 'table "d" has a generated column')) AS v(a, e);
SELECT is(seen_by_run('ALTER TABLE mart.f RENAME TO gone', 'CREATE TABLE mart.whole (LIKE mart.gone) PARTITION BY LIST (id)',
  'ALTER TABLE mart.whole ATTACH PARTITION mart.gone DEFAULT'), '"gone" is a partition now', 'a table that became a partition');

-- staging: the load fails and says why
SELECT matches(seen_by_run(a), '^HV000 .*staging') FROM unnest(ARRAY[
  'ALTER TABLE staging.a_history ALTER source_position TYPE text',
  'ALTER TABLE staging.a_change ALTER size TYPE text',
  'ALTER TABLE staging.e ALTER batch_id TYPE text']) a;

-- a function of a definition alters a table in the middle of the run
CREATE TABLE src.command (statement text);
CREATE FUNCTION src.obey() RETURNS void LANGUAGE plpgsql AS $$
DECLARE s text;
BEGIN
  DELETE FROM src.command RETURNING statement INTO s;
  IF s IS NOT NULL THEN EXECUTE s; END IF;
END $$;
CREATE FUNCTION src.obey(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM src.obey(); RETURN $1; END $$;
SELECT wh.create_dimension('z', 'SELECT id, city, src.obey(id) AS z FROM a', '{id}') \g /dev/null
SELECT wh.create_fact('g', 'SELECT id, city, size, at FROM a', '{id}', 'at', '{"id": "z"}') \g /dev/null
CALL wh.run();
SELECT is(seen_by_run('INSERT INTO src.command VALUES (''ALTER TABLE mart.g ALTER size TYPE text'')'),
  'column "size" of table "g" has changed its type', 'a fact altered before it is opened');
SELECT matches(seen_by_run('INSERT INTO src.command VALUES (''ALTER TABLE mart.z ALTER city TYPE int USING 1'')'),
  '^55006 ', 'a dimension cannot be altered while it is written');

-- nothing of it is left, and runs go on
INSERT INTO src.a VALUES (20, 'last', 20, '2024-03-01');
CALL wh.run();
SELECT results_eq('SELECT id, size FROM mart.f WHERE id = 20', 'VALUES (20, 20::bigint)', 'the next run works');
SELECT is_empty('SELECT * FROM wh.check(rebuild => true)', 'and all holds');
SELECT * FROM finish();
