/*
 * ingest_event.c
 *	  Writes error events into wh.error_event.
 *
 * Runs inside wh_ingest_feed; the events commit or vanish with the rows of the
 * run.  An event that is there already (same feed, position and record) is not
 * written again, so that a retry changes nothing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "ingest/ingest_event.h"
#include "metadata/catalog_user.h"

/* Columns of an event as a row; the number of one is that of its parameter, less one. */
enum
{
	EVENT_BATCH, EVENT_OBJECT, EVENT_FEED, EVENT_FILE, EVENT_LINE, EVENT_BYTE_OFFSET, EVENT_TOPIC, EVENT_PARTITION,
	EVENT_OFFSET, EVENT_MESSAGE_TIME, EVENT_KEY, EVENT_HEADERS, EVENT_POSITION, EVENT_READ, EVENT_TIME, EVENT_RAW,
	EVENT_RAW_FORM, EVENT_REDACTED, EVENT_HASH, EVENT_ERRORS, EVENT_COLUMN, EVENT_SQLSTATE, EVENT_MESSAGE,
	EVENT_RECORD_KEY
};

static const struct
{
	const char *name;
	Oid			type;
}			columns[WH_EVENT_COLUMNS] = {
	[EVENT_BATCH] = {"batch_id", INT8OID},
	[EVENT_OBJECT] = {"object_id", INT8OID},
	[EVENT_FEED] = {"feed", TEXTOID},
	[EVENT_FILE] = {"file", TEXTOID},
	[EVENT_LINE] = {"line", INT8OID},
	[EVENT_BYTE_OFFSET] = {"byte_offset", INT8OID},
	[EVENT_TOPIC] = {"topic", TEXTOID},
	[EVENT_PARTITION] = {"partition", INT4OID},
	[EVENT_OFFSET] = {"\"offset\"", INT8OID},
	[EVENT_MESSAGE_TIME] = {"message_timestamp", TIMESTAMPTZOID},
	[EVENT_KEY] = {"message_key", BYTEAOID},
	[EVENT_HEADERS] = {"message_headers", JSONBOID},
	[EVENT_POSITION] = {"source_position", INT8OID},
	[EVENT_READ] = {"read_no", INT8OID},
	[EVENT_TIME] = {"event_time", TIMESTAMPTZOID},
	[EVENT_RAW] = {"raw_record", BYTEAOID},
	[EVENT_RAW_FORM] = {"raw_form", TEXTOID},
	[EVENT_REDACTED] = {"redacted", JSONBOID},
	[EVENT_HASH] = {"record_hash", BYTEAOID},
	[EVENT_ERRORS] = {"errors", JSONBOID},
	[EVENT_COLUMN] = {"\"column\"", TEXTOID},
	[EVENT_SQLSTATE] = {"sqlstate", TEXTOID},
	[EVENT_MESSAGE] = {"message", TEXTOID},
	[EVENT_RECORD_KEY] = {"record_key", TEXTARRAYOID},
};

/* Describe an event as a row, in the current memory context. */
TupleDesc
wh_event_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(WH_EVENT_COLUMNS);

	for (int i = 0; i < WH_EVENT_COLUMNS; i++)
		TupleDescInitEntry(desc, i + 1, NULL, columns[i].type, -1, 0);
	return desc;
}

