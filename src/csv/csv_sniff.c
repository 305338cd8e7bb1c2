/*
 * csv_sniff.c
 *	  Looks at the beginning of CSV files and tells delimiter, header, and the
 *	  columns with their types.
 *
 * A type is only named when every value looked at has its usual spelling, so
 * that nothing is lost: 00123 and +49 are text, dates are ISO dates.  Runs in
 * any backend; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "csv/csv_reader.h"
#include "csv/csv_sniff.h"
#include "value/value_convert.h"

/* How much of each file is looked at. */
#define SNIFF_RECORDS		50000
#define SNIFF_BYTES			(4 * 1024 * 1024)

/* Records that decide on the delimiter. */
#define DELIMITER_RECORDS	100

/* Types, the narrowest first. */
#define MAY_BE_BOOL			0x001
#define MAY_BE_INT			0x002
#define MAY_BE_BIGINT		0x004
#define MAY_BE_NUMERIC		0x008
#define MAY_BE_FLOAT		0x010
#define MAY_BE_DATE			0x020
#define MAY_BE_TIMESTAMP	0x040
#define MAY_BE_TIMESTAMPTZ	0x080
#define MAY_BE_UUID			0x100
#define MAY_BE_ANYTHING		0x1ff

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

typedef struct SniffTools
{
	WhValueArena *arena;
	WhValueConverter *integer;
	WhValueConverter *bigint;
	WhValueConverter *date;
	WhValueConverter *timestamp;
	WhValueConverter *timestamptz;
	WhValueConverter *uuid;
} SniffTools;

static const char delimiters[] = {',', ';', '\t', '|'};

/* Say whether a fast conversion takes the value. */
static bool
takes(WhValueConverter *convert, const char *s, Size len)
{
	Datum		value;

	return convert->fast(convert, s, len, &value);
}

/* Tell which number types a value has the usual spelling of. */
static int
number_types(SniffTools *tools, const char *s, Size len)
{
	const char *p = s;
	const char *end = s + len;
	const char *whole;
	bool		fraction = false;
	bool		exponent = false;

	if (p < end && *p == '-')
		p++;
	for (whole = p; p < end && is_digit(*p); p++)
		;
	if (p - whole > 1 && *whole == '0')
		return 0;
	if (p < end && *p == '.')
	{
		const char *first = ++p;

		for (; p < end && is_digit(*p); p++)
			;
		if (p == first)
			return 0;
		fraction = true;
	}
	else if (p == whole)
		return 0;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		const char *first;

		p++;
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		for (first = p; p < end && is_digit(*p); p++)
			;
		if (p == first)
			return 0;
		exponent = true;
	}
	if (p != end)
		return 0;
	if (exponent)
		return MAY_BE_FLOAT;
	if (fraction || !takes(tools->bigint, s, len))
		return MAY_BE_NUMERIC | MAY_BE_FLOAT;
	if (!takes(tools->integer, s, len))
		return MAY_BE_BIGINT | MAY_BE_NUMERIC | MAY_BE_FLOAT;
	return MAY_BE_INT | MAY_BE_BIGINT | MAY_BE_NUMERIC | MAY_BE_FLOAT;
}

/* Tell which types a value has the usual spelling of. */
static int
types_of(SniffTools *tools, const char *s, Size len)
{
	if (len == 0)
		return 0;
	if ((len == 1 && strchr("tf", *s)) ||
		(len == 4 && pg_strncasecmp(s, "true", 4) == 0) ||
		(len == 5 && pg_strncasecmp(s, "false", 5) == 0))
		return MAY_BE_BOOL;
	if (takes(tools->date, s, len))
		return MAY_BE_DATE | MAY_BE_TIMESTAMP;
	if (takes(tools->timestamp, s, len))
		return MAY_BE_TIMESTAMP;
	if (takes(tools->timestamptz, s, len))
		return MAY_BE_TIMESTAMPTZ;
	if (takes(tools->uuid, s, len))
		return MAY_BE_UUID;
	return number_types(tools, s, len);
}

/* Choose the type of a column, the narrowest that fits. */
static Oid
type_of_flags(int may_be)
{
	static const Oid types[] = {
		BOOLOID, INT4OID, INT8OID, NUMERICOID, FLOAT8OID, DATEOID,
		TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID
	};
	int			i;

	for (i = 0; i < (int) lengthof(types); i++)
		if (may_be & (1 << i))
			return types[i];
	return TEXTOID;
}

/* Open a file to look at it; raises what is wrong with it. */
static WhCsvReader *
open_file(const char *directory, const char *name, char delimiter)
{
	WhCsvOptions options;
	WhCsvReader *reader;
	WhRowError	error;

	wh_csv_options_init(&options);
	options.directory = directory;
	options.delimiter = delimiter;
	reader = wh_csv_reader_open(CurrentMemoryContext, &options, name, false, &error);
	if (reader == NULL)
		ereport(ERROR,
				(errcode(error.sqlerrcode),
				 errmsg_internal("%s", error.message)));
	return reader;
}

/*
 * Score a delimiter: how many of the first records have the field count most
 * of them have, and that count.
 */
