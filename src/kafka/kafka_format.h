/*
 * kafka_format.h
 *	  Payloads of each format.
 */
#ifndef WH_KAFKA_FORMAT_H
#define WH_KAFKA_FORMAT_H

#include "kafka/kafka_decoder.h"

extern void wh_kafka_decode_json(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_debezium(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_csv(WhKafkaDecoder *decoder);
extern void wh_kafka_decode_text(WhKafkaDecoder *decoder);

#endif							/* WH_KAFKA_FORMAT_H */
