/*
 * query_anchor.c
 *	  Finds the key columns of a query, and the relation that supplies them.
 *
 * Runs in the process that analyses a query.  Takes no locks.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

/* Find the key columns among the outputs; an error names one that is not there. */
void
wh_query_find_keys(WhQueryPlan *plan, Query *top, char **key_names)
{
	if (plan->nkeys < 1 || plan->nkeys > WH_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key must have between 1 and %d columns", WH_MAX_KEY)));
	for (int i = 0; i < plan->nkeys; i++)
	{
		TargetEntry *found = NULL;
		ListCell   *lc;

		foreach(lc, top->targetList)
		{
			TargetEntry *te = lfirst_node(TargetEntry, lc);

			if (te->resjunk || te->resname == NULL || strcmp(te->resname, key_names[i]) != 0)
				continue;
			if (found)
				ereport(ERROR,
						(errcode(ERRCODE_AMBIGUOUS_COLUMN),
						 errmsg("key column \"%s\" is ambiguous: the query has several columns of that name", key_names[i])));
			found = te;
		}
		if (found == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" is not an output column of the query", key_names[i]),
					 errhint("Add it to the SELECT list.")));
		plan->key_names[i] = pstrdup(key_names[i]);
		plan->key_attnos[i] = found->resno;
		plan->key_types[i] = exprType((Node *) found->expr);
		plan->key_typmods[i] = exprTypmod((Node *) found->expr);
		plan->key_collations[i] = exprCollation((Node *) found->expr);
		(void) wh_query_equality_operator(plan->key_types[i]);
	}
}

/* Raise the error for a key column that is not one relation's. */
static void
refuse_key(QueryAnalysis *qa, Query *top, int i)
{
	TargetEntry *te = get_tle_by_resno(top->targetList, qa->key_resnos[i]);
	const char *name = qa->key_names[i];

	if (top->limitCount || top->limitOffset)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a query with LIMIT or OFFSET cannot be evaluated as of a time"),
				 errdetail("Which rows it keeps depends on all keys, so one key's history cannot be computed alone."),
				 errhint("Leave out the LIMIT and filter when reading, or use history => 'none'.")));
	if (top->setOperations)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a query with UNION, INTERSECT or EXCEPT cannot be evaluated as of a time"),
				 errhint("Use UNION ALL; several rows for one key at one time are resolved by ORDER BY.")));
	if (top->groupingSets)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a query with GROUPING SETS, ROLLUP or CUBE cannot be evaluated as of a time"),
				 errhint("Group by the natural key.")));
	if (!wh_query_passes_down(top, te))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("natural key column \"%s\" is not among the columns of every GROUP BY, DISTINCT ON and PARTITION BY", name),
				 errdetail("One key's history can be computed alone only if no group or window spans several keys."),
				 errhint("Add the natural key to them, move the aggregate or window into a subquery joined by the key, or use history => 'none'.")));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("natural key column \"%s\" does not come from the columns of one staged relation", name),
			 errdetail("A natural key column must be a column of a staged relation, an immutable expression over one relation's columns, or a constant; not an aggregate, a subquery, a column of an outer join's USING, or a value from several relations."),
			 errhint("Select the key from the relation that has a row for each key, or use history => 'none' or 'query'.")));
}

/* Find the outer join that may null-extend a leaf, at its level or above. */
static bool
leaf_is_nullable(QueryLeaf *leaf)
{
	QueryLevel *level = leaf->level;
	int			rti = leaf->rti;

	for (; level != NULL; rti = level->parent_rti, level = level->parent)
		if (wh_query_nullable_rti((Node *) level->query->jointree, rti))
			return true;
	return false;
}

/*
 * Express a key column over the candidate, if need be through an equality that
 * is necessary for both leaves.
 */
static bool
move_term(QueryAnalysis *qa, List *equalities, QueryTerm *term, QueryLeaf *candidate, QueryTerm *result)
{
	ListCell   *lc;

	*result = *term;
	if (term->leaf < 0 || term->leaf == candidate->id)
		return true;
	foreach(lc, equalities)
	{
		QueryEquality *e = lfirst(lc);

		if (!bms_is_member(term->leaf, e->necessary) || !bms_is_member(candidate->id, e->necessary))
			continue;
		for (int i = 0; i < 2; i++)
		{
			QueryTerm  *own = &e->side[i];
			QueryTerm  *other = &e->side[1 - i];

			if (own->leaf == term->leaf && equal(own->expr, term->expr) && other->leaf == candidate->id &&
				exprType(other->expr) == exprType(term->expr))
			{
				*result = *other;
				return true;
			}
		}
	}
	return false;
}

/* Refuse an anchor by its position or kind. */
static void
check_anchor(QueryAnalysis *qa, QueryLeaf *anchor)
{
	const char *name = wh_query_leaf_name(anchor);

	if (anchor->kind == WH_INPUT_LOOKUP)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the natural key comes from \"%s\", which is not a staged relation", name),
				 errdetail("Only a staged relation says from when to when a key existed."),
				 errhint("Make a feed of it with wh.create_feed, or use history => 'none'.")));
	if (leaf_is_nullable(anchor))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the relation of the natural key, \"%s\", is on the nullable side of an outer join", name),
				 errdetail("Rows without a natural key would have no history."),
				 errhint("Write it on the preserved side (first, with LEFT JOINs to the others), or make the join an inner one.")));
}

/* Take a leaf as the anchor if it has the whole key; "terms" are the key as selected. */
static bool
try_anchor(QueryAnalysis *qa, List *equalities, QueryTerm *terms, QueryLeaf *candidate)
{
	for (int i = 0; i < qa->nkeys; i++)
		if (!move_term(qa, equalities, &terms[i], candidate, &qa->key_terms[i]))
			return false;
	if (candidate->kind == WH_INPUT_LOOKUP || leaf_is_nullable(candidate))
		return false;
	qa->anchor = candidate;
	return true;
}

/*
 * Find the anchor: the one leaf that supplies every key column.  Sets
 * qa->anchor and qa->key_terms, or raises an error.
 */
void
wh_query_find_anchor(QueryAnalysis *qa)
{
	QueryLevel *top = linitial(qa->levels);
	List	   *equalities = wh_query_equalities(qa, NULL);
	QueryTerm	terms[WH_MAX_KEY];
	List	   *candidates = NIL;
	ListCell   *lc;

	for (int i = 0; i < qa->nkeys; i++)
	{
		if (!wh_query_resolve_output(qa, top, qa->key_resnos[i], NULL, &terms[i]))
			refuse_key(qa, top->query, i);
		if (terms[i].leaf >= 0)
			candidates = list_append_unique_ptr(candidates, wh_query_leaf(qa, terms[i].leaf));
	}
	if (candidates == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("no natural key column comes from a staged relation"),
				 errhint("Use history => 'none'.")));
	/* first the relations that the key is selected from, then those equal to them */
	foreach(lc, list_concat_unique_ptr(list_copy(candidates), qa->leaves))
		if (try_anchor(qa, equalities, terms, lfirst(lc)))
			break;
	if (qa->anchor == NULL)
	{
		foreach(lc, candidates)
			check_anchor(qa, lfirst(lc));
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the natural key columns come from more than one relation"),
				 errdetail("They must be columns of one relation, or be equal to such columns by a condition that holds for every row."),
				 errhint("Select them all from one relation, such as the order number from the order lines, or use history => 'none'.")));
	}
	for (QueryLevel *l = qa->anchor->level; l != NULL; l = l->parent)
		l->on_path = true;
}
