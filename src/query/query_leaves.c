/*
 * query_leaves.c
 *	  Lists a normalised query's levels and leaves, and follows columns down.
 *
 * Runs in the process that analyses a query.  Takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

typedef struct LevelContext
{
	QueryAnalysis *qa;
	QueryLevel *level;
} LevelContext;

static QueryLevel *build_level(QueryAnalysis *qa, Query *query, QueryLevel *parent, int parent_rti);

/* Find the SubLinks of one level; their subqueries are levels of their own. */
static bool
sublink_walker(Node *node, void *context)
{
	LevelContext *c = context;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) node;
		QueryLevel *level = build_level(c->qa, castNode(Query, link->subselect), c->level, 0);

		level->is_exists = link->subLinkType == EXISTS_SUBLINK;
		return sublink_walker(link->testexpr, context);
	}
	return expression_tree_walker(node, sublink_walker, context);
}

/* Add a use of a relation. */
static void
add_leaf(QueryAnalysis *qa, QueryLevel *level, int rti)
{
	RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);
	QueryLeaf  *leaf = palloc0(sizeof(QueryLeaf));

	leaf->id = list_length(qa->leaves);
	leaf->level = level;
	leaf->rti = rti;
	leaf->relid = rte->relid;
	leaf->staged = wh_query_find_staged(qa->staged, rte->relid, &leaf->kind);
	if (leaf->kind == WH_INPUT_HISTORY)
		leaf->history = leaf->staged->history;
	/* normalisation added a name when it expanded a whole-row reference */
	leaf->whole_row = list_length(rte->eref->colnames) > wh_query_relation_natts(rte->relid);
	qa->leaves = lappend(qa->leaves, leaf);
}

/* Add a level and everything below it. */
static QueryLevel *
build_level(QueryAnalysis *qa, Query *query, QueryLevel *parent, int parent_rti)
{
	QueryLevel *level = palloc0(sizeof(QueryLevel));
	LevelContext context = {qa, level};
	ListCell   *lc;

	level->query = query;
	level->parent = parent;
	level->parent_rti = parent_rti;
	qa->levels = lappend(qa->levels, level);
	foreach(lc, wh_query_reachable(query))
	{
		int			rti = lfirst_int(lc);
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_RELATION)
			add_leaf(qa, level, rti);
		else if (rte->rtekind == RTE_SUBQUERY)
			build_level(qa, rte->subquery, level, rti);
	}
	query_tree_walker(query, sublink_walker, &context,
					  QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES | QTW_IGNORE_JOINALIASES);
	return level;
}

/* Note the columns of leaves that the level's expressions read. */
static bool
column_walker(Node *node, void *context)
{
	LevelContext *c = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		QueryLevel *level = c->level;
		ListCell   *lc;

		for (int up = var->varlevelsup; up > 0 && level; up--)
			level = level->parent;
		foreach(lc, c->qa->leaves)
		{
			QueryLeaf  *leaf = lfirst(lc);

			if (leaf->level != level || leaf->rti != var->varno)
				continue;
			if (var->varattno > 0)
				leaf->columns = bms_add_member(leaf->columns, var->varattno);
			else if (var->varattno == 0)
				leaf->columns = bms_add_range(leaf->columns, 1, wh_query_relation_natts(leaf->relid));
		}
		return false;
	}
	if (IsA(node, Query))
	{
		LevelContext below = *c;
		ListCell   *lc;

		foreach(lc, c->qa->levels)
			if (((QueryLevel *) lfirst(lc))->query == (Query *) node)
				below.level = lfirst(lc);
		return query_tree_walker((Query *) node, column_walker, &below, QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, column_walker, context);
}

/*
 * Analyse a normalised query, which belongs to the analysis from here on:
 * rewriting changes it.
 */
QueryAnalysis *
wh_query_analyze(Query *query, List *staged, WhQueryMode mode)
{
	QueryAnalysis *qa = palloc0(sizeof(QueryAnalysis));
	LevelContext context = {qa};

	qa->mode = mode;
	qa->staged = staged;
	build_level(qa, query, NULL, 0);
	column_walker((Node *) query, &context);
	wh_query_find_filters(qa);
	return qa;
}

/* Return the name by which the query calls a leaf. */
const char *
wh_query_leaf_name(QueryLeaf *leaf)
{
	return rt_fetch(leaf->rti, leaf->level->query->rtable)->eref->aliasname;
}

/* Find the level of a subquery in FROM; NULL for other entries. */
QueryLevel *
wh_query_child_level(QueryAnalysis *qa, QueryLevel *parent, int rti)
{
	ListCell   *lc;

	foreach(lc, qa->levels)
	{
		QueryLevel *level = lfirst(lc);

		if (level->parent == parent && level->parent_rti == rti)
			return level;
	}
	return NULL;
}

/* Return the ids of all leaves at or below a level, of SubLinks too if asked. */
Bitmapset *
wh_query_leaves_below(QueryAnalysis *qa, QueryLevel *level, bool through_sublinks)
{
	Bitmapset  *result = NULL;
	ListCell   *lc;

	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);
		QueryLevel *l = leaf->level;

		while (l != NULL && l != level)
			l = (l->parent_rti || through_sublinks) ? l->parent : NULL;
		if (l == level)
			result = bms_add_member(result, leaf->id);
	}
	return result;
}

