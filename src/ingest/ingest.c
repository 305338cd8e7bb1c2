/*
 * ingest.c
 *	  Loads what is new in a feed's source: one feed, one transaction.
 *
 * wh_ingest_feed runs in the caller's transaction, in a backend or the worker.
 * It holds the feed's advisory lock until the transaction ends; a partition
 * worker takes it when it has read its batch (wh_ingest_take_turn).  Source and
 * expressions are evaluated as the owner of the staging relation, as a security-
 * restricted operation; catalogs are written as their owner.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/object_name.h"
#include "metadata/catalog_user.h"
#include "splice/splice.h"

/* Give the stored start of a batch. */
static TimestampTz
batch_start(int64 batch_id)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(batch_id)};
	TimestampTz result = GetCurrentStatementStartTimestamp();
	WhSurroundings saved;
	bool		isnull;

	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT started_at FROM wh.batch WHERE batch_id OPERATOR(pg_catalog.=) $1",
							  1, types, args, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read a batch");
	if (SPI_processed > 0)
		result = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	wh_surroundings_leave(&saved);
	return result;
}

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

/* Find the engine's columns, and each source column, in the staging table. */
static void
map_columns(WhIngest *ing)
{
	Oid			table = wh_feed_table(ing->feed);
	ListCell   *lc;
	bool		same_places = true;

	ing->ours.effective_from = get_attnum(table, "effective_from");
	ing->ours.effective_to = get_attnum(table, "effective_to");
	ing->ours.is_deleted = get_attnum(table, "is_deleted");
	ing->ours.batch_id = get_attnum(table, "batch_id");
	ing->ours.source_position = get_attnum(table, "source_position");
	check_missing_columns(ing);
	ing->staged_of = palloc0(sizeof(AttrNumber) * ing->source_desc->natts);
	ing->image = palloc0(sizeof(AttrNumber) * ing->desc->natts);
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->source_desc, i);
		Form_pg_attribute staged;
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
		staged = TupleDescAttr(ing->desc, attnum - 1);
		if (getBaseType(staged->atttypid) != getBaseType(att->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of the source of feed \"%s\" has changed its type",
							NameStr(att->attname), ing->feed->name),
					 errdetail("It is staged as %s and is now %s.", format_type_be(staged->atttypid),
							   format_type_be(att->atttypid)),
					 errhint("Change the type back, or make a new feed.")));
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

/* Fill the scratch row with a record's columns, unless they were put there. */
static inline void
fill_columns(WhIngest *ing, WhSourceRow *source)
{
	if (source->values == ing->values)
		return;
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		AttrNumber	attnum = ing->staged_of[i];

		if (attnum == 0)
			continue;
		ing->values[attnum - 1] = source->values[i];
		ing->isnull[attnum - 1] = source->isnull[i];
	}
}

static inline void
set_ours(WhIngest *ing, AttrNumber column, Datum value)
{
	if (column > 0)
	{
		ing->values[column - 1] = value;
		ing->isnull[column - 1] = false;
	}
}

static int64
position_of(WhIngest *ing, WhSourceRow *source)
{
	return wh_position(ing->unit ? ing->unit->unit_no : ing->feed->reads + 1, source->low);
}

