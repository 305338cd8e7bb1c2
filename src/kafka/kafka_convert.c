/*
 * kafka_convert.c
 *	  Puts values of a message into the columns of its row, and notes what is
 *	  wrong with them.
 *
 * Runs in backends and workers, in a transaction; takes no locks.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka/kafka_convert.h"
#include "kafka/kafka_meaning.h"

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

/* Note that a value of JSON is none of the column's type, and keep it. */
static void
refuse_json(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value, const char *message)
{
	const char *text = value->raw;
	Size		len = value->raw_len;

	wh_kafka_row_error(decoder, column->attnum, ERRCODE_DATATYPE_MISMATCH, message);
	if (decoder->collect_errors && to_server_encoding(decoder, column->attnum, &text, &len))
		keep_unread(decoder, column->attnum, text, len);
}

static void
set_value(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, Datum value)
{
	decoder->row->values[column->attnum - 1] = value;
	decoder->row->isnull[column->attnum - 1] = false;
}

/* Convert a number of some unit to a column of a time type. */
static void
convert_epoch(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	Oid			base = getBaseType(column->type);
	int64		micros;
	Datum		datum;

	if (column->meaning < WH_KAFKA_DAYS || column->meaning > WH_KAFKA_NANOSECONDS)
		refuse_json(decoder, column, value,
					psprintf("a JSON number is no value of type %s: column option epoch says what it counts",
							 format_type_be(column->type)));
	else if (!wh_kafka_epoch_read(value->text, value->len, column->meaning, &micros) ||
			 !wh_kafka_epoch_datum(base, micros, &datum))
		refuse_json(decoder, column, value,
					psprintf("the number %.*s is out of range for type %s", Min(value->len, 40), value->text,
							 format_type_be(column->type)));
	else if (base == column->type && decoder->table->columns[column->attnum - 1].typmod < 0)
		set_value(decoder, column, datum);
	else
	{
		/* a precision or a domain is a matter of the type's input */
		Oid			output;
		bool		varlena;
		char	   *text;

		getTypeOutputInfo(base, &output, &varlena);
		text = OidOutputFunctionCall(output, datum);
		wh_kafka_convert(decoder, column, text, strlen(text));
	}
}

/* Convert base64 to a column of bytes, bits, or numbers with a scale. */
static void
convert_base64(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value, int scale)
{
	int			nbytes;
	uint8	   *bytes = wh_kafka_base64_decode(value->text, value->len, &nbytes);
	const char *text;

	if (bytes == NULL)
	{
		refuse_json(decoder, column, value, "the string is not base64");
		return;
	}
	if (column->class == WH_KAFKA_TAKES_NUMERIC)
		text = wh_kafka_decimal_text(bytes, nbytes, scale);
	else if (column->class == WH_KAFKA_TAKES_BITS)
		text = wh_kafka_bits_text(bytes, nbytes, Max(decoder->table->columns[column->attnum - 1].typmod, 0));
	else
	{
		char	   *digits = palloc(nbytes * 2 + 3);

		memcpy(digits, "\\x", 2);
		digits[2 + hex_encode((char *) bytes, nbytes, digits + 2)] = '\0';
		text = digits;
	}
	wh_kafka_convert(decoder, column, text, strlen(text));
}

/* Convert a string to a column whose type reads it in more ways than its input does. */
static void
convert_string(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	bool		debezium = decoder->table->format == WH_KAFKA_DEBEZIUM;
	bool		is_hex = value->len >= 2 && value->text[0] == '\\' && value->text[1] == 'x';

	if (column->class == WH_KAFKA_TAKES_BYTES && is_hex)
		wh_kafka_convert(decoder, column, value->text, value->len);
	else if (column->meaning == WH_KAFKA_BASE64 || column->meaning == WH_KAFKA_BITS ||
			 (column->class == WH_KAFKA_TAKES_BYTES && debezium))
		convert_base64(decoder, column, value, Max(column->scale, 0));
	else if (column->class == WH_KAFKA_TAKES_BYTES)
		refuse_json(decoder, column, value,
					"bytes begin with \\x and are hexadecimal, unless column option encoding says that they are base64");
	else
		wh_kafka_convert(decoder, column, value->text, value->len);
}

