/*
 * splice_staging.c
 *	  The staging table of a load: its columns, its writers.
 *
 * Runs inside wh_ingest_feed.  The table is held in RowExclusive mode until the
 * transaction ends, from the moment that its columns are looked at, or, for a
 * batch that waits for its turn, from that turn on.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/own_table.h"
#include "splice/splice_version.h"

/* Copy the staging table's description, and keep a lock or not. */
TupleDesc
wh_staging_desc(const WhFeed *feed, LOCKMODE lock, bool keep)
{
	Relation	table = relation_open(wh_feed_table(feed), lock);
	TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(table));

	relation_close(table, keep ? NoLock : lock);
	return desc;
}

/* Refuse a staging table whose own columns are not what they were made as. */
static void
check_own_columns(WhStaging *staging)
{
	const WhStagedColumns *ours = &staging->ours;
	const struct
	{
		AttrNumber	attnum;
		Oid			type;
	}			own[] = {
		{ours->effective_from, TIMESTAMPTZOID}, {ours->effective_to, TIMESTAMPTZOID},
		{ours->is_deleted, BOOLOID}, {ours->batch_id, INT8OID}, {ours->source_position, INT8OID}
	};

	for (int i = 0; i < lengthof(own); i++)
		if (own[i].attnum > 0)
			wh_column_check(get_rel_name(staging->table), TupleDescAttr(staging->desc, own[i].attnum - 1),
							own[i].type, -1, InvalidOid);
}

/*
 * Begin to stage into the feed's table, whose description is given.  Feed, batch,
 * callback and context are set; the caller adds the columns of key and image.
 */
void
wh_staging_open(WhStaging *staging, TupleDesc desc)
{
	MemoryContext old = MemoryContextSwitchTo(staging->context);
	int			room = desc->natts + WH_SORT_COLUMNS;

	staging->table = wh_feed_table(staging->feed);
	staging->desc = desc;
	staging->ours.effective_from = get_attnum(staging->table, "effective_from");
	staging->ours.effective_to = get_attnum(staging->table, "effective_to");
	staging->ours.is_deleted = get_attnum(staging->table, "is_deleted");
	staging->ours.batch_id = get_attnum(staging->table, "batch_id");
	staging->ours.source_position = get_attnum(staging->table, "source_position");
	check_own_columns(staging);
	staging->image = palloc0(sizeof(AttrNumber) * desc->natts);
	staging->values = palloc0(sizeof(Datum) * room);
	staging->isnull = palloc(sizeof(bool) * room);
	memset(staging->isnull, true, sizeof(bool) * room);
	MemoryContextSwitchTo(old);
}

/* Give the writer of the staging table, opened at its first use. */
WhBulkWriter *
wh_staging_writer(WhStaging *staging)
{
	if (staging->writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(staging->context);

		staging->writer = wh_bulk_open(staging->table, true);
		wh_table_check_same(staging->writer->rel, staging->desc);
		/* only snapshots look up what the same run wrote */
		if (staging->feed->load != WH_LOAD_SNAPSHOT)
			wh_bulk_defer_indexes(staging->writer);
		MemoryContextSwitchTo(old);
	}
	return staging->writer;
}

/* Write what is buffered, and say in the counts and flags what was done. */
void
wh_staging_close(WhStaging *staging)
{
	WhBulkWriter *writer = staging->writer;

	if (writer)
	{
		wh_bulk_flush(writer);
		staging->counts->first_block = writer->first_block;
		staging->counts->rows_inserted = writer->inserted;
		staging->counts->rows_updated = writer->updated;
		staging->counts->rows_deleted = writer->deleted;
		if (writer->inserted > 0)
			staging->counts->staged_relid = staging->table;
		if (writer->inserted + writer->deleted > 0)
			staging->has_changed = true;
		if (writer->inserted + writer->updated + writer->deleted > 0)
			staging->has_written = true;
		wh_bulk_close(writer);
	}
	if (staging->change_writer)
		wh_bulk_close(staging->change_writer);
}
