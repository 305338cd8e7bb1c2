/*
 * kafka_meaning.c
 *	  What JSON numbers and strings stand for, where JSON itself does not say:
 *	  times as numbers, bytes and decimals in base64, arrays.
 *
 * Pure computation in the current memory context; says false, or NULL, for what
 * cannot be read, and raises nothing for what stands in a message.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "kafka/kafka_meaning.h"

#define EPOCH_DAYS	(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)

/* Digits of a number that are read: more are no time. */
#define MAX_DIGITS	40

/* Say whether numbers of a type are dates, times or durations, in some unit. */
bool
wh_kafka_is_time(Oid type)
{
	switch (getBaseType(type))
	{
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return true;
		default:
			return false;
	}
}

/* Say whether the options of a column fit its type. */
bool
wh_kafka_meaning_fits(const WhKafkaColumn *column)
{
	Oid			type = getBaseType(column->type);

	if (column->meaning == WH_KAFKA_PLAIN)
		return true;
	if (column->kind != WH_KAFKA_FIELD)
		return false;
	if (column->meaning == WH_KAFKA_BASE64)
		return column->scale >= 0 ? type == NUMERICOID : type == BYTEAOID;
	return wh_kafka_is_time(type) && type != TIMETZOID;
}

/*
 * Read a JSON number, with all of its spellings, as microseconds; a part of one
 * is cut off towards the past.
 */
bool
wh_kafka_epoch_read(const char *text, int len, WhKafkaMeaning unit, int64 *micros)
{
	static const int zeros[] = {
		[WH_KAFKA_DAYS] = 5, [WH_KAFKA_SECONDS] = 6, [WH_KAFKA_MILLISECONDS] = 3,
		[WH_KAFKA_MICROSECONDS] = 0, [WH_KAFKA_NANOSECONDS] = -3
	};
	char		digits[MAX_DIGITS];
	int			ndigits = 0;
	int			point = -1;		/* digits before it */
	int			shift;
	long		exponent = 0;
	bool		negative = len > 0 && text[0] == '-';
	bool		has_rest = false;
	int64		result = 0;

	for (int i = negative; i < len; i++)
	{
		if (text[i] == '.')
			point = ndigits;
		else if (text[i] == 'e' || text[i] == 'E')
		{
			char		number[8];

			if (len - i - 1 >= sizeof(number))
				return false;
			memcpy(number, text + i + 1, len - i - 1);
			number[len - i - 1] = '\0';
			exponent = strtol(number, NULL, 10);
			break;
		}
		else if (ndigits == 0 && text[i] == '0' && point < 0)
			continue;
		else if (ndigits == MAX_DIGITS)
			return false;
		else
			digits[ndigits++] = text[i];
	}
	if (point < 0)
		point = ndigits;
	/* how many of the digits stand before the point of the microseconds */
	shift = point + exponent + zeros[unit];
	for (int i = 0; i < Max(shift, ndigits); i++)
	{
		int			digit = i < ndigits ? digits[i] - '0' : 0;

		if (i >= shift)
			has_rest |= digit != 0;
		else if (pg_mul_s64_overflow(result, 10, &result) || pg_add_s64_overflow(result, digit, &result))
			return false;
		else if (result == 0 && i >= ndigits)
			break;
	}
	if (unit == WH_KAFKA_DAYS)
	{
		/* a day is 864 times 10 to the power of 8 */
		if (pg_mul_s64_overflow(result, 864000, &result))
			return false;
		if (has_rest)
			return false;
	}
	*micros = negative ? -result - (has_rest ? 1 : 0) : result;
	return true;
}

/* Make a value of a time type of microseconds: since 1970, since midnight, or a duration. */
bool
wh_kafka_epoch_datum(Oid type, int64 micros, Datum *value)
{
	int64		days = micros / USECS_PER_DAY - (micros % USECS_PER_DAY < 0 ? 1 : 0);
	Timestamp	time;

	switch (type)
	{
		case DATEOID:
			days -= EPOCH_DAYS;
			if (days < DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE || days >= DATE_END_JULIAN - POSTGRES_EPOCH_JDATE)
				return false;
			*value = DateADTGetDatum((DateADT) days);
			return true;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			if (pg_sub_s64_overflow(micros, EPOCH_DAYS * USECS_PER_DAY, &time) || !IS_VALID_TIMESTAMP(time))
				return false;
			*value = TimestampGetDatum(time);
			return true;
		case TIMEOID:
			if (micros < 0 || micros > USECS_PER_DAY)
				return false;
			*value = TimeADTGetDatum(micros);
			return true;
		case INTERVALOID:
			{
				Interval   *interval = palloc0(sizeof(Interval));

				interval->time = micros;
				*value = IntervalPGetDatum(interval);
				return true;
			}
		default:
			return false;
	}
}

/* Decode base64, the usual one or that of URLs; NULL = it is none. */
uint8 *
wh_kafka_base64_decode(const char *text, int len, int *nbytes)
{
	int			padded = (len + 3) / 4 * 4;
	char	   *usual = palloc(padded + 1);
	uint8	   *bytes = palloc(Max(pg_b64_dec_len(padded), 1));

	for (int i = 0; i < padded; i++)
		usual[i] = i >= len ? '=' : text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	for (int i = 0; i < len; i++)
		if (isspace((unsigned char) text[i]))
			return NULL;
	*nbytes = wh_b64_decode(usual, padded, (char *) bytes, pg_b64_dec_len(padded));
	return *nbytes < 0 ? NULL : bytes;
}

