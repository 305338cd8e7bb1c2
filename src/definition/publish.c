/*
 * publish.c
 *	  One publish: all dimensions, then all facts, in one transaction.
 *
 * What a dimension or fact is made of stands on the floors above, which register
 * as the stages of a publish when the library is loaded (init.c).
 *
 * Everything is computed under one snapshot; readers see the star schema as it
 * was before the publish or as it is after it.  Called by wh.run() and the
 * worker; holds the publish lock until the transaction ends.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/id_list.h"
#include "definition/definition_run.h"
#include "base/object_name.h"
#include "base/subtransaction.h"
#include "definition/component.h"
#include "definition/publish.h"
#include "metadata/stale_snapshot.h"
#include "base/spi_query.h"

/* What is published, in this order; the floors above fill it. */
static WhPublishStage stages[2];
static int	nstages = 0;

/* Advisory lock of the publish; see WH_FEED_LOCK_CLASS for the feeds' ones. */
#define PUBLISH_LOCK_CLASS 0x77680002

/* Add a kind of object that every publish brings up to date; called once, when the library is loaded. */
void
wh_publish_add_stage(const WhPublishStage *stage)
{
	Assert(nstages < lengthof(stages));
	stages[nstages++] = *stage;
}

/* Wait for the publish lock, or refuse to. */
void
wh_publish_lock(bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, PUBLISH_LOCK_CLASS, 0, WH_LOCK_FIELD);
	if (LockAcquire(&tag, ExclusiveLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another run is publishing"),
				 errhint("Wait for it to end, or call wh.run with wait => true.")));
}

/* Give the changes of a dimension in this publish, or NULL. */
WhDimensionChanges *
wh_publish_changes(WhPublish *publish, int64 dimension_id)
{
	ListCell   *lc;

	foreach(lc, publish->changes)
	{
		WhDimensionChanges *changes = lfirst(lc);

		if (changes->dimension->id == dimension_id)
			return changes;
	}
	return NULL;
}

typedef struct LookupProbe
{
	const WhRow *row;
	bool		changed;
} LookupProbe;

/* Compare a lookup table with what was used of it last. */
static void
probe_lookup(void *arg)
{
	LookupProbe *probe = arg;
	const WhRow *row = probe->row;

	probe->changed = row->isnull[3] ||
		strcmp(TextDatumGetCString(row->values[3]),
			   wh_lookup_hash(DatumGetObjectId(row->values[1]), DatumGetObjectId(row->values[2]))) != 0;
}

/*
 * List the dimensions and facts (int64 *) that have something new to read.  What
 * cannot be compared counts as new: the publish says what is wrong with it.
 */
List *
wh_publish_news(void)
{
	List	   *news = NIL;
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT DISTINCT i.object_id FROM wh.input i JOIN wh.feed f USING (feed_id)"
									   " WHERE i.used_batch_id IS NULL OR f.last_batch_id > i.used_batch_id",
									   0, NULL, NULL);

	for (int i = 0; i < n; i++)
		news = wh_list_add_id(news, DatumGetInt64(rows[i].values[0]));
	rows = wh_catalog_rows(&n, "SELECT i.object_id, i.relation::oid, coalesce(d.relation, f.relation)::oid,"
						   " pg_catalog.encode(i.content_hash, 'hex')"
						   " FROM wh.input i LEFT JOIN wh.dimension d ON d.dimension_id = i.object_id"
						   " LEFT JOIN wh.fact f ON f.fact_id = i.object_id"
						   " WHERE i.feed_id IS NULL ORDER BY 2, 1", 0, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		LookupProbe probe = {.row = &rows[i]};
		ErrorData  *error;

		if (wh_list_has_id(news, DatumGetInt64(rows[i].values[0])))
			continue;
		error = wh_subtransaction(probe_lookup, &probe, false);
		if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		if (error || probe.changed)
			news = wh_list_add_id(news, DatumGetInt64(rows[i].values[0]));
	}
	return news;
}

