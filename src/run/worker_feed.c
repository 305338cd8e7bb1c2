/*
 * worker_feed.c
 *	  One Kafka feed of the background worker: its batches, its failures.
 *
 * Runs in a worker, each piece in a transaction of its own.  A batch's row is
 * committed before its work; rows, offsets and the batch's end commit together;
 * then the offsets are told to the broker.  After a failure the feed's source is
 * closed and tried again after 1 s, 2 s, ... 60 s.  A worker that shares the
 * feeds with others does all of this for its own partitions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "metadata/alert.h"
#include "metadata/catalog.h"
#include "kafka/kafka_source.h"
#include "definition/publish.h"
#include "settings.h"
#include "run/worker.h"
#include "run/worker_try.h"

#define FIRST_BACKOFF_MS	1000
#define LAST_BACKOFF_MS		60000
#define CHECK_MS			5000	/* how often the connection and the number of partitions are looked at */
#define LOCKED_MS			200		/* when somebody else is loading the feed */
#define CONNECT_MS			20		/* how often an answer of the brokers is looked for */
#define LOCK_WAIT_MS		2000	/* longest wait for a lock, while other feeds wait; autovacuum yields in time */
#define TURN_WAIT_MS		10000	/* longest wait for one's turn to write; more with many workers */
#define MAX_CONTENTIONS		3		/* in a row that are no failure of the feed */
#define CONTENTION_MS		5000	/* longest time to the next try when they are */
#define RATE_MS				5000	/* over which rows per second are taken */

#define later(time, ms) TimestampTzPlusMilliseconds(time, ms)

static MemoryContext feeds_context;
static List *sources;			/* of Oid, in feeds_context */
static uint64 changes;			/* counts changes of definitions, and moved offsets */
static bool is_new = true;		/* the share: nothing of it is reported */
static int	share;				/* which partitions are ours, as wh_ingest_stream_reads has it */
static int	nshares;

static void
note_relation(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || list_member_oid(sources, relid))
		changes++;
}

static void
note_syscache(Datum arg, int cacheid, uint32 hashvalue)
{
	changes++;
}

/* Forget what this worker has reported, and those that are no more. */
static void
clear_states(void *arg)
{
	wh_catalog_execute("DELETE FROM wh.worker_feed WHERE worker OPERATOR(pg_catalog.=) $1"
					   " OR worker OPERATOR(pg_catalog.>=) $2",
					   2, (Oid[]) {INT4OID, INT4OID},
					   (Datum[]) {Int32GetDatum(share), Int32GetDatum(nshares)}, NULL);
}

/* Prepare for feeds, which will be kept in this memory context. */
void
wh_worker_feeds_init(MemoryContext context)
{
	feeds_context = context;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_syscache, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, note_syscache, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, note_syscache, (Datum) 0);
}

typedef struct Listing
{
	int			n;
	WhRow	   *rows;
	MemoryContext context;
} Listing;

static void
read_feeds(void *arg)
{
	Listing    *listing = arg;
	MemoryContext old = MemoryContextSwitchTo(listing->context);

	listing->rows = wh_catalog_rows(&listing->n,
									"SELECT f.feed_id, f.source::oid, f.relation::text, f.is_paused"
									" FROM wh.feed f JOIN pg_catalog.pg_foreign_table t ON t.ftrelid OPERATOR(pg_catalog.=) f.source::oid"
									" JOIN pg_catalog.pg_foreign_server s ON s.oid OPERATOR(pg_catalog.=) t.ftserver"
									" JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid OPERATOR(pg_catalog.=) s.srvfdw"
									" WHERE w.fdwname OPERATOR(pg_catalog.=) 'wh_kafka' ORDER BY f.feed_id",
									0, NULL, NULL);
	MemoryContextSwitchTo(old);
}

/* Free a feed and close its connection. */
void
wh_worker_feed_forget(WhWorkerFeed *feed)
{
	MemoryContextDelete(feed->stream.context);
	if (feed->trouble)
		pfree(feed->trouble);
	pfree(feed->name);
	pfree(feed);
}

/* Free all feeds, and read the given share of their partitions from now on. */
void
wh_worker_feeds_share(List *feeds, int new_share, int new_nshares)
{
	ListCell   *lc;

	foreach(lc, feeds)
		wh_worker_feed_forget(lfirst(lc));
	list_free(feeds);
	share = new_share;
	nshares = new_nshares;
	is_new = true;
}

static WhWorkerFeed *
find_feed(List *feeds, int64 feed_id)
{
	ListCell   *lc;

	foreach(lc, feeds)
	{
		if (((WhWorkerFeed *) lfirst(lc))->feed_id == feed_id)
			return lfirst(lc);
	}
	return NULL;
}

