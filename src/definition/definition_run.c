/*
 * definition_run.c
 *	  The surroundings in which a definition's queries run, and what they read.
 *
 * A definition runs as the owner of its table, under fixed settings (rule 8),
 * whoever calls wh.run() and whatever the session has set.  Changed images of
 * staged rows are put in memory under a name; docs/architecture.md says which
 * rows those are.  Needs an SPI connection.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "definition/definition_run.h"
#include "base/object_name.h"
#include "base/spi_query.h"

/* A lookup table of more rows is refused (rule 20). */
#define LOOKUP_ROWS 100000

/* Settings that a query's result or plan must not depend on. */
static const char *const fixed_settings[][2] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"TimeZone", "UTC"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	/* touched keys are few: lookups through indexes are what we want */
	{"random_page_cost", "1.1"},
	/* rows come through cursors, and all of them are read */
	{"cursor_tuple_fraction", "1.0"},
	{"jit", "off"},
};

/*
 * A publish may use as much memory for a sort or a hash table as the making of
 * an index may.
 */
static void
raise_work_mem(void)
{
	char		value[32];

	if (work_mem >= maintenance_work_mem)
		return;
	snprintf(value, sizeof(value), "%d", maintenance_work_mem);
	(void) set_config_option("work_mem", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Become the owner of a relation, under the fixed settings. */
void
wh_definition_enter(Oid relid, WhSurroundings *saved)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	relation_close(rel, NoLock);
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_RESTRICTED_OPERATION);
	saved->guc_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(fixed_settings); i++)
		if (strcmp(GetConfigOption(fixed_settings[i][0], false, false), fixed_settings[i][1]) != 0)
			(void) set_config_option(fixed_settings[i][0], fixed_settings[i][1], PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	raise_work_mem();
}

/* Undo wh_definition_enter; an error needs no undoing. */
void
wh_definition_leave(const WhSurroundings *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->sec_context);
}

/* List a table's columns for SQL, without the dropped ones. */
static char *
column_list(TupleDesc tupdesc)
{
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < tupdesc->natts; i++)
		if (!TupleDescAttr(tupdesc, i)->attisdropped)
			appendStringInfo(&s, "%s%s", s.len ? ", " : "",
							 quote_identifier(NameStr(TupleDescAttr(tupdesc, i)->attname)));
	return s.data;
}

/*
 * Say from which block on the rows can be that were added since the input was
 * last used; false = anywhere, as when the table was rewritten since.
 */
bool
wh_changed_first_block(const WhInput *input, int64 *block)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT min(s.first_block), bool_and(s.file_node IS NOT DISTINCT FROM"
					" pg_catalog.pg_relation_filenode($3)::pg_catalog.int8 OPERATOR(pg_catalog.#) $4)"
					" FROM wh.batch_step s WHERE s.object_id OPERATOR(pg_catalog.=) $1"
					" AND s.batch_id OPERATOR(pg_catalog.>) $2"
					" AND s.first_block IS NOT NULL",
					4, (Oid[]) {INT8OID, INT8OID, OIDOID, INT8OID},
					(Datum[]) {Int64GetDatum(input->feed_id), Int64GetDatum(input->used_batch_id),
	ObjectIdGetDatum(input->history), Int64GetDatum((int64) GetSystemIdentifier())}))
		return false;
	if (row.isnull[0] || row.isnull[1] || !DatumGetBool(row.values[1]))
		return false;
	*block = DatumGetInt64(row.values[0]);
	return true;
}

/* Give the number of rows added since the input was last used. */
double
wh_changed_rows(const WhInput *input)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT coalesce(sum(rows_staged), 0)::float8 FROM wh.batch_step"
					" WHERE object_id OPERATOR(pg_catalog.=) $1 AND batch_id OPERATOR(pg_catalog.>) $2",
					2, (Oid[]) {INT8OID, INT8OID},
					(Datum[]) {Int64GetDatum(input->feed_id), Int64GetDatum(input->used_batch_id)}))
		elog(ERROR, "no count of changed rows");
	return DatumGetFloat8(row.values[0]);
}

