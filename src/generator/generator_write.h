/*
 * generator_write.h
 *	  Puts generated rows into their table.
 */
#ifndef WH_GENERATOR_WRITE_H
#define WH_GENERATOR_WRITE_H

#include "generator/generator.h"

#include "access/heapam.h"
#include "port/atomics.h"
#include "storage/block.h"
#include "storage/condition_variable.h"

#define WH_WRITE_SLOTS 512

/* The blocks that the processes of a request add to the table, in shared memory. */
typedef struct WhBlocks
{
	pg_atomic_uint32 next;		/* to be given out */
	pg_atomic_uint32 written;	/* all before this one are in the file */
	ConditionVariable turn;
} WhBlocks;

/* How a column's values are stored in a tuple. */
typedef struct WhAttribute
{
	int16		length;			/* -1: varlena; -2: C string */
	bool		by_value;
	bool		may_be_short;	/* have a header of one byte */
	uint8		alignment;
	uint16		infomask;		/* of tuples with such a value */
} WhAttribute;

typedef struct WhWriter
{
	WhGenerator *generator;
	Relation	relation;
	TransactionId xid;
	CommandId	cid;
	ResultRelInfo *result_rel;
	TupleTableSlot *check_slot;
	int64		written;

	/* By new pages. */
	WhBlocks   *blocks;			/* NULL: by slots */
	char	   *path;			/* of the table's first file */
	PGAlignedBlock *pages;
	int			max_pages;
	int			npages;			/* full ones; the next is being filled */
	int			ntuples;		/* on that one */
	Size		reserve;		/* bytes left free on each page */
	WhAttribute *attributes;
	char	   *row;			/* being formed */

	/* By slots, when not by pages. */
	BulkInsertState bulk;
	TupleTableSlot **slots;
	int			nslots;
	int			nmade;
} WhWriter;

/* generator_write.c */
extern WhWriter *wh_generator_writer(WhGenerator *generator, TransactionId xid, CommandId cid, WhBlocks *blocks);
extern void wh_generator_write_range(WhWriter *writer, int64 first_row, int64 rows);
extern void wh_generator_write_end(WhWriter *writer);
extern void wh_generator_write_indexes(WhWriter *writer, BlockNumber first_block);

/* generator_pages.c */
extern bool wh_generator_can_write_pages(Relation relation);
extern void wh_generator_blocks_init(WhBlocks *blocks, BlockNumber first);
extern void wh_generator_pages_open(WhWriter *writer, WhBlocks *blocks);
extern void wh_generator_pages_add(WhWriter *writer);
extern void wh_generator_pages_close(WhWriter *writer);

#endif							/* WH_GENERATOR_WRITE_H */
