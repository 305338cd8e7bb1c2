/*
 * csv_parse.c
 *	  Splits one CSV record in memory into its fields, by libcsv.
 *
 * The dialect is libcsv's; others are csv_dialect.c's.  A field that begins with a quote is read in its
 * strict mode: what follows a closing quote must be a delimiter or a line end.
 * Any other field ends at the next delimiter or line end, whatever else is in
 * it.  libcsv finds that a byte at a time; fields without a quote inside are
 * found 64 bytes at a time instead, and libcsv reads the others, and judges
 * what is malformed.  With widgets_wh.csv_fast_split off it reads every byte:
 * the tests compare both.
 *
 * The only user of csv.h.  Its callbacks note what they are told and call
 * nothing.  Runs in any backend; takes no locks.  libcsv's own memory is freed
 * by a reset callback of the parser's memory context.
 */
#include "postgres.h"

#include <csv.h>

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "csv/csv_parse.h"
#include "settings.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Step in which libcsv's buffer for one field grows. */
#define FIELD_BUFFER_STEP	(32 * 1024)

#define BLOCK				64

/* A quote that no byte is. */
#define NO_QUOTE			256

struct WhCsvParser
{
	char		delimiter;
	int			quote;			/* NO_QUOTE = none */
	Size		max_record;
	WhCsvRecord record;
	WhCsvSplitter *splitter;	/* of another dialect; NULL = it is libcsv's */

	/* The block of bytes last looked at, and where it has special bytes. */
	const char *block;
	uint64		mask;
	bool		block_high;

	/* What libcsv told about the field it reads. */
	struct csv_parser csv;
	bool		field_done;
	const char *field;
	size_t		field_len;

	/* Fields whose bytes differ from those in the record. */
	char	   *text;
	Size		text_size;
	Size		text_used;
	MemoryContextCallback free_csv;
};

/* libcsv calls this with a complete field. */
static void
note_field(void *field, size_t len, void *arg)
{
	WhCsvParser *parser = arg;

	parser->field_done = true;
	parser->field = field;
	parser->field_len = len;
}

/* Blanks are data. */
static int
no_space(unsigned char c)
{
	return 0;
}

/* Free libcsv's memory; a memory-context reset callback. */
static void
free_parser(void *arg)
{
	csv_free(&((WhCsvParser *) arg)->csv);
}

/*
 * Make a parser in context.  max_record is in bytes, line end not counted.
 */
WhCsvParser *
wh_csv_parser_create(MemoryContext context, const WhCsvDialect *dialect, Size max_record)
{
	WhCsvParser *parser = MemoryContextAllocZero(context, sizeof(WhCsvParser));
	WhCsvRecord *record = &parser->record;

	parser->delimiter = dialect->delimiter[0];
	parser->quote = dialect->quote >= 0 ? dialect->quote : NO_QUOTE;
	parser->max_record = max_record;
	record->capacity = 64;
	record->step = 1;
	record->ends = MemoryContextAlloc(context, record->capacity * sizeof(uint32));
	record->values = MemoryContextAlloc(context, record->capacity * sizeof(WhCsvValue));
	if (strlen(dialect->delimiter) != 1 || dialect->escape >= 0 || dialect->trim)
	{
		parser->splitter = wh_csv_splitter_create(context, dialect, max_record, record);
		return parser;
	}
	parser->text_size = 1024;
	parser->text = MemoryContextAlloc(context, parser->text_size);
	if (csv_init(&parser->csv, CSV_STRICT) != 0)
		elog(ERROR, "could not initialize libcsv");
	parser->free_csv.func = free_parser;
	parser->free_csv.arg = parser;
	MemoryContextRegisterResetCallback(context, &parser->free_csv);
	csv_set_delim(&parser->csv, (unsigned char) parser->delimiter);
	csv_set_quote(&parser->csv, (unsigned char) (dialect->quote >= 0 ? dialect->quote : '\0'));
	csv_set_space_func(&parser->csv, no_space);
	csv_set_blk_size(&parser->csv, FIELD_BUFFER_STEP);
	return parser;
}

/* Return the record that the last split found. */
WhCsvRecord *
wh_csv_parser_record(WhCsvParser *parser)
{
	return &parser->record;
}

/* Forget what is known about the caller's memory: it has moved or changed. */
void
wh_csv_parser_forget(WhCsvParser *parser)
{
	parser->block = NULL;
}

