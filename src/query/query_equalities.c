/*
 * query_equalities.c
 *	  Collects the equality conditions of a query, each with the leaves that
 *	  take part in a result row only where it holds.
 *
 * These are what touched keys and change points are followed along.  Runs in
 * the process that analyses a query.  Takes no locks.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

typedef struct CollectContext
{
	QueryAnalysis *qa;
	QueryLeaf  *for_leaf;		/* whose arm to take under a UNION ALL */
	List	   *result;
} CollectContext;

/* Strip relabelling that changes no value. */
static Node *
strip_relabel(Node *node)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* A condition that passes down into a subquery is necessary for all below it. */
static Bitmapset *
necessary_below(CollectContext *c, QueryLevel *level, Node *arg, List *rtis, Bitmapset *necessary)
{
	Node	   *node = strip_relabel(arg);

	if (node && IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		list_member_int(rtis, ((Var *) node)->varno))
	{
		QueryLevel *below = wh_query_child_level(c->qa, level, ((Var *) node)->varno);

		if (below)
			return bms_union(necessary, wh_query_leaves_below(c->qa, below, false));
	}
	return necessary;
}

/* Tell if an operator may link rows: strict, and of a kind joins can use. */
static bool
is_linking_operator(Oid opno, Oid left_type)
{
	return op_strict(opno) && (op_mergejoinable(opno, left_type) || op_hashjoinable(opno, left_type));
}

static void
add_equality(CollectContext *c, OpExpr *op, QueryTerm *left, QueryTerm *right, Bitmapset *necessary)
{
	QueryEquality *e;

	if (left->leaf == right->leaf || left->leaf < 0 || right->leaf < 0)
		return;
	e = palloc0(sizeof(QueryEquality));
	e->side[0] = *left;
	e->side[1] = *right;
	e->opno = op->opno;
	e->collation = op->inputcollid;
	e->necessary = necessary;
	c->result = lappend(c->result, e);
}

/* x IN (SELECT y ...), not negated: x = y is necessary for the leaves inside. */
static void
add_in(CollectContext *c, QueryLevel *level, SubLink *link)
{
	OpExpr	   *op = (OpExpr *) link->testexpr;
	Query	   *query = castNode(Query, link->subselect);
	Node	   *right = strip_relabel(lsecond(op->args));
	QueryLevel *below = NULL;
	QueryTerm	lterm,
				rterm;
	TargetEntry *te;
	Bitmapset  *necessary = NULL;
	ListCell   *lc;

	foreach(lc, c->qa->levels)
		if (((QueryLevel *) lfirst(lc))->query == query)
			below = lfirst(lc);
	if (below == NULL || right == NULL || !IsA(right, Param) ||
		((Param *) right)->paramkind != PARAM_SUBLINK ||
		!is_linking_operator(op->opno, exprType(linitial(op->args))) ||
		!wh_query_resolve(c->qa, level, linitial(op->args), c->for_leaf, &lterm))
		return;
	te = get_tle_by_resno(query->targetList, ((Param *) right)->paramid);
	if (!wh_query_passes_down(query, te) ||
		!wh_query_resolve(c->qa, below, (Node *) te->expr, c->for_leaf, &rterm))
		return;
	foreach(lc, c->qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);

		if (leaf->level == below)
			necessary = bms_add_member(necessary, leaf->id);
	}
	add_equality(c, op, &lterm, &rterm, necessary);
}

/* Walk the conjuncts of a condition that is necessary for "necessary". */
static void
add_quals(CollectContext *c, QueryLevel *level, Node *quals, Bitmapset *necessary, List *rtis)
{
	ListCell   *lc;

	if (quals == NULL || (bms_is_empty(necessary) && rtis == NIL))
		return;
	if (IsA(quals, List))
	{
		foreach(lc, (List *) quals)
			add_quals(c, level, lfirst(lc), necessary, rtis);
	}
	else if (is_andclause(quals))
	{
		foreach(lc, ((BoolExpr *) quals)->args)
			add_quals(c, level, lfirst(lc), necessary, rtis);
	}
	else if (IsA(quals, OpExpr) && list_length(((OpExpr *) quals)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) quals;
		QueryTerm	left,
					right;

		if (is_linking_operator(op->opno, exprType(linitial(op->args))) &&
			wh_query_resolve(c->qa, level, linitial(op->args), c->for_leaf, &left) &&
			wh_query_resolve(c->qa, level, lsecond(op->args), c->for_leaf, &right))
		{
			Bitmapset  *n = necessary_below(c, level, linitial(op->args), rtis, necessary);

			add_equality(c, op, &left, &right, necessary_below(c, level, lsecond(op->args), rtis, n));
		}
	}
	else if (IsA(quals, SubLink) && ((SubLink *) quals)->subLinkType == ANY_SUBLINK &&
			 IsA(((SubLink *) quals)->testexpr, OpExpr))
		add_in(c, level, (SubLink *) quals);
}

