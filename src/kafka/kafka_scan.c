/*
 * kafka_scan.c
 *	  Runs scans of Kafka tables.
 *
 * A scan reads each partition from the earliest retained message to the end
 * that it had when the scan began; offsets may have gaps.  Its connection
 * belongs to a memory context below the query's, so it is closed however the
 * query ends.
 *
 * Runs in backends, in the query's transaction; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "kafka/kafka_client.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_scan.h"
#include "kafka/kafka_time.h"
#include WH_EXPLAIN_FORMAT_H
#include WH_EXPLAIN_STATE_H

/* What is read of a partition. */
typedef struct PartitionRange
{
	int32		partition;
	int64		start;
	int64		end;			/* before this offset */
	bool		done;
} PartitionRange;

typedef struct KafkaScan
{
	WhKafkaTable *table;
	List	   *bounds;			/* IntList of WhKafkaBound */
	List	   *values;			/* ExprStates, one per bound */
	MemoryContext context;		/* of the connection */
	WhKafkaConsumer *consumer;	/* NULL until the first row is asked for */
	WhKafkaDecoder *decoder;
	WhSourceRow row;
	int			npartitions;	/* of the topic, when the scan began */
	WhKafkaPlace *ends;			/* one per partition, when the scan began */
	PartitionRange *ranges;
	int			nranges;
	int			nreading;
	bool		assigned;
	int64		messages;
} KafkaScan;

/* What the bounds allow. */
typedef struct Bounds
{
	Bitmapset  *partitions;		/* unless any_partition */
	bool		any_partition;
	bool		nothing;
	int64		first_partition;
	int64		last_partition;
	int64		first_offset;
	int64		last_offset;
	int64		from_time;		/* milliseconds since 1970, 0 = any */
} Bounds;

static void
kafka_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	KafkaScan  *scan = palloc0(sizeof(KafkaScan));
	Oid			userid = WH_SCAN_USER(node);

	node->fdw_state = scan;
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh Kafka scan", ALLOCSET_DEFAULT_SIZES);
	scan->table = wh_kafka_table_get(RelationGetRelid(node->ss.ss_currentRelation),
									 OidIsValid(userid) ? userid : GetUserId());
	scan->bounds = list_nth(plan->fdw_private, WH_KAFKA_PLAN_BOUNDS);
	scan->values = ExecInitExprList(list_copy_head(plan->fdw_exprs, list_length(scan->bounds)), (PlanState *) node);
}

/* Evaluate the pushed-down conditions. */
static void
evaluate_bounds(ForeignScanState *node, Bounds *allowed)
{
	KafkaScan  *scan = node->fdw_state;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ListCell   *lc1;
	ListCell   *lc2;

	memset(allowed, 0, sizeof(Bounds));
	allowed->any_partition = true;
	allowed->last_partition = allowed->last_offset = PG_INT64_MAX;
	forboth(lc1, scan->bounds, lc2, scan->values)
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(lfirst(lc2), econtext, &isnull);
		int64		number;

		if (isnull)
		{
			allowed->nothing = true;
			continue;
		}
		if (lfirst_int(lc1) == WH_KAFKA_PARTITION_ANY)
		{
			Bitmapset  *wanted = NULL;
			Datum	   *elements;
			bool	   *nulls;
			int			count;

			deconstruct_array(DatumGetArrayTypeP(value), INT4OID, 4, true, TYPALIGN_INT, &elements, &nulls, &count);
			for (int i = 0; i < count; i++)
			{
				if (!nulls[i] && DatumGetInt32(elements[i]) >= 0)
					wanted = bms_add_member(wanted, DatumGetInt32(elements[i]));
			}
			allowed->partitions = allowed->any_partition ? wanted : bms_intersect(allowed->partitions, wanted);
			allowed->any_partition = false;
			continue;
		}
		if (lfirst_int(lc1) == WH_KAFKA_TIME_FROM)
		{
			TimestampTz time = DatumGetTimestampTz(value);

			if (TIMESTAMP_IS_NOEND(time))
				allowed->nothing = true;
			else if (!TIMESTAMP_IS_NOBEGIN(time))
				allowed->from_time = Max(allowed->from_time, wh_kafka_milliseconds(time));
			continue;
		}
		number = DatumGetInt64(value);
		switch (lfirst_int(lc1))
		{
			case WH_KAFKA_PARTITION_EQUAL:
				allowed->first_partition = Max(allowed->first_partition, number);
				allowed->last_partition = Min(allowed->last_partition, number);
				break;
			case WH_KAFKA_PARTITION_AFTER:
				if (number == PG_INT64_MAX)
					allowed->nothing = true;
				else
					allowed->first_partition = Max(allowed->first_partition, number + 1);
				break;
			case WH_KAFKA_PARTITION_FROM:
				allowed->first_partition = Max(allowed->first_partition, number);
				break;
			case WH_KAFKA_PARTITION_BEFORE:
				if (number <= 0)
					allowed->nothing = true;
				else
					allowed->last_partition = Min(allowed->last_partition, number - 1);
				break;
			case WH_KAFKA_PARTITION_TO:
				allowed->last_partition = Min(allowed->last_partition, number);
				break;
			case WH_KAFKA_OFFSET_EQUAL:
				allowed->first_offset = Max(allowed->first_offset, number);
				allowed->last_offset = Min(allowed->last_offset, number);
				break;
			case WH_KAFKA_OFFSET_AFTER:
				if (number == PG_INT64_MAX)
					allowed->nothing = true;
				else
					allowed->first_offset = Max(allowed->first_offset, number + 1);
				break;
			case WH_KAFKA_OFFSET_FROM:
				allowed->first_offset = Max(allowed->first_offset, number);
				break;
			case WH_KAFKA_OFFSET_BEFORE:
				if (number <= 0)
					allowed->nothing = true;
				else
					allowed->last_offset = Min(allowed->last_offset, number - 1);
				break;
			case WH_KAFKA_OFFSET_TO:
				allowed->last_offset = Min(allowed->last_offset, number);
				break;
		}
	}
}

