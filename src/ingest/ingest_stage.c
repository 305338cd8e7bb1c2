/*
 * ingest_stage.c
 *	  Stages good records: straight into the table, or into the sort of a keyed
 *	  load.
 *
 * Runs inside wh_ingest_feed, as the feed's owner; the last step of a record's
 * way down from its source.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "splice/splice.h"

/* Fill the scratch row with a record's columns, unless they were put there. */
static inline void
fill_columns(WhIngest *ing, WhSourceRow *source)
{
	if (source->values == ing->values)
		return;
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		AttrNumber	attnum = ing->staged_of[i];

		if (attnum == 0)
			continue;
		ing->values[attnum - 1] = source->values[i];
		ing->isnull[attnum - 1] = source->isnull[i];
	}
}

static inline void
set_ours(WhIngest *ing, AttrNumber column, Datum value)
{
	if (column > 0)
	{
		ing->values[column - 1] = value;
		ing->isnull[column - 1] = false;
	}
}

static int64
position_of(WhIngest *ing, WhSourceRow *source)
{
	return wh_position(ing->unit ? ing->unit->unit_no : ing->feed->reads + 1, source->low);
}

/* Write a good record of an append feed without key. */
void
wh_ingest_stage_plain(WhIngest *ing, WhSourceRow *source, TimestampTz event_time)
{
	fill_columns(ing, source);
	set_ours(ing, ing->ours.effective_from, TimestampTzGetDatum(event_time));
	set_ours(ing, ing->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(ing, ing->ours.source_position, Int64GetDatum(position_of(ing, source)));
	if (ing->hold)
		wh_hold_row(ing);
	else
		wh_bulk_insert(wh_splice_writer(ing), ing->values, ing->isnull);
	ing->result->counts.rows_staged++;
}

/* Take a good record: into the table, or into the sort of keyed loads. */
void
wh_ingest_stage(WhIngest *ing, WhIngestRow *row)
{
	if (ing->nkeys == 0)
	{
		wh_ingest_stage_plain(ing, &row->source, row->event_time);
		return;
	}
	fill_columns(ing, &row->source);
	set_ours(ing, ing->ours.effective_from, TimestampTzGetDatum(row->event_time));
	set_ours(ing, ing->ours.effective_to, TimestampTzGetDatum(DT_NOEND));
	set_ours(ing, ing->ours.is_deleted, BoolGetDatum(row->is_deleted));
	set_ours(ing, ing->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(ing, ing->ours.source_position, Int64GetDatum(position_of(ing, &row->source)));
	wh_splice_put(ing, row);
}
