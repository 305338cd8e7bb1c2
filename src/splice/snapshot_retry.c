/*
 * snapshot_retry.c
 *	  Snapshots whose rejected records are tried again.
 *
 * Such a snapshot is merged once more, with the records that are right now: what
 * it said before of other keys stays said (see retry_restates in
 * snapshot_merge.c), and what it left unsaid too, as long as records of it are
 * rejected.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "splice/snapshot.h"

/*
 * Start to try rejected records of a snapshot again: what it has not said of
 * other keys, it still does not say.
 */
void
wh_snapshot_retry_begin(WhStaging *staging, WhUnit *unit)
{
	wh_snapshot_begin(staging);
	staging->snapshot_time = unit->event_time;
	wh_unstated_load_own(staging, unit->unit_no);
}

/*
 * Stage the records of a snapshot that were tried again and are right now.
 * all_tried says that no event of the snapshot was left alone.
 */
void
wh_snapshot_retry_end(WhStaging *staging, WhUnit *unit, bool all_tried)
{
	/* Once no record without readable key is left, absence says something. */
	if (unit->event_time != DT_NOBEGIN && unit->is_complete)
		staging->snapshot_incomplete = false;
	else
		staging->snapshot_incomplete |= !all_tried;
	if (staging->sort == NULL && (unit->event_time == DT_NOBEGIN ||
							  unit->is_complete == !staging->snapshot_incomplete))
		return;
	wh_snapshot_end(staging, unit);
}
