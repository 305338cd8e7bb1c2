/*
 * dimension_publish.c
 *	  Brings one dimension up to date with its inputs.
 *
 * Touched keys come from the images of changed staged rows through the query's
 * own tree (query_plan.h); for those keys, or for all, the query's states are
 * read in step with the existing versions, and only differences are written.
 * Runs in the transaction of the publish, under one snapshot.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "definition/definition_run.h"
#include "dimension/dimension_publish.h"
#include "dimension/dimension_splice.h"
#include "dimension/dimension_states.h"
#include "base/merge_groups.h"
#include "base/row_image.h"
#include "definition/points.h"
#include "definition/publish.h"
#include "query/query_plan.h"
#include "base/spi_query.h"
#include "base/time_zone.h"
#include "definition/touched.h"
#include "definition/whole.h"

/* Find the result's columns that the dimension's columns come from. */
static void
map_columns(WhDimensionPass *pass)
{
	WhDimension *d = pass->dimension;
	TupleDesc	result = pass->plan->result;
	int			next = 0;

	pass->column = palloc0(sizeof(AttrNumber) * Max(d->ncolumns, 1));
	for (int i = 0; i < result->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(result, i)->attname);

		if (d->history == WH_HISTORY_QUERY && strcmp(name, "effective_from") == 0)
			pass->from_column = i + 1;
		else if (d->history == WH_HISTORY_QUERY && strcmp(name, "effective_to") == 0)
			pass->to_column = i + 1;
		else if (next < d->ncolumns)
			pass->column[next++] = i + 1;
	}
	pass->row_values = palloc(sizeof(Datum) * (result->natts + d->nkey + 2));
	pass->row_isnull = palloc(sizeof(bool) * (result->natts + d->nkey + 2));
	if (next != d->ncolumns)
		elog(ERROR, "the query of dimension \"%s\" has %d columns where the table has %d",
			 d->name, next, d->ncolumns);
}

/* How a pass reads what is wanted. */
typedef enum PassForm
{
	PASS_POINTS,				/* the query as of wh_points */
	PASS_DIRECT,				/* the query at the beginning of one feed's versions */
	PASS_WHOLE,					/* the query as a whole as of wh_points, for every key */
	PASS_CURRENT				/* the query itself */
} PassForm;

/* Read wanted and existing in step, and write the differences. */
static void
run_pass(WhDimensionPass *pass, PassForm form, const char *rows_sql, const char *existing_sql)
{
	WhDimension *d = pass->dimension;
	WhMerge    *merge = wh_merge_open(d->nkey);
	AttrNumber	leading[WH_MAX_KEY],
				existing_keys[WH_MAX_KEY];

	for (int i = 0; i < d->nkey; i++)
	{
		leading[i] = i + 1;
		existing_keys[i] = d->key[i] + 1;	/* ctid comes first */
	}
	wh_merge_add(merge, rows_sql, form == PASS_CURRENT ? pass->plan->key_attnos : leading);
	wh_catalog_check_result(d->name, d->tupdesc, d->column, d->ncolumns, merge->sides[0].cursor->tupdesc, pass->column,
							form == PASS_CURRENT ? 0 : form == PASS_POINTS ? d->nkey + 1 : d->nkey + 2);
	wh_merge_add(merge, existing_sql, existing_keys);
	if (form == PASS_POINTS)
		wh_merge_add(merge, "SELECT * FROM " WH_POINTS_NAME, leading);
	while (wh_merge_next(merge))
	{
		MemoryContext old = MemoryContextSwitchTo(merge->group_context);
		WhState    *states;
		WhVersion  *wanted,
				   *existing;
		int			nstates,
					nwanted,
					nexisting;

		existing = wh_dimension_existing_versions(pass, merge, &nexisting);
		if (form == PASS_POINTS)
			states = wh_dimension_states_as_of(pass, merge, &nstates);
		else if (form == PASS_WHOLE)
			states = wh_dimension_states_whole(pass, merge, existing, nexisting, &nstates);
		else if (form == PASS_DIRECT)
			states = wh_dimension_states_direct(pass, merge, &nstates);
		else if (d->history == WH_HISTORY_QUERY)
			states = wh_dimension_states_of_query(pass, merge, &nstates);
		else
			states = wh_dimension_states_current(pass, merge, &nstates);
		wanted = wh_versions_build(pass->splice.builder, states, nstates, &nwanted);
		wh_dimension_splice(&pass->splice, wanted, nwanted, existing, nexisting);
		MemoryContextSwitchTo(old);
	}
	pass->counts->warnings += merge->null_keys;
	wh_merge_close(merge);
}

