/*
 * time_zone.h
 *	  Times of any type as event times, in an object's time zone.
 */
#ifndef WH_TIME_ZONE_H
#define WH_TIME_ZONE_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"

/*
 * The first and the last event time: away from the ends of the type's range, so
 * that the month around it and its local time in any zone are in range too.
 */
#define WH_TIME_MARGIN (40 * USECS_PER_DAY)
#define WH_EARLIEST_TIME (MIN_TIMESTAMP + WH_TIME_MARGIN)
#define WH_LATEST_TIME (END_TIMESTAMP - WH_TIME_MARGIN)

extern TimestampTz wh_time_in_zone(Datum value, Oid type, const char *zone);
extern bool wh_time_is_type(Oid type);
extern char *wh_time_sql(const char *expression, Oid type, const char *zone);
extern void wh_time_zone_check(const char *zone);

#endif							/* WH_TIME_ZONE_H */
