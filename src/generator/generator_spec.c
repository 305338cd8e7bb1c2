/*
 * generator_spec.c
 *	  Reads a column's declaration, a JSON object, option by option.
 *
 * Runs in the caller's transaction; results are in the current memory context.
 * Every mistake is an error that names the column.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "generator/generator.h"

/* Raise an error about a column's declaration. */
void
wh_spec_error(const WhSpec *spec, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("generator of column \"%s\": %s", spec->column, message)));
}

/* Make a declaration from a column's entry. */
WhSpec
wh_spec_make(const char *column, JsonbValue *value)
{
	WhSpec		spec;

	spec.column = column;
	spec.object = NULL;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\" must be a JSON object", column),
				 errhint("For example {\"kind\": \"integer\", \"min\": 1, \"max\": 10}.")));
	spec.object = value->val.binary.data;
	return spec;
}

/* Raise an error when an option is not one of valid (ended by NULL) or of all kinds. */
void
wh_spec_check_options(const WhSpec *spec, const char *kind, const char *const *valid)
{
	static const char *const common[] = {"kind", "null_share", "dirt", "type", NULL};
	JsonbIterator *it = JsonbIteratorInit(spec->object);
	JsonbValue	value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		bool		found = false;

		if (token != WJB_KEY)
			continue;
		for (const char *const *name = common; *name && !found; name++)
			found = strlen(*name) == value.val.string.len &&
				strncmp(*name, value.val.string.val, value.val.string.len) == 0;
		for (const char *const *name = valid; *name && !found; name++)
			found = strlen(*name) == value.val.string.len &&
				strncmp(*name, value.val.string.val, value.val.string.len) == 0;
		if (!found)
		{
			StringInfoData hint;

			initStringInfo(&hint);
			for (const char *const *name = valid; *name; name++)
				appendStringInfo(&hint, "%s%s", hint.len ? ", " : "", *name);
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("generator of column \"%s\": kind \"%s\" has no option \"%.*s\"",
							spec->column, kind, value.val.string.len, value.val.string.val),
					 hint.len ? errhint("Its options are: %s.", hint.data) :
					 errhint("It has no options of its own.")));
		}
	}
}

static JsonbValue *
get_option(const WhSpec *spec, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(spec->object, name, strlen(name), NULL);

	return value && value->type != jbvNull ? value : NULL;
}

static void
wrong_type(const WhSpec *spec, const char *name, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("generator of column \"%s\": option \"%s\" must be %s",
					spec->column, name, expected)));
}

static double
numeric_to_double(Numeric number)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(number)));
}

bool
wh_spec_has(const WhSpec *spec, const char *name)
{
	return get_option(spec, name) != NULL;
}

/* Return a string option; numbers are not taken for strings. */
char *
wh_spec_text(const WhSpec *spec, const char *name, const char *fallback)
{
	JsonbValue *value = get_option(spec, name);

	if (value == NULL)
		return fallback ? pstrdup(fallback) : NULL;
	if (value->type != jbvString)
		wrong_type(spec, name, "a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

double
wh_spec_number(const WhSpec *spec, const char *name, double fallback)
{
	JsonbValue *value = get_option(spec, name);
	double		number;

	if (value == NULL)
		return fallback;
	if (value->type != jbvNumeric)
		wrong_type(spec, name, "a number");
	number = numeric_to_double(value->val.numeric);
	if (isinf(number))
		wrong_type(spec, name, "a number below 1e308");
	return number;
}

int64
wh_spec_integer(const WhSpec *spec, const char *name, int64 fallback)
{
	JsonbValue *value = get_option(spec, name);

	if (value == NULL)
		return fallback;
	if (value->type != jbvNumeric)
		wrong_type(spec, name, "an integer");
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

bool
wh_spec_boolean(const WhSpec *spec, const char *name, bool fallback)
{
	JsonbValue *value = get_option(spec, name);

	if (value == NULL)
		return fallback;
	if (value->type != jbvBool)
		wrong_type(spec, name, "true or false");
	return value->val.boolean;
}

/* Return a share of rows, 0 when absent. */
double
wh_spec_share(const WhSpec *spec, const char *name)
{
	double		share = wh_spec_number(spec, name, 0);

	if (!(share >= 0 && share <= 1))
		wrong_type(spec, name, "a share between 0 and 1");
	return share;
}

/* Return an array of numbers that are not negative, or NULL when absent. */
double *
wh_spec_numbers(const WhSpec *spec, const char *name, int *count)
{
	JsonbValue *value = get_option(spec, name);
	double	   *result;
	double		sum = 0;

	*count = 0;
	if (value == NULL)
		return NULL;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		wrong_type(spec, name, "an array of numbers");
	*count = JsonContainerSize(value->val.binary.data);
	result = palloc(sizeof(double) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(value->val.binary.data, i);

		if (element->type != jbvNumeric)
			wrong_type(spec, name, "an array of numbers");
		result[i] = numeric_to_double(element->val.numeric);
		if (!(result[i] >= 0 && result[i] < 1e15))
			wrong_type(spec, name, "an array of numbers from 0 to 1e15");
		sum += result[i];
	}
	if (!(sum > 0))
		wrong_type(spec, name, "an array with a number above 0");
	return result;
}

/* Return an array of scalars as text, NULL for null; NULL when absent. */
char **
wh_spec_values(const WhSpec *spec, const char *name, int *count)
{
	JsonbValue *value = get_option(spec, name);
	char	  **result;

	*count = 0;
	if (value == NULL)
		return NULL;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		wrong_type(spec, name, "an array");
	*count = JsonContainerSize(value->val.binary.data);
	result = palloc(sizeof(char *) * (*count + 1));
	for (int i = 0; i < *count; i++)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(value->val.binary.data, i);

		switch (element->type)
		{
			case jbvNull:
				result[i] = NULL;
				break;
			case jbvString:
				result[i] = pnstrdup(element->val.string.val, element->val.string.len);
				break;
			case jbvNumeric:
				result[i] = DatumGetCString(DirectFunctionCall1(numeric_out,
																NumericGetDatum(element->val.numeric)));
				break;
			case jbvBool:
				result[i] = pstrdup(element->val.boolean ? "true" : "false");
				break;
			default:
				wrong_type(spec, name, "an array of strings, numbers, true, false and null");
		}
	}
	return result;
}

/* Tell whether faults are declared, and return them. */
bool
wh_spec_dirt(const WhSpec *spec, JsonbValue *value)
{
	JsonbValue *found = get_option(spec, "dirt");

	if (found == NULL)
		return false;
	*value = *found;
	return true;
}
