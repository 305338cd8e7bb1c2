/*
 * csv_parse.h
 *	  Splits one CSV record in memory into its fields.
 */
#ifndef WH_CSV_PARSE_H
#define WH_CSV_PARSE_H

#include "widgets_wh.h"

#include "csv/csv_dialect.h"

typedef struct WhCsvParser WhCsvParser;

extern WhCsvParser *wh_csv_parser_create(MemoryContext context, const WhCsvDialect *dialect,
										 Size max_record);
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
	start = i == 0 ? 0 : record->ends[i - 1] + record->step;
	*len = record->ends[i] - start;
	*quoted = false;
	return record->data + start;
}

#endif							/* WH_CSV_PARSE_H */
