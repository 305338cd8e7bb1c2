/*
 * generator_write.h
 *	  Puts generated rows into their table.
 */
#ifndef WH_GENERATOR_WRITE_H
#define WH_GENERATOR_WRITE_H

#include "generator.h"

#include "access/heapam.h"
#include "storage/block.h"

#define WH_WRITE_SLOTS 512
#define WH_WRITE_PAGES 16

/* How a column's values are stored in a tuple. */
typedef struct WhAttribute
{
	int16		length;			/* -1: varlena; -2: C string */
	bool		by_value;
	bool		may_be_short;	/* have a header of one byte */
	uint8		alignment;
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
	bool		by_pages;
	PGAlignedBlock *pages;
	int			npages;			/* full ones; the next is being filled */
	int			ntuples;		/* on that one */
	Size		reserve;		/* bytes left free on each page */
	WhAttribute *attributes;
	bool		has_width;		/* a column is a varlena */
	char	   *row;			/* being formed */

	/* By slots, when not by pages. */
	BulkInsertState bulk;
	TupleTableSlot **slots;
	int			nslots;
	int			nmade;
} WhWriter;

extern bool wh_generator_can_write_pages(Relation relation);
extern WhWriter *wh_generator_writer(WhGenerator *generator, TransactionId xid, CommandId cid, bool by_pages);
extern void wh_generator_write_range(WhWriter *writer, int64 first_row, int64 rows);
extern void wh_generator_write_end(WhWriter *writer);
extern void wh_generator_write_indexes(WhWriter *writer, BlockNumber first_block);

#endif							/* WH_GENERATOR_WRITE_H */
