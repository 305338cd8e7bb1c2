/*
 * worker.c
 *	  The background worker of a database: loads its Kafka feeds continuously and
 *	  publishes what is new.
 *
 * One process per database in widgets_wh.databases, started by the postmaster
 * when recovery has ended, and again 10 s after it failed.  All of its work is
 * in transactions of its own (wh_worker_try); between them it waits on its
 * latch and on the consumers' file descriptors.  What outlives a transaction is
 * in one context; another is reset each pass.  Each feed's batch holds the
 * feed's advisory lock, a publish the publish lock, to the transaction's end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "catalog.h"
#include "kafka_source.h"
#include "run.h"
#include "settings.h"
#include "worker.h"

#define RESTART_SECONDS		10
#define LIST_MS				1000	/* how often the feeds are read from the catalog */
#define NO_EXTENSION_MS		5000	/* how often an extension that is missing is looked for */
#define OTHERS_NEWS_MS		5000	/* how often to look for news that others have staged */
#define MAX_BACKOFF_MS		60000

PGDLLEXPORT void wh_worker_main(Datum arg);

static MemoryContext worker_context;	/* lives as long as the process */
static MemoryContext scratch_context;	/* reset each pass */

/* Register a worker for each database of the setting; only when preloaded. */
void
wh_worker_register(void)
{
	BackgroundWorker worker = {0};
	List	   *names;
	ListCell   *lc;

	if (!process_shared_preload_libraries_in_progress || wh_databases == NULL)
		return;
	if (!SplitIdentifierString(pstrdup(wh_databases), ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid list of databases in %s.databases", WH_SETTING_PREFIX)));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = RESTART_SECONDS;
	strlcpy(worker.bgw_library_name, "widgets_wh", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "wh_worker_main", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "widgets_wh worker", BGW_MAXLEN);
	foreach(lc, names)
	{
		snprintf(worker.bgw_name, BGW_MAXLEN, "widgets_wh worker of %s", (char *) lfirst(lc));
		strlcpy(worker.bgw_extra, lfirst(lc), BGW_EXTRALEN);
		RegisterBackgroundWorker(&worker);
	}
}

/*
 * Do work in a transaction of its own, with an SPI connection and a snapshot.
 * False = it failed and was undone; the error, if asked for, is copied into the
 * current memory context.
 */
bool
wh_worker_try(const char *activity, void (*work) (void *), void *arg, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	PG_TRY();
	{
		StartTransactionCommand();
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		work(arg);
		PopActiveSnapshot();
		SPI_finish();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		if (error)
			*error = CopyErrorData();
		EmitErrorReport();
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return done;
}

static void
find_extension(void *arg)
{
	*(bool *) arg = OidIsValid(get_extension_oid("widgets_wh", true));
}

/* Look for staged rows that a dimension or fact has not used; lookup tables are not compared. */
static void
look_for_news(void *arg)
{
	WhRow		row;

	*(bool *) arg = wh_catalog_row(&row, "SELECT 1 FROM wh.input i JOIN wh.feed f USING (feed_id)"
								   " WHERE f.last_batch_id OPERATOR(pg_catalog.>) coalesce(i.used_batch_id, 0)"
								   " LIMIT 1", 0, NULL, NULL);
}

/* Publish, if there is news; marks batches as failed that have lost their process. */
static bool
publish(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;
	WhRun		run = {.nonatomic = true, .wait = true, .context = scratch_context};

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "publish");
	PG_TRY();
	{
		StartTransactionCommand();
		/* SPI keeps there what outlives the transactions of a cycle */
		PortalContext = scratch_context;
		SPI_connect_ext(SPI_OPT_NONATOMIC);
		wh_run_cycle(&run, NIL);
		SPI_finish();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		AbortOutOfAnyTransaction();
		FlushErrorState();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	PortalContext = NULL;
	MemoryContextSwitchTo(context);
	pgstat_report_stat(false);
	pgstat_report_activity(STATE_IDLE, NULL);
	return done;
}

/* Wait for the latch, for a consumer that was not ready, or until a time. */
static void
wait_until(TimestampTz until, List *feeds)
{
	long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
	WaitEventSet *set;
	WaitEvent	event;
	ListCell   *lc;

	if (timeout > 0)
	{
		set = CreateWaitEventSet(scratch_context, 2 + list_length(feeds));
		AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		foreach(lc, feeds)
		{
			WhWorkerFeed *feed = lfirst(lc);

			if (feed->stream.source && !feed->is_paused)
				AddWaitEventToSet(set, WL_SOCKET_READABLE, wh_kafka_source_fd(feed->stream.source), NULL, NULL);
		}
		WaitEventSetWait(set, timeout, &event, 1, PG_WAIT_EXTENSION);
		FreeWaitEventSet(set);
	}
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

#define later(time, ms) TimestampTzPlusMilliseconds(time, ms)

/* The worker's process: argument is unused, bgw_extra names the database. */
void
wh_worker_main(Datum arg)
{
	List	   *feeds = NIL;
	ListCell   *lc;
	TimestampTz next_list = 0;
	TimestampTz next_publish = 0;
	TimestampTz next_news = 0;
	bool		ingested = true;	/* what was staged before we came */
	int			backoff_ms = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, NULL, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	worker_context = AllocSetContextCreate(TopMemoryContext, "widgets_wh worker", ALLOCSET_DEFAULT_SIZES);
	scratch_context = AllocSetContextCreate(worker_context, "widgets_wh worker pass", ALLOCSET_DEFAULT_SIZES);
	wh_worker_feeds_init(worker_context);

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz until;
		bool		again = false;

		MemoryContextReset(scratch_context);
		MemoryContextSwitchTo(scratch_context);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (now >= next_list)
		{
			bool		found = false;

			next_list = later(now, LIST_MS);
			if (wh_worker_try("look for the extension", find_extension, &found, NULL) && found)
				feeds = wh_worker_feeds_list(feeds);
			else
			{
				foreach(lc, feeds)
					wh_worker_feed_forget(lfirst(lc));
				feeds = NIL;
				ingested = true;
				next_list = later(now, NO_EXTENSION_MS);
				wait_until(next_list, NIL);
				continue;
			}
		}
		until = next_list;
		foreach(lc, feeds)
		{
			WhWorkerFeed *feed = lfirst(lc);

			again |= wh_worker_feed_step(feed, &ingested);
			/* what has failed waits for more than its messages */
			if (feed->stream.source == NULL && !feed->is_paused)
				until = Min(until, Max(feed->next_batch, later(now, 1)));
			else if (feed->stream.source && !feed->is_paused && wh_kafka_source_ready(feed->stream.source))
				until = Min(until, feed->next_batch);
			CHECK_FOR_INTERRUPTS();
		}
		now = GetCurrentTimestamp();
		if (!ingested && now >= next_news)
		{
			next_news = later(now, Max(OTHERS_NEWS_MS, wh_publish_interval));
			wh_worker_try("look for news", look_for_news, &ingested, NULL);
		}
		if (ingested && now >= next_publish)
		{
			if (publish())
			{
				ingested = false;
				backoff_ms = 0;
				next_publish = later(now, wh_publish_interval);
			}
			else
			{
				backoff_ms = Min(Max(backoff_ms * 2, 1000), MAX_BACKOFF_MS);
				next_publish = later(now, backoff_ms);
			}
		}
		if (ingested)
			until = Min(until, next_publish);
		if (!again)
			wait_until(until, feeds);
		CHECK_FOR_INTERRUPTS();
	}
}
