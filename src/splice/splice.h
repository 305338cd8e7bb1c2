/*
 * splice.h
 *	  Staged rows as versions of a key: found, compared, closed, replaced.
 */
#ifndef WH_SPLICE_H
#define WH_SPLICE_H

#include "ingest/ingest_state.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"

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
	WhIngest   *ing;
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
extern WhStagedVersion *wh_version_make(WhIngest *ing);
extern void wh_version_take(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_load(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_take_staged(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot);
extern void wh_version_replace(WhIngest *ing, WhStagedVersion *version, const WhStagedVersion *by);
extern int	wh_version_image_compare(WhIngest *ing, const WhStagedVersion *a, const WhStagedVersion *b);
extern bool wh_version_is_of_run(const WhIngest *ing, const WhStagedVersion *version);
extern void wh_version_write(WhIngest *ing, WhStagedVersion *version, TimestampTz to);
extern WhBulkWriter *wh_splice_writer(WhIngest *ing);

/* splice_scan.c */
extern WhStagedScan *wh_staged_open(WhIngest *ing);
extern bool wh_staged_before(WhStagedScan *scan, Datum *values, TimestampTz time, WhStagedVersion *version);
extern void wh_staged_seek(WhStagedScan *scan, Datum *values, TimestampTz time);
extern bool wh_staged_next(WhStagedScan *scan, WhStagedVersion *version);
extern void wh_staged_close(WhStagedScan *scan);

/* splice_ordered.c */
extern bool wh_ordered_put(WhIngest *ing);
extern bool wh_ordered_has_rows(const WhIngest *ing);
extern void wh_ordered_end(WhIngest *ing);

/* splice_tombstone.c */
extern Tuplesortstate *wh_tombstone_sort(WhIngest *ing, WhStagedScan *scan, WhStagedVersion *version,
										 TupleTableSlot *in, TupleTableSlot *next, bool *has_next);
extern bool wh_tombstone_is_untimed(const WhIngest *ing, const WhIngestRow *row);
extern void wh_tombstone_mark(WhIngest *ing);

/* splice_sort.c */
extern Tuplesortstate *wh_sort_open(WhIngest *ing);
extern void wh_sort_prepare(WhIngest *ing);
extern void wh_sort_begin(WhIngest *ing);
extern bool wh_sort_same_key(WhIngest *ing, Datum *a, Datum *b);
extern int	wh_sort_key_compare(WhIngest *ing, Datum *a, Datum *b);

#endif							/* WH_SPLICE_H */
