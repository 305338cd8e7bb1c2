/*
 * ingest_retry.c
 *	  Tries the records of a feed's error events again.
 *
 * Runs inside wh_ingest_feed, in place of reading the source, under the feed's
 * lock.  Events are removed, and their records take the usual way with the
 * position and time they had: what is wrong again becomes an event again, with
 * the reasons of now.  All of it is one transaction.
 *
 * For feeds over topics without redaction: there the event has the whole
 * message.  An event without a raw record is a tombstone's when it has a key,
 * else that of messages that are gone.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "catalog.h"
#include "ingest_state.h"
#include "kafka_message.h"
#include "object_name.h"

PG_FUNCTION_INFO_V1(wh_retry_error_events);

/* Events taken at once. */
#define CHUNK	10000

/* Give one event's record to the pipe. */
static void
retry_record(WhIngest *ing, WhKafkaDecoder *decoder, const WhRow *event, WhSourceRow *row)
{
	WhKafkaMessage message = {0};

	message.partition = DatumGetInt32(event->values[1]);
	message.offset = DatumGetInt64(event->values[2]);
	message.timestamp = event->isnull[3] ? -1 : wh_kafka_milliseconds(DatumGetTimestampTz(event->values[3]));
	if (!event->isnull[4])
	{
		bytea	   *key = DatumGetByteaPP(event->values[4]);

		message.key = VARDATA_ANY(key);
		message.key_len = VARSIZE_ANY_EXHDR(key);
	}
	if (!event->isnull[5])
		message.headers = TextDatumGetCString(event->values[5]);
	if (!event->isnull[6])
	{
		bytea	   *value = DatumGetByteaPP(event->values[6]);

		message.value = VARDATA_ANY(value);
		message.value_len = VARSIZE_ANY_EXHDR(value);
	}
	wh_kafka_decode(decoder, &message, row, true);
	row->key = message.key;
	row->key_len = message.key_len;
	row->headers = message.headers;
	if (row->source_time == DT_NOBEGIN && !event->isnull[7])
		row->source_time = DatumGetTimestampTz(event->values[7]);
	ing->unit = wh_unit_find(ing, wh_position_unit(DatumGetInt64(event->values[0])));
	wh_ingest_row(ing, row);
}

/* Remove the feed's error events, and give their records to the pipe. */
void
wh_ingest_retry_events(WhIngest *ing)
{
	WhKafkaTable *table;
	WhKafkaDecoder *decoder;
	WhSourceRow row = {0};
	MemoryContext chunk = AllocSetContextCreate(ing->context, "widgets_wh retry", ALLOCSET_DEFAULT_SIZES);
	int			n;

	if (ing->kind != WH_SOURCE_KAFKA || ing->feed->redact != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("error events of feed \"%s\" cannot be tried again", ing->feed->name),
				 errdetail("Only those of feeds over Kafka topics, without redacted columns, have all of the record."),
				 errhint("A corrected file, or a later read of a table, brings the records again.")));
	wh_units_load(ing);
	table = wh_kafka_table_get(ing->feed->source, ing->feed->owner);
	decoder = wh_kafka_decoder_create(table, NULL);
	row.values = palloc0(sizeof(Datum) * Max(table->natts, 1));
	row.isnull = palloc0(sizeof(bool) * Max(table->natts, 1));
	do
	{
		MemoryContext old = MemoryContextSwitchTo(chunk);
		WhRow	   *events = wh_catalog_rows(&n, psprintf("DELETE FROM wh.error_event WHERE error_event_id OPERATOR(pg_catalog.=) ANY (ARRAY("
														   "SELECT error_event_id FROM wh.error_event"
														   " WHERE object_id OPERATOR(pg_catalog.=) $1"
														   "  AND batch_id OPERATOR(pg_catalog.<>) $2 AND topic IS NOT NULL"
														   "  AND source_position IS NOT NULL"
														   "  AND (raw_record IS NOT NULL OR message_key IS NOT NULL)"
														   "  AND sqlstate OPERATOR(pg_catalog.<>) '23505'"
														   " ORDER BY error_event_id LIMIT %d))"
														   " RETURNING source_position, \"partition\", \"offset\", message_timestamp,"
														   "  message_key, message_headers::text, raw_record, event_time", CHUNK),
											 2, (Oid[]) {INT8OID, INT8OID},
											 (Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(ing->batch_id)});

		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			retry_record(ing, decoder, &events[i], &row);
		}
		/* what is gathered refers to nothing of the chunk */
		MemoryContextSwitchTo(old);
		MemoryContextReset(chunk);
		ing->result->changed |= n > 0;
	} while (n == CHUNK);
	wh_ingest_pipe_flush(ing);
	ing->unit = NULL;
}

/* wh.retry_error_events(feed text) returns bigint: how many events are no more. */
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
