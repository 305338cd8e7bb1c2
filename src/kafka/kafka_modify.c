/*
 * kafka_modify.c
 *	  Runs INSERT and COPY FROM into Kafka tables: rows become messages.
 *
 * Messages are sent while the statement runs, and all are confirmed by the
 * brokers before it ends; a refusal fails it.  They are not part of the
 * transaction: a rollback does not take them back.
 *
 * Runs in backends, in the statement's transaction; takes no locks.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "kafka/kafka_client.h"
#include "kafka/kafka_encode.h"
#include "kafka/kafka_scan.h"

/* Rows that the executor hands over at once. */
#define BATCH_ROWS	1000

typedef struct KafkaInsert
{
	WhKafkaTable *table;
	WhKafkaEncoder *encoder;
	WhKafkaProducer *producer;
	MemoryContext context;		/* of the producer */
	MemoryContext row_context;
} KafkaInsert;

static List *
kafka_plan_modify(PlannerInfo *root, ModifyTable *plan, Index result_relation, int subplan_index)
{
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("INSERT with ON CONFLICT is not supported by Kafka tables"));
	return NIL;
}

static int
kafka_is_updatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

/* Make what an INSERT or COPY needs; the producer connects later. */
static void
begin_insert(ResultRelInfo *rinfo, Oid userid)
{
	KafkaInsert *insert = palloc0(sizeof(KafkaInsert));
	MemoryContext oldcontext;

	insert->context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh Kafka insert", ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(insert->context);
	insert->table = wh_kafka_table_get(RelationGetRelid(rinfo->ri_RelationDesc), userid);
	insert->encoder = wh_kafka_encoder_create(insert->table);
	insert->producer = wh_kafka_producer_open(insert->table);
	insert->row_context = AllocSetContextCreate(insert->context, "widgets_wh Kafka row", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(oldcontext);
	rinfo->ri_FdwState = insert;
}

static void
kafka_begin_modify(ModifyTableState *mtstate, ResultRelInfo *rinfo, List *fdw_private, int subplan_index, int eflags)
{
	EState	   *estate = mtstate->ps.state;

	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		begin_insert(rinfo, WH_RESULT_REL_USER(rinfo, estate));
}

static void
kafka_begin_insert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	begin_insert(rinfo, GetUserId());
}

/* Set the settings that output functions depend on; returns the nest level. */
static int
set_output_modes(void)
{
	int			level = NewGUCNestLevel();
	static const char *const settings[] = {
		"datestyle", "ISO",
		"intervalstyle", "postgres",
		"extra_float_digits", "3",
	};

	for (int i = 0; i < lengthof(settings); i += 2)
		set_config_option(settings[i], settings[i + 1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static TupleTableSlot **
kafka_exec_batch_insert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot **slots,
						TupleTableSlot **plan_slots, int *nslots)
{
	KafkaInsert *insert = rinfo->ri_FdwState;
	MemoryContext oldcontext = MemoryContextSwitchTo(insert->row_context);
	int			level = set_output_modes();

	for (int i = 0; i < *nslots; i++)
	{
		WhKafkaMessage message;

		wh_kafka_encode(insert->encoder, slots[i], &message, insert->producer);
		wh_kafka_producer_send(insert->producer, &message);
		MemoryContextReset(insert->row_context);
	}
	AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(oldcontext);
	return slots;
}

static TupleTableSlot *
kafka_exec_insert(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	int			count = 1;

	return kafka_exec_batch_insert(estate, rinfo, &slot, &plan_slot, &count)[0];
}

/*
 * Rows that triggers or RETURNING look at go one by one.
 */
static int
kafka_batch_size(ResultRelInfo *rinfo)
{
	if (rinfo->ri_projectReturning != NULL || rinfo->ri_WithCheckOptions != NIL ||
		(rinfo->ri_TrigDesc && (rinfo->ri_TrigDesc->trig_insert_before_row ||
								rinfo->ri_TrigDesc->trig_insert_after_row)))
		return 1;
	return BATCH_ROWS;
}

/* Wait until every message of the statement is confirmed. */
static void
kafka_end_modify(EState *estate, ResultRelInfo *rinfo)
{
	KafkaInsert *insert = rinfo->ri_FdwState;

	if (insert == NULL)
		return;
	wh_kafka_producer_flush(insert->producer);
	MemoryContextDelete(insert->context);
	rinfo->ri_FdwState = NULL;
}

/* Set the callbacks of INSERT and COPY FROM. */
void
wh_kafka_modify_routines(FdwRoutine *routine)
{
	routine->PlanForeignModify = kafka_plan_modify;
	routine->IsForeignRelUpdatable = kafka_is_updatable;
	routine->BeginForeignModify = kafka_begin_modify;
	routine->ExecForeignInsert = kafka_exec_insert;
	routine->ExecForeignBatchInsert = kafka_exec_batch_insert;
	routine->GetForeignModifyBatchSize = kafka_batch_size;
	routine->EndForeignModify = kafka_end_modify;
	routine->BeginForeignInsert = kafka_begin_insert;
	routine->EndForeignInsert = kafka_end_modify;
}
