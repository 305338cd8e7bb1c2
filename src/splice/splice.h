/*
 * splice.h
 *	  Staging: a feed's records on their way into its table, the keyed ones put
 *	  beside what is staged.
 *
 * Who loads a feed opens a WhStaging, fills its scratch row for each record and
 * stages it; who loads a snapshot feed also says where each snapshot begins and
 * ends.  Records that cannot stay are handed back through the lose callback.
 */
#ifndef WH_SPLICE_H
#define WH_SPLICE_H

#include "base/bulk_writer.h"
#include "feed/feed.h"
#include "feed/feed_unit.h"
#include "metadata/batch_log.h"

#include "executor/tuptable.h"
#include "utils/tuplesort.h"

/* Columns of the staging table that are the engine's; 0 = it has none. */
typedef struct WhStagedColumns
{
	AttrNumber	effective_from;
	AttrNumber	effective_to;
	AttrNumber	is_deleted;
	AttrNumber	batch_id;
	AttrNumber	source_position;
} WhStagedColumns;

/* A record for a keyed table, beside its columns, which are in the scratch row. */
typedef struct WhStagedRecord
{
	TimestampTz event_time;
	int64		major;			/* order among the run's records of one key and time */
	int64		minor;
	const char *raw;			/* the record as it came; NULL = none */
	Size		raw_len;
	bool		is_untimed;		/* a tombstone, whose time is to be found (splice_tombstone.c) */
} WhStagedRecord;

/* A record that is not staged, or not any more, because of another one. */
typedef struct WhLostRecord
{
	Datum	   *values;			/* laid out as a staged row */
	bool	   *isnull;
	bytea	   *raw;			/* as it came; NULL = not at hand */
	bool		is_of_run;		/* counts as rejected; else an earlier run staged it */
	int			sqlerrcode;
	const char *message;
} WhLostRecord;

typedef void (*WhLoseRecord) (void *arg, const WhLostRecord *lost);

/* Said of the records of a set that has several times. */
#define WH_SNAPSHOT_MIXED "records of one snapshot have different event times"

typedef struct WhStaging
{
	/* Given by who loads */
	const WhFeed *feed;
	WhFeedSource kind;
	WhUnits    *units;
	int64		batch_id;
	TimestampTz batch_start;
	WhBatchStep *counts;
	bool		is_retry;		/* the records were rejected before */
	bool		is_held;		/* nothing may be written yet: it is not the batch's turn */
	WhLoseRecord lose;
	void	   *lose_arg;

	/* The table (splice_staging.c) */
	MemoryContext context;		/* lives as long as the staging */
	Oid			table;
	TupleDesc	desc;
	WhStagedColumns ours;
	int			nkeys;
	AttrNumber	key[WH_MAX_KEY];
	int			nimage;			/* columns that make up a row's image */
	AttrNumber *image;
	Datum	   *values;			/* scratch row, with room for what sorting adds */
	bool	   *isnull;

	/* Writing */
	WhBulkWriter *writer;		/* of the table; opened when needed */
	WhBulkWriter *change_writer;	/* of the change log; opened when needed */
	bool		reader_known;	/* has_reader is looked up */
	bool		has_reader;		/* a dimension or fact wants the change log */
	AttrNumber *change_of;		/* column of each of the change log's, 0 = none */
	Datum	   *change_values;
	bool	   *change_isnull;
	bool		has_changed;	/* staged rows were added, rewritten or removed */
	bool		has_written;	/* that, or positions were raised */

	/* Keyed loads: records put straight in, then sorted ones */
	struct WhOrderedLoad *ordered;	/* splice_ordered.c; NULL until the first record */
	int64		ordered_rows;	/* put straight in */
	Tuplesortstate *sort;		/* NULL = none open */
	bool		sort_is_done;	/* while the batch waited for its turn */
	TupleDesc	sort_desc;		/* the table's columns, then the order of equal times, then raw */
	TupleTableSlot *sort_slot;
	bool		sort_has_raw;
	int64		sort_rows;
	struct TypeCacheEntry *key_type[WH_MAX_KEY];
	Oid			key_collation[WH_MAX_KEY];	/* of the sort */

	/* The snapshot being read (snapshot_read.c) */
	TimestampTz snapshot_time;	/* DT_NOBEGIN = none */
	bool		snapshot_mixed; /* its records have several times */
	bool		snapshot_incomplete;	/* a rejected row had no readable key */
	struct WhSnapshots *snapshots;	/* all of the feed; NULL until needed */
	struct WhUnstated *unstated;	/* keys that they do not state; known with them */
} WhStaging;

/* splice_staging.c */
extern TupleDesc wh_staging_desc(const WhFeed *feed, LOCKMODE lock, bool keep);
extern void wh_staging_open(WhStaging *staging, TupleDesc desc);
extern WhBulkWriter *wh_staging_writer(WhStaging *staging);
extern void wh_staging_close(WhStaging *staging);

/* splice_sort.c */
extern void wh_splice_sort_early(WhStaging *staging);
extern void wh_splice_drop(WhStaging *staging);

/* splice_put.c */
extern void wh_splice_put(WhStaging *staging, const WhStagedRecord *record);

/* splice_merge.c */
extern void wh_splice_finish(WhStaging *staging);

/* snapshot_read.c */
extern void wh_snapshot_begin(WhStaging *staging);
extern void wh_snapshot_note_reject(WhStaging *staging, Datum *key);
extern void wh_snapshot_end(WhStaging *staging, WhUnit *unit);

/* snapshot_retry.c */
extern void wh_snapshot_retry_begin(WhStaging *staging, WhUnit *unit);
extern void wh_snapshot_retry_end(WhStaging *staging, WhUnit *unit, bool all_tried);

#endif							/* WH_SPLICE_H */