static int
score_delimiter(const char *directory, const char *name, char delimiter, int *fields)
{
	WhCsvReader *reader = open_file(directory, name, delimiter);
	int			count[DELIMITER_RECORDS];
	int			n = 0;
	int			best = 0;
	int			i,
				k;
	WhCsvNext	next;

	while (n < DELIMITER_RECORDS &&
		   (next = wh_csv_reader_next(reader)) != WH_CSV_END && next != WH_CSV_FAILED)
		count[n++] = next == WH_CSV_RECORD ? reader->record->nfields : 0;
	wh_csv_reader_close(reader);
	*fields = 1;
	for (i = 0; i < n; i++)
	{
		int			same = 0;

		for (k = 0; k < n; k++)
			same += count[k] == count[i];
		if (count[i] > 1 && (same > best || (same == best && count[i] > *fields)))
		{
			best = same;
			*fields = count[i];
		}
	}
	return best;
}

/* Find the delimiter of a file. */
static char
find_delimiter(const char *directory, const char *name)
{
	char		best = ',';
	int			best_score = 0;
	int			best_fields = 1;
	int			i;

	for (i = 0; i < (int) lengthof(delimiters); i++)
	{
		int			fields;
		int			score = score_delimiter(directory, name, delimiters[i], &fields);

		if (score > best_score || (score == best_score && fields > best_fields))
		{
			best = delimiters[i];
			best_score = score;
			best_fields = fields;
		}
	}
	return best;
}

/*
 * Make a plain SQL name: InvoiceDate gives invoice_date, "Unit price" gives
 * unit_price.
 */
char *
wh_csv_plain_name(const char *name)
{
	StringInfoData out;
	const char *p;

	initStringInfo(&out);
	for (p = name; *p; p++)
	{
		bool		upper = *p >= 'A' && *p <= 'Z';

		if (upper && p > name && ((p[-1] >= 'a' && p[-1] <= 'z') || is_digit(p[-1])))
			appendStringInfoChar(&out, '_');
		if (upper)
			appendStringInfoChar(&out, *p + ('a' - 'A'));
		else if (IS_HIGHBIT_SET(*p) || is_digit(*p) || (*p >= 'a' && *p <= 'z'))
			appendStringInfoChar(&out, *p);
		else if (out.len > 0 && out.data[out.len - 1] != '_')
			appendStringInfoChar(&out, '_');
	}
	while (out.len > 0 && out.data[out.len - 1] == '_')
		out.data[--out.len] = '\0';
	if (out.len == 0 || is_digit(out.data[0]))
		return psprintf("c_%s", out.data);
	out.data[pg_mbcliplen(out.data, out.len, NAMEDATALEN - 1)] = '\0';
	return out.data;
}

/* Give every column a name of its own. */
static void
name_columns(WhCsvSniff *sniff)
{
	int			i,
				k;

	for (i = 0; i < sniff->ncolumns; i++)
	{
		WhCsvSniffColumn *column = &sniff->columns[i];
		char	   *base = column->header && *column->header ?
			wh_csv_plain_name(column->header) : psprintf("column_%d", i + 1);
		int			suffix = 2;

		column->name = base;
		for (k = 0; k < i; k++)
		{
			if (strcmp(sniff->columns[k].name, column->name) != 0)
				continue;
			base[pg_mbcliplen(base, strlen(base), NAMEDATALEN - 8)] = '\0';
			column->name = psprintf("%s_%d", base, suffix++);
			k = -1;
		}
	}
}

/* Read a field of the current record as a string. */
static char *
field_text(WhCsvReader *reader, int i)
{
	Size		len;
	bool		quoted;
	const char *s = wh_csv_field(reader->record, i, &len, &quoted);

	pg_verify_mbstr(GetDatabaseEncoding(), s, len, false);
	return pnstrdup(s, len);
}

/*
 * Say whether the first record is a header: names, all different, none of them
 * a number or a date.
 */
static bool
looks_like_header(SniffTools *tools, WhCsvReader *reader)
{
	int			n = reader->record->nfields;
	char	  **names = palloc(sizeof(char *) * n);
	int			i,
				k;

	for (i = 0; i < n; i++)
	{
		Size		len;
		bool		quoted;
		const char *s = wh_csv_field(reader->record, i, &len, &quoted);

		if (len == 0 || types_of(tools, s, len) != 0)
			return false;
		names[i] = pnstrdup(s, len);
		for (k = 0; k < i; k++)
			if (strcmp(names[i], names[k]) == 0)
				return false;
	}
	return true;
}

/* Find which column of the first file each field of this one is. */
static int *
map_header(WhCsvSniff *sniff, WhCsvReader *reader)
{
	int		   *map = palloc(sizeof(int) * reader->record->nfields);
	int			i,
				k;

	for (i = 0; i < reader->record->nfields; i++)
	{
		char	   *name = field_text(reader, i);

		map[i] = -1;
		for (k = 0; k < sniff->ncolumns; k++)
			if (strcmp(sniff->columns[k].header, name) == 0)
				map[i] = k;
	}
	return map;
}

