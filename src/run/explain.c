/*
 * explain.c
 *	  wh.explain(): the SQL derived from a definition, and its plan.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "metadata/catalog.h"
#include "definition/definition_create.h"
#include "base/surroundings.h"
#include "base/object_name.h"
#include "query/query_plan.h"

/* Rows that plans are shown for: touched keys, and points. */
#define SHOWN_ROWS 1000

typedef struct Explaining
{
	ReturnSetInfo *rsinfo;
	const WhQueryPlan *plan;
} Explaining;

static void
add_line(Explaining *e, const char *line)
{
	Datum		value = CStringGetTextDatum(line);
	bool		isnull = false;

	tuplestore_putvalues(e->rsinfo->setResult, e->rsinfo->setDesc, &value, &isnull);
}

/* Show one statement, and its plan if it can be planned as it stands. */
static void
add_statement(Explaining *e, const char *title, const char *sql)
{
	int			n;
	WhRow	   *rows;

	if (sql == NULL)
		return;
	add_line(e, psprintf("-- %s", title));
	add_line(e, sql);
	rows = wh_spi_rows(&n, psprintf("EXPLAIN %s", sql), 0, NULL, NULL);
	for (int i = 0; i < n; i++)
		add_line(e, psprintf("    %s", TextDatumGetCString(rows[i].values[0])));
	add_line(e, "");
}

/* Register an empty relation of some columns of the key, and a time if with_time. */
static void
register_empty(const WhQueryPlan *plan, const char *name, const int *keys, int nkeys, bool with_time)
{
	TupleDesc	desc = CreateTemplateTupleDesc(nkeys + with_time);

	for (int i = 0; i < nkeys; i++)
	{
		int			k = keys ? keys[i] : i;

		TupleDescInitEntry(desc, i + 1, psprintf("k%d", k + 1), plan->key_types[k], plan->key_typmods[k], 0);
		TupleDescInitEntryCollation(desc, i + 1, plan->key_collations[k]);
	}
	if (with_time)
		TupleDescInitEntry(desc, nkeys + 1, "t", TIMESTAMPTZOID, -1, 0);
	wh_spi_register(name, desc, tuplestore_begin_heap(false, false, work_mem), SHOWN_ROWS);
}

static void
explain_inputs(Explaining *e)
{
	List	   *registered = NIL;
	ListCell   *lc,
			   *l2;

	foreach(lc, e->plan->inputs)
	{
		WhQueryInput *input = lfirst(lc);

		add_line(e, psprintf("-- reads %s, %s", get_rel_name(input->relid), wh_query_kind_name(input->kind)));
		if (input->whole)
			add_line(e, psprintf("-- every change of it recomputes the whole: %s",
								 input->whole_reason ? input->whole_reason : "it is a lookup table"));
		foreach(l2, input->touched)
		{
			WhQueryTouched *touched = lfirst(l2);
			ListCell   *l3;

			foreach(l3, registered)
				if (strcmp(lfirst(l3), input->changed_name) == 0)
					break;
			if (l3 == NULL)
			{
				wh_spi_register(input->changed_name, wh_definition_columns(input->image_relid),
								tuplestore_begin_heap(false, false, work_mem), SHOWN_ROWS);
				registered = lappend(registered, input->changed_name);
			}
			add_statement(e, "keys touched by its changed rows", touched->sql);
		}
	}
}

/* A query that is evaluated as a whole as of points in time. */
static void
explain_whole(Explaining *e)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	add_line(e, psprintf("-- evaluated as a whole as of every change of its inputs: %s", e->plan->whole->message));
	TupleDescInitEntry(desc, 1, "t", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, 2, "until", TIMESTAMPTZOID, -1, 0);
	wh_spi_register(WH_POINTS_NAME, desc, tuplestore_begin_heap(false, false, work_mem), SHOWN_ROWS);
	add_statement(e, "times of change", e->plan->whole->times_sql);
	add_statement(e, "the query as of each time", e->plan->whole->rows_sql);
}

static void
explain_as_of(Explaining *e)
{
	register_empty(e->plan, WH_TOUCHED_NAME, NULL, e->plan->nkeys, false);
	register_empty(e->plan, WH_POINTS_NAME, NULL, e->plan->nkeys, true);
	if (e->plan->direct_sql)
	{
		add_statement(e, "the query at the beginning of each version of touched keys", e->plan->direct_touched_sql);
		add_statement(e, "the same for all keys", e->plan->direct_sql);
		return;
	}
	add_statement(e, "change points of touched keys", e->plan->points_sql);
	add_statement(e, "change points of all keys", e->plan->all_points_sql);
	add_statement(e, "the query as of each point", e->plan->as_of_sql);
	add_statement(e, "the same for keys with very many versions", e->plan->hot_as_of_sql);
}

static void
explain_current(Explaining *e)
{
	ListCell   *lc;

	foreach(lc, e->plan->units)
	{
		WhQueryUnit *unit = lfirst(lc);

		register_empty(e->plan, WH_TOUCHED_NAME, unit->keys, unit->nkeys, false);
		add_statement(e, "the query for touched units", unit->restricted_sql);
		wh_spi_unregister(WH_TOUCHED_NAME);
	}
	add_statement(e, "the whole query", e->plan->whole_sql);
}

PG_FUNCTION_INFO_V1(wh_explain);

/* wh.explain(name text) returns setof text */
Datum
wh_explain(PG_FUNCTION_ARGS)
{
	char	   *name = wh_text_arg(fcinfo, 0, "name");
	Explaining	e = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	int64		id;
	WhSurroundings saved;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	SPI_connect();
	id = wh_catalog_find("dimension", name);
	if (id != 0)
	{
		WhDimension *d = wh_catalog_dimension(id);

		if (d->is_date)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("dimension \"%s\" has no query", name),
					 errdetail("It is a calendar.")));
		wh_owner_enter(d->relid, &saved);
		e.plan = wh_query_plan_view(d->definition, d->key_name, d->nkey,
									d->history == WH_HISTORY_AUTO ? WH_QUERY_AS_OF_OR_WHOLE : WH_QUERY_CURRENT);
	}
	else
	{
		WhFact	   *f = wh_catalog_fact(wh_catalog_object_id("fact", name));

		wh_owner_enter(f->relid, &saved);
		e.plan = wh_query_plan_view(f->definition, f->grain_name, f->ngrain,
									f->mode == WH_FACT_LEDGER ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	}
	explain_inputs(&e);
	if (e.plan->whole)
		explain_whole(&e);
	else if (e.plan->mode == WH_QUERY_AS_OF)
		explain_as_of(&e);
	else
		explain_current(&e);
	wh_surroundings_leave(&saved);
	SPI_finish();
	return (Datum) 0;
}
