/*
 * ingest_sql.c
 *	  wh.ingest, wh.reload_feed and wh.retry_error_events: load one feed, in one
 *	  batch of the calling transaction.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "feed/feed_check.h"
#include "ingest/ingest.h"
#include "metadata/batch_log.h"
#include "metadata/last_look.h"

PG_FUNCTION_INFO_V1(wh_ingest);
PG_FUNCTION_INFO_V1(wh_reload_feed);
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
		wh_batch_finish(result.batch_id);
	}
	else
		wh_batch_forget(result.batch_id);
	wh_note_looks(list_make1(&feed->feed_id));
	SPI_finish();
	if (!result.changed)
		PG_RETURN_NULL();
	PG_RETURN_INT64(result.batch_id);
}

/* Refuse what cannot be read again, and go to the beginning of a topic. */
static void
rewind_source(const WhFeed *feed)
{
	Relation	source = wh_feed_open_source(feed);

	if (feed->load == WH_LOAD_APPEND && feed->key == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("feed \"%s\" cannot be loaded again: it appends records without a key", feed->name),
				 errdetail("All of its records would be staged once more."),
				 errhint("Records that were rejected are tried again by wh.retry_error_events. For all others, make a new feed.")));
	if (wh_feed_source_kind(source) == WH_SOURCE_KAFKA)
		(void) wh_spi_execute("SELECT wh.seek_feed($1, 'earliest')", 1, (Oid[]) {TEXTOID},
							  (Datum[]) {CStringGetTextDatum(feed->name)}, NULL);
	relation_close(source, NoLock);
}

/* wh.reload_feed(feed text) returns bigint: the batch, or null when there was nothing to note. */
Datum
wh_reload_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = wh_feed_by_name(wh_text_arg(fcinfo, 0, "feed"));
	WhIngestResult result;
	int64		batch_id;

	wh_relation_check_owner(feed->relation);
	wh_feed_lock(feed->feed_id, true);
	SPI_connect();
	rewind_source(feed);
	batch_id = wh_batch_start("ingest", feed->feed_id, feed->name);
	wh_ingest_reload(feed->feed_id, batch_id, &result);
	if (result.changed)
	{
		wh_batch_step(result.batch_id, 1, &result.counts);
		wh_batch_finish(result.batch_id);
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
		wh_batch_finish(batch_id);
	}
	else
		wh_batch_forget(batch_id);
	SPI_finish();
	PG_RETURN_INT64(result.counts.rows_read - result.counts.rows_rejected);
}
