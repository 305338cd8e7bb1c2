/*
 * run.c
 *	  CALL wh.run(): one cycle, every feed, then every dimension, then every fact.
 *
 * Outside a transaction block each feed is a transaction of its own and so is
 * the publish, and a batch's row is committed before its work starts.  Inside
 * one, all happens in that transaction.  A feed that fails is logged, alerts
 * listeners of wh_alert, leaves its staging as it was and does not keep the
 * others from loading; the run then ends with an error that names it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "base/subtransaction.h"
#include "metadata/catalog.h"
#include "ingest/ingest.h"
#include "definition/publish.h"
#include "run/run.h"

/* End a transaction and begin the next, unless the caller owns it. */
static void
next_transaction(const WhRun *run)
{
	if (run->nonatomic)
		SPI_commit();
}

/* Mark batches as failed whose process is gone. */
static void
fail_lost_batches(void)
{
	WhRow		row;
	static const char *const lost =
		"state OPERATOR(pg_catalog.=) 'running' AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a"
		" WHERE a.pid OPERATOR(pg_catalog.=) b.backend_pid"
		" AND a.backend_start OPERATOR(pg_catalog.<=) b.started_at"
		" AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid())";

	if (wh_catalog_row(&row, psprintf("SELECT 1 FROM wh.batch b WHERE %s LIMIT 1", lost), 0, NULL, NULL))
		wh_catalog_execute(psprintf("UPDATE wh.batch b SET state = 'failed',"
									" finished_at = pg_catalog.clock_timestamp(),"
									" message = 'the process ended before the batch did'"
									" WHERE %s", lost), 0, NULL, NULL, NULL);
}

/* Log a batch that failed, and tell who listens. */
static void
log_failure(int64 batch_id, const char *object, const ErrorData *error)
{
	char	   *message = psprintf("%s%s%s", error->message, error->detail ? " " : "",
								   error->detail ? error->detail : "");

	wh_batch_finish(batch_id, false, message);
	/* a payload of NOTIFY is shorter than 8000 bytes */
	Async_Notify("wh_alert", psprintf("%.200s: %.2000s", object, message));
}

typedef struct FeedWork
{
	int64		feed_id;
	int64		batch_id;
	bool		wait;
	WhIngestResult result;
} FeedWork;

static void
ingest_work(void *arg)
{
	FeedWork   *work = arg;

	wh_feed_lock(work->feed_id, work->wait);
	wh_ingest_feed(work->feed_id, work->batch_id, &work->result);
	if (work->result.changed)
	{
		wh_batch_step(work->result.batch_id, 1, &work->result.counts);
		wh_batch_finish(work->result.batch_id, true, NULL);
	}
	else
		wh_batch_forget(work->result.batch_id);
}

typedef struct Probe
{
	const WhFeed *feed;
	bool		news;
} Probe;

static void
probe_work(void *arg)
{
	Probe	   *probe = arg;

	probe->news = wh_ingest_may_have_news(probe->feed);
}

/* What keeps us from looking will be reported by the ingest. */
static bool
may_have_news(const WhFeed *feed)
{
	Probe		probe = {feed, true};
	ErrorData  *error = wh_subtransaction(probe_work, &probe, false);

	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error != NULL || probe.news;
}

