/*
 * json_fields.c
 *	  Finds given fields in a JSON object, in one pass over its text.
 *
 * The wanted paths form a tree.  The parser walks the message along it: a name
 * that is in the tree is followed or noted, anything else is only checked.  No
 * tree of the message is built and nothing is allocated per message, but for a
 * buffer that holds unescaped strings, which is kept.
 *
 * The whole message must be correct JSON (RFC 8259) in correct UTF-8, and an
 * object; so what is accepted is what jsonb accepts, but that numbers nobody
 * asked for may be of any size.  Of fields that occur twice the last counts.
 *
 * Runs in any process; needs no transaction; takes no locks.  Never throws for
 * what stands in a message.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "json_fields.h"

/* A name in the tree of wanted paths. */
typedef struct PathNode
{
	const char *name;
	int			len;
	int			value;			/* first value at this path, -1 = none */
	uint64		seen;			/* number of the message it was last seen in */
	struct PathNode *following;		/* known name that came next in the last message */
	struct PathNode *first;			/* known name that came first below this one */
	struct PathNode *bucket_next;
	struct PathNode **buckets;		/* of the names below; NULL = nothing below */
	uint32		mask;			/* number of buckets - 1 */
	List	   *children;
} PathNode;

struct WhJsonFields
{
	PathNode	   *root;
	int			nvalues;
	int		   *same;			/* next value at the same path, -1 = none */
	uint64		message_no;
	MemoryContext context;		/* where the parser lives */
	char	   *buffer;			/* unescaped strings of this message */
	Size		buffer_size;
	Size		buffer_used;

	/* the message being parsed */
	const char *start;
	const char *end;
	WhJsonValue *values;
	int			sqlstate;
	char		error[128];
};

#define EACH_BYTE(c)	(UINT64CONST(0x0101010101010101) * (c))
#define ANY_ZERO(v)		(((v) - EACH_BYTE(1)) & ~(v) & EACH_BYTE(0x80))
#define ANY_BELOW(v, c)	(((v) - EACH_BYTE(c)) & ~(v) & EACH_BYTE(0x80))

static const char *parse_object(WhJsonFields *fields, PathNode *node, const char *p, int depth);

/*
 * Split a dotted path into a list of names; "\." is a dot in a name.
 */
List *
wh_json_path_split(const char *path)
{
	List	   *names = NIL;
	char	   *name = palloc(strlen(path) + 1);
	int			len = 0;

	for (;; path++)
	{
		if (*path == '.' || *path == '\0')
		{
			names = lappend(names, pnstrdup(name, len));
			len = 0;
			if (*path == '\0')
				break;
		}
		else
		{
			if (*path == '\\' && path[1] != '\0')
				path++;
			name[len++] = *path;
		}
	}
	pfree(name);
	return names;
}

static inline uint32
name_hash(const char *name, int len)
{
	if (len == 0)
		return 0;
	return len * 31 + (unsigned char) name[0] * 7 + (unsigned char) name[len - 1] * 13 +
		(unsigned char) name[len / 2];
}

static PathNode *
node_create(const char *name)
{
	PathNode	   *node = palloc0(sizeof(PathNode));

	node->name = name;
	node->len = name ? strlen(name) : 0;
	node->value = -1;
	return node;
}

/* Give a node and all below it their hash tables. */
static void
node_finish(PathNode *node)
{
	uint32		count = 8;
	ListCell   *lc;

	if (node->children == NIL)
		return;
	while (count < list_length(node->children) * 4)
		count *= 2;
	node->mask = count - 1;
	node->buckets = palloc0(count * sizeof(PathNode *));
	foreach(lc, node->children)
	{
		PathNode	   *child = lfirst(lc);
		uint32		slot = name_hash(child->name, child->len) & node->mask;

		child->bucket_next = node->buckets[slot];
		node->buckets[slot] = child;
		node_finish(child);
	}
}

/*
 * Make a parser for paths, each a List of names (UTF-8), in the current memory
 * context.  Paths may be equal, and one may lead through another.
 */
