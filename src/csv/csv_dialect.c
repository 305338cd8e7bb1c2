/*
 * csv_dialect.c
 *	  Splits one record of a dialect that RFC 4180 does not know: an escape
 *	  character, delimiters of several bytes or none, blanks around fields.
 *
 * An escape character makes a quote, or itself, data.  Outside of quotes also a
 * delimiter and a line end; before anything else it is data.  Doubled quotes
 * count too.  Bytes that could matter are found 64 at a time.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "csv/csv_dialect.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK		64

/* A quote or escape character that no byte is. */
#define NO_CHAR		256

struct WhCsvSplitter
{
	MemoryContext context;
	WhCsvDialect dialect;
	int			delimiter_len;
	char		first;			/* byte of the delimiter; a line feed when there is none */
	int			quote;			/* or NO_CHAR */
	int			escape;
	Size		max_record;
	WhCsvRecord *record;
	char	   *text;			/* of fields from which something was taken out */
	Size		text_size;
	Size		text_used;

	/* The block last looked at. */
	const char *block;
	const char *limit;
	uint64		mask;			/* of its special bytes, at or behind where the reading is */
	bool		high;
};

/* Make room for more fields. */
void
wh_csv_record_grow(WhCsvRecord *record)
{
	record->capacity *= 2;
	record->ends = repalloc_huge(record->ends, (Size) record->capacity * sizeof(uint32));
	record->values = repalloc_huge(record->values, (Size) record->capacity * sizeof(WhCsvValue));
}

/* Make a splitter in context, which fills record.  max_record is in bytes. */
WhCsvSplitter *
wh_csv_splitter_create(MemoryContext context, const WhCsvDialect *dialect, Size max_record, WhCsvRecord *record)
{
	WhCsvSplitter *splitter = MemoryContextAllocZero(context, sizeof(WhCsvSplitter));

	splitter->context = context;
	splitter->dialect = *dialect;
	splitter->delimiter_len = strlen(dialect->delimiter);
	splitter->first = splitter->delimiter_len > 0 ? dialect->delimiter[0] : '\n';
	splitter->quote = dialect->quote >= 0 ? dialect->quote : NO_CHAR;
	splitter->escape = dialect->escape >= 0 ? dialect->escape : NO_CHAR;
	splitter->max_record = max_record;
	splitter->record = record;
	record->step = splitter->delimiter_len;
	return splitter;
}

