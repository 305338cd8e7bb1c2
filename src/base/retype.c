/*
 * retype.c
 *	  Wider types for columns of the engine's tables, under the views that read them.
 *
 * PostgreSQL alters no column that a view reads, and CREATE OR REPLACE VIEW gives
 * none of a view's columns another type.  So that views stay what they are (OID,
 * owner, rights, comments, options, triggers), the dependencies of their queries
 * are taken away while the table is altered, their columns get the types that the
 * queries have then, and CREATE OR REPLACE VIEW puts the queries back.
 *
 * Runs in the caller's transaction, with an SPI connection and pinned settings:
 * the table is altered as its owner, each view as its own.  Takes
 * AccessExclusiveLock on all of them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "base/own_ddl.h"
#include "base/retype.h"
#include "base/spi_query.h"

/* A view over the table, or over such a view. */
typedef struct View
{
	Oid			relid;
	char	   *name;
	char	   *query;
	char	   *options;		/* or NULL */
} View;

/* Digits before and after the point of a numeric's typmod. */
static void
numeric_digits(int32 typmod, int *whole, int *scale)
{
	*scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
	*whole = (((typmod - VARHDRSZ) >> 16) & 0xffff) - *scale;
}

/* Tell whether every value of one type modifier is one of another of the same type, as it is. */
static bool
typmod_holds(Oid type, int32 typmod, int32 from)
{
	int			whole;
	int			scale;
	int			from_whole;
	int			from_scale;

	if (typmod < 0 || typmod == from)
		return true;
	if (from < 0)
		return false;
	switch (type)
	{
		case VARCHAROID:
		case VARBITOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return typmod >= from;
		case NUMERICOID:
			numeric_digits(typmod, &whole, &scale);
			numeric_digits(from, &from_whole, &from_scale);
			return whole >= from_whole && scale >= from_scale;
		default:
			return false;
	}
}

/* Tell whether a column of a type takes every value of another type as it is; domains count as what they are made of. */
bool
wh_type_holds(Oid type, int32 typmod, Oid from, int32 from_typmod)
{
	type = getBaseTypeAndTypmod(type, &typmod);
	from = getBaseTypeAndTypmod(from, &from_typmod);
	return type == from && typmod_holds(type, typmod, from_typmod);
}

/* Tell whether a numeric takes whole numbers of so many digits. */
static bool
takes_digits(int32 typmod, int digits)
{
	int			whole;
	int			scale;

	if (typmod < 0)
		return true;
	numeric_digits(typmod, &whole, &scale);
	return whole >= digits && scale >= 0;
}

/* Tell whether a column can get another type without a loss. */
bool
wh_type_widens(Oid from, int32 from_typmod, Oid to, int32 to_typmod)
{
	from = getBaseTypeAndTypmod(from, &from_typmod);
	to = getBaseTypeAndTypmod(to, &to_typmod);
	if (from == to)
		return typmod_holds(to, to_typmod, from_typmod) ||
			(from == BPCHAROID && from_typmod >= 0 && to_typmod >= from_typmod);
	switch (from)
	{
		case INT2OID:
			return to == INT4OID || to == INT8OID || (to == NUMERICOID && takes_digits(to_typmod, 5));
		case INT4OID:
			return to == INT8OID || (to == NUMERICOID && takes_digits(to_typmod, 10));
		case INT8OID:
			return to == NUMERICOID && takes_digits(to_typmod, 19);
		case FLOAT4OID:
			return to == FLOAT8OID;
		case TEXTOID:
			return to == VARCHAROID && to_typmod < 0;
		case VARCHAROID:
			return to == TEXTOID;
		case BPCHAROID:
			return to == TEXTOID ||
				(to == VARCHAROID && (to_typmod < 0 || (from_typmod >= 0 && to_typmod >= from_typmod)));
		case DATEOID:
			return to == TIMESTAMPOID || to == TIMESTAMPTZOID;
		case TIMESTAMPOID:
			return to == TIMESTAMPTZOID && typmod_holds(TIMESTAMPOID, to_typmod, from_typmod);
		case JSONOID:
			return to == JSONBOID;
		default:
			return false;
	}
}

