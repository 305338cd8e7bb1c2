/*
 * value_datetime.c
 *	  Conversion of dates and timestamps: ISO 8601 or a declared pattern.
 *
 * The common spellings have a fast path; the others go to the type's input
 * function once it is sure that they are ISO, which is read the same under every
 * DateStyle.  A timestamptz without a zone is in the converter's zone, whose
 * offset is kept per day.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "value/value_convert.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

/* Days whose offset is kept; a power of two. */
#define ZONE_CACHE_DAYS		1024

/* Largest offset from UTC that the input functions take, in hours. */
#define ZONE_MAX_HOURS		15

typedef struct WhZoneCache
{
	pg_tz	   *zone;			/* of which the offsets are; NULL = none are there */
	int32		day[ZONE_CACHE_DAYS];
	int32		offset[ZONE_CACHE_DAYS];	/* seconds to add for UTC */
} WhZoneCache;

/* Read two digits at s; returns more than 99 when they are not. */
static inline unsigned
two_digits(const char *s)
{
	unsigned char a = s[0] - '0';
	unsigned char b = s[1] - '0';

	return a > 9 || b > 9 ? 100 : a * 10 + b;
}

/*
 * Read YYYY-MM-DD, a real day from year 1 on; sets tm and the day number, from
 * 2000-01-01.
 */
static inline bool
read_date(const char *s, struct pg_tm *tm, int *day)
{
	unsigned	century = two_digits(s);
	unsigned	year = two_digits(s + 2);
	unsigned	month = two_digits(s + 5);
	unsigned	mday = two_digits(s + 8);

	if (s[4] != '-' || s[7] != '-' || century > 99 || year > 99 ||
		month - 1 > 11 || mday - 1 > 30)
		return false;
	year += century * 100;
	if (year == 0 || (mday > 28 && mday > (unsigned) day_tab[isleap(year)][month - 1]))
		return false;
	tm->tm_year = year;
	tm->tm_mon = month;
	tm->tm_mday = mday;
	*day = wh_date_days(year, month, mday);
	return true;
}

/*
 * Read HH:MM[:SS[.ffffff]] at *s; moves *s behind it.  Result in microseconds.
 */
static inline bool
read_time(const char **s, const char *end, int max_fraction,
		  struct pg_tm *tm, int64 *usecs)
{
	const char *p = *s;
	unsigned	hour,
				minute,
				second = 0;
	int			fraction = 0;

	if (end - p < 5 || p[2] != ':')
		return false;
	hour = two_digits(p);
	minute = two_digits(p + 3);
	if (hour > 23 || minute > 59)
		return false;
	p += 5;
	if (p < end && *p == ':')
	{
		if (end - p < 3)
			return false;
		second = two_digits(p + 1);
		if (second > 59)
			return false;
		p += 3;
		if (p < end && *p == '.')
		{
			int			digits = 0;

			for (p++; p < end && is_digit(*p); p++, digits++)
			{
				if (digits == max_fraction)
					return false;
				fraction = fraction * 10 + (*p - '0');
			}
			if (digits == 0)
				return false;
			for (; digits < 6; digits++)
				fraction *= 10;
		}
	}
	tm->tm_hour = hour;
	tm->tm_min = minute;
	tm->tm_sec = second;
	*usecs = ((int64) (hour * 60 + minute) * 60 + second) * USECS_PER_SEC + fraction;
	*s = p;
	return true;
}

static bool
fast_date(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	struct pg_tm tm;
	int			day;

	if (len != 10 || !read_date(s, &tm, &day))
		return false;
	*value = DateADTGetDatum((DateADT) day);
	return true;
}

/* Read date and time, separated by a blank or a T. */
static inline bool
read_timestamp(WhValueConverter *conv, const char **s, const char *end,
			   struct pg_tm *tm, int *day, int64 *local)
{
	const char *p = *s;

