/*
 * row_image.c
 *	  Rows of the engine's tables: read with columns at their attribute numbers,
 *	  compared by the bytes of their values.
 *
 * The order of images is total and the same everywhere, whatever the types: 1.0 and
 * 1.00 differ.  Values stored out of line or compressed are read first.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "compat.h"
#include "base/row_image.h"

/* Compare two values of one column by image; null comes last. */
int
wh_image_compare_value(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null)
{
	int			result;

	if (a_null || b_null)
		return (int) a_null - (int) b_null;
	if (att->attbyval)
		return a == b ? 0 : (int64) a < (int64) b ? -1 : 1;
	if (att->attlen > 0)
		return memcmp(DatumGetPointer(a), DatumGetPointer(b), att->attlen);
	if (att->attlen == -1)
	{
		struct varlena *x = PG_DETOAST_DATUM_PACKED(a);
		struct varlena *y = PG_DETOAST_DATUM_PACKED(b);
		Size		x_len = VARSIZE_ANY_EXHDR(x);
		Size		y_len = VARSIZE_ANY_EXHDR(y);

		result = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(x_len, y_len));
		if (result == 0 && x_len != y_len)
			result = x_len < y_len ? -1 : 1;
		if ((Pointer) x != DatumGetPointer(a))
			pfree(x);
		if ((Pointer) y != DatumGetPointer(b))
			pfree(y);
		return result;
	}
	return strcmp(DatumGetCString(a), DatumGetCString(b));
}

/* Compare two rows by the images of some columns. */
int
wh_image_compare(TupleDesc desc, const AttrNumber *columns, int ncolumns,
				 Datum *a, bool *a_null, Datum *b, bool *b_null)
{
	for (int i = 0; i < ncolumns; i++)
	{
		int			n = columns[i] - 1;
		int			result = wh_image_compare_value(TupleDescAttr(desc, n), a[n], a_null[n], b[n], b_null[n]);

		if (result != 0)
			return result;
	}
	return 0;
}

/*
 * Append the columns of a table for a SELECT, each at the place of its attribute
 * number: what was dropped is a NULL, so that a row is read as the table has it.
 */
void
wh_append_row(StringInfo sql, const char *alias, TupleDesc tupdesc)
{
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		if (i > 0)
			appendStringInfoString(sql, ", ");
		if (att->attisdropped)
			appendStringInfo(sql, "NULL::pg_catalog.int4 AS wh_dropped_%d", i + 1);
		else
			appendStringInfo(sql, "%s.%s", alias, quote_identifier(NameStr(att->attname)));
	}
}
