/*
 * fact_alter.c
 *	  wh.alter_fact.
 *
 * Runs in the caller's transaction, as the owner of the fact.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/own_ddl.h"
#include "metadata/catalog.h"
#include "definition/definition_alter.h"
#include "definition/definition_create.h"
#include "definition/definition_statements.h"
#include "dimension/dimension_publish.h"
#include "fact/fact_create.h"

/* Bring the table's columns in line with the query's and the dimensions'. */
static void
alter_table(WhFact *f, const WhFactArgs *args, TupleDesc columns)
{
	List	   *wanted = list_make1("batch_id");

	if (f->mode == WH_FACT_LEDGER)
		wanted = list_concat(wanted, list_make3("posted_at", "is_reversal", "reverses_posted_at"));
	for (int r = 0; r < args->nroles; r++)
	{
		char	   *key = args->roles[r].key_column;
		bool		exists = false;

		for (int i = 0; i < f->ndimensions; i++)
			exists |= strcmp(NameStr(TupleDescAttr(f->tupdesc, f->dimensions[i].key - 1)->attname), key) == 0;
		/* -1 only until the rows are computed, before anybody sees them */
		if (!exists)
			wh_alter_own(psprintf("ALTER TABLE %s ADD COLUMN %s bigint NOT NULL DEFAULT -1;"
								  " ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT",
								  f->qualified, quote_identifier(key),
								  f->qualified, quote_identifier(key)));
		wanted = lappend(wanted, key);
	}
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(columns, i);
		bool		in_grain = false;

		for (int g = 0; g < f->ngrain; g++)
			in_grain |= strcmp(f->grain_name[g], NameStr(att->attname)) == 0;
		wh_alter_want_column(f->qualified, f->tupdesc, att, NameStr(att->attname), in_grain);
		wanted = lappend(wanted, NameStr(att->attname));
	}
	wh_alter_drop_others(f->qualified, f->tupdesc, wanted);
}

/* Bring a fact in line with its query, which is as in the catalog but for the types of columns. */
static void
follow(WhFact *f)
{
	WhFactArgs	args = {0};
	TupleDesc	columns = wh_definition_columns(f->definition);
	WhQueryPlan *plan;
	WhSurroundings saved;

	wh_owner_enter(f->relid, &saved);
	args.name.schema = get_namespace_name(get_rel_namespace(f->relid));
	args.name.name = f->name;
	args.name.qualified = f->qualified;
	args.grain = f->grain_name;
	args.ngrain = f->ngrain;
	args.event_time = f->event_time;
	wh_fact_current_roles(&args, f);
	wh_fact_check_columns(&args, columns);
	plan = wh_query_plan_view(f->definition, args.grain, args.ngrain,
							  f->mode == WH_FACT_LEDGER ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	alter_table(f, &args, columns);
	wh_definition_record_inputs(f->id, f->relid, plan);
	wh_definition_make_indexes(plan);
	wh_surroundings_leave(&saved);
}

/*
 * Have all facts that read a feed, or a dimension or fact that does, follow its
 * wider columns; the next publish computes them.
 */
static void
follow_feed(int64 feed_id)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "WITH RECURSIVE reader(object_id) AS ("
									   " SELECT object_id FROM wh.input WHERE feed_id OPERATOR(pg_catalog.=) $1"
									   " UNION SELECT i.object_id FROM reader r"
									   " JOIN (SELECT fact_id AS id, relation::oid AS relid FROM wh.fact"
									   "       UNION ALL SELECT dimension_id, relation::oid FROM wh.dimension) o"
									   " ON o.id OPERATOR(pg_catalog.=) r.object_id"
									   " JOIN wh.input i ON i.relation::oid OPERATOR(pg_catalog.=) o.relid)"
									   " SELECT f.fact_id FROM wh.fact f JOIN reader r"
									   " ON r.object_id OPERATOR(pg_catalog.=) f.fact_id ORDER BY 1",
									   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(feed_id)});

	for (int i = 0; i < n; i++)
		follow(wh_catalog_fact(DatumGetInt64(rows[i].values[0])));
}

const WhFeedReader wh_fact_reader = {NULL, follow_feed};

PG_FUNCTION_INFO_V1(wh_alter_fact);

/* wh.alter_fact(fact, query, dimensions) returns void; NULL keeps what is there */
Datum
wh_alter_fact(PG_FUNCTION_ARGS)
{
	WhFact	   *f;
	WhFactArgs	args = {0};
	Oid			view;
	TupleDesc	columns;
	WhQueryPlan *plan;
	Oid			user;
	int			sec_context;

	SPI_connect();
	/* before any relation, as every run does */
	wh_publish_lock(true);
	f = wh_catalog_fact(wh_catalog_object_id("fact", wh_text_arg(fcinfo, 0, "fact")));
	wh_relation_become_owner(f->relid, &user, &sec_context);
	args.name.schema = get_namespace_name(get_rel_namespace(f->relid));
	args.name.name = f->name;
	args.name.qualified = f->qualified;
	args.grain = f->grain_name;
	args.ngrain = f->ngrain;
	args.event_time = f->event_time;
	args.mode = f->mode == WH_FACT_APPEND ? "append" : f->mode == WH_FACT_UPSERT ? "upsert" : "ledger";
	if (PG_ARGISNULL(2))
		wh_fact_current_roles(&args, f);
	else
		wh_fact_parse_roles(&args, PG_GETARG_JSONB_P(2));

	view = f->definition;
	if (!PG_ARGISNULL(1))
		view = wh_definition_view(&args.name, text_to_cstring(PG_GETARG_TEXT_PP(1)), f->definition);
	columns = wh_definition_columns(view);
	wh_fact_check_columns(&args, columns);
	plan = wh_query_plan_view(view, args.grain, args.ngrain,
							  f->mode == WH_FACT_LEDGER ? WH_QUERY_AS_OF : WH_QUERY_CURRENT);
	wh_fact_check_inputs(&args, plan);
	alter_table(f, &args, columns);
	wh_catalog_execute("UPDATE wh.fact SET definition = $2::regclass WHERE fact_id OPERATOR(pg_catalog.=) $1",
					   2, (Oid[]) {INT8OID, OIDOID}, (Datum[]) {Int64GetDatum(f->id), ObjectIdGetDatum(view)}, NULL);
	wh_fact_store_roles(&args, f->id);
	wh_definition_record_inputs(f->id, f->relid, plan);
	wh_definition_make_indexes(plan);
	wh_definition_try(f->relid, plan);
	if (view != f->definition)
		wh_definition_drop_view(f->definition);
	wh_alter_publish(f->id);
	for (int i = 0; i < f->ndimensions; i++)
		(void) wh_inferred_clean(f->dimensions[i].dimension_id, NULL);
	SetUserIdAndSecContext(user, sec_context);
	SPI_finish();
	PG_RETURN_VOID();
}
