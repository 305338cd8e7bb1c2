/*
 * kafka_key.c
 *	  Keys of messages: of deletes, and of messages whose values lack them.
 *
 * A key is text, JSON (a plain value, an object of the key's columns, or either
 * below "payload" beside its "schema", as Connect writes it), or an integer.
 * Where key_format does not say, what is JSON is taken as JSON, and all else as
 * text.
 *
 * Called by wh_kafka_decode only, see kafka_message.c.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "kafka/kafka_convert.h"
#include "kafka/kafka_key.h"
#include "kafka/kafka_schema.h"

/* Paths of a key, which is parsed as the field "" of an object; then two for each column. */
enum
{
	WHOLE,
	SCHEMA,
	PAYLOAD,
	MONGO_ID,					/* of MongoDB's connector: the _id, as a string of JSON */
	MONGO_ID_BELOW,
	PLACES
};

/* Prepare to parse keys. */
static void
prepare(WhKafkaDecoder *decoder)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(decoder));
	List	   *paths = NIL;

	paths = lappend(paths, list_make1(""));
	paths = lappend(paths, list_make2("", "schema"));
	paths = lappend(paths, list_make2("", "payload"));
	paths = lappend(paths, list_make2("", "id"));
	paths = lappend(paths, list_make3("", "payload", "id"));
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		List	   *path = decoder->table->columns[decoder->columns[i].attnum - 1].path;

		/* what is no field has a path that no key has */
		if (path == NIL)
			path = list_make2("", "");
		paths = lappend(paths, lcons("", list_copy(path)));
		paths = lappend(paths, lcons("", lcons("payload", list_copy(path))));
	}
	decoder->key_fields = wh_json_fields_create(paths);
	decoder->key_values = palloc0(sizeof(WhJsonValue) * list_length(paths));
	MemoryContextSwitchTo(oldcontext);
}

/* Parse the message's key as JSON; false = it is none. */
static bool
parse(WhKafkaDecoder *decoder)
{
	const char *key = decoder->message->key;
	Size		len = decoder->message->key_len;
	char	   *object;

	if (decoder->key_fields == NULL)
		prepare(decoder);
	if (wh_kafka_is_framed(key, len))
	{
		key += WH_KAFKA_FRAME_BYTES;
		len -= WH_KAFKA_FRAME_BYTES;
	}
	object = MemoryContextAlloc(decoder->row_context, len + 6);
	memcpy(object, "{\"\":", 4);
	memcpy(object + 4, key, len);
	memcpy(object + 4 + len, "}", 2);
	if (!wh_json_fields_parse(decoder->key_fields, object, len + 5, decoder->key_values))
		return false;
	wh_kafka_schema_of_key(decoder, &decoder->key_values[SCHEMA]);
	return true;
}

/* Convert an integer that is the whole key. */
static void
convert_integer(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, Size size)
{
	const char *key = decoder->message->key;
	uint64		number;
	uint32		half;

	if (decoder->message->key_len != size)
	{
		wh_kafka_row_error(decoder, column->attnum, ERRCODE_INVALID_BINARY_REPRESENTATION,
						   psprintf("the key has %d bytes: key_format says %d", (int) decoder->message->key_len, (int) size));
		return;
	}
	if (size == sizeof(half))
	{
		memcpy(&half, key, size);
		wh_kafka_set_integer(decoder, column, (int32) pg_ntoh32(half));
	}
	else
	{
		memcpy(&number, key, size);
		wh_kafka_set_integer(decoder, column, (int64) pg_ntoh64(number));
	}
}

/* Take the value of one column from a parsed key; missing when it has none. */
static const WhJsonValue *
value_of(WhKafkaDecoder *decoder, int i)
{
	const WhJsonValue *value = &decoder->key_values[PLACES + i * 2];

	return value->kind == WH_JSON_MISSING ? value + 1 : value;
}

