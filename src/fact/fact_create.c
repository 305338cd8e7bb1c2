/*
 * fact_create.c
 *	  wh.create_fact and wh.drop_fact.
 *
 * Run in the caller's transaction, as the caller, who then owns the table.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "metadata/catalog.h"
#include "definition/definition_create.h"
#include "definition/definition_statements.h"
#include "dimension/dimension_publish.h"
#include "fact/fact_create.h"
#include "base/spi_query.h"
#include "base/time_zone.h"

static const char *const reserved_names[] = {
	"batch_id", "posted_at", "is_reversal", "reverses_posted_at"
};

static void
dimensions_syntax_error(const char *role)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 role ? errmsg("dimensions: entry \"%s\" is not understood", role) :
			 errmsg("dimensions must be an object"),
			 errhint("Write {\"customer_id\": \"customer\"}, or for a natural key of several columns"
					 " {\"store\": {\"dimension\": \"store\", \"columns\": [\"country\", \"store_no\"]}}.")));
}

static char *
jsonb_string(const JsonbValue *v)
{
	return v && v->type == jbvString ? pnstrdup(v->val.string.val, v->val.string.len) : NULL;
}

/* Read {"dimension": name, "columns": [...]}. */
static char *
composite_role(JsonbContainer *object, WhRoleArg *role)
{
	JsonbValue	buffer;
	char	   *dimension = jsonb_string(getKeyJsonValueFromContainer(object, "dimension", 9, &buffer));
	JsonbValue *columns = getKeyJsonValueFromContainer(object, "columns", 7, &buffer);

	if (dimension == NULL || columns == NULL || columns->type != jbvBinary ||
		!JsonContainerIsArray(columns->val.binary.data) ||
		JsonContainerSize(columns->val.binary.data) > WH_MAX_KEY)
		dimensions_syntax_error(role->role);
	role->ncolumns = JsonContainerSize(columns->val.binary.data);
	role->columns = palloc(sizeof(char *) * Max(role->ncolumns, 1));
	for (int i = 0; i < role->ncolumns; i++)
	{
		role->columns[i] = jsonb_string(getIthJsonbValueFromContainer(columns->val.binary.data, i));
		if (role->columns[i] == NULL)
			dimensions_syntax_error(role->role);
	}
	return dimension;
}

/* Name the surrogate key's column: customer_id gives customer_key. */
static char *
key_column_of(const char *role)
{
	int			len = strlen(role);
	char	   *name;

	if (len > 3 && strcmp(role + len - 3, "_id") == 0)
		len -= 3;
	name = psprintf("%.*s_key", len, role);
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name \"%s\" is too long", name),
				 errhint("Give the column a shorter name in the query, with AS.")));
	return name;
}

/* Read the argument "dimensions". */
void
wh_fact_parse_roles(WhFactArgs *args, Jsonb *dimensions)
{
	JsonbIterator *it;
	JsonbValue	v;
	JsonbIteratorToken token;

	if (!JB_ROOT_IS_OBJECT(dimensions))
		dimensions_syntax_error(NULL);
	args->roles = palloc0(sizeof(WhRoleArg) * Max(JB_ROOT_COUNT(dimensions), 1));
	it = JsonbIteratorInit(&dimensions->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		WhRoleArg  *role = &args->roles[args->nroles];
		char	   *dimension;

		if (token != WJB_KEY)
			continue;
		role->role = jsonb_string(&v);
		(void) JsonbIteratorNext(&it, &v, true);
		if (v.type == jbvString)
		{
			dimension = jsonb_string(&v);
			role->columns = palloc(sizeof(char *));
			role->columns[0] = role->role;
			role->ncolumns = 1;
		}
		else if (v.type == jbvBinary && JsonContainerIsObject(v.val.binary.data))
			dimension = composite_role(v.val.binary.data, role);
		else
			dimension = NULL;
		if (dimension == NULL)
			dimensions_syntax_error(role->role);
		role->dimension = wh_catalog_dimension(wh_catalog_object_id("dimension", dimension));
		if (pg_class_aclcheck(role->dimension->relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, role->dimension->name);
		role->key_column = key_column_of(role->role);
		args->nroles++;
	}
}

/* Check that a role's columns fit the dimension's natural key. */
static void
check_role(const WhRoleArg *role, TupleDesc columns)
{
	WhDimension *d = role->dimension;

	if (role->ncolumns != d->nkey)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions: \"%s\" names %d columns, dimension \"%s\" has a natural key of %d",
						role->role, role->ncolumns, d->name, d->nkey),
				 errhint("Write {\"%s\": {\"dimension\": \"%s\", \"columns\": [...]}}.",
						 d->name, d->name)));
	for (int k = 0; k < d->nkey; k++)
	{
		AttrNumber	attno = wh_definition_column(columns, role->columns[k], "dimensions");
		Oid			type = TupleDescAttr(columns, attno - 1)->atttypid;
		Oid			key_type = TupleDescAttr(d->tupdesc, d->key[k] - 1)->atttypid;

		if (key_type == DATEOID && wh_time_is_type(type))
			continue;
		if (!can_coerce_type(1, &type, &key_type, COERCION_IMPLICIT))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of type %s cannot find dimension \"%s\", whose \"%s\" has type %s",
							role->columns[k], format_type_be(type), d->name, d->key_name[k],
							format_type_be(key_type)),
					 errhint("Cast it in the query.")));
	}
}

