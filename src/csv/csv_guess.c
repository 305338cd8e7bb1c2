/*
 * csv_guess.c
 *	  Tells the type of a column by its values, and how they are written.
 *
 * A type is only named when every value looked at has one spelling of it, so
 * that nothing is lost: 00123 and +49 are text.  Where two readings remain
 * (03/04/2024, 1,234) the column is text, and that is said.  Runs in any
 * backend; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "csv/csv_guess.h"

/* Types, the narrowest first. */
#define MAY_BE_BOOL			0x001
#define MAY_BE_INT			0x002
#define MAY_BE_BIGINT		0x004
#define MAY_BE_NUMERIC		0x008
#define MAY_BE_FLOAT		0x010
#define MAY_BE_DATE			0x020
#define MAY_BE_TIMESTAMP	0x040
#define MAY_BE_TIMESTAMPTZ	0x080
#define MAY_BE_UUID			0x100
#define MAY_BE_TIME			0x200
#define MAY_BE_ANYTHING		0x3ff

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

/* Signs around numbers. */
#define HAS_PARENTHESES		0x01
#define HAS_TRAILING		0x02
#define HAS_PERCENT			0x04
#define HAS_CURRENCY		0x08

/* Date formats; two with the same letters and another order are of different orders. */
typedef enum DateOrderGuess
{
	DAY_FIRST, MONTH_FIRST, NO_DOUBT
} DateOrderGuess;

static const struct
{
	const char *pattern;
	DateOrderGuess order;
	bool		has_time;
	bool		has_zone;
}			date_formats[] = {
	{"DD.MM.YYYY", NO_DOUBT, false, false},
	{"DD.MM.YYYY HH24:MI", NO_DOUBT, true, false},
	{"DD.MM.YYYY HH24:MI:SS", NO_DOUBT, true, false},
	{"DD.MM.YYYY, HH24:MI:SS", NO_DOUBT, true, false},
	{"DD.MM.YY", NO_DOUBT, false, false},
	{"DD/MM/YYYY", DAY_FIRST, false, false},
	{"DD/MM/YYYY HH24:MI", DAY_FIRST, true, false},
	{"DD/MM/YYYY HH24:MI:SS", DAY_FIRST, true, false},
	{"DD/MM/YY", DAY_FIRST, false, false},
	{"DD-MM-YYYY", DAY_FIRST, false, false},
	{"DD-MM-YYYY HH24:MI", DAY_FIRST, true, false},
	{"MM/DD/YYYY", MONTH_FIRST, false, false},
	{"MM/DD/YYYY HH12:MI AM", MONTH_FIRST, true, false},
	{"MM/DD/YYYY HH12:MI:SS AM", MONTH_FIRST, true, false},
	{"MM/DD/YYYY HH24:MI", MONTH_FIRST, true, false},
	{"MM/DD/YYYY HH24:MI:SS", MONTH_FIRST, true, false},
	{"MM/DD/YY", MONTH_FIRST, false, false},
	{"MM-DD-YYYY", MONTH_FIRST, false, false},
	{"YYYY/MM/DD", NO_DOUBT, false, false},
	{"YYYY/MM/DD HH24:MI:SS", NO_DOUBT, true, false},
	{"YYYY.MM.DD", NO_DOUBT, false, false},
	{"DD-Mon-YYYY", NO_DOUBT, false, false},
	{"DD-Mon-YY", NO_DOUBT, false, false},
	{"DD Mon YYYY", NO_DOUBT, false, false},
	{"DD. Mon YYYY", NO_DOUBT, false, false},
	{"Mon DD, YYYY", NO_DOUBT, false, false},
	{"Mon DD YYYY", NO_DOUBT, false, false},
	{"DD/Mon/YYYY:HH24:MI:SS TZ", NO_DOUBT, true, true},
	{"YYYYMMDDHH24MISS", NO_DOUBT, true, false},
};

