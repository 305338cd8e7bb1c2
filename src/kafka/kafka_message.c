/*
 * kafka_message.c
 *	  Turns a Kafka message into a row of its foreign table.
 *
 * Errors of a message are either collected in the row, all of them, or raised
 * with topic, partition and offset as their context.
 *
 * Runs in backends and workers, in a transaction; takes no locks.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka/kafka_decoder.h"
#include "base/time_zone.h"

/* Turn Kafka's milliseconds since 1970 into a time; DT_NOBEGIN when there is none. */
TimestampTz
wh_kafka_time(int64 milliseconds)
{
	int64		epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
	TimestampTz time;

	if (milliseconds < 0 || milliseconds > PG_INT64_MAX / 1000)
		return DT_NOBEGIN;
	time = (milliseconds - epoch) * 1000;
	return time <= WH_LATEST_TIME ? time : DT_NOBEGIN;
}

/* Turn a finite time into Kafka's milliseconds, rounded up. */
int64
wh_kafka_milliseconds(TimestampTz time)
{
	int64		epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	return time / 1000 + (time % 1000 > 0 ? 1 : 0) + epoch;
}

/* Add the path of a column below prefixes. */
static List *
prefixed(const char *first, const char *second, List *path)
{
	List	   *result = list_copy(path);

	if (second)
		result = lcons((void *) second, result);
	if (first)
		result = lcons((void *) first, result);
	return result;
}

/* List the paths that the envelope itself is read by, below first. */
static List *
envelope_paths(List *paths, const char *first)
{
	paths = lappend(paths, prefixed(first, "op", NIL));
	paths = lappend(paths, prefixed(first, "before", NIL));
	paths = lappend(paths, prefixed(first, "after", NIL));
	paths = lappend(paths, prefixed(first, "source", NIL));
	return lappend(paths, prefixed(first, "source", list_make1("ts_ms")));
}

static WhKafkaColumnClass
class_of_type(Oid type)
{
	switch (getBaseType(type))
	{
		case JSONOID:
		case JSONBOID:
			return WH_KAFKA_TAKES_JSON;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return WH_KAFKA_TAKES_TEXT;
		default:
			return WH_KAFKA_TAKES_SCALARS;
	}
}

/*
 * Make a decoder for the columns in used (attribute numbers), NULL = all, in
 * the current memory context.
 */
WhKafkaDecoder *
wh_kafka_decoder_create(const WhKafkaTable *table, Bitmapset *used)
{
	WhKafkaDecoder *decoder = palloc0(sizeof(WhKafkaDecoder));
	bool		debezium = table->format == WH_KAFKA_DEBEZIUM;
	List	   *paths = NIL;

	decoder->table = table;
	decoder->columns = palloc0(sizeof(WhKafkaColumnDecoder) * Max(table->natts, 1));
	decoder->arena = wh_value_arena_create(CurrentMemoryContext);
	decoder->row_context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh message", ALLOCSET_SMALL_SIZES);
	if (debezium)
		paths = envelope_paths(envelope_paths(NIL, NULL), "payload");
	for (int i = 0; i < table->natts; i++)
	{
		const WhKafkaColumn *column = &table->columns[i];
		WhKafkaColumnDecoder *decode;

		if (column->kind == WH_KAFKA_DROPPED || (used && !bms_is_member(i + 1, used)))
			continue;
		decode = &decoder->columns[decoder->ncolumns++];
		decode->attnum = i + 1;
		decode->kind = column->kind;
		decode->type = column->type;
		decode->class = class_of_type(column->type);
		decode->slot = list_length(paths);
		decode->converter = wh_value_converter(column->type, column->typmod, decoder->arena);
		if (column->kind != WH_KAFKA_FIELD)
			continue;
		if (debezium)
		{
			paths = lappend(paths, prefixed("after", NULL, column->path));
			paths = lappend(paths, prefixed("before", NULL, column->path));
			paths = lappend(paths, prefixed("payload", "after", column->path));
			paths = lappend(paths, prefixed("payload", "before", column->path));
		}
		else
			paths = lappend(paths, column->path);
	}
	if (debezium || table->format == WH_KAFKA_JSON)
	{
		decoder->fields = wh_json_fields_create(paths);
		decoder->values = palloc0(sizeof(WhJsonValue) * Max(list_length(paths), 1));
	}
	return decoder;
}

