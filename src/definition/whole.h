/*
 * whole.h
 *	  Queries that are evaluated as a whole as of points in time: which points,
 *	  and how much that may cost.
 */
#ifndef WH_WHOLE_H
#define WH_WHOLE_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "definition/points.h"
#include "query/query_plan.h"

extern void wh_whole_announce(const WhQueryPlan *plan);
extern TimestampTz wh_whole_first_change(const WhQueryPlan *plan, List *changed);
extern WhPoints *wh_whole_points_register(const WhQueryPlan *plan, TimestampTz from);

#endif							/* WH_WHOLE_H */
