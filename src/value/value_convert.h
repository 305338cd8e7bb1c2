/*
 * value_convert.h
 *	  Turns text into typed values at full speed, equal to the type's own
 *	  input function on every input; but dates are ISO, or as declared, and
 *	  nothing depends on a setting or the clock.
 */
#ifndef WH_VALUE_CONVERT_H
#define WH_VALUE_CONVERT_H

#include "widgets_wh.h"

#include "fmgr.h"
#include "value/source.h"
#include "value/value_arena.h"
#include "value/value_format.h"

typedef struct WhValueConverter WhValueConverter;

/*
 * Converts one of the common spellings; returns false, and changes nothing,
 * for every other input, good or bad.
 */
typedef bool (*WhValueFast) (WhValueConverter *conv, const char *s, Size len,
							 Datum *value);

/*
 * Brings text into the spelling that the input function reads; returns false
 * and the error, its message in the current memory context, when it is not
 * written as declared.
 */
typedef bool (*WhValueReform) (WhValueConverter *conv, const char **s, Size *len,
							   WhRowError *err);

struct WhValueConverter
{
	WhValueFast fast;			/* NULL = none for this type */
	WhValueFast plain;			/* the fast path of PostgreSQL's spelling, below a format's */
	WhValueReform reform;		/* NULL = the text goes as it is */
	WhValueFormat format;
	WhDatePattern *pattern;		/* NULL = ISO dates */
	WhDateKind	dates;			/* what of a date the type holds */
	bool		has_settings;	/* its input function may look at settings */
	WhValueArena *arena;
	Oid			type;
	int32		typmod;
	FmgrInfo	input;
	Oid			ioparam;
	bool		is_builtin;		/* the type came with PostgreSQL */
	int32		max_chars;		/* varchar(n), char(n); -1 = any */
	int32		precision;		/* numeric(p,s); -1 = any */
	int32		scale;
	int32		max_fraction;	/* digits of seconds that need no rounding */
	bool		has_zulu;		/* Z means UTC, as it should */
	pg_tz	   *zone;			/* of times without one */
	struct WhZoneCache *offsets;
};

extern WhValueConverter *wh_value_converter(Oid type, int32 typmod,
											WhValueArena *arena);
extern WhValueConverter *wh_value_converter_as(Oid type, int32 typmod, WhValueArena *arena,
											   const WhValueFormat *format);
extern void wh_value_set_zone(WhValueConverter *conv, pg_tz *zone);
extern bool wh_value_convert_slow(WhValueConverter *conv, const char *s,
								  Size len, Datum *value, WhRowError *err);
extern bool wh_value_is_data_error(int sqlerrcode);

/* Set the fast path of a type, in value_number.c and value_datetime.c. */
extern void wh_value_set_number(WhValueConverter *conv);
extern void wh_value_set_number_format(WhValueConverter *conv);
extern void wh_value_set_datetime(WhValueConverter *conv);
extern void wh_value_set_text(WhValueConverter *conv);

/*
 * Convert len bytes at s, which need no terminating NUL, are valid in the
 * database's encoding and hold no NUL.
 *
 * Bad data: with err, fills sqlerrcode and message (in the arena) and returns
 * false; without, throws as the input function does.  Query cancel and lack of
 * memory always throw.  The value lives until the arena's next reset.
 */
static inline bool
wh_value_convert(WhValueConverter *conv, const char *s, Size len,
				 Datum *value, WhRowError *err)
{
	if (likely(conv->fast != NULL) && likely(conv->fast(conv, s, len, value)))
		return true;
	return wh_value_convert_slow(conv, s, len, value, err);
}

#endif							/* WH_VALUE_CONVERT_H */
