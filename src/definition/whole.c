/*
 * whole.c
 *	  Queries that are evaluated as a whole as of points in time: which points,
 *	  and how much that may cost.
 *
 * A query whose keys cannot be followed reads all of its inputs once for each
 * of the times at which one of them changes (query/query_whole.c).  A change
 * is followed from the first time that it concerns on: what was before is as
 * it was.  Needs an SPI connection, in the surroundings of the definition.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "definition/definition_run.h"
#include "definition/whole.h"
#include "settings.h"

/* Rows beyond which an input is not counted further. */
#define COUNTED_ROWS 10000000

/* Count the staged rows of the inputs: what each point reads. */
static int64
input_rows(const WhQueryPlan *plan)
{
	int64		result = 0;
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		WhQueryInput *input = lfirst(lc);
		WhRow		row;

		if (input->kind != WH_INPUT_LOOKUP &&
			wh_spi_row(&row, psprintf("SELECT pg_catalog.count(*) FROM (SELECT FROM %s LIMIT %d) r",
									  wh_relation_name(input->image_relid), COUNTED_ROWS), 0, NULL, NULL))
			result += DatumGetInt64(row.values[0]);
	}
	return result;
}

/* Tell if evaluating the query as of so many points stays below the limit. */
static bool
is_affordable(int64 npoints, int64 nrows)
{
	return (double) npoints * nrows <= wh_whole_query_limit * 1e6;
}

/*
 * Say that a query will be evaluated as a whole, and why; refuse it, as mode
 * AS_OF does, when what is staged already is too much for that.
 */
void
wh_whole_announce(const WhQueryPlan *plan)
{
	const WhQueryWhole *whole = plan->whole;
	int64		nrows = input_rows(plan);
	WhRow		row;

	if (wh_spi_row(&row, psprintf("SELECT pg_catalog.count(*) FROM (%s) t", whole->times_sql), 0, NULL, NULL) &&
		!is_affordable(DatumGetInt64(row.values[0]), nrows))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s", whole->message),
				 errdetail("%s%sIts inputs have " INT64_FORMAT " rows and change " INT64_FORMAT " times: that is too much for evaluating it as a whole each time (widgets_wh.whole_query_limit).",
						   whole->detail ? whole->detail : "", whole->detail ? " " : "",
						   nrows, DatumGetInt64(row.values[0])),
				 whole->hint ? errhint("%s", whole->hint) : 0));
	ereport(NOTICE,
			(errmsg("the query is evaluated as a whole as of every change of its inputs: that is for small ones"),
			 errdetail("%s.", whole->message),
			 whole->hint ? errhint("For large inputs: %s", whole->hint) : 0));
}

/* Give the first time that the changed inputs (WhInput *) concern; infinity if none. */
TimestampTz
wh_whole_first_change(const WhQueryPlan *plan, List *changed)
{
	TimestampTz result = DT_NOEND;
	ListCell   *lc,
			   *l2;

	foreach(lc, changed)
	{
		const WhInput *input = lfirst(lc);

		foreach(l2, plan->inputs)
		{
			const WhQueryInput *query_input = lfirst(l2);
			Tuplestorestate *store;
			WhRow		row;

			if (query_input->relid != input->relid || query_input->first_change_sql == NULL)
				continue;
			store = wh_changed_register(input, query_input->changed_name);
			if (wh_spi_row(&row, query_input->first_change_sql, 0, NULL, NULL) && !row.isnull[0])
				result = Min(result, DatumGetTimestampTz(row.values[0]));
			wh_spi_unregister(query_input->changed_name);
			tuplestore_end(store);
		}
	}
	return result;
}

/*
 * Put the points from a time on in memory, that time among them unless it is
 * -infinity: then all points there are.  Raises an error when evaluating the
 * query as of all of them would cost too much.
 */
WhPoints *
wh_whole_points_register(const WhQueryPlan *plan, TimestampTz from)
{
	WhPoints   *points = palloc(sizeof(WhPoints));
	const char *since = TIMESTAMP_IS_NOBEGIN(from) ? "" :
		psprintf(" WHERE t > '%s'::timestamptz UNION SELECT '%s'::timestamptz", timestamptz_to_str(from), timestamptz_to_str(from));
	TupleDesc	tupdesc;
	int64		npoints,
				nrows;

	points->store = wh_spi_store(psprintf("SELECT t, coalesce(pg_catalog.lead(t) OVER (ORDER BY t), 'infinity') AS until"
										  " FROM (SELECT t FROM (%s) every%s) p WHERE t < 'infinity'",
										  plan->whole->times_sql, since), &tupdesc, &npoints);
	if (tupdesc == NULL)
	{
		tupdesc = CreateTemplateTupleDesc(2);
		TupleDescInitEntry(tupdesc, 1, "t", TIMESTAMPTZOID, -1, 0);
		TupleDescInitEntry(tupdesc, 2, "until", TIMESTAMPTZOID, -1, 0);
	}
	nrows = input_rows(plan);
	if (!is_affordable(npoints, nrows))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("evaluating the query as a whole as of " INT64_FORMAT " changes would read " INT64_FORMAT " rows each time",
						npoints, nrows),
				 errdetail("%s.", plan->whole->message),
				 errhint("%s%sOr raise widgets_wh.whole_query_limit.", plan->whole->hint ? plan->whole->hint : "", plan->whole->hint ? " " : "")));
	wh_spi_register(WH_POINTS_NAME, tupdesc, points->store, npoints);
	points->rows_sql = plan->whole->rows_sql;
	return points;
}
