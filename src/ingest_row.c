/*
 * ingest_row.c
 *	  Takes each record from conversion to staging: null checks, redaction, event
 *	  time, deletion, screens.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  An expression that throws
 * spoils its record only: records are evaluated by the chunk inside a
 * subtransaction, after a failure one by one, and the failing record step by
 * step.  Feeds without expressions need none of this and copy no record.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "ingest_state.h"

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

/* Steps of a record's evaluation: redactions, event time, deletion, screens. */
#define STEP_TIME(pipe) ((pipe)->nredact)
#define STEP_DELETED(pipe) ((pipe)->nredact + 1)
#define STEP_SCREEN(pipe) ((pipe)->nredact + 2)
#define NSTEPS(pipe) ((pipe)->nredact + 2 + (pipe)->nscreens)

static const char *
column_name(WhIngest *ing, AttrNumber attnum)
{
	return NameStr(TupleDescAttr(ing->source_desc, attnum - 1)->attname);
}

/* Note an error of a record, in the current memory context. */
static void
add_error(WhIngestRow *row, AttrNumber attnum, int sqlerrcode, char *message)
{
	WhRowError *error = palloc(sizeof(WhRowError));

	error->attnum = attnum;
	error->sqlerrcode = sqlerrcode;
	error->message = message;
	row->errors = lappend(row->errors, error);
}

/* Prepare the feed's expressions. */
void
wh_ingest_pipe_open(WhIngest *ing)
{
	WhFeed	   *feed = ing->feed;
	WhRowPipe  *pipe = palloc0(sizeof(WhRowPipe));
	TupleDesc	desc = ing->source_desc;
	ListCell   *lc;

	ing->pipe = pipe;
	pipe->context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh chunk",
										  ALLOCSET_DEFAULT_SIZES);
	pipe->estate = CreateExecutorState();
	pipe->econtext = GetPerTupleExprContext(pipe->estate);
	pipe->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	pipe->econtext->ecxt_scantuple = pipe->slot;
	pipe->tz = pg_tzset(feed->time_zone);
	pipe->is_redacted = palloc0(sizeof(bool) * desc->natts);
	pipe->redact = palloc0(sizeof(ExprState *) * (list_length(feed->redact) + 1));
	pipe->redact_column = palloc0(sizeof(AttrNumber) * (list_length(feed->redact) + 1));
	foreach(lc, feed->redact)
	{
		WhRedaction *redaction = lfirst(lc);
		AttrNumber	attnum = get_attnum(feed->source, redaction->column);
		Form_pg_attribute att;

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of redact does not exist in the source of feed \"%s\"",
							redaction->column, feed->name)));
		att = TupleDescAttr(desc, attnum - 1);
		pipe->redact_column[pipe->nredact] = attnum;
		pipe->is_redacted[attnum - 1] = true;
		if (redaction->expression)
			pipe->redact[pipe->nredact] =
				ExecPrepareExpr((Expr *) wh_feed_expression(ing->source, redaction->expression,
															att->atttypid, att->atttypmod, false, "redact"),
								pipe->estate);
		pipe->nredact++;
	}
	if (feed->sequence_by)
	{
		Node	   *expr = wh_feed_event_time(ing->source, feed->sequence_by);

		pipe->time_type = getBaseType(exprType(expr));
		if (IsA(expr, Var))
			pipe->time_column = ((Var *) expr)->varattno;
		else
			pipe->time = ExecPrepareExpr((Expr *) expr, pipe->estate);
	}
	if (feed->deleted_when)
		pipe->deleted = ExecPrepareExpr((Expr *) wh_feed_expression(ing->source, feed->deleted_when, BOOLOID,
																	-1, false, "deleted_when"),
										pipe->estate);
	pipe->screens = palloc0(sizeof(ScreenState) * (list_length(feed->screens) + 1));
	foreach(lc, feed->screens)
	{
		WhScreen   *screen = lfirst(lc);

		pipe->screens[pipe->nscreens].screen = screen;
		pipe->screens[pipe->nscreens++].expr =
			ExecPrepareExpr((Expr *) wh_feed_expression(ing->source, screen->condition, BOOLOID, -1, false,
														psprintf("screen \"%s\"", screen->name)),
							pipe->estate);
	}
	pipe->notnull = palloc0(sizeof(AttrNumber) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->attnotnull && !TupleDescAttr(desc, i)->attisdropped)
			pipe->notnull[pipe->nnotnull++] = i + 1;
	pipe->is_plain = ing->nkeys == 0 && pipe->nnotnull == 0;
	pipe->has_expressions = pipe->nredact > 0 || pipe->time || pipe->deleted || pipe->nscreens > 0;
}