static Bitmapset *collect_level(CollectContext *c, QueryLevel *level);

/* Return the leaves of which a condition above the node speaks row by row. */
static Bitmapset *
collect_jointree(CollectContext *c, QueryLevel *level, Node *node)
{
	Bitmapset  *leaves = NULL;
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (IsA(node, RangeTblRef))
	{
		int			rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);

		if (rte->rtekind == RTE_RELATION)
		{
			foreach(lc, c->qa->leaves)
			{
				QueryLeaf  *leaf = lfirst(lc);

				if (leaf->level == level && leaf->rti == rti)
					leaves = bms_make_singleton(leaf->id);
			}
		}
		else if (rte->rtekind == RTE_SUBQUERY)
		{
			Query	   *query = rte->subquery;

			leaves = collect_level(c, wh_query_child_level(c->qa, level, rti));
			/* conditions above say nothing of single rows below these */
			if (query->limitCount || query->limitOffset || query->hasDistinctOn || query->hasWindowFuncs)
				leaves = NULL;
		}
	}
	else if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		List	   *rtis = NIL;

		foreach(lc, from->fromlist)
			leaves = bms_add_members(leaves, collect_jointree(c, level, lfirst(lc)));
		wh_query_collect_rtis(node, &rtis);
		add_quals(c, level, from->quals, bms_copy(leaves), rtis);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);
		Bitmapset  *left = collect_jointree(c, level, join->larg);
		Bitmapset  *right = collect_jointree(c, level, join->rarg);
		List	   *rtis = NIL;

		leaves = bms_union(left, right);
		wh_query_collect_rtis(join->rarg, &rtis);
		if (join->jointype == JOIN_INNER)
		{
			wh_query_collect_rtis(join->larg, &rtis);
			add_quals(c, level, join->quals, bms_copy(leaves), rtis);
		}
		else if (join->jointype == JOIN_LEFT)
			add_quals(c, level, join->quals, bms_copy(right), rtis);
	}
	return leaves;
}

static Bitmapset *
collect_level(CollectContext *c, QueryLevel *level)
{
	Bitmapset  *leaves = collect_jointree(c, level, (Node *) level->query->jointree);
	List	   *arms = NIL;
	ListCell   *lc;

	wh_query_collect_rtis(level->query->setOperations, &arms);
	foreach(lc, arms)
		leaves = bms_add_members(leaves, collect_level(c, wh_query_child_level(c->qa, level, lfirst_int(lc))));
	return leaves;
}

/* Collect every equality; "for_leaf" picks the arm under a UNION ALL. */
List *
wh_query_equalities(QueryAnalysis *qa, QueryLeaf *for_leaf)
{
	CollectContext c = {qa, for_leaf, NIL};
	ListCell   *lc;

	/* a parent collects its subqueries; the top and SubLinks have none */
	foreach(lc, qa->levels)
	{
		QueryLevel *level = lfirst(lc);

		if (level->parent_rti == 0)
			collect_level(&c, level);
	}
	return c.result;
}

/* Return the equalities that hold wherever the leaf takes part. */
List *
wh_query_held(List *equalities, QueryLeaf *leaf)
{
	Bitmapset  *part = bms_make_singleton(leaf->id);
	List	   *held = NIL;
	bool		more = true;
	ListCell   *lc;

	while (more)
	{
		more = false;
		foreach(lc, equalities)
		{
			QueryEquality *e = lfirst(lc);

			if (list_member_ptr(held, e) || !bms_overlap(e->necessary, part))
				continue;
			held = lappend(held, e);
			/* a strict side that is not NULL belongs to a row that takes part */
			for (int i = 0; i < 2; i++)
				if (e->side[i].strict)
					part = bms_add_member(part, e->side[i].leaf);
			more = true;
		}
	}
	return held;
}

/* Return the terms known equal to a term through the equalities held, itself first. */
List *
wh_query_equal_terms(List *held, QueryTerm *term)
{
	List	   *result = list_make1(term);
	bool		more = true;
	ListCell   *lc,
			   *lt;

	while (more)
	{
		more = false;
		foreach(lc, held)
		{
			QueryEquality *e = lfirst(lc);
			bool		has[2] = {false, false};

			foreach(lt, result)
			{
				QueryTerm  *t = lfirst(lt);

				for (int i = 0; i < 2; i++)
					has[i] |= t->leaf == e->side[i].leaf && equal(t->expr, e->side[i].expr);
			}
			if (has[0] != has[1])
			{
				result = lappend(result, &e->side[has[0] ? 1 : 0]);
				more = true;
			}
		}
	}
	return result;
}