/* Note an error of the row, or raise it. */
void
wh_kafka_row_error(WhKafkaDecoder *decoder, AttrNumber attnum, int sqlerrcode, const char *message)
{
	WhSourceRow *row = decoder->row;
	MemoryContext oldcontext;
	WhRowError *error;

	if (!decoder->collect_errors)
		ereport(ERROR,
				errcode(sqlerrcode),
				errmsg("%s", message),
				attnum ? errdetail("The value is of column \"%s\".", decoder->table->columns[attnum - 1].name) : 0);
	oldcontext = MemoryContextSwitchTo(decoder->row_context);
	error = palloc(sizeof(WhRowError));
	error->attnum = attnum;
	error->sqlerrcode = sqlerrcode;
	error->message = pstrdup(message);
	row->errors = lappend(row->errors, error);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Make text of the message, in UTF-8, text of the database's encoding, in the
 * row's memory when it changes.  false = it cannot be; the error is noted.
 */
static bool
to_server_encoding(WhKafkaDecoder *decoder, AttrNumber attnum, const char **text, Size *len)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char *buffer;
	Oid			function;
	int			done;

	if (likely(encoding == PG_UTF8) || encoding == PG_SQL_ASCII)
		return true;
	function = FindDefaultConversionProc(PG_UTF8, encoding);
	if (OidIsValid(function))
	{
		Size		size = *len * MAX_CONVERSION_GROWTH + 1;

		buffer = MemoryContextAlloc(decoder->row_context, size);
		done = pg_do_encoding_conversion_buf(function, PG_UTF8, encoding, (unsigned char *) unconstify(char *, *text),
											 *len, buffer, size, true);
		if (done == *len)
		{
			*text = (char *) buffer;
			*len = strlen((char *) buffer);
			return true;
		}
	}
	wh_kafka_row_error(decoder, attnum, ERRCODE_UNTRANSLATABLE_CHARACTER,
			  psprintf("text cannot be converted from UTF8 to %s", pg_encoding_to_char(encoding)));
	return false;
}

/* Keep the text of a value that could not be converted, in the row's memory. */
static void
keep_unread(WhKafkaDecoder *decoder, AttrNumber attnum, const char *text, Size len)
{
	WhSourceRow *row = decoder->row;

	if (!decoder->collect_errors)
		return;
	if (row->unread == NULL)
		row->unread = MemoryContextAllocZero(decoder->row_context, sizeof(char *) * decoder->table->natts);
	row->unread[attnum - 1] = MemoryContextAlloc(decoder->row_context, len + 1);
	memcpy(row->unread[attnum - 1], text, len);
	row->unread[attnum - 1][len] = '\0';
}

/* Convert text in UTF-8 to a column's value. */
void
wh_kafka_convert(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *text, Size len)
{
	WhSourceRow *row = decoder->row;
	WhRowError	error;

	if (!to_server_encoding(decoder, column->attnum, &text, &len))
		return;
	if (wh_value_convert(column->converter, text, len, &row->values[column->attnum - 1],
						 decoder->collect_errors ? &error : NULL))
		row->isnull[column->attnum - 1] = false;
	else
	{
		wh_kafka_row_error(decoder, column->attnum, error.sqlerrcode, error.message);
		keep_unread(decoder, column->attnum, text, len);
	}
}

/* Convert a value of JSON to a column's value. */
void
wh_kafka_convert_json(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	if (value->kind == WH_JSON_MISSING || value->kind == WH_JSON_NULL)
		return;
	if (column->class == WH_KAFKA_TAKES_JSON)
		wh_kafka_convert(decoder, column, value->raw, value->raw_len);
	else if (column->class == WH_KAFKA_TAKES_SCALARS && value->kind >= WH_JSON_OBJECT)
	{
		const char *text = value->raw;
		Size		len = value->raw_len;

		wh_kafka_row_error(decoder, column->attnum, ERRCODE_DATATYPE_MISMATCH,
				  psprintf("a JSON %s is no value of type %s",
						   value->kind == WH_JSON_OBJECT ? "object" : "array", format_type_be(column->type)));
		if (decoder->collect_errors && to_server_encoding(decoder, column->attnum, &text, &len))
			keep_unread(decoder, column->attnum, text, len);
	}
	else
		wh_kafka_convert(decoder, column, value->text, value->len);
}

