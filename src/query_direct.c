/*
 * query_direct.c
 *	  The form of a query over one feed that needs no change points.
 *
 * When a key's points are just the ends of one feed's versions (see
 * wh_query_points_are_versions), the anchor's versions themselves tell the
 * times: the query is evaluated at the beginning of each.  Runs in the process
 * that analyses a query.
 */
#include "postgres.h"

#include "query_internal.h"

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

/* Write the SELECT of (k1..kn, effective_from, effective_to) of the anchor's versions. */
char *
wh_query_versions_text(QueryAnalysis *qa, bool touched_only)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	for (int i = 0; i < qa->nkeys; i++)
		appendStringInfo(&buf, "%s AS k%d, ", wh_query_key_text(qa, i, &qa->key_terms[i], "h"), i + 1);
	appendStringInfoString(&buf, "h.effective_from, h.effective_to");
	append_versions(qa, &buf, touched_only);
	appendStringInfoString(&buf, " ORDER BY ");
	for (int i = 0; i < qa->nkeys; i++)
		appendStringInfo(&buf, "k%d, ", i + 1);
	appendStringInfoString(&buf, "effective_from");
	return buf.data;
}

/* Write the anchor's subquery: its versions, without points. */
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
	append_versions(qa, &buf, qa->direct_touched);
	return wh_query_parse(buf.data, NULL, 0, wh_query_environment(qa));
}
