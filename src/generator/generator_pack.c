/*
 * generator_pack.c
 *	  Keeps the rows that references and parents take their values from.
 *
 * Rows come one by one (generator_group.c) and end in an order that does not
 * depend on how they were read.  Popularity follows a hash of the first
 * column, so that a row keeps about its rank when others come.
 */
#include "postgres.h"

#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "generator/generator_group.h"

/* Receiving ------------------------------------------------------------------ */

static uint64
hash_value(Datum value, bool isnull, int16 typlen, bool typbyval)
{
	if (isnull)
		return 0;
	if (typbyval)
		return wh_random_mix((uint64) value);
	if (typlen == -1)
		return wh_random_hash(VARDATA_ANY(DatumGetPointer(value)), VARSIZE_ANY_EXHDR(DatumGetPointer(value)));
	return wh_random_hash(DatumGetPointer(value), datumGetSize(value, false, typlen));
}

/* Append bytes to a growing block, aligned when they need it, and return their offset. */
static Size
append_bytes(char **block, Size *used, Size *allocated, const char *bytes, Size len, bool aligned)
{
	Size		offset = aligned ? MAXALIGN(*used) : *used;

	if (offset + len > *allocated)
	{
		*allocated = Max(*allocated * 2, offset + len + 8192);
		*block = *block ? repalloc_huge(*block, *allocated) :
			MemoryContextAllocHuge(CurrentMemoryContext, *allocated);
	}
	memcpy(*block + offset, bytes, len);
	*used = offset + len;
	return offset;
}

/* Tell whether a value by reference has to be aligned, all but short varlenas. */
static bool
is_aligned(const WhColumn *target, const char *bytes)
{
	return target->typlen != -1 || !VARATT_IS_SHORT(bytes);
}

/* Keep a value by reference, with as short a header as it may have; return its offset. */
static Size
keep_value(WhGroupReceiver *receiver, int c, Datum value)
{
	WhGroup    *group = receiver->group;
	WhColumn   *target = group->targets[c];
	char	   *bytes = DatumGetPointer(value);
	Size		len;
	Size		offset;

	if (target->typlen == -1 && receiver->may_be_short[c] && VARATT_CAN_MAKE_SHORT(bytes))
	{
		char		header;

		len = VARATT_CONVERTED_SHORT_SIZE(bytes);
		SET_VARSIZE_SHORT(&header, len);
		offset = append_bytes(&group->bytes, &receiver->nbytes, &receiver->bytes_allocated, &header, 1, false);
		append_bytes(&group->bytes, &receiver->nbytes, &receiver->bytes_allocated, VARDATA(bytes), len - 1, false);
	}
	else
	{
		len = datumGetSize(value, false, target->typlen);
		offset = append_bytes(&group->bytes, &receiver->nbytes, &receiver->bytes_allocated, bytes, len,
							  is_aligned(target, bytes));
	}
	receiver->longest[c] = Max(receiver->longest[c], len);
	return offset;
}

/* Make room for more rows. */
static void
grow(WhGroupReceiver *receiver)
{
	WhGroup    *group = receiver->group;
	bool		is_first = receiver->allocated == 0;
	Size		cells;

	receiver->allocated = is_first ? 1024 : receiver->allocated * 2;
	cells = (Size) receiver->allocated * group->ncolumns;
	if (is_first)
	{
		group->values = palloc(sizeof(Datum) * cells);
		group->isnull = palloc(sizeof(bool) * cells);
		if (group->is_linked)
			receiver->keys = palloc(sizeof(int64) * receiver->allocated);
		return;
	}
	group->values = repalloc_huge(group->values, sizeof(Datum) * cells);
	group->isnull = repalloc_huge(group->isnull, sizeof(bool) * cells);
	if (group->is_linked)
		receiver->keys = repalloc_huge(receiver->keys, sizeof(int64) * receiver->allocated);
}

/*
 * Prepare to receive the rows of a group.  All is allocated in the generator's
 * context, the receiver itself is the caller's.
 */
void
wh_generator_receive_start(WhGroupReceiver *receiver, WhGenerator *generator, WhGroup *group)
{
	MemoryContext old_context = MemoryContextSwitchTo(generator->context);

	receiver->generator = generator;
	receiver->group = group;
	receiver->is_sorted = true;
	group->nrows = 0;
	group->values = NULL;
	group->isnull = NULL;
	group->bytes = NULL;
	group->cell_kinds = palloc0(sizeof(WhCellKind) * group->ncolumns);
	receiver->longest = palloc0(sizeof(Size) * group->ncolumns);
	receiver->may_be_short = palloc0(sizeof(bool) * group->ncolumns);
	for (int i = 0; i < group->ncolumns; i++)
		receiver->may_be_short[i] = get_typstorage(group->targets[i]->type) != TYPSTORAGE_PLAIN;
	MemoryContextSwitchTo(old_context);
}

/*
 * Keep a row.  Its values and nulls are those of the group's columns where
 * places says, or in the group's order when that is NULL; key is that of a
 * linked parent.
 */
