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
#include "splice/splice_version.h"

/* Make an empty version, in the current memory context. */
WhStagedVersion *
wh_version_make(WhStaging *staging)
{
	WhStagedVersion  *version = palloc0(sizeof(WhStagedVersion));

	version->values = palloc0(sizeof(Datum) * staging->sort_desc->natts);
	version->isnull = palloc0(sizeof(bool) * staging->sort_desc->natts);
	version->slot = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	version->stored = MakeSingleTupleTableSlot(staging->desc, &TTSOpsHeapTuple);
	return version;
}

/* Set what is read off a version's values. */
static void
note_values(WhStaging *staging, WhStagedVersion *version)
{
	version->from = DatumGetTimestampTz(version->values[staging->ours.effective_from - 1]);
	version->to = staging->ours.effective_to > 0 ?
		DatumGetTimestampTz(version->values[staging->ours.effective_to - 1]) : DT_NOEND;
	version->position = DatumGetInt64(version->values[staging->ours.source_position - 1]);
	version->is_replaced = version->is_raised = version->is_removed = false;
}

/* Take a sorted record, copied. */
void
wh_version_take(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot)
{
	ExecCopySlot(version->slot, slot);
	slot_getallattrs(version->slot);
	memcpy(version->values, version->slot->tts_values, sizeof(Datum) * staging->sort_desc->natts);
	memcpy(version->isnull, version->slot->tts_isnull, sizeof(bool) * staging->sort_desc->natts);
	/* the number may have become another one since it was sorted */
	version->values[staging->ours.batch_id - 1] = Int64GetDatum(staging->batch_id);
	note_values(staging, version);
	version->is_stored = false;
}

/* Take a staged row, copied. */
void
wh_version_load(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot)
{
	ExecCopySlot(version->stored, slot);
	slot_getallattrs(version->stored);
	memcpy(version->values, version->stored->tts_values, sizeof(Datum) * staging->desc->natts);
	memcpy(version->isnull, version->stored->tts_isnull, sizeof(bool) * staging->desc->natts);
	note_values(staging, version);
	version->is_stored = true;
}

/*
 * Take a staged row, copied, from a sort whose major column holds the row's
 * place: block and line.
 */
void
wh_version_take_staged(WhStaging *staging, WhStagedVersion *version, TupleTableSlot *slot)
{
	int64		place = DatumGetInt64(slot->tts_values[wh_sort_major(staging) - 1]);
	MemoryContext old = MemoryContextSwitchTo(version->stored->tts_mcxt);
	HeapTuple	tuple = heap_form_tuple(staging->desc, slot->tts_values, slot->tts_isnull);

	MemoryContextSwitchTo(old);
	ItemPointerSet(&tuple->t_self, (BlockNumber) (place >> 16), (OffsetNumber) (place & 0xFFFF));
	ExecStoreHeapTuple(tuple, version->stored, true);
	version->stored->tts_tid = tuple->t_self;
	slot_getallattrs(version->stored);
	memcpy(version->values, version->stored->tts_values, sizeof(Datum) * staging->desc->natts);
	memcpy(version->isnull, version->stored->tts_isnull, sizeof(bool) * staging->desc->natts);
	note_values(staging, version);
	version->is_stored = true;
}

/* Let a staged version have the values of another one, its interval aside. */
void
wh_version_replace(WhStaging *staging, WhStagedVersion *version, const WhStagedVersion *by)
{
	/* Keep what the values point to: by is taken again for the next record. */
	ExecCopySlot(version->slot, by->slot);
	slot_getallattrs(version->slot);
	memcpy(version->values, version->slot->tts_values, sizeof(Datum) * staging->desc->natts);
	memcpy(version->isnull, version->slot->tts_isnull, sizeof(bool) * staging->desc->natts);
	version->values[staging->ours.batch_id - 1] = by->values[staging->ours.batch_id - 1];
	version->from = by->from;
	version->position = by->position;
	version->is_replaced = true;
}

/* Compare two versions by what the source said. */
int
wh_version_image_compare(WhStaging *staging, const WhStagedVersion *a, const WhStagedVersion *b)
{
	return wh_image_compare(staging->desc, staging->image, staging->nimage, a->values, a->isnull, b->values, b->isnull);
}

/*
 * Say whether a dimension or fact reads the feed.  One that is created later
 * begins by reading everything; its creation waits for our lock on the feed.
 */
