/*
 * csv_content.c
 *	  Tells by its first bytes what a file is that is no CSV file, and turns
 *	  UTF-16 into UTF-8.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "csv/csv_content.h"

/* What no UTF-8 has, so that whoever reads it says where it is. */
#define NO_CHARACTER	'\xff'

static const struct
{
	const char *magic;
	int			len;
	const char *what;
}			known[] = {
	{"PK\003\004", 4, "a zip archive"},
	{"PK\005\006", 4, "an empty zip archive"},
	{"PAR1", 4, "a Parquet file"},
	{"ORC", 3, "an ORC file"},
	{"Obj\001", 4, "an Avro file"},
	{"\320\317\021\340\241\261\032\341", 8, "an old Excel workbook (xls)"},
	{"%PDF-", 5, "a PDF document"},
	{"\037\213", 2, "gzip (option compression 'gzip' reads it)"},
	{"\050\265\057\375", 4, "zstd (option compression 'zstd' reads it)"},
	{"BZh", 3, "bzip2"},
	{"\3757zXZ", 6, "xz"},
	{"7z\274\257\047\034", 6, "a 7-Zip archive"},
	{"\377\376\000\000", 4, "UTF-32"},
	{"\000\000\376\377", 4, "UTF-32"},
	{"SQLite format 3", 15, "an SQLite database"}
};

/* Find a text among the first bytes. */
static bool
has(const char *data, Size len, const char *text)
{
	Size		n = strlen(text);

	for (Size i = 0; i + n <= len; i++)
		if (memcmp(data + i, text, n) == 0)
			return true;
	return false;
}

/* Say what a file is that is no CSV file, by its first WH_CSV_MAGIC bytes; NULL = nothing known. */
const char *
wh_csv_looks_like(const char *data, Size len)
{
	const char *p = data;

	for (int i = 0; i < (int) lengthof(known); i++)
	{
		/* Three letters may begin a text as well. */
		if (len < (Size) known[i].len || memcmp(data, known[i].magic, known[i].len) != 0 ||
			(known[i].len == 3 && memchr(data, '\0', len) == NULL))
			continue;
		if (i == 0 && (has(data, len, "[Content_Types].xml") || has(data, len, "xl/")))
			return "an Excel workbook (xlsx, a zip archive)";
		return known[i].what;
	}
	while (p < data + len && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	len -= p - data;
	if ((len >= 9 && pg_strncasecmp(p, "<!doctype", 9) == 0) || (len >= 5 && pg_strncasecmp(p, "<html", 5) == 0))
		return "an HTML page, perhaps a listing of a folder or an error of a web server";
	if (len >= 5 && pg_strncasecmp(p, "<?xml", 5) == 0)
		return "XML";
	return NULL;
}

/* Say whether a byte order mark of UTF-16 begins the file. */
bool
wh_csv_is_utf16(const char *data, Size len, bool *big_endian)
{
	if (len < 2 || !((data[0] == '\xff' && data[1] == '\xfe') || (data[0] == '\xfe' && data[1] == '\xff')))
		return false;
	*big_endian = data[0] == '\xfe';
	return true;
}

/* Write a character as UTF-8; returns its length. */
static int
put_utf8(uint32 c, char *out)
{
	if (c < 0x80)
	{
		out[0] = c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = 0xc0 | (c >> 6);
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = 0xe0 | (c >> 12);
		out[1] = 0x80 | ((c >> 6) & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	out[0] = 0xf0 | (c >> 18);
	out[1] = 0x80 | ((c >> 12) & 0x3f);
	out[2] = 0x80 | ((c >> 6) & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}

static inline uint32
unit_at(const WhCsvUtf16 *state, const unsigned char *p)
{
	return state->big_endian ? (uint32) p[0] << 8 | p[1] : (uint32) p[1] << 8 | p[0];
}

/*
 * Turn len bytes of UTF-16 into UTF-8 at out, which has WH_CSV_UTF8_SIZE(len)
 * bytes; returns how many there are.  What is no UTF-16 becomes a byte that is
 * no UTF-8.
 */
Size
wh_csv_utf16_decode(WhCsvUtf16 *state, const char *in, Size len, bool at_end, char *out)
{
	const unsigned char *p = (const unsigned char *) in;
	const unsigned char *end = p + len;
	char	   *o = out;

	for (;;)
	{
		int			want;
		uint32		c;

		/* The next character: one unit, or two. */
		while (state->nkept < 2 && p < end)
			state->kept[state->nkept++] = *p++;
		if (state->nkept < 2)
			break;
		c = unit_at(state, state->kept);
		want = c >= 0xd800 && c < 0xdc00 ? 4 : 2;
		while (state->nkept < want && p < end)
			state->kept[state->nkept++] = *p++;
		if (state->nkept < want)
			break;
		if (want == 4)
		{
			uint32		low = unit_at(state, state->kept + 2);

			if (low >= 0xdc00 && low < 0xe000)
			{
				o += put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), o);
				state->nkept = 0;
				continue;
			}
			*o++ = NO_CHARACTER;
			state->kept[0] = state->kept[2];
			state->kept[1] = state->kept[3];
			state->nkept = 2;
			continue;
		}
		state->nkept = 0;
		if (c >= 0xdc00 && c < 0xe000)
			*o++ = NO_CHARACTER;
		else
			o += put_utf8(c, o);
	}
	if (at_end && state->nkept > 0)
	{
		*o++ = NO_CHARACTER;
		state->nkept = 0;
	}
	return o - out;
}