/*
 * Mark the bytes among the 64 at p that may end a field, or are quotes or NUL.
 */
static inline uint64
find_special(const WhCsvParser *parser, const char *p, bool *high)
{
	uint64		mask = 0;
	int			i;

#ifdef __SSE2__
	const __m128i delimiter = _mm_set1_epi8(parser->delimiter);
	const __m128i quote = _mm_set1_epi8(parser->quote == NO_QUOTE ? 0 : (char) parser->quote);
	const __m128i lf = _mm_set1_epi8('\n');
	const __m128i cr = _mm_set1_epi8('\r');
	const __m128i nul = _mm_setzero_si128();
	__m128i		all = nul;

	for (i = 0; i < BLOCK; i += 16)
	{
		__m128i		v = _mm_loadu_si128((const __m128i *) (p + i));
		__m128i		m;

		m = _mm_or_si128(_mm_cmpeq_epi8(v, delimiter), _mm_cmpeq_epi8(v, quote));
		m = _mm_or_si128(m, _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
		m = _mm_or_si128(m, _mm_cmpeq_epi8(v, nul));
		mask |= (uint64) (uint32) _mm_movemask_epi8(m) << i;
		all = _mm_or_si128(all, v);
	}
	*high = _mm_movemask_epi8(all) != 0;
#else
	unsigned char all = 0;

	for (i = 0; i < BLOCK; i++)
	{
		char		c = p[i];

		mask |= (uint64) (c == parser->delimiter || c == parser->quote ||
						  c == '\n' || c == '\r' || c == '\0') << i;
		all |= (unsigned char) c;
	}
	*high = (all & 0x80) != 0;
#endif
	return mask;
}

/* Pass bytes to libcsv; returns false when it finds them malformed. */
static bool
feed(WhCsvParser *parser, const char *data, Size len)
{
	if (csv_parse(&parser->csv, data, len, note_field, NULL, parser) == len)
		return true;
	if (csv_error(&parser->csv) != CSV_EPARSE)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("A CSV field of %zu bytes or more could not be held.", len)));
	return false;
}

/* Bring libcsv back to the start of a record, whatever it was reading. */
static void
reset_csv(WhCsvParser *parser)
{
	csv_fini(&parser->csv, NULL, NULL, NULL);
	parser->field_done = false;
}

/*
 * Store the field libcsv has read, which stands at raw (inner bytes, without
 * quotes, raw_len of them) in the record.
 */
static void
store_value(WhCsvParser *parser, int i, const char *raw, Size raw_len,
			bool quoted)
{
	WhCsvValue *value = &parser->record.values[i];

	value->quoted = quoted;
	value->len = parser->field_len;
	if (parser->field_len == raw_len)
	{
		value->data = raw;
		return;
	}
	value->data = parser->text + parser->text_used;
	memcpy(parser->text + parser->text_used, parser->field, parser->field_len);
	parser->text_used += parser->field_len;
}

/* Count the line ends between two points. */
static int
count_lines(const char *p, const char *end)
{
	int			n = 0;

	for (; p < end; p++)
	{
		if (*p == '\n')
			n++;
		else if (*p == '\r' && !(p + 1 < end && p[1] == '\n'))
			n++;
	}
	return n;
}

/*
 * Have libcsv read the quoted field at p; sets *stop to the delimiter or line
 * end behind it, or to limit at the end of the data.
 */
static WhCsvStatus
read_quoted(WhCsvParser *parser, const char *p, const char *limit, bool at_end,
			int i, const char **stop)
{
	const char *fed = p;
	const char *search = p + 1;

	parser->field_done = false;
	for (;;)
	{
		const char *quote = search < limit ?
			memchr(search, parser->quote, limit - search) : NULL;

		if (quote == NULL || (quote + 1 == limit && !at_end))
		{
			reset_csv(parser);
			return WH_CSV_UNTERMINATED;
		}
		if (quote + 1 == limit)
		{
			if (!feed(parser, fed, limit - fed))
				elog(ERROR, "libcsv refused a complete field");
			csv_fini(&parser->csv, note_field, NULL, parser);
			*stop = limit;
			break;
		}
		if (!feed(parser, fed, quote + 2 - fed))
		{
			reset_csv(parser);
			return WH_CSV_AFTER_QUOTE;
		}
		fed = search = quote + 2;
		if (parser->field_done)
		{
			*stop = quote + 1;
			break;
		}
	}
	store_value(parser, i, p + 1, *stop - 1 - (p + 1), true);
	parser->record.lines += count_lines(p, *stop);
	return WH_CSV_SPLIT;
}

