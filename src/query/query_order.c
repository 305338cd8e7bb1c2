/*
 * query_order.c
 *	  Orders the rows of generated queries, so that of several rows for one key
 *	  the first is the one to take.
 *
 * Runs in the process that analyses a query.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"

#include "query/query_internal.h"

/* Add an entry for the text of one whose type has no order, such as json. */
static TargetEntry *
add_text(Query *query, const TargetEntry *te)
{
	CoerceViaIO *text = makeNode(CoerceViaIO);
	TargetEntry *result;

	text->arg = copyObject(te->expr);
	text->resulttype = TEXTOID;
	text->resultcollid = C_COLLATION_OID;
	text->coerceformat = COERCE_EXPLICIT_CAST;
	text->location = -1;
	result = makeTargetEntry((Expr *) text, list_length(query->targetList) + 1, NULL, true);
	query->targetList = lappend(query->targetList, result);
	return result;
}

/* Add an ORDER BY item on a target entry, by its text when the type has no order. */
static List *
add_sort(Query *query, List *clauses, TargetEntry *te)
{
	SortGroupClause *sort;
	Oid			lt,
				eq;
	bool		hashable;

	get_sort_group_operators(exprType((Node *) te->expr), false, false, false, &lt, &eq, NULL, &hashable);
	if (!OidIsValid(lt))
	{
		/* a set operation can be ordered by its columns only */
		if (query->setOperations)
			return clauses;
		te = add_text(query, te);
		get_sort_group_operators(TEXTOID, true, true, false, &lt, &eq, NULL, &hashable);
	}
	if (targetIsInSortList(te, InvalidOid, clauses))
		return clauses;
	sort = makeNode(SortGroupClause);
	sort->tleSortGroupRef = assignSortGroupRef(te, query->targetList);
	sort->eqop = eq;
	sort->sortop = lt;
	sort->hashable = hashable;
	return lappend(clauses, sort);
}

/* Order a query by some columns (found by number in "resnos") and nothing else. */
void
wh_query_set_order(Query *query, AttrNumber *resnos, int ncolumns)
{
	List	   *clauses = NIL;

	for (int i = 0; i < ncolumns; i++)
		clauses = add_sort(query, clauses, get_tle_by_resno(query->targetList, resnos[i]));
	query->sortClause = clauses;
}

/*
 * Order a query by its first "nkeys" columns (found by number in "resnos"),
 * its own ORDER BY, then every column: of rows for one key the first is the
 * one to take.
 */
void
wh_query_add_order(Query *query, AttrNumber *resnos, int nkeys)
{
	List	   *clauses = NIL;
	List	   *outputs = list_copy(query->targetList);
	ListCell   *lc;

	for (int i = 0; i < nkeys; i++)
		clauses = add_sort(query, clauses, get_tle_by_resno(query->targetList, resnos[i]));
	if (query->hasDistinctOn && query->sortClause == NIL)
		query->sortClause = copyObject(query->distinctClause);
	foreach(lc, query->sortClause)
	{
		SortGroupClause *own = lfirst_node(SortGroupClause, lc);
		ListCell   *l2;
		bool		known = false;

		foreach(l2, clauses)
			known |= lfirst_node(SortGroupClause, l2)->tleSortGroupRef == own->tleSortGroupRef;
		if (!known)
			clauses = lappend(clauses, own);
	}
	foreach(lc, outputs)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		if (!te->resjunk)
			clauses = add_sort(query, clauses, te);
	}
	query->sortClause = clauses;
}
