/*
 * generator_pages.c
 *	  Lays rows out on pages of its own, and adds these at the end of the table.
 *
 * Runs in the backend and in parallel workers, under the transaction id of the
 * backend.  Pages are logged whole and written past the shared buffers, where
 * no one can have them yet.  A roll-back leaves dead rows, as any insert does.
 *
 * Nobody else adds blocks to the table: the backend holds SHARE ROW EXCLUSIVE
 * on it.  The processes of a request take block numbers from a common counter,
 * log their pages at the same time, and write them in the order of the blocks,
 * so that no reader ever finds an empty block before a full one and keeps it
 * in the shared buffers.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/tupmacs.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "generator/generator_write.h"

/*
 * Pages gathered before they are written.  Where the log has to be on disk
 * first, waiting for it costs less the seldomer it is.
 */
#define PAGES 32
#define PAGES_BY_SYNC 512

/* Tell whether rows may be written as whole pages: heaps whose changes nobody decodes. */
bool
wh_generator_can_write_pages(Relation relation)
{
	return relation->rd_rel->relam == HEAP_TABLE_AM_OID && !RelationIsLogicallyLogged(relation) &&
		!IsCatalogRelation(relation) && !RelationUsesLocalBuffers(relation);
}

/* Start counting blocks at the end of the table; nobody adds any meanwhile. */
void
wh_generator_blocks_init(WhBlocks *blocks, BlockNumber first)
{
	pg_atomic_init_u32(&blocks->next, first);
	pg_atomic_init_u32(&blocks->written, first);
	ConditionVariableInit(&blocks->turn);
}

/* Prepare laying out rows: note how values are stored, and what all headers share. */
void
wh_generator_pages_open(WhWriter *writer, WhBlocks *blocks)
{
	TupleDesc	tupdesc = writer->generator->tupdesc;
	HeapTupleHeader header;

	writer->blocks = blocks;
	writer->max_pages = enableFsync ? PAGES_BY_SYNC : PAGES;
	writer->pages = palloc(sizeof(PGAlignedBlock) * writer->max_pages);
	for (int i = 0; i < writer->max_pages; i++)
		PageInit(writer->pages[i].data, BLCKSZ, 0);
	writer->reserve = RelationGetTargetPageFreeSpace(writer->relation, HEAP_DEFAULT_FILLFACTOR);
	writer->path = wh_relation_path(writer->relation);

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
		writer->attributes[i].infomask = attribute->attlen == -1 ? HEAP_HASVARWIDTH : 0;
	}
	writer->row = palloc0(TOAST_TUPLE_THRESHOLD + MAXIMUM_ALIGNOF);
	header = (HeapTupleHeader) writer->row;
	HeapTupleHeaderSetNatts(header, tupdesc->natts);
	HeapTupleHeaderSetXmin(header, writer->xid);
	HeapTupleHeaderSetCmin(header, writer->cid);
	HeapTupleHeaderSetXmax(header, 0);
}

/*
 * Append pages of one segment to its file by one write, which the storage
 * manager would do page by page.
 */
static void
write_at_once(WhWriter *writer, BlockNumber first, const char *data, Size size)
{
	BlockNumber segment = first / RELSEG_SIZE;
	char	   *path = segment == 0 ? pstrdup(writer->path) : psprintf("%s.%u", writer->path, segment);
	off_t		offset = (off_t) BLCKSZ * (first % RELSEG_SIZE);
	int			file = OpenTransientFile(path, O_WRONLY | PG_BINARY);

	if (file < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	while (size > 0)
	{
		ssize_t		written;

		pgstat_report_wait_start(WAIT_EVENT_DATA_FILE_EXTEND);
		errno = 0;
		written = pg_pwrite(file, data, size, offset);
		pgstat_report_wait_end();
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			/* A short write without an error is a full disk. */
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not extend file \"%s\": %m", path),
					 errhint("Check free disk space.")));
		}
		data += written;
		offset += written;
		size -= written;
	}
	if (CloseTransientFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", path)));
	pfree(path);
}

/*
 * Write pages at the end of the table.  The storage manager gets the first one
 * of a segment, so that it makes the file, and the last one of each write, so
 * that it knows the file's new size and will sync it.
 */
static void
write_pages(WhWriter *writer, BlockNumber first, int count)
{
	int			p = 0;

	while (p < count)
	{
		BlockNumber block = first + p;
		int			left = Min(count - p, (int) (RELSEG_SIZE - block % RELSEG_SIZE));

		if (block % RELSEG_SIZE != 0 && left > 1)
		{
			write_at_once(writer, block, writer->pages[p].data, (Size) BLCKSZ * (left - 1));
			p += left - 1;
		}
		smgrextend(RelationGetSmgr(writer->relation), MAIN_FORKNUM, first + p, writer->pages[p].data, false);
		p++;
	}
}

/*
 * Log pages, and wait for the log to be written, as the buffer manager does: the
 * transaction id of a page without its log could be given out again after a crash.
 */
