/*
 * csv_sniff.h
 *	  What a CSV file looks like: delimiter, header, columns and their types.
 */
#ifndef WH_CSV_SNIFF_H
#define WH_CSV_SNIFF_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

#include "csv/csv_options.h"

typedef struct WhCsvSniffColumn
{
	char	   *header;			/* name in the file; NULL without header */
	char	   *name;			/* name for the table, plain and unique */
	Oid			type;
	int			may_be;			/* private: types that fit every value so far */
	bool		any;			/* private: some value was there */
} WhCsvSniffColumn;

typedef struct WhCsvSniff
{
	char		delimiter;
	WhCsvHeader header;			/* match or none */
	int			ncolumns;		/* 0 = the file is empty */
	WhCsvSniffColumn *columns;
	int64		records;		/* looked at, header not counted */
} WhCsvSniff;

extern WhCsvSniff *wh_csv_sniff(const char *directory, List *names);
extern char *wh_csv_sniff_statement(const WhCsvSniff *sniff, const char *schema,
									const char *table, const char *server,
									const char *option, const char *value);
extern char *wh_csv_plain_name(const char *name);

#endif							/* WH_CSV_SNIFF_H */
