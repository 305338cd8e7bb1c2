/*
 * fact_publish.c
 *	  Brings one fact up to date with its inputs and its dimensions.
 *
 * Rows whose lookups changed are re-pointed; then touched rows are computed
 * from current staging and only differences are written.  Runs in the
 * transaction of the publish, after all dimensions, under one snapshot.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "definition/definition_run.h"
#include "dimension/dimension_publish.h"
#include "fact/fact_publish.h"
#include "fact/fact_rows.h"
#include "base/object_name.h"
#include "definition/points.h"
#include "base/spi_query.h"
#include "query/query_delta.h"

/* Find or open the publish's lookups into a dimension. */
static WhLookup *
lookup_for(WhPublish *publish, int64 dimension_id)
{
	ListCell   *lc;
	WhLookup   *lookup;
	WhDimensionChanges *changes;
	MemoryContext old;

	foreach(lc, publish->lookups)
		if (wh_lookup_dimension(lfirst(lc))->id == dimension_id)
			return lfirst(lc);
	old = MemoryContextSwitchTo(publish->context);
	changes = wh_publish_changes(publish, dimension_id);
	lookup = wh_lookup_open(changes ? changes->dimension : wh_catalog_dimension(dimension_id),
							publish->batch_id);
	publish->lookups = lappend(publish->lookups, lookup);
	MemoryContextSwitchTo(old);
	return lookup;
}

static void
open_pass(WhFactPass *pass)
{
	WhFact	   *f = pass->fact;
	int			width = f->tupdesc->natts + wh_fact_source_width(f) + WH_MAX_KEY + 1;

	pass->lookups = palloc0(sizeof(WhLookup *) * Max(f->ndimensions, 1));
	for (int i = 0; i < f->ndimensions; i++)
		pass->lookups[i] = lookup_for(pass->publish, f->dimensions[i].dimension_id);
	pass->values = palloc0(sizeof(Datum) * width);
	pass->isnull = palloc0(sizeof(bool) * width);
	pass->source_values = palloc0(sizeof(Datum) * width);
	pass->source_isnull = palloc0(sizeof(bool) * width);
	pass->query_desc = CreateTemplateTupleDesc(f->ncolumns);
	for (int i = 0; i < f->ncolumns; i++)
		TupleDescCopyEntry(pass->query_desc, i + 1, f->tupdesc, f->column[i]);
}

/* Say how many lookups are to come, so that each finds its way to serve them. */
static void
expect_rows(WhFactPass *pass, double nrows)
{
	for (int i = 0; i < pass->fact->ndimensions; i++)
		wh_lookup_expect(pass->lookups[i], nrows);
}

/* Try to add only the rows that one event feed added. */
static bool
try_append(WhFactPass *pass, List *changed)
{
	WhInput    *input;
	char	   *sql;
	WhRow		row;

	if (list_length(changed) != 1 || pass->fact->mode == WH_FACT_LEDGER)
		return false;
	input = linitial(changed);
	if (input->feed_id == 0 || input->relid != input->history || !wh_fact_has_index(pass->fact))
		return false;
	if (OidIsValid(input->change_log) &&
		wh_spi_row(&row, psprintf("SELECT 1 FROM %s WHERE change_batch_id > " INT64_FORMAT " LIMIT 1",
								  wh_relation_name(input->change_log), input->used_batch_id), 0, NULL, NULL))
		return false;
	sql = wh_query_delta_sql(pass->fact, input);
	if (sql == NULL)
		return false;
	expect_rows(pass, wh_input_new_rows(input));
	return wh_fact_append(pass, sql);
}

