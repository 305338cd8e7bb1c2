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
#include "definition/definition_statements.h"
#include "base/surroundings.h"
#include "base/object_name.h"
#include "query/query_plan.h"

typedef struct Explaining
{
	ReturnSetInfo *rsinfo;
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

/* Show an input, a remark or a statement. */
static void
show(const WhQueryInput *input, const char *title, const char *sql, void *arg)
{
	Explaining *e = arg;

	if (input == NULL && sql == NULL)
	{
		add_line(e, psprintf("-- %s", title));
		return;
	}
	if (sql)
	{
		add_statement(e, title, sql);
		return;
	}
	add_line(e, psprintf("-- reads %s, %s", get_rel_name(input->relid), wh_query_kind_name(input->kind)));
	if (input->whole)
		add_line(e, psprintf("-- every change of it recomputes the whole: %s",
							 input->whole_reason ? input->whole_reason : "it is a lookup table"));
}

PG_FUNCTION_INFO_V1(wh_explain);

/* wh.explain(name text) returns setof text */
Datum
wh_explain(PG_FUNCTION_ARGS)
{
	char	   *name = wh_text_arg(fcinfo, 0, "name");
	Explaining	e = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	int64		id;
	WhQueryPlan *plan;
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
		plan = wh_query_plan_view(d->definition, d->key_name, d->nkey,
									d->history == WH_HISTORY_AUTO ? WH_QUERY_AS_OF_OR_WHOLE : WH_QUERY_CURRENT);
	}
	else
	{
		WhFact	   *f = wh_catalog_fact(wh_catalog_object_id("fact", name));

		wh_owner_enter(f->relid, &saved);
		plan = wh_query_plan_view(f->definition, f->grain_name, f->ngrain,
									f->mode == WH_FACT_LEDGER ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	}
	wh_definition_statements(plan, show, &e);
	wh_surroundings_leave(&saved);
	SPI_finish();
	return (Datum) 0;
}