/* Tell if a condition on an output column says something of each input row. */
bool
wh_query_passes_down(Query *query, TargetEntry *te)
{
	ListCell   *lc;

	if (query->setOperations || query->limitCount || query->limitOffset || query->groupingSets)
		return false;
	if (query->distinctClause && query->hasDistinctOn &&
		!targetIsInSortList(te, InvalidOid, query->distinctClause))
		return false;
	if ((query->hasAggs || query->groupClause || query->havingQual) &&
		!targetIsInSortList(te, InvalidOid, query->groupClause))
		return false;
	if (query->hasWindowFuncs)
		foreach(lc, query->windowClause)
			if (!targetIsInSortList(te, InvalidOid, lfirst_node(WindowClause, lc)->partitionClause))
				return false;
	return true;
}

/* Find the arm of a UNION ALL that holds the leaf. */
static QueryLevel *
arm_of_leaf(QueryAnalysis *qa, QueryLevel *level, QueryLeaf *leaf)
{
	QueryLevel *l;

	if (leaf == NULL || !wh_query_is_union_all(level->query))
		return NULL;
	for (l = leaf->level; l != NULL; l = l->parent)
		if (l->parent == level && l->parent_rti != 0)
			return l;
	return NULL;
}

typedef struct ResolveContext
{
	QueryAnalysis *qa;
	QueryLevel *level;
	QueryLeaf  *for_leaf;
	QueryLeaf  *leaf;			/* found so far */
	bool		nullable;
	bool		failed;
} ResolveContext;

static Node *resolve_mutator(Node *node, void *context);

/* Follow an output column of a level down to leaf columns. */
static Node *
resolve_output(ResolveContext *c, QueryLevel *level, AttrNumber resno)
{
	TargetEntry *te = get_tle_by_resno(level->query->targetList, resno);
	QueryLevel *saved = c->level;
	Node	   *result = NULL;

	if (te != NULL && level->query->setOperations != NULL)
	{
		QueryLevel *arm = arm_of_leaf(c->qa, level, c->for_leaf);

		if (arm != NULL)
			return resolve_output(c, arm, resno);
	}
	else if (te != NULL && wh_query_passes_down(level->query, te))
	{
		c->level = level;
		result = resolve_mutator((Node *) te->expr, c);
		c->level = saved;
		return result;
	}
	c->failed = true;
	return NULL;
}

static Node *
resolve_var(ResolveContext *c, Var *var)
{
	QueryLevel *level = c->level;
	RangeTblEntry *rte;
	ListCell   *lc;

	for (int up = var->varlevelsup; up > 0; up--)
		level = level->parent;
	rte = rt_fetch(var->varno, level->query->rtable);
	if (wh_query_nullable_rti((Node *) level->query->jointree, var->varno))
		c->nullable = true;
	if (rte->rtekind == RTE_RELATION && var->varattno > 0)
	{
		foreach(lc, c->qa->leaves)
		{
			QueryLeaf  *leaf = lfirst(lc);

			if (leaf->level != level || leaf->rti != var->varno)
				continue;
			if (c->leaf != NULL && c->leaf != leaf)
				break;
			/* whether the leaf takes part, beside a whole row: no table has that */
			if (var->varattno > wh_query_relation_natts(leaf->relid))
				break;
			c->leaf = leaf;
			return (Node *) makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
		}
	}
	else if (rte->rtekind == RTE_SUBQUERY && var->varattno > 0)
	{
		QueryLevel *below = wh_query_child_level(c->qa, level, var->varno);

		if (below != NULL)
			return resolve_output(c, below, var->varattno);
	}
	c->failed = true;
	return NULL;
}

static Node *
resolve_mutator(Node *node, void *context)
{
	ResolveContext *c = context;

	if (node == NULL || c->failed)
		return NULL;
	switch (nodeTag(node))
	{
		case T_Var:
			return resolve_var(c, (Var *) node);
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubLink:
		case T_Param:
		case T_CurrentOfExpr:
			c->failed = true;
			return NULL;
		default:
			return expression_tree_mutator(node, resolve_mutator, context);
	}
}

/* Find a function that is neither immutable nor one of the server's own stable ones. */
static bool
unsteady_function(Oid funcid, void *context)
{
	char		volatility = func_volatile(funcid);

	/* under pinned settings the server's own stable functions are steady */
	return volatility == PROVOLATILE_VOLATILE ||
		(volatility == PROVOLATILE_STABLE && get_func_namespace(funcid) != PG_CATALOG_NAMESPACE);
}

static bool
unsteady_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, unsteady_function, context) ||
		expression_tree_walker(node, unsteady_walker, context);
}

/* Judge what was found and fill in the term. */
static bool
finish_term(ResolveContext *c, Node *expr, QueryTerm *term)
{
	if (c->failed || expr == NULL || expression_returns_set(expr) || unsteady_walker(expr, NULL))
		return false;
	while (IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	term->leaf = c->leaf ? c->leaf->id : -1;
	term->expr = expr;
	term->nullable = c->nullable;
	term->strict = c->leaf != NULL && !contain_nonstrict_functions(expr);
	return c->leaf != NULL || !c->nullable;
}

/*
 * Follow an expression of a level down to one leaf: false if it cannot be
 * followed or reads several leaves.  Under a UNION ALL the arm that holds
 * "for_leaf" is taken.  A term that is nullable and not strict has the leaf's
 * value only where the leaf takes part.
 */
bool
wh_query_resolve(QueryAnalysis *qa, QueryLevel *level, Node *node, QueryLeaf *for_leaf, QueryTerm *term)
{
	ResolveContext c = {qa, level, for_leaf};

	return finish_term(&c, resolve_mutator(node, &c), term);
}

/* The same for an output column of a level. */
bool
wh_query_resolve_output(QueryAnalysis *qa, QueryLevel *level, AttrNumber resno, QueryLeaf *for_leaf,
						QueryTerm *term)
{
	ResolveContext c = {qa, level, for_leaf};

	return finish_term(&c, resolve_output(&c, level, resno), term);
}
