/*
 * csv_field.c
 *	  Fields that are not found by their delimiters: of lines with fixed
 *	  columns, of JSON objects, and those that a record does not have.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "csv/csv_scan.h"

/* Make the reader of the JSON fields of a scan's columns; their field is a place in json_values. */
void
wh_csv_json_begin(WhCsvScan *scan)
{
	List	   *paths = NIL;

	for (int i = 0; i < scan->ncolumns; i++)
	{
		WhCsvScanColumn *column = &scan->columns[i];

		if (column->convert == NULL)
			continue;
		column->field = list_length(paths);
		paths = lappend(paths, column->source->path ? wh_json_path_split(column->source->path) :
						list_make1(linitial(column->source->names)));
	}
	scan->json = wh_json_fields_create(paths);
	scan->json_values = palloc0(sizeof(WhJsonValue) * Max(list_length(paths), 1));
}

/* Parse the current record as a JSON object; returns false when it is none. */
bool
wh_csv_json_parse(WhCsvScan *scan)
{
	return wh_json_fields_parse(scan->json, scan->reader->record->data, scan->reader->record->len, scan->json_values);
}

/* Return the bytes from character n on, from 0; characters may be long. */
static const char *
nth_character(const char *s, const char *end, int n, int encoding)
{
	if (pg_encoding_max_length(encoding) == 1)
		return n < end - s ? s + n : end;
	for (; n > 0 && s < end; n--)
		s += IS_HIGHBIT_SET(*s) ? pg_encoding_mblen_bounded(encoding, s) : 1;
	return Min(s, end);
}

/* Cut a column out of a line. */
static const char *
fixed_field(WhCsvScan *scan, const WhCsvColumn *column, Size *len)
{
	WhCsvRecord *record = scan->reader->record;
	const char *end = record->data + record->len;
	const char *s = nth_character(record->data, end, column->from - 1, scan->encoding);
	const char *stop = column->to == PG_INT32_MAX ? end :
		nth_character(s, end, column->to - column->from + 1, scan->encoding);

	while (s < stop && (*s == ' ' || *s == '\t'))
		s++;
	while (s < stop && (stop[-1] == ' ' || stop[-1] == '\t'))
		stop--;
	*len = stop - s;
	return s;
}

/*
 * Return the bytes of a column's field in the current record, where they may
 * not be there; NULL = they are not, and the value is NULL.
 */
const char *
wh_csv_other_field(WhCsvScan *scan, const WhCsvScanColumn *column, Size *len, bool *quoted)
{
	*quoted = false;
	switch (scan->table->options.format)
	{
		case WH_CSV_FIXED:
			return fixed_field(scan, column->source, len);
		case WH_CSV_JSON:
			{
				WhJsonValue *value = &scan->json_values[column->field];

				if (value->kind == WH_JSON_MISSING || value->kind == WH_JSON_NULL)
					return NULL;
				*quoted = value->kind == WH_JSON_STRING;
				*len = *quoted ? value->len : value->raw_len;
				return *quoted ? value->text : value->raw;
			}
		default:
			if (column->field < 0 || column->field >= scan->reader->record->nfields)
				return NULL;
			return wh_csv_field(scan->reader->record, column->field, len, quoted);
	}
}
