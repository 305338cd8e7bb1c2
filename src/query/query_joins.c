/*
 * query_joins.c
 *	  Turns join trees so that the anchor comes first and outer joins come last.
 *
 * Both are for speed: a leaf that is joined directly beside the anchor can be
 * pulled up by the planner, with its interval condition.  Works on normalised
 * queries, in the process that analyses them.  Takes no locks.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"

#include "query/query_internal.h"

/* Return a join tree's entries as a set. */
static Bitmapset *
rti_set(Node *node)
{
	List	   *rtis = NIL;
	Bitmapset  *result = NULL;
	ListCell   *lc;

	wh_query_collect_rtis(node, &rtis);
	foreach(lc, rtis)
		result = bms_add_member(result, lfirst_int(lc));
	return result;
}

/* Tell if there is an outer join in a tree of joins. */
bool
wh_query_has_outer(Node *node)
{
	JoinExpr   *join = (JoinExpr *) node;

	return IsA(node, JoinExpr) &&
		(join->jointype != JOIN_INNER || wh_query_has_outer(join->larg) || wh_query_has_outer(join->rarg));
}

/*
 * Make outer joins inner where a condition above rejects the rows they would
 * null-extend.  "nonnullable" are the entries of which such a condition speaks.
 */
static void
reduce_joins(Query *query, Node *node, Bitmapset *nonnullable)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		nonnullable = bms_union(nonnullable, find_nonnullable_rels(from->quals));
		foreach(lc, from->fromlist)
			reduce_joins(query, lfirst(lc), nonnullable);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		Bitmapset  *on = find_nonnullable_rels(join->quals);

		if (join->jointype == JOIN_FULL)
		{
			bool		left = bms_overlap(nonnullable, rti_set(join->larg));
			bool		right = bms_overlap(nonnullable, rti_set(join->rarg));

			if (left && right)
				join->jointype = JOIN_INNER;
			else if (left)
				join->jointype = JOIN_LEFT;
			else if (right)
			{
				Node	   *larg = join->larg;

				join->larg = join->rarg;
				join->rarg = larg;
				join->jointype = JOIN_LEFT;
			}
		}
		else if (join->jointype == JOIN_LEFT && bms_overlap(nonnullable, rti_set(join->rarg)))
			join->jointype = JOIN_INNER;
		rt_fetch(join->rtindex, query->rtable)->jointype = join->jointype;
		switch (join->jointype)
		{
			case JOIN_INNER:
				reduce_joins(query, join->larg, bms_union(nonnullable, on));
				reduce_joins(query, join->rarg, bms_union(nonnullable, on));
				break;
			case JOIN_LEFT:
				reduce_joins(query, join->larg, nonnullable);
				reduce_joins(query, join->rarg, on);
				break;
			default:
				reduce_joins(query, join->larg, NULL);
				reduce_joins(query, join->rarg, NULL);
				break;
		}
	}
}

/* Reduce the outer joins of one level. */
void
wh_query_reduce_outer(Query *query)
{
	reduce_joins(query, (Node *) query->jointree, NULL);
}

/* Put an entry first in its join tree; an error where it may be null-extended. */
void
wh_query_anchor_first(Query *query, Node *node, int rti)
{
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		ListCell   *lc;

		foreach(lc, from->fromlist)
		{
			Node	   *item = lfirst(lc);

			if (!wh_query_has_rti(item, rti))
				continue;
			wh_query_anchor_first(query, item, rti);
			from->fromlist = lcons(item, list_delete_ptr(from->fromlist, item));
			return;
		}
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (wh_query_has_rti(join->rarg, rti))
		{
			Node	   *larg = join->larg;

			if (join->jointype != JOIN_INNER)
				elog(ERROR, "the anchor is on the nullable side of a join");
			join->larg = join->rarg;
			join->rarg = larg;
		}
		wh_query_anchor_first(query, join->larg, rti);
	}
}

