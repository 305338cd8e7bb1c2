/*
 * kafka_key.h
 *	  Keys of messages, and frames of schema registries.
 */
#ifndef WH_KAFKA_KEY_H
#define WH_KAFKA_KEY_H

#include "kafka/kafka_decoder.h"

#include "port/pg_bswap.h"

/* What a registry's serializers write before a message: a zero and the schema's number. */
#define WH_KAFKA_FRAME_BYTES	5

/* Say whether data begins as a schema registry's serializers write it. */
static inline bool
wh_kafka_is_framed(const char *data, Size len)
{
	return data && len > WH_KAFKA_FRAME_BYTES && data[0] == '\0';
}

/* Give the number of the schema in a frame. */
static inline int32
wh_kafka_schema_id(const char *data)
{
	uint32		id;

	memcpy(&id, data + 1, sizeof(id));
	return (int32) pg_ntoh32(id);
}

extern void wh_kafka_key_column(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column);
extern void wh_kafka_decode_key(WhKafkaDecoder *decoder);

#endif							/* WH_KAFKA_KEY_H */
