/*
 * value_pattern.c
 *	  Dates and times by a declared pattern: DD.MM.YYYY, MM/DD/YYYY HH12:MI AM,
 *	  the day numbers of a spreadsheet, seconds since 1970.
 *
 * The letters are those of to_timestamp, but what is read must be written just
 * so: nothing is skipped, cut or rounded.  Numbers with something behind them
 * may leave out a leading zero.  Touches no shared state.
 */
#include "postgres.h"

#include <math.h>

#include "utils/datetime.h"

#include "value/value_format.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)
#define is_letter(c)	((unsigned char) (((c) | 0x20) - 'a') < 26)

/* Most items of a pattern. */
#define MAX_ITEMS		48

/* Day numbers of spreadsheets: what day 0 is, days before 2000-01-01. */
#define EXCEL_1900		36526
#define EXCEL_1904		35064
/* The first day after 1900-02-29, which spreadsheets have and calendars do not. */
#define EXCEL_FIRST		61

typedef enum PatternItem
{
	ITEM_LITERAL,
	ITEM_BLANKS,				/* one or more */
	ITEM_YEAR4,
	ITEM_YEAR2,
	ITEM_MONTH,
	ITEM_MONTH_NAME,
	ITEM_DAY,
	ITEM_DAY_NAME,
	ITEM_HOUR24,
	ITEM_HOUR12,
	ITEM_MINUTE,
	ITEM_SECOND,
	ITEM_FRACTION,				/* digits of a second, up to six */
	ITEM_HALF_DAY,				/* AM or PM */
	ITEM_OFFSET					/* Z, +HH, +HHMM or +HH:MM */
} PatternItem;

typedef enum PatternKind
{
	PATTERN_ITEMS,
	PATTERN_EXCEL,
	PATTERN_EXCEL_1904,
	PATTERN_EPOCH,
	PATTERN_EPOCH_MS
} PatternKind;

struct WhDatePattern
{
	PatternKind kind;
	int			nitems;
	bool		has_time;
	uint8		item[MAX_ITEMS];
	char		literal[MAX_ITEMS];
	bool		padded[MAX_ITEMS];	/* numbers need all their digits */
};

/* The letters, the longest first. */
static const struct
{
	const char *name;
	PatternItem item;
}			pattern_letters[] = {
	{"MONTH", ITEM_MONTH_NAME},
	{"YYYY", ITEM_YEAR4}, {"HH24", ITEM_HOUR24}, {"HH12", ITEM_HOUR12}, {"A.M.", ITEM_HALF_DAY}, {"P.M.", ITEM_HALF_DAY},
	{"MON", ITEM_MONTH_NAME}, {"DAY", ITEM_DAY_NAME}, {"TZH:TZM", ITEM_OFFSET}, {"TZH", ITEM_OFFSET},
	{"YY", ITEM_YEAR2}, {"MM", ITEM_MONTH}, {"DD", ITEM_DAY}, {"HH", ITEM_HOUR12}, {"MI", ITEM_MINUTE}, {"SS", ITEM_SECOND},
	{"MS", ITEM_FRACTION}, {"US", ITEM_FRACTION}, {"FF", ITEM_FRACTION}, {"AM", ITEM_HALF_DAY}, {"PM", ITEM_HALF_DAY},
	{"DY", ITEM_DAY_NAME}, {"TZ", ITEM_OFFSET}, {"OF", ITEM_OFFSET}
};

