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

#include "ingest/ingest_state.h"

/* Fill the scratch row with a record's columns, unless they were put there. */
static inline void
fill_columns(WhIngest *ing, WhStaging *staging, WhSourceRow *source)
{
	if (source->values == staging->values)
		return;
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		AttrNumber	attnum = ing->staged_of[i];

		if (attnum == 0)
			continue;
		staging->values[attnum - 1] = source->values[i];
		staging->isnull[attnum - 1] = source->isnull[i];
	}
}

static inline void
set_ours(WhStaging *staging, AttrNumber column, Datum value)
{
	if (column > 0)
	{
		staging->values[column - 1] = value;
		staging->isnull[column - 1] = false;
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
	WhStaging  *staging = ing->staging;

	fill_columns(ing, staging, source);
	set_ours(staging, staging->ours.effective_from, TimestampTzGetDatum(event_time));
	set_ours(staging, staging->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(staging, staging->ours.source_position, Int64GetDatum(position_of(ing, source)));
	if (ing->hold)
		wh_hold_row(ing);
	else
		wh_bulk_insert(wh_staging_writer(staging), staging->values, staging->isnull);
	ing->result->counts.rows_staged++;
}

/* Say where a record stands among those of its key and time, of this run. */
static void
set_order(WhIngest *ing, const WhSourceRow *source, WhStagedRecord *record)
{
	record->major = record->minor = 0;
	if (ing->kind == WH_SOURCE_CSV)
		record->major = wh_position(ing->unit_rank, source->low);
	else if (ing->kind == WH_SOURCE_RELATION && ing->is_retry)
		record->major = wh_position(ing->unit->unit_no, source->low);
	else if (ing->kind == WH_SOURCE_KAFKA)
	{
		const char *slash = strrchr(ing->unit->name, '/');

		record->major = wh_position(ing->unit->generation, source->low);
		record->minor = slash ? atoi(slash + 1) : 0;
	}
}

/* Take a good record: into the table, or into the sort of keyed loads. */
void
wh_ingest_stage(WhIngest *ing, WhIngestRow *row)
{
	WhStaging  *staging = ing->staging;
	WhStagedRecord record;

	if (staging->nkeys == 0)
	{
		wh_ingest_stage_plain(ing, &row->source, row->event_time);
		return;
	}
	fill_columns(ing, staging, &row->source);
	set_ours(staging, staging->ours.effective_from, TimestampTzGetDatum(row->event_time));
	set_ours(staging, staging->ours.effective_to, TimestampTzGetDatum(DT_NOEND));
	set_ours(staging, staging->ours.is_deleted, BoolGetDatum(row->is_deleted));
	set_ours(staging, staging->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(staging, staging->ours.source_position, Int64GetDatum(position_of(ing, &row->source)));
	record.event_time = row->event_time;
	record.raw = row->source.raw;
	record.raw_len = row->source.raw_len;
	/* where event times are Kafka's own, a tombstone has one like any other message */
	record.is_untimed = row->source.tombstone && !row->source.is_change && ing->feed->load == WH_LOAD_UPSERT &&
		ing->kind == WH_SOURCE_KAFKA && (ing->feed->sequence_by != NULL || row->source.is_echo);
	set_order(ing, &row->source, &record);
	wh_splice_put(staging, &record);
}
