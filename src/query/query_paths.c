/*
 * query_paths.c
 *	  Writes the SQL that finds touched keys and change points: joins from an
 *	  input along the query's own equalities to the key.
 *
 * Every relation on a path contributes its own points and touched keys: at any
 * change, the changed relation nearest the key finds those between unchanged.
 * Runs in the process that analyses a query.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/object_name.h"
#include "query/query_internal.h"

/* Print a key column, in the key's own type. */
char *
wh_query_key_text(QueryAnalysis *qa, int key, QueryTerm *term, const char *alias)
{
	char	   *text = wh_query_term_text(qa, term, alias);
	char	   *filter = term->leaf >= 0 && !IsA(term->expr, Var) ?
		wh_query_filter_text(wh_query_leaf(qa, term->leaf), alias) : NULL;

	/* not computed from rows that the query leaves out, which it may fail for */
	if (filter)
		text = psprintf("CASE WHEN %s THEN %s END", filter, text);
	if (exprType(term->expr) == qa->key_types[key])
		return text;
	return psprintf("(%s)::%s", text, wh_type_name(qa->key_types[key]));
}

/* Find a term equal to the key's on one of the leaves; constants are everywhere. */
static QueryTerm *
key_on_leaves(QueryPath *path, QueryTerm *key, List *leaves)
{
	ListCell   *lc;

	if (key->leaf < 0)
		return key;
	/* nearest first, so that less needs to be joined */
	foreach(lc, leaves)
	{
		ListCell   *lt;

		foreach(lt, wh_query_equal_terms(path->held, key))
		{
			QueryTerm  *term = lfirst(lt);

			if (term->leaf == lfirst_int(lc) && exprType(term->expr) == exprType(key->expr))
				return term;
		}
	}
	return NULL;
}

/* Tell if an equality links two leaves, and which side is the second's. */
static bool
links(QueryEquality *e, int from, int to, int *to_side)
{
	for (int i = 0; i < 2; i++)
		if (e->side[1 - i].leaf == from && e->side[i].leaf == to)
		{
			*to_side = i;
			return true;
		}
	return false;
}

/*
 * List the leaves that equalities reach from the input, nearest first, with
 * the leaf each was reached from in "previous" (an array by leaf id).
 */
List *
wh_query_reachable_leaves(QueryAnalysis *qa, QueryPath *path, QueryLeaf *input, int *previous)
{
	List	   *queue = list_make1_int(input->id);
	Bitmapset  *seen = bms_make_singleton(input->id);
	ListCell   *lq,
			   *lc;

	foreach(lq, queue)
	{
		int			from = lfirst_int(lq);

		foreach(lc, path->held)
		{
			QueryEquality *e = lfirst(lc);

			for (int i = 0; i < 2; i++)
			{
				int			to = e->side[i].leaf;

				/* only a strict side says that its leaf takes part too */
				if (e->side[1 - i].leaf != from || !e->side[i].strict || bms_is_member(to, seen))
					continue;
				seen = bms_add_member(seen, to);
				previous[to] = from;
				queue = lappend_int(queue, to);
			}
		}
	}
	return queue;
}

/* Return the chain of leaves from the input to a leaf reached. */
List *
wh_query_chain_to(QueryLeaf *input, int leaf, const int *previous)
{
	List	   *chain = NIL;

	for (; leaf != input->id; leaf = previous[leaf])
		chain = lcons_int(leaf, chain);
	return lcons_int(input->id, chain);
}

/* Look up the key columns on a chain; returns how many, constants not counted. */
int
wh_query_find_keys_on(QueryAnalysis *qa, QueryPath *path, QueryTerm *keys, bool *usable, List *leaves)
{
	int			found = 0;

	for (int i = 0; i < qa->nkeys; i++)
	{
		path->keys[i] = usable[i] ? key_on_leaves(path, &keys[i], leaves) : NULL;
		if (path->keys[i] && keys[i].leaf >= 0)
			found++;
	}
	path->leaves = leaves;
	return found;
}

/* Find the shortest path from a leaf that holds the whole key; false if none. */
static bool
find_full_path(QueryAnalysis *qa, QueryLeaf *input, QueryPath *path)
{
	int		   *previous = palloc0(sizeof(int) * list_length(qa->leaves));
	bool		usable[WH_MAX_KEY];
	int			wanted = 0;
	List	   *reached,
			   *chain;

	path->held = wh_query_held(wh_query_equalities(qa, input), input);
	reached = wh_query_reachable_leaves(qa, path, input, previous);
	if (!list_member_int(reached, qa->anchor->id))
		return false;
	for (int i = 0; i < qa->nkeys; i++)
	{
		usable[i] = true;
		wanted += qa->key_terms[i].leaf >= 0;
	}
	chain = wh_query_chain_to(input, qa->anchor->id, previous);
	for (int n = 1; n <= list_length(chain); n++)
		if (wh_query_find_keys_on(qa, path, qa->key_terms, usable, list_truncate(list_copy(chain), n)) == wanted)
			return true;
	return false;
}

