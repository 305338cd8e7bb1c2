/*
 * dimension_create.c
 *	  wh.create_dimension and wh.drop_dimension.
 *
 * Run in the caller's transaction, as the caller, who then owns the table.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "metadata/catalog.h"
#include "definition/definition_create.h"
#include "definition/definition_statements.h"
#include "definition/publish.h"
#include "dimension/dimension_create.h"
#include "base/spi_query.h"
#include "base/time_zone.h"

static const char *const reserved_names[] = {
	"effective_from", "effective_to", "is_current", "is_inferred", "batch_id"
};

static void
check_scd_type(const char *type, const char *of)
{
	if (strlen(type) != 1 || type[0] < '0' || type[0] > '3')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid SCD type %s for %s", type, of),
				 errhint("Use 0 (keep original), 1 (overwrite), 2 (new version) or 3 (keep the previous value beside).")));
}

/* Check {"column": type, ...}. */
static void
check_scd(const WhDimensionArgs *args, TupleDesc columns)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(args->scd))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("scd must be an object, such as {\"email\": 1}")));
	check_scd_type(psprintf("%d", args->default_scd), "default_scd");
	it = JsonbIteratorInit(&args->scd->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *column;

		if (token != WJB_KEY)
			continue;
		column = pnstrdup(v.val.string.val, v.val.string.len);
		(void) wh_definition_column(columns, column, "scd");
		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type != jbvNumeric)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the SCD type of column \"%s\" must be a number", column)));
		check_scd_type(DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(v.val.numeric))),
					   psprintf("column \"%s\"", column));
		for (int k = 0; k < args->nkeys; k++)
			if (strcmp(args->keys[k], column) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("natural key column \"%s\" can have no SCD type", column)));
	}
}

/* Give the SCD type of a column of the query. */
int
wh_dimension_scd_type(const WhDimensionArgs *args, const char *column)
{
	JsonbValue	key,
			   *value;

	for (int k = 0; k < args->nkeys; k++)
		if (strcmp(args->keys[k], column) == 0)
			return WH_SCD_VERSION;
	key.type = jbvString;
	key.val.string.val = unconstify(char *, column);
	key.val.string.len = strlen(column);
	value = findJsonbValueFromContainer(&args->scd->root, JB_FOBJECT, &key);
	if (value == NULL)
		return args->default_scd;
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric)));
}

/* Say whether a column of the query is one of the table: times of 'query' are not. */
bool
wh_dimension_is_attribute(const WhDimensionArgs *args, const char *name)
{
	return strcmp(args->history, "query") != 0 ||
		(strcmp(name, "effective_from") != 0 && strcmp(name, "effective_to") != 0);
}

/* Check the query's columns against the arguments. */
void
wh_dimension_check_columns(const WhDimensionArgs *args, TupleDesc columns)
{
	bool		query = strcmp(args->history, "query") == 0;

	wh_definition_check_names(columns, reserved_names + (query ? 2 : 0),
							  lengthof(reserved_names) - (query ? 2 : 0));
	for (int k = 0; k < args->nkeys; k++)
		wh_definition_check_sortable(columns, wh_definition_column(columns, args->keys[k], "natural_key"),
									 "natural key");
	if (query)
	{
		AttrNumber	from = wh_definition_column(columns, "effective_from", "history 'query'");

		if (!wh_time_is_type(TupleDescAttr(columns, from - 1)->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("effective_from must be a date, timestamp or timestamptz")));
	}
	else if (args->grain && strcmp(args->history, "none") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("effective_grain needs a history"),
				 errhint("Use history 'auto' or 'query', or leave effective_grain out.")));
	check_scd(args, columns);
}