/* Bring the list of feeds up to what the catalog has now. */
List *
wh_worker_feeds_list(List *feeds)
{
	static bool registered = false;
	Listing		listing = {.context = CurrentMemoryContext};
	MemoryContext old;
	ListCell   *lc;

	if (is_new)
	{
		if (!wh_worker_try("start", clear_states, NULL, NULL))
			return feeds;
		if (!registered)
			CacheRegisterRelcacheCallback(note_relation, (Datum) 0);
		registered = true;
		is_new = false;
	}
	if (!wh_worker_try("list feeds", read_feeds, &listing, NULL))
		return feeds;
	old = MemoryContextSwitchTo(feeds_context);
	foreach(lc, feeds)
		((WhWorkerFeed *) lfirst(lc))->is_listed = false;
	for (int i = 0; i < listing.n; i++)
	{
		int64		feed_id = DatumGetInt64(listing.rows[i].values[0]);
		WhWorkerFeed *feed = find_feed(feeds, feed_id);

		if (feed == NULL)
		{
			feed = palloc0(sizeof(WhWorkerFeed));
			feed->feed_id = feed_id;
			feed->name = TextDatumGetCString(listing.rows[i].values[2]);
			feed->stream.context = AllocSetContextCreate(feeds_context, "widgets_wh stream", ALLOCSET_DEFAULT_SIZES);
			feed->stream.changes = &changes;
			feed->stream.share = share;
			feed->stream.nshares = nshares;
			feed->rate_since = GetCurrentTimestamp();
			feeds = lappend(feeds, feed);
		}
		if (feed->source != DatumGetObjectId(listing.rows[i].values[1]))
			wh_ingest_stream_close(&feed->stream);	/* another feed with that id */
		feed->source = DatumGetObjectId(listing.rows[i].values[1]);
		feed->is_paused = DatumGetBool(listing.rows[i].values[3]);
		feed->is_listed = true;
	}
	list_free(sources);
	sources = NIL;
	foreach(lc, feeds)
	{
		WhWorkerFeed *feed = lfirst(lc);

		if (feed->is_listed)
		{
			sources = lappend_oid(sources, feed->source);
			continue;
		}
		wh_worker_feed_forget(feed);
		feeds = foreach_delete_current(feeds, lc);
	}
	MemoryContextSwitchTo(old);
	return feeds;
}

typedef struct State
{
	WhWorkerFeed *feed;
	const char *state;
	const char *message;		/* NULL = none, or that of the error */
	const ErrorData *error;		/* NULL = none */
	TimestampTz next_retry;		/* 0 = none */
	double		rate;			/* rows a second; -1 = as it was */
	int64		batch_id;		/* to be logged as failed; 0 = none */
	bool		alert;
} State;

/* Write how the worker stands with a feed. */
static void
write_state(void *arg)
{
	State	   *state = arg;
	WhWorkerFeed *feed = state->feed;
	Oid			types[8] = {INT8OID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID, FLOAT8OID, INT4OID, TEXTOID};
	Datum		args[8] = {Int64GetDatum(feed->feed_id), CStringGetTextDatum(state->state),
		Int32GetDatum(feed->failures), (Datum) 0, TimestampTzGetDatum(state->next_retry),
	Float8GetDatum(state->rate), Int32GetDatum(share), (Datum) 0};
	char		nulls[9] = "        ";
	char	   *detail = state->error ? wh_public_detail(state->error) : NULL;

	if (state->error || state->message)
		args[3] = CStringGetTextDatum(state->error ? wh_public_message(state->error) : state->message);
	else
		nulls[3] = 'n';
	if (detail)
		args[7] = CStringGetTextDatum(detail);
	else
		nulls[7] = 'n';
	nulls[4] = state->next_retry ? ' ' : 'n';
	nulls[5] = state->rate >= 0 ? ' ' : 'n';
	/* the feed may be dropped meanwhile */
	wh_catalog_execute("INSERT INTO wh.worker_feed (feed_id, state, failures, message, next_retry_at, rows_per_second, worker, detail)"
					   " SELECT $1, $2, $3, $4, $5, $6, $7, $8 FROM wh.feed WHERE feed_id OPERATOR(pg_catalog.=) $1"
					   " ON CONFLICT (feed_id, worker) DO UPDATE SET state = $2, failures = $3, message = $4, detail = $8,"
					   " next_retry_at = $5, rows_per_second = coalesce($6, worker_feed.rows_per_second),"
					   " worker_pid = pg_catalog.pg_backend_pid(), reported_at = pg_catalog.clock_timestamp()",
					   8, types, args, nulls);
	if (state->batch_id)
		wh_batch_fail(state->batch_id, state->error);
	if (state->alert)
		wh_alert_send(&(WhAlert) {.event = "failed", .kind = "feed", .object = feed->name,
					  .batch_id = state->batch_id, .error = state->error, .message = state->message, .rows_rejected = -1, .rows_read = -1});
}

