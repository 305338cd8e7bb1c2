/*
 * splice_snapshot.c
 *	  Snapshot feeds: each file, or each read of a relation, states every key from
 *	  its time to the next snapshot's.
 *
 * Staging is a pure function of the set of snapshots.  At a snapshot's time, a
 * key is present (its row is staged), absent (a delete is staged, if the key
 * was there just before), or not stated: its row was rejected, or some row
 * without readable key was.  What a key is at a time without statement is what
 * it was before.  So a snapshot changes a key at its own time, and at the next
 * snapshot that states the key: there a delete comes or goes.
 *
 * Of several contents with one time the last in order counts.  Reads of a
 * relation without sequence_by come in order of time by themselves: of them
 * only what differs from the current state is staged.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "splice/splice.h"
#include "splice/splice_snapshot.h"

/* The merge of one snapshot with what is staged around its time. */
typedef struct SnapshotMerge
{
	WhIngest   *ing;
	WhSnapshots *snapshots;
	TimestampTz time;			/* of the snapshot */
	bool		states_only;	/* stage differences to the current state */
	WhUnit	   *unit;			/* NULL for a read of a relation */
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

/* Start a snapshot: a file, or a read of a relation. */
void
wh_snapshot_begin(WhIngest *ing)
{
	ing->snapshot_time = DT_NOBEGIN;
	ing->snapshot_mixed = false;
	ing->snapshot_incomplete = false;
	if (ing->snapshots == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(ing->context);

		ing->snapshots = wh_snapshots_open(ing);
		MemoryContextSwitchTo(old);
	}
	wh_snapshots_clear_own(ing->snapshots);
}

/* Note that a record of the snapshot was rejected: its key is not stated. */
void
wh_snapshot_note_reject(WhIngest *ing, WhIngestRow *row)
{
	ListCell   *lc;
	bool		readable = true;

	if (ing->snapshots == NULL)
		return;
	foreach(lc, row->source.errors)
	{
		WhRowError *error = lfirst(lc);

		readable &= error->attnum != 0;
	}
	for (int i = 0; i < ing->nkeys && readable; i++)
		readable = !row->source.isnull[ing->key_source[i] - 1];
	if (readable)
		wh_snapshots_add_own(ing, ing->snapshots, row);
	else
	{
		if (!ing->snapshot_incomplete)
			ing->result->counts.warnings++;
		ing->snapshot_incomplete = true;
	}
}

/* Forget a snapshot that could not be read at all. */
void
wh_snapshot_abandon(WhIngest *ing)
{
	if (ing->sort)
		tuplesort_end(ing->sort);
	ing->sort = NULL;
}

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
	merge->has_in = merge->ing->sort &&
		tuplesort_gettupleslot(merge->ing->sort, true, false, merge->in, NULL);
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

/* Refuse a set whose records have different times: each becomes an error event. */
static void
reject_all(WhIngest *ing)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(ing->sort_desc, &TTSOpsMinimalTuple);

	tuplesort_performsort(ing->sort);
	while (tuplesort_gettupleslot(ing->sort, true, false, slot, NULL))
	{
		slot_getallattrs(slot);
		wh_ingest_count_reject(ing, ERRCODE_DATA_EXCEPTION, "records of one snapshot have different event times");
		wh_ingest_reject_staged(ing, slot->tts_values, slot->tts_isnull, NULL, ERRCODE_DATA_EXCEPTION,
								"records of one snapshot have different event times");
	}
	ExecDropSingleTupleTableSlot(slot);
	wh_snapshot_abandon(ing);
}

/*
 * Sort the staged rows that touch a time by key.  The place of a row stands in
 * the column that orders records of one time.
 */
