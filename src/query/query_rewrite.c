/*
 * query_rewrite.c
 *	  Rewrites a query in place so that it is evaluated as of change points.
 *
 * The anchor's leaf becomes a join of its history with wh_points and exports t
 * and the key; every other staged leaf becomes a LATERAL subquery of the
 * versions in effect at t.  The planner pulls these up: the plan is the one of
 * conditions written into ON, without the work of placing them.  Runs in the
 * process that analyses a query.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/query_internal.h"

/* Return the relation that holds a leaf's versions. */
static Oid
versions_of(QueryLeaf *leaf)
{
	return leaf->kind == WH_INPUT_HISTORY ? leaf->history : leaf->relid;
}

/* Append the condition that version "h" is in effect at a time. */
static void
append_in_effect(StringInfo buf, QueryLeaf *leaf, const char *t)
{
	appendStringInfo(buf, "%s >= h.effective_from", t);
	if (leaf->kind == WH_INPUT_HISTORY)
		appendStringInfo(buf, " AND %s < h.effective_to AND NOT h.is_deleted", t);
}

/* Give an entry the column names of its new subquery, where it had none. */
static void
extend_names(RangeTblEntry *rte)
{
	int			n = list_length(rte->subquery->targetList);

	while (list_length(rte->eref->colnames) < n)
	{
		TargetEntry *te = list_nth_node(TargetEntry, rte->subquery->targetList, list_length(rte->eref->colnames));
		char	   *name = te->resname && !te->resjunk ? te->resname :
			psprintf("wh_junk%d", list_length(rte->eref->colnames) + 1);

		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(name)));
	}
}

/* A dropped column of a table has an empty name, which no subquery's may. */
static void
name_dropped_columns(RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, rte->eref->colnames)
		if (strVal(lfirst(lc))[0] == '\0')
			lfirst(lc) = makeString(psprintf("wh_dropped_%d", foreach_current_index(lc) + 1));
}

/* Put a subquery in a leaf's place. */
void
wh_query_replace_leaf(QueryLeaf *leaf, Query *subquery, bool lateral)
{
	RangeTblEntry *rte = rt_fetch(leaf->rti, leaf->level->query->rtable);

	wh_query_to_subquery(rte, subquery, lateral);
	name_dropped_columns(rte);
	extend_names(rte);
}

/* What path_var gives besides key columns. */
#define PATH_TIME (-1)
#define PATH_UNTIL (-2)			/* the end of a version that is read directly */

/* Make a Var for t, the end of its version, or a key column, as a level on the path sees it. */
static Var *
path_var(QueryAnalysis *qa, QueryLevel *level, int key, int levels_up)
{
	if (key < 0)
		return makeVar(level->time_rti, level->time_att + (key == PATH_UNTIL ? qa->nkeys + 1 : 0),
					   TIMESTAMPTZOID, -1, InvalidOid, levels_up);
	return makeVar(level->time_rti, level->time_att + 1 + key, qa->key_types[key], qa->key_typmods[key],
				   qa->key_collations[key], levels_up);
}

/*
 * Add an output column to a level.  Whatever groups there groups by it too:
 * the level computes one key at one time at once.
 */
static TargetEntry *
add_output(Query *query, Var *var, const char *name)
{
	TargetEntry *te = makeTargetEntry((Expr *) var, list_length(query->targetList) + 1, pstrdup(name), false);
	SortGroupClause *group;
	Oid			lt,
				eq;
	bool		hashable;
	ListCell   *lc;

	query->targetList = lappend(query->targetList, te);
	if (!query->groupClause && !query->distinctClause && !query->windowClause)
		return te;
	get_sort_group_operators(var->vartype, true, true, false, &lt, &eq, NULL, &hashable);
	group = makeNode(SortGroupClause);
	group->tleSortGroupRef = assignSortGroupRef(te, query->targetList);
	group->eqop = eq;
	group->sortop = lt;
	group->hashable = hashable;
	if (query->groupClause)
		query->groupClause = lappend(query->groupClause, group);
	if (query->distinctClause)
	{
		/* DISTINCT ON wants its expressions first in ORDER BY */
		query->distinctClause = lcons(copyObject(group), query->distinctClause);
		if (query->hasDistinctOn && query->sortClause)
			query->sortClause = lcons(copyObject(group), query->sortClause);
	}
	foreach(lc, query->windowClause)
	{
		WindowClause *w = lfirst_node(WindowClause, lc);

		w->partitionClause = lappend(w->partitionClause, copyObject(group));
	}
	return te;
}

/* The anchor ---------------------------------------------------------------- */

