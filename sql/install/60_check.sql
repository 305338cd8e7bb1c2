-- wh.check(): every promise, verified on the data.

-- Gives a row per failing object and check. Each check is one query that counts what breaks it.
CREATE FUNCTION wh.check(object text DEFAULT NULL, rebuild boolean DEFAULT false)
RETURNS TABLE (checked_object text, failed_check text, failures bigint, detail text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS $$
DECLARE
    o record;
    r record;
    n bigint;
    sample text;
    key_list text;
    columns_equal text;
    match_key text;
    all_null text;
    any_null text;
    at_time text;
BEGIN
    -- a rule can make a view of an empty table: what it calls would run with the rights of whoever checks
    FOR r IN SELECT c.oid::regclass::text AS name FROM pg_class c
             WHERE c.relkind <> 'r' AND c.oid IN (SELECT coalesce(f.history, f.relation)::oid FROM wh.feed f
                                                  UNION ALL SELECT d.relation FROM wh.dimension d
                                                  UNION ALL SELECT f.relation FROM wh.fact f)
    LOOP
        RAISE EXCEPTION '"%" is no table any more', r.name USING ERRCODE = 'wrong_object_type';
    END LOOP;

    -- staged histories
    FOR o IN SELECT f.*, coalesce(f.history, f.relation) AS staged FROM wh.feed f
             WHERE $1 IS NULL OR f.relation = to_regclass($1)
    LOOP
        checked_object := o.relation::text;
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i) INTO key_list FROM unnest(o.key) WITH ORDINALITY u(k, i);
        IF o.history IS NOT NULL THEN
            EXECUTE format('SELECT count(*), min((%1$s)::text) FROM (SELECT %2$s, effective_from, effective_to,'
                           ' lead(effective_from) OVER (PARTITION BY %2$s ORDER BY effective_from) AS next_from'
                           ' FROM %3$s) h WHERE effective_to <> coalesce(next_from, ''infinity'')'
                           ' OR effective_from >= effective_to', 'ROW(' || key_list || ', effective_from)',
                           key_list, o.history) INTO n, sample;
            IF n > 0 THEN
                failed_check := 'versions of a key follow each other without gap or overlap';
                failures := n; detail := 'first: ' || sample; RETURN NEXT;
            END IF;
        ELSIF o.key = '{}' THEN
            EXECUTE format('SELECT count(*) FROM %s', o.staged) INTO n;
            SELECT n - coalesce(sum(s.rows_staged), 0) INTO n
            FROM (SELECT rows_staged FROM wh.batch_step WHERE object_id = o.feed_id
                  UNION ALL SELECT rows_staged FROM wh.batch_total WHERE object_id = o.feed_id) s;
            IF n <> 0 THEN
                failed_check := 'rows in staging are those that batches staged';
                failures := abs(n); detail := CASE WHEN n < 0 THEN 'rows are missing' ELSE 'rows came from elsewhere' END;
                RETURN NEXT;
            END IF;
        ELSE
            EXECUTE format('SELECT count(*), min(k::text) FROM (SELECT ROW(%s) AS k FROM %s GROUP BY %1$s'
                           ' HAVING count(*) > 1) d', key_list, o.staged) INTO n, sample;
            IF n > 0 THEN
                failed_check := 'a key is staged once'; failures := n; detail := 'first: ' || sample; RETURN NEXT;
            END IF;
        END IF;
        SELECT count(*), min(s.batch_id)::text INTO n, sample
        FROM (SELECT batch_id, rows_read - rows_staged - rows_rejected - rows_repeated - rows_superseded AS rest
              FROM wh.batch_step WHERE object_id = o.feed_id
              UNION ALL SELECT until_batch_id, rows_read - rows_staged - rows_rejected - rows_repeated - rows_superseded
              FROM wh.batch_total WHERE object_id = o.feed_id) s
        WHERE s.rest <> 0;
        IF n > 0 THEN
            failed_check := 'read = staged + rejected + repeated + superseded';
            failures := n; detail := 'first: batch ' || sample; RETURN NEXT;
        END IF;
    END LOOP;

    -- dimensions
    FOR o IN SELECT d.*, a.attname AS key_column FROM wh.dimension d
             JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = 1
             WHERE $1 IS NULL OR d.relation = to_regclass($1)
    LOOP
        checked_object := o.relation::text;
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i) INTO key_list FROM unnest(o.natural_key) WITH ORDINALITY u(k, i);
        -- columns that open a version: by their type's equality, or by image (no cast: an owner may have made one)
        SELECT coalesce(string_agg(format(CASE WHEN EXISTS (
                            SELECT FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod AND m.amname IN ('btree', 'hash')
                            WHERE c.opcdefault AND (c.opcintype = coalesce(nullif(t.typbasetype, 0), t.oid)
                                                    OR (c.opcintype = 'anyarray'::regtype AND t.typcategory = 'A')
                                                    OR (c.opcintype = 'anyenum'::regtype AND t.typtype = 'e')
                                                    OR (c.opcintype = 'text'::regtype AND t.oid = 'varchar'::regtype)))
                        THEN 'v.%1$I IS NOT DISTINCT FROM v.%2$I' ELSE 'ROW(v.%1$I)::text = ROW(v.%2$I)::text' END,
                        a.attname, 'wh_next_' || a.attnum), ' AND '), 'true')
        INTO columns_equal
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = o.relation AND a.attnum > 1 AND NOT a.attisdropped
          AND a.attname NOT IN ('effective_from', 'effective_to', 'is_current', 'is_inferred', 'batch_id')
          AND a.attname <> ALL (o.natural_key);
        SELECT coalesce(string_agg(format(', lead(%I) OVER w AS %I', a.attname, 'wh_next_' || a.attnum), ''), '')
        INTO sample
        FROM pg_attribute a
        WHERE a.attrelid = o.relation AND a.attnum > 1 AND NOT a.attisdropped
          AND a.attname NOT IN ('effective_from', 'effective_to', 'is_current', 'is_inferred', 'batch_id')
          AND a.attname <> ALL (o.natural_key);
        FOR r IN EXECUTE format(
            'SELECT count(*) FILTER (WHERE effective_from >= effective_to) AS empty,'
            ' count(*) FILTER (WHERE next_from < effective_to) AS overlap,'
            ' count(*) FILTER (WHERE next_from = effective_to AND %1$s) AS equal,'
            ' count(*) FILTER (WHERE is_current <> (effective_to = ''infinity'')) AS current,'
            ' count(*) FILTER (WHERE is_inferred AND (next_from IS NOT NULL OR effective_from <> ''-infinity''))'
            '   AS inferred'
            ' FROM (SELECT d.*, lead(effective_from) OVER w AS next_from%2$s FROM %3$s d WHERE %4$I > 0'
            '       WINDOW w AS (PARTITION BY %5$s ORDER BY effective_from)) v',
            columns_equal, sample, o.relation, o.key_column, key_list)
        LOOP
            detail := NULL;
            IF r.empty > 0 THEN failed_check := 'versions have a length'; failures := r.empty; RETURN NEXT; END IF;
            IF r.overlap > 0 THEN failed_check := 'versions of a key do not overlap'; failures := r.overlap; RETURN NEXT; END IF;
            IF r.equal > 0 THEN failed_check := 'neighbouring versions differ'; failures := r.equal; RETURN NEXT; END IF;
            IF r.current > 0 THEN failed_check := 'is_current tells the open version'; failures := r.current; RETURN NEXT; END IF;
            IF r.inferred > 0 THEN failed_check := 'an inferred member is the only row of its key'; failures := r.inferred; RETURN NEXT; END IF;
        END LOOP;
        EXECUTE format('SELECT 2 - count(*) FROM %s WHERE %I IN (-1, -2)', o.relation, o.key_column) INTO n;
        IF n > 0 THEN
            failed_check := 'members -1 (unknown) and -2 (not applicable) exist'; failures := n; RETURN NEXT;
        END IF;
        -- inferred members are needed by some fact
        SELECT coalesce(string_agg(format(' EXCEPT SELECT f.%I FROM %s f WHERE f.%1$I IN (SELECT member FROM inferred)',
                                          x.key_column, c.relation), ''), '')
        INTO sample
        FROM wh.fact_dimension x JOIN wh.fact c USING (fact_id) WHERE x.dimension_id = o.dimension_id;
        -- few inferred members, sought among many facts
        EXECUTE format('WITH inferred AS (SELECT %I AS member FROM %s WHERE is_inferred)'
                       ' SELECT count(*), min(member)::text FROM (SELECT member FROM inferred%s) u',
                       o.key_column, o.relation, sample)
        INTO n, sample;
        IF n > 0 THEN
            failed_check := 'an inferred member is referred to'; failures := n;
            detail := 'first: key ' || sample; RETURN NEXT; detail := NULL;
        END IF;
    END LOOP;

    -- facts
    FOR o IN SELECT f.*, (SELECT a.atttypid FROM pg_attribute a
                          WHERE a.attrelid = f.relation AND a.attname = f.event_time) AS time_type
             FROM wh.fact f
             WHERE $1 IS NULL OR f.relation = to_regclass($1)
    LOOP
        checked_object := o.relation::text;
        at_time := format('f.%I', o.event_time);
        IF o.time_type <> 'timestamptz'::regtype THEN
            IF o.time_type = 'date'::regtype THEN
                at_time := format('CASE WHEN %1$s > ''294276-12-31''::date THEN ''infinity'' ELSE %1$s END', at_time);
            END IF;
            at_time := format('((%s)::timestamp AT TIME ZONE %L)', at_time, o.time_zone);
        END IF;
        FOR r IN SELECT x.*, d.relation AS dimension, d.kind, d.natural_key, a.attname AS dimension_key
                 FROM wh.fact_dimension x JOIN wh.dimension d USING (dimension_id)
                 JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = 1
                 WHERE x.fact_id = o.fact_id ORDER BY x.ordinal
        LOOP
            SELECT string_agg(format(CASE WHEN k.atttypid = 'date'::regtype AND c.atttypid = 'timestamptz'::regtype
                                          THEN 'd.%1$I = (f.%2$I AT TIME ZONE %3$L)::date'
                                          WHEN k.atttypid = 'date'::regtype THEN 'd.%1$I = f.%2$I::date'
                                          WHEN k.atttypid = c.atttypid THEN 'd.%1$I = f.%2$I'
                                          ELSE 'd.%1$I = f.%2$I::%4$s' END,
                                     u.n, u.c, o.time_zone, format_type(k.atttypid, -1)), ' AND ' ORDER BY u.i),
                   string_agg(format('f.%I IS NULL', u.c), ' AND '),
                   string_agg(format('f.%I IS NULL%s%s', u.c,
                                     CASE WHEN k.atttypid = 'date'::regtype THEN format(' OR NOT isfinite(f.%I)', u.c) END,
                                     CASE WHEN r.kind = 'date' THEN format(' OR f.%I < ''0001-01-01''', u.c) END), ' OR ')
            INTO match_key, all_null, any_null
            FROM unnest(r.natural_key, r.columns) WITH ORDINALITY u(n, c, i)
            JOIN pg_attribute k ON k.attrelid = r.dimension AND k.attname = u.n
            JOIN pg_attribute c ON c.attrelid = o.relation AND c.attname = u.c;
            SELECT string_agg(quote_ident(k), ', ') INTO key_list FROM unnest(r.natural_key) k;
            -- the version valid at the event time; before the first the first, in a gap the last before it
            EXECUTE format(
                'SELECT count(*), min(f.%1$I)::text FROM %2$s f'
                ' LEFT JOIN (SELECT %3$s, %4$I AS member,'
                '            CASE WHEN row_number() OVER w = 1 THEN ''-infinity'' ELSE effective_from END AS opens,'
                '            coalesce(lead(effective_from) OVER w, ''infinity'') AS next_opens'
                '            FROM %5$s WHERE %4$I > 0 WINDOW w AS (PARTITION BY %3$s ORDER BY effective_from)) d'
                ' ON %6$s AND coalesce(%7$s, ''infinity'') >= d.opens'
                ' AND (coalesce(%7$s, ''infinity'') < d.next_opens OR d.next_opens = ''infinity'')'
                ' WHERE f.%1$I IS DISTINCT FROM CASE WHEN %8$s THEN -2 WHEN %9$s THEN -1 ELSE d.member END',
                r.key_column, o.relation, key_list, r.dimension_key, r.dimension, match_key, at_time, all_null, any_null)
            INTO n, sample;
            IF n > 0 THEN
                failed_check := format('%I refers to the version valid at %I', r.key_column, o.event_time);
                failures := n; detail := 'first: key ' || sample; RETURN NEXT; detail := NULL;
            END IF;
        END LOOP;
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i)
               || CASE WHEN o.mode = 'ledger' THEN ', posted_at, is_reversal' ELSE '' END
        INTO key_list FROM unnest(o.grain) WITH ORDINALITY u(k, i);
        EXECUTE format('SELECT count(*), min(k::text) FROM (SELECT ROW(%s) AS k FROM %s GROUP BY %1$s'
                       ' HAVING count(*) > 1) d', key_list, o.relation) INTO n, sample;
        IF n > 0 THEN
            failed_check := 'a row per grain'; failures := n; detail := 'first: ' || sample; RETURN NEXT; detail := NULL;
        END IF;
    END LOOP;

    -- equality with a rebuild, computed beside and rolled back
    IF rebuild THEN
        FOR r IN SELECT p.* FROM wh.plan(full_refresh => true, ingest => false) p
                 WHERE p.kind <> 'feed'
                   AND ($1 IS NULL OR p.object::regclass = to_regclass($1))
                   AND p.rows_inserted + p.rows_updated + p.rows_deleted + p.rows_repointed > 0
        LOOP
            checked_object := r.object;
            failed_check := 'equal to a full rebuild';
            failures := r.rows_inserted + r.rows_updated + r.rows_deleted + r.rows_repointed;
            detail := format('%s rows to insert, %s to update, %s to delete, %s to re-point; what is staged and not yet published counts too',
                             r.rows_inserted, r.rows_updated, r.rows_deleted, r.rows_repointed);
            RETURN NEXT;
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION wh.check(text, boolean) IS
    'verifies every invariant on the data, of one object or of all; no rows: all hold';
REVOKE ALL ON FUNCTION wh.check(text, boolean) FROM PUBLIC;
