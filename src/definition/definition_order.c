/*
 * definition_order.c
 *	  Gives an order to aggregates whose result depends on one.
 *
 * array_agg, string_agg, sums of floating point numbers and the like take their
 * input as it comes: from a table that was rewritten, or by another plan, the
 * same rows give another result.  So that a definition means one thing, such
 * aggregates are ordered by their own arguments, after the ORDER BY that they
 * have; it is written into the definition's view.  Runs when a definition is
 * made, in the caller's transaction; needs an SPI connection.  Aggregates of one
 * level that collect different things are left alone: their elements may belong
 * together.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/table.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_clause.h"
#include "parser/parse_oper.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "definition/definition_create.h"

/* Built-in ones that keep all their input, by the beginnings of their names. */
static const char *const collecting[] = {"array_agg", "string_agg", "json_agg", "json_object_agg", "json_arrayagg",
"json_objectagg", "jsonb_agg", "jsonb_object_agg", "xmlagg", "any_value"};

/* Built-in ones that round on the way, when they read floating point numbers. */
static const char *const rounding[] = {"sum", "avg", "stddev", "var", "corr", "covar", "regr"};

static bool
begins_like(const char *name, const char *const *beginnings, int n)
{
	for (int i = 0; i < n; i++)
		if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
			return true;
	return false;
}

/* Say whether an aggregate's result may depend on the order of its input. */
static bool
depends_on_order(const Aggref *agg)
{
	const char *name = get_func_name(agg->aggfnoid);
	ListCell   *lc;

	if (agg->aggkind != AGGKIND_NORMAL || agg->aggdistinct != NIL || agg->args == NIL || name == NULL)
		return false;
	if (get_func_namespace(agg->aggfnoid) != PG_CATALOG_NAMESPACE)
		return true;
	if (begins_like(name, rounding, lengthof(rounding)))
		foreach(lc, agg->aggargtypes)
			if (lfirst_oid(lc) == FLOAT4OID || lfirst_oid(lc) == FLOAT8OID)
				return true;
	return begins_like(name, collecting, lengthof(collecting));
}

/* Say whether values of a type that are equal are the same bytes. */
static bool
equal_is_same(Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	Oid			proc = OidIsValid(entry->btree_opf) ?
		get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype, BTEQUALIMAGE_PROC) : InvalidOid;

	return OidIsValid(proc) &&
		DatumGetBool(OidFunctionCall1Coll(proc, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

/* Order an aggregate by one of its arguments too. */
static void
add_order(Aggref *agg, TargetEntry *te)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	get_sort_group_operators(exprType((Node *) te->expr), true, true, false,
							 &clause->sortop, &clause->eqop, NULL, &clause->hashable);
	clause->tleSortGroupRef = assignSortGroupRef(te, agg->args);
	agg->aggorder = lappend(agg->aggorder, clause);
}

/* Order it by the text of one of its arguments. */
static void
add_text_order(Aggref *agg, TargetEntry *te)
{
	CoerceViaIO *text = makeNode(CoerceViaIO);
	CollateExpr *ordered = makeNode(CollateExpr);
	TargetEntry *hidden;

	text->arg = copyObject(te->expr);
	text->resulttype = TEXTOID;
	text->resultcollid = DEFAULT_COLLATION_OID;
	text->coerceformat = COERCE_EXPLICIT_CAST;
	text->location = -1;
	ordered->arg = (Expr *) text;
	ordered->collOid = C_COLLATION_OID;
	ordered->location = -1;
	hidden = makeTargetEntry((Expr *) ordered, list_length(agg->args) + 1, NULL, true);
	agg->args = lappend(agg->args, hidden);
	add_order(agg, hidden);
}

typedef struct PairWalk
{
	Node	   *argument;		/* of the first one found */
	bool		found;
} PairWalk;

/*
 * Find two aggregates of one level, without ORDER BY, that collect different
 * things: their elements may be meant to stand side by side, in one order.
 */
static bool
pair_walker(Node *node, void *context)
{
	PairWalk   *pairs = context;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, Aggref) && ((Aggref *) node)->aggorder == NIL && depends_on_order((Aggref *) node))
	{
		Node	   *argument = (Node *) linitial_node(TargetEntry, ((Aggref *) node)->args)->expr;

		if (pairs->argument == NULL)
			pairs->argument = argument;
		else if (!equal(argument, pairs->argument))
			pairs->found = true;
	}
	return expression_tree_walker(node, pair_walker, context);
}

typedef struct OrderWalk
{
	bool		changed;
	bool		has_pairs;		/* at the level that is looked at */
} OrderWalk;

static bool
order_walker(Node *node, void *context)
{
	OrderWalk  *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Aggref) && depends_on_order((Aggref *) node) &&
		(((Aggref *) node)->aggorder != NIL || !walk->has_pairs))
	{
		Aggref	   *agg = (Aggref *) node;
		List	   *arguments = list_copy(agg->args);
		ListCell   *lc;

		foreach(lc, arguments)
		{
			TargetEntry *te = lfirst_node(TargetEntry, lc);
			Oid			type = exprType((Node *) te->expr);
			bool		has_order = OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr);

			if (te->resjunk || IsA(te->expr, Const) || targetIsInSortList(te, InvalidOid, agg->aggorder))
				continue;
			if (has_order)
				add_order(agg, te);
			if (!has_order || !equal_is_same(type, exprCollation((Node *) te->expr)))
				add_text_order(agg, te);
			walk->changed = true;
		}
	}
	if (IsA(node, Query))
	{
		bool		saved = walk->has_pairs;
		PairWalk	pairs = {NULL, false};

		(void) expression_tree_walker((Node *) ((Query *) node)->targetList, pair_walker, &pairs);
		walk->has_pairs = pairs.found;
		(void) query_tree_walker((Query *) node, order_walker, context, 0);
		walk->has_pairs = saved;
		return false;
	}
	return expression_tree_walker(node, order_walker, context);
}

/* Write the orders that aggregates of a definition lack into its view. */
void
wh_definition_order_aggregates(Oid view)
{
	Relation	rel = table_open(view, AccessShareLock);
	Query	   *query = copyObject(get_view_query(rel));
	OrderWalk	walk = {false, false};
	int			level;
	char	   *text;

	table_close(rel, NoLock);
	order_walker((Node *) query, &walk);
	if (!walk.changed)
		return;
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	text = pg_get_querydef(query, false);
	wh_spi_execute(psprintf("CREATE OR REPLACE VIEW %s AS %s", wh_relation_name(view), text), 0, NULL, NULL, NULL);
	AtEOXact_GUC(false, level);
}
