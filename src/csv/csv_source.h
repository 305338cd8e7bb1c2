/*
 * csv_source.h
 *	  The rows of a CSV foreign table, file by file, for scans and for feeds.
 *
 * How a feed uses it:
 *
 *		table = wh_csv_table_open(relid);
 *		wh_csv_table_set_zone(table, feed->time_zone);
 *		foreach file of wh_csv_table_files(table)
 *			unchanged when file->state is the stored one; else
 *			wh_csv_table_checksum tells whether the content is the stored one;
 *			scan = wh_csv_begin(table, file->name, NULL, WH_CSV_COLLECT | WH_CSV_CHECKSUM);
 *			while ((row = wh_csv_next(scan)) != NULL) ...
 *			wh_csv_failed(scan): the file was not read to its end
 *			wh_csv_checksum(scan, ...): hash of what was read
 *			wh_csv_end(scan);
 */
#ifndef WH_CSV_SOURCE_H
#define WH_CSV_SOURCE_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "pgtime.h"

#include "csv/csv_list.h"
#include "csv/csv_options.h"
#include "value/source.h"

typedef struct WhCsvColumn
{
	AttrNumber	attnum;
	List	   *names;			/* in the header (char *); the first one that is there counts */
	int			occurrence;		/* which one of several of this name; 0 = there is one */
	bool		is_filename;	/* metadata columns */
	bool		is_line;
	const char *match;			/* what of the file's name is taken; NULL = all */
	const char *path;			/* in a JSON object */
	int			from,			/* characters of a line of fixed columns, from 1 */
				to;
	WhCsvFieldOptions field;
} WhCsvColumn;

/* A CSV table: its options and columns. */
typedef struct WhCsvTable
{
	Oid			relid;			/* invalid for read_csv */
	WhCsvOptions options;
	TupleDesc	desc;
	int			ncolumns;
	WhCsvColumn *columns;		/* in the table's order, dropped ones left out */
	int			nfields;		/* columns that are no metadata */
	pg_tz	   *zone;			/* of times without one; NULL = UTC */
} WhCsvTable;

typedef struct WhCsvScan WhCsvScan;

/* Flags of wh_csv_begin. */
#define WH_CSV_COLLECT		0x01	/* return errors in the row; else raise them */
#define WH_CSV_CHECKSUM		0x02	/* hash the stored bytes */
#define WH_CSV_LAZY			0x04	/* convert only when wh_csv_convert is called */

extern bool wh_csv_is_csv_table(Oid relid);
extern WhCsvTable *wh_csv_table_open(Oid relid);
extern WhCsvTable *wh_csv_table_make(TupleDesc desc, const WhCsvOptions *options);
extern void wh_csv_table_set_zone(WhCsvTable *table, const char *zone);
extern List *wh_csv_table_files(WhCsvTable *table);
extern bool wh_csv_table_checksum(WhCsvTable *table, const char *name,
								  uint8 *checksum, WhRowError *err);

extern WhCsvScan *wh_csv_begin(WhCsvTable *table, const char *name,
							   Bitmapset *attnums, int flags);
extern void wh_csv_set_output(WhCsvScan *scan, Datum *values, bool *isnull);
extern void wh_csv_set_limit(WhCsvScan *scan, int64 bytes);
extern WhSourceRow *wh_csv_next(WhCsvScan *scan);
extern void wh_csv_convert(WhCsvScan *scan);
extern bool wh_csv_failed(WhCsvScan *scan);
extern bool wh_csv_checksum(WhCsvScan *scan, uint8 *checksum);
extern int64 wh_csv_stored_bytes(WhCsvScan *scan);
extern int64 wh_csv_content_bytes(WhCsvScan *scan);
extern char *wh_csv_raw_without(WhCsvScan *scan, Bitmapset *attnums,
								const char *const *replacements, Size *len);
extern const char *wh_csv_header(WhCsvScan *scan, Size *len);
extern void wh_csv_end(WhCsvScan *scan);

/* Records that were stored, read again without their file. */
extern WhCsvScan *wh_csv_replay_begin(WhCsvTable *table, const char *name,
									  const char *header, Size header_len);
extern WhSourceRow *wh_csv_replay(WhCsvScan *scan, const char *raw, Size len,
								  int64 line, int64 byte_offset);
extern WhSourceRow *wh_csv_reread(WhCsvScan *scan, const uint8 *checksum,
								  int64 line, int64 byte_offset);

#endif							/* WH_CSV_SOURCE_H */
