/*
 * points.h
 *	  The change points of a query's keys, in memory.
 */
#ifndef WH_POINTS_H
#define WH_POINTS_H

#include "widgets_wh.h"

#include "query_plan.h"

extern const char *wh_points_register(const WhQueryPlan *plan, bool whole);
extern void wh_points_unregister(void);

#endif							/* WH_POINTS_H */
