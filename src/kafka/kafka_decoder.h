/*
 * kafka_decoder.h
 *	  What kafka_message.c and kafka_format.c share.  Only they include this
 *	  file.
 */
#ifndef WH_KAFKA_DECODER_H
#define WH_KAFKA_DECODER_H

#include "value/json_fields.h"
#include "kafka/kafka_message.h"
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

/* In kafka_message.c: values of columns. */
extern void wh_kafka_row_error(WhKafkaDecoder *decoder, AttrNumber attnum, int sqlerrcode, const char *message);
extern void wh_kafka_convert(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *text, Size len);
extern void wh_kafka_convert_json(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value);
extern void wh_kafka_convert_bytes(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *data, Size len);
extern void wh_kafka_set_time(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, TimestampTz time);

/* In kafka_format.c: payloads and keys. */
extern void wh_kafka_decode_key(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_json(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_debezium(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_csv(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_text(WhKafkaDecoder *decoder);

#endif							/* WH_KAFKA_DECODER_H */
