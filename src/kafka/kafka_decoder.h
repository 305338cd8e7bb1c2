/*
 * kafka_decoder.h
 *	  A decoder of messages from the inside: for the files that decode.
 */
#ifndef WH_KAFKA_DECODER_H
#define WH_KAFKA_DECODER_H

#include "kafka/kafka_message.h"
#include "value/json_fields.h"
#include "value/value_convert.h"

/* How a column takes JSON. */
typedef enum WhKafkaColumnClass
{
	WH_KAFKA_TAKES_SCALARS,				/* by the type's input, but objects and arrays */
	WH_KAFKA_TAKES_TEXT,					/* objects and arrays as their text, too */
	WH_KAFKA_TAKES_JSON,				/* any value as JSON */
	WH_KAFKA_TAKES_TIMES,				/* numbers only if it is known what they count */
	WH_KAFKA_TAKES_BYTES,
	WH_KAFKA_TAKES_NUMERIC,				/* also as base64 with a scale */
	WH_KAFKA_TAKES_BITS,
	WH_KAFKA_TAKES_ARRAYS
} WhKafkaColumnClass;

typedef struct WhKafkaColumnDecoder
{
	AttrNumber	attnum;
	WhKafkaColumnKind kind;
	WhKafkaColumnClass class;
	Oid			type;
	WhKafkaMeaning meaning;		/* by its options, else by the message's schema */
	int			scale;
	int			slot;			/* its first path among the parser's */
	bool		was_seen;		/* some message had the field */
	const char *similar;		/* another spelling of its field that a message had */
	WhValueConverter *converter;
} WhKafkaColumnDecoder;

/* In how many messages a field is looked for under other names, and without how many of them it is missed. */
#define WH_KAFKA_SIMILAR_MESSAGES	100

/* The schema of Connect that the columns' meanings were taken from last. */
typedef struct WhKafkaSchema
{
	char	   *text;
	int			len;
	MemoryContext context;
} WhKafkaSchema;

/* Paths of Debezium's envelope; the same again below "payload". */
enum
{
	WH_KAFKA_ENVELOPE_OPERATION,
	WH_KAFKA_ENVELOPE_BEFORE,
	WH_KAFKA_ENVELOPE_AFTER,
	WH_KAFKA_ENVELOPE_SOURCE,
	WH_KAFKA_ENVELOPE_SOURCE_TIME,
	WH_KAFKA_ENVELOPE_SLOTS
};

/* Path of the schema beside "payload". */
#define WH_KAFKA_SCHEMA_SLOT	(WH_KAFKA_ENVELOPE_SLOTS * 2)

struct WhKafkaDecoder
{
	const WhKafkaTable *table;
	int			ncolumns;
	WhKafkaColumnDecoder *columns;		/* of the columns that are used */
	WhJsonFields *fields;		/* of values */
	WhJsonValue *values;
	WhJsonFields *key_fields;	/* of keys; NULL until needed */
	WhJsonValue *key_values;
	WhJsonFields *document;		/* of rows that come as a string of JSON; NULL until needed */
	WhJsonValue *document_values;
	WhKafkaSchema schema;
	int64		nobjects;		/* messages whose fields were looked for */
	WhValueArena *arena;
	MemoryContext row_context;	/* errors and other rare things of a row */

	/* the message being decoded */
	const WhKafkaMessage *message;
	WhSourceRow *row;
	bool		collect_errors;
};

#endif							/* WH_KAFKA_DECODER_H */
