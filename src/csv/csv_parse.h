/*
 * csv_parse.h
 *	  Splits one CSV record in memory into its fields.
 */
#ifndef WH_CSV_PARSE_H
#define WH_CSV_PARSE_H

#include "widgets_wh.h"

/* Bytes that must be readable behind the data given to the splitter. */
#define WH_CSV_PADDING	64

typedef struct WhCsvParser WhCsvParser;

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

extern WhCsvParser *wh_csv_parser_create(MemoryContext context, char delimiter,
										 char quote, Size max_record);
extern WhCsvStatus wh_csv_split(WhCsvParser *parser, const char *data,
								Size avail, bool at_end);
extern WhCsvRecord *wh_csv_parser_record(WhCsvParser *parser);
extern void wh_csv_parser_forget(WhCsvParser *parser);

/* Return the bytes of field i, without quotes; say whether it was quoted. */
static inline const char *
wh_csv_field(const WhCsvRecord *record, int i, Size *len, bool *quoted)
{
	uint32		start;

	if (record->has_values)
	{
		*len = record->values[i].len;
		*quoted = record->values[i].quoted;
		return record->values[i].data;
	}
	start = i == 0 ? 0 : record->ends[i - 1] + 1;
	*len = record->ends[i] - start;
	*quoted = false;
	return record->data + start;
}

#endif							/* WH_CSV_PARSE_H */
