/*
 * fact_create.h
 *	  The arguments of a fact, checked.
 */
#ifndef WH_FACT_CREATE_H
#define WH_FACT_CREATE_H

#include "widgets_wh.h"

#include "feed/feed_follow.h"

#include "access/tupdesc.h"
#include "utils/jsonb.h"

#include "metadata/catalog.h"
#include "query/query_plan.h"
#include "base/object_name.h"
#include "definition/publish.h"

/* One entry of the argument "dimensions". */
typedef struct WhRoleArg
{
	char	   *role;
	char	  **columns;
	int			ncolumns;
	WhDimension *dimension;
	char	   *key_column;
} WhRoleArg;

/* What wh.create_fact was given, or what wh.alter_fact makes of it. */
typedef struct WhFactArgs
{
	WhObjectName name;
	char	   *query;
	char	  **grain;
	int			ngrain;
	char	   *event_time;
	char	   *mode;
	char	   *time_zone;
	WhRoleArg  *roles;
	int			nroles;
} WhFactArgs;

extern void wh_fact_parse_roles(WhFactArgs *args, Jsonb *dimensions);
extern void wh_fact_current_roles(WhFactArgs *args, const WhFact *fact);
extern void wh_fact_check_columns(const WhFactArgs *args, TupleDesc columns);
extern void wh_fact_check_inputs(const WhFactArgs *args, const WhQueryPlan *plan);
extern void wh_fact_store_roles(const WhFactArgs *args, int64 fact_id);

/* fact_alter.c */
extern const WhFeedReader wh_fact_reader;

#endif							/* WH_FACT_CREATE_H */