/* Make the table.  Its unique index on the natural key is made after the first load. */
static Oid
create_table(const WhDimensionArgs *args, TupleDesc columns)
{
	StringInfoData sql;
	char	   *key_column = wh_object_name_add(&args->name, "_key");

	for (int i = 0; i < columns->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), key_column) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("column name \"%s\" is the surrogate key's", key_column),
					 errhint("Give the column another name in the query, with AS.")));
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (%s bigint PRIMARY KEY, ", args->name.qualified,
					 quote_identifier(key_column));
	for (int i = 0; i < columns->natts; i++)
		if (wh_dimension_is_attribute(args, NameStr(TupleDescAttr(columns, i)->attname)))
			wh_definition_append_column(&sql, TupleDescAttr(columns, i),
										NameStr(TupleDescAttr(columns, i)->attname));
	for (int i = 0; i < columns->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(columns, i)->attname);

		if (wh_dimension_is_attribute(args, name) && wh_dimension_scd_type(args, name) == WH_SCD_PREVIOUS)
		{
			if (strlen(name) + strlen("previous_") >= NAMEDATALEN)
				ereport(ERROR,
						(errcode(ERRCODE_NAME_TOO_LONG),
						 errmsg("name \"previous_%s\" is too long", name),
						 errhint("Give the column a shorter name in the query, with AS.")));
			wh_definition_append_column(&sql, TupleDescAttr(columns, i), psprintf("previous_%s", name));
		}
	}
	appendStringInfoString(&sql, "effective_from timestamptz NOT NULL, effective_to timestamptz NOT NULL,"
						   " is_current boolean NOT NULL, is_inferred boolean NOT NULL, batch_id bigint)"
						   " WITH (fillfactor = 90)");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
	return get_relname_relid(args->name.name, get_namespace_oid(args->name.schema, false));
}

/* Write members -1 (unknown) and -2 (not applicable); texts say which they are. */
void
wh_dimension_fixed_members(const WhDimensionArgs *args, TupleDesc columns)
{
	char	   *key_column = wh_object_name_add(&args->name, "_key");

	wh_spi_execute(psprintf("DELETE FROM %s WHERE %s < 0", args->name.qualified,
							quote_identifier(key_column)), 0, NULL, NULL, NULL);
	for (int key = -1; key >= -2; key--)
	{
		StringInfoData names,
					values;

		initStringInfo(&names);
		initStringInfo(&values);
		for (int i = 0; i < columns->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(columns, i);
			bool		is_key = false;

			for (int k = 0; k < args->nkeys; k++)
				is_key |= strcmp(args->keys[k], NameStr(att->attname)) == 0;
			if (is_key || att->atttypid != TEXTOID || !wh_dimension_is_attribute(args, NameStr(att->attname)))
				continue;
			appendStringInfo(&names, ", %s", quote_identifier(NameStr(att->attname)));
			appendStringInfoString(&values, key == -1 ? ", 'Unknown'" : ", 'Not applicable'");
		}
		wh_spi_execute(psprintf("INSERT INTO %s (%s, effective_from, effective_to, is_current, is_inferred%s)"
								" VALUES (%d, '-infinity', 'infinity', true, false%s)",
								args->name.qualified,
								quote_identifier(key_column), names.data, key, values.data),
					   0, NULL, NULL, NULL);
	}
}

