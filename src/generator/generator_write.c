/*
 * generator_write.c
 *	  Makes the rows of a request and writes them, with the help of workers.
 *
 * Runs in the backend, which writes all rows through the common bulk writer, in
 * the caller's transaction.  For many rows, parallel workers make rows as well
 * and send them through PostgreSQL's tuple queues; while the queues are empty,
 * the backend makes rows itself.  The caller holds SHARE ROW EXCLUSIVE on the
 * table.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "executor/tqueue.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/bulk_writer.h"
#include "compat.h"
#include "generator/generator_catalog.h"
#include "generator/generator_group.h"
#include "generator/generator_write.h"

PGDLLEXPORT void wh_generator_worker_main(dsm_segment *segment, shm_toc *toc);

/* From so many rows on, no free space is looked for, and indexes of an empty table are built afterwards. */
#define MANY_ROWS 2000

/* Below this many rows, starting workers takes longer than they save. */
#define WORKERS_FROM_ROWS 20000

/* Rows that a worker makes at a time, and the backend, which has the queues to empty. */
#define WORKER_ROWS 4096
#define BACKEND_ROWS 256

/* Bytes on their way from one worker. */
#define QUEUE_SIZE (1024 * 1024)

#define TOC_SHARED 1
#define TOC_GROUPS 2
#define TOC_QUEUES 3

/* What the processes of one request share. */
typedef struct Shared
{
	WhRequest	request;
	pg_atomic_uint64 next;		/* rows given out */
	int			ncounts;
	pg_atomic_uint64 dirt_count[FLEXIBLE_ARRAY_MEMBER]; /* of the workers */
} Shared;

/* Takes the generator's current row. */
typedef void (*RowFunction) (WhGenerator *generator, void *arg);

static void
write_row(WhGenerator *generator, void *arg)
{
	wh_bulk_insert(arg, generator->values, generator->isnull);
}

static void
send_row(WhGenerator *generator, void *arg)
{
	DestReceiver *queue = arg;

	(void) queue->receiveSlot(wh_generator_row_slot(generator), queue);
}

/* Make rows, by their numbers; a duplicate is given once more. */
static void
make_rows(WhGenerator *generator, int64 first_row, int64 rows, RowFunction function, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	for (int64 row = first_row; row < first_row + rows; row++)
	{
		wh_generator_fill_row(generator, row);
		wh_generator_check_row(generator);
		function(generator, arg);
		if (generator->duplicate_share)
		{
			WhRandom	random = wh_random_start(wh_random_mix((uint64) generator->request.seed ^
															   UINT64CONST(0xD0B1E)), row);

			if ((wh_random_next(&random) >> 1) < generator->duplicate_share)
			{
				function(generator, arg);
				generator->dirt_count[generator->ncolumns * WH_DIRT_KINDS + WH_DIRT_DUPLICATE]++;
			}
		}
		if (row % 32 == 0)
			MemoryContextReset(generator->row_context);
	}
}

/* Make the next chunk of the request's rows; false when all are given out. */
static bool
make_chunk(WhGenerator *generator, Shared *shared, int64 size, RowFunction function, void *arg)
{
	int64		start = (int64) pg_atomic_fetch_add_u64(&shared->next, size);

	if (start >= shared->request.rows)
		return false;
	make_rows(generator, shared->request.first_row + start, Min(size, shared->request.rows - start), function, arg);
	return true;
}

/* Run a parallel worker: compile the generator again, make rows and send them. */
void
wh_generator_worker_main(dsm_segment *segment, shm_toc *toc)
{
	Shared	   *shared = shm_toc_lookup(toc, TOC_SHARED, false);
	shm_mq	   *mq = (shm_mq *) ((char *) shm_toc_lookup(toc, TOC_QUEUES, false) + QUEUE_SIZE * ParallelWorkerNumber);
	Relation	relation = table_open(shared->request.relid, RowExclusiveLock);
	DestReceiver *queue;
	WhDefinition definition;
	WhGenerator *generator;

	shm_mq_set_sender(mq, MyProc);
	queue = CreateTupleQueueDestReceiver(shm_mq_attach(mq, segment, NULL));
	SPI_connect();
	if (!wh_generator_fetch(shared->request.relid, &definition))
		elog(ERROR, "generator of relation %u is gone", shared->request.relid);
	generator = wh_generator_compile(relation, definition.columns, definition.mutable_columns,
									 definition.updated_at, definition.dirt, &shared->request);
	wh_generator_attach_groups(generator, shm_toc_lookup(toc, TOC_GROUPS, false));
	while (make_chunk(generator, shared, WORKER_ROWS, send_row, queue))
		;
	for (int i = 0; i < shared->ncounts; i++)
		if (generator->dirt_count[i])
			pg_atomic_fetch_add_u64(&shared->dirt_count[i], generator->dirt_count[i]);
	queue->rShutdown(queue);
	queue->rDestroy(queue);
	MemoryContextDelete(generator->context);
	SPI_finish();
	table_close(relation, RowExclusiveLock);
}

