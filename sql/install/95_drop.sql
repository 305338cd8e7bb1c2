-- DROP TABLE, DROP VIEW and DROP SCHEMA of what the engine owns.
--
-- Dropping a whole object with its relations is as good as wh.drop_...; dropping a part of one, or a
-- dimension that a fact still uses, is refused.

CREATE FUNCTION wh.after_drop()
RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone oid[];
    o record;
BEGIN
    SELECT array_agg(objid) INTO gone FROM pg_event_trigger_dropped_objects()
    WHERE classid = 'pg_class'::regclass AND objsubid = 0;
    IF gone IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM wh.generator_batch WHERE relation::oid = ANY (gone);
    DELETE FROM wh.generator WHERE relation::oid = ANY (gone);

    FOR o IN SELECT fact_id, relation::oid, definition::oid FROM wh.fact
             WHERE relation::oid = ANY (gone) OR definition::oid = ANY (gone)
    LOOP
        IF o.relation <> ALL (gone) THEN
            RAISE EXCEPTION 'cannot drop the definition of fact %', o.relation::regclass
                USING ERRCODE = 'dependent_objects_still_exist',
                      HINT = 'Use wh.drop_fact to drop the fact, or wh.alter_fact to change its query.';
        END IF;
        DELETE FROM wh.input WHERE object_id = o.fact_id;
        DELETE FROM wh.fact WHERE fact_id = o.fact_id;
        IF o.definition <> ALL (gone) THEN
            EXECUTE format('DROP VIEW %s', o.definition::regclass);
        END IF;
    END LOOP;

    FOR o IN SELECT d.dimension_id, d.relation::oid, d.definition::oid,
                    (SELECT f.relation::text FROM wh.fact_dimension x JOIN wh.fact f USING (fact_id)
                     WHERE x.dimension_id = d.dimension_id LIMIT 1) AS fact
             FROM wh.dimension d
             WHERE d.relation::oid = ANY (gone) OR d.definition::oid = ANY (gone)
    LOOP
        IF o.relation <> ALL (gone) THEN
            RAISE EXCEPTION 'cannot drop the definition of dimension %', o.relation::regclass
                USING ERRCODE = 'dependent_objects_still_exist',
                      HINT = 'Use wh.drop_dimension to drop the dimension, or wh.alter_dimension to change its query.';
        ELSIF o.fact IS NOT NULL THEN
            RAISE EXCEPTION 'cannot drop a dimension because fact % uses it', o.fact
                USING ERRCODE = 'dependent_objects_still_exist',
                      HINT = 'Drop the fact first, with wh.drop_fact.';
        END IF;
        DELETE FROM wh.input WHERE object_id = o.dimension_id;
        DELETE FROM wh.dimension WHERE dimension_id = o.dimension_id;
        IF o.definition <> ALL (gone) THEN
            EXECUTE format('DROP VIEW %s', o.definition::regclass);
        END IF;
    END LOOP;

    FOR o IN SELECT f.feed_id, f.relation::oid, f.history::oid, f.change_log::oid,
                    EXISTS (SELECT FROM wh.input i WHERE i.feed_id = f.feed_id) AS is_read
             FROM wh.feed f
             WHERE ARRAY[f.relation::oid, f.history::oid, f.change_log::oid] && gone
    LOOP
        IF o.is_read OR o.relation <> ALL (gone) OR o.history <> ALL (gone) OR o.change_log <> ALL (gone) THEN
            RAISE EXCEPTION 'cannot drop a relation of a feed by itself'
                USING ERRCODE = 'dependent_objects_still_exist',
                      DETAIL = CASE WHEN o.is_read THEN 'A dimension or fact reads the feed.'
                                    ELSE 'The feed''s staging relation, history and change log belong together.' END,
                      HINT = 'Use wh.drop_feed to drop the feed.';
        END IF;
        DELETE FROM wh.feed WHERE feed_id = o.feed_id;
    END LOOP;
END
$$;
COMMENT ON FUNCTION wh.after_drop() IS
    'event trigger: forgets feeds, dimensions and facts whose relations were dropped, or refuses the drop';
REVOKE ALL ON FUNCTION wh.after_drop() FROM PUBLIC;

CREATE EVENT TRIGGER wh_after_drop ON sql_drop EXECUTE FUNCTION wh.after_drop();
COMMENT ON EVENT TRIGGER wh_after_drop IS 'keeps the catalogs of widgets_wh in step with DROP';

-- CREATE OR REPLACE VIEW of a definition would change its meaning for the keys touched later only.
CREATE FUNCTION wh.after_create_view()
RETURNS event_trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    replaced text;
BEGIN
    SELECT o.relation::text INTO replaced
    FROM pg_event_trigger_ddl_commands() c
    JOIN (SELECT relation, definition FROM wh.dimension UNION ALL SELECT relation, definition FROM wh.fact) o
        ON c.classid = 'pg_class'::regclass AND o.definition::oid = c.objid
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'cannot replace the definition of %', replaced USING
            ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Use wh.alter_dimension or wh.alter_fact, which compute everything from the new query.';
    END IF;
END
$$;
COMMENT ON FUNCTION wh.after_create_view() IS 'event trigger: refuses to replace the definition of a dimension or fact by hand';
REVOKE ALL ON FUNCTION wh.after_create_view() FROM PUBLIC;

CREATE EVENT TRIGGER wh_after_create_view ON ddl_command_end WHEN TAG IN ('CREATE VIEW')
    EXECUTE FUNCTION wh.after_create_view();
COMMENT ON EVENT TRIGGER wh_after_create_view IS 'keeps definitions from being replaced by CREATE OR REPLACE VIEW';
