/*
 * csv_split.c
 *	  Fuzzes the splitter of CSV records, with every dialect, under the sanitizers: make fuzz.
 *
 * The first bytes of an input choose the dialect and the sizes, the rest is a file.  Each record must come out as a
 * reader that looks at one byte after the other has it, whatever part of it was there at first, and the fast splitter
 * as libcsv.  Runs outside of a server: what the splitter uses of PostgreSQL stands here.
 */
#include "postgres.h"

#include <stdlib.h>

#include "utils/memutils.h"

#include "csv/csv_parse.h"

bool		wh_csv_fast_split = true;

/* Memory, each piece with its context before it, as GetMemoryChunkContext wants it; all goes with the parser. */
MemoryContext CurrentMemoryContext = NULL;

static char *pieces[64];

static void *
keep(char *old, char *piece)
{
	int			i = 0;

	while (pieces[i] != old)
		i++;
	pieces[i] = piece;
	if (piece)
		memset(piece, 0, 16);
	return piece ? piece + 16 : NULL;
}
void *MemoryContextAlloc(MemoryContext context, Size size) { return keep(NULL, malloc(size + 16)); }
void *MemoryContextAllocZero(MemoryContext context, Size size) { return keep(NULL, calloc(1, size + 16)); }
void *MemoryContextAllocHuge(MemoryContext context, Size size) { return keep(NULL, malloc(size + 16)); }
void pfree(void *p) { keep((char *) p - 16, NULL); free((char *) p - 16); }
void *
repalloc_huge(void *p, Size size)
{
	char	   *old = (char *) p - 16;
	char	   *moved = realloc(old, size + 16);

	return keep(old, moved);
}
static MemoryContextCallback *callback;
void MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *cb) { callback = cb; }
bool errstart(int level, const char *domain) { abort(); }
bool errstart_cold(int level, const char *domain) { abort(); }
void errfinish(const char *file, int line, const char *function) { abort(); }
int errcode(int code) { return 0; }
int errmsg(const char *format,...) { return 0; }
int errmsg_internal(const char *format,...) { return 0; }
int errdetail(const char *format,...) { return 0; }
void ExceptionalCondition(const char *condition, const char *type, const char *file, int line) { abort(); }

#define MOST_FIELDS 4096

/* What the slow reader says. */
static struct
{
	WhCsvStatus status;
	int			nfields;
	Size		start[MOST_FIELDS],
				len[MOST_FIELDS];
	bool		quoted[MOST_FIELDS];
	Size		consumed;
	char	   *text;
	Size		used;
}			slow;

static bool
blank(const WhCsvDialect *d, char c)
{
	return (c == ' ' || c == '\t') && c != d->delimiter[0];
}

/* Read a record a byte at a time. */
static void
read_slowly(const WhCsvDialect *d, const char *s, Size len)
{
	Size		n = strlen(d->delimiter);
	Size		p = 0;

	slow.nfields = 0;
	slow.used = 0;
	slow.status = WH_CSV_SPLIT;
	for (;;)
	{
		Size		start = slow.used;
		bool		quoted;
		bool		more = false;

		while (d->trim && p < len && blank(d, s[p]))
			p++;
		quoted = p < len && d->quote >= 0 && (unsigned char) s[p] == d->quote;
		if (quoted)
		{
			for (p++;;)
			{
				int			c = p < len ? (unsigned char) s[p] : -1;
				int			next = p + 1 < len ? (unsigned char) s[p + 1] : -1;

				if (c < 0)
				{
					slow.status = WH_CSV_UNTERMINATED;
					return;
				}
				if (d->escape >= 0 && d->escape != d->quote && c == d->escape && (next == d->quote || next == d->escape))
					slow.text[slow.used++] = next, p += 2;
				else if (c == d->quote && next == d->quote)
					slow.text[slow.used++] = c, p += 2;
				else if (c == d->quote)
				{
					p++;
					break;
				}
				else
					slow.text[slow.used++] = c, p++;
			}
			while (d->trim && p < len && blank(d, s[p]))
				p++;
			if (p < len && s[p] != '\n' && s[p] != '\r')
			{
				if (n == 0 || len - p < n || memcmp(s + p, d->delimiter, n) != 0)
				{
					slow.status = WH_CSV_AFTER_QUOTE;
					return;
				}
				more = true;
			}
		}
		else
		{
			Size		fixed = start;

			while (p < len && s[p] != '\n' && s[p] != '\r')
			{
				int			next = p + 1 < len ? (unsigned char) s[p + 1] : -1;

				if (d->escape >= 0 && (unsigned char) s[p] == d->escape && next >= 0 &&
					(next == '\n' || next == '\r' || (n > 0 ? next == (unsigned char) d->delimiter[0] : next == '\n') ||
					 (d->quote >= 0 && next == d->quote) || next == d->escape))
				{
					fixed = slow.used;
					slow.text[slow.used++] = next;
					p += 2;
					if (next == '\r' && p < len && s[p] == '\n')
						slow.text[slow.used++] = s[p++];
				}
				else if (n > 0 && len - p >= n && memcmp(s + p, d->delimiter, n) == 0)
				{
					more = true;
					break;
				}
				else
					slow.text[slow.used++] = s[p++];
			}
			while (d->trim && slow.used > fixed && blank(d, slow.text[slow.used - 1]))
				slow.used--;
		}
		if (slow.nfields < MOST_FIELDS)
		{
			slow.start[slow.nfields] = start;
			slow.len[slow.nfields] = slow.used - start;
			slow.quoted[slow.nfields] = quoted;
		}
		slow.nfields++;
		if (!more)
			break;
		p += n;
	}
	slow.consumed = p;
}

