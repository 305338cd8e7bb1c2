/*
 * value_format.h
 *	  How numbers, dates and times are written in a source, when not as
 *	  PostgreSQL writes them.
 */
#ifndef WH_VALUE_FORMAT_H
#define WH_VALUE_FORMAT_H

#include "widgets_wh.h"

#include "pgtime.h"

#include "value/source.h"
#include "value/value_arena.h"

/* What a percent sign means. */
typedef enum WhValuePercent
{
	WH_PERCENT_ERROR,			/* is no part of a number */
	WH_PERCENT_KEEP,			/* 12.5% is 12.5 */
	WH_PERCENT_DIVIDE			/* 12.5% is 0.125 */
} WhValuePercent;

/* What is declared of a column. */
typedef struct WhValueFormat
{
	const char *date_format;	/* NULL = ISO 8601 */
	char		decimal;		/* of numbers; '.' by default */
	const char *thousands;		/* one character between groups; NULL = none */
	bool		parentheses;	/* (1) is -1 */
	bool		trailing_minus; /* 1- is -1 */
	WhValuePercent percent;
	const char *const *currencies;	/* signs before or behind; ends with NULL; NULL = none */
	pg_tz	   *zone;			/* of times without one; NULL = UTC */
} WhValueFormat;

typedef struct WhDatePattern WhDatePattern;

/* A date and time as a pattern read them; what was not written is 0. */
typedef struct WhDateParts
{
	int			year,
				month,
				day,
				hour,
				minute,
				second,
				usec;
	bool		has_offset;
	int			offset;			/* seconds east of UTC */
} WhDateParts;

extern void wh_value_format_init(WhValueFormat *format);
extern bool wh_value_format_is_plain(const WhValueFormat *format);
extern bool wh_value_format_number(const WhValueFormat *format, const char *s, Size len,
								   char *out, Size size, Size *out_len);

extern WhDatePattern *wh_date_pattern_compile(const char *format, char **message);
extern bool wh_date_pattern_has_time(const WhDatePattern *pattern);
extern bool wh_date_pattern_read(const WhDatePattern *pattern, const char *s, Size len,
								 bool may_have_time, WhDateParts *parts);

/* What of a date a type holds. */
typedef enum WhDateKind
{
	WH_DATE_NONE,
	WH_DATE_DATE,				/* date, timestamp, timestamptz, and domains over them */
	WH_DATE_TIME,				/* time, timetz */
	WH_DATE_SEVERAL				/* arrays, ranges and multiranges of these */
} WhDateKind;

extern WhDateKind wh_date_kind(Oid type);
extern bool wh_date_is_iso(WhDateKind kind, const char *s, Size len);

/* Days from 2000-01-01 to a day of the civil calendar, its years starting in March. */
static inline int
wh_date_days(unsigned year, unsigned month, unsigned day)
{
	unsigned	y = month > 2 ? year : year - 1;
	unsigned	m = month > 2 ? month - 3 : month + 9;

	return (int) (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day) - 730426;
}

#endif							/* WH_VALUE_FORMAT_H */