/* Write the SELECT of existing versions, of touched keys or of all. */
static char *
existing_sql(WhDimension *d, const WhTouched *touched)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoString(&s, "SELECT d.ctid, ");
	wh_append_row(&s, "d", d->tupdesc);
	appendStringInfo(&s, " FROM %s d WHERE d.%s > 0", d->qualified,
					 quote_identifier(NameStr(TupleDescAttr(d->tupdesc, 0)->attname)));
	if (touched)
		wh_touched_condition(&s, "d", touched, d->key_name);
	appendStringInfoString(&s, " ORDER BY ");
	for (int i = 0; i < d->nkey; i++)
		appendStringInfo(&s, "d.%s, ", quote_identifier(d->key_name[i]));
	appendStringInfoString(&s, "d.effective_from");
	return s.data;
}

static void
run_as_of(WhDimensionPass *pass, const WhTouched *touched)
{
	const WhQueryPlan *plan = pass->plan;
	char	   *existing = existing_sql(pass->dimension, touched);
	WhPoints   *points;

	if (plan->direct_sql)
	{
		run_pass(pass, PASS_DIRECT, touched ? plan->direct_touched_sql : plan->direct_sql, existing);
		return;
	}
	points = wh_points_register(plan, touched == NULL);
	run_pass(pass, PASS_POINTS, points->rows_sql, existing);
	wh_points_unregister(points);
}

/* Tell if the versions of a dimension say all of its past states: no later value has overwritten them. */
static bool
keeps_states(const WhDimension *d)
{
	for (int i = 0; i < d->ncolumns; i++)
		if (d->scd[i] != WH_SCD_KEEP && d->scd[i] != WH_SCD_VERSION)
			return false;
	return true;
}

/* Compute a query as a whole: from the first change on, or everything. */
static void
run_whole(WhDimensionPass *pass, List *changed, bool whole)
{
	WhDimension *d = pass->dimension;
	WhPoints   *points;

	pass->from = DT_NOBEGIN;
	if (!whole && keeps_states(d))
		pass->from = wh_versions_grain_start(d, wh_whole_first_change(pass->plan, changed));
	if (TIMESTAMP_IS_NOEND(pass->from))
		return;
	points = wh_whole_points_register(pass->plan, pass->from);
	run_pass(pass, PASS_WHOLE, points->rows_sql, existing_sql(d, NULL));
	wh_points_unregister(points);
}

/* Compute everything, or what the changed inputs touch. */
static void
run_passes(WhDimensionPass *pass, List *changed, bool whole)
{
	const WhQueryPlan *plan = pass->plan;
	bool		as_of = pass->dimension->history == WH_HISTORY_AUTO;
	WhTouchedSet *set;
	ListCell   *lc;

	if (plan->whole)
	{
		run_whole(pass, changed, whole);
		return;
	}
	set = whole ? NULL : wh_touched_find(plan, changed);
	if (set == NULL || set->whole)
	{
		if (set)
			wh_touched_end(set);
		if (as_of)
			run_as_of(pass, NULL);
		else
			run_pass(pass, PASS_CURRENT, plan->whole_sql, existing_sql(pass->dimension, NULL));
		return;
	}
	foreach(lc, set->touched)
	{
		WhTouched  *touched = lfirst(lc);

		wh_touched_register(touched);
		if (as_of)
			run_as_of(pass, touched);
		else
			run_pass(pass, PASS_CURRENT, wh_touched_sql(plan, touched), existing_sql(pass->dimension, touched));
		wh_touched_unregister();
		if (lnext(set->touched, lc))
		{
			/* a later unit may meet keys of this one */
			wh_bulk_flush(pass->splice.writer);
			CommandCounterIncrement();
			wh_snapshot_advance();
		}
	}
	wh_touched_end(set);
}

