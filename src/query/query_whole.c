/*
 * query_whole.c
 *	  A query as a whole as of points in time, for what no path of equalities
 *	  can follow by keys: windows over several keys, FULL JOIN, ranges, UNION.
 *
 * The query is evaluated beside each point, every staged relation showing the
 * versions in effect there; nothing is known of single keys, so a change is
 * followed by all points from the first changed time on.  That costs a reading
 * of the whole for each point: it is for small inputs (definition/whole.c says
 * how small).  Runs in the process that analyses a query.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

/* Where the outer query has wh_points, and the definition's query. */
#define POINTS_RTI 1
#define QUERY_RTI 2

/* Replace the parameter in a leaf's subquery by t of wh_points, "depth" queries above it. */
static Node *
time_mutator(Node *node, void *context)
{
	int		   *depth = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
		return (Node *) makeVar(POINTS_RTI, 1, TIMESTAMPTZOID, -1, InvalidOid, *depth);
	return expression_tree_mutator(node, time_mutator, context);
}

/* Make a leaf show the versions in effect at t. */
static void
show_at_time(QueryLeaf *leaf)
{
	StringInfoData sql;
	Oid			type = TIMESTAMPTZOID;
	Query	   *subquery;
	int			depth = 1;		/* from the leaf's subquery up to the query beside wh_points */

	for (QueryLevel *level = leaf->level; level; level = level->parent)
		depth++;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	wh_query_append_columns(&sql, leaf, "h.effective_from AS wh_present");
	appendStringInfo(&sql, " FROM %s h WHERE $1 >= h.effective_from",
					 wh_query_relation_name(leaf->kind == WH_INPUT_HISTORY ? leaf->history : leaf->relid));
	if (leaf->kind == WH_INPUT_HISTORY)
		appendStringInfoString(&sql, " AND $1 < h.effective_to AND NOT h.is_deleted");
	subquery = wh_query_parse(sql.data, &type, 1, NULL);
	wh_query_replace_leaf(leaf, query_tree_mutator(subquery, time_mutator, &depth, 0), false);
}

/*
 * Let what a query is ordered by be seen from outside: returns the target
 * entries, in the order of the ORDER BY; those that were hidden get names.
 */
static List *
show_order(Query *query)
{
	List	   *result = NIL;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, query->sortClause)
	{
		TargetEntry *te = get_sortgroupclause_tle(lfirst_node(SortGroupClause, lc), query->targetList);

		if (te->resjunk)
		{
			te->resjunk = false;
			te->resname = psprintf("wh_order_%d", ++n);
		}
		result = lappend(result, te);
	}
	return result;
}

/* List the visible columns of a query, in the order in which they are printed. */
static List *
visible_columns(Query *query)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			result = lappend(result, lfirst(lc));
	return result;
}

/*
 * Write the SELECT around the query, with a subquery of the same columns in
 * its place: wh_k1.., wh_t, wh_until, then the definition's own columns.
 */
static char *
surrounding_text(WhQueryPlan *plan, List *columns)
{
	StringInfoData sql;
	StringInfoData inner,
				names;
	ListCell   *lc;

	initStringInfo(&sql);
	initStringInfo(&inner);
	initStringInfo(&names);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(&sql, "q.c%d AS wh_k%d, ", plan->key_attnos[i], i + 1);
	appendStringInfoString(&sql, "p.t AS wh_t, p.until AS wh_until");
	for (int i = 0; i < plan->result->natts; i++)
		appendStringInfo(&sql, ", q.c%d AS %s", i + 1,
						 quote_identifier(NameStr(TupleDescAttr(plan->result, i)->attname)));
	foreach(lc, columns)
	{
		Node	   *expr = (Node *) lfirst_node(TargetEntry, lc)->expr;

		appendStringInfo(&inner, "%sNULL::%s", inner.len ? ", " : "", format_type_with_typemod(exprType(expr), exprTypmod(expr)));
		appendStringInfo(&names, "%sc%d", names.len ? ", " : "", foreach_current_index(lc) + 1);
	}
	appendStringInfo(&sql, " FROM " WH_POINTS_NAME " p CROSS JOIN LATERAL (SELECT %s) q(%s) WHERE ", inner.data, names.data);
	for (int i = 0; i < plan->nkeys; i++)
		appendStringInfo(&sql, "%sq.c%d IS NOT NULL", i ? " AND " : "", plan->key_attnos[i]);
	return sql.data;
}

