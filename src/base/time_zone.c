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

#include "base/time_zone.h"

/* Say whether a type can be an event time. */
bool
wh_time_is_type(Oid type)
{
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}

/*
 * Convert a date, timestamp or timestamptz.  What lies before the first event
 * time is -infinity, after the last one infinity.
 */
TimestampTz
wh_time_in_zone(Datum value, Oid type, const char *zone)
{
	Timestamp	local;

	if (type == DATEOID)
	{
		int			overflow = 0;

		local = date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow);
		if (overflow > 0)
			return DT_NOEND;
	}
	else if (type == TIMESTAMPOID || type == TIMESTAMPTZOID)
		local = DatumGetTimestamp(value);
	else
		elog(ERROR, "type %u is no time", type);
	if (local < WH_EARLIEST_TIME)
		return DT_NOBEGIN;
	if (local > WH_LATEST_TIME)
		return DT_NOEND;
	if (type == TIMESTAMPTZOID)
		return local;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, CStringGetTextDatum(zone),
												   TimestampGetDatum(local)));
}

/* Write a conversion to timestamptz in SQL; a date past its range is infinity. */
char *
wh_time_sql(const char *expression, Oid type, const char *zone)
{
	if (type == TIMESTAMPTZOID)
		return pstrdup(expression);
	if (type == DATEOID)
		expression = psprintf("CASE WHEN %s > '294276-12-31'::date THEN 'infinity'::date ELSE %s END",
							  expression, expression);
	return psprintf("((%s)::timestamp AT TIME ZONE %s)", expression, quote_literal_cstr(zone));
}

/* Refuse a time zone that does not exist. */
void
wh_time_zone_check(const char *zone)
{
	(void) DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(zone), TimestampTzGetDatum(0));
}
