-- wh.create_model: names, roles, options, and that a failed script leaves nothing.
SELECT no_plan();

CREATE FUNCTION pg_temp.error_of(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END $$;

SELECT results_eq($$SELECT state, message, hint LIKE '%online_retail (%warehouse%' FROM pg_temp.error_of(
    'SELECT wh.create_model(''no_such_model'')')$$,
    $$VALUES ('42704', 'model "no_such_model" with role "warehouse" does not exist', true)$$,
    'an unknown model: the hint lists what there is');
SELECT results_eq($$SELECT state, message, hint LIKE '%online_retail (%' FROM pg_temp.error_of(
    'SELECT wh.create_model(''online_retail'', ''factory'')')$$,
    $$VALUES ('42704', 'model "online_retail" with role "factory" does not exist', true)$$, 'an unknown role');
SELECT ok((pg_temp.error_of('SELECT wh.create_model(''widgets'', ''operations.tables'')')).hint ~ 'widgets \((operations, warehouse|warehouse, operations)\)', 'parts of a script are no roles');
SELECT is((pg_temp.error_of(format('SELECT wh.create_model(%L)', name))).state, '42704', 'refused as a name: ' || name)
FROM unnest(ARRAY['', '.', '..', '../models/online_retail', 'online_retail/warehouse', '/etc', 'Online_Retail', 'online retail']) name;
SELECT is((pg_temp.error_of(format('SELECT wh.create_model(''online_retail'', %L)', name))).state, '42704',
          'refused as a role: ' || name)
FROM unnest(ARRAY['', '../online_retail/warehouse', 'warehouse.sql']) name;
SELECT results_eq($$SELECT * FROM pg_temp.error_of(
    'SELECT wh.create_model(''online_retail'', options => ''{"directory": "/", "folder": "/"}'')')$$,
    $$VALUES ('22023', 'model "online_retail" has no option "folder"', 'Its options are: directory, pattern, fiscal_year_start.')$$,
    'an unknown option');
SELECT is((pg_temp.error_of('SELECT wh.create_model(''online_retail'', options => ''["directory"]'')')).message,
    'options must be an object, such as {"directory": "/srv/shop"}', 'options that are no object');
SELECT is((pg_temp.error_of('SELECT wh.create_model(''online_retail'', options => NULL)')).state, '22004', 'NULL options');
SELECT is((pg_temp.error_of('SELECT wh.create_model(''online_retail'')')).message,
    'model "online_retail" needs the option "directory"', 'an option that must be given');
SELECT is((pg_temp.error_of('SELECT wh.create_model(''online_retail'', options => ''{"directory": "/", "fiscal_year_start": 14}'')')).message,
    'invalid fiscal_year_start 14', 'errors of the script''s statements come through');
CREATE FUNCTION pg_temp.context_of(statement text, OUT context text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
END $$;
SELECT matches(c, E'^PL/pgSQL function inline_code_block [^\n]*\nSQL statement "DO \\$\\$ \\.\\.\\."\nscript of model "widgets", role "warehouse"\n', 'an error shows where in the script it is')
FROM pg_temp.context_of('SELECT wh.create_model(''widgets'')') c;
SELECT cmp_ok(length(c), '<', 400, 'and not all of the script') FROM pg_temp.context_of('SELECT wh.create_model(''widgets'')') c;
SELECT results_eq(format('SELECT state, message FROM pg_temp.error_of(%L)', format('SELECT wh.create_model(''widgets'', ''operations'', %L)', options)), format('VALUES (%L, %L)', state, message), options)
FROM (VALUES ('{"directory": "relative"}', '22023', 'option "directory" must be an absolute path, not "relative"'), ('{"dirt": 7}', '22023', 'option "dirt" must be a share between 0 and 0.2'),
    ('{"dirt": "much"}', '22023', 'option "dirt" must be a share between 0 and 0.2'), ('{"change_log": "perhaps"}', '22023', 'option "change_log" must be true or false'),
    ('{"seed": "x"}', '22P02', 'invalid input syntax for type bigint: "x"'), ('{"start_date": "soon"}', '22007', 'invalid input syntax for type date: "soon"')) o(options, state, message);
SELECT is_empty($$SELECT 1 FROM pg_namespace WHERE nspname IN ('operations', 'ecommerce') UNION ALL SELECT 1 FROM pg_namespace WHERE nspname LIKE 'online%' UNION ALL SELECT 1 FROM wh.feed$$,
    'a script that fails leaves nothing');
SELECT is(current_setting('widgets_wh.model_options'), '{}', 'options are gone afterwards');

SELECT lives_ok(format('SELECT wh.create_model(''online_retail'', options => %L)',
                       jsonb_build_object('directory', :'tmp', 'pattern', 'a*.csv')), 'a right call');
SELECT is(current_setting('widgets_wh.model_options'), '{}', 'options are gone after success too');
SELECT has_table('online_retail', 'sales', 'the script ran');
SELECT is((SELECT ftoptions[1] FROM pg_foreign_table WHERE ftrelid = 'online_retail_source.line'::regclass),
          'pattern=a*.csv', 'it had its options');
SELECT is((pg_temp.error_of('SELECT wh.create_model(''online_retail'', options => ''{"directory": "/"}'')')).state,
          '42P06', 'a model is made once in a database');

SELECT * FROM finish();
