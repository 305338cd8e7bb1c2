/*
 * csv_source.c
 *	  The rows of one file of a CSV table: matches its header, converts the
 *	  columns asked for and collects every error of a row.
 *
 * A record or a file that can't be read is a row with errors, or, when the
 * caller does not collect them, an error raised with file and line.  Runs in
 * any backend, in the caller's transaction; takes no locks.  Files and memory
 * are freed with the memory context that was current at wh_csv_begin.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "csv/csv_scan.h"

/* Set the encoding of the file's text, and how it becomes the database's. */
static void
set_encoding(WhCsvScan *scan, int encoding)
{
	int			database = GetDatabaseEncoding();

	scan->encoding = encoding == PG_SQL_ASCII ? database : encoding;
	scan->conversion = InvalidOid;
	if (scan->encoding != database && database != PG_SQL_ASCII)
	{
		scan->conversion = FindDefaultConversionProc(scan->encoding, database);
		if (!OidIsValid(scan->conversion))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("default conversion function for encoding \"%s\" to \"%s\" does not exist",
							pg_encoding_to_char(scan->encoding),
							pg_encoding_to_char(database))));
	}
}

/* Make the converter of a column's text. */
static WhValueConverter *
make_converter(WhCsvScan *scan, const WhCsvColumn *column, Form_pg_attribute att, WhValueArena *arena)
{
	WhValueFormat format = column->field.format;

	format.zone = scan->table->zone;
	return wh_value_converter_as(att->atttypid, att->atttypmod, arena, &format);
}

/* Set the row to a record or file that can't be read at all. */
WhSourceRow *
wh_csv_broken_row(WhCsvScan *scan)
{
	TupleDesc	desc = scan->table->desc;
	int			i;

	for (i = 0; i < desc->natts; i++)
		scan->row.isnull[i] = true;
	scan->split = false;
	if (scan->reader != NULL)
	{
		scan->row.low = scan->reader->line;
		scan->row.byte_offset = scan->reader->byte_offset;
		scan->row.raw = scan->reader->raw;
		scan->row.raw_len = scan->reader->raw_len;
		scan->row.is_part = scan->failed || scan->reader->skip_line;
	}
	return &scan->row;
}

/* Set the row to a failure that ends the file. */
static WhSourceRow *
failed_row(WhCsvScan *scan)
{
	scan->failed = true;
	scan->ended = true;
	return wh_csv_broken_row(scan);
}

/* Keep the header, and the line "sep=;" before it, as they came. */
static void
keep_header(WhCsvScan *scan)
{
	WhCsvReader *reader = scan->reader;
	Size		first = reader->first_line_len;

	scan->header_len = reader->raw_len + (first > 0 ? first + 1 : 0);
	scan->header = MemoryContextAlloc(scan->context, scan->header_len + 1);
	if (first > 0)
	{
		memcpy(scan->header, reader->first_line, first);
		scan->header[first++] = '\n';
	}
	memcpy(scan->header + first, reader->raw, reader->raw_len);
}

/*
 * Find what columns take of the file's name; returns false when a part is no
 * value of its column.
 */
