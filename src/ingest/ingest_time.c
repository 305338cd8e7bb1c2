/*
 * ingest_time.c
 *	  Turns dates and timestamps into event times, in the feed's time zone.
 *
 * As PostgreSQL's casts do, but in a given zone and without throwing.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "ingest/ingest_state.h"
#include "base/time_zone.h"

/* Take a local time as one of the zone. */
static bool
local_to_utc(Timestamp local, pg_tz *tz, TimestampTz *result)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	long		fixed;

	/* UTC, and every other zone that has ever had one offset only */
	if (pg_get_timezone_offset(tz, &fixed))
	{
		*result = local - fixed * USECS_PER_SEC;
		return true;
	}
	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	offset = DetermineTimeZoneOffset(&tm, tz);
	return tm2timestamp(&tm, fsec, &offset, result) == 0;
}

static bool
event_time(Oid type, Datum value, pg_tz *tz, TimestampTz *result)
{
	switch (type)
	{
		case DATEOID:
			{
				DateADT		date = DatumGetDateADT(value);

				if (DATE_NOT_FINITE(date) || date >= (TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE))
					return false;
				return local_to_utc((Timestamp) date * USECS_PER_DAY, tz, result);
			}
		case TIMESTAMPOID:
			if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)))
				return false;
			return local_to_utc(DatumGetTimestamp(value), tz, result);
		default:
			*result = DatumGetTimestampTz(value);
			return true;
	}
}

/*
 * Give the event time of a value of type date, timestamp or timestamptz.
 * Returns false when it is infinite or out of range.
 */
bool
wh_ingest_event_time(Oid type, Datum value, pg_tz *tz, TimestampTz *result)
{
	return event_time(type, value, tz, result) &&
		*result >= WH_EARLIEST_TIME && *result <= WH_LATEST_TIME;
}
