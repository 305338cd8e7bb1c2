/*
 * csv_scan.h
 *	  A scan of one CSV file, as the files csv_source.c, csv_header.c and
 *	  csv_text.c share it.
 */
#ifndef WH_CSV_SCAN_H
#define WH_CSV_SCAN_H

#include "widgets_wh.h"

#include "csv/csv_reader.h"
#include "csv/csv_source.h"
#include "value/json_fields.h"
#include "value/value_convert.h"

/* A column to convert. */
typedef struct WhCsvScanColumn
{
	AttrNumber	attnum;
	int			field;			/* -1 = metadata, or the file lacks it */
	bool		is_line;
	bool		quoted_null;	/* quoted fields are compared with the nulls, too */
	WhValueConverter *convert;	/* NULL = metadata */
	const char *null_string;	/* the first text that means NULL */
	Size		null_len;
	List	   *more_nulls;		/* the others */
	const WhCsvColumn *source;
} WhCsvScanColumn;

struct WhCsvScan
{
	WhCsvTable *table;
	MemoryContext context;
	MemoryContext row_context;	/* errors of the row */
	bool		row_context_used;
	char	   *name;
	WhCsvReader *reader;		/* NULL = could not be opened, or ended */
	WhCsvReader *reread;		/* of the file, beside the records in memory; NULL = none */
	int			same_content;	/* the file has the content of the records: 1, 0, or -1 when not looked */
	WhRowError	open_error;
	bool		collect;
	bool		lazy;
	bool		started;		/* the header was read */
	bool		ended;
	bool		failed;
	bool		split;			/* the current record has the right fields */
	char	   *header;			/* the header as it came; NULL = none */
	Size		header_len;
	bool		checksum_known;
	uint8		checksum[WH_CSV_CHECKSUM_LENGTH];

	int			encoding;		/* of the file */
	Oid			conversion;		/* to the database's, or invalid */
	bool		other_fields;	/* they may not be there: see csv_field.c */
	bool		always_check;	/* text of another encoding than the record's bytes tell */
	WhJsonFields *json;
	WhJsonValue *json_values;
	int			nfields;		/* each record must have */
	int		   *field_of;		/* by attnum - 1; -1 = none */
	int			ncolumns;
	WhCsvScanColumn *columns;
	Datum		filename;		/* for filename columns */
	Datum	   *constants;		/* parts of the file's name, by attnum - 1 */
	bool	   *constant_nulls;
	WhValueArena *arena;
	WhSourceRow row;
	AttrNumber	current;		/* column being converted, for messages */
};

extern WhCsvScan *wh_csv_scan_make(WhCsvTable *table, const char *name, Bitmapset *attnums, int flags);
extern WhSourceRow *wh_csv_broken_row(WhCsvScan *scan);
extern void wh_csv_error_context(void *arg);
extern void wh_csv_add_error(WhCsvScan *scan, AttrNumber attnum, int sqlerrcode,
							 const char *message);
extern void wh_csv_json_begin(WhCsvScan *scan);
extern bool wh_csv_json_parse(WhCsvScan *scan);
extern const char *wh_csv_other_field(WhCsvScan *scan, const WhCsvScanColumn *column,
									  Size *len, bool *quoted);
extern bool wh_csv_match_header(WhCsvScan *scan, WhCsvRecord *header);
extern bool wh_csv_decode(WhCsvScan *scan, const char **s, Size *len,
						  char **message);

#endif							/* WH_CSV_SCAN_H */