/*
 * Have libcsv read the field at p a byte at a time, quoted or not.
 */
static WhCsvStatus
read_plainly(WhCsvParser *parser, const char *p, const char *limit, bool at_end,
			 int i, const char **stop)
{
	const char *s;
	bool		quoted = p < limit && *p == parser->quote;
	bool		closed;

	csv_set_opts(&parser->csv, quoted ? CSV_STRICT : 0);
	parser->field_done = false;
	for (s = p; s < limit; s++)
	{
		/* libcsv has no name for an empty last field. */
		if (s == p && (*s == '\n' || *s == '\r'))
		{
			parser->field_done = true;
			parser->field_len = 0;
			break;
		}
		if (!feed(parser, s, 1))
		{
			reset_csv(parser);
			csv_set_opts(&parser->csv, CSV_STRICT);
			return WH_CSV_AFTER_QUOTE;
		}
		if (parser->field_done)
			break;
	}
	closed = parser->field_done;
	if (!closed && at_end)
	{
		int			quotes = 0;
		const char *q;

		/* An even number of quotes closes the field. */
		for (q = p; q < limit; q++)
			quotes += *q == parser->quote;
		closed = !quoted || quotes % 2 == 0;
		if (closed)
		{
			parser->field_len = 0;
			csv_fini(&parser->csv, note_field, NULL, parser);
		}
	}
	csv_set_opts(&parser->csv, CSV_STRICT);
	if (!closed)
	{
		reset_csv(parser);
		return quoted ? WH_CSV_UNTERMINATED : WH_CSV_MORE;
	}
	*stop = s;
	if (quoted)
	{
		store_value(parser, i, p + 1, *stop - 1 - (p + 1), true);
		parser->record.lines += count_lines(p, *stop);
	}
	else
		store_value(parser, i, p, *stop - p, false);
	return WH_CSV_SPLIT;
}

/* From field n on, every field has an entry in record.values. */
static void
start_values(WhCsvParser *parser, int n, Size room)
{
	WhCsvRecord *record = &parser->record;
	uint32		start = 0;
	int			i;

	for (i = 0; i < n; i++)
	{
		record->values[i].data = record->data + start;
		record->values[i].len = record->ends[i] - start;
		record->values[i].quoted = false;
		start = record->ends[i] + 1;
	}
	record->has_values = true;

	/* Values may not move while the record is split. */
	if (parser->text_size < room)
	{
		MemoryContext context = GetMemoryChunkContext(parser->text);

		pfree(parser->text);
		parser->text = MemoryContextAllocHuge(context, room);
		parser->text_size = room;
	}
	parser->text_used = 0;
}

/* Where the scan for special bytes is; kept in the parser between records. */
typedef struct Scan
{
	const char *block;
	const char *limit;
	uint64		mask;			/* of special bytes at or behind the position */
	bool		block_high;
	bool		high;			/* since the record's start */
} Scan;

/* Go to the next special byte; returns limit when there is none. */
static inline const char *
next_special(const WhCsvParser *parser, Scan *scan)
{
	const char *p;

	while (scan->mask == 0)
	{
		scan->block += BLOCK;
		if (scan->block >= scan->limit)
			return scan->limit;
		scan->mask = find_special(parser, scan->block, &scan->block_high);
		scan->high |= scan->block_high;
	}
	p = scan->block + pg_rightmost_one_pos64(scan->mask);
	if (unlikely(p >= scan->limit))
		return scan->limit;
	scan->mask &= scan->mask - 1;
	return p;
}

/* Look at the block at p anew. */
static inline void
look_at(const WhCsvParser *parser, Scan *scan, const char *p)
{
	scan->block = p;
	scan->mask = find_special(parser, p, &scan->block_high);
	scan->high |= scan->block_high;
}

/*
 * Read the quoted field at p if the first quote in it ends it, as libcsv would.
 * Otherwise returns false, and the scan is somewhere behind p.
 */
