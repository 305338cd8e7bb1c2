/*
 * generator_value.c
 *	  Stores a generated value in the type of its column.
 *
 * Runs once per value, in the generator's row context, in any process that
 * makes rows.  The common types are built directly; others go through their
 * input functions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "generator/generator.h"

/* Find out how values of the column's type are stored. */
void
wh_value_prepare(WhColumn *column)
{
	Oid			function;

	column->max_chars = -1;
	column->scale = -1;
	column->numeric_limit = 0;
	get_typlenbyval(column->type, &column->typlen, &column->typbyval);
	switch (column->type)
	{
		case INT2OID:
			column->target = WH_TARGET_INT2;
			break;
		case INT4OID:
			column->target = WH_TARGET_INT4;
			break;
		case INT8OID:
			column->target = WH_TARGET_INT8;
			break;
		case FLOAT4OID:
			column->target = WH_TARGET_FLOAT4;
			break;
		case FLOAT8OID:
			column->target = WH_TARGET_FLOAT8;
			break;
		case BOOLOID:
			column->target = WH_TARGET_BOOL;
			break;
		case DATEOID:
			column->target = WH_TARGET_DATE;
			break;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			column->target = column->typmod < 0 || column->typmod == 6 ? WH_TARGET_TIMESTAMP : WH_TARGET_OTHER;
			break;
		case TEXTOID:
			column->target = WH_TARGET_TEXT;
			break;
		case VARCHAROID:
			column->target = WH_TARGET_TEXT;
			if (column->typmod >= VARHDRSZ)
				column->max_chars = column->typmod - VARHDRSZ;
			break;
		case NUMERICOID:
			column->target = WH_TARGET_NUMERIC;
			if (column->typmod >= VARHDRSZ)
			{
				int			precision = ((column->typmod - VARHDRSZ) >> 16) & 0xffff;
				int			scale = (column->typmod - VARHDRSZ) & 0x7ff;

				if (scale > 12 || precision < scale)
					column->target = WH_TARGET_OTHER;
				else
				{
					column->scale = scale;
					if (precision - scale <= 18)
						column->numeric_limit = wh_power_of_ten(precision - scale);
				}
			}
			break;
		default:
			column->target = WH_TARGET_OTHER;
			if (column->type == BPCHAROID && column->typmod >= VARHDRSZ)
				column->max_chars = column->typmod - VARHDRSZ;
			break;
	}
	getTypeInputInfo(column->type, &function, &column->typioparam);
	fmgr_info(function, &column->input);
}

static inline void
set(WhGenerator *generator, WhColumn *column, Datum value)
{
	generator->values[column->index] = value;
	generator->isnull[column->index] = false;
}

static void
out_of_range(WhGenerator *generator, WhColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("generated value does not fit column \"%s\" of type %s",
					column->name, format_type_with_typemod(column->type, column->typmod)),
			 errhint("Narrow the range in the column's generator, or widen the type.")));
}

/* Say in an error that another part of PostgreSQL raises which column (arg) it is about. */
void
wh_value_error_callback(void *arg)
{
	errcontext("generator of column \"%s\"", ((WhColumn *) arg)->name);
}

/* Store a text through the type's input function. */
static void
set_by_input(WhGenerator *generator, WhColumn *column, char *text)
{
	ErrorContextCallback callback = {error_context_stack, wh_value_error_callback, column};

	error_context_stack = &callback;
	set(generator, column, InputFunctionCall(&column->input, text, column->typioparam, column->typmod));
	error_context_stack = callback.previous;
}

/* Store an integer. */
void
wh_value_integer(WhGenerator *generator, WhColumn *column, int64 value)
{
	switch (column->target)
	{
		case WH_TARGET_INT2:
			if (value < PG_INT16_MIN || value > PG_INT16_MAX)
				out_of_range(generator, column);
			set(generator, column, Int16GetDatum((int16) value));
			break;
		case WH_TARGET_INT4:
			if (value < PG_INT32_MIN || value > PG_INT32_MAX)
				out_of_range(generator, column);
			set(generator, column, Int32GetDatum((int32) value));
			break;
		case WH_TARGET_INT8:
			set(generator, column, Int64GetDatum(value));
			break;
		default:
			wh_value_scaled(generator, column, value, 0);
			break;
	}
}