/* Write a number as text: its digits as two's complement, the highest byte first, and a scale. */
char *
wh_kafka_decimal_text(const uint8 *bytes, int nbytes, int scale)
{
	bool		negative = nbytes > 0 && (bytes[0] & 0x80);
	int			size = nbytes * 5 / 2 + 2;
	char	   *digits = palloc0(size);	/* of the number, the lowest first */
	int			ndigits = 0;
	StringInfoData out;

	/* read byte by byte: multiply what there is by 256, add */
	for (int i = 0; i < nbytes; i++)
	{
		int			carry = negative ? (uint8) ~bytes[i] : bytes[i];

		for (int j = 0; j < ndigits || carry > 0; j++)
		{
			int			sum = digits[j] * 256 + carry;

			digits[j] = sum % 10;
			carry = sum / 10;
			ndigits = Max(ndigits, j + 1);
		}
	}
	for (int j = 0, carry = negative; carry > 0; j++)
	{
		int			sum = digits[j] + carry;

		digits[j] = sum % 10;
		carry = sum / 10;
		ndigits = Max(ndigits, j + 1);
	}
	initStringInfo(&out);
	if (negative)
		appendStringInfoChar(&out, '-');
	for (int i = Max(ndigits, Max(scale, 0) + 1) - 1; i >= 0; i--)
	{
		if (scale > 0 && i == scale - 1)
			appendStringInfoChar(&out, '.');
		appendStringInfoChar(&out, i < ndigits ? '0' + digits[i] : '0');
	}
	for (int i = scale; i < 0; i++)
		appendStringInfoChar(&out, '0');
	return out.data;
}

/* Write bits as text, the highest first; the bytes have the lowest first.  nbits = 0: all of them. */
char *
wh_kafka_bits_text(const uint8 *bytes, int nbytes, int nbits)
{
	int			n = nbits > 0 ? nbits : nbytes * 8;
	char	   *text = palloc(n + 1);

	for (int i = 0; i < n; i++)
	{
		int			bit = n - 1 - i;

		text[i] = bit / 8 < nbytes && (bytes[bit / 8] >> (bit % 8) & 1) ? '1' : '0';
	}
	text[n] = '\0';
	return text;
}

/* Append text between quotes, as elements of arrays are written. */
static void
append_element(StringInfo out, const char *text, int len)
{
	appendStringInfoChar(out, '"');
	for (int i = 0; i < len; i++)
	{
		if (text[i] == '"' || text[i] == '\\')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, text[i]);
	}
	appendStringInfoChar(out, '"');
}

/* Append the UTF-8 of four hexadecimal digits, of two such for a pair; gives the place behind. */
static const char *
append_escaped(StringInfo out, const char *p)
{
	unsigned int code = 0;
	unsigned int low = 0;
	unsigned char utf8[4];

	if (sscanf(p, "%4x", &code) == 1)
		p += 4;
	if (code >= 0xD800 && code < 0xDC00 && p[0] == '\\' && p[1] == 'u' && sscanf(p + 2, "%4x", &low) == 1)
	{
		code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
		p += 6;
	}
	unicode_to_utf8(code, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	return p;
}

/* Unescape the JSON string that begins at p, in quotes; gives the place behind. */
static const char *
append_string(StringInfo out, const char *p)
{
	static const char plain[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";

	for (p++; *p != '"';)
	{
		if (*p != '\\')
			appendStringInfoChar(out, *p++);
		else if (p[1] == 'u')
			p = append_escaped(out, p + 2);
		else
		{
			appendStringInfoChar(out, meant[strchr(plain, p[1]) - plain]);
			p += 2;
		}
	}
	return p + 1;
}

/*
 * Write a JSON array that is known to be correct as PostgreSQL does: {1,NULL}.
 * Objects in it are elements of their own text.
 */
char *
wh_kafka_array_text(const char *json, int len)
{
	StringInfoData out;
	StringInfoData element;
	const char *p = json;
	const char *end = json + len;

	initStringInfo(&out);
	initStringInfo(&element);
	while (p < end)
	{
		const char *start = p;

		resetStringInfo(&element);
		switch (*p)
		{
			case '[':
			case ']':
				appendStringInfoChar(&out, *p == '[' ? '{' : '}');
				p++;
				break;
			case ',':
				appendStringInfoChar(&out, ',');
				p++;
				break;
			case '"':
				p = append_string(&element, p);
				append_element(&out, element.data, element.len);
				break;
			case '{':
				for (int depth = 0; p < end;)
				{
					depth += *p == '{' ? 1 : *p == '}' ? -1 : 0;
					p = *p == '"' ? append_string(&element, p) : p + 1;
					if (depth == 0)
						break;
				}
				append_element(&out, start, p - start);
				break;
			case ' ':
			case '\t':
			case '\n':
			case '\r':
				p++;
				break;
			default:
				while (p < end && strchr(",] \t\r\n", *p) == NULL)
					p++;
				if (p - start == 4 && strncmp(start, "null", 4) == 0)
					appendStringInfoString(&out, "NULL");
				else
					appendBinaryStringInfo(&out, start, p - start);
		}
	}
	return out.data;
}
