/*
 * csv_header.c
 *	  Finds the columns of a table by the names in a file's header.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "utils/formatting.h"

#include "csv/csv_scan.h"

/* Say whether a name of the header is one of a column. */
static bool
same_name(const WhCsvTable *table, const char *in_file, const char *name)
{
	if (strcmp(in_file, name) == 0)
		return true;
	return table->options.any_case &&
		strcmp(str_tolower(in_file, strlen(in_file), DEFAULT_COLLATION_OID),
			   str_tolower(name, strlen(name), DEFAULT_COLLATION_OID)) == 0;
}

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
		const char *name = NULL;
		int			found = -1;
		int			count = 0;

		if (column->is_filename || column->is_line)
			continue;
		for (int n = 0; n < list_length(column->names) && count == 0; n++)
		{
			name = list_nth(column->names, n);
			for (i = 0; i < header->nfields; i++)
			{
				if (!same_name(table, names[i], name))
					continue;
				count++;
				if (column->occurrence == 0 || count == column->occurrence)
					found = i;
			}
		}
		if (count > 1 && column->occurrence == 0)
		{
			wh_csv_add_error(scan, column->attnum, ERRCODE_BAD_COPY_FILE_FORMAT,
							 psprintf("column \"%s\" is more than once in the header", name));
			ok = false;
		}
		else if (found < 0 && !table->options.missing_null)
		{
			wh_csv_add_error(scan, column->attnum, ERRCODE_BAD_COPY_FILE_FORMAT,
							 count ? psprintf("column \"%s\" is only %d times in the header", name, count) :
							 psprintf("column \"%s\" is missing from the header", (char *) linitial(column->names)));
			ok = false;
		}
		if (found >= 0)
		{
			scan->field_of[column->attnum - 1] = found;
			used[found] = true;
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
