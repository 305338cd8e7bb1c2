/*
 * kafka_time.h
 *	  Times as Kafka counts them.
 */
#ifndef WH_KAFKA_TIME_H
#define WH_KAFKA_TIME_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"

extern TimestampTz wh_kafka_time(int64 milliseconds);
extern int64 wh_kafka_milliseconds(TimestampTz time);

#endif							/* WH_KAFKA_TIME_H */