WhJsonFields *
wh_json_fields_create(List *paths)
{
	WhJsonFields *fields = palloc0(sizeof(WhJsonFields));
	ListCell   *lc;

	fields->root = node_create(NULL);
	fields->nvalues = list_length(paths);
	fields->same = palloc(sizeof(int) * Max(fields->nvalues, 1));
	fields->context = CurrentMemoryContext;
	foreach(lc, paths)
	{
		PathNode	   *node = fields->root;
		ListCell   *lc2;

		foreach(lc2, (List *) lfirst(lc))
		{
			const char *name = lfirst(lc2);
			PathNode	   *found = NULL;
			ListCell   *lc3;

			foreach(lc3, node->children)
			{
				if (strcmp(((PathNode *) lfirst(lc3))->name, name) == 0)
					found = lfirst(lc3);
			}
			if (found == NULL)
			{
				found = node_create(pstrdup(name));
				node->children = lappend(node->children, found);
			}
			node = found;
		}
		fields->same[foreach_current_index(lc)] = node->value;
		node->value = foreach_current_index(lc);
	}
	node_finish(fields->root);
	return fields;
}

/* Note an error at a place of the message; always returns NULL. */
static const char *
fail(WhJsonFields *fields, const char *p, int sqlstate, const char *what)
{
	fields->sqlstate = sqlstate;
	snprintf(fields->error, sizeof(fields->error), "%s at byte %zu", what,
			 (Size) (Min(p, fields->end) - fields->start) + 1);
	return NULL;
}

static const char *
fail_syntax(WhJsonFields *fields, const char *p)
{
	return fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION,
				p >= fields->end ? "JSON ends too early" : "invalid JSON");
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
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
static const char *
check_escape(WhJsonFields *fields, const char *p)
{
	const char *end = fields->end;
	int			code;

	if (end - p < 2)
		return fail_syntax(fields, end);
	if (p[1] != 'u')
	{
		if (memchr("\"\\/bfnrt", p[1], 8) == NULL)
			return fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "invalid escape sequence");
		return p + 2;
	}
	code = read_hex4(p + 2, end);
	if (code < 0)
		return fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "invalid escape sequence");
	if (code == 0)
		return fail(fields, p, ERRCODE_UNTRANSLATABLE_CHARACTER, "\\u0000 cannot be converted to text");
	if (code < 0xD800 || code > 0xDFFF)
		return p + 6;
	if (code <= 0xDBFF && end - p >= 12 && p[6] == '\\' && p[7] == 'u')
	{
		int			low = read_hex4(p + 8, end);

		if (low >= 0xDC00 && low <= 0xDFFF)
			return p + 12;
	}
	return fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "half of a Unicode surrogate pair");
}

/*
 * Find the end of a string; p points behind the opening quote.  Returns the
 * closing quote.
 */
static inline const char *
scan_string(WhJsonFields *fields, const char *p, bool *escaped)
{
	const char *end = fields->end;

	*escaped = false;
	for (;;)
	{
		unsigned char c;

		while (end - p >= 8)
		{
			uint64		chunk;

			memcpy(&chunk, p, 8);
			if (ANY_BELOW(chunk, 0x20) | ANY_ZERO(chunk ^ EACH_BYTE('"')) | ANY_ZERO(chunk ^ EACH_BYTE('\\')))
				break;
			p += 8;
		}
		if (p >= end)
			return fail_syntax(fields, end);
		c = *p;
		if (c == '"')
			return p;
		if (c == '\\')
		{
			*escaped = true;
			p = check_escape(fields, p);
			if (p == NULL)
				return NULL;
		}
		else if (c < 0x20)
			return fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "control character in a string");
		else
			p++;
	}
}

/*
 * Unescape a string that scan_string has checked, into the message's buffer.
 */
static const char *
unescape(WhJsonFields *fields, const char *p, int len, int *result_len)
{
	const char *end = p + len;
	char	   *start;
	char	   *out;

	/*
	 * All strings together are shorter than the message, and the values point
	 * into the buffer: it must not move later.
	 */
	if (fields->buffer_used == 0 && fields->buffer_size < fields->end - fields->start)
	{
		if (fields->buffer)
			pfree(fields->buffer);
		fields->buffer = NULL;
		fields->buffer_size = Max(fields->end - fields->start, 1024);
		fields->buffer = MemoryContextAllocHuge(fields->context, fields->buffer_size);
	}
	start = out = fields->buffer + fields->buffer_used;
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
	fields->buffer_used += out - start;
	*result_len = out - start;
	return start;
}

