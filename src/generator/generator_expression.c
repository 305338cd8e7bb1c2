/*
 * generator_expression.c
 *	  Columns computed from the row's other columns, and column defaults.
 *
 * Compiled once per process with the executor's own machinery.  Expressions
 * see the generator's row, variables included, as their scan tuple.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

#include "generator/generator.h"

/* Resolve a column name to a value of the generator's row. */
static Node *
resolve_column(ParseState *pstate, ColumnRef *reference)
{
	WhGenerator *generator = pstate->p_ref_hook_state;
	Node	   *field = linitial(reference->fields);
	WhColumn   *column;
	Var		   *var;

	/* PostgreSQL's own resolving takes a lone star for a name. */
	if (IsA(llast(reference->fields), A_Star))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a generator's expression cannot have *")));
	if (list_length(reference->fields) != 1 || !IsA(field, String))
		return NULL;
	column = wh_generator_column(generator, strVal(field));
	if (column == NULL)
		return NULL;
	var = makeVar(1, column->index + 1, column->type, column->typmod, column->collation, 0);
	var->location = reference->location;
	return (Node *) var;
}

/* Tell whether a function reads the clock. */
static bool
reads_clock_function(Oid function, void *context)
{
	return function == F_NOW || function == F_STATEMENT_TIMESTAMP || function == F_TIMEOFDAY ||
		function == F_CLOCK_TIMESTAMP;
}

static bool
reads_clock(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SQLValueFunction))
		return true;
	if (check_functions_in_node(node, reads_clock_function, NULL))
		return true;
	return expression_tree_walker(node, reads_clock, context);
}

/* Collect the columns that an expression reads. */
static bool
collect_columns(Node *node, void *arg)
{
	WhColumn   *column = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		if (((Var *) node)->varattno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("generator of column \"%s\" cannot use system columns or whole rows", column->name)));
		column->reads = bms_add_member(column->reads, ((Var *) node)->varattno - 1);
		return false;
	}
	return expression_tree_walker(node, collect_columns, column);
}

/* Tell whether parallel workers may evaluate an expression. */
bool
wh_generator_is_safe_in_workers(Node *node)
{
	Query	   *query = makeNode(Query);

	query->commandType = CMD_SELECT;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry((Expr *) node, 1, NULL, false));
	return max_parallel_hazard(query) == PROPARALLEL_SAFE;
}

typedef struct ExpressionState
{
	WhArithmetic *arithmetic;	/* the short way, or NULL */
	ExprState  *executor;
} ExpressionState;

static void
fill_expression(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	ExpressionState *state = column->state;
	ExprContext *econtext = generator->econtext;
	ErrorContextCallback callback = {error_context_stack, wh_value_error_callback, column};
	Datum		value;
	bool		isnull;

	if (state->arithmetic &&
		wh_arithmetic_run(state->arithmetic, generator->values, generator->isnull, column->buffer,
						  &generator->values[column->index], &generator->isnull[column->index]))
		return;
	error_context_stack = &callback;
	value = ExecEvalExprSwitchContext(state->executor, econtext, &isnull);
	error_context_stack = callback.previous;
	if (!isnull && !column->typbyval)
		value = datumCopy(value, false, column->typlen);
	generator->values[column->index] = value;
	generator->isnull[column->index] = isnull;
	ResetExprContext(econtext);
}

/* Make the column evaluate a planned or raw expression tree. */
static void
use_expression(WhGenerator *generator, WhColumn *column, Node *expression)
{
	ExpressionState *state = palloc(sizeof(ExpressionState));

	collect_columns(expression, column);
	if (!wh_generator_is_safe_in_workers(expression))
		generator->is_parallel_safe = false;
	expression = (Node *) expression_planner((Expr *) expression);
	state->arithmetic = wh_arithmetic_compile(expression);
	state->executor = ExecInitExpr((Expr *) expression, NULL);
	column->state = state;
	column->fill = fill_expression;
	column->is_drawn = false;
}

/* Prepare {"kind": "expression", "expression": "..."}. */
void
wh_generator_prepare_expression(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"expression", NULL};
	char	   *text = wh_spec_text(spec, "expression", NULL);
	List	   *parsed;
	SelectStmt *select;
	ParseState *pstate;
	Node	   *expression;
	Oid			type;

	wh_spec_check_options(spec, "expression", options);
	if (text == NULL)
		wh_spec_error(spec, "kind \"expression\" needs option \"expression\"");
	parsed = raw_parser(psprintf("SELECT %s", text), RAW_PARSE_DEFAULT);
	select = list_length(parsed) == 1 ? (SelectStmt *) linitial_node(RawStmt, parsed)->stmt : NULL;
	if (select == NULL || !IsA(select, SelectStmt) || list_length(select->targetList) != 1 ||
		select->fromClause || select->whereClause || select->groupClause || select->havingClause ||
		select->sortClause || select->limitCount || select->limitOffset || select->lockingClause ||
		select->withClause || select->distinctClause || select->windowClause || select->intoClause ||
		select->valuesLists || select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("generator of column \"%s\": \"%s\" is not one expression", column->name, text)));

	pstate = make_parsestate(NULL);
	pstate->p_pre_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = generator;
	expression = transformExpr(pstate, linitial_node(ResTarget, select->targetList)->val,
							   EXPR_KIND_GENERATED_COLUMN);
	type = exprType(expression);
	expression = coerce_to_target_type(pstate, expression, type, column->type, column->typmod,
									   COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (expression == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("generator of column \"%s\": the expression is of type %s, the column of type %s",
						column->name, format_type_be(type), format_type_be(column->type))));
	assign_expr_collations(pstate, expression);
	free_parsestate(pstate);
	if (contain_volatile_functions(expression) || reads_clock(expression, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\": the expression is volatile or reads the clock", column->name),
				 errhint("The same seed must give the same rows; draw random values in other columns and use those.")));
	use_expression(generator, column, expression);
}

/* Let an undeclared column take its default, or its value as a generated column. */
void
wh_generator_prepare_default(WhGenerator *generator, WhColumn *column)
{
	Node	   *expression = build_column_default(generator->relation, column->index + 1);

	if (expression)
		use_expression(generator, column, expression);
}