static void
sort_around(SnapshotMerge *merge)
{
	WhIngest   *ing = merge->ing;
	Tuplesortstate *records = ing->sort;
	Relation	table = table_open(ing->feed->history, AccessShareLock);
	TupleTableSlot *slot;
	TableScanDesc scan;

	if (RelationGetNumberOfBlocks(table) == 0)
	{
		table_close(table, NoLock);
		return;
	}
	wh_sort_begin(ing);
	merge->around = ing->sort;
	ing->sort = records;
	slot = table_slot_create(table, NULL);
	scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		TupleTableSlot *out = ing->sort_slot;
		int			natts = ing->desc->natts;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		if (DatumGetTimestampTz(slot->tts_values[ing->ours.effective_from - 1]) > merge->time ||
			DatumGetTimestampTz(slot->tts_values[ing->ours.effective_to - 1]) < merge->time)
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
	WhIngest   *ing = merge->ing;

	wh_version_take(ing, merge->record, merge->in);
	fetch_in(merge);
	while (merge->has_in && wh_sort_same_key(ing, merge->in->tts_values, merge->record->values))
	{
		int			n = wh_sort_major(ing) - 1;
		int			image;

		wh_version_take(ing, merge->rival, merge->in);
		image = wh_version_image_compare(ing, merge->rival, merge->record);
		if (image == 0)
			ing->result->counts.rows_repeated++;
		else
			ing->result->counts.rows_superseded++;
		if (image >= 0 || merge->rival->values[n] != merge->record->values[n])
			swap(&merge->record, &merge->rival);
		fetch_in(merge);
	}
	merge->record->from = merge->time;
	merge->record->values[ing->ours.effective_from - 1] = TimestampTzGetDatum(merge->time);
}

/* Make a version that says: the key was deleted, as a snapshot's absence says. */
static void
make_delete(SnapshotMerge *merge, WhStagedVersion *version, const WhStagedVersion *of, TimestampTz time, int64 unit_no)
{
	WhIngest   *ing = merge->ing;
	TupleTableSlot *slot = ing->sort_slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * ing->sort_desc->natts);
#define SET_COLUMN(column, value) \
	(slot->tts_values[(column) - 1] = (value), slot->tts_isnull[(column) - 1] = false)
	for (int i = 0; i < ing->nkeys; i++)
		SET_COLUMN(ing->key_staged[i], of->values[ing->key_staged[i] - 1]);
	SET_COLUMN(ing->ours.effective_from, TimestampTzGetDatum(time));
	SET_COLUMN(ing->ours.effective_to, TimestampTzGetDatum(DT_NOEND));
	SET_COLUMN(ing->ours.is_deleted, BoolGetDatum(true));
	SET_COLUMN(ing->ours.batch_id, Int64GetDatum(ing->batch_id));
	SET_COLUMN(ing->ours.source_position, Int64GetDatum(wh_position(unit_no, 0)));
	SET_COLUMN(wh_sort_major(ing), Int64GetDatum(0));
	SET_COLUMN(wh_sort_minor(ing), Int64GetDatum(0));
	ExecStoreVirtualTuple(slot);
	wh_version_take(ing, version, slot);
}

static bool
is_deleted(WhIngest *ing, const WhStagedVersion *version)
{
	return DatumGetBool(version->values[ing->ours.is_deleted - 1]);
}

/* True for a delete that no record said, only the absence of one. */
static bool
is_implied(WhIngest *ing, const WhStagedVersion *version)
{
	return is_deleted(ing, version) && wh_position_low(version->position) == 0;
}

/* Let a staged version of the snapshot's time be what the snapshot says. */
static void
restate(SnapshotMerge *merge, WhStagedVersion *by, bool is_record)
{
	WhIngest   *ing = merge->ing;
	bool		same = wh_version_image_compare(ing, by, merge->at) == 0 &&
		is_implied(ing, by) == is_implied(ing, merge->at);

	if (!same)
		wh_version_replace(ing, merge->at, by);
	else if (ing->kind != WH_SOURCE_RELATION &&
			 wh_position_compare(ing, by->position, merge->at->position) != 0)
	{
		merge->at->position = by->position;
		merge->at->is_raised = true;
	}
	if (is_record && same)
		ing->result->counts.rows_repeated++;
	else if (is_record)
		ing->result->counts.rows_staged++;
}

/*
 * Tell whether a retry changes what its snapshot said of a key: of other keys
 * it stays said, and of several records of a key the last one counts.
 */
