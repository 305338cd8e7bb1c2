/*
 * ingest_retry.c
 *	  Tries the records of a feed's error events again.
 *
 * Runs inside wh_ingest_feed, in place of reading the source, under the feed's
 * lock, as the feed's owner.  Records take the usual way with the position and
 * time they had.  What is right now is staged and its event removed; what is
 * wrong again keeps its event, with the reasons of now.  All of it is one
 * transaction.
 *
 * Values that were redacted before the record was stored are taken as they are
 * stored; what is redacted only since then is redacted.
 *
 * Left alone are the losers of append feeds' keys, tombstones without a key and
 * gaps, which nothing can make right, and, with one more entry in their errors,
 * events that do not have all of their record.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "metadata/catalog.h"
#include "csv/csv_source.h"
#include "ingest/ingest_state.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_time.h"
#include "base/object_name.h"
#include "value/value_convert.h"

/* Events taken at once, and the bytes of their records. */
#define CHUNK_EVENTS	1000
#define CHUNK_BYTES		(16 * 1024 * 1024)

/* Columns of the query of events. */
enum
{
	EVENT_ID, EVENT_POSITION, EVENT_BYTE_OFFSET, EVENT_PARTITION, EVENT_MESSAGE_TIME, EVENT_KEY, EVENT_HEADERS,
	EVENT_RAW, EVENT_FORM, EVENT_REDACTED, EVENT_TIME
};

/* Which events of a feed ($1) are tried (a settled one's record may still be missing from the history), of a unit ($2). */
#define OF_FEED "object_id OPERATOR(pg_catalog.=) $1 AND state IN ('open', 'settled') AND sqlstate OPERATOR(pg_catalog.<>) '23505'" \
	" AND (raw_record IS NOT NULL OR message_key IS NOT NULL)"
#define OF_UNIT " AND source_position OPERATOR(pg_catalog.>=) ($2 OPERATOR(pg_catalog.<<) 40)" \
	" AND source_position OPERATOR(pg_catalog.<) (($2 OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.<<) 40)"
#define OF_READ " AND read_no OPERATOR(pg_catalog.=) $2"

typedef struct Retry
{
	WhIngest   *ing;
	WhKafkaDecoder *decoder;
	WhCsvTable *table;
	WhCsvScan  *scan;			/* of the unit's file */
	bool		has_header;		/* the unit's is stored */
	WhValueArena *arena;		/* of one row */
	WhValueConverter **converters;	/* by source column, made when needed */
	WhSourceRow row;			/* with arrays of its own */
	MemoryContext chunk;
	int64		tried;			/* events of the unit */
} Retry;

/* Convert a stored text into a column of a row, or note why not. */
static void
take_text(Retry *retry, WhSourceRow *row, int column, const char *text, Size len)
{
	Form_pg_attribute att = TupleDescAttr(retry->ing->source_desc, column);
	WhRowError	error;

	if (retry->converters[column] == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(retry->ing->context);

		retry->converters[column] = wh_value_converter(att->atttypid, att->atttypmod, retry->arena);
		wh_value_set_zone(retry->converters[column], pg_tzset(retry->ing->feed->time_zone));
		MemoryContextSwitchTo(old);
	}
	row->isnull[column] = !wh_value_convert(retry->converters[column], text, len, &row->values[column], &error);
	if (row->isnull[column])
	{
		WhRowError *noted = palloc(sizeof(WhRowError));

		*noted = error;
		noted->attnum = column + 1;
		row->errors = lappend(row->errors, noted);
	}
}

/* Take a column from an object of texts; false = it is not there. */
static bool
take_member(Retry *retry, WhSourceRow *row, int column, Jsonb *object)
{
	const char *name = NameStr(TupleDescAttr(retry->ing->source_desc, column)->attname);
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(&object->root, name, strlen(name), &buffer);

	if (value == NULL)
		return false;
	row->values[column] = (Datum) 0;
	row->isnull[column] = true;
	if (value->type == jbvString)
		take_text(retry, row, column, value->val.string.val, value->val.string.len);
	return true;
}