/* Store units / 10^scale; scale is at most 12. */
void
wh_value_scaled(WhGenerator *generator, WhColumn *column, int64 units, int scale)
{
	char		text[64];

	switch (column->target)
	{
		case WH_TARGET_INT2:
		case WH_TARGET_INT4:
		case WH_TARGET_INT8:
			if (scale > 0)
				units = (units + (units < 0 ? -1 : 1) * wh_power_of_ten(scale) / 2) / wh_power_of_ten(scale);
			wh_value_integer(generator, column, units);
			return;
		case WH_TARGET_FLOAT4:
			set(generator, column, Float4GetDatum((float4) ((double) units / (double) wh_power_of_ten(scale))));
			return;
		case WH_TARGET_FLOAT8:
			set(generator, column, Float8GetDatum((double) units / (double) wh_power_of_ten(scale)));
			return;
		case WH_TARGET_NUMERIC:
			if (column->scale >= 0)
			{
				if (scale > column->scale)
				{
					int64		divisor = wh_power_of_ten(scale - column->scale);

					units = (units + (units < 0 ? -1 : 1) * divisor / 2) / divisor;
				}
				else if (scale < column->scale &&
						 pg_mul_s64_overflow(units, wh_power_of_ten(column->scale - scale), &units))
					out_of_range(generator, column);
				scale = column->scale;
				if (column->numeric_limit && (units / wh_power_of_ten(scale) >= column->numeric_limit ||
											  units / wh_power_of_ten(scale) <= -column->numeric_limit))
					out_of_range(generator, column);
			}
			if (wh_numeric_put_units(column->buffer, units, scale))
				set(generator, column, PointerGetDatum(column->buffer));
			else
				set(generator, column, NumericGetDatum(int64_div_fast_to_numeric(units, scale)));
			return;
		default:
			break;
	}
	if (scale == 0)
		snprintf(text, sizeof(text), INT64_FORMAT, units);
	else
		snprintf(text, sizeof(text), "%s" INT64_FORMAT ".%0*lld", units < 0 ? "-" : "",
				 (units < 0 ? -units : units) / wh_power_of_ten(scale), scale,
				 (long long) ((units < 0 ? -units : units) % wh_power_of_ten(scale)));
	wh_value_text(generator, column, text, strlen(text));
}

/* Store a truth value. */
void
wh_value_boolean(WhGenerator *generator, WhColumn *column, bool value)
{
	if (column->target == WH_TARGET_BOOL)
		set(generator, column, BoolGetDatum(value));
	else if (column->target <= WH_TARGET_FLOAT8)
		wh_value_integer(generator, column, value ? 1 : 0);
	else
		wh_value_text(generator, column, value ? "true" : "false", value ? 4 : 5);
}

/* Store a time, taken as UTC where the type has a time zone. */
void
wh_value_time(WhGenerator *generator, WhColumn *column, Timestamp value, bool has_time)
{
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];
	int64		day;

	if (column->target == WH_TARGET_DATE)
	{
		day = value / USECS_PER_DAY - (value % USECS_PER_DAY < 0 ? 1 : 0);
		set(generator, column, DateADTGetDatum((DateADT) day));
		return;
	}
	if (column->target == WH_TARGET_TIMESTAMP)
	{
		set(generator, column, TimestampGetDatum(value));
		return;
	}
	if (timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("generated time of column \"%s\" is out of range", column->name)));
	if (has_time)
		snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday,
				 tm.tm_hour, tm.tm_min, tm.tm_sec);
	else
		snprintf(text, sizeof(text), "%04d-%02d-%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
	wh_value_text(generator, column, text, strlen(text));
}

/* Store a text, cut to what the column holds; len in bytes. */
void
wh_value_text(WhGenerator *generator, WhColumn *column, const char *text, int len)
{
	if (column->max_chars >= 0 && len > column->max_chars)
		len = pg_mbcharcliplen(text, len, column->max_chars);
	if (column->target == WH_TARGET_TEXT)
		set(generator, column, PointerGetDatum(cstring_to_text_with_len(text, len)));
	else
		set_by_input(generator, column, pnstrdup(text, len));
}

/* Return the current value of a column as text, or NULL for NULL. */
char *
wh_value_get_text(WhGenerator *generator, WhColumn *column, int *len)
{
	Datum		value = generator->values[column->index];
	Oid			function;
	bool		is_varlena;
	char	   *text;

	*len = 0;
	if (generator->isnull[column->index])
		return NULL;
	if (column->target == WH_TARGET_TEXT)
	{
		/* Expressions may return toasted or compressed values. */
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);

		*len = VARSIZE_ANY_EXHDR(packed);
		return VARDATA_ANY(packed);
	}
	getTypeOutputInfo(column->type, &function, &is_varlena);
	text = OidOutputFunctionCall(function, value);
	*len = strlen(text);
	return text;
}
