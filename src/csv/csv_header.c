/*
 * csv_header.c
 *	  Finds the columns of a table by the names in a file's header.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "csv/csv_scan.h"

/* Find each column's field by the header's names; returns false on error. */
bool
wh_csv_match_header(WhCsvScan *scan, WhCsvRecord *header)
{
	WhCsvTable *table = scan->table;
	char	  **names = palloc(sizeof(char *) * header->nfields);
	bool	   *used = palloc0(sizeof(bool) * header->nfields);
	bool		ok = true;
	int			i,
				k;

	for (i = 0; i < header->nfields; i++)
	{
		Size		len;
		bool		quoted;
		const char *s = wh_csv_field(header, i, &len, &quoted);
		char	   *message;

		if (!wh_csv_decode(scan, &s, &len, &message))
		{
			wh_csv_add_error(scan, 0, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, message);
			return false;
		}
		names[i] = pnstrdup(s, len);
	}
	for (k = 0; k < table->ncolumns; k++)
	{
		WhCsvColumn *column = &table->columns[k];

		if (column->is_filename || column->is_line)
			continue;
		for (i = 0; i < header->nfields; i++)
		{
			if (strcmp(names[i], column->name) != 0)
				continue;
			if (scan->field_of[column->attnum - 1] >= 0)
			{
				wh_csv_add_error(scan, column->attnum, ERRCODE_BAD_COPY_FILE_FORMAT,
						  psprintf("column \"%s\" is more than once in the header", column->name));
				ok = false;
				break;
			}
			scan->field_of[column->attnum - 1] = i;
			used[i] = true;
		}
		if (scan->field_of[column->attnum - 1] < 0)
		{
			wh_csv_add_error(scan, column->attnum, ERRCODE_BAD_COPY_FILE_FORMAT,
					  psprintf("column \"%s\" is missing from the header", column->name));
			ok = false;
		}
	}
	for (i = 0; table->options.extra_error && i < header->nfields; i++)
	{
		if (!used[i])
		{
			wh_csv_add_error(scan, 0, ERRCODE_BAD_COPY_FILE_FORMAT,
					  psprintf("header has a column \"%s\" that the table lacks", names[i]));
			ok = false;
		}
	}
	scan->nfields = header->nfields;
	return ok;
}