/* Names of months, and how they are shortened; none means two months in two languages. */
static const struct
{
	uint8		month;
	const char *name;
}			month_names[] = {
	/* English, German, French, Spanish, Italian, Portuguese, Dutch */
	{1, "january"}, {1, "januar"}, {1, "janvier"}, {1, "enero"}, {1, "gennaio"}, {1, "janeiro"}, {1, "januari"},
	{1, "jan"}, {1, "j\xc3\xa4nner"}, {1, "janv"}, {1, "ene"}, {1, "gen"},
	{2, "february"}, {2, "februar"}, {2, "f\xc3\xa9vrier"}, {2, "febrero"}, {2, "febbraio"}, {2, "fevereiro"},
	{2, "februari"}, {2, "feb"}, {2, "f\xc3\xa9vr"}, {2, "f\xc3\xa9v"}, {2, "fev"},
	{3, "march"}, {3, "m\xc3\xa4rz"}, {3, "mars"}, {3, "marzo"}, {3, "mar\xc3\xa7o"}, {3, "maart"}, {3, "mar"},
	{3, "m\xc3\xa4r"}, {3, "mrz"}, {3, "mrt"},
	{4, "april"}, {4, "avril"}, {4, "abril"}, {4, "aprile"}, {4, "apr"}, {4, "avr"}, {4, "abr"},
	{5, "may"}, {5, "mai"}, {5, "mayo"}, {5, "maggio"}, {5, "maio"}, {5, "mei"}, {5, "mag"},
	{6, "june"}, {6, "juni"}, {6, "juin"}, {6, "junio"}, {6, "giugno"}, {6, "junho"}, {6, "jun"}, {6, "giu"},
	{7, "july"}, {7, "juli"}, {7, "juillet"}, {7, "julio"}, {7, "luglio"}, {7, "julho"}, {7, "jul"}, {7, "juil"}, {7, "lug"},
	{8, "august"}, {8, "ao\xc3\xbbt"}, {8, "agosto"}, {8, "augustus"}, {8, "aug"}, {8, "ago"},
	{9, "september"}, {9, "septembre"}, {9, "septiembre"}, {9, "settembre"}, {9, "setembro"}, {9, "sept"}, {9, "sep"}, {9, "set"},
	{10, "october"}, {10, "oktober"}, {10, "octobre"}, {10, "octubre"}, {10, "ottobre"}, {10, "outubro"}, {10, "oct"},
	{10, "okt"}, {10, "ott"}, {10, "out"},
	{11, "november"}, {11, "novembre"}, {11, "noviembre"}, {11, "novembro"}, {11, "nov"},
	{12, "december"}, {12, "dezember"}, {12, "d\xc3\xa9" "cembre"}, {12, "diciembre"}, {12, "dicembre"}, {12, "dezembro"},
	{12, "dec"}, {12, "dez"}, {12, "d\xc3\xa9" "c"}, {12, "dic"}
};

/*
 * Compile a pattern, in the current memory context.  Returns NULL and says why
 * when it is none.
 */
