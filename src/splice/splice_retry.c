/*
 * splice_retry.c
 *	  Snapshots whose rejected records are tried again.
 *
 * Such a snapshot is merged once more, with the records that are right now: what
 * it said before of other keys stays said (see retry_restates in
 * splice_snapshot.c), and what it left unsaid too, as long as records of it are
 * rejected.
 *
 * Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "splice/splice_snapshot.h"

/*
 * Start to try rejected records of a snapshot again: what it has not said of
 * other keys, it still does not say.
 */
void
wh_snapshot_retry_begin(WhIngest *ing, WhUnit *unit)
{
	wh_snapshot_begin(ing);
	ing->unit = unit;
	ing->snapshot_time = unit->event_time;
	wh_snapshots_load_own(ing, ing->snapshots, unit->unit_no);
}

/*
 * Refuse a record whose time is not its snapshot's, which is settled by those
 * that are staged.
 */
void
wh_snapshot_check_time(WhIngest *ing, WhIngestRow *row)
{
	if (ing->snapshots && row->unit && row->unit->event_time != DT_NOBEGIN &&
		row->unit->event_time != row->event_time)
	{
		WhRowError *error = palloc(sizeof(WhRowError));

		error->attnum = 0;
		error->sqlerrcode = ERRCODE_DATA_EXCEPTION;
		error->message = "records of one snapshot have different event times";
		row->errors = lappend(row->errors, error);
	}
}

/*
 * Stage the records of a snapshot that were tried again and are right now.
 * all_tried says that no event of the snapshot was left alone.
 */
void
wh_snapshot_retry_end(WhIngest *ing, bool all_tried)
{
	/* Once no record without readable key is left, absence says something. */
	if (ing->unit->event_time != DT_NOBEGIN && ing->unit->is_complete)
		ing->snapshot_incomplete = false;
	else
		ing->snapshot_incomplete |= !all_tried;
	if (ing->sort == NULL && (ing->unit->event_time == DT_NOBEGIN ||
							  ing->unit->is_complete == !ing->snapshot_incomplete))
		return;
	wh_snapshot_end(ing);
}
