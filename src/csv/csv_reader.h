/*
 * csv_reader.h
 *	  The records of a CSV file.
 */
#ifndef WH_CSV_READER_H
#define WH_CSV_READER_H

#include "widgets_wh.h"

#include "csv/csv_content.h"
#include "csv/csv_file.h"
#include "csv/csv_options.h"
#include "csv/csv_parse.h"

typedef struct WhCsvReader WhCsvReader;

typedef enum WhCsvNext
{
	WH_CSV_END,
	WH_CSV_RECORD,				/* record is filled */
	WH_CSV_BAD,					/* a record that can't be split: raw, error */
	WH_CSV_FAILED				/* the rest of the file can't be read: raw, error */
} WhCsvNext;

struct WhCsvReader
{
	WhCsvRecord *record;		/* the last one; belongs to the parser */
	const char *raw;			/* its bytes, or those of the bad one */
	Size		raw_len;
	int64		line;			/* of its first byte, from 1 */
	int64		byte_offset;	/* of its first byte in the content */
	WhRowError	error;
	bool		keep_blank;		/* a blank line is a record of one field */
	int64		limit;			/* bytes of content after which the file ends; 0 = none */
	const char *first_line;		/* the line "sep=;" when the file begins with it; NULL = it does not */
	Size		first_line_len;
	bool		is_utf16;		/* the file is; its content is UTF-8 */

	/* The rest is private. */
	MemoryContext context;
	WhCsvFile  *file;
	const WhCsvOptions *options;
	WhCsvDialect dialect;
	WhCsvParser *parser;
	Size		max_record;
	WhCsvUtf16	utf16;
	char	   *stored;			/* bytes of UTF-16 */
	bool		cut;			/* there is more of the file than its limit */
	bool		look_for_separator;
	int			to_skip;		/* lines before the first record */
	Size		comment_len;
	Size		tail;			/* where the last lines begin that are no data */
	char	   *buf;
	Size		size;			/* of buf, less the padding */
	Size		start;			/* next record */
	Size		end;			/* of the bytes there */
	int64		base;			/* content offset of buf[0] */
	int64		next_line;
	bool		at_start;		/* nothing was looked at yet */
	bool		at_end;			/* no bytes will follow */
	bool		failed;
	bool		skip_lf;		/* an LF here belongs to the CR before */
	bool		skip_line;		/* rest of an over-long line */
	WhRowError	failure;
};

extern WhCsvReader *wh_csv_reader_open(MemoryContext context,
									   const WhCsvOptions *options,
									   const char *name, bool checksum,
									   WhRowError *err);
extern WhCsvReader *wh_csv_reader_memory(MemoryContext context, const WhCsvOptions *options);
extern void wh_csv_reader_set(WhCsvReader *reader, const char *data, Size len,
							  int64 line, int64 byte_offset);
extern void wh_csv_reader_seek(WhCsvReader *reader, const WhCsvDialect *dialect,
							   int64 line, int64 byte_offset);
extern WhCsvNext wh_csv_reader_next(WhCsvReader *reader);
extern void wh_csv_reader_close(WhCsvReader *reader);

#endif							/* WH_CSV_READER_H */
