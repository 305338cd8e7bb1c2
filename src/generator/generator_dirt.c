/*
 * generator_dirt.c
 *	  Injects the faults of real sources, and counts them by kind.
 *
 * Runs once per value of a column with faults declared.  A value gets at most
 * one fault, and a fault that would leave the value as it is, is neither
 * injected nor counted: each one counted is there to be found.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "generator/generator.h"

static const char *const dirt_names[WH_DIRT_KINDS] = {
	"bad_address", "case", "date_format", "duplicate", "late", "missing", "out_of_order", "spaces",
	"undefined_code"
};

/* Return the kind of a name, or -1. */
static int
find_kind(const char *name, int len)
{
	for (int i = 0; i < WH_DIRT_KINDS; i++)
		if (strlen(dirt_names[i]) == len && strncmp(dirt_names[i], name, len) == 0)
			return i;
	return -1;
}

/* Raise an error when a kind of fault makes no sense for a column. */
static void
check_kind(WhColumn *column, const WhSpec *spec, WhDirt kind)
{
	bool		is_text = column->target >= WH_TARGET_TEXT;
	bool		is_time = column->target == WH_TARGET_DATE || column->target == WH_TARGET_TIMESTAMP;

	switch (kind)
	{
		case WH_DIRT_CASE:
		case WH_DIRT_SPACES:
		case WH_DIRT_BAD_ADDRESS:
			if (!is_text)
				wh_spec_error(spec, "faults case, spaces and bad_address need a text column");
			break;
		case WH_DIRT_DATE_FORMAT:
			if (!column->is_text_date)
				wh_spec_error(spec, "fault date_format needs kind date or timestamp in a text column");
			break;
		case WH_DIRT_LATE:
		case WH_DIRT_OUT_OF_ORDER:
			if (!is_time)
				wh_spec_error(spec, "faults late and out_of_order need a column of a date or timestamp type");
			break;
		case WH_DIRT_MISSING:
			if (column->not_null && !is_text)
				wh_spec_error(spec, "fault missing needs a column that takes NULL or an empty text");
			break;
		case WH_DIRT_UNDEFINED_CODE:
			if (!is_text && column->target > WH_TARGET_NUMERIC)
				wh_spec_error(spec, "fault undefined_code needs a text or number column");
			break;
		case WH_DIRT_DUPLICATE:
			wh_spec_error(spec, "fault duplicate is a row's: declare it in argument dirt");
			break;
	}
}

/* Prepare a column's "dirt": {"kind": share, ...}. */
void
wh_generator_prepare_dirt(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	JsonbValue	dirt;
	JsonbValue	key;
	JsonbIterator *it;
	JsonbIteratorToken token;
	WhSpec		shares;
	double		sum = 0;

	if (!wh_spec_dirt(spec, &dirt))
		return;
	if (dirt.type != jbvBinary || !JsonContainerIsObject(dirt.val.binary.data))
		wh_spec_error(spec, "option \"dirt\" must be an object, such as {\"spaces\": 0.01}");
	shares.column = spec->column;
	shares.object = dirt.val.binary.data;
	it = JsonbIteratorInit(shares.object);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		int			kind;

		if (token != WJB_KEY)
			continue;
		kind = find_kind(key.val.string.val, key.val.string.len);
		if (kind < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("generator of column \"%s\": fault \"%.*s\" does not exist", column->name,
							key.val.string.len, key.val.string.val),
					 errhint("The faults of a column are: bad_address, case, date_format, late, missing, out_of_order, spaces, undefined_code.")));
		check_kind(column, spec, kind);
		sum += wh_spec_share(&shares, dirt_names[kind]);
		if (sum > 1)
			wh_spec_error(spec, "the shares of faults are more than 1 together");
		column->dirt[column->ndirt] = kind;
		column->dirt_share[column->ndirt++] = wh_random_share(sum);
	}
}

/* Prepare the faults of whole rows. */
void
wh_generator_prepare_row_dirt(WhGenerator *generator, Jsonb *dirt)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	double		share = 0;

	if (dirt == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(dirt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dirt must be a JSON object"),
				 errhint("For example {\"duplicate\": 0.001}; other faults are declared at their columns.")));
	it = JsonbIteratorInit(&dirt->root);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		if (value.val.string.len != strlen("duplicate") ||
			strncmp(value.val.string.val, "duplicate", value.val.string.len) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fault \"%.*s\" is none of whole rows", value.val.string.len, value.val.string.val),
					 errhint("That is \"duplicate\"; other faults are declared at their columns, by option \"dirt\".")));
		(void) JsonbIteratorNext(&it, &value, true);
		if (value.type != jbvNumeric)
			share = -1;
		else
			share = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value.val.numeric)));
		if (!(share >= 0 && share <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fault \"duplicate\" must be a share between 0 and 1")));
	}
	generator->duplicate_share = wh_random_share(share);
}