/* Put a record's values where expressions look for them. */
static void
show_values(WhIngest *ing, Datum *values, bool *isnull)
{
	TupleTableSlot *slot = ing->pipe->slot;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, values, sizeof(Datum) * ing->source_desc->natts);
	memcpy(slot->tts_isnull, isnull, sizeof(bool) * ing->source_desc->natts);
	ExecStoreVirtualTuple(slot);
}

/* Set the event time from a value of sequence_by's type, or note why not. */
static void
set_event_time(WhIngest *ing, WhIngestRow *row, Datum value, bool isnull)
{
	if (isnull)
		add_error(row, ing->pipe->time_column, ERRCODE_NULL_VALUE_NOT_ALLOWED,
				  pstrdup("event time is null"));
	else if (!wh_ingest_event_time(ing->pipe->time_type, value, ing->pipe->tz, &row->event_time))
	{
		row->event_time = DT_NOBEGIN;
		add_error(row, ing->pipe->time_column, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
				  pstrdup("event time is infinite or out of range"));
	}
}

/* Do one step of a record's evaluation; may throw. */
static void
evaluate_step(WhIngest *ing, WhIngestRow *row, int n, int step)
{
	WhRowPipe  *pipe = ing->pipe;
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (step < pipe->nredact)
	{
		int			column = pipe->redact_column[step] - 1;

		row->source.isnull[column] = true;
		row->source.values[column] = (Datum) 0;
		if (pipe->redact[step] == NULL || row->source.tombstone)
		{
			/* A tombstone has its key only: redact what it has. */
			if (pipe->redact[step] == NULL || pipe->original_isnull[n][column])
				return;
		}
		show_values(ing, pipe->original[n], pipe->original_isnull[n]);
		value = ExecEvalExpr(pipe->redact[step], pipe->econtext, &isnull);
		row->source.values[column] = value;
		row->source.isnull[column] = isnull;
		return;
	}
	if (row->errors != NIL && step != STEP_TIME(pipe) && step < STEP_SCREEN(pipe))
		return;
	if (row->source.tombstone)
		return;
	show_values(ing, row->source.values, row->source.isnull);
	if (step == STEP_TIME(pipe))
	{
		if (pipe->time)
		{
			value = ExecEvalExpr(pipe->time, pipe->econtext, &isnull);
			set_event_time(ing, row, value, isnull);
		}
		else if (OidIsValid(pipe->time_type))
			set_event_time(ing, row, row->source.values[pipe->time_column - 1],
						   row->source.isnull[pipe->time_column - 1]);
	}
	else if (step == STEP_DELETED(pipe))
	{
		if (pipe->deleted)
		{
			value = ExecEvalExpr(pipe->deleted, pipe->econtext, &isnull);
			row->is_deleted = !isnull && DatumGetBool(value);
		}
	}
	else
	{
		ScreenState *state = &pipe->screens[step - STEP_SCREEN(pipe)];

		value = ExecEvalExpr(state->expr, pipe->econtext, &isnull);
		if (isnull || DatumGetBool(value))
			return;
		if (state->screen->rejects)
			add_error(row, 0, ERRCODE_CHECK_VIOLATION,
					  psprintf("record fails screen \"%s\"", state->screen->name));
		else
			row->warnings++;
	}
}