/* Write the anchor's subquery: its versions at each of its key's points. */
static Query *
anchor_subquery(QueryAnalysis *qa)
{
	QueryLeaf  *anchor = qa->anchor;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	wh_query_append_columns(&buf, anchor, "h.effective_from AS wh_present");
	appendStringInfo(&buf, ", p.t AS wh_t, %s FROM " WH_POINTS_NAME " p JOIN ", wh_query_key_list(qa, "p", "wh_k"));
	if (qa->hot && wh_query_append_hot_anchor(qa, &buf))
		appendStringInfoString(&buf, " ON p.t < h.effective_to AND NOT h.is_deleted");
	else
	{
		appendStringInfo(&buf, "%s h ON ", wh_query_relation_name(versions_of(anchor)));
		if (wh_query_points_are_versions(qa))
			appendStringInfoString(&buf, "p.t = h.effective_from AND NOT h.is_deleted");
		else
			append_in_effect(&buf, anchor, "p.t");
	}
	for (int i = 0; i < qa->nkeys; i++)
	{
		appendStringInfo(&buf, " AND p.k%d ", i + 1);
		wh_query_append_operator(&buf, wh_query_equality_operator(qa->key_types[i]));
		appendStringInfo(&buf, " %s", wh_query_key_text(qa, i, &qa->key_terms[i], "h"));
	}
	return wh_query_parse(buf.data, NULL, 0, wh_query_environment(qa));
}

/* Rewrite the anchor's leaf and hand t and the key up to the top. */
static void
rewrite_anchor(QueryAnalysis *qa)
{
	QueryLevel *below = NULL;

	for (QueryLevel *level = qa->anchor->level; level != NULL; below = level, level = level->parent)
	{
		int			rti = below ? below->parent_rti : qa->anchor->rti;
		RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);

		if (below == NULL)
			wh_query_replace_leaf(qa->anchor, qa->direct ? wh_query_direct_subquery(qa) : anchor_subquery(qa), false);
		else
		{
			add_output(rte->subquery, path_var(qa, below, PATH_TIME, 0), "wh_t");
			for (int i = 0; i < qa->nkeys; i++)
				add_output(rte->subquery, path_var(qa, below, i, 0), psprintf("wh_k%d", i + 1));
			if (qa->direct)
				add_output(rte->subquery, path_var(qa, below, PATH_UNTIL, 0), "wh_until");
			extend_names(rte);
		}
		level->time_rti = rti;
		level->time_att = list_length(rte->subquery->targetList) - qa->nkeys - (qa->direct ? 1 : 0);
		wh_query_anchor_first(level->query, (Node *) level->query->jointree, rti);
		wh_query_float_joins(level->query);
	}
}

/* Other leaves ---------------------------------------------------------------- */

/* Tell if a query is plain joins: no grouping, order of rows, or outer join. */
static bool
is_plain_joins(Query *query)
{
	ListCell   *lc;

	if (query->setOperations || query->hasAggs || query->groupClause || query->havingQual ||
		query->groupingSets || query->distinctClause || query->hasWindowFuncs || query->limitCount ||
		query->limitOffset || query->hasTargetSRFs)
		return false;
	foreach(lc, query->jointree->fromlist)
		if (wh_query_has_outer(lfirst(lc)))
			return false;
	return true;
}

/* Tell if the planner can pull the level's subquery up. */
bool
wh_query_can_be_pulled_up(QueryLevel *level)
{
	return level->parent_rti != 0 && level->query->sortClause == NIL && is_plain_joins(level->query);
}

/* Tell if a leaf's conditions would not reach its scan by themselves. */
static bool
needs_pushing(QueryLeaf *leaf)
{
	QueryLevel *level = leaf->level;

	if (level->on_path)
		return wh_query_is_stuck((Node *) level->query->jointree, leaf->rti, false);
	for (;; level = level->parent)
	{
		if (!wh_query_can_be_pulled_up(level))
			return true;
		if (level->parent->on_path)
			return wh_query_is_stuck((Node *) level->parent->query->jointree, level->parent_rti, false);
	}
}

/* Add a parameter that stands for a Var; returns its number. */
int
wh_query_add_param(LeafText *text, Var *var)
{
	text->types[text->nparams] = var->vartype;
	text->vars[text->nparams] = var;
	return ++text->nparams;
}

/* Add a condition to what is pushed into a leaf's subquery. */
static void
push(LeafText *text, QueryTerm *mine, char *left, Oid opno, char *right, char *value)
{
	PushedCondition *p = palloc(sizeof(PushedCondition));
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s ", left);
	wh_query_append_operator(&buf, opno);
	appendStringInfo(&buf, " %s", right);
	p->attno = IsA(mine->expr, Var) ? ((Var *) mine->expr)->varattno : InvalidAttrNumber;
	p->key = -1;
	p->value = value;
	p->text = buf.data;
	text->pushed = lappend(text->pushed, p);
}

