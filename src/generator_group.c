/*
 * generator_group.c
 *	  Reads the rows that references and parents take their values from.
 *
 * The backend reads what the generator needs of the other tables once, with
 * the snapshot of the statement, into memory; workers get it from there.
 * Popularity follows a hash of the first column, so that a row keeps about its
 * rank when others come.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "generator_catalog.h"
#include "generator_group.h"

/* Takes the rows of a query into a group. */
typedef struct GroupReceiver
{
	DestReceiver pub;
	WhGenerator *generator;
	WhGroup    *group;
	int64		allocated;
	Size		nbytes;
	Size		bytes_allocated;
	Size	   *longest;		/* value by reference of each column */
	bool	   *may_be_short;	/* may values of each column have a header of one byte? */
	bool		has_null;
	int64	   *keys;			/* of linked parents, else NULL */
	bool		is_sorted;		/* by these */
} GroupReceiver;

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
keep_value(GroupReceiver *receiver, int c, Datum value)
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
grow(GroupReceiver *receiver)
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

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	GroupReceiver *receiver = (GroupReceiver *) self;
	WhGroup    *group = receiver->group;
	MemoryContext old_context = MemoryContextSwitchTo(receiver->generator->context);
	int64		row = group->nrows;

	if (row == receiver->allocated)
		grow(receiver);
	slot_getallattrs(slot);
	for (int i = 0; i < group->ncolumns; i++)
	{
		WhColumn   *target = group->targets[i];
		Datum		value = slot->tts_values[i];
		bool		isnull = slot->tts_isnull[i];
		Datum		kept = value;

		if (!isnull && !target->typbyval)
		{
			if (target->typlen == -1)
				value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
			kept = (Datum) keep_value(receiver, i, value);
		}
		group->values[row * group->ncolumns + i] = kept;
		group->isnull[row * group->ncolumns + i] = isnull;
		receiver->has_null |= isnull;
		if (value != slot->tts_values[i])
			pfree(DatumGetPointer(value));
	}
	if (group->is_linked)
	{
		receiver->keys[row] = DatumGetInt64(slot->tts_values[group->ncolumns]);
		if (row > 0 && receiver->keys[row] <= receiver->keys[row - 1])
			receiver->is_sorted = false;
	}
	group->nrows++;
	MemoryContextSwitchTo(old_context);
	return true;
}

static void
receive_start(DestReceiver *self, int operation, TupleDesc tupdesc)
{
}

static void
receive_end(DestReceiver *self)
{
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
sort_group(GroupReceiver *receiver, int64 *count)
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
static void
pack_group(GroupReceiver *receiver)
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
}

/* Loading -------------------------------------------------------------------- */

