/*
 * feed_check.c
 *	  Refuses definitions of feeds that could not be loaded, by name and with a hint.
 *
 * Runs in the caller's transaction; only reads.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "feed/feed_check.h"

/* Names that staged relations need for themselves. */
static const char *const our_columns[] = {
	"effective_from", "effective_to", "is_deleted", "batch_id", "source_position", "change_batch_id"
};

/* Tell what kind of source a relation is. */
WhFeedSource
wh_feed_source_kind(Relation source)
{
	ForeignDataWrapper *fdw;

	if (source->rd_rel->relkind != RELKIND_FOREIGN_TABLE)
		return WH_SOURCE_RELATION;
	fdw = GetForeignDataWrapper(GetForeignServer(GetForeignTable(RelationGetRelid(source))->serverid)->fdwid);
	if (strcmp(fdw->fdwname, "wh_csv") == 0)
		return WH_SOURCE_CSV;
	if (strcmp(fdw->fdwname, "wh_kafka") == 0)
		return WH_SOURCE_KAFKA;
	return WH_SOURCE_RELATION;
}

/* Give the load of a name, refusing others. */
WhLoad
wh_feed_check_load(const char *load)
{
	if (strcmp(load, "append") == 0)
		return WH_LOAD_APPEND;
	if (strcmp(load, "upsert") == 0)
		return WH_LOAD_UPSERT;
	if (strcmp(load, "snapshot") == 0)
		return WH_LOAD_SNAPSHOT;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid load \"%s\"", load),
			 errhint("Use append, upsert or snapshot.")));
}

/* Say whether staging needs the name itself. */
bool
wh_feed_is_our_column(const char *name)
{
	for (int i = 0; i < lengthof(our_columns); i++)
		if (strcmp(name, our_columns[i]) == 0)
			return true;
	return false;
}

/* Refuse a source column whose name staging needs itself. */
void
wh_feed_check_column_name(const char *name)
{
	if (wh_feed_is_our_column(name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("source column \"%s\" has a name that staging uses itself", name),
				 errhint("Rename the column of the foreign table and give the name in the source by its option, or read it through a view.")));
}

/* Refuse relations that cannot be a source, and columns named like ours. */
void
wh_feed_check_source(const WhFeed *feed, Relation source)
{
	TupleDesc	desc = RelationGetDescr(source);
	char		relkind = source->rd_rel->relkind;
	int			ncolumns = 0;

	if (relkind != RELKIND_RELATION && relkind != RELKIND_VIEW && relkind != RELKIND_MATVIEW &&
		relkind != RELKIND_FOREIGN_TABLE && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be the source of a feed", RelationGetRelationName(source)),
				 errhint("A source is a table, a view or a foreign table.")));
	if (source->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("temporary relation \"%s\" cannot be the source of a feed",
						RelationGetRelationName(source))));
	if (pg_class_aclcheck(RelationGetRelid(source), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(relkind),
					   RelationGetRelationName(source));
	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		ncolumns++;
		wh_feed_check_column_name(NameStr(TupleDescAttr(desc, i)->attname));
	}
	if (ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("source \"%s\" has no columns", RelationGetRelationName(source))));
	if (feed->load == WH_LOAD_SNAPSHOT && wh_feed_source_kind(source) == WH_SOURCE_KAFKA)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a snapshot feed cannot read a topic"),
				 errdetail("A topic has no end at which its set would be complete."),
				 errhint("Use load upsert or append.")));
	if (feed->load == WH_LOAD_APPEND && feed->key == NIL &&
		wh_feed_source_kind(source) == WH_SOURCE_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an append feed over relation \"%s\" needs a key",
						RelationGetRelationName(source)),
				 errdetail("Each run reads the relation again: without a key its rows would be staged again."),
				 errhint("Name the columns that identify an event in argument key.")));
}

static AttrNumber
need_column(Relation source, const char *column, const char *argument)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(source), column);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of argument %s does not exist in source \"%s\"",
						column, argument, RelationGetRelationName(source))));
	return attnum;
}

