/*
 * query_tree.c
 *	  What every step of the analysis asks of a query's tree.
 *
 * The ground of this folder: uses none of its other files, changes nothing,
 * takes no locks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "utils/syscache.h"

#include "query/query_internal.h"

/* Append the range table entries that a join tree or set operation refers to. */
void
wh_query_collect_rtis(Node *node, List **rtis)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, RangeTblRef))
		*rtis = lappend_int(*rtis, ((RangeTblRef *) node)->rtindex);
	else if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			wh_query_collect_rtis(lfirst(lc), rtis);
	}
	else if (IsA(node, JoinExpr))
	{
		wh_query_collect_rtis(((JoinExpr *) node)->larg, rtis);
		wh_query_collect_rtis(((JoinExpr *) node)->rarg, rtis);
	}
	else if (IsA(node, SetOperationStmt))
	{
		wh_query_collect_rtis(((SetOperationStmt *) node)->larg, rtis);
		wh_query_collect_rtis(((SetOperationStmt *) node)->rarg, rtis);
	}
}

/*
 * Return the entries in use: those of the FROM clause and the set operation.
 * A stored view also carries entries that nothing refers to.
 */
List *
wh_query_reachable(Query *query)
{
	List	   *rtis = NIL;

	wh_query_collect_rtis((Node *) query->jointree, &rtis);
	wh_query_collect_rtis(query->setOperations, &rtis);
	return rtis;
}

static bool
is_union_all_tree(Node *node)
{
	SetOperationStmt *op = (SetOperationStmt *) node;

	if (IsA(node, RangeTblRef))
		return true;
	return op->op == SETOP_UNION && op->all && is_union_all_tree(op->larg) && is_union_all_tree(op->rarg);
}

/* Tell if the query is nothing but arms of UNION ALL (and an ORDER BY). */
bool
wh_query_is_union_all(Query *query)
{
	return query->setOperations != NULL && query->limitCount == NULL && query->limitOffset == NULL &&
		is_union_all_tree(query->setOperations);
}

/* Tell if a join tree or set operation refers to an entry. */
bool
wh_query_has_rti(Node *node, int rti)
{
	List	   *rtis = NIL;

	wh_query_collect_rtis(node, &rtis);
	return list_member_int(rtis, rti);
}

/* Tell if an entry is on the nullable side of an outer join. */
bool
wh_query_nullable_rti(Node *node, int rti)
{
	ListCell   *lc;
	JoinExpr   *join;

	if (IsA(node, RangeTblRef))
		return false;
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (wh_query_nullable_rti(lfirst(lc), rti))
				return true;
		return false;
	}
	join = castNode(JoinExpr, node);
	if ((join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL) && wh_query_has_rti(join->rarg, rti))
		return true;
	if ((join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL) && wh_query_has_rti(join->larg, rti))
		return true;
	return wh_query_nullable_rti(join->larg, rti) || wh_query_nullable_rti(join->rarg, rti);
}

/* Return how many attribute numbers a relation has, dropped columns included. */
int
wh_query_relation_natts(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return natts;
}

/* Return the leaf with a number. */
QueryLeaf *
wh_query_leaf(QueryAnalysis *qa, int id)
{
	return list_nth(qa->leaves, id);
}
