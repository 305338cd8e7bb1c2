/*
 * ingest_state.h
 *	  What the files of one ingest share: the feed at work, its source's rows on
 *	  their way to staging.
 *
 * The way of a record: a source (ingest_relation.c, ingest_file.c, ...) gives
 * it to wh_ingest_row (ingest_row.c), which redacts, screens and dates it, and
 * gives good ones to wh_ingest_stage (ingest_stage.c), others to
 * wh_ingest_reject (ingest_error.c).
 */
#ifndef WH_INGEST_STATE_H
#define WH_INGEST_STATE_H

#include "feed/feed_check.h"
#include "feed/feed_unit.h"
#include "ingest/ingest.h"
#include "splice/splice.h"
#include "value/source.h"

#include "executor/tuptable.h"
#include "nodes/execnodes.h"
#include "pgtime.h"

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
	bool		is_reload;		/* of the whole source, what is known included */
	List	   *failed_events;	/* of int64 *, those of the chunk at hand that have errors again */
	MemoryContext context;		/* lives as long as the ingest */

	/* Source */
	Relation	source;
	TupleDesc	source_desc;
	WhFeedSource kind;
	Relation	staged;			/* open, so that nobody drops it in the middle; NULL in a turn */
	AttrNumber	key_source[WH_MAX_KEY];
	AttrNumber *staged_of;		/* staging column of each source column, 0 = none; from 0 */
	bool		same_places;	/* source columns are staging's first ones */
	char	   *watermark_seen; /* highest of this read, NULL = none */

	/* Units */
	WhUnits    *units;
	WhUnit	   *unit;			/* the one being read */
	int64		unit_rank;		/* order of the unit among those of this run */

	/* Rows on their way (ingest_row.c) */
	struct WhRowPipe *pipe;
	MemoryContext rejects;		/* of one error event; NULL until needed */
	struct WhSettle *settle;	/* ingest_settle.c; NULL until needed */
	struct WhHold *hold;		/* what waits for its turn to be written; NULL = is written at once */
	WhStaging  *staging;		/* where good ones go */
} WhIngest;

/* ingest_start.c */
extern void wh_ingest_check_one_owner(const WhFeed *feed);
extern void wh_ingest_start(WhIngest *ing);

/* ingest_turn.c */
extern TimestampTz wh_ingest_batch_start(int64 batch_id);
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
extern void wh_ingest_note_gap(WhIngest *ing, WhUnit *unit, int64 from, const char *message);
extern void wh_ingest_reject_lost(void *ing, const WhLostRecord *lost);

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

/* ingest_source.c */
extern void wh_ingest_read_source(WhIngest *ing);
extern void wh_ingest_read_relation(WhIngest *ing);
extern void wh_ingest_read_files(WhIngest *ing);
extern void wh_ingest_read_topic(WhIngest *ing);

/* ingest_reload.c */
extern void wh_reload_delete_missing(WhIngest *ing);

/* ingest_retry.c */
extern void wh_ingest_retry_events(WhIngest *ing);

#endif							/* WH_INGEST_STATE_H */
