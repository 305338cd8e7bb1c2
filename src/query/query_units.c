/*
 * query_units.c
 *	  Finds what changed images of an input touch on current rows: units, that
 *	  is values of some columns of the key.
 *
 * A key column counts only if it is sure to stay when the changed row goes: one
 * that an outer join would turn into NULL together with it does not.  Runs in
 * the process that analyses a query.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

/* Add the leaves below the entries of a node, and those of the level's SubLinks. */
static Bitmapset *
leaves_of_side(QueryAnalysis *qa, QueryLevel *level, Node *node)
{
	Bitmapset  *result = NULL;
	ListCell   *lc;

	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);
		int			rti = leaf->rti;
		QueryLevel *l = leaf->level;

		while (l != NULL && l != level)
		{
			rti = l->parent_rti;
			l = l->parent;
		}
		/* where in the level a SubLink stands is not known: it may be in ON */
		if (l == level && (rti == 0 || wh_query_has_rti(node, rti)))
			result = bms_add_member(result, leaf->id);
	}
	return result;
}

/* Tell if some outer join can null-extend both leaves together. */
static bool
share_nullable_side(QueryAnalysis *qa, QueryLevel *level, Node *node, int a, int b)
{
	ListCell   *lc;
	JoinExpr   *join;

	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (share_nullable_side(qa, level, lfirst(lc), a, b))
				return true;
		return false;
	}
	if (!IsA(node, JoinExpr))
		return false;
	join = (JoinExpr *) node;
	for (int s = 0; s < 2; s++)
	{
		Node	   *side = s == 0 ? join->larg : join->rarg;

		if (join->jointype == JOIN_FULL || (join->jointype == JOIN_LEFT && s == 1))
		{
			Bitmapset  *leaves = leaves_of_side(qa, level, side);

			if (bms_is_member(a, leaves) && bms_is_member(b, leaves))
				return true;
		}
		if (share_nullable_side(qa, level, side, a, b))
			return true;
	}
	return false;
}

/* The column of a history that closing a version changes without a new image. */
static bool
reads_effective_to(QueryAnalysis *qa, QueryTerm *term)
{
	QueryLeaf  *leaf;
	Bitmapset  *attnos = NULL;

	if (term->leaf < 0)
		return false;
	leaf = wh_query_leaf(qa, term->leaf);
	if (leaf->kind != WH_INPUT_VERSIONS)
		return false;
	pull_varattnos(term->expr, 1, &attnos);
	return bms_is_member(get_attnum(leaf->relid, "effective_to") - FirstLowInvalidHeapAttributeNumber, attnos);
}

/* Find each key column as seen from a leaf, and if it stays when the leaf's row goes. */
static void
current_keys(QueryAnalysis *qa, QueryLeaf *leaf, QueryLeaf *for_leaf, QueryTerm *keys, bool *usable)
{
	QueryLevel *top = linitial(qa->levels);

	for (int i = 0; i < qa->nkeys; i++)
	{
		ListCell   *lc;

		usable[i] = wh_query_resolve_output(qa, top, qa->key_resnos[i], for_leaf, &keys[i]) &&
			!(keys[i].nullable && !keys[i].strict) && !reads_effective_to(qa, &keys[i]);
		if (!usable[i] || keys[i].leaf < 0)
			continue;
		foreach(lc, qa->levels)
		{
			QueryLevel *level = lfirst(lc);

			if (share_nullable_side(qa, level, (Node *) level->query->jointree, leaf->id, keys[i].leaf))
				usable[i] = false;
		}
	}
}

/*
 * List leaves from whose place a leaf is to be followed: itself, or one in
 * each arm of a UNION ALL that it stands beside.
 */
List *
wh_query_arms_seen_by(QueryAnalysis *qa, QueryLeaf *leaf)
{
	List	   *result = NIL;
	ListCell   *lc,
			   *ll;

	foreach(lc, qa->levels)
	{
		QueryLevel *level = lfirst(lc);
		List	   *rtis = NIL;
		ListCell   *lr;

		if (!wh_query_is_union_all(level->query) ||
			bms_is_member(leaf->id, wh_query_leaves_below(qa, level, true)))
			continue;
		/* beside two of them: arms would have to be combined, which is not worth it */
		if (result != NIL)
			return list_make1(leaf);
		wh_query_collect_rtis(level->query->setOperations, &rtis);
		foreach(lr, rtis)
		{
			Bitmapset  *below = wh_query_leaves_below(qa, wh_query_child_level(qa, level, lfirst_int(lr)), true);

			/* an arm without relations has nothing to join */
			foreach(ll, qa->leaves)
				if (bms_is_member(((QueryLeaf *) lfirst(ll))->id, below))
				{
					result = lappend(result, lfirst(ll));
					break;
				}
		}
	}
	return result ? result : list_make1(leaf);
}

/*
 * Write the SELECT of the key columns that changed images of a leaf determine
 * on current rows, "for_leaf" saying which arm of a UNION ALL beside it.  Returns how many columns, 0 for none: then "reason" says
 * why any row of the result may change.
 */
int
wh_query_touched_current(QueryAnalysis *qa, QueryLeaf *leaf, QueryLeaf *for_leaf, int *columns, char **sql,
						 char **reason, List **hints)
{
	int		   *previous = palloc0(sizeof(int) * list_length(qa->leaves));
	QueryTerm	keys[WH_MAX_KEY];
	bool		usable[WH_MAX_KEY];
	bool		any = false;
	QueryPath		path;
	ListCell   *lc;
	int			n = 0;

	current_keys(qa, leaf, for_leaf, keys, usable);
	for (int i = 0; i < qa->nkeys; i++)
		any |= usable[i] && keys[i].leaf >= 0;
	if (!any)
	{
		*reason = "No key column is common to every GROUP BY, DISTINCT ON and PARTITION BY, outside of LIMIT and set operations, and sure to be there when the row goes.";
		return 0;
	}
	path.held = NIL;
	foreach(lc, wh_query_held(wh_query_equalities(qa, for_leaf), leaf))
	{
		QueryEquality *e = lfirst(lc);

		if (!reads_effective_to(qa, &e->side[0]) && !reads_effective_to(qa, &e->side[1]))
			path.held = lappend(path.held, e);
	}
	/* the nearest leaf that has a key column: its rows are what a change affects */
	foreach(lc, wh_query_reachable_leaves(qa, &path, leaf, previous))
	{
		if (wh_query_find_keys_on(qa, &path, keys, usable, wh_query_chain_to(leaf, lfirst_int(lc), previous)) == 0)
			continue;
		for (int i = 0; i < qa->nkeys; i++)
			if (path.keys[i])
				columns[n++] = i;
		*sql = wh_query_path_select(qa, &path, TOUCHED_CURRENT, false, hints);
		return n;
	}
	*reason = psprintf("No equality links \"%s\" to a key column.", wh_query_leaf_name(leaf));
	return 0;
}
