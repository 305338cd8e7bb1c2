/*
 * bulk_writer.h
 *	  Writes many rows into one of the engine's own tables.
 */
#ifndef WH_BULK_WRITER_H
#define WH_BULK_WRITER_H

#include "widgets_wh.h"

#include "access/htup.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

typedef struct WhBulkWriter
{
	Relation	rel;			/* open with RowExclusiveLock until close */
	TupleDesc	tupdesc;
	BlockNumber first_block;	/* inserted rows are at or after this block, if at_end */
	int64		inserted;		/* rows given so far, buffered ones included */
	int64		updated;
	int64		deleted;
	struct WhBulkWriterState *state;
} WhBulkWriter;

extern WhBulkWriter *wh_bulk_open(Oid relid, bool at_end);
extern WhBulkWriter *wh_bulk_open_unchecked(Oid relid, bool at_end);
extern void wh_bulk_defer_indexes(WhBulkWriter *writer);
extern void wh_bulk_insert(WhBulkWriter *writer, Datum *values, bool *isnull);
extern void wh_bulk_insert_formed(WhBulkWriter *writer, MinimalTuple formed);
extern void wh_bulk_update(WhBulkWriter *writer, ItemPointer tid, Datum *values, bool *isnull);
extern void wh_bulk_delete(WhBulkWriter *writer, ItemPointer tid);
extern void wh_bulk_flush(WhBulkWriter *writer);
extern void wh_bulk_close(WhBulkWriter *writer);

#endif							/* WH_BULK_WRITER_H */
