/*
 * csv_fdw.c
 *	  The foreign data wrapper wh_csv: plans and runs scans of CSV tables.
 *
 * Converts only the columns a query uses.  Errors in the data are raised with
 * file and line.  Runs in any backend, in the query's transaction; takes no
 * locks beyond the query's own.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "commands/explain.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"

#include "compat.h"
#include "csv/csv_fdw.h"
#include "csv/csv_source.h"
#include WH_EXPLAIN_FORMAT_H
#include WH_EXPLAIN_STATE_H

/* Files that EXPLAIN names one by one. */
#define EXPLAIN_FILES		10

/* Records, and bytes, read to estimate how many there are. */
#define ESTIMATE_RECORDS	200
#define ESTIMATE_BYTES		(4 * 1024 * 1024)

/* Costs of a row and of a converted value, in units of cpu_tuple_cost. */
#define ROW_COST			1.0
#define VALUE_COST			0.5

/* What the planner knows, in RelOptInfo.fdw_private. */
typedef struct CsvPlanState
{
	double		bytes;			/* of all files, as stored */
	double		rows;
	List	   *attnums;		/* columns the query uses */
} CsvPlanState;

/* A running scan. */
typedef struct CsvScanState
{
	WhCsvTable *table;
	MemoryContext context;
	List	   *files;			/* of WhCsvFileInfo */
	int			next;			/* file to open next */
	WhCsvScan  *scan;			/* NULL = none open */
	Bitmapset  *attnums;
} CsvScanState;

PG_FUNCTION_INFO_V1(wh_csv_fdw_handler);

/*
 * Estimate the rows of a table from the first records of its first file;
 * wrong files count as none, since reading them will say what is wrong.
 */
static double
estimate_rows(WhCsvTable *table, List *files)
{
	ListCell   *lc;

	foreach(lc, files)
	{
		WhCsvFileInfo *file = lfirst(lc);
		WhCsvScan  *scan;
		WhSourceRow *row;
		double		first = -1;
		double		last = 0;
		double		stored;
		int			n = 0;

		if (file->size <= 0)
			continue;
		scan = wh_csv_begin(table, file->name, NULL, WH_CSV_COLLECT | WH_CSV_LAZY);
		wh_csv_set_limit(scan, ESTIMATE_BYTES);
		while (n < ESTIMATE_RECORDS && (row = wh_csv_next(scan)) != NULL)
		{
			if (wh_csv_failed(scan))
				break;
			if (first < 0)
				first = row->byte_offset;
			last = row->byte_offset + row->raw_len + 1;
			n++;
		}
		stored = wh_csv_stored_bytes(scan) / Max(wh_csv_content_bytes(scan), 1.0);
		wh_csv_end(scan);
		if (n == 0)
			continue;

		/* Stored bytes of a record, by the compression met so far. */
		return clamp_row_est(wh_csv_list_size(files) /
							 ((last - first) / n * (stored > 0 ? stored : 1)));
	}
	return 1;
}

/* Collect the columns that a query needs of the relation. */
static List *
used_columns(RelOptInfo *baserel, Oid relid)
{
	Bitmapset  *used = NULL;
	List	   *result = NIL;
	Relation	rel;
	ListCell   *lc;
	int			i;
	bool		whole;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &used);
	foreach(lc, baserel->baserestrictinfo)
		pull_varattnos((Node *) ((RestrictInfo *) lfirst(lc))->clause,
					   baserel->relid, &used);
	whole = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	rel = table_open(relid, AccessShareLock);
	for (i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
		if (whole || bms_is_member(i - FirstLowInvalidHeapAttributeNumber, used))
			result = lappend_int(result, i);
	table_close(rel, AccessShareLock);
	return result;
}

static void
get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	CsvPlanState  *state = palloc0(sizeof(CsvPlanState));
	WhCsvTable *table = wh_csv_table_open(relid);
	List	   *files = wh_csv_table_files(table);
	double		rows;

	state->bytes = wh_csv_list_size(files);
	state->attnums = used_columns(baserel, relid);

	/* After ANALYZE the table's pages are its size then, and so its density. */
	if (baserel->tuples > 0 && baserel->pages > 0)
		rows = baserel->tuples * (ceil(state->bytes / BLCKSZ) / baserel->pages);
	else
		rows = estimate_rows(table, files);
	state->rows = clamp_row_est(rows);
	baserel->tuples = state->rows;
	baserel->rows = clamp_row_est(state->rows *
								  clauselist_selectivity(root, baserel->baserestrictinfo,
														 0, JOIN_INNER, NULL));
	baserel->fdw_private = state;
}

