/*
 * feed_follow.c
 *	  What has changed in the columns of a feed's source, and staging that follows it.
 *
 * New columns are added, wider types are taken over: by the staging relations here,
 * by what reads the feed through the readers that higher floors register.  Nothing
 * that is staged loses anything; what would is refused by name.
 *
 * Runs in the caller's transaction, which holds the feed's lock, as the owner of
 * the staging relation.  Takes the publish lock, then AccessExclusiveLock on the
 * relations that change and on views over them.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/object_name.h"
#include "base/retype.h"
#include "base/surroundings.h"
#include "feed/feed_check.h"
#include "feed/feed_follow.h"

#define MAX_READERS 4

static const WhFeedReader *readers[MAX_READERS];
static int	nreaders = 0;

/* Have what reads feeds follow them too; called while the library is loaded, in the order of use. */
void
wh_feed_add_reader(const WhFeedReader *reader)
{
	Assert(nreaders < MAX_READERS);
	readers[nreaders++] = reader;
}

/* Compare a column of the source with the staged one, if there is one. */
static WhSourceChangeKind
compare(Form_pg_attribute att, Form_pg_attribute staged)
{
	if (wh_type_holds(staged->atttypid, staged->atttypmod, att->atttypid, att->atttypmod))
		return WH_COLUMN_SAME;
	if (wh_type_widens(staged->atttypid, staged->atttypmod, att->atttypid, att->atttypmod))
		return WH_COLUMN_WIDER;
	return WH_COLUMN_OTHER;
}

/* List what has changed in the source's columns since they were staged. */
List *
wh_feed_source_changes(const WhFeed *feed, Relation source)
{
	TupleDesc	desc = RelationGetDescr(source);
	Relation	table = relation_open(wh_feed_table(feed), AccessShareLock);
	List	   *changes = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		WhSourceChange *change = palloc0(sizeof(WhSourceChange));
		AttrNumber	attnum;

		if (att->attisdropped)
			continue;
		change->source = att;
		attnum = get_attnum(RelationGetRelid(table), NameStr(att->attname));
		if (attnum <= 0)
			change->kind = WH_COLUMN_NEW;
		else
		{
			Form_pg_attribute staged = TupleDescAttr(RelationGetDescr(table), attnum - 1);

			change->kind = compare(att, staged);
			change->staged_type = staged->atttypid;
			change->staged_typmod = staged->atttypmod;
		}
		if (change->kind != WH_COLUMN_SAME)
			changes = lappend(changes, change);
	}
	relation_close(table, NoLock);
	return changes;
}

/* Say what has changed of a column, for people. */
char *
wh_feed_change_text(const WhSourceChange *change)
{
	Form_pg_attribute att = change->source;
	char	   *type = format_type_with_typemod(att->atttypid, att->atttypmod);

	if (change->kind == WH_COLUMN_NEW)
		return psprintf("column \"%s\" %s is new", NameStr(att->attname), type);
	return psprintf("column \"%s\" is staged as %s and is now %s", NameStr(att->attname),
					format_type_with_typemod(change->staged_type, change->staged_typmod), type);
}

/* Refuse a change that staging cannot, or may not, follow. */
void
wh_feed_refuse_change(const WhFeed *feed, const WhSourceChange *change)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of the source of feed \"%s\" has changed its type",
					NameStr(change->source->attname), feed->name),
			 errdetail("It is staged as %s and is now %s.",
					   format_type_with_typemod(change->staged_type, change->staged_typmod),
					   format_type_with_typemod(change->source->atttypid, change->source->atttypmod)),
			 change->kind == WH_COLUMN_WIDER ?
			 errhint("Call wh.alter_feed(%s), which widens what is staged, or set its option on_source_change to 'follow'.",
					 quote_literal_cstr(feed->name)) :
			 errhint("Staged values could lose something by it: change the type back, read the source through a view that casts, or make a new feed.")));
}

/* Write a stored value in the column's new type: local times are of the feed's zone. */
static const char *
new_value(const WhFeed *feed, const WhSourceChange *change)
{
	Oid			from = getBaseType(change->staged_type);
	const char *column = quote_identifier(NameStr(change->source->attname));

	if (getBaseType(change->source->atttypid) != TIMESTAMPTZOID || from == TIMESTAMPTZOID)
		return NULL;
	return psprintf("%s::pg_catalog.timestamp AT TIME ZONE %s", column, quote_literal_cstr(feed->time_zone));
}

/* Widen columns of the feed's relations and of all that reads them. */
static void
widen(WhFeed *feed, List *changes)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, changes)
	{
		WhSourceChange *change = lfirst(lc);
		WhRetype   *retype = palloc0(sizeof(WhRetype));

		if (change->kind != WH_COLUMN_WIDER)
			continue;
		retype->column = NameStr(change->source->attname);
		retype->type = wh_feed_column_type(change->source);
		retype->value = new_value(feed, change);
		columns = lappend(columns, retype);
	}
	if (columns == NIL)
		return;
	for (int i = 0; i < nreaders; i++)
		if (readers[i]->lock)
			readers[i]->lock();
	wh_retype(wh_feed_table(feed), columns);
	if (OidIsValid(feed->change_log))
		wh_retype(feed->change_log, columns);
	for (int i = 0; i < nreaders; i++)
		readers[i]->follow(feed->feed_id);
}

/*
 * Add new columns of the source to the staging relations, and widen those whose
 * type the source has widened; needs an SPI connection.
 */
void
wh_feed_follow_source(WhFeed *feed, Relation source)
{
	List	   *changes = wh_feed_source_changes(feed, source);
	WhSurroundings saved;
	ListCell   *lc;

	if (changes == NIL)
		return;
	foreach(lc, changes)
		if (((WhSourceChange *) lfirst(lc))->kind == WH_COLUMN_OTHER)
			wh_feed_refuse_change(feed, lfirst(lc));
	wh_owner_enter(wh_feed_table(feed), &saved);
	widen(feed, changes);
	foreach(lc, changes)
	{
		WhSourceChange *change = lfirst(lc);

		if (change->kind != WH_COLUMN_NEW)
			continue;
		wh_feed_check_column_name(NameStr(change->source->attname));
		wh_feed_add_column(feed, change->source);
	}
	wh_surroundings_leave(&saved);
}

PG_FUNCTION_INFO_V1(wh_source_changes);

/* wh.source_changes(feed_id) returns text[]: null when there is nothing, or no source any more */
Datum
wh_source_changes(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = wh_feed_get(PG_GETARG_INT64(0), true);
	Relation	source = feed ? try_relation_open(feed->source, AccessShareLock) : NULL;
	ArrayBuildState *texts = NULL;
	ListCell   *lc;

	if (source == NULL)
		PG_RETURN_NULL();
	foreach(lc, wh_feed_source_changes(feed, source))
		texts = accumArrayResult(texts, CStringGetTextDatum(wh_feed_change_text(lfirst(lc))), false, TEXTOID,
								 CurrentMemoryContext);
	relation_close(source, AccessShareLock);
	if (texts == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(makeArrayResult(texts, CurrentMemoryContext));
}
