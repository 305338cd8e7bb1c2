/*
 * kafka_schema.h
 *	  Schemas of Connect that stand in the messages themselves.
 */
#ifndef WH_KAFKA_SCHEMA_H
#define WH_KAFKA_SCHEMA_H

#include "kafka/kafka_decoder.h"

extern void wh_kafka_schema_of_value(WhKafkaDecoder *decoder, const WhJsonValue *schema);
extern void wh_kafka_schema_of_key(WhKafkaDecoder *decoder, const WhJsonValue *schema);

#endif							/* WH_KAFKA_SCHEMA_H */