static bool
has_reader(const WhStaging *staging)
{
	WhRow		row;
	bool		found;

	SPI_connect();
	found = wh_catalog_row(&row, "SELECT 1 FROM wh.input WHERE feed_id OPERATOR(pg_catalog.=) $1 LIMIT 1",
						   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(staging->feed->feed_id)});
	SPI_finish();
	return found;
}

/* Refuse a change log with a column of another type than the staging table has. */
static void
check_change_column(WhStaging *staging, int column)
{
	Relation	log = staging->change_writer->rel;
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(log), column);

	if (staging->change_of[column] > 0)
	{
		Form_pg_attribute staged = TupleDescAttr(staging->desc, staging->change_of[column] - 1);

		wh_column_check(RelationGetRelationName(log), att, staged->atttypid, staged->atttypmod, staged->attcollation);
	}
	else if (strcmp(NameStr(att->attname), "change_batch_id") == 0)
		wh_column_check(RelationGetRelationName(log), att, INT8OID, -1, InvalidOid);
}

/* Write a row's image to the change log, if anything reads it. */
static void
log_image(WhStaging *staging, Datum *values, bool *isnull)
{
	int			natts;

	staging->has_changed = staging->has_written = true;
	if (!staging->reader_known)
	{
		staging->reader_known = true;
		staging->has_reader = has_reader(staging);
	}
	if (!staging->has_reader)
		return;
	if (staging->change_writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(staging->context);
		TupleDesc	desc;

		staging->change_writer = wh_bulk_open(staging->feed->change_log, false);
		desc = staging->change_writer->tupdesc;
		staging->change_of = palloc0(sizeof(AttrNumber) * desc->natts);
		staging->change_values = palloc0(sizeof(Datum) * desc->natts);
		staging->change_isnull = palloc(sizeof(bool) * desc->natts);
		for (int i = 0; i < desc->natts; i++)
			if (!TupleDescAttr(desc, i)->attisdropped)
			{
				staging->change_of[i] = Max(0, get_attnum(staging->table, NameStr(TupleDescAttr(desc, i)->attname)));
				check_change_column(staging, i);
			}
		MemoryContextSwitchTo(old);
	}
	natts = staging->change_writer->tupdesc->natts;
	for (int i = 0; i < natts; i++)
	{
		int			n = staging->change_of[i] - 1;

		if (n >= 0)
		{
			staging->change_values[i] = values[n];
			staging->change_isnull[i] = isnull[n];
		}
		else if (strcmp(NameStr(TupleDescAttr(staging->change_writer->tupdesc, i)->attname), "change_batch_id") == 0)
		{
			staging->change_values[i] = Int64GetDatum(staging->batch_id);
			staging->change_isnull[i] = false;
		}
		else
			staging->change_isnull[i] = true;
	}
	wh_bulk_insert(staging->change_writer, staging->change_values, staging->change_isnull);
}

/*
 * Say whether a staged version was put in earlier in this run (splice_ordered.c):
 * nobody has read it yet.
 */
bool
wh_version_is_of_run(const WhStaging *staging, const WhStagedVersion *version)
{
	return version->is_stored && staging->ordered_rows > 0;
}

/*
 * Write a version that ends at a given time: insert a new one, rewrite or
 * remove a staged one, or leave it alone when nothing differs.
 */
void
wh_version_write(WhStaging *staging, WhStagedVersion *version, TimestampTz to)
{
	WhBulkWriter *writer;

	if (!version->is_stored)
	{
		if (staging->ours.effective_to > 0)
			version->values[staging->ours.effective_to - 1] = TimestampTzGetDatum(to);
		wh_bulk_insert(wh_staging_writer(staging), version->values, version->isnull);
		return;
	}
	if (!version->is_replaced && !version->is_raised && !version->is_removed && version->to == to)
		return;
	writer = wh_staging_writer(staging);
	if (version->is_removed)
	{
		log_image(staging, version->stored->tts_values, version->stored->tts_isnull);
		wh_bulk_delete(writer, &version->stored->tts_tid);
		return;
	}
	if (staging->ours.effective_to > 0)
		version->values[staging->ours.effective_to - 1] = TimestampTzGetDatum(to);
	version->values[staging->ours.source_position - 1] = Int64GetDatum(version->position);
	if ((version->is_replaced || version->to != to) && !wh_version_is_of_run(staging, version))
	{
		log_image(staging, version->stored->tts_values, version->stored->tts_isnull);
		if (version->is_replaced || to > version->to)
			log_image(staging, version->values, version->isnull);
	}
	wh_bulk_update(writer, &version->stored->tts_tid, version->values, version->isnull);
}
