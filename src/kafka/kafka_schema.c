/*
 * kafka_schema.c
 *	  Schemas of Connect that stand in the messages themselves: they say what
 *	  numbers and strings mean, unless options of the columns do.
 *
 * A topic's messages repeat their schema, so it is read only when it is another
 * one than that of the message before.  What a message means depends on its own
 * schema alone, never on another message's.
 *
 * Called while a message is decoded, in a transaction.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "kafka/kafka_schema.h"

/* The semantic types of Connect and Debezium that columns have to know. */
static const struct
{
	const char *name;
	WhKafkaMeaning meaning;
}			semantics[] =
{
	{"org.apache.kafka.connect.data.Decimal", WH_KAFKA_BASE64},
	{"org.apache.kafka.connect.data.Date", WH_KAFKA_DAYS},
	{"org.apache.kafka.connect.data.Time", WH_KAFKA_MILLISECONDS},
	{"org.apache.kafka.connect.data.Timestamp", WH_KAFKA_MILLISECONDS},
	{"io.debezium.time.Date", WH_KAFKA_DAYS},
	{"io.debezium.time.Time", WH_KAFKA_MILLISECONDS},
	{"io.debezium.time.MicroTime", WH_KAFKA_MICROSECONDS},
	{"io.debezium.time.NanoTime", WH_KAFKA_NANOSECONDS},
	{"io.debezium.time.Timestamp", WH_KAFKA_MILLISECONDS},
	{"io.debezium.time.MicroTimestamp", WH_KAFKA_MICROSECONDS},
	{"io.debezium.time.NanoTimestamp", WH_KAFKA_NANOSECONDS},
	{"io.debezium.time.MicroDuration", WH_KAFKA_MICROSECONDS},
	{"io.debezium.time.NanoDuration", WH_KAFKA_NANOSECONDS},
	{"io.debezium.data.Bits", WH_KAFKA_BITS},
};

static JsonbValue *
member(JsonbContainer *object, const char *name, JsonbValue *value)
{
	if (object == NULL || !JsonContainerIsObject(object))
		return NULL;
	return getKeyJsonValueFromContainer(object, name, strlen(name), value);
}

static bool
is_text(const JsonbValue *value, const char *text)
{
	return value && value->type == jbvString && value->val.string.len == strlen(text) &&
		memcmp(value->val.string.val, text, strlen(text)) == 0;
}

/* Find the schema of a field in the schema of a struct; NULL = it has none. */
static JsonbContainer *
field_schema(JsonbContainer *schema, const char *name)
{
	JsonbValue	buffer;
	JsonbValue *fields = member(schema, "fields", &buffer);
	uint32		count;

	if (fields == NULL || fields->type != jbvBinary || !JsonContainerIsArray(fields->val.binary.data))
		return NULL;
	count = JsonContainerSize(fields->val.binary.data);
	for (uint32 i = 0; i < count; i++)
	{
		JsonbValue *field = getIthJsonbValueFromContainer(fields->val.binary.data, i);
		JsonbValue	field_name;

		if (field && field->type == jbvBinary && is_text(member(field->val.binary.data, "field", &field_name), name))
			return field->val.binary.data;
	}
	return NULL;
}

/* Take the meaning of a column's values from their schema. */
static void
take_meaning(WhKafkaColumnDecoder *column, JsonbContainer *schema)
{
	JsonbValue	buffer;
	JsonbValue *value;

	column->meaning = WH_KAFKA_PLAIN;
	column->scale = -1;
	if (is_text(member(schema, "type", &buffer), "bytes"))
		column->meaning = column->class == WH_KAFKA_TAKES_BYTES ? WH_KAFKA_BASE64 : WH_KAFKA_PLAIN;
	value = member(schema, "name", &buffer);
	for (int i = 0; value && i < lengthof(semantics); i++)
	{
		if (is_text(value, semantics[i].name))
			column->meaning = semantics[i].meaning;
	}
	/* into a column of text goes what stands there */
	if (column->meaning == WH_KAFKA_BASE64 && column->class == WH_KAFKA_TAKES_NUMERIC)
	{
		value = member(schema, "parameters", &buffer);
		value = value && value->type == jbvBinary ? member(value->val.binary.data, "scale", &buffer) : NULL;
		if (value && value->type == jbvString && value->val.string.len < 8)
			column->scale = atoi(pnstrdup(value->val.string.val, value->val.string.len));
	}
}

/* Give the columns without options their meaning by a schema; first is a field above them, or NULL. */
static void
apply(WhKafkaDecoder *decoder, JsonbContainer *schema, const char *first)
{
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		WhKafkaColumnDecoder *column = &decoder->columns[i];
		const WhKafkaColumn *options = &decoder->table->columns[column->attnum - 1];
		JsonbContainer *found = schema;
		ListCell   *lc;

		if (column->kind != WH_KAFKA_FIELD || options->meaning != WH_KAFKA_PLAIN)
			continue;
		if (first)
			found = field_schema(schema, first);
		foreach(lc, options->path)
		{
			if (found)
				found = field_schema(found, lfirst(lc));
		}
		take_meaning(column, found);
	}
}

/* Note that a schema is the last one; false = it was before. */
static bool
is_another(WhKafkaSchema *last, const WhJsonValue *schema)
{
	if (last->text && last->len == schema->raw_len && memcmp(last->text, schema->raw, last->len) == 0)
		return false;
	if (last->text)
		pfree(last->text);
	last->text = MemoryContextAlloc(last->context, schema->raw_len + 1);
	memcpy(last->text, schema->raw, schema->raw_len);
	last->text[schema->raw_len] = '\0';
	last->len = schema->raw_len;
	return true;
}

/*
 * Read a schema that is correct JSON; NULL = it cannot be one, for a default
 * value in it that PostgreSQL has no text for.
 */
static JsonbContainer *
read_schema(WhKafkaDecoder *decoder, const WhJsonValue *schema)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(decoder->row_context);
	char	   *text = pnstrdup(schema->raw, schema->raw_len);
	JsonbContainer *container = NULL;

	if (schema->kind == WH_JSON_OBJECT && strstr(text, "\\u") == NULL)
		container = &DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)))->root;
	MemoryContextSwitchTo(oldcontext);
	return container;
}

/* Take the columns' meanings from the schema of a message's value, of Debezium's envelope. */
void
wh_kafka_schema_of_value(WhKafkaDecoder *decoder, const WhJsonValue *schema)
{
	if (schema->kind != WH_JSON_OBJECT)
	{
		/* those of the table's options count again */
		if (decoder->schema.text)
		{
			apply(decoder, NULL, NULL);
			pfree(decoder->schema.text);
			decoder->schema.text = NULL;
		}
		return;
	}
	if (is_another(&decoder->schema, schema))
		apply(decoder, read_schema(decoder, schema), "after");
}

/* Take the columns' meanings from the schema of a message's key. */
void
wh_kafka_schema_of_key(WhKafkaDecoder *decoder, const WhJsonValue *schema)
{
	if (schema->kind == WH_JSON_OBJECT && is_another(&decoder->schema, schema))
		apply(decoder, read_schema(decoder, schema), NULL);
}