/* Convert bytes that come without a format: keys, payloads of format text. */
void
wh_kafka_convert_bytes(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *data, Size len)
{
	int			valid;

	if (getBaseType(column->type) == BYTEAOID)
	{
		bytea	   *bytes = wh_value_alloc(decoder->arena, len + VARHDRSZ);

		SET_VARSIZE(bytes, len + VARHDRSZ);
		memcpy(VARDATA(bytes), data, len);
		decoder->row->values[column->attnum - 1] = PointerGetDatum(bytes);
		decoder->row->isnull[column->attnum - 1] = false;
		return;
	}
	valid = pg_encoding_verifymbstr(PG_UTF8, data, len);
	if (valid < len)
		wh_kafka_row_error(decoder, column->attnum, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
				  psprintf("%s at byte %d", data[valid] == '\0' ? "NUL byte" : "invalid UTF-8", valid + 1));
	else
		wh_kafka_convert(decoder, column, data, len);
}

/* Append bytes as a JSON string; what is no text becomes "\x" and digits. */
static void
append_json_bytes(StringInfo out, const char *data, Size len)
{
	if (pg_encoding_verifymbstr(PG_UTF8, data, len) == len)
		escape_json(out, pg_any_to_server(pnstrdup(data, len), len, PG_UTF8));
	else
	{
		char	   *digits = palloc(len * 2 + 1);

		digits[hex_encode(data, len, digits)] = '\0';
		appendStringInfo(out, "\"\\\\x%s\"", digits);
	}
}

/*
 * Describe a message's headers as a JSON object of strings, in the current
 * memory context; a name that occurs more than once has an array.  NULL = the
 * message has none.
 */