/* Make a row of an event, in the current memory context; its batch is set when it is written. */
void
wh_event_form(const WhErrorEvent *event, Datum *values, bool *isnull)
{
	memset(values, 0, sizeof(Datum) * WH_EVENT_COLUMNS);
	memset(isnull, true, sizeof(bool) * WH_EVENT_COLUMNS);
#define SET(column, value) (values[column] = (value), isnull[column] = false)
#define SET_IF(known, column, value) do { if (known) SET(column, value); } while (0)
#define SET_TEXT(column, text) SET_IF(text, column, CStringGetTextDatum(text))
#define SET_JSON(column, text) SET_IF(text, column, DirectFunctionCall1(jsonb_in, CStringGetDatum(text)))
#define SET_BYTES(column, bytes) SET_IF(bytes, column, PointerGetDatum(bytes))
#define SET_TIME(column, time) SET_IF((time) != DT_NOBEGIN, column, TimestampTzGetDatum(time))
	SET(EVENT_BATCH, Int64GetDatum(0));
	SET(EVENT_OBJECT, Int64GetDatum(event->object_id));
	SET_TEXT(EVENT_FEED, event->feed);
	SET_TEXT(EVENT_FILE, event->file);
	SET_IF(event->line > 0, EVENT_LINE, Int64GetDatum(event->line));
	SET_IF(event->byte_offset >= 0, EVENT_BYTE_OFFSET, Int64GetDatum(event->byte_offset));
	if (event->topic)
	{
		SET_TEXT(EVENT_TOPIC, event->topic);
		SET(EVENT_PARTITION, Int32GetDatum(event->partition));
		SET(EVENT_OFFSET, Int64GetDatum(event->offset));
	}
	SET_TIME(EVENT_MESSAGE_TIME, event->message_time);
	SET_BYTES(EVENT_KEY, event->message_key);
	SET_JSON(EVENT_HEADERS, event->message_headers);
	if (event->read_no > 0)
		SET(EVENT_READ, Int64GetDatum(event->read_no));
	else
		SET(EVENT_POSITION, Int64GetDatum(event->position));
	SET_TIME(EVENT_TIME, event->event_time);
	SET_BYTES(EVENT_RAW, event->raw);
	SET_TEXT(EVENT_RAW_FORM, event->raw_form);
	SET_JSON(EVENT_REDACTED, event->redacted);
	SET_BYTES(EVENT_HASH, event->hash);
	SET_JSON(EVENT_ERRORS, event->errors);
	SET_TEXT(EVENT_COLUMN, event->column);
	SET_TEXT(EVENT_SQLSTATE, unpack_sql_state(event->sqlerrcode));
	SET_TEXT(EVENT_MESSAGE, event->message);
	SET_BYTES(EVENT_RECORD_KEY, event->record_key);
}

/* The event of a record that is not to be told again; each use is one look into the unique index. */
#define STANDING_EVENT \
	"SELECT FROM wh.error_event WHERE object_id OPERATOR(pg_catalog.=) $%d AND record_hash OPERATOR(pg_catalog.=) $%d" \
	" AND (state IN ('open', 'dismissed') OR settled_by OPERATOR(pg_catalog.=) 'key')"

/* Give the plan that writes an event, made once in a session. */
static SPIPlanPtr
insert_plan(void)
{
	static SPIPlanPtr kept = NULL;
	Oid			types[WH_EVENT_COLUMNS];
	StringInfoData names;
	StringInfoData parameters;
	SPIPlanPtr	plan;

	if (kept)
		return kept;
	initStringInfo(&names);
	initStringInfo(&parameters);
	for (int i = 0; i < WH_EVENT_COLUMNS; i++)
	{
		types[i] = columns[i].type;
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", columns[i].name);
		appendStringInfo(&parameters, "%s$%d", i > 0 ? ", " : "", i + 1);
	}
	plan = SPI_prepare(psprintf("INSERT INTO wh.error_event AS e (%s) SELECT %s"
								" WHERE NOT EXISTS (" STANDING_EVENT " AND source_position OPERATOR(pg_catalog.=) $%d)"
								" AND NOT EXISTS (" STANDING_EVENT " AND source_position IS NULL AND $%d IS NULL)"
								" ON CONFLICT (object_id, source_position, record_hash) DO UPDATE"
								" SET state = 'open', closed_at = NULL, settled_by = NULL, batch_id = excluded.batch_id,"
								" errors = excluded.errors, \"column\" = excluded.\"column\","
								" sqlstate = excluded.sqlstate, message = excluded.message,"
								" record_key = excluded.record_key"
								" WHERE e.state OPERATOR(pg_catalog.=) 'retried' OR e.settled_by OPERATOR(pg_catalog.=) 'read'",
								names.data, parameters.data, EVENT_OBJECT + 1, EVENT_HASH + 1, EVENT_POSITION + 1,
								EVENT_OBJECT + 1, EVENT_HASH + 1, EVENT_POSITION + 1),
					   WH_EVENT_COLUMNS, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare the writing of error events");
	kept = plan;
	return kept;
}

/*
 * Insert an event, given as wh_event_form made it, unless it is there.  One that
 * was retried, or settled because its record had gone, is open again.
 */
void
wh_event_insert(WhIngest *ing, Datum *values, const bool *isnull)
{
	char		nulls[WH_EVENT_COLUMNS];
	WhSurroundings saved;

	values[EVENT_BATCH] = Int64GetDatum(ing->batch_id);
	for (int i = 0; i < WH_EVENT_COLUMNS; i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_plan(insert_plan(), values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not write an error event");
	if (SPI_processed > 0)
		ing->result->changed = true;
	else
		wh_settle_note_seen(ing, DatumGetByteaPP(values[EVENT_HASH]));
	SPI_finish();
	wh_surroundings_leave(&saved);
}
