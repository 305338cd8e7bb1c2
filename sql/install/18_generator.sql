-- Data generator ---------------------------------------------------------------------

CREATE TABLE wh.generator (
    relation regclass PRIMARY KEY,
    columns jsonb NOT NULL,
    mutable_columns text[] NOT NULL DEFAULT '{}',
    updated_at text,
    dirt jsonb NOT NULL DEFAULT '{}',
    key text,
    next_row bigint NOT NULL DEFAULT 1
);
COMMENT ON TABLE wh.generator IS 'a row per table with a data generator: how its columns are made';
COMMENT ON COLUMN wh.generator.key IS 'the column of kind sequence';
COMMENT ON COLUMN wh.generator.next_row IS 'number of the next row, counted from 1; the key follows from it';

CREATE TABLE wh.generator_batch (
    batch_id int NOT NULL,
    step int NOT NULL,
    relation regclass NOT NULL,
    seed bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    first_key bigint,
    last_key bigint,
    time_from timestamp,
    time_to timestamp,
    dirt jsonb NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (batch_id, step)
);
COMMENT ON TABLE wh.generator_batch IS 'a row per call of wh.generate: what it made';
COMMENT ON COLUMN wh.generator_batch.dirt IS 'faults injected, as {"column": {"kind": number}}; those of whole rows under ""';

SELECT pg_catalog.pg_extension_config_dump('wh.generator', '');
SELECT pg_catalog.pg_extension_config_dump('wh.generator_batch', '');

CREATE FUNCTION wh.create_generator(relation regclass, columns jsonb, mutable_columns text[] DEFAULT '{}',
    updated_at text DEFAULT NULL, dirt jsonb DEFAULT '{}')
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, wh, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
AS 'MODULE_PATHNAME', 'wh_create_generator';
COMMENT ON FUNCTION wh.create_generator(regclass, jsonb, text[], text, jsonb)
    IS 'declares how the rows of a table are generated; again: replaces the declaration';

CREATE FUNCTION wh.drop_generator(relation regclass)
RETURNS void
LANGUAGE c VOLATILE
SET search_path = pg_catalog, wh, pg_temp
AS 'MODULE_PATHNAME', 'wh_drop_generator';
COMMENT ON FUNCTION wh.drop_generator(regclass) IS 'forgets how the rows of a table are generated; the rows stay';

CREATE FUNCTION wh.generate(relation regclass, inserts bigint, updates bigint DEFAULT 0,
    link_parent boolean DEFAULT false, batch_id int DEFAULT NULL, seed bigint DEFAULT 0, workers int DEFAULT 1,
    time_from timestamp DEFAULT NULL, time_to timestamp DEFAULT NULL,
    OUT batch int, OUT inserted bigint, OUT updated bigint, OUT first_key bigint, OUT last_key bigint,
    OUT dirt jsonb)
LANGUAGE c VOLATILE
SET search_path = pg_catalog, wh, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
AS 'MODULE_PATHNAME', 'wh_generate';
COMMENT ON FUNCTION wh.generate(regclass, bigint, bigint, boolean, int, bigint, int, timestamp, timestamp)
    IS 'makes new rows of a table and changes existing ones, as its generator says';

CREATE FUNCTION wh.write_csv(file text, query text)
RETURNS bigint
LANGUAGE c VOLATILE
SET search_path = pg_catalog, wh, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, MDY'
AS 'MODULE_PATHNAME', 'wh_write_csv';
COMMENT ON FUNCTION wh.write_csv(text, text)
    IS 'writes the rows of a query to a CSV file of the server, under its name only when complete';

-- Runs the operational systems that wh.create_model made, day by day, each day in a transaction
-- of its own (which is why it pins no search_path).
CREATE PROCEDURE wh.simulate(days int DEFAULT 4, start_date date DEFAULT NULL, seed bigint DEFAULT NULL,
    scale float8 DEFAULT 1, growth float8 DEFAULT 0, dirt float8 DEFAULT NULL, workers int DEFAULT 1,
    pace interval DEFAULT '0')
LANGUAGE plpgsql
AS $$
BEGIN
    IF pg_catalog.to_regprocedure('operations.simulate_day(date,bigint,double precision,double precision,double precision,integer)') IS NULL THEN
        RAISE EXCEPTION 'this database has no operational systems to simulate' USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Make them with wh.create_model(''widgets'', role => ''operations'').';
    END IF;
    -- whoever made the schema could have put anything there
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) p.proowner
                   WHERE p.oid OPERATOR(pg_catalog.=) pg_catalog.to_regprocedure('operations.simulate_day(date,bigint,double precision,double precision,double precision,integer)')::pg_catalog.oid
                     AND (r.rolsuper OR r.rolname OPERATOR(pg_catalog.=) current_user)) THEN
        RAISE EXCEPTION 'the operational systems belong to another role' USING
            ERRCODE = 'insufficient_privilege', HINT = 'Its code would run with your rights: simulate as that role.';
    END IF;
    IF days IS NULL OR days < 0 OR pace IS NULL OR pace < '0' THEN
        RAISE EXCEPTION 'days and pace must not be null or negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR day IN 1 .. days LOOP
        PERFORM operations.simulate_day(CASE day WHEN 1 THEN start_date END, seed, scale, growth, dirt, workers);
        COMMIT;
        IF day < days AND pace > '0' THEN
            PERFORM pg_catalog.pg_sleep_for(pace);
        END IF;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE wh.simulate(int, date, bigint, float8, float8, float8, int, interval)
    IS 'simulates days of the operational systems in this database, each in its own transaction';

REVOKE ALL ON FUNCTION wh.write_csv(text, text) FROM PUBLIC;
REVOKE ALL ON PROCEDURE wh.simulate(int, date, bigint, float8, float8, float8, int, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION wh.create_generator(regclass, jsonb, text[], text, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION wh.drop_generator(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION wh.generate(regclass, bigint, bigint, boolean, int, bigint, int, timestamp, timestamp) FROM PUBLIC;
