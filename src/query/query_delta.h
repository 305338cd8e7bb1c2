/*
 * query_delta.h
 *	  The query over the rows that an event feed added.
 */
#ifndef WH_QUERY_DELTA_H
#define WH_QUERY_DELTA_H

#include "widgets_wh.h"

#include "metadata/catalog.h"

extern char *wh_query_delta_sql(const WhFact *fact, const WhInput *input);

#endif							/* WH_QUERY_DELTA_H */
