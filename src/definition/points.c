/*
 * points.c
 *	  The change points of a query's keys, in memory.
 *
 * Needs an SPI connection, in the surroundings of the definition.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "definition/points.h"
#include "base/spi_query.h"

/* From so many points of one key on, the form for hot keys is used. */
#define HOT_KEY_POINTS 1000

/*
 * Put the change points of the touched keys (which are registered), or of all,
 * in memory.  The query that reads them is the form for hot keys when one key
 * has very many.
 */
WhPoints *
wh_points_register(const WhQueryPlan *plan, bool whole)
{
	StringInfoData s;
	TupleDesc	tupdesc;
	WhPoints   *points = palloc(sizeof(WhPoints));
	int64		npoints;
	StringInfoData keys;
	WhRow		row;

	initStringInfo(&keys);
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(&keys, "%sk%d", i ? ", " : "", i + 1);
	initStringInfo(&s);
	appendStringInfo(&s, "SELECT * FROM (%s) p ORDER BY %s, t",
					 whole ? plan->all_points_sql : plan->points_sql, keys.data);
	points->store = wh_spi_store(s.data, &tupdesc, &npoints);
	if (tupdesc == NULL)
	{
		tupdesc = CreateTemplateTupleDesc(plan->nkeys + 1);
		for (int i = 0; i < plan->nkeys; i++)
		{
			TupleDescInitEntry(tupdesc, i + 1, psprintf("k%d", i + 1), plan->key_types[i],
							   plan->key_typmods[i], 0);
			TupleDescInitEntryCollation(tupdesc, i + 1, plan->key_collations[i]);
		}
		TupleDescInitEntry(tupdesc, plan->nkeys + 1, "t", TIMESTAMPTZOID, -1, 0);
	}
	wh_spi_register(WH_POINTS_NAME, tupdesc, points->store, npoints);
	points->rows_sql = plan->as_of_sql;
	if (npoints < HOT_KEY_POINTS || plan->hot_as_of_sql == NULL)
		return points;
	resetStringInfo(&s);
	appendStringInfo(&s, "SELECT 1 FROM %s GROUP BY %s HAVING count(*) > %d LIMIT 1",
					 WH_POINTS_NAME, keys.data, HOT_KEY_POINTS);
	if (wh_spi_row(&row, s.data, 0, NULL, NULL))
		points->rows_sql = plan->hot_as_of_sql;
	return points;
}

/* Let go of the points. */
void
wh_points_unregister(WhPoints *points)
{
	wh_spi_unregister(WH_POINTS_NAME);
	tuplestore_end(points->store);
	pfree(points);
}