/* Write what the workers send, and make rows while they send nothing. */
static void
write_queues(WhGenerator *generator, WhBulkWriter *writer, Shared *shared, TupleQueueReader **readers, int nreaders)
{
	bool		has_rows = true;

	while (nreaders > 0 || has_rows)
	{
		bool		is_idle = true;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < nreaders;)
		{
			MinimalTuple tuple;
			bool		is_done = false;

			for (int rows = 0; rows < WORKER_ROWS; rows++)
			{
				tuple = TupleQueueReaderNext(readers[i], true, &is_done);
				if (tuple == NULL)
					break;
				wh_bulk_insert_formed(writer, tuple);
				is_idle = false;
			}
			if (is_done)
				readers[i] = readers[--nreaders];
			else
				i++;
		}
		if (!is_idle)
			continue;
		if (has_rows)
			has_rows = make_chunk(generator, shared, BACKEND_ROWS, write_row, writer);
		else if (nreaders > 0)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, WH_WAIT_EVENT_MESSAGE);
			ResetLatch(MyLatch);
		}
	}
}

/* Make and write all rows with the help of workers. */
static void
write_parallel(WhGenerator *generator, WhBulkWriter *writer, int workers)
{
	int			ncounts = (generator->ncolumns + 1) * WH_DIRT_KINDS;
	Size		size = offsetof(Shared, dirt_count) + sizeof(pg_atomic_uint64) * ncounts;
	Size		groups_size = wh_generator_shared_groups_size(generator);
	Size		queues_size = mul_size(QUEUE_SIZE, workers);
	TupleQueueReader **readers = palloc(sizeof(TupleQueueReader *) * workers);
	ParallelContext *pcxt;
	Shared	   *shared;
	char	   *memory;

	/* Parallel operations cannot assign one. */
	(void) GetCurrentTransactionId();
	(void) GetCurrentCommandId(true);
	EnterParallelMode();
	pcxt = CreateParallelContext("widgets_wh", "wh_generator_worker_main", workers);
	shm_toc_estimate_chunk(&pcxt->estimator, size);
	shm_toc_estimate_chunk(&pcxt->estimator, groups_size);
	shm_toc_estimate_chunk(&pcxt->estimator, queues_size);
	shm_toc_estimate_keys(&pcxt->estimator, 3);
	InitializeParallelDSM(pcxt);
	shared = shm_toc_allocate(pcxt->toc, size);
	shared->request = generator->request;
	pg_atomic_init_u64(&shared->next, 0);
	shared->ncounts = ncounts;
	for (int i = 0; i < ncounts; i++)
		pg_atomic_init_u64(&shared->dirt_count[i], 0);
	shm_toc_insert(pcxt->toc, TOC_SHARED, shared);
	memory = shm_toc_allocate(pcxt->toc, groups_size);
	wh_generator_share_groups(generator, memory);
	shm_toc_insert(pcxt->toc, TOC_GROUPS, memory);
	memory = shm_toc_allocate(pcxt->toc, queues_size);
	for (int i = 0; i < workers; i++)
		shm_mq_set_receiver(shm_mq_create(memory + QUEUE_SIZE * i, QUEUE_SIZE), MyProc);
	shm_toc_insert(pcxt->toc, TOC_QUEUES, memory);

	LaunchParallelWorkers(pcxt);
	for (int i = 0; i < pcxt->nworkers_launched; i++)
		readers[i] = CreateTupleQueueReader(shm_mq_attach((shm_mq *) (memory + QUEUE_SIZE * i), pcxt->seg,
														  pcxt->worker[i].bgwhandle));
	write_queues(generator, writer, shared, readers, pcxt->nworkers_launched);
	WaitForParallelWorkersToFinish(pcxt);
	wh_bulk_flush(writer);
	for (int i = 0; i < ncounts; i++)
		generator->dirt_count[i] += (int64) pg_atomic_read_u64(&shared->dirt_count[i]);
	DestroyParallelContext(pcxt);
	ExitParallelMode();
	pfree(readers);
}

/* Tell whether index entries can be made while workers run. */
static bool
are_indexes_parallel_safe(Relation relation)
{
	bool		is_safe = true;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		is_safe = is_safe && wh_generator_is_safe_in_workers((Node *) RelationGetIndexExpressions(index)) &&
			wh_generator_is_safe_in_workers((Node *) RelationGetIndexPredicate(index));
		index_close(index, AccessShareLock);
	}
	return is_safe;
}

/*
 * Make and write the rows of the request, which is complete, in up to so many
 * processes; return their number, duplicates included.
 */
int64
wh_generator_write(WhGenerator *generator, int workers)
{
	Relation	relation = generator->relation;
	WhRequest  *request = &generator->request;
	MemoryContext old_context = MemoryContextSwitchTo(generator->context);
	WhBulkWriter *writer = wh_bulk_open_unchecked(RelationGetRelid(relation), request->rows >= MANY_ROWS);
	int64		result;

	if (request->rows >= MANY_ROWS)
		wh_bulk_defer_indexes(writer);
	wh_generator_load_groups(generator);
	if (request->rows < WORKERS_FROM_ROWS || RelationUsesLocalBuffers(relation))
		workers = 1;
	if (workers > 1 && !(generator->is_parallel_safe && are_indexes_parallel_safe(relation)))
	{
		ereport(NOTICE,
				(errmsg("rows of relation \"%s\" are made by one process", generator->name),
				 errdetail("A default, constraint, index or expression of it is not parallel safe.")));
		workers = 1;
	}
	if (workers > 1)
		write_parallel(generator, writer, workers - 1);
	else
		make_rows(generator, request->first_row, request->rows, write_row, writer);
	wh_bulk_close(writer);
	result = writer->inserted;
	MemoryContextSwitchTo(old_context);
	return result;
}