/* Check the query's columns against the arguments. */
void
wh_fact_check_columns(const WhFactArgs *args, TupleDesc columns)
{
	AttrNumber	attno;

	wh_definition_check_names(columns, reserved_names, lengthof(reserved_names));
	for (int i = 0; i < args->ngrain; i++)
		wh_definition_check_sortable(columns, wh_definition_column(columns, args->grain[i], "grain"),
									 "grain");
	attno = wh_definition_column(columns, args->event_time, "event_time");
	if (!wh_time_is_type(TupleDescAttr(columns, attno - 1)->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("event_time column \"%s\" must be a date, timestamp or timestamptz",
						args->event_time),
				 errhint("Cast it in the query.")));
	for (int r = 0; r < args->nroles; r++)
	{
		check_role(&args->roles[r], columns);
		for (int i = 0; i < columns->natts; i++)
			if (strcmp(NameStr(TupleDescAttr(columns, i)->attname), args->roles[r].key_column) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_RESERVED_NAME),
						 errmsg("column name \"%s\" is the surrogate key's", args->roles[r].key_column),
						 errhint("Give the column another name in the query, with AS.")));
		for (int q = 0; q < r; q++)
			if (strcmp(args->roles[q].key_column, args->roles[r].key_column) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("dimensions \"%s\" and \"%s\" both give key column \"%s\"",
								args->roles[q].role, args->roles[r].role, args->roles[r].key_column),
						 errhint("Give one of the columns another name in the query, with AS.")));
	}
}

/* Refuse inputs that the fact's mode cannot follow, and other facts, which are no inputs. */
void
wh_fact_check_inputs(const WhFactArgs *args, const WhQueryPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->inputs)
	{
		const WhQueryInput *input = lfirst(lc);
		WhRow		row;

		if (wh_catalog_row(&row, "SELECT 1 FROM wh.fact WHERE relation OPERATOR(pg_catalog.=) $1",
						   1, (Oid[]) {REGCLASSOID}, (Datum[]) {ObjectIdGetDatum(input->relid)}))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a fact cannot read fact \"%s\"", wh_relation_name(input->relid)),
					 errdetail("Changes of a fact are not followed; it would be compared as a whole in every run."),
					 errhint("Read the staged relations that it is made from, or make a view over it for readers.")));
		if (strcmp(args->mode, "append") == 0 && input->kind != WH_INPUT_EVENT)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("mode 'append' cannot read \"%s\", whose rows change", wh_relation_name(input->relid)),
					 errdetail("What the fact holds would depend on when it was loaded. Only append feeds have rows that stay as they are."),
					 errhint("Use mode 'upsert', or 'ledger' to keep what a row was.")));
	}
}

/* Make the table.  Its unique index is made after the first load. */
static Oid
create_table(const WhFactArgs *args, TupleDesc columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", args->name.qualified);
	for (int r = 0; r < args->nroles; r++)
		appendStringInfo(&sql, "%s bigint NOT NULL, ", quote_identifier(args->roles[r].key_column));
	for (int i = 0; i < columns->natts; i++)
		wh_definition_append_column(&sql, TupleDescAttr(columns, i),
									NameStr(TupleDescAttr(columns, i)->attname));
	if (strcmp(args->mode, "ledger") == 0)
		appendStringInfoString(&sql, "posted_at timestamptz NOT NULL, is_reversal boolean NOT NULL,"
							   " reverses_posted_at timestamptz, ");
	appendStringInfoString(&sql, "batch_id bigint)");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
	return get_relname_relid(args->name.name, get_namespace_oid(args->name.schema, false));
}

