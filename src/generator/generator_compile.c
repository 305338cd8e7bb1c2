/*
 * generator_compile.c
 *	  Turns the declaration of a table's generator into something that runs.
 *
 * Runs in the backend that declares or uses a generator, and in each parallel
 * worker.  The caller holds a lock on the relation.  All results are in a new
 * memory context below the current one.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "generator/generator.h"

typedef struct Kind
{
	const char *name;
	void		(*prepare) (WhGenerator *generator, WhColumn *column, const WhSpec *spec);
} Kind;

static const Kind kinds[] = {
	{"address", wh_generator_prepare_place},
	{"boolean", wh_generator_prepare_boolean},
	{"card", wh_generator_prepare_text},
	{"choice", wh_generator_prepare_choice},
	{"city", wh_generator_prepare_place},
	{"company", wh_generator_prepare_text},
	{"date", wh_generator_prepare_time},
	{"email", wh_generator_prepare_person},
	{"expression", wh_generator_prepare_expression},
	{"integer", wh_generator_prepare_number},
	{"money", wh_generator_prepare_number},
	{"name", wh_generator_prepare_person},
	{"number", wh_generator_prepare_number},
	{"parent", wh_generator_prepare_reference},
	{"pattern", wh_generator_prepare_text},
	{"phone", wh_generator_prepare_place},
	{"product", wh_generator_prepare_text},
	{"reference", wh_generator_prepare_reference},
	{"sequence", wh_generator_prepare_sequence},
	{"state", wh_generator_prepare_place},
	{"street", wh_generator_prepare_place},
	{"text", wh_generator_prepare_text},
	{"timestamp", wh_generator_prepare_time},
	{"user_name", wh_generator_prepare_person},
	{"zip", wh_generator_prepare_place},
};

/* Set up a column of the table or a hidden one, without its kind. */
static void
init_column(WhGenerator *generator, WhColumn *column, int index, const char *name, Oid type, int32 typmod,
			Oid collation)
{
	char	   *image = psprintf("%s.%s", generator->name, name);

	column->index = index;
	column->name = pstrdup(name);
	column->type = type;
	column->typmod = typmod;
	column->collation = collation;
	column->stream = wh_random_mix((uint64) generator->request.seed ^ wh_random_hash(image, strlen(image)));
	column->is_drawn = true;
	wh_value_prepare(column);
}

/* Count the declared columns that the table does not have. */
static int
count_hidden(TupleDesc tupdesc, Jsonb *columns)
{
	JsonbIterator *it = JsonbIteratorInit(&columns->root);
	JsonbValue	value;
	JsonbIteratorToken token;
	int			result = 0;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		bool		found = false;

		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < tupdesc->natts && !found; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

			found = !attribute->attisdropped &&
				strlen(NameStr(attribute->attname)) == value.val.string.len &&
				strncmp(NameStr(attribute->attname), value.val.string.val, value.val.string.len) == 0;
		}
		if (!found)
			result++;
	}
	return result;
}