/*
 * Let outer joins float up, so that those beside the anchor have it on their
 * preserved side:
 *
 *	  L op (X left Y on Q) on P  =  (L op X on P) left Y on Q
 *
 * when P does not mention Y and, for op left, Q rejects null-extended X.  Where
 * P rejects null-extended Y, that join is inner anyway.
 */
static Node *
float_outer(Node *node, bool beside_anchor)
{
	JoinExpr   *join = (JoinExpr *) node;
	JoinExpr   *inner;
	Bitmapset  *mentioned;

	if (!IsA(node, JoinExpr))
		return node;
	join->larg = float_outer(join->larg, beside_anchor);
	join->rarg = float_outer(join->rarg, false);
	mentioned = pull_varnos(NULL, join->quals);
	if (IsA(join->rarg, JoinExpr) && ((JoinExpr *) join->rarg)->jointype == JOIN_LEFT &&
		join->jointype != JOIN_FULL)
	{
		inner = (JoinExpr *) join->rarg;
		if (bms_overlap(find_nonnullable_rels(join->quals), rti_set(inner->rarg)))
		{
			inner->jointype = JOIN_INNER;
			return float_outer(node, beside_anchor);
		}
		if (!bms_overlap(mentioned, rti_set(inner->rarg)) &&
			(join->jointype == JOIN_INNER ||
			 bms_overlap(find_nonnullable_rels(inner->quals), rti_set(inner->larg))))
		{
			join->rarg = inner->larg;
			inner->larg = float_outer((Node *) join, beside_anchor);
			return (Node *) inner;
		}
	}
	if (!beside_anchor && join->jointype == JOIN_INNER &&
		IsA(join->larg, JoinExpr) && ((JoinExpr *) join->larg)->jointype == JOIN_LEFT)
	{
		inner = (JoinExpr *) join->larg;
		if (bms_overlap(find_nonnullable_rels(join->quals), rti_set(inner->rarg)))
		{
			inner->jointype = JOIN_INNER;
			return float_outer(node, beside_anchor);
		}
		if (!bms_overlap(mentioned, rti_set(inner->rarg)))
		{
			join->larg = inner->larg;
			inner->larg = float_outer((Node *) join, beside_anchor);
			return (Node *) inner;
		}
	}
	return node;
}

static bool
sublink_finder(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		return true;
	return expression_tree_walker(node, sublink_finder, context);
}

static Node *
and_quals(Node *a, Node *b)
{
	if (a == NULL)
		return b;
	return b == NULL ? a : make_and_qual(a, b);
}

/*
 * Take conditions with SubLinks out of an arm of inner joins and return them:
 * inside, they could not see the anchor's t.
 */
static Node *
take_sublinks(Node *node)
{
	JoinExpr   *join = (JoinExpr *) node;
	Node	   *taken;
	List	   *kept = NIL;
	ListCell   *lc;

	if (!IsA(node, JoinExpr))
		return NULL;
	if (join->jointype != JOIN_INNER)
	{
		if (sublink_finder(join->quals, NULL) || sublink_finder(join->larg, NULL) ||
			sublink_finder(join->rarg, NULL))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a subquery in the ON condition of an outer join that is nested in another join cannot be evaluated as of a time"),
					 errhint("Write the inner joins and their conditions as a subquery in FROM, or join the relations one after another.")));
		return NULL;
	}
	taken = and_quals(take_sublinks(join->larg), take_sublinks(join->rarg));
	foreach(lc, make_ands_implicit((Expr *) join->quals))
	{
		if (sublink_finder(lfirst(lc), NULL))
			taken = and_quals(taken, lfirst(lc));
		else
			kept = lappend(kept, lfirst(lc));
	}
	join->quals = kept ? (Node *) make_ands_explicit(kept) : NULL;
	return taken;
}

static void
take_sublinks_along(Node *node)
{
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		take_sublinks_along(join->larg);
		join->quals = and_quals(join->quals, take_sublinks(join->rarg));
	}
}