/* Push in the key columns that the leaf holds too. */
static void
push_keys(QueryAnalysis *qa, QueryLeaf *leaf, LeafText *text, QueryLevel *path_level, int levels_up)
{
	List	   *held = wh_query_held(leaf->equalities, leaf);

	for (int i = 0; i < qa->nkeys; i++)
	{
		ListCell   *lc;

		if (qa->key_terms[i].leaf < 0)
			continue;
		foreach(lc, wh_query_equal_terms(held, &qa->key_terms[i]))
		{
			QueryTerm  *term = lfirst(lc);
			char	   *value;

			if (term->leaf != leaf->id || exprType(term->expr) != exprType(qa->key_terms[i].expr))
				continue;
			value = psprintf("$%d", wh_query_add_param(text, path_var(qa, path_level, i, levels_up)));
			push(text, term, wh_query_key_text(qa, i, term, "h"),
				 wh_query_equality_operator(qa->key_types[i]), value, value);
			((PushedCondition *) llast(text->pushed))->key = i;
			break;
		}
	}
}

/*
 * Push in equalities with columns of leaves left of it at its own level: the
 * subquery must be LATERAL then.
 */
static void
push_siblings(QueryAnalysis *qa, QueryLeaf *leaf, LeafText *text)
{
	List	   *order = NIL;
	ListCell   *lc;

	wh_query_collect_rtis((Node *) leaf->level->query->jointree, &order);
	foreach(lc, leaf->equalities)
	{
		QueryEquality *e = lfirst(lc);

		if (!bms_is_member(leaf->id, e->necessary))
			continue;
		for (int own = 0; own < 2; own++)
		{
			QueryTerm  *mine = &e->side[own];
			QueryTerm  *theirs = &e->side[1 - own];
			QueryLeaf  *sibling = wh_query_leaf(qa, theirs->leaf);
			ListCell   *lo;
			bool		left = false;
			char	   *value[2];
			Var		   *var;

			if (mine->leaf != leaf->id || sibling->level != leaf->level || (sibling == qa->anchor && !qa->hot) ||
				!IsA(theirs->expr, Var) || text->nparams >= WH_QUERY_MAX_PARAMS)
				continue;
			foreach(lo, order)
			{
				if (lfirst_int(lo) == sibling->rti)
					left = true;
				if (lfirst_int(lo) == leaf->rti)
					break;
			}
			if (!left)
				continue;
			var = copyObject((Var *) theirs->expr);
			var->varno = sibling->rti;
			var->varlevelsup = 1;
			value[own] = wh_query_term_text(qa, mine, "h");
			value[1 - own] = psprintf("$%d", wh_query_add_param(text, var));
			push(text, mine, value[0], e->opno, value[1], value[1 - own]);
			text->lateral = true;
		}
	}
}

static Node *
param_mutator(Node *node, void *context)
{
	LeafText   *text = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		Var		   *var = copyObject(text->vars[((Param *) node)->paramid - 1]);

		var->varlevelsup += text->depth;
		return (Node *) var;
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		text->depth++;
		result = (Node *) query_tree_mutator((Query *) node, param_mutator, context, 0);
		text->depth--;
		return result;
	}
	return expression_tree_mutator(node, param_mutator, context);
}

/* Make "t op column" with a column added to a leaf's subquery. */
static Node *
time_condition(const char *op, Var *t, int rti, AttrNumber attno)
{
	Oid			opno = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString(pstrdup(op))),
										TIMESTAMPTZOID, TIMESTAMPTZOID);

	return (Node *) make_opclause(opno, BOOLOID, false, (Expr *) t,
								  (Expr *) makeVar(rti, attno, TIMESTAMPTZOID, -1, InvalidOid, 0),
								  InvalidOid, InvalidOid);
}

/*
 * A leaf of an EXISTS of plain joins beside the anchor takes the interval in
 * the EXISTS's own WHERE, so that it stays a semi-join.
 */