/* Convert an object to a number, as Debezium writes one whose scale is not always the same. */
static bool
convert_scaled(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	WhJsonFields *fields = wh_json_fields_create(list_make2(list_make1("scale"), list_make1("value")));
	WhJsonValue parts[2];
	int64		scale;

	if (!wh_json_fields_parse(fields, value->raw, value->raw_len, parts) || parts[0].kind != WH_JSON_NUMBER ||
		parts[1].kind != WH_JSON_STRING ||
		!wh_kafka_epoch_read(parts[0].text, parts[0].len, WH_KAFKA_MICROSECONDS, &scale) || scale < -1000 || scale > 1000)
		return false;
	convert_base64(decoder, column, &parts[1], (int) scale);
	return true;
}

/* Convert a value of JSON to a column that its text is not simply the input of. */
static void
convert_special(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(decoder->row_context);
	bool		debezium = decoder->table->format == WH_KAFKA_DEBEZIUM;

	if (column->class == WH_KAFKA_TAKES_JSON)
	{
		/* Debezium writes a column of JSON as a string */
		if (debezium && value->kind == WH_JSON_STRING)
			wh_kafka_convert(decoder, column, value->text, value->len);
		else
			wh_kafka_convert(decoder, column, value->raw, value->raw_len);
	}
	else if (value->kind == WH_JSON_STRING)
		convert_string(decoder, column, value);
	else if (column->class == WH_KAFKA_TAKES_TIMES && value->kind == WH_JSON_NUMBER)
		convert_epoch(decoder, column, value);
	else if (column->class == WH_KAFKA_TAKES_ARRAYS && value->kind == WH_JSON_ARRAY)
	{
		char	   *text = wh_kafka_array_text(value->raw, value->raw_len);

		wh_kafka_convert(decoder, column, text, strlen(text));
	}
	else if (value->kind < WH_JSON_OBJECT)
		wh_kafka_convert(decoder, column, value->text, value->len);
	else if (column->class != WH_KAFKA_TAKES_NUMERIC || value->kind != WH_JSON_OBJECT ||
			 !convert_scaled(decoder, column, value))
		refuse_json(decoder, column, value,
					psprintf("a JSON %s is no value of type %s",
							 value->kind == WH_JSON_OBJECT ? "object" : "array", format_type_be(column->type)));
	MemoryContextSwitchTo(oldcontext);
}

/* Look for a field that no message had so far, spelled with other cases of its letters. */
static void
look_for_similar(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column)
{
	const char *name = llast(decoder->table->columns[column->attnum - 1].path);
	int			len = strlen(name);
	const char *p = decoder->message->value;
	const char *end = p + decoder->message->value_len - len - 1;

	for (; p && len > 0 && (p = memchr(p, '"', Max(end - p, 0))) != NULL; p++)
	{
		if (p[1 + len] == '"' && pg_strncasecmp(p + 1, name, len) == 0)
		{
			column->similar = MemoryContextStrdup(decoder->schema.context, pnstrdup(p + 1, len));
			return;
		}
	}
}

/* Convert a value of JSON to a column's value. */
void
wh_kafka_convert_json(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value)
{
	if (value->kind == WH_JSON_MISSING)
	{
		if (unlikely(!column->was_seen && decoder->nobjects < WH_KAFKA_SIMILAR_MESSAGES) && column->similar == NULL)
			look_for_similar(decoder, column);
		return;
	}
	column->was_seen = true;
	if (value->kind == WH_JSON_NULL)
		return;
	if (column->class == WH_KAFKA_TAKES_TEXT ||
		(column->class == WH_KAFKA_TAKES_SCALARS && value->kind < WH_JSON_OBJECT))
		wh_kafka_convert(decoder, column, value->text, value->len);
	else
		convert_special(decoder, column, value);
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

/* Set a column of an integer that is not in the message's text. */
void
wh_kafka_set_integer(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, int64 number)
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
