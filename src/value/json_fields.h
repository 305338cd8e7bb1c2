/*
 * json_fields.h
 *	  Finds given fields in a JSON object, in one pass over its text.
 */
#ifndef WH_JSON_FIELDS_H
#define WH_JSON_FIELDS_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

/* Deepest nesting of a message that is read. */
#define WH_JSON_MAX_DEPTH 1000

typedef enum WhJsonKind
{
	WH_JSON_MISSING = 0,
	WH_JSON_NULL,
	WH_JSON_BOOLEAN,
	WH_JSON_NUMBER,
	WH_JSON_STRING,
	WH_JSON_OBJECT,
	WH_JSON_ARRAY
} WhJsonKind;

/*
 * What stood at a path.  The text is not NUL-terminated; it points into the
 * message, or into the parser's buffer, and lives as long as both: until the
 * next message is parsed.  A string's text is unquoted and unescaped; raw is
 * the value as it stands in the message.
 */
typedef struct WhJsonValue
{
	WhJsonKind	kind;
	int			len;
	const char *text;
	const char *raw;
	int			raw_len;
} WhJsonValue;

typedef struct WhJsonFields WhJsonFields;

extern List *wh_json_path_split(const char *path);
extern WhJsonFields *wh_json_fields_create(List *paths);
extern bool wh_json_fields_parse(WhJsonFields *fields, const char *data, Size len,
								 WhJsonValue *values);
extern int	wh_json_fields_sqlstate(const WhJsonFields *fields);
extern const char *wh_json_fields_error(const WhJsonFields *fields);

#endif							/* WH_JSON_FIELDS_H */