/* Find the views that read the columns, each after those that it reads, and take their queries' dependencies away. */
static View *
detach_views(Oid relid, List *columns, int *nviews)
{
	Datum	   *attnums = palloc(sizeof(Datum) * list_length(columns));
	Oid			types[] = {OIDOID, INT2ARRAYOID};
	Datum		args[2];
	WhRow	   *rows;
	View	   *views;
	ListCell   *lc;

	foreach(lc, columns)
		attnums[foreach_current_index(lc)] = Int16GetDatum(get_attnum(relid, ((WhRetype *) lfirst(lc))->column));
	args[0] = ObjectIdGetDatum(relid);
	args[1] = PointerGetDatum(construct_array(attnums, list_length(columns), INT2OID, sizeof(int16), true,
											  TYPALIGN_SHORT));
	rows = wh_spi_rows(nviews,
					   "WITH RECURSIVE reads AS MATERIALIZED ("
					   " SELECT DISTINCT w.ev_class AS view, w.oid AS rule, d.refobjid, d.refobjsubid"
					   " FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid AND w.rulename = '_RETURN'"
					   " WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass"
					   " AND w.ev_class <> d.refobjid),"
					   " found(view, rule, depth) AS ("
					   " SELECT view, rule, 1 FROM reads WHERE refobjid = $1 AND (refobjsubid = 0 OR refobjsubid = ANY ($2))"
					   " UNION SELECT r.view, r.rule, f.depth + 1 FROM found f JOIN reads r ON r.refobjid = f.view)"
					   " SELECT f.view, f.rule, pg_get_viewdef(f.view), array_to_string(c.reloptions, ', '), c.relkind"
					   " FROM (SELECT view, rule, max(depth) AS depth FROM found GROUP BY 1, 2) f JOIN pg_class c ON c.oid = f.view"
					   " ORDER BY f.depth, f.view", lengthof(args), types, args);
	views = palloc(sizeof(View) * (*nviews + 1));
	for (int i = 0; i < *nviews; i++)
	{
		View	   *view = &views[i];

		view->relid = DatumGetObjectId(rows[i].values[0]);
		view->name = wh_relation_name(view->relid);
		view->query = TextDatumGetCString(rows[i].values[2]);
		view->options = rows[i].isnull[3] ? NULL : TextDatumGetCString(rows[i].values[3]);
		if (DatumGetChar(rows[i].values[4]) != RELKIND_VIEW)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("materialized view %s reads a column of \"%s\" whose type changes", view->name,
							get_rel_name(relid)),
					 errhint("Drop it, and create it anew afterwards.")));
	}
	for (int i = 0; i < *nviews; i++)
	{
		LockRelationOid(views[i].relid, AccessExclusiveLock);
		(void) deleteDependencyRecordsFor(RewriteRelationId, DatumGetObjectId(rows[i].values[1]), true);
	}
	CommandCounterIncrement();
	return views;
}

/* Give the columns of a view the types that its query has now. */
static void
retype_view(Oid relid, TupleDesc desc)
{
	Relation	view = relation_open(relid, NoLock);
	Relation	catalog = table_open(AttributeRelationId, RowExclusiveLock);

	if (RelationGetDescr(view)->natts != desc->natts)
		elog(ERROR, "view \"%s\" has %d columns, its query %d", RelationGetRelationName(view),
			 RelationGetDescr(view)->natts, desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute now = TupleDescAttr(desc, i);
		HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(i + 1));
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);

		if (att->atttypid != now->atttypid || att->atttypmod != now->atttypmod ||
			att->attcollation != now->attcollation)
		{
			/* no column of a table may hold rows of the view as they were */
			find_composite_type_dependencies(view->rd_rel->reltype, view, NULL);
			att->atttypid = now->atttypid;
			att->atttypmod = now->atttypmod;
			att->attlen = now->attlen;
			att->attbyval = now->attbyval;
			att->attalign = now->attalign;
			att->attstorage = now->attstorage;
			att->attndims = now->attndims;
			att->attcollation = now->attcollation;
			CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		}
		heap_freetuple(tuple);
	}
	table_close(catalog, RowExclusiveLock);
	relation_close(view, NoLock);
	CommandCounterIncrement();
}

static void
view_error_callback(void *arg)
{
	errcontext("view %s, which reads a column whose type changes", ((View *) arg)->name);
}

/* Put a view's query back, as the view's owner. */
static void
attach_view(View *view)
{
	ErrorContextCallback callback = {error_context_stack, view_error_callback, view};
	Relation	rel = relation_open(view->relid, NoLock);
	Oid			owner = rel->rd_rel->relowner;
	Oid			user;
	int			sec_context;
	SPIPlanPtr	plan;

	relation_close(rel, NoLock);
	error_context_stack = &callback;
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(owner, sec_context | SECURITY_RESTRICTED_OPERATION);
	plan = SPI_prepare(view->query, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "could not prepare the query of a view");
	retype_view(view->relid, ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->resultDesc);
	SPI_freeplan(plan);
	wh_alter_own(psprintf("CREATE OR REPLACE VIEW %s%s AS %s", view->name,
						  view->options ? psprintf(" WITH (%s)", view->options) : "", view->query));
	SetUserIdAndSecContext(user, sec_context);
	error_context_stack = callback.previous;
}

/* Give columns of one of the engine's tables other types; of WhRetype. */
void
wh_retype(Oid relid, List *columns)
{
	int			nviews;
	View	   *views;
	StringInfoData sql;
	ListCell   *lc;

	if (columns == NIL)
		return;
	LockRelationOid(relid, AccessExclusiveLock);
	views = detach_views(relid, columns, &nviews);
	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s", wh_relation_name(relid));
	foreach(lc, columns)
	{
		WhRetype   *retype = lfirst(lc);

		appendStringInfo(&sql, "%s ALTER COLUMN %s TYPE %s", foreach_current_index(lc) > 0 ? "," : "",
						 quote_identifier(retype->column), retype->type);
		if (retype->value)
			appendStringInfo(&sql, " USING %s", retype->value);
	}
	wh_alter_own(sql.data);
	for (int i = 0; i < nviews; i++)
		attach_view(&views[i]);
}