/* Keep what was done to an object of a stage, and note its last batch. */
void
wh_publish_note(WhPublish *publish, const WhPublishStage *stage, WhBatchStep *counts)
{
	MemoryContext old = MemoryContextSwitchTo(publish->caller);
	WhBatchStep *kept = palloc(sizeof(WhBatchStep));

	*kept = *counts;
	kept->object = pstrdup(counts->object);
	publish->steps = lappend(publish->steps, kept);
	MemoryContextSwitchTo(old);
	if (counts->rows_inserted + counts->rows_updated + counts->rows_deleted + counts->rows_repointed > 0)
		wh_catalog_last_batch(stage->catalog, stage->id_column, counts->object_id, publish->batch_id);
	wh_batch_step(publish->batch_id, list_length(publish->steps), kept);
}

/* Delete the images of changed staged rows that every reader has used. */
void
wh_publish_purge(void)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT f.change_log::oid,"
									   " coalesce(min(coalesce(i.used_batch_id, 0)), f.last_batch_id)"
									   " FROM wh.feed f LEFT JOIN wh.input i USING (feed_id)"
									   " WHERE f.change_log IS NOT NULL AND f.last_batch_id IS NOT NULL"
									   " GROUP BY f.feed_id", 0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		Oid			relid = DatumGetObjectId(rows[i].values[0]);
		WhSurroundings saved;

		wh_owner_enter(relid, &saved);
		wh_spi_execute(psprintf("DELETE FROM %s WHERE change_batch_id <= $1", wh_relation_name(relid)),
					   1, (Oid[]) {INT8OID}, &rows[i].values[1], NULL);
		wh_surroundings_leave(&saved);
	}
}

static void
object_context(void *arg)
{
	const WhPublish *publish = arg;

	if (publish->at->id != 0)
		errcontext("%s %s", publish->at->kind, publish->at->name);
}

static void
publish_stage(WhPublish *publish, const WhPublishStage *stage)
{
	ListCell   *lc;

	foreach(lc, stage->objects())
	{
		const WhObject *object = lfirst(lc);
		WhBatchStep counts = {.started_at = GetCurrentTimestamp()};

		if (publish->objects != NIL && !wh_list_has_id(publish->objects, object->id))
			continue;
		publish->at->id = object->id;
		publish->at->kind = object->kind;
		publish->at->name = MemoryContextStrdup(publish->caller, object->name);
		if (stage->publish(publish, object->id, &counts))
			wh_publish_note(publish, stage, &counts);
	}
	publish->at->id = 0;
}

static void
publish_all(WhPublish *publish)
{
	ErrorContextCallback callback = {
		.previous = error_context_stack, .callback = object_context, .arg = publish
	};

	error_context_stack = &callback;
	for (int i = 0; i < nstages; i++)
		publish_stage(publish, &stages[i]);
	error_context_stack = callback.previous;
	for (int i = 0; i < nstages; i++)
		if (stages[i].settle)
			stages[i].settle(publish);
	wh_publish_purge();
}

/*
 * Bring dimensions and facts up to date with staging: those of the list of ids,
 * which are to be all of a component, or all if it is NIL; with full_refresh,
 * compute all of them anew, still writing differences only; with overwrite, facts
 * of mode append take the new content of a grain.  Logs a step per
 * object that had something new, and gives these steps (WhBatchStep *) in the
 * current memory context.  After an error, at (if not NULL) says which object it
 * was in.  The caller has the batch's row, an SPI connection and a transaction,
 * best of isolation level REPEATABLE READ.
 */
List *
wh_publish(int64 batch_id, List *objects, bool full_refresh, bool overwrite, WhObject *at)
{
	WhObject	nowhere = {0};
	WhPublish	publish = {
		.batch_id = batch_id, .objects = objects, .full_refresh = full_refresh, .overwrite = overwrite, .at = at ? at : &nowhere
	};
	ListCell   *lc;

	publish.caller = CurrentMemoryContext;
	publish.context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh publish",
											ALLOCSET_DEFAULT_SIZES);
	wh_refuse_stale_star();
	MemoryContextSwitchTo(publish.context);
	PushActiveSnapshot(GetTransactionSnapshot());
	publish_all(&publish);
	PopActiveSnapshot();
	foreach(lc, publish.changes)
		tuplestore_end(((WhDimensionChanges *) lfirst(lc))->store);
	MemoryContextSwitchTo(publish.caller);
	MemoryContextDelete(publish.context);
	return publish.steps;
}
