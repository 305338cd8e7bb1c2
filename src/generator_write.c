/*
 * generator_write.c
 *	  Puts generated rows into their table, in bulk.
 *
 * Few rows go through table_multi_insert.  Many rows are laid out on pages of
 * their own, which are then added at the end of the table and logged whole;
 * no process needs another one for that, so parallel workers write too, under
 * the transaction id of their leader.  A roll-back leaves dead rows, as any
 * insert does.  The leader holds SHARE ROW EXCLUSIVE on the table, so blocks
 * added from the start of a request on are all the request's, and adds the
 * index entries afterwards.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "storage/proc.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "generator_write.h"

/* Tell whether rows may be written as whole pages: heaps whose changes nobody decodes. */
bool
wh_generator_can_write_pages(Relation relation)
{
	return relation->rd_rel->relam == HEAP_TABLE_AM_OID && !RelationIsLogicallyLogged(relation) &&
		!IsCatalogRelation(relation) && !RelationUsesLocalBuffers(relation);
}

/* Prepare writing rows with a transaction and command id. */
WhWriter *
wh_generator_writer(WhGenerator *generator, TransactionId xid, CommandId cid, bool by_pages)
{
	MemoryContext old_context = MemoryContextSwitchTo(generator->context);
	WhWriter   *writer = palloc0(sizeof(WhWriter));

	writer->generator = generator;
	writer->relation = generator->relation;
	writer->xid = xid;
	writer->cid = cid;
	writer->by_pages = by_pages;
	writer->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result_rel, writer->relation, 0, NULL, 0);
	writer->check_slot = MakeSingleTupleTableSlot(generator->tupdesc, &TTSOpsVirtual);
	if (by_pages)
	{
		writer->pages = palloc(sizeof(PGAlignedBlock) * WH_WRITE_PAGES);
		for (int i = 0; i < WH_WRITE_PAGES; i++)
			PageInit(writer->pages[i].data, BLCKSZ, 0);
		writer->reserve = RelationGetTargetPageFreeSpace(writer->relation, HEAP_DEFAULT_FILLFACTOR);
	}
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

/*
 * Add the full pages at the end of the table.  They are written past the
 * shared buffers, where no one can have them yet.  A checkpoint must not fall
 * between logging and writing: it would neither replay nor sync the pages.
 */
