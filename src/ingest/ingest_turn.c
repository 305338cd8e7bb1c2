/*
 * ingest_turn.c
 *	  The number of a batch, and the turn of a partition worker to write it.
 *
 * Runs inside wh_ingest_feed.  The feed's advisory lock, which is held until the
 * transaction ends, is taken here for a worker that reads beside others; see
 * ingest_stream.c.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "ingest/ingest_state.h"
#include "metadata/catalog_user.h"

/* Give the stored start of a batch. */
TimestampTz
wh_ingest_batch_start(int64 batch_id)
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

/* Write the feed's own row: reads, watermark, last batch. */
void
wh_ingest_save_feed(WhIngest *ing)
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
void
wh_ingest_settle_number(WhIngest *ing)
{
	if (ing->feed->last_batch_id > ing->batch_id)
	{
		SPI_connect();
		ing->batch_id = wh_batch_renumber(ing->batch_id);
		SPI_finish();
	}
	ing->result->batch_id = ing->staging->batch_id = ing->batch_id;
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

	wh_splice_sort_early(ing->staging);
	relation_close(ing->source, AccessShareLock);
	ing->source = NULL;
	wh_feed_lock_turn(ing->feed->feed_id);
	AcceptInvalidationMessages();
	PopActiveSnapshot();
	PushActiveSnapshot(GetTransactionSnapshot());
	feed = *stream->changes == stream->changes_seen ? wh_feed_get(ing->feed->feed_id, true) : NULL;
	if (feed == NULL || feed->is_paused ||
		!equalTupleDescs(ing->staging->desc, wh_staging_desc(feed, RowExclusiveLock, true)))
		return false;
	ing->feed->last_batch_id = feed->last_batch_id;
	wh_ingest_settle_number(ing);
	wh_units_reload(ing->units);
	return true;
}
