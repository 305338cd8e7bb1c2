/*
 * csv_options.h
 *	  Options of the foreign data wrapper wh_csv.
 */
#ifndef WH_CSV_OPTIONS_H
#define WH_CSV_OPTIONS_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

#include "csv/csv_file.h"
#include "value/value_format.h"

/* Default of max_record_size, in bytes. */
#define WH_CSV_MAX_RECORD	(1024 * 1024)

/* Longest delimiter, in bytes. */
#define WH_CSV_DELIMITER	8

typedef enum WhCsvFormat
{
	WH_CSV_DELIMITED,
	WH_CSV_FIXED,				/* fields stand in columns of the line */
	WH_CSV_JSON					/* a JSON object a line */
} WhCsvFormat;

typedef enum WhCsvHeader
{
	WH_CSV_HEADER_MATCH,		/* columns are found by name */
	WH_CSV_HEADER_SKIP,			/* the first record is no data */
	WH_CSV_HEADER_NONE
} WhCsvHeader;

/* When a quoted field is compared with the texts that mean NULL. */
typedef enum WhCsvQuotedNull
{
	WH_CSV_QUOTED_NEVER,
	WH_CSV_QUOTED_NOT_TEXT,		/* in columns of types that are no text */
	WH_CSV_QUOTED_ALWAYS
} WhCsvQuotedNull;

/* What to do with fields beyond those expected. */
typedef enum WhCsvLong
{
	WH_CSV_LONG_ERROR,
	WH_CSV_LONG_EMPTY,			/* they may be there when they are empty */
	WH_CSV_LONG_IGNORE
} WhCsvLong;

/* How a record is split into fields. */
typedef struct WhCsvDialect
{
	char		delimiter[WH_CSV_DELIMITER + 1];	/* empty = a record is one field */
	int			quote;			/* -1 = none */
	int			escape;			/* -1 = none */
	bool		trim;			/* blanks around fields and quotes are no data */
} WhCsvDialect;

/* How a field becomes a value; of a table, and what a column has otherwise. */
typedef struct WhCsvFieldOptions
{
	WhValueFormat format;
	List	   *nulls;			/* texts (char *) that mean NULL; at least one */
	WhCsvQuotedNull quoted_null;
} WhCsvFieldOptions;

typedef struct WhCsvOptions
{
	const char *directory;		/* NULL = none */
	const char *filename;
	const char *pattern;
	WhCsvFormat format;
	WhCsvHeader header;
	bool		header_given;
	WhCsvDialect dialect;
	bool		delimiter_given;
	const char *comment;		/* what a line that is no data begins with; NULL = nothing */
	int			skip;			/* lines before the header, and behind the last record */
	int			skip_footer;
	WhCsvFieldOptions field;
	int			encoding;		/* -1 = the database's, or as a byte order mark says */
	bool		utf16;			/* the encoding is UTF-16, of which PostgreSQL knows nothing */
	bool		big_endian;
	WhCsvCompression compression;
	Size		max_record;
	int			settle;			/* seconds that a file must not have changed for */
	const char *time_zone;		/* NULL = not said */
	bool		extra_error;	/* a column of the file that the table lacks */
	bool		missing_null;	/* a column of the table that the file lacks is NULL */
	bool		any_case;		/* names are compared without regard to case */
	bool		pad_short;		/* fields that are not there are NULL */
	WhCsvLong	long_records;
} WhCsvOptions;

extern void wh_csv_options_init(WhCsvOptions *options);
extern void wh_csv_options_apply(WhCsvOptions *options, List *defs);
extern bool wh_csv_field_option(WhCsvFieldOptions *field, const char *name, const char *value);
extern void wh_csv_options_check(const WhCsvOptions *options);
extern void wh_csv_options_known(List *defs, Oid catalog);
extern void wh_csv_options_of_a_file(List *defs);
extern void wh_csv_require_server_files(Oid role, const char *detail);
extern bool wh_csv_is_glob(const char *name);

#endif							/* WH_CSV_OPTIONS_H */
