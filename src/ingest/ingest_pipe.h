/*
 * ingest_pipe.h
 *	  Records between their source and staging: gathered, then evaluated together.
 */
#ifndef WH_INGEST_PIPE_H
#define WH_INGEST_PIPE_H

#include "ingest/ingest_state.h"

/* Records evaluated in one subtransaction, and their bytes at most. */
#define CHUNK_ROWS 500
#define CHUNK_BYTES (4 * 1024 * 1024)

typedef struct ScreenState
{
	WhScreen   *screen;
	ExprState  *expr;
} ScreenState;

typedef struct WhRowPipe
{
	EState	   *estate;
	ExprContext *econtext;
	TupleTableSlot *slot;
	pg_tz	   *tz;
	int			nredact;
	AttrNumber *redact_column;
	ExprState **redact;			/* NULL entries: the column becomes null */
	bool	   *is_redacted;	/* by source column, from 0 */
	AttrNumber	time_column;	/* sequence_by when it is a plain column, else 0 */
	ExprState  *time;
	Oid			time_type;		/* InvalidOid = no sequence_by */
	ExprState  *deleted;
	int			nscreens;
	ScreenState *screens;
	int			nnotnull;
	AttrNumber *notnull;
	bool		has_expressions;
	bool		is_plain;		/* good records need their event time only */

	MemoryContext context;		/* of the chunk */
	WhIngestRow rows[CHUNK_ROWS];
	Datum	   *original[CHUNK_ROWS];	/* values before redaction */
	bool	   *original_isnull[CHUNK_ROWS];
	int			nrows;
	Size		bytes;
} WhRowPipe;

/* Say whether a record's event time is in its columns: a tombstone's is its message's, unless it says when. */
static inline bool
wh_row_has_event_time(const WhRowPipe *pipe, const WhSourceRow *source)
{
	return !source->tombstone || (source->deleted_at > 0 && source->deleted_at == pipe->time_column &&
								  !source->isnull[pipe->time_column - 1]);
}

/* ingest_evaluate.c */
extern const char *wh_pipe_column_name(WhIngest *ing, AttrNumber attnum);
extern void wh_row_add_error(WhIngestRow *row, AttrNumber attnum, int sqlerrcode, char *message);
extern void wh_row_set_event_time(WhIngest *ing, WhIngestRow *row, Datum value, bool isnull);
extern void wh_pipe_evaluate(WhIngest *ing);

#endif							/* WH_INGEST_PIPE_H */
