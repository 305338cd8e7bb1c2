/*
 * value_number.c
 *	  Fast conversion of integers, floating point, numeric, boolean and uuid.
 *
 * Each function takes the common spellings and leaves the rest, bad data
 * included, to the type's input function.  Touches no shared state.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "compat.h"
#include "value/value_convert.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)
#define is_blank(c)		((c) == ' ' || ((unsigned char) ((c) - '\t') <= 4))

/* Longest mantissa that a double holds exactly, and its powers of ten. */
#define DOUBLE_EXACT_MAX	(UINT64CONST(1) << 53)
#define DOUBLE_EXACT_POWER	22
#define FLOAT_EXACT_MAX		(UINT64CONST(1) << 24)
#define FLOAT_EXACT_POWER	10

/* A double's text that is longer goes to the input function. */
#define FLOAT_TEXT_MAX		64

/*
 * The short header of a numeric, as on disk since PostgreSQL 9.1: sign, digits
 * after the point, weight of the first base-10000 digit.
 */
#define NUMERIC_IS_SHORT		0x8000
#define NUMERIC_SHORT_NEGATIVE	0x2000
#define NUMERIC_DSCALE_SHIFT	7
#define NUMERIC_WEIGHT_NEGATIVE	0x0040
#define NUMERIC_WEIGHT_BITS		0x003F
#define NUMERIC_GROUP			4	/* decimal digits in a base-10000 digit */
#define NUMERIC_MAX_WHOLE		200 /* digits of the short form taken here */
#define NUMERIC_MAX_FRACTION	60

static const double power_of_ten[] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
	1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

/*
 * Read [+-]digits, with blanks around.  At most 18 digits, so that nothing
 * overflows.
 */
static inline bool
read_integer(const char *s, Size len, int64 *result)
{
	const char *end = s + len;
	int64		n = 0;
	bool		negative = false;

	if (unlikely(len == 0))
		return false;
	if (unlikely(is_blank(*s) || is_blank(end[-1])))
	{
		while (s < end && is_blank(*s))
			s++;
		while (s < end && is_blank(end[-1]))
			end--;
		if (s == end)
			return false;
	}
	if (*s == '-' || *s == '+')
		negative = *s++ == '-';
	if (unlikely(s == end || end - s > 18))
		return false;
	do
	{
		unsigned char digit = (unsigned char) (*s - '0');

		if (unlikely(digit > 9))
			return false;
		n = n * 10 + digit;
	} while (++s < end);
	*result = negative ? -n : n;
	return true;
}

static bool
fast_int2(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	int64		n;

	if (!read_integer(s, len, &n) || n < PG_INT16_MIN || n > PG_INT16_MAX)
		return false;
	*value = Int16GetDatum((int16) n);
	return true;
}

static bool
fast_int4(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	int64		n;

	if (!read_integer(s, len, &n) || n < PG_INT32_MIN || n > PG_INT32_MAX)
		return false;
	*value = Int32GetDatum((int32) n);
	return true;
}

static bool
fast_int8(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	int64		n;

	if (!read_integer(s, len, &n))
		return false;
#ifdef USE_FLOAT8_BYVAL
	*value = Int64GetDatum(n);
#else
	{
		int64	   *p = wh_value_alloc(conv->arena, sizeof(int64));

		*p = n;
		*value = PointerGetDatum(p);
	}
#endif
	return true;
}

/*
 * Read [+-]digits[.digits][e[+-]digits] as mantissa and power of ten.  Returns
 * false for anything else; sets *exact to false when the mantissa has more
 * than 18 digits.
 */
static inline bool
read_decimal(const char *s, Size len, bool *negative, uint64 *mantissa,
			 int *power, bool *exact)
{
	const char *end = s + len;
	uint64		m = 0;
	int			digits = 0;
	int			fraction = 0;
	int			exponent = 0;
	bool		any = false;

	*negative = false;
	if (s < end && (*s == '-' || *s == '+'))
		*negative = *s++ == '-';
	for (; s < end && is_digit(*s); s++)
	{
		any = true;
		digits += (m != 0 || *s != '0');
		m = m * 10 + (*s - '0');
	}
	if (s < end && *s == '.')
	{
		for (s++; s < end && is_digit(*s); s++)
		{
			any = true;
			digits += (m != 0 || *s != '0');
			m = m * 10 + (*s - '0');
			fraction++;
		}
	}
	if (!any)
		return false;
	if (s < end && (*s == 'e' || *s == 'E'))
	{
		bool		minus = false;
		const char *first;

		s++;
		if (s < end && (*s == '-' || *s == '+'))
			minus = *s++ == '-';
		first = s;
		for (; s < end && is_digit(*s); s++)
			exponent = Min(exponent * 10 + (*s - '0'), 9999);
		if (s == first)
			return false;
		if (minus)
			exponent = -exponent;
	}
	if (s != end)
		return false;
	*mantissa = m;
	*power = exponent - fraction;
	*exact = digits <= 18;
	return true;
}

