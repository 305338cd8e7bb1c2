/*
 * ingest_row.c
 *	  Takes each record from conversion to staging: null checks, then the feed's
 *	  expressions, then its key and time.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  Records of feeds without
 * expressions are passed on as they come; others are gathered first.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ingest/ingest_pipe.h"

/* Longest key in bytes: an index entry must fit a third of a page, with its event time. */
#define MAX_KEY_SIZE 2600

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

		/* a value that was redacted had passed before */
		if (!row->source.isnull[attnum - 1] || bms_is_member(attnum, row->source.as_stored))
			continue;
		foreach(lc, row->source.errors)
			known |= ((WhRowError *) lfirst(lc))->attnum == attnum;
		if (!known)
		{
			WhRowError *error = palloc(sizeof(WhRowError));

			error->attnum = attnum;
			error->sqlerrcode = ERRCODE_NOT_NULL_VIOLATION;
			error->message = psprintf("null value in column \"%s\"", wh_pipe_column_name(ing, attnum));
			row->source.errors = lappend(list_copy(row->source.errors), error);
		}
	}
}

/* Note a key column that is null, unless its column has an error already. */
static void
check_key(WhIngest *ing, WhIngestRow *row)
{
	Size		size = 0;

	for (int i = 0; i < ing->staging->nkeys; i++)
	{
		AttrNumber	attnum = ing->key_source[i];

		if (row->source.isnull[attnum - 1])
			wh_row_add_error(row, attnum, ERRCODE_NOT_NULL_VIOLATION,
					  psprintf("key column \"%s\" is null", wh_pipe_column_name(ing, attnum)));
		else if (TupleDescAttr(ing->source_desc, attnum - 1)->attlen == -1)
			size += toast_raw_datum_size(row->source.values[attnum - 1]);
	}
	if (size > MAX_KEY_SIZE)
		wh_row_add_error(row, ing->key_source[0], ERRCODE_PROGRAM_LIMIT_EXCEEDED,
						 psprintf("key is longer than %d bytes", MAX_KEY_SIZE));
}

/* Let the snapshot that a rejected record is of know which key it does not state. */
static void
note_unstated(WhIngest *ing, WhIngestRow *row)
{
	Datum		key[WH_MAX_KEY];
	bool		readable = true;
	ListCell   *lc;

	foreach(lc, row->source.errors)
		readable &= ((WhRowError *) lfirst(lc))->attnum != 0;
	for (int i = 0; i < ing->staging->nkeys && readable; i++)
	{
		readable = !row->source.isnull[ing->key_source[i] - 1];
		key[i] = row->source.values[ing->key_source[i] - 1];
	}
	wh_snapshot_note_reject(ing->staging, readable ? key : NULL);
}

/* Refuse a record whose time is not its snapshot's, which is settled by those that are staged. */
static void
check_snapshot_time(WhIngest *ing, WhIngestRow *row)
{
	if (ing->staging->snapshots && row->unit && row->unit->event_time != DT_NOBEGIN &&
		row->unit->event_time != row->event_time)
		wh_row_add_error(row, 0, ERRCODE_DATA_EXCEPTION, pstrdup(WH_SNAPSHOT_MIXED));
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
			wh_row_add_error(row, 0, ERRCODE_INVALID_PARAMETER_VALUE,
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
			error->message = psprintf("invalid value for column \"%s\"", wh_pipe_column_name(ing, error->attnum));
	}
	if (ing->is_retry && row->errors == NIL && ing->feed->load == WH_LOAD_SNAPSHOT)
		check_snapshot_time(ing, row);
	if (row->errors != NIL)
	{
		if (ing->feed->load == WH_LOAD_SNAPSHOT)
			note_unstated(ing, row);
		wh_ingest_reject(ing, row);
	}
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
	wh_pipe_evaluate(ing);
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
	if (source->unread)
	{
		row->source.unread = palloc0(sizeof(char *) * desc->natts);
		for (int i = 0; i < desc->natts; i++)
			if (source->unread[i])
				row->source.unread[i] = pstrdup(source->unread[i]);
	}
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
	if (unlikely(source->tombstone) && ing->feed->load == WH_LOAD_APPEND)
	{
		/* a delete is an event like any other; its echo is none */
		if (source->is_echo)
		{
			ing->result->counts.rows_superseded++;
			return;
		}
		source->tombstone = !source->is_change;
	}
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
		if (row.errors == NIL && OidIsValid(pipe->time_type) && wh_row_has_event_time(pipe, source))
			wh_row_set_event_time(ing, &row, source->values[pipe->time_column - 1],
						   source->isnull[pipe->time_column - 1]);
		finish_row(ing, &row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(pipe->context);
	}
}
