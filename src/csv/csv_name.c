/*
 * csv_name.c
 *	  Makes plain SQL names of what stands in headers and names of files.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "csv/csv_name.h"

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

/*
 * Make a plain SQL name: InvoiceDate gives invoice_date, "Unit price" gives
 * unit_price.
 */
char *
wh_csv_plain_name(const char *name)
{
	StringInfoData out;
	const char *p;

	initStringInfo(&out);
	for (p = name; *p; p++)
	{
		bool		upper = *p >= 'A' && *p <= 'Z';

		if (upper && p > name && ((p[-1] >= 'a' && p[-1] <= 'z') || is_digit(p[-1])))
			appendStringInfoChar(&out, '_');
		if (upper)
			appendStringInfoChar(&out, *p + ('a' - 'A'));
		else if (IS_HIGHBIT_SET(*p) || is_digit(*p) || (*p >= 'a' && *p <= 'z'))
			appendStringInfoChar(&out, *p);
		else if (out.len > 0 && out.data[out.len - 1] != '_')
			appendStringInfoChar(&out, '_');
	}
	while (out.len > 0 && out.data[out.len - 1] == '_')
		out.data[--out.len] = '\0';
	if (out.len == 0 || is_digit(out.data[0]))
		return psprintf("c_%s", out.data);
	out.data[pg_mbcliplen(out.data, out.len, NAMEDATALEN - 1)] = '\0';
	return out.data;
}
