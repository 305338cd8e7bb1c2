/*
 * dimension_alter.c
 *	  wh.alter_dimension.
 *
 * Runs in the caller's transaction, as the owner of the dimension.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

#include "definition/definition_alter.h"
#include "definition/definition_create.h"
#include "definition/definition_statements.h"
#include "definition/publish.h"
#include "dimension/dimension_create.h"
#include "definition/publish.h"

/* Take what is not given from the catalog. */
static void
current_args(WhDimension *d, WhDimensionArgs *args)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT scd, default_scd, history, effective_grain"
						" FROM wh.dimension WHERE dimension_id OPERATOR(pg_catalog.=) $1",
						1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(d->id)}))
		elog(ERROR, "dimension \"%s\" is missing", d->name);
	args->scd = DatumGetJsonbP(row.values[0]);
	args->default_scd = DatumGetInt32(row.values[1]);
	args->history = TextDatumGetCString(row.values[2]);
	args->grain = row.isnull[3] ? NULL : TextDatumGetCString(row.values[3]);
	args->time_zone = d->time_zone;
	args->keys = d->key_name;
	args->nkeys = d->nkey;
	args->name.schema = get_namespace_name(get_rel_namespace(d->relid));
	args->name.name = d->name;
	args->name.qualified = d->qualified;
}

/* Bring the table's columns in line with the query's. */
static void
alter_table(WhDimension *d, const WhDimensionArgs *args, TupleDesc columns)
{
	List	   *wanted = list_make5("effective_from", "effective_to", "is_current", "is_inferred", "batch_id");

	wanted = lappend(wanted, NameStr(TupleDescAttr(d->tupdesc, 0)->attname));
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);
		char	   *name = NameStr(att->attname);
		bool		is_key = false;

		if (!wh_dimension_is_attribute(args, name))
			continue;
		for (int k = 0; k < d->nkey; k++)
			is_key |= strcmp(d->key_name[k], name) == 0;
		wh_alter_want_column(d->qualified, d->tupdesc, att, name, is_key);
		wanted = lappend(wanted, name);
		if (wh_dimension_scd_type(args, name) == WH_SCD_PREVIOUS)
		{
			char	   *previous = psprintf("previous_%s", name);

			wh_alter_want_column(d->qualified, d->tupdesc, att, previous, false);
			wanted = lappend(wanted, previous);
		}
	}
	wh_alter_drop_others(d->qualified, d->tupdesc, wanted);
}

static void
store(const WhDimension *d, const WhDimensionArgs *args, Oid view)
{
	Datum		values[6] = {Int64GetDatum(d->id), ObjectIdGetDatum(view), JsonbPGetDatum(args->scd),
		Int32GetDatum(args->default_scd), CStringGetTextDatum(args->history),
	CStringGetTextDatum(args->grain ? args->grain : "")};

	wh_catalog_execute("UPDATE wh.dimension SET definition = $2::regclass, scd = $3, default_scd = $4,"
					   " history = $5, effective_grain = nullif($6, '')"
					   " WHERE dimension_id OPERATOR(pg_catalog.=) $1",
					   6, (Oid[]) {INT8OID, OIDOID, JSONBOID, INT4OID, TEXTOID, TEXTOID}, values, NULL);
}

/* Bring a dimension in line with its query, which is as in the catalog but for the types of columns. */
static void
follow(WhDimension *d)
{
	WhDimensionArgs args;
	TupleDesc	columns = wh_definition_columns(d->definition);
	WhQueryPlan *plan;
	WhSurroundings saved;

	wh_owner_enter(d->relid, &saved);
	current_args(d, &args);
	wh_dimension_check_columns(&args, columns);
	plan = wh_query_plan_view(d->definition, args.keys, args.nkeys,
							  d->history == WH_HISTORY_AUTO ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	alter_table(d, &args, columns);
	wh_dimension_fixed_members(&args, columns);
	wh_definition_record_inputs(d->id, d->relid, plan);
	wh_definition_make_indexes(plan);
	wh_surroundings_leave(&saved);
}

/* Have all dimensions that read a feed follow its wider columns; the next publish computes them. */
static void
follow_feed(int64 feed_id)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT DISTINCT d.dimension_id FROM wh.dimension d"
									   " JOIN wh.input i ON i.object_id OPERATOR(pg_catalog.=) d.dimension_id"
									   " WHERE i.feed_id OPERATOR(pg_catalog.=) $1 ORDER BY d.dimension_id",
									   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(feed_id)});

	for (int i = 0; i < n; i++)
		follow(wh_catalog_dimension(DatumGetInt64(rows[i].values[0])));
}

static void
lock_publish(void)
{
	wh_publish_lock(true);
}

const WhFeedReader wh_dimension_reader = {lock_publish, follow_feed};

PG_FUNCTION_INFO_V1(wh_alter_dimension);

/*
 * wh.alter_dimension(dimension, query, scd, default_scd, history,
 * effective_grain) returns void; NULL keeps what is there, effective_grain ''
 * takes the grain away
 */
Datum
wh_alter_dimension(PG_FUNCTION_ARGS)
{
	WhDimension *d;
	WhDimensionArgs args;
	Oid			view;
	TupleDesc	columns;
	WhQueryPlan *plan;
	Oid			user;
	int			sec_context;

	SPI_connect();
	/* before any relation, as every run does */
	wh_publish_lock(true);
	d = wh_catalog_dimension(wh_catalog_object_id("dimension", wh_text_arg(fcinfo, 0, "dimension")));
	wh_relation_become_owner(d->relid, &user, &sec_context);
	if (d->is_date)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("dimension \"%s\" is a calendar and cannot be altered", d->name),
				 errhint("Drop it with wh.drop_dimension and create it anew.")));
	current_args(d, &args);
	if (!PG_ARGISNULL(2))
		args.scd = PG_GETARG_JSONB_P(2);
	if (!PG_ARGISNULL(3))
		args.default_scd = PG_GETARG_INT32(3);
	if (!PG_ARGISNULL(4))
		args.history = text_to_cstring(PG_GETARG_TEXT_PP(4));
	if (!PG_ARGISNULL(5))
	{
		args.grain = text_to_cstring(PG_GETARG_TEXT_PP(5));
		if (*args.grain == '\0')
			args.grain = NULL;
	}
	wh_dimension_check_args(&args);

	view = d->definition;
	if (!PG_ARGISNULL(1))
		view = wh_definition_view(&args.name, text_to_cstring(PG_GETARG_TEXT_PP(1)), d->definition);
	columns = wh_definition_columns(view);
	wh_dimension_check_columns(&args, columns);
	plan = wh_query_plan_view(view, args.keys, args.nkeys,
							  strcmp(args.history, "auto") == 0 ? WH_QUERY_AS_OF_OR_WHOLE : WH_QUERY_CURRENT);
	alter_table(d, &args, columns);
	wh_dimension_fixed_members(&args, columns);
	store(d, &args, view);
	wh_definition_record_inputs(d->id, d->relid, plan);
	wh_definition_make_indexes(plan);
	wh_definition_try(d->relid, plan);
	if (view != d->definition)
		wh_definition_drop_view(d->definition);
	wh_alter_publish(d->id);
	SetUserIdAndSecContext(user, sec_context);
	SPI_finish();
	PG_RETURN_VOID();
}