/* Start a record's evaluation anew. */
static void
reset_row(WhIngest *ing, WhIngestRow *row, int n)
{
	row->errors = list_copy(row->source.errors);
	row->warnings = 0;
	row->event_time = DT_NOBEGIN;
	row->is_deleted = row->source.tombstone;
	if (ing->pipe->nredact > 0)
	{
		memcpy(row->source.values, ing->pipe->original[n], sizeof(Datum) * ing->source_desc->natts);
		memcpy(row->source.isnull, ing->pipe->original_isnull[n], sizeof(bool) * ing->source_desc->natts);
	}
}

/* How many steps a record takes: broken ones are only redacted. */
static int
steps_of(WhIngest *ing, WhIngestRow *row)
{
	return row->source.errors != NIL ? ing->pipe->nredact : NSTEPS(ing->pipe);
}

/* True for errors that are not the record's fault. */
static bool
is_not_of_record(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_OPERATOR_INTERVENTION ||
		category == ERRCODE_SYSTEM_ERROR || category == ERRCODE_INTERNAL_ERROR ||
		category == ERRCODE_TRANSACTION_ROLLBACK;
}

/*
 * Evaluate steps of some records inside a subtransaction.  Returns NULL, or the
 * error, when nothing of it is left.
 */
static ErrorData *
evaluate_in_subtransaction(WhIngest *ing, int first, int last, int step)
{
	MemoryContext context = ing->pipe->context;
	MemoryContext old = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		for (int n = first; n <= last; n++)
		{
			WhIngestRow *row = &ing->pipe->rows[n];

			if (step >= 0)
				evaluate_step(ing, row, n, step);
			else
			{
				reset_row(ing, row, n);
				for (int i = 0; i < steps_of(ing, row); i++)
					evaluate_step(ing, row, n, i);
			}
		}
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	CurrentResourceOwner = owner;
	if (error && is_not_of_record(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/* Say what a step's error means for its record. */
static void
add_step_error(WhIngest *ing, WhIngestRow *row, int step, ErrorData *error)
{
	WhRowPipe  *pipe = ing->pipe;
	MemoryContext old = MemoryContextSwitchTo(pipe->context);

	if (step < pipe->nredact)
		/* The message may quote what must not be stored. */
		add_error(row, pipe->redact_column[step], error->sqlerrcode,
				  psprintf("could not redact column \"%s\"", column_name(ing, pipe->redact_column[step])));
	else if (step == STEP_TIME(pipe))
		add_error(row, 0, error->sqlerrcode, psprintf("sequence_by: %s", error->message));
	else if (step == STEP_DELETED(pipe))
		add_error(row, 0, error->sqlerrcode, psprintf("deleted_when: %s", error->message));
	else
		add_error(row, 0, error->sqlerrcode,
				  psprintf("screen \"%s\": %s", pipe->screens[step - STEP_SCREEN(pipe)].screen->name,
						   error->message));
	MemoryContextSwitchTo(old);
}

/* Add the errors that need no expression, and set times that need none. */
static void
check_nulls(WhIngest *ing, WhIngestRow *row)
{
	WhRowPipe  *pipe = ing->pipe;
	ListCell   *lc;

	foreach(lc, row->source.errors)
	{
		if (((WhRowError *) lfirst(lc))->attnum == 0)
			return;				/* the record has no columns to speak of */
	}
	for (int i = 0; i < pipe->nnotnull && !row->source.tombstone; i++)
	{
		AttrNumber	attnum = pipe->notnull[i];
		bool		known = false;

		if (!row->source.isnull[attnum - 1])
			continue;
		foreach(lc, row->source.errors)
			known |= ((WhRowError *) lfirst(lc))->attnum == attnum;
		if (!known)
		{
			WhRowError *error = palloc(sizeof(WhRowError));

			error->attnum = attnum;
			error->sqlerrcode = ERRCODE_NOT_NULL_VIOLATION;
			error->message = psprintf("null value in column \"%s\"", column_name(ing, attnum));
			row->source.errors = lappend(list_copy(row->source.errors), error);
		}
	}
}

/* Note a key column that is null, unless its column has an error already. */
static void
check_key(WhIngest *ing, WhIngestRow *row)
{
	for (int i = 0; i < ing->nkeys; i++)
	{
		AttrNumber	attnum = ing->key_source[i];

		if (row->source.isnull[attnum - 1])
			add_error(row, attnum, ERRCODE_NOT_NULL_VIOLATION,
					  psprintf("key column \"%s\" is null", column_name(ing, attnum)));
	}
}

/* Hand an evaluated record over to staging or to the error events. */
static void
finish_row(WhIngest *ing, WhIngestRow *row)
{
	ListCell   *lc;

	if (row->source.errors == NIL)
	{
		check_key(ing, row);
		if (row->source.tombstone && ing->feed->load != WH_LOAD_UPSERT)
			add_error(row, 0, ERRCODE_INVALID_PARAMETER_VALUE,
					  pstrdup("a tombstone cannot be loaded by this kind of feed"));
		if (row->event_time == DT_NOBEGIN && row->errors == NIL)
			row->event_time = row->source.source_time != DT_NOBEGIN ?
				row->source.source_time : ing->batch_start;
	}
	foreach(lc, row->errors)
	{
		WhRowError *error = lfirst(lc);

		if (error->attnum > 0 && ing->pipe->is_redacted[error->attnum - 1] &&
			list_member_ptr(row->source.errors, error) && error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION)
			error->message = psprintf("invalid value for column \"%s\"", column_name(ing, error->attnum));
	}
	if (row->errors != NIL)
		wh_ingest_reject(ing, row);
	else
	{
		ing->result->counts.warnings += row->warnings;
		wh_ingest_stage(ing, row);
	}
}

/* Evaluate and hand over the gathered records. */
void
wh_ingest_pipe_flush(WhIngest *ing)
{
	WhRowPipe  *pipe = ing->pipe;
	MemoryContext old;

	if (pipe->nrows == 0)
		return;
	if (evaluate_in_subtransaction(ing, 0, pipe->nrows - 1, -1) != NULL)
	{
		for (int n = 0; n < pipe->nrows; n++)
		{
			WhIngestRow *row = &pipe->rows[n];

			CHECK_FOR_INTERRUPTS();
			if (evaluate_in_subtransaction(ing, n, n, -1) == NULL)
				continue;
			old = MemoryContextSwitchTo(pipe->context);
			reset_row(ing, row, n);
			MemoryContextSwitchTo(old);
			for (int step = 0; step < steps_of(ing, row); step++)
			{
				ErrorData  *error = evaluate_in_subtransaction(ing, n, n, step);

				if (error)
					add_step_error(ing, row, step, error);
			}
		}
	}
	old = MemoryContextSwitchTo(pipe->context);
	for (int n = 0; n < pipe->nrows; n++)
	{
		ing->unit = pipe->rows[n].unit;
		finish_row(ing, &pipe->rows[n]);
	}
	MemoryContextSwitchTo(old);
	pipe->nrows = 0;
	pipe->bytes = 0;
	ResetPerTupleExprContext(pipe->estate);
	MemoryContextReset(pipe->context);
}

/* Copy a record into the chunk. */
static void
gather_row(WhIngest *ing, WhSourceRow *source)
{
	WhRowPipe  *pipe = ing->pipe;
	TupleDesc	desc = ing->source_desc;
	int			n = pipe->nrows;
	WhIngestRow *row = &pipe->rows[n];
	MemoryContext old = MemoryContextSwitchTo(pipe->context);
	ListCell   *lc;

	memset(row, 0, sizeof(WhIngestRow));
	row->source = *source;
	row->unit = ing->unit;
	row->source.values = palloc(sizeof(Datum) * desc->natts);
	row->source.isnull = palloc(sizeof(bool) * desc->natts);
	memcpy(row->source.isnull, source->isnull, sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		row->source.values[i] = source->values[i];
		if (!source->isnull[i] && !att->attbyval)
		{
			row->source.values[i] = datumCopy(source->values[i], false, att->attlen);
			pipe->bytes += datumGetSize(source->values[i], false, att->attlen);
		}
	}
	if (pipe->nredact > 0)
	{
		pipe->original[n] = palloc(sizeof(Datum) * desc->natts);
		pipe->original_isnull[n] = palloc(sizeof(bool) * desc->natts);
		memcpy(pipe->original[n], row->source.values, sizeof(Datum) * desc->natts);
		memcpy(pipe->original_isnull[n], row->source.isnull, sizeof(bool) * desc->natts);
	}
	if (source->raw)
	{
		char	   *raw = palloc(source->raw_len + 1);

		memcpy(raw, source->raw, source->raw_len);
		raw[source->raw_len] = '\0';
		row->source.raw = raw;
		pipe->bytes += source->raw_len;
	}
	if (source->key)
	{
		char	   *key = palloc(source->key_len + 1);

		memcpy(key, source->key, source->key_len);
		row->source.key = key;
	}
	if (source->headers)
		row->source.headers = pstrdup(source->headers);
	row->source.errors = NIL;
	foreach(lc, source->errors)
	{
		WhRowError *error = palloc(sizeof(WhRowError));

		*error = *(WhRowError *) lfirst(lc);
		error->message = pstrdup(error->message);
		row->source.errors = lappend(row->source.errors, error);
	}
	check_nulls(ing, row);
	pipe->nrows++;
	MemoryContextSwitchTo(old);
}

/* Give the event time of a good record, or false when there is something to say. */
static bool
plain_event_time(WhIngest *ing, WhSourceRow *source, TimestampTz *time)
{
	WhRowPipe  *pipe = ing->pipe;

	if (source->tombstone)
		return false;
	if (OidIsValid(pipe->time_type))
		return !source->isnull[pipe->time_column - 1] &&
			wh_ingest_event_time(pipe->time_type, source->values[pipe->time_column - 1], pipe->tz, time);
	*time = source->source_time != DT_NOBEGIN ? source->source_time : ing->batch_start;
	return true;
}

/*
 * Take one record from its source.  The record may be changed or freed when
 * this returns.
 */
void
wh_ingest_row(WhIngest *ing, WhSourceRow *source)
{
	WhRowPipe  *pipe = ing->pipe;
	TimestampTz time;

	ing->result->counts.rows_read++;
	if (pipe->has_expressions)
	{
		gather_row(ing, source);
		if (pipe->nrows == CHUNK_ROWS || pipe->bytes > CHUNK_BYTES)
			wh_ingest_pipe_flush(ing);
	}
	else if (pipe->is_plain && source->errors == NIL && plain_event_time(ing, source, &time))
		wh_ingest_stage_plain(ing, source, time);
	else
	{
		WhIngestRow row;
		MemoryContext old = MemoryContextSwitchTo(pipe->context);

		row.source = *source;
		row.unit = ing->unit;
		row.event_time = DT_NOBEGIN;
		row.is_deleted = source->tombstone;
		row.warnings = 0;
		row.errors = NIL;
		if (pipe->nnotnull > 0 || source->errors != NIL)
			check_nulls(ing, &row);
		row.errors = row.source.errors;
		if (row.errors == NIL && OidIsValid(pipe->time_type) && !source->tombstone)
			set_event_time(ing, &row, source->values[pipe->time_column - 1],
						   source->isnull[pipe->time_column - 1]);
		finish_row(ing, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(pipe->context);
	}
}
