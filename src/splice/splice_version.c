/*
 * splice_version.c
 *	  Versions of a key: taken from sorted records or from staging, written back
 *	  with their images for the change log.
 *
 * Runs inside wh_ingest_feed.  docs/architecture.md says what the change log
 * must hold.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "metadata/catalog.h"
#include "base/own_table.h"
#include "base/row_image.h"
#include "splice/splice.h"

/* Make an empty version, in the current memory context. */
WhStagedVersion *
wh_version_make(WhIngest *ing)
{
	WhStagedVersion  *version = palloc0(sizeof(WhStagedVersion));

	version->values = palloc0(sizeof(Datum) * ing->sort_desc->natts);
	version->isnull = palloc0(sizeof(bool) * ing->sort_desc->natts);
	version->slot = MakeSingleTupleTableSlot(ing->sort_desc, &TTSOpsMinimalTuple);
	version->stored = MakeSingleTupleTableSlot(ing->desc, &TTSOpsHeapTuple);
	return version;
}

/* Set what is read off a version's values. */
static void
note_values(WhIngest *ing, WhStagedVersion *version)
{
	version->from = DatumGetTimestampTz(version->values[ing->ours.effective_from - 1]);
	version->to = ing->ours.effective_to > 0 ?
		DatumGetTimestampTz(version->values[ing->ours.effective_to - 1]) : DT_NOEND;
	version->position = DatumGetInt64(version->values[ing->ours.source_position - 1]);
	version->is_replaced = version->is_raised = version->is_removed = false;
}

/* Take a sorted record, copied. */
void
wh_version_take(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot)
{
	ExecCopySlot(version->slot, slot);
	slot_getallattrs(version->slot);
	memcpy(version->values, version->slot->tts_values, sizeof(Datum) * ing->sort_desc->natts);
	memcpy(version->isnull, version->slot->tts_isnull, sizeof(bool) * ing->sort_desc->natts);
	/* the number may have become another one since it was sorted */
	version->values[ing->ours.batch_id - 1] = Int64GetDatum(ing->batch_id);
	note_values(ing, version);
	version->is_stored = false;
}

/* Take a staged row, copied. */
void
wh_version_load(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot)
{
	ExecCopySlot(version->stored, slot);
	slot_getallattrs(version->stored);
	memcpy(version->values, version->stored->tts_values, sizeof(Datum) * ing->desc->natts);
	memcpy(version->isnull, version->stored->tts_isnull, sizeof(bool) * ing->desc->natts);
	note_values(ing, version);
	version->is_stored = true;
}

/*
 * Take a staged row, copied, from a sort whose major column holds the row's
 * place: block and line.
 */
void
wh_version_take_staged(WhIngest *ing, WhStagedVersion *version, TupleTableSlot *slot)
{
	int64		place = DatumGetInt64(slot->tts_values[wh_sort_major(ing) - 1]);
	MemoryContext old = MemoryContextSwitchTo(version->stored->tts_mcxt);
	HeapTuple	tuple = heap_form_tuple(ing->desc, slot->tts_values, slot->tts_isnull);

	MemoryContextSwitchTo(old);
	ItemPointerSet(&tuple->t_self, (BlockNumber) (place >> 16), (OffsetNumber) (place & 0xFFFF));
	ExecStoreHeapTuple(tuple, version->stored, true);
	version->stored->tts_tid = tuple->t_self;
	slot_getallattrs(version->stored);
	memcpy(version->values, version->stored->tts_values, sizeof(Datum) * ing->desc->natts);
	memcpy(version->isnull, version->stored->tts_isnull, sizeof(bool) * ing->desc->natts);
	note_values(ing, version);
	version->is_stored = true;
}

/* Let a staged version have the values of another one, its interval aside. */
void
wh_version_replace(WhIngest *ing, WhStagedVersion *version, const WhStagedVersion *by)
{
	/* Keep what the values point to: by is taken again for the next record. */
	ExecCopySlot(version->slot, by->slot);
	slot_getallattrs(version->slot);
	memcpy(version->values, version->slot->tts_values, sizeof(Datum) * ing->desc->natts);
	memcpy(version->isnull, version->slot->tts_isnull, sizeof(bool) * ing->desc->natts);
	version->values[ing->ours.batch_id - 1] = by->values[ing->ours.batch_id - 1];
	version->from = by->from;
	version->position = by->position;
	version->is_replaced = true;
}

/* Compare two versions by what the source said. */
int
wh_version_image_compare(WhIngest *ing, const WhStagedVersion *a, const WhStagedVersion *b)
{
	return wh_image_compare(ing->desc, ing->image, ing->nimage, a->values, a->isnull, b->values, b->isnull);
}

/* Give the writer of the staging table, opened at its first use. */
WhBulkWriter *
wh_splice_writer(WhIngest *ing)
{
	if (ing->writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(ing->context);

		ing->writer = wh_bulk_open(wh_feed_table(ing->feed), true);
		wh_table_check_same(ing->writer->rel, ing->desc);
		/* only snapshots look up what the same run wrote */
		if (ing->feed->load != WH_LOAD_SNAPSHOT)
			wh_bulk_defer_indexes(ing->writer);
		MemoryContextSwitchTo(old);
	}
	return ing->writer;
}

