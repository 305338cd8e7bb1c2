/*
 * ingest_state.h
 *	  What the files of one ingest share: the feed at work, its source's rows on
 *	  their way to staging.
 *
 * The way of a record: a source (ingest_relation.c, ingest_file.c, ...) gives
 * it to wh_ingest_row (ingest_row.c), which redacts, screens and dates it, and
 * gives good ones to wh_ingest_stage (ingest.c), others to wh_ingest_reject
 * (ingest_error.c).
 */
#ifndef WH_INGEST_STATE_H
#define WH_INGEST_STATE_H

#include "base/bulk_writer.h"
#include "feed/feed_check.h"
#include "ingest/ingest.h"
#include "value/source.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "pgtime.h"
#include "utils/tuplesort.h"

/* Bits of a source position that say where in the unit the record stood. */
#define WH_POSITION_BITS 40
#define wh_position(unit_no, low) (((int64) (unit_no) << WH_POSITION_BITS) | (low))
#define wh_position_unit(position) ((position) >> WH_POSITION_BITS)
#define wh_position_low(position) ((position) & ((INT64CONST(1) << WH_POSITION_BITS) - 1))

/* One unit of a source; see wh.source_unit. */
typedef struct WhUnit
{
	int64		unit_no;		/* hash key */
	char	   *name;
	int64		generation;
	int64		size;			/* -1 = unknown */
	int64		end_offset;		/* of a partition when it was read last; -1 = unknown */
	bytea	   *checksum;		/* NULL = none */
	char	   *file_state;		/* NULL = none */
	bytea	   *header;			/* of a file, to be stored; never read back; NULL = none */
	TimestampTz event_time;		/* of a snapshot; DT_NOBEGIN = none */
	bool		is_complete;
	bool		is_new;			/* no catalog row yet */
	bool		is_changed;		/* catalog row to be updated */
	bool		is_touched;		/* same, but only how the file system shows it */
} WhUnit;

/* Columns of the staging table that are the engine's; 0 = it has none. */
typedef struct WhStagedColumns
{
	AttrNumber	effective_from;
	AttrNumber	effective_to;
	AttrNumber	is_deleted;
	AttrNumber	batch_id;
	AttrNumber	source_position;
} WhStagedColumns;

/* One record between conversion and staging. */
typedef struct WhIngestRow
{
	WhSourceRow source;			/* values are redacted in place */
	TimestampTz event_time;		/* DT_NOBEGIN = not known */
	bool		is_deleted;
	List	   *errors;			/* of WhRowError */
	int			warnings;
	struct WhUnit *unit;		/* it came in */
} WhIngestRow;

typedef struct WhIngest
{
	WhFeed	   *feed;
	int64		batch_id;
	TimestampTz batch_start;
	WhIngestResult *result;
	WhIngestStream *stream;		/* of the worker; NULL = read up to the ends of now */
	bool		is_retry;		/* of error events, instead of reading the source */
	List	   *failed_events;	/* of int64 *, those of the chunk at hand that have errors again */
	MemoryContext context;		/* lives as long as the ingest */

	Relation	source;
	TupleDesc	source_desc;
	WhFeedSource kind;
	TupleDesc	desc;			/* of the staging table */
	WhStagedColumns ours;
	AttrNumber *staged_of;		/* staging column of each source column, 0 = none; from 0 */
	bool		same_places;	/* source columns are staging's first ones */
	int			nkeys;
	AttrNumber	key_source[WH_MAX_KEY];
	AttrNumber	key_staged[WH_MAX_KEY];
	int			nimage;			/* staged columns that make up a row's image */
	AttrNumber *image;

	/* Units */
	struct HTAB *units;			/* by unit_no; NULL until needed */
	WhUnit	   *unit;			/* the one being read */
	int64		unit_rank;		/* order of the unit among those of this run */

	/* The snapshot being read (splice_snapshot.c) */
	TimestampTz snapshot_time;	/* DT_NOBEGIN = none */
	bool		snapshot_mixed; /* its records have several times */
	bool		snapshot_incomplete;	/* a rejected row had no readable key */
	struct WhSnapshots *snapshots;

	/* Rows on their way (ingest_row.c) */
	struct WhRowPipe *pipe;
	MemoryContext rejects;		/* of one error event; NULL until needed */
	struct WhSettle *settle;	/* ingest_settle.c; NULL until needed */
	struct WhHold *hold;		/* what waits for its turn to be written; NULL = is written at once */

	/* Staging */
	WhBulkWriter *writer;		/* of the staging table; opened when needed */
	WhBulkWriter *change_writer;	/* of the change log; opened when needed */
	bool		reader_known;	/* has_reader is looked up */
	bool		has_reader;		/* a dimension or fact wants the change log */
	bool		changed_images; /* staged rows were rewritten or removed */
	AttrNumber *change_of;		/* staging column of each of the change log's, 0 = none */
	Datum	   *change_values;
	bool	   *change_isnull;
	char	   *watermark_seen; /* highest of this read, NULL = none */
	struct WhOrderedLoad *ordered;	/* splice_ordered.c; NULL until the first keyed record */
	Tuplesortstate *sort;		/* keyed loads; NULL = none open */
	bool		sort_is_done;	/* while the batch waited for its turn */
	TupleDesc	sort_desc;		/* staging columns, then the order of equal times, then raw */
	TupleTableSlot *sort_slot;
	bool		sort_has_raw;
	int64		sort_rows;
	struct TypeCacheEntry *key_type[WH_MAX_KEY];
	Oid			key_collation[WH_MAX_KEY];	/* of the sort */
	Datum	   *values;			/* scratch row of the staging table (or sort) */
	bool	   *isnull;
} WhIngest;

