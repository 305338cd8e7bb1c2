/*
 * kafka_encode.c
 *	  Turns a row of a foreign table into a Kafka message.
 *
 * Format json writes an object with a field per column, nested by the columns'
 * paths, NULL as null, values as to_json writes them: numbers exactly, times in
 * ISO 8601.  Formats csv and text write what the types' output functions say.
 *
 * Runs in backends, in a transaction; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "kafka/kafka_encode.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_time.h"

/* A name of the object that is written: a column, or an object in it. */
typedef struct OutputNode
{
	char	   *name;			/* as JSON, quoted, with its colon */
	const char *key;			/* the name itself */
	AttrNumber	attnum;			/* 0 = an object */
	List	   *children;
} OutputNode;

typedef struct ColumnEncoder
{
	FmgrInfo	output;
	FmgrInfo	to_json;
	Oid			type;			/* base type */
} ColumnEncoder;

struct WhKafkaEncoder
{
	const WhKafkaTable *table;
	ColumnEncoder *columns;
	OutputNode *root;
	StringInfoData value;
	StringInfoData key;
};

/* Place a column in the tree of the object that is written. */
static void
add_node(const WhKafkaTable *table, OutputNode *node, List *path, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, path)
	{
		const char *key = lfirst(lc);
		bool		last = lnext(path, lc) == NULL;
		OutputNode *found = NULL;
		ListCell   *lc2;
		StringInfoData name;

		foreach(lc2, node->children)
		{
			OutputNode *child = lfirst(lc2);

			if (strcmp(child->key, key) == 0)
				found = child;
		}
		if (found && (last || found->attnum))
			ereport(ERROR,
					errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					errmsg("columns \"%s\" and \"%s\" cannot both be written to topic \"%s\"",
						   table->columns[attnum - 1].name,
						   found->attnum ? table->columns[found->attnum - 1].name : key, table->topic),
					errdetail("Their paths are equal, or one leads through the other."));
		if (!found)
		{
			found = palloc0(sizeof(OutputNode));
			initStringInfo(&name);
			escape_json(&name, key);
			appendStringInfoChar(&name, ':');
			found->name = name.data;
			found->key = key;
			found->attnum = last ? attnum : 0;
			node->children = lappend(node->children, found);
		}
		node = found;
	}
}

/* Raise the error for a column that cannot be written. */
static void
refuse_column(const WhKafkaTable *table, AttrNumber attnum)
{
	ereport(ERROR,
			errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
			errmsg("cannot write to column \"%s\" of topic \"%s\"", table->columns[attnum - 1].name, table->topic),
			errdetail("The broker decides it, or the message as a whole is it."));
}

/*
 * Make an encoder for a table, in the current memory context.  Raises an error
 * when the table cannot be written.
 */
WhKafkaEncoder *
wh_kafka_encoder_create(const WhKafkaTable *table)
{
	WhKafkaEncoder *encoder = palloc0(sizeof(WhKafkaEncoder));
	int			nfields = 0;

	if (table->format == WH_KAFKA_DEBEZIUM)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("cannot write to topic \"%s\": its format is debezium", table->topic),
				errhint("Debezium's connector writes such topics."));
	encoder->table = table;
	encoder->columns = palloc0(sizeof(ColumnEncoder) * Max(table->natts, 1));
	encoder->root = palloc0(sizeof(OutputNode));
	initStringInfo(&encoder->value);
	initStringInfo(&encoder->key);
	for (int i = 0; i < table->natts; i++)
	{
		const WhKafkaColumn *column = &table->columns[i];
		ColumnEncoder *encode = &encoder->columns[i];
		Oid			function;
		bool		varlena;
		FuncExpr   *expr;

		if (column->kind == WH_KAFKA_DROPPED)
			continue;
		encode->type = getBaseType(column->type);
		getTypeOutputInfo(column->type, &function, &varlena);
		fmgr_info(function, &encode->output);
		if (column->kind != WH_KAFKA_FIELD)
			continue;
		if (++nfields > 1 && table->format == WH_KAFKA_TEXT)
			ereport(ERROR,
					errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
					errmsg("cannot write to topic \"%s\": format text has one column, besides metadata",
						   table->topic));
		if (table->format != WH_KAFKA_JSON)
			continue;
		add_node(table, encoder->root, column->path, i + 1);
		fmgr_info(F_TO_JSON, &encode->to_json);
		expr = makeFuncExpr(F_TO_JSON, JSONOID,
							list_make1(makeNullConst(column->type, column->typmod, get_typcollation(column->type))),
							InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
		fmgr_info_set_expr((Node *) expr, &encode->to_json);
	}
	return encoder;
}

