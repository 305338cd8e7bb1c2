/*
 * numeric_units.h
 *	  Numbers of the type numeric as whole units of their last digit.
 *
 * 12.50 is 1250 units of scale 2.  Takes numbers of up to 15 digits, in the
 * short form that numeric has on disk since PostgreSQL 9.1: a header with sign,
 * digits after the point and weight of the first base-10000 digit, then these
 * digits.  Everything else is left to numeric's own functions.  Touches no
 * shared state.
 */
#ifndef WH_NUMERIC_UNITS_H
#define WH_NUMERIC_UNITS_H

#include "postgres.h"

#include "common/int.h"

#define WH_NUMERIC_KIND			0xC000
#define WH_NUMERIC_IS_SHORT		0x8000
#define WH_NUMERIC_NEGATIVE		0x2000
#define WH_NUMERIC_SCALE		0x1F80
#define WH_NUMERIC_SCALE_SHIFT	7
#define WH_NUMERIC_WEIGHT		0x007F	/* two's complement */
#define WH_NUMERIC_WEIGHT_SIGN	0x0040

/* Numbers below this, and scales up to this, can be read and written. */
#define WH_UNITS_LIMIT			INT64CONST(1000000000000000)
#define WH_UNITS_MAX_SCALE		12

/* Bytes that a written number takes at most: header, and groups of 18 digits. */
#define WH_NUMERIC_BUFFER		16

/* Return 10^n, for n of 0 to 18. */
static inline int64
wh_power_of_ten(int n)
{
	static const int64 powers[] = {
		INT64CONST(1), INT64CONST(10), INT64CONST(100), INT64CONST(1000),
		INT64CONST(10000), INT64CONST(100000), INT64CONST(1000000),
		INT64CONST(10000000), INT64CONST(100000000), INT64CONST(1000000000),
		INT64CONST(10000000000), INT64CONST(100000000000),
		INT64CONST(1000000000000), INT64CONST(10000000000000),
		INT64CONST(100000000000000), INT64CONST(1000000000000000),
		INT64CONST(10000000000000000), INT64CONST(100000000000000000),
		INT64CONST(1000000000000000000)
	};

	return powers[n];
}

/* Read a number that is not toasted; false when it is not one of those taken here. */
static inline bool
wh_numeric_get_units(Datum value, int64 *units, int *scale)
{
	const struct varlena *number = (const struct varlena *) DatumGetPointer(value);
	const char *data;
	int			ndigits;
	uint16		header;
	int			weight;
	int			power;
	int64		sum = 0;

	if (VARATT_IS_EXTERNAL(number) || VARATT_IS_COMPRESSED(number))
		return false;
	data = VARDATA_ANY(number);
	ndigits = ((int) VARSIZE_ANY_EXHDR(number) - (int) sizeof(uint16)) / (int) sizeof(int16);
	memcpy(&header, data, sizeof(header));
	if ((header & WH_NUMERIC_KIND) != WH_NUMERIC_IS_SHORT || ndigits > 4)
		return false;
	*scale = (header & WH_NUMERIC_SCALE) >> WH_NUMERIC_SCALE_SHIFT;
	if (*scale > WH_UNITS_MAX_SCALE)
		return false;
	weight = (header & WH_NUMERIC_WEIGHT) - ((header & WH_NUMERIC_WEIGHT_SIGN) ? 2 * WH_NUMERIC_WEIGHT_SIGN : 0);
	for (int i = 0; i < ndigits; i++)
	{
		int16		digit;

		memcpy(&digit, data + sizeof(uint16) + i * sizeof(int16), sizeof(digit));
		sum = sum * 10000 + digit;
	}
	/* The last digit counts in units of 10^power. */
	power = *scale + 4 * (weight - ndigits + 1);
	if (sum == 0)
		power = 0;
	switch (power)
	{
		case 0:
			break;
			/* Of the last group, digits beyond the scale are zeros. */
		case -1:
			sum /= 10;
			break;
		case -2:
			sum /= 100;
			break;
		case -3:
			sum /= 1000;
			break;
		default:
			if (power < 0 || power > 15 || pg_mul_s64_overflow(sum, wh_power_of_ten(power), &sum))
				return false;
			break;
	}
	if (sum >= WH_UNITS_LIMIT)
		return false;
	*units = (header & WH_NUMERIC_NEGATIVE) ? -sum : sum;
	return true;
}

/*
 * Write a number into a buffer of WH_NUMERIC_BUFFER bytes, with a header of one
 * byte, just as numeric's own functions would make it and a tuple store it.
 * Returns false when it is not one of those taken here.
 */
static inline bool
wh_numeric_put_units(char *buffer, int64 units, int scale)
{
	uint64		rest = units < 0 ? -(uint64) units : (uint64) units;
	int16		groups[5];
	int			ngroups = 0;
	int			nzeros = 0;
	int			weight = 0;
	uint16		header;
	char	   *next;

	if (rest >= WH_UNITS_LIMIT || scale < 0 || scale > WH_UNITS_MAX_SCALE)
		return false;
	rest *= wh_power_of_ten((4 - scale % 4) % 4);
	while (rest > 0)
	{
		groups[ngroups++] = (int16) (rest % 10000);
		rest /= 10000;
	}
	if (ngroups > 0)
	{
		weight = ngroups - 1 - (scale + 3) / 4;
		while (groups[nzeros] == 0)
			nzeros++;
	}
	header = WH_NUMERIC_IS_SHORT | (units < 0 ? WH_NUMERIC_NEGATIVE : 0) |
		(uint16) (scale << WH_NUMERIC_SCALE_SHIFT) | ((uint16) weight & WH_NUMERIC_WEIGHT);
	SET_VARSIZE_SHORT(buffer, VARHDRSZ_SHORT + sizeof(header) + (ngroups - nzeros) * sizeof(int16));
	next = buffer + VARHDRSZ_SHORT;
	memcpy(next, &header, sizeof(header));
	next += sizeof(header);
	for (int i = ngroups - 1; i >= nzeros; i--)
	{
		memcpy(next, &groups[i], sizeof(int16));
		next += sizeof(int16);
	}
	return true;
}

#endif							/* WH_NUMERIC_UNITS_H */