static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	CsvPlanState  *state = baserel->fdw_private;
	Cost		run;

	run = state->bytes / BLCKSZ * seq_page_cost;
	run += state->rows * cpu_tuple_cost *
		(ROW_COST + VALUE_COST * list_length(state->attnums));
	run += state->rows * baserel->baserestrictcost.per_tuple;
	add_path(baserel, (Path *)
			 WH_FOREIGN_PATH(root, baserel, baserel->rows,
							 baserel->baserestrictcost.startup,
							 baserel->baserestrictcost.startup + run, baserel->lateral_relids));
}

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *path,
		 List *tlist, List *clauses, Plan *outer)
{
	CsvPlanState  *state = baserel->fdw_private;

	clauses = extract_actual_clauses(clauses, false);
	return make_foreignscan(tlist, clauses, baserel->relid, NIL,
							list_make2(state->attnums,
									   makeFloat(psprintf("%.0f", state->rows))),
							NIL, NIL, outer);
}

static void
begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	CsvScanState *state;
	ListCell   *lc;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	state = palloc0(sizeof(CsvScanState));
	state->context = CurrentMemoryContext;
	state->table = wh_csv_table_open(RelationGetRelid(node->ss.ss_currentRelation));
	state->files = wh_csv_table_files(state->table);
	state->attnums = bms_make_singleton(0); /* none is not the same as all */
	foreach(lc, (List *) linitial(plan->fdw_private))
		state->attnums = bms_add_member(state->attnums, lfirst_int(lc));
	node->fdw_state = state;
}

static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	CsvScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	for (;;)
	{
		if (state->scan != NULL)
		{
			if (wh_csv_next(state->scan) != NULL)
				return ExecStoreVirtualTuple(slot);
			wh_csv_end(state->scan);
			state->scan = NULL;
		}
		if (state->next >= list_length(state->files))
			return slot;
		else
		{
			WhCsvFileInfo *file = list_nth(state->files, state->next++);
			MemoryContext old = MemoryContextSwitchTo(state->context);

			state->scan = wh_csv_begin(state->table, file->name, state->attnums, 0);
			MemoryContextSwitchTo(old);
			wh_csv_set_output(state->scan, slot->tts_values, slot->tts_isnull);
		}
	}
}

static void
end_scan(ForeignScanState *node)
{
	CsvScanState *state = node->fdw_state;

	if (state == NULL || state->scan == NULL)
		return;
	wh_csv_end(state->scan);
	state->scan = NULL;
}

static void
rescan(ForeignScanState *node)
{
	CsvScanState *state = node->fdw_state;

	end_scan(node);
	state->next = 0;
}

static void
explain_scan(ForeignScanState *node, ExplainState *es)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	WhCsvTable *table = wh_csv_table_open(RelationGetRelid(node->ss.ss_currentRelation));
	List	   *files = wh_csv_table_files(table);
	List	   *shown = NIL;
	ListCell   *lc;

	foreach(lc, files)
	{
		WhCsvFileInfo *file = lfirst(lc);

		if (list_length(shown) == EXPLAIN_FILES)
		{
			shown = lappend(shown, psprintf("%d more", list_length(files) - EXPLAIN_FILES));
			break;
		}
		if (file->size < 0)
			shown = lappend(shown, psprintf("%s (not readable)", file->name));
		else if (es->costs)
			shown = lappend(shown, psprintf("%s (%lld bytes)", file->name, (long long) file->size));
		else
			shown = lappend(shown, file->name);
	}
	ExplainPropertyList("CSV Files", shown, es);
	if (es->costs)
	{
		ExplainPropertyInteger("CSV Size", "bytes", (int64) wh_csv_list_size(files), es);
		ExplainPropertyInteger("CSV Rows", NULL,
							   (int64) floatVal(lsecond(plan->fdw_private)), es);
	}
}

/* wh.wh_csv_handler(): the callbacks of wrapper wh_csv. */
Datum
wh_csv_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = begin_scan;
	routine->IterateForeignScan = iterate_scan;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end_scan;
	routine->ExplainForeignScan = explain_scan;
	routine->AnalyzeForeignTable = wh_csv_analyze;
	routine->ImportForeignSchema = wh_csv_import;
	PG_RETURN_POINTER(routine);
}
