/*
 * csv_sniff.c
 *	  Looks at the beginning of CSV files and tells their options, and the
 *	  columns with their types.
 *
 * Options that the caller gives are not guessed.  csv_sniff_dialect.c finds how records
 * are written; here their values are looked at.  Runs in any backend; takes no
 * locks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"

#include "csv/csv_sniff_dialect.h"
#include "csv/csv_name.h"
#include "csv/csv_reader.h"
#include "csv/csv_sniff.h"
#include "value/json_scan.h"

/* Most records of a file that are looked at. */
#define SNIFF_RECORDS		50000

/* Return the bytes of a column in the current record; NULL = it has none. */
static const char *
column_bytes(const WhCsvSniff *sniff, WhCsvReader *reader, WhJsonFields *json, WhJsonValue *values,
			 int k, int field, Size *len, bool *quoted)
{
	const WhCsvSniffColumn *column = &sniff->columns[k];
	const char *s;

	*quoted = false;
	if (json)
	{
		*quoted = values[k].kind == WH_JSON_STRING;
		*len = *quoted ? values[k].len : values[k].raw_len;
		return values[k].kind == WH_JSON_MISSING || values[k].kind == WH_JSON_NULL ? NULL :
			*quoted ? values[k].text : values[k].raw;
	}
	if (sniff->options.format == WH_CSV_FIXED)
	{
		Size		end = Min((Size) column->to, reader->raw_len);
		Size		from = Min((Size) column->from - 1, end);

		for (s = reader->raw + from; from < end && *s == ' '; s++)
			from++;
		while (end > from && reader->raw[end - 1] == ' ')
			end--;
		*len = end - from;
		return s;
	}
	if (field >= reader->record->nfields)
		return NULL;
	s = wh_csv_field(reader->record, field, len, quoted);
	return s;
}

/* Give the value text of a field of the current record, in the database's encoding. */
static char *
name_text(const WhCsvSniff *sniff, const char *name, const char *s, Size len)
{
	int			encoding = sniff->options.encoding >= 0 ? sniff->options.encoding : GetDatabaseEncoding();
	char	   *text = pnstrdup(s, len);

	if (pg_encoding_verifymbstr(encoding, text, len) != (int) len)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("header of file \"%s\" is not in encoding \"%s\"", name, pg_encoding_to_char(encoding))));
	return pg_any_to_server(text, len, encoding);
}

/* A record's fields, kept. */
typedef struct Kept
{
	char	  **text;
	Size	   *len;
	bool	   *quoted;
} Kept;

static void
keep(Kept *kept, int i, const char *s, Size len, bool quoted)
{
	kept->text[i] = s ? pnstrdup(s, len) : NULL;
	kept->len[i] = len;
	kept->quoted[i] = quoted;
}

static void
guess_kept(WhCsvSniff *sniff, WhCsvGuesser *guesser, const Kept *kept)
{
	for (int k = 0; k < sniff->ncolumns; k++)
		if (kept->text[k])
			wh_csv_guess_value(guesser, &sniff->columns[k].guess, kept->text[k], kept->len[k], kept->quoted[k]);
}

/* Say whether the first record is a header, once the others were looked at. */
static bool
is_header(WhCsvSniff *sniff, WhCsvGuesser *guesser, const Kept *first, bool alone)
{
	int			names = 0;
	int			values = 0;
	int			texts = 0;
	int			any_values = 0;

	for (int k = 0; k < sniff->ncolumns; k++)
	{
		const WhCsvGuess *guess = &sniff->columns[k].guess;

		if (first->text[k] == NULL || first->len[k] == 0)
			continue;
		texts++;
		any_values += wh_csv_guess_is_value(guesser, first->text[k], first->len[k]);
		if (alone || wh_csv_guess_is_text(guess))
			continue;
		if (wh_csv_guess_fits(guesser, guess, first->text[k], first->len[k]))
			values++;
		else
			names++;
	}
	if (names > 0)
		return true;
	/* Nothing but text: names are all there, each another, and no numbers or dates. */
	if (values > 0 || any_values > 0 || texts < sniff->ncolumns)
		return false;
	for (int k = 0; k < sniff->ncolumns; k++)
		for (int i = 0; i < k; i++)
			if (strcmp(first->text[i], first->text[k]) == 0)
				return false;
	return true;
}

