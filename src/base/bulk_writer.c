/*
 * bulk_writer.c
 *	  Writes many rows into one of the engine's own tables.
 *
 * Inserts are gathered and go in by table_multi_insert, a page's worth per WAL
 * record; updates and deletes go in at once.  So within one writer the deletes
 * and updates of a key come before its inserts, which is what unique indexes
 * want.  Runs in the transaction of the caller, holds RowExclusiveLock on the
 * table until the transaction ends.  Tables are plain heaps that the engine made:
 * what somebody added since and this writer would pass over is refused.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/hio.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/bulk_writer.h"
#include "base/own_table.h"
#include "base/row_form.h"

/* Rows and bytes gathered before they are written, as COPY has them. */
#define BUFFER_ROWS 1000
#define BUFFER_BYTES (256 * 1024)

/* Blocks after which written pages leave the cache, though it has room: new ones cost more than they save. */
#define RING_BLOCKS (128 * 1024 * 1024 / BLCKSZ)

typedef struct WhBulkWriterState
{
	EState	   *estate;
	ResultRelInfo *result_rel;
	BulkInsertState bistate;
	BlockNumber ring_after;		/* block from which on written pages leave the cache */
	int			options;
	MemoryContext context;		/* of the writer */
	MemoryContext batch_context;	/* tuples that others form; reset at each flush */
	WhRowForm  *form;
	char	   *rows;			/* tuples formed here, BUFFER_BYTES */
	Size		used;			/* of these */
	TupleTableSlot *slots[BUFFER_ROWS];
	TupleTableSlot *update_slot;
	int		   *notnull;		/* indexes of columns that must not be null */
	int			nnotnull;
	bool		was_empty;		/* the table, when opened */
	bool		reindex;		/* indexes are built at close */
	bool		has_index_code; /* an index has expressions, which somebody added */
	int			nslots;			/* slots made */
	int			nbuffered;
	Size		bytes;
} WhBulkWriterState;

/*
 * Open a writer on a table whose triggers, check constraints and generated
 * columns are the caller's affair.  With at_end, rows are only ever put after
 * what is there, so that first_block tells where they are.  The writer lives in
 * the current memory context; an error needs no close.
 */
WhBulkWriter *
wh_bulk_open_unchecked(Oid relid, bool at_end)
{
	WhBulkWriter *writer = palloc0(sizeof(WhBulkWriter));
	WhBulkWriterState *state = palloc0(sizeof(WhBulkWriterState));
	BlockNumber nblocks;

	writer->rel = table_open(relid, RowExclusiveLock);
	/* a parallel query cannot have one assigned while its rows are written */
	(void) GetCurrentTransactionId();
	writer->tupdesc = RelationGetDescr(writer->rel);
	state->notnull = palloc(sizeof(int) * Max(writer->tupdesc->natts, 1));
	for (int i = 0; i < writer->tupdesc->natts; i++)
		if (TupleDescAttr(writer->tupdesc, i)->attnotnull && !TupleDescAttr(writer->tupdesc, i)->attisdropped)
			state->notnull[state->nnotnull++] = i;
	writer->state = state;
	nblocks = RelationGetNumberOfBlocks(writer->rel);
	writer->first_block = nblocks > 0 ? nblocks - 1 : 0;
	state->was_empty = nblocks == 0;

	state->context = CurrentMemoryContext;
	state->estate = CreateExecutorState();
	state->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(state->result_rel, writer->rel, 0, NULL, 0);
	ExecOpenIndices(state->result_rel, false);
	for (int i = 0; i < state->result_rel->ri_NumIndices; i++)
		state->has_index_code |= state->result_rel->ri_IndexRelationInfo[i]->ii_Expressions != NIL ||
			state->result_rel->ri_IndexRelationInfo[i]->ii_Predicate != NIL;
	state->bistate = GetBulkInsertState();
	FreeAccessStrategy(state->bistate->strategy);
	state->bistate->strategy = NULL;
	state->ring_after = nblocks + Min(NBuffers / 4, RING_BLOCKS);
	state->options = at_end ? TABLE_INSERT_SKIP_FSM : 0;
	state->form = wh_row_form_make(writer->tupdesc);
	state->rows = palloc(BUFFER_BYTES);
	state->batch_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh bulk rows",
												 ALLOCSET_DEFAULT_SIZES);
	state->update_slot = MakeSingleTupleTableSlot(writer->tupdesc, &TTSOpsHeapTuple);
	return writer;
}