/* Return conditions on the parent's key that pick the batch's new rows, or NULL. */
static char *
batch_condition(WhGenerator *generator, WhGroup *group, char **key)
{
	Oid			types[2] = {TEXTOID, INT4OID};
	Datum		values[2];
	WhIdentity	identity;

	values[0] = CStringGetTextDatum(group->relation);
	values[1] = Int32GetDatum(generator->request.batch_id);
	wh_generator_become_owner(&identity);
	SPI_execute_with_args("SELECT pg_catalog.string_agg(pg_catalog.format('%I BETWEEN %s AND %s', g.key, b.first_key, b.last_key), ' OR '),"
						  " pg_catalog.quote_ident(pg_catalog.min(g.key))"
						  " FROM wh.generator_batch b JOIN wh.generator g USING (relation)"
						  " WHERE b.relation = $1::pg_catalog.regclass AND b.batch_id = $2 AND b.inserted > 0 AND g.key IS NOT NULL",
						  2, types, values, NULL, true, 0);
	wh_generator_come_back(&identity);
	*key = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/* Read the other table's columns of one group. */
static void
load_group(WhGenerator *generator, WhGroup *group)
{
	GroupReceiver receiver;
	StringInfoData sql;
	SPIExecuteOptions options;
	SPIPlanPtr	plan;
	char	   *condition = NULL;
	char	   *key = NULL;
	MemoryContext old_context;

	group->is_loaded = true;
	group->is_linked = group->kind == WH_GROUP_PARENT && generator->request.per_parent > 0;
	group->nrows = 0;
	group->values = NULL;
	group->isnull = NULL;
	group->bytes = NULL;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (group->is_linked)
	{
		condition = batch_condition(generator, group, &key);
		if (condition == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("no rows of %s were generated in batch %d to link to", group->relation,
							generator->request.batch_id),
					 errhint("Generate rows of %s in the same batch first, or leave out link_parent.",
							 group->relation)));
	}
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < group->ncolumns; i++)
		appendStringInfo(&sql, "%s%s::%s", i ? ", " : "", quote_identifier(group->columns[i]),
						 format_type_with_typemod(group->targets[i]->type, group->targets[i]->typmod));
	if (key)
		appendStringInfo(&sql, ", %s::pg_catalog.int8", key);
	appendStringInfo(&sql, " FROM %s", group->relation);
	if (condition || group->where)
		appendStringInfo(&sql, " WHERE (%s) AND (%s)", condition ? condition : "true",
						 group->where ? group->where : "true");

	memset(&receiver, 0, sizeof(receiver));
	receiver.pub.receiveSlot = receive_row;
	receiver.pub.rStartup = receive_start;
	receiver.pub.rShutdown = receive_end;
	receiver.pub.rDestroy = receive_end;
	receiver.pub.mydest = DestNone;
	receiver.generator = generator;
	receiver.group = group;
	receiver.is_sorted = true;
	old_context = MemoryContextSwitchTo(generator->context);
	group->cell_kinds = palloc0(sizeof(WhCellKind) * group->ncolumns);
	receiver.longest = palloc0(sizeof(Size) * group->ncolumns);
	receiver.may_be_short = palloc0(sizeof(bool) * group->ncolumns);
	for (int i = 0; i < group->ncolumns; i++)
		receiver.may_be_short[i] = get_typstorage(group->targets[i]->type) != TYPSTORAGE_PLAIN;
	MemoryContextSwitchTo(old_context);
	/* A query of a worker, or beside workers, must not ask for workers itself. */
	plan = SPI_prepare_cursor(sql.data, 0, NULL, 0);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = &receiver.pub;
	if (SPI_execute_plan_extended(plan, &options) < 0)
		elog(ERROR, "SPI_execute_plan_extended failed");
	SPI_finish();

	if (group->nrows == 0 && group->is_linked)
		return;
	if (group->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing to link to: no row of %s can be referenced", group->relation),
				 errhint("Generate rows of %s first.", group->relation)));
	old_context = MemoryContextSwitchTo(generator->context);
	pack_group(&receiver);
	if (group->popularity > 0)
		wh_random_zipf_init(&group->zipf, group->nrows, group->popularity);
	MemoryContextSwitchTo(old_context);
}

/* Read all that the generator refers to; an error when there is nothing. */
void
wh_generator_load_groups(WhGenerator *generator)
{
	for (int i = 0; i < generator->ngroups; i++)
		if (generator->groups[i]->kind != WH_GROUP_PLACE && !generator->groups[i]->is_loaded)
			load_group(generator, generator->groups[i]);
}

/* Load the parents made in the batch and return their number. */
int64
wh_generator_count_parents(WhGenerator *generator)
{
	for (int i = 0; i < generator->ngroups; i++)
	{
		WhGroup    *group = generator->groups[i];

		if (group->kind != WH_GROUP_PARENT)
			continue;
		load_group(generator, group);
		return group->nrows;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("relation \"%s\" has no parent to link to", generator->name),
			 errhint("Declare a column of kind \"parent\", or leave out link_parent.")));
	return 0;
}
