/*
 * kafka_convert.h
 *	  Values of a message into the columns of its row.
 */
#ifndef WH_KAFKA_CONVERT_H
#define WH_KAFKA_CONVERT_H

#include "kafka/kafka_decoder.h"

extern void wh_kafka_row_error(WhKafkaDecoder *decoder, AttrNumber attnum, int sqlerrcode, const char *message);
extern void wh_kafka_convert(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *text, Size len);
extern void wh_kafka_convert_json(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const WhJsonValue *value);
extern void wh_kafka_convert_bytes(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, const char *data, Size len);
extern void wh_kafka_set_integer(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, int64 number);
extern void wh_kafka_set_time(WhKafkaDecoder *decoder, WhKafkaColumnDecoder *column, TimestampTz time);

#endif							/* WH_KAFKA_CONVERT_H */
