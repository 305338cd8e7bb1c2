/*
 * query_normalize.c
 *	  Brings a query into the few shapes that the analysis knows.
 *
 * CTEs and views over staged relations become subqueries, join aliases and
 * USING lists go, RIGHT becomes LEFT, outer joins that a condition makes inner
 * become inner, whole-row references become ROW(...).  Runs in the process
 * that analyses a query; locks the relations of the views it opens, in
 * AccessShareLock, to the end of the transaction.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "query/query_internal.h"

typedef struct NormalizeContext
{
	List	   *staged;
	WhQueryMode mode;
} NormalizeContext;

static void normalize_query(Query *query, NormalizeContext *nc);

/* Tell if a tree reads staged relations, itself or through views. */
static bool
reads_staged_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		WhInputKind kind;

		if (rte->rtekind == RTE_RELATION && rte->inFromCl)
		{
			if (wh_query_find_staged((List *) context, rte->relid, &kind))
				return true;
			if (rte->relkind == RELKIND_VIEW)
			{
				Relation	rel = table_open(rte->relid, AccessShareLock);
				bool		found = reads_staged_walker((Node *) get_view_query(rel), context);

				table_close(rel, NoLock);
				return found;
			}
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_staged_walker, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_staged_walker, context);
}

static bool
opaque_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->inFromCl && rte->relkind == RELKIND_VIEW)
		{
			Relation	rel = table_open(rte->relid, AccessShareLock);
			bool		found = opaque_walker((Node *) get_view_query(rel), context);

			table_close(rel, NoLock);
			return found;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks || query->hasRecursive)
			return true;
		return query_tree_walker(query, opaque_walker, context, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, opaque_walker, context);
}

/* Tell if normalisation would refuse the query. */
bool
wh_query_is_opaque(Query *query)
{
	return opaque_walker((Node *) query, NULL);
}

/* Raise the error for what cannot be evaluated as of a time. */
static void
refuse_opaque(Query *query)
{
	const char *what = NULL;

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		what = "a statement that is not a plain SELECT";
	else if (query->rowMarks)
		what = "FOR UPDATE or FOR SHARE";
	else if (query->hasRecursive)
		what = "WITH RECURSIVE";
	if (what)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a query with %s cannot be evaluated as of a time", what),
				 query->hasRecursive ?
				 errhint("Write the levels out as joins, or use history => 'none'.") :
				 errhint("Write a plain SELECT.")));
}

/* CTEs ------------------------------------------------------------------- */

/*
 * Make what a query only sorts or groups by columns of their own: more columns
 * come behind them later, and names are given by place.
 */
static void
show_hidden(Query *body, Alias *names)
{
	ListCell   *lc;

	foreach(lc, body->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		if (!te->resjunk)
			continue;
		te->resjunk = false;
		te->resname = psprintf("wh_hidden_%d", te->resno);
		names->colnames = lappend(names->colnames, makeString(pstrdup(te->resname)));
	}
}

typedef struct InlineContext
{
	const char *name;
	int			levels_up;
	Query	   *body;
} InlineContext;

static bool
inline_walker(Node *node, void *context)
{
	InlineContext *c = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		bool		result;

		c->levels_up++;
		result = query_tree_walker((Query *) node, inline_walker, context, QTW_EXAMINE_RTES_AFTER);
		c->levels_up--;
		return result;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && strcmp(rte->ctename, c->name) == 0 && rte->ctelevelsup == c->levels_up)
		{
			Query	   *body = copyObject(c->body);

			if (c->levels_up > 0)
				IncrementVarSublevelsUp((Node *) body, c->levels_up, 1);
			wh_query_to_subquery(rte, body, false);
			show_hidden(body, rte->eref);
			rte->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
			rte->ctename = NULL;
			rte->ctelevelsup = 0;
			rte->coltypes = rte->coltypmods = rte->colcollations = NIL;
		}
		return false;
	}
	return expression_tree_walker(node, inline_walker, context);
}

/* Views ------------------------------------------------------------------ */

/* Turn views that read staged relations, and are not staged, into subqueries. */
static void
expand_views(Query *query, NormalizeContext *nc)
{
	ListCell   *lc;

	foreach(lc, wh_query_reachable(query))
	{
		RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);
		WhInputKind kind;
		Relation	rel;
		Query	   *body;

		if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_VIEW ||
			wh_query_find_staged(nc->staged, rte->relid, &kind) != NULL ||
			!reads_staged_walker((Node *) rte, nc->staged))
			continue;
		rel = table_open(rte->relid, AccessShareLock);
		body = copyObject(get_view_query(rel));
		AcquireRewriteLocks(body, true, false);
		table_close(rel, NoLock);
		wh_query_to_subquery(rte, body, rte->lateral);
		show_hidden(body, rte->eref);
		rte->alias = makeAlias(rte->eref->aliasname, copyObject(rte->eref->colnames));
	}
}