/* Compute the touched units, or the whole, and write the differences. */
static void
compute(WhFactPass *pass, List *changed, bool whole)
{
	const WhQueryPlan *plan = pass->plan;
	bool		ledger = pass->fact->mode == WH_FACT_LEDGER;
	WhTouchedSet *set = whole ? NULL : wh_touched_find(plan, changed);
	ListCell   *lc;

	if (set == NULL || set->whole)
	{
		if (set)
			wh_touched_end(set);
		expect_rows(pass, 1e9);
		if (ledger)
		{
			WhPoints   *points = wh_points_register(plan, true);

			wh_fact_merge_ledger(pass, points->rows_sql, NULL);
			wh_points_unregister(points);
		}
		else
			wh_fact_merge(pass, plan->whole_sql, NULL);
		return;
	}
	foreach(lc, set->touched)
	{
		WhTouched  *touched = lfirst(lc);

		wh_touched_register(touched);
		expect_rows(pass, touched->nrows);
		if (ledger)
		{
			WhPoints   *points = wh_points_register(plan, false);

			wh_fact_merge_ledger(pass, points->rows_sql, touched);
			wh_points_unregister(points);
		}
		else
			wh_fact_merge(pass, wh_touched_sql(plan, touched), touched);
		wh_touched_unregister();
		if (lnext(set->touched, lc))
		{
			/* a later unit may meet rows of this one */
			wh_bulk_flush(pass->writer);
			CommandCounterIncrement();
			wh_snapshot_advance();
		}
	}
	wh_touched_end(set);
}

/*
 * Write what the pass refused as error events.  When all rows were computed, older
 * events of what it did not refuse again are settled.
 */
static void
store_errors(WhFactPass *pass, bool whole)
{
	WhFact	   *f = pass->fact;

	if (whole)
		wh_catalog_execute("UPDATE wh.error_event SET state = 'settled', settled_by = 'read',"
						   " closed_at = pg_catalog.clock_timestamp() WHERE object_id = $1 AND state = 'open'",
						   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(f->id)}, NULL);
	if (pass->nerrors == 0)
		return;
	wh_spi_register("wh_fact_errors", pass->error_desc, pass->errors, pass->nerrors);
	wh_catalog_execute("INSERT INTO wh.error_event AS v (batch_id, object_id, fact, event_time, raw_record,"
				   " record_hash, errors, sqlstate, message)"
				   " SELECT DISTINCT ON (e.record) $1, $2, $3, e.event_time, pg_catalog.convert_to(e.record, 'UTF8'),"
				   " pg_catalog.decode(pg_catalog.md5(e.record), 'hex'),"
				   " pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object("
				   "'sqlstate', e.sqlstate, 'message', e.message)), e.sqlstate, e.message"
				   " FROM wh_fact_errors e ON CONFLICT (object_id, source_position, record_hash) DO UPDATE"
				   " SET state = 'open', closed_at = NULL, settled_by = NULL, batch_id = excluded.batch_id WHERE v.state = 'settled'",
				   3, (Oid[]) {INT8OID, INT8OID, TEXTOID},
				   (Datum[]) {Int64GetDatum(pass->publish->batch_id), Int64GetDatum(f->id),
				   CStringGetTextDatum(f->qualified)}, NULL);
	wh_spi_unregister("wh_fact_errors");
	tuplestore_end(pass->errors);
}

static bool
is_empty(const WhFact *f)
{
	WhRow		row;

	return !wh_spi_row(&row, psprintf("SELECT 1 FROM %s LIMIT 1", f->qualified), 0, NULL, NULL);
}

static bool
dimensions_changed(WhPublish *publish, const WhFact *f)
{
	for (int i = 0; i < f->ndimensions; i++)
	{
		WhDimensionChanges *changes = wh_publish_changes(publish, f->dimensions[i].dimension_id);

		if (changes && changes->nrows > 0)
			return true;
	}
	return false;
}