/* Open a writer on one of the engine's own tables; see wh_bulk_open_unchecked. */
WhBulkWriter *
wh_bulk_open(Oid relid, bool at_end)
{
	WhBulkWriter *writer = wh_bulk_open_unchecked(relid, at_end);

	wh_table_check(writer->rel);
	return writer;
}

/*
 * Build the indexes at close instead of row by row, if the table was empty.
 * For writers whose caller looks nothing up through an index meanwhile.
 * Whoever plans a query over the table then waits for the end of the
 * transaction.
 */
void
wh_bulk_defer_indexes(WhBulkWriter *writer)
{
	WhBulkWriterState *state = writer->state;

	if (!state->was_empty || state->result_rel->ri_NumIndices == 0)
		return;
	ExecCloseIndices(state->result_rel);
	state->result_rel->ri_NumIndices = 0;
	state->reindex = true;
}

/*
 * Keep what is written in the cache: indexes, statistics and the next step of
 * the cycle read it again.  What is more than a quarter of the cache, or 128 MB,
 * goes through a small ring of buffers, as COPY's rows do, and does not push
 * out everything else.
 */
static void
choose_ring(WhBulkWriterState *state)
{
	bool		wants_ring = BufferIsValid(state->bistate->current_buf) &&
		BufferGetBlockNumber(state->bistate->current_buf) >= state->ring_after;

	if (wants_ring && state->bistate->strategy == NULL)
	{
		/* we may be inside an executor, whose memory goes before the writer does */
		MemoryContext old = MemoryContextSwitchTo(state->context);

		state->bistate->strategy = GetAccessStrategy(BAS_BULKWRITE);
		MemoryContextSwitchTo(old);
	}
}

/* Make index entries of a row; what an index computes runs as the table's owner. */
static void
insert_index_entries(WhBulkWriter *writer, TupleTableSlot *slot, bool update, bool only_summarizing)
{
	WhBulkWriterState *state = writer->state;
	Oid			user;
	int			sec_context;

	slot->tts_tableOid = RelationGetRelid(writer->rel);
	if (state->has_index_code)
	{
		GetUserIdAndSecContext(&user, &sec_context);
		SetUserIdAndSecContext(writer->rel->rd_rel->relowner, sec_context | SECURITY_RESTRICTED_OPERATION);
	}
	ExecInsertIndexTuples(state->result_rel, slot, state->estate, update, false, NULL, NIL
						  WH_SUMMARIZING(only_summarizing));
	if (state->has_index_code)
		SetUserIdAndSecContext(user, sec_context);
	ResetPerTupleExprContext(state->estate);
}

/* Write the gathered rows and their index entries. */
void
wh_bulk_flush(WhBulkWriter *writer)
{
	WhBulkWriterState *state = writer->state;
	MemoryContext old;

	if (state->nbuffered == 0)
		return;
	choose_ring(state);
	old = MemoryContextSwitchTo(state->batch_context);
	/* The block that updates went to last is no place for rows at the end. */
	RelationSetTargetBlock(writer->rel, InvalidBlockNumber);
	table_multi_insert(writer->rel, state->slots, state->nbuffered,
					   GetCurrentCommandId(true), state->options, state->bistate);
	if (state->result_rel->ri_NumIndices > 0)
	{
		for (int i = 0; i < state->nbuffered; i++)
		{
			insert_index_entries(writer, state->slots[i], false, false);
		}
	}
	for (int i = 0; i < state->nbuffered; i++)
	{
		/* What gather pretended. */
		state->slots[i]->tts_flags &= ~TTS_FLAG_SHOULDFREE;
		ExecClearTuple(state->slots[i]);
	}
	state->nbuffered = 0;
	state->bytes = 0;
	state->used = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->batch_context);
}

static inline void
check_not_null(WhBulkWriter *writer, const bool *isnull)
{
	WhBulkWriterState *state = writer->state;

	for (int i = 0; i < state->nnotnull; i++)
		if (unlikely(isnull[state->notnull[i]]))
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of relation \"%s\"",
							NameStr(TupleDescAttr(writer->tupdesc, state->notnull[i])->attname),
							RelationGetRelationName(writer->rel))));
}

/*
 * Gather a row, which stays where it is until the flush.  The slot is told that
 * it may free the row, else table_multi_insert would have it copied.
 */
