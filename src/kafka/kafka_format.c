/*
 * kafka_format.c
 *	  Decodes payloads of each format.
 *
 * Called by wh_kafka_decode only, see kafka_message.c.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "kafka/kafka_convert.h"
#include "kafka/kafka_format.h"
#include "kafka/kafka_key.h"
#include "kafka/kafka_meaning.h"
#include "kafka/kafka_schema.h"
#include "kafka/kafka_time.h"

/* Decode a payload of format json. */
void
wh_kafka_decode_json(WhKafkaDecoder *decoder)
{
	decoder->nobjects++;
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];

		if (column->kind != WH_KAFKA_FIELD)
			continue;
		if (unlikely(decoder->values[column->slot].kind == WH_JSON_MISSING) &&
			column->attnum == decoder->table->key_attnum && decoder->message->key)
			wh_kafka_key_column(decoder, column);
		else
			wh_kafka_convert_json(decoder, column, &decoder->values[column->slot]);
	}
}

/* Say whether a value is what Debezium writes for one that it does not know: large, and not changed. */
static bool
is_unavailable(const WhJsonValue *value)
{
	static const char plain[] = "__debezium_unavailable_value";
	static const char base64[] = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
	static const char array[] = "[\"__debezium_unavailable_value\"]";

	switch (value->kind)
	{
		case WH_JSON_STRING:
			return (value->len == strlen(plain) && memcmp(value->text, plain, value->len) == 0) ||
				(value->len == strlen(base64) && memcmp(value->text, base64, value->len) == 0);
		case WH_JSON_ARRAY:
			return value->raw_len == strlen(array) && memcmp(value->raw, array, value->raw_len) == 0;
		case WH_JSON_OBJECT:
			return value->raw_len > strlen(plain) + 2 && memcmp(value->raw + 1, array + 1, strlen(plain) + 2) == 0;
		default:
			return false;
	}
}

/* Take a field of the row after a change; before has that of the row before it. */
static void
take_field(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *after, const WhJsonValue *before)
{
	if (likely(!is_unavailable(after)))
		wh_kafka_convert_json(decoder, column, after);
	else if (before->kind != WH_JSON_MISSING && !is_unavailable(before))
		wh_kafka_convert_json(decoder, column, before);
	else
		wh_kafka_row_error(decoder, column->attnum, ERRCODE_DATA_EXCEPTION,
						   "the source did not send this value, as the change left it alone");
}

/* Parse a row that is a string of JSON, as of MongoDB's connector; false = an error is noted. */
static bool
parse_document(WhKafkaDecoder *decoder, const WhJsonValue *state)
{
	if (decoder->document == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(decoder));
		List	   *paths = NIL;

		for (int i = 0; i < decoder->ncolumns; i++)
		{
			List	   *path = decoder->table->columns[decoder->columns[i].attnum - 1].path;

			paths = lappend(paths, path ? path : list_make2("", ""));
		}
		decoder->document = wh_json_fields_create(paths);
		decoder->document_values = palloc0(sizeof(WhJsonValue) * Max(list_length(paths), 1));
		MemoryContextSwitchTo(oldcontext);
	}
	if (wh_json_fields_parse(decoder->document, state->text, state->len, decoder->document_values))
		return true;
	wh_kafka_row_error(decoder, 0, wh_json_fields_sqlstate(decoder->document),
					   psprintf("the row in the change: %s", wh_json_fields_error(decoder->document)));
	return false;
}

/* Read the time at the source, in milliseconds. */
static void
take_source_time(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	int64		micros;

	if (value->kind == WH_JSON_MISSING || value->kind == WH_JSON_NULL)
		return;
	if (value->kind != WH_JSON_NUMBER ||
		!wh_kafka_epoch_read(value->text, value->len, WH_KAFKA_MILLISECONDS, &micros) || micros < 0)
		wh_kafka_row_error(decoder, column->attnum, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
						   "source.ts_ms is no number of milliseconds since 1970");
	else
		wh_kafka_set_time(decoder, column, wh_kafka_time(micros / 1000));
}