/* Note a feed that failed; the run goes on with the others. */
static void
note_failure(WhRun *run, const WhFeed *feed, int64 batch_id, const ErrorData *error)
{
	MemoryContext old;

	log_failure(batch_id, feed->name, error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("feed \"%s\" was not loaded: %s", feed->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	old = MemoryContextSwitchTo(run->context);
	run->failed = lappend(run->failed, pstrdup(feed->name));
	MemoryContextSwitchTo(old);
}

/*
 * Try to load one feed, in a transaction of its own where that can be.  Gives
 * false when another run loaded the feed after the snapshot of this one, which
 * the session keeps by its isolation level.
 */
static bool
try_feed(WhRun *run, int64 feed_id)
{
	FeedWork	work = {.feed_id = feed_id, .wait = run->wait};
	WhFeed	   *feed;
	ErrorData  *error;
	bool		overtaken = false;

	PushActiveSnapshot(GetTransactionSnapshot());
	feed = wh_feed_get(feed_id, true);
	if (feed == NULL || feed->is_paused || !may_have_news(feed))
	{
		PopActiveSnapshot();
		return true;
	}
	work.batch_id = wh_batch_start("ingest", feed->feed_id, feed->name);
	PopActiveSnapshot();
	next_transaction(run);

	PushActiveSnapshot(GetTransactionSnapshot());
	error = wh_subtransaction(ingest_work, &work, false);
	if (error && error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE && run->nonatomic)
	{
		wh_batch_forget(work.batch_id);
		overtaken = true;
	}
	else if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		log_failure(work.batch_id, feed->name, error);
		PopActiveSnapshot();
		next_transaction(run);
		ReThrowError(error);
	}
	else if (error)
		note_failure(run, feed, work.batch_id, error);
	else if (work.result.staged_changed)
		wh_analyze_after(wh_feed_table(feed), work.result.counts.rows_staged);
	PopActiveSnapshot();
	next_transaction(run);
	return !overtaken;
}

/* Load one feed, trying again with a new batch when another run was faster. */
static void
run_feed(WhRun *run, int64 feed_id)
{
	while (!try_feed(run, feed_id))
		CHECK_FOR_INTERRUPTS();
}

typedef struct PublishWork
{
	WhRun	   *run;
	int64		batch_id;
	List	   *steps;
	WhObject	at;				/* where an error was */
} PublishWork;

static void
publish_work(void *arg)
{
	PublishWork *work = arg;

	wh_publish_lock(work->run->wait);
	work->steps = wh_publish(work->batch_id, work->run->full_refresh, false, &work->at);
	wh_batch_finish(work->batch_id, true, NULL);
}

/* Publish, in one transaction of isolation level REPEATABLE READ where that can be. */
static void
run_publish(WhRun *run)
{
	PublishWork work = {.run = run};
	ErrorData  *error;
	bool		news;

	PushActiveSnapshot(GetTransactionSnapshot());
	news = run->full_refresh || wh_publish_has_news();
	if (news)
		work.batch_id = wh_batch_start("publish", 0, NULL);
	PopActiveSnapshot();
	if (!news)
		return;
	if (run->nonatomic)
	{
		/* the lock must be had before the snapshot is taken */
		SPI_commit();
		wh_publish_lock(run->wait);
		(void) set_config_option("transaction_isolation", "repeatable read", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	error = wh_subtransaction(publish_work, &work, false);
	if (error)
	{
		if (work.at.id != 0)
			wh_batch_failed_at(work.batch_id, work.at.id, work.at.name);
		log_failure(work.batch_id, work.at.id != 0 ? work.at.name : "publish", error);
		PopActiveSnapshot();
		next_transaction(run);
		ReThrowError(error);
	}
	PopActiveSnapshot();
	next_transaction(run);
}

/* Remove old batches from the log, now and then. */
static void
run_purge(WhRun *run)
{
	if (!wh_batch_purge_due())
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	wh_batch_purge();
	PopActiveSnapshot();
	next_transaction(run);
}

/* List the feeds to load: the named ones, or all. */
List *
wh_run_feeds(Datum names, bool all)
{
	List	   *ids = NIL;
	int			n;

	if (all)
	{
		WhRow	   *rows = wh_catalog_rows(&n, "SELECT feed_id FROM wh.feed ORDER BY feed_id", 0, NULL, NULL);

		for (int i = 0; i < n; i++)
		{
			int64	   *id = palloc(sizeof(int64));

			*id = DatumGetInt64(rows[i].values[0]);
			ids = lappend(ids, id);
		}
	}
	else
	{
		char	  **feeds = wh_catalog_text_array(names, &n);

		for (int i = 0; i < n; i++)
		{
			int64	   *id = palloc(sizeof(int64));

			*id = wh_feed_by_name(feeds[i])->feed_id;
			ids = lappend(ids, id);
		}
	}
	return ids;
}

static void
report_failures(const WhRun *run)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, run->failed)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", (char *) lfirst(lc));
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("%d of the run's feeds failed: %s", list_length(run->failed), names.data),
			 errdetail("%s", run->published ? "The others were loaded, and what is staged was published." :
					   "The others were loaded; nothing was published."),
			 errhint("wh.batch has each failure's message; the next run tries again.")));
}

/*
 * Run one cycle.  run->context must outlive transactions.  Needs an SPI
 * connection, non-atomic if run->nonatomic.
 */
void
wh_run_cycle(WhRun *run, List *feed_ids)
{
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	fail_lost_batches();
	PopActiveSnapshot();
	next_transaction(run);
	foreach(lc, feed_ids)
		run_feed(run, *(int64 *) lfirst(lc));
	if (run->failed == NIL || run->publish_anyway)
	{
		run_publish(run);
		run->published = true;
	}
	run_purge(run);
	if (run->failed)
		report_failures(run);
}

PG_FUNCTION_INFO_V1(wh_run);

/* wh.run(feeds text[], full_refresh boolean, wait boolean, publish_anyway boolean), a procedure */
Datum
wh_run(PG_FUNCTION_ARGS)
{
	WhRun		run = {0};
	List	   *feed_ids;
	MemoryContext old;

	run.nonatomic = fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic;
	run.full_refresh = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	run.wait = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	run.publish_anyway = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	SPI_connect_ext(run.nonatomic ? SPI_OPT_NONATOMIC : 0);
	run.context = AllocSetContextCreate(run.nonatomic ? PortalContext : CurrentMemoryContext,
										"widgets_wh run", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(run.context);
	PushActiveSnapshot(GetTransactionSnapshot());
	feed_ids = wh_run_feeds(PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0), PG_ARGISNULL(0));
	PopActiveSnapshot();
	wh_run_cycle(&run, feed_ids);
	MemoryContextSwitchTo(old);
	/* before SPI_finish, which takes the context's parent away inside a transaction block */
	MemoryContextDelete(run.context);
	SPI_finish();
	PG_RETURN_VOID();
}