/* Check a number; returns the place after it. */
static const char *
scan_number(WhJsonFields *fields, const char *p)
{
	const char *end = fields->end;

#define IS_DIGIT(p) ((p) < end && *(p) >= '0' && *(p) <= '9')
	if (p < end && *p == '-')
		p++;
	if (!IS_DIGIT(p))
		return fail_syntax(fields, p);
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
			return fail_syntax(fields, p);
		while (IS_DIGIT(p))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (!IS_DIGIT(p))
			return fail_syntax(fields, p);
		while (IS_DIGIT(p))
			p++;
	}
	return p;
#undef IS_DIGIT
}

/*
 * Check a value that is no object or array; returns the place after it, and
 * what it is.
 */
static inline const char *
scan_scalar(WhJsonFields *fields, const char *p, WhJsonKind *kind, bool *escaped)
{
	const char *end = fields->end;

	if (p >= end)
		return fail_syntax(fields, p);
	switch (*p)
	{
		case '"':
			*kind = WH_JSON_STRING;
			p = scan_string(fields, p + 1, escaped);
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
			return scan_number(fields, p);
	}
	return fail_syntax(fields, p);
}

/*
 * Check a value of any kind that nobody wants taken apart; depth is that of
 * what it stands in.  Returns the place after it.
 */
static const char *
skip_value(WhJsonFields *fields, const char *p, int depth)
{
	const char *end = fields->end;
	char		open[WH_JSON_MAX_DEPTH + 1];
	int			level = 0;
	WhJsonKind	kind;
	bool		escaped;

	for (;;)
	{
		/* here a value must begin */
		p = skip_space(p, end);
		if (p < end && (*p == '{' || *p == '['))
		{
			char		closing = *p == '{' ? '}' : ']';

			if (depth + level >= WH_JSON_MAX_DEPTH)
				return fail(fields, p, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "JSON is nested too deep");
			open[level++] = closing;
			p = skip_space(p + 1, end);
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
			p = scan_scalar(fields, p, &kind, &escaped);
			if (p == NULL)
				return NULL;
		}

		/* here a value has ended */
		for (;;)
		{
			if (level == 0)
				return p;
			p = skip_space(p, end);
			if (p >= end)
				return fail_syntax(fields, p);
			if (*p == open[level - 1])
			{
				p++;
				level--;
				continue;
			}
			if (*p != ',')
				return fail_syntax(fields, p);
			p++;
			break;
		}
		if (open[level - 1] == ']')
			continue;
		p = skip_space(p, end);

name:
		if (p >= end || *p != '"')
			return fail_syntax(fields, p);
		p = scan_string(fields, p + 1, &escaped);
		if (p == NULL)
			return NULL;
		p = skip_space(p + 1, end);
		if (p >= end || *p != ':')
			return fail_syntax(fields, p);
		p++;
	}
}

/* Forget what was found at a node and below it: its field occurs again. */
static void
clear_node(WhJsonFields *fields, PathNode *node)
{
	ListCell   *lc;

	for (int i = node->value; i >= 0; i = fields->same[i])
		fields->values[i].kind = WH_JSON_MISSING;
	foreach(lc, node->children)
		clear_node(fields, lfirst(lc));
}

/* Find a name below a node; NULL = nobody wants it. */
static inline PathNode *
find_child(PathNode *node, const char *name, int len)
{
	PathNode	   *child = node->buckets[name_hash(name, len) & node->mask];

	while (child && (child->len != len || memcmp(child->name, name, len) != 0))
		child = child->bucket_next;
	return child;
}

/*
 * Read the value of a wanted field; depth is that of the object it stands in.
 * Returns the place after it.
 */
