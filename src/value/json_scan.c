/*
 * json_scan.c
 *	  Checks JSON text token by token.
 *
 * Each function takes a place in the text and returns the place after what it
 * has checked, or NULL when that is not correct; the text then knows why.
 *
 * Runs in any process; needs no transaction; takes no locks.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "value/json_scan.h"

/* Note an error at a place of the message; always returns NULL. */
const char *
wh_json_fail(WhJsonText *json, const char *p, int sqlstate, const char *what)
{
	json->sqlstate = sqlstate;
	snprintf(json->error, sizeof(json->error), "%s at byte %zu", what,
			 (Size) (Min(p, json->end) - json->start) + 1);
	return NULL;
}

/* Note that the text is no JSON at a place; always returns NULL. */
const char *
wh_json_fail_syntax(WhJsonText *json, const char *p)
{
	return wh_json_fail(json, p, ERRCODE_INVALID_TEXT_REPRESENTATION,
				p >= json->end ? "JSON ends too early" : "invalid JSON");
}

static inline int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Read four hexadecimal digits; -1 = they are not. */
static int
read_hex4(const char *p, const char *end)
{
	int			code = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		int			digit = hex_value(p[i]);

		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

/*
 * Check the escape sequence at p, which points to the backslash; return the
 * place after it.
 */
const char *
wh_json_check_escape(WhJsonText *json, const char *p)
{
	const char *end = json->end;
	int			code;

	if (end - p < 2)
		return wh_json_fail_syntax(json, end);
	if (p[1] != 'u')
	{
		if (memchr("\"\\/bfnrt", p[1], 8) == NULL)
			return wh_json_fail(json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "invalid escape sequence");
		return p + 2;
	}
	code = read_hex4(p + 2, end);
	if (code < 0)
		return wh_json_fail(json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "invalid escape sequence");
	if (code == 0)
		return wh_json_fail(json, p, ERRCODE_UNTRANSLATABLE_CHARACTER, "\\u0000 cannot be converted to text");
	if (code < 0xD800 || code > 0xDFFF)
		return p + 6;
	if (code <= 0xDBFF && end - p >= 12 && p[6] == '\\' && p[7] == 'u')
	{
		int			low = read_hex4(p + 8, end);

		if (low >= 0xDC00 && low <= 0xDFFF)
			return p + 12;
	}
	return wh_json_fail(json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "half of a Unicode surrogate pair");
}

/*
 * Unescape a string that scan_string has checked, into the message's buffer.
 */
const char *
wh_json_unescape(WhJsonText *json, const char *p, int len, int *result_len)
{
	const char *end = p + len;
	char	   *start;
	char	   *out;

	/*
	 * All strings together are shorter than the message, and the values point
	 * into the buffer: it must not move later.
	 */
	if (json->buffer_used == 0 && json->buffer_size < json->end - json->start)
	{
		if (json->buffer)
			pfree(json->buffer);
		json->buffer = NULL;
		json->buffer_size = Max(json->end - json->start, 1024);
		json->buffer = MemoryContextAllocHuge(json->context, json->buffer_size);
	}
	start = out = json->buffer + json->buffer_used;
	while (p < end)
	{
		const char *next = memchr(p, '\\', end - p);

		if (next == NULL)
			next = end;
		memcpy(out, p, next - p);
		out += next - p;
		p = next;
		if (p == end)
			break;
		if (p[1] == 'u')
		{
			pg_wchar	code = read_hex4(p + 2, end);

			p += 6;
			if (code >= 0xD800 && code <= 0xDBFF)
			{
				code = surrogate_pair_to_codepoint(code, read_hex4(p + 2, end));
				p += 6;
			}
			unicode_to_utf8(code, (unsigned char *) out);
			out += pg_utf_mblen((unsigned char *) out);
		}
		else
		{
			switch (p[1])
			{
				case 'b':
					*out++ = '\b';
					break;
				case 'f':
					*out++ = '\f';
					break;
				case 'n':
					*out++ = '\n';
					break;
				case 'r':
					*out++ = '\r';
					break;
				case 't':
					*out++ = '\t';
					break;
				default:
					*out++ = p[1];
			}
			p += 2;
		}
	}
	json->buffer_used += out - start;
	*result_len = out - start;
	return start;
}

/* Check a number; returns the place after it. */
const char *
wh_json_scan_number(WhJsonText *json, const char *p)
{
	const char *end = json->end;

#define IS_DIGIT(p) ((p) < end && *(p) >= '0' && *(p) <= '9')
	if (p < end && *p == '-')
		p++;
	if (!IS_DIGIT(p))
		return wh_json_fail_syntax(json, p);
	if (*p == '0')
		p++;
	else
	{
		while (IS_DIGIT(p))
			p++;
	}
	if (p < end && *p == '.')
	{
		p++;
		if (!IS_DIGIT(p))
			return wh_json_fail_syntax(json, p);
		while (IS_DIGIT(p))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!IS_DIGIT(p))
			return wh_json_fail_syntax(json, p);
		while (IS_DIGIT(p))
			p++;
	}
	return p;
#undef IS_DIGIT
}

/*
 * Check a value of any kind that nobody wants taken apart; depth is that of
 * what it stands in.  Returns the place after it.
 */
const char *
wh_json_skip_value(WhJsonText *json, const char *p, int depth)
{
	const char *end = json->end;
	char		open[WH_JSON_MAX_DEPTH + 1];
	int			level = 0;
	WhJsonKind	kind;
	bool		escaped;

	for (;;)
	{
		/* here a value must begin */
		p = wh_json_skip_space(p, end);
		if (p < end && (*p == '{' || *p == '['))
		{
			char		closing = *p == '{' ? '}' : ']';

			if (depth + level >= WH_JSON_MAX_DEPTH)
				return wh_json_fail(json, p, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "JSON is nested too deep");
			open[level++] = closing;
			p = wh_json_skip_space(p + 1, end);
			if (p < end && *p == closing)
			{
				p++;
				level--;
			}
			else if (closing == ']')
				continue;
			else
				goto name;
		}
		else
		{
			p = wh_json_scan_scalar(json, p, &kind, &escaped);
			if (p == NULL)
				return NULL;
		}

		/* here a value has ended */
		for (;;)
		{
			if (level == 0)
				return p;
			p = wh_json_skip_space(p, end);
			if (p >= end)
				return wh_json_fail_syntax(json, p);
			if (*p == open[level - 1])
			{
				p++;
				level--;
				continue;
			}
			if (*p != ',')
				return wh_json_fail_syntax(json, p);
			p++;
			break;
		}
		if (open[level - 1] == ']')
			continue;
		p = wh_json_skip_space(p, end);

name:
		if (p >= end || *p != '"')
			return wh_json_fail_syntax(json, p);
		p = wh_json_scan_string(json, p + 1, &escaped);
		if (p == NULL)
			return NULL;
		p = wh_json_skip_space(p + 1, end);
		if (p >= end || *p != ':')
			return wh_json_fail_syntax(json, p);
		p++;
	}
}