/* Refuse keys that cannot identify a record. */
void
wh_feed_check_key(const WhFeed *feed, Relation source)
{
	ListCell   *lc;

	if (feed->load != WH_LOAD_APPEND && feed->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("feed \"%s\" needs a key", feed->name),
				 errhint("Upsert and snapshot feeds keep a history for each key: name its columns in argument key.")));
	if (list_length(feed->key) > WH_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a key has at most %d columns", WH_MAX_KEY)));
	foreach(lc, feed->key)
	{
		const char *column = lfirst(lc);
		AttrNumber	attnum = need_column(source, column, "key");
		Oid			type = TupleDescAttr(RelationGetDescr(source), attnum - 1)->atttypid;
		TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_LT_OPR);
		ListCell   *other;

		if (!OidIsValid(entry->btree_opf) || !OidIsValid(entry->lt_opr))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("key column \"%s\" has type %s, which cannot be compared", column,
							format_type_be(type)),
					 errhint("Use a column whose type has a default B-tree operator class, or a view that casts it.")));
		foreach(other, feed->key)
		{
			if (other != lc && strcmp(lfirst(other), column) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in the key", column)));
		}
	}
}

/* Refuse a watermark that the source or the load cannot have. */
void
wh_feed_check_watermark(const WhFeed *feed, Relation source, Datum overlap)
{
	AttrNumber	attnum;
	Oid			type;
	TypeCacheEntry *entry;
	Interval   *span = DatumGetIntervalP(overlap);

	if (span->month < 0 || span->day < 0 || span->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("watermark_overlap must not be negative")));
	if (span->month > 1200 || span->day > 36600 || span->time > 36600 * USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("watermark_overlap must not be longer than 100 years"),
				 errhint("Without a watermark each run reads the whole table.")));
	if (feed->watermark == NULL)
		return;
	if (wh_feed_source_kind(source) != WH_SOURCE_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a watermark is for tables, not for files or topics"),
				 errhint("Files and offsets that were read are remembered by themselves: leave watermark out.")));
	if (feed->load == WH_LOAD_SNAPSHOT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a snapshot feed cannot have a watermark"),
				 errdetail("Each read of it must deliver the full set.")));
	attnum = need_column(source, feed->watermark, "watermark");
	type = TupleDescAttr(RelationGetDescr(source), attnum - 1)->atttypid;
	entry = lookup_type_cache(type, TYPECACHE_CMP_PROC);
	if (!OidIsValid(entry->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("watermark column \"%s\" has type %s, which has no order", feed->watermark,
						format_type_be(type))));
}

/* Analyse every expression of the definition, screens aside. */
void
wh_feed_check_expressions(const WhFeed *feed, Relation source)
{
	ListCell   *lc;

	if (pg_tzset(feed->time_zone) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", feed->time_zone)));
	if (feed->sequence_by)
		(void) wh_feed_event_time(source, feed->sequence_by);
	if (feed->deleted_when)
	{
		if (feed->load == WH_LOAD_APPEND)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an append feed cannot have deleted_when"),
					 errdetail("Events are never deleted."),
					 errhint("Use load upsert.")));
		(void) wh_feed_expression(source, feed->deleted_when, BOOLOID, -1, false, "deleted_when");
	}
	foreach(lc, feed->redact)
	{
		WhRedaction *redaction = lfirst(lc);
		AttrNumber	attnum = need_column(source, redaction->column, "redact");
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(source), attnum - 1);

		if (redaction->expression)
			(void) wh_feed_expression(source, redaction->expression, att->atttypid, att->atttypmod, false,
									  psprintf("redact of column \"%s\"", redaction->column));
		else
		{
			ListCell   *key;

			foreach(key, feed->key)
			{
				if (strcmp(lfirst(key), redaction->column) == 0)
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("key column \"%s\" cannot be redacted to null", redaction->column),
							 errhint("Give an expression that keeps keys apart.")));
			}
		}
	}
}
