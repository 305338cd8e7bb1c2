/*
 * query_plan_as_of.c
 *	  Plans a definition that is evaluated as of points in time: by touched keys,
 *	  or as a whole where keys cannot be followed.
 *
 * Runs in the process that creates or refreshes a dimension or fact.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"

#include "base/subtransaction.h"
#include "query/query_internal.h"

/* Refuse what only mode CURRENT can read. */
static void
check_as_of_leaves(QueryAnalysis *qa)
{
	ListCell   *lc;

	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);

		if (leaf->kind == WH_INPUT_VERSIONS)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("\"%s\" is a history: its versions cannot be evaluated as of a time", wh_query_leaf_name(leaf)),
					 errhint("Read %s, or use history => 'query'.", wh_query_relation_name(leaf->staged->relation))));
	}
}

typedef enum AsOfForm
{
	AS_OF_POINTS,				/* as of wh_points */
	AS_OF_HOT,					/* the same, for keys with very many versions */
	AS_OF_DIRECT,				/* as of the beginnings of one feed's versions */
	AS_OF_DIRECT_TOUCHED		/* the same, of touched keys */
} AsOfForm;

/* Print the query as of points in time, ordered. */
static char *
as_of_text(QueryDefinition *def, AsOfForm form)
{
	WhQueryPlan *plan = def->plan;
	List	   *analyses = wh_query_analyze_arms(def);
	AttrNumber	resnos[WH_MAX_KEY + 1];
	StringInfoData buf;
	ListCell   *lc;

	for (int i = 0; i <= plan->nkeys; i++)
		resnos[i] = i + 1;
	initStringInfo(&buf);
	foreach(lc, analyses)
	{
		QueryAnalysis *qa = lfirst(lc);
		Query	   *query = ((QueryLevel *) linitial(qa->levels))->query;

		qa->hot = form == AS_OF_HOT;
		qa->direct = form == AS_OF_DIRECT || form == AS_OF_DIRECT_TOUCHED;
		qa->direct_touched = form == AS_OF_DIRECT_TOUCHED;
		qa->is_arm = list_length(analyses) > 1;
		wh_query_find_anchor(qa);
		wh_query_rewrite_as_of(qa);
		if (list_length(analyses) == 1)
		{
			if (qa->direct && wh_query_is_one_row_each(qa))
				wh_query_set_order(query, resnos, plan->nkeys + 1);
			else
				wh_query_add_order(query, resnos, plan->nkeys + 1);
			return wh_query_deparse(query);
		}
		if (!query->hasDistinctOn)
			query->sortClause = NIL;
		appendStringInfo(&buf, "%s(%s)", buf.len ? "\nUNION ALL " : "", wh_query_deparse(query));
	}
	return buf.data;
}

/* Order the UNION ALL of arms as wh_query_add_order() orders one query. */
static char *
order_arms(QueryDefinition *def, char *arms, QueryEnvironment *env)
{
	WhQueryPlan *plan = def->plan;
	Query	   *query = wh_query_parse(arms, NULL, 0, env);
	AttrNumber	resnos[WH_MAX_KEY + 1];
	ListCell   *lc;

	for (int i = 0; i <= plan->nkeys; i++)
		resnos[i] = i + 1;
	/* the definition's own ORDER BY speaks of output columns */
	foreach(lc, def->query->sortClause)
	{
		SortGroupClause *sort = copyObject(lfirst_node(SortGroupClause, lc));
		TargetEntry *own = get_sortgroupclause_tle(sort, def->query->targetList);
		TargetEntry *te = get_tle_by_resno(query->targetList, own->resno + plan->nkeys + 1);

		sort->tleSortGroupRef = assignSortGroupRef(te, query->targetList);
		query->sortClause = lappend(query->sortClause, sort);
	}
	wh_query_add_order(query, resnos, plan->nkeys + 1);
	return wh_query_deparse(query);
}

