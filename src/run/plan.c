/*
 * plan.c
 *	  wh.plan(): what a run would change, computed and then rolled back.
 *
 * The whole cycle is run in a subtransaction of the caller's transaction, so
 * the counts are those that wh.run() would have.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "base/subtransaction.h"
#include "base/surroundings.h"
#include "ingest/ingest.h"
#include "base/object_name.h"
#include "definition/component.h"
#include "definition/publish.h"
#include "run/run.h"

typedef struct PlannedStep
{
	WhBatchStep counts;
	const char *kind;
	char	   *samples;		/* jsonb as text, or NULL */
} PlannedStep;

typedef struct Planning
{
	MemoryContext context;		/* of the result */
	Datum		feeds;			/* the argument */
	bool		all_feeds;		/* it is NULL */
	bool		ingest;
	List	   *feed_ids;
	bool		full_refresh;
	int			samples;
	List	   *steps;			/* of PlannedStep */
} Planning;

/* Give some rows that a batch wrote, as a JSON array; NULL for who may not read them. */
static char *
sample_rows(const char *relation, int64 batch_id, int limit)
{
	WhObjectName name = wh_object_name(relation, "");
	Oid			schema = get_namespace_oid(name.schema, false);
	Oid			relid = get_relname_relid(name.name, schema);
	WhSurroundings saved;
	WhRow		row;

	if (wh_schema_aclcheck(schema, GetUserId(), ACL_USAGE) != ACLCHECK_OK ||
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		return NULL;
	wh_owner_enter(relid, &saved);
	if (!wh_spi_row(&row, psprintf("SELECT jsonb_agg(r)::text FROM (SELECT to_jsonb(t) AS r FROM %s t"
								   " WHERE batch_id = " INT64_FORMAT " LIMIT %d) s",
								   relation, batch_id, limit), 0, NULL, NULL))
		elog(ERROR, "no sample of \"%s\"", relation);
	wh_surroundings_leave(&saved);
	return row.isnull[0] ? NULL : TextDatumGetCString(row.values[0]);
}

static void
keep(Planning *planning, const WhBatchStep *counts, const char *kind, const char *relation, int64 batch_id)
{
	MemoryContext old;
	char	   *samples = planning->samples > 0 ?
		sample_rows(relation, batch_id, planning->samples) : NULL;
	PlannedStep *step;

	old = MemoryContextSwitchTo(planning->context);
	step = palloc(sizeof(PlannedStep));
	step->counts = *counts;
	step->counts.object = pstrdup(counts->object);
	step->kind = kind;
	step->samples = samples ? pstrdup(samples) : NULL;
	planning->steps = lappend(planning->steps, step);
	MemoryContextSwitchTo(old);
}

typedef struct ComponentPlanning
{
	Planning   *planning;
	WhComponent *component;
} ComponentPlanning;

/* Publish a component. */
static void
plan_component(void *arg)
{
	ComponentPlanning *work = arg;
	int64		batch_id = wh_batch_start_publish(work->component->objects);
	List	   *steps;
	ListCell   *lc;

	wh_snapshot_advance();
	steps = wh_publish(batch_id, work->component->objects, work->planning->full_refresh, false, NULL);
	foreach(lc, steps)
	{
		WhBatchStep *counts = lfirst(lc);
		WhRow		row;

		wh_snapshot_advance();
		keep(work->planning, counts,
			 wh_catalog_row(&row, "SELECT 1 FROM wh.dimension WHERE dimension_id OPERATOR(pg_catalog.=) $1",
							1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(counts->object_id)}) ?
			 "dimension" : "fact", counts->object, batch_id);
	}
}

/* Run the cycle: feeds, then components; locks in the order of a run. */
static void
plan_work(Planning *planning)
{
	ListCell   *lc;
	int64		batch_id;

	foreach(lc, planning->feed_ids)
	{
		int64		feed_id = *(int64 *) lfirst(lc);
		WhIngestResult result;
		WhFeed	   *feed = wh_feed_get(feed_id, true);

		/* a run leaves it alone */
		if (feed == NULL || feed->is_paused)
			continue;
		batch_id = wh_batch_start("ingest", feed_id, NULL);
		wh_snapshot_advance();
		wh_ingest_feed(feed_id, batch_id, &result);
		wh_snapshot_advance();
		feed = wh_feed_get(feed_id, false);
		if (result.changed)
		{
			wh_batch_step(result.batch_id, 1, &result.counts);
			keep(planning, &result.counts, "feed", wh_relation_name(wh_feed_table(feed)), result.batch_id);
		}
	}
	wh_publish_lock(true);
	foreach(lc, wh_components())
	{
		ComponentPlanning work = {planning, lfirst(lc)};
		ErrorData  *error = wh_subtransaction(plan_component, &work, false);

		if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		if (error)
			ereport(WARNING,
					(errcode(error->sqlerrcode),
					 errmsg("%s would not be published: %s", work.component->name, error->message)));
	}
}

/* Run the cycle under a snapshot of its own; the subtransaction around takes it back. */
static void
run_and_undo(void *arg)
{
	Planning   *planning = arg;

	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (planning->ingest)
		planning->feed_ids = wh_run_feeds(planning->feeds, planning->all_feeds);
	plan_work(planning);
	SPI_finish();
	PopActiveSnapshot();
}

static void
return_step(ReturnSetInfo *rsinfo, const PlannedStep *step)
{
	Datum		values[13];
	bool		nulls[13] = {false};
	const WhBatchStep *c = &step->counts;
	int			n = 0;

	values[n++] = CStringGetTextDatum(c->object);
	values[n++] = CStringGetTextDatum(step->kind);
	values[n++] = Int64GetDatum(c->rows_read);
	values[n++] = Int64GetDatum(c->rows_staged);
	values[n++] = Int64GetDatum(c->rows_rejected);
	values[n++] = Int64GetDatum(c->rows_repeated);
	values[n++] = Int64GetDatum(c->rows_superseded);
	values[n++] = Int64GetDatum(c->rows_inserted);
	values[n++] = Int64GetDatum(c->rows_updated);
	values[n++] = Int64GetDatum(c->rows_deleted);
	values[n++] = Int64GetDatum(c->rows_repointed);
	values[n++] = Int64GetDatum(c->warnings);
	nulls[n] = step->samples == NULL;
	values[n] = step->samples ? DirectFunctionCall1(jsonb_in, CStringGetDatum(step->samples)) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(wh_plan);

/* wh.plan(feeds text[], full_refresh boolean, ingest boolean, samples int) */
Datum
wh_plan(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Planning	planning = {.context = CurrentMemoryContext};
	ErrorData  *error;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	planning.full_refresh = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	planning.samples = PG_ARGISNULL(3) ? 0 : PG_GETARG_INT32(3);
	planning.feeds = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	planning.all_feeds = PG_ARGISNULL(0);
	planning.ingest = PG_ARGISNULL(2) || PG_GETARG_BOOL(2);
	error = wh_subtransaction(run_and_undo, &planning, true);
	if (error)
		ReThrowError(error);
	foreach(lc, planning.steps)
		return_step(rsinfo, lfirst(lc));
	return (Datum) 0;
}
