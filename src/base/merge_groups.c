/*
 * merge_groups.c
 *	  Reads several sorted queries in step, a key at a time.
 *
 * All queries are ordered by their key columns, ascending, in the types'
 * default order; the key columns have the same types on every side.  Runs
 * under the active snapshot, needs an SPI connection.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/merge_groups.h"

static bool
has_null_key(WhMerge *merge, WhMergeSide *side, HeapTuple tuple)
{
	for (int i = 0; i < merge->nkey; i++)
		if (heap_attisnull(tuple, side->keys[i], side->cursor->tupdesc))
			return true;
	return false;
}

/* Read ahead to the next row with a key; it lives until the call after. */
static void
advance(WhMerge *merge, WhMergeSide *side)
{
	HeapTuple	tuple;

	side->next = NULL;
	while (wh_cursor_next(side->cursor, &tuple))
	{
		if (has_null_key(merge, side, tuple))
		{
			merge->null_keys++;
			if (merge->null_key)
				merge->null_key(tuple, side->cursor->tupdesc, merge->null_key_arg);
			continue;
		}
		side->next = tuple;
		return;
	}
}

static int
compare(WhMerge *merge, WhMergeSide *a, HeapTuple atuple, WhMergeSide *b, HeapTuple btuple)
{
	for (int i = 0; i < merge->nkey; i++)
	{
		bool		anull,
					bnull;
		Datum		avalue = heap_getattr(atuple, a->keys[i], a->cursor->tupdesc, &anull);
		Datum		bvalue = heap_getattr(btuple, b->keys[i], b->cursor->tupdesc, &bnull);
		int			cmp = ApplySortComparator(avalue, anull, bvalue, bnull, &merge->sort[i]);

		if (cmp != 0)
			return cmp;
	}
	return 0;
}

/* Make a merge by a key of nkey columns; sides are added to it. */
WhMerge *
wh_merge_open(int nkey)
{
	WhMerge    *merge = palloc0(sizeof(WhMerge));

	merge->nkey = nkey;
	merge->group_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh groups",
												 ALLOCSET_DEFAULT_SIZES);
	merge->context = CurrentMemoryContext;
	return merge;
}

static void
prepare_sort(WhMerge *merge, WhMergeSide *side)
{
	for (int i = 0; i < merge->nkey; i++)
	{
		Form_pg_attribute att = TupleDescAttr(side->cursor->tupdesc, side->keys[i] - 1);

		merge->sort[i].ssup_cxt = CurrentMemoryContext;
		merge->sort[i].ssup_collation = att->attcollation;
		merge->sort[i].ssup_nulls_first = false;
		PrepareSortSupportFromOrderingOp(lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR)->lt_opr,
										 &merge->sort[i]);
	}
}

static void
check_types(WhMerge *merge, WhMergeSide *a, WhMergeSide *b)
{
	for (int i = 0; i < merge->nkey; i++)
	{
		Oid			atype = TupleDescAttr(a->cursor->tupdesc, a->keys[i] - 1)->atttypid;
		Oid			btype = TupleDescAttr(b->cursor->tupdesc, b->keys[i] - 1)->atttypid;

		if (atype != btype)
			elog(ERROR, "key column %d is of type %u on one side and %u on another",
				 i + 1, atype, btype);
	}
}

/* Add a query as the next side; its key columns are at the given places. */
void
wh_merge_add(WhMerge *merge, const char *sql, const AttrNumber *keys)
{
	WhMergeSide *side = &merge->sides[merge->nsides++];

	Assert(merge->nsides <= WH_MERGE_SIDES);
	side->cursor = wh_cursor_open(sql);
	memcpy(side->keys, keys, sizeof(AttrNumber) * merge->nkey);
	if (merge->nsides == 1)
		prepare_sort(merge, side);
	else
		check_types(merge, &merge->sides[0], side);
	advance(merge, side);
}

/* Move a side's next row to its group, and read ahead. */
static HeapTuple
take(WhMerge *merge, WhMergeSide *side)
{
	WhGroup    *group = &side->group;
	MemoryContext old = MemoryContextSwitchTo(merge->group_context);
	HeapTuple	tuple = heap_copytuple(side->next);

	MemoryContextSwitchTo(old);
	if (group->ntuples == group->allocated)
	{
		HeapTuple  *grown = MemoryContextAllocHuge(merge->context,
												   sizeof(HeapTuple) * Max(group->allocated * 2, 16));

		if (group->tuples)
		{
			memcpy(grown, group->tuples, sizeof(HeapTuple) * group->ntuples);
			pfree(group->tuples);
		}
		group->allocated = Max(group->allocated * 2, 16);
		group->tuples = grown;
	}
	group->tuples[group->ntuples++] = tuple;
	advance(merge, side);
	return tuple;
}

/*
 * Go to the next key that any side has.  The groups live until the next call.
 * Gives false at the end.
 */
bool
wh_merge_next(WhMerge *merge)
{
	WhMergeSide *first = NULL;
	HeapTuple	like;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(merge->group_context);
	for (int i = 0; i < merge->nsides; i++)
	{
		WhMergeSide *side = &merge->sides[i];

		side->group.ntuples = 0;
		if (side->next && (first == NULL || compare(merge, side, side->next, first, first->next) < 0))
			first = side;
	}
	if (first == NULL)
		return false;
	like = take(merge, first);
	for (int i = 0; i < merge->nsides; i++)
	{
		WhMergeSide *side = &merge->sides[i];

		while (side->next && compare(merge, side, side->next, first, like) == 0)
			(void) take(merge, side);
	}
	return true;
}

/* Close all sides. */
void
wh_merge_close(WhMerge *merge)
{
	for (int i = 0; i < merge->nsides; i++)
	{
		wh_cursor_close(merge->sides[i].cursor);
		if (merge->sides[i].group.tuples)
			pfree(merge->sides[i].group.tuples);
	}
	MemoryContextDelete(merge->group_context);
	pfree(merge);
}
