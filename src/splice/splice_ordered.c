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

#include "splice/splice_version.h"

typedef struct WhOrderedLoad
{
	bool		is_open;		/* all keys so far were ascending, into an empty table */
	Datum	   *last;			/* the last row's key; laid out as a staged row */
} WhOrderedLoad;

/* Decide whether records of this run may go straight in. */
static void
begin(WhStaging *staging)
{
	WhOrderedLoad *ordered = MemoryContextAllocZero(staging->context, sizeof(WhOrderedLoad));
	Relation	table = relation_open(staging->table, AccessShareLock);

	wh_sort_prepare(staging);
	ordered->last = MemoryContextAllocZero(staging->context, sizeof(Datum) * staging->desc->natts);
	/* The loser of two events is kept as it came, which only the sort remembers. */
	ordered->is_open = RelationGetNumberOfBlocks(table) == 0 && staging->writer == NULL &&
		staging->feed->load != WH_LOAD_SNAPSHOT && !staging->sort_has_raw;
	relation_close(table, NoLock);
	staging->ordered = ordered;
}

static void
remember_key(WhStaging *staging, WhOrderedLoad *ordered)
{
	MemoryContext old = MemoryContextSwitchTo(staging->context);

	for (int i = 0; i < staging->nkeys; i++)
	{
		int			n = staging->key[i] - 1;
		Form_pg_attribute att = TupleDescAttr(staging->desc, n);

		if (!att->attbyval && staging->ordered_rows > 0)
			pfree(DatumGetPointer(ordered->last[n]));
		ordered->last[n] = datumCopy(staging->values[n], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/* Put the record of the scratch row into the table; false when it has to be sorted. */
bool
wh_ordered_put(WhStaging *staging)
{
	WhOrderedLoad *ordered;

	if (staging->ordered == NULL)
		begin(staging);
	ordered = staging->ordered;
	if (!ordered->is_open)
		return false;
	if (staging->ordered_rows > 0 && wh_sort_key_compare(staging, staging->values, ordered->last) <= 0)
	{
		ordered->is_open = false;
		return false;
	}
	remember_key(staging, ordered);
	staging->ordered_rows++;
	wh_bulk_insert(wh_staging_writer(staging), staging->values, staging->isnull);
	staging->counts->rows_staged++;
	return true;
}

/* Let the active snapshot see the rows that were put in. */
void
wh_ordered_end(WhStaging *staging)
{
	wh_bulk_flush(staging->writer);
	CommandCounterIncrement();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
}