static void
flush_pages(WhWriter *writer)
{
	Relation	relation = writer->relation;
	int			count = writer->npages + (writer->ntuples > 0 ? 1 : 0);
	BlockNumber blocks[WH_WRITE_PAGES];
	Page		pages[WH_WRITE_PAGES];
	BlockNumber first;

	if (count == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	LockRelationForExtension(relation, ExclusiveLock);
	first = smgrnblocks(RelationGetSmgr(relation), MAIN_FORKNUM);
	for (int p = 0; p < count; p++)
	{
		blocks[p] = first + p;
		pages[p] = writer->pages[p].data;
		for (OffsetNumber i = 1; i <= PageGetMaxOffsetNumber(pages[p]); i++)
		{
			HeapTupleHeader tuple = (HeapTupleHeader) PageGetItem(pages[p], PageGetItemId(pages[p], i));

			ItemPointerSet(&tuple->t_ctid, blocks[p], i);
		}
	}
	Assert((MyProc->delayChkptFlags & DELAY_CHKPT_START) == 0);
	MyProc->delayChkptFlags |= DELAY_CHKPT_START;
	PG_TRY();
	{
		if (RelationNeedsWAL(relation))
			log_newpages(wh_relation_locator(relation), MAIN_FORKNUM, count, blocks, pages, true);
		for (int p = 0; p < count; p++)
		{
			PageSetChecksumInplace(pages[p], blocks[p]);
			smgrextend(RelationGetSmgr(relation), MAIN_FORKNUM, blocks[p], pages[p], false);
			PageInit(pages[p], BLCKSZ, 0);
		}
	}
	PG_FINALLY();
	{
		MyProc->delayChkptFlags &= ~DELAY_CHKPT_START;
	}
	PG_END_TRY();
	UnlockRelationForExtension(relation, ExclusiveLock);
	writer->npages = 0;
	writer->ntuples = 0;
}

/* Find room on the page for a tuple of len bytes, and point to it. */
static HeapTupleHeader
make_room(WhWriter *writer, Size len)
{
	Page		page = writer->pages[writer->npages].data;
	PageHeader	header = (PageHeader) page;
	Size		aligned = MAXALIGN(len);

	if (writer->ntuples > 0 &&
		(writer->ntuples >= MaxHeapTuplesPerPage ||
		 header->pd_upper - header->pd_lower < (int) (aligned + sizeof(ItemIdData) + writer->reserve)))
	{
		if (writer->npages == WH_WRITE_PAGES - 1)
			flush_pages(writer);
		else
		{
			writer->npages++;
			writer->ntuples = 0;
		}
		page = writer->pages[writer->npages].data;
		header = (PageHeader) page;
	}
	header->pd_lower += sizeof(ItemIdData);
	header->pd_upper -= aligned;
	writer->ntuples++;
	ItemIdSetNormal(PageGetItemId(page, writer->ntuples), header->pd_upper, len);
	return (HeapTupleHeader) (page + header->pd_upper);
}

/* Fill in what a new tuple's header says about its transaction. */
static void
stamp(WhWriter *writer, HeapTupleHeader tuple)
{
	tuple->t_infomask &= ~HEAP_XACT_MASK;
	tuple->t_infomask2 &= ~HEAP2_XACT_MASK;
	tuple->t_infomask |= HEAP_XMAX_INVALID;
	HeapTupleHeaderSetXmin(tuple, writer->xid);
	HeapTupleHeaderSetCmin(tuple, writer->cid);
	HeapTupleHeaderSetXmax(tuple, 0);
}

/* Put the generator's current row on the page. */
static void
add_to_page(WhWriter *writer)
{
	WhGenerator *generator = writer->generator;
	int			natts = generator->natts;
	bool		has_null = false;
	Size		data_len;
	Size		hoff;
	Size		len;
	HeapTupleHeader tuple;

	for (int i = 0; i < natts; i++)
		has_null |= generator->isnull[i];
	data_len = heap_compute_data_size(generator->tupdesc, generator->values, generator->isnull);
	hoff = MAXALIGN(SizeofHeapTupleHeader + (has_null ? BITMAPLEN(natts) : 0));
	len = hoff + data_len;
	if (len > TOAST_TUPLE_THRESHOLD)
	{
		MemoryContext old_context;
		HeapTuple	toasted;

		if (IsParallelWorker())
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a generated row of relation \"%s\" is too wide to be made by several workers",
							generator->name),
					 errhint("Use workers => 1.")));
		old_context = MemoryContextSwitchTo(generator->row_context);
		toasted = heap_form_tuple(generator->tupdesc, generator->values, generator->isnull);
		toasted->t_tableOid = RelationGetRelid(writer->relation);
		toasted = heap_toast_insert_or_update(writer->relation, toasted, NULL, 0);
		tuple = make_room(writer, toasted->t_len);
		memcpy(tuple, toasted->t_data, toasted->t_len);
		MemoryContextSwitchTo(old_context);
		stamp(writer, tuple);
		return;
	}
	tuple = make_room(writer, len);
	memset(tuple, 0, hoff);
	HeapTupleHeaderSetNatts(tuple, natts);
	tuple->t_hoff = (uint8) hoff;
	heap_fill_tuple(generator->tupdesc, generator->values, generator->isnull, (char *) tuple + hoff, data_len,
					&tuple->t_infomask, has_null ? tuple->t_bits : NULL);
	stamp(writer, tuple);
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

	if (!writer->by_pages && writer->result_rel->ri_IndexRelationDescs == NULL)
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
			if (writer->by_pages)
				add_to_page(writer);
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
	if (writer->by_pages)
	{
		flush_pages(writer);
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