/* Number formats: what the point is, and what stands between groups. */
static const struct
{
	char		decimal;
	const char *thousands;
}			number_formats[] = {
	{'.', NULL}, {',', NULL}, {'.', ","}, {',', "."}, {',', " "}, {'.', " "}, {'.', "'"}, {',', "'"}
};

/* Bits of WhCsvGuess.dates beside those of date_formats: the given one, and that it has a time. */
#define GIVEN_FORMAT	(1u << 30)
#define GIVEN_HAS_TIME	(1u << 31)

StaticAssertDecl(lengthof(date_formats) <= 30, "too many date formats for a mask");

#define POINT_FORMATS	0x65		/* decimal is '.' */
#define COMMA_FORMATS	0x9a

/* Texts that often mean NULL. */
static const char *const null_texts[] = {
	"NA", "N/A", "n/a", "#N/A", "NULL", "null", "\\N", "None", "nan", "NaN", "-", "--", "?", "(null)"
};

static const char *const currencies[] = {"\xe2\x82\xac", "$", "\xc2\xa3", "EUR", "USD", "GBP", "CHF", NULL};

struct WhCsvGuesser
{
	WhValueArena *arena;
	WhValueConverter *integer;
	WhValueConverter *bigint;
	WhValueConverter *date;
	WhValueConverter *timestamp;
	WhValueConverter *timestamptz;
	WhValueConverter *uuid;
	WhDatePattern *patterns[lengthof(date_formats)];
	WhDatePattern *given;		/* what the caller said of the table; NULL = nothing */
	WhValueFormat numbers[lengthof(number_formats)];
};

/*
 * Make what is needed to look at values, in the current memory context.
 * date_format is what dates are known to be written like; NULL = it is not.
 */
WhCsvGuesser *
wh_csv_guesser_create(const char *date_format)
{
	WhCsvGuesser *guesser = palloc0(sizeof(WhCsvGuesser));
	char	   *message;

	guesser->arena = wh_value_arena_create(CurrentMemoryContext);
	guesser->integer = wh_value_converter(INT4OID, -1, guesser->arena);
	guesser->bigint = wh_value_converter(INT8OID, -1, guesser->arena);
	guesser->date = wh_value_converter(DATEOID, -1, guesser->arena);
	guesser->timestamp = wh_value_converter(TIMESTAMPOID, -1, guesser->arena);
	guesser->timestamptz = wh_value_converter(TIMESTAMPTZOID, -1, guesser->arena);
	guesser->uuid = wh_value_converter(UUIDOID, -1, guesser->arena);
	if (date_format)
		guesser->given = wh_date_pattern_compile(date_format, &message);
	for (int i = 0; i < (int) lengthof(date_formats); i++)
		guesser->patterns[i] = wh_date_pattern_compile(date_formats[i].pattern, &message);
	for (int i = 0; i < (int) lengthof(number_formats); i++)
	{
		WhValueFormat *format = &guesser->numbers[i];

		wh_value_format_init(format);
		format->decimal = number_formats[i].decimal;
		format->thousands = number_formats[i].thousands;
		format->parentheses = format->trailing_minus = true;
		format->percent = WH_PERCENT_KEEP;
		format->currencies = currencies;
	}
	return guesser;
}

/* Begin with a column of which nothing was seen. */
void
wh_csv_guess_start(WhCsvGuess *guess)
{
	memset(guess, 0, sizeof(*guess));
	guess->types = MAY_BE_ANYTHING;
	guess->dates = ((1u << lengthof(date_formats)) - 1) | GIVEN_FORMAT | GIVEN_HAS_TIME;
	guess->numbers = (1u << lengthof(number_formats)) - 1;
}

/* Say whether a fast conversion takes the value. */
static bool
takes(WhValueConverter *convert, const char *s, Size len)
{
	Datum		value;

	return convert->fast(convert, s, len, &value);
}