WhDatePattern *
wh_date_pattern_compile(const char *format, char **message)
{
	WhDatePattern *pattern = palloc0(sizeof(WhDatePattern));
	const char *s = format;
	uint32		seen = 0;
	bool		quoted = false;

	*message = NULL;
	if (pg_strcasecmp(format, "excel") == 0)
		pattern->kind = PATTERN_EXCEL;
	else if (pg_strcasecmp(format, "excel1904") == 0)
		pattern->kind = PATTERN_EXCEL_1904;
	else if (pg_strcasecmp(format, "epoch") == 0)
		pattern->kind = PATTERN_EPOCH;
	else if (pg_strcasecmp(format, "epoch_ms") == 0)
		pattern->kind = PATTERN_EPOCH_MS;
	if (pattern->kind != PATTERN_ITEMS)
	{
		pattern->has_time = true;
		return pattern;
	}
	while (*s)
	{
		int			n = pattern->nitems;
		int			i;

		if (n == MAX_ITEMS)
		{
			*message = "it is too long";
			return NULL;
		}
		if (*s == '"')
		{
			quoted = !quoted;
			s++;
			continue;
		}
		pattern->item[n] = ITEM_LITERAL;
		for (i = 0; !quoted && i < (int) lengthof(pattern_letters); i++)
		{
			Size		len = strlen(pattern_letters[i].name);

			if (pg_strncasecmp(s, pattern_letters[i].name, len) != 0)
				continue;
			pattern->item[n] = pattern_letters[i].item;
			s += len;
			/* FF3 and the like: how many digits there are is seen. */
			if (pattern->item[n] == ITEM_FRACTION && is_digit(*s))
				s++;
			break;
		}
		if (pattern->item[n] == ITEM_LITERAL)
		{
			if (!quoted && is_letter(*s) && pg_strncasecmp(s, "T", 1) != 0)
			{
				*message = psprintf("\"%c\" is no letter of a date; quote text as in \"\"h\"\"", *s);
				return NULL;
			}
			pattern->literal[n] = *s;
			if (*s == ' ')
			{
				pattern->item[n] = ITEM_BLANKS;
				if (n > 0 && pattern->item[n - 1] == ITEM_BLANKS)
					pattern->nitems--;
			}
			s++;
		}
		else if (pattern->item[n] != ITEM_DAY_NAME)
		{
			uint32		bit = 1u << pattern->item[n];

			if (seen & bit)
			{
				*message = "a part of the date is there twice";
				return NULL;
			}
			seen |= bit;
		}
		pattern->nitems++;
	}
	if (!(seen & (1u << ITEM_YEAR4 | 1u << ITEM_YEAR2)) || !(seen & (1u << ITEM_MONTH | 1u << ITEM_MONTH_NAME)))
	{
		*message = "a year or a month is missing";
		return NULL;
	}
	if ((seen & (1u << ITEM_HOUR12)) && !(seen & (1u << ITEM_HALF_DAY)))
	{
		*message = "HH and HH12 need AM; the hours of a day are HH24";
		return NULL;
	}
	pattern->has_time = (seen & (1u << ITEM_HOUR24 | 1u << ITEM_HOUR12)) != 0;
	/* A number next to another needs all its digits. */
	for (int i = 0; i < pattern->nitems; i++)
	{
		int			next = i + 1 < pattern->nitems ? pattern->item[i + 1] : ITEM_BLANKS;
		int			before = i > 0 ? pattern->item[i - 1] : ITEM_BLANKS;

		pattern->padded[i] = (next != ITEM_LITERAL && next != ITEM_BLANKS && next != ITEM_HALF_DAY && next != ITEM_OFFSET &&
							  next != ITEM_MONTH_NAME) ||
			(before != ITEM_LITERAL && before != ITEM_BLANKS && before != ITEM_MONTH_NAME && before != ITEM_DAY_NAME);
	}
	return pattern;
}

/* Say whether a pattern reads hours. */
bool
wh_date_pattern_has_time(const WhDatePattern *pattern)
{
	return pattern->has_time;
}

/* Read a number of one or two digits. */
static inline bool
read_two(const char **s, const char *end, bool padded, int *value)
{
	const char *p = *s;

	if (unlikely(p >= end || !is_digit(*p)))
		return false;
	if (likely(p + 1 < end && is_digit(p[1])))
	{
		*value = (p[0] - '0') * 10 + (p[1] - '0');
		*s = p + 2;
		return true;
	}
	*value = p[0] - '0';
	*s = p + 1;
	return !padded;
}

/* Read the name of a month. */
static bool
read_month_name(const char **s, const char *end, int *month)
{
	Size		best = 0;

	for (int i = 0; i < (int) lengthof(month_names); i++)
	{
		Size		n = strlen(month_names[i].name);

		if (n <= best || (Size) (end - *s) < n || pg_strncasecmp(*s, month_names[i].name, n) != 0)
			continue;
		best = n;
		*month = month_names[i].month;
	}
	*s += best;
	if (best > 0 && *s < end && **s == '.')
		(*s)++;
	return best > 0 && !(*s < end && (is_letter(**s) || IS_HIGHBIT_SET(**s)));
}

/* Read digits of a second as microseconds. */
static bool
read_fraction(const char **s, const char *end, int *usec)
{
	int			digits = 0;

	*usec = 0;
	for (; *s < end && is_digit(**s); (*s)++, digits++)
		if (digits < 6)
			*usec = *usec * 10 + (**s - '0');
		else if (**s != '0')
			return false;
	for (int i = digits; i < 6; i++)
		*usec *= 10;
	return digits > 0;
}

