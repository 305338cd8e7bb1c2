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

#include "value/json_scan.h"

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
	WhJsonText	json;			/* the message being parsed */
	WhJsonValue *values;		/* where to put what is found */
};

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
	fields->json.context = CurrentMemoryContext;
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

	if (p < fields->json.end && (*p == '{' || *p == '['))
	{
		value.kind = *p == '{' ? WH_JSON_OBJECT : WH_JSON_ARRAY;
		if (*p == '{' && node->buckets)
			next = parse_object(fields, node, p, depth + 1);
		else
			next = wh_json_skip_value(&fields->json, p, depth);
	}
	else
		next = wh_json_scan_scalar(&fields->json, p, &value.kind, &escaped);
	if (next == NULL || node->value < 0)
		return next;
	value.text = value.raw = p;
	value.len = value.raw_len = next - p;
	if (value.kind == WH_JSON_STRING)
	{
		value.text++;
		value.len -= 2;
		if (escaped)
			value.text = wh_json_unescape(&fields->json, value.text, value.len, &value.len);
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
	const char *end = fields->json.end;
	PathNode	  **guess = &node->first;

	p = wh_json_skip_space(p + 1, end);
	if (p < end && *p == '}')
		return p + 1;
	for (;;)
	{
		const char *name;
		int			len;
		bool		escaped;
		PathNode	   *child;

		if (p >= end || *p != '"')
			return wh_json_fail_syntax(&fields->json, p);
		name = p + 1;
		p = wh_json_scan_string(&fields->json, name, &escaped);
		if (p == NULL)
			return NULL;
		len = p - name;
		p = wh_json_skip_space(p + 1, end);
		if (p >= end || *p != ':')
			return wh_json_fail_syntax(&fields->json, p);
		p = wh_json_skip_space(p + 1, end);

		/* Messages of a topic look alike: try what came next in the last one. */
		if (unlikely(escaped))
			name = wh_json_unescape(&fields->json, name, len, &len);
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
			p = wh_json_skip_value(&fields->json, p, depth);
		if (p == NULL)
			return NULL;

		p = wh_json_skip_space(p, end);
		if (p >= end)
			return wh_json_fail_syntax(&fields->json, p);
		if (*p == '}')
			return p + 1;
		if (*p != ',')
			return wh_json_fail_syntax(&fields->json, p);
		p = wh_json_skip_space(p + 1, end);
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
	fields->json.buffer_used = 0;
	fields->json.start = data;
	fields->json.end = data + len;
	fields->values = values;
	memset(values, 0, sizeof(WhJsonValue) * fields->nvalues);

	if (len > MaxAllocSize)
	{
		wh_json_fail(&fields->json, data, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "message is too long");
		return false;
	}
	valid = pg_encoding_verifymbstr(PG_UTF8, data, len);
	if (valid < len)
	{
		wh_json_fail(&fields->json, data + valid, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
			 data[valid] == '\0' ? "NUL byte" : "invalid UTF-8");
		return false;
	}
	p = wh_json_skip_space(data, fields->json.end);
	if (p >= fields->json.end)
		wh_json_fail(&fields->json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "message is empty");
	else if (*p != '{')
	{
		if (wh_json_skip_value(&fields->json, p, 0) != NULL)
			wh_json_fail(&fields->json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "message is not a JSON object");
	}
	else
	{
		/* without wanted fields it is only checked */
		if (fields->root->buckets)
			p = parse_object(fields, fields->root, p, 1);
		else
			p = wh_json_skip_value(&fields->json, p, 0);
		if (p != NULL)
		{
			p = wh_json_skip_space(p, fields->json.end);
			if (p == fields->json.end)
				return true;
			wh_json_fail(&fields->json, p, ERRCODE_INVALID_TEXT_REPRESENTATION, "text after the end of the JSON object");
		}
	}
	return false;
}

/* Return the error code of the last message that was refused. */
int
wh_json_fields_sqlstate(const WhJsonFields *fields)
{
	return fields->json.sqlstate;
}

/* Return why the last message was refused, in the parser's memory. */
const char *
wh_json_fields_error(const WhJsonFields *fields)
{
	return fields->json.error;
}