/* SQL ---------------------------------------------------------------------- */

/* Append the condition that version "alias" is in effect when the input's row says. */
static void
append_time_condition(StringInfo buf, QueryLeaf *input, QueryLeaf *leaf, const char *alias, QueryPathUse use)
{
	bool		input_ends = input->kind == WH_INPUT_HISTORY;
	bool		ends = leaf->kind == WH_INPUT_HISTORY;

	if (leaf->kind == WH_INPUT_LOOKUP || use == TOUCHED_CURRENT)
		return;
	if (use == TOUCHED_AS_OF)
	{
		if (input_ends)
			appendStringInfo(buf, " AND %s.effective_from < l0.effective_to", alias);
		if (ends)
			appendStringInfo(buf, " AND %s.effective_to > l0.effective_from AND NOT %s.is_deleted", alias, alias);
	}
	else
	{
		const char *t = use == POINT_AT_START ? "l0.effective_from" : "l0.effective_to";

		appendStringInfo(buf, " AND %s.effective_from <= %s", alias, t);
		if (ends)
			appendStringInfo(buf, " AND %s.effective_to > %s AND NOT %s.is_deleted", alias, t, alias);
	}
}

/* Append the joins from the input to the rest of the path, with hints for them. */
static void
append_joins(StringInfo buf, QueryAnalysis *qa, QueryPath *path, QueryPathUse use, List **hints)
{
	QueryLeaf  *input = wh_query_leaf(qa, linitial_int(path->leaves));

	for (int n = 1; n < list_length(path->leaves); n++)
	{
		QueryLeaf  *leaf = wh_query_leaf(qa, list_nth_int(path->leaves, n));
		char	   *alias = psprintf("l%d", n);
		const char *separator = " ON ";
		Oid			relid = use == TOUCHED_CURRENT ? leaf->relid : wh_query_indexed_relation(leaf);
		List	   *own = NIL;
		List	   *other = NIL;
		ListCell   *lc;

		appendStringInfo(buf, " JOIN %s %s", wh_query_relation_name(relid), alias);
		foreach(lc, path->held)
		{
			QueryEquality *e = lfirst(lc);

			for (int m = 0; m < n; m++)
			{
				int			side;
				char	   *text[2];

				if (!links(e, list_nth_int(path->leaves, m), leaf->id, &side))
					continue;
				text[side] = wh_query_term_text(qa, &e->side[side], alias);
				text[1 - side] = wh_query_term_text(qa, &e->side[1 - side], psprintf("l%d", m));
				appendStringInfo(buf, "%s%s ", separator, text[0]);
				wh_query_append_operator(buf, e->opno);
				appendStringInfo(buf, " %s", text[1]);
				separator = " AND ";
				own = lappend(own, &e->side[side]);
				other = lappend(other, &e->side[1 - side]);
			}
		}
		/* joins run in either direction: from an input, or from touched keys */
		wh_query_add_hint(hints, leaf, own);
		foreach(lc, path->leaves)
			wh_query_add_hint(hints, wh_query_leaf(qa, lfirst_int(lc)), other);
		append_time_condition(buf, input, leaf, alias, use);
	}
}

/* Return the alias of the leaf that a key term is on. */
static char *
alias_on_path(QueryPath *path, QueryTerm *term)
{
	ListCell   *lc;

	foreach(lc, path->leaves)
		if (lfirst_int(lc) == term->leaf)
			return psprintf("l%d", foreach_current_index(lc));
	return NULL;				/* a constant */
}