/* Read a record that is stored as an object of its columns' texts; gives why it cannot be. */
static const char *
read_row(Retry *retry, bytea *raw, WhSourceRow *row)
{
	TupleDesc	desc = retry->ing->source_desc;
	char	   *json = text_to_cstring((text *) raw);
	Jsonb	   *object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
	int			found = 0;
	int			missing = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		row->isnull[i] = true;
		if (TupleDescAttr(desc, i)->attisdropped)
			continue;
		if (take_member(retry, row, i, object))
			found++;
		else
			missing++;
	}
	/* A column more has no value, one less is not needed; both may be one of another name. */
	if (missing > 0 && found < JB_ROOT_COUNT(object))
		return "cannot be tried again: the source's columns have other names now";
	return NULL;
}

/* Read a message that is stored as it came. */
static void
read_message(Retry *retry, const WhRow *event, WhSourceRow *row)
{
	WhKafkaMessage message = {0};

	message.partition = event->isnull[EVENT_PARTITION] ? 0 : DatumGetInt32(event->values[EVENT_PARTITION]);
	message.offset = wh_position_low(DatumGetInt64(event->values[EVENT_POSITION]));
	message.timestamp = event->isnull[EVENT_MESSAGE_TIME] ? -1 :
		wh_kafka_milliseconds(DatumGetTimestampTz(event->values[EVENT_MESSAGE_TIME]));
	if (!event->isnull[EVENT_KEY])
	{
		bytea	   *key = DatumGetByteaPP(event->values[EVENT_KEY]);

		message.key = VARDATA_ANY(key);
		message.key_len = VARSIZE_ANY_EXHDR(key);
	}
	if (!event->isnull[EVENT_HEADERS])
		message.headers = TextDatumGetCString(event->values[EVENT_HEADERS]);
	if (!event->isnull[EVENT_RAW])
	{
		bytea	   *value = DatumGetByteaPP(event->values[EVENT_RAW]);

		message.value = VARDATA_ANY(value);
		message.value_len = VARSIZE_ANY_EXHDR(value);
	}
	wh_kafka_decode(retry->decoder, &message, row, true);
	row->key = message.key;
	row->key_len = message.key_len;
	row->headers = message.headers;
}

/* Set redacted columns to what is stored of them. */
static void
take_redacted(Retry *retry, const WhRow *event, WhSourceRow *row)
{
	TupleDesc	desc = retry->ing->source_desc;
	Jsonb	   *object;

	if (event->isnull[EVENT_REDACTED])
		return;
	object = DatumGetJsonbP(event->values[EVENT_REDACTED]);
	for (int i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped && take_member(retry, row, i, object))
			row->as_stored = bms_add_member(row->as_stored, i + 1);
	}
}

