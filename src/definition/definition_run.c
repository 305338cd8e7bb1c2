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

/* Copy a row type without the dropped columns. */
static TupleDesc
live_columns(TupleDesc tupdesc)
{
	TupleDesc	result;
	int			n = 0;

	for (int i = 0; i < tupdesc->natts; i++)
		n += !TupleDescAttr(tupdesc, i)->attisdropped;
	result = CreateTemplateTupleDesc(n);
	n = 0;
	for (int i = 0; i < tupdesc->natts; i++)
		if (!TupleDescAttr(tupdesc, i)->attisdropped)
			TupleDescCopyEntry(result, ++n, tupdesc, i + 1);
	return result;
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
	if (wh_input_first_block(input, &block))
		appendStringInfo(&sql, " AND ctid >= '(" INT64_FORMAT ",0)'::tid", block);
	if (OidIsValid(input->change_log))
		appendStringInfo(&sql, " UNION ALL SELECT %s FROM %s WHERE change_batch_id > " INT64_FORMAT,
						 columns, wh_relation_name(input->change_log), input->used_batch_id);
	store = wh_spi_store(sql.data, &result, &nrows);
	/* names and types are the table's: of a union's rows, which has them from its first part, names may be missing */
	result = live_columns(tupdesc);
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

	wh_owner_enter(object, &saved);
	if (!wh_spi_row(&row, sql, 0, NULL, NULL))
		elog(ERROR, "no hash of relation %u", relid);
	wh_surroundings_leave(&saved);
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
