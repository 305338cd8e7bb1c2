/*
 * fact_repoint.c
 *	  Points fact rows at the versions that hold after their dimensions changed.
 *
 * Rule 17: when versions change, the facts whose lookups change are re-pointed
 * in the same transaction.  See fact_publish.c for where it runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fact/fact_rows.h"
#include "base/row_image.h"
#include "base/spi_query.h"
#include "base/time_zone.h"

#define CHANGES_NAME "wh_lookup_changes"

/*
 * Write the SELECT of rows whose lookup in one role may have changed.  That
 * all changes are after some time is said to the planner by a constant, so that
 * it can use an index on the event time.
 */
static char *
candidates_sql(const WhFactPass *pass, int role, TimestampTz lowest)
{
	WhFact	   *f = pass->fact;
	WhFactDimension *fd = &f->dimensions[role];
	WhDimension *d = wh_lookup_dimension(pass->lookups[role]);
	StringInfoData sql;
	char	   *event_time = wh_time_sql(psprintf("f.%s", quote_identifier(f->event_time)),
										 TupleDescAttr(f->tupdesc, f->event_time_attr - 1)->atttypid,
										 f->time_zone);

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT f.ctid, ");
	wh_append_row(&sql, "f", f->tupdesc);
	wh_fact_append_extra(&sql, pass, "f");
	appendStringInfo(&sql, " FROM %s f JOIN " CHANGES_NAME " c ON ", f->qualified);
	for (int k = 0; k < d->nkey; k++)
		appendStringInfo(&sql, "%s = c.k%d AND ",
						 wh_fact_natural_key_sql(pass, "f", fd->column[k], d, k), k + 1);
	appendStringInfo(&sql, "(%s >= c.from_time OR %s IS NULL)", event_time, event_time);
	if (!TIMESTAMP_NOT_FINITE(lowest))
		appendStringInfo(&sql, " AND (%s >= '%s'::pg_catalog.timestamptz OR %s IS NULL)", event_time,
						 timestamptz_to_str(lowest), event_time);
	return sql.data;
}

static void
repoint_row(WhFactPass *pass, WhCursor *cursor, HeapTuple tuple)
{
	WhFact	   *f = pass->fact;
	int			natts = cursor->tupdesc->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *isnull = palloc(sizeof(bool) * natts);
	int			extra = f->tupdesc->natts + 1;
	bool		same = true;

	heap_deform_tuple(tuple, cursor->tupdesc, values, isnull);
	memcpy(pass->values, values + 1, sizeof(Datum) * f->tupdesc->natts);
	memcpy(pass->isnull, isnull + 1, sizeof(bool) * f->tupdesc->natts);
	wh_fact_keys(pass, values + extra, isnull + extra, pass->values, pass->isnull);
	for (int i = 0; i < f->ndimensions; i++)
		same &= DatumGetInt64(pass->values[f->dimensions[i].key - 1]) ==
			DatumGetInt64(values[f->dimensions[i].key]);
	if (same)
		return;
	wh_fact_release(pass, values + 1, pass->values);
	pass->values[f->batch - 1] = Int64GetDatum(pass->publish->batch_id);
	pass->isnull[f->batch - 1] = false;
	wh_bulk_update(pass->writer, (ItemPointer) DatumGetPointer(values[0]), pass->values, pass->isnull);
	pass->counts->rows_repointed++;
}

/*
 * Look up again the keys of all rows that changes of the fact's dimensions in
 * this publish concern.  pass->writer is open.
 */
void
wh_fact_repoint(WhFactPass *pass)
{
	WhFact	   *f = pass->fact;
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh re-point",
													  ALLOCSET_DEFAULT_SIZES);

	for (int role = 0; role < f->ndimensions; role++)
	{
		WhDimensionChanges *changes = wh_publish_changes(pass->publish, f->dimensions[role].dimension_id);
		WhCursor   *cursor;
		HeapTuple	tuple;

		/* without a time in any row, lowest is the end of time */
		if (changes == NULL || changes->nrows == 0 || changes->lowest > pass->latest)
			continue;
		wh_spi_register(CHANGES_NAME, changes->tupdesc, changes->store, changes->nrows);
		cursor = wh_cursor_open(candidates_sql(pass, role, changes->lowest));
		while (wh_cursor_next(cursor, &tuple))
		{
			MemoryContext old = MemoryContextSwitchTo(row_context);

			repoint_row(pass, cursor, tuple);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_context);
		}
		wh_cursor_close(cursor);
		wh_spi_unregister(CHANGES_NAME);
		/* the next role may meet rows that were written for this one */
		CommandCounterIncrement();
		wh_snapshot_advance();
	}
	MemoryContextDelete(row_context);
}
