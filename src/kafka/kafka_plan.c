/*
 * kafka_plan.c
 *	  Plans scans of Kafka tables: cost, used columns, conditions to push down.
 *
 * Conditions on partition, offset and timestamp narrow what is fetched; all
 * conditions are checked again on the rows.  A lower bound of the timestamp
 * becomes an offset, before which all messages are older.  An upper bound does
 * not: a message's time is its sender's, so older ones may follow.
 *
 * Runs in the planner; talks to no broker; takes no locks.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "kafka/kafka_options.h"
#include "kafka/kafka_scan.h"

/* Rows of a table that was never analyzed. */
#define DEFAULT_ROWS	100000

/* Cost of a connection, and of a message against that of a table's row. */
#define STARTUP_COST	1000
#define MESSAGE_COST_FACTOR	20

typedef struct PushedConditions
{
	List	   *bounds;			/* IntList of WhKafkaBound */
	List	   *values;			/* expressions compared with */
	List	   *clauses;		/* as they were written */
} PushedConditions;

/* Choose the bound for a comparison; false = it narrows nothing. */
static bool
choose_bound(WhKafkaColumnKind kind, int strategy, WhKafkaBound *bound)
{
	switch (kind)
	{
		case WH_KAFKA_PARTITION:
			*bound = strategy == BTEqualStrategyNumber ? WH_KAFKA_PARTITION_EQUAL :
				strategy == BTGreaterEqualStrategyNumber ? WH_KAFKA_PARTITION_FROM :
				strategy == BTGreaterStrategyNumber ? WH_KAFKA_PARTITION_AFTER :
				strategy == BTLessEqualStrategyNumber ? WH_KAFKA_PARTITION_TO : WH_KAFKA_PARTITION_BEFORE;
			return true;
		case WH_KAFKA_OFFSET:
			*bound = strategy == BTEqualStrategyNumber ? WH_KAFKA_OFFSET_EQUAL :
				strategy == BTGreaterEqualStrategyNumber ? WH_KAFKA_OFFSET_FROM :
				strategy == BTGreaterStrategyNumber ? WH_KAFKA_OFFSET_AFTER :
				strategy == BTLessEqualStrategyNumber ? WH_KAFKA_OFFSET_TO : WH_KAFKA_OFFSET_BEFORE;
			return true;
		case WH_KAFKA_TIMESTAMP:
			*bound = WH_KAFKA_TIME_FROM;
			return strategy == BTEqualStrategyNumber || strategy == BTGreaterEqualStrategyNumber ||
				strategy == BTGreaterStrategyNumber;
		default:
			return false;
	}
}

