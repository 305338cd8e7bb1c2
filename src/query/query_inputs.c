/*
 * query_inputs.c
 *	  The arms of a definition, and the relations that they read.
 *
 * Runs in the process that analyses a query.  Takes no locks.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"

#include "query/query_internal.h"

/* Copy and normalise the definition; returns an analysis of each arm. */
List *
wh_query_analyze_arms(QueryDefinition *def)
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
char *
wh_query_union_of(List *selects)
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
WhQueryInput *
wh_query_input_of(WhQueryPlan *plan, Oid relid, StagedRelation *staged, WhInputKind kind)
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
void
wh_query_list_inputs(WhQueryPlan *plan, List *analyses)
{
	ListCell   *la,
			   *ll;

	foreach(la, analyses)
		foreach(ll, ((QueryAnalysis *) lfirst(la))->leaves)
		{
			QueryLeaf  *leaf = lfirst(ll);
			WhQueryInput *input = wh_query_input_of(plan, leaf->relid, leaf->staged, leaf->kind);

			input->columns = bms_add_members(input->columns, leaf->columns);
		}
}
