/*
 * csv_sniff.h
 *	  What a CSV file looks like: options, columns and their types.
 */
#ifndef WH_CSV_SNIFF_H
#define WH_CSV_SNIFF_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

#include "csv/csv_guess.h"
#include "csv/csv_options.h"

typedef struct WhCsvSniffColumn
{
	char	   *header;			/* name in the file; NULL without header */
	int			occurrence;		/* which of several of that name; 0 = the only one */
	char	   *name;			/* name for the table, plain and unique */
	WhCsvColumnType type;
	int			from,			/* characters of a line of fixed columns */
				to;
	WhCsvGuess	guess;			/* private */
} WhCsvSniffColumn;

typedef struct WhCsvSniff
{
	WhCsvOptions options;		/* those given, and those found */
	List	   *table_options;	/* the same as DefElems, defaults left out */
	int			ncolumns;		/* 0 = the file is empty */
	WhCsvSniffColumn *columns;
	int64		records;		/* looked at, header not counted */
	int64		misfits;		/* of them, those that cannot be read with the answer */
	List	   *notes;			/* what is uncertain (char *) */
} WhCsvSniff;

extern WhCsvSniff *wh_csv_sniff(const char *directory, List *names, List *given);

#endif							/* WH_CSV_SNIFF_H */
