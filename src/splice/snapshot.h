/*
 * snapshot.h
 *	  The snapshots of a feed: their times, and the keys they do not state.
 */
#ifndef WH_SNAPSHOT_H
#define WH_SNAPSHOT_H

#include "splice/splice_version.h"

/* The content that counts at one time. */
typedef struct WhSnapshot
{
	TimestampTz time;
	int64		unit_no;
	bool		is_complete;	/* absence says something */
} WhSnapshot;

/* Say whether the sets have no times of their own: each is the state of now. */
static inline bool
wh_snapshot_is_state(const WhStaging *staging)
{
	return staging->kind == WH_SOURCE_RELATION && staging->feed->sequence_by == NULL;
}

/* snapshot_merge.c */
extern void wh_snapshot_merge(WhStaging *staging, TimestampTz time, int64 unit_no);

/* snapshot_times.c */
typedef struct WhSnapshots WhSnapshots;

extern WhSnapshots *wh_snapshots_open(WhStaging *staging);
extern WhSnapshot *wh_snapshots_find(WhSnapshots *snapshots, TimestampTz time);
extern TimestampTz wh_snapshots_last(WhSnapshots *snapshots);
extern bool wh_snapshots_are_later(WhSnapshots *snapshots, TimestampTz time);
extern void wh_snapshots_set(WhSnapshots *snapshots, TimestampTz time, int64 unit_no, bool is_complete);
extern WhSnapshot *wh_snapshots_next_stating(WhStaging *staging, TimestampTz time, Datum *values, TimestampTz known);

/* snapshot_unstated.c: of the snapshot at hand (own), and of all units (kept) */
typedef struct WhUnstated WhUnstated;

extern WhUnstated *wh_unstated_open(WhStaging *staging);
extern bool wh_unstated_has(WhStaging *staging, int64 unit_no, Datum *values);
extern void wh_unstated_begin_own(WhStaging *staging);
extern void wh_unstated_add_own(WhStaging *staging, Datum *key);
extern bool wh_unstated_own_has(WhStaging *staging, Datum *values);
extern void wh_unstated_load_own(WhStaging *staging, int64 unit_no);
extern void wh_unstated_own_states(WhStaging *staging, Datum *values);
extern void wh_unstated_keep_own(WhStaging *staging, int64 unit_no);

#endif							/* WH_SNAPSHOT_H */
