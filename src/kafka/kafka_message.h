/*
 * kafka_message.h
 *	  Turns a Kafka message into a row of its foreign table.
 */
#ifndef WH_KAFKA_MESSAGE_H
#define WH_KAFKA_MESSAGE_H

#include "kafka/kafka_client.h"
#include "kafka/kafka_options.h"
#include "nodes/bitmapset.h"
#include "value/source.h"

typedef struct WhKafkaDecoder WhKafkaDecoder;

extern WhKafkaDecoder *wh_kafka_decoder_create(const WhKafkaTable *table, Bitmapset *used);
extern void wh_kafka_decode(WhKafkaDecoder *decoder, const WhKafkaMessage *message,
							WhSourceRow *row, bool collect_errors);
extern void wh_kafka_warn_unseen(WhKafkaDecoder *decoder, int64 *warnings);
extern char *wh_kafka_headers_json(const WhKafkaMessage *message);

#endif							/* WH_KAFKA_MESSAGE_H */