static void
open_changes(WhPublish *publish, WhDimensionPass *pass)
{
	WhDimension *d = pass->dimension;
	WhDimensionChanges *changes;
	MemoryContext old = MemoryContextSwitchTo(publish->context);

	changes = palloc0(sizeof(WhDimensionChanges));
	changes->dimension = d;
	changes->lowest = DT_NOEND;
	changes->tupdesc = CreateTemplateTupleDesc(d->nkey + 1);
	for (int i = 0; i < d->nkey; i++)
	{
		Form_pg_attribute att = TupleDescAttr(d->tupdesc, d->key[i] - 1);

		TupleDescInitEntry(changes->tupdesc, i + 1, psprintf("k%d", i + 1), att->atttypid,
						   att->atttypmod, 0);
		TupleDescInitEntryCollation(changes->tupdesc, i + 1, att->attcollation);
	}
	TupleDescInitEntry(changes->tupdesc, d->nkey + 1, "from_time", TIMESTAMPTZOID, -1, 0);
	changes->store = tuplestore_begin_heap(true, false, work_mem);
	publish->changes = lappend(publish->changes, changes);
	MemoryContextSwitchTo(old);
	pass->splice.changes = changes;
}

/* Make the index of a dimension that nothing was loaded into yet: facts look members up. */
static void
index_empty(const WhDimension *d)
{
	WhSurroundings saved;

	if (OidIsValid(wh_dimension_index(d)))
		return;
	SPI_connect();
	wh_owner_enter(d->relid, &saved);
	wh_dimension_ensure_index(d);
	wh_surroundings_leave(&saved);
	SPI_finish();
}

/*
 * Publish one dimension.  Gives false, and does nothing, when none of its
 * inputs changed; else fills counts.  The dimension's struct and its changes
 * live as long as the publish.
 */
static bool
publish_dimension(WhPublish *publish, int64 dimension_id, WhBatchStep *counts)
{
	WhDimensionPass pass = {0};
	MemoryContext old = MemoryContextSwitchTo(publish->context);
	WhDimension *d = wh_catalog_dimension(dimension_id);
	WhSurroundings saved;
	Relation	rel;
	List	   *inputs,
			   *changed;
	bool		whole = publish->full_refresh;

	MemoryContextSwitchTo(old);
	counts->object_id = dimension_id;
	counts->object = d->qualified;
	if (d->is_date)
		return false;
	inputs = wh_catalog_inputs(dimension_id);
	changed = wh_inputs_changed(inputs, d->relid, &whole);
	if (changed == NIL && !whole)
	{
		index_empty(d);
		return false;
	}
	/* what is read below is not older than the positions just taken */
	wh_snapshot_advance();
	/* open until all is written: no function that runs meanwhile can alter it */
	rel = table_open(d->relid, RowExclusiveLock);
	wh_catalog_check_dimension(d, rel);

	SPI_connect();
	wh_owner_enter(d->relid, &saved);
	pass.dimension = d;
	pass.counts = counts;
	pass.plan = wh_query_plan_view(d->definition, d->key_name, d->nkey,
								   d->history == WH_HISTORY_AUTO ? WH_QUERY_AS_OF_OR_WHOLE : WH_QUERY_CURRENT);
	map_columns(&pass);
	open_changes(publish, &pass);
	pass.splice.dimension = d;
	pass.splice.batch_id = publish->batch_id;
	pass.splice.builder = wh_versions_builder(d);
	pass.splice.writer = wh_bulk_open(d->relid, false);
	run_passes(&pass, changed, whole);
	counts->rows_inserted = pass.splice.writer->inserted;
	counts->rows_updated = pass.splice.writer->updated;
	counts->rows_deleted = pass.splice.writer->deleted;
	wh_bulk_close(pass.splice.writer);
	table_close(rel, NoLock);
	wh_dimension_ensure_index(d);
	wh_snapshot_advance();
	wh_surroundings_leave(&saved);
	SPI_finish();

	wh_catalog_next_key(d);
	wh_inputs_used(dimension_id, changed);
	wh_analyze_after(d->relid, counts->rows_inserted + counts->rows_updated + counts->rows_deleted);
	return true;
}

const WhPublishStage wh_dimension_stage = {
	.catalog = "dimension",
	.id_column = "dimension_id",
	.objects = wh_catalog_dimensions,
	.publish = publish_dimension
};