/* Lay out the columns: the table's, then the hidden ones. */
static void
init_columns(WhGenerator *generator, Jsonb *columns)
{
	TupleDesc	tupdesc = generator->tupdesc;
	TupleDesc	row_desc;
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;
	int			next = tupdesc->natts;

	generator->natts = tupdesc->natts;
	generator->ncolumns = tupdesc->natts + count_hidden(tupdesc, columns);
	generator->columns = palloc0(sizeof(WhColumn) * generator->ncolumns);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		generator->columns[i].index = i;
		if (attribute->attisdropped)
			continue;
		init_column(generator, &generator->columns[i], i, NameStr(attribute->attname), attribute->atttypid,
					attribute->atttypmod, attribute->attcollation);
		generator->columns[i].not_null = attribute->attnotnull;
		generator->columns[i].has_domain_checks = get_typtype(attribute->atttypid) == TYPTYPE_DOMAIN &&
			DomainHasConstraints(attribute->atttypid);
		generator->has_domain_checks |= generator->columns[i].has_domain_checks;
	}

	it = JsonbIteratorInit(&columns->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;
		char	   *type;
		WhSpec		spec;
		Oid			type_oid;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		(void) JsonbIteratorNext(&it, &value, true);
		if (wh_generator_column(generator, name))
			continue;
		spec = wh_spec_make(name, &value);
		type = wh_spec_text(&spec, "type", NULL);
		if (type == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist", name, generator->name),
					 errhint("A variable that only other columns use needs a type, such as \"type\": \"numeric\".")));
		type_oid = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(type)));
		if (!OidIsValid(type_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("generator of column \"%s\": type \"%s\" does not exist", name, type)));
		init_column(generator, &generator->columns[next], next, name, type_oid, -1, get_typcollation(type_oid));
		generator->columns[next].is_hidden = true;
		next++;
	}

	row_desc = CreateTemplateTupleDesc(generator->ncolumns);
	for (int i = 0; i < generator->ncolumns; i++)
	{
		WhColumn   *column = &generator->columns[i];

		TupleDescInitEntry(row_desc, i + 1, column->name ? column->name : "dropped",
						   column->name ? column->type : INT4OID, column->typmod, 0);
		if (column->name)
			TupleDescInitEntryCollation(row_desc, i + 1, column->collation);
	}
	generator->slot = MakeSingleTupleTableSlot(row_desc, &TTSOpsVirtual);
	generator->values = generator->slot->tts_values;
	generator->isnull = generator->slot->tts_isnull;
	for (int i = 0; i < generator->ncolumns; i++)
	{
		generator->values[i] = (Datum) 0;
		generator->isnull[i] = true;
	}
	ExecStoreVirtualTuple(generator->slot);
	generator->row_slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(tupdesc), &TTSOpsVirtual);
	generator->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(generator->result_rel, generator->relation, 0, NULL, 0);
	generator->estate = CreateExecutorState();
	/* Not the per-tuple context: constraints and index expressions set its tuple. */
	generator->econtext = CreateExprContext(generator->estate);
	generator->econtext->ecxt_scantuple = generator->slot;
}

/* Give a declared column its kind. */
static void
prepare_column(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	ErrorContextCallback callback = {error_context_stack, wh_value_error_callback, column};
	Form_pg_attribute attribute = column->is_hidden ? NULL : TupleDescAttr(generator->tupdesc, column->index);

	column->is_declared = true;
	if (kind == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\" has no kind", column->name),
				 errhint("For example {\"kind\": \"integer\", \"min\": 1, \"max\": 10}.")));
	if (attribute && attribute->attgenerated)
		wh_spec_error(spec, "the table computes this column itself");
	if (!column->is_hidden && wh_spec_has(spec, "type"))
		wh_spec_error(spec, "option \"type\" is only for variables that are not columns of the table");
	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		error_context_stack = &callback;
		kinds[i].prepare(generator, column, spec);
		error_context_stack = callback.previous;
		column->null_share = wh_random_share(wh_spec_share(spec, "null_share"));
		if (column->null_share && column->not_null)
			wh_spec_error(spec, "a share of NULLs in a column that is NOT NULL");
		wh_generator_prepare_dirt(generator, column, spec);
		return;
	}
	{
		StringInfoData names;

		initStringInfo(&names);
		for (int i = 0; i < lengthof(kinds); i++)
			appendStringInfo(&names, "%s%s", i ? ", " : "", kinds[i].name);
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\": kind \"%s\" does not exist", column->name, kind),
				 errhint("The kinds are: %s.", names.data)));
	}
}