static inline const char *
parse_field(WhJsonFields *fields, PathNode *node, const char *p, int depth)
{
	WhJsonValue value;
	bool		escaped = false;
	const char *next;

	if (node->seen == fields->message_no)
		clear_node(fields, node);
	node->seen = fields->message_no;

	if (p < fields->end && (*p == '{' || *p == '['))
	{
		value.kind = *p == '{' ? WH_JSON_OBJECT : WH_JSON_ARRAY;
		if (*p == '{' && node->buckets)
			next = parse_object(fields, node, p, depth + 1);
		else
			next = skip_value(fields, p, depth);
	}
	else
		next = scan_scalar(fields, p, &value.kind, &escaped);
	if (next == NULL || node->value < 0)
		return next;
	value.text = value.raw = p;
	value.len = value.raw_len = next - p;
	if (value.kind == WH_JSON_STRING)
	{
		value.text++;
		value.len -= 2;
		if (escaped)
			value.text = unescape(fields, value.text, value.len, &value.len);
	}
	for (int i = node->value; i >= 0; i = fields->same[i])
		fields->values[i] = value;
	return next;
}

/*
 * Read an object whose fields are wanted; p points to its brace.  Returns the
 * place after it.
 */
static const char *
parse_object(WhJsonFields *fields, PathNode *node, const char *p, int depth)
{
	const char *end = fields->end;
	PathNode	  **guess = &node->first;

	p = skip_space(p + 1, end);
	if (p < end && *p == '}')
		return p + 1;
	for (;;)
	{
		const char *name;
		int			len;
		bool		escaped;
		PathNode	   *child;

		if (p >= end || *p != '"')
			return fail_syntax(fields, p);
		name = p + 1;
		p = scan_string(fields, name, &escaped);
		if (p == NULL)
			return NULL;
		len = p - name;
		p = skip_space(p + 1, end);
		if (p >= end || *p != ':')
			return fail_syntax(fields, p);
		p = skip_space(p + 1, end);

		/* Messages of a topic look alike: try what came next in the last one. */
		if (unlikely(escaped))
			name = unescape(fields, name, len, &len);
		child = *guess;
		if (child == NULL || child->len != len || memcmp(child->name, name, len) != 0)
		{
			child = find_child(node, name, len);
			if (child)
				*guess = child;
		}
		if (child)
		{
			guess = &child->following;
			p = parse_field(fields, child, p, depth);
		}
		else
			p = skip_value(fields, p, depth);
		if (p == NULL)
			return NULL;

		p = skip_space(p, end);
		if (p >= end)
			return fail_syntax(fields, p);
		if (*p == '}')
			return p + 1;
		if (*p != ',')
			return fail_syntax(fields, p);
		p = skip_space(p + 1, end);
	}
}

/*
 * Parse a message and set values, one per path.  Returns false when it is not
 * a correct JSON object; wh_json_fields_error says why, and the values are
 * undefined.
 */
bool
wh_json_fields_parse(WhJsonFields *fields, const char *data, Size len, WhJsonValue *values)
{
	const char *p;
	int			valid;

	fields->message_no++;
	fields->buffer_used = 0;
	fields->start = data;
	fields->end = data + len;
	fields->values = values;
	memset(values, 0, sizeof(WhJsonValue) * fields->nvalues);

	if (len > MaxAllocSize)
	{
		fail(fields, data, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "message is too long");
		return false;
	}
	valid = pg_encoding_verifymbstr(PG_UTF8, data, len);
	if (valid < len)
	{
		fail(fields, data + valid, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
			 data[valid] == '\0' ? "NUL byte" : "invalid UTF-8");
		return false;
	}
	p = skip_space(data, fields->end);
	if (p >= fields->end)
		fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "message is empty");
	else if (*p != '{')
	{
		if (skip_value(fields, p, 0) != NULL)
			fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "message is not a JSON object");
	}
	else
	{
		/* without wanted fields it is only checked */
		if (fields->root->buckets)
			p = parse_object(fields, fields->root, p, 1);
		else
			p = skip_value(fields, p, 0);
		if (p != NULL)
		{
			p = skip_space(p, fields->end);
			if (p == fields->end)
				return true;
			fail(fields, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "text after the end of the JSON object");
		}
	}
	return false;
}

/* Return the error code of the last message that was refused. */
int
wh_json_fields_sqlstate(const WhJsonFields *fields)
{
	return fields->sqlstate;
}

/* Return why the last message was refused, in the parser's memory. */
const char *
wh_json_fields_error(const WhJsonFields *fields)
{
	return fields->error;
}
