/*
 * generator_reference.c
 *	  Column kinds reference and parent: values of rows of other tables.
 *
 * Each process that makes rows reads what it needs of the other tables once,
 * with the snapshot of the statement, into memory.  Popularity follows a hash
 * of the first column, so that a row keeps about its rank when others come.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "generator_catalog.h"

/* Takes the rows of a query into a group. */
typedef struct GroupReceiver
{
	DestReceiver pub;
	WhGenerator *generator;
	WhGroup    *group;
	int64		allocated;
	bool		has_null;
	uint64	   *hash;			/* of the first column, or the parent's key */
	uint64	   *tie;			/* of all columns */
} GroupReceiver;

/* Find another table, beside the generator's when its name is not qualified. */
static Oid
find_relation(WhGenerator *generator, const WhSpec *spec, char *name)
{
	List	   *names = stringToQualifiedNameList(name);
	Oid			oid = InvalidOid;

	if (list_length(names) == 1)
		oid = get_relname_relid(strVal(linitial(names)), RelationGetNamespace(generator->relation));
	if (!OidIsValid(oid))
		oid = RangeVarGetRelid(makeRangeVarFromNameList(names), NoLock, true);
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("generator of column \"%s\": relation \"%s\" does not exist", spec->column, name),
				 errhint("Qualify its name when it is in another schema than \"%s\".", generator->name)));
	return oid;
}

/* Choose the row of the group for the generator's current row. */
static int64
choose(WhGenerator *generator, WhGroup *group)
{
	WhRandom	random;

	if (group->chosen_for == generator->row && group->chosen_variation == generator->variation)
		return group->chosen;
	group->chosen_for = generator->row;
	group->chosen_variation = generator->variation;
	if (group->is_linked && generator->variation == 0)
		group->chosen = (generator->row - generator->request.first_row) / generator->request.per_parent;
	else
	{
		random = wh_random_start(group->stream ^ generator->variation, generator->row);
		if (group->popularity > 0)
			group->chosen = wh_random_zipf(&group->zipf, &random) - 1;
		else
			group->chosen = (int64) wh_random_below(&random, group->nrows);
	}
	return group->chosen;
}

static void
fill_reference(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	WhGroup    *group = column->group;
	int64		row = choose(generator, group);

	row = row * group->ncolumns + column->group_column;
	generator->values[column->index] = group->values[row];
	generator->isnull[column->index] = group->isnull && group->isnull[row];
}

/* Prepare kinds reference and parent. */
void
wh_generator_prepare_reference(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const reference_options[] = {"relation", "column", "reference", "popularity", "where", NULL};
	static const char *const parent_options[] = {"relation", "column", "where", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	bool		is_parent = strcmp(kind, "parent") == 0;
	Oid			relid;
	char	   *relation;
	char	   *other;
	char	   *where;
	double		popularity;
	WhGroup    *group;

	wh_spec_check_options(spec, kind, is_parent ? parent_options : reference_options);
	if (!wh_spec_has(spec, "relation"))
		wh_spec_error(spec, "kinds \"reference\" and \"parent\" need option \"relation\"");
	relid = find_relation(generator, spec, wh_spec_text(spec, "relation", NULL));
	relation = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
	other = wh_spec_text(spec, "column", column->name);
	if (get_attnum(relid, other) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("generator of column \"%s\": column \"%s\" of relation %s does not exist", column->name,
						other, relation),
				 errhint("Name it by option \"column\".")));
	group = wh_generator_group(generator, is_parent ? WH_GROUP_PARENT : WH_GROUP_REFERENCE,
							   wh_spec_text(spec, "reference", relation));
	if (group->relation && strcmp(group->relation, relation) != 0)
		wh_spec_error(spec, "columns of one reference must be of one relation");
	group->relation = relation;
	if (is_parent)
		for (int i = 0; i < generator->ngroups; i++)
			if (generator->groups[i]->kind == WH_GROUP_PARENT && generator->groups[i] != group)
				wh_spec_error(spec, "a table can have only one parent");
	popularity = wh_spec_number(spec, "popularity", 0);
	if (!(popularity >= 0 && popularity <= 10))
		wh_spec_error(spec, "option \"popularity\" must be between 0 and 10");
	if (popularity > 0)
		group->popularity = popularity;
	where = wh_spec_text(spec, "where", NULL);
	if (where)
		group->where = where;
	group->columns[group->ncolumns] = other;
	group->targets[group->ncolumns] = column;
	column->group = group;
	column->group_column = group->ncolumns++;
	column->fill = fill_reference;
}

