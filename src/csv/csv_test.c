/*
 * csv_test.c
 *	  Entry points for test/pgtap/csv_feeds.sql, which creates functions for
 *	  them: what feeds use of a CSV table and SQL can't reach.
 *
 * Run in the caller's transaction; take AccessShareLock on the table.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "csv/csv_file.h"
#include "csv/csv_source.h"

PG_FUNCTION_INFO_V1(wh_csv_test_raw_without);
PG_FUNCTION_INFO_V1(wh_csv_test_checksum);

/*
 * raw_without(foreign_table oid, attnum int, replacement text) RETURNS text[]:
 * every record with one column replaced; null where there is no telling.
 */
Datum
wh_csv_test_raw_without(PG_FUNCTION_ARGS)
{
	WhCsvTable *table = wh_csv_table_open(PG_GETARG_OID(0));
	int			attnum = PG_GETARG_INT32(1);
	const char **replacements = palloc0(sizeof(char *) * table->desc->natts);
	ArrayBuildState *result = NULL;
	ListCell   *lc;

	if (!PG_ARGISNULL(2))
		replacements[attnum - 1] = text_to_cstring(PG_GETARG_TEXT_PP(2));
	foreach(lc, wh_csv_table_files(table))
	{
		WhCsvFileInfo *file = lfirst(lc);
		WhCsvScan  *scan = wh_csv_begin(table, file->name, NULL, WH_CSV_COLLECT);

		while (wh_csv_next(scan) != NULL)
		{
			Size		len;
			char	   *raw = wh_csv_raw_without(scan, bms_make_singleton(attnum),
												 replacements, &len);

			result = accumArrayResult(result,
									  raw ? PointerGetDatum(cstring_to_text_with_len(raw, len)) : (Datum) 0,
									  raw == NULL, TEXTOID, CurrentMemoryContext);
		}
		wh_csv_end(scan);
	}
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(makeArrayResult(result, CurrentMemoryContext));
}

/*
 * checksum(foreign_table oid, OUT hashed bytea, OUT while_read bytea) of the
 * first file, as bytea[]: by itself, and as a by-product of reading all rows.
 */
Datum
wh_csv_test_checksum(PG_FUNCTION_ARGS)
{
	WhCsvTable *table = wh_csv_table_open(PG_GETARG_OID(0));
	WhCsvFileInfo *file = linitial(wh_csv_table_files(table));
	ArrayBuildState *result = NULL;
	WhCsvScan  *scan;
	WhRowError	error;
	uint8		sum[WH_CSV_CHECKSUM_LENGTH];
	bool		known;

	known = wh_csv_table_checksum(table, file->name, sum, &error);
	result = accumArrayResult(result, PointerGetDatum(cstring_to_text_with_len((char *) sum, sizeof(sum))),
							  !known, BYTEAOID, CurrentMemoryContext);
	scan = wh_csv_begin(table, file->name, bms_make_singleton(0), WH_CSV_COLLECT | WH_CSV_CHECKSUM);
	while (wh_csv_next(scan) != NULL)
		;
	known = wh_csv_checksum(scan, sum);
	result = accumArrayResult(result, PointerGetDatum(cstring_to_text_with_len((char *) sum, sizeof(sum))),
							  !known, BYTEAOID, CurrentMemoryContext);
	wh_csv_end(scan);
	PG_RETURN_DATUM(makeArrayResult(result, CurrentMemoryContext));
}