/* Abort when the record is not what the slow reader has. */
static void
compare(const WhCsvRecord *record)
{
	if (record->nfields != slow.nfields || record->len != slow.consumed)
		abort();
	for (int i = 0; i < record->nfields && i < MOST_FIELDS; i++)
	{
		Size		len;
		bool		quoted;
		const char *s = wh_csv_field(record, i, &len, &quoted);

		if (len != slow.len[i] || quoted != slow.quoted[i] || memcmp(s, slow.text + slow.start[i], len) != 0)
			abort();
	}
}

/* Free the parser and all it has. */
static void
free_parser(void)
{
	if (callback)
		callback->func(callback->arg);
	callback = NULL;
	for (int i = 0; i < (int) lengthof(pieces); i++)
	{
		free(pieces[i]);
		pieces[i] = NULL;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const delimiters[] = {",", ";", "\t", "||", "::", "abc", "", " "};
	static const int quotes[] = {'"', '\'', -1, 'q'};
	static const int escapes[] = {-1, '\\', '"', 'e'};
	WhCsvDialect dialect = {0};
	WhCsvParser *parser;
	Size		len,
				at = 0,
				step,
				max_record;
	char	   *buffer;

	if (size < 4)
		return 0;
	strcpy(dialect.delimiter, delimiters[data[0] % 8]);
	dialect.quote = quotes[data[1] % 4];
	dialect.escape = escapes[data[1] / 4 % 4];
	dialect.trim = data[1] & 0x80;
	if (dialect.delimiter[0] == '\0')
		dialect.quote = dialect.escape = -1;
	step = data[2] + 1;
	len = size - 4;
	max_record = data[3] < 128 ? len + 1 : data[3] - 127;
	buffer = calloc(1, len + WH_CSV_PADDING);
	memcpy(buffer, data + 4, len);
	slow.text = malloc(len + 1);
	parser = wh_csv_parser_create(NULL, &dialect, max_record);
	while (at < len)
	{
		const char *record = buffer + at;
		Size		left = len - at;
		Size		avail = 0;
		WhCsvStatus status = WH_CSV_MORE;

		/* More and more of it. */
		while (status == WH_CSV_MORE && avail < left)
		{
			avail = Min(avail + step, left);
			wh_csv_parser_forget(parser);
			status = wh_csv_split(parser, record, avail, false);
		}
		if (status == WH_CSV_MORE)
		{
			wh_csv_parser_forget(parser);
			status = wh_csv_split(parser, record, left, true);
			if (status == WH_CSV_MORE)
				abort();
		}
		if (max_record > len)
		{
			read_slowly(&dialect, record, left);
			if (status != slow.status)
				abort();
			if (status == WH_CSV_SPLIT)
			{
				compare(wh_csv_parser_record(parser));
				/* All at once, and by libcsv. */
				wh_csv_parser_forget(parser);
				if (wh_csv_split(parser, record, left, true) != WH_CSV_SPLIT)
					abort();
				compare(wh_csv_parser_record(parser));
				wh_csv_fast_split = false;
				wh_csv_parser_forget(parser);
				if (wh_csv_split(parser, record, left, true) != WH_CSV_SPLIT)
					abort();
				compare(wh_csv_parser_record(parser));
				wh_csv_fast_split = true;
				wh_csv_parser_forget(parser);
			}
		}
		if (status == WH_CSV_SPLIT)
			at += wh_csv_parser_record(parser)->len + 1;
		else
		{
			/* As the reader does: on at the next line. */
			const char *line_end = memchr(record, '\n', left);

			at = line_end ? (Size) (line_end - buffer) + 1 : len;
		}
	}
	/* One record after the other, as from one buffer. */
	wh_csv_parser_forget(parser);
	for (at = 0; at < len && max_record > len;)
	{
		read_slowly(&dialect, buffer + at, len - at);
		if (wh_csv_split(parser, buffer + at, len - at, true) != slow.status)
			abort();
		if (slow.status != WH_CSV_SPLIT)
			break;
		compare(wh_csv_parser_record(parser));
		at += slow.consumed + 1;
	}
	free_parser();
	free(slow.text);
	free(buffer);
	return 0;
}
