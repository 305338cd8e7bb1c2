-- The extension itself: one version, every object commented, nothing granted to PUBLIC.
SELECT no_plan();

SELECT is((SELECT count(*)::int FROM pg_extension WHERE extname = 'widgets_wh'), 1, 'installed once');

SELECT is(obj_description('wh'::regnamespace, 'pg_namespace') IS NOT NULL, true, 'schema wh has a comment');

SELECT is_empty($$
  SELECT d.classid::regclass, pg_describe_object(d.classid, d.objid, 0)
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'widgets_wh'
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  WHERE d.deptype = 'e'
    AND (d.classid IN ('pg_proc'::regclass, 'pg_foreign_data_wrapper'::regclass)
         OR c.relkind IN ('r', 'v', 'p', 'f'))
    AND obj_description(d.objid, d.classid::regclass::name) IS NULL
$$, 'every function, table, view and wrapper has a comment');

SELECT is_empty($$
  SELECT p.oid::regprocedure
  FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  WHERE p.pronamespace = 'wh'::regnamespace AND a.grantee = 0
$$, 'PUBLIC may execute nothing');

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc p
  WHERE p.pronamespace = 'wh'::regnamespace AND p.prokind = 'f'
    AND NOT coalesce(p.proconfig::text, '') LIKE '%search_path%'
$$, 'every function pins search_path');

SELECT * FROM finish();
