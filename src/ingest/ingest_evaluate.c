/*
 * ingest_evaluate.c
 *	  Evaluates a feed's expressions over gathered records: redaction, event time,
 *	  deletion, screens.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  An expression that throws
 * spoils its record only: records are evaluated by the chunk inside a
 * subtransaction, after a failure one by one, and the failing record step by
 * step.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "ingest/ingest_pipe.h"

/* Steps of a record's evaluation: redactions, event time, deletion, screens. */
#define STEP_TIME(pipe) ((pipe)->nredact)
#define STEP_DELETED(pipe) ((pipe)->nredact + 1)
#define STEP_SCREEN(pipe) ((pipe)->nredact + 2)
#define NSTEPS(pipe) ((pipe)->nredact + 2 + (pipe)->nscreens)

/* Give the name of a source column. */
const char *
wh_pipe_column_name(WhIngest *ing, AttrNumber attnum)
{
	return NameStr(TupleDescAttr(ing->source_desc, attnum - 1)->attname);
}

/* Note an error of a record, in the current memory context. */
void
wh_row_add_error(WhIngestRow *row, AttrNumber attnum, int sqlerrcode, char *message)
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
	pipe->is_plain = ing->staging->nkeys == 0 && pipe->nnotnull == 0;
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
void
wh_row_set_event_time(WhIngest *ing, WhIngestRow *row, Datum value, bool isnull)
{
	if (isnull)
		wh_row_add_error(row, ing->pipe->time_column, ERRCODE_NULL_VALUE_NOT_ALLOWED,
				  pstrdup("event time is null"));
	else if (!wh_ingest_event_time(ing->pipe->time_type, value, ing->pipe->tz, &row->event_time))
	{
		row->event_time = DT_NOBEGIN;
		wh_row_add_error(row, ing->pipe->time_column, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
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

		if (bms_is_member(column + 1, row->source.as_stored))
			return;
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
	if (row->source.tombstone && (step != STEP_TIME(pipe) || !wh_row_has_event_time(pipe, &row->source)))
		return;
	show_values(ing, row->source.values, row->source.isnull);
	if (step == STEP_TIME(pipe))
	{
		if (pipe->time)
		{
			value = ExecEvalExpr(pipe->time, pipe->econtext, &isnull);
			wh_row_set_event_time(ing, row, value, isnull);
		}
		else if (OidIsValid(pipe->time_type))
			wh_row_set_event_time(ing, row, row->source.values[pipe->time_column - 1],
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
			wh_row_add_error(row, 0, ERRCODE_CHECK_VIOLATION,
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
		wh_row_add_error(row, pipe->redact_column[step], error->sqlerrcode,
				  psprintf("could not redact column \"%s\"", wh_pipe_column_name(ing, pipe->redact_column[step])));
	else if (step == STEP_TIME(pipe))
		wh_row_add_error(row, 0, error->sqlerrcode, psprintf("sequence_by: %s", error->message));
	else if (step == STEP_DELETED(pipe))
		wh_row_add_error(row, 0, error->sqlerrcode, psprintf("deleted_when: %s", error->message));
	else
		wh_row_add_error(row, 0, error->sqlerrcode,
				  psprintf("screen \"%s\": %s", pipe->screens[step - STEP_SCREEN(pipe)].screen->name,
						   error->message));
	MemoryContextSwitchTo(old);
}

/* Evaluate the gathered records: errors are in the records afterwards. */
void
wh_pipe_evaluate(WhIngest *ing)
{
	WhRowPipe  *pipe = ing->pipe;
	MemoryContext old;

	if (evaluate_in_subtransaction(ing, 0, pipe->nrows - 1, -1) == NULL)
		return;
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