static bool
match_name(WhCsvScan *scan)
{
	bool		ok = true;

	for (int i = 0; i < scan->ncolumns; i++)
	{
		WhCsvScanColumn *column = &scan->columns[i];
		int			a = column->attnum - 1;
		Form_pg_attribute att = TupleDescAttr(scan->table->desc, a);
		LOCAL_FCINFO(fcinfo, 2);
		MemoryContext old;
		WhValueConverter *convert;
		WhRowError	error;
		Datum		part;

		if (column->source->match == NULL)
			continue;
		if (scan->constants == NULL)
		{
			scan->constants = MemoryContextAllocZero(scan->context, sizeof(Datum) * scan->table->desc->natts);
			scan->constant_nulls = MemoryContextAllocZero(scan->context, sizeof(bool) * scan->table->desc->natts);
		}
		InitFunctionCallInfoData(*fcinfo, NULL, 2, C_COLLATION_OID, NULL, NULL);
		fcinfo->args[0].value = scan->filename;
		fcinfo->args[1].value = CStringGetTextDatum(column->source->match);
		fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
		part = textregexsubstr(fcinfo);
		scan->constant_nulls[a] = fcinfo->isnull;
		if (fcinfo->isnull)
			continue;
		/* An arena of its own: the value lives as long as the scan. */
		old = MemoryContextSwitchTo(scan->context);
		convert = make_converter(scan, column->source, att, wh_value_arena_create(scan->context));
		MemoryContextSwitchTo(old);
		scan->current = column->attnum;
		if (!wh_value_convert(convert, VARDATA_ANY(part), VARSIZE_ANY_EXHDR(part), &scan->constants[a],
							  scan->collect ? &error : NULL))
		{
			wh_csv_add_error(scan, column->attnum, error.sqlerrcode, error.message);
			ok = false;
		}
	}
	scan->current = 0;
	return ok;
}

/*
 * Read the header, or what stands for it.  Returns the row of a failure, or
 * NULL when rows can follow.
 */
static WhSourceRow *
start_file(WhCsvScan *scan)
{
	WhCsvReader *reader = scan->reader;
	WhCsvTable *table = scan->table;
	WhCsvNext	next;
	int			field = 0;
	int			i;

	scan->started = true;
	if (reader == NULL)
	{
		wh_csv_add_error(scan, 0, scan->open_error.sqlerrcode, scan->open_error.message);
		return failed_row(scan);
	}
	for (i = 0; i < table->ncolumns; i++)
	{
		WhCsvColumn *column = &table->columns[i];

		if (table->options.header != WH_CSV_HEADER_MATCH &&
			!column->is_filename && !column->is_line)
			scan->field_of[column->attnum - 1] = field++;
	}
	scan->nfields = table->options.format == WH_CSV_DELIMITED ? field : 1;
	if (!match_name(scan))
		return failed_row(scan);
	if (table->options.header != WH_CSV_HEADER_NONE)
	{
		next = wh_csv_reader_next(reader);
		if (next == WH_CSV_BAD || next == WH_CSV_FAILED)
		{
			wh_csv_add_error(scan, 0, reader->error.sqlerrcode, reader->error.message);
			return failed_row(scan);
		}
		if (next == WH_CSV_RECORD)
			keep_header(scan);
		if (table->options.header == WH_CSV_HEADER_MATCH)
		{
			if (next == WH_CSV_END)
			{
				wh_csv_add_error(scan, 0, ERRCODE_BAD_COPY_FILE_FORMAT,
						  "file is empty: it has no header");
				return failed_row(scan);
			}
			if (!wh_csv_match_header(scan, reader->record))
				return failed_row(scan);
		}
	}
	for (i = 0; i < scan->ncolumns; i++)
	{
		WhCsvScanColumn *column = &scan->columns[i];

		if (column->convert != NULL && scan->json == NULL)
			column->field = scan->field_of[column->attnum - 1];
	}
	reader->keep_blank = scan->nfields == 1 && table->options.format == WH_CSV_DELIMITED;
	if (reader->is_utf16)
		set_encoding(scan, PG_UTF8);
	return NULL;
}

/* Say whether a field that is not the column's first null is another one. */
static bool
is_other_null(const WhCsvScanColumn *column, const char *s, Size len)
{
	ListCell   *lc;

	foreach(lc, column->more_nulls)
		if (strlen(lfirst(lc)) == len && memcmp(lfirst(lc), s, len) == 0)
			return true;
	return false;
}

/*
 * Convert the columns of the current record into the row, as wh_csv_next does
 * unless it was told to be lazy.
 */
