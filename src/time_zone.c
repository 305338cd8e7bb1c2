/*
 * time_zone.c
 *	  Times of any type as event times, in an object's time zone.
 *
 * A date means its midnight and a timestamp without zone its local time in the
 * object's zone, never in the session's.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "time_zone.h"

/* Say whether a type can be an event time. */
bool
wh_time_is_type(Oid type)
{
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

/* Convert a date, timestamp or timestamptz. */
TimestampTz
wh_time_in_zone(Datum value, Oid type, const char *zone)
{
	if (type == TIMESTAMPTZOID)
		return DatumGetTimestampTz(value);
	if (type == DATEOID)
		value = DirectFunctionCall1(date_timestamp, value);
	else if (type != TIMESTAMPOID)
		elog(ERROR, "type %u is no time", type);
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, CStringGetTextDatum(zone), value));
}

/* Write the same conversion in SQL. */
char *
wh_time_sql(const char *expression, Oid type, const char *zone)
{
	if (type == TIMESTAMPTZOID)
		return pstrdup(expression);
	return psprintf("((%s)::timestamp AT TIME ZONE %s)", expression, quote_literal_cstr(zone));
}

/* Refuse a time zone that does not exist. */
void
wh_time_zone_check(const char *zone)
{
	(void) DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(zone), TimestampTzGetDatum(0));
}