/* Columns added to sorted rows, after the staging table's. */
#define wh_sort_major(ing) ((ing)->desc->natts + 1)
#define wh_sort_minor(ing) ((ing)->desc->natts + 2)
#define wh_sort_raw(ing) ((ing)->desc->natts + 3)

/* ingest_start.c */
extern void wh_ingest_check_one_owner(const WhFeed *feed);
extern void wh_ingest_map_columns(WhIngest *ing);

/* ingest_turn.c */
extern TimestampTz wh_ingest_batch_start(int64 batch_id);
extern TupleDesc wh_ingest_staged_desc(WhFeed *feed, LOCKMODE lock, bool keep);
extern void wh_ingest_settle_number(WhIngest *ing);
extern bool wh_ingest_take_turn(WhIngest *ing);
extern void wh_ingest_save_feed(WhIngest *ing);

/* ingest_stage.c */
extern void wh_ingest_stage(WhIngest *ing, WhIngestRow *row);
extern void wh_ingest_stage_plain(WhIngest *ing, WhSourceRow *source, TimestampTz event_time);

/* ingest_row.c */
extern void wh_ingest_pipe_open(WhIngest *ing);
extern void wh_ingest_row(WhIngest *ing, WhSourceRow *row);
extern void wh_ingest_pipe_flush(WhIngest *ing);

/* ingest_time.c */
extern bool wh_ingest_event_time(Oid type, Datum value, pg_tz *tz, TimestampTz *result);

/* ingest_error.c */
extern void wh_ingest_reject(WhIngest *ing, WhIngestRow *row);
extern void wh_ingest_count_reject(WhIngest *ing, int sqlerrcode, const char *message);
extern void wh_ingest_note_gap(WhIngest *ing, WhUnit *unit, int64 from, const char *message);
extern void wh_ingest_reject_staged(WhIngest *ing, Datum *values, bool *isnull, bytea *raw,
									int sqlerrcode, const char *message);

/* ingest_settle.c */
extern void wh_settle_note_seen(WhIngest *ing, const bytea *hash);
extern void wh_settle_note_whole(WhIngest *ing, const char *file);
extern void wh_ingest_settle(WhIngest *ing);

/* ingest_hold.c: records and error events of a batch that waits for its turn */
extern void wh_hold_begin(WhIngest *ing);
extern void wh_hold_row(WhIngest *ing);
extern void wh_hold_event(WhIngest *ing, Datum *values, bool *isnull);
extern void wh_hold_release(WhIngest *ing);
extern void wh_hold_drop(WhIngest *ing);

/* ingest_unit.c */
extern void wh_units_load(WhIngest *ing);
extern void wh_units_reload(WhIngest *ing);
extern WhUnit *wh_unit_find(WhIngest *ing, int64 unit_no);
extern WhUnit *wh_unit_add(WhIngest *ing, const char *name, int64 generation);
extern WhUnit *wh_unit_add_read(WhIngest *ing, int64 read_no);
extern int	wh_position_compare(WhIngest *ing, int64 a, int64 b);
extern void wh_units_save(WhIngest *ing);

/* ingest_source.c */
extern void wh_ingest_read_source(WhIngest *ing);
extern void wh_ingest_read_relation(WhIngest *ing);
extern void wh_ingest_read_files(WhIngest *ing);
extern void wh_ingest_read_topic(WhIngest *ing);

/* ingest_retry.c */
extern void wh_ingest_retry_events(WhIngest *ing);

/* splice_keyed.c: sorts records by key, puts them beside what is staged */
extern void wh_splice_put(WhIngest *ing, WhIngestRow *row);
extern void wh_splice_finish(WhIngest *ing);

/* splice_snapshot.c */
extern void wh_snapshot_begin(WhIngest *ing);
extern void wh_snapshot_end(WhIngest *ing);
extern void wh_snapshot_abandon(WhIngest *ing);
extern void wh_snapshot_note_reject(WhIngest *ing, WhIngestRow *row);
extern void wh_snapshot_retry_begin(WhIngest *ing, WhUnit *unit);
extern void wh_snapshot_retry_end(WhIngest *ing, bool all_tried);
extern void wh_snapshot_check_time(WhIngest *ing, WhIngestRow *row);

#endif							/* WH_INGEST_STATE_H */
