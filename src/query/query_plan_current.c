/*
 * query_plan_current.c
 *	  Plans a definition that is evaluated on current rows: the units that each
 *	  input's changes touch.
 *
 * Runs in the process that creates or refreshes a dimension or fact.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "query/query_internal.h"

/* List the relations of a query that cannot be analysed: any change may change all. */
static bool
opaque_inputs_walker(Node *node, void *context)
{
	QueryDefinition *def = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		WhInputKind kind;
		StagedRelation *staged;
		WhQueryInput *input;

		if (rte->rtekind != RTE_RELATION || !rte->inFromCl)
			return false;
		staged = wh_query_find_staged(def->staged, rte->relid, &kind);
		if (staged == NULL && rte->relkind == RELKIND_VIEW)
		{
			Relation	rel = table_open(rte->relid, AccessShareLock);

			opaque_inputs_walker((Node *) get_view_query(rel), context);
			table_close(rel, NoLock);
			return false;
		}
		input = wh_query_input_of(def->plan, rte->relid, staged, kind);
		input->columns = bms_add_range(input->columns, 1, wh_query_relation_natts(rte->relid));
		input->whole = true;
		if (staged)
			input->whole_reason = pstrdup("The query is recursive, locks rows or is no plain SELECT.");
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, opaque_inputs_walker, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, opaque_inputs_walker, context);
}

/* Find or add the unit of a set of key columns; returns its index. */
static int
unit_of(WhQueryPlan *plan, int *keys, int nkeys)
{
	WhQueryUnit *unit;
	ListCell   *lc;

	foreach(lc, plan->units)
	{
		unit = lfirst(lc);
		if (unit->nkeys == nkeys && memcmp(unit->keys, keys, nkeys * sizeof(int)) == 0)
			return foreach_current_index(lc);
	}
	unit = palloc0(sizeof(WhQueryUnit));
	unit->nkeys = nkeys;
	memcpy(unit->keys, keys, nkeys * sizeof(int));
	plan->units = lappend(plan->units, unit);
	return list_length(plan->units) - 1;
}

/* What one unit of one input is found by, while paths are being collected. */
typedef struct UnitSelects
{
	int			unit;
	List	   *selects;
} UnitSelects;

/* Plan how changes of an input touch units. */
static void
plan_current_input(WhQueryPlan *plan, QueryAnalysis *qa, WhQueryInput *input)
{
	List	   *found = NIL;	/* of UnitSelects */
	ListCell   *ll,
			   *lf,
			   *la;

	foreach(ll, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(ll);

		if (leaf->relid != input->relid)
			continue;
		/* seen from each arm of a UNION ALL that the leaf is joined to */
		foreach(la, wh_query_arms_seen_by(qa, leaf))
		{
			int			keys[WH_MAX_KEY];
			char	   *sql;
			UnitSelects *u = NULL;
			int			unit;
			int			nkeys = wh_query_touched_current(qa, leaf, lfirst(la), keys, &sql,
														 &input->whole_reason, &plan->index_hints);

			if (nkeys == 0)
			{
				input->whole = true;
				return;
			}
			unit = unit_of(plan, keys, nkeys);
			foreach(lf, found)
				if (((UnitSelects *) lfirst(lf))->unit == unit)
					u = lfirst(lf);
			if (u == NULL)
			{
				u = palloc0(sizeof(UnitSelects));
				u->unit = unit;
				found = lappend(found, u);
			}
			if (!list_member(u->selects, makeString(sql)))
				u->selects = lappend(u->selects, makeString(sql));
		}
	}
	foreach(lf, found)
	{
		UnitSelects *u = lfirst(lf);
		WhQueryUnit *unit = list_nth(plan->units, u->unit);
		WhQueryTouched *touched = palloc0(sizeof(WhQueryTouched));

		foreach(la, u->selects)
			lfirst(la) = strVal(lfirst(la));
		touched->unit = u->unit;
		touched->nkeys = unit->nkeys;
		memcpy(touched->keys, unit->keys, sizeof(touched->keys));
		touched->sql = wh_query_union_of(u->selects);
		input->touched = lappend(input->touched, touched);
	}
}

/* Print the query for touched units of one kind. */
static char *
restricted_text(QueryDefinition *def, WhQueryUnit *unit, bool match_nulls)
{
	QueryAnalysis *qa = linitial(wh_query_analyze_arms(def));
	Query	   *query = ((QueryLevel *) linitial(qa->levels))->query;
	QueryEnvironment *env = wh_query_environment(qa);
	char	   *sql;

	wh_query_restrict(qa, unit, match_nulls);
	wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
	sql = wh_query_deparse(query);
	(void) wh_query_parse(sql, NULL, 0, env);
	return sql;
}

/* Print the whole query, ordered. */
static char *
whole_text(QueryDefinition *def)
{
	Query	   *query = copyObject(def->query);
	StringInfoData buf;

	if (query->limitCount == NULL && query->limitOffset == NULL)
	{
		wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
		return pg_get_querydef(query, false);
	}
	/* another order inside would keep other rows */
	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT * FROM (%s) wh_q", pg_get_querydef(query, false));
	query = wh_query_parse(buf.data, NULL, 0, NULL);
	wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
	return pg_get_querydef(query, false);
}

void
wh_query_plan_current(QueryDefinition *def)
{
	WhQueryPlan *plan = def->plan;
	ListCell   *lc;

	plan->whole_sql = whole_text(def);
	if (wh_query_is_opaque(def->query))
		opaque_inputs_walker((Node *) def->query, def);
	else
	{
		List	   *analyses = wh_query_analyze_arms(def);

		wh_query_list_inputs(plan, analyses);
		foreach(lc, plan->inputs)
			if (!((WhQueryInput *) lfirst(lc))->whole)
				plan_current_input(plan, linitial(analyses), lfirst(lc));
	}
	foreach(lc, plan->units)
	{
		WhQueryUnit *unit = lfirst(lc);

		unit->restricted_sql = restricted_text(def, unit, false);
		unit->restricted_nulls_sql = restricted_text(def, unit, true);
	}
}