static void
log_pages(WhWriter *writer, BlockNumber *numbers, int count)
{
	Page	   *pages = palloc(sizeof(Page) * count);

	for (int p = 0; p < count; p++)
		pages[p] = writer->pages[p].data;
	log_newpages(wh_relation_locator(writer->relation), MAIN_FORKNUM, count, numbers, pages, true);
	XLogFlush(PageGetLSN(pages[count - 1]));
	pfree(pages);
}

/*
 * Add the full pages at the end of the table.  A checkpoint must not fall
 * between logging and writing: it would neither replay nor sync the pages.
 */
static void
flush_pages(WhWriter *writer)
{
	WhBlocks   *blocks = writer->blocks;
	int			count = writer->npages + (writer->ntuples > 0 ? 1 : 0);
	BlockNumber first;
	BlockNumber *numbers;

	if (count == 0)
		return;
	CHECK_FOR_INTERRUPTS();
	first = pg_atomic_fetch_add_u32(&blocks->next, count);
	numbers = palloc(sizeof(BlockNumber) * count);
	for (int p = 0; p < count; p++)
	{
		Page		page = writer->pages[p].data;

		numbers[p] = first + p;
		for (OffsetNumber i = 1; i <= PageGetMaxOffsetNumber(page); i++)
			ItemPointerSet(&((HeapTupleHeader) PageGetItem(page, PageGetItemId(page, i)))->t_ctid, numbers[p], i);
	}
	Assert((MyProc->delayChkptFlags & DELAY_CHKPT_START) == 0);
	MyProc->delayChkptFlags |= DELAY_CHKPT_START;
	PG_TRY();
	{
		if (RelationNeedsWAL(writer->relation))
			log_pages(writer, numbers, count);
		for (int p = 0; p < count; p++)
			PageSetChecksumInplace(writer->pages[p].data, numbers[p]);
		while (pg_atomic_read_u32(&blocks->written) != first)
			ConditionVariableSleep(&blocks->turn, PG_WAIT_EXTENSION);
		ConditionVariableCancelSleep();
		write_pages(writer, first, count);
	}
	PG_FINALLY();
	{
		MyProc->delayChkptFlags &= ~DELAY_CHKPT_START;
	}
	PG_END_TRY();
	pg_memory_barrier();
	pg_atomic_write_u32(&blocks->written, first + count);
	ConditionVariableBroadcast(&blocks->turn);
	for (int p = 0; p < count; p++)
		PageInit(writer->pages[p].data, BLCKSZ, 0);
	writer->npages = 0;
	writer->ntuples = 0;
	pfree(numbers);
}

/* Write what is left; the writer takes no more rows. */
void
wh_generator_pages_close(WhWriter *writer)
{
	flush_pages(writer);
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
		if (writer->npages == writer->max_pages - 1)
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
	if (MAXALIGN(tuple->t_len) > MaxHeapTupleSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too big: size %zu, maximum size %zu", (Size) tuple->t_len, (Size) MaxHeapTupleSize)));
	place = make_room(writer, tuple->t_len);
	memcpy(place, tuple->t_data, tuple->t_len);
	MemoryContextSwitchTo(old_context);
	stamp(writer, place);
}

/* Copy bytes; the few of a number without calling a function. */
static inline void
copy_short(char *to, const char *from, Size len)
{
	if (len >= 4 && len <= 8)
	{
		/* The halves may overlap. */
		uint32		first;
		uint32		last;

		memcpy(&first, from, sizeof(first));
		memcpy(&last, from + len - sizeof(last), sizeof(last));
		memcpy(to, &first, sizeof(first));
		memcpy(to + len - sizeof(last), &last, sizeof(last));
	}
	else
		memcpy(to, from, len);
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
			copy_short(row + offset, (const char *) data, len);
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
	/* What lies between the values is zero; a fixed length takes one instruction. */
	memset(row + offset, 0, MAXIMUM_ALIGNOF);
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
void
wh_generator_pages_add(WhWriter *writer)
{
	WhGenerator *generator = writer->generator;
	int			natts = generator->natts;
	char	   *row = writer->row;
	HeapTupleHeader header = (HeapTupleHeader) row;
	bool		has_null = false;
	uint16		infomask;
	Size		offset;

	for (int i = 0; i < natts; i++)
		has_null |= generator->isnull[i];
	infomask = HEAP_XMAX_INVALID | (has_null ? HEAP_HASNULL : 0);
	offset = MAXALIGN(SizeofHeapTupleHeader + (has_null ? BITMAPLEN(natts) : 0));
	header->t_hoff = (uint8) offset;
	memset(header->t_bits, 0, offset - SizeofHeapTupleHeader);
	/* Offsets count from the data's start, which is aligned like the tuple. */
	for (int i = 0; i < natts; i++)
	{
		if (generator->isnull[i])
			continue;
		if (has_null)
			header->t_bits[i >> 3] |= (bits8) (1 << (i & 7));
		infomask |= writer->attributes[i].infomask;
		offset = form_value(row, offset, &writer->attributes[i], generator->values[i]);
		if (unlikely(offset == 0))
		{
			add_any_to_page(writer);
			return;
		}
	}
	header->t_infomask = infomask;
	memcpy(make_room(writer, offset), row, offset);
}
