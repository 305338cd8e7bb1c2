/*
 * kafka_options.h
 *	  Options of Kafka servers, user mappings, foreign tables and columns.
 */
#ifndef WH_KAFKA_OPTIONS_H
#define WH_KAFKA_OPTIONS_H

#include "widgets_wh.h"

#include "access/attnum.h"
#include "nodes/pg_list.h"

typedef enum WhKafkaFormat
{
	WH_KAFKA_JSON,
	WH_KAFKA_DEBEZIUM,
	WH_KAFKA_CSV,
	WH_KAFKA_TEXT
} WhKafkaFormat;

/* How keys are written. */
typedef enum WhKafkaKeyFormat
{
	WH_KAFKA_KEY_ANY,			/* JSON, else text */
	WH_KAFKA_KEY_TEXT,
	WH_KAFKA_KEY_JSON,
	WH_KAFKA_KEY_INT32,			/* big-endian */
	WH_KAFKA_KEY_INT64
} WhKafkaKeyFormat;

/* What a JSON number or string stands for, where JSON itself does not say. */
typedef enum WhKafkaMeaning
{
	WH_KAFKA_PLAIN,
	WH_KAFKA_DAYS,				/* since 1970, or a duration: this and the next ones */
	WH_KAFKA_SECONDS,
	WH_KAFKA_MILLISECONDS,
	WH_KAFKA_MICROSECONDS,
	WH_KAFKA_NANOSECONDS,
	WH_KAFKA_BASE64,			/* bytes, or the digits of a number with a scale */
	WH_KAFKA_BITS				/* base64 of bits, the lowest byte first */
} WhKafkaMeaning;

/* What a column shows. */
typedef enum WhKafkaColumnKind
{
	WH_KAFKA_FIELD,				/* a field of the message */
	WH_KAFKA_PARTITION,
	WH_KAFKA_OFFSET,
	WH_KAFKA_TIMESTAMP,
	WH_KAFKA_KEY,
	WH_KAFKA_HEADERS,
	WH_KAFKA_VALUE,
	WH_KAFKA_TOPIC,
	WH_KAFKA_SCHEMA_ID,			/* of a registry's frame */
	WH_KAFKA_HEADER,			/* a header by its name */
	WH_KAFKA_OPERATION,			/* the rest only for Debezium */
	WH_KAFKA_SOURCE,
	WH_KAFKA_SOURCE_TIME,
	WH_KAFKA_DROPPED			/* no column any more */
} WhKafkaColumnKind;

typedef struct WhKafkaColumn
{
	WhKafkaColumnKind kind;
	List	   *path;			/* names, for a field of JSON */
	Oid			type;
	int32		typmod;
	char	   *name;
	char	   *header;			/* name of a header */
	WhKafkaMeaning meaning;
	int			scale;			/* of a number in base64; -1 = not given */
} WhKafkaColumn;

/* A setting of librdkafka. */
typedef struct WhKafkaSetting
{
	const char *option;			/* our name of it */
	const char *name;			/* librdkafka's name of it */
	const char *value;
	bool		secret;			/* its value must never be shown */
} WhKafkaSetting;

/* All that the options of a foreign table, its server and its user say. */
typedef struct WhKafkaTable
{
	Oid			relid;
	char	   *topic;
	WhKafkaFormat format;
	WhKafkaKeyFormat key_format;
	AttrNumber	key_attnum;		/* column that is the message's key, 0 = none */
	int			natts;
	WhKafkaColumn *columns;
	List	   *settings;		/* of WhKafkaSetting */
} WhKafkaTable;

extern WhKafkaTable *wh_kafka_table_get(Oid relid, Oid userid);

#endif							/* WH_KAFKA_OPTIONS_H */
