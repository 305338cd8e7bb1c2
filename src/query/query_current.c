/*
 * query_current.c
 *	  Limits a query over current rows to touched units of its key.
 *
 * The result is filtered by wh_touched as deep as the query itself allows: in
 * the WHERE of the top or of each arm of a UNION ALL, below any grouping by
 * the key.  Where the planner could not carry the filter further, into grouped
 * or windowed subqueries, the leaves there are filtered too.  Runs in the
 * process that analyses a query.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

typedef struct RestrictContext
{
	QueryAnalysis *qa;
	WhQueryUnit *unit;
	bool		match_nulls;	/* NULL equals NULL: no semi-join, for few units */
} RestrictContext;

/* Append "w.k1 = value AND ..."; values are given for the unit's columns or NULL. */
static void
append_match(RestrictContext *c, StringInfo buf, char **values)
{
	const char *separator = "";

	for (int i = 0; i < c->unit->nkeys; i++)
	{
		int			key = c->unit->keys[i];

		if (values[i] == NULL)
			continue;
		appendStringInfo(buf, "%sw.k%d ", separator, key + 1);
		if (c->match_nulls)
			appendStringInfoString(buf, "IS NOT DISTINCT FROM");
		else
			wh_query_append_operator(buf, wh_query_equality_operator(c->qa->key_types[key]));
		appendStringInfo(buf, " %s", values[i]);
		separator = " AND ";
	}
}

static Node *
value_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		return (Node *) copyObject(list_nth((List *) context, ((Param *) node)->paramid - 1));
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, value_mutator, context, 0);
	return expression_tree_mutator(node, value_mutator, context);
}

/* Add "EXISTS (a touched unit with these values)" to a level's WHERE. */
static void
add_filter(RestrictContext *c, Query *query, List *values)
{
	SubLink    *link = makeNode(SubLink);
	StringInfoData buf;
	Oid			types[WH_MAX_KEY];
	char	   *names[WH_MAX_KEY];
	List	   *outer = NIL;
	ListCell   *lc;

	foreach(lc, values)
	{
		int			i = foreach_current_index(lc);
		Node	   *value = copyObject(lfirst(lc));

		IncrementVarSublevelsUp(value, 1, 0);
		outer = lappend(outer, value);
		types[i] = exprType(value);
		names[i] = psprintf("$%d", i + 1);
	}
	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT FROM " WH_TOUCHED_NAME " w WHERE ");
	append_match(c, &buf, names);
	link->subLinkType = EXISTS_SUBLINK;
	link->subselect = value_mutator((Node *) wh_query_parse(buf.data, types, c->unit->nkeys,
															wh_query_environment(c->qa)), outer);
	link->location = -1;
	query->jointree->quals = query->jointree->quals ?
		make_and_qual(query->jointree->quals, (Node *) link) : (Node *) link;
	query->hasSubLinks = true;
}

/* Return the query's expressions for the unit; NIL if they cannot stand in WHERE. */
static List *
unit_values(RestrictContext *c, Query *query)
{
	List	   *values = NIL;

	for (int i = 0; i < c->unit->nkeys; i++)
	{
		TargetEntry *te = get_tle_by_resno(query->targetList, c->qa->key_resnos[c->unit->keys[i]]);

		if (!wh_query_passes_down(query, te) || contain_aggs_of_level((Node *) te->expr, 0) ||
			contain_windowfuncs((Node *) te->expr) || expression_returns_set((Node *) te->expr))
			return NIL;
		values = lappend(values, te->expr);
	}
	return values;
}

/* Put a query into a subquery, so that its result can be filtered; returns the new top. */
static Query *
wrap_query(Query *query)
{
	Query	   *outer = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *names = NIL;
	ListCell   *lc;

	outer->commandType = CMD_SELECT;
	outer->canSetTag = true;
	foreach(lc, query->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		if (te->resjunk)
			continue;
		names = lappend(names, makeString(pstrdup(te->resname)));
		outer->targetList = lappend(outer->targetList,
									makeTargetEntry((Expr *) makeVarFromTargetEntry(1, te), te->resno,
													te->resname, false));
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->inFromCl = true;
	rte->eref = makeAlias("wh_arm", names);
	rte->alias = makeAlias("wh_arm", NIL);
	outer->rtable = list_make1(rte);
	ref->rtindex = 1;
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	return outer;
}

/* Filter a query's rows; returns the query, or one around it. */
static Query *
filter_query(RestrictContext *c, Query *query)
{
	List	   *values;
	List	   *arms = NIL;
	ListCell   *lc;

	if (wh_query_is_union_all(query))
	{
		wh_query_collect_rtis(query->setOperations, &arms);
		foreach(lc, arms)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);

			rte->subquery = filter_query(c, rte->subquery);
		}
		return query;
	}
	values = unit_values(c, query);
	if (values == NIL)
	{
		query = wrap_query(query);
		values = unit_values(c, query);
	}
	add_filter(c, query, values);
	return query;
}

