/*
 * query_hot.c
 *	  Writes leaves so that a key with very many versions costs about as much
 *	  per version as any other.
 *
 * The plain form joins a key's points with its versions on the interval: for
 * one key with n of each, n * n comparisons.  Here a version is found by one
 * descent of the history's index on (key, effective_from), newest first:
 *
 *	  (SELECT * FROM history h WHERE h.key = ... AND h.effective_from <= t
 *	   ORDER BY h.effective_from DESC LIMIT 1) h
 *
 * Where the conditions give the feed's key, that is all.  Where they give the
 * natural key only, the feed's keys that ever had it are listed first, once.
 * Other leaves stay in the plain form.  Runs in the process that analyses a
 * query; takes no locks.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

/* Append "h.column = value" for a column of the feed's key. */
static void
append_key_match(StringInfo buf, QueryLeaf *leaf, const char *column, const char *value)
{
	AttrNumber	attno = get_attnum(leaf->relid, column);

	appendStringInfo(buf, "h.%s ", quote_identifier(column));
	wh_query_append_operator(buf, wh_query_equality_operator(get_atttype(leaf->relid, attno)));
	appendStringInfo(buf, " %s", value);
}

/* Append the subquery of the newest version not after t. */
static void
append_newest(StringInfo buf, QueryLeaf *leaf, const char *t, const char *conditions)
{
	appendStringInfo(buf, "LATERAL (SELECT h.* FROM %s h WHERE %s AND h.effective_from <= %s ORDER BY h.effective_from DESC LIMIT 1) h",
					 wh_query_relation_name(leaf->history), conditions, t);
}

/*
 * Append the feed's keys that ever had a natural key of wh_points, as "d"
 * (f1.. the feed's key, and "values"), and the newest version of each.  "links"
 * are conditions between "h" and "p", the points; "join" stands between "d"
 * and the versions.
 */
static void
append_listed(StringInfo buf, QueryLeaf *leaf, const char *t, const char *join, const char *values,
			  const char *links)
{
	StringInfoData conditions;
	ListCell   *lc;

	initStringInfo(&conditions);
	/* a CTE is computed once, where a subquery would be for every point */
	appendStringInfoString(buf, "(WITH s AS MATERIALIZED (SELECT DISTINCT ");
	foreach(lc, leaf->staged->key)
	{
		int			i = foreach_current_index(lc) + 1;

		appendStringInfo(buf, "h.%s AS f%d, ", quote_identifier(lfirst(lc)), i);
		if (i > 1)
			appendStringInfoString(&conditions, " AND ");
		append_key_match(&conditions, leaf, lfirst(lc), psprintf("d.f%d", i));
	}
	appendStringInfo(buf, "%s FROM %s h WHERE NOT h.is_deleted AND EXISTS (SELECT FROM " WH_POINTS_NAME " p WHERE %s)) SELECT s.* FROM s) d",
					 values, wh_query_relation_name(leaf->history), links);
	appendStringInfoString(buf, join);
	append_newest(buf, leaf, t, conditions.data);
}

/* Find the conditions that give the feed's key its values; NULL if they do not. */
static char *
key_conditions(QueryLeaf *leaf, List *pushed)
{
	StringInfoData buf;
	ListCell   *lc,
			   *lp;

	if (leaf->staged->key == NIL)
		return NULL;
	initStringInfo(&buf);
	foreach(lc, leaf->staged->key)
	{
		AttrNumber	attno = get_attnum(leaf->relid, lfirst(lc));
		PushedCondition *found = NULL;

		foreach(lp, pushed)
			if (attno > 0 && ((PushedCondition *) lfirst(lp))->attno == attno)
				found = lfirst(lp);
		if (found == NULL)
			return NULL;
		appendStringInfo(&buf, "%s%s", buf.len ? " AND " : "", found->text);
	}
	return buf.data;
}

/* Append "p JOIN <this>" for the anchor, "p" being wh_points; false: take the plain form. */
bool
wh_query_append_hot_anchor(QueryAnalysis *qa, StringInfo buf)
{
	QueryLeaf  *anchor = qa->anchor;
	List	   *pushed = NIL;
	StringInfoData values,
				links,
				on;
	char	   *conditions;

	if (anchor->kind != WH_INPUT_HISTORY || anchor->staged->key == NIL || wh_query_points_are_versions(qa))
		return false;
	initStringInfo(&values);
	initStringInfo(&links);
	initStringInfo(&on);
	for (int i = 0; i < qa->nkeys; i++)
	{
		PushedCondition *p = palloc(sizeof(PushedCondition));
		Node	   *expr = qa->key_terms[i].expr;
		char	   *text = wh_query_key_text(qa, i, &qa->key_terms[i], "h");
		StringInfoData condition;

		initStringInfo(&condition);
		appendStringInfo(&condition, "p.k%d ", i + 1);
		wh_query_append_operator(&condition, wh_query_equality_operator(qa->key_types[i]));
		p->attno = qa->key_terms[i].leaf == anchor->id && IsA(expr, Var) ? ((Var *) expr)->varattno : 0;
		p->key = i;
		p->text = psprintf("%s %s", condition.data, text);
		pushed = lappend(pushed, p);
		appendStringInfo(&values, "%s%s AS k%d", i ? ", " : "", text, i + 1);
		appendStringInfo(&links, "%s%s", i ? " AND " : "", p->text);
		appendStringInfo(&on, "%s%s d.k%d", i ? " AND " : "", condition.data, i + 1);
	}
	conditions = key_conditions(anchor, pushed);
	if (conditions)
		append_newest(buf, anchor, "p.t", conditions);
	else
		append_listed(buf, anchor, "p.t", psprintf(" ON %s JOIN ", on.data), values.data, links.data);
	return true;
}

/* Append what a leaf's subquery selects from as "h"; false: take the plain form. */
bool
wh_query_append_hot_leaf(QueryAnalysis *qa, QueryLeaf *leaf, LeafText *text)
{
	char	   *conditions;
	StringInfoData values,
				links,
				on;
	ListCell   *lc;

	if (leaf->kind != WH_INPUT_HISTORY || leaf->staged->key == NIL)
		return false;
	conditions = key_conditions(leaf, text->pushed);
	if (conditions)
	{
		append_newest(&text->sql, leaf, "$1", conditions);
		return true;
	}
	initStringInfo(&values);
	initStringInfo(&links);
	initStringInfo(&on);
	foreach(lc, text->pushed)
	{
		PushedCondition *p = lfirst(lc);
		const char *column;
		StringInfoData operator;

		if (p->key < 0 || p->attno == 0)
			continue;
		column = quote_identifier(get_attname(leaf->relid, p->attno, false));
		initStringInfo(&operator);
		wh_query_append_operator(&operator, wh_query_equality_operator(qa->key_types[p->key]));
		appendStringInfo(&values, "%sh.%s AS k%d", values.len ? ", " : "", column, p->key + 1);
		appendStringInfo(&links, "%sp.k%d %s h.%s", links.len ? " AND " : "", p->key + 1, operator.data, column);
		appendStringInfo(&on, "%sd.k%d %s %s", on.len ? " AND " : "", p->key + 1, operator.data, p->value);
	}
	if (values.len == 0)
		return false;
	append_listed(&text->sql, leaf, "$1", " JOIN ", values.data, links.data);
	appendStringInfo(&text->sql, " ON %s", on.data);
	return true;
}