/* Connect, and note where the topic ends now. */
static void
open_connection(ForeignScanState *node)
{
	KafkaScan  *scan = node->fdw_state;
	List	   *columns = list_nth(((ForeignScan *) node->ss.ps.plan)->fdw_private, WH_KAFKA_PLAN_COLUMNS);
	Bitmapset  *used = bms_make_singleton(0);	/* not NULL, which means all */
	MemoryContext oldcontext = MemoryContextSwitchTo(scan->context);
	ListCell   *lc;

	foreach(lc, columns)
		used = bms_add_member(used, lfirst_int(lc));
	scan->decoder = wh_kafka_decoder_create(scan->table, used);
	scan->consumer = wh_kafka_consumer_open(scan->table, &(WhKafkaConsumerOptions) {0});
	scan->npartitions = wh_kafka_consumer_partitions(scan->consumer);
	scan->ends = palloc(sizeof(WhKafkaPlace) * Max(scan->npartitions, 1));
	scan->ranges = palloc(sizeof(PartitionRange) * Max(scan->npartitions, 1));
	for (int i = 0; i < scan->npartitions; i++)
	{
		scan->ends[i].partition = i;
		scan->ends[i].offset = WH_KAFKA_LATEST;
	}
	wh_kafka_consumer_find(scan->consumer, scan->ends, scan->npartitions);
	MemoryContextSwitchTo(oldcontext);
}

/* Work out what to read, and start reading it. */
static void
start_reading(ForeignScanState *node)
{
	KafkaScan  *scan = node->fdw_state;
	WhKafkaPlace *starts;
	Bounds		allowed;
	int			nstarts = 0;

	evaluate_bounds(node, &allowed);
	if (scan->consumer == NULL)
		open_connection(node);
	scan->assigned = true;
	scan->nranges = scan->nreading = 0;
	if (allowed.nothing)
		return;

	starts = palloc(sizeof(WhKafkaPlace) * Max(scan->npartitions, 1));
	for (int i = 0; i < scan->npartitions; i++)
	{
		if (i < allowed.first_partition || i > allowed.last_partition ||
			(!allowed.any_partition && !bms_is_member(i, allowed.partitions)))
			continue;
		starts[nstarts].partition = i;
		starts[nstarts++].offset = WH_KAFKA_EARLIEST;
	}
	wh_kafka_consumer_find(scan->consumer, starts, nstarts);
	for (int i = 0; i < nstarts; i++)
	{
		PartitionRange *range = &scan->ranges[scan->nranges++];

		range->partition = starts[i].partition;
		range->start = Max(starts[i].offset, allowed.first_offset);
		range->end = scan->ends[range->partition].offset;
		if (allowed.last_offset < range->end)
			range->end = allowed.last_offset + 1;
	}
	if (allowed.from_time > 0)
	{
		for (int i = 0; i < nstarts; i++)
			starts[i].offset = allowed.from_time;
		wh_kafka_consumer_find(scan->consumer, starts, nstarts);
		for (int i = 0; i < nstarts; i++)
		{
			PartitionRange *range = &scan->ranges[i];

			range->start = starts[i].offset < 0 ? range->end : Max(range->start, starts[i].offset);
		}
	}

	nstarts = 0;
	for (int i = 0; i < scan->nranges; i++)
	{
		PartitionRange *range = &scan->ranges[i];

		range->end = Max(range->end, range->start);
		range->done = range->start >= range->end;
		if (range->done)
			continue;
		starts[nstarts].partition = range->partition;
		starts[nstarts++].offset = range->start;
	}
	scan->nreading = nstarts;
	wh_kafka_consumer_assign(scan->consumer, starts, nstarts);
	pfree(starts);
}