/* Look at the 64 bytes at p for special ones. */
static inline void
look_at(WhCsvSplitter *splitter, const char *p)
{
	uint64		mask = 0;
	char		quote = splitter->quote == NO_CHAR ? '\n' : (char) splitter->quote;
	char		escape = splitter->escape == NO_CHAR ? '\n' : (char) splitter->escape;

	splitter->block = p;
#ifdef __SSE2__
	{
		const __m128i first = _mm_set1_epi8(splitter->first);
		const __m128i quotes = _mm_set1_epi8(quote);
		const __m128i escapes = _mm_set1_epi8(escape);
		const __m128i lf = _mm_set1_epi8('\n');
		const __m128i cr = _mm_set1_epi8('\r');
		const __m128i nul = _mm_setzero_si128();
		__m128i		all = nul;

		for (int i = 0; i < BLOCK; i += 16)
		{
			__m128i		v = _mm_loadu_si128((const __m128i *) (p + i));
			__m128i		m;

			m = _mm_or_si128(_mm_cmpeq_epi8(v, first), _mm_cmpeq_epi8(v, quotes));
			m = _mm_or_si128(m, _mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
			m = _mm_or_si128(m, _mm_or_si128(_mm_cmpeq_epi8(v, nul), _mm_cmpeq_epi8(v, escapes)));
			mask |= (uint64) (uint32) _mm_movemask_epi8(m) << i;
			all = _mm_or_si128(all, v);
		}
		splitter->high |= _mm_movemask_epi8(all) != 0;
	}
#else
	for (int i = 0; i < BLOCK; i++)
	{
		char		c = p[i];

		mask |= (uint64) (c == splitter->first || c == quote || c == escape || c == '\n' || c == '\r' || c == '\0') << i;
		splitter->high |= IS_HIGHBIT_SET(c);
	}
#endif
	splitter->mask = mask;
}

/* Go on at p, at or behind where the reading was. */
static inline void
move_to(WhCsvSplitter *splitter, const char *p)
{
	if (p < splitter->block + BLOCK)
		splitter->mask &= ~UINT64CONST(0) << (p - splitter->block);
	else if (p < splitter->limit)
		look_at(splitter, p);
	else
	{
		/* What is left of the block before may not be looked at again. */
		splitter->block = p;
		splitter->mask = 0;
	}
}

/* Return the next special byte and step over it; limit when there is none. */
static inline const char *
next_special(WhCsvSplitter *splitter)
{
	const char *p;

	while (splitter->mask == 0)
	{
		if (splitter->block + BLOCK >= splitter->limit)
			return splitter->limit;
		look_at(splitter, splitter->block + BLOCK);
	}
	p = splitter->block + pg_rightmost_one_pos64(splitter->mask);
	if (p >= splitter->limit)
		return splitter->limit;
	splitter->mask &= splitter->mask - 1;
	return p;
}

static inline bool
is_blank(const WhCsvSplitter *splitter, char c)
{
	return (c == ' ' || c == '\t') && c != splitter->first;
}

/* Append bytes to the text of the field being read, which begins at *value. */
static void
add_text(WhCsvSplitter *splitter, char **value, const char *from, const char *to)
{
	if (*value == NULL)
		*value = splitter->text + splitter->text_used;
	memcpy(splitter->text + splitter->text_used, from, to - from);
	splitter->text_used += to - from;
}

/* Set a field to what stands from from to to, behind the text taken so far. */
static void
set_value(WhCsvSplitter *splitter, WhCsvValue *field, char *value, const char *from, const char *to, bool quoted)
{
	field->quoted = quoted;
	if (value == NULL)
	{
		field->data = from;
		field->len = to - from;
		return;
	}
	add_text(splitter, &value, from, to);
	field->data = value;
	field->len = splitter->text + splitter->text_used - value;
}

/*
 * Read the quoted field whose opening quote stands at p; *stop is where what
 * ends the field begins.
 */
static WhCsvStatus
read_quoted(WhCsvSplitter *splitter, const char *p, bool at_end, WhCsvValue *field, const char **stop)
{
	const char *limit = splitter->limit;
	const char *from = p + 1;	/* what is not in the text yet */
	char	   *value = NULL;
	const char *s;

	move_to(splitter, p + 1);
	for (;;)
	{
		s = next_special(splitter);
		if (s == limit)
			return WH_CSV_UNTERMINATED;
		if (*s == '\0')
			splitter->record->maybe_nul = true;
		else if (*s == '\n' || (*s == '\r' && !(s + 1 < limit && s[1] == '\n')))
			splitter->record->lines++;
		if ((unsigned char) *s == splitter->escape && splitter->escape != splitter->quote)
		{
			if (s + 1 == limit)
				return WH_CSV_UNTERMINATED;
			if ((unsigned char) s[1] == splitter->quote || (unsigned char) s[1] == splitter->escape)
			{
				add_text(splitter, &value, from, s);
				from = s + 1;
				move_to(splitter, s + 2);
			}
		}
		else if ((unsigned char) *s == splitter->quote)
		{
			if (s + 1 == limit && !at_end)
				return WH_CSV_UNTERMINATED;
			if (s + 1 == limit || (unsigned char) s[1] != splitter->quote)
				break;
			add_text(splitter, &value, from, s + 1);
			from = s + 2;
			move_to(splitter, s + 2);
		}
	}
	set_value(splitter, field, value, from, s, true);
	s++;
	if (splitter->dialect.trim)
		while (s < limit && is_blank(splitter, *s))
			s++;
	if (s == limit)
	{
		*stop = s;
		return at_end ? WH_CSV_SPLIT : WH_CSV_MORE;
	}
	if (*s != '\n' && *s != '\r')
	{
		if (splitter->delimiter_len == 0 || *s != splitter->first)
			return WH_CSV_AFTER_QUOTE;
		if (limit - s < splitter->delimiter_len)
			return at_end ? WH_CSV_AFTER_QUOTE : WH_CSV_MORE;
		if (memcmp(s, splitter->dialect.delimiter, splitter->delimiter_len) != 0)
			return WH_CSV_AFTER_QUOTE;
	}
	move_to(splitter, s + 1);
	*stop = s;
	return WH_CSV_SPLIT;
}

/* The same for the field without quotes at p. */
static WhCsvStatus
read_plain(WhCsvSplitter *splitter, const char *p, bool at_end, WhCsvValue *field, const char **stop)
{
	const char *limit = splitter->limit;
	const char *from = p;
	char	   *value = NULL;
	const char *s;
	const char *end;

	for (;;)
	{
		s = next_special(splitter);
		if (s == limit)
		{
			if (!at_end)
				return WH_CSV_MORE;
			break;
		}
		if (*s == '\n' || *s == '\r')
			break;
		if ((unsigned char) *s == splitter->escape)
		{
			if (s + 1 == limit)
			{
				if (!at_end)
					return WH_CSV_MORE;
				continue;
			}
			if (s[1] == '\n' || s[1] == '\r' || s[1] == splitter->first ||
				(unsigned char) s[1] == splitter->quote || (unsigned char) s[1] == splitter->escape)
			{
				const char *behind = s + 2;

				if (s[1] == '\r')
				{
					if (behind == limit && !at_end)
						return WH_CSV_MORE;
					if (behind < limit && *behind == '\n')
						behind++;
				}
				splitter->record->lines += s[1] == '\n' || s[1] == '\r';
				add_text(splitter, &value, from, s);
				from = s + 1;
				move_to(splitter, behind);
			}
		}
		else if (splitter->delimiter_len > 0 && *s == splitter->first)
		{
			if (splitter->delimiter_len == 1)
				break;
			if (limit - s < splitter->delimiter_len)
			{
				if (!at_end)
					return WH_CSV_MORE;
			}
			else if (memcmp(s, splitter->dialect.delimiter, splitter->delimiter_len) == 0)
			{
				move_to(splitter, s + splitter->delimiter_len);
				break;
			}
		}
		else if (*s == '\0')
			splitter->record->maybe_nul = true;
	}
	end = s;
	if (splitter->dialect.trim)
		while (end > from && is_blank(splitter, end[-1]))
			end--;
	set_value(splitter, field, value, from, end, false);
	*stop = s;
	return WH_CSV_SPLIT;
}

/* Split the record at data: see wh_csv_split. */
WhCsvStatus
wh_csv_splitter_split(WhCsvSplitter *splitter, const char *data, Size avail, bool at_end)
{
	WhCsvRecord *record = splitter->record;
	bool		cut = avail > splitter->max_record;
	const char *const limit = data + (cut ? splitter->max_record + 1 : avail);
	const char *p = data;
	const char *stop = data;
	int			n = 0;

	if (cut)
		at_end = false;
	record->data = data;
	record->has_values = true;
	record->maybe_nul = false;
	record->lines = 1;
	splitter->limit = limit;
	splitter->high = false;
	splitter->text_used = 0;
	if (splitter->text_size < (Size) (limit - data))
	{
		/* Values may not move while the record is split. */
		if (splitter->text)
			pfree(splitter->text);
		splitter->text_size = limit - data;
		splitter->text = MemoryContextAllocHuge(splitter->context, splitter->text_size);
	}
	look_at(splitter, data);
	for (;;)
	{
		WhCsvStatus status;
		const char *q = p;

		if (unlikely(n == record->capacity))
			wh_csv_record_grow(record);
		if (splitter->dialect.trim)
			while (q < limit && is_blank(splitter, *q))
				q++;
		if (q < limit && (unsigned char) *q == splitter->quote)
			status = read_quoted(splitter, q, at_end, &record->values[n], &stop);
		else
			status = read_plain(splitter, q, at_end, &record->values[n], &stop);
		if (status != WH_CSV_SPLIT)
		{
			if (status == WH_CSV_AFTER_QUOTE)
				return status;
			if (cut)
				return status == WH_CSV_MORE ? WH_CSV_TOO_LONG : status;
			return at_end ? status : WH_CSV_MORE;
		}
		record->ends[n++] = stop - data;
		if (stop == limit || *stop == '\n' || *stop == '\r')
			break;
		p = stop + splitter->delimiter_len;
		move_to(splitter, p);
	}
	if (stop == limit && !at_end)
		return cut ? WH_CSV_TOO_LONG : WH_CSV_MORE;
	record->nfields = n;
	record->len = stop - data;
	record->ended = stop < limit;
	record->maybe_high = splitter->high;
	return WH_CSV_SPLIT;
}
