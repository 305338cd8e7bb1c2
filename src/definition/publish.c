/*
 * publish.c
 *	  One publish: all dimensions, then all facts, in one transaction.
 *
 * Everything is computed under one snapshot; readers see the star schema as it
 * was before the publish or as it is after it.  Called by wh.run() and the
 * worker; holds the publish lock until the transaction ends.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "definition/definition_run.h"
#include "fact/fact_lookup.h"
#include "base/object_name.h"
#include "definition/publish.h"
#include "base/spi_query.h"

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

		wh_definition_enter(relid, &saved);
		if (default_statistics_target > ANALYZE_TARGET)
			(void) set_config_option("default_statistics_target", CppAsString2(ANALYZE_TARGET), PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		wh_spi_execute(psprintf("ANALYZE %s", wh_relation_name(relid)), 0, NULL, NULL, NULL);
		wh_definition_leave(&saved);
	}
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

/* Say whether any dimension or fact has something new to read. */
bool
wh_publish_has_news(void)
{
	WhRow		row;
	WhRow	   *rows;
	int			n;

	if (wh_catalog_row(&row, "SELECT 1 FROM wh.input i JOIN wh.feed f USING (feed_id)"
					   " WHERE i.used_batch_id IS NULL"
					   " OR f.last_batch_id OPERATOR(pg_catalog.>) i.used_batch_id LIMIT 1", 0, NULL, NULL))
		return true;
	rows = wh_catalog_rows(&n, "SELECT i.relation::oid, min(coalesce(d.relation, f.relation)::oid),"
						   " min(pg_catalog.encode(i.content_hash, 'hex')), bool_and(i.content_hash IS NOT NULL),"
						   " count(DISTINCT i.content_hash)"
						   " FROM wh.input i LEFT JOIN wh.dimension d ON d.dimension_id OPERATOR(pg_catalog.=) i.object_id"
						   " LEFT JOIN wh.fact f ON f.fact_id OPERATOR(pg_catalog.=) i.object_id"
						   " WHERE i.feed_id IS NULL GROUP BY i.relation::oid", 0, NULL, NULL);
	for (int i = 0; i < n; i++)
	{
		if (!DatumGetBool(rows[i].values[3]) || DatumGetInt64(rows[i].values[4]) != 1)
			return true;
		if (strcmp(TextDatumGetCString(rows[i].values[2]),
				   wh_lookup_hash(DatumGetObjectId(rows[i].values[0]), DatumGetObjectId(rows[i].values[1]))) != 0)
			return true;
	}
	return false;
}

/* Keep what was done to one object, and note its last batch. */
static void
note_step(WhPublish *publish, const char *catalog, const char *id_column, WhBatchStep *counts)
{
	MemoryContext old = MemoryContextSwitchTo(publish->caller);
	WhBatchStep *kept = palloc(sizeof(WhBatchStep));

	*kept = *counts;
	kept->object = pstrdup(counts->object);
	publish->steps = lappend(publish->steps, kept);
	MemoryContextSwitchTo(old);
	if (counts->rows_inserted + counts->rows_updated + counts->rows_deleted + counts->rows_repointed > 0)
		wh_catalog_last_batch(catalog, id_column, counts->object_id, publish->batch_id);
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

		wh_definition_enter(relid, &saved);
		wh_spi_execute(psprintf("DELETE FROM %s WHERE change_batch_id <= $1", wh_relation_name(relid)),
					   1, (Oid[]) {INT8OID}, &rows[i].values[1], NULL);
		wh_definition_leave(&saved);
	}
}

/* Log the inferred members that facts made, and remove those that none needs. */
static void
settle_inferred(WhPublish *publish)
{
	ListCell   *lc;

	foreach(lc, publish->lookups)
	{
		WhLookup   *lookup = lfirst(lc);
		WhBatchStep counts = {.started_at = GetCurrentTimestamp()};

		counts.object_id = wh_lookup_dimension(lookup)->id;
		counts.object = wh_lookup_dimension(lookup)->qualified;
		counts.rows_inserted = wh_lookup_inferred(lookup);
		if (counts.rows_inserted > 0)
			note_step(publish, "dimension", "dimension_id", &counts);
		wh_lookup_close(lookup);
	}
	CommandCounterIncrement();
	wh_snapshot_advance();
	foreach(lc, publish->released)
	{
		WhReleased *released = lfirst(lc);
		WhBatchStep counts = {.started_at = GetCurrentTimestamp()};

		counts.rows_deleted = wh_inferred_clean(released->dimension_id, released);
		if (counts.rows_deleted == 0)
			continue;
		counts.object_id = released->dimension_id;
		counts.object = wh_catalog_dimension(released->dimension_id)->qualified;
		note_step(publish, "dimension", "dimension_id", &counts);
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
publish_objects(WhPublish *publish, List *objects,
				bool (*publish_one) (WhPublish *, int64, WhBatchStep *),
				const char *catalog, const char *id_column)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		const WhObject *object = lfirst(lc);
		WhBatchStep counts = {.started_at = GetCurrentTimestamp()};

		publish->at->id = object->id;
		publish->at->kind = object->kind;
		publish->at->name = MemoryContextStrdup(publish->caller, object->name);
		if (publish_one(publish, object->id, &counts))
			note_step(publish, catalog, id_column, &counts);
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
	publish_objects(publish, wh_catalog_dimensions(), wh_dimension_publish, "dimension", "dimension_id");
	publish_objects(publish, wh_catalog_facts(), wh_fact_publish, "fact", "fact_id");
	error_context_stack = callback.previous;
	settle_inferred(publish);
	wh_publish_purge();
}

/*
 * Bring all dimensions and facts up to date with staging; with full_refresh,
 * compute all of them anew, still writing differences only; with overwrite, facts
 * of mode append take the new content of a grain.  Logs a step per
 * object that had something new, and gives these steps (WhBatchStep *) in the
 * current memory context.  After an error, at (if not NULL) says which object it
 * was in.  The caller has the batch's row, an SPI connection and a transaction,
 * best of isolation level REPEATABLE READ.
 */
List *
wh_publish(int64 batch_id, bool full_refresh, bool overwrite, WhObject *at)
{
	WhObject	nowhere = {0};
	WhPublish	publish = {
		.batch_id = batch_id, .full_refresh = full_refresh, .overwrite = overwrite, .at = at ? at : &nowhere
	};
	ListCell   *lc;

	publish.caller = CurrentMemoryContext;
	publish.context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh publish",
											ALLOCSET_DEFAULT_SIZES);
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
