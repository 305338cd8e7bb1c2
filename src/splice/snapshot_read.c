/*
 * snapshot_read.c
 *	  Snapshot feeds: each file, or each read of a relation, states every key from
 *	  its time to the next snapshot's.
 *
 * Staging is a pure function of the set of snapshots.  Of several contents with
 * one time the last in order counts.  Reads of a relation without sequence_by
 * come in order of time by themselves: of them only what differs from the
 * current state is staged.  See snapshot_merge.c.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "splice/snapshot.h"

/* Start a snapshot: a file, or a read of a relation. */
void
wh_snapshot_begin(WhStaging *staging)
{
	staging->snapshot_time = DT_NOBEGIN;
	staging->snapshot_mixed = false;
	staging->snapshot_incomplete = false;
	if (staging->snapshots == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(staging->context);

		staging->snapshots = wh_snapshots_open(staging);
		staging->unstated = wh_unstated_open(staging);
		MemoryContextSwitchTo(old);
	}
	wh_unstated_begin_own(staging);
}

/*
 * Note that a record of the snapshot was rejected: its key, by key column, is not
 * stated.  Without a readable key (NULL) absence says nothing any more.
 */
void
wh_snapshot_note_reject(WhStaging *staging, Datum *key)
{
	if (staging->snapshots == NULL)
		return;
	if (key)
		wh_unstated_add_own(staging, key);
	else
	{
		if (!staging->snapshot_incomplete)
			staging->counts->warnings++;
		staging->snapshot_incomplete = true;
	}
}

/* Refuse a set whose records have different times: each becomes an error event. */
static void
reject_all(WhStaging *staging)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	WhLostRecord lost = {
		.is_of_run = true,
		.sqlerrcode = ERRCODE_DATA_EXCEPTION,
		.message = WH_SNAPSHOT_MIXED,
	};

	tuplesort_performsort(staging->sort);
	while (tuplesort_gettupleslot(staging->sort, true, false, slot, NULL))
	{
		slot_getallattrs(slot);
		lost.values = slot->tts_values;
		lost.isnull = slot->tts_isnull;
		staging->lose(staging->lose_arg, &lost);
	}
	ExecDropSingleTupleTableSlot(slot);
	wh_splice_drop(staging);
}

/* Count all records of a set that a later content of the same time replaces. */
static void
supersede_all(WhStaging *staging)
{
	staging->counts->rows_superseded += staging->sort_rows;
	wh_splice_drop(staging);
}

/* Warn of a snapshot from which nothing follows for keys that it does not have. */
static void
warn_deletes_nothing(const WhStaging *staging, const WhUnit *unit, const char *why)
{
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 unit ? errmsg("snapshot \"%s\" of feed \"%s\" deletes nothing", unit->name, staging->feed->name) :
			 errmsg("the snapshot of feed \"%s\" deletes nothing", staging->feed->name),
			 errdetail_internal("%s", why),
			 errhint("See wh.error_event; correct the source, or keep such records out of it.")));
}

/*
 * Stage the snapshot that was read since wh_snapshot_begin: unit is its file, NULL
 * for a read of a relation.
 */
void
wh_snapshot_end(WhStaging *staging, WhUnit *unit)
{
	MemoryContext old = MemoryContextSwitchTo(staging->context);
	bool		states_only = wh_snapshot_is_state(staging);
	int64		unit_no = unit ? unit->unit_no : staging->feed->reads + 1;
	WhSnapshot *rival;

	if (staging->snapshot_mixed)
	{
		reject_all(staging);
		staging->snapshot_time = DT_NOBEGIN;
		MemoryContextSwitchTo(old);
		return;
	}
	if (staging->snapshot_time == DT_NOBEGIN && staging->feed->sequence_by == NULL)
		staging->snapshot_time = staging->batch_start;
	if (staging->snapshot_incomplete && !staging->is_retry)
		warn_deletes_nothing(staging, unit, "A rejected record has no readable key, or its end could not be read: who is missing is not known.");
	if (staging->snapshot_time == DT_NOBEGIN)
	{
		/* Nothing says which time an empty set is of. */
		staging->counts->warnings++;
		if (!staging->is_retry && !staging->snapshot_incomplete)
			warn_deletes_nothing(staging, unit, "None of its records says which time it is of.");
		MemoryContextSwitchTo(old);
		return;
	}
	if (states_only)
		staging->snapshot_time = Max(staging->snapshot_time, wh_snapshots_last(staging->snapshots) + 1);
	if (unit)
	{
		unit->event_time = staging->snapshot_time;
		unit->is_complete = !staging->snapshot_incomplete;
		unit->is_changed = true;
	}
	rival = wh_snapshots_find(staging->snapshots, staging->snapshot_time);
	if (rival && wh_position_compare(staging->units, wh_position(rival->unit_no, 0), wh_position(unit_no, 0)) > 0)
	{
		supersede_all(staging);
		if (!staging->is_retry)
			wh_unstated_keep_own(staging, unit_no);
		MemoryContextSwitchTo(old);
		return;
	}
	if (staging->sort_desc == NULL)
	{
		/* An empty set: only the form of its rows is needed. */
		wh_sort_begin(staging);
		wh_splice_drop(staging);
	}
	wh_snapshot_merge(staging, staging->snapshot_time, unit_no);
	if (!states_only && (unit || staging->writer))
	{
		wh_unstated_keep_own(staging, unit_no);
		wh_snapshots_set(staging->snapshots, staging->snapshot_time, unit_no, !staging->snapshot_incomplete);
	}

	/* Let the next file see what this one wrote. */
	if (staging->writer)
		wh_bulk_flush(staging->writer);
	if (staging->change_writer)
		wh_bulk_flush(staging->change_writer);
	if (unit)
	{
		CommandCounterIncrement();
		PopActiveSnapshot();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	MemoryContextSwitchTo(old);
}
