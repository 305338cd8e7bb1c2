/*
 * csv_options.h
 *	  Options of the foreign data wrapper wh_csv.
 */
#ifndef WH_CSV_OPTIONS_H
#define WH_CSV_OPTIONS_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

#include "csv/csv_file.h"

/* Default of max_record_size, in bytes. */
#define WH_CSV_MAX_RECORD	(1024 * 1024)

typedef enum WhCsvHeader
{
	WH_CSV_HEADER_MATCH,		/* columns are found by name */
	WH_CSV_HEADER_SKIP,			/* the first record is no data */
	WH_CSV_HEADER_NONE
} WhCsvHeader;

typedef struct WhCsvOptions
{
	const char *directory;		/* NULL = none */
	const char *filename;
	const char *pattern;
	WhCsvHeader header;
	char		delimiter;
	char		quote;
	const char *null_string;
	int			encoding;		/* -1 = the database's */
	WhCsvCompression compression;
	Size		max_record;
	bool		extra_error;	/* a column of the file that the table lacks */
} WhCsvOptions;

extern void wh_csv_options_init(WhCsvOptions *options);
extern void wh_csv_options_apply(WhCsvOptions *options, List *defs);
extern void wh_csv_options_check(const WhCsvOptions *options);
extern void wh_csv_require_server_files(Oid role, const char *detail);
extern bool wh_csv_is_glob(const char *name);

#endif							/* WH_CSV_OPTIONS_H */