void
wh_csv_convert(WhCsvScan *scan)
{
	WhCsvRecord *record = scan->reader->record;
	Datum	   *values = scan->row.values;
	bool	   *isnull = scan->row.isnull;
	bool		other_fields = scan->other_fields;
	bool		check = record->maybe_high || record->maybe_nul || scan->always_check;
	WhRowError	error;
	int			i;

	for (i = 0; i < scan->ncolumns; i++)
	{
		WhCsvScanColumn *column = &scan->columns[i];
		int			a = column->attnum - 1;
		Size		len;
		bool		quoted;
		const char *s;

		if (unlikely(column->convert == NULL))
		{
			if (column->source->match)
			{
				values[a] = scan->constants[a];
				isnull[a] = scan->constant_nulls[a];
				continue;
			}
			values[a] = column->is_line ? Int64GetDatum(scan->row.low) : scan->filename;
			isnull[a] = false;
			continue;
		}
		if (likely(!other_fields))
			s = wh_csv_field(record, column->field, &len, &quoted);
		else
			s = wh_csv_other_field(scan, column, &len, &quoted);
		if (unlikely(s == NULL) ||
			((!quoted || column->quoted_null) &&
			 ((len == column->null_len && memcmp(s, column->null_string, len) == 0) ||
			  (unlikely(column->more_nulls != NIL) && is_other_null(column, s, len)))))
		{
			values[a] = (Datum) 0;
			isnull[a] = true;
			continue;
		}
		scan->current = column->attnum;
		if (unlikely(check))
		{
			char	   *message;

			if (!wh_csv_decode(scan, &s, &len, &message))
			{
				isnull[a] = true;
				wh_csv_add_error(scan, column->attnum, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, message);
				continue;
			}
		}
		isnull[a] = false;
		if (unlikely(!wh_value_convert(column->convert, s, len, &values[a],
									   scan->collect ? &error : NULL)))
		{
			isnull[a] = true;
			wh_csv_add_error(scan, column->attnum, error.sqlerrcode, error.message);
		}
	}
	scan->current = 0;
}

/* Say whether the record has as many fields as it should, or may have. */
static bool
has_its_fields(WhCsvScan *scan)
{
	const WhCsvOptions *options = &scan->table->options;
	WhCsvRecord *record = scan->reader->record;

	if (record->nfields < scan->nfields)
		return options->pad_short;
	for (int i = scan->nfields; i < record->nfields; i++)
	{
		Size		len;
		bool		quoted;

		if (options->long_records == WH_CSV_LONG_ERROR)
			return false;
		(void) wh_csv_field(record, i, &len, &quoted);
		if (options->long_records == WH_CSV_LONG_EMPTY && len > 0)
			return false;
	}
	return true;
}

/* Read the next record into the row; the error context is set. */
static WhSourceRow *
next_row(WhCsvScan *scan)
{
	WhCsvReader *reader;
	WhSourceRow *row = &scan->row;

	if (!scan->started)
	{
		WhSourceRow *failure = start_file(scan);

		if (failure != NULL)
			return failure;
	}
	reader = scan->reader;
	switch (wh_csv_reader_next(reader))
	{
		case WH_CSV_RECORD:
			break;
		case WH_CSV_END:
			scan->ended = true;
			scan->checksum_known = reader->file != NULL &&
				wh_csv_file_checksum(reader->file, scan->checksum);
			return NULL;
		case WH_CSV_BAD:
			scan->row_context_used = true;
			wh_csv_add_error(scan, 0, reader->error.sqlerrcode, reader->error.message);
			return wh_csv_broken_row(scan);
		case WH_CSV_FAILED:
			wh_csv_add_error(scan, 0, reader->error.sqlerrcode, reader->error.message);
			return failed_row(scan);
	}

	row->low = reader->line;
	row->byte_offset = reader->byte_offset;
	row->raw = reader->raw;
	row->raw_len = reader->raw_len;
	row->is_part = false;
	if (unlikely(reader->record->nfields != scan->nfields) && !has_its_fields(scan))
	{
		scan->row_context_used = true;
		wh_csv_add_error(scan, 0, ERRCODE_BAD_COPY_FILE_FORMAT,
				  psprintf("record has %d fields, but %d are expected",
						   reader->record->nfields, scan->nfields));
		return wh_csv_broken_row(scan);
	}
	if (scan->json && !wh_csv_json_parse(scan))
	{
		scan->row_context_used = true;
		wh_csv_add_error(scan, 0, wh_json_fields_sqlstate(scan->json), wh_json_fields_error(scan->json));
		return wh_csv_broken_row(scan);
	}
	scan->split = true;
	if (!scan->lazy)
		wh_csv_convert(scan);
	return row;
}

