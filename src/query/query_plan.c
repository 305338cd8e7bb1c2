/*
 * query_plan.c
 *	  Plans how a definition is kept up to date: see query_plan.h.
 *
 * Runs in the process that creates or refreshes a dimension or fact, in its
 * transaction.  Locks the relations of the query in AccessShareLock to the end
 * of the transaction.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/ruleutils.h"

#include "query/query_internal.h"

/* A definition as it was given, and what is known of it for all rewritings. */
typedef struct Definition
{
	Query	   *query;			/* never changed */
	List	   *staged;
	char	  **key_names;
	int			nkeys;
	WhQueryPlan *plan;
} Definition;

/* Copy and normalise the definition; returns an analysis of each arm. */
static List *
analyze_arms(Definition *def)
{
	WhQueryPlan *plan = def->plan;
	Query	   *top = copyObject(def->query);
	List	   *queries = list_make1(top);
	List	   *result = NIL;
	ListCell   *lc;

	wh_query_normalize(top, def->staged, plan->mode);
	/* as of a time every arm has an anchor of its own */
	if (plan->mode == WH_QUERY_AS_OF)
		queries = wh_query_split_arms(top, plan->key_attnos, plan->nkeys);
	foreach(lc, queries)
	{
		QueryAnalysis *qa = wh_query_analyze(lfirst(lc), def->staged, plan->mode);

		qa->nkeys = plan->nkeys;
		qa->key_names = plan->key_names;
		for (int i = 0; i < plan->nkeys; i++)
		{
			qa->key_resnos[i] = plan->key_attnos[i];
			qa->key_types[i] = plan->key_types[i];
			qa->key_typmods[i] = plan->key_typmods[i];
			qa->key_collations[i] = plan->key_collations[i];
		}
		result = lappend(result, qa);
	}
	return result;
}

/* Put SELECTs together into one without duplicates. */
static char *
union_of(List *selects)
{
	StringInfoData buf;
	ListCell   *lc;

	if (selects == NIL)
		return NULL;
	if (list_length(selects) == 1)
		return psprintf("SELECT DISTINCT%s", (char *) linitial(selects) + strlen("SELECT"));
	initStringInfo(&buf);
	foreach(lc, selects)
		appendStringInfo(&buf, "%s%s", buf.len ? "\nUNION " : "", (char *) lfirst(lc));
	return buf.data;
}

/* Inputs ------------------------------------------------------------------- */