/*
 * float8: exact when mantissa and power of ten are exact doubles, since one
 * operation on exact operands rounds once; otherwise strtod, as float8in does.
 */
static bool
fast_float8(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	bool		negative,
				exact;
	uint64		m;
	int			power;
	double		d;

	if (len >= FLOAT_TEXT_MAX ||
		!read_decimal(s, len, &negative, &m, &power, &exact))
		return false;
	if (exact && m <= DOUBLE_EXACT_MAX && power >= -DOUBLE_EXACT_POWER &&
		power <= DOUBLE_EXACT_POWER)
	{
		d = (double) m;
		d = power < 0 ? d / power_of_ten[-power] : d * power_of_ten[power];
		if (negative)
			d = -d;
	}
	else
	{
		char		text[FLOAT_TEXT_MAX];

		memcpy(text, s, len);
		text[len] = '\0';
		errno = 0;
		d = strtod(text, NULL);
		if (errno != 0 || isinf(d))
			return false;
	}
#ifdef USE_FLOAT8_BYVAL
	*value = Float8GetDatum(d);
#else
	{
		double	   *p = wh_value_alloc(conv->arena, sizeof(double));

		*p = d;
		*value = PointerGetDatum(p);
	}
#endif
	return true;
}

static bool
fast_float4(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	bool		negative,
				exact;
	uint64		m;
	int			power;
	float		f;

	if (len >= FLOAT_TEXT_MAX ||
		!read_decimal(s, len, &negative, &m, &power, &exact))
		return false;
	if (exact && m <= FLOAT_EXACT_MAX && power >= -FLOAT_EXACT_POWER &&
		power <= FLOAT_EXACT_POWER)
	{
		f = (float) m;
		f = power < 0 ? f / (float) power_of_ten[-power] :
			f * (float) power_of_ten[power];
		if (negative)
			f = -f;
	}
	else
	{
		char		text[FLOAT_TEXT_MAX];

		memcpy(text, s, len);
		text[len] = '\0';
		errno = 0;
		f = strtof(text, NULL);
		if (errno != 0 || isinf(f))
			return false;
	}
	*value = Float4GetDatum(f);
	return true;
}

/* numeric: [+-]digits[.digits] within the limits of the type, unrounded. */
static bool
fast_numeric(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	const char *end = s + len;
	const char *whole;
	const char *point;
	const char *p;
	bool		negative = false;
	int			n_whole,
				n_fraction,
				n_groups,
				weight,
				dscale,
				i;
	char	   *result;
	uint16	   *header;
	int16	   *digits;
	uint16		bits;

	if (s < end && (*s == '-' || *s == '+'))
		negative = *s++ == '-';
	if (s == end)
		return false;
	for (point = s; point < end && is_digit(*point); point++)
		;
	for (whole = s; whole < point && *whole == '0'; whole++)
		;
	n_whole = point - whole;
	n_fraction = 0;
	if (point < end)
	{
		if (*point != '.')
			return false;
		for (p = point + 1; p < end && is_digit(*p); p++)
			;
		if (p != end)
			return false;
		n_fraction = end - (point + 1);
		if (n_fraction == 0 && point == s)
			return false;
	}
	if (n_whole > NUMERIC_MAX_WHOLE || n_fraction > NUMERIC_MAX_FRACTION)
		return false;
	dscale = n_fraction;
	if (conv->precision >= 0)
	{
		while (n_fraction > conv->scale && point[n_fraction] == '0')
			n_fraction--;
		if (n_fraction > conv->scale ||
			n_whole > conv->precision - conv->scale)
			return false;
		dscale = conv->scale;
	}

	/* Groups of four digits on each side of the point. */
	n_groups = (n_whole + NUMERIC_GROUP - 1) / NUMERIC_GROUP +
		(n_fraction + NUMERIC_GROUP - 1) / NUMERIC_GROUP;
	result = wh_value_alloc(conv->arena, VARHDRSZ + sizeof(uint16) +
							n_groups * sizeof(int16));
	header = (uint16 *) VARDATA(result);
	digits = (int16 *) (header + 1);
	weight = (n_whole + NUMERIC_GROUP - 1) / NUMERIC_GROUP - 1;
	n_groups = 0;
	for (p = whole, i = n_whole % NUMERIC_GROUP; p < point;)
	{
		int			group = 0;
		const char *stop = p + (i == 0 ? NUMERIC_GROUP : i);

		for (; p < stop; p++)
			group = group * 10 + (*p - '0');
		digits[n_groups++] = group;
		i = 0;
	}
	for (i = 0; i < n_fraction; i += NUMERIC_GROUP)
	{
		int			group = 0;
		int			k;

		for (k = i; k < i + NUMERIC_GROUP; k++)
			group = group * 10 + (k < n_fraction ? point[1 + k] - '0' : 0);
		if (n_groups == 0 && group == 0)
			weight--;
		else
			digits[n_groups++] = group;
	}
	while (n_groups > 0 && digits[n_groups - 1] == 0)
		n_groups--;
	if (n_groups == 0)
	{
		weight = 0;
		negative = false;
	}
	bits = NUMERIC_IS_SHORT | (dscale << NUMERIC_DSCALE_SHIFT) |
		(weight & NUMERIC_WEIGHT_BITS);
	if (negative)
		bits |= NUMERIC_SHORT_NEGATIVE;
	if (weight < 0)
		bits |= NUMERIC_WEIGHT_NEGATIVE;
	*header = bits;
	SET_VARSIZE(result, VARHDRSZ + sizeof(uint16) + n_groups * sizeof(int16));
	*value = PointerGetDatum(result);
	return true;
}

