/*
 * snapshot_merge.c
 *	  Merges the records of one snapshot with what is staged around its time.
 *
 * At a snapshot's time, a key is present (its row is staged), absent (a delete is
 * staged, if the key was there just before), or not stated: its row was rejected,
 * or some row without readable key was.  What a key is at a time without
 * statement is what it was before.  So a snapshot changes a key at its own time,
 * and at the next snapshot that states the key: there a delete comes or goes.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "splice/snapshot.h"

/* The merge of one snapshot with what is staged around its time. */
typedef struct SnapshotMerge
{
	WhStaging  *staging;
	TimestampTz time;			/* of the snapshot */
	bool		states_only;	/* stage differences to the current state */
	int64		unit_no;
	WhStagedScan *scan;
	TupleTableSlot *in;			/* next record */
	bool		has_in;
	Tuplesortstate *around;		/* staged rows around the time */
	TupleTableSlot *near;		/* next of them */
	bool		has_near;
	WhStagedVersion  *record;
	WhStagedVersion  *rival;
	WhStagedVersion  *before;			/* staged version in force just before the time */
	WhStagedVersion  *at;				/* staged version of the time */
	WhStagedVersion  *after;			/* next staged version */
	WhStagedVersion  *made;			/* a delete */
	WhStagedVersion  *later;			/* a delete at the next snapshot that states the key */
} SnapshotMerge;

static void
swap(WhStagedVersion **a, WhStagedVersion **b)
{
	WhStagedVersion  *c = *a;

	*a = *b;
	*b = c;
}

static void
fetch_in(SnapshotMerge *merge)
{
	merge->has_in = merge->staging->sort &&
		tuplesort_gettupleslot(merge->staging->sort, true, false, merge->in, NULL);
	if (merge->has_in)
		slot_getallattrs(merge->in);
}

static void
fetch_near(SnapshotMerge *merge)
{
	merge->has_near = merge->around && tuplesort_gettupleslot(merge->around, true, false, merge->near, NULL);
	if (merge->has_near)
		slot_getallattrs(merge->near);
}

/*
 * Sort the staged rows that touch a time by key.  The place of a row stands in
 * the column that orders records of one time.
 */
static void
sort_around(SnapshotMerge *merge)
{
	WhStaging  *staging = merge->staging;
	Tuplesortstate *records = staging->sort;
	Relation	table = table_open(staging->feed->history, AccessShareLock);
	TupleTableSlot *slot;
	TableScanDesc scan;

	if (RelationGetNumberOfBlocks(table) == 0)
	{
		table_close(table, NoLock);
		return;
	}
	wh_sort_begin(staging);
	merge->around = staging->sort;
	staging->sort = records;
	slot = table_slot_create(table, NULL);
	scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		TupleTableSlot *out = staging->sort_slot;
		int			natts = staging->desc->natts;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (DatumGetTimestampTz(slot->tts_values[staging->ours.effective_from - 1]) > merge->time ||
			DatumGetTimestampTz(slot->tts_values[staging->ours.effective_to - 1]) < merge->time)
			continue;
		ExecClearTuple(out);
		memcpy(out->tts_values, slot->tts_values, sizeof(Datum) * natts);
		memcpy(out->tts_isnull, slot->tts_isnull, sizeof(bool) * natts);
		out->tts_values[natts] = Int64GetDatum(((int64) ItemPointerGetBlockNumber(&slot->tts_tid) << 16) |
											   ItemPointerGetOffsetNumber(&slot->tts_tid));
		out->tts_values[natts + 1] = Int64GetDatum(0);
		out->tts_isnull[natts] = out->tts_isnull[natts + 1] = false;
		ExecStoreVirtualTuple(out);
		tuplesort_puttupleslot(merge->around, out);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, NoLock);
	tuplesort_performsort(merge->around);
}

/* Take the last of the records with the next key; false when it is another key. */
static void
take_record(SnapshotMerge *merge)
{
	WhStaging  *staging = merge->staging;

	wh_version_take(staging, merge->record, merge->in);
	fetch_in(merge);
	while (merge->has_in && wh_sort_same_key(staging, merge->in->tts_values, merge->record->values))
	{
		int			n = wh_sort_major(staging) - 1;
		int			image;

		wh_version_take(staging, merge->rival, merge->in);
		image = wh_version_image_compare(staging, merge->rival, merge->record);
		if (image == 0)
			staging->counts->rows_repeated++;
		else
			staging->counts->rows_superseded++;
		if (image >= 0 || merge->rival->values[n] != merge->record->values[n])
			swap(&merge->record, &merge->rival);
		fetch_in(merge);
	}
	merge->record->from = merge->time;
	merge->record->values[staging->ours.effective_from - 1] = TimestampTzGetDatum(merge->time);
}

