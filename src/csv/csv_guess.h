/*
 * csv_guess.h
 *	  What type a column has, and how its values are written, by the values.
 */
#ifndef WH_CSV_GUESS_H
#define WH_CSV_GUESS_H

#include "widgets_wh.h"

#include "value/value_convert.h"

typedef struct WhCsvGuesser WhCsvGuesser;

/* What the values of a column can be, so far. */
typedef struct WhCsvGuess
{
	uint32		types;			/* with PostgreSQL's own spelling */
	uint32		dates;			/* patterns that read every value */
	uint32		numbers;		/* number formats that do */
	uint32		decoration;		/* signs met around numbers */
	uint32		nulls;			/* texts met that often mean NULL */
	int64		values;			/* looked at, those texts not counted */
	int64		day_numbers;	/* of them, days as YYYYMMDD */
	bool		quoted_empty;
} WhCsvGuess;

/* What comes of it. */
typedef struct WhCsvColumnType
{
	Oid			type;
	const char *date_format;	/* NULL = ISO */
	char		decimal;
	const char *thousands;		/* NULL = none */
	const char *negative;		/* option values; NULL = as by default */
	const char *percent;
	const char *currency;
	const char *nulls;
	bool		quoted_null;
	const char *note;			/* what is uncertain; NULL = nothing */
} WhCsvColumnType;

extern WhCsvGuesser *wh_csv_guesser_create(const char *date_format);
extern void wh_csv_guess_start(WhCsvGuess *guess);
extern void wh_csv_guess_value(WhCsvGuesser *guesser, WhCsvGuess *guess, const char *s, Size len, bool quoted);
extern bool wh_csv_guess_fits(WhCsvGuesser *guesser, const WhCsvGuess *guess, const char *s, Size len);
extern bool wh_csv_guess_is_value(WhCsvGuesser *guesser, const char *s, Size len);
extern bool wh_csv_guess_is_text(const WhCsvGuess *guess);
extern char wh_csv_guess_decimal(const WhCsvGuess *guess);
extern void wh_csv_guess_type(const WhCsvGuess *guess, char decimal, WhCsvColumnType *result);

#endif							/* WH_CSV_GUESS_H */