/* Set the columns' names in the file. */
static void
take_header(WhCsvSniff *sniff, const char *name, const Kept *first)
{
	for (int k = 0; k < sniff->ncolumns; k++)
	{
		WhCsvSniffColumn *column = &sniff->columns[k];

		column->header = first->text[k] ? name_text(sniff, name, first->text[k], first->len[k]) : pstrdup("");
		for (int i = 0; i < k; i++)
		{
			if (strcmp(sniff->columns[i].header, column->header) != 0)
				continue;
			if (sniff->columns[i].occurrence == 0)
				sniff->columns[i].occurrence = 1;
			column->occurrence = sniff->columns[i].occurrence + 1;
		}
	}
}

/* Find which column each field of another file of the family is. */
static void
map_header(WhCsvSniff *sniff, const char *name, const Kept *first, int *map, int fields)
{
	for (int i = 0; i < fields; i++)
	{
		char	   *text = first->text[i] ? name_text(sniff, name, first->text[i], first->len[i]) : "";

		map[i] = -1;
		for (int k = 0; k < sniff->ncolumns; k++)
			if (strcmp(sniff->columns[k].header, text) == 0 && (map[i] < 0 || sniff->columns[k].occurrence <= 1))
				map[i] = k;
	}
}

static Kept
make_kept(int n)
{
	Kept		kept = {palloc0(sizeof(char *) * n), palloc0(sizeof(Size) * n), palloc0(sizeof(bool) * n)};

	return kept;
}