void
wh_query_plan_as_of(QueryDefinition *def)
{
	WhQueryPlan *plan = def->plan;
	List	   *analyses = wh_query_analyze_arms(def);
	List	   *points = NIL;
	List	   *all_points = NIL;
	QueryEnvironment *env = NULL;
	ListCell   *la,
			   *ll,
			   *li;

	foreach(la, analyses)
	{
		QueryAnalysis *qa = lfirst(la);

		check_as_of_leaves(qa);
		wh_query_find_anchor(qa);
		wh_query_add_points(qa, false, &all_points, &plan->index_hints);
		wh_query_add_points(qa, true, &points, &plan->index_hints);
		env = wh_query_environment(qa);
	}
	plan->points_sql = wh_query_union_of(points);
	plan->all_points_sql = wh_query_union_of(all_points);
	wh_query_list_inputs(plan, analyses);
	foreach(li, plan->inputs)
	{
		WhQueryInput *input = lfirst(li);
		WhQueryTouched *touched;
		List	   *selects = NIL;

		if (input->kind == WH_INPUT_LOOKUP)
			continue;
		foreach(la, analyses)
			foreach(ll, ((QueryAnalysis *) lfirst(la))->leaves)
				if (((QueryLeaf *) lfirst(ll))->relid == input->relid)
					wh_query_add_touched_as_of(lfirst(la), lfirst(ll), &selects, &plan->index_hints);
		touched = palloc0(sizeof(WhQueryTouched));
		touched->nkeys = plan->nkeys;
		for (int i = 0; i < plan->nkeys; i++)
			touched->keys[i] = i;
		touched->sql = wh_query_union_of(selects);
		input->touched = list_make1(touched);
	}
	plan->as_of_sql = as_of_text(def, AS_OF_POINTS);
	plan->hot_as_of_sql = as_of_text(def, AS_OF_HOT);
	if (list_length(analyses) > 1)
	{
		plan->as_of_sql = order_arms(def, plan->as_of_sql, env);
		plan->hot_as_of_sql = order_arms(def, plan->hot_as_of_sql, env);
	}
	else if (wh_query_points_are_versions(linitial(analyses)))
	{
		plan->direct_sql = as_of_text(def, AS_OF_DIRECT);
		plan->direct_touched_sql = as_of_text(def, AS_OF_DIRECT_TOUCHED);
	}
	/* what cannot be read back must fail now, not in a run */
	(void) wh_query_parse(plan->as_of_sql, NULL, 0, env);
	(void) wh_query_parse(plan->hot_as_of_sql, NULL, 0, env);
}

/* Plan the query as a whole; "refusal" says why its keys cannot be followed. */
static void
plan_whole(QueryDefinition *def, ErrorData *refusal)
{
	WhQueryPlan *plan = def->plan;
	Query	   *query = copyObject(def->query);
	QueryAnalysis *qa;

	wh_query_normalize(query, def->staged, WH_QUERY_AS_OF);
	qa = wh_query_analyze(query, def->staged, WH_QUERY_AS_OF);
	check_as_of_leaves(qa);
	wh_query_list_inputs(plan, list_make1(qa));
	plan->whole = wh_query_plan_whole(qa, plan);
	if (plan->whole == NULL)
		ReThrowError(refusal);
	plan->whole->message = refusal->message;
	plan->whole->detail = refusal->detail;
	plan->whole->hint = refusal->hint;
}

static void
plan_by_keys(void *arg)
{
	wh_query_plan_as_of(arg);
}

/*
 * Plan the query by its keys where that can be, else as a whole.  What the
 * analysis says when it cannot follow keys is an error like any other: its
 * subtransaction is rolled back.
 */
void
wh_query_plan_as_of_or_whole(QueryDefinition *def)
{
	WhQueryPlan base = *def->plan;
	ErrorData  *refusal = wh_subtransaction(plan_by_keys, def, false);

	if (refusal == NULL)
		return;
	if (refusal->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		ReThrowError(refusal);
	*def->plan = base;
	plan_whole(def, refusal);
}
