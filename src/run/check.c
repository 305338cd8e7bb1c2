/*
 * check.c
 *	  wh.check(): runs the queries that verify every promise on the data.
 *
 * wh.check_queries() (sql/install/60_check.sql) writes the queries.  Each one runs
 * as the owner of the table that it is about, under the pinned settings, as a
 * security-restricted operation in a subtransaction of its own: it can call
 * functions of that owner only (the CHECK of a domain, operators and output
 * functions of types), and an object that cannot be checked hides no other.  Row
 * security is off, which turns policies into errors.  What the caller may not
 * read is named and left out.
 *
 * Runs in the caller's transaction and under its snapshot; takes AccessShareLock
 * on the relations checked.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "base/subtransaction.h"
#include "base/surroundings.h"
#include "metadata/catalog.h"

/* One query, as wh.check_queries gives it. */
typedef struct CheckTask
{
	char	   *object;
	Oid			relid;			/* as whose owner it runs */
	Oid		   *reads;			/* what the caller must be allowed to read, relid among them */
	int			nreads;
	char	   *check;			/* what must hold, when the query itself does not say */
	char	   *kind;			/* rows, keys or left: see run_query */
	char	   *query;
} CheckTask;

typedef struct Check
{
	ReturnSetInfo *rsinfo;
	CheckTask  *task;
	Datum		keys;			/* bigint[] that tasks of kind "keys" hand on, or 0 */
	MemoryContext context;		/* of the whole check */
} Check;

PG_FUNCTION_INFO_V1(wh_check);
PG_FUNCTION_INFO_V1(wh_check_equality);

static void
return_row(Check *check, const char *object, const char *failed, int64 failures, const char *detail)
{
	Datum		values[4] = {CStringGetTextDatum(object), CStringGetTextDatum(failed), Int64GetDatum(failures),
	detail ? CStringGetTextDatum(detail) : (Datum) 0};
	bool		nulls[4] = {false, false, false, detail == NULL};

	tuplestore_putvalues(check->rsinfo->setResult, check->rsinfo->setDesc, values, nulls);
}

/*
 * Run one query and hand its rows out.  One of kind "keys" makes a list of keys of
 * the one it is given as $1; "left" says how many are left at the end.
 */
static void
run_query(void *arg)
{
	Check	   *check = arg;
	CheckTask  *task = check->task;
	WhSurroundings saved;
	WhRow	   *rows;
	int			n;

	wh_owner_enter(task->relid, &saved);
	if (strcmp(task->kind, "rows") == 0)
		rows = wh_spi_rows(&n, task->query, 0, NULL, NULL);
	else
		rows = wh_spi_rows(&n, task->query, 1, (Oid[]) {INT8ARRAYOID},
						   (Datum[]) {check->keys ? check->keys :
							   PointerGetDatum(construct_empty_array(INT8OID))});
	wh_surroundings_leave(&saved);
	if (strcmp(task->kind, "keys") == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(check->context);

		check->keys = n == 0 || rows[0].isnull[0] ? (Datum) 0 : datumCopy(rows[0].values[0], false, -1);
		MemoryContextSwitchTo(old);
		return;
	}
	for (int i = 0; i < n; i++)
		return_row(check, task->object,
				   rows[i].isnull[0] ? task->check : TextDatumGetCString(rows[i].values[0]),
				   DatumGetInt64(rows[i].values[1]),
				   rows[i].isnull[2] ? NULL : TextDatumGetCString(rows[i].values[2]));
}

/*
 * Tell why a task cannot be run, or NULL.  The relations stay locked: none becomes
 * a view afterwards.
 */