/* Give one event's record to the pipe; gives why it cannot be tried, or NULL. */
static const char *
retry_event(Retry *retry, const WhRow *event)
{
	WhIngest   *ing = retry->ing;
	char	   *form = event->isnull[EVENT_FORM] ? NULL : TextDatumGetCString(event->values[EVENT_FORM]);
	WhSourceRow row;
	const char *reason = NULL;

	wh_value_arena_reset(retry->arena);
	row = retry->row;
	if (form && strcmp(form, "part") == 0)
	{
		WhSourceRow *again = NULL;

		/* A file has the whole of it, as long as it is the same one. */
		if (ing->kind == WH_SOURCE_CSV && ing->feed->redact == NIL && event->isnull[EVENT_REDACTED] &&
			ing->unit->checksum != NULL &&
			!event->isnull[EVENT_BYTE_OFFSET] &&
			VARSIZE_ANY_EXHDR(ing->unit->checksum) == WH_CSV_CHECKSUM_LENGTH &&
			(retry->table->options.header != WH_CSV_HEADER_MATCH || retry->has_header))
			again = wh_csv_reread(retry->scan, (uint8 *) VARDATA_ANY(ing->unit->checksum),
								  wh_position_low(DatumGetInt64(event->values[EVENT_POSITION])),
								  DatumGetInt64(event->values[EVENT_BYTE_OFFSET]));
		if (again == NULL)
			return "cannot be tried again: only a part of the record is stored";
		row = *again;
	}
	else if (form && strcmp(form, "row") == 0)
	{
		row.low = event->isnull[EVENT_POSITION] ? ing->feed->load == WH_LOAD_SNAPSHOT :
			wh_position_low(DatumGetInt64(event->values[EVENT_POSITION]));
		row.byte_offset = event->isnull[EVENT_BYTE_OFFSET] ? -1 : DatumGetInt64(event->values[EVENT_BYTE_OFFSET]);
		row.source_time = event->isnull[EVENT_MESSAGE_TIME] ? DT_NOBEGIN :
			DatumGetTimestampTz(event->values[EVENT_MESSAGE_TIME]);
		reason = read_row(retry, DatumGetByteaPP(event->values[EVENT_RAW]), &row);
	}
	else if (ing->kind == WH_SOURCE_KAFKA)
		read_message(retry, event, &row);
	else if (ing->unit->checksum == NULL)
		reason = "cannot be tried again: the next run reads the file";
	else if (retry->table->options.header == WH_CSV_HEADER_MATCH && !retry->has_header)
		reason = "cannot be tried again: the header of the file is not stored";
	else
	{
		bytea	   *raw = DatumGetByteaPP(event->values[EVENT_RAW]);

		row = *wh_csv_replay(retry->scan, VARDATA_ANY(raw), VARSIZE_ANY_EXHDR(raw),
							 wh_position_low(DatumGetInt64(event->values[EVENT_POSITION])),
							 event->isnull[EVENT_BYTE_OFFSET] ? -1 : DatumGetInt64(event->values[EVENT_BYTE_OFFSET]));
	}
	if (reason)
		return reason;
	if (row.source_time == DT_NOBEGIN && !event->isnull[EVENT_TIME])
		row.source_time = DatumGetTimestampTz(event->values[EVENT_TIME]);
	row.event_id = DatumGetInt64(event->values[EVENT_ID]);
	take_redacted(retry, event, &row);
	retry->tried++;
	wh_ingest_row(ing, &row);
	return NULL;
}

/* Say in an event why it is left alone, once. */
static void
keep_event(WhIngest *ing, int64 id, const char *reason)
{
	if (wh_catalog_execute("UPDATE wh.error_event SET errors = errors OPERATOR(pg_catalog.||) e"
						   " FROM (SELECT pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object("
						   "  'column', NULL, 'sqlstate', '55000', 'message', $2)) AS e) AS added"
						   " WHERE error_event_id OPERATOR(pg_catalog.=) $1 AND NOT errors OPERATOR(pg_catalog.@>) e",
						   2, (Oid[]) {INT8OID, TEXTOID},
						   (Datum[]) {Int64GetDatum(id), CStringGetTextDatum(reason)}, NULL) > 0)
		ing->result->changed = true;
}

/* Close the events of a chunk whose records have no errors any more. */
static void
close_events(WhIngest *ing, Datum *tried, int ntried)
{
	ListCell   *lc = list_head(ing->failed_events);
	int			n = 0;

	/* both are in order */
	for (int i = 0; i < ntried; i++)
	{
		if (lc && *(int64 *) lfirst(lc) == DatumGetInt64(tried[i]))
			lc = lnext(ing->failed_events, lc);
		else
			tried[n++] = tried[i];
	}
	if (lc)
		elog(ERROR, "an error event was tried out of order");
	list_free_deep(ing->failed_events);
	ing->failed_events = NIL;
	if (n == 0)
		return;
	wh_catalog_execute("UPDATE wh.error_event SET state = 'retried', settled_by = NULL, closed_at = pg_catalog.clock_timestamp()"
					   " WHERE error_event_id OPERATOR(pg_catalog.=) ANY ($1)",
					   1, (Oid[]) {INT8ARRAYOID},
					   (Datum[]) {PointerGetDatum(construct_array(tried, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE))},
					   NULL);
	ing->result->changed = true;
}