static bool
retry_restates(SnapshotMerge *merge, bool has_record)
{
	WhIngest   *ing = merge->ing;
	int			place;
	int			image;

	/* a file of which no record was right before may replace another one */
	if (ing->kind != WH_SOURCE_RELATION && wh_position_unit(merge->at->position) != merge->unit_no)
		return true;
	if (!has_record)
		return false;
	place = wh_position_compare(ing, merge->record->position, merge->at->position);
	image = wh_version_image_compare(ing, merge->record, merge->at);
	if (place > 0 || (place == 0 && image > 0))
		return true;
	if (image == 0)
		ing->result->counts.rows_repeated++;
	else
		ing->result->counts.rows_superseded++;
	return false;
}

/* Put one key in order, given what is known of it around the time. */
static void
settle_key(SnapshotMerge *merge, bool has_record, bool has_before, bool has_at)
{
	WhIngest   *ing = merge->ing;
	WhStagedVersion  *known = has_record ? merge->record : has_at ? merge->at : merge->before;
	bool		has_after = false;
	bool		has_made = false;
	bool		has_later = false;
	bool		present = has_before && !is_deleted(ing, merge->before);
	WhSnapshot *next;
	TimestampTz end;

	if (ing->is_retry && has_record)
		wh_snapshots_own_state(ing, merge->snapshots, merge->record->values);
	if (ing->is_retry && has_at && !is_implied(ing, merge->at) && !retry_restates(merge, has_record))
		return;
	if (has_record && merge->states_only && has_before &&
		wh_version_image_compare(ing, merge->record, merge->before) == 0)
	{
		ing->result->counts.rows_repeated++;
		return;
	}
	if (wh_snapshots_are_later(merge->snapshots, merge->time))
	{
		wh_staged_seek(merge->scan, known->values, merge->time + 1);
		has_after = wh_staged_next(merge->scan, merge->after);
	}

	/* At the snapshot's own time */
	if (has_record)
	{
		present = !is_deleted(ing, merge->record);
		if (has_at)
			restate(merge, merge->record, true);
		else
			ing->result->counts.rows_staged++;
	}
	else if (!ing->snapshot_incomplete && !wh_snapshots_own_has(ing, merge->snapshots, known->values))
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
	next = wh_snapshots_next_stating(ing, merge->snapshots, merge->time, known->values,
									 has_after ? merge->after->from : DT_NOEND);
	if (next && has_after && merge->after->from == next->time)
		merge->after->is_removed = !present && is_implied(ing, merge->after);
	else if (next && present)
	{
		make_delete(merge, merge->later, known, next->time, next->unit_no);
		has_later = true;
	}

	/* Write from the last to the first, each up to where the one after it begins. */
	end = !has_after ? DT_NOEND : merge->after->is_removed ? merge->after->to : merge->after->from;
	if (has_after)
		wh_version_write(ing, merge->after, merge->after->to);
	if (has_later)
	{
		wh_version_write(ing, merge->later, end);
		end = merge->later->from;
	}
	if (has_at)
	{
		wh_version_write(ing, merge->at, end);
		if (!merge->at->is_removed)
			end = merge->time;
	}
	else if (has_record || has_made)
	{
		wh_version_write(ing, has_record ? merge->record : merge->made, end);
		end = merge->time;
	}
	if (has_before)
		wh_version_write(ing, merge->before, end);
}

/* Take the staged versions of one key around the time. */
static void
take_near(SnapshotMerge *merge, bool *has_before, bool *has_at)
{
	WhIngest   *ing = merge->ing;
	WhStagedVersion  *taken;

	do
	{
		bool		at = !merge->states_only &&
			DatumGetTimestampTz(merge->near->tts_values[ing->ours.effective_from - 1]) == merge->time;

		taken = at ? merge->at : merge->before;
		wh_version_take_staged(ing, taken, merge->near);
		*(at ? has_at : has_before) = true;
		fetch_near(merge);
	} while (merge->has_near && wh_sort_same_key(ing, merge->near->tts_values, taken->values));
}

