/*
 * ingest_start.c
 *	  Begins a batch: opens the source, and finds its columns in staging.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "base/own_table.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "feed/feed_follow.h"
#include "ingest/ingest_state.h"

/*
 * Refuse a source that has lost a column: a new name would silently go on as
 * nulls under the old one.
 */
static void
check_missing_columns(WhIngest *ing)
{
	for (int i = 0; i < ing->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->desc, i);
		AttrNumber	attnum = i + 1;

		if (att->attisdropped || attnum == ing->ours.effective_from || attnum == ing->ours.effective_to ||
			attnum == ing->ours.is_deleted || attnum == ing->ours.batch_id ||
			attnum == ing->ours.source_position)
			continue;
		if (get_attnum(ing->feed->source, NameStr(att->attname)) == InvalidAttrNumber &&
			!wh_feed_may_miss(ing->feed, NameStr(att->attname)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" is missing from the source of feed \"%s\"",
							NameStr(att->attname), ing->feed->name),
					 errdetail("It is staged, and was dropped or renamed in the source."),
					 errhint("Put it back, or call wh.alter_feed to go on without it: it is null in records to come.")));
	}
}

/* Refuse a staging table whose own columns are not what they were made as. */
static void
check_own_columns(WhIngest *ing)
{
	const struct
	{
		AttrNumber	attnum;
		Oid			type;
	}			own[] = {
		{ing->ours.effective_from, TIMESTAMPTZOID}, {ing->ours.effective_to, TIMESTAMPTZOID},
		{ing->ours.is_deleted, BOOLOID}, {ing->ours.batch_id, INT8OID}, {ing->ours.source_position, INT8OID}
	};

	for (int i = 0; i < lengthof(own); i++)
		if (own[i].attnum > 0)
			wh_column_check(get_rel_name(wh_feed_table(ing->feed)), TupleDescAttr(ing->desc, own[i].attnum - 1),
							own[i].type, -1, InvalidOid);
}

/* Refuse values that the staged column's type would not take as they are. */
static void
check_types(WhIngest *ing)
{
	ListCell   *lc;

	foreach(lc, wh_feed_source_changes(ing->feed, ing->source))
	{
		WhSourceChange *change = lfirst(lc);

		if (change->kind != WH_COLUMN_NEW)
			wh_feed_refuse_change(ing->feed, change);
	}
}

/* Find the engine's columns, and each source column, in the staging table. */
void
wh_ingest_map_columns(WhIngest *ing)
{
	Oid			table = wh_feed_table(ing->feed);
	ListCell   *lc;
	bool		same_places = true;

	ing->ours.effective_from = get_attnum(table, "effective_from");
	ing->ours.effective_to = get_attnum(table, "effective_to");
	ing->ours.is_deleted = get_attnum(table, "is_deleted");
	ing->ours.batch_id = get_attnum(table, "batch_id");
	ing->ours.source_position = get_attnum(table, "source_position");
	check_own_columns(ing);
	check_missing_columns(ing);
	check_types(ing);
	ing->staged_of = palloc0(sizeof(AttrNumber) * ing->source_desc->natts);
	ing->image = palloc0(sizeof(AttrNumber) * ing->desc->natts);
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->source_desc, i);
		AttrNumber	attnum;

		if (att->attisdropped)
		{
			same_places = false;
			continue;
		}
		attnum = get_attnum(table, NameStr(att->attname));
		same_places &= attnum == i + 1;
		if (attnum <= 0)
			continue;			/* added to the source later; see wh.alter_feed */
		ing->staged_of[i] = attnum;
		ing->image[ing->nimage++] = attnum;
	}
	ing->same_places = same_places;
	if (ing->ours.is_deleted > 0)
		ing->image[ing->nimage++] = ing->ours.is_deleted;
	foreach(lc, ing->feed->key)
	{
		const char *column = lfirst(lc);

		ing->key_source[ing->nkeys] = get_attnum(ing->feed->source, column);
		ing->key_staged[ing->nkeys] = get_attnum(table, column);
		if (ing->key_source[ing->nkeys] <= 0 || ing->key_staged[ing->nkeys] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" of feed \"%s\" does not exist", column, ing->feed->name)));
		ing->nkeys++;
	}
}

/* Refuse a feed whose relations have several owners: each one could run code as another. */
void
wh_ingest_check_one_owner(const WhFeed *feed)
{
	Oid			relids[2] = {feed->history, feed->change_log};

	for (int i = 0; i < lengthof(relids); i++)
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relids[i]));
		Oid			owner = feed->owner;

		if (HeapTupleIsValid(tuple))
		{
			owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
			ReleaseSysCache(tuple);
		}
		if (owner != feed->owner)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the relations of feed \"%s\" have different owners", feed->name),
					 errhint("ALTER TABLE %s OWNER TO %s;", wh_relation_name(relids[i]),
							 quote_identifier(GetUserNameFromId(feed->owner, false)))));
	}
}
