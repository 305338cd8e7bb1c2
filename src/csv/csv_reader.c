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

/* Longest line that can be "sep=;", with its end. */
#define SEPARATOR_LINE	24

static const char utf8_bom[] = {'\xef', '\xbb', '\xbf'};

/* Make a reader without a file, in a new child of context. */
static WhCsvReader *
make_reader(MemoryContext context, const WhCsvOptions *options)
{
	MemoryContext own = AllocSetContextCreate(context, "widgets_wh CSV file",
											  ALLOCSET_DEFAULT_SIZES);
	WhCsvReader *reader = MemoryContextAllocZero(own, sizeof(WhCsvReader));

	reader->context = own;
	reader->options = options;
	reader->dialect = options->dialect;
	reader->parser = wh_csv_parser_create(own, &options->dialect, options->max_record);
	reader->record = wh_csv_parser_record(reader->parser);
	reader->max_record = options->max_record;
	reader->size = wh_csv_buffer_size;
	reader->buf = MemoryContextAllocZero(own, reader->size + WH_CSV_PADDING);
	reader->next_line = 1;
	reader->at_start = true;
	reader->comment_len = options->comment ? strlen(options->comment) : 0;
	return reader;
}

/*
 * Open a file of options->directory, in a new child of context.  Returns NULL
 * and the error when it can't be opened.  The options are used until the end.
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
	reader->to_skip = options->skip;
	reader->look_for_separator = options->format == WH_CSV_DELIMITED;
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
	reader->at_start = reader->skip_lf = reader->skip_line = reader->look_for_separator = false;
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
 * Note where the last lines of what is there begin that are no data, if it ends
 * here; never further back than once noted.
 */
static void
find_tail(WhCsvReader *reader)
{
	const char *first = reader->buf + reader->start;
	const char *p = reader->buf + reader->end;
	int			lines = 0;

	while (p > first && lines < reader->options->skip_footer)
	{
		const char *line_end;

		while (p > first && (p[-1] == '\n' || p[-1] == '\r'))
			p--;
		line_end = p;
		while (p > first && p[-1] != '\n' && p[-1] != '\r')
			p--;
		lines += p < line_end;
	}
	reader->tail = lines < reader->options->skip_footer ? reader->start : (Size) (p - reader->buf);
}

/* Let a file that is none of ours end with this error. */
static void
refuse(WhCsvReader *reader, const char *what)
{
	reader->failure.attnum = 0;
	reader->failure.sqlerrcode = ERRCODE_BAD_COPY_FILE_FORMAT;
	reader->failure.message = MemoryContextAlloc(reader->context, strlen(what) + MAXPGPATH + 64);
	sprintf(reader->failure.message, "file \"%.*s\" looks like %s",
			MAXPGPATH, wh_csv_file_name(reader->file), what);
	reader->at_end = reader->failed = true;
	reader->start = reader->end = 0;
}

/* Look at the first bytes of a file: refuse what is none, and begin to decode UTF-16. */
static void
look_at_content(WhCsvReader *reader)
{
	const WhCsvOptions *options = reader->options;
	const char *what = wh_csv_looks_like(reader->buf, Min(reader->end, WH_CSV_MAGIC));
	bool		big_endian = options->big_endian;
	bool		mark = wh_csv_is_utf16(reader->buf, reader->end, &big_endian);

	if (what != NULL)
		refuse(reader, what);
	else if (options->utf16 || (mark && options->encoding < 0))
	{
		Size		mark_len = mark ? 2 : 0;
		char	   *bytes = MemoryContextAllocHuge(reader->context, reader->end + 1);
		Size		len = reader->end - mark_len;

		memcpy(bytes, reader->buf + mark_len, len);
		reader->is_utf16 = true;
		reader->utf16.big_endian = big_endian;
		if (reader->size < WH_CSV_UTF8_SIZE(len))
		{
			reader->size = WH_CSV_UTF8_SIZE(len);
			reader->buf = repalloc_huge(reader->buf, reader->size + WH_CSV_PADDING);
		}
		reader->end = wh_csv_utf16_decode(&reader->utf16, bytes, len, reader->at_end, reader->buf);
		pfree(bytes);
	}
}

