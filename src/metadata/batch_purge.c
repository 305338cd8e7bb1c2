/*
 * batch_purge.c
 *	  Removes old batches from the log.
 *
 * The worker logs up to five batches a second for each feed.  What wh.check()
 * and wh.status need of old ones is their sums: those are kept, a row per
 * object, in wh.batch_total.  Runs at the end of a cycle, in a transaction of
 * its own where that can be, in a backend or the worker; one session at a time,
 * by an advisory lock that is held until the transaction ends.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "metadata/batch_log.h"
#include "metadata/catalog.h"
#include "settings.h"

/* Advisory lock of the purge; see WH_FEED_LOCK_CLASS for the feeds' ones. */
#define PURGE_LOCK_CLASS 0x77680003

/* Most batches of one purge, and the shortest time between two of one process. */
#define PURGE_BATCHES 1000
#define PURGE_EVERY_MS (60 * 1000)

static TimestampTz last_purge = 0;

/*
 * What is kept however old: running batches; the last batch, the last success and
 * the last change of every object; steps that a reader has not used yet; and
 * what units of sources and error events refer to.
 */
static const char *const purge_sql =
"WITH kept AS MATERIALIZED ("
" SELECT last_batch_id AS id FROM wh.feed UNION ALL SELECT last_batch_id FROM wh.dimension"
" UNION ALL SELECT last_batch_id FROM wh.fact"
" UNION ALL SELECT (SELECT b.batch_id FROM wh.batch b WHERE b.object_id = f.feed_id ORDER BY b.batch_id DESC LIMIT 1)"
" FROM wh.feed f"
" UNION ALL SELECT (SELECT b.batch_id FROM wh.batch b WHERE b.object_id = f.feed_id AND b.state = 'succeeded'"
" ORDER BY b.batch_id DESC LIMIT 1) FROM wh.feed f"
" UNION ALL (SELECT b.batch_id FROM wh.batch b WHERE b.kind = 'publish' ORDER BY b.batch_id DESC LIMIT 1)),"
" old AS MATERIALIZED ("
" SELECT b.batch_id FROM wh.batch b"
" WHERE b.state <> 'running' AND b.started_at < $1"
" AND NOT EXISTS (SELECT FROM kept k WHERE k.id = b.batch_id)"
" AND NOT EXISTS (SELECT FROM wh.error_event e WHERE e.batch_id = b.batch_id)"
" AND NOT EXISTS (SELECT FROM wh.source_unit u WHERE u.batch_id = b.batch_id)"
" AND NOT EXISTS (SELECT FROM wh.batch_step s JOIN wh.input i ON i.feed_id = s.object_id"
"                 WHERE s.batch_id = b.batch_id AND i.used_batch_id < b.batch_id)"
" ORDER BY b.started_at LIMIT $2),"
" steps AS (DELETE FROM wh.batch_step s USING old o WHERE s.batch_id = o.batch_id RETURNING s.*),"
" total AS (INSERT INTO wh.batch_total AS t"
" SELECT object_id, count(*), max(batch_id), sum(rows_read), sum(rows_staged), sum(rows_rejected),"
" sum(rows_repeated), sum(rows_superseded), sum(rows_inserted), sum(rows_updated), sum(rows_deleted),"
" sum(rows_repointed), sum(warnings), sum(units_read), sum(units_skipped)"
" FROM steps WHERE object_id IS NOT NULL GROUP BY object_id"
" ON CONFLICT (object_id) DO UPDATE SET steps = t.steps + excluded.steps,"
" until_batch_id = greatest(t.until_batch_id, excluded.until_batch_id), rows_read = t.rows_read + excluded.rows_read,"
" rows_staged = t.rows_staged + excluded.rows_staged, rows_rejected = t.rows_rejected + excluded.rows_rejected,"
" rows_repeated = t.rows_repeated + excluded.rows_repeated,"
" rows_superseded = t.rows_superseded + excluded.rows_superseded,"
" rows_inserted = t.rows_inserted + excluded.rows_inserted, rows_updated = t.rows_updated + excluded.rows_updated,"
" rows_deleted = t.rows_deleted + excluded.rows_deleted, rows_repointed = t.rows_repointed + excluded.rows_repointed,"
" warnings = t.warnings + excluded.warnings, units_read = t.units_read + excluded.units_read,"
" units_skipped = t.units_skipped + excluded.units_skipped)"
" DELETE FROM wh.batch b USING old o WHERE b.batch_id = o.batch_id";

/*
 * Closed error events leave after as long.  Records of a table that somebody
 * dismissed are read again and again: these stay, so that they do not come back.
 */
static const char *const purge_events_sql =
"DELETE FROM wh.error_event WHERE error_event_id IN ("
" SELECT error_event_id FROM wh.error_event WHERE state <> 'open' AND closed_at < $1"
" AND NOT (state = 'dismissed' AND read_no IS NOT NULL) ORDER BY closed_at LIMIT $2)";

/*
 * Say whether it is time for a purge: the setting asks for it, this process has
 * not done it lately, and nobody else is at it.  Takes the lock; to be called
 * before the snapshot of the purge is taken.
 */
bool
wh_batch_purge_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	LOCKTAG		tag;

	if (wh_batch_retention == 0 ||
		(last_purge != 0 && !TimestampDifferenceExceeds(last_purge, now, PURGE_EVERY_MS)))
		return false;
	last_purge = now;
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, PURGE_LOCK_CLASS, 0, WH_LOCK_FIELD);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Remove batches and closed error events that are older than the setting allows; some at a time. */
void
wh_batch_purge(void)
{
	TimestampTz before = GetCurrentTimestamp() - (int64) wh_batch_retention * USECS_PER_MINUTE;
	Datum		args[2] = {TimestampTzGetDatum(before), Int64GetDatum(PURGE_BATCHES)};
	Oid			types[2] = {TIMESTAMPTZOID, INT8OID};
	WhRow		row;

	if (wh_catalog_row(&row, "SELECT 1 FROM wh.error_event WHERE state <> 'open' AND closed_at < $1 LIMIT 1",
					   1, types, args))
		wh_catalog_execute(purge_events_sql, 2, types, args, NULL);
	if (wh_catalog_row(&row, "SELECT 1 FROM wh.batch WHERE started_at OPERATOR(pg_catalog.<) $1 LIMIT 1",
					   1, types, args))
		wh_catalog_execute(purge_sql, 2, types, args, NULL);
}
