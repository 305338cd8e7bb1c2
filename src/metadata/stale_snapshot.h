/*
 * stale_snapshot.h
 *	  Whether a transaction's snapshot is older than what another run has done.
 */
#ifndef WH_STALE_SNAPSHOT_H
#define WH_STALE_SNAPSHOT_H

#include "widgets_wh.h"

extern void wh_refuse_stale_feed(int64 feed_id);
extern void wh_refuse_stale_star(void);

#endif							/* WH_STALE_SNAPSHOT_H */
