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

#include "base/id_list.h"
#include "base/statistics.h"
#include "base/subtransaction.h"
#include "definition/component.h"
#include "ingest/ingest.h"
#include "metadata/alert.h"
#include "metadata/catalog.h"
#include "metadata/last_look.h"
#include "run/run.h"

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
		wh_batch_finish(work->result.batch_id);
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
	wh_run_log_failure(batch_id, "feed", feed->name, error);
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("feed \"%s\" was not loaded: %s", feed->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
	run->failed = lappend(run->failed, pstrdup(feed->name));
	run->failed_feeds = wh_list_add_id(run->failed_feeds, feed->feed_id);
}

/* Note what a feed has rejected: listeners are told with the batch, the caller at the end. */
static void
note_rejects(WhRun *run, const WhFeed *feed, const WhIngestResult *result)
{
	const WhBatchStep *counts = &result->counts;

	if (!result->changed || counts->rows_rejected == 0)
		return;
	wh_alert_send(&(WhAlert) {.event = "rejected", .kind = "feed", .object = feed->name,
				  .batch_id = result->batch_id, .rows_rejected = counts->rows_rejected,
				  .rows_read = counts->rows_read});
	run->warnings = lappend(run->warnings, psprintf("feed \"%s\": %lld of %lld records rejected, see wh.error_event",
													feed->name, (long long) counts->rows_rejected,
													(long long) counts->rows_read));
}

/*
 * Try to load one feed, in a transaction of its own where that can be.  Gives
 * false when it is worth another try: another run loaded the feed after the
 * snapshot of this one, which the session keeps by its isolation level, or the
 * source says so.
 */
static bool
try_feed(WhRun *run, int64 feed_id, bool is_last_try)
{
	FeedWork	work = {.feed_id = feed_id, .wait = run->wait};
	WhFeed	   *feed;
	ErrorData  *error;
	bool		again = false;

	PushActiveSnapshot(GetTransactionSnapshot());
	feed = wh_feed_get(feed_id, true);
	if (feed == NULL || feed->is_paused || !may_have_news(feed))
	{
		PopActiveSnapshot();
		if (feed && !feed->is_paused)
			run->looked = wh_list_add_id(run->looked, feed_id);
		return true;
	}
	work.batch_id = wh_batch_start("ingest", feed->feed_id, feed->name);
	PopActiveSnapshot();
	wh_run_next_transaction(run);

	PushActiveSnapshot(GetTransactionSnapshot());
	error = wh_subtransaction(ingest_work, &work, false);
	if (error && wh_run_is_contention(error) && !run->nonatomic)
		ReThrowError(error);	/* for the owner of the transaction to try it anew */
	else if (error && wh_run_is_contention(error) && !is_last_try)
	{
		wh_batch_forget(work.batch_id);
		again = true;
	}
	else if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		wh_run_log_failure(work.batch_id, "feed", feed->name, error);
		PopActiveSnapshot();
		wh_run_next_transaction(run);
		ReThrowError(error);
	}
	else if (error)
		note_failure(run, feed, work.batch_id, error);
	else
	{
		run->looked = wh_list_add_id(run->looked, feed_id);
		note_rejects(run, feed, &work.result);
		if (work.result.staged_changed)
			wh_analyze_after(wh_feed_table(feed), work.result.counts.rows_staged);
	}
	PopActiveSnapshot();
	wh_run_next_transaction(run);
	return !again;
}

/* Load one feed, trying a few times with growing pauses. */
static void
run_feed(WhRun *run, int64 feed_id)
{
	for (int tries = 1; !try_feed(run, feed_id, tries == WH_RUN_TRIES); tries++)
		wh_run_pause(tries);
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
	wh_run_next_transaction(run);
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

/* List the feeds that the components of some dimensions and facts read. */
static List *
feeds_of(List *object_ids)
{
	List	   *ids = NIL;
	ListCell   *lc;

	foreach(lc, wh_components())
	{
		WhComponent *component = lfirst(lc);
		ListCell   *lo;

		foreach(lo, object_ids)
		{
			ListCell   *lf;

			if (!wh_list_has_id(component->objects, *(int64 *) lfirst(lo)))
				continue;
			foreach(lf, component->feeds)
				ids = wh_list_add_id(ids, *(int64 *) lfirst(lf));
		}
	}
	return ids;
}

/* Find the dimensions and facts of some names. */
static List *
objects_by_name(Datum names)
{
	List	   *ids = NIL;
	int			n;
	char	  **name = wh_catalog_text_array(names, &n);

	for (int i = 0; i < n; i++)
	{
		int64		id = wh_catalog_find("dimension", name[i]);

		if (id == 0)
			id = wh_catalog_find("fact", name[i]);
		if (id == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("there is no dimension or fact \"%s\"", name[i]),
					 errhint("SELECT * FROM wh.status lists what there is.")));
		ids = wh_list_add_id(ids, id);
	}
	return ids;
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int64		left = *(int64 *) lfirst(a);
	int64		right = *(int64 *) lfirst(b);

	return left < right ? -1 : left > right;
}

/*
 * Run one cycle.  The current memory context must outlive transactions.  Needs an
 * SPI connection, non-atomic if run->nonatomic.  Feeds are locked in the order of
 * their ids, as everywhere.
 */
void
wh_run_cycle(WhRun *run, List *feed_ids)
{
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	fail_lost_batches();
	PopActiveSnapshot();
	wh_run_next_transaction(run);
	list_sort(feed_ids, compare_ids);
	foreach(lc, feed_ids)
		run_feed(run, *(int64 *) lfirst(lc));
	wh_run_publish(run);
	run_purge(run);
	PushActiveSnapshot(GetTransactionSnapshot());
	wh_note_looks(run->looked);
	PopActiveSnapshot();
	wh_run_next_transaction(run);
	wh_run_report(run);
}

PG_FUNCTION_INFO_V1(wh_run);

/* wh.run(feeds text[], full_refresh, wait, publish_anyway, together boolean, objects text[]), a procedure */
Datum
wh_run(PG_FUNCTION_ARGS)
{
	WhRun		run = {0};
	List	   *feed_ids;
	MemoryContext context;
	MemoryContext old;

	run.nonatomic = fcinfo->context && IsA(fcinfo->context, CallContext) &&
		!castNode(CallContext, fcinfo->context)->atomic;
	run.full_refresh = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	run.wait = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	run.publish_anyway = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	run.together = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	SPI_connect_ext(run.nonatomic ? SPI_OPT_NONATOMIC : 0);
	context = AllocSetContextCreate(run.nonatomic ? PortalContext : CurrentMemoryContext,
										"widgets_wh run", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!PG_ARGISNULL(5))
		run.objects = objects_by_name(PG_GETARG_DATUM(5));
	if (PG_ARGISNULL(0) && run.objects != NIL)
		feed_ids = feeds_of(run.objects);
	else
		feed_ids = wh_run_feeds(PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0), PG_ARGISNULL(0));
	PopActiveSnapshot();
	wh_run_cycle(&run, feed_ids);
	MemoryContextSwitchTo(old);
	/* before SPI_finish, which takes the context's parent away inside a transaction block */
	MemoryContextDelete(context);
	SPI_finish();
	PG_RETURN_VOID();
}