/* Make a version that says: the key was deleted, as a snapshot's absence says. */
static void
make_delete(SnapshotMerge *merge, WhStagedVersion *version, const WhStagedVersion *of, TimestampTz time, int64 unit_no)
{
	WhStaging  *staging = merge->staging;
	TupleTableSlot *slot = staging->sort_slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * staging->sort_desc->natts);
#define SET_COLUMN(column, value) \
	(slot->tts_values[(column) - 1] = (value), slot->tts_isnull[(column) - 1] = false)
	for (int i = 0; i < staging->nkeys; i++)
		SET_COLUMN(staging->key[i], of->values[staging->key[i] - 1]);
	SET_COLUMN(staging->ours.effective_from, TimestampTzGetDatum(time));
	SET_COLUMN(staging->ours.effective_to, TimestampTzGetDatum(DT_NOEND));
	SET_COLUMN(staging->ours.is_deleted, BoolGetDatum(true));
	SET_COLUMN(staging->ours.batch_id, Int64GetDatum(staging->batch_id));
	SET_COLUMN(staging->ours.source_position, Int64GetDatum(wh_position(unit_no, 0)));
	SET_COLUMN(wh_sort_major(staging), Int64GetDatum(0));
	SET_COLUMN(wh_sort_minor(staging), Int64GetDatum(0));
	ExecStoreVirtualTuple(slot);
	wh_version_take(staging, version, slot);
}

static bool
is_deleted(WhStaging *staging, const WhStagedVersion *version)
{
	return DatumGetBool(version->values[staging->ours.is_deleted - 1]);
}

/* True for a delete that no record said, only the absence of one. */
static bool
is_implied(WhStaging *staging, const WhStagedVersion *version)
{
	return is_deleted(staging, version) && wh_position_low(version->position) == 0;
}

/* Let a staged version of the snapshot's time be what the snapshot says. */
static void
restate(SnapshotMerge *merge, WhStagedVersion *by, bool is_record)
{
	WhStaging  *staging = merge->staging;
	bool		same = wh_version_image_compare(staging, by, merge->at) == 0 &&
		is_implied(staging, by) == is_implied(staging, merge->at);

	if (!same)
		wh_version_replace(staging, merge->at, by);
	else if (staging->kind != WH_SOURCE_RELATION &&
			 wh_position_compare(staging->units, by->position, merge->at->position) != 0)
	{
		merge->at->position = by->position;
		merge->at->is_raised = true;
	}
	if (is_record && same)
		staging->counts->rows_repeated++;
	else if (is_record)
		staging->counts->rows_staged++;
}

/*
 * Tell whether a retry changes what its snapshot said of a key: of other keys
 * it stays said, and of several records of a key the last one counts.
 */
static bool
retry_restates(SnapshotMerge *merge, bool has_record)
{
	WhStaging  *staging = merge->staging;
	int			place;
	int			image;

	/* a file of which no record was right before may replace another one */
	if (staging->kind != WH_SOURCE_RELATION && wh_position_unit(merge->at->position) != merge->unit_no)
		return true;
	if (!has_record)
		return false;
	place = wh_position_compare(staging->units, merge->record->position, merge->at->position);
	image = wh_version_image_compare(staging, merge->record, merge->at);
	if (place > 0 || (place == 0 && image > 0))
		return true;
	if (image == 0)
		staging->counts->rows_repeated++;
	else
		staging->counts->rows_superseded++;
	return false;
}

