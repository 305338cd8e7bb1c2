/*
 * points.h
 *	  The change points of a query's keys, in memory.
 */
#ifndef WH_POINTS_H
#define WH_POINTS_H

#include "widgets_wh.h"

#include "utils/tuplestore.h"

#include "query/query_plan.h"

typedef struct WhPoints
{
	Tuplestorestate *store;
	const char *rows_sql;		/* the query that reads them */
} WhPoints;

extern WhPoints *wh_points_register(const WhQueryPlan *plan, bool whole);
extern void wh_points_unregister(WhPoints *points);

#endif							/* WH_POINTS_H */