/* Order the surrounding query as the definition orders its rows, within key and time. */
static void
order_surrounding(Query *outer, Query *query, List *order, List *columns, int nkeys)
{
	AttrNumber	resnos[WH_MAX_KEY + 1];
	ListCell   *lo,
			   *ls;

	forboth(lo, order, ls, query->sortClause)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lo);
		SortGroupClause *sort = copyObject(lfirst_node(SortGroupClause, ls));
		Node	   *expr = (Node *) te->expr;
		AttrNumber	attno = 0;
		TargetEntry *own;
		ListCell   *lc;

		foreach(lc, columns)
			if (lfirst(lc) == te)
				attno = foreach_current_index(lc) + 1;
		own = makeTargetEntry((Expr *) makeVar(QUERY_RTI, attno, exprType(expr), exprTypmod(expr), exprCollation(expr), 0),
							  list_length(outer->targetList) + 1, NULL, true);
		outer->targetList = lappend(outer->targetList, own);
		sort->tleSortGroupRef = assignSortGroupRef(own, outer->targetList);
		outer->sortClause = lappend(outer->sortClause, sort);
	}
	for (int i = 0; i <= nkeys; i++)
		resnos[i] = i + 1;
	wh_query_add_order(outer, resnos, nkeys + 1);
}

/* Write the SELECT of every time at which a leaf's versions begin or end. */
static void
append_times(StringInfo sql, QueryLeaf *leaf)
{
	bool		history = leaf->kind == WH_INPUT_HISTORY;
	char	   *relation = wh_query_relation_name(history ? leaf->history : leaf->relid);

	appendStringInfo(sql, "%sSELECT effective_from AS t FROM %s%s", sql->len ? "\nUNION " : "", relation,
					 history ? " WHERE NOT is_deleted" : "");
	if (history)
		appendStringInfo(sql, "\nUNION SELECT effective_to FROM %s WHERE NOT is_deleted", relation);
}

/*
 * Write the SELECT of the first time for which changed images of an input tell
 * anything new.  That a version was closed is told by what closed it.
 */
static char *
first_change_text(const WhQueryInput *input, const StagedRelation *staged)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT pg_catalog.min(c.effective_from) FROM %s c", input->changed_name);
	if (input->kind != WH_INPUT_HISTORY)
		return sql.data;
	appendStringInfo(&sql, " WHERE NOT EXISTS (SELECT FROM %s h WHERE h.effective_from = c.effective_from"
					 " AND h.effective_to < c.effective_to AND h.batch_id = c.batch_id",
					 wh_query_relation_name(input->image_relid));
	foreach(lc, staged->key)
	{
		const char *name = quote_identifier(lfirst(lc));
		Oid			type = get_atttype(input->image_relid, get_attnum(input->image_relid, lfirst(lc)));

		appendStringInfo(&sql, " AND h.%s ", name);
		wh_query_append_operator(&sql, wh_query_equality_operator(type));
		appendStringInfo(&sql, " c.%s", name);
	}
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Plan a normalised and analysed query, which is changed.  The plan's inputs
 * are known.  Returns NULL when it reads nothing that has a time.
 */
WhQueryWhole *
wh_query_plan_whole(QueryAnalysis *qa, WhQueryPlan *plan)
{
	WhQueryWhole *whole = palloc0(sizeof(WhQueryWhole));
	Query	   *query = ((QueryLevel *) linitial(qa->levels))->query;
	QueryEnvironment *env = wh_query_whole_environment();
	StringInfoData times;
	List	   *order;
	List	   *columns;
	Query	   *outer;
	ListCell   *lc;

	initStringInfo(&times);
	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);

		if (leaf->kind == WH_INPUT_LOOKUP)
			continue;
		append_times(&times, leaf);
		show_at_time(leaf);
	}
	if (times.len == 0)
		return NULL;
	foreach(lc, qa->levels)
		wh_query_renew_join_entries(((QueryLevel *) lfirst(lc))->query);
	order = show_order(query);
	columns = visible_columns(query);
	outer = wh_query_parse(surrounding_text(plan, columns), NULL, 0, env);
	Assert(rt_fetch(POINTS_RTI, outer->rtable)->rtekind == RTE_NAMEDTUPLESTORE);
	rt_fetch(QUERY_RTI, outer->rtable)->subquery = query;
	order_surrounding(outer, query, order, columns, plan->nkeys);
	whole->rows_sql = wh_query_deparse(outer);
	(void) wh_query_parse(whole->rows_sql, NULL, 0, env);
	whole->times_sql = times.data;
	foreach(lc, plan->inputs)
	{
		WhQueryInput *input = lfirst(lc);
		WhInputKind kind;

		if (input->kind != WH_INPUT_LOOKUP)
			input->first_change_sql = first_change_text(input, wh_query_find_staged(qa->staged, input->relid, &kind));
	}
	return whole;
}