/* Try all events of a unit of the source. */
static void
retry_events(Retry *retry, int64 unit_no)
{
	WhIngest   *ing = retry->ing;
	bool		is_read = ing->kind == WH_SOURCE_RELATION;
	char	   *sql = psprintf("SELECT error_event_id, source_position, byte_offset, \"partition\", message_timestamp,"
							   " message_key, message_headers::text, raw_record, raw_form, redacted, event_time"
							   " FROM (SELECT *, pg_catalog.sum(pg_catalog.octet_length(raw_record)) OVER"
							   "   (ORDER BY error_event_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes"
							   "  FROM (SELECT * FROM wh.error_event"
							   "   WHERE " OF_FEED "%s AND error_event_id OPERATOR(pg_catalog.>) $3"
							   "   ORDER BY error_event_id LIMIT %d) AS next) AS counted"
							   " WHERE bytes IS NULL OR bytes OPERATOR(pg_catalog.<) %d ORDER BY error_event_id",
							   is_read ? OF_READ : OF_UNIT, CHUNK_EVENTS, CHUNK_BYTES);
	int64		last = 0;

	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(retry->chunk);
		int			n;
		int			ntried = 0;
		WhRow	   *events = wh_catalog_rows(&n, sql, 3, (Oid[]) {INT8OID, INT8OID, INT8OID},
											 (Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(unit_no),
											 Int64GetDatum(last)});
		Datum	   *tried = palloc(sizeof(Datum) * Max(n, 1));

		for (int i = 0; i < n; i++)
		{
			const char *reason;

			CHECK_FOR_INTERRUPTS();
			last = DatumGetInt64(events[i].values[EVENT_ID]);
			reason = retry_event(retry, &events[i]);
			if (reason)
				keep_event(ing, last, reason);
			else
				tried[ntried++] = Int64GetDatum(last);
		}
		wh_ingest_pipe_flush(ing);
		close_events(ing, tried, ntried);
		MemoryContextSwitchTo(old);
		MemoryContextReset(retry->chunk);
		if (n == 0)
			break;
	}
}

/* Open the scan that reads records of a unit's file. */
static void
open_file(Retry *retry, WhUnit *unit)
{
	WhRow		row;
	bytea	   *header = NULL;

	if (wh_catalog_row(&row, "SELECT header FROM wh.source_unit WHERE feed_id OPERATOR(pg_catalog.=) $1"
					   " AND unit_no OPERATOR(pg_catalog.=) $2 AND header IS NOT NULL", 2, (Oid[]) {INT8OID, INT8OID},
					   (Datum[]) {Int64GetDatum(retry->ing->feed->feed_id), Int64GetDatum(unit->unit_no)}))
		header = DatumGetByteaPP(row.values[0]);
	retry->has_header = header != NULL;
	retry->scan = wh_csv_replay_begin(retry->table, unit->name, header ? VARDATA_ANY(header) : NULL,
									  header ? VARSIZE_ANY_EXHDR(header) : 0);
}

/* Count the events of a unit whose records are not staged, also those that are not tried. */
static int64
count_events(WhIngest *ing, int64 unit_no)
{
	WhRow		row;

	if (!wh_catalog_row(&row, psprintf("SELECT pg_catalog.count(*) FROM wh.error_event"
									   " WHERE object_id OPERATOR(pg_catalog.=) $1"
									   " AND state <> 'retried'%s",
									   ing->kind == WH_SOURCE_RELATION ? OF_READ : OF_UNIT),
						2, (Oid[]) {INT8OID, INT8OID},
						(Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(unit_no)}))
		elog(ERROR, "could not count error events");
	return DatumGetInt64(row.values[0]);
}