/* Narrow the columns' types by the records of a file. */
static void
look_at_file(WhCsvSniff *sniff, List *given, WhCsvGuesser *guesser, const char *name, bool first_file)
{
	WhCsvOptions *options = &sniff->options;
	WhCsvReader *reader = wh_csv_sniff_open(name, options);
	WhJsonFields *json = NULL;
	WhJsonValue *values = NULL;
	WhCsvNext	next;
	Kept		first,
				last;
	bool		has_first = false;
	bool		has_last = false;
	bool		wants_header = options->format == WH_CSV_DELIMITED ? !wh_csv_sniff_is_given(given, "header") || options->header == WH_CSV_HEADER_MATCH :
		options->format == WH_CSV_FIXED && !wh_csv_sniff_is_given(given, "header");
	int		   *map = NULL;
	int			fields = sniff->ncolumns;
	int64		n = 0;

	if (options->format == WH_CSV_JSON)
	{
		List	   *paths = NIL;

		for (int k = 0; k < sniff->ncolumns; k++)
			paths = lappend(paths, list_make1(sniff->columns[k].header));
		json = wh_json_fields_create(paths);
		values = palloc0(sizeof(WhJsonValue) * Max(sniff->ncolumns, 1));
	}
	while (n < SNIFF_RECORDS && (next = wh_csv_sniff_read(reader, name, n == 0 && !has_first)) != WH_CSV_END)
	{
		if (next == WH_CSV_BAD || (json && !wh_json_fields_parse(json, reader->record->data, reader->record->len, values)))
		{
			sniff->misfits++;
			continue;
		}
		if (!has_first)
		{
			if (options->format == WH_CSV_DELIMITED)
				fields = reader->record->nfields;
			if (fields > MaxHeapAttributeNumber)
				ereport(ERROR,
						(errcode(ERRCODE_TOO_MANY_COLUMNS),
						 errmsg("file \"%s\" has %d columns; a table can have %d", name, fields, MaxHeapAttributeNumber)));
			if (first_file && sniff->ncolumns == 0)
			{
				sniff->ncolumns = fields;
				sniff->columns = palloc0(sizeof(WhCsvSniffColumn) * fields);
				for (int k = 0; k < fields; k++)
					wh_csv_guess_start(&sniff->columns[k].guess);
			}
			first = make_kept(fields);
			last = make_kept(fields);
			map = palloc(sizeof(int) * fields);
			for (int i = 0; i < fields; i++)
				map[i] = i < sniff->ncolumns ? i : -1;
			has_first = true;
			if (wants_header && (first_file || options->header == WH_CSV_HEADER_MATCH))
			{
				for (int i = 0; i < fields; i++)
				{
					Size		len = 0;
					bool		quoted;
					const char *s = column_bytes(sniff, reader, json, values, i, i, &len, &quoted);

					keep(&first, i, s, len, quoted);
				}
				if (!first_file)
					map_header(sniff, name, &first, map, fields);
				continue;
			}
			if (options->header != WH_CSV_HEADER_NONE)
				continue;
		}
		if (options->format == WH_CSV_DELIMITED && reader->record->nfields != fields)
		{
			bool		short_one = reader->record->nfields < fields;

			if (short_one ? !options->pad_short : options->long_records == WH_CSV_LONG_ERROR)
			{
				sniff->misfits++;
				continue;
			}
		}
		n++;
		/* The last record waits: it may be a total. */
		for (int i = 0; i < fields; i++)
		{
			Size		len = 0;
			bool		quoted;
			const char *s = column_bytes(sniff, reader, json, values, i, i, &len, &quoted);
			int			k = map[i];

			if (has_last && k >= 0 && last.text[i])
				wh_csv_guess_value(guesser, &sniff->columns[k].guess, last.text[i], last.len[i], last.quoted[i]);
			if (last.text[i])
				pfree(last.text[i]);
			keep(&last, i, s, len, quoted);
		}
		has_last = true;
	}
	if (has_last)
	{
		bool		total = false;

		for (int i = 0; i < fields && n > 3 && reader->at_end && !reader->cut; i++)
			if (map[i] >= 0 && last.text[i] && last.len[i] > 0 && !wh_csv_guess_is_text(&sniff->columns[map[i]].guess) &&
				!wh_csv_guess_fits(guesser, &sniff->columns[map[i]].guess, last.text[i], last.len[i]))
				total = true;
		if (total && first_file && options->skip_footer == 0 && !wh_csv_sniff_is_given(given, "skip_footer") && json == NULL)
		{
			options->skip_footer = 1;
			wh_csv_sniff_propose(sniff, "skip_footer", "1");
			wh_csv_sniff_note(sniff, pstrdup("the last line has values of other types and is taken for a total (option skip_footer)"));
			n--;
		}
		else
			for (int i = 0; i < fields; i++)
				if (map[i] >= 0 && last.text[i])
					wh_csv_guess_value(guesser, &sniff->columns[map[i]].guess, last.text[i], last.len[i], last.quoted[i]);
	}
	if (first_file && has_first && wants_header)
	{
		if (wh_csv_sniff_is_given(given, "header") || is_header(sniff, guesser, &first, n == 0))
		{
			take_header(sniff, name, &first);
			options->header = options->format == WH_CSV_FIXED ? WH_CSV_HEADER_SKIP : WH_CSV_HEADER_MATCH;
			if (options->format == WH_CSV_FIXED)
				wh_csv_sniff_propose(sniff, "header", "skip");
		}
		else
		{
			guess_kept(sniff, guesser, &first);
			options->header = WH_CSV_HEADER_NONE;
			if (options->format == WH_CSV_DELIMITED)
				wh_csv_sniff_propose(sniff, "header", "none");
			n++;
		}
	}
	sniff->records += n;
	wh_csv_reader_close(reader);
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

/* Choose the columns' types; the decimal point of one tells of the others. */
static void
choose_types(WhCsvSniff *sniff)
{
	char		decimal = sniff->options.field.format.decimal == ',' ? ',' : 0;

	for (int k = 0; k < sniff->ncolumns; k++)
	{
		char		d = wh_csv_guess_decimal(&sniff->columns[k].guess);

		if (d == ',' || decimal == 0)
			decimal = d ? d : decimal;
	}
	for (int k = 0; k < sniff->ncolumns; k++)
	{
		WhCsvSniffColumn *column = &sniff->columns[k];

		wh_csv_guess_type(&column->guess, decimal, &column->type);
		if (column->type.note)
			wh_csv_sniff_note(sniff, psprintf("column %s: %s", column->name, column->type.note));
	}
}

/*
 * Look at files of one kind, below directory, which may be NULL; the first one's
 * columns count.  given are options of a table that are not guessed.  Raises
 * what keeps a file from being read.  The result is in the current memory
 * context.
 */
WhCsvSniff *
wh_csv_sniff(const char *directory, List *names, List *given)
{
	WhCsvSniff *sniff = palloc0(sizeof(WhCsvSniff));
	WhCsvGuesser *guesser;
	const char *name = linitial(names);
	ListCell   *lc;

	wh_csv_options_init(&sniff->options);
	wh_csv_options_apply(&sniff->options, given);
	wh_csv_options_check(&sniff->options);
	guesser = wh_csv_guesser_create(sniff->options.field.format.date_format);
	sniff->options.directory = directory;
	sniff->table_options = list_copy(given);
	if (!wh_csv_find_dialect(sniff, given, name))
		return sniff;
	foreach(lc, names)
		look_at_file(sniff, given, guesser, lfirst(lc), lc == list_head(names));
	name_columns(sniff);
	choose_types(sniff);
	if (sniff->misfits > 0)
		wh_csv_sniff_note(sniff, psprintf("%lld of the records looked at do not fit", (long long) sniff->misfits));
	return sniff;
}
