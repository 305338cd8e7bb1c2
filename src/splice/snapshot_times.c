/*
 * snapshot_times.c
 *	  The snapshots of a feed: which unit counts at which time.
 *
 * Read once per load, from the feed's units.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "splice/snapshot.h"

struct WhSnapshots
{
	MemoryContext context;
	WhSnapshot *snapshots;		/* by time */
	int			nsnapshots;
	int			room;
};

/* Give the index of the first snapshot at or after a time. */
static int
search(WhSnapshots *snapshots, TimestampTz time)
{
	int			low = 0;
	int			high = snapshots->nsnapshots;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (snapshots->snapshots[middle].time < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Find the snapshot of a time, or NULL. */
WhSnapshot *
wh_snapshots_find(WhSnapshots *snapshots, TimestampTz time)
{
	int			n = search(snapshots, time);

	return n < snapshots->nsnapshots && snapshots->snapshots[n].time == time ? &snapshots->snapshots[n] : NULL;
}

/* Give the time of the last snapshot; DT_NOBEGIN when there is none. */
TimestampTz
wh_snapshots_last(WhSnapshots *snapshots)
{
	return snapshots->nsnapshots > 0 ? snapshots->snapshots[snapshots->nsnapshots - 1].time : DT_NOBEGIN;
}

/* Tell whether there are snapshots after a time. */
bool
wh_snapshots_are_later(WhSnapshots *snapshots, TimestampTz time)
{
	return wh_snapshots_last(snapshots) > time;
}

/* Note that a unit counts at a time. */
void
wh_snapshots_set(WhSnapshots *snapshots, TimestampTz time, int64 unit_no, bool is_complete)
{
	int			n = search(snapshots, time);
	WhSnapshot *snapshot;

	if (n == snapshots->nsnapshots || snapshots->snapshots[n].time != time)
	{
		if (snapshots->nsnapshots == snapshots->room)
		{
			snapshots->room = Max(16, snapshots->room * 2);
			snapshots->snapshots = snapshots->snapshots == NULL ?
				MemoryContextAlloc(snapshots->context, sizeof(WhSnapshot) * snapshots->room) :
				repalloc(snapshots->snapshots, sizeof(WhSnapshot) * snapshots->room);
		}
		memmove(&snapshots->snapshots[n + 1], &snapshots->snapshots[n],
				sizeof(WhSnapshot) * (snapshots->nsnapshots - n));
		snapshots->nsnapshots++;
	}
	snapshot = &snapshots->snapshots[n];
	snapshot->time = time;
	snapshot->unit_no = unit_no;
	snapshot->is_complete = is_complete;
}

/* Read the snapshots of the feed. */
WhSnapshots *
wh_snapshots_open(WhStaging *staging)
{
	WhSnapshots *snapshots = palloc0(sizeof(WhSnapshots));
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;

	snapshots->context = CurrentMemoryContext;
	wh_units_load(staging->units);
	hash_seq_init(&seq, staging->units->table);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		WhSnapshot *rival;

		if (unit->event_time == DT_NOBEGIN)
			continue;
		rival = wh_snapshots_find(snapshots, unit->event_time);
		if (rival == NULL || wh_position_compare(staging->units, wh_position(rival->unit_no, 0),
												 wh_position(unit->unit_no, 0)) < 0)
			wh_snapshots_set(snapshots, unit->event_time, unit->unit_no, unit->is_complete);
	}
	return snapshots;
}

/*
 * Find the first snapshot after a time that states the key in values: the one
 * of its next staged version (known, DT_NOEND for none), or one that it is
 * absent from.
 */
WhSnapshot *
wh_snapshots_next_stating(WhStaging *staging, TimestampTz time, Datum *values, TimestampTz known)
{
	WhSnapshots *snapshots = staging->snapshots;

	for (int n = search(snapshots, time + 1); n < snapshots->nsnapshots; n++)
	{
		WhSnapshot *snapshot = &snapshots->snapshots[n];

		if (snapshot->time == known)
			return snapshot;
		if (snapshot->is_complete && !wh_unstated_has(staging, snapshot->unit_no, values))
			return snapshot;
	}
	return NULL;
}