/* Tell which number types a value has the usual spelling of. */
static uint32
number_types(WhCsvGuesser *guesser, const char *s, Size len)
{
	const char *p = s;
	const char *end = s + len;
	const char *whole;
	bool		fraction = false;
	bool		exponent = false;

	if (p < end && *p == '-')
		p++;
	for (whole = p; p < end && is_digit(*p); p++)
		;
	if (p - whole > 1 && *whole == '0')
		return 0;
	if (p < end && *p == '.')
	{
		const char *first = ++p;

		for (; p < end && is_digit(*p); p++)
			;
		if (p == first)
			return 0;
		fraction = true;
	}
	else if (p == whole)
		return 0;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		const char *first;

		p++;
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		for (first = p; p < end && is_digit(*p); p++)
			;
		if (p == first)
			return 0;
		exponent = true;
	}
	if (p != end)
		return 0;
	if (exponent)
		return MAY_BE_FLOAT;
	if (fraction || !takes(guesser->bigint, s, len))
		return MAY_BE_NUMERIC | MAY_BE_FLOAT;
	if (!takes(guesser->integer, s, len))
		return MAY_BE_BIGINT | MAY_BE_NUMERIC | MAY_BE_FLOAT;
	return MAY_BE_INT | MAY_BE_BIGINT | MAY_BE_NUMERIC | MAY_BE_FLOAT;
}

/* Tell which types a value has PostgreSQL's usual spelling of. */
static uint32
types_of(WhCsvGuesser *guesser, const char *s, Size len)
{
	if (len == 0)
		return 0;
	if ((len == 1 && strchr("tf", *s)) ||
		(len == 4 && pg_strncasecmp(s, "true", 4) == 0) ||
		(len == 5 && pg_strncasecmp(s, "false", 5) == 0))
		return MAY_BE_BOOL;
	if (!is_digit(*s) && *s != '-' && *s != '.')
		return takes(guesser->uuid, s, len) ? MAY_BE_UUID : 0;
	if (takes(guesser->date, s, len))
		return MAY_BE_DATE | MAY_BE_TIMESTAMP;
	if (takes(guesser->timestamp, s, len))
		return MAY_BE_TIMESTAMP;
	if (takes(guesser->timestamptz, s, len) || (len > 16 && s[4] == '-' && wh_date_is_iso(WH_DATE_DATE, s, len)))
		return MAY_BE_TIMESTAMPTZ;
	if (takes(guesser->uuid, s, len))
		return MAY_BE_UUID;
	if ((len == 5 || len == 8) && s[2] == ':' && wh_date_is_iso(WH_DATE_TIME, s, len))
		return MAY_BE_TIME;
	return number_types(guesser, s, len);
}

/* Tell which of the date formats in a mask read a value. */
static uint32
dates_of(WhCsvGuesser *guesser, uint32 mask, const char *s, Size len)
{
	WhDateParts parts;
	uint32		result = 0;

	if (len < 6 || len > 40)
		return 0;
	for (int i = 0; i < (int) lengthof(date_formats); i++)
		if ((mask & (1u << i)) && wh_date_pattern_read(guesser->patterns[i], s, len, false, &parts))
			result |= 1u << i;
	if ((mask & GIVEN_FORMAT) && guesser->given && wh_date_pattern_read(guesser->given, s, len, true, &parts))
	{
		result |= GIVEN_FORMAT;
		if ((mask & GIVEN_HAS_TIME) && wh_date_pattern_has_time(guesser->given))
			result |= GIVEN_HAS_TIME;
	}
	return result;
}

/* The same for number formats; notes what stands around the digits. */
static uint32
numbers_of(WhCsvGuesser *guesser, uint32 mask, const char *s, Size len, uint32 *decoration)
{
	char		text[64];
	Size		n;
	uint32		result = 0;
	const char *first;

	if (len == 0 || len > 40)
		return 0;
	for (first = s; first < s + len && !is_digit(*first); first++)
		;
	/* No digits is no number; 00123 and +49 are no numbers either. */
	if (first == s + len || memchr(s, '+', len) != NULL || (first[0] == '0' && first + 1 < s + len && is_digit(first[1])))
		return 0;
	for (int i = 0; i < (int) lengthof(number_formats); i++)
		if ((mask & (1u << i)) && wh_value_format_number(&guesser->numbers[i], s, len, text, sizeof(text), &n))
			result |= 1u << i;
	if (result != 0 && decoration)
	{
		*decoration |= *s == '(' ? HAS_PARENTHESES : 0;
		*decoration |= s[len - 1] == '-' ? HAS_TRAILING : 0;
		*decoration |= memchr(s, '%', len) ? HAS_PERCENT : 0;
		for (int i = 0; currencies[i]; i++)
			for (Size k = 0; k + strlen(currencies[i]) <= len; k++)
				if (memcmp(s + k, currencies[i], strlen(currencies[i])) == 0)
					*decoration |= HAS_CURRENCY | 0x10u << i;
	}
	return result;
}

