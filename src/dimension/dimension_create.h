/*
 * dimension_create.h
 *	  The arguments of a dimension, checked.
 */
#ifndef WH_DIMENSION_CREATE_H
#define WH_DIMENSION_CREATE_H

#include "widgets_wh.h"

#include "feed/feed_follow.h"

#include "access/tupdesc.h"
#include "utils/jsonb.h"

#include "metadata/catalog.h"
#include "base/object_name.h"

/* What wh.create_dimension was given, or what wh.alter_dimension makes of it. */
typedef struct WhDimensionArgs
{
	WhObjectName name;
	char	   *query;
	char	  **keys;
	int			nkeys;
	Jsonb	   *scd;
	int			default_scd;
	char	   *history;
	char	   *grain;			/* or NULL */
	char	   *time_zone;
} WhDimensionArgs;

extern void wh_dimension_check_args(const WhDimensionArgs *args);
extern void wh_dimension_check_columns(const WhDimensionArgs *args, TupleDesc columns);
extern void wh_dimension_fixed_members(const WhDimensionArgs *args, TupleDesc columns);
extern int	wh_dimension_scd_type(const WhDimensionArgs *args, const char *column);
extern bool wh_dimension_is_attribute(const WhDimensionArgs *args, const char *name);

/* dimension_alter.c */
extern const WhFeedReader wh_dimension_reader;

#endif							/* WH_DIMENSION_CREATE_H */