/* Append a value as JSON; the common types without a detour. */
static void
append_json(WhKafkaEncoder *encoder, AttrNumber attnum, Datum value)
{
	StringInfo	out = &encoder->value;
	ColumnEncoder *encode = &encoder->columns[attnum - 1];

	enlargeStringInfo(out, 32);
	switch (encode->type)
	{
		case INT4OID:
			out->len += pg_ltoa(DatumGetInt32(value), out->data + out->len);
			break;
		case INT8OID:
			out->len += pg_lltoa(DatumGetInt64(value), out->data + out->len);
			break;
		case BOOLOID:
			appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
			break;
		case JSONOID:
			{
				text	   *json = DatumGetTextPP(value);

				appendBinaryStringInfo(out, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
				break;
			}
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			escape_json(out, TextDatumGetCString(value));
			break;
		default:
			{
				text	   *json = DatumGetTextPP(FunctionCall1(&encode->to_json, value));

				appendBinaryStringInfo(out, VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json));
			}
	}
}

static void
append_object(WhKafkaEncoder *encoder, OutputNode *node, TupleTableSlot *slot)
{
	StringInfo	out = &encoder->value;
	ListCell   *lc;

	appendStringInfoChar(out, '{');
	foreach(lc, node->children)
	{
		OutputNode *child = lfirst(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoChar(out, ',');
		appendStringInfoString(out, child->name);
		if (child->attnum == 0)
			append_object(encoder, child, slot);
		else if (slot->tts_isnull[child->attnum - 1])
			appendStringInfoString(out, "null");
		else
			append_json(encoder, child->attnum, slot->tts_values[child->attnum - 1]);
	}
	appendStringInfoChar(out, '}');
}

/* Append a record by RFC 4180: '' is quoted, NULL is empty. */
static void
append_csv(WhKafkaEncoder *encoder, TupleTableSlot *slot)
{
	StringInfo	out = &encoder->value;
	bool		first = true;

	for (int i = 0; i < encoder->table->natts; i++)
	{
		char	   *text;

		if (encoder->table->columns[i].kind != WH_KAFKA_FIELD)
			continue;
		if (!first)
			appendStringInfoChar(out, ',');
		first = false;
		if (slot->tts_isnull[i])
			continue;
		text = OutputFunctionCall(&encoder->columns[i].output, slot->tts_values[i]);
		if (text[0] != '\0' && strpbrk(text, ",\"\r\n") == NULL)
			appendStringInfoString(out, text);
		else
		{
			appendStringInfoChar(out, '"');
			for (char *p = text; *p; p++)
			{
				if (*p == '"')
					appendStringInfoChar(out, '"');
				appendStringInfoChar(out, *p);
			}
			appendStringInfoChar(out, '"');
		}
	}
}

/* Append a value as plain bytes: those of a bytea, else its text in UTF-8. */
static void
append_bytes(WhKafkaEncoder *encoder, StringInfo out, int i, Datum value)
{
	ColumnEncoder *encode = &encoder->columns[i];

	if (encode->type == BYTEAOID)
	{
		bytea	   *bytes = DatumGetByteaPP(value);

		appendBinaryStringInfo(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	}
	else
	{
		char	   *text = OutputFunctionCall(&encode->output, value);

		appendStringInfoString(out, pg_server_to_any(text, strlen(text), PG_UTF8));
	}
}

/* Add the headers of a JSON object, as wh_kafka_headers_json describes them. */
static void
add_headers(WhKafkaEncoder *encoder, int i, Datum value, WhKafkaProducer *producer)
{
	char	   *text = OutputFunctionCall(&encoder->columns[i].output, value);
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	JsonbIterator *iterator;
	JsonbValue	token;
	JsonbIteratorToken kind;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("headers must be a JSON object of strings"));
	iterator = JsonbIteratorInit(&jsonb->root);
	while ((kind = JsonbIteratorNext(&iterator, &token, false)) != WJB_DONE)
	{
		if (kind == WJB_KEY)
			name = pg_server_to_any(pnstrdup(token.val.string.val, token.val.string.len),
									token.val.string.len, PG_UTF8);
		else if (kind == WJB_VALUE || kind == WJB_ELEM)
		{
			if (token.type == jbvNull)
				wh_kafka_producer_add_header(producer, name, NULL, 0);
			else if (token.type == jbvString)
			{
				char	   *string = pg_server_to_any(pnstrdup(token.val.string.val, token.val.string.len),
													  token.val.string.len, PG_UTF8);

				wh_kafka_producer_add_header(producer, name, string, strlen(string));
			}
			else
				ereport(ERROR,
						errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("header \"%s\" is no string", name));
		}
	}
}

/*
 * Encode a row into a message that lives until the next one is encoded; its
 * headers are added to the producer.  Leaves garbage in the current memory
 * context.
 */
void
wh_kafka_encode(WhKafkaEncoder *encoder, TupleTableSlot *slot, WhKafkaMessage *message, WhKafkaProducer *producer)
{
	const WhKafkaTable *table = encoder->table;

	slot_getallattrs(slot);
	resetStringInfo(&encoder->value);
	resetStringInfo(&encoder->key);
	memset(message, 0, sizeof(WhKafkaMessage));
	message->partition = -1;
	message->timestamp = -1;
	message->value = "";

	for (int i = 0; i < table->natts; i++)
	{
		Datum		value = slot->tts_values[i];
		bool		is_key = table->columns[i].kind == WH_KAFKA_KEY || i + 1 == table->key_attnum;

		if (slot->tts_isnull[i])
		{
			if (table->columns[i].kind == WH_KAFKA_FIELD && table->format == WH_KAFKA_TEXT)
				message->value = NULL;
			continue;
		}
		if (is_key && message->key == NULL)
		{
			append_bytes(encoder, &encoder->key, i, value);
			message->key = "";
		}
		switch (table->columns[i].kind)
		{
			case WH_KAFKA_PARTITION:
				message->partition = pg_strtoint32(OutputFunctionCall(&encoder->columns[i].output, value));
				if (message->partition < 0)
					ereport(ERROR,
							errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
							errmsg("partition must not be negative"));
				break;
			case WH_KAFKA_TIMESTAMP:
				if (encoder->columns[i].type != TIMESTAMPTZOID)
					refuse_column(table, i + 1);
				if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)) ||
					wh_kafka_milliseconds(DatumGetTimestampTz(value)) <= 0)
					ereport(ERROR,
							errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
							errmsg("message timestamp is out of range"));
				message->timestamp = wh_kafka_milliseconds(DatumGetTimestampTz(value));
				break;
			case WH_KAFKA_HEADERS:
				add_headers(encoder, i, value, producer);
				break;
			case WH_KAFKA_FIELD:
				if (table->format == WH_KAFKA_TEXT)
					append_bytes(encoder, &encoder->value, i, value);
				break;
			case WH_KAFKA_KEY:
			case WH_KAFKA_DROPPED:
				break;
			default:
				refuse_column(table, i + 1);
		}
	}
	if (table->format == WH_KAFKA_JSON)
		append_object(encoder, encoder->root, slot);
	else if (table->format == WH_KAFKA_CSV)
		append_csv(encoder, slot);
	if (message->value)
	{
		message->value = encoder->value.data;
		message->value_len = encoder->value.len;
		if (table->format != WH_KAFKA_TEXT && GetDatabaseEncoding() != PG_UTF8)
		{
			message->value = pg_server_to_any(message->value, message->value_len, PG_UTF8);
			message->value_len = strlen(message->value);
		}
	}
	if (message->key)
	{
		message->key = encoder->key.data;
		message->key_len = encoder->key.len;
	}
}