/*
 * Read the next row; NULL at the end of the file.  The row, its values and its
 * errors live until the next call.  Columns not asked for are NULL.
 */
WhSourceRow *
wh_csv_next(WhCsvScan *scan)
{
	ErrorContextCallback callback;
	MemoryContext old;
	WhSourceRow *row;

	if (unlikely(scan->ended))
		return NULL;
	CHECK_FOR_INTERRUPTS();
	wh_value_arena_reset(scan->arena);
	if (unlikely(scan->row_context_used))
	{
		MemoryContextReset(scan->row_context);
		scan->row_context_used = false;
		scan->row.errors = NIL;
	}
	scan->current = 0;
	callback.callback = wh_csv_error_context;
	callback.arg = scan;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	old = MemoryContextSwitchTo(scan->row_context);
	row = next_row(scan);
	MemoryContextSwitchTo(old);
	error_context_stack = callback.previous;
	return row;
}

/* Make a scan without a reader. */
WhCsvScan *
wh_csv_scan_make(WhCsvTable *table, const char *name, Bitmapset *attnums, int flags)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "widgets_wh CSV scan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	WhCsvScan  *scan = palloc0(sizeof(WhCsvScan));
	TupleDesc	desc = table->desc;
	int			database = GetDatabaseEncoding();
	int			i;

	scan->context = context;
	scan->row_context = AllocSetContextCreate(context, "widgets_wh CSV row",
											  ALLOCSET_DEFAULT_SIZES);
	scan->table = table;
	scan->name = pstrdup(name);
	scan->collect = (flags & WH_CSV_COLLECT) != 0;
	scan->lazy = (flags & WH_CSV_LAZY) != 0;
	scan->same_content = -1;
	scan->arena = wh_value_arena_create(context);
	scan->row.values = palloc0(sizeof(Datum) * desc->natts);
	scan->row.isnull = palloc(sizeof(bool) * desc->natts);
	memset(scan->row.isnull, true, sizeof(bool) * desc->natts);
	scan->row.source_time = DT_NOBEGIN;
	scan->row.byte_offset = -1;

	set_encoding(scan, table->options.format == WH_CSV_JSON ? PG_UTF8 :
				 table->options.encoding >= 0 ? table->options.encoding : database);

	scan->field_of = palloc(sizeof(int) * desc->natts);
	for (i = 0; i < desc->natts; i++)
		scan->field_of[i] = -1;
	scan->columns = palloc0(sizeof(WhCsvScanColumn) * table->ncolumns);
	for (i = 0; i < table->ncolumns; i++)
	{
		WhCsvColumn *from = &table->columns[i];
		Form_pg_attribute att = TupleDescAttr(desc, from->attnum - 1);
		WhCsvScanColumn *to = &scan->columns[scan->ncolumns];

		if (attnums != NULL && !bms_is_member(from->attnum, attnums))
			continue;
		scan->ncolumns++;
		to->attnum = from->attnum;
		to->field = -1;
		to->is_line = from->is_line;
		to->source = from;
		to->null_string = linitial(from->field.nulls);
		to->null_len = strlen(to->null_string);
		to->more_nulls = list_copy_tail(from->field.nulls, 1);
		to->quoted_null = from->field.quoted_null == WH_CSV_QUOTED_ALWAYS ||
			(from->field.quoted_null == WH_CSV_QUOTED_NOT_TEXT && TypeCategory(getBaseType(att->atttypid)) != TYPCATEGORY_STRING);
		if (from->is_filename)
			scan->filename = CStringGetTextDatum(name);
		else if (!from->is_line)
			to->convert = make_converter(scan, from, att, scan->arena);
	}
	scan->other_fields = table->options.format != WH_CSV_DELIMITED || table->options.pad_short || table->options.missing_null;
	if (table->options.format == WH_CSV_JSON)
	{
		wh_csv_json_begin(scan);
		scan->always_check = database != PG_UTF8;
	}
	MemoryContextSwitchTo(old);
	return scan;
}