/* Write a good record of an append feed without key. */
void
wh_ingest_stage_plain(WhIngest *ing, WhSourceRow *source, TimestampTz event_time)
{
	fill_columns(ing, source);
	set_ours(ing, ing->ours.effective_from, TimestampTzGetDatum(event_time));
	set_ours(ing, ing->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(ing, ing->ours.source_position, Int64GetDatum(position_of(ing, source)));
	if (ing->hold)
		wh_hold_row(ing);
	else
		wh_bulk_insert(wh_splice_writer(ing), ing->values, ing->isnull);
	ing->result->counts.rows_staged++;
}

/* Take a good record: into the table, or into the sort of keyed loads. */
void
wh_ingest_stage(WhIngest *ing, WhIngestRow *row)
{
	if (ing->nkeys == 0)
	{
		wh_ingest_stage_plain(ing, &row->source, row->event_time);
		return;
	}
	fill_columns(ing, &row->source);
	set_ours(ing, ing->ours.effective_from, TimestampTzGetDatum(row->event_time));
	set_ours(ing, ing->ours.effective_to, TimestampTzGetDatum(DT_NOEND));
	set_ours(ing, ing->ours.is_deleted, BoolGetDatum(row->is_deleted));
	set_ours(ing, ing->ours.batch_id, Int64GetDatum(ing->batch_id));
	set_ours(ing, ing->ours.source_position, Int64GetDatum(position_of(ing, &row->source)));
	wh_splice_put(ing, row);
}

/* Write the feed's own row: reads, watermark, last batch. */
static void
save_feed(WhIngest *ing)
{
	WhFeed	   *feed = ing->feed;
	bool		new_watermark = ing->watermark_seen &&
		(feed->watermark_value == NULL || strcmp(feed->watermark_value, ing->watermark_seen) != 0);
	Oid			types[4] = {INT8OID, INT8OID, TEXTOID, INT8OID};
	Datum		args[4] = {Int64GetDatum(feed->feed_id), Int64GetDatum(feed->reads)};
	char		nulls[5] = "    ";
	WhSurroundings saved;

	if (!ing->result->changed && !new_watermark)
		return;
	if (ing->kind == WH_SOURCE_RELATION && !ing->is_retry)
		args[1] = Int64GetDatum(feed->reads + 1);
	if (new_watermark)
		args[2] = CStringGetTextDatum(ing->watermark_seen);
	else
		nulls[2] = 'n';
	if (ing->result->staged_changed)
		args[3] = Int64GetDatum(ing->batch_id);
	else
		nulls[3] = 'n';
	ing->result->changed = true;
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("UPDATE wh.feed SET reads = $2, watermark_value = coalesce($3, watermark_value),"
							  " last_batch_id = coalesce($4, last_batch_id)"
							  " WHERE feed_id OPERATOR(pg_catalog.=) $1",
							  4, types, args, nulls, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not write the state of a feed");
	SPI_finish();
	wh_surroundings_leave(&saved);
}

/* Give the batch a number after that of the last batch that changed staged rows. */
static void
settle_number(WhIngest *ing)
{
	if (ing->feed->last_batch_id > ing->batch_id)
	{
		SPI_connect();
		ing->batch_id = wh_batch_renumber(ing->batch_id);
		SPI_finish();
	}
	ing->result->batch_id = ing->batch_id;
}

/* Copy the staging table's description, and keep a lock or not. */
static TupleDesc
staged_desc(WhFeed *feed, LOCKMODE lock, bool keep)
{
	Relation	staging = relation_open(wh_feed_table(feed), lock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(staging));

	relation_close(staging, keep ? NoLock : lock);
	return desc;
}

/*
 * Take a partition worker's turn, when it has read its batch: from here to the
 * end of the transaction nobody else loads or changes the feed.  Nothing is
 * locked while it waits, so that it is in nobody's way.  Gives false when the
 * feed is not any more what it was when reading began; units are those of now.
 */
bool
wh_ingest_take_turn(WhIngest *ing)
{
	WhIngestStream *stream = ing->stream;
	WhFeed	   *feed;

	if (ing->sort)
		tuplesort_performsort(ing->sort);
	ing->sort_is_done = ing->sort != NULL;
	relation_close(ing->source, AccessShareLock);
	ing->source = NULL;
	wh_feed_lock_turn(ing->feed->feed_id);
	AcceptInvalidationMessages();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	feed = *stream->changes == stream->changes_seen ? wh_feed_get(ing->feed->feed_id, true) : NULL;
	if (feed == NULL || feed->is_paused ||
		!equalTupleDescs(ing->desc, staged_desc(feed, RowExclusiveLock, true)))
		return false;
	ing->feed->last_batch_id = feed->last_batch_id;
	settle_number(ing);
	wh_units_reload(ing);
	return true;
}

/* Read the source and stage what is new. */
static void
ingest(WhIngest *ing)
{
	WhBatchStep *counts = &ing->result->counts;

	ing->source = try_relation_open(ing->feed->source, AccessShareLock);
	if (ing->source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the source of feed \"%s\" does not exist any more", ing->feed->name),
				 errhint("What is staged stays. Drop the feed with wh.drop_feed, or make a new one over another source.")));
	ing->source_desc = CreateTupleDescCopyConstr(RelationGetDescr(ing->source));
	ing->kind = wh_feed_source_kind(ing->source);
	if (ing->hold)
		ing->desc = staged_desc(ing->feed, AccessShareLock, false);
	else
		ing->desc = staged_desc(ing->feed, RowExclusiveLock, true);
	map_columns(ing);
	/* Room for the columns that sorting adds. */
	ing->values = palloc0(sizeof(Datum) * (ing->desc->natts + 3));
	ing->isnull = palloc(sizeof(bool) * (ing->desc->natts + 3));
	memset(ing->isnull, true, sizeof(bool) * (ing->desc->natts + 3));

	wh_ingest_pipe_open(ing);
	if (ing->is_retry)
		wh_ingest_retry_events(ing);
	else
		wh_ingest_read_source(ing);
	if (ing->result->overtaken)
	{
		wh_hold_drop(ing);
		if (ing->source)
			relation_close(ing->source, NoLock);
		return;
	}
	if (ing->hold)
		wh_hold_release(ing);
	if (ing->feed->load != WH_LOAD_SNAPSHOT || ing->is_retry)
		wh_splice_finish(ing);
	if (ing->writer)
	{
		wh_bulk_flush(ing->writer);
		counts->first_block = ing->writer->first_block;
		if (ing->writer->inserted > 0)
			counts->staged_relid = wh_feed_table(ing->feed);
		if (ing->writer->inserted + ing->writer->deleted > 0)
			ing->result->staged_changed = true;
		if (ing->writer->inserted + ing->writer->updated + ing->writer->deleted > 0)
			ing->result->changed = true;
		wh_bulk_close(ing->writer);
	}
	if (ing->changed_images)
		ing->result->staged_changed = ing->result->changed = true;
	if (ing->change_writer)
		wh_bulk_close(ing->change_writer);
	if (ing->kind == WH_SOURCE_RELATION && ing->result->staged_changed && !ing->is_retry)
		wh_unit_add_read(ing, ing->feed->reads + 1);
	wh_ingest_settle(ing);
	wh_units_save(ing);
	save_feed(ing);
	if (ing->source)
		relation_close(ing->source, NoLock);
	if (counts->rows_read != counts->rows_staged + counts->rows_rejected +
		counts->rows_repeated + counts->rows_superseded)
		elog(ERROR, "feed \"%s\" read %lld records but accounts for %lld staged, %lld rejected, %lld repeated and %lld superseded",
			 ing->feed->name, (long long) counts->rows_read, (long long) counts->rows_staged,
			 (long long) counts->rows_rejected, (long long) counts->rows_repeated,
			 (long long) counts->rows_superseded);
}

