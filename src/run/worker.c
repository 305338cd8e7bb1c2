/*
 * worker.c
 *	  The background worker of a database: loads its Kafka feeds continuously and
 *	  publishes what is new.  With widgets_wh.kafka_workers, partition workers
 *	  load the feeds instead; see worker_pool.c.
 *
 * One process per database in widgets_wh.databases, started by the postmaster
 * when recovery has ended, and again 2 s after it ended.  All of its work is
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
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "compat.h"
#include "metadata/catalog.h"
#include "kafka/kafka_source.h"
#include "run/run.h"
#include "settings.h"
#include "run/worker.h"
#include "run/worker_try.h"

#define RESTART_SECONDS		2		/* feeds wait for it */
#define LIST_MS				1000	/* how often the feeds are read from the catalog */
#define NO_EXTENSION_MS		5000	/* how often an extension that is missing is looked for */
#define OTHERS_NEWS_MS		5000	/* how often to look for news that others have staged */
#define MAX_BACKOFF_MS		60000

PGDLLEXPORT void wh_worker_main(Datum arg);
PGDLLEXPORT void wh_partition_worker_main(Datum arg);

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
		bool		again = false;

		for (int i = 0; i < foreach_current_index(lc); i++)
			again |= strcmp(list_nth(names, i), lfirst(lc)) == 0;
		if (again)
			continue;
		snprintf(worker.bgw_name, BGW_MAXLEN, "widgets_wh worker of %s", (char *) lfirst(lc));
		strlcpy(worker.bgw_extra, lfirst(lc), BGW_EXTRALEN);
		RegisterBackgroundWorker(&worker);
	}
}

