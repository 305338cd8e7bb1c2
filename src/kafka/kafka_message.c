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

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "compat.h"
#include "kafka/kafka_convert.h"
#include "kafka/kafka_decoder.h"
#include "kafka/kafka_format.h"
#include "kafka/kafka_key.h"
#include "kafka/kafka_meaning.h"
#include "kafka/kafka_time.h"

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
	Oid			base = getBaseType(type);

	switch (base)
	{
		case JSONOID:
		case JSONBOID:
			return WH_KAFKA_TAKES_JSON;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return WH_KAFKA_TAKES_TEXT;
		case BYTEAOID:
			return WH_KAFKA_TAKES_BYTES;
		case NUMERICOID:
			return WH_KAFKA_TAKES_NUMERIC;
		case BITOID:
		case VARBITOID:
			return WH_KAFKA_TAKES_BITS;
		default:
			return wh_kafka_is_time(base) ? WH_KAFKA_TAKES_TIMES :
				OidIsValid(get_element_type(base)) ? WH_KAFKA_TAKES_ARRAYS : WH_KAFKA_TAKES_SCALARS;
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
	decoder->schema.context = CurrentMemoryContext;
	if (debezium)
		paths = lappend(envelope_paths(envelope_paths(NIL, NULL), "payload"), list_make1("schema"));
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
		decode->meaning = column->meaning;
		decode->scale = column->scale;
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

/* Set a column of the header with a name: the last one, if there are more. */
static void
set_header(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column)
{
	const char *wanted = decoder->table->columns[column->attnum - 1].header;
	const char *found = NULL;
	const char *name;
	const char *value;
	Size		len;
	Size		found_len = 0;

	for (int i = 0; decoder->message->handle && wh_kafka_message_header(decoder->message, i, &name, &value, &len); i++)
	{
		if (strcmp(name, wanted) == 0)
		{
			found = value;
			found_len = len;
		}
	}
	if (found)
		wh_kafka_convert_bytes(decoder, column, found, found_len);
}

/* Set a column of the message's metadata. */
static void
set_metadata(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column)
{
	const WhKafkaMessage *message = decoder->message;

	switch (column->kind)
	{
		case WH_KAFKA_PARTITION:
			wh_kafka_set_integer(decoder, column, message->partition);
			break;
		case WH_KAFKA_OFFSET:
			wh_kafka_set_integer(decoder, column, message->offset);
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
		case WH_KAFKA_TOPIC:
			wh_kafka_convert(decoder, column, decoder->table->topic, strlen(decoder->table->topic));
			break;
		case WH_KAFKA_SCHEMA_ID:
			if (wh_kafka_is_framed(message->value, message->value_len))
				wh_kafka_set_integer(decoder, column, wh_kafka_schema_id(message->value));
			break;
		case WH_KAFKA_HEADER:
			set_header(decoder, column);
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

/* Say why a value could not be read as JSON. */
static void
refuse_value(WhKafkaDecoder *decoder, bool is_framed)
{
	const char *message = wh_json_fields_error(decoder->fields);

	if (is_framed)
		wh_kafka_row_error(decoder, 0, wh_json_fields_sqlstate(decoder->fields),
						   psprintf("message is framed by a schema registry (schema %d), and what follows is not JSON: %s",
									wh_kafka_schema_id(decoder->message->value), message));
	else
		wh_kafka_row_error(decoder, 0, wh_json_fields_sqlstate(decoder->fields), message);
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
	row->is_change = false;
	row->is_echo = message->value == NULL && decoder->table->format == WH_KAFKA_DEBEZIUM;
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
		Size		frame = wh_kafka_is_framed(message->value, message->value_len) ? WH_KAFKA_FRAME_BYTES : 0;

		if (!wh_json_fields_parse(decoder->fields, message->value + frame, message->value_len - frame, decoder->values))
			refuse_value(decoder, frame > 0);
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

/*
 * Warn of columns whose field none of the messages so far had, and count the
 * warnings: at once when they have it in other letters, else when there were
 * many.  Each is told once.
 */
void
wh_kafka_warn_unseen(WhKafkaDecoder *decoder, int64 *warnings)
{
	if (decoder->nobjects == 0)
		return;
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];
		const WhKafkaColumn *described = &decoder->table->columns[column->attnum - 1];

		if (column->kind != WH_KAFKA_FIELD || column->was_seen ||
			(column->similar == NULL && decoder->nobjects < WH_KAFKA_SIMILAR_MESSAGES))
			continue;
		column->was_seen = true;
		(*warnings)++;
		ereport(WARNING,
				(errmsg("no message of topic \"%s\" had the field of column \"%s\"", decoder->table->topic, described->name),
				 column->similar ?
				 errhint("The messages have \"%s\": name the column so, in double quotes, or give its path.", column->similar) :
				 errhint("Check the column's name and path.")));
	}
}
