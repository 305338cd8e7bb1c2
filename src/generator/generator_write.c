/*
 * generator_write.c
 *	  Puts generated rows into their table, in bulk.
 *
 * Few rows go through table_multi_insert, many onto pages of their own (see
 * generator_pages.c), also from parallel workers.  The leader holds SHARE ROW
 * EXCLUSIVE on the table, so blocks added from the start of a request on are
 * all the request's, and adds the index entries afterwards.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "generator/generator_write.h"

/*
 * Prepare writing rows with a transaction and command id: by pages, if blocks
 * says where, which all processes of the request share.
 */
WhWriter *
wh_generator_writer(WhGenerator *generator, TransactionId xid, CommandId cid, WhBlocks *blocks)
{
	MemoryContext old_context = MemoryContextSwitchTo(generator->context);
	WhWriter   *writer = palloc0(sizeof(WhWriter));

	writer->generator = generator;
	writer->relation = generator->relation;
	writer->xid = xid;
	writer->cid = cid;
	writer->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result_rel, writer->relation, 0, NULL, 0);
	writer->check_slot = MakeSingleTupleTableSlot(generator->tupdesc, &TTSOpsVirtual);
	if (blocks)
		wh_generator_pages_open(writer, blocks);
	else
	{
		writer->bulk = GetBulkInsertState();
		writer->slots = palloc0(sizeof(TupleTableSlot *) * WH_WRITE_SLOTS);
	}
	/* Serializable transactions that read the table must learn of the rows. */
	CheckForSerializableConflictIn(writer->relation, NULL, InvalidBlockNumber);
	MemoryContextSwitchTo(old_context);
	return writer;
}

/* Insert the rows kept in slots, with their index entries. */
static void
flush_slots(WhWriter *writer)
{
	if (writer->nslots == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	table_multi_insert(writer->relation, writer->slots, writer->nslots, writer->cid, 0, writer->bulk);
	for (int i = 0; i < writer->nslots; i++)
	{
		if (writer->result_rel->ri_NumIndices > 0)
			list_free(ExecInsertIndexTuples(writer->result_rel, writer->slots[i], writer->generator->estate,
											false, false, NULL, NIL WH_NOT_ONLY_SUMMARIZING));
		ExecClearTuple(writer->slots[i]);
		ResetPerTupleExprContext(writer->generator->estate);
	}
	writer->nslots = 0;
}

/* Keep the generator's current row in a slot. */
static void
add_to_slots(WhWriter *writer)
{
	WhGenerator *generator = writer->generator;
	TupleTableSlot *slot;

	if (writer->nslots == WH_WRITE_SLOTS)
	{
		flush_slots(writer);
	}
	if (writer->nslots == writer->nmade)
	{
		MemoryContext old_context = MemoryContextSwitchTo(generator->context);

		writer->slots[writer->nmade++] = table_slot_create(writer->relation, NULL);
		MemoryContextSwitchTo(old_context);
	}
	slot = writer->slots[writer->nslots++];
	ExecClearTuple(slot);
	memcpy(slot->tts_values, generator->values, sizeof(Datum) * generator->natts);
	memcpy(slot->tts_isnull, generator->isnull, sizeof(bool) * generator->natts);
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
}

/* Make and write rows; both counts are in row numbers, duplicates come on top. */
void
wh_generator_write_range(WhWriter *writer, int64 first_row, int64 rows)
{
	WhGenerator *generator = writer->generator;

	if (!writer->blocks && writer->result_rel->ri_IndexRelationDescs == NULL)
		ExecOpenIndices(writer->result_rel, false);
	for (int64 row = first_row; row < first_row + rows; row++)
	{
		int			copies = 1;

		wh_generator_fill_row(generator, row);
		wh_generator_check_row(generator, writer->result_rel, writer->check_slot);
		if (generator->duplicate_share)
		{
			WhRandom	random = wh_random_start(wh_random_mix((uint64) generator->request.seed ^
															   UINT64CONST(0xD0B1E)), row);

			if ((wh_random_next(&random) >> 1) < generator->duplicate_share)
			{
				copies = 2;
				generator->dirt_count[generator->ncolumns * WH_DIRT_KINDS + WH_DIRT_DUPLICATE]++;
			}
		}
		writer->written += copies;
		while (copies-- > 0)
		{
			if (writer->blocks)
				wh_generator_pages_add(writer);
			else
				add_to_slots(writer);
		}
		if (row % 32 == 0)
			MemoryContextReset(generator->row_context);
	}
}

/* Write what is still in memory. */
void
wh_generator_write_end(WhWriter *writer)
{
	ExecDropSingleTupleTableSlot(writer->check_slot);
	if (writer->blocks)
	{
		wh_generator_pages_close(writer);
		return;
	}
	flush_slots(writer);
	for (int i = 0; i < writer->nmade; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	FreeBulkInsertState(writer->bulk);
	ExecCloseIndices(writer->result_rel);
}

/*
 * Add the index entries of all rows from first_block on.  Indexes of a table
 * that was empty are built anew, by sorting.
 */
void
wh_generator_write_indexes(WhWriter *writer, BlockNumber first_block)
{
	Relation	relation = writer->relation;
	BlockNumber blocks = RelationGetNumberOfBlocks(relation);
	TupleTableSlot *slot;

	if (!relation->rd_rel->relhasindex || blocks == first_block)
		return;
	if (first_block == 0)
	{
		CommandCounterIncrement();
		wh_reindex_relation(RelationGetRelid(relation));
		return;
	}
	ExecOpenIndices(writer->result_rel, false);
	slot = MakeSingleTupleTableSlot(writer->generator->tupdesc, &TTSOpsBufferHeapTuple);
	for (BlockNumber block = first_block; block < blocks; block++)
	{
		Buffer		buffer = ReadBuffer(relation, block);
		Page		page = BufferGetPage(buffer);

		CHECK_FOR_INTERRUPTS();
		for (OffsetNumber i = 1; i <= PageGetMaxOffsetNumber(page); i++)
		{
			ItemId		item = PageGetItemId(page, i);
			HeapTupleData tuple;

			tuple.t_tableOid = RelationGetRelid(relation);
			tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
			tuple.t_len = ItemIdGetLength(item);
			ItemPointerSet(&tuple.t_self, block, i);
			ExecStoreBufferHeapTuple(&tuple, slot, buffer);
			list_free(ExecInsertIndexTuples(writer->result_rel, slot, writer->generator->estate,
											false, false, NULL, NIL WH_NOT_ONLY_SUMMARIZING));
			ResetPerTupleExprContext(writer->generator->estate);
		}
		ExecClearTuple(slot);
		ReleaseBuffer(buffer);
	}
	ExecDropSingleTupleTableSlot(slot);
	ExecCloseIndices(writer->result_rel);
}
