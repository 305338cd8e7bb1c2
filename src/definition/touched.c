/*
 * touched.c
 *	  The keys of a definition that changed inputs touch.
 *
 * Runs the plan's touched queries over the images of changed staged rows and
 * keeps what they find in memory, by set of key columns.  Needs an SPI
 * connection, in the surroundings of the definition.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/builtins.h"

#include "definition/definition_run.h"
#include "base/spi_query.h"
#include "definition/touched.h"

static WhTouched *
touched_of(WhTouchedSet *set, const WhQueryTouched *part)
{
	ListCell   *lc;
	WhTouched  *touched;

	foreach(lc, set->touched)
	{
		touched = lfirst(lc);
		if (touched->nkeys == part->nkeys && touched->unit == part->unit &&
			memcmp(touched->keys, part->keys, sizeof(int) * part->nkeys) == 0)
			return touched;
	}
	touched = palloc0(sizeof(WhTouched));
	touched->unit = part->unit;
	touched->nkeys = part->nkeys;
	memcpy(touched->keys, part->keys, sizeof(touched->keys));
	set->touched = lappend(set->touched, touched);
	return touched;
}

static const WhQueryInput *
plan_input(const WhQueryPlan *plan, Oid relid)
{
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		const WhQueryInput *input = lfirst(lc);

		if (input->relid == relid)
			return input;
	}
	return NULL;
}

static void
find_values(WhTouched *touched)
{
	StringInfoData s;
	ListCell   *lc;
	WhRow		row;

	initStringInfo(&s);
	foreach(lc, touched->sqls)
		appendStringInfo(&s, "%s(%s)", s.len ? " UNION " : "", (char *) lfirst(lc));
	touched->store = wh_spi_store(s.data, &touched->tupdesc, &touched->nrows);
	if (touched->nrows == 0)
		return;
	wh_touched_register(touched);
	resetStringInfo(&s);
	for (int i = 0; i < touched->nkeys; i++)
		appendStringInfo(&s, "%s k%d IS NULL", i ? " OR" : "SELECT 1 FROM " WH_TOUCHED_NAME " WHERE",
						 touched->keys[i] + 1);
	appendStringInfoString(&s, " LIMIT 1");
	touched->has_nulls = wh_spi_row(&row, s.data, 0, NULL, NULL);
	wh_touched_unregister();
}

/*
 * Find what the changed inputs (WhInput *) touch.  The set holds memory and
 * files until wh_touched_end.
 */
WhTouchedSet *
wh_touched_find(const WhQueryPlan *plan, List *changed)
{
	WhTouchedSet *set = palloc0(sizeof(WhTouchedSet));
	List	   *with_rows = NIL;
	ListCell   *lc,
			   *l2;

	foreach(lc, changed)
	{
		const WhInput *input = lfirst(lc);
		const WhQueryInput *query_input = plan_input(plan, input->relid);

		if (query_input == NULL)
			continue;
		if (query_input->whole || query_input->changed_name == NULL)
		{
			set->whole = true;
			return set;
		}
		/* a feed's view and its history may both be inputs: one set of images */
		foreach(l2, set->image_names)
			if (strcmp(lfirst(l2), query_input->changed_name) == 0)
				break;
		if (l2 == NULL)
		{
			set->image_stores = lappend(set->image_stores,
										wh_changed_register(input, query_input->changed_name));
			set->image_names = lappend(set->image_names, query_input->changed_name);
		}
		foreach(l2, query_input->touched)
		{
			const WhQueryTouched *part = lfirst(l2);
			WhTouched  *touched = touched_of(set, part);

			touched->sqls = lappend(touched->sqls, part->sql);
		}
	}
	foreach(lc, set->touched)
	{
		WhTouched  *touched = lfirst(lc);

		find_values(touched);
		if (touched->nrows > 0)
			with_rows = lappend(with_rows, touched);
		else
			tuplestore_end(touched->store);
	}
	set->touched = with_rows;
	return set;
}

/* Let go of what a set holds. */
void
wh_touched_end(WhTouchedSet *set)
{
	ListCell   *lc;

	foreach(lc, set->image_names)
		wh_spi_unregister(lfirst(lc));
	foreach(lc, set->image_stores)
		tuplestore_end(lfirst(lc));
	if (set->whole)
		return;
	foreach(lc, set->touched)
		tuplestore_end(((WhTouched *) lfirst(lc))->store);
}

/* Let queries read the touched values as WH_TOUCHED_NAME. */
void
wh_touched_register(const WhTouched *touched)
{
	wh_spi_register(WH_TOUCHED_NAME, touched->tupdesc, touched->store, touched->nrows);
}

/* And no longer. */
void
wh_touched_unregister(void)
{
	wh_spi_unregister(WH_TOUCHED_NAME);
}

/* Mode CURRENT: give the query for the touched units. */
const char *
wh_touched_sql(const WhQueryPlan *plan, const WhTouched *touched)
{
	const WhQueryUnit *unit = list_nth(plan->units, touched->unit);

	return touched->has_nulls ? unit->restricted_nulls_sql : unit->restricted_sql;
}

/* Append " AND (<alias>.<key columns>) are among the touched values". */
void
wh_touched_condition(StringInfo sql, const char *alias, const WhTouched *touched,
					 char *const *key_names)
{
	appendStringInfo(sql, touched->has_nulls ? " AND EXISTS (SELECT FROM %s w WHERE true" :
					 " AND (", WH_TOUCHED_NAME);
	for (int i = 0; i < touched->nkeys; i++)
	{
		int			k = touched->keys[i];

		if (touched->has_nulls)
			appendStringInfo(sql, " AND w.k%d IS NOT DISTINCT FROM %s.%s", k + 1, alias,
							 quote_identifier(key_names[k]));
		else
			appendStringInfo(sql, "%s%s.%s", i ? ", " : "", alias, quote_identifier(key_names[k]));
	}
	if (!touched->has_nulls)
	{
		appendStringInfoString(sql, ") IN (SELECT ");
		for (int i = 0; i < touched->nkeys; i++)
			appendStringInfo(sql, "%sk%d", i ? ", " : "", touched->keys[i] + 1);
		appendStringInfo(sql, " FROM %s", WH_TOUCHED_NAME);
	}
	appendStringInfoChar(sql, ')');
}
