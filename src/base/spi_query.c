/*
 * spi_query.c
 *	  Short forms of SPI calls, and queries that read what is in memory.
 *
 * Every function needs an SPI connection.  Queries that the engine derives from
 * a definition run read-only under the active snapshot, so that all of one
 * publish see one state; the caller advances the snapshot's command id after
 * its own writes (wh_snapshot_advance in statistics.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/queryenvironment.h"

#include "base/spi_query.h"

/* Rows fetched from a cursor at a time. */
#define FETCH_ROWS 512

static void
copy_row(WhRow *row, HeapTuple tuple, TupleDesc tupdesc)
{
	row->values = palloc(sizeof(Datum) * tupdesc->natts);
	row->isnull = palloc(sizeof(bool) * tupdesc->natts);
	heap_deform_tuple(tuple, tupdesc, row->values, row->isnull);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (!row->isnull[i])
			row->values[i] = datumCopy(row->values[i], att->attbyval, att->attlen);
	}
}

/* Run a query under a new snapshot and copy its rows into the current context. */
WhRow *
wh_spi_rows(int *nrows, const char *sql, int nargs, Oid *types, Datum *args)
{
	MemoryContext caller = CurrentMemoryContext;
	WhRow	   *rows;

	if (SPI_execute_with_args(sql, nargs, types, args, NULL, false, 0) < 0 || SPI_tuptable == NULL)
		elog(ERROR, "could not run \"%s\"", sql);
	MemoryContextSwitchTo(caller);
	*nrows = (int) SPI_processed;
	rows = palloc(sizeof(WhRow) * Max(*nrows, 1));
	for (int i = 0; i < *nrows; i++)
		copy_row(&rows[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

/* The same for at most one row; false when there is none. */
bool
wh_spi_row(WhRow *row, const char *sql, int nargs, Oid *types, Datum *args)
{
	int			n;
	WhRow	   *rows = wh_spi_rows(&n, sql, nargs, types, args);

	if (n > 0)
		*row = rows[0];
	return n > 0;
}

/* Run a command and give the number of rows it processed. */
uint64
wh_spi_execute(const char *sql, int nargs, Oid *types, Datum *args, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_execute_with_args(sql, nargs, types, args, nulls, false, 0) < 0)
		elog(ERROR, "could not run \"%s\"", sql);
	MemoryContextSwitchTo(caller);
	return SPI_processed;
}

typedef struct EachReceiver
{
	DestReceiver pub;
	WhRowFunction function;
	void	   *arg;
} EachReceiver;

static bool
each_receive(TupleTableSlot *slot, DestReceiver *self)
{
	EachReceiver *each = (EachReceiver *) self;

	each->function(slot, each->arg);
	return true;
}

static void
each_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
each_nothing(DestReceiver *self)
{
}

/*
 * Run a read-only query under the active snapshot and hand each row to a
 * function as the executor makes it; nothing is stored.  The function may
 * write, but not read what it wrote.  Gives the number of rows.
 */
uint64
wh_spi_each(const char *sql, WhRowFunction function, void *arg)
{
	EachReceiver each = {
		.pub = {each_receive, each_startup, each_nothing, each_nothing, DestTuplestore},
		.function = function,
		.arg = arg
	};
	SPIExecuteOptions options = {.read_only = true, .must_return_tuples = true, .dest = &each.pub};
	MemoryContext caller = CurrentMemoryContext;

	if (SPI_execute_extended(sql, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", sql);
	MemoryContextSwitchTo(caller);
	return SPI_processed;
}

typedef struct CountedStore
{
	Tuplestorestate *store;
	TupleDesc	tupdesc;
	MemoryContext context;
} CountedStore;

static void
put_row(TupleTableSlot *slot, void *arg)
{
	CountedStore *counted = arg;

	if (counted->tupdesc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(counted->context);

		counted->tupdesc = CreateTupleDescCopy(slot->tts_tupleDescriptor);
		MemoryContextSwitchTo(old);
	}
	tuplestore_puttupleslot(counted->store, slot);
}

/*
 * Run a read-only query under the active snapshot into a tuplestore of the
 * current context.  tupdesc is NULL when there were no rows.
 */
Tuplestorestate *
wh_spi_store(const char *sql, TupleDesc *tupdesc, int64 *nrows)
{
	CountedStore counted = {tuplestore_begin_heap(true, false, work_mem), NULL, CurrentMemoryContext};

	*nrows = (int64) wh_spi_each(sql, put_row, &counted);
	*tupdesc = counted.tupdesc;
	return counted.store;
}

/*
 * Let queries of this SPI connection read a tuplestore under a name, as an
 * ephemeral named relation.  The planner is told its number of rows.
 */
void
wh_spi_register(const char *name, TupleDesc tupdesc, Tuplestorestate *store, int64 nrows)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	int			rc;

	enr->md.name = pstrdup(name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = tupdesc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = Max(nrows, 1);
	enr->reldata = store;
	rc = SPI_register_relation(enr);
	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register \"%s\": %s", name, SPI_result_code_string(rc));
}

/* Take the name away again. */
void
wh_spi_unregister(const char *name)
{
	int			rc = SPI_unregister_relation(name);

	if (rc != SPI_OK_REL_UNREGISTER)
		elog(ERROR, "could not unregister \"%s\": %s", name, SPI_result_code_string(rc));
}

/* Open a read-only query under the active snapshot, to be read row by row. */
WhCursor *
wh_cursor_open(const char *sql)
{
	MemoryContext caller = CurrentMemoryContext;
	WhCursor   *cursor = palloc0(sizeof(WhCursor));
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, 0, NULL, 0);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	cursor->portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	cursor->tupdesc = cursor->portal->tupDesc;
	SPI_freeplan(plan);
	MemoryContextSwitchTo(caller);
	return cursor;
}

/*
 * Give the next row, or false at the end.  The tuple lives until the next call
 * but FETCH_ROWS.
 */
bool
wh_cursor_next(WhCursor *cursor, HeapTuple *tuple)
{
	if (cursor->next == cursor->nrows)
	{
		MemoryContext caller = CurrentMemoryContext;

		if (cursor->tuptable)
			SPI_freetuptable(cursor->tuptable);
		cursor->tuptable = NULL;
		SPI_cursor_fetch(cursor->portal, true, FETCH_ROWS);
		MemoryContextSwitchTo(caller);
		cursor->next = 0;
		cursor->nrows = SPI_processed;
		cursor->tuptable = SPI_tuptable;
		if (cursor->nrows == 0)
			return false;
	}
	*tuple = ((SPITupleTable *) cursor->tuptable)->vals[cursor->next++];
	return true;
}

/* Close a cursor before its end, or at it. */
void
wh_cursor_close(WhCursor *cursor)
{
	if (cursor->tuptable)
		SPI_freetuptable(cursor->tuptable);
	SPI_cursor_close(cursor->portal);
	pfree(cursor);
}
