/*
 * statistics.c
 *	  What a transaction needs to read well what it wrote: a newer snapshot, and
 *	  statistics of tables that changed much.
 *
 * Runs in the caller's transaction, with an active snapshot of its own.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/vacuum.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "base/statistics.h"
#include "base/surroundings.h"

/* Changes from which on statistics are taken anew: rows, and share of the table. */
#define ANALYZE_ROWS 1000
#define ANALYZE_SHARE 0.1

/* Their detail, unless the settings ask for less: a tenth of the default's sample. */
#define ANALYZE_TARGET 10

/* Let the active snapshot see what this transaction wrote, and what it may see now. */
void
wh_snapshot_advance(void)
{
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}

/*
 * Take statistics of a table of which many rows changed, from a small sample:
 * they are for the plans of the minutes to come.  Autovacuum counts the rows
 * as changed all the same, and takes full statistics after the commit.
 */
void
wh_analyze_after(Oid relid, int64 changed_rows)
{
	HeapTuple	tuple;
	double		rows;

	if (changed_rows < ANALYZE_ROWS)
		return;
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return;
	rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
	ReleaseSysCache(tuple);
	if (rows < 0 || changed_rows > rows * ANALYZE_SHARE)
	{
		WhSurroundings saved;

		wh_owner_enter(relid, &saved);
		if (default_statistics_target > ANALYZE_TARGET)
			(void) set_config_option("default_statistics_target", CppAsString2(ANALYZE_TARGET), PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		wh_spi_execute(psprintf("ANALYZE %s", wh_relation_name(relid)), 0, NULL, NULL, NULL);
		wh_surroundings_leave(&saved);
	}
}