/* Read some bytes behind those that are there, at most want; returns less than 0 on error. */
static ssize_t
read_some(WhCsvReader *reader, Size want)
{
	ssize_t		got;
	MemoryContext old = MemoryContextSwitchTo(reader->context);

	got = wh_csv_file_read(reader->file, reader->is_utf16 ? reader->stored : reader->buf + reader->end, want, &reader->failure);
	MemoryContextSwitchTo(old);
	if (got <= 0)
	{
		reader->at_end = true;
		reader->failed = got < 0;
	}
	if (reader->is_utf16)
		got = wh_csv_utf16_decode(&reader->utf16, reader->stored, Max(got, 0), reader->at_end, reader->buf + reader->end);
	reader->end += Max(got, 0);
	return got;
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
	Size		room;

	CHECK_FOR_INTERRUPTS();
	if (reader->limit > 0 && reader->base + (int64) reader->end >= reader->limit)
	{
		reader->at_end = reader->cut = true;
		return;
	}

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
	room = reader->is_utf16 ? WH_CSV_UTF8_SIZE(want) : want;
	if (kept + room > reader->size)
	{
		reader->size = kept + room;
		reader->buf = repalloc_huge(reader->buf, reader->size + WH_CSV_PADDING);
	}
	if (reader->is_utf16)
		reader->stored = reader->stored ? repalloc_huge(reader->stored, want) :
			MemoryContextAllocHuge(reader->context, want);
	wh_csv_parser_forget(reader->parser);
	if (reader->at_start && kept == 0 && reader->base == 0)
	{
		/* Enough to see what it is, however small the buffer. */
		while (read_some(reader, want) > 0 && reader->end < WH_CSV_MAGIC)
		{
			reader->size = Max(reader->size, reader->end + want);
			reader->buf = repalloc_huge(reader->buf, reader->size + WH_CSV_PADDING);
		}
		if (reader->end > 0)
			look_at_content(reader);
	}
	else
		(void) read_some(reader, want);
	memset(reader->buf + reader->end, 0, WH_CSV_PADDING);
	if (reader->options->skip_footer > 0)
		find_tail(reader);
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
 * Step over a line "sep=;" that says the delimiter, which counts unless the
 * option was given.  Returns false when more bytes are needed to tell.
 */
static bool
pass_separator_line(WhCsvReader *reader)
{
	const char *data = reader->buf + reader->start;
	const char *end = reader->buf + reader->end;
	const char *line_end = find_line_end(data, Min(end, data + SEPARATOR_LINE));
	const char *p = data;
	Size		len;

	if (line_end == NULL && end - data < SEPARATOR_LINE && !reader->at_end)
		return false;
	reader->look_for_separator = false;
	if (line_end == NULL)
		line_end = reader->at_end && end - data < SEPARATOR_LINE ? end : data;
	len = line_end - data;
	if (len > 0 && *p == '"')
		p++;
	if (line_end - p < 5 || pg_strncasecmp(p, "sep=", 4) != 0)
		return true;
	p += 4;
	if (*data == '"' && line_end - p > 1 && line_end[-1] == '"')
		line_end--;
	if (line_end - p > WH_CSV_DELIMITER)
		return true;
	if (!reader->options->delimiter_given)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->context);

		memcpy(reader->dialect.delimiter, p, line_end - p);
		reader->dialect.delimiter[line_end - p] = '\0';
		reader->parser = wh_csv_parser_create(reader->context, &reader->dialect, reader->max_record);
		reader->record = wh_csv_parser_record(reader->parser);
		MemoryContextSwitchTo(old);
	}
	reader->first_line_len = len;
	reader->first_line = MemoryContextAlloc(reader->context, len + 1);
	memcpy(unconstify(char *, reader->first_line), data, len);
	reader->start += len;
	if (reader->start < reader->end)
		pass_line_end(reader);
	reader->next_line++;
	return true;
}

/* Step over the rest of a line; returns whether its end was there. */
static bool
pass_line(WhCsvReader *reader)
{
	const char *line_end = find_line_end(reader->buf + reader->start, reader->buf + reader->end);

	reader->start = line_end ? (Size) (line_end - reader->buf) : reader->end;
	if (line_end)
		pass_line_end(reader);
	return line_end != NULL;
}

/*
 * Go to a record of the file that was found before, at a line and byte of it, to
 * be read by a dialect.
 */
void
wh_csv_reader_seek(WhCsvReader *reader, const WhCsvDialect *dialect, int64 line, int64 byte_offset)
{
	while (reader->base + (int64) reader->end < byte_offset && !reader->at_end)
	{
		reader->start = reader->end;
		fill(reader);
		reader->at_start = false;
	}
	reader->start = (Size) Min(Max(byte_offset - reader->base, 0), (int64) reader->end);
	reader->at_start = reader->look_for_separator = false;
	reader->to_skip = 0;
	reader->next_line = line;
	reader->dialect = *dialect;
	reader->parser = wh_csv_parser_create(reader->context, &reader->dialect, reader->max_record);
	reader->record = wh_csv_parser_record(reader->parser);
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
			if (pass_line(reader) || reader->at_end)
				reader->skip_line = false;
			continue;
		}
		if (unlikely(reader->to_skip > 0 || reader->look_for_separator) && avail > 0)
		{
			if (reader->skip_lf && *data == '\n')
			{
				reader->skip_lf = false;
				reader->start++;
				continue;
			}
			reader->skip_lf = false;
			if (reader->to_skip == 0)
			{
				if (!pass_separator_line(reader))
					fill(reader);
			}
			else if (pass_line(reader) || reader->at_end)
			{
				reader->to_skip--;
				reader->next_line++;
			}
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
		if (unlikely(reader->comment_len > 0))
		{
			if (avail < reader->comment_len && !reader->at_end)
			{
				fill(reader);
				continue;
			}
			if (avail >= reader->comment_len && memcmp(data, reader->options->comment, reader->comment_len) == 0)
			{
				reader->next_line++;
				reader->skip_line = true;
				continue;
			}
		}
		if (unlikely(reader->options->skip_footer > 0) && reader->start >= reader->tail && reader->file != NULL)
		{
			if (!reader->at_end)
			{
				fill(reader);
				continue;
			}
			if (!reader->failed)
			{
				reader->start = reader->end;
				return WH_CSV_END;
			}
		}

		reader->line = reader->next_line;
		reader->byte_offset = reader->base + reader->start;
		status = wh_csv_split(reader->parser, data, avail,
							  reader->at_end && !reader->failed && !reader->cut);
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
			if (avail > reader->max_record || (reader->at_end && !reader->failed && !reader->cut) ||
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
		if (reader->cut)
		{
			reader->start = reader->end;
			return WH_CSV_END;
		}
		fill(reader);
	}
}
