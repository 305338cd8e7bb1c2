/*
 * value_convert.c
 *	  Turns text into typed values: chooses the fast path of a type, and calls
 *	  the type's own input function for everything else.
 *
 * A fast path takes the common spellings only, those for which its result is
 * provably the input function's.  All else, bad data included, goes through
 * the input function itself, so that values, errors and messages are
 * PostgreSQL's.  A type's reform stands before it: text in a declared format
 * becomes PostgreSQL's, and what no format declares, or reads the clock, is an
 * error.  While an input function that could look at settings runs, they have
 * fixed values, so that a text means the same in a query and in a feed.
 *
 * Runs in any backend, in the caller's transaction; opens a subtransaction to
 * survive an input function's error where there are no soft errors.  Takes no
 * locks.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/xml.h"

#include "compat.h"
#ifdef WH_HAVE_SOFT_ERRORS
#include "nodes/miscnodes.h"
#endif
#include "value/value_convert.h"

/* text, varchar without limit: the bytes themselves. */
static bool
fast_text(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	char	   *t = wh_value_alloc(conv->arena, len + VARHDRSZ);

	SET_VARSIZE(t, len + VARHDRSZ);
	memcpy(VARDATA(t), s, len);
	*value = PointerGetDatum(t);
	return true;
}

/* varchar(n): what fits as it is. */
static bool
fast_varchar(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	if (len > (Size) conv->max_chars &&
		pg_mbstrlen_with_len(s, len) > conv->max_chars)
		return false;
	return fast_text(conv, s, len, value);
}

/* char(n): what fits, filled up with blanks. */
static bool
fast_bpchar(WhValueConverter *conv, const char *s, Size len, Datum *value)
{
	int			chars = pg_mbstrlen_with_len(s, len);
	Size		size;
	char	   *t;

	if (chars > conv->max_chars)
		return false;
	size = len + (conv->max_chars - chars);
	t = wh_value_alloc(conv->arena, size + VARHDRSZ);
	SET_VARSIZE(t, size + VARHDRSZ);
	memcpy(VARDATA(t), s, len);
	memset(VARDATA(t) + len, ' ', size - len);
	*value = PointerGetDatum(t);
	return true;
}

/* Set the fast path of a character type. */
void
wh_value_set_text(WhValueConverter *conv)
{
	conv->max_chars = conv->typmod >= (int32) VARHDRSZ ?
		conv->typmod - (int32) VARHDRSZ : -1;
	if (conv->type == TEXTOID || conv->max_chars < 0)
		conv->fast = fast_text;
	else
		conv->fast = conv->type == VARCHAROID ? fast_varchar : fast_bpchar;
}

/*
 * Make the converter of a type and typmod, for text in a format, which is
 * copied flatly; a date format was compiled once, to check it.  The converter
 * is allocated in the current memory context, its values in the arena.
 */
WhValueConverter *
wh_value_converter_as(Oid type, int32 typmod, WhValueArena *arena, const WhValueFormat *format)
{
	WhValueConverter *conv = palloc0(sizeof(WhValueConverter));
	Oid			function;

	conv->type = type;
	conv->typmod = typmod;
	conv->arena = arena;
	conv->format = *format;
	conv->zone = format->zone ? format->zone : pg_tzset("UTC");
	conv->dates = wh_date_kind(type);
	conv->has_settings = true;
	conv->is_builtin = type < FirstNormalObjectId;
	getTypeInputInfo(type, &function, &conv->ioparam);
	fmgr_info(function, &conv->input);

	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			wh_value_set_text(conv);
			conv->has_settings = false;
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case BOOLOID:
		case UUIDOID:
			wh_value_set_number(conv);
			conv->has_settings = false;
			break;
		default:
			break;
	}
	if (conv->dates != WH_DATE_NONE)
		wh_value_set_datetime(conv);
	if (!wh_value_format_is_plain(format))
		wh_value_set_number_format(conv);
	return conv;
}

/* Make the converter of a type and typmod, for text as PostgreSQL writes it. */
WhValueConverter *
wh_value_converter(Oid type, int32 typmod, WhValueArena *arena)
{
	WhValueFormat format;

	wh_value_format_init(&format);
	return wh_value_converter_as(type, typmod, arena, &format);
}