/* Take the only key column from the message's key. */
void
wh_kafka_key_column(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column)
{
	const WhKafkaMessage *message = decoder->message;
	const WhJsonValue *whole;

	switch (decoder->table->key_format)
	{
		case WH_KAFKA_KEY_INT32:
			convert_integer(decoder, column, sizeof(int32));
			return;
		case WH_KAFKA_KEY_INT64:
			convert_integer(decoder, column, sizeof(int64));
			return;
		case WH_KAFKA_KEY_TEXT:
			wh_kafka_convert_bytes(decoder, column, message->key, message->key_len);
			return;
		default:
			break;
	}
	if (!parse(decoder))
	{
		if (decoder->table->key_format == WH_KAFKA_KEY_JSON)
			wh_kafka_row_error(decoder, column->attnum, wh_json_fields_sqlstate(decoder->key_fields),
							   "the key is not JSON, as key_format says");
		else
			wh_kafka_convert_bytes(decoder, column, message->key, message->key_len);
		return;
	}
	whole = &decoder->key_values[WHOLE];
	if (whole->kind == WH_JSON_OBJECT)
	{
		const WhJsonValue *payload = &decoder->key_values[PAYLOAD];
		const WhJsonValue *field = value_of(decoder, column - decoder->columns);

		if (field->kind != WH_JSON_MISSING)
			whole = field;
		else if (payload->kind != WH_JSON_MISSING && decoder->key_values[SCHEMA].kind != WH_JSON_MISSING)
			whole = payload;
	}
	if (whole->kind == WH_JSON_NUMBER || whole->kind == WH_JSON_STRING || whole != &decoder->key_values[WHOLE])
		wh_kafka_convert_json(decoder, column, whole);
	else
		wh_kafka_convert_bytes(decoder, column, message->key, message->key_len);
}

/*
 * Convert MongoDB's _id, or a field of it, which its connector writes in keys
 * as a string of JSON named id.
 */
static void
convert_mongo_id(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, List *path)
{
	const WhJsonValue *id = &decoder->key_values[MONGO_ID];
	WhJsonFields *fields;
	WhJsonValue value;
	char	   *object;

	if (id->kind == WH_JSON_MISSING)
		id = &decoder->key_values[MONGO_ID_BELOW];
	if (id->kind != WH_JSON_STRING || strcmp(linitial(path), "_id") != 0)
		return;
	object = psprintf("{\"_id\":%.*s}", id->len, id->text);
	fields = wh_json_fields_create(list_make1(path));
	if (wh_json_fields_parse(fields, object, strlen(object), &value))
		wh_kafka_convert_json(decoder, column, &value);
}

/*
 * Take the key columns of a delete from the message's key: the column named by
 * key_column, else the fields of a key that is an object.  A query shows a
 * delete whose key cannot be read as a row of nulls; a feed must know the key.
 */
void
wh_kafka_decode_key(WhKafkaDecoder *decoder)
{
	const WhKafkaTable *table = decoder->table;
	MemoryContext oldcontext;

	if (!decoder->collect_errors &&
		(decoder->message->key == NULL || (table->key_attnum == 0 && decoder->fields == NULL)))
		return;
	if (decoder->message->key == NULL)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_NOT_NULL_VIOLATION, "a delete without a key");
		return;
	}
	if (table->key_attnum)
	{
		for (int i = 0; i < decoder->ncolumns; i++)
		{
			if (decoder->columns[i].attnum == table->key_attnum)
				wh_kafka_key_column(decoder, &decoder->columns[i]);
		}
		return;
	}
	if (decoder->fields == NULL)
	{
		wh_kafka_row_error(decoder, 0, ERRCODE_FDW_OPTION_NAME_NOT_FOUND,
						   "a delete whose key belongs to no column: set option key_column");
		return;
	}
	if (!parse(decoder) || decoder->key_values[WHOLE].kind != WH_JSON_OBJECT)
	{
		if (decoder->collect_errors)
			wh_kafka_row_error(decoder, 0, ERRCODE_INVALID_TEXT_REPRESENTATION,
							   "the key of a delete is not a JSON object: set option key_column if it is a plain value");
		return;
	}
	oldcontext = MemoryContextSwitchTo(decoder->row_context);
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		const WhJsonValue *value = value_of(decoder, i);

		if (decoder->columns[i].kind != WH_KAFKA_FIELD)
			continue;
		if (value->kind == WH_JSON_MISSING && table->format == WH_KAFKA_DEBEZIUM)
			convert_mongo_id(decoder, &decoder->columns[i], table->columns[decoder->columns[i].attnum - 1].path);
		else
			wh_kafka_convert_json(decoder, &decoder->columns[i], value);
	}
	MemoryContextSwitchTo(oldcontext);
}
