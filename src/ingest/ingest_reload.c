/*
 * ingest_reload.c
 *	  Finds what a relation has deleted, when an upsert feed is loaded again.
 *
 * Runs inside wh_ingest_feed, as the feed's owner, after the source was read and
 * before anything of it is written: staging is what it was before.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "ingest/ingest_state.h"

/* Give what a source row has as its key column when it is staged. */
static const char *
staged_key(const WhFeed *feed, const char *column)
{
	ListCell   *lc;

	foreach(lc, feed->redact)
	{
		WhRedaction *redaction = lfirst(lc);

		if (redaction->expression && strcmp(redaction->column, column) == 0)
			return psprintf("(%s\n)", redaction->expression);
	}
	return psprintf("s.%s", quote_identifier(column));
}

/* Name the operator by which two values of a type are the same key. */
static const char *
equality(Oid type)
{
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "type %u has no equality", type);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* Stage a delete of a key, as of now. */
static void
delete_key(TupleTableSlot *slot, void *arg)
{
	WhIngest   *ing = arg;
	MemoryContext old = MemoryContextSwitchTo(ing->context);
	WhIngestRow row = {0};

	slot_getallattrs(slot);
	row.source.values = palloc0(sizeof(Datum) * ing->source_desc->natts);
	row.source.isnull = palloc(sizeof(bool) * ing->source_desc->natts);
	memset(row.source.isnull, true, sizeof(bool) * ing->source_desc->natts);
	for (int i = 0; i < ing->staging->nkeys; i++)
	{
		row.source.values[ing->key_source[i] - 1] = slot->tts_values[i];
		row.source.isnull[ing->key_source[i] - 1] = slot->tts_isnull[i];
	}
	row.source.byte_offset = -1;
	row.source.source_time = DT_NOBEGIN;
	row.event_time = ing->batch_start;
	row.is_deleted = true;
	ing->result->counts.rows_read++;
	wh_ingest_stage(ing, &row);
	pfree(row.source.values);
	pfree(row.source.isnull);
	MemoryContextSwitchTo(old);
}

/* Stage deletes of the current keys that the source does not have any more. */
void
wh_reload_delete_missing(WhIngest *ing)
{
	const WhFeed *feed = ing->feed;
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	foreach(lc, feed->key)
		appendStringInfo(&sql, "%sh.%s", foreach_current_index(lc) > 0 ? ", " : "", quote_identifier(lfirst(lc)));
	appendStringInfo(&sql, " FROM %s h WHERE h.effective_to = 'infinity' AND NOT h.is_deleted"
					 " AND NOT EXISTS (SELECT FROM %s s WHERE ",
					 wh_relation_name(feed->history), wh_relation_name(feed->source));
	foreach(lc, feed->key)
		appendStringInfo(&sql, "%s%s %s h.%s", foreach_current_index(lc) > 0 ? " AND " : "",
						 staged_key(feed, lfirst(lc)),
						 equality(get_atttype(feed->history, get_attnum(feed->history, lfirst(lc)))),
						 quote_identifier(lfirst(lc)));
	appendStringInfoChar(&sql, ')');
	(void) wh_spi_each(sql.data, delete_key, ing);
	MemoryContextSwitchTo(ing->context);
}
