-- wh.check(): every promise, verified on the data.

CREATE FUNCTION wh.check_equality(type regtype)
RETURNS text
LANGUAGE c STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'wh_check_equality';
COMMENT ON FUNCTION wh.check_equality(regtype) IS 'the operator that tells values of a type apart; null: their images do';

-- The queries by which an object is checked, a row each: as the owner of which relation it runs, and which relations
-- the caller must be allowed to read. A query of kind 'rows' gives a row (check or null, failures, detail) for what
-- does not hold; 'keys' turns the list of keys $1 into another; 'left' looks at what is left of it.
CREATE FUNCTION wh.check_queries(object text)
RETURNS TABLE (checked_object text, relation regclass, reads regclass[], failed_check text, kind text, query text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    o record;
    r record;
    key_list text;
    columns_equal text;
    match_key text;
    all_null text;
    any_null text;
    at_time text;
    logged bigint;
BEGIN
    -- staged histories
    FOR o IN SELECT f.*, coalesce(f.history, f.relation) AS staged FROM wh.feed f
             WHERE object IS NULL OR f.relation = to_regclass(object) ORDER BY f.feed_id
    LOOP
        checked_object := o.relation::text;
        relation := o.staged;
        reads := ARRAY[o.staged];
        kind := 'rows';
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i) INTO key_list FROM unnest(o.key) WITH ORDINALITY u(k, i);
        IF o.history IS NOT NULL THEN
            failed_check := 'versions of a key follow each other without gap or overlap';
            query := format('SELECT NULL, count(*), ''first: '' || min((ROW(%1$s, effective_from))::text)'
                            ' FROM (SELECT %1$s, effective_from, effective_to,'
                            ' lead(effective_from) OVER (PARTITION BY %1$s ORDER BY effective_from) AS next_from'
                            ' FROM ONLY %2$s) h WHERE effective_to <> coalesce(next_from, ''infinity'')'
                            ' OR effective_from >= effective_to HAVING count(*) > 0', key_list, o.history);
            RETURN NEXT;
        ELSIF o.key <> '{}' THEN
            failed_check := 'a key is staged once';
            query := format('SELECT NULL, count(*), ''first: '' || min(k::text) FROM (SELECT ROW(%s) AS k FROM ONLY %s'
                            ' GROUP BY %1$s HAVING count(*) > 1) d HAVING count(*) > 0', key_list, o.staged);
            RETURN NEXT;
        END IF;
        SELECT coalesce(sum(CASE WHEN o.key = '{}' THEN s.rows_staged ELSE s.rows_inserted - s.rows_deleted END), 0) INTO logged
        FROM (SELECT rows_staged, rows_inserted, rows_deleted FROM wh.batch_step WHERE object_id = o.feed_id
              UNION ALL SELECT rows_staged, rows_inserted, rows_deleted FROM wh.batch_total WHERE object_id = o.feed_id) s;
        failed_check := 'rows in staging are those that batches staged';
        query := format('SELECT NULL, abs(n), CASE WHEN n < 0 THEN ''rows are missing'' ELSE ''rows came from elsewhere'' END'
                        ' FROM (SELECT count(*) - %s AS n FROM ONLY %s) c WHERE n <> 0', logged, o.staged);
        RETURN NEXT;
        SELECT count(*) AS n, min(s.batch_id) AS first INTO r
        FROM (SELECT batch_id, rows_read - rows_staged - rows_rejected - rows_repeated - rows_superseded AS rest
              FROM wh.batch_step WHERE object_id = o.feed_id
              UNION ALL SELECT until_batch_id, rows_read - rows_staged - rows_rejected - rows_repeated - rows_superseded
              FROM wh.batch_total WHERE object_id = o.feed_id) s
        WHERE s.rest <> 0;
        IF r.n > 0 THEN
            failed_check := 'read = staged + rejected + repeated + superseded';
            query := format('SELECT NULL, %s::bigint, ''first: batch %s''', r.n, r.first);
            RETURN NEXT;
        END IF;
    END LOOP;

    -- dimensions
    FOR o IN SELECT d.*, a.attname AS key_column FROM wh.dimension d
             JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = 1
             WHERE object IS NULL OR d.relation = to_regclass(object) ORDER BY d.dimension_id
    LOOP
        checked_object := o.relation::text;
        relation := o.relation;
        reads := ARRAY[o.relation];
        kind := 'rows';
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i) INTO key_list FROM unnest(o.natural_key) WITH ORDINALITY u(k, i);
        failed_check := 'versions';
        query := format(
            'SELECT c.* FROM (SELECT count(*) FILTER (WHERE effective_from >= effective_to) AS empty,'
            ' count(*) FILTER (WHERE next_from < effective_to) AS overlap,'
            ' count(*) FILTER (WHERE is_current <> (effective_to = ''infinity'')) AS current,'
            ' count(*) FILTER (WHERE is_inferred AND (next_from IS NOT NULL OR effective_from <> ''-infinity''))'
            '   AS inferred'
            ' FROM (SELECT effective_from, effective_to, is_current, is_inferred, lead(effective_from) OVER w AS next_from'
            '       FROM ONLY %s WHERE %I > 0 WINDOW w AS (PARTITION BY %s ORDER BY effective_from)) v) n,'
            ' LATERAL (VALUES (''versions have a length'', n.empty, NULL::text), (''versions of a key do not overlap'', n.overlap, NULL),'
            '  (''is_current tells the open version'', n.current, NULL),'
            '  (''an inferred member is the only row of its key'', n.inferred, NULL)) c(failed, failures, detail) WHERE c.failures > 0',
            o.relation, o.key_column, key_list);
        RETURN NEXT;
        -- columns that open a version: by their type's equality (that of its operator class, which no name finds), or by
        -- image. Rows are joined, for a target list has at most 1,664 columns.
        SELECT format('ROW(%s)::record = ROW(%s)::record',
                      string_agg(format(CASE WHEN e.operator IS NULL THEN 'ROW(v.%I)::text' ELSE 'v.%I' END, a.attname), ', ' ORDER BY a.attnum),
                      string_agg(format(CASE WHEN e.operator IS NULL THEN 'ROW(n.%I)::text' ELSE 'n.%I' END, a.attname), ', ' ORDER BY a.attnum))
        INTO columns_equal
        FROM pg_attribute a, LATERAL (SELECT wh.check_equality(a.atttypid) AS operator) e
        WHERE a.attrelid = o.relation AND a.attnum > 1 AND NOT a.attisdropped
          AND a.attname NOT IN ('effective_from', 'effective_to', 'is_current', 'is_inferred', 'batch_id')
          AND a.attname <> ALL (o.natural_key);
        failed_check := 'neighbouring versions differ';
        query := format(
            'SELECT NULL, count(*), NULL FROM (SELECT %1$I AS this, effective_to, lead(%1$I) OVER w AS next,'
            '  lead(effective_from) OVER w AS next_from FROM ONLY %2$s WHERE %1$I > 0'
            '  WINDOW w AS (PARTITION BY %3$s ORDER BY effective_from)) p'
            ' JOIN ONLY %2$s v ON v.%1$I = p.this JOIN ONLY %2$s n ON n.%1$I = p.next'
            ' WHERE p.next_from = p.effective_to AND %4$s HAVING count(*) > 0',
            o.key_column, o.relation, key_list, columns_equal);
        RETURN NEXT;
        failed_check := 'members -1 (unknown) and -2 (not applicable) exist';
        query := format('SELECT NULL, 2 - count(*), NULL FROM ONLY %s WHERE %I IN (-1, -2) HAVING count(*) < 2',
                        o.relation, o.key_column);
        RETURN NEXT;
        -- a calendar's first days are in no batch
        IF o.kind <> 'date' THEN
            SELECT coalesce(sum(s.rows_inserted - s.rows_deleted), 0) INTO logged
            FROM (SELECT rows_inserted, rows_deleted FROM wh.batch_step WHERE object_id = o.dimension_id
                  UNION ALL SELECT rows_inserted, rows_deleted FROM wh.batch_total WHERE object_id = o.dimension_id) s;
            failed_check := 'rows are those that batches wrote';
            query := format('SELECT NULL, abs(n), CASE WHEN n < 0 THEN ''rows are missing'' ELSE ''rows came from elsewhere'' END'
                            ' FROM (SELECT count(*) - %s AS n FROM ONLY %s WHERE %I > 0) c WHERE n <> 0',
                            logged, o.relation, o.key_column);
            RETURN NEXT;
        END IF;
        -- inferred members are needed by some fact: each fact is read as its own owner
        kind := 'keys';
        failed_check := 'an inferred member is referred to';
        query := format('SELECT array_agg(%I) FROM ONLY %s WHERE is_inferred AND $1 = ''{}''', o.key_column, o.relation);
        RETURN NEXT;
        FOR r IN SELECT x.key_column, f.relation FROM wh.fact_dimension x JOIN wh.fact f USING (fact_id)
                 WHERE x.dimension_id = o.dimension_id ORDER BY f.fact_id, x.ordinal
        LOOP
            relation := r.relation;
            reads := '{}';
            query := format('SELECT array_agg(k) FROM unnest($1) k WHERE k NOT IN (SELECT %1$I FROM ONLY %2$s WHERE %1$I = ANY ($1))',
                            r.key_column, r.relation);
            RETURN NEXT;
        END LOOP;
        relation := o.relation;
        reads := ARRAY[o.relation];
        kind := 'left';
        query := 'SELECT NULL, count(*), ''first: key '' || min(k) FROM unnest($1) k HAVING count(*) > 0';
        RETURN NEXT;
    END LOOP;

    -- facts
    FOR o IN SELECT f.*, (SELECT a.atttypid FROM pg_attribute a
                          WHERE a.attrelid = f.relation AND a.attname = f.event_time) AS time_type
             FROM wh.fact f
             WHERE object IS NULL OR f.relation = to_regclass(object) ORDER BY f.fact_id
    LOOP
        checked_object := o.relation::text;
        relation := o.relation;
        kind := 'rows';
        reads := ARRAY[o.relation];
        SELECT coalesce(sum(s.rows_inserted - s.rows_deleted), 0) INTO logged
        FROM (SELECT rows_inserted, rows_deleted FROM wh.batch_step WHERE object_id = o.fact_id
              UNION ALL SELECT rows_inserted, rows_deleted FROM wh.batch_total WHERE object_id = o.fact_id) s;
        failed_check := 'rows are those that batches wrote';
        query := format('SELECT NULL, abs(n), CASE WHEN n < 0 THEN ''rows are missing'' ELSE ''rows came from elsewhere'' END'
                        ' FROM (SELECT count(*) - %s AS n FROM ONLY %s) c WHERE n <> 0', logged, o.relation);
        RETURN NEXT;
        SELECT string_agg(quote_ident(k), ', ' ORDER BY i)
               || CASE WHEN o.mode = 'ledger' THEN ', posted_at, is_reversal' ELSE '' END
        INTO key_list FROM unnest(o.grain) WITH ORDINALITY u(k, i);
        failed_check := 'a row per grain';
        query := format('SELECT NULL, count(*), ''first: '' || min(k::text) FROM (SELECT ROW(%s) AS k FROM ONLY %s GROUP BY %1$s'
                        ' HAVING count(*) > 1) d HAVING count(*) > 0', key_list, o.relation);
        RETURN NEXT;
        at_time := format('f.%I', o.event_time);
        IF o.time_type <> 'timestamptz'::regtype THEN
            IF o.time_type = 'date'::regtype THEN
                at_time := format('CASE WHEN %1$s > ''294276-12-31''::date THEN ''infinity'' ELSE %1$s END', at_time);
            END IF;
            at_time := format('((%s)::timestamp AT TIME ZONE %L)', at_time, o.time_zone);
        END IF;
        FOR r IN SELECT x.*, d.relation AS dimension, d.kind AS dimension_kind, d.natural_key, a.attname AS dimension_key
                 FROM wh.fact_dimension x JOIN wh.dimension d USING (dimension_id)
                 JOIN pg_attribute a ON a.attrelid = d.relation AND a.attnum = 1
                 WHERE x.fact_id = o.fact_id ORDER BY x.ordinal
        LOOP
            SELECT string_agg(format('d.%I %s %s', u.n, coalesce(wh.check_equality(k.atttypid), '='),
                                     format(CASE WHEN k.atttypid = 'date'::regtype AND c.atttypid = 'timestamptz'::regtype
                                                 THEN '(f.%1$I AT TIME ZONE %2$L)::date'
                                                 WHEN k.atttypid = 'date'::regtype THEN 'f.%1$I::date'
                                                 WHEN k.atttypid = c.atttypid THEN 'f.%1$I'
                                                 ELSE 'f.%1$I::%3$s' END,
                                            u.c, o.time_zone, format_type(k.atttypid, -1))), ' AND ' ORDER BY u.i),
                   string_agg(format('f.%I IS NULL', u.c), ' AND '),
                   string_agg(format('f.%I IS NULL%s%s', u.c,
                                     CASE WHEN k.atttypid = 'date'::regtype THEN format(' OR NOT isfinite(f.%I)', u.c) END,
                                     CASE WHEN r.dimension_kind = 'date' THEN format(' OR f.%I < ''0001-01-01''', u.c) END), ' OR ')
            INTO match_key, all_null, any_null
            FROM unnest(r.natural_key, r.columns) WITH ORDINALITY u(n, c, i)
            JOIN pg_attribute k ON k.attrelid = r.dimension AND k.attname = u.n
            JOIN pg_attribute c ON c.attrelid = o.relation AND c.attname = u.c;
            SELECT string_agg(quote_ident(k), ', ') INTO key_list FROM unnest(r.natural_key) k;
            reads := ARRAY[o.relation, r.dimension];
            failed_check := format('%I refers to the version valid at %I', r.key_column, o.event_time);
            -- the version valid at the event time; before the first the first, in a gap the last before it
            query := format(
                'SELECT NULL, count(*), ''first: key '' || min(f.%1$I) FROM ONLY %2$s f'
                ' LEFT JOIN (SELECT %3$s, %4$I AS member,'
                '            CASE WHEN row_number() OVER w = 1 THEN ''-infinity'' ELSE effective_from END AS opens,'
                '            coalesce(lead(effective_from) OVER w, ''infinity'') AS next_opens'
                '            FROM ONLY %5$s WHERE %4$I > 0 WINDOW w AS (PARTITION BY %3$s ORDER BY effective_from)) d'
                ' ON %6$s AND coalesce(%7$s, ''infinity'') >= d.opens'
                ' AND (coalesce(%7$s, ''infinity'') < d.next_opens OR d.next_opens = ''infinity'')'
                ' WHERE f.%1$I IS DISTINCT FROM CASE WHEN %8$s THEN -2 WHEN %9$s THEN -1 ELSE d.member END'
                ' HAVING count(*) > 0',
                r.key_column, o.relation, key_list, r.dimension_key, r.dimension, match_key, at_time, all_null, any_null);
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION wh.check_queries(text) IS 'the queries of wh.check, and as the owner of which relation each runs';

-- Gives a row per failing object and check.
CREATE FUNCTION wh.check(object text DEFAULT NULL, rebuild boolean DEFAULT false)
RETURNS TABLE (checked_object text, failed_check text, failures bigint, detail text)
LANGUAGE c
SET search_path = pg_catalog, pg_temp
SET TimeZone = 'UTC'
AS 'MODULE_PATHNAME', 'wh_check';
COMMENT ON FUNCTION wh.check(text, boolean) IS
    'verifies every invariant on the data, of one object or of all, each as its owner; no rows: all hold';
REVOKE ALL ON FUNCTION wh.check(text, boolean) FROM PUBLIC;
