/*
 * csv_dialect.h
 *	  Records, and how those of other dialects than RFC 4180 are split.
 */
#ifndef WH_CSV_DIALECT_H
#define WH_CSV_DIALECT_H

#include "widgets_wh.h"

#include "csv/csv_options.h"

/* Bytes that must be readable behind the data given to the splitter. */
#define WH_CSV_PADDING	64

/* A field that was not simply the bytes between two delimiters. */
typedef struct WhCsvValue
{
	const char *data;
	uint32		len;
	bool		quoted;
} WhCsvValue;

/*
 * One record.  Belongs to the parser and lives until its next split; data
 * points into the caller's memory.
 */
typedef struct WhCsvRecord
{
	const char *data;
	Size		len;			/* without the line end */
	int			nfields;
	int			capacity;		/* of ends and values */
	int			step;			/* bytes of a delimiter */
	uint32	   *ends;			/* of each field, from data */
	bool		has_values;		/* values[] is filled, for every field */
	WhCsvValue *values;
	bool		maybe_high;		/* some byte here or near is not ASCII */
	bool		maybe_nul;		/* some byte here or near is NUL */
	int			lines;			/* lines it takes */
	bool		ended;			/* by a line end, not by the end of data */
} WhCsvRecord;

typedef enum WhCsvStatus
{
	WH_CSV_SPLIT,				/* the record is complete */
	WH_CSV_MORE,				/* its end is not in the data yet */
	WH_CSV_TOO_LONG,			/* no end within the limit */
	WH_CSV_UNTERMINATED,		/* a quoted field has no end, or none within the limit */
	WH_CSV_AFTER_QUOTE			/* data between a closing quote and the field's end */
} WhCsvStatus;

typedef struct WhCsvSplitter WhCsvSplitter;

extern WhCsvSplitter *wh_csv_splitter_create(MemoryContext context, const WhCsvDialect *dialect,
											 Size max_record, WhCsvRecord *record);
extern WhCsvStatus wh_csv_splitter_split(WhCsvSplitter *splitter, const char *data, Size avail, bool at_end);
extern void wh_csv_record_grow(WhCsvRecord *record);

#endif							/* WH_CSV_DIALECT_H */
