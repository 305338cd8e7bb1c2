/*
 * feed_expression.c
 *	  Analyses the expressions of a feed: over the columns of its source.
 *
 * Runs in the caller's transaction, under pinned settings, when a feed is
 * defined and again at each ingest.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "feed/feed.h"
#include "query/query_owners.h"
#include "query/query_plan.h"

/* True for a reference to a system column or the whole row. */
static bool
has_odd_var(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno <= 0;
	return expression_tree_walker(node, has_odd_var, context);
}

/* Parse one expression, nothing around it. */
static Node *
parse_one(const char *text, const char *what)
{
	List	   *raw = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *stmt;
	Node	   *value;

	stmt = (SelectStmt *) linitial_node(RawStmt, raw)->stmt;
	if (!IsA(stmt, SelectStmt) || list_length(stmt->targetList) != 1 || stmt->fromClause ||
		stmt->whereClause || stmt->groupClause || stmt->havingClause || stmt->windowClause ||
		stmt->distinctClause || stmt->sortClause || stmt->limitCount || stmt->limitOffset ||
		stmt->lockingClause || stmt->withClause || stmt->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not a single expression: %s", what, text)));
	value = linitial_node(ResTarget, stmt->targetList)->val;
	/* Analysing takes a lone star for a name. */
	if (IsA(value, ColumnRef) && IsA(linitial(((ColumnRef *) value)->fields), A_Star))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("%s is not a single expression: %s", what, text)));
	return value;
}

/*
 * Analyse an expression over the columns of source (as range table entry 1) and
 * coerce it to result_type, unless that is InvalidOid.  what names it in
 * messages.  Functions that are volatile or read the clock, the user or
 * settings are refused; with immutable, all that are not immutable.
 */
Node *
wh_feed_expression(Relation source, const char *text, Oid result_type, int32 result_typmod,
				   bool immutable, const char *what)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	Node	   *raw = parse_one(text, what);
	List	   *written = wh_owners_written(raw);
	Node	   *expr;
	Oid			type;

	pstate->p_sourcetext = text;
	item = addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, item, false, true, true);
	expr = transformExpr(pstate, raw, EXPR_KIND_CHECK_CONSTRAINT);
	type = exprType(expr);
	if (OidIsValid(result_type))
	{
		Node	   *coerced = coerce_to_target_type(pstate, expr, type, result_type, result_typmod,
													COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

		if (coerced == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("%s has type %s, not %s", what, format_type_be(type),
							format_type_be(result_type))));
		expr = coerced;
	}
	assign_expr_collations(pstate, expr);
	if (has_odd_var(expr, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s uses a system column or a whole row: %s", what, text),
				 errhint("Name the columns it needs.")));
	wh_owners_check(expr, written);
	wh_purity_check(expr, what);
	wh_purity_check_words(expr, text, what);
	if (immutable && contain_mutable_functions(expr))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("%s is not immutable: %s", what, text),
				 errdetail("It depends on the clock, the user or a setting."),
				 errhint("Dates and timestamps without time zone are taken in the feed's time_zone: no cast is needed. Text is best converted by the source: declare its column as a timestamp, or read it through a view.")));
	free_parsestate(pstate);
	return expr;
}

/* Analyse sequence_by: an immutable expression that gives a point in time. */
Node *
wh_feed_event_time(Relation source, const char *text)
{
	Node	   *expr = wh_feed_expression(source, text, InvalidOid, -1, true, "sequence_by");
	Oid			type = getBaseType(exprType(expr));

	if (type != DATEOID && type != TIMESTAMPOID && type != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("sequence_by has type %s", format_type_be(exprType(expr))),
				 errdetail("An event time is a date, a timestamp or a timestamp with time zone."),
				 errhint("Declare the source's column as one, read the source through a view that converts it, or write an immutable expression such as to_timestamp(seconds).")));
	return expr;
}