static const char *
obstacle(const CheckTask *task)
{
	for (int i = 0; i < task->nreads; i++)
	{
		Oid			relid = task->reads[i];
		HeapTuple	tuple;
		Form_pg_class form;
		const char *name;
		char		kind;
		Oid			schema;

		LockRelationOid(relid, AccessShareLock);
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
		if (!HeapTupleIsValid(tuple))
			return psprintf("relation with OID %u is gone", relid);
		form = (Form_pg_class) GETSTRUCT(tuple);
		kind = form->relkind;
		schema = form->relnamespace;
		ReleaseSysCache(tuple);
		name = wh_relation_name(relid);
		if (kind != RELKIND_RELATION)
			return psprintf("\"%s\" is no table any more", name);
		if (wh_schema_aclcheck(schema, GetUserId(), ACL_USAGE) != ACLCHECK_OK ||
			pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return psprintf("role \"%s\" may not read \"%s\"", GetUserNameFromId(GetUserId(), false), name);
		if (check_enable_rls(relid, GetUserId(), true) == RLS_ENABLED)
			return psprintf("role \"%s\" may not read every row of \"%s\"", GetUserNameFromId(GetUserId(), false), name);
	}
	return NULL;
}

/* Read the tasks for one object, or all. */
static CheckTask *
read_tasks(const char *object, int *n)
{
	WhRow	   *rows;
	CheckTask  *tasks;

	rows = wh_catalog_rows(n, "SELECT checked_object, relation::oid, reads::oid[], failed_check, kind, query"
						   " FROM wh.check_queries(nullif($1, ''))",
						   1, (Oid[]) {TEXTOID}, (Datum[]) {CStringGetTextDatum(object ? object : "")});
	tasks = palloc(sizeof(CheckTask) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		Datum	   *reads;

		tasks[i].object = TextDatumGetCString(rows[i].values[0]);
		tasks[i].relid = DatumGetObjectId(rows[i].values[1]);
		deconstruct_array(DatumGetArrayTypeP(rows[i].values[2]), OIDOID, sizeof(Oid), true, TYPALIGN_INT,
						  &reads, NULL, &tasks[i].nreads);
		tasks[i].reads = palloc(sizeof(Oid) * Max(tasks[i].nreads, 1));
		for (int r = 0; r < tasks[i].nreads; r++)
			tasks[i].reads[r] = DatumGetObjectId(reads[r]);
		tasks[i].check = TextDatumGetCString(rows[i].values[3]);
		tasks[i].kind = TextDatumGetCString(rows[i].values[4]);
		tasks[i].query = TextDatumGetCString(rows[i].values[5]);
	}
	return tasks;
}

/* Give the qualified name of what the argument names: a feed, dimension or fact. */
static char *
resolve(const char *name)
{
	static const char *const defaults[] = {"staging", "mart"};

	for (int i = 0; i < lengthof(defaults); i++)
	{
		WhObjectName object = wh_object_name(name, defaults[i]);
		WhRow		row;

		if (wh_catalog_row(&row, "SELECT r.relation::oid::regclass::text FROM"
						   " (SELECT relation FROM wh.feed UNION ALL SELECT relation FROM wh.dimension"
						   "  UNION ALL SELECT relation FROM wh.fact) r"
						   " WHERE r.relation = to_regclass($1)",
						   1, (Oid[]) {TEXTOID}, (Datum[]) {CStringGetTextDatum(object.qualified)}))
			return TextDatumGetCString(row.values[0]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no feed, dimension or fact \"%s\"", name),
			 errhint("wh.status lists them.")));
	return NULL;
}

/* Compute everything anew, taken back, and compare. */
static void
run_rebuild(void *arg)
{
	Check	   *check = arg;
	WhRow	   *rows;
	int			n;

	rows = wh_spi_rows(&n, check->task->query, 1, (Oid[]) {TEXTOID},
					   (Datum[]) {CStringGetTextDatum(check->task->object)});
	for (int i = 0; i < n; i++)
		return_row(check, TextDatumGetCString(rows[i].values[0]), check->task->check,
				   DatumGetInt64(rows[i].values[1]), TextDatumGetCString(rows[i].values[2]));
}

/*
 * Report an error of the work as a row.  Its message may have values of records:
 * it is for who may read the object.
 */
static void
return_error(Check *check, const char *object, ErrorData *error, bool may_read)
{
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return_row(check, object, "can be checked", 1,
			   may_read ? error->message : psprintf("it fails with SQLSTATE %s", unpack_sql_state(error->sqlerrcode)));
}

/* wh.check(object text, rebuild boolean) */
Datum
wh_check(PG_FUNCTION_ARGS)
{
	char	   *object = NULL;
	CheckTask  *tasks;
	CheckTask	rebuild = {.check = "equal to a full rebuild", .query =
		"SELECT p.object, p.rows_inserted + p.rows_updated + p.rows_deleted + p.rows_repointed,"
		" pg_catalog.format('%s rows to insert, %s to update, %s to delete, %s to re-point;"
		" what is staged and not yet published counts too',"
		" p.rows_inserted, p.rows_updated, p.rows_deleted, p.rows_repointed)"
		" FROM wh.plan(full_refresh => true, ingest => false) p"
		" WHERE p.kind OPERATOR(pg_catalog.<>) 'feed' AND ($1 OPERATOR(pg_catalog.=) '' OR p.object OPERATOR(pg_catalog.=) $1)"
	" AND p.rows_inserted + p.rows_updated + p.rows_deleted + p.rows_repointed OPERATOR(pg_catalog.>) 0"};
	Check		check = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo, .context = CurrentMemoryContext};
	const char *skipped = NULL;
	ErrorData  *error;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	if (!PG_ARGISNULL(0))
		object = resolve(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	tasks = read_tasks(object, &n);
	for (int i = 0; i < n; i++)
	{
		CheckTask  *task = &tasks[i];
		const char *reason;

		if (i == 0 || strcmp(task->object, task[-1].object) != 0)
			check.keys = (Datum) 0;
		/* one line for each object that is left out */
		if (skipped && strcmp(task->object, skipped) == 0)
			continue;
		reason = obstacle(task);
		if (reason)
		{
			return_row(&check, task->object, "skipped", 0, reason);
			skipped = task->object;
			continue;
		}
		check.task = task;
		error = wh_subtransaction(run_query, &check, false);
		if (error)
			return_error(&check, task->object, error, true);
	}
	if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1))
	{
		rebuild.object = object ? object : "";
		check.task = &rebuild;
		error = wh_subtransaction(run_rebuild, &check, false);
		if (error)
			return_error(&check, object ? object : "wh.plan", error, superuser());
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * wh.check_equality(type): the operator by which the engine tells values of the
 * type apart, as OPERATOR(schema.name); NULL where it compares images.
 */
Datum
wh_check_equality(PG_FUNCTION_ARGS)
{
	Oid			operator = lookup_type_cache(PG_GETARG_OID(0), TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		PG_RETURN_NULL();
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