/* Try the events of one unit: a file's content, a partition, or a read of a relation. */
static void
retry_unit(Retry *retry, int64 unit_no, bool by_snapshot)
{
	WhIngest   *ing = retry->ing;
	int64		passed = ing->result->counts.rows_read - ing->result->counts.rows_rejected;
	int64		count = by_snapshot ? count_events(ing, unit_no) : 0;
	WhUnit	   *unit;

	ing->staging->snapshot_time = DT_NOBEGIN;
	ing->staging->snapshot_incomplete = false;
	unit = ing->kind == WH_SOURCE_RELATION ? wh_unit_add_read(ing->units, unit_no, DT_NOBEGIN, true) : wh_unit_find(ing->units, unit_no);
	ing->unit = unit;
	retry->tried = 0;
	if (ing->kind == WH_SOURCE_CSV)
		open_file(retry, unit);
	if (by_snapshot)
		wh_snapshot_retry_begin(ing->staging, unit);
	retry_events(retry, unit_no);
	ing->unit = unit;
	if (by_snapshot)
		wh_snapshot_retry_end(ing->staging, unit, retry->tried == count);
	if (retry->scan)
		wh_csv_end(retry->scan);
	retry->scan = NULL;
	/* a read of which nothing is staged needs no unit */
	if (ing->result->counts.rows_read - ing->result->counts.rows_rejected == passed)
		unit->is_new = false;
}

static int
compare_units(const void *a, const void *b, void *units)
{
	return wh_position_compare(units, wh_position(*(const int64 *) a, 0), wh_position(*(const int64 *) b, 0));
}

/* Try the feed's error events again. */
void
wh_ingest_retry_events(WhIngest *ing)
{
	Retry		retry = {.ing = ing};
	bool		is_read = ing->kind == WH_SOURCE_RELATION;
	bool		by_snapshot = ing->feed->load == WH_LOAD_SNAPSHOT && !(is_read && ing->feed->sequence_by == NULL);
	WhRow	   *rows;
	int64	   *units;
	int			n;

	wh_units_load(ing->units);
	retry.arena = wh_value_arena_create(CurrentMemoryContext);
	retry.converters = palloc0(sizeof(WhValueConverter *) * Max(ing->source_desc->natts, 1));
	retry.row.values = palloc0(sizeof(Datum) * Max(ing->source_desc->natts, 1));
	retry.row.isnull = palloc0(sizeof(bool) * Max(ing->source_desc->natts, 1));
	retry.row.byte_offset = -1;
	retry.row.source_time = DT_NOBEGIN;
	retry.chunk = AllocSetContextCreate(ing->context, "widgets_wh retry", ALLOCSET_DEFAULT_SIZES);
	if (ing->kind == WH_SOURCE_KAFKA)
		retry.decoder = wh_kafka_decoder_create(wh_kafka_table_get(ing->feed->source, ing->feed->owner), NULL);
	else if (ing->kind == WH_SOURCE_CSV)
	{
		retry.table = wh_csv_table_open(ing->feed->source);
		wh_csv_table_set_zone(retry.table, ing->feed->time_zone);
	}
	rows = wh_catalog_rows(&n, psprintf("SELECT DISTINCT %s FROM wh.error_event WHERE " OF_FEED " AND %s IS NOT NULL",
										is_read ? "read_no" : "source_position OPERATOR(pg_catalog.>>) 40",
										is_read ? "read_no" : "source_position"),
						   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(ing->feed->feed_id)});
	units = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		units[i] = DatumGetInt64(rows[i].values[0]);
	qsort_arg(units, n, sizeof(int64), compare_units, ing->units);
	for (ing->unit_rank = 0; ing->unit_rank < n; ing->unit_rank++)
		retry_unit(&retry, units[ing->unit_rank], by_snapshot);
	ing->unit = NULL;
}