/* Float the outer joins of a level whose first FROM item starts with the anchor. */
void
wh_query_float_joins(Query *query)
{
	FromExpr   *from = query->jointree;
	Node	   *first = float_outer(linitial(from->fromlist), true);
	List	   *rest = NIL;
	ListCell   *lc;

	for_each_from(lc, from->fromlist, 1)
	{
		Node	   *item = float_outer(lfirst(lc), false);

		if (wh_query_has_outer(item))
		{
			/* joins the chain; its join entry is made when all are renewed */
			JoinExpr   *join = makeNode(JoinExpr);

			join->jointype = JOIN_INNER;
			join->larg = first;
			join->rarg = item;
			first = float_outer((Node *) join, true);
		}
		else
		{
			from->quals = and_quals(from->quals, take_sublinks(item));
			rest = lappend(rest, item);
		}
	}
	take_sublinks_along(first);
	from->fromlist = lcons(first, rest);
}

/* Tell if an outer join is left in an arm beside the anchor, with the entry in it. */
bool
wh_query_is_stuck(Node *node, int rti, bool inside)
{
	ListCell   *lc;
	bool		first = true;

	if (IsA(node, RangeTblRef))
		return inside && ((RangeTblRef *) node)->rtindex == rti;
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
		{
			if (wh_query_is_stuck(lfirst(lc), rti, !first && wh_query_has_outer(lfirst(lc))))
				return true;
			first = false;
		}
		return false;
	}
	return wh_query_is_stuck(((JoinExpr *) node)->larg, rti, inside) ||
		wh_query_is_stuck(((JoinExpr *) node)->rarg, rti,
						  inside || wh_query_has_outer(((JoinExpr *) node)->rarg));
}

/* Make the entry of one join anew, after those of its children; return its column names. */
static List *
renew_join_entry(Query *query, Node *node)
{
	JoinExpr   *join;
	RangeTblEntry *rte;
	Node	   *side[2];

	if (IsA(node, RangeTblRef))
		return rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->eref->colnames;
	join = castNode(JoinExpr, node);
	side[0] = join->larg;
	side[1] = join->rarg;
	rte = makeNode(RangeTblEntry);
	rte->rtekind = RTE_JOIN;
	rte->jointype = join->jointype;
	rte->inFromCl = true;
	rte->eref = makeAlias("unnamed_join", NIL);
	for (int s = 0; s < 2; s++)
	{
		List	   *names = renew_join_entry(query, side[s]);
		RangeTblEntry *child = IsA(side[s], RangeTblRef) ?
			rt_fetch(((RangeTblRef *) side[s])->rtindex, query->rtable) : NULL;
		ListCell   *lc;

		foreach(lc, names)
		{
			int			attno = foreach_current_index(lc) + 1;

			if (child && child->rtekind == RTE_RELATION && get_rte_attribute_is_dropped(child, attno))
				continue;
			rte->eref->colnames = lappend(rte->eref->colnames, lfirst(lc));
			rte->joinaliasvars = lappend(rte->joinaliasvars, makeNullConst(INT4OID, -1, InvalidOid));
			if (s == 0)
				rte->joinleftcols = lappend_int(rte->joinleftcols, attno);
			else
				rte->joinrightcols = lappend_int(rte->joinrightcols, attno);
		}
	}
	if (join->rtindex > 0)
	{
		RangeTblEntry *old = rt_fetch(join->rtindex, query->rtable);

		old->rtekind = RTE_RESULT;
		old->joinaliasvars = old->joinleftcols = old->joinrightcols = NIL;
		old->eref = makeAlias("*RESULT*", NIL);
		old->alias = NULL;
	}
	query->rtable = lappend(query->rtable, rte);
	join->rtindex = list_length(query->rtable);
	return rte->eref->colnames;
}

/*
 * Give every join of a level a new entry, at the end and children first, with
 * plain column lists: the deparser follows them, and they must cover columns
 * that rewriting added below.
 */
void
wh_query_renew_join_entries(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
		renew_join_entry(query, lfirst(lc));
}
