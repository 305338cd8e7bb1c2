/*
 * query_filter.c
 *	  Conditions of a query that speak of one leaf alone.
 *
 * A row of the leaf that fails them is none for the query.  So such rows touch
 * no key, and a key that is an expression is not computed from them: it may be
 * one that fails where the condition does, as a cast of what the condition
 * tells apart.  Runs in the process that analyses a query; takes no locks.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "utils/ruleutils.h"

#include "query/query_internal.h"

/* Say whether a condition reads nothing but columns of the leaf. */
static bool
speaks_of_leaf_alone(QueryLeaf *leaf, Node *condition)
{
	Bitmapset  *used;
	ListCell   *lc;

	if (checkExprHasSubLink(condition) || contain_vars_of_level(condition, 1) || contain_volatile_functions(condition))
		return false;
	used = pull_varnos(NULL, condition);
	if (!bms_equal(used, bms_make_singleton(leaf->rti)))
		return false;
	foreach(lc, pull_var_clause(condition, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS | PVC_RECURSE_PLACEHOLDERS))
	{
		AttrNumber	attno = ((Var *) lfirst(lc))->varattno;

		if (attno <= 0 || attno > wh_query_relation_natts(leaf->relid))
			return false;
	}
	return true;
}

static void
add_conditions(QueryLeaf *leaf, Node *quals)
{
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) quals))
	{
		Node	   *condition = lfirst(lc);

		if (!speaks_of_leaf_alone(leaf, condition))
			continue;
		condition = copyObject(condition);
		ChangeVarNodes(condition, leaf->rti, 1, 0);
		leaf->filter = make_and_qual(leaf->filter, condition);
	}
}

/* Take the conditions of WHERE and of inner joins. */
static void
collect(QueryLeaf *leaf, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		add_conditions(leaf, from->quals);
		foreach(lc, from->fromlist)
			collect(leaf, lfirst(lc));
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_INNER)
	{
		JoinExpr   *join = (JoinExpr *) node;

		add_conditions(leaf, join->quals);
		collect(leaf, join->larg);
		collect(leaf, join->rarg);
	}
	else if (IsA(node, JoinExpr) && ((JoinExpr *) node)->jointype == JOIN_LEFT)
		collect(leaf, ((JoinExpr *) node)->larg);
}

/* Find the filter of each leaf of an analysis, before its query is rewritten. */
void
wh_query_find_filters(QueryAnalysis *qa)
{
	ListCell   *lc;

	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);
		Node	   *jointree = (Node *) leaf->level->query->jointree;

		/* the absence of a row that an outer join misses may be what the condition wants */
		if (!wh_query_nullable_rti(jointree, leaf->rti))
			collect(leaf, jointree);
	}
}

/* Print a leaf's filter, the leaf being called "alias"; NULL when it has none.  search_path must be empty. */
char *
wh_query_filter_text(QueryLeaf *leaf, const char *alias)
{
	if (leaf->filter == NULL)
		return NULL;
	return deparse_expression(leaf->filter, deparse_context_for(alias, leaf->relid), true, false);
}
