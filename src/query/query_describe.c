/*
 * query_describe.c
 *	  SQL function wh.describe_query: shows the SQL that keeps a definition up
 *	  to date.
 *
 * Runs in the caller's transaction; takes AccessShareLock on what the
 * definition reads.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/object_name.h"
#include "query/query_plan.h"

PG_FUNCTION_INFO_V1(wh_describe_query);

/* Make a text array of a list of char *. */
static Datum
name_array(List *names)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(names), 1));
	ListCell   *lc;

	foreach(lc, names)
		values[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(values, list_length(names), TEXTOID, -1, false, TYPALIGN_INT));
}

static List *
key_names(WhQueryPlan *plan, const int *keys, int nkeys)
{
	List	   *result = NIL;

	for (int i = 0; i < nkeys; i++)
		result = lappend(result, plan->key_names[keys[i]]);
	return result;
}

static void
add_part(ReturnSetInfo *rsinfo, const char *part, Oid relid, List *columns, const char *text)
{
	Datum		values[4];
	bool		nulls[4];

	values[0] = CStringGetTextDatum(part);
	nulls[0] = false;
	values[1] = ObjectIdGetDatum(relid);
	nulls[1] = !OidIsValid(relid);
	values[2] = name_array(columns);
	nulls[2] = false;
	values[3] = text ? CStringGetTextDatum(text) : (Datum) 0;
	nulls[3] = text == NULL;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
add_input(ReturnSetInfo *rsinfo, WhQueryPlan *plan, WhQueryInput *input)
{
	List	   *columns = NIL;
	ListCell   *lc;
	int			attno = -1;

	while ((attno = bms_next_member(input->columns, attno)) >= 0)
	{
		char	   *name = get_attname(input->relid, attno, true);

		if (name != NULL)
			columns = lappend(columns, name);
	}
	add_part(rsinfo, "input", input->relid, columns, wh_query_kind_name(input->kind));
	if (input->whole)
		add_part(rsinfo, "whole", input->relid, NIL, input->whole_reason);
	else
		foreach(lc, input->touched)
		{
			WhQueryTouched *touched = lfirst(lc);

			add_part(rsinfo, "touched", input->relid, key_names(plan, touched->keys, touched->nkeys), touched->sql);
		}
}

/* wh.describe_query(definition regclass, key text[], mode text) */
Datum
wh_describe_query(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *mode = text_to_cstring(PG_GETARG_TEXT_PP(2));
	WhQueryPlan *plan;
	Datum	   *datums;
	char	   *names[WH_MAX_KEY];
	int			nkeys;
	List	   *keys = NIL;
	ListCell   *lc;

	if (strcmp(mode, "as_of") != 0 && strcmp(mode, "current") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown mode \"%s\"", mode),
				 errhint("The modes are \"as_of\" and \"current\".")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &datums, NULL, &nkeys);
	for (int i = 0; i < nkeys && i < WH_MAX_KEY; i++)
	{
		names[i] = TextDatumGetCString(datums[i]);
		keys = lappend(keys, names[i]);
	}
	wh_relation_check_exists(PG_GETARG_OID(0));
	InitMaterializedSRF(fcinfo, 0);
	plan = wh_query_plan_view(PG_GETARG_OID(0), names, nkeys,
							  strcmp(mode, "as_of") == 0 ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	foreach(lc, plan->inputs)
		add_input(rsinfo, plan, lfirst(lc));
	foreach(lc, plan->index_hints)
	{
		WhIndexHint *hint = lfirst(lc);

		add_part(rsinfo, "index", hint->relid, hint->columns, NULL);
	}
	if (plan->mode == WH_QUERY_AS_OF)
	{
		add_part(rsinfo, "points", InvalidOid, keys, plan->points_sql);
		add_part(rsinfo, "all points", InvalidOid, keys, plan->all_points_sql);
		add_part(rsinfo, "as of", InvalidOid, keys, plan->as_of_sql);
		if (plan->hot_as_of_sql)
			add_part(rsinfo, "as of, hot", InvalidOid, keys, plan->hot_as_of_sql);
	}
	else
	{
		foreach(lc, plan->units)
		{
			WhQueryUnit *unit = lfirst(lc);
			List	   *columns = key_names(plan, unit->keys, unit->nkeys);

			add_part(rsinfo, "restricted", InvalidOid, columns, unit->restricted_sql);
			add_part(rsinfo, "restricted, with NULLs", InvalidOid, columns, unit->restricted_nulls_sql);
		}
		add_part(rsinfo, "all rows", InvalidOid, keys, plan->whole_sql);
	}
	return (Datum) 0;
}
