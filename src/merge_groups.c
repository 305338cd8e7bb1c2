/*
 * merge_groups.c
 *	  Reads two sorted queries in step, a key at a time.
 *
 * Both queries are ordered by their key columns, ascending, in the types'
 * default order; the key columns have the same types on both sides.  Runs
 * under the active snapshot, needs an SPI connection.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "merge_groups.h"

static bool
has_null_key(WhMerge *merge, WhMergeSide *side, HeapTuple tuple)
{
	for (int i = 0; i < merge->nkey; i++)
		if (heap_attisnull(tuple, side->first_key + i, side->cursor->tupdesc))
			return true;
	return false;
}

/* Read ahead to the next row with a key. */
static void
advance(WhMerge *merge, WhMergeSide *side)
{
	HeapTuple	tuple;
	MemoryContext old;

	side->next = NULL;
	while (wh_cursor_next(side->cursor, &tuple))
	{
		if (has_null_key(merge, side, tuple))
		{
			merge->null_keys++;
			continue;
		}
		old = MemoryContextSwitchTo(merge->ahead_context);
		side->next = heap_copytuple(tuple);
		MemoryContextSwitchTo(old);
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
		Datum		avalue = heap_getattr(atuple, a->first_key + i, a->cursor->tupdesc, &anull);
		Datum		bvalue = heap_getattr(btuple, b->first_key + i, b->cursor->tupdesc, &bnull);
		int			cmp = ApplySortComparator(avalue, anull, bvalue, bnull, &merge->sort[i]);

		if (cmp != 0)
			return cmp;
	}
	return 0;
}

/*
 * Open both queries; keys are the nkey columns from left_key and right_key on.
 */
WhMerge *
wh_merge_open(const char *left_sql, AttrNumber left_key,
			  const char *right_sql, AttrNumber right_key, int nkey)
{
	WhMerge    *merge = palloc0(sizeof(WhMerge));

	merge->nkey = nkey;
	merge->left.cursor = wh_cursor_open(left_sql);
	merge->left.first_key = left_key;
	merge->right.cursor = wh_cursor_open(right_sql);
	merge->right.first_key = right_key;
	merge->group_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh groups",
												 ALLOCSET_DEFAULT_SIZES);
	merge->ahead_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh read ahead",
												 ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < nkey; i++)
	{
		Form_pg_attribute att = TupleDescAttr(merge->right.cursor->tupdesc, right_key - 1 + i);
		Form_pg_attribute left_att = TupleDescAttr(merge->left.cursor->tupdesc, left_key - 1 + i);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR);

		if (left_att->atttypid != att->atttypid)
			elog(ERROR, "key column %d is of type %u on one side and %u on the other",
				 i + 1, left_att->atttypid, att->atttypid);
		merge->sort[i].ssup_cxt = CurrentMemoryContext;
		merge->sort[i].ssup_collation = att->attcollation;
		merge->sort[i].ssup_nulls_first = false;
		PrepareSortSupportFromOrderingOp(type->lt_opr, &merge->sort[i]);
	}
	advance(merge, &merge->left);
	advance(merge, &merge->right);
	return merge;
}

/* Move all rows of the key of 'like' from a side's input to its group. */
static void
gather(WhMerge *merge, WhMergeSide *side, WhMergeSide *like_side, HeapTuple like)
{
	WhGroup    *group = &side->group;

	while (side->next && compare(merge, side, side->next, like_side, like) == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(merge->group_context);

		if (group->ntuples == group->allocated)
		{
			HeapTuple  *grown = MemoryContextAllocHuge(merge->ahead_context,
													   sizeof(HeapTuple) * Max(group->allocated * 2, 16));

			if (group->ntuples)
			{
				memcpy(grown, group->tuples, sizeof(HeapTuple) * group->ntuples);
				pfree(group->tuples);
			}
			group->allocated = Max(group->allocated * 2, 16);
			group->tuples = grown;
		}
		group->tuples[group->ntuples++] = heap_copytuple(side->next);
		MemoryContextSwitchTo(old);
		heap_freetuple(side->next);
		advance(merge, side);
	}
}

/*
 * Go to the next key that either side has.  The groups live until the next
 * call.  Gives false at the end.
 */
bool
wh_merge_next(WhMerge *merge)
{
	WhMergeSide *first;
	HeapTuple	like;
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(merge->group_context);
	merge->left.group.ntuples = merge->right.group.ntuples = 0;
	if (!merge->left.next && !merge->right.next)
		return false;
	if (!merge->left.next)
		first = &merge->right;
	else if (!merge->right.next)
		first = &merge->left;
	else
		first = compare(merge, &merge->left, merge->left.next,
						&merge->right, merge->right.next) <= 0 ? &merge->left : &merge->right;
	old = MemoryContextSwitchTo(merge->group_context);
	like = heap_copytuple(first->next);
	MemoryContextSwitchTo(old);
	gather(merge, &merge->left, first, like);
	gather(merge, &merge->right, first, like);
	return true;
}

/* Close both queries. */
void
wh_merge_close(WhMerge *merge)
{
	wh_cursor_close(merge->left.cursor);
	wh_cursor_close(merge->right.cursor);
	MemoryContextDelete(merge->group_context);
	MemoryContextDelete(merge->ahead_context);
	pfree(merge);
}