/*
 * Put the images of a feed's rows that changed since the input was last used
 * in memory, under a name.  The caller unregisters the name, then ends the store.
 */
Tuplestorestate *
wh_changed_register(const WhInput *input, const char *name)
{
	Relation	rel = relation_open(input->history, AccessShareLock);
	TupleDesc	tupdesc = RelationGetDescr(rel),
				result;
	char	   *columns = column_list(tupdesc);
	StringInfoData sql;
	Tuplestorestate *store;
	int64		nrows,
				block;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s FROM %s WHERE batch_id > " INT64_FORMAT,
					 columns, wh_relation_name(input->history), input->used_batch_id);
	if (wh_changed_first_block(input, &block))
		appendStringInfo(&sql, " AND ctid >= '(" INT64_FORMAT ",0)'::tid", block);
	if (OidIsValid(input->change_log))
		appendStringInfo(&sql, " UNION ALL SELECT %s FROM %s WHERE change_batch_id > " INT64_FORMAT,
						 columns, wh_relation_name(input->change_log), input->used_batch_id);
	store = wh_spi_store(sql.data, &result, &nrows);
	if (result == NULL)
		result = CreateTupleDescCopy(tupdesc);
	wh_spi_register(name, result, store, nrows);
	relation_close(rel, NoLock);
	return store;
}

/*
 * Give a hash over a lookup table's rows, whatever their order, as hex text;
 * read as the owner of the object (its table) that uses it.
 */
char *
wh_lookup_hash(Oid relid, Oid object)
{
	WhSurroundings saved;
	char	   *sql = psprintf("SELECT count(*), pg_catalog.md5(count(*)::text || ' ' ||"
							   " coalesce(sum(pg_catalog.hashtextextended(t::text, 0)::numeric), 0) || ' ' ||"
							   " coalesce(sum(pg_catalog.hashtextextended(t::text, 1)::numeric), 0))"
							   " FROM (SELECT * FROM %s LIMIT %d) t",
							   wh_relation_name(relid), LOOKUP_ROWS + 1);
	WhRow		row;

	wh_definition_enter(object, &saved);
	if (!wh_spi_row(&row, sql, 0, NULL, NULL))
		elog(ERROR, "no hash of relation %u", relid);
	wh_definition_leave(&saved);
	if (DatumGetInt64(row.values[0]) > LOOKUP_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lookup table \"%s\" has more than %d rows",
						wh_relation_name(relid), LOOKUP_ROWS),
				 errdetail("Its whole content is compared in every cycle."),
				 errhint("Make it a feed with wh.create_feed, and read the staged relation.")));
	return TextDatumGetCString(row.values[1]);
}

/*
 * Give the inputs of an object (its table) that changed since they were used,
 * and set each one's position to what is there now.  whole is set when everything has to be
 * computed: something was never used, or a lookup table changed.
 */
List *
wh_inputs_changed(List *inputs, Oid object, bool *whole)
{
	List	   *changed = NIL;
	ListCell   *lc;

	foreach(lc, inputs)
	{
		WhInput    *input = lfirst(lc);

		if (input->feed_id == 0)
		{
			char	   *hash = wh_lookup_hash(input->relid, object);

			if (input->hash && strcmp(hash, input->hash) == 0)
				continue;
			input->hash = hash;
			*whole = true;
			changed = lappend(changed, input);
		}
		else if (!input->has_used)
		{
			*whole = true;
			changed = lappend(changed, input);
		}
		else if (input->last_batch_id > input->used_batch_id)
			changed = lappend(changed, input);
	}
	return changed;
}

/* Store that all of the changed inputs are used up to now. */
void
wh_inputs_used(int64 object_id, List *inputs)
{
	ListCell   *lc;

	foreach(lc, inputs)
	{
		WhInput    *input = lfirst(lc);

		input->used_batch_id = input->last_batch_id;
		wh_catalog_input_used(object_id, input);
	}
}
