/*
 * kafka_meaning.h
 *	  What JSON numbers and strings stand for, where JSON itself does not say:
 *	  times as numbers, bytes and decimals in base64, arrays.
 */
#ifndef WH_KAFKA_MEANING_H
#define WH_KAFKA_MEANING_H

#include "kafka/kafka_options.h"

#include "datatype/timestamp.h"

extern bool wh_kafka_is_time(Oid type);
extern bool wh_kafka_meaning_fits(const WhKafkaColumn *column);
extern bool wh_kafka_epoch_read(const char *text, int len, WhKafkaMeaning unit, int64 *micros);
extern bool wh_kafka_epoch_datum(Oid type, int64 micros, Datum *value);
extern uint8 *wh_kafka_base64_decode(const char *text, int len, int *nbytes);
extern char *wh_kafka_decimal_text(const uint8 *bytes, int nbytes, int scale);
extern char *wh_kafka_bits_text(const uint8 *bytes, int nbytes, int nbits);
extern char *wh_kafka_array_text(const char *json, int len);

#endif							/* WH_KAFKA_MEANING_H */
