/*
 * csv_reader.c
 *	  Reads a CSV file record by record: buffers its bytes, counts its lines and
 *	  finds its way back after a record that can't be split.
 *
 * The rule of recovery: a record that can't be split is its first line, and
 * reading goes on at the line after it.
 *
 * Runs in any backend; takes no locks.  Everything is freed with the memory
 * context.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "csv/csv_reader.h"
#include "settings.h"

/* From this size on, the buffer may be filled by more than its setting. */
#define GROW_FROM	4096

static const char utf8_bom[] = {'\xef', '\xbb', '\xbf'};

/* Make a reader without a file, in a new child of context. */
static WhCsvReader *
make_reader(MemoryContext context, const WhCsvOptions *options)
{
	MemoryContext own = AllocSetContextCreate(context, "widgets_wh CSV file",
											  ALLOCSET_DEFAULT_SIZES);
	WhCsvReader *reader = MemoryContextAllocZero(own, sizeof(WhCsvReader));

	reader->context = own;
	reader->parser = wh_csv_parser_create(own, options->delimiter,
										  options->quote, options->max_record);
	reader->record = wh_csv_parser_record(reader->parser);
	reader->max_record = options->max_record;
	reader->size = wh_csv_buffer_size;
	reader->buf = MemoryContextAllocZero(own, reader->size + WH_CSV_PADDING);
	reader->next_line = 1;
	reader->at_start = true;
	return reader;
}

/*
 * Open a file of options->directory, in a new child of context.  Returns NULL
 * and the error when it can't be opened.
 */
WhCsvReader *
wh_csv_reader_open(MemoryContext context, const WhCsvOptions *options,
				   const char *name, bool checksum, WhRowError *err)
{
	WhCsvReader *reader = make_reader(context, options);

	reader->file = wh_csv_file_open(reader->context, options->directory, name,
									options->compression, checksum, err);
	if (reader->file == NULL)
	{
		MemoryContextDelete(reader->context);
		return NULL;
	}
	return reader;
}

/*
 * Make a reader of records in memory, in a new child of context: each one is
 * given by wh_csv_reader_set.
 */
WhCsvReader *
wh_csv_reader_memory(MemoryContext context, const WhCsvOptions *options)
{
	WhCsvReader *reader = make_reader(context, options);

	reader->at_end = true;
	return reader;
}

/*
 * Let a reader of memory read these bytes and a line end, as those that stood
 * at a line and byte of a file.
 */
void
wh_csv_reader_set(WhCsvReader *reader, const char *data, Size len,
				  int64 line, int64 byte_offset)
{
	if (len + 1 > reader->size)
	{
		reader->size = len + 1;
		reader->buf = repalloc_huge(reader->buf, reader->size + WH_CSV_PADDING);
	}
	memcpy(reader->buf, data, len);
	reader->buf[len] = '\n';
	memset(reader->buf + len + 1, 0, WH_CSV_PADDING);
	wh_csv_parser_forget(reader->parser);
	reader->start = 0;
	reader->end = len + 1;
	reader->base = byte_offset;
	reader->next_line = line;
	reader->at_start = reader->skip_lf = reader->skip_line = false;
}

/* Close the file and free everything. */
void
wh_csv_reader_close(WhCsvReader *reader)
{
	if (reader->file != NULL)
		wh_csv_file_close(reader->file);
	MemoryContextDelete(reader->context);
}

/*
 * Read more bytes behind those not used yet.  Sets at_end when there are none,
 * failed when they can't be read.
 */
static void
fill(WhCsvReader *reader)
{
	Size		kept = reader->end - reader->start;
	Size		want = wh_csv_buffer_size;
	ssize_t		got;
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();

	/* A record is looked at from its start each time: read ever more of it. */
	if (want >= GROW_FROM && kept > want)
		want = kept;
	if (reader->start > 0)
	{
		memmove(reader->buf, reader->buf + reader->start, kept);
		reader->base += reader->start;
		reader->start = 0;
		reader->end = kept;
	}
	if (kept + want > reader->size)
	{
		reader->size = kept + want;
		reader->buf = repalloc_huge(reader->buf, reader->size + WH_CSV_PADDING);
	}
	wh_csv_parser_forget(reader->parser);

	old = MemoryContextSwitchTo(reader->context);
	got = wh_csv_file_read(reader->file, reader->buf + reader->end, want,
						   &reader->failure);
	MemoryContextSwitchTo(old);
	if (got <= 0)
	{
		reader->at_end = true;
		reader->failed = got < 0;
		got = 0;
	}
	reader->end += got;
	memset(reader->buf + reader->end, 0, WH_CSV_PADDING);
}