/* Merge the sorted records of a snapshot into staging. */
static void
merge_snapshot(SnapshotMerge *merge)
{
	WhIngest   *ing = merge->ing;

	merge->in = MakeSingleTupleTableSlot(ing->sort_desc, &TTSOpsMinimalTuple);
	merge->near = MakeSingleTupleTableSlot(ing->sort_desc, &TTSOpsMinimalTuple);
	merge->record = wh_version_make(ing);
	merge->rival = wh_version_make(ing);
	merge->before = wh_version_make(ing);
	merge->at = wh_version_make(ing);
	merge->after = wh_version_make(ing);
	merge->made = wh_version_make(ing);
	merge->later = wh_version_make(ing);
	sort_around(merge);
	merge->scan = wh_staged_open(ing);
	if (ing->sort)
		tuplesort_performsort(ing->sort);
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
			wh_sort_key_compare(ing, merge->in->tts_values, merge->near->tts_values);
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
	wh_snapshot_abandon(ing);
}

/* Count all records of a set that a later content of the same time replaces. */
static void
supersede_all(WhIngest *ing)
{
	ing->result->counts.rows_superseded += ing->sort_rows;
	wh_snapshot_abandon(ing);
}

/* Stage the snapshot that was read since wh_snapshot_begin. */
void
wh_snapshot_end(WhIngest *ing)
{
	MemoryContext old = MemoryContextSwitchTo(ing->context);
	SnapshotMerge merge;
	WhSnapshot *rival;

	if (ing->snapshot_mixed)
	{
		reject_all(ing);
		ing->snapshot_time = DT_NOBEGIN;
		MemoryContextSwitchTo(old);
		return;
	}
	memset(&merge, 0, sizeof(merge));
	merge.ing = ing;
	merge.snapshots = ing->snapshots;
	merge.states_only = ing->kind == WH_SOURCE_RELATION && ing->feed->sequence_by == NULL;
	merge.unit = ing->unit;
	merge.unit_no = ing->unit ? ing->unit->unit_no : ing->feed->reads + 1;
	if (ing->snapshot_time == DT_NOBEGIN && ing->feed->sequence_by == NULL)
		ing->snapshot_time = ing->batch_start;
	if (ing->snapshot_time == DT_NOBEGIN)
	{
		/* Nothing says which time an empty set is of. */
		ing->result->counts.warnings++;
		MemoryContextSwitchTo(old);
		return;
	}
	if (merge.states_only)
		ing->snapshot_time = Max(ing->snapshot_time, wh_snapshots_last(ing->snapshots) + 1);
	merge.time = ing->snapshot_time;
	if (ing->unit)
	{
		ing->unit->event_time = merge.time;
		ing->unit->is_complete = !ing->snapshot_incomplete;
		ing->unit->is_changed = true;
	}
	rival = wh_snapshots_find(ing->snapshots, merge.time);
	if (rival && wh_position_compare(ing, wh_position(rival->unit_no, 0), wh_position(merge.unit_no, 0)) > 0)
	{
		supersede_all(ing);
		if (!ing->is_retry)
			wh_snapshots_keep_own(ing, ing->snapshots, merge.unit_no);
		MemoryContextSwitchTo(old);
		return;
	}
	if (ing->sort_desc == NULL)
	{
		/* An empty set: only the form of its rows is needed. */
		wh_sort_begin(ing);
		wh_snapshot_abandon(ing);
	}
	merge_snapshot(&merge);
	if (!merge.states_only && (ing->unit || ing->writer))
	{
		wh_snapshots_keep_own(ing, ing->snapshots, merge.unit_no);
		wh_snapshots_set(ing->snapshots, merge.time, merge.unit_no, !ing->snapshot_incomplete);
	}

	/* Let the next file see what this one wrote. */
	if (ing->writer)
		wh_bulk_flush(ing->writer);
	if (ing->change_writer)
		wh_bulk_flush(ing->change_writer);
	if (ing->unit)
	{
		CommandCounterIncrement();
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	MemoryContextSwitchTo(old);
}
