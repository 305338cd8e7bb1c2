/*
 * query_delta.c
 *	  The query over the rows that an event feed added, instead of over all.
 *
 * When a query reads an event table exactly once, row by row (inner joins, or
 * on the preserved side of outer ones; no grouping, window, DISTINCT or LIMIT
 * above it), the rows it gains from added events are those of the same query
 * over the added events alone.  In a UNION ALL only the arm that reads the
 * table is left.
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "base/object_name.h"
#include "query/query_delta.h"

/* Count the uses of a relation in a tree that can be reached by a query. */
typedef struct CountContext
{
	Oid			relid;
	int			uses;
} CountContext;

static bool
count_uses(Node *node, void *arg)
{
	CountContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_RELATION && rte->inFromCl)
		{
			if (rte->relid == context->relid)
				context->uses++;
			else if (rte->relkind == RELKIND_VIEW)
			{
				Relation	view = table_open(rte->relid, AccessShareLock);

				count_uses((Node *) get_view_query(view), context);
				table_close(view, NoLock);
			}
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_uses, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, count_uses, context);
}

/* Find the relation's FROM item where every row of it gives its own rows. */
static int
preserved_item(Query *query, Node *node, Oid relid)
{
	ListCell   *lc;
	int			found = 0;

	if (IsA(node, RangeTblRef))
	{
		int			rti = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		return rte->rtekind == RTE_RELATION && rte->relid == relid && rte->tablesample == NULL ? rti : 0;
	}
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (found == 0)
				found = preserved_item(query, lfirst(lc), relid);
		return found;
	}
	if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (join->jointype == JOIN_INNER || join->jointype == JOIN_LEFT)
			found = preserved_item(query, join->larg, relid);
		if (found == 0 && (join->jointype == JOIN_INNER || join->jointype == JOIN_RIGHT))
			found = preserved_item(query, join->rarg, relid);
	}
	return found;
}

/* Say whether the level computes its rows one by one. */
static bool
is_row_by_row(const Query *q)
{
	return q->commandType == CMD_SELECT && !q->hasAggs && !q->hasWindowFuncs && !q->hasTargetSRFs &&
		!q->groupClause && !q->groupingSets && !q->havingQual && !q->distinctClause &&
		!q->limitCount && !q->limitOffset && !q->setOperations && !q->cteList && !q->rowMarks;
}

static bool
only_union_all(Node *node)
{
	if (IsA(node, SetOperationStmt))
	{
		SetOperationStmt *op = (SetOperationStmt *) node;

		return op->op == SETOP_UNION && op->all && only_union_all(op->larg) && only_union_all(op->rarg);
	}
	return true;
}

/* Find the arm of a UNION ALL that reads the relation, if its types are the result's. */
static Query *
arm_of(Query *query, Node *node, CountContext *context)
{
	Query	   *arm;
	ListCell   *lc;
	CountContext uses = {context->relid, 0};

	if (IsA(node, SetOperationStmt))
	{
		arm = arm_of(query, ((SetOperationStmt *) node)->larg, context);
		return arm ? arm : arm_of(query, ((SetOperationStmt *) node)->rarg, context);
	}
	arm = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
	count_uses((Node *) arm, &uses);
	if (uses.uses != 1)
		return NULL;
	foreach(lc, arm->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		TargetEntry *result = list_nth(query->targetList, foreach_current_index(lc));

		if (entry->resjunk || exprType((Node *) entry->expr) != exprType((Node *) result->expr))
			return NULL;
	}
	return arm;
}

/* Replace a FROM item by the rows added after the input was last used. */
static bool
restrict_item(RangeTblEntry *rte, const WhInput *input)
{
	StringInfoData sql;
	int64		block;
	Relation	rel = table_open(rte->relid, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	List	   *raw;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (att->attisdropped)
			appendStringInfo(&sql, "%sNULL::int", i ? ", " : "");
		else
			appendStringInfo(&sql, "%sw.%s", i ? ", " : "", quote_identifier(NameStr(att->attname)));
	}
	table_close(rel, NoLock);
	appendStringInfo(&sql, " FROM %s w WHERE w.batch_id > " INT64_FORMAT,
					 wh_relation_name(rte->relid), input->used_batch_id);
	if (wh_input_first_block(input, &block))
		appendStringInfo(&sql, " AND w.ctid >= '(" INT64_FORMAT ",0)'::tid", block);
	raw = pg_parse_query(sql.data);
	rte->subquery = parse_analyze_fixedparams(linitial_node(RawStmt, raw), sql.data, NULL, 0, NULL);
	if (rte->alias == NULL)
		rte->alias = makeAlias(rte->eref->aliasname, NIL);
	rte->rtekind = RTE_SUBQUERY;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	WH_RTE_CLEAR_PERMISSIONS(rte);
	return true;
}

static char *
deparse(Query *query)
{
	int			level = NewGUCNestLevel();
	char	   *sql;

	(void) set_config_option("search_path", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	sql = pg_get_querydef(query, false);
	AtEOXact_GUC(false, level);
	return sql;
}

/*
 * Write the query of a fact over the rows added to one input, or give NULL
 * when that would not be all of what changed.
 */
char *
wh_query_delta_sql(const WhFact *fact, const WhInput *input)
{
	Relation	view = table_open(fact->definition, AccessShareLock);
	Query	   *query = copyObject(get_view_query(view));
	Query	   *level = query;
	CountContext uses = {input->relid, 0};
	StringInfoData names;
	int			rti;

	table_close(view, NoLock);
	count_uses((Node *) query, &uses);
	if (uses.uses != 1)
		return NULL;
	if (query->setOperations && only_union_all(query->setOperations) && !query->limitCount &&
		!query->limitOffset && !query->cteList)
		level = arm_of(query, query->setOperations, &uses);
	if (level == NULL || !is_row_by_row(level))
		return NULL;
	rti = preserved_item(level, (Node *) level->jointree, input->relid);
	if (rti == 0)
		return NULL;
	level->sortClause = NIL;
	restrict_item(rt_fetch(rti, level->rtable), input);
	initStringInfo(&names);
	for (int i = 0; i < fact->ncolumns; i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(fact->tupdesc, fact->column[i] - 1)->attname)));
	return psprintf("SELECT * FROM (%s) added(%s)", deparse(level), names.data);
}