/* Look at interrupts between transactions, where there is nothing to cancel. */
static void
check_interrupts(void)
{
	QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
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
	WhRun		run = {.nonatomic = true, .wait = true};

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "publish");
	PG_TRY();
	{
		StartTransactionCommand();
		/* SPI keeps there what outlives the transactions of a cycle */
		PortalContext = scratch_context;
		SPI_connect_ext(SPI_OPT_NONATOMIC);
		MemoryContextSwitchTo(scratch_context);
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

/*
 * Wait for the latch, for a consumer that was not ready, or until a time.
 * Returns whether the latch was set.
 */
static bool
wait_until(TimestampTz until, List *feeds)
{
	long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
	WaitEventSet *set;
	WaitEvent	event = {0};
	ListCell   *lc;

	if (timeout > 0)
	{
		set = wh_create_wait_event_set(scratch_context, 2 + list_length(feeds));
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
	check_interrupts();
	return (event.events & WL_LATCH_SET) != 0;
}

#define later(time, ms) TimestampTzPlusMilliseconds(time, ms)

/* Prepare this process, and connect to a database. */
static void
begin(const char *database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(database, NULL, 0);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	/* what a batch compares must be what is there when it has the lock */
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	worker_context = AllocSetContextCreate(TopMemoryContext, "widgets_wh worker", ALLOCSET_DEFAULT_SIZES);
	scratch_context = AllocSetContextCreate(worker_context, "widgets_wh worker pass", ALLOCSET_DEFAULT_SIZES);
	wh_worker_feeds_init(worker_context);
}

/* Begin a pass of the loop: its memory, and settings that were changed. */
static void
begin_pass(void)
{
	/* who always has something to load never waits, where this is looked at */
	if (!PostmasterIsAlive())
		proc_exit(1);
	if (wh_kafka_is_stuck())
	{
		ereport(LOG,
				(errmsg("a connection to Kafka does not close: the worker ends, and is started again"),
				 errdetail("librdkafka waits for ever for some topics that were deleted.")));
		proc_exit(1);
	}
	MemoryContextReset(scratch_context);
	MemoryContextSwitchTo(scratch_context);
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/* The feeds that this process loads. */
typedef struct Loading
{
	int			share;			/* which of the partitions */
	int			nshares;		/* 0 = none at all */
	List	   *feeds;
	TimestampTz next_list;
} Loading;

/* Load this share of the partitions from now on. */
static void
set_share(Loading *loading, int share, int nshares)
{
	if (share == loading->share && nshares == loading->nshares)
		return;
	wh_worker_feeds_share(loading->feeds, share, nshares);
	loading->feeds = NIL;
	loading->share = share;
	loading->nshares = nshares;
	loading->next_list = 0;
}

/*
 * Do for all feeds what is to be done now.  Moves until to when to come again,
 * whatever comes; returns whether to come again at once.  Sets ingested when
 * rows were staged.
 */
static bool
load(Loading *loading, TimestampTz *until, bool *ingested)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		again = false;
	ListCell   *lc;

	if (now >= loading->next_list)
	{
		loading->next_list = later(now, LIST_MS);
		loading->feeds = wh_worker_feeds_list(loading->feeds);
	}
	*until = Min(*until, loading->next_list);
	foreach(lc, loading->feeds)
	{
		WhWorkerFeed *feed = lfirst(lc);

		again |= wh_worker_feed_step(feed, ingested);
		/* what has failed waits for more than its messages */
		if (!feed->is_paused && (feed->stream.source == NULL || !feed->is_connected || feed->stream.reassign ||
								 wh_kafka_source_ready(feed->stream.source)))
			*until = Min(*until, Max(feed->next_batch, later(now, 1)));
		check_interrupts();
	}
	return again;
}

/*
 * Wait a moment when the extension is not there, and forget all feeds; false =
 * it is there, or could not be looked for.
 */
static bool
wait_for_extension(Loading *loading)
{
	bool		found = false;

	if (!wh_worker_try("look for the extension", find_extension, &found, NULL) || found)
		return false;
	set_share(loading, 0, 0);
	wait_until(later(GetCurrentTimestamp(), NO_EXTENSION_MS), NIL);
	return true;
}

/* When to publish. */
typedef struct Publishing
{
	bool		has_news;		/* that are not published */
	TimestampTz next_publish;	/* not before */
	TimestampTz next_look;		/* for news that others have staged */
	int			backoff_ms;
} Publishing;

/* Publish, if it is time and there is news.  Moves until to when to come again. */
static void
publish_news(Publishing *p, bool was_woken, TimestampTz *until)
{
	TimestampTz now = GetCurrentTimestamp();

	if (was_woken)
		p->next_look = Min(p->next_look, p->next_publish);
	if (!p->has_news && now >= p->next_look)
	{
		p->next_look = later(now, Max(OTHERS_NEWS_MS, wh_publish_interval));
		wh_worker_try("look for news", look_for_news, &p->has_news, NULL);
	}
	if (p->has_news && now >= p->next_publish)
	{
		/* before, for what comes meanwhile */
		p->has_news = false;
		if (publish())
		{
			p->backoff_ms = 0;
			p->next_publish = later(now, wh_publish_interval);
			/* waiting for locks may have taken the wake-up of partition workers */
			p->next_look = Min(p->next_look, p->next_publish);
		}
		else
		{
			p->has_news = true;
			p->backoff_ms = Min(Max(p->backoff_ms * 2, 1000), MAX_BACKOFF_MS);
			p->next_publish = later(now, p->backoff_ms);
		}
	}
	*until = Min(*until, p->has_news ? p->next_publish : p->next_look);
}

/* A database's worker: argument is unused, bgw_extra names the database. */
void
wh_worker_main(Datum arg)
{
	Loading		loading = {0};
	Publishing	publishing = {.has_news = true};	/* what was staged before we came */
	TimestampTz next_check = 0;
	bool		was_woken = false;

	begin(MyBgworkerEntry->bgw_extra);
	for (;;)
	{
		TimestampTz now;
		TimestampTz until = DT_NOEND;
		int			nworkers;
		bool		again = false;

		begin_pass();
		now = GetCurrentTimestamp();
		if (now >= next_check)
		{
			if (wait_for_extension(&loading))
			{
				wh_pool_end();
				publishing.has_news = true;
				continue;
			}
			next_check = later(now, LIST_MS);
		}
		until = next_check;
		nworkers = wh_pool_supervise(now, &until);
		set_share(&loading, 0, nworkers > 0 ? 0 : 1);
		if (loading.nshares > 0)
			again = load(&loading, &until, &publishing.has_news);
		publish_news(&publishing, was_woken && nworkers > 0, &until);
		was_woken = !again && wait_until(until, loading.feeds);
		check_interrupts();
	}
}

/* A partition worker: argument and bgw_extra are for wh_pool_join. */
void
wh_partition_worker_main(Datum arg)
{
	Loading		loading = {0};
	TimestampTz next_check = 0;

	begin(wh_pool_join(arg));
	for (;;)
	{
		TimestampTz now;
		TimestampTz until;
		int			share;
		int			nshares;
		bool		ingested = false;
		bool		again;

		begin_pass();
		now = GetCurrentTimestamp();
		share = wh_pool_share(&nshares);
		if (share >= nshares)
			set_share(&loading, 0, 0);	/* about to be ended */
		else if (now >= next_check)
		{
			if (wait_for_extension(&loading))
				continue;
			next_check = later(now, LIST_MS);
		}
		if (share < nshares)
			set_share(&loading, share, nshares);
		until = later(now, LIST_MS);
		again = loading.nshares > 0 && load(&loading, &until, &ingested);
		if (ingested)
			wh_pool_news();
		if (!again)
			wait_until(until, loading.feeds);
		check_interrupts();
	}
}
