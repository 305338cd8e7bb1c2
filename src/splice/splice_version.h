/*
 * splice_version.h
 *	  Staged rows as versions of a key: found, compared, closed, replaced.
 */
#ifndef WH_SPLICE_VERSION_H
#define WH_SPLICE_VERSION_H

#include "splice/splice.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"

/* Columns added to sorted rows, after the staging table's. */
#define wh_sort_major(staging) ((staging)->desc->natts + 1)
#define wh_sort_minor(staging) ((staging)->desc->natts + 2)
#define wh_sort_raw(staging) ((staging)->desc->natts + 3)
#define WH_SORT_COLUMNS 3

/* One version of a key, staged or on its way.  Rows have staging's columns. */
typedef struct WhStagedVersion
{
	Datum	   *values;			/* as they will be */
	bool	   *isnull;
	TupleTableSlot *slot;		/* holds the values of an incoming row */
	TupleTableSlot *stored;		/* holds those of a staged one, as it is */
	TimestampTz from;
	TimestampTz to;				/* as staged */
	int64		position;
	bool		is_stored;
	bool		is_replaced;	/* has another image, or moved, than what is staged */
	bool		is_raised;		/* differs from what is staged in its position only */
	bool		is_removed;		/* staged, and must go */
} WhStagedVersion;

/*
 * Finds staged rows through the unique index of the feed's table; or, when this
 * run began by putting rows straight into the empty table, by reading those in
 * their order.
 */
typedef struct WhStagedScan
{
	WhStaging  *staging;
	Relation	table;			/* NULL: nothing is staged, nothing will be found */
	TableScanDesc ordered;		/* NULL: through the index */
	bool		has_row;		/* the slot holds the next row of the ordered scan */
	bool		is_found;		/* that row is what wh_staged_seek was to find; through the index: there may be some */
	Relation	index;
	IndexScanDesc forward;		/* key and effective_from >= */
	IndexScanDesc backward;		/* key and effective_from < */
	ScanKeyData forward_keys[WH_MAX_KEY + 1];
	ScanKeyData backward_keys[WH_MAX_KEY + 1];
	Datum	   *held;			/* the forward scan's key; laid out as a staged row */
	bool		has_highest;	/* the highest first key column is known */
	Datum		highest;
	TupleTableSlot *slot;
} WhStagedScan;

/* splice_version.c */
extern WhStagedVersion *wh_version_make(WhStaging *staging);
extern void wh_version_take(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_load(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_take_staged(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_replace(WhStaging *staging, WhStagedVersion *version, const WhStagedVersion *by);
extern int	wh_version_image_compare(WhStaging *staging, const WhStagedVersion *a, const WhStagedVersion *b);
extern bool wh_version_is_of_run(const WhStaging *staging, const WhStagedVersion *version);
extern void wh_version_write(WhStaging *staging, WhStagedVersion *version, TimestampTz to);

/* splice_scan.c */
extern WhStagedScan *wh_staged_open(WhStaging *staging);
extern bool wh_staged_before(WhStagedScan *scan, Datum *values, TimestampTz time, WhStagedVersion *version);
extern void wh_staged_seek(WhStagedScan *scan, Datum *values, TimestampTz time);
extern bool wh_staged_next(WhStagedScan *scan, WhStagedVersion *version);
extern void wh_staged_close(WhStagedScan *scan);

/* splice_ordered.c */
extern bool wh_ordered_put(WhStaging *staging);
extern void wh_ordered_end(WhStaging *staging);

/* splice_tombstone.c */
extern Tuplesortstate *wh_tombstone_sort(WhStaging *staging, WhStagedScan *scan, WhStagedVersion *version,
										 TupleTableSlot *in, TupleTableSlot *next, bool *has_next);
extern void wh_tombstone_mark(WhStaging *staging);

/* splice_sort.c */
extern Tuplesortstate *wh_sort_open(WhStaging *staging);
extern void wh_sort_prepare(WhStaging *staging);
extern void wh_sort_begin(WhStaging *staging);
extern bool wh_sort_same_key(WhStaging *staging, Datum *a, Datum *b);
extern int	wh_sort_key_compare(WhStaging *staging, Datum *a, Datum *b);

#endif							/* WH_SPLICE_VERSION_H */