/* Read an offset from UTC. */
static bool
read_offset(const char **s, const char *end, int *offset)
{
	const char *p = *s;
	int			sign;
	int			hours,
				minutes = 0;

	*offset = 0;
	if (p < end && (*p == 'Z' || *p == 'z'))
	{
		*s = p + 1;
		return true;
	}
	if (p >= end || (*p != '+' && *p != '-'))
		return false;
	sign = *p++ == '-' ? -1 : 1;
	if (!read_two(&p, end, true, &hours) || hours > 15)
		return false;
	if (p < end && *p == ':')
	{
		p++;
		if (!read_two(&p, end, true, &minutes))
			return false;
	}
	else if (p < end && is_digit(*p) && !read_two(&p, end, true, &minutes))
		return false;
	if (minutes > 59)
		return false;
	*offset = sign * (hours * 60 + minutes) * SECS_PER_MINUTE;
	*s = p;
	return true;
}

/* Say whether the parts are a day and a time of the calendar. */
static bool
is_real(const WhDateParts *parts)
{
	return parts->year > 0 && parts->month >= 1 && parts->month <= 12 && parts->day >= 1 &&
		parts->day <= day_tab[isleap(parts->year)][parts->month - 1] &&
		parts->hour <= 23 && parts->minute <= 59 && parts->second <= 59;
}

/* Set the parts to a number of microseconds since 2000-01-01. */
static bool
parts_of_time(int64 days, int64 usecs, WhDateParts *parts)
{
	days += usecs / USECS_PER_DAY;
	usecs %= USECS_PER_DAY;
	if (usecs < 0)
	{
		usecs += USECS_PER_DAY;
		days--;
	}
	if (days < -730000 || days > 2900000)
		return false;
	j2date((int) days + POSTGRES_EPOCH_JDATE, &parts->year, &parts->month, &parts->day);
	parts->hour = usecs / USECS_PER_HOUR;
	parts->minute = usecs / USECS_PER_MINUTE % 60;
	parts->second = usecs / USECS_PER_SEC % 60;
	parts->usec = usecs % USECS_PER_SEC;
	return parts->year > 0;
}

/* Read a number of days, seconds or milliseconds with a fraction. */
static bool
read_count(PatternKind kind, const char *s, const char *end, WhDateParts *parts)
{
	bool		negative = s < end && *s == '-';
	int64		whole = 0;
	int			digits = 0;
	double		fraction = 0;
	double		scale = 1;
	int64		day;

	if (negative)
		s++;
	for (; s < end && is_digit(*s) && digits < 15; s++, digits++)
		whole = whole * 10 + (*s - '0');
	if (digits == 0)
		return false;
	if (s < end && (*s == '.' || *s == ','))
	{
		digits = 0;
		for (s++; s < end && is_digit(*s) && digits < 18; s++, digits++)
			fraction += (*s - '0') * (scale /= 10);
		if (digits == 0)
			return false;
	}
	if (s != end)
		return false;
	switch (kind)
	{
		case PATTERN_EXCEL:
		case PATTERN_EXCEL_1904:
			/* Their times have whole milliseconds at best. */
			if (negative || (kind == PATTERN_EXCEL && whole < EXCEL_FIRST))
				return false;
			day = whole - (kind == PATTERN_EXCEL ? EXCEL_1900 : EXCEL_1904);
			return parts_of_time(day, (int64) rint(fraction * SECS_PER_DAY * 1000) * 1000, parts);
		default:
			{
				int64		unit = kind == PATTERN_EPOCH ? USECS_PER_SEC : 1000;
				int64		usecs;

				if (whole > INT64CONST(250000000000) * (kind == PATTERN_EPOCH ? 1 : 1000))
					return false;
				usecs = whole * unit + (int64) rint(fraction * unit);
				parts->has_offset = true;
				parts->offset = 0;
				return parts_of_time(UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE, negative ? -usecs : usecs, parts);
			}
	}
}

