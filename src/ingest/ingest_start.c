/*
 * ingest_start.c
 *	  Begins a batch: opens the source, and finds its columns in staging.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "base/statistics.h"
#include "feed/feed_follow.h"
#include "ingest/ingest_state.h"

/*
 * Refuse a source that has lost a column: a new name would silently go on as
 * nulls under the old one.
 */
static void
check_missing_columns(WhIngest *ing)
{
	const WhStaging *staging = ing->staging;
	const WhStagedColumns *ours = &staging->ours;

	for (int i = 0; i < staging->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(staging->desc, i);
		AttrNumber	attnum = i + 1;

		if (att->attisdropped || attnum == ours->effective_from || attnum == ours->effective_to ||
			attnum == ours->is_deleted || attnum == ours->batch_id || attnum == ours->source_position)
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

/* Find each source column in the staging table. */
static void
map_columns(WhIngest *ing)
{
	WhStaging  *staging = ing->staging;
	ListCell   *lc;
	bool		same_places = true;

	check_missing_columns(ing);
	check_types(ing);
	ing->staged_of = palloc0(sizeof(AttrNumber) * ing->source_desc->natts);
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->source_desc, i);
		AttrNumber	attnum;

		if (att->attisdropped)
		{
			same_places = false;
			continue;
		}
		attnum = get_attnum(staging->table, NameStr(att->attname));
		same_places &= attnum == i + 1;
		if (attnum <= 0)
			continue;			/* added to the source later; see wh.alter_feed */
		ing->staged_of[i] = attnum;
		staging->image[staging->nimage++] = attnum;
	}
	ing->same_places = same_places;
	if (staging->ours.is_deleted > 0)
		staging->image[staging->nimage++] = staging->ours.is_deleted;
	foreach(lc, ing->feed->key)
	{
		const char *column = lfirst(lc);

		ing->key_source[staging->nkeys] = get_attnum(ing->feed->source, column);
		staging->key[staging->nkeys] = get_attnum(staging->table, column);
		if (ing->key_source[staging->nkeys] <= 0 || staging->key[staging->nkeys] <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("key column \"%s\" of feed \"%s\" does not exist", column, ing->feed->name)));
		staging->nkeys++;
	}
}

/*
 * Open the source, which stays open and locked, and the staging table, which is
 * locked unless the batch waits for its turn.
 */
void
wh_ingest_start(WhIngest *ing)
{
	WhStaging  *staging = ing->staging;

	ing->source = wh_feed_open_source(ing->feed);
	/* A partition worker has the feed's lock only when it has read its batch. */
	if (!ing->hold && wh_feed_has_option(ing->feed, "on_source_change", "follow"))
	{
		wh_feed_follow_source(ing->feed, ing->source);
		/* a table that was rewritten has rows of this transaction */
		wh_snapshot_advance();
	}
	ing->source_desc = CreateTupleDescCopyConstr(RelationGetDescr(ing->source));
	ing->kind = wh_feed_source_kind(ing->source);
	ing->units = wh_units_open(ing->feed, ing->kind);
	staging->feed = ing->feed;
	staging->kind = ing->kind;
	staging->units = ing->units;
	staging->batch_id = ing->batch_id;
	staging->batch_start = ing->batch_start;
	staging->counts = &ing->result->counts;
	staging->is_retry = ing->is_retry;
	staging->lose = wh_ingest_reject_lost;
	staging->lose_arg = ing;
	staging->context = ing->context;
	staging->snapshot_time = DT_NOBEGIN;
	if (ing->hold)
		wh_staging_open(staging, wh_staging_desc(ing->feed, AccessShareLock, false));
	else
	{
		ing->staged = relation_open(wh_feed_table(ing->feed), RowExclusiveLock);
		wh_staging_open(staging, CreateTupleDescCopy(RelationGetDescr(ing->staged)));
	}
	map_columns(ing);
}