/*
 * Begin to read a file of the table.  attnums are the columns wanted, NULL for
 * all; flags are WH_CSV_*.  The scan lives in a child of the current memory
 * context.  With WH_CSV_COLLECT a file that can't be opened is a row with an
 * error; else it is raised here.
 */
WhCsvScan *
wh_csv_begin(WhCsvTable *table, const char *name, Bitmapset *attnums, int flags)
{
	WhCsvScan  *scan = wh_csv_scan_make(table, name, attnums, flags);
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	scan->reader = wh_csv_reader_open(scan->context, &table->options, name,
									  (flags & WH_CSV_CHECKSUM) != 0,
									  &scan->open_error);
	MemoryContextSwitchTo(old);
	if (scan->reader == NULL && !scan->collect)
		ereport(ERROR,
				(errcode(scan->open_error.sqlerrcode),
				 errmsg_internal("%s", scan->open_error.message)));
	return scan;
}

/* Return the file's header as it came, once a row was read; NULL = it has none. */
const char *
wh_csv_header(WhCsvScan *scan, Size *len)
{
	*len = scan->header_len;
	return scan->header;
}

/*
 * Have rows written to the caller's arrays, one entry per attribute, instead of
 * the scan's own.
 */
void
wh_csv_set_output(WhCsvScan *scan, Datum *values, bool *isnull)
{
	scan->row.values = values;
	scan->row.isnull = isnull;
	memset(isnull, true, sizeof(bool) * scan->table->desc->natts);
}

/* Read about as many bytes of the content as these, and no record that goes on behind. */
void
wh_csv_set_limit(WhCsvScan *scan, int64 bytes)
{
	if (scan->reader)
		scan->reader->limit = bytes;
}

/* Say whether the file could not be read to its end. */
bool
wh_csv_failed(WhCsvScan *scan)
{
	return scan->failed;
}

/*
 * Copy the SHA-256 of the file's stored bytes (WH_CSV_CHECKSUM_LENGTH), once
 * wh_csv_next has returned NULL.  Returns false when the file was not read to
 * its end, or WH_CSV_CHECKSUM not asked for.
 */
bool
wh_csv_checksum(WhCsvScan *scan, uint8 *checksum)
{
	if (!scan->checksum_known)
		return false;
	memcpy(checksum, scan->checksum, WH_CSV_CHECKSUM_LENGTH);
	return true;
}

/* Return how many stored bytes have been read so far. */
int64
wh_csv_stored_bytes(WhCsvScan *scan)
{
	return scan->reader == NULL ? 0 : wh_csv_file_stored_bytes(scan->reader->file);
}

/* Return how many bytes of content, decompressed, have been read so far. */
int64
wh_csv_content_bytes(WhCsvScan *scan)
{
	return scan->reader ? scan->reader->base + (int64) scan->reader->end : 0;
}

/* End the scan: close the file and free everything. */
void
wh_csv_end(WhCsvScan *scan)
{
	if (scan->reader != NULL)
		wh_csv_reader_close(scan->reader);
	if (scan->reread != NULL)
		wh_csv_reader_close(scan->reread);
	MemoryContextDelete(scan->context);
}
