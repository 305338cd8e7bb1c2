/*
 * dimension_states.h
 *	  One pass over a dimension: what the query yields for a key, from when on.
 */
#ifndef WH_DIMENSION_STATES_H
#define WH_DIMENSION_STATES_H

#include "widgets_wh.h"

#include "base/merge_groups.h"
#include "dimension/dimension_splice.h"
#include "dimension/dimension_versions.h"
#include "query/query_plan.h"

typedef struct WhDimensionPass
{
	WhDimension *dimension;
	const WhQueryPlan *plan;
	WhDimensionSplice splice;
	AttrNumber *column;			/* of the query's result, per dimension column */
	AttrNumber	from_column;	/* history 'query': the result's effective_from */
	AttrNumber	to_column;		/* and effective_to, or 0 */
	WhBatchStep *counts;
	Datum	   *row_values;		/* room for a row of the query, what comes before it included */
	bool	   *row_isnull;
	TimestampTz from;			/* a query as a whole: from when on it is evaluated */
} WhDimensionPass;

extern WhState *wh_dimension_states_as_of(WhDimensionPass *pass, WhMerge *merge, int *nstates);
extern WhState *wh_dimension_states_direct(WhDimensionPass *pass, WhMerge *merge, int *nstates);
extern WhState *wh_dimension_states_whole(WhDimensionPass *pass, WhMerge *merge, const WhVersion *existing, int nexisting, int *nstates);
extern WhState *wh_dimension_states_current(WhDimensionPass *pass, WhMerge *merge, int *nstates);
extern WhState *wh_dimension_states_of_query(WhDimensionPass *pass, WhMerge *merge, int *nstates);
extern WhVersion *wh_dimension_existing_versions(WhDimensionPass *pass, WhMerge *merge, int *n);

#endif							/* WH_DIMENSION_STATES_H */