/* Faults; each returns whether it changed the value ---------------------------- */

static bool
put_text(WhGenerator *generator, WhColumn *column, const char *text, int len)
{
	if (column->max_chars >= 0 && pg_mbstrlen_with_len(text, len) > column->max_chars)
		return false;
	wh_value_text(generator, column, text, len);
	return true;
}

/* Write the text in upper, lower or swapped case. */
static bool
change_case(WhGenerator *generator, WhColumn *column, WhRandom *random, const char *text, int len)
{
	char	   *changed = pnstrdup(text, len);
	int			way = (int) wh_random_below(random, 3);

	for (int try = 0; try < 3; try++, way = (way + 1) % 3)
	{
		for (int i = 0; i < len; i++)
		{
			unsigned char c = (unsigned char) text[i];
			bool		is_upper = c >= 'A' && c <= 'Z';
			bool		is_lower = c >= 'a' && c <= 'z';

			changed[i] = text[i];
			if (is_lower && way != 1)
				changed[i] = (char) (c - 32);
			else if (is_upper && way != 0)
				changed[i] = (char) (c + 32);
		}
		if (memcmp(changed, text, len) != 0)
			return put_text(generator, column, changed, len);
	}
	return false;
}

/* Put spaces before, after, or doubled within the text. */
static bool
add_spaces(WhGenerator *generator, WhColumn *column, WhRandom *random, const char *text, int len)
{
	StringInfoData out;
	int			way = (int) wh_random_below(random, 3);
	const char *space = memchr(text, ' ', len);

	initStringInfo(&out);
	if (way == 0 || (way == 2 && space == NULL))
		appendStringInfoString(&out, "  ");
	if (way == 2 && space)
	{
		appendBinaryStringInfo(&out, text, space - text);
		appendStringInfoChar(&out, ' ');
		appendBinaryStringInfo(&out, space, len - (space - text));
	}
	else
		appendBinaryStringInfo(&out, text, len);
	if (way == 1)
		appendStringInfoChar(&out, ' ');
	return put_text(generator, column, out.data, out.len);
}

/* Spoil an address so that it is not "name\nstreet\ncity, ST zip" any more. */
static bool
spoil_address(WhGenerator *generator, WhColumn *column, WhRandom *random, const char *text, int len)
{
	char	   *copy = pnstrdup(text, len);
	char	   *last_line = strrchr(copy, '\n');
	char	   *c;

	switch (wh_random_below(random, 4))
	{
		case 0:
			return put_text(generator, column, "see previous order", 18);
		case 1:
			/* The city's line is gone. */
			if (last_line == NULL)
				return put_text(generator, column, "unknown", 7);
			return put_text(generator, column, copy, (int) (last_line - copy));
		case 2:
			/* All in one line, without commas. */
			for (c = copy; *c; c++)
				if (*c == '\n' || *c == ',')
					*c = ' ';
			break;
		default:
			/* Letters for the ZIP code's digits. */
			for (c = last_line ? last_line : copy; *c; c++)
				if (*c >= '0' && *c <= '9')
					*c = 'X';
			break;
	}
	return memcmp(copy, text, len) != 0 && put_text(generator, column, copy, len);
}

/* Write a date, now as 2024-01-31, as 01/31/2024 or 31 Jan 2024. */
static bool
reformat_date(WhGenerator *generator, WhColumn *column, WhRandom *random, const char *text, int len)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
	"Nov", "Dec"};
	int			year;
	int			month;
	int			day;
	char		out[64];

	if (sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 || month < 1 || month > 12)
		return false;
	if (wh_random_below(random, 2) == 0)
		snprintf(out, sizeof(out), "%02d/%02d/%04d%.*s", month, day, year, Min(Max(len - 10, 0), 20), text + 10);
	else
		snprintf(out, sizeof(out), "%02d %s %04d%.*s", day, months[month - 1], year, Min(Max(len - 10, 0), 20),
				 text + 10);
	return put_text(generator, column, out, strlen(out));
}

