/*
 * generator_update.c
 *	  Changes existing rows: one mutable column each, and the update time.
 *
 * Runs in the backend, in the caller's transaction, with ordinary UPDATE
 * statements: triggers, constraints and generated columns take part.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "generator/generator_group.h"
#include "generator/generator_update.h"
#include "base/object_name.h"

/* A statement that changes a column, with those of its group. */
typedef struct Change
{
	WhColumn   *column;
	SPIPlanPtr	plan;
	int			ncolumns;
	WhColumn  **columns;
} Change;

/* Return the relation's qualified name. */
static char *
relation_name(WhGenerator *generator)
{
	return quote_qualified_identifier(get_namespace_name(RelationGetNamespace(generator->relation)),
									  RelationGetRelationName(generator->relation));
}

static SPIPlanPtr
prepare(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Prepare UPDATE ... SET column = $2, ... WHERE key = $1 for each mutable column. */
static Change *
prepare_changes(WhGenerator *generator, int *count)
{
	Change	   *changes = palloc0(sizeof(Change) * generator->ncolumns);

	*count = 0;
	for (int i = 0; i < generator->natts; i++)
	{
		WhColumn   *column = &generator->columns[i];
		Change	   *change = &changes[*count];
		StringInfoData sql;
		Oid		   *types;

		if (!column->is_mutable)
			continue;
		change->column = column;
		change->columns = palloc(sizeof(WhColumn *) * (generator->ncolumns + 1));
		types = palloc(sizeof(Oid) * (generator->ncolumns + 2));
		types[0] = generator->key->type;
		initStringInfo(&sql);
		appendStringInfo(&sql, "UPDATE %s SET ", relation_name(generator));
		for (int c = 0; c < generator->natts; c++)
		{
			WhColumn   *other = &generator->columns[c];
			bool		moves = other == column || (column->group && other->group == column->group);

			if (!moves && other != generator->updated_at)
				continue;
			change->columns[change->ncolumns++] = other;
			types[change->ncolumns] = other->type;
			appendStringInfo(&sql, "%s%s = $%d", change->ncolumns > 1 ? ", " : "", quote_identifier(other->name),
							 change->ncolumns + 1);
		}
		appendStringInfo(&sql, " WHERE %s = $1", quote_identifier(generator->key->name));
		change->plan = prepare(sql.data, change->ncolumns + 1, types);
		(*count)++;
	}
	return changes;
}

/* Tell whether a column's new value is another than the old one. */
static bool
differs(WhGenerator *generator, WhColumn *column, Datum old_value, bool old_isnull)
{
	bool		isnull = generator->isnull[column->index];

	if (isnull || old_isnull)
		return isnull != old_isnull;
	return !datum_image_eq(generator->values[column->index], old_value, column->typbyval, column->typlen);
}

/* Set the update time after the old one. */
static void
advance_time(WhGenerator *generator, Datum old_value, bool old_isnull, uint64 stream)
{
	WhColumn   *column = generator->updated_at;
	WhRandom	random = wh_random_start(stream, generator->row);
	Timestamp	than = generator->request.has_window ? generator->request.window_from - 1 : 0;

	if (!old_isnull)
		than = column->target == WH_TARGET_DATE ? (int64) DatumGetDateADT(old_value) * USECS_PER_DAY :
			DatumGetTimestamp(old_value);
	wh_value_time(generator, column, wh_generator_time_later(generator, than, &random), true);
	if (column->ndirt)
	{
		random = wh_random_start(~stream, generator->row);
		wh_generator_apply_dirt(generator, column, &random);
	}
}

/* Change the row in tuple; the generator's row context holds new values. */
static void
change_row(WhGenerator *generator, Change *change, HeapTuple tuple, TupleDesc tupdesc)
{
	WhColumn   *column = change->column;
	uint64		stream = wh_random_mix((uint64) generator->request.seed + wh_random_mix(generator->request.batch_id + 1));
	Datum		key;
	Datum		old_value;
	bool		old_isnull;
	bool		isnull;
	Datum	   *values = palloc(sizeof(Datum) * (change->ncolumns + 1));
	char	   *nulls = palloc(change->ncolumns + 2);
	MemoryContext old_context;
	int64	   *counts = palloc(sizeof(int64) * generator->ncolumns * WH_DIRT_KINDS);

	old_context = MemoryContextSwitchTo(generator->row_context);
	for (int i = 0; i < generator->natts; i++)
		if (generator->columns[i].name)
		{
			/* The variables of the row are not kept anywhere: NULL to those that need them. */
			generator->values[i] = SPI_getbinval(tuple, tupdesc, i + 1, &generator->isnull[i]);
			if (!generator->isnull[i] && generator->columns[i].typlen == -1)
				generator->values[i] = PointerGetDatum(PG_DETOAST_DATUM(generator->values[i]));
		}
	key = generator->values[generator->key->index];
	old_value = generator->values[column->index];
	old_isnull = generator->isnull[column->index];

	/* Draw again while nothing changes; faults of draws not used do not count. */
	memcpy(counts, generator->dirt_count, sizeof(int64) * generator->ncolumns * WH_DIRT_KINDS);
	for (int try = 0; try < 64; try++)
	{
		memcpy(generator->dirt_count, counts, sizeof(int64) * generator->ncolumns * WH_DIRT_KINDS);
		generator->variation = wh_random_mix(stream + try) | 1;
		for (int i = 0; i < change->ncolumns; i++)
			if (change->columns[i] != generator->updated_at)
				wh_generator_fill_column(generator, change->columns[i]);
		if (differs(generator, column, old_value, old_isnull))
			break;
	}
	if (generator->updated_at)
	{
		Datum		old_time = SPI_getbinval(tuple, tupdesc, generator->updated_at->index + 1, &isnull);

		advance_time(generator, old_time, isnull, stream);
	}
	MemoryContextSwitchTo(old_context);
	for (int i = 0; i < change->ncolumns; i++)
		wh_generator_check_domain(generator, change->columns[i]);

	values[0] = key;
	nulls[0] = ' ';
	for (int i = 0; i < change->ncolumns; i++)
	{
		values[i + 1] = generator->values[change->columns[i]->index];
		nulls[i + 1] = generator->isnull[change->columns[i]->index] ? 'n' : ' ';
	}
	nulls[change->ncolumns + 1] = '\0';
	if (SPI_execute_plan(change->plan, values, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "update failed: %s", SPI_result_code_string(SPI_result));
	MemoryContextReset(generator->row_context);
}

/* Read the numbers of a query's only column into an array, which the caller frees. */
static int64 *
read_numbers(const char *sql, int64 *count)
{
	int64	   *numbers;

	if (SPI_execute(sql, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "reading keys failed: %s", SPI_result_code_string(SPI_result));
	*count = SPI_processed;
	numbers = palloc_extended(sizeof(int64) * (*count + 1), MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < *count; i++)
	{
		bool		isnull;

		numbers[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return numbers;
}

static int
compare_keys(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* Sort keys and drop repeats; returns how many are left. */
static int64
sort_keys(int64 *keys, int64 count)
{
	int64		kept = 0;

	qsort(keys, count, sizeof(int64), compare_keys);
	for (int64 i = 0; i < count; i++)
		if (i == 0 || keys[i] != keys[i - 1])
			keys[kept++] = keys[i];
	return kept;
}

/*
 * Choose keys of rows for updates by drawing numbers of the sequence, so that
 * a large table need not be read for a few updates.  Returns their number, or
 * -1 when the rows are too few, or the sequence has too many gaps.
 */
static int64
draw_keys(WhGenerator *generator, const char *relation, const char *key, int64 updates, int64 before_key,
		  WhRandom *random, int64 **keys)
{
	int64		count = 0;
	int64		nrange;
	int64		low;
	int64		numbers;
	int64	   *range = read_numbers(psprintf("SELECT k FROM (SELECT min(%s)::pg_catalog.int8 AS lo, max(%s)::pg_catalog.int8 AS hi FROM %s WHERE %s < " INT64_FORMAT ") r,"
											  " LATERAL (VALUES (lo), (hi)) v(k) WHERE k IS NOT NULL ORDER BY k",
											  key, key, relation, key, before_key), &nrange);

	if (nrange < 2)
		return -1;
	low = range[0];
	numbers = (range[1] - low) / generator->key_step + 1;
	if (updates > numbers / 8)
		return -1;
	*keys = palloc_extended(sizeof(int64) * (updates + 1), MCXT_ALLOC_HUGE);
	for (int round = 0; round < 8 && count < updates; round++)
	{
		int64		missing = updates - count;
		int64		nfound;
		int64	   *found;
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT DISTINCT %s::pg_catalog.int8 FROM %s WHERE %s = ANY ('{", key, relation, key);
		for (int64 i = 0; i < missing; i++)
			appendStringInfo(&sql, "%s" INT64_FORMAT, i ? "," : "",
							 low + (int64) wh_random_below(random, numbers) * generator->key_step);
		appendStringInfo(&sql, "}'::%s[])", wh_type_name(generator->key->type));
		found = read_numbers(sql.data, &nfound);
		pfree(sql.data);
		memcpy(*keys + count, found, sizeof(int64) * nfound);
		pfree(found);
		count = sort_keys(*keys, count + nfound);
	}
	return count == updates ? count : -1;
}

/*
 * Choose the keys of rows to change, below before_key, in order; returns their
 * number, which is that of all rows when they are fewer than updates.
 */
static int64
choose_keys(WhGenerator *generator, int64 updates, int64 before_key, WhRandom *random, int64 **keys)
{
	const char *key = quote_identifier(generator->key->name);
	const char *relation = relation_name(generator);
	int64		count;
	int64		chosen = 0;
	int64	   *all;

	count = draw_keys(generator, relation, key, updates, before_key, random, keys);
	if (count >= 0)
		return count;
	all = read_numbers(psprintf("SELECT DISTINCT %s::pg_catalog.int8 FROM %s WHERE %s < " INT64_FORMAT " ORDER BY 1",
								key, relation, key, before_key), &count);
	if (updates > count)
	{
		ereport(NOTICE,
				(errmsg("only " INT64_FORMAT " of " INT64_FORMAT " updates: relation \"%s\" has no more rows",
						count, updates, generator->name)));
		updates = count;
	}
	*keys = palloc_extended(sizeof(int64) * (updates + 1), MCXT_ALLOC_HUGE);
	/* selection sampling: Knuth, The Art of Computer Programming, 3.4.2, algorithm S */
	for (int64 i = 0; i < count && chosen < updates; i++)
		if (wh_random_below(random, count - i) < (uint64) (updates - chosen))
			(*keys)[chosen++] = all[i];
	pfree(all);
	return chosen;
}

/*
 * Change rows with keys below before_key and return how many; at most as many
 * as there are (a notice tells).
 */
int64
wh_generator_update(WhGenerator *generator, int64 updates, int64 before_key)
{
	int64	   *keys;
	int			nchanges;
	Change	   *changes;
	SPIPlanPtr	fetch;
	Oid			key_type;
	WhRandom	random;
	MemoryContext loop_context;

	if (generator->key == NULL || generator->key->is_hidden)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("rows of relation \"%s\" cannot be updated: it has no sequence to find them by",
						generator->name),
				 errhint("Declare a column of kind \"sequence\".")));
	changes = prepare_changes(generator, &nchanges);
	if (nchanges == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation \"%s\" has no mutable column to update", generator->name),
				 errhint("Name some in argument mutable_columns of wh.create_generator.")));
	for (int i = 0; i < nchanges; i++)
		if (changes[i].column->group && changes[i].column->group->kind != WH_GROUP_PLACE)
			wh_generator_load_groups(generator);

	random = wh_random_start(wh_random_hash(generator->name, strlen(generator->name)) ^
							 (uint64) generator->request.seed, generator->request.batch_id);
	updates = choose_keys(generator, updates, before_key, &random, &keys);
	key_type = generator->key->type;
	fetch = prepare(psprintf("SELECT * FROM %s WHERE %s = $1 LIMIT 1", relation_name(generator),
							 quote_identifier(generator->key->name)), 1, &key_type);
	loop_context = AllocSetContextCreate(CurrentMemoryContext, "wh generator update", ALLOCSET_DEFAULT_SIZES);
	for (int64 i = 0; i < updates; i++)
	{
		MemoryContext old_context;
		Datum		key_value;
		SPITupleTable *found;

		CHECK_FOR_INTERRUPTS();
		old_context = MemoryContextSwitchTo(loop_context);
		generator->row = (keys[i] - generator->key_start) / generator->key_step + 1;
		wh_value_integer(generator, generator->key, keys[i]);
		key_value = generator->values[generator->key->index];
		if (SPI_execute_plan(fetch, &key_value, NULL, false, 1) != SPI_OK_SELECT)
			elog(ERROR, "reading a row failed: %s", SPI_result_code_string(SPI_result));
		found = SPI_tuptable;
		if (SPI_processed == 1)
			change_row(generator, &changes[wh_random_below(&random, nchanges)], found->vals[0], found->tupdesc);
		SPI_freetuptable(found);
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(loop_context);
	}
	generator->variation = 0;
	return updates;
}
