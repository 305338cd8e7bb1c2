/*
 * generator_file.c
 *	  wh.write_csv: writes a query's rows to a CSV file of the server.
 *
 * Runs in the backend, in the caller's transaction.  COPY writes the file
 * under another name and checks the right to do so; the rename is last, so
 * that whoever watches the directory never sees half a file.  A roll-back
 * does not take the file away.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "base/object_name.h"
#include "widgets_wh.h"

PG_FUNCTION_INFO_V1(wh_write_csv);

/* wh.write_csv(file, query) */
Datum
wh_write_csv(PG_FUNCTION_ARGS)
{
	char	   *file = wh_text_arg(fcinfo, 0, "file");
	char	   *query = wh_text_arg(fcinfo, 1, "query");
	char	   *aside;
	int64		rows;
	int			result;

	canonicalize_path(file);
	if (!is_absolute_path(file))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("file \"%s\" must have an absolute path", file)));
	aside = psprintf("%s.part", file);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(psprintf("COPY (%s\n) TO %s WITH (FORMAT csv, HEADER)", query, quote_literal_cstr(aside)),
						 false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "COPY failed: %s", SPI_result_code_string(result));
	rows = (int64) SPI_processed;
	SPI_finish();
	(void) durable_rename(aside, file, ERROR);
	PG_RETURN_INT64(rows);
}