/* Join aliases ----------------------------------------------------------- */

static void
flatten_jointree(Query *query, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		foreach(lc, from->fromlist)
			flatten_jointree(query, lfirst(lc));
		from->quals = wh_flatten_join_alias_vars(query, from->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		RangeTblEntry *rte = rt_fetch(join->rtindex, query->rtable);

		flatten_jointree(query, join->larg);
		flatten_jointree(query, join->rarg);
		join->quals = wh_flatten_join_alias_vars(query, join->quals);
		/* the entry's lists are needed until the level is done; its names go now */
		join->usingClause = NIL;
		join->alias = rte->alias = NULL;
		join->join_using_alias = rte->join_using_alias = NULL;
	}
}

static void
flatten_join_aliases(Query *query)
{
	bool		has_join = false;
	ListCell   *lc;

	foreach(lc, query->rtable)
		has_join |= lfirst_node(RangeTblEntry, lc)->rtekind == RTE_JOIN;
	if (!has_join)
		return;
	query->targetList = (List *) wh_flatten_join_alias_vars(query, (Node *) query->targetList);
	query->havingQual = wh_flatten_join_alias_vars(query, query->havingQual);
	query->limitCount = wh_flatten_join_alias_vars(query, query->limitCount);
	query->limitOffset = wh_flatten_join_alias_vars(query, query->limitOffset);
	foreach(lc, wh_query_reachable(query))
	{
		RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);

		if (rte->rtekind == RTE_SUBQUERY && rte->lateral)
			rte->subquery = (Query *) wh_flatten_join_alias_vars(query, (Node *) rte->subquery);
		else if (rte->rtekind == RTE_FUNCTION)
			rte->functions = (List *) wh_flatten_join_alias_vars(query, (Node *) rte->functions);
		else if (rte->rtekind == RTE_TABLEFUNC)
			rte->tablefunc = (TableFunc *) wh_flatten_join_alias_vars(query, (Node *) rte->tablefunc);
		else if (rte->rtekind == RTE_VALUES)
			rte->values_lists = (List *) wh_flatten_join_alias_vars(query, (Node *) rte->values_lists);
	}
	flatten_jointree(query, (Node *) query->jointree);
}

#ifdef WH_HAVE_RTE_GROUP
/* Replace references to grouping expressions by the expressions themselves. */
static void
flatten_grouping(Query *query)
{
	ListCell   *lc;

	if (!query->hasGroupRTE)
		return;
	query->targetList = (List *) flatten_group_exprs(NULL, query, (Node *) query->targetList);
	query->havingQual = flatten_group_exprs(NULL, query, query->havingQual);
	query->hasGroupRTE = false;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_GROUP)
		{
			rte->rtekind = RTE_RESULT;
			rte->groupexprs = NIL;
			rte->eref = makeAlias("*RESULT*", NIL);
		}
	}
}
#endif

static void
flip_right_joins(Query *query, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			flip_right_joins(query, lfirst(lc));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		flip_right_joins(query, join->larg);
		flip_right_joins(query, join->rarg);
		if (join->jointype == JOIN_RIGHT)
		{
			Node	   *larg = join->larg;

			join->larg = join->rarg;
			join->rarg = larg;
			join->jointype = rt_fetch(join->rtindex, query->rtable)->jointype = JOIN_LEFT;
		}
	}
}

/* Whole-row references ------------------------------------------------------ */

typedef struct WholeRowContext
{
	int			rti;
	int			levels_up;
	Oid			relid;
	WhQueryMode mode;
} WholeRowContext;

static bool
is_whole_row(Node *node, WholeRowContext *c)
{
	Var		   *var = (Var *) node;

	return IsA(node, Var) && var->varno == c->rti && var->varlevelsup == c->levels_up && var->varattno == 0;
}

static bool
whole_row_walker(Node *node, void *context)
{
	WholeRowContext *c = context;

	if (node == NULL)
		return false;
	if (is_whole_row(node, c))
		return true;
	if (IsA(node, Query))
	{
		bool		result;

		c->levels_up++;
		result = query_tree_walker((Query *) node, whole_row_walker, context, QTW_IGNORE_JOINALIASES);
		c->levels_up--;
		return result;
	}
	return expression_tree_walker(node, whole_row_walker, context);
}