/* Put a code that is not among the declared ones. */
static bool
undefine_code(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	static const char letters[] = "QXZWKJV";
	char		code[8];

	if (column->target < WH_TARGET_TEXT)
	{
		wh_value_integer(generator, column, 9000 + (int64) wh_random_below(random, 999));
		return true;
	}
	for (int try = 0; try < 100; try++)
	{
		bool		is_defined = false;
		int			len = column->max_chars == 1 ? 1 : 2;

		for (int i = 0; i < len; i++)
			code[i] = letters[wh_random_below(random, sizeof(letters) - 1)];
		code[len] = '\0';
		for (int i = 0; i < column->nwords && !is_defined; i++)
			is_defined = column->words[i] && pg_strcasecmp(column->words[i], code) == 0;
		if (!is_defined)
			return put_text(generator, column, code, len);
	}
	return false;
}

/* Put a time before the true one: days for late, up to two hours for out of order. */
static bool
shift_time(WhGenerator *generator, WhColumn *column, WhRandom *random, WhDirt kind)
{
	Datum	   *value = &generator->values[column->index];
	int64		seconds;

	if (kind == WH_DIRT_LATE)
	{
		seconds = SECS_PER_DAY * (1 + (int64) wh_random_below(random, 3));
		seconds += (int64) wh_random_below(random, SECS_PER_HOUR);
	}
	else
		seconds = 1 + (int64) wh_random_below(random, 2 * SECS_PER_HOUR);
	if (column->target == WH_TARGET_DATE)
		*value = DateADTGetDatum(DatumGetDateADT(*value) - (DateADT) Max(seconds / SECS_PER_DAY, 1));
	else
		*value = TimestampGetDatum(DatumGetTimestamp(*value) - seconds * USECS_PER_SEC);
	return true;
}

/* Leave the value out: NULL, or empty where the column is NOT NULL. */
static bool
remove_value(WhGenerator *generator, WhColumn *column)
{
	if (!column->not_null)
	{
		generator->isnull[column->index] = true;
		return true;
	}
	wh_value_text(generator, column, "", 0);
	return true;
}

/* Inject a column's fault, if one falls on this value, and count it. */
void
wh_generator_apply_dirt(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	uint64		x = wh_random_next(random) >> 1;
	const char *text = NULL;
	int			len = 0;
	bool		changed = false;
	int			i = 0;
	WhDirt		kind;

	while (i < column->ndirt && x >= column->dirt_share[i])
		i++;
	if (i == column->ndirt)
		return;
	kind = column->dirt[i];
	if (column->target >= WH_TARGET_TEXT)
	{
		text = wh_value_get_text(generator, column, &len);
		/* An empty text can only become an undefined code. */
		if (text == NULL || (len == 0 && kind != WH_DIRT_UNDEFINED_CODE))
			return;
	}
	switch (kind)
	{
		case WH_DIRT_CASE:
			changed = change_case(generator, column, random, text, len);
			break;
		case WH_DIRT_SPACES:
			changed = add_spaces(generator, column, random, text, len);
			break;
		case WH_DIRT_BAD_ADDRESS:
			changed = spoil_address(generator, column, random, text, len);
			break;
		case WH_DIRT_DATE_FORMAT:
			changed = reformat_date(generator, column, random, pnstrdup(text, len), len);
			break;
		case WH_DIRT_UNDEFINED_CODE:
			changed = undefine_code(generator, column, random);
			break;
		case WH_DIRT_MISSING:
			changed = remove_value(generator, column);
			break;
		case WH_DIRT_LATE:
		case WH_DIRT_OUT_OF_ORDER:
			changed = shift_time(generator, column, random, kind);
			break;
		case WH_DIRT_DUPLICATE:
			break;
	}
	if (changed)
		generator->dirt_count[column->index * WH_DIRT_KINDS + kind]++;
}

/* Return the counts as {"column": {"kind": n}, "": {"duplicate": n}}. */
Jsonb *
wh_generator_dirt_report(WhGenerator *generator)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i <= generator->ncolumns; i++)
	{
		bool		has_any = false;
		JsonbValue	name;

		for (int kind = 0; kind < WH_DIRT_KINDS; kind++)
		{
			int64		count = generator->dirt_count[i * WH_DIRT_KINDS + kind];
			JsonbValue	value;

			if (count == 0)
				continue;
			if (!has_any)
			{
				name.type = jbvString;
				name.val.string.val = i == generator->ncolumns ? "" : generator->columns[i].name;
				name.val.string.len = strlen(name.val.string.val);
				pushJsonbValue(&state, WJB_KEY, &name);
				pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
				has_any = true;
			}
			name.type = jbvString;
			name.val.string.val = unconstify(char *, dirt_names[kind]);
			name.val.string.len = strlen(dirt_names[kind]);
			pushJsonbValue(&state, WJB_KEY, &name);
			value.type = jbvNumeric;
			value.val.numeric = int64_to_numeric(count);
			pushJsonbValue(&state, WJB_VALUE, &value);
		}
		if (has_any)
			pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(result);
}