static inline bool
read_simply_quoted(WhCsvParser *parser, Scan *scan, const char *p, int i)
{
	WhCsvRecord *record = &parser->record;
	bool		lines = false;
	const char *s;

	next_special(parser, scan);	/* the opening quote */
	while ((s = next_special(parser, scan)) < scan->limit)
	{
		if (*s == parser->quote)
			break;
		lines |= *s == '\n' || *s == '\r';
		if (*s == '\0')
			record->maybe_nul = true;
	}
	if (s + 1 >= scan->limit ||
		(s[1] != parser->delimiter && s[1] != '\n' && s[1] != '\r'))
		return false;
	record->values[i].data = p + 1;
	record->values[i].len = s - (p + 1);
	record->values[i].quoted = true;
	if (lines)
		record->lines += count_lines(p, s);
	return true;
}

/*
 * Split the record that begins at data, of which avail bytes are there and
 * WH_CSV_PADDING more can be read; at_end says that no more will come.
 *
 * On WH_CSV_SPLIT the parser's record is filled; record.ended says whether a
 * line end follows.  The result depends on the data only, not on how much of
 * it was there: at most max_record + 1 bytes are looked at.
 */
WhCsvStatus
wh_csv_split(WhCsvParser *parser, const char *data, Size avail, bool at_end)
{
	WhCsvRecord *record = &parser->record;
	bool		cut = avail > parser->max_record;
	const char *const limit = data + (cut ? parser->max_record + 1 : avail);
	const char *p = data;
	const char *stop = data;
	Scan		scan;
	int			n = 0;

	if (parser->splitter)
		return wh_csv_splitter_split(parser->splitter, data, avail, at_end);
	if (cut)
		at_end = false;
	record->data = data;
	record->has_values = false;
	record->maybe_nul = false;
	record->lines = 1;
	scan.limit = limit;
	scan.high = false;
	if (parser->block != NULL && data >= parser->block && data < parser->block + BLOCK)
	{
		scan.block = parser->block;
		scan.mask = parser->mask & (~UINT64CONST(0) << (data - parser->block));
		scan.high = scan.block_high = parser->block_high;
	}
	else
		look_at(parser, &scan, data);

	/* Each turn reads the field at p. */
	for (;;)
	{
		bool		quoted = p < limit && *p == parser->quote;
		bool		fast = wh_csv_fast_split || parser->quote == NO_QUOTE;	/* libcsv always has a quote */
		bool		stored = false;

		if (unlikely(n == record->capacity))
			wh_csv_record_grow(record);
		if (unlikely(quoted || !fast))
		{
			if (!record->has_values)
				start_values(parser, n, limit - data);
			stored = true;
			if (!fast || !read_simply_quoted(parser, &scan, p, n))
			{
				WhCsvStatus status = fast ?
					read_quoted(parser, p, limit, at_end, n, &stop) :
					read_plainly(parser, p, limit, at_end, n, &stop);

				if (status != WH_CSV_SPLIT)
				{
					parser->block = NULL;
					if (status == WH_CSV_AFTER_QUOTE)
						return status;
					if (cut)
						return status == WH_CSV_MORE ? WH_CSV_TOO_LONG : status;
					return at_end ? status : WH_CSV_MORE;
				}
				scan.high = true;
				record->maybe_nul = true;
				if (stop < limit)
					look_at(parser, &scan, stop);
				else
				{
					scan.block = limit;
					scan.mask = 0;
				}
			}
		}

		/* Quotes inside of an unquoted field are data. */
		for (;;)
		{
			stop = next_special(parser, &scan);
			if (stop == limit || *stop == parser->delimiter ||
				*stop == '\n' || *stop == '\r')
				break;
			if (*stop == '\0')
				record->maybe_nul = true;
		}
		if (unlikely(stop == limit) && !at_end)
		{
			parser->block = NULL;
			return cut ? WH_CSV_TOO_LONG : WH_CSV_MORE;
		}
		if (record->has_values && !stored)
		{
			record->values[n].data = p;
			record->values[n].len = stop - p;
			record->values[n].quoted = false;
		}
		record->ends[n++] = stop - data;
		if (stop == limit || *stop != parser->delimiter)
			break;
		p = stop + 1;
	}

	record->nfields = n;
	record->len = stop - data;
	record->ended = stop < limit;
	record->maybe_high = scan.high;
	parser->block = stop < limit ? scan.block : NULL;
	parser->mask = scan.mask;
	parser->block_high = scan.block_high;
	return WH_CSV_SPLIT;
}