/* Find or add the input of a relation. */
static WhQueryInput *
input_of(WhQueryPlan *plan, Oid relid, StagedRelation *staged, WhInputKind kind)
{
	WhQueryInput *input;
	ListCell   *lc;

	foreach(lc, plan->inputs)
		if (((WhQueryInput *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	input = palloc0(sizeof(WhQueryInput));
	input->relid = relid;
	input->kind = kind;
	if (staged)
	{
		input->feed_id = staged->feed_id;
		input->image_relid = kind == WH_INPUT_HISTORY ? staged->history : relid;
		input->changed_name = psprintf("wh_changed_" INT64_FORMAT, staged->feed_id);
	}
	else
	{
		input->whole = true;
		input->whole_reason = pstrdup("It is not a staged relation: which rows changed is not known.");
	}
	plan->inputs = lappend(plan->inputs, input);
	return input;
}

/* List the inputs of the analyses. */
static void
list_inputs(WhQueryPlan *plan, List *analyses)
{
	ListCell   *la,
			   *ll;

	foreach(la, analyses)
		foreach(ll, ((QueryAnalysis *) lfirst(la))->leaves)
		{
			QueryLeaf  *leaf = lfirst(ll);
			WhQueryInput *input = input_of(plan, leaf->relid, leaf->staged, leaf->kind);

			input->columns = bms_add_members(input->columns, leaf->columns);
		}
}

/* Mode AS_OF ---------------------------------------------------------------- */

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
as_of_text(Definition *def, AsOfForm form)
{
	WhQueryPlan *plan = def->plan;
	List	   *analyses = analyze_arms(def);
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
order_arms(Definition *def, char *arms, QueryEnvironment *env)
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

static void
plan_as_of(Definition *def)
{
	WhQueryPlan *plan = def->plan;
	List	   *analyses = analyze_arms(def);
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
	plan->points_sql = union_of(points);
	plan->all_points_sql = union_of(all_points);
	list_inputs(plan, analyses);
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
		touched->sql = union_of(selects);
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
plan_whole(Definition *def, ErrorData *refusal)
{
	WhQueryPlan *plan = def->plan;
	Query	   *query = copyObject(def->query);
	QueryAnalysis *qa;

	wh_query_normalize(query, def->staged, WH_QUERY_AS_OF);
	qa = wh_query_analyze(query, def->staged, WH_QUERY_AS_OF);
	check_as_of_leaves(qa);
	list_inputs(plan, list_make1(qa));
	plan->whole = wh_query_plan_whole(qa, plan);
	if (plan->whole == NULL)
		ReThrowError(refusal);
	plan->whole->message = refusal->message;
	plan->whole->detail = refusal->detail;
	plan->whole->hint = refusal->hint;
}

/*
 * Plan the query by its keys where that can be, else as a whole.  What the
 * analysis says when it cannot follow keys is an error like any other: its
 * subtransaction is rolled back.
 */
static void
plan_as_of_or_whole(Definition *def)
{
	WhQueryPlan base = *def->plan;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile refusal = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		plan_as_of(def);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		refusal = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (refusal == NULL)
		return;
	if (refusal->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED)
		ReThrowError(refusal);
	*def->plan = base;
	plan_whole(def, refusal);
}

/* Mode CURRENT --------------------------------------------------------------- */

/* List the relations of a query that cannot be analysed: any change may change all. */
static bool
opaque_inputs_walker(Node *node, void *context)
{
	Definition *def = context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		WhInputKind kind;
		StagedRelation *staged;
		WhQueryInput *input;

		if (rte->rtekind != RTE_RELATION || !rte->inFromCl)
			return false;
		staged = wh_query_find_staged(def->staged, rte->relid, &kind);
		if (staged == NULL && rte->relkind == RELKIND_VIEW)
		{
			Relation	rel = table_open(rte->relid, AccessShareLock);

			opaque_inputs_walker((Node *) get_view_query(rel), context);
			table_close(rel, NoLock);
			return false;
		}
		input = input_of(def->plan, rte->relid, staged, kind);
		input->columns = bms_add_range(input->columns, 1, wh_query_relation_natts(rte->relid));
		input->whole = true;
		if (staged)
			input->whole_reason = pstrdup("The query is recursive, locks rows or is no plain SELECT.");
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, opaque_inputs_walker, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, opaque_inputs_walker, context);
}

/* Find or add the unit of a set of key columns; returns its index. */
static int
unit_of(WhQueryPlan *plan, int *keys, int nkeys)
{
	WhQueryUnit *unit;
	ListCell   *lc;

	foreach(lc, plan->units)
	{
		unit = lfirst(lc);
		if (unit->nkeys == nkeys && memcmp(unit->keys, keys, nkeys * sizeof(int)) == 0)
			return foreach_current_index(lc);
	}
	unit = palloc0(sizeof(WhQueryUnit));
	unit->nkeys = nkeys;
	memcpy(unit->keys, keys, nkeys * sizeof(int));
	plan->units = lappend(plan->units, unit);
	return list_length(plan->units) - 1;
}

/* What one unit of one input is found by, while paths are being collected. */
typedef struct UnitSelects
{
	int			unit;
	List	   *selects;
} UnitSelects;

/* Plan how changes of an input touch units. */
static void
plan_current_input(WhQueryPlan *plan, QueryAnalysis *qa, WhQueryInput *input)
{
	List	   *found = NIL;	/* of UnitSelects */
	ListCell   *ll,
			   *lf,
			   *la;

	foreach(ll, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(ll);

		if (leaf->relid != input->relid)
			continue;
		/* seen from each arm of a UNION ALL that the leaf is joined to */
		foreach(la, wh_query_arms_seen_by(qa, leaf))
		{
			int			keys[WH_MAX_KEY];
			char	   *sql;
			UnitSelects *u = NULL;
			int			unit;
			int			nkeys = wh_query_touched_current(qa, leaf, lfirst(la), keys, &sql,
														 &input->whole_reason, &plan->index_hints);

			if (nkeys == 0)
			{
				input->whole = true;
				return;
			}
			unit = unit_of(plan, keys, nkeys);
			foreach(lf, found)
				if (((UnitSelects *) lfirst(lf))->unit == unit)
					u = lfirst(lf);
			if (u == NULL)
			{
				u = palloc0(sizeof(UnitSelects));
				u->unit = unit;
				found = lappend(found, u);
			}
			if (!list_member(u->selects, makeString(sql)))
				u->selects = lappend(u->selects, makeString(sql));
		}
	}
	foreach(lf, found)
	{
		UnitSelects *u = lfirst(lf);
		WhQueryUnit *unit = list_nth(plan->units, u->unit);
		WhQueryTouched *touched = palloc0(sizeof(WhQueryTouched));

		foreach(la, u->selects)
			lfirst(la) = strVal(lfirst(la));
		touched->unit = u->unit;
		touched->nkeys = unit->nkeys;
		memcpy(touched->keys, unit->keys, sizeof(touched->keys));
		touched->sql = union_of(u->selects);
		input->touched = lappend(input->touched, touched);
	}
}

/* Print the query for touched units of one kind. */
static char *
restricted_text(Definition *def, WhQueryUnit *unit, bool match_nulls)
{
	QueryAnalysis *qa = linitial(analyze_arms(def));
	Query	   *query = ((QueryLevel *) linitial(qa->levels))->query;
	QueryEnvironment *env = wh_query_environment(qa);
	char	   *sql;

	wh_query_restrict(qa, unit, match_nulls);
	wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
	sql = wh_query_deparse(query);
	(void) wh_query_parse(sql, NULL, 0, env);
	return sql;
}

/* Print the whole query, ordered. */
static char *
whole_text(Definition *def)
{
	Query	   *query = copyObject(def->query);
	StringInfoData buf;

	if (query->limitCount == NULL && query->limitOffset == NULL)
	{
		wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
		return pg_get_querydef(query, false);
	}
	/* another order inside would keep other rows */
	initStringInfo(&buf);
	appendStringInfo(&buf, "SELECT * FROM (%s) wh_q", pg_get_querydef(query, false));
	query = wh_query_parse(buf.data, NULL, 0, NULL);
	wh_query_add_order(query, def->plan->key_attnos, def->plan->nkeys);
	return pg_get_querydef(query, false);
}

static void
plan_current(Definition *def)
{
	WhQueryPlan *plan = def->plan;
	ListCell   *lc;

	plan->whole_sql = whole_text(def);
	if (wh_query_is_opaque(def->query))
		opaque_inputs_walker((Node *) def->query, def);
	else
	{
		List	   *analyses = analyze_arms(def);

		list_inputs(plan, analyses);
		foreach(lc, plan->inputs)
			if (!((WhQueryInput *) lfirst(lc))->whole)
				plan_current_input(plan, linitial(analyses), lfirst(lc));
	}
	foreach(lc, plan->units)
	{
		WhQueryUnit *unit = lfirst(lc);

		unit->restricted_sql = restricted_text(def, unit, false);
		unit->restricted_nulls_sql = restricted_text(def, unit, true);
	}
}

/* --------------------------------------------------------------------------- */

/* Plan an analysed query, which is kept unchanged. */
static WhQueryPlan *
plan_query(Query *query, char **key_names, int nkeys, WhQueryMode mode)
{
	Definition	def = {query};
	WhQueryPlan *plan = palloc0(sizeof(WhQueryPlan));
	int			nest_level;

	if (query->commandType != CMD_SELECT || query->utilityStmt)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a definition must be a SELECT")));
	wh_purity_check((Node *) query, "a definition");
	plan->mode = mode == WH_QUERY_AS_OF_OR_WHOLE ? WH_QUERY_AS_OF : mode;
	plan->nkeys = nkeys;
	plan->result = ExecCleanTypeFromTL(query->targetList);
	wh_query_find_keys(plan, query, key_names);
	def.staged = wh_query_read_feeds();
	def.key_names = plan->key_names;
	def.nkeys = nkeys;
	def.plan = plan;

	/* what is printed must not depend on the caller's search_path */
	nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (mode == WH_QUERY_AS_OF_OR_WHOLE)
		plan_as_of_or_whole(&def);
	else if (mode == WH_QUERY_AS_OF)
		plan_as_of(&def);
	else
		plan_current(&def);
	AtEOXact_GUC(true, nest_level);
	return plan;
}

/* Plan the query of a stored view. */
WhQueryPlan *
wh_query_plan_view(Oid definition, char **key_names, int nkeys, WhQueryMode mode)
{
	Relation	view = relation_open(definition, AccessShareLock);
	Query	   *query;
	ListCell   *lc;

	if (view->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(view))));
	query = copyObject(get_view_query(view));
	/* a column may have been renamed since */
	foreach(lc, query->targetList)
	{
		TargetEntry *te = lfirst_node(TargetEntry, lc);

		if (!te->resjunk)
			te->resname = pstrdup(NameStr(TupleDescAttr(RelationGetDescr(view), te->resno - 1)->attname));
	}
	relation_close(view, NoLock);
	AcquireRewriteLocks(query, true, false);
	return plan_query(query, key_names, nkeys, mode);
}

/* Plan a query given as text. */
WhQueryPlan *
wh_query_plan_text(const char *sql, char **key_names, int nkeys, WhQueryMode mode)
{
	return plan_query(wh_query_parse(sql, NULL, 0, NULL), key_names, nkeys, mode);
}

/* Return the name of a kind of input, as shown to users. */
const char *
wh_query_kind_name(WhInputKind kind)
{
	switch (kind)
	{
		case WH_INPUT_HISTORY:
			return "history";
		case WH_INPUT_EVENT:
			return "events";
		case WH_INPUT_VERSIONS:
			return "versions";
		case WH_INPUT_LOOKUP:
			return "lookup";
	}
	return NULL;
}
