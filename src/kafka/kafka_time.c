/*
 * kafka_time.c
 *	  Times as Kafka counts them.
 *
 * Pure computation.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/time_zone.h"
#include "kafka/kafka_time.h"

/* Turn Kafka's milliseconds since 1970 into a time; DT_NOBEGIN when there is none. */
TimestampTz
wh_kafka_time(int64 milliseconds)
{
	int64		epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
	TimestampTz time;

	if (milliseconds < 0 || milliseconds > PG_INT64_MAX / 1000)
		return DT_NOBEGIN;
	time = (milliseconds - epoch) * 1000;
	return time <= WH_LATEST_TIME ? time : DT_NOBEGIN;
}

/* Turn a finite time into Kafka's milliseconds, rounded up. */
int64
wh_kafka_milliseconds(TimestampTz time)
{
	int64		epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

	return time / 1000 + (time % 1000 > 0 ? 1 : 0) + epoch;
}
