/*
 * value_iso.c
 *	  Which types hold dates, and whether a text writes them by ISO 8601, so
 *	  that it means the same whoever reads it, and whenever.
 *
 * What PostgreSQL writes with DateStyle ISO passes too: years of more digits,
 * BC, infinity.  Words that read the clock do not, and neither does anything
 * whose meaning a setting decides.  Reads catalogs; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "value/value_format.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)
#define is_letter(c)	((unsigned char) (((c) | 0x20) - 'a') < 26)

/* Tell what of a date a type holds, behind domains, arrays and ranges. */
WhDateKind
wh_date_kind(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			inner = get_element_type(base);

	switch (base)
	{
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return WH_DATE_DATE;
		case TIMEOID:
		case TIMETZOID:
			return WH_DATE_TIME;
		default:
			break;
	}
	if (!OidIsValid(inner) && type_is_range(base))
		inner = get_range_subtype(base);
	else if (!OidIsValid(inner) && type_is_multirange(base))
		inner = get_range_subtype(get_multirange_range(base));
	if (OidIsValid(inner) && wh_date_kind(inner) != WH_DATE_NONE)
		return WH_DATE_SEVERAL;
	return WH_DATE_NONE;
}

/* Step over count digits or more; returns their number, 0 when there are less. */
static int
take_digits(const char **s, const char *end, int least, int most)
{
	const char *p = *s;

	while (p < end && is_digit(*p) && p - *s < most)
		p++;
	if (p - *s < least)
		return 0;
	least = p - *s;
	*s = p;
	return least;
}

static void
take_blanks(const char **s, const char *end)
{
	while (*s < end && (**s == ' ' || **s == '\t'))
		(*s)++;
}

/* Step over a word, if it is this one. */
static bool
take_word(const char **s, const char *end, const char *word)
{
	Size		n = strlen(word);

	if ((Size) (end - *s) < n || pg_strncasecmp(*s, word, n) != 0 ||
		(*s + n < end && is_letter((*s)[n])))
		return false;
	*s += n;
	return true;
}

/* Step over YYYY-MM-DD or YYYYMMDD. */
static bool
take_date(const char **s, const char *end, bool *basic)
{
	const char *p = *s;
	int			n = take_digits(&p, end, 4, 8);

	*basic = n == 8 && !(p < end && *p == '-');
	if (!*basic)
	{
		if (n < 4 || p >= end || *p++ != '-' || take_digits(&p, end, 2, 2) == 0 ||
			p >= end || *p++ != '-' || take_digits(&p, end, 2, 2) == 0)
			return false;
	}
	*s = p;
	return true;
}

/* Step over HH:MM[:SS[.f]] or, when basic may be, HHMM[SS[.f]]. */
static bool
take_time(const char **s, const char *end, bool basic)
{
	const char *p = *s;

	if (take_digits(&p, end, 2, 2) == 0)
		return false;
	if (p < end && *p == ':')
	{
		p++;
		if (take_digits(&p, end, 2, 2) == 0)
			return false;
		if (p < end && *p == ':')
		{
			p++;
			if (take_digits(&p, end, 2, 2) == 0)
				return false;
		}
	}
	else
	{
		if (!basic || take_digits(&p, end, 2, 2) == 0)
			return false;
		(void) take_digits(&p, end, 2, 2);
	}
	if (p < end && *p == '.')
	{
		p++;
		if (take_digits(&p, end, 1, 100) == 0)
			return false;
	}
	*s = p;
	return true;
}

/* Step over a time zone, if one is there: an offset, UTC, or a name such as Area/City. */
static bool
take_zone(const char **s, const char *end)
{
	const char *p = *s;

	take_blanks(&p, end);
	if (p < end && (*p == '+' || *p == '-'))
	{
		p++;
		if (take_digits(&p, end, 2, 2) == 0)
			return false;
		for (int i = 0; i < 2; i++)
		{
			if (p < end && *p == ':')
			{
				p++;
				if (take_digits(&p, end, 2, 2) == 0)
					return false;
			}
			else
				(void) take_digits(&p, end, 2, 2);
		}
	}
	else if (!take_word(&p, end, "Z") && !take_word(&p, end, "UTC") && !take_word(&p, end, "GMT"))
	{
		const char *name = p;

		/* With digits it could be a zone's rule instead. */
		while (p < end && (is_letter(*p) || strchr("_/-", *p) != NULL))
			p++;
		if (p == name || memchr(name, '/', p - name) == NULL)
			return true;		/* none: what follows is not looked at here */
	}
	*s = p;
	return true;
}

/* Say whether one date, or date and time, is ISO. */
static bool
is_iso_date(const char *s, const char *end)
{
	bool		basic;
	const char *p;

	if (take_word(&s, end, "infinity") || take_word(&s, end, "-infinity"))
		return s == end;
	if (!take_date(&s, end, &basic))
		return false;
	p = s;
	if (p < end && (*p == 'T' || *p == 't'))
		p++;
	else
		take_blanks(&p, end);
	if (p > s && p < end && is_digit(*p))
	{
		s = p;
		if (!take_time(&s, end, basic))
			return false;
	}
	if (!take_zone(&s, end))
		return false;
	take_blanks(&s, end);
	(void) (take_word(&s, end, "BC") || take_word(&s, end, "AD"));
	return s == end;
}

/* Say whether a time of day is ISO, or has AM or PM behind. */
static bool
is_iso_time(const char *s, const char *end)
{
	if (s < end && (*s == 'T' || *s == 't'))
		s++;
	if (!take_time(&s, end, true))
		return false;
	take_blanks(&s, end);
	(void) (take_word(&s, end, "AM") || take_word(&s, end, "PM"));
	return take_zone(&s, end) && s == end;
}

/* Cut blanks off both ends, and look at what is there. */
static bool
is_iso(bool date, const char *s, const char *end)
{
	take_blanks(&s, end);
	while (s < end && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r'))
		end--;
	return date ? is_iso_date(s, end) : is_iso_time(s, end);
}

/*
 * Say whether a text for a type of this kind is ISO.  Of arrays and ranges each
 * member is looked at; whether braces match is the input function's to say.
 */
bool
wh_date_is_iso(WhDateKind kind, const char *s, Size len)
{
	const char *end = s + len;

	if (kind == WH_DATE_NONE)
		return true;
	if (kind != WH_DATE_SEVERAL)
		return is_iso(kind == WH_DATE_DATE, s, end);
	while (s < end)
	{
		const char *stop = s;
		const char *p = s;

		while (stop < end && strchr("{}[](),\"\\", *stop) == NULL)
			stop++;
		take_blanks(&p, stop);
		if (p < stop && !take_word(&p, stop, "null") && !take_word(&p, stop, "empty") &&
			!is_iso(true, s, stop) && !is_iso(false, s, stop))
			return false;
		s = stop + 1;
	}
	return true;
}