/* Refuse a feed whose relations have several owners: each one could run code as another. */
static void
check_one_owner(const WhFeed *feed)
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

/* Load from a feed's source, or retry its error events; see wh_ingest_feed. */
static void
ingest_feed(int64 feed_id, int64 batch_id, WhIngestStream *stream, bool is_retry, WhIngestResult *result)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh ingest",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	WhIngest   *ing = palloc0(sizeof(WhIngest));
	WhSurroundings saved;
	bool		in_turns = stream && stream->nshares > 1;

	memset(result, 0, sizeof(*result));
	result->counts.started_at = GetCurrentTimestamp();
	result->counts.object_id = feed_id;
	if (!in_turns)
		wh_feed_lock(feed_id, true);
	/* See what the run before us has committed. */
	PushActiveSnapshot(GetTransactionSnapshot());
	saved.guc_level = wh_pin_settings();
	ing->context = context;
	ing->feed = wh_feed_get(feed_id, stream != NULL);
	if (ing->feed == NULL)
	{
		result->overtaken = true;	/* dropped since the worker looked */
		AtEOXact_GUC(false, saved.guc_level);
		PopActiveSnapshot();
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return;
	}
	result->counts.object = MemoryContextStrdup(old, ing->feed->name);
	ing->batch_id = batch_id;
	ing->snapshot_time = DT_NOBEGIN;
	ing->batch_start = batch_start(batch_id);
	ing->result = result;
	ing->stream = stream;
	ing->is_retry = is_retry;
	if (in_turns)
		wh_hold_begin(ing);
	else
		settle_number(ing);

	check_one_owner(ing->feed);
	GetUserIdAndSecContext(&saved.user, &saved.sec_context);
	SetUserIdAndSecContext(ing->feed->owner, saved.sec_context | SECURITY_RESTRICTED_OPERATION);
	if (stream && ing->feed->is_paused)
		result->overtaken = true;	/* since the worker looked */
	else
		ingest(ing);
	wh_surroundings_leave(&saved);
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Load what is new in a feed's source.  The caller has written the batch's row
 * and takes back everything when this throws.  Waits for the feed's lock; who
 * must not wait calls wh_feed_lock first.
 */
void
wh_ingest_feed(int64 feed_id, int64 batch_id, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, NULL, false, result);
}

/* The same, from a topic that stays open, within the bounds of a batch. */
void
wh_ingest_batch(int64 feed_id, int64 batch_id, WhIngestStream *stream, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, stream, false, result);
}

/* The same, from the feed's error events instead of its source. */
void
wh_ingest_retry(int64 feed_id, int64 batch_id, WhIngestResult *result)
{
	ingest_feed(feed_id, batch_id, NULL, true, result);
}
