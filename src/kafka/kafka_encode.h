/*
 * kafka_encode.h
 *	  Turns a row of a foreign table into a Kafka message.
 */
#ifndef WH_KAFKA_ENCODE_H
#define WH_KAFKA_ENCODE_H

#include "kafka/kafka_client.h"
#include "kafka/kafka_options.h"

#include "executor/tuptable.h"

typedef struct WhKafkaEncoder WhKafkaEncoder;

extern WhKafkaEncoder *wh_kafka_encoder_create(const WhKafkaTable *table);
extern void wh_kafka_encode(WhKafkaEncoder *encoder, TupleTableSlot *slot, WhKafkaMessage *message,
							WhKafkaProducer *producer);

#endif							/* WH_KAFKA_ENCODE_H */