/* Say which text that often means NULL a value is; 0 = none. */
static uint32
null_text(const char *s, Size len)
{
	for (int i = 0; i < (int) lengthof(null_texts); i++)
		if (strlen(null_texts[i]) == len && memcmp(null_texts[i], s, len) == 0)
			return 1u << i;
	return 0;
}

/* Say whether a value is a day, as YYYYMMDD. */
static bool
is_day_number(const char *s, Size len)
{
	int			month,
				day;

	if (len != 8 || strspn(s, "0123456789") < 8 || (memcmp(s, "19", 2) != 0 && memcmp(s, "20", 2) != 0))
		return false;
	month = (s[4] - '0') * 10 + s[5] - '0';
	day = (s[6] - '0') * 10 + s[7] - '0';
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* Narrow a column's guess by a value of it. */
void
wh_csv_guess_value(WhCsvGuesser *guesser, WhCsvGuess *guess, const char *s, Size len, bool quoted)
{
	uint32		is_null;

	if (len == 0)
	{
		guess->quoted_empty |= quoted;
		return;
	}
	is_null = null_text(s, len);
	if (is_null)
	{
		guess->nulls |= is_null;
		guess->quoted_empty |= quoted;
		return;
	}
	guess->values++;
	wh_value_arena_reset(guesser->arena);
	if (guess->types)
		guess->types &= types_of(guesser, s, len);
	guess->day_numbers += is_day_number(s, len);
	if (guess->dates)
		guess->dates = dates_of(guesser, guess->dates, s, len);
	if (guess->numbers)
		guess->numbers = numbers_of(guesser, guess->numbers, s, len, &guess->decoration);
}

/* Say whether nothing but text is left. */
bool
wh_csv_guess_is_text(const WhCsvGuess *guess)
{
	return guess->values == 0 || (!guess->types && !guess->dates && !guess->numbers);
}

/* Say whether a value is one of those that the column has. */
bool
wh_csv_guess_fits(WhCsvGuesser *guesser, const WhCsvGuess *guess, const char *s, Size len)
{
	wh_value_arena_reset(guesser->arena);
	return null_text(s, len) || (types_of(guesser, s, len) & guess->types) || dates_of(guesser, guess->dates, s, len) ||
		numbers_of(guesser, guess->numbers, s, len, NULL);
}

/* Say whether a text is a value of some type, and so hardly a name. */
bool
wh_csv_guess_is_value(WhCsvGuesser *guesser, const char *s, Size len)
{
	WhCsvGuess	guess;

	wh_csv_guess_start(&guess);
	guess.types &= ~(uint32) MAY_BE_BOOL;
	return wh_csv_guess_fits(guesser, &guess, s, len);
}

/* Return the decimal point of a column, when there is no doubt about it; else 0. */
char
wh_csv_guess_decimal(const WhCsvGuess *guess)
{
	if (guess->values == 0 || guess->numbers == 0 || guess->types != 0)
		return 0;
	if (!(guess->numbers & COMMA_FORMATS))
		return '.';
	return guess->numbers & POINT_FORMATS ? 0 : ',';
}

/* Write the texts of a mask as a list. */
static const char *
list_of(const char *const *texts, uint32 mask, bool with_empty)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoString(&out, with_empty ? "{\"\"" : "{");
	for (int i = 0; mask >> i; i++)
		if (mask & (1u << i))
			appendStringInfo(&out, "%s\"%s%s\"", out.len > 1 ? "," : "", texts[i][0] == '\\' ? "\\" : "", texts[i]);
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* Choose the number format of a column whose values are not written plainly. */
static bool
choose_number(const WhCsvGuess *guess, char decimal, WhCsvColumnType *result)
{
	uint32		numbers = guess->numbers;

	if (decimal == '.')
		numbers &= POINT_FORMATS;
	else if (decimal == ',')
		numbers &= COMMA_FORMATS;
	if (numbers == 0)
		return false;
	if ((numbers & POINT_FORMATS) && (numbers & COMMA_FORMATS) && !(numbers & 1))
	{
		result->note = "the comma may be a decimal point or stand between thousands: left as text (options decimal and thousands)";
		return false;
	}
	result->type = NUMERICOID;
	for (int i = 0; i < (int) lengthof(number_formats); i++)
	{
		if (!(numbers & (1u << i)))
			continue;
		result->decimal = number_formats[i].decimal;
		result->thousands = number_formats[i].thousands;
		break;
	}
	if ((guess->decoration & HAS_PARENTHESES) && (guess->decoration & HAS_TRAILING))
		result->negative = "any";
	else if (guess->decoration & HAS_PARENTHESES)
		result->negative = "parentheses";
	else if (guess->decoration & HAS_TRAILING)
		result->negative = "trailing";
	if (guess->decoration & HAS_PERCENT)
		result->percent = "keep";
	if (guess->decoration & HAS_CURRENCY)
		result->currency = list_of(currencies, guess->decoration >> 4, false);
	return true;
}

/*
 * Tell the type of a column, the narrowest that fits, and its options.  decimal
 * is that of the file's other columns, 0 when they do not tell.
 */
void
wh_csv_guess_type(const WhCsvGuess *guess, char decimal, WhCsvColumnType *result)
{
	static const Oid types[] = {
		BOOLOID, INT4OID, INT8OID, NUMERICOID, FLOAT8OID, DATEOID,
		TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID, TIMEOID
	};
	uint32		orders = 0;
	int			first = -1;

	memset(result, 0, sizeof(*result));
	result->type = TEXTOID;
	result->decimal = '.';
	if (guess->values == 0)
		return;
	for (int i = 0; i < (int) lengthof(date_formats); i++)
	{
		if (!(guess->dates & (1u << i)))
			continue;
		orders |= 1u << date_formats[i].order;
		if (first < 0)
			first = i;
	}
	if (guess->day_numbers == guess->values && guess->values > 1)
		result->type = DATEOID;
	else if (decimal == ',' && !(guess->types & MAY_BE_INT) && (guess->types & MAY_BE_NUMERIC) &&
			 (guess->numbers & COMMA_FORMATS))
		(void) choose_number(guess, decimal, result);
	else if (guess->types && !(first >= 0 && date_formats[first].has_time))
	{
		for (int i = 0; i < (int) lengthof(types); i++)
		{
			if (!(guess->types & (1u << i)))
				continue;
			result->type = types[i];
			break;
		}
	}
	else if (guess->dates & GIVEN_FORMAT)
		result->type = guess->dates & GIVEN_HAS_TIME ? TIMESTAMPOID : DATEOID;
	else if (first >= 0)
	{
		if (orders == (1u << DAY_FIRST | 1u << MONTH_FIRST))
			result->note = "the day or the month may come first: left as text (option date_format)";
		else
		{
			result->type = date_formats[first].has_zone ? TIMESTAMPTZOID : date_formats[first].has_time ? TIMESTAMPOID : DATEOID;
			result->date_format = date_formats[first].pattern;
		}
	}
	else if (guess->numbers)
		(void) choose_number(guess, decimal, result);
	if (result->type != TEXTOID)
	{
		if (guess->nulls)
			result->nulls = list_of(null_texts, guess->nulls, true);
		result->quoted_null = guess->quoted_empty;
	}
}
