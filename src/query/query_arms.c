/*
 * query_arms.c
 *	  Splits a query into arms that each have an anchor of their own.
 *
 * Runs in the process that analyses a query, on normalised queries.  Takes no
 * locks.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

#include "query/query_internal.h"

/* Tell if each row of the query comes of one row of its FROM clause alone. */
static bool
is_row_by_row(Query *query)
{
	return !(query->setOperations || query->hasAggs || query->groupClause || query->groupingSets ||
			 query->havingQual || query->distinctClause || query->hasWindowFuncs || query->limitCount ||
			 query->limitOffset);
}

/* Tell if the ORDER BY speaks of output columns only, so that it can order all arms. */
static bool
orders_by_outputs(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		if (te->resjunk && te->ressortgroupref != 0)
			return false;
	}
	return true;
}

/* Tell if an arm's columns have the types of the whole UNION ALL's. */
static bool
has_same_types(Query *arm, Query *whole)
{
	ListCell   *lc;

	foreach(lc, whole->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);
		TargetEntry *own = get_tle_by_resno(arm->targetList, te->resno);

		if (exprType((Node *) own->expr) != exprType((Node *) te->expr))
			return false;
	}
	return true;
}

/* Find a UNION ALL in FROM that a key column is read from and that can be split; 0: none. */
static int
splittable_entry(Query *query, AttrNumber *key_resnos, int nkeys)
{
	if (!is_row_by_row(query) || !orders_by_outputs(query))
		return 0;
	for (int i = 0; i < nkeys; i++)
	{
		Var		   *var = (Var *) get_tle_by_resno(query->targetList, key_resnos[i])->expr;
		RangeTblEntry *rte;
		List	   *rtis = NIL;
		ListCell   *lc;
		bool		same = true;

		if (!IsA(var, Var) || var->varlevelsup != 0)
			continue;
		rte = rt_fetch(var->varno, query->rtable);
		if (rte->rtekind != RTE_SUBQUERY || rte->lateral || !wh_query_is_union_all(rte->subquery) ||
			wh_query_nullable_rti((Node *) query->jointree, var->varno))
			continue;
		wh_query_collect_rtis(rte->subquery->setOperations, &rtis);
		foreach(lc, rtis)
			same &= has_same_types(rt_fetch(lfirst_int(lc), rte->subquery->rtable)->subquery, rte->subquery);
		if (same)
			return var->varno;
	}
	return 0;
}

/* Name an arm's columns as the whole UNION ALL's, by which the query calls them. */
static void
take_names(Query *arm, Query *whole)
{
	ListCell   *lc;

	foreach(lc, whole->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		get_tle_by_resno(arm->targetList, te->resno)->resname = pstrdup(te->resname);
	}
}

/*
 * Return the arms of a query as a list of queries: those of a UNION ALL at the
 * top, and for a UNION ALL in FROM that supplies the key the whole query over
 * each of its arms.  A query without such is its only arm.
 */
List *
wh_query_split_arms(Query *query, AttrNumber *key_resnos, int nkeys)
{
	List	   *queue = list_make1(query);
	List	   *result = NIL;
	ListCell   *lc;

	/* the queue grows on the way */
	foreach(lc, queue)
	{
		Query	   *q = lfirst(lc);
		List	   *rtis = NIL;
		ListCell   *lr;
		int			rti;

		if (wh_query_is_union_all(q))
		{
			wh_query_collect_rtis(q->setOperations, &rtis);
			foreach(lr, rtis)
				queue = lappend(queue, rt_fetch(lfirst_int(lr), q->rtable)->subquery);
		}
		else if ((rti = splittable_entry(q, key_resnos, nkeys)) != 0)
		{
			Query	   *whole = rt_fetch(rti, q->rtable)->subquery;

			wh_query_collect_rtis(whole->setOperations, &rtis);
			foreach(lr, rtis)
			{
				Query	   *arm = copyObject(q);
				RangeTblEntry *rte = rt_fetch(rti, arm->rtable);

				rte->subquery = copyObject(rt_fetch(lfirst_int(lr), whole->rtable)->subquery);
				take_names(rte->subquery, whole);
				queue = lappend(queue, arm);
			}
		}
		else
			result = lappend(result, q);
	}
	return result;
}