/* Return the metadata column that an expression is, WH_KAFKA_FIELD = none. */
static WhKafkaColumnKind
column_kind(const WhKafkaTable *table, Index relid, Expr *expr)
{
	Var		   *var = (Var *) expr;

	while (expr && IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	var = (Var *) expr;
	if (!IsA(var, Var) || var->varno != relid || var->varlevelsup != 0 || var->varattno <= 0)
		return WH_KAFKA_FIELD;
	return table->columns[var->varattno - 1].kind;
}

/* Say whether an expression has one value during a scan. */
static bool
is_fixed(Expr *expr)
{
	return !contain_var_clause((Node *) expr) && !contain_volatile_functions((Node *) expr) &&
		!contain_subplans((Node *) expr);
}

/* Take a condition over when it narrows the scan. */
static void
push_clause(const WhKafkaTable *table, Index relid, Expr *clause, PushedConditions *pushed)
{
	WhKafkaColumnKind kind;
	WhKafkaBound bound;
	Expr	   *left;
	Expr	   *right;
	Oid			operator;
	Oid			family;
	int			strategy;

	if (IsA(clause, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;

		left = linitial(any->args);
		right = lsecond(any->args);
		if (any->useOr && column_kind(table, relid, left) == WH_KAFKA_PARTITION && is_fixed(right) &&
			exprType((Node *) right) == INT4ARRAYOID &&
			get_op_opfamily_strategy(any->opno, INTEGER_BTREE_FAM_OID) == BTEqualStrategyNumber)
		{
			pushed->bounds = lappend_int(pushed->bounds, WH_KAFKA_PARTITION_ANY);
			pushed->values = lappend(pushed->values, right);
			pushed->clauses = lappend(pushed->clauses, clause);
		}
		return;
	}
	if (!IsA(clause, OpExpr) || list_length(((OpExpr *) clause)->args) != 2)
		return;
	left = linitial(((OpExpr *) clause)->args);
	right = lsecond(((OpExpr *) clause)->args);
	operator = ((OpExpr *) clause)->opno;
	if (is_fixed(left))
	{
		Expr	   *swap = left;

		left = right;
		right = swap;
		operator = get_commutator(operator);
	}
	kind = column_kind(table, relid, left);
	if (kind == WH_KAFKA_FIELD || !OidIsValid(operator) || !is_fixed(right))
		return;
	family = get_opclass_family(GetDefaultOpClass(kind == WH_KAFKA_TIMESTAMP ? TIMESTAMPTZOID : INT8OID, BTREE_AM_OID));
	strategy = get_op_opfamily_strategy(operator, family);
	if (strategy == 0 || !choose_bound(kind, strategy, &bound))
		return;
	if (kind == WH_KAFKA_TIMESTAMP &&
		(exprType((Node *) left) != TIMESTAMPTZOID || exprType((Node *) right) != TIMESTAMPTZOID))
		return;

	/* the executor takes all whole numbers as bigint */
	if (kind != WH_KAFKA_TIMESTAMP && exprType((Node *) right) != INT8OID)
	{
		Oid			cast = exprType((Node *) right) == INT4OID ? F_INT8_INT4 : F_INT8_INT2;

		right = (Expr *) makeFuncExpr(cast, INT8OID, list_make1(right), InvalidOid, InvalidOid, COERCE_IMPLICIT_CAST);
	}
	pushed->bounds = lappend_int(pushed->bounds, bound);
	pushed->values = lappend(pushed->values, right);
	pushed->clauses = lappend(pushed->clauses, clause);
}

/* Collect the conditions of a relation that narrow its scan. */
static PushedConditions *
push_conditions(RelOptInfo *baserel, const WhKafkaTable *table)
{
	PushedConditions *pushed = palloc0(sizeof(PushedConditions));
	ListCell   *lc;

	foreach(lc, baserel->baserestrictinfo)
		push_clause(table, baserel->relid, lfirst_node(RestrictInfo, lc)->clause, pushed);
	return pushed;
}

static void
kafka_get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	double		rows = baserel->tuples > 0 ? baserel->tuples : DEFAULT_ROWS;

	baserel->tuples = rows;
	baserel->rows = clamp_row_est(rows * clauselist_selectivity(root, baserel->baserestrictinfo, 0,
																JOIN_INNER, NULL));
	baserel->fdw_private = wh_kafka_table_get(relid, GetUserId());
}

static void
kafka_get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	PushedConditions *pushed = push_conditions(baserel, baserel->fdw_private);
	double		fetched = baserel->tuples * clauselist_selectivity(root, pushed->clauses, baserel->relid,
																   JOIN_INNER, NULL);
	Cost		startup = STARTUP_COST + baserel->baserestrictcost.startup;
	Cost		total = startup + fetched * (cpu_tuple_cost * MESSAGE_COST_FACTOR + baserel->baserestrictcost.per_tuple);

	add_path(baserel, (Path *) WH_FOREIGN_PATH(root, baserel, baserel->rows, startup, total,
											   baserel->lateral_relids));
}

/* List the columns that the query needs from the scan. */
static List *
used_columns(RelOptInfo *baserel, const WhKafkaTable *table, List *scan_clauses)
{
	Bitmapset  *used = NULL;
	List	   *columns = NIL;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	pull_varattnos((Node *) scan_clauses, baserel->relid, &used);
	for (int attnum = 1; attnum <= table->natts; attnum++)
	{
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used) ||
			bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used))
			columns = lappend_int(columns, attnum);
	}
	bms_free(used);
	return columns;
}

static ForeignScan *
kafka_get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *best_path,
			   List *tlist, List *scan_clauses, Plan *outer_plan)
{
	const WhKafkaTable *table = baserel->fdw_private;
	PushedConditions *pushed = push_conditions(baserel, table);
	List	   *columns;

	scan_clauses = extract_actual_clauses(scan_clauses, false);
	columns = used_columns(baserel, table, scan_clauses);
	return make_foreignscan(tlist, scan_clauses, baserel->relid,
							list_concat_copy(pushed->values, pushed->clauses),
							list_make2(columns, pushed->bounds),
							NIL, NIL, outer_plan);
}

/* Set the planner's callbacks. */
void
wh_kafka_plan_routines(FdwRoutine *routine)
{
	routine->GetForeignRelSize = kafka_get_rel_size;
	routine->GetForeignPaths = kafka_get_paths;
	routine->GetForeignPlan = kafka_get_plan;
}
