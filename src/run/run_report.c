/*
 * run_report.c
 *	  What a run does about failures: another try, the log, alerts, and the end.
 *
 * Runs in the transactions of the run; the one who calls has an SPI connection.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include "metadata/alert.h"
#include "metadata/batch_log.h"
#include "run/run.h"

/* The first pause before another try; each next one is twice as long. */
#define FIRST_PAUSE_MS 50

/* End a transaction and begin the next, unless the caller owns it. */
void
wh_run_next_transaction(const WhRun *run)
{
	if (run->nonatomic)
		SPI_commit();
}

/* Tell whether the same work may succeed in another transaction. */
bool
wh_run_is_contention(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

/* Wait before another try; may be canceled. */
void
wh_run_pause(int tries)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 FIRST_PAUSE_MS << Min(tries - 1, 10), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Log a batch that failed, and tell who listens. */
void
wh_run_log_failure(int64 batch_id, const char *kind, const char *object, const ErrorData *error)
{
	wh_batch_fail(batch_id, error);
	wh_alert_send(&(WhAlert) {.event = "failed", .kind = kind, .object = object, .batch_id = batch_id,
				  .error = error, .rows_rejected = -1, .rows_read = -1});
}

static char *
joined(List *names)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s", text.len ? ", " : "", (char *) lfirst(lc));
	return text.data;
}

/* Say at the end of a run what it warns of, and raise an error when something failed. */
void
wh_run_report(const WhRun *run)
{
	ListCell   *lc;
	bool		feeds_only = list_length(run->failed) == list_length(run->failed_feeds);

	foreach(lc, run->warnings)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("%s", (char *) lfirst(lc))));
	if (run->failed == NIL)
		return;
	if (run->error && list_length(run->failed) == 1)
		ReThrowError(run->error);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg(feeds_only ? "%d of the run's feeds failed: %s" : "%d of the run's feeds and publishes failed: %s",
					list_length(run->failed), joined(run->failed)),
			 run->withheld == NIL ? errdetail("The others were loaded, and what is staged was published.") :
			 errdetail("Not published, because of feeds that failed: %s.", joined(run->withheld)),
			 errhint("wh.batch has each failure's message; the next run tries again.")));
}
