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
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/tableam.h"
#include "access/tupmacs.h"
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

/* Note how each value is stored, and what is the same in every row's header. */
static void
prepare_form(WhWriter *writer)
{
	TupleDesc	tupdesc = writer->generator->tupdesc;
	HeapTupleHeader header;

	writer->attributes = palloc0(sizeof(WhAttribute) * Max(tupdesc->natts, 1));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		writer->attributes[i].length = attribute->attlen;
		writer->attributes[i].by_value = attribute->attbyval;
		writer->attributes[i].may_be_short = attribute->attstorage != TYPSTORAGE_PLAIN;
		writer->attributes[i].alignment = attribute->attalign == TYPALIGN_CHAR ? 1 :
			attribute->attalign == TYPALIGN_SHORT ? ALIGNOF_SHORT :
			attribute->attalign == TYPALIGN_INT ? ALIGNOF_INT : ALIGNOF_DOUBLE;
		writer->has_width |= attribute->attlen == -1;
	}
	writer->row = palloc0(TOAST_TUPLE_THRESHOLD + MAXIMUM_ALIGNOF);
	header = (HeapTupleHeader) writer->row;
	HeapTupleHeaderSetNatts(header, tupdesc->natts);
	HeapTupleHeaderSetXmin(header, writer->xid);
	HeapTupleHeaderSetCmin(header, writer->cid);
	HeapTupleHeaderSetXmax(header, 0);
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
		prepare_form(writer);
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

/* Put the generator's current row, of any width, on the page. */
static void
add_any_to_page(WhWriter *writer)
{
	WhGenerator *generator = writer->generator;
	MemoryContext old_context = MemoryContextSwitchTo(generator->row_context);
	HeapTuple	tuple = heap_form_tuple(generator->tupdesc, generator->values, generator->isnull);
	HeapTupleHeader place;

	if (tuple->t_len > TOAST_TUPLE_THRESHOLD)
	{
		if (IsParallelWorker())
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a generated row of relation \"%s\" is too wide to be made by several workers",
							generator->name),
					 errhint("Use workers => 1.")));
		tuple->t_tableOid = RelationGetRelid(writer->relation);
		tuple = heap_toast_insert_or_update(writer->relation, tuple, NULL, 0);
	}
	place = make_room(writer, tuple->t_len);
	memcpy(place, tuple->t_data, tuple->t_len);
	MemoryContextSwitchTo(old_context);
	stamp(writer, place);
}

/*
 * Put a value at an offset of the row that is being formed, aligned, and
 * return the offset after it; 0 when it takes heap_form_tuple.
 */
static inline Size
form_value(char *row, Size offset, const WhAttribute *attribute, Datum value)
{
	Size		start = TYPEALIGN(attribute->alignment, offset);
	Size		len;

	if (attribute->length == -1)
	{
		const struct varlena *data = (const struct varlena *) DatumGetPointer(value);

		if (VARATT_IS_EXTERNAL(data))
			return 0;
		if (VARATT_IS_SHORT(data))
		{
			len = VARSIZE_SHORT(data);
			if (offset + len > TOAST_TUPLE_THRESHOLD)
				return 0;
			memcpy(row + offset, data, len);
			return offset + len;
		}
		if (attribute->may_be_short && VARATT_CAN_MAKE_SHORT(data))
		{
			len = VARATT_CONVERTED_SHORT_SIZE(data);
			if (offset + len > TOAST_TUPLE_THRESHOLD)
				return 0;
			SET_VARSIZE_SHORT(row + offset, len);
			memcpy(row + offset + VARHDRSZ_SHORT, VARDATA(data), len - VARHDRSZ_SHORT);
			return offset + len;
		}
		len = VARSIZE(data);
	}
	else if (attribute->length > 0)
		len = attribute->length;
	else
		return 0;
	if (start + len > TOAST_TUPLE_THRESHOLD)
		return 0;
	while (offset < start)
		row[offset++] = 0;
	if (!attribute->by_value)
		memcpy(row + start, DatumGetPointer(value), len);
	else if (len == sizeof(int32))
		*(int32 *) (row + start) = DatumGetInt32(value);
	else if (len == sizeof(int64))
		*(int64 *) (row + start) = DatumGetInt64(value);
	else
		store_att_byval(row + start, value, (int) len);
	return start + len;
}

/*
 * Put the generator's current row on the page, as heap_form_tuple would form
 * it: header, bitmap of values that are not NULL, values.
 */
static void
add_to_page(WhWriter *writer)
{
	WhGenerator *generator = writer->generator;
	int			natts = generator->natts;
	char	   *row = writer->row;
	HeapTupleHeader header = (HeapTupleHeader) row;
	bool		has_null = false;
	Size		offset;

	for (int i = 0; i < natts; i++)
		has_null |= generator->isnull[i];
	header->t_infomask = HEAP_XMAX_INVALID | (has_null ? HEAP_HASNULL : 0) |
		(writer->has_width ? HEAP_HASVARWIDTH : 0);
	offset = MAXALIGN(SizeofHeapTupleHeader + (has_null ? BITMAPLEN(natts) : 0));
	header->t_hoff = (uint8) offset;
	memset(header->t_bits, 0, offset - SizeofHeapTupleHeader);
	if (writer->has_width && has_null)
	{
		/* The flag is for values that are there. */
		header->t_infomask &= ~HEAP_HASVARWIDTH;
		for (int i = 0; i < natts; i++)
			if (!generator->isnull[i] && writer->attributes[i].length == -1)
				header->t_infomask |= HEAP_HASVARWIDTH;
	}
	/* Offsets count from the data's start, which is aligned like the tuple. */
	for (int i = 0; i < natts; i++)
	{
		if (generator->isnull[i])
			continue;
		if (has_null)
			header->t_bits[i >> 3] |= (bits8) (1 << (i & 7));
		offset = form_value(row, offset, &writer->attributes[i], generator->values[i]);
		if (unlikely(offset == 0))
		{
			add_any_to_page(writer);
			return;
		}
	}
	memcpy(make_room(writer, offset), row, offset);
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