/*
 * Say whether a dimension or fact reads the feed.  One that is created later
 * begins by reading everything; its creation waits for our lock on the feed.
 */
static bool
has_reader(const WhIngest *ing)
{
	WhRow		row;
	bool		found;

	SPI_connect();
	found = wh_catalog_row(&row, "SELECT 1 FROM wh.input WHERE feed_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
						   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(ing->feed->feed_id)});
	SPI_finish();
	return found;
}

/* Refuse a change log with a column of another type than the staging table has. */
static void
check_change_column(WhIngest *ing, int column)
{
	Relation	log = ing->change_writer->rel;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(log), column);

	if (ing->change_of[column] > 0)
	{
		Form_pg_attribute staged = TupleDescAttr(ing->desc, ing->change_of[column] - 1);

		wh_column_check(RelationGetRelationName(log), att, staged->atttypid, staged->atttypmod, staged->attcollation);
	}
	else if (strcmp(NameStr(att->attname), "change_batch_id") == 0)
		wh_column_check(RelationGetRelationName(log), att, INT8OID, -1, InvalidOid);
}

/* Write a row's image to the change log, if anything reads it. */
static void
log_image(WhIngest *ing, Datum *values, bool *isnull)
{
	int			natts;

	ing->changed_images = true;
	if (!ing->reader_known)
	{
		ing->reader_known = true;
		ing->has_reader = has_reader(ing);
	}
	if (!ing->has_reader)
		return;
	if (ing->change_writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(ing->context);
		TupleDesc	desc;

		ing->change_writer = wh_bulk_open(ing->feed->change_log, false);
		desc = ing->change_writer->tupdesc;
		ing->change_of = palloc0(sizeof(AttrNumber) * desc->natts);
		ing->change_values = palloc0(sizeof(Datum) * desc->natts);
		ing->change_isnull = palloc(sizeof(bool) * desc->natts);
		for (int i = 0; i < desc->natts; i++)
			if (!TupleDescAttr(desc, i)->attisdropped)
			{
				ing->change_of[i] = Max(0, get_attnum(wh_feed_table(ing->feed),
													  NameStr(TupleDescAttr(desc, i)->attname)));
				check_change_column(ing, i);
			}
		MemoryContextSwitchTo(old);
	}
	natts = ing->change_writer->tupdesc->natts;
	for (int i = 0; i < natts; i++)
	{
		int			n = ing->change_of[i] - 1;

		if (n >= 0)
		{
			ing->change_values[i] = values[n];
			ing->change_isnull[i] = isnull[n];
		}
		else if (strcmp(NameStr(TupleDescAttr(ing->change_writer->tupdesc, i)->attname), "change_batch_id") == 0)
		{
			ing->change_values[i] = Int64GetDatum(ing->batch_id);
			ing->change_isnull[i] = false;
		}
		else
			ing->change_isnull[i] = true;
	}
	wh_bulk_insert(ing->change_writer, ing->change_values, ing->change_isnull);
}

/*
 * Say whether a staged version was put in earlier in this run (splice_ordered.c):
 * nobody has read it yet.
 */
bool
wh_version_is_of_run(const WhIngest *ing, const WhStagedVersion *version)
{
	return version->is_stored && wh_ordered_has_rows(ing);
}

/*
 * Write a version that ends at a given time: insert a new one, rewrite or
 * remove a staged one, or leave it alone when nothing differs.
 */
void
wh_version_write(WhIngest *ing, WhStagedVersion *version, TimestampTz to)
{
	WhBulkWriter *writer;

	if (!version->is_stored)
	{
		if (ing->ours.effective_to > 0)
			version->values[ing->ours.effective_to - 1] = TimestampTzGetDatum(to);
		wh_bulk_insert(wh_splice_writer(ing), version->values, version->isnull);
		return;
	}
	if (!version->is_replaced && !version->is_raised && !version->is_removed && version->to == to)
		return;
	writer = wh_splice_writer(ing);
	if (version->is_removed)
	{
		log_image(ing, version->stored->tts_values, version->stored->tts_isnull);
		wh_bulk_delete(writer, &version->stored->tts_tid);
		return;
	}
	if (ing->ours.effective_to > 0)
		version->values[ing->ours.effective_to - 1] = TimestampTzGetDatum(to);
	version->values[ing->ours.source_position - 1] = Int64GetDatum(version->position);
	if ((version->is_replaced || version->to != to) && !wh_version_is_of_run(ing, version))
	{
		log_image(ing, version->stored->tts_values, version->stored->tts_isnull);
		if (version->is_replaced || to > version->to)
			log_image(ing, version->values, version->isnull);
	}
	wh_bulk_update(writer, &version->stored->tts_tid, version->values, version->isnull);
}