static void
gather(WhBulkWriter *writer, HeapTuple tuple)
{
	WhBulkWriterState *state = writer->state;

	if (state->nbuffered == state->nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(state->context);

		state->slots[state->nslots++] = MakeSingleTupleTableSlot(writer->tupdesc, &TTSOpsHeapTuple);
		MemoryContextSwitchTo(old);
	}
	ExecStoreHeapTuple(tuple, state->slots[state->nbuffered++], true);
	state->bytes += tuple->t_len;
	writer->inserted++;
	if (state->nbuffered >= BUFFER_ROWS || state->bytes >= BUFFER_BYTES)
		wh_bulk_flush(writer);
}

/* Give a row, copied at once; it is written at the next flush at the latest. */
void
wh_bulk_insert(WhBulkWriter *writer, Datum *values, bool *isnull)
{
	WhBulkWriterState *state = writer->state;
	HeapTuple	tuple;

	check_not_null(writer, isnull);
	if (state->used + WH_ROW_FORM_BYTES > BUFFER_BYTES)
		wh_bulk_flush(writer);
	tuple = wh_row_form(state->form, state->rows + state->used, values, isnull);
	if (likely(tuple))
		state->used += MAXALIGN(HEAPTUPLESIZE + tuple->t_len);
	else
	{
		MemoryContext old = MemoryContextSwitchTo(state->batch_context);

		tuple = heap_form_tuple(writer->tupdesc, values, isnull);
		MemoryContextSwitchTo(old);
	}
	gather(writer, tuple);
}

/* Give a row that another process has formed, and has checked for NULLs; as wh_bulk_insert. */
void
wh_bulk_insert_formed(WhBulkWriter *writer, MinimalTuple formed)
{
	WhBulkWriterState *state = writer->state;
	MemoryContext old = MemoryContextSwitchTo(state->batch_context);
	HeapTuple	tuple = heap_tuple_from_minimal_tuple(formed);

	MemoryContextSwitchTo(old);
	gather(writer, tuple);
}

/*
 * Replace the row at tid.  Someone else's change of it in the meantime is an
 * error: callers hold the lock of the object that the table belongs to.
 */
void
wh_bulk_update(WhBulkWriter *writer, ItemPointer tid, Datum *values, bool *isnull)
{
	WhBulkWriterState *state = writer->state;
	HeapTuple	tuple;
	WhUpdateIndexes update_indexes;

	check_not_null(writer, isnull);
	tuple = heap_form_tuple(writer->tupdesc, values, isnull);
	ExecStoreHeapTuple(tuple, state->update_slot, false);
	state->update_slot->tts_tableOid = RelationGetRelid(writer->rel);
	simple_table_tuple_update(writer->rel, tid, state->update_slot, GetActiveSnapshot(),
							  &update_indexes);
	if (state->result_rel->ri_NumIndices > 0 && wh_must_update_indexes(update_indexes))
	{
		insert_index_entries(writer, state->update_slot, true, wh_only_summarizing(update_indexes));
	}
	ExecClearTuple(state->update_slot);
	heap_freetuple(tuple);
	writer->updated++;
}

/* Delete the row at tid; see wh_bulk_update. */
void
wh_bulk_delete(WhBulkWriter *writer, ItemPointer tid)
{
	simple_table_tuple_delete(writer->rel, tid, GetActiveSnapshot());
	writer->deleted++;
}

/* Write what is gathered and let go of everything but the table's lock. */
void
wh_bulk_close(WhBulkWriter *writer)
{
	WhBulkWriterState *state = writer->state;

	wh_bulk_flush(writer);
	for (int i = 0; i < state->nslots; i++)
		ExecDropSingleTupleTableSlot(state->slots[i]);
	ExecDropSingleTupleTableSlot(state->update_slot);
	table_finish_bulk_insert(writer->rel, state->options);
	FreeBulkInsertState(state->bistate);
	ExecCloseIndices(state->result_rel);
	if (state->reindex && writer->inserted > 0)
	{
		CommandCounterIncrement();
		wh_reindex_relation(RelationGetRelid(writer->rel));
	}
	FreeExecutorState(state->estate);
	MemoryContextDelete(state->batch_context);
	table_close(writer->rel, NoLock);
	if (writer->inserted + writer->updated + writer->deleted > 0)
		CommandCounterIncrement();
	pfree(state);
	writer->state = NULL;
}
