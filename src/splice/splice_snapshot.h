/*
 * splice_snapshot.h
 *	  The snapshots of a feed: their times, and the keys they do not state.
 */
#ifndef WH_SPLICE_SNAPSHOT_H
#define WH_SPLICE_SNAPSHOT_H

#include "splice/splice.h"

/* The content that counts at one time. */
typedef struct WhSnapshot
{
	TimestampTz time;
	int64		unit_no;
	bool		is_complete;	/* absence says something */
} WhSnapshot;

typedef struct WhSnapshots WhSnapshots;

extern WhSnapshots *wh_snapshots_open(WhIngest *ing);
extern WhSnapshot *wh_snapshots_find(WhSnapshots *snapshots, TimestampTz time);
extern TimestampTz wh_snapshots_last(WhSnapshots *snapshots);
extern bool wh_snapshots_are_later(WhSnapshots *snapshots, TimestampTz time);
extern void wh_snapshots_set(WhSnapshots *snapshots, TimestampTz time, int64 unit_no, bool is_complete);
extern WhSnapshot *wh_snapshots_next_stating(WhIngest *ing, WhSnapshots *snapshots, TimestampTz time,
											 Datum *values, TimestampTz known);
extern void wh_snapshots_clear_own(WhSnapshots *snapshots);
extern void wh_snapshots_add_own(WhIngest *ing, WhSnapshots *snapshots, WhIngestRow *row);
extern bool wh_snapshots_own_has(WhIngest *ing, WhSnapshots *snapshots, Datum *values);
extern void wh_snapshots_load_own(WhIngest *ing, WhSnapshots *snapshots, int64 unit_no);
extern void wh_snapshots_own_state(WhIngest *ing, WhSnapshots *snapshots, Datum *values);
extern void wh_snapshots_keep_own(WhIngest *ing, WhSnapshots *snapshots, int64 unit_no);

#endif							/* WH_SPLICE_SNAPSHOT_H */