	if (end - p < 10 || !read_date(p, tm, day))
		return false;
	p += 10;
	*local = (int64) *day * USECS_PER_DAY;
	tm->tm_hour = tm->tm_min = tm->tm_sec = 0;
	if (p < end)
	{
		int64		usecs;

		if (*p != ' ' && *p != 'T')
			return false;
		p++;
		if (!read_time(&p, end, conv->max_fraction, tm, &usecs))
			return false;
		*local += usecs;
	}
	*s = p;
	return true;
}

/* Return a timestamp as a Datum. */
static inline Datum
timestamp_datum(WhValueConverter *conv, int64 t)
{
#ifdef USE_FLOAT8_BYVAL
	return Int64GetDatum(t);
#else
	int64	   *p = wh_value_alloc(conv->arena, sizeof(int64));

	*p = t;
	return PointerGetDatum(p);
#endif
}

static bool
fast_timestamp(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	const char *end = s + len;
	struct pg_tm tm;
	int			day;
	int64		local;

	if (!read_timestamp(conv, &s, end, &tm, &day, &local) || s != end)
		return false;
	*value = timestamp_datum(conv, local);
	return true;
}

/*
 * Return what to add, in seconds, to a local time of the converter's zone to get
 * UTC.  A day that has no change of offset for two days on either side has one
 * offset; other days are asked for each time.
 */
static int
zone_offset(WhValueConverter *conv, struct pg_tm *tm, int day)
{
	WhZoneCache *cache = conv->offsets;
	pg_tz	   *zone = conv->zone;
	int			slot = day & (ZONE_CACHE_DAYS - 1);
	pg_time_t	from,
				boundary;
	long int	before,
				after;
	int			before_dst,
				after_dst,
				found;

	if (unlikely(cache->zone != zone))
	{
		int			i;

		for (i = 0; i < ZONE_CACHE_DAYS; i++)
			cache->day[i] = PG_INT32_MAX;
		cache->zone = zone;
	}
	if (likely(cache->day[slot] == day))
		return cache->offset[slot];

	from = ((pg_time_t) day + POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE - 2) * SECS_PER_DAY;
	found = pg_next_dst_boundary(&from, &before, &before_dst, &boundary,
								 &after, &after_dst, zone);
	if (found == 0 || (found > 0 && boundary > from + 5 * SECS_PER_DAY))
	{
		cache->day[slot] = day;
		cache->offset[slot] = -(int) before;
		return cache->offset[slot];
	}
	return DetermineTimeZoneOffset(tm, zone);
}

static bool
fast_timestamptz(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	const char *end = s + len;
	struct pg_tm tm;
	int			day;
	int			offset;
	int64		local;

	if (!read_timestamp(conv, &s, end, &tm, &day, &local))
		return false;
	if (s == end)
		offset = zone_offset(conv, &tm, day);
	else if (len <= 11)
		return false;
	else if (*s == 'Z' && s + 1 == end && conv->has_zulu)
		offset = 0;
	else if ((*s == '+' || *s == '-') && (end - s == 3 || (end - s == 6 && s[3] == ':')))
	{
		unsigned	hours = two_digits(s + 1);
		unsigned	minutes = end - s == 6 ? two_digits(s + 4) : 0;

		if (hours > ZONE_MAX_HOURS || minutes > 59)
			return false;
		offset = (hours * 60 + minutes) * 60;
		if (*s == '+')
			offset = -offset;
	}
	else
		return false;
	*value = timestamp_datum(conv, local + (int64) offset * USECS_PER_SEC);
	return true;
}

/* A date by the declared pattern. */
static bool
pattern_date(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	WhDateParts parts;

	if (!wh_date_pattern_read(conv->pattern, s, len, false, &parts))
		return false;
	*value = DateADTGetDatum((DateADT) wh_date_days(parts.year, parts.month, parts.day));
	return true;
}