/* Set the zone of times that are written without one; UTC before. */
void
wh_value_set_zone(WhValueConverter *conv, pg_tz *zone)
{
	conv->zone = zone;
}

/*
 * Call the input function under fixed settings.  soft is an ErrorSaveContext
 * where there are soft errors, else NULL.
 */
static bool
call_input(WhValueConverter *conv, char *str, void *soft, Datum *value)
{
	pg_tz	   *zone = session_timezone;
	int			interval_style = IntervalStyle;
	int			date_order = DateOrder;
	bool		nulls = Array_nulls;
	int			xml = xmloption;
	bool		ok = true;
	bool		pin = conv->has_settings;

	/* A time of day has the clock's offset of any other zone. */
	if (pin)
		session_timezone = conv->dates == WH_DATE_TIME ? pg_tzset("UTC") : conv->zone;
	PG_TRY();
	{
		if (pin)
		{
			IntervalStyle = INTSTYLE_POSTGRES;
			DateOrder = DATEORDER_MDY;
			Array_nulls = true;
			xmloption = XMLOPTION_CONTENT;
		}
#ifdef WH_HAVE_SOFT_ERRORS
		if (soft != NULL)
			ok = InputFunctionCallSafe(&conv->input, str, conv->ioparam, conv->typmod, soft, value);
		else
#endif
			*value = InputFunctionCall(&conv->input, str, conv->ioparam, conv->typmod);
	}
	PG_FINALLY();
	{
		session_timezone = zone;
		IntervalStyle = interval_style;
		DateOrder = date_order;
		Array_nulls = nulls;
		xmloption = xml;
	}
	PG_END_TRY();
	return ok;
}

/*
 * Say whether an error of an input function is about its input.  What is not,
 * such as a cancel, a full disk or a lack of memory, must end the statement.
 */
bool
wh_value_is_data_error(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_RAISE_EXCEPTION:
			return true;
		default:
			return false;
	}
}

/* Call the input function in a subtransaction, to survive its error. */
static bool
convert_in_subtransaction(WhValueConverter *conv, char *str, Datum *value,
						  WhRowError *err)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	ErrorData  *volatile failure = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(conv->arena->overflow);
	PG_TRY();
	{
		(void) call_input(conv, str, NULL, value);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(conv->arena->overflow);
		failure = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	CurrentResourceOwner = oldowner;

	if (failure == NULL)
		return true;
	if (!wh_value_is_data_error(failure->sqlerrcode))
		ReThrowError(failure);
	err->sqlerrcode = failure->sqlerrcode;
	err->message = failure->message;
	return false;
}

/*
 * Convert by the type's own input function.  See wh_value_convert for the
 * arguments.
 */
bool
wh_value_convert_slow(WhValueConverter *conv, const char *s, Size len,
					  Datum *value, WhRowError *err)
{
	WhValueArena *arena = conv->arena;
	MemoryContext oldcontext;
	char	   *str;

	arena->overflow_used = true;
	oldcontext = MemoryContextSwitchTo(arena->overflow);
	if (conv->reform != NULL)
	{
		WhRowError	error;

		if (!conv->reform(conv, &s, &len, &error))
		{
			MemoryContextSwitchTo(oldcontext);
			if (err == NULL)
				ereport(ERROR,
						(errcode(error.sqlerrcode),
						 errmsg_internal("%s", error.message)));
			err->sqlerrcode = error.sqlerrcode;
			err->message = error.message;
			return false;
		}
	}
	str = pnstrdup(s, len);
	if (err == NULL)
	{
		(void) call_input(conv, str, NULL, value);
		MemoryContextSwitchTo(oldcontext);
		return true;
	}

#ifdef WH_HAVE_SOFT_ERRORS
	/* Input functions of other extensions may still throw. */
	if (conv->is_builtin)
	{
		ErrorSaveContext soft = {T_ErrorSaveContext};
		bool		ok;

		soft.details_wanted = true;
		ok = call_input(conv, str, &soft, value);
		if (!ok)
		{
			err->sqlerrcode = soft.error_data->sqlerrcode;
			err->message = soft.error_data->message;
		}
		MemoryContextSwitchTo(oldcontext);
		return ok;
	}
#endif
	MemoryContextSwitchTo(oldcontext);
	return convert_in_subtransaction(conv, str, value, err);
}
