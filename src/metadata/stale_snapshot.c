/*
 * stale_snapshot.c
 *	  Refuses to load or publish under a snapshot that does not see what another
 *	  run has written since.
 *
 * A transaction of level REPEATABLE READ keeps the snapshot of its first
 * statement.  With the lock of a feed or of the publish in hand it may still not
 * see the rows of the run before, and would meet them as duplicate keys.  So the
 * catalog's rows, which every load and publish rewrites, are compared as the
 * transaction sees them and as they are.  Nothing is written.  To be called with
 * the lock; needs no SPI connection.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "metadata/catalog_user.h"
#include "metadata/stale_snapshot.h"

/* Run a query of one text under a snapshot. */
static char *
text_under(Snapshot snapshot, const char *sql, int64 arg)
{
	WhSurroundings saved;
	char	   *text;

	PushActiveSnapshot(snapshot);
	wh_catalog_enter(&saved);
	if (SPI_execute_with_args(sql, 1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(arg)}, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not compare snapshots");
	text = SPI_processed > 0 ? SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) : NULL;
	wh_surroundings_leave(&saved);
	PopActiveSnapshot();
	return text ? text : "";
}

static void
refuse_stale(const char *sql, int64 arg)
{
	if (!IsolationUsesXactSnapshot())
		return;
	SPI_connect();
	CommandCounterIncrement();
	if (strcmp(text_under(GetTransactionSnapshot(), sql, arg), text_under(GetLatestSnapshot(), sql, arg)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access: another run was faster"),
				 errdetail("The snapshot of this transaction is older than what that run has written."),
				 errhint("The transaction might succeed if retried.")));
	SPI_finish();
}

/* Refuse a snapshot that does not see a feed as it is. */
void
wh_refuse_stale_feed(int64 feed_id)
{
	refuse_stale("SELECT xmin::text FROM wh.feed WHERE feed_id = $1", feed_id);
}

/* Refuse a snapshot that does not see the dimensions and facts as they are. */
void
wh_refuse_stale_star(void)
{
	refuse_stale("SELECT pg_catalog.concat_ws('/',"
				 " (SELECT pg_catalog.string_agg(xmin::text, ',' ORDER BY object_id, relation::oid) FROM wh.input),"
				 " (SELECT pg_catalog.string_agg(xmin::text, ',' ORDER BY dimension_id) FROM wh.dimension),"
				 " (SELECT pg_catalog.string_agg(xmin::text, ',' ORDER BY fact_id) FROM wh.fact), $1)", 0);
}
