/*
 * kafka_format.c
 *	  Decodes payloads of each format, and keys of deletes.
 *
 * Called by wh_kafka_decode only, see kafka_message.c.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "kafka/kafka_convert.h"
#include "kafka/kafka_format.h"
#include "kafka/kafka_time.h"

/*
 * Take the key columns of a delete, or of a message without them, from the
 * message's key: the column named by key_column, else the fields of a key
 * that is a JSON object (with Debezium also below "payload").  A query shows a
 * delete whose key cannot be read as a row of nulls; a feed must know the key.
 */
void
wh_kafka_decode_key(WhKafkaDecoder *decoder)
{
	const WhKafkaTable *table = decoder->table;
	const WhKafkaMessage *message = decoder->message;
	bool		debezium = table->format == WH_KAFKA_DEBEZIUM;

	if (!decoder->collect_errors &&
		(message->key == NULL || (table->key_attnum == 0 && decoder->fields == NULL)))
		return;
	if (message->key == NULL)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_NOT_NULL_VIOLATION, "a delete without a key");
		return;
	}
	if (table->key_attnum)
	{
		for (int i = 0; i < decoder->ncolumns; i++)
		{
			if (decoder->columns[i].attnum == table->key_attnum)
				wh_kafka_convert_bytes(decoder, &decoder->columns[i], message->key, message->key_len);
		}
		return;
	}
	if (decoder->fields == NULL)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
				  "a delete whose key belongs to no column: set option key_column");
		return;
	}
	if (decoder->key_fields == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(decoder));
		List	   *paths = NIL;

		for (int i = 0; i < decoder->ncolumns; i++)
		{
			List	   *path = table->columns[decoder->columns[i].attnum - 1].path;

			paths = lappend(paths, path ? path : list_make1(""));
			paths = lappend(paths, lcons("payload", list_copy(path)));
		}
		decoder->key_fields = wh_json_fields_create(paths);
		decoder->key_values = palloc0(sizeof(WhJsonValue) * Max(list_length(paths), 1));
		MemoryContextSwitchTo(oldcontext);
	}
	if (!wh_json_fields_parse(decoder->key_fields, message->key, message->key_len, decoder->key_values))
	{
		if (decoder->collect_errors)
			wh_kafka_row_error(decoder, 0, wh_json_fields_sqlstate(decoder->key_fields),
					  psprintf("key of a delete: %s; set option key_column if it is a plain value",
							   wh_json_fields_error(decoder->key_fields)));
		return;
	}
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhJsonValue *value = &decoder->key_values[i * 2];

		if (decoder->columns[i].kind != WH_KAFKA_FIELD)
			continue;
		if (debezium && value->kind == WH_JSON_MISSING)
			value++;
		wh_kafka_convert_json(decoder, &decoder->columns[i], value);
	}
}

/* Decode a payload of format json. */
void
wh_kafka_decode_json(WhKafkaDecoder *decoder)
{
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];

		if (column->kind != WH_KAFKA_FIELD)
			continue;
		if (unlikely(decoder->values[column->slot].kind == WH_JSON_MISSING) &&
			column->attnum == decoder->table->key_attnum && decoder->message->key)
			wh_kafka_convert_bytes(decoder, column, decoder->message->key, decoder->message->key_len);
		else
			wh_kafka_convert_json(decoder, column, &decoder->values[column->slot]);
	}
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
		decoder->row->tombstone = true;
	else if (state->kind != WH_JSON_OBJECT)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_INVALID_TEXT_REPRESENTATION, "a Debezium change without its row");
		return;
	}

	/* without a replica identity there is no row before, only the message's key */
	if (state->kind != WH_JSON_OBJECT)
		wh_kafka_decode_key(decoder);
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];

		switch (column->kind)
		{
			case WH_KAFKA_FIELD:
				if (state->kind == WH_JSON_OBJECT)
					wh_kafka_convert_json(decoder, column, &decoder->values[column->slot + below * 2 + (op == 'd' ? 1 : 0)]);
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
				if (envelope[WH_KAFKA_ENVELOPE_SOURCE_TIME].kind == WH_JSON_NUMBER)
					wh_kafka_set_time(decoder, column, wh_kafka_time(strtoi64(envelope[WH_KAFKA_ENVELOPE_SOURCE_TIME].text, NULL, 10)));
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
			while (p < end && *p != ',')
				*out++ = *p++;
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
