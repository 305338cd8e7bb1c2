/*
 * dimension_versions.h
 *	  From the states of one natural key to the versions it should have.
 */
#ifndef WH_DIMENSION_VERSIONS_H
#define WH_DIMENSION_VERSIONS_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "storage/itemptr.h"

#include "metadata/catalog.h"

/* What the query yields for a key from a time on; values NULL = no row. */
typedef struct WhState
{
	TimestampTz at;
	Datum	   *values;			/* per column of the query */
	bool	   *isnull;
} WhState;

/* One version, wanted or existing. */
typedef struct WhVersion
{
	TimestampTz from;
	TimestampTz to;
	int64		key;			/* surrogate key, 0 = none yet */
	Datum	   *values;			/* per column of the query */
	bool	   *isnull;
	Datum	   *previous;		/* per column of the query; used for SCD type 3 */
	bool	   *previous_isnull;
	bool		is_current;
	bool		is_inferred;
	ItemPointerData tid;		/* existing versions */
	bool		matched;		/* existing versions: a wanted one took its key */
} WhVersion;

/* How a column's values compare. */
typedef struct WhColumnCompare
{
	bool		byval;
	int16		len;
	Oid			collation;
	bool		has_equal;
	FmgrInfo	equal;			/* the type's equality */
} WhColumnCompare;

typedef struct WhVersionBuilder
{
	const WhDimension *dimension;
	WhColumnCompare *columns;	/* per column of the query */
} WhVersionBuilder;

extern WhVersionBuilder *wh_versions_builder(const WhDimension *dimension);
extern WhVersion *wh_versions_build(const WhVersionBuilder *builder, WhState *states,
									int nstates, int *nversions);
extern TimestampTz wh_versions_grain_start(const WhDimension *d, TimestampTz at);
extern bool wh_versions_same_image(const WhVersionBuilder *builder, const WhVersion *a,
								   const WhVersion *b);

#endif							/* WH_DIMENSION_VERSIONS_H */