/* Find the range of a partition; NULL = it is not read. */
static PartitionRange *
find_range(KafkaScan *scan, int32 partition)
{
	/* most often all are read */
	if (partition < scan->nranges && scan->ranges[partition].partition == partition)
		return &scan->ranges[partition];
	for (int i = 0; i < scan->nranges; i++)
	{
		if (scan->ranges[i].partition == partition)
			return &scan->ranges[i];
	}
	return NULL;
}

static void
finish_range(KafkaScan *scan, PartitionRange *range)
{
	range->done = true;
	if (--scan->nreading > 0)
		wh_kafka_consumer_pause(scan->consumer, range->partition);
}

static TupleTableSlot *
kafka_iterate_scan(ForeignScanState *node)
{
	KafkaScan  *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (!scan->assigned)
		start_reading(node);
	while (scan->nreading > 0)
	{
		WhKafkaMessage message;
		WhKafkaEvent event = wh_kafka_consumer_next(scan->consumer, -1, &message);
		PartitionRange *range = find_range(scan, message.partition);

		if (range == NULL || range->done)
			continue;
		if (event == WH_KAFKA_END)
		{
			if (message.offset >= range->end)
				finish_range(scan, range);
			continue;
		}
		if (event != WH_KAFKA_MESSAGE || message.offset < range->start)
			continue;
		if (message.offset >= range->end)
		{
			finish_range(scan, range);
			continue;
		}
		if (message.offset + 1 == range->end)
			finish_range(scan, range);
		scan->messages++;
		scan->row.values = slot->tts_values;
		scan->row.isnull = slot->tts_isnull;
		wh_kafka_decode(scan->decoder, &message, &scan->row, false);
		return ExecStoreVirtualTuple(slot);
	}
	return slot;
}

static void
kafka_rescan(ForeignScanState *node)
{
	KafkaScan  *scan = node->fdw_state;

	/* the same ends again: a query sees one state of the topic */
	scan->assigned = false;
}

static void
kafka_end_scan(ForeignScanState *node)
{
	KafkaScan  *scan = node->fdw_state;

	if (scan)
		MemoryContextDelete(scan->context);
}

/* Print the conditions that narrow the scan. */
static void
explain_conditions(ForeignScan *plan, ExplainState *es)
{
	int			count = list_length(list_nth(plan->fdw_private, WH_KAFKA_PLAN_BOUNDS));
	List	   *context;

	if (count == 0)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, NIL);
	ExplainPropertyText("Kafka Conditions",
						deparse_expression((Node *) make_ands_explicit(list_copy_tail(plan->fdw_exprs, count)),
										   context, false, false), es);
}

static void
kafka_explain_scan(ForeignScanState *node, ExplainState *es)
{
	KafkaScan  *scan = node->fdw_state;

	ExplainPropertyText("Topic", scan->table->topic, es);
	explain_conditions((ForeignScan *) node->ss.ps.plan, es);
	if (es->analyze && scan->consumer)
	{
		List	   *ranges = NIL;

		for (int i = 0; i < scan->nranges; i++)
			ranges = lappend(ranges, psprintf("%d [" INT64_FORMAT ", " INT64_FORMAT ")", scan->ranges[i].partition,
											  scan->ranges[i].start, scan->ranges[i].end));
		ExplainPropertyInteger("Partitions", NULL, scan->nranges, es);
		ExplainPropertyList("Offsets", ranges, es);
		ExplainPropertyInteger("Messages", NULL, scan->messages, es);
	}
}

/* Set the callbacks of scans. */
void
wh_kafka_scan_routines(FdwRoutine *routine)
{
	routine->BeginForeignScan = kafka_begin_scan;
	routine->IterateForeignScan = kafka_iterate_scan;
	routine->ReScanForeignScan = kafka_rescan;
	routine->EndForeignScan = kafka_end_scan;
	routine->ExplainForeignScan = kafka_explain_scan;
}