/* A timestamp, with or without zone, by the declared pattern. */
static bool
pattern_timestamp(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	WhDateParts parts;
	int			day;
	int64		local;

	if (!wh_date_pattern_read(conv->pattern, s, len, true, &parts) ||
		(parts.usec != 0 && conv->typmod >= 0 && conv->typmod < 6))
		return false;
	day = wh_date_days(parts.year, parts.month, parts.day);
	local = day * USECS_PER_DAY +
		((int64) (parts.hour * 60 + parts.minute) * 60 + parts.second) * USECS_PER_SEC + parts.usec;
	if (conv->type == TIMESTAMPTZOID)
	{
		int			offset = -parts.offset;

		if (!parts.has_offset)
		{
			struct pg_tm tm = {.tm_sec = parts.second, .tm_min = parts.minute, .tm_hour = parts.hour,
			.tm_mday = parts.day, .tm_mon = parts.month, .tm_year = parts.year};

			offset = zone_offset(conv, &tm, day);
		}
		local += (int64) offset * USECS_PER_SEC;
	}
	*value = timestamp_datum(conv, local);
	return true;
}

/* Note that a text is no date as it should be. */
static void
date_error(WhValueConverter *conv, const char *s, Size len, const char *why, WhRowError *err)
{
	err->sqlerrcode = ERRCODE_INVALID_DATETIME_FORMAT;
	err->message = psprintf("invalid input syntax for type %s: \"%s\" (%s)",
							format_type_be(conv->type), pnstrdup(s, len), why);
}

/* Let ISO text pass, and no other. */
static bool
reform_iso(WhValueConverter *conv, const char **s, Size *len, WhRowError *err)
{
	if (wh_date_is_iso(conv->dates, *s, *len))
		return true;
	date_error(conv, *s, *len, "not ISO 8601, and no other format is declared", err);
	return false;
}

/* Write what the pattern reads as ISO text. */
static bool
reform_pattern(WhValueConverter *conv, const char **s, Size *len, WhRowError *err)
{
	WhDateParts p;
	char	   *text;

	if (!wh_date_pattern_read(conv->pattern, *s, *len, true, &p))
	{
		date_error(conv, *s, *len, psprintf("not of the format %s", conv->format.date_format), err);
		return false;
	}
	text = psprintf("%04d-%02d-%02d %02d:%02d:%02d.%06d", p.year, p.month, p.day, p.hour, p.minute, p.second, p.usec);
	if (p.has_offset)
		text = psprintf("%s%c%02d:%02d", text, p.offset < 0 ? '-' : '+', abs(p.offset) / SECS_PER_HOUR,
						abs(p.offset) / SECS_PER_MINUTE % MINS_PER_HOUR);
	*s = text;
	*len = strlen(text);
	return true;
}

/*
 * Set how a type that holds dates is read.  Only dates and timestamps, and
 * domains over them, have other formats; times of day and what holds several
 * dates are ISO.
 */
void
wh_value_set_datetime(WhValueConverter *conv)
{
	char	   *message;

	conv->reform = reform_iso;
	if (conv->dates == WH_DATE_DATE && conv->format.date_format != NULL)
	{
		conv->pattern = wh_date_pattern_compile(conv->format.date_format, &message);
		if (conv->pattern == NULL)
			elog(ERROR, "date format \"%s\" was not checked: %s", conv->format.date_format, message);
		conv->reform = reform_pattern;
	}
	conv->max_fraction = 6;
	if (conv->type != DATEOID && conv->typmod >= 0)
		conv->max_fraction = Min(conv->typmod, 6);
	switch (conv->type)
	{
		case DATEOID:
			conv->fast = conv->pattern ? pattern_date : fast_date;
			break;
		case TIMESTAMPOID:
			conv->fast = conv->pattern ? pattern_timestamp : fast_timestamp;
			break;
		case TIMESTAMPTZOID:
			{
				const char *abbreviations = GetConfigOption("timezone_abbreviations", true, false);

				/* An administrator's own set could give Z another meaning. */
				conv->has_zulu = abbreviations && strcmp(abbreviations, "Default") == 0;
				conv->offsets = palloc0(sizeof(WhZoneCache));
				conv->fast = conv->pattern ? pattern_timestamp : fast_timestamptz;
				break;
			}
		default:
			break;
	}
}