/* Write the SELECT for a path. */
char *
wh_query_path_select(QueryAnalysis *qa, QueryPath *path, QueryPathUse use, bool touched_only, List **hints)
{
	QueryLeaf  *input = wh_query_leaf(qa, linitial_int(path->leaves));
	bool		is_point = use == POINT_AT_START || use == POINT_AT_END;
	const char *separator = "";
	List	   *found = NIL;
	ListCell   *lc;
	StringInfoData buf,
				joins,
				filter;

	initStringInfo(&buf);
	initStringInfo(&joins);
	initStringInfo(&filter);
	append_joins(&joins, qa, path, use, hints);
	if (touched_only)
		appendStringInfo(&joins, " JOIN " WH_TOUCHED_NAME " k ON ");
	appendStringInfoString(&buf, "SELECT ");
	for (int i = 0; i < qa->nkeys; i++)
	{
		QueryTerm  *term = path->keys[i];
		char	   *text;

		if (term == NULL)
			continue;
		text = wh_query_key_text(qa, i, term, alias_on_path(path, term));
		appendStringInfo(&buf, "%s%s AS k%d", separator, text, i + 1);
		if (touched_only)
		{
			appendStringInfo(&joins, "%sk.k%d ", *separator ? " AND " : "", i + 1);
			wh_query_append_operator(&joins, wh_query_equality_operator(qa->key_types[i]));
			appendStringInfo(&joins, " %s", text);
		}
		/* a NULL key has no history; mode CURRENT keeps it, the fact decides */
		if (use != TOUCHED_CURRENT && term->leaf >= 0)
			appendStringInfo(&filter, "%s%s IS NOT NULL", filter.len ? " AND " : "", text);
		found = lappend(found, term);
		separator = ", ";
	}
	foreach(lc, path->leaves)
		wh_query_add_hint(hints, wh_query_leaf(qa, lfirst_int(lc)), found);
	if (is_point)
		appendStringInfo(&buf, ", l0.%s AS t", use == POINT_AT_START ? "effective_from" : "effective_to");
	appendStringInfo(&buf, " FROM %s l0%s",
					 is_point ? wh_query_relation_name(wh_query_indexed_relation(input)) :
					 psprintf("wh_changed_" INT64_FORMAT, input->staged->feed_id), joins.data);
	if (!is_point)
		foreach(lc, path->leaves)
		{
			char	   *own = wh_query_filter_text(wh_query_leaf(qa, lfirst_int(lc)),
												   psprintf("l%d", foreach_current_index(lc)));

			if (own)
				appendStringInfo(&filter, "%s(%s)", filter.len ? " AND " : "", own);
		}
	if (input->kind == WH_INPUT_HISTORY)
	{
		appendStringInfo(&filter, "%sNOT l0.is_deleted", filter.len ? " AND " : "");
		if (use == POINT_AT_END)
			/* a comparison with infinity, which most rows have, is estimated as one row */
			appendStringInfoString(&filter, " AND isfinite(l0.effective_to)");
		if (use == TOUCHED_CURRENT)
			appendStringInfoString(&filter, " AND l0.effective_to = 'infinity'");
	}
	if (filter.len)
		appendStringInfo(&buf, " WHERE %s", filter.data);
	return buf.data;
}

/* Add a SELECT to a list unless it is there. */
static void
add_select(List **selects, char *sql)
{
	ListCell   *lc;

	foreach(lc, *selects)
		if (strcmp(lfirst(lc), sql) == 0)
			return;
	*selects = lappend(*selects, sql);
}

/* Find the path of a leaf or raise the error that there is none. */
static void
require_full_path(QueryAnalysis *qa, QueryLeaf *leaf, QueryPath *path)
{
	if (find_full_path(qa, leaf, path))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("no equality links \"%s\" to the natural key", wh_query_leaf_name(leaf)),
			 errdetail("When a row of %s changes, the engine must find the keys it belongs to through conditions such as \"%s.column = %s.column\" that hold wherever it takes part.",
					   wh_query_relation_name(leaf->relid), wh_query_leaf_name(leaf), wh_query_leaf_name(qa->anchor)),
			 errhint("Join it by an equality (instead of NOT IN write NOT EXISTS, instead of a cross join a join condition), or use history => 'none'.")));
}

/*
 * Add the SELECTs of all change points of an analysis (columns k1..kn, t),
 * of touched keys only if asked.  They are to be put together by UNION.
 */
void
wh_query_add_points(QueryAnalysis *qa, bool touched_only, List **selects, List **hints)
{
	ListCell   *lc;

	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);
		QueryPath		path;

		if (leaf->kind == WH_INPUT_LOOKUP)
			continue;
		require_full_path(qa, leaf, &path);
		add_select(selects, wh_query_path_select(qa, &path, POINT_AT_START, touched_only, hints));
		if (leaf->kind == WH_INPUT_HISTORY)
			add_select(selects, wh_query_path_select(qa, &path, POINT_AT_END, touched_only, hints));
	}
}

/* Add the SELECT of the keys (columns k1..kn) that changed images of a leaf touch. */
void
wh_query_add_touched_as_of(QueryAnalysis *qa, QueryLeaf *leaf, List **selects, List **hints)
{
	QueryPath		path;

	require_full_path(qa, leaf, &path);
	add_select(selects, wh_query_path_select(qa, &path, TOUCHED_AS_OF, false, hints));
}