/* Loading -------------------------------------------------------------------- */

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
		receiver->hash = palloc(sizeof(uint64) * receiver->allocated);
		receiver->tie = palloc(sizeof(uint64) * receiver->allocated);
		return;
	}
	group->values = repalloc_huge(group->values, sizeof(Datum) * cells);
	group->isnull = repalloc_huge(group->isnull, sizeof(bool) * cells);
	receiver->hash = repalloc_huge(receiver->hash, sizeof(uint64) * receiver->allocated);
	receiver->tie = repalloc_huge(receiver->tie, sizeof(uint64) * receiver->allocated);
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	GroupReceiver *receiver = (GroupReceiver *) self;
	WhGroup    *group = receiver->group;
	MemoryContext old_context = MemoryContextSwitchTo(receiver->generator->context);
	int64		row = group->nrows;
	uint64		tie = 0;

	if (row == receiver->allocated)
		grow(receiver);
	slot_getallattrs(slot);
	for (int i = 0; i < group->ncolumns; i++)
	{
		WhColumn   *target = group->targets[i];
		Datum		value = slot->tts_values[i];
		bool		isnull = slot->tts_isnull[i];

		if (!isnull && target->typlen == -1)
			value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		else if (!isnull && !target->typbyval)
			value = datumCopy(value, target->typbyval, target->typlen);
		group->values[row * group->ncolumns + i] = value;
		group->isnull[row * group->ncolumns + i] = isnull;
		receiver->has_null |= isnull;
		tie = wh_random_mix(tie + hash_value(value, isnull, target->typlen, target->typbyval));
		if (i == 0)
			receiver->hash[row] = tie;
	}
	receiver->tie[row] = tie;
	if (group->is_linked)
		receiver->hash[row] = DatumGetInt64(slot->tts_values[group->ncolumns]);
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

typedef struct SortItem
{
	uint64		hash;
	uint64		tie;
	int64		row;
} SortItem;

static int
compare_items(const void *a, const void *b)
{
	const SortItem *x = a;
	const SortItem *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->tie != y->tie)
		return x->tie < y->tie ? -1 : 1;
	return 0;
}

/* Order a group's rows by hash, or linked parents by key; repeats of a key go. */
static void
sort_group(WhGenerator *generator, GroupReceiver *receiver)
{
	WhGroup    *group = receiver->group;
	SortItem   *items;
	int64		kept = 0;
	bool		is_sorted = true;
	Datum	   *values;
	bool	   *isnull;

	for (int64 i = 1; i < group->nrows && is_sorted; i++)
		is_sorted = receiver->hash[i - 1] < receiver->hash[i];
	if (is_sorted)
		return;
	items = MemoryContextAllocHuge(generator->context, sizeof(SortItem) * group->nrows);
	for (int64 i = 0; i < group->nrows; i++)
	{
		items[i].hash = receiver->hash[i];
		items[i].tie = receiver->tie[i];
		items[i].row = i;
	}
	qsort(items, group->nrows, sizeof(SortItem), compare_items);
	for (int64 i = 0; i < group->nrows; i++)
		if (i == 0 || !group->is_linked || items[i].hash != items[i - 1].hash)
			items[kept++] = items[i];
	values = MemoryContextAllocHuge(generator->context, sizeof(Datum) * kept * group->ncolumns);
	isnull = MemoryContextAllocHuge(generator->context, sizeof(bool) * kept * group->ncolumns);
	for (int64 i = 0; i < kept; i++)
		for (int c = 0; c < group->ncolumns; c++)
		{
			WhColumn   *target = group->targets[c];
			int64		from = items[i].row * group->ncolumns + c;
			int64		to = i * group->ncolumns + c;

			values[to] = group->values[from];
			isnull[to] = group->isnull[from];
			/* The frequent rows are the first: their values side by side share cache lines. */
			if (!isnull[to] && !target->typbyval)
				values[to] = datumCopy(values[to], false, target->typlen);
		}
	pfree(group->values);
	pfree(group->isnull);
	group->values = values;
	group->isnull = isnull;
	group->nrows = kept;
	pfree(items);
}

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
	sort_group(generator, &receiver);
	if (!receiver.has_null)
		group->isnull = NULL;
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