static void
forget_batch(void *arg)
{
	wh_batch_forget(*(int64 *) arg);
}

/* Close the source, log the failure, and say when to try again. */
static void
fail(WhWorkerFeed *feed, const ErrorData *error, int64 batch_id)
{
	State		state = {.feed = feed, .state = "retrying", .rate = 0, .batch_id = batch_id};
	int			shift = Min(feed->failures, 10);
	bool		is_contention;

	wh_ingest_stream_close(&feed->stream);
	is_contention = batch_id > 0 && (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
									 error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE ||
									 error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED);
	if (is_contention && ++feed->contentions <= MAX_CONTENTIONS)
	{
		/* another run was faster: no failure of the feed */
		feed->next_batch = later(GetCurrentTimestamp(), LOCKED_MS);
		wh_worker_try("forget a batch", forget_batch, &batch_id, NULL);
		return;
	}
	feed->failures++;
	feed->next_batch = later(GetCurrentTimestamp(),
							 Min(FIRST_BACKOFF_MS << shift, is_contention ? CONTENTION_MS : LAST_BACKOFF_MS));
	state.next_retry = feed->next_batch;
	state.alert = feed->failures == 1;
	state.error = error;
	wh_worker_try("report a failure", write_state, &state, NULL);
}

typedef struct Batch
{
	WhWorkerFeed *feed;
	int64		batch_id;		/* 0 = somebody else is loading the feed */
	WhIngestResult result;
	State		state;
	bool		report;
} Batch;

static void
start_batch(void *arg)
{
	Batch	   *batch = arg;

	if (nshares > 1 ? !wh_feed_is_free(batch->feed->feed_id) : !wh_feed_try_lock(batch->feed->feed_id))
		return;
	/* nothing is lost with it if the server crashes */
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	batch->batch_id = wh_batch_start("ingest", batch->feed->feed_id, batch->feed->name);
}

/* Take statistics after many changes; needs no more than the batch's result. */
static void
analyze(void *arg)
{
	Batch	   *batch = arg;
	WhFeed	   *feed = batch->result.staged_changed ? wh_feed_get(batch->feed->feed_id, true) : NULL;

	if (feed)
		wh_analyze_after(wh_feed_table(feed), batch->result.counts.rows_staged);
}