/*
 * Read a text by a pattern.  With may_have_time, a pattern without time may have
 * an ISO time behind.  Returns false when the text is not written so, or is no
 * day of the calendar.
 */
bool
wh_date_pattern_read(const WhDatePattern *pattern, const char *s, Size len,
					 bool may_have_time, WhDateParts *parts)
{
	const char *end = s + len;
	int			half = -1;

	while (s < end && *s == ' ')
		s++;
	while (s < end && end[-1] == ' ')
		end--;
	memset(parts, 0, sizeof(*parts));
	parts->day = 1;				/* of a month, when none is written */
	if (pattern->kind != PATTERN_ITEMS)
		return read_count(pattern->kind, s, end, parts);
	for (int i = 0; i < pattern->nitems; i++)
	{
		bool		padded = pattern->padded[i];
		bool		ok = true;

		switch ((PatternItem) pattern->item[i])
		{
			case ITEM_LITERAL:
				ok = s < end && *s == pattern->literal[i];
				s++;
				break;
			case ITEM_BLANKS:
				ok = s < end && *s == ' ';
				while (s < end && *s == ' ')
					s++;
				break;
			case ITEM_YEAR4:
				{
					int			high,
								low;

					ok = read_two(&s, end, true, &high) && read_two(&s, end, true, &low);
					if (ok)
						parts->year = high * 100 + low;
					break;
				}
			case ITEM_YEAR2:
				ok = read_two(&s, end, true, &parts->year);
				parts->year += parts->year < 70 ? 2000 : 1900;
				break;
			case ITEM_MONTH:
				ok = read_two(&s, end, padded, &parts->month);
				break;
			case ITEM_MONTH_NAME:
				ok = read_month_name(&s, end, &parts->month);
				break;
			case ITEM_DAY:
				ok = read_two(&s, end, padded, &parts->day);
				break;
			case ITEM_DAY_NAME:
				ok = s < end && (is_letter(*s) || IS_HIGHBIT_SET(*s));
				while (s < end && (is_letter(*s) || IS_HIGHBIT_SET(*s)))
					s++;
				if (s < end && *s == '.')
					s++;
				break;
			case ITEM_HOUR24:
			case ITEM_HOUR12:
				ok = read_two(&s, end, padded, &parts->hour);
				if (pattern->item[i] == ITEM_HOUR12)
					ok = ok && parts->hour >= 1 && parts->hour <= 12;
				break;
			case ITEM_MINUTE:
				ok = read_two(&s, end, true, &parts->minute);
				break;
			case ITEM_SECOND:
				ok = read_two(&s, end, true, &parts->second);
				break;
			case ITEM_FRACTION:
				ok = read_fraction(&s, end, &parts->usec);
				break;
			case ITEM_HALF_DAY:
				if (s < end && (*s == 'a' || *s == 'A' || *s == 'p' || *s == 'P'))
				{
					half = (*s++ | 0x20) == 'p';
					if (s < end && *s == '.')
						s++;
					ok = s < end && (*s == 'm' || *s == 'M');
					s++;
					if (s < end && *s == '.')
						s++;
				}
				else
					ok = false;
				break;
			case ITEM_OFFSET:
				ok = parts->has_offset = read_offset(&s, end, &parts->offset);
				break;
		}
		if (unlikely(!ok))
			return false;
	}
	if (s < end && may_have_time && !pattern->has_time && (*s == ' ' || *s == 'T'))
	{
		for (s++; s < end && *s == ' '; s++)
			;
		if (!read_two(&s, end, true, &parts->hour) || s >= end || *s++ != ':' || !read_two(&s, end, true, &parts->minute))
			return false;
		if (s < end && *s == ':' && !(s++, read_two(&s, end, true, &parts->second)))
			return false;
		if (s < end && (*s == '.' || *s == ',') && !(s++, read_fraction(&s, end, &parts->usec)))
			return false;
	}
	if (s != end)
		return false;
	if (half >= 0)
		parts->hour = parts->hour % 12 + half * 12;
	return is_real(parts);
}
