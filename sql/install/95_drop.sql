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
    -- a column that goes with its type (ALTER TABLE is wh.guard_ddl's)
    SELECT g.object_identity AS name, r.kind INTO o
    FROM pg_event_trigger_dropped_objects() g
    JOIN (SELECT unnest(ARRAY[f.relation::oid, f.history::oid, f.change_log::oid]) AS relid, 'feed' AS kind FROM wh.feed f
          UNION ALL SELECT unnest(ARRAY[d.relation::oid, d.definition::oid]), 'dimension' FROM wh.dimension d
          UNION ALL SELECT unnest(ARRAY[f.relation::oid, f.definition::oid]), 'fact' FROM wh.fact f) r ON r.relid = g.objid
    WHERE g.classid = 'pg_class'::regclass AND g.objsubid <> 0 AND TG_TAG <> 'ALTER TABLE'
      AND EXISTS (SELECT FROM pg_class c WHERE c.oid = g.objid)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% cannot drop column % of a %', TG_TAG, o.name, o.kind USING
            ERRCODE = 'dependent_objects_still_exist',
            HINT = format('Take the column out with wh.alter_%s first.', o.kind);
    END IF;
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
ALTER EVENT TRIGGER wh_after_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER wh_after_drop IS 'keeps the catalogs of widgets_wh in step with DROP';

-- Everything else that changes a relation of the engine: ALTER, triggers, rules, views replaced, inheritance.
CREATE FUNCTION wh.guard_ddl()
RETURNS event_trigger
LANGUAGE c
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_guard_ddl';
COMMENT ON FUNCTION wh.guard_ddl() IS
    'event trigger: refuses DDL that would change the columns, constraints, rules or triggers of the engine''s relations';
REVOKE ALL ON FUNCTION wh.guard_ddl() FROM PUBLIC;

CREATE EVENT TRIGGER wh_guard_ddl ON ddl_command_end EXECUTE FUNCTION wh.guard_ddl();
ALTER EVENT TRIGGER wh_guard_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER wh_guard_ddl IS 'keeps the relations of widgets_wh from being changed by hand';