/* Return the first line end in a range, or NULL. */
static const char *
find_line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', end - p);
	const char *cr = memchr(p, '\r', (lf ? lf : end) - p);

	return cr ? cr : lf;
}

/* Step over the line end at the reader's position. */
static void
pass_line_end(WhCsvReader *reader)
{
	reader->skip_lf = reader->buf[reader->start] == '\r';
	reader->start++;
}

/* Set the current record to the first line of what can't be split. */
static WhCsvNext
bad_record(WhCsvReader *reader, WhCsvStatus status)
{
	const char *data = reader->buf + reader->start;
	Size		avail = Min(reader->end - reader->start, reader->max_record + 1);
	const char *line_end = find_line_end(data, data + avail);

	reader->raw = data;
	reader->raw_len = line_end ? (Size) (line_end - data) : Min(avail, reader->max_record);
	reader->error.attnum = 0;
	switch (status)
	{
		case WH_CSV_TOO_LONG:
			reader->error.sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			reader->error.message = psprintf("record is longer than max_record_size (%zu bytes)",
											 reader->max_record);
			break;
		case WH_CSV_UNTERMINATED:
			reader->error.sqlerrcode = ERRCODE_BAD_COPY_FILE_FORMAT;
			reader->error.message = pstrdup("unterminated quoted field");
			break;
		default:
			reader->error.sqlerrcode = ERRCODE_BAD_COPY_FILE_FORMAT;
			reader->error.message = pstrdup("unexpected data after closing quote");
			break;
	}
	reader->start += reader->raw_len;
	reader->next_line = reader->line + 1;
	if (line_end)
		pass_line_end(reader);
	else
		reader->skip_line = true;
	return WH_CSV_BAD;
}

/*
 * Go to the next record.  What it returns lives until the next call; messages
 * of errors are made in the current memory context.
 */
WhCsvNext
wh_csv_reader_next(WhCsvReader *reader)
{
	for (;;)
	{
		const char *data = reader->buf + reader->start;
		Size		avail = reader->end - reader->start;
		WhCsvStatus status;

		if (unlikely(avail == 0))
		{
			if (!reader->at_end)
			{
				fill(reader);
				continue;
			}
			if (!reader->failed)
				return WH_CSV_END;
		}
		if (unlikely(reader->at_start))
		{
			if (avail < sizeof(utf8_bom) && !reader->at_end &&
				memcmp(data, utf8_bom, avail) == 0)
			{
				fill(reader);
				continue;
			}
			reader->at_start = false;
			if (avail >= sizeof(utf8_bom) &&
				memcmp(data, utf8_bom, sizeof(utf8_bom)) == 0)
			{
				reader->start += sizeof(utf8_bom);
				continue;
			}
		}
		if (unlikely(reader->skip_line))
		{
			const char *line_end = find_line_end(data, data + avail);

			reader->start = line_end ? (Size) (line_end - reader->buf) : reader->end;
			if (line_end)
			{
				reader->skip_line = false;
				pass_line_end(reader);
			}
			else if (reader->at_end)
				reader->skip_line = false;
			continue;
		}
		if (avail > 0 && (*data == '\n' || *data == '\r'))
		{
			if (reader->skip_lf && *data == '\n')
			{
				reader->skip_lf = false;
				reader->start++;
				continue;
			}
			if (!reader->keep_blank)
			{
				reader->next_line++;
				pass_line_end(reader);
				continue;
			}
		}
		reader->skip_lf = false;

		reader->line = reader->next_line;
		reader->byte_offset = reader->base + reader->start;
		status = wh_csv_split(reader->parser, data, avail,
							  reader->at_end && !reader->failed);
		if (likely(status == WH_CSV_SPLIT))
		{
			reader->raw = data;
			reader->raw_len = reader->record->len;
			reader->start += reader->raw_len;
			reader->next_line += reader->record->lines;
			if (reader->record->ended)
				pass_line_end(reader);
			return WH_CSV_RECORD;
		}
		if (status != WH_CSV_MORE)
		{
			/* What is reported may not depend on how much was read. */
			if (avail > reader->max_record || (reader->at_end && !reader->failed) ||
				find_line_end(data, data + avail) != NULL)
				return bad_record(reader, status);
		}
		if (reader->failed)
		{
			/* Report what is left of the file once, then end. */
			reader->failed = false;
			reader->raw = data;
			reader->raw_len = avail;
			reader->start = reader->end;
			reader->error = reader->failure;
			return WH_CSV_FAILED;
		}
		fill(reader);
	}
}