/* Do all of a fact's work, in the surroundings of its definition. */
static void
run_pass(WhFactPass *pass, List *changed, bool whole)
{
	WhFact	   *f = pass->fact;
	bool		empty = is_empty(f);

	if (empty && whole && f->mode != WH_FACT_LEDGER && !wh_fact_has_index(f))
	{
		wh_fact_load(pass);
		return;
	}
	pass->writer = wh_bulk_open(f->relid, false);
	if (!empty)
		wh_fact_repoint(pass);
	if ((changed != NIL || whole) && (whole || !try_append(pass, changed)))
		compute(pass, changed, whole);
	pass->counts->rows_inserted += pass->writer->inserted;
	pass->counts->rows_updated += pass->writer->updated - pass->counts->rows_repointed;
	pass->counts->rows_deleted += pass->writer->deleted;
	wh_bulk_close(pass->writer);
	wh_snapshot_advance();
	if (!wh_fact_has_index(f) && !wh_fact_make_index(pass))
		elog(ERROR, "fact \"%s\" has two rows of one grain", f->name);
}

/* Remember the latest event time, for leaving out re-pointing that concerns no row. */
static void
store_latest(const WhFactPass *pass, TimestampTz before)
{
	if (pass->latest > before)
		wh_catalog_execute("UPDATE wh.fact SET latest_event_time = $2 WHERE fact_id OPERATOR(pg_catalog.=) $1",
					   2, (Oid[]) {INT8OID, TIMESTAMPTZOID},
					   (Datum[]) {Int64GetDatum(pass->fact->id), TimestampTzGetDatum(pass->latest)}, NULL);
}

/*
 * Publish one fact.  Gives false, and does nothing, when neither its inputs nor
 * its dimensions changed; else fills counts.
 */
static bool
publish_fact(WhPublish *publish, int64 fact_id, WhBatchStep *counts)
{
	WhFactPass	pass = {.publish = publish, .counts = counts};
	WhFact	   *f = wh_catalog_fact(fact_id);
	WhSurroundings saved;
	List	   *changed;
	bool		whole = publish->full_refresh;
	TimestampTz before = f->latest_event_time;
	int64		written;
	ListCell   *lc;

	counts->object_id = fact_id;
	counts->object = f->qualified;
	changed = wh_inputs_changed(wh_catalog_inputs(fact_id), f->relid, &whole);
	if (changed == NIL && !whole && !dimensions_changed(publish, f))
		return false;
	wh_snapshot_advance();
	/* open until the end: no function that runs meanwhile can alter it */
	pass.rel = table_open(f->relid, RowExclusiveLock);
	wh_catalog_check_fact(f, pass.rel);

	SPI_connect();
	pass.fact = f;
	pass.latest = before;
	open_pass(&pass);
	wh_owner_enter(f->relid, &saved);
	pass.plan = wh_query_plan_view(f->definition, f->grain_name, f->ngrain,
								   f->mode == WH_FACT_LEDGER ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	run_pass(&pass, changed, whole);
	wh_surroundings_leave(&saved);
	foreach(lc, publish->lookups)
		wh_lookup_flush(lfirst(lc));
	wh_snapshot_advance();
	store_errors(&pass, whole);
	store_latest(&pass, before);
	for (int i = 0; i < f->ndimensions; i++)
		wh_catalog_next_key(wh_lookup_dimension(pass.lookups[i]));
	SPI_finish();
	table_close(pass.rel, NoLock);

	wh_inputs_used(fact_id, changed);
	written = counts->rows_inserted + counts->rows_updated + counts->rows_deleted + counts->rows_repointed;
	wh_analyze_after(f->relid, written);
	return true;
}

/* Close the lookups, log the inferred members that facts made, and remove those that none needs. */
static void
settle_facts(WhPublish *publish)
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
			wh_publish_note(publish, &wh_dimension_stage, &counts);
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
		wh_publish_note(publish, &wh_dimension_stage, &counts);
	}
}

const WhPublishStage wh_fact_stage = {
	.catalog = "fact",
	.id_column = "fact_id",
	.objects = wh_catalog_facts,
	.publish = publish_fact,
	.settle = settle_facts
};