void
wh_generator_receive(WhGroupReceiver *receiver, const Datum *values, const bool *nulls, const int *places, int64 key)
{
	WhGroup    *group = receiver->group;
	MemoryContext old_context = MemoryContextSwitchTo(receiver->generator->context);
	int64		row = group->nrows;

	if (row == receiver->allocated)
		grow(receiver);
	for (int i = 0; i < group->ncolumns; i++)
	{
		WhColumn   *target = group->targets[i];
		int			place = places ? places[i] : i;
		Datum		value = values[place];
		Datum		kept = value;

		if (!nulls[place] && !target->typbyval)
		{
			if (target->typlen == -1)
				value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
			kept = (Datum) keep_value(receiver, i, value);
		}
		group->values[row * group->ncolumns + i] = kept;
		group->isnull[row * group->ncolumns + i] = nulls[place];
		receiver->has_null |= nulls[place];
		if (value != values[place])
			pfree(DatumGetPointer(value));
	}
	if (group->is_linked)
	{
		receiver->keys[row] = key;
		if (row > 0 && key <= receiver->keys[row - 1])
			receiver->is_sorted = false;
	}
	group->nrows++;
	MemoryContextSwitchTo(old_context);
}

/* Packing -------------------------------------------------------------------- */

typedef struct SortItem
{
	uint64		hash;
	uint64		tie;
	int64		row;
} SortItem;

static inline int
compare_items(const SortItem *a, const SortItem *b)
{
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	if (a->tie != b->tie)
		return a->tie < b->tie ? -1 : 1;
	return 0;
}

#define ST_SORT sort_items
#define ST_ELEMENT_TYPE SortItem
#define ST_COMPARE(a, b) compare_items(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * Return the group's rows in the order of their hash, or linked parents in the
 * order of their key and once each; NULL when they are in it.
 */
static SortItem *
sort_group(WhGroupReceiver *receiver, int64 *count)
{
	WhGroup    *group = receiver->group;
	SortItem   *items;
	int64		kept = 0;

	*count = group->nrows;
	if (group->is_linked && receiver->is_sorted)
		return NULL;
	items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SortItem) * group->nrows);
	for (int64 i = 0; i < group->nrows; i++)
	{
		uint64		tie = 0;

		items[i].row = i;
		for (int c = 0; c < group->ncolumns; c++)
		{
			WhColumn   *target = group->targets[c];
			int64		cell = i * group->ncolumns + c;
			Datum		value = target->typbyval ? group->values[cell] :
				PointerGetDatum(group->bytes + group->values[cell]);

			tie = wh_random_mix(tie + hash_value(value, group->isnull[cell], target->typlen, target->typbyval));
			if (c == 0)
				items[i].hash = tie;
		}
		items[i].tie = tie;
		if (group->is_linked)
			items[i].hash = (uint64) receiver->keys[i];
	}
	sort_items(items, group->nrows);
	for (int64 i = 0; i < group->nrows; i++)
		if (i == 0 || !group->is_linked || items[i].hash != items[i - 1].hash)
			items[kept++] = items[i];
	*count = kept;
	return items;
}

/*
 * Bring the rows into order, and values by reference to where rows are: within
 * their cell, if the column's all fit one, or side by side in the same order.
 * The frequent rows are the first, so that these share cache lines.
 */
void
wh_generator_receive_end(WhGroupReceiver *receiver)
{
	WhGroup    *group = receiver->group;
	int64		count;
	SortItem   *items = sort_group(receiver, &count);
	bool		has_references = false;
	Datum	   *values;
	bool	   *isnull;
	char	   *bytes = NULL;
	Size		nbytes = 0;
	Size		allocated = 0;
	MemoryContext old_context = MemoryContextSwitchTo(receiver->generator->context);

	for (int c = 0; c < group->ncolumns; c++)
	{
		group->cell_kinds[c] = group->targets[c]->typbyval ? WH_CELL_VALUE :
			receiver->longest[c] <= sizeof(Datum) ? WH_CELL_INSIDE : WH_CELL_BYTES;
		has_references |= group->cell_kinds[c] != WH_CELL_VALUE;
	}
	if (items || has_references)
	{
		values = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * count * group->ncolumns);
		isnull = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(bool) * count * group->ncolumns);
		for (int64 i = 0; i < count; i++)
			for (int c = 0; c < group->ncolumns; c++)
			{
				int64		from = (items ? items[i].row : i) * group->ncolumns + c;
				int64		to = i * group->ncolumns + c;
				const char *old_bytes;
				Size		len;

				values[to] = group->values[from];
				isnull[to] = group->isnull[from];
				if (isnull[to] || group->cell_kinds[c] == WH_CELL_VALUE)
					continue;
				old_bytes = group->bytes + group->values[from];
				len = datumGetSize(PointerGetDatum(old_bytes), false, group->targets[c]->typlen);
				if (group->cell_kinds[c] == WH_CELL_INSIDE)
					memcpy(&values[to], old_bytes, len);
				else
					values[to] = append_bytes(&bytes, &nbytes, &allocated, old_bytes, len,
											  is_aligned(group->targets[c], old_bytes));
			}
		pfree(group->values);
		pfree(group->isnull);
		if (group->bytes)
			pfree(group->bytes);
		group->values = values;
		group->isnull = isnull;
		group->bytes = bytes;
		group->nbytes = nbytes;
		group->nrows = count;
	}
	if (items)
		pfree(items);
	if (receiver->keys)
		pfree(receiver->keys);
	if (!receiver->has_null)
	{
		pfree(group->isnull);
		group->isnull = NULL;
	}
	MemoryContextSwitchTo(old_context);
}
