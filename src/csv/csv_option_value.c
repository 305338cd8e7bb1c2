/*
 * csv_option_value.c
 *	  Reads the values of options, and raises what is wrong with them.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "csv/csv_option_value.h"

/* Raise the error of an option whose value is none of those allowed. */
void
wh_csv_bad_value(const char *option, const char *value, const char *allowed)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			 errhint("Valid values are: %s.", allowed)));
}

/* Return which of the choices, which end with NULL, a value is. */
int
wh_csv_choice(const char *option, const char *value, const char *const *choices)
{
	StringInfoData all;

	for (int i = 0; choices[i]; i++)
		if (strcmp(choices[i], value) == 0)
			return i;
	initStringInfo(&all);
	for (int i = 0; choices[i]; i++)
		appendStringInfo(&all, "%s%s", i ? ", " : "", choices[i]);
	wh_csv_bad_value(option, value, all.data);
}

/* Read true or false. */
bool
wh_csv_boolean(const char *option, const char *value)
{
	bool		result;

	if (!parse_bool(value, &result))
		wh_csv_bad_value(option, value, "true, false");
	return result;
}

/* Read an option that is one byte. */
char
wh_csv_one_byte(const char *option, const char *value)
{
	if (strlen(value) != 1 || *value == '\n' || *value == '\r' || IS_HIGHBIT_SET(*value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 errhint("It must be a single one-byte character, and no line end.")));
	return *value;
}

/* The same where an empty text means none, which is -1. */
int
wh_csv_one_byte_or_none(const char *option, const char *value)
{
	return *value ? (unsigned char) wh_csv_one_byte(option, value) : -1;
}

/* Read a number within limits, which may have a unit: GUC_UNIT_... or 0. */
int
wh_csv_count(const char *option, const char *value, int unit, int least, int most)
{
	int			n;
	const char *hint = NULL;

	if (!parse_int(value, &n, unit, &hint) || n < least || n > most)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 hint ? errhint("%s", _(hint)) :
				 errhint("It must be between %d and %d%s.", least, most,
						 unit == GUC_UNIT_BYTE ? " bytes" : unit == GUC_UNIT_S ? " seconds" : "")));
	return n;
}

/* Read one text, or several as an array of texts: {NA,"n/a",""}. */
List *
wh_csv_text_list(const char *option, const char *value)
{
	Size		len = strlen(value);
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	List	   *result = NIL;

	if (len < 2 || value[0] != '{' || value[len - 1] != '}')
		return list_make1(pstrdup(value));
	/* An error here is the user's: the text is not the array it looks like. */
	deconstruct_array(DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(value), TEXTOID, -1)),
					  TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		result = lappend(result, nulls[i] ? pstrdup("NULL") : TextDatumGetCString(elements[i]));
	if (result == NIL)
		wh_csv_bad_value(option, value, "a text, or an array with at least one");
	return result;
}

/* Refuse a path with a component "..". */
void
wh_csv_check_path(const char *option, const char *path)
{
	const char *p = path;

	if (*path == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" must not be empty", option)));
	while (p != NULL)
	{
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("option \"%s\" must not contain \"..\"", option)));
		p = strchr(p, '/');
		if (p != NULL)
			p++;
	}
}

/* Read the place of a field in a line: 3-10, 3- to its end, or 3, from 1. */
void
wh_csv_position(const char *option, const char *value, int *from, int *to)
{
	char		rest;

	*to = 0;
	if (strspn(value, "0123456789-") == strlen(value) && strlen(value) < 16)
	{
		if (sscanf(value, "%d-%d%c", from, to, &rest) == 2)
		{
			if (*from >= 1 && *to >= *from)
				return;
		}
		else if (sscanf(value, "%d-%c", from, &rest) == 1 && *from >= 1)
		{
			*to = value[strlen(value) - 1] == '-' ? PG_INT32_MAX : *from;
			return;
		}
	}
	wh_csv_bad_value(option, value, "first-last, such as 3-10, first- to the end of the line, or one number, from 1");
}
