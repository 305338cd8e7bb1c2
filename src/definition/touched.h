/*
 * touched.h
 *	  The keys of a definition that changed inputs touch.
 */
#ifndef WH_TOUCHED_H
#define WH_TOUCHED_H

#include "widgets_wh.h"

#include "lib/stringinfo.h"
#include "utils/tuplestore.h"

#include "query/query_plan.h"

/* Touched values of one set of key columns. */
typedef struct WhTouched
{
	int			unit;			/* index into the plan's units; mode AS_OF: 0 */
	int			nkeys;
	int			keys[WH_MAX_KEY];	/* which of the key's columns, from 0 */
	List	   *sqls;			/* of char *: what finds them */
	TupleDesc	tupdesc;
	Tuplestorestate *store;
	int64		nrows;
	bool		has_nulls;
} WhTouched;

typedef struct WhTouchedSet
{
	bool		whole;			/* anything may have changed */
	List	   *touched;		/* of WhTouched, those with rows only */
	List	   *image_names;	/* of the registered images of changed rows */
	List	   *image_stores;
} WhTouchedSet;

extern WhTouchedSet *wh_touched_find(const WhQueryPlan *plan, List *changed);
extern void wh_touched_end(WhTouchedSet *set);
extern void wh_touched_register(const WhTouched *touched);
extern void wh_touched_unregister(void);
extern const char *wh_touched_sql(const WhQueryPlan *plan, const WhTouched *touched);
extern void wh_touched_condition(StringInfo sql, const char *alias, const WhTouched *touched,
								 char *const *key_names);

#endif							/* WH_TOUCHED_H */
