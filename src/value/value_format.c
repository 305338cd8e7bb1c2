/*
 * value_format.c
 *	  Numbers as people and spreadsheets write them, brought into PostgreSQL's
 *	  spelling: 1.234,50  (1,234.50)  1.234,50-  12,5 %  EUR 5.
 *
 * Nothing is guessed: a group of digits has three, or two as in 1,23,456, and
 * what is not declared is no number.  Touches no shared state.
 */
#include "postgres.h"

#include "value/value_format.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

/* Set the format to PostgreSQL's own spelling, in UTC. */
void
wh_value_format_init(WhValueFormat *format)
{
	memset(format, 0, sizeof(*format));
	format->decimal = '.';
}

/* Say whether numbers are written as PostgreSQL reads them. */
bool
wh_value_format_is_plain(const WhValueFormat *format)
{
	return format->decimal == '.' && format->thousands == NULL && !format->parentheses &&
		!format->trailing_minus && format->percent == WH_PERCENT_ERROR && format->currencies == NULL;
}

/* Return the length of the blank at s, also of one that does not break; 0 = none. */
static inline int
blank_length(const char *s, const char *end)
{
	if (s >= end)
		return 0;
	if (*s == ' ' || *s == '\t')
		return 1;
	if (end - s >= 2 && s[0] == '\xc2' && s[1] == '\xa0')
		return 2;
	if (end - s >= 3 && s[0] == '\xe2' && s[1] == '\x80' && s[2] == '\xaf')
		return 3;
	return 0;
}

/* The same for the blank that ends at end. */
static inline int
blank_length_before(const char *s, const char *end)
{
	if (s >= end)
		return 0;
	if (end[-1] == ' ' || end[-1] == '\t')
		return 1;
	if (end - s >= 2 && blank_length(end - 2, end) == 2)
		return 2;
	if (end - s >= 3 && blank_length(end - 3, end) == 3)
		return 3;
	return 0;
}

/* Take a currency's sign off one end; returns whether there was one. */
static bool
take_currency(const WhValueFormat *format, const char **s, const char **end, bool behind)
{
	for (const char *const *sign = format->currencies; *sign; sign++)
	{
		Size		n = strlen(*sign);

		if ((Size) (*end - *s) < n)
			continue;
		if (behind && memcmp(*end - n, *sign, n) == 0)
		{
			*end -= n;
			return true;
		}
		if (!behind && memcmp(*s, *sign, n) == 0)
		{
			*s += n;
			return true;
		}
	}
	return false;
}

/*
 * Take what is around the digits of a number: blanks, one sign, one currency, a
 * percent sign.  Returns false when there is what the format does not declare.
 */
static bool
take_ends(const WhValueFormat *format, const char **first, const char **last,
		  bool *negative, bool *percent)
{
	const char *s = *first;
	const char *end = *last;
	bool		has_sign = false;
	bool		has_currency = false;
	int			n;

	while ((n = blank_length(s, end)) > 0)
		s += n;
	while ((n = blank_length_before(s, end)) > 0)
		end -= n;
	if (format->parentheses && end - s > 2 && *s == '(' && end[-1] == ')')
	{
		*negative = has_sign = true;
		s++;
		end--;
	}
	while (s < end && !is_digit(*s) && *s != format->decimal)
	{
		if ((*s == '-' || *s == '+') && !has_sign)
		{
			has_sign = true;
			*negative = *s++ == '-';
		}
		else if ((n = blank_length(s, end)) > 0)
			s += n;
		else if (!has_currency && format->currencies && take_currency(format, &s, &end, false))
			has_currency = true;
		else
			return false;
	}
	while (s < end && !is_digit(end[-1]) && end[-1] != format->decimal)
	{
		if (end[-1] == '-' && format->trailing_minus && !has_sign)
		{
			*negative = has_sign = true;
			end--;
		}
		else if (end[-1] == '%' && format->percent != WH_PERCENT_ERROR && !*percent)
		{
			*percent = true;
			end--;
		}
		else if ((n = blank_length_before(s, end)) > 0)
			end -= n;
		else if (!has_currency && format->currencies && take_currency(format, &s, &end, true))
			has_currency = true;
		else
			return false;
	}
	*first = s;
	*last = end;
	return s < end;
}

/* Move the point of digits with one at point (count = none) two places to the left. */
static bool
divide(char *digits, Size size, Size *count, Size point)
{
	Size		n = *count;

	if (point < n)
	{
		memmove(digits + point, digits + point + 1, n - point - 1);
		n--;
	}
	/* Room for zeros before, and the point. */
	if (n + 4 > size)
		return false;
	if (point < 3)
	{
		Size		zeros = 3 - point;

		memmove(digits + zeros, digits, n);
		memset(digits, '0', zeros);
		n += zeros;
		point += zeros;
	}
	memmove(digits + point - 1, digits + point - 2, n - (point - 2));
	digits[point - 2] = '.';
	*count = n + 1;
	return true;
}

/*
 * Write a number in PostgreSQL's spelling to out, of size bytes; a text without
 * digits, such as NaN, stays as it is.  Returns false when it is not written as
 * the format says, or is too long.
 */
bool
wh_value_format_number(const WhValueFormat *format, const char *s, Size len,
					   char *out, Size size, Size *out_len)
{
	const char *end = s + len;
	char	   *o = out;
	char	   *first;
	char	   *point = NULL;
	bool		negative = false;
	bool		percent = false;
	const char *separator = format->thousands;
	Size		nseparator = separator ? strlen(separator) : 0;
	int			group = 0;		/* digits since the last separator */
	bool		grouped = false;

	if (len + 8 > size)
		return false;
	if (unlikely(len == 0 || !is_digit(*s) || !is_digit(end[-1])))
	{
		const char *p;

		for (p = s; p < end && !is_digit(*p); p++)
			;
		if (p == end)
		{
			memcpy(out, s, len);
			*out_len = len;
			return true;
		}
		if (!take_ends(format, &s, &end, &negative, &percent))
			return false;
	}
	if (negative)
		*o++ = '-';
	first = o;
	while (s < end)
	{
		char		c = *s;

		if (likely(is_digit(c)))
		{
			*o++ = c;
			group++;
			s++;
		}
		else if (c == format->decimal && point == NULL)
		{
			if (grouped && group != 3)
				return false;
			point = o;
			*o++ = '.';
			s++;
		}
		else if (nseparator > 0 && point == NULL && (Size) (end - s) > nseparator &&
				 ((nseparator == 1 && c == *separator && c != ' ') ||
				  (nseparator > 1 && memcmp(s, separator, nseparator) == 0) ||
				  (*separator == ' ' && blank_length(s, end) > 0)))
		{
			/* The first group has one to three digits, others three, or two before another. */
			if (group < 1 || group > 3 || (grouped && group == 1))
				return false;
			grouped = true;
			group = 0;
			s += *separator == ' ' ? blank_length(s, end) : (int) nseparator;
		}
		else if ((c == 'e' || c == 'E') && !percent && o > first)
		{
			if (grouped && point == NULL && group != 3)
				return false;
			grouped = false;
			memcpy(o, s, end - s);
			o += end - s;
			for (s++; s < end; s++)
				if (!is_digit(*s) && *s != '-' && *s != '+')
					return false;
		}
		else
			return false;
	}
	if (grouped && point == NULL && group != 3)
		return false;
	*out_len = o - first;
	if (percent && format->percent == WH_PERCENT_DIVIDE &&
		!divide(first, size - 1, out_len, point ? (Size) (point - first) : *out_len))
		return false;
	*out_len += first - out;
	return true;
}
