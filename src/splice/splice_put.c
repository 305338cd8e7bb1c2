/*
 * splice_put.c
 *	  Takes the records of keyed loads: straight into the table, or into the sort.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "splice/splice_version.h"

/*
 * Take a record, whose columns are in the scratch row: into the sort, unless it
 * may go straight in.
 */
void
wh_splice_put(WhStaging *staging, const WhStagedRecord *record)
{
	TupleTableSlot *slot;

	/* what waits for its turn goes nowhere else */
	if (record->is_untimed)
		wh_tombstone_mark(staging);
	else if (staging->sort == NULL && !staging->is_held && wh_ordered_put(staging))
		return;
	if (staging->sort == NULL)
		wh_sort_begin(staging);
	if (staging->feed->load == WH_LOAD_SNAPSHOT)
	{
		if (staging->snapshot_time == DT_NOBEGIN)
			staging->snapshot_time = record->event_time;
		else if (staging->snapshot_time != record->event_time)
			staging->snapshot_mixed = true;
	}
	slot = staging->sort_slot;
	staging->values[wh_sort_major(staging) - 1] = Int64GetDatum(record->major);
	staging->isnull[wh_sort_major(staging) - 1] = false;
	staging->values[wh_sort_minor(staging) - 1] = Int64GetDatum(record->minor);
	staging->isnull[wh_sort_minor(staging) - 1] = false;
	ExecClearTuple(slot);
	if (staging->sort_has_raw)
	{
		staging->isnull[wh_sort_raw(staging) - 1] = record->raw == NULL;
		if (record->raw)
		{
			bytea	   *raw = palloc(VARHDRSZ + record->raw_len);

			SET_VARSIZE(raw, VARHDRSZ + record->raw_len);
			memcpy(VARDATA(raw), record->raw, record->raw_len);
			staging->values[wh_sort_raw(staging) - 1] = PointerGetDatum(raw);
		}
	}
	memcpy(slot->tts_values, staging->values, sizeof(Datum) * staging->sort_desc->natts);
	memcpy(slot->tts_isnull, staging->isnull, sizeof(bool) * staging->sort_desc->natts);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(staging->sort, slot);
	staging->sort_rows++;
}
