/*
 * query_direct.c
 *	  The form of a query over one feed that needs no change points.
 *
 * When a key's points are just the ends of one feed's versions (see
 * wh_query_points_are_versions), the anchor's versions themselves tell the
 * times: the query is evaluated at the beginning of each, and says when it
 * ends.  Runs in the process that analyses a query.
 */
#include "postgres.h"

#include "utils/lsyscache.h"

#include "query/query_internal.h"

/*
 * Tell if each of the anchor's points is an end of the one version there is:
 * nothing else has time, and the key determines the feed's own key.
 */
bool
wh_query_points_are_versions(QueryAnalysis *qa)
{
	QueryLeaf  *anchor = qa->anchor;
	ListCell   *lc;

	if (anchor->kind != WH_INPUT_HISTORY || qa->is_arm)
		return false;
	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);

		if (leaf != anchor && leaf->kind != WH_INPUT_LOOKUP)
			return false;
	}
	foreach(lc, anchor->staged->key)
	{
		AttrNumber	attno = get_attnum(anchor->relid, lfirst(lc));
		bool		found = false;

		for (int i = 0; i < qa->nkeys; i++)
		{
			Node	   *expr = qa->key_terms[i].expr;

			found |= qa->key_terms[i].leaf == anchor->id && IsA(expr, Var) && ((Var *) expr)->varattno == attno;
		}
		if (!found)
			return false;
	}
	return anchor->staged->key != NIL;
}

/* Append the versions of a relation as "h": of touched keys, or of all that have a key. */
static void
append_versions(QueryAnalysis *qa, StringInfo buf, bool touched_only)
{
	appendStringInfo(buf, " FROM %s h WHERE NOT h.is_deleted", wh_query_relation_name(qa->anchor->history));
	for (int i = 0; i < qa->nkeys; i++)
		appendStringInfo(buf, " AND %s IS NOT NULL", wh_query_key_text(qa, i, &qa->key_terms[i], "h"));
	if (!touched_only)
		return;
	appendStringInfoString(buf, " AND EXISTS (SELECT FROM " WH_TOUCHED_NAME " w WHERE true");
	for (int i = 0; i < qa->nkeys; i++)
	{
		appendStringInfo(buf, " AND w.k%d ", i + 1);
		wh_query_append_operator(buf, wh_query_equality_operator(qa->key_types[i]));
		appendStringInfo(buf, " %s", wh_query_key_text(qa, i, &qa->key_terms[i], "h"));
	}
	appendStringInfoChar(buf, ')');
}

/* Write the anchor's subquery: its versions, without points, and when each ends. */
Query *
wh_query_direct_subquery(QueryAnalysis *qa)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	wh_query_append_columns(&buf, qa->anchor, "h.effective_from AS wh_present");
	appendStringInfoString(&buf, ", h.effective_from AS wh_t");
	for (int i = 0; i < qa->nkeys; i++)
		appendStringInfo(&buf, ", %s AS wh_k%d", wh_query_key_text(qa, i, &qa->key_terms[i], "h"), i + 1);
	appendStringInfoString(&buf, ", h.effective_to AS wh_until");
	append_versions(qa, &buf, qa->direct_touched);
	return wh_query_parse(buf.data, NULL, 0, wh_query_environment(qa));
}

/*
 * Tell if each version yields one row at most: (key, t) is their whole order
 * then, which the index of the history may give.
 */
bool
wh_query_is_one_row_each(QueryAnalysis *qa)
{
	Query	   *query = ((QueryLevel *) linitial(qa->levels))->query;
	List	   *from = query->jointree->fromlist;

	return qa->anchor->level->parent == NULL && list_length(from) == 1 && IsA(linitial(from), RangeTblRef) &&
		!query->setOperations && !query->hasAggs && !query->groupClause && !query->groupingSets &&
		!query->distinctClause && !query->hasWindowFuncs && !query->hasTargetSRFs;
}