/* Narrow the columns' types by the records of a file. */
static void
look_at_file(WhCsvSniff *sniff, SniffTools *tools, const char *directory, const char *name)
{
	WhCsvReader *reader = open_file(directory, name, sniff->delimiter);
	WhCsvNext	next;
	int		   *map = NULL;
	int64		n = 0;
	int			fields = 0;
	int			i;

	while (n < SNIFF_RECORDS && reader->byte_offset < SNIFF_BYTES &&
		   (next = wh_csv_reader_next(reader)) != WH_CSV_END && next != WH_CSV_FAILED)
	{
		if (next == WH_CSV_BAD)
			continue;
		if (fields == 0)
		{
			fields = reader->record->nfields;
			if (sniff->ncolumns == 0)
			{
				sniff->ncolumns = fields;
				sniff->columns = palloc0(sizeof(WhCsvSniffColumn) * fields);
				sniff->header = looks_like_header(tools, reader) ?
					WH_CSV_HEADER_MATCH : WH_CSV_HEADER_NONE;
				for (i = 0; i < fields; i++)
				{
					sniff->columns[i].may_be = MAY_BE_ANYTHING;
					if (sniff->header == WH_CSV_HEADER_MATCH)
						sniff->columns[i].header = field_text(reader, i);
				}
			}
			if (sniff->header == WH_CSV_HEADER_MATCH)
			{
				map = map_header(sniff, reader);
				continue;
			}
		}
		if (reader->record->nfields != fields)
			continue;
		n++;
		wh_value_arena_reset(tools->arena);
		for (i = 0; i < fields; i++)
		{
			int			k = map ? map[i] : i;
			Size		len;
			bool		quoted;
			const char *s = wh_csv_field(reader->record, i, &len, &quoted);

			if (k < 0 || k >= sniff->ncolumns || (len == 0 && !quoted))
				continue;
			sniff->columns[k].any = true;
			if (sniff->columns[k].may_be != 0)
				sniff->columns[k].may_be &= types_of(tools, s, len);
		}
	}
	sniff->records += n;
	wh_csv_reader_close(reader);
}

/*
 * Look at files of one kind; the first one's columns count.  Raises what keeps
 * a file from being read.  The result is in the current memory context.
 */
WhCsvSniff *
wh_csv_sniff(const char *directory, List *names)
{
	WhCsvSniff *sniff = palloc0(sizeof(WhCsvSniff));
	SniffTools	tools;
	ListCell   *lc;
	int			i;

	tools.arena = wh_value_arena_create(CurrentMemoryContext);
	tools.integer = wh_value_converter(INT4OID, -1, tools.arena);
	tools.bigint = wh_value_converter(INT8OID, -1, tools.arena);
	tools.date = wh_value_converter(DATEOID, -1, tools.arena);
	tools.timestamp = wh_value_converter(TIMESTAMPOID, -1, tools.arena);
	tools.timestamptz = wh_value_converter(TIMESTAMPTZOID, -1, tools.arena);
	tools.uuid = wh_value_converter(UUIDOID, -1, tools.arena);

	sniff->delimiter = find_delimiter(directory, linitial(names));
	foreach(lc, names)
		look_at_file(sniff, &tools, directory, lfirst(lc));
	for (i = 0; i < sniff->ncolumns; i++)
		sniff->columns[i].type = sniff->columns[i].any ?
			type_of_flags(sniff->columns[i].may_be) : TEXTOID;
	name_columns(sniff);
	return sniff;
}

/*
 * Write the CREATE FOREIGN TABLE for what was found; option and value say
 * which files.  schema may be NULL.
 */
char *
wh_csv_sniff_statement(const WhCsvSniff *sniff, const char *schema,
					   const char *table, const char *server,
					   const char *option, const char *value)
{
	StringInfoData out;
	int			i;

	initStringInfo(&out);
	appendStringInfo(&out, "CREATE FOREIGN TABLE %s (\n",
					 quote_qualified_identifier(schema, table));
	for (i = 0; i < sniff->ncolumns; i++)
	{
		WhCsvSniffColumn *column = &sniff->columns[i];

		appendStringInfo(&out, "    %s %s", quote_identifier(column->name),
						 format_type_be(column->type));
		if (column->header && strcmp(column->header, column->name) != 0)
			appendStringInfo(&out, " OPTIONS (name %s)", quote_literal_cstr(column->header));
		appendStringInfoString(&out, i + 1 < sniff->ncolumns ? ",\n" : "\n");
	}
	appendStringInfo(&out, ") SERVER %s OPTIONS (%s %s", quote_identifier(server),
					 option, quote_literal_cstr(value));
	if (sniff->header == WH_CSV_HEADER_NONE)
		appendStringInfoString(&out, ", header 'none'");
	if (sniff->delimiter != ',')
	{
		char		delimiter[2] = {sniff->delimiter, '\0'};

		appendStringInfo(&out, ", delimiter %s", quote_literal_cstr(delimiter));
	}
	appendStringInfoString(&out, ")");
	return out.data;
}
