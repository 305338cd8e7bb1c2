/*
 * generator_file.c
 *	  wh.write_csv: writes a query's rows to a CSV file of the server.
 *
 * Runs in the backend, in the caller's transaction.  COPY writes to a file
 * that was made here, new and under another name, by way of its descriptor: no
 * link that somebody puts in its place is followed.  The rename is last, so that
 * whoever watches the directory never sees half a file.  A roll-back does not take
 * the file away; an error before its end does.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/object_name.h"
#include "widgets_wh.h"

PG_FUNCTION_INFO_V1(wh_write_csv);

/* Take the unfinished file away. */
static void
remove_part(int code, Datum arg)
{
	(void) unlink((const char *) DatumGetPointer(arg));
}

/* Make a new file and give its descriptor, which is closed at the end of the transaction at the latest. */
static int
create_part(const char *part)
{
	int			fd = OpenTransientFilePerm(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);

	/* left by a crash of a process that had our number; a link is removed, not followed */
	if (fd < 0 && errno == EEXIST && unlink(part) == 0)
		fd = OpenTransientFilePerm(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", part)));
	/* as COPY's files: the server's umask would keep it from everybody else */
	if (fchmod(fd, 0644) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not set permissions of file \"%s\": %m", part)));
	return fd;
}

/* wh.write_csv(file, query) */
Datum
wh_write_csv(PG_FUNCTION_ARGS)
{
	char	   *file = wh_text_arg(fcinfo, 0, "file");
	char	   *query = wh_text_arg(fcinfo, 1, "query");
	char	   *part;
	int64		rows = 0;

	canonicalize_path(file);
	if (!is_absolute_path(file))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("file \"%s\" must have an absolute path", file)));
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write files of the server"),
				 errhint("Only roles with the privileges of role pg_write_server_files may call wh.write_csv.")));
	part = psprintf("%s.%d.part", file, MyProcPid);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	PG_ENSURE_ERROR_CLEANUP(remove_part, PointerGetDatum(part));
	{
		int			fd = create_part(part);
		int			result = SPI_execute(psprintf("COPY (%s\n) TO '/dev/fd/%d' WITH (FORMAT csv, HEADER)", query, fd),
										 false, 0);

		if (result != SPI_OK_UTILITY)
			elog(ERROR, "COPY failed: %s", SPI_result_code_string(result));
		rows = (int64) SPI_processed;
		if (CloseTransientFile(fd) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not close file \"%s\": %m", part)));
		(void) durable_rename(part, file, ERROR);
	}
	PG_END_ENSURE_ERROR_CLEANUP(remove_part, PointerGetDatum(part));
	SPI_finish();
	PG_RETURN_INT64(rows);
}