/*
 * Make "CASE WHEN the leaf takes part THEN ROW(...)::type END".  The leaf's
 * subquery will show whether it takes part in a column after its own.
 */
static Node *
expand_whole_row(Var *var, WholeRowContext *c)
{
	RowExpr    *row = makeNode(RowExpr);
	NullTest   *test = makeNode(NullTest);
	CaseWhen   *when = makeNode(CaseWhen);
	CaseExpr   *result = makeNode(CaseExpr);
	int			natts = wh_query_relation_natts(c->relid);

	for (int i = 1; i <= natts; i++)
	{
		char	   *name = get_attname(c->relid, i, true);
		Oid			type,
					collation;
		int32		typmod;

		get_atttypetypmodcoll(c->relid, i, &type, &typmod, &collation);
		if (OidIsValid(type))
			row->args = lappend(row->args, makeVar(c->rti, i, type, typmod, collation, c->levels_up));
		else
			row->args = lappend(row->args, makeNullConst(INT4OID, -1, InvalidOid));	/* dropped */
		row->colnames = lappend(row->colnames, makeString(name));
	}
	row->row_typeid = var->vartype;
	row->row_format = COERCE_EXPLICIT_CAST;
	row->location = -1;
	test->arg = (Expr *) makeVar(c->rti, natts + 1,
								 c->mode == WH_QUERY_AS_OF ? TIMESTAMPTZOID : BOOLOID, -1, InvalidOid,
								 c->levels_up);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	when->expr = (Expr *) test;
	when->result = (Expr *) row;
	when->location = -1;
	result->casetype = var->vartype;
	result->args = list_make1(when);
	result->defresult = (Expr *) makeNullConst(var->vartype, -1, InvalidOid);
	result->location = -1;
	return (Node *) result;
}

static Node *
whole_row_mutator(Node *node, void *context)
{
	WholeRowContext *c = context;

	if (node == NULL)
		return NULL;
	if (is_whole_row(node, c))
		return expand_whole_row((Var *) node, c);
	if (IsA(node, Query))
	{
		Node	   *result;

		c->levels_up++;
		result = (Node *) query_tree_mutator((Query *) node, whole_row_mutator, context, QTW_IGNORE_JOINALIASES);
		c->levels_up--;
		return result;
	}
	return expression_tree_mutator(node, whole_row_mutator, context);
}

/*
 * Expand whole-row references to staged relations.  Copies all below the
 * query, so it comes before anything that keeps pointers to subqueries.
 */
static void
expand_whole_rows(Query *query, NormalizeContext *nc)
{
	ListCell   *lc;

	foreach(lc, wh_query_reachable(query))
	{
		RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);
		WholeRowContext c = {lfirst_int(lc), -1, rte->relid, nc->mode};
		WhInputKind kind;

		if (rte->rtekind != RTE_RELATION || !wh_query_find_staged(nc->staged, rte->relid, &kind) ||
			!whole_row_walker((Node *) query, &c))
			continue;
		c.levels_up = -1;
		memcpy(query, whole_row_mutator((Node *) query, &c), sizeof(Query));
		/* the name of that column is the mark that it is wanted */
		rte = rt_fetch(c.rti, query->rtable);
		rte->eref->colnames = lappend(rte->eref->colnames, makeString("wh_present"));
	}
}

/* --------------------------------------------------------------------------- */

static bool
below_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		normalize_query((Query *) node, context);
		return false;
	}
	return expression_tree_walker(node, below_walker, context);
}

static void
normalize_query(Query *query, NormalizeContext *nc)
{
	ListCell   *lc;

	check_stack_depth();
	refuse_opaque(query);
	/* in order, so that later bodies get earlier ones */
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);
		InlineContext c = {cte->ctename, -1, castNode(Query, cte->ctequery)};

		inline_walker((Node *) query, &c);
	}
	query->cteList = NIL;
	expand_views(query, nc);
#ifdef WH_HAVE_RTE_GROUP
	flatten_grouping(query);
#endif
	flatten_join_aliases(query);
	expand_whole_rows(query, nc);
	flip_right_joins(query, (Node *) query->jointree);
	wh_query_reduce_outer(query);
	query_tree_walker(query, below_walker, nc, QTW_IGNORE_JOINALIASES);
}

/* Normalise a query in place. */
void
wh_query_normalize(Query *query, List *staged, WhQueryMode mode)
{
	NormalizeContext nc = {staged, mode};

	normalize_query(query, &nc);
}