/* Put a column after those it needs. */
static void
order_column(WhGenerator *generator, WhColumn *column)
{
	int			member = -1;

	if (column->mark == 2)
		return;
	if (column->mark == 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\" depends on itself", column->name)));
	column->mark = 1;
	for (int i = 0; i < column->ndepends; i++)
		order_column(generator, &generator->columns[column->depends[i]]);
	while ((member = bms_next_member(column->reads, member)) >= 0)
		order_column(generator, &generator->columns[member]);
	column->mark = 2;
	if (column->fill)
		generator->order[generator->norder++] = column;
}

/* Note which columns updates change, and which one tells the time of change. */
static void
prepare_updates(WhGenerator *generator, ArrayType *mutable_columns, const char *updated_at)
{
	Datum	   *names;
	int			count;

	if (mutable_columns)
	{
		deconstruct_array(mutable_columns, TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &count);
		for (int i = 0; i < count; i++)
		{
			char	   *name = TextDatumGetCString(names[i]);
			WhColumn   *column = wh_generator_column(generator, name);

			if (column == NULL || column->is_hidden)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("mutable column \"%s\" of relation \"%s\" does not exist", name, generator->name)));
			if (column == generator->key || !column->is_declared || column->reads ||
				(column->group && column->group->kind == WH_GROUP_PARENT))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("column \"%s\" cannot be mutable", name),
						 errdetail("Keys, parents, expressions and columns without a generator do not change.")));
			column->is_mutable = true;
		}
	}
	if (updated_at)
	{
		generator->updated_at = wh_generator_column(generator, updated_at);
		if (generator->updated_at == NULL || generator->updated_at->is_hidden)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("update time \"%s\" of relation \"%s\" does not exist", updated_at, generator->name)));
		if (generator->updated_at->target != WH_TARGET_TIMESTAMP && generator->updated_at->target != WH_TARGET_DATE)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("update time \"%s\" must be a date, timestamp or timestamp with time zone", updated_at)));
	}
}

/*
 * Compile a generator.  columns is {"column": {...}, ...}; mutable_columns,
 * updated_at and dirt may be NULL.  References are not loaded yet.
 */
WhGenerator *
wh_generator_compile(Relation relation, Jsonb *columns, ArrayType *mutable_columns, const char *updated_at,
					 Jsonb *dirt, const WhRequest *request)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "wh generator", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	WhGenerator *generator = palloc0(sizeof(WhGenerator));
	JsonbIterator *it;
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;

	generator->context = context;
	generator->row_context = AllocSetContextCreate(context, "wh generator rows", ALLOCSET_DEFAULT_SIZES);
	generator->request = *request;
	generator->relation = relation;
	generator->name = pstrdup(RelationGetRelationName(relation));
	generator->tupdesc = RelationGetDescr(relation);
	generator->is_parallel_safe = true;
	initStringInfo(&generator->text);
	if (!JB_ROOT_IS_OBJECT(columns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns must be a JSON object"),
				 errhint("For example {\"id\": {\"kind\": \"sequence\"}}.")));
	init_columns(generator, columns);
	generator->dirt_count = palloc0(sizeof(int64) * (generator->ncolumns + 1) * WH_DIRT_KINDS);

	it = JsonbIteratorInit(&columns->root);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		WhSpec		spec;
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(key.val.string.val, key.val.string.len);
		(void) JsonbIteratorNext(&it, &value, true);
		spec = wh_spec_make(name, &value);
		prepare_column(generator, wh_generator_column(generator, name), &spec);
	}
	for (int i = 0; i < generator->natts; i++)
		if (generator->columns[i].name && !generator->columns[i].is_declared)
			wh_generator_prepare_default(generator, &generator->columns[i]);
	prepare_updates(generator, mutable_columns, updated_at);
	wh_generator_prepare_row_dirt(generator, dirt);

	generator->order = palloc(sizeof(WhColumn *) * (generator->ncolumns + 1));
	for (int i = 0; i < generator->ncolumns; i++)
		order_column(generator, &generator->columns[i]);
	MemoryContextSwitchTo(old_context);
	return generator;
}