static void
rewrite_exists_leaf(QueryAnalysis *qa, QueryLeaf *leaf)
{
	Query	   *query = leaf->level->query;
	Var		   *t = path_var(qa, leaf->level->parent, PATH_TIME, 1);
	StringInfoData buf;
	AttrNumber	natts = wh_query_relation_natts(leaf->relid) + (leaf->whole_row ? 1 : 0);
	Node	   *condition;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	wh_query_append_columns(&buf, leaf, "h.effective_from AS wh_present");
	appendStringInfoString(&buf, ", h.effective_from AS wh_from");
	if (leaf->kind == WH_INPUT_HISTORY)
		appendStringInfoString(&buf, ", h.effective_to AS wh_to");
	appendStringInfo(&buf, " FROM %s h", wh_query_relation_name(versions_of(leaf)));
	if (leaf->kind == WH_INPUT_HISTORY)
		appendStringInfoString(&buf, " WHERE NOT h.is_deleted");
	wh_query_replace_leaf(leaf, wh_query_parse(buf.data, NULL, 0, NULL), false);
	condition = time_condition(">=", t, leaf->rti, natts + 1);
	if (leaf->kind == WH_INPUT_HISTORY)
		condition = make_and_qual(condition, time_condition("<", copyObject(t), leaf->rti, natts + 2));
	query->jointree->quals = make_and_qual(query->jointree->quals, condition);
}

/* Rewrite a leaf to the versions in effect at the t of the nearest level on the path. */
static void
rewrite_leaf(QueryAnalysis *qa, QueryLeaf *leaf)
{
	QueryLevel *level;
	LeafText   *text = palloc0(sizeof(LeafText));
	int			levels_up = 1;
	ListCell   *lc;
	Query	   *subquery;

	if (!qa->hot && leaf->level->is_exists && leaf->level->parent->on_path && is_plain_joins(leaf->level->query))
	{
		rewrite_exists_leaf(qa, leaf);
		return;
	}
	for (level = leaf->level; !level->on_path; level = level->parent, levels_up++)
		if (level->parent_rti)
			rt_fetch(level->parent_rti, level->parent->query->rtable)->lateral = true;
	initStringInfo(&text->sql);
	appendStringInfoString(&text->sql, "SELECT ");
	wh_query_append_columns(&text->sql, leaf, "h.effective_from AS wh_present");
	appendStringInfoString(&text->sql, " FROM ");
	(void) wh_query_add_param(text, path_var(qa, level, PATH_TIME, levels_up));
	if (qa->hot || needs_pushing(leaf))
	{
		push_keys(qa, leaf, text, level, levels_up);
		push_siblings(qa, leaf, text);
	}
	if (!qa->hot || !wh_query_append_hot_leaf(qa, leaf, text))
		appendStringInfo(&text->sql, "%s h", wh_query_relation_name(versions_of(leaf)));
	appendStringInfoString(&text->sql, " WHERE ");
	append_in_effect(&text->sql, leaf, "$1");
	foreach(lc, text->pushed)
		appendStringInfo(&text->sql, " AND %s", ((PushedCondition *) lfirst(lc))->text);
	subquery = wh_query_parse(text->sql.data, text->types, text->nparams, wh_query_environment(qa));
	wh_query_replace_leaf(leaf, (Query *) query_tree_mutator(subquery, param_mutator, text, 0),
						  levels_up == 1 || text->lateral);
}

/* The top -------------------------------------------------------------------- */

/* Put the key, t and the end of a version read directly first in the top's output. */
static void
rewrite_top(QueryAnalysis *qa)
{
	QueryLevel *top = linitial(qa->levels);
	List	   *first = NIL;
	List	   *all;
	AttrNumber	resno = 0;
	ListCell   *lc;

	for (int i = 0; i < qa->nkeys; i++)
		first = lappend(first, add_output(top->query, path_var(qa, top, i, 0), psprintf("wh_k%d", i + 1)));
	first = lappend(first, add_output(top->query, path_var(qa, top, PATH_TIME, 0), "wh_t"));
	if (qa->direct)
		first = lappend(first, add_output(top->query, path_var(qa, top, PATH_UNTIL, 0), "wh_until"));
	all = list_concat_unique_ptr(list_copy(first), top->query->targetList);
	foreach(lc, all)
		lfirst_node(TargetEntry, lc)->resno = ++resno;
	top->query->targetList = all;
}

/*
 * Rewrite the analysed query in place: wh_k1.., wh_t (wh_until in the direct
 * form), then its own columns, for the keys and times in wh_points.  search_path must be empty.
 */
void
wh_query_rewrite_as_of(QueryAnalysis *qa)
{
	ListCell   *lc;

	/* columns cannot be followed through what is rewritten */
	foreach(lc, qa->leaves)
		((QueryLeaf *) lfirst(lc))->equalities = wh_query_equalities(qa, lfirst(lc));
	rewrite_anchor(qa);
	foreach(lc, qa->leaves)
	{
		QueryLeaf  *leaf = lfirst(lc);

		if (leaf != qa->anchor && leaf->kind != WH_INPUT_LOOKUP)
			rewrite_leaf(qa, leaf);
	}
	rewrite_top(qa);
	foreach(lc, qa->levels)
		wh_query_renew_join_entries(((QueryLevel *) lfirst(lc))->query);
}
