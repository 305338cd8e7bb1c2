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
	WH_KAFKA_TAKES_JSON					/* any value as JSON */
} WhKafkaColumnClass;

typedef struct WhKafkaColumnDecoder
{
	AttrNumber	attnum;
	WhKafkaColumnKind kind;
	WhKafkaColumnClass class;
	Oid			type;
	int			slot;			/* its first path among the parser's */
	WhValueConverter *converter;
} WhKafkaColumnDecoder;

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

struct WhKafkaDecoder
{
	const WhKafkaTable *table;
	int			ncolumns;
	WhKafkaColumnDecoder *columns;		/* of the columns that are used */
	WhJsonFields *fields;		/* of values */
	WhJsonValue *values;
	WhJsonFields *key_fields;	/* of keys of deletes; NULL until needed */
	WhJsonValue *key_values;
	WhValueArena *arena;
	MemoryContext row_context;	/* errors and other rare things of a row */

	/* the message being decoded */
	const WhKafkaMessage *message;
	WhSourceRow *row;
	bool		collect_errors;
};

#endif							/* WH_KAFKA_DECODER_H */