/* Put one key in order, given what is known of it around the time. */
static void
settle_key(SnapshotMerge *merge, bool has_record, bool has_before, bool has_at)
{
	WhStaging  *staging = merge->staging;
	WhStagedVersion  *known = has_record ? merge->record : has_at ? merge->at : merge->before;
	bool		has_after = false;
	bool		has_made = false;
	bool		has_later = false;
	bool		present = has_before && !is_deleted(staging, merge->before);
	WhSnapshot *next;
	TimestampTz end;

	if (staging->is_retry && has_record)
		wh_unstated_own_states(staging, merge->record->values);
	if (staging->is_retry && has_at && !is_implied(staging, merge->at) && !retry_restates(merge, has_record))
		return;
	if (has_record && merge->states_only && has_before &&
		wh_version_image_compare(staging, merge->record, merge->before) == 0)
	{
		staging->counts->rows_repeated++;
		return;
	}
	if (wh_snapshots_are_later(staging->snapshots, merge->time))
	{
		wh_staged_seek(merge->scan, known->values, merge->time + 1);
		has_after = wh_staged_next(merge->scan, merge->after);
	}

	/* At the snapshot's own time */
	if (has_record)
	{
		present = !is_deleted(staging, merge->record);
		if (has_at)
			restate(merge, merge->record, true);
		else
			staging->counts->rows_staged++;
	}
	else if (!staging->snapshot_incomplete && !wh_unstated_own_has(staging, known->values))
	{
		if (present)
		{
			make_delete(merge, merge->made, merge->before, merge->time, merge->unit_no);
			if (has_at)
				restate(merge, merge->made, false);
			else
				has_made = true;
		}
		else if (has_at)
			merge->at->is_removed = true;
		present = false;
	}
	else if (has_at)
		merge->at->is_removed = true;

	/* At the next snapshot that states the key */
	next = wh_snapshots_next_stating(staging, merge->time, known->values,
									 has_after ? merge->after->from : DT_NOEND);
	if (next && has_after && merge->after->from == next->time)
		merge->after->is_removed = !present && is_implied(staging, merge->after);
	else if (next && present)
	{
		make_delete(merge, merge->later, known, next->time, next->unit_no);
		has_later = true;
	}

	/* Write from the last to the first, each up to where the one after it begins. */
	end = !has_after ? DT_NOEND : merge->after->is_removed ? merge->after->to : merge->after->from;
	if (has_after)
		wh_version_write(staging, merge->after, merge->after->to);
	if (has_later)
	{
		wh_version_write(staging, merge->later, end);
		end = merge->later->from;
	}
	if (has_at)
	{
		wh_version_write(staging, merge->at, end);
		if (!merge->at->is_removed)
			end = merge->time;
	}
	else if (has_record || has_made)
	{
		wh_version_write(staging, has_record ? merge->record : merge->made, end);
		end = merge->time;
	}
	if (has_before)
		wh_version_write(staging, merge->before, end);
}

/* Take the staged versions of one key around the time. */
static void
take_near(SnapshotMerge *merge, bool *has_before, bool *has_at)
{
	WhStaging  *staging = merge->staging;
	WhStagedVersion  *taken;

	do
	{
		bool		at = !merge->states_only &&
			DatumGetTimestampTz(merge->near->tts_values[staging->ours.effective_from - 1]) == merge->time;

		taken = at ? merge->at : merge->before;
		wh_version_take_staged(staging, taken, merge->near);
		*(at ? has_at : has_before) = true;
		fetch_near(merge);
	} while (merge->has_near && wh_sort_same_key(staging, merge->near->tts_values, taken->values));
}

/* Merge the sorted records of a snapshot, of a time and unit, into staging. */
void
wh_snapshot_merge(WhStaging *staging, TimestampTz time, int64 unit_no)
{
	SnapshotMerge state = {
		.staging = staging,
		.time = time,
		.states_only = wh_snapshot_is_state(staging),
		.unit_no = unit_no,
	};
	SnapshotMerge *merge = &state;

	merge->in = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	merge->near = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	merge->record = wh_version_make(staging);
	merge->rival = wh_version_make(staging);
	merge->before = wh_version_make(staging);
	merge->at = wh_version_make(staging);
	merge->after = wh_version_make(staging);
	merge->made = wh_version_make(staging);
	merge->later = wh_version_make(staging);
	sort_around(merge);
	merge->scan = wh_staged_open(staging);
	if (staging->sort)
		tuplesort_performsort(staging->sort);
	fetch_in(merge);
	fetch_near(merge);
	while (merge->has_in || merge->has_near)
	{
		bool		has_record = false;
		bool		has_before = false;
		bool		has_at = false;
		int			order;

		CHECK_FOR_INTERRUPTS();
		order = !merge->has_near ? -1 : !merge->has_in ? 1 :
			wh_sort_key_compare(staging, merge->in->tts_values, merge->near->tts_values);
		if (order <= 0)
		{
			take_record(merge);
			has_record = true;
		}
		if (order >= 0)
			take_near(merge, &has_before, &has_at);
		settle_key(merge, has_record, has_before, has_at);
	}
	wh_staged_close(merge->scan);
	ExecDropSingleTupleTableSlot(merge->in);
	ExecDropSingleTupleTableSlot(merge->near);
	if (merge->around)
		tuplesort_end(merge->around);
	wh_splice_drop(staging);
}