static int64
insert_catalog_row(const WhDimensionArgs *args, Oid table, Oid view)
{
	WhRow		row;
	Datum		key_datums[WH_MAX_KEY];
	Datum		values[9];
	Oid			types[9] = {OIDOID, OIDOID, TEXTARRAYOID, JSONBOID, INT4OID, TEXTOID, TEXTOID, TEXTOID};

	for (int k = 0; k < args->nkeys; k++)
		key_datums[k] = CStringGetTextDatum(args->keys[k]);
	values[0] = ObjectIdGetDatum(table);
	values[1] = ObjectIdGetDatum(view);
	values[2] = PointerGetDatum(construct_array(key_datums, args->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
	values[3] = JsonbPGetDatum(args->scd);
	values[4] = Int32GetDatum(args->default_scd);
	values[5] = CStringGetTextDatum(args->history);
	values[6] = CStringGetTextDatum(args->grain ? args->grain : "");
	values[7] = CStringGetTextDatum(args->time_zone);
	if (!wh_catalog_row(&row, "INSERT INTO wh.dimension (relation, definition, natural_key, scd, default_scd,"
					" history, effective_grain, time_zone)"
					" VALUES ($1::regclass, $2::regclass, $3, $4, $5, $6, nullif($7, ''), $8)"
					" RETURNING dimension_id", 8, types, values))
		elog(ERROR, "could not record a dimension");
	return DatumGetInt64(row.values[0]);
}

static void
check_choice(const char *value, const char *const *choices, const char *argument, const char *hint)
{
	for (; *choices; choices++)
		if (strcmp(value, *choices) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", argument, value),
			 errhint("%s", hint)));
}

/* Check the arguments that do not need the query. */
void
wh_dimension_check_args(const WhDimensionArgs *args)
{
	check_choice(args->history, (const char *const[]) {"auto", "query", "none", NULL}, "history",
				 "Use 'auto', 'query' or 'none'.");
	if (args->grain)
		check_choice(args->grain, (const char *const[]) {"hour", "day", "week", "month", NULL},
					 "effective_grain", "Use 'hour', 'day', 'week' or 'month'.");
	wh_time_zone_check(args->time_zone);
}

PG_FUNCTION_INFO_V1(wh_create_dimension);

/*
 * wh.create_dimension(dimension, query, natural_key, scd, default_scd, history,
 * effective_grain, time_zone) returns regclass
 */
Datum
wh_create_dimension(PG_FUNCTION_ARGS)
{
	WhDimensionArgs args;
	Oid			view,
				table;
	TupleDesc	columns;
	WhQueryPlan *plan;
	int64		id;

	wh_check_arguments(fcinfo, (const char *const[]) {"dimension", "query", "natural_key", "scd", "default_scd", "history", NULL, "time_zone"}, 8);
	SPI_connect();
	args.name = wh_object_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), "mart");
	args.query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	args.keys = wh_text_array_arg(PG_GETARG_ARRAYTYPE_P(2), &args.nkeys, "natural_key", WH_MAX_KEY);
	args.scd = PG_GETARG_JSONB_P(3);
	args.default_scd = PG_GETARG_INT32(4);
	args.history = text_to_cstring(PG_GETARG_TEXT_PP(5));
	args.grain = PG_ARGISNULL(6) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(6));
	args.time_zone = text_to_cstring(PG_GETARG_TEXT_PP(7));
	wh_dimension_check_args(&args);
	wh_object_name_check_free(&args.name, "");
	wh_object_name_check_free(&args.name, "_definition");

	wh_object_schema_ensure(args.name.schema);
	view = wh_definition_view(&args.name, args.query, InvalidOid);
	columns = wh_definition_columns(view);
	wh_dimension_check_columns(&args, columns);
	plan = wh_query_plan_view(view, args.keys, args.nkeys,
							  strcmp(args.history, "auto") == 0 ? WH_QUERY_AS_OF_OR_WHOLE : WH_QUERY_CURRENT);
	table = create_table(&args, columns);
	wh_dimension_fixed_members(&args, columns);
	id = insert_catalog_row(&args, table, view);
	wh_definition_record_inputs(id, table, plan);
	wh_definition_make_indexes(plan);
	wh_definition_try(table, plan);
	SPI_finish();
	PG_RETURN_OID(table);
}

PG_FUNCTION_INFO_V1(wh_drop_dimension);

/* wh.drop_dimension(dimension) returns void */
Datum
wh_drop_dimension(PG_FUNCTION_ARGS)
{
	char	   *name = wh_text_arg(fcinfo, 0, "dimension");
	int64		id;
	WhDimension *d;
	WhRow		row;

	SPI_connect();
	/* not while a run publishes, which would meet it half gone */
	wh_publish_lock(true);
	id = wh_catalog_object_id("dimension", name);
	d = wh_catalog_dimension(id);
	if (wh_catalog_row(&row, "SELECT f.relation::text FROM wh.fact_dimension fd JOIN wh.fact f USING (fact_id)"
				   " WHERE fd.dimension_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop dimension \"%s\" because fact \"%s\" uses it", name,
						TextDatumGetCString(row.values[0])),
				 errhint("Drop the fact first, with wh.drop_fact.")));
	wh_relation_check_owner(d->relid);
	wh_catalog_execute("DELETE FROM wh.input WHERE object_id OPERATOR(pg_catalog.=) $1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}, NULL);
	wh_catalog_execute("DELETE FROM wh.dimension WHERE dimension_id OPERATOR(pg_catalog.=) $1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}, NULL);
	wh_definition_drop(d->relid, d->definition);
	SPI_finish();
	PG_RETURN_VOID();
}
