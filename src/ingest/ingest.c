/*
 * ingest.c
 *	  Loads what is new in a feed's source: one feed, one transaction.
 *
 * wh_ingest_feed runs in the caller's transaction, in a backend or the worker.
 * It holds the feed's advisory lock until the transaction ends; a partition
 * worker takes it when it has read its batch (wh_ingest_take_turn).  Source and
 * expressions are evaluated as the owner of the staging relation, as a security-
 * restricted operation; catalogs are written as their owner.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ingest/ingest_state.h"
#include "metadata/catalog_user.h"

/* Read the source and stage what is new. */
static void
ingest(WhIngest *ing)
{
	WhBatchStep *counts = &ing->result->counts;
	WhStaging  *staging = ing->staging;

	wh_ingest_start(ing);
	wh_ingest_pipe_open(ing);
	if (ing->is_retry)
		wh_ingest_retry_events(ing);
	else
		wh_ingest_read_source(ing);
	if (ing->result->overtaken)
	{
		wh_hold_drop(ing);
		if (ing->staged)
			relation_close(ing->staged, NoLock);
		if (ing->source)
			relation_close(ing->source, NoLock);
		return;
	}
	if (ing->hold)
		wh_hold_release(ing);
	if (ing->feed->load != WH_LOAD_SNAPSHOT || ing->is_retry)
		wh_splice_finish(staging);
	wh_staging_close(staging);
	ing->result->staged_changed |= staging->has_changed;
	ing->result->changed |= staging->has_written;
	if (ing->kind == WH_SOURCE_RELATION && ing->result->staged_changed && !ing->is_retry)
		wh_unit_add_read(ing->units, ing->feed->reads + 1, staging->snapshot_time, !staging->snapshot_incomplete);
	wh_ingest_settle(ing);
	ing->result->changed |= wh_units_save(ing->units, ing->batch_id);
	wh_ingest_save_feed(ing);
	if (ing->staged)
		relation_close(ing->staged, NoLock);
	if (ing->source)
		relation_close(ing->source, NoLock);
	if (counts->rows_read != counts->rows_staged + counts->rows_rejected +
		counts->rows_repeated + counts->rows_superseded)
		elog(ERROR, "feed \"%s\" read %lld records but accounts for %lld staged, %lld rejected, %lld repeated and %lld superseded",
			 ing->feed->name, (long long) counts->rows_read, (long long) counts->rows_staged,
			 (long long) counts->rows_rejected, (long long) counts->rows_repeated,
			 (long long) counts->rows_superseded);
}

/* What is loaded. */
typedef enum Extent
{
	WHAT_IS_NEW,
	ERROR_EVENTS,
	WHOLE_SOURCE
} Extent;

/* Load from a feed's source, or retry its error events; see wh_ingest_feed. */
static void
ingest_feed(int64 feed_id, int64 batch_id, WhIngestStream *stream, Extent extent, WhIngestResult *result)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh ingest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	WhIngest   *ing = palloc0(sizeof(WhIngest));
	WhSurroundings saved;
	bool		in_turns = stream && stream->nshares > 1;

	memset(result, 0, sizeof(*result));
	result->counts.started_at = GetCurrentTimestamp();
	result->counts.object_id = feed_id;
	if (!in_turns)
		wh_feed_lock(feed_id, true);
	/* See what the run before us has committed. */
	PushActiveSnapshot(GetTransactionSnapshot());
	saved.guc_level = wh_pin_settings();
	ing->context = context;
	ing->staging = palloc0(sizeof(WhStaging));
	ing->feed = wh_feed_get(feed_id, stream != NULL);
	if (ing->feed == NULL)
	{
		result->overtaken = true;	/* dropped since the worker looked */
		AtEOXact_GUC(false, saved.guc_level);
		PopActiveSnapshot();
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return;
	}
	result->counts.object = MemoryContextStrdup(old, ing->feed->name);
	ing->batch_id = batch_id;
	ing->batch_start = wh_ingest_batch_start(batch_id);
	ing->result = result;
	ing->stream = stream;
	ing->is_retry = extent == ERROR_EVENTS;
	ing->is_reload = extent == WHOLE_SOURCE;
	if (in_turns)
		wh_hold_begin(ing);
	else
		wh_ingest_settle_number(ing);

	wh_ingest_check_one_owner(ing->feed);
	GetUserIdAndSecContext(&saved.user, &saved.sec_context);
	SetUserIdAndSecContext(ing->feed->owner, saved.sec_context | SECURITY_RESTRICTED_OPERATION);
	if (stream && ing->feed->is_paused)
		result->overtaken = true;	/* since the worker looked */
	else
		ingest(ing);
	wh_surroundings_leave(&saved);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Load what is new in a feed's source.  The caller has written the batch's row
 * and takes back everything when this throws.  Waits for the feed's lock; who
 * must not wait calls wh_feed_lock first.
 */
void
wh_ingest_feed(int64 feed_id, int64 batch_id, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, NULL, WHAT_IS_NEW, result);
}

/* The same, from a topic that stays open, within the bounds of a batch. */
void
wh_ingest_batch(int64 feed_id, int64 batch_id, WhIngestStream *stream, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, stream, WHAT_IS_NEW, result);
}

/* The same, from the feed's error events instead of its source. */
void
wh_ingest_retry(int64 feed_id, int64 batch_id, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, NULL, ERROR_EVENTS, result);
}

/* The same, from the whole source, as if nothing of it were known: what is staged stays where it is the same. */
void
wh_ingest_reload(int64 feed_id, int64 batch_id, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, NULL, WHOLE_SOURCE, result);
}
