/*
 * ingest_sql.c
 *	  wh.ingest and wh.retry_error_events: load one feed, in one batch of the
 *	  calling transaction.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "base/object_name.h"
#include "ingest/ingest.h"
#include "metadata/batch_log.h"

PG_FUNCTION_INFO_V1(wh_ingest);
PG_FUNCTION_INFO_V1(wh_retry_error_events);

/* wh.ingest(feed text) returns bigint: the batch, or null when nothing was new. */
Datum
wh_ingest(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = wh_feed_by_name(wh_text_arg(fcinfo, 0, "feed"));
	WhIngestResult result;
	int64		batch_id;

	wh_feed_lock(feed->feed_id, true);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	batch_id = wh_batch_start("ingest", feed->feed_id, feed->name);
	wh_ingest_feed(feed->feed_id, batch_id, &result);
	if (result.changed)
	{
		wh_batch_step(result.batch_id, 1, &result.counts);
		wh_batch_finish(result.batch_id, true, NULL);
	}
	else
		wh_batch_forget(result.batch_id);
	SPI_finish();
	if (!result.changed)
		PG_RETURN_NULL();
	PG_RETURN_INT64(result.batch_id);
}

/* wh.retry_error_events(feed text) returns bigint: how many records have no error any more. */
Datum
wh_retry_error_events(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = wh_feed_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	WhIngestResult result;
	int64		batch_id;

	wh_feed_lock(feed->feed_id, true);
	SPI_connect();
	batch_id = wh_batch_start("ingest", feed->feed_id, feed->name);
	wh_ingest_retry(feed->feed_id, batch_id, &result);
	if (result.changed)
	{
		wh_batch_step(batch_id, 1, &result.counts);
		wh_batch_finish(batch_id, true, NULL);
	}
	else
		wh_batch_forget(batch_id);
	SPI_finish();
	PG_RETURN_INT64(result.counts.rows_read - result.counts.rows_rejected);
}