/* Decode Debezium's envelope, which may stand below "payload". */
void
wh_kafka_decode_debezium(WhKafkaDecoder *decoder)
{
	int			below = decoder->values[WH_KAFKA_ENVELOPE_OPERATION].kind == WH_JSON_MISSING ? 1 : 0;
	const WhJsonValue *envelope = decoder->values + below * WH_KAFKA_ENVELOPE_SLOTS;
	const WhJsonValue *operation = &envelope[WH_KAFKA_ENVELOPE_OPERATION];
	const WhJsonValue *state;
	char		op = operation->kind == WH_JSON_STRING && operation->len == 1 ? operation->text[0] : '\0';

	switch (op)
	{
		case 'c':
		case 'r':
		case 'u':
		case 'd':
			break;
		case 't':
			wh_kafka_row_error(decoder, 0, ERRCODE_FEATURE_NOT_SUPPORTED,
					  "the source table was truncated, which cannot be taken over");
			return;
		default:
			wh_kafka_row_error(decoder, 0, ERRCODE_INVALID_TEXT_REPRESENTATION,
					  op ? psprintf("unknown Debezium operation \"%c\"", op) : "message is not a Debezium envelope");
			return;
	}
	state = &envelope[op == 'd' ? WH_KAFKA_ENVELOPE_BEFORE : WH_KAFKA_ENVELOPE_AFTER];
	if (op == 'd')
		decoder->row->tombstone = decoder->row->is_change = true;
	else if (state->kind != WH_JSON_OBJECT && state->kind != WH_JSON_STRING)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_INVALID_TEXT_REPRESENTATION, "a Debezium change without its row");
		return;
	}
	wh_kafka_schema_of_value(decoder, &decoder->values[WH_KAFKA_SCHEMA_SLOT]);
	if (state->kind == WH_JSON_STRING && !parse_document(decoder, state))
		return;

	decoder->nobjects++;
	/* without a replica identity there is no row before, only the message's key */
	if (state->kind != WH_JSON_OBJECT && state->kind != WH_JSON_STRING)
		wh_kafka_decode_key(decoder);
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];
		const WhJsonValue *after = &decoder->values[column->slot + below * 2];

		switch (column->kind)
		{
			case WH_KAFKA_FIELD:
				if (state->kind == WH_JSON_STRING)
					wh_kafka_convert_json(decoder, column, &decoder->document_values[i]);
				else if (state->kind != WH_JSON_OBJECT)
					break;
				else if (op == 'd')
					wh_kafka_convert_json(decoder, column, after + 1);
				else
					take_field(decoder, column, after, after + 1);
				break;
			case WH_KAFKA_OPERATION:
				wh_kafka_convert_json(decoder, column, operation);
				break;
			case WH_KAFKA_SOURCE:
				wh_kafka_convert_json(decoder, column, &envelope[WH_KAFKA_ENVELOPE_SOURCE]);
				break;
			case WH_KAFKA_SOURCE_TIME:
				if (op == 'd')
					decoder->row->deleted_at = column->attnum;
				take_source_time(decoder, column, &envelope[WH_KAFKA_ENVELOPE_SOURCE_TIME]);
				break;
			default:
				break;
		}
	}
}

/*
 * Decode a payload of format csv: one record by RFC 4180, its fields in the
 * order of the columns.  An empty field without quotes is NULL.
 */
void
wh_kafka_decode_csv(WhKafkaDecoder *decoder)
{
	const char *p = decoder->message->value;
	const char *end = p + decoder->message->value_len;
	char	   *buffer = MemoryContextAlloc(decoder->row_context, end - p + 1);
	int			i = 0;
	int			valid = pg_encoding_verifymbstr(PG_UTF8, p, end - p);

	if (valid < end - p)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
				  psprintf("%s at byte %d", p[valid] == '\0' ? "NUL byte" : "invalid UTF-8", valid + 1));
		return;
	}
	if (end > p && end[-1] == '\n')
		end--;
	if (end > p && end[-1] == '\r')
		end--;
	for (int attnum = 1; attnum <= decoder->table->natts; attnum++)
	{
		char	   *out = buffer;
		bool		quoted = false;

		if (decoder->table->columns[attnum - 1].kind != WH_KAFKA_FIELD)
			continue;
		if (p > end)
		{
			wh_kafka_row_error(decoder, attnum, ERRCODE_BAD_COPY_FILE_FORMAT, "missing field");
			return;
		}
		if (p < end && *p == '"')
		{
			quoted = true;
			for (p++;; p++)
			{
				if (p == end)
				{
					wh_kafka_row_error(decoder, attnum, ERRCODE_BAD_COPY_FILE_FORMAT, "quoted field without an end");
					return;
				}
				if (*p == '"')
				{
					p++;
					if (p == end || *p != '"')
						break;
				}
				*out++ = *p;
			}
			if (p < end && *p != ',')
			{
				wh_kafka_row_error(decoder, attnum, ERRCODE_BAD_COPY_FILE_FORMAT, "text after a closing quote");
				return;
			}
		}
		else
		{
			while (p < end && *p != ',' && *p != '\n' && *p != '\r')
				*out++ = *p++;
			if (p < end && *p != ',')
			{
				wh_kafka_row_error(decoder, attnum, ERRCODE_BAD_COPY_FILE_FORMAT,
						  "line end outside of quotes: the message has more than one record");
				return;
			}
		}
		p++;
		while (i < decoder->ncolumns && decoder->columns[i].attnum < attnum)
			i++;
		if (i < decoder->ncolumns && decoder->columns[i].attnum == attnum && (quoted || out > buffer))
			wh_kafka_convert(decoder, &decoder->columns[i], buffer, out - buffer);
	}
	if (p <= end)
		wh_kafka_row_error(decoder, 0, ERRCODE_BAD_COPY_FILE_FORMAT, "more fields than columns");
}

/* Decode a payload of format text: all of it is the only field. */
void
wh_kafka_decode_text(WhKafkaDecoder *decoder)
{
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		if (decoder->columns[i].kind == WH_KAFKA_FIELD)
			wh_kafka_convert_bytes(decoder, &decoder->columns[i], decoder->message->value, decoder->message->value_len);
	}
}
