/*
 * splice_ordered.c
 *	  Records that begin a first load in the order of their keys.
 *
 * A source is often read in the order of its key: then no record can meet
 * another one, and each goes straight into the empty staging table.  From the
 * first record on that comes out of order the rest is sorted, and merged with
 * what was put in so far (splice_scan.c), as if that were staged.  Runs inside
 * wh_ingest_feed.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/snapmgr.h"

#include "splice/splice.h"

typedef struct WhOrderedLoad
{
	bool		is_open;		/* all keys so far were ascending, into an empty table */
	int64		nrows;
	Datum	   *last;			/* the last row's key; laid out as a staged row */
} WhOrderedLoad;

/* Decide whether records of this run may go straight in. */
static void
begin(WhIngest *ing)
{
	WhOrderedLoad *ordered = MemoryContextAllocZero(ing->context, sizeof(WhOrderedLoad));
	Relation	table = relation_open(wh_feed_table(ing->feed), AccessShareLock);

	wh_sort_prepare(ing);
	ordered->last = MemoryContextAllocZero(ing->context, sizeof(Datum) * ing->desc->natts);
	/* The loser of two events is kept as it came, which only the sort remembers. */
	ordered->is_open = RelationGetNumberOfBlocks(table) == 0 && ing->writer == NULL &&
		ing->feed->load != WH_LOAD_SNAPSHOT && !ing->sort_has_raw;
	relation_close(table, NoLock);
	ing->ordered = ordered;
}

static void
remember_key(WhIngest *ing, WhOrderedLoad *ordered)
{
	MemoryContext old = MemoryContextSwitchTo(ing->context);

	for (int i = 0; i < ing->nkeys; i++)
	{
		int			n = ing->key_staged[i] - 1;
		Form_pg_attribute att = TupleDescAttr(ing->desc, n);

		if (!att->attbyval && ordered->nrows > 0)
			pfree(DatumGetPointer(ordered->last[n]));
		ordered->last[n] = datumCopy(ing->values[n], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/* Put the record of the scratch row into the table; false when it has to be sorted. */
bool
wh_ordered_put(WhIngest *ing)
{
	WhOrderedLoad *ordered;

	if (ing->ordered == NULL)
		begin(ing);
	ordered = ing->ordered;
	if (!ordered->is_open)
		return false;
	if (ordered->nrows > 0 && wh_sort_key_compare(ing, ing->values, ordered->last) <= 0)
	{
		ordered->is_open = false;
		return false;
	}
	remember_key(ing, ordered);
	ordered->nrows++;
	wh_bulk_insert(wh_splice_writer(ing), ing->values, ing->isnull);
	ing->result->counts.rows_staged++;
	return true;
}

/* Say whether this run put rows straight in. */
bool
wh_ordered_has_rows(const WhIngest *ing)
{
	return ing->ordered && ing->ordered->nrows > 0;
}

/* Let the active snapshot see the rows that were put in. */
void
wh_ordered_end(WhIngest *ing)
{
	wh_bulk_flush(ing->writer);
	CommandCounterIncrement();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}
