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
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "rewrite/rewriteHandler.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "query/query_internal.h"

/* Plan an analysed query, which is kept unchanged. */
static WhQueryPlan *
plan_query(Query *query, char **key_names, int nkeys, WhQueryMode mode)
{
	QueryDefinition	def = {query};
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
		wh_query_plan_as_of_or_whole(&def);
	else if (mode == WH_QUERY_AS_OF)
		wh_query_plan_as_of(&def);
	else
		wh_query_plan_current(&def);
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