static bool
fast_bool(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	bool		b;

	while (len > 0 && is_blank(*s))
		s++, len--;
	while (len > 0 && is_blank(s[len - 1]))
		len--;
	if (len == 0 || !parse_bool_with_len(s, len, &b))
		return false;
	*value = BoolGetDatum(b);
	return true;
}

/* Return the value of a hexadecimal digit, or -1. */
static inline int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* uuid: the form with four hyphens. */
static bool
fast_uuid(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	pg_uuid_t  *uuid;
	int			i;

	if (len != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-')
		return false;
	uuid = wh_value_alloc(conv->arena, sizeof(pg_uuid_t));
	for (i = 0; i < UUID_LEN; i++)
	{
		int			high,
					low;

		if (*s == '-')
			s++;
		high = hex_value(s[0]);
		low = hex_value(s[1]);
		if ((high | low) < 0)
			return false;
		uuid->data[i] = high << 4 | low;
		s += 2;
	}
	*value = UUIDPGetDatum(uuid);
	return true;
}

/* Set the fast path of a number, boolean or uuid. */
void
wh_value_set_number(WhValueConverter *conv)
{
	conv->precision = -1;
	switch (conv->type)
	{
		case INT2OID:
			conv->fast = fast_int2;
			break;
		case INT4OID:
			conv->fast = fast_int4;
			break;
		case INT8OID:
			conv->fast = fast_int8;
			break;
		case FLOAT4OID:
			conv->fast = fast_float4;
			break;
		case FLOAT8OID:
			conv->fast = fast_float8;
			break;
		case NUMERICOID:
			conv->fast = fast_numeric;
			if (conv->typmod >= (int32) VARHDRSZ)
			{
				int32		t = conv->typmod - VARHDRSZ;

				/* A negative scale, or one beyond the precision, is rare. */
				conv->precision = (t >> 16) & 0xffff;
				conv->scale = ((t & 0x7ff) ^ 1024) - 1024;
				if (conv->scale < 0 || conv->scale > conv->precision ||
					conv->scale > NUMERIC_MAX_FRACTION)
					conv->fast = NULL;
			}
			break;
		case BOOLOID:
			conv->fast = fast_bool;
			break;
		case UUIDOID:
			conv->fast = fast_uuid;
			break;
		default:
			elog(ERROR, "no number type: %u", conv->type);
	}
}

/* A number of another spelling, as a text that the plain fast path reads. */
static bool
fast_formatted(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	char		text[FLOAT_TEXT_MAX];
	Size		n;

	return wh_value_format_number(&conv->format, s, len, text, sizeof(text), &n) &&
		conv->plain(conv, text, n, value);
}

/* The same for the input function. */
static bool
reform_number(WhValueConverter *conv, const char **s, Size *len, WhRowError *err)
{
	Size		size = *len + 16;
	char	   *text = palloc(size);

	if (wh_value_format_number(&conv->format, *s, *len, text, size, len))
	{
		*s = text;
		return true;
	}
	err->sqlerrcode = ERRCODE_INVALID_TEXT_REPRESENTATION;
	err->message = psprintf("invalid input syntax for type %s: \"%s\" (numbers are written as the options say)",
							format_type_be(conv->type), pnstrdup(*s, *len));
	return false;
}

/* Have numbers, and domains over them, read as the converter's format says. */
void
wh_value_set_number_format(WhValueConverter *conv)
{
	switch (getBaseType(conv->type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			conv->reform = reform_number;
			conv->plain = conv->fast;
			if (conv->plain != NULL)
				conv->fast = fast_formatted;
			break;
		default:
			break;
	}
}