static Datum
text_array(char *const *names, int n)
{
	Datum		datums[WH_MAX_KEY];

	for (int i = 0; i < n; i++)
		datums[i] = CStringGetTextDatum(names[i]);
	return PointerGetDatum(construct_array(datums, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Record the dimensions of a fact, over what is recorded. */
void
wh_fact_store_roles(const WhFactArgs *args, int64 id)
{
	wh_catalog_execute("DELETE FROM wh.fact_dimension WHERE fact_id OPERATOR(pg_catalog.=) $1",
					   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}, NULL);
	for (int r = 0; r < args->nroles; r++)
	{
		WhRoleArg  *role = &args->roles[r];

		wh_catalog_execute("INSERT INTO wh.fact_dimension (fact_id, ordinal, role, columns, dimension_id, key_column)"
					   " VALUES ($1, $2, $3, $4, $5, $6)",
					   6, (Oid[]) {INT8OID, INT4OID, TEXTOID, TEXTARRAYOID, INT8OID, TEXTOID},
					   (Datum[]) {Int64GetDatum(id), Int32GetDatum(r + 1), CStringGetTextDatum(role->role),
						   text_array(role->columns, role->ncolumns), Int64GetDatum(role->dimension->id),
					   CStringGetTextDatum(role->key_column)}, NULL);
	}
}

/* Take the dimensions that a fact has. */
void
wh_fact_current_roles(WhFactArgs *args, const WhFact *f)
{
	args->nroles = f->ndimensions;
	args->roles = palloc0(sizeof(WhRoleArg) * Max(f->ndimensions, 1));
	for (int i = 0; i < f->ndimensions; i++)
	{
		WhRoleArg  *role = &args->roles[i];

		role->role = f->dimensions[i].role;
		role->columns = f->dimensions[i].column_name;
		role->ncolumns = f->dimensions[i].ncolumns;
		role->dimension = wh_catalog_dimension(f->dimensions[i].dimension_id);
		role->key_column = NameStr(TupleDescAttr(f->tupdesc, f->dimensions[i].key - 1)->attname);
	}
}

static int64
insert_catalog_rows(const WhFactArgs *args, Oid table, Oid view)
{
	WhRow		row;
	int64		id;

	if (!wh_catalog_row(&row, "INSERT INTO wh.fact (relation, definition, grain, event_time, mode, time_zone)"
					" VALUES ($1::regclass, $2::regclass, $3, $4, $5, $6) RETURNING fact_id",
					6, (Oid[]) {OIDOID, OIDOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTOID},
					(Datum[]) {ObjectIdGetDatum(table), ObjectIdGetDatum(view),
					text_array(args->grain, args->ngrain), CStringGetTextDatum(args->event_time),
	CStringGetTextDatum(args->mode), CStringGetTextDatum(args->time_zone)}))
		elog(ERROR, "could not record a fact");
	id = DatumGetInt64(row.values[0]);
	wh_fact_store_roles(args, id);
	return id;
}

PG_FUNCTION_INFO_V1(wh_create_fact);

/*
 * wh.create_fact(fact, query, grain, event_time, dimensions, mode, time_zone)
 * returns regclass
 */
Datum
wh_create_fact(PG_FUNCTION_ARGS)
{
	WhFactArgs	args = {0};
	Oid			view,
				table;
	TupleDesc	columns;
	WhQueryPlan *plan;
	int64		id;

	wh_check_arguments(fcinfo, (const char *const[]) {"fact", "query", "grain", "event_time", "dimensions", "mode", "time_zone"}, 7);
	SPI_connect();
	args.name = wh_object_name(text_to_cstring(PG_GETARG_TEXT_PP(0)), "mart");
	args.query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	args.grain = wh_text_array_arg(PG_GETARG_ARRAYTYPE_P(2), &args.ngrain, "grain", WH_MAX_KEY);
	args.event_time = text_to_cstring(PG_GETARG_TEXT_PP(3));
	args.mode = text_to_cstring(PG_GETARG_TEXT_PP(5));
	args.time_zone = text_to_cstring(PG_GETARG_TEXT_PP(6));
	if (strcmp(args.mode, "append") != 0 && strcmp(args.mode, "upsert") != 0 &&
		strcmp(args.mode, "ledger") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid mode \"%s\"", args.mode),
				 errhint("Use 'append', 'upsert' or 'ledger'.")));
	wh_time_zone_check(args.time_zone);
	wh_object_name_check_free(&args.name, "");
	wh_object_name_check_free(&args.name, "_definition");
	wh_fact_parse_roles(&args, PG_GETARG_JSONB_P(4));

	wh_object_schema_ensure(args.name.schema);
	view = wh_definition_view(&args.name, args.query, InvalidOid);
	columns = wh_definition_columns(view);
	wh_fact_check_columns(&args, columns);
	plan = wh_query_plan_view(view, args.grain, args.ngrain,
							  strcmp(args.mode, "ledger") == 0 ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	wh_fact_check_inputs(&args, plan);
	table = create_table(&args, columns);
	id = insert_catalog_rows(&args, table, view);
	wh_definition_record_inputs(id, table, plan);
	wh_definition_make_indexes(plan);
	wh_definition_try(table, plan);
	SPI_finish();
	PG_RETURN_OID(table);
}

PG_FUNCTION_INFO_V1(wh_drop_fact);

/* wh.drop_fact(fact) returns void; inferred members that only it needed go too */
Datum
wh_drop_fact(PG_FUNCTION_ARGS)
{
	char	   *name = wh_text_arg(fcinfo, 0, "fact");
	int64		id;
	WhFact	   *f;

	SPI_connect();
	/* not while a run publishes, which would meet it half gone */
	wh_publish_lock(true);
	id = wh_catalog_object_id("fact", name);
	f = wh_catalog_fact(id);
	wh_relation_check_owner(f->relid);
	wh_catalog_execute("DELETE FROM wh.input WHERE object_id OPERATOR(pg_catalog.=) $1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}, NULL);
	wh_catalog_execute("DELETE FROM wh.fact WHERE fact_id OPERATOR(pg_catalog.=) $1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}, NULL);
	wh_definition_drop(f->relid, f->definition);
	for (int i = 0; i < f->ndimensions; i++)
		wh_inferred_clean(f->dimensions[i].dimension_id, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}
