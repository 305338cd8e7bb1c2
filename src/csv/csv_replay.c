/*
 * csv_replay.c
 *	  Reads single records of a file once more: from memory, or from the file
 *	  itself where they were too long to be kept.
 *
 * For the retry of error events.  Runs in the backend that retries, in its
 * transaction; takes no locks.
 */
#include "postgres.h"

#include "csv/csv_scan.h"

/*
 * Begin to read records of a file one by one, from memory, collecting errors.
 * header is the file's header, NULL when it has none.
 */
WhCsvScan *
wh_csv_replay_begin(WhCsvTable *table, const char *name, const char *header, Size header_len)
{
	WhCsvScan  *scan = wh_csv_scan_make(table, name, NULL, WH_CSV_COLLECT);
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	scan->reader = wh_csv_reader_memory(scan->context, &table->options);
	if (header && table->options.header != WH_CSV_HEADER_NONE)
	{
		scan->header = pnstrdup(header, header_len);
		scan->header_len = header_len;
	}
	MemoryContextSwitchTo(old);
	return scan;
}

/*
 * Read one record of a file, which stood at a line and byte of it.  The row
 * lives until the next call.  A header that does not fit is an error of every
 * record.
 */
WhSourceRow *
wh_csv_replay(WhCsvScan *scan, const char *raw, Size len, int64 line, int64 byte_offset)
{
	WhSourceRow *row = NULL;

	scan->ended = scan->failed = false;
	if (!scan->started && scan->header)
	{
		/* read by the first call of wh_csv_next, which then finds no record */
		wh_csv_reader_set(scan->reader, scan->header, scan->header_len, 1, 0);
		scan->reader->look_for_separator = scan->table->options.format == WH_CSV_DELIMITED;
		row = wh_csv_next(scan);
		scan->ended = false;
	}
	if (row == NULL)
	{
		wh_csv_reader_set(scan->reader, raw, len, line, byte_offset);
		row = wh_csv_next(scan);
	}
	else
	{
		/* the next record says so, too */
		scan->started = false;
		for (int i = 0; i < scan->table->desc->natts; i++)
			scan->field_of[i] = -1;
	}
	if (row == NULL)
	{
		wh_csv_add_error(scan, 0, ERRCODE_BAD_COPY_FILE_FORMAT, "record is empty");
		row = wh_csv_broken_row(scan);
	}
	else if (row->errors == NIL && scan->reader->start < scan->reader->end)
	{
		wh_csv_add_error(scan, 0, ERRCODE_BAD_COPY_FILE_FORMAT, "record is more than one");
		row = wh_csv_broken_row(scan);
	}
	row->low = line;
	row->byte_offset = byte_offset;
	row->raw = raw;
	row->raw_len = len;
	row->is_part = false;
	return row;
}

/*
 * Read one record of a scan of wh_csv_replay_begin from its file, which stood at
 * a line and byte of it.  Returns NULL when the file is gone or has not the
 * content of the checksum any more, else the row, as wh_csv_replay does.
 */
WhSourceRow *
wh_csv_reread(WhCsvScan *scan, const uint8 *checksum, int64 line, int64 byte_offset)
{
	WhCsvReader *memory = scan->reader;
	WhSourceRow *row;
	WhRowError	error;

	if (scan->same_content < 0)
	{
		uint8		now[WH_CSV_CHECKSUM_LENGTH];

		scan->same_content = wh_csv_table_checksum(scan->table, scan->name, now, &error) &&
			memcmp(now, checksum, sizeof(now)) == 0;
	}
	if (!scan->same_content)
		return NULL;
	if (!scan->started && scan->header)
	{
		row = wh_csv_replay(scan, "", 0, line, byte_offset);
		if (!scan->started)
			return row;			/* the header does not fit */
	}
	if (scan->reread)
		wh_csv_reader_close(scan->reread);
	scan->reread = wh_csv_reader_open(scan->context, &scan->table->options, scan->name, false, &error);
	if (scan->reread == NULL)
		return NULL;
	wh_csv_reader_seek(scan->reread, &memory->dialect, line, byte_offset);
	scan->ended = scan->failed = false;
	scan->reader = scan->reread;
	row = wh_csv_next(scan);
	scan->reader = memory;
	return row;
}