char *
wh_kafka_headers_json(const WhKafkaMessage *message)
{
	StringInfoData out;
	const char *name;
	const char *other;
	const char *value;
	Size		len;

	if (message->handle == NULL)
		return message->headers ? pstrdup(message->headers) : NULL;
	if (!wh_kafka_message_header(message, 0, &name, &value, &len))
		return NULL;
	initStringInfo(&out);
	for (int i = 0; wh_kafka_message_header(message, i, &name, &value, &len); i++)
	{
		bool		earlier = false;
		int			count = 0;

		for (int j = 0; j < i && wh_kafka_message_header(message, j, &other, &value, &len); j++)
			earlier |= strcmp(other, name) == 0;
		if (earlier)
			continue;
		appendStringInfoChar(&out, out.len == 0 ? '{' : ',');
		append_json_bytes(&out, name, strlen(name));
		appendStringInfoChar(&out, ':');
		for (int j = i; wh_kafka_message_header(message, j, &other, &value, &len); j++)
			count += strcmp(other, name) == 0;
		if (count > 1)
			appendStringInfoChar(&out, '[');
		for (int j = i; wh_kafka_message_header(message, j, &other, &value, &len); j++)
		{
			if (strcmp(other, name) != 0)
				continue;
			if (j > i)
				appendStringInfoChar(&out, ',');
			if (value)
				append_json_bytes(&out, value, len);
			else
				appendStringInfoString(&out, "null");
		}
		if (count > 1)
			appendStringInfoChar(&out, ']');
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* Set a column of an integer that is not in the message's text. */
static void
set_integer(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, int64 number)
{
	Datum	   *value = &decoder->row->values[column->attnum - 1];

	if (column->type == INT8OID)
		*value = Int64GetDatum(number);
	else if (column->type == INT4OID && number == (int32) number)
		*value = Int32GetDatum((int32) number);
	else
	{
		char		text[32];

		snprintf(text, sizeof(text), INT64_FORMAT, number);
		wh_kafka_convert(decoder, column, text, strlen(text));
		return;
	}
	decoder->row->isnull[column->attnum - 1] = false;
}

/* Set a column of a time; nothing when there is none. */
void
wh_kafka_set_time(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		return;
	if (column->type == TIMESTAMPTZOID)
	{
		decoder->row->values[column->attnum - 1] = TimestampTzGetDatum(time);
		decoder->row->isnull[column->attnum - 1] = false;
	}
	else
	{
		const char *text = timestamptz_to_str(time);

		wh_kafka_convert(decoder, column, text, strlen(text));
	}
}

/* Set a column of the message's metadata. */
static void
set_metadata(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column)
{
	const WhKafkaMessage *message = decoder->message;

	switch (column->kind)
	{
		case WH_KAFKA_PARTITION:
			set_integer(decoder, column, message->partition);
			break;
		case WH_KAFKA_OFFSET:
			set_integer(decoder, column, message->offset);
			break;
		case WH_KAFKA_TIMESTAMP:
			wh_kafka_set_time(decoder, column, decoder->row->source_time);
			break;
		case WH_KAFKA_KEY:
			if (message->key)
				wh_kafka_convert_bytes(decoder, column, message->key, message->key_len);
			break;
		case WH_KAFKA_VALUE:
			if (message->value)
				wh_kafka_convert_bytes(decoder, column, message->value, message->value_len);
			break;
		case WH_KAFKA_HEADERS:
			{
				MemoryContext oldcontext = MemoryContextSwitchTo(decoder->row_context);
				char	   *headers = wh_kafka_headers_json(message);

				MemoryContextSwitchTo(oldcontext);
				if (headers)
					wh_kafka_convert(decoder, column, headers, strlen(headers));
				break;
			}
		default:
			break;
	}
}

/* Tell of which message an error is. */
static void
message_context(void *arg)
{
	WhKafkaDecoder *decoder = arg;

	errcontext("message at topic \"%s\", partition %d, offset " INT64_FORMAT,
			   decoder->table->topic, decoder->message->partition, decoder->message->offset);
	if (wh_value_is_data_error(geterrcode()))
		errhint("Condition the query on partition and offset to leave the message out; a feed keeps such messages as error events.");
}

/*
 * Decode a message into a row, whose arrays of values and nulls the caller
 * provides.  All else in it belongs to the decoder or the message, until the
 * next one.  With collect_errors all errors are in the row; else the first is
 * raised.  Columns that are not used are NULL.
 */
void
wh_kafka_decode(WhKafkaDecoder *decoder, const WhKafkaMessage *message, WhSourceRow *row, bool collect_errors)
{
	ErrorContextCallback context;

	if (!MemoryContextIsEmpty(decoder->row_context))
		MemoryContextReset(decoder->row_context);
	wh_value_arena_reset(decoder->arena);
	decoder->message = message;
	decoder->row = row;
	decoder->collect_errors = collect_errors;
	memset(row->isnull, true, decoder->table->natts);
	row->low = message->offset;
	row->byte_offset = -1;
	row->source_time = wh_kafka_time(message->timestamp);
	row->tombstone = message->value == NULL;
	row->deleted_at = 0;
	row->raw = message->value;
	row->raw_len = message->value_len;
	row->is_part = false;
	row->unread = NULL;
	row->errors = NIL;

	context.callback = message_context;
	context.arg = decoder;
	context.previous = error_context_stack;
	error_context_stack = &context;

	for (int i = 0; i < decoder->ncolumns; i++)
	{
		if (decoder->columns[i].kind != WH_KAFKA_FIELD)
			set_metadata(decoder, &decoder->columns[i]);
	}
	if (message->value == NULL)
		wh_kafka_decode_key(decoder);
	else if (decoder->fields)
	{
		if (!wh_json_fields_parse(decoder->fields, message->value, message->value_len, decoder->values))
			wh_kafka_row_error(decoder, 0, wh_json_fields_sqlstate(decoder->fields), wh_json_fields_error(decoder->fields));
		else if (decoder->table->format == WH_KAFKA_JSON)
			wh_kafka_decode_json(decoder);
		else
			wh_kafka_decode_debezium(decoder);
	}
	else if (decoder->table->format == WH_KAFKA_CSV)
		wh_kafka_decode_csv(decoder);
	else
		wh_kafka_decode_text(decoder);

	error_context_stack = context.previous;
}
