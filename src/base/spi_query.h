/*
 * spi_query.h
 *	  Short forms of SPI calls, and queries that read what is in memory.
 */
#ifndef WH_SPI_QUERY_H
#define WH_SPI_QUERY_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "tcop/dest.h"
#include "utils/portal.h"
#include "utils/tuplestore.h"

/* Values of one result row, copied. */
typedef struct WhRow
{
	Datum	   *values;
	bool	   *isnull;
} WhRow;

/* Called for each row of a query; the slot is the executor's. */
typedef void (*WhRowFunction) (TupleTableSlot *slot, void *arg);

/* A query read row by row, in step with others. */
typedef struct WhCursor
{
	Portal		portal;
	uint64		next;			/* row of the current fetch */
	uint64		nrows;
	void	   *tuptable;		/* SPITupleTable */
	TupleDesc	tupdesc;
} WhCursor;

extern bool wh_spi_row(WhRow *row, const char *sql, int nargs, Oid *types, Datum *args);
extern WhRow *wh_spi_rows(int *nrows, const char *sql, int nargs, Oid *types, Datum *args);
extern uint64 wh_spi_execute(const char *sql, int nargs, Oid *types, Datum *args, const char *nulls);
extern uint64 wh_spi_each(const char *sql, WhRowFunction function, void *arg);
extern Tuplestorestate *wh_spi_store(const char *sql, TupleDesc *tupdesc, int64 *nrows);
extern void wh_spi_register(const char *name, TupleDesc tupdesc, Tuplestorestate *store, int64 nrows);
extern void wh_spi_unregister(const char *name);
extern WhCursor *wh_cursor_open(const char *sql);
extern bool wh_cursor_next(WhCursor *cursor, HeapTuple *tuple);
extern void wh_cursor_close(WhCursor *cursor);

#endif							/* WH_SPI_QUERY_H */
