/*
 * json_scan.h
 *	  Checks JSON text token by token.
 */
#ifndef WH_JSON_SCAN_H
#define WH_JSON_SCAN_H

#include "value/json_fields.h"

/* A text being scanned, and what was found wrong in it. */
typedef struct WhJsonText
{
	const char *start;
	const char *end;
	int			sqlstate;
	char		error[128];

	/* unescaped strings of this text */
	MemoryContext context;		/* of the buffer */
	char	   *buffer;
	Size		buffer_size;
	Size		buffer_used;
} WhJsonText;

extern const char *wh_json_fail(WhJsonText *json, const char *p, int sqlstate, const char *what);
extern const char *wh_json_fail_syntax(WhJsonText *json, const char *p);
extern const char *wh_json_check_escape(WhJsonText *json, const char *p);
extern const char *wh_json_unescape(WhJsonText *json, const char *p, int len, int *result_len);
extern const char *wh_json_scan_number(WhJsonText *json, const char *p);
extern const char *wh_json_skip_value(WhJsonText *json, const char *p, int depth);

/* Tests on eight bytes at once: is any of them zero, is any below c. */
#define WH_EACH_BYTE(c)	(UINT64CONST(0x0101010101010101) * (c))
#define WH_ANY_ZERO(v)		(((v) - WH_EACH_BYTE(1)) & ~(v) & WH_EACH_BYTE(0x80))
#define WH_ANY_BELOW(v, c)	(((v) - WH_EACH_BYTE(c)) & ~(v) & WH_EACH_BYTE(0x80))

/* Return the first place from p on that is no white space. */
static inline const char *
wh_json_skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/*
 * Find the end of a string; p points behind the opening quote.  Returns the
 * closing quote.
 */
static inline const char *
wh_json_scan_string(WhJsonText *json, const char *p, bool *escaped)
{
	const char *end = json->end;

	*escaped = false;
	for (;;)
	{
		unsigned char c;

		while (end - p >= 8)
		{
			uint64		chunk;

			memcpy(&chunk, p, 8);
			if (WH_ANY_BELOW(chunk, 0x20) | WH_ANY_ZERO(chunk ^ WH_EACH_BYTE('"')) | WH_ANY_ZERO(chunk ^ WH_EACH_BYTE('\\')))
				break;
			p += 8;
		}
		if (p >= end)
			return wh_json_fail_syntax(json, end);
		c = *p;
		if (c == '"')
			return p;
		if (c == '\\')
		{
			*escaped = true;
			p = wh_json_check_escape(json, p);
			if (p == NULL)
				return NULL;
		}
		else if (c < 0x20)
			return wh_json_fail(json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "control character in a string");
		else
			p++;
	}
}

/*
 * Check a value that is no object or array; returns the place after it, and
 * what it is.
 */
static inline const char *
wh_json_scan_scalar(WhJsonText *json, const char *p, WhJsonKind *kind, bool *escaped)
{
	const char *end = json->end;

	if (p >= end)
		return wh_json_fail_syntax(json, p);
	switch (*p)
	{
		case '"':
			*kind = WH_JSON_STRING;
			p = wh_json_scan_string(json, p + 1, escaped);
			return p ? p + 1 : NULL;
		case 't':
			*kind = WH_JSON_BOOLEAN;
			if (end - p >= 4 && memcmp(p, "true", 4) == 0)
				return p + 4;
			break;
		case 'f':
			*kind = WH_JSON_BOOLEAN;
			if (end - p >= 5 && memcmp(p, "false", 5) == 0)
				return p + 5;
			break;
		case 'n':
			*kind = WH_JSON_NULL;
			if (end - p >= 4 && memcmp(p, "null", 4) == 0)
				return p + 4;
			break;
		default:
			*kind = WH_JSON_NUMBER;
			return wh_json_scan_number(json, p);
	}
	return wh_json_fail_syntax(json, p);
}

#endif							/* WH_JSON_SCAN_H */