/*
 * Tell if a filter on a leaf would help: it is in a subquery that the planner
 * cannot pull up, and that is computed once, not per row.
 */
static bool
wants_own_filter(QueryLeaf *leaf)
{
	bool		stands_apart = false;

	for (QueryLevel *level = leaf->level; level->parent != NULL; level = level->parent)
	{
		if (level->parent_rti == 0 ||
			rt_fetch(level->parent_rti, level->parent->query->rtable)->lateral)
			return false;
		/* the arms of a UNION ALL get the filter of the whole */
		if (level->parent->query->setOperations == NULL && !wh_query_can_be_pulled_up(level))
			stands_apart = true;
	}
	return stands_apart;
}

/* Print the leaf's value for a key column, seen from an arm; NULL if it has none. */
static char *
leaf_value(RestrictContext *c, QueryLeaf *leaf, QueryLeaf *for_leaf, int key)
{
	QueryLevel *top = linitial(c->qa->levels);
	QueryTerm	term;
	ListCell   *lc;

	if (!wh_query_resolve_output(c->qa, top, c->qa->key_resnos[key], for_leaf, &term) || term.leaf < 0)
		return NULL;
	foreach(lc, wh_query_equal_terms(wh_query_held(wh_query_equalities(c->qa, for_leaf), leaf), &term))
	{
		QueryTerm  *equal = lfirst(lc);

		if (equal->leaf == leaf->id && exprType(equal->expr) == exprType(term.expr))
			return wh_query_key_text(c->qa, key, equal, "h");
	}
	return NULL;
}

/*
 * Write the subquery in a leaf's place: the rows that may belong to touched
 * units, so far as its own columns tell; NULL if it can stay as it is.
 */
static Query *
leaf_subquery(RestrictContext *c, QueryLeaf *leaf)
{
	char	   *values[WH_MAX_KEY] = {NULL};
	bool		any = false;
	StringInfoData buf;

	/* rows kept out here would turn into NULLs, which must match no unit */
	if (!c->match_nulls && wants_own_filter(leaf))
	{
		List	   *arms = wh_query_arms_seen_by(c->qa, leaf);
		ListCell   *lc;

		for (int i = 0; i < c->unit->nkeys; i++)
		{
			values[i] = leaf_value(c, leaf, linitial(arms), c->unit->keys[i]);
			/* a row may serve several arms */
			for_each_from(lc, arms, 1)
			{
				char	   *value = leaf_value(c, leaf, lfirst(lc), c->unit->keys[i]);

				if (value == NULL || values[i] == NULL || strcmp(value, values[i]) != 0)
					values[i] = NULL;
			}
			any |= values[i] != NULL;
		}
	}
	if (!any && !leaf->whole_row)
		return NULL;
	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	wh_query_append_columns(&buf, leaf, "true AS wh_present");
	appendStringInfo(&buf, " FROM %s h", wh_query_relation_name(leaf->relid));
	if (any)
	{
		appendStringInfoString(&buf, " WHERE EXISTS (SELECT FROM " WH_TOUCHED_NAME " w WHERE ");
		append_match(c, &buf, values);
		appendStringInfoChar(&buf, ')');
	}
	return wh_query_parse(buf.data, NULL, 0, wh_query_environment(c->qa));
}

/*
 * Rewrite the analysed query in place so that it yields only rows of the units
 * in wh_touched.  search_path must be empty.
 */
void
wh_query_restrict(QueryAnalysis *qa, WhQueryUnit *unit, bool match_nulls)
{
	RestrictContext c = {qa, unit, match_nulls};
	QueryLevel *top = linitial(qa->levels);
	List	   *subqueries = NIL;
	ListCell   *lc,
			   *ls;

	/* columns cannot be followed through what is replaced: first write all */
	foreach(lc, qa->leaves)
		subqueries = lappend(subqueries, leaf_subquery(&c, lfirst(lc)));
	forboth(lc, qa->leaves, ls, subqueries)
		if (lfirst(ls) != NULL)
			wh_query_replace_leaf(lfirst(lc), lfirst(ls), false);
	foreach(lc, qa->levels)
		wh_query_renew_join_entries(((QueryLevel *) lfirst(lc))->query);
	if (filter_query(&c, top->query) != top->query)
		elog(ERROR, "a unit does not pass down the query");
}