static void
do_batch(void *arg)
{
	Batch	   *batch = arg;
	WhWorkerFeed *feed = batch->feed;
	TimestampTz now;

	/* other feeds wait for us, too */
	(void) set_config_option("lock_timeout",
							 psprintf("%d", nshares > 1 ? Max(TURN_WAIT_MS, LOCK_WAIT_MS * nshares) : LOCK_WAIT_MS),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	if (nshares <= 1)
		wh_feed_lock(feed->feed_id, false);
	wh_ingest_batch(feed->feed_id, batch->batch_id, &feed->stream, &batch->result);
	if (batch->result.overtaken)
	{
		wh_batch_forget(batch->batch_id);
		return;
	}
	if (batch->result.changed)
	{
		wh_batch_step(batch->result.batch_id, 1, &batch->result.counts);
		wh_batch_finish(batch->result.batch_id);
	}
	else
		wh_batch_forget(batch->result.batch_id);
	now = GetCurrentTimestamp();
	batch->state = (State) {.feed = feed, .state = "streaming", .rate = -1};
	batch->report = feed->failures > 0 || feed->trouble || !feed->is_reported;
	if (TimestampDifferenceExceeds(feed->rate_since, now, RATE_MS))
	{
		batch->state.rate = (feed->rows_seen + batch->result.counts.rows_read) * 1000.0 /
			TimestampDifferenceMilliseconds(feed->rate_since, now);
		batch->report = true;
	}
	if (batch->report)
	{
		int			failures = feed->failures;

		feed->failures = 0;
		write_state(&batch->state);
		feed->failures = failures;
	}
	if (nshares <= 1)
		analyze(batch);
}

/* Load one batch.  Returns whether there is more to load at once. */
static bool
run_batch(WhWorkerFeed *feed, bool *ingested)
{
	Batch		batch = {.feed = feed};
	ErrorData  *error = NULL;
	TimestampTz start = GetCurrentTimestamp();

	feed->next_batch = later(start, wh_batch_interval);
	if (!wh_worker_try("start a batch", start_batch, &batch, &error))
	{
		fail(feed, error, 0);
		return false;
	}
	if (batch.batch_id == 0)
	{
		feed->next_batch = later(start, LOCKED_MS);
		return false;
	}
	feed->stream.max_rows = wh_batch_rows;
	feed->stream.max_ms = wh_batch_interval;
	if (!wh_worker_try(psprintf("ingest %s", feed->name), do_batch, &batch, &error))
	{
		fail(feed, error, batch.batch_id);
		return false;
	}
	if (batch.result.overtaken)
	{
		feed->next_batch = later(GetCurrentTimestamp(), LOCKED_MS);
		return false;
	}
	wh_kafka_source_commit(feed->stream.source);
	/* not in its turn, for which others wait */
	if (nshares > 1 && batch.result.staged_changed)
		wh_worker_try("analyze", analyze, &batch, NULL);
	feed->failures = 0;
	feed->contentions = 0;
	feed->is_reported |= batch.report;
	if (feed->trouble)
		pfree(feed->trouble);
	feed->trouble = NULL;
	feed->rows_seen += batch.result.counts.rows_read;
	if (batch.state.rate >= 0)
	{
		feed->rows_seen = 0;
		feed->rate_since = GetCurrentTimestamp();
	}
	*ingested |= batch.result.staged_changed;
	if (feed->stream.more || feed->stream.reassign)
		feed->next_batch = start;
	return feed->stream.more || feed->stream.reassign;
}

/* Report what is wrong with the connection, when that has changed. */
static void
report_trouble(WhWorkerFeed *feed, const char *trouble)
{
	State		state = {.feed = feed, .state = trouble ? "disconnected" : "streaming", .message = trouble, .rate = -1};

	if (trouble ? feed->trouble && strcmp(trouble, feed->trouble) == 0 : feed->trouble == NULL)
		return;
	state.alert = trouble && feed->trouble == NULL;
	if (feed->trouble)
		pfree(feed->trouble);
	feed->trouble = trouble ? MemoryContextStrdup(feeds_context, trouble) : NULL;
	wh_worker_try("report a connection", write_state, &state, NULL);
}

static void
open_stream(void *arg)
{
	WhWorkerFeed *feed = arg;

	wh_ingest_stream_open(feed->feed_id, &feed->stream);
}

/*
 * Open a feed's source; returns whether it can be read now.  Nobody waits for
 * brokers that do not answer: other feeds have their turn meanwhile.
 */
static bool
connect_feed(WhWorkerFeed *feed, TimestampTz now)
{
	ErrorData  *error = NULL;

	if (feed->stream.source == NULL)
	{
		feed->is_connected = false;
		feed->next_check = later(now, CHECK_MS);
		if (!wh_worker_try(psprintf("connect %s", feed->name), open_stream, feed, &error))
		{
			fail(feed, error, 0);
			return false;
		}
		if (feed->stream.source == NULL)
		{
			/* until it is not listed any more */
			feed->next_batch = later(now, CHECK_MS);
			return false;
		}
	}
	if (!feed->is_connected)
		feed->is_connected = wh_kafka_source_connected(feed->stream.source);
	if (!feed->is_connected)
	{
		feed->next_batch = later(now, CONNECT_MS);
		if (now >= feed->next_check && feed->failures == 0)
		{
			const char *trouble = wh_kafka_source_trouble(feed->stream.source);

			feed->next_check = later(now, CHECK_MS);
			report_trouble(feed, trouble ? pstrdup(trouble) : "no broker has answered yet");
		}
	}
	return feed->is_connected;
}

/*
 * Do what is to be done for a feed now.  Sets ingested when rows were staged;
 * returns whether to come again without waiting.
 */
bool
wh_worker_feed_step(WhWorkerFeed *feed, bool *ingested)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		looks = false;

	if (feed->is_paused)
	{
		if (feed->stream.source)
			wh_ingest_stream_close(&feed->stream);
		feed->failures = 0;
		feed->next_batch = 0;
		return false;
	}
	if (now < feed->next_batch && !feed->stream.more)
		return false;
	if (feed->stream.source && feed->stream.changes_seen != changes)
		wh_ingest_stream_close(&feed->stream);
	if (!connect_feed(feed, now))
		return false;
	if (now >= feed->next_check)
	{
		const char *trouble = wh_kafka_source_trouble(feed->stream.source);

		feed->next_check = later(now, CHECK_MS);
		looks = wh_ingest_stream_may_wait(&feed->stream);
		report_trouble(feed, trouble ? pstrdup(trouble) : NULL);
		if (feed->stream.npartitions > 0 &&
			wh_kafka_source_has_partition(feed->stream.source, feed->stream.npartitions))
			feed->stream.reassign = true;
	}
	if (!feed->stream.reassign && !looks && !wh_kafka_source_ready(feed->stream.source) &&
		!wh_ingest_stream_behind(&feed->stream))
		return false;
	return run_batch(feed, ingested);
}
