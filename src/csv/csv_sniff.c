/*
 * csv_sniff.c
 *	  Looks at the beginning of CSV files and tells their options, and the
 *	  columns with their types.
 *
 * Options that the caller gives are not guessed.  First the lines: encoding,
 * comments, JSON.  Then delimiter and quote, by how many records they split into
 * the same number of fields; what stands before and behind these is skipped.
 * Then the values.  Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/memutils.h"

#include "csv/csv_name.h"
#include "csv/csv_reader.h"
#include "csv/csv_sniff.h"
#include "value/json_scan.h"

/* How much of each file is looked at. */
#define SNIFF_RECORDS		50000
#define SNIFF_BYTES			(4 * 1024 * 1024)

/* Lines, or records, that decide on the dialect. */
#define SAMPLE				200

/* Records that may stand before the header, and behind the last record. */
#define MOST_SKIPPED		50
#define MOST_FOOTER			3

#define is_digit(c)		((unsigned char) ((c) - '0') <= 9)

/* The first lines of a file. */
typedef struct Lines
{
	int			n;
	char	   *text[SAMPLE];
	int			len[SAMPLE];
	bool		is_text;		/* in the database's encoding, as far as was looked */
	bool		is_utf16;
} Lines;

/* How a delimiter and a quote split the sample. */
typedef struct Split
{
	int			fields;			/* of most records */
	int			fitting;		/* records with that many */
	int			records;
	int64		first_line;		/* of the first of them */
	int			footer;			/* lines behind the last of them; 0 = unknown */
	bool		bad;			/* some record could not be split */
} Split;

static const char *const delimiters[] = {",", ";", "\t", "|", "||", "^", "~", "\001", "::", NULL};

/* Say whether an option was given. */
static bool
is_given(List *given, const char *name)
{
	ListCell   *lc;

	foreach(lc, given)
		if (strcmp(((DefElem *) lfirst(lc))->defname, name) == 0)
			return true;
	return false;
}

/* Note an option of the table. */
static void
propose(WhCsvSniff *sniff, const char *name, const char *value)
{
	sniff->table_options = lappend(sniff->table_options,
								   makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1));
}

static void
note(WhCsvSniff *sniff, char *text)
{
	sniff->notes = lappend(sniff->notes, text);
}

/* Raise the reader's error, the file by the last part of its path: the caller knows the rest. */
static void
raise(const char *name, const WhRowError *error)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	const char *at = strstr(error->message, name);

	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 at ? errmsg_internal("%.*s%s%s", (int) (at - error->message), error->message, base, at + strlen(name)) :
			 errmsg("file \"%s\": %s", base, error->message)));
}

/* Open a file to look at its beginning; raises what is wrong with it. */
static WhCsvReader *
open_file(const char *name, const WhCsvOptions *options)
{
	WhRowError	error;
	WhCsvReader *reader = wh_csv_reader_open(CurrentMemoryContext, options, name, false, &error);

	if (reader == NULL)
		raise(name, &error);
	reader->limit = SNIFF_BYTES;
	return reader;
}

/* Read the next record; raises what ends the file, or is wrong with the first record. */
static WhCsvNext
read_next(WhCsvReader *reader, const char *name, bool first)
{
	WhCsvNext	next = wh_csv_reader_next(reader);

	if (next == WH_CSV_FAILED || (next == WH_CSV_BAD && first))
		raise(name, &reader->error);
	return next;
}

/* Read the first lines of a file, and look whether all are text. */
static void
read_lines(const char *name, const WhCsvOptions *options, Lines *lines)
{
	WhCsvOptions plain = *options;
	WhCsvReader *reader;

	plain.format = WH_CSV_FIXED;	/* lines, whatever is in them */
	plain.dialect.delimiter[0] = '\0';
	plain.dialect.quote = plain.dialect.escape = -1;
	plain.skip_footer = 0;
	lines->n = 0;
	lines->is_text = true;
	reader = open_file(name, &plain);
	for (;;)
	{
		WhCsvNext	next = read_next(reader, name, lines->n == 0);

		if (next == WH_CSV_END)
			break;
		if (next == WH_CSV_BAD)
			continue;
		if (lines->n < SAMPLE)
		{
			lines->text[lines->n] = pnstrdup(reader->raw, reader->raw_len);
			lines->len[lines->n++] = reader->raw_len;
		}
		if (reader->record->maybe_high && lines->is_text)
			lines->is_text = pg_verify_mbstr(reader->is_utf16 ? PG_UTF8 : GetDatabaseEncoding(), reader->raw, reader->raw_len, true);
	}
	lines->is_utf16 = reader->is_utf16;
	wh_csv_reader_close(reader);
}

/* Find the encoding of a file that is not in the database's. */
static void
find_encoding(WhCsvSniff *sniff, const Lines *lines)
{
	if (lines->is_text || sniff->options.encoding >= 0)
		return;
	sniff->options.encoding = PG_WIN1252;
	propose(sniff, "encoding", "WIN1252");
	note(sniff, psprintf("the file is not in %s: Windows-1252 is a guess (option encoding)",
						 pg_encoding_to_char(GetDatabaseEncoding())));
}

/* Find what begins lines that are comments. */
static void
find_comment(WhCsvSniff *sniff, const Lines *lines)
{
	int			comments = 0;
	bool		later = false;

	for (int i = 0; i < lines->n; i++)
	{
		if (lines->text[i][0] != '#')
			continue;
		comments++;
		later |= i > 0;
	}
	/* One such line alone may be a header. */
	if (comments == 0 || comments > lines->n / 2 + 1 ||
		(!later && lines->n > 1 && strpbrk(lines->text[0], ",;\t|") != NULL))
		return;
	sniff->options.comment = "#";
	propose(sniff, "comment", "#");
}

/* Split the sample by a dialect. */
static void
try_dialect(const char *name, const WhCsvOptions *options, Split *split)
{
	WhCsvReader *reader = open_file(name, options);
	int			count[SAMPLE];
	int64		line[SAMPLE];
	int			n = 0;
	WhCsvNext	next;

	memset(split, 0, sizeof(*split));
	split->fields = 1;
	while (n < SAMPLE && (next = wh_csv_reader_next(reader)) != WH_CSV_END && next != WH_CSV_FAILED)
	{
		split->bad |= next == WH_CSV_BAD;
		line[n] = reader->line;
		count[n++] = next == WH_CSV_RECORD ? reader->record->nfields : 0;
	}
	split->records = n;
	for (int i = 0; i < n; i++)
	{
		int			same = 0;

		for (int k = 0; k < n; k++)
			same += count[k] == count[i];
		if (count[i] > 1 && (same > split->fitting || (same == split->fitting && count[i] > split->fields)))
		{
			split->fitting = same;
			split->fields = count[i];
			split->first_line = line[i];
		}
	}
	if (n < SAMPLE)
		for (int i = n - 1; i > 0 && split->fitting > 0 && count[i] != split->fields && i > n - 1 - MOST_FOOTER; i--)
			split->footer = n - i;
	wh_csv_reader_close(reader);
}

/* Say whether most of a comma's places in the lines are between digits. */
static bool
splits_numbers(const Lines *lines)
{
	int			between = 0;
	int			all = 0;

	for (int i = 0; i < lines->n; i++)
		for (int k = 0; k < lines->len[i]; k++)
		{
			const char *p = lines->text[i] + k;

			if (*p != ',')
				continue;
			all++;
			between += k > 0 && is_digit(p[-1]) && is_digit(p[1]);
		}
	return all > 0 && between * 2 > all;
}

/* Count the fields of the sample that begin with a quote. */
static int
count_quotes(const Lines *lines, const char *delimiter, char quote)
{
	Size		n = strlen(delimiter);
	int			result = 0;

	for (int i = 0; i < lines->n; i++)
		for (int k = 0; k < lines->len[i]; k++)
			if (lines->text[i][k] == quote &&
				(k == 0 || ((Size) k >= n && memcmp(lines->text[i] + k - n, delimiter, n) == 0)))
				result++;
	return result;
}

/* Find delimiter, quote and escape, and what is before and behind the records. */
static void
find_dialect(WhCsvSniff *sniff, List *given, const char *name, const Lines *lines)
{
	WhCsvOptions *options = &sniff->options;
	bool		numbers = splits_numbers(lines);
	Split		best = {.fields = 1};
	Split		split;
	const char *delimiter = NULL;
	char		one[2] = {0};

	if (is_given(given, "delimiter") || (lines->n > 0 && pg_strncasecmp(lines->text[0] + (lines->text[0][0] == '"'), "sep=", 4) == 0))
	{
		try_dialect(name, options, &best);
		if (!options->delimiter_given)
		{
			one[0] = lines->text[0][4 + (lines->text[0][0] == '"')];
			memcpy(options->dialect.delimiter, one, 2);
		}
	}
	else
	{
		double		best_score = 0;

		for (int i = 0; delimiters[i]; i++)
		{
			WhCsvOptions trial = *options;
			double		score;

			strcpy(trial.dialect.delimiter, delimiters[i]);
			try_dialect(name, &trial, &split);
			score = split.fitting;
			if (*delimiters[i] == ',' && numbers)
				score *= 0.7;
			if (strcmp(delimiters[i], "||") == 0 && split.fields * 2 - 1 == best.fields)
				score += 0.5;
			if (split.fields > 1 && (score > best_score || (score == best_score && split.fields > best.fields)))
			{
				delimiter = delimiters[i];
				best = split;
				best_score = score;
			}
		}
		if (delimiter)
			strcpy(options->dialect.delimiter, delimiter);
		if (options->dialect.delimiter[0] != ',' || options->dialect.delimiter[1])
			propose(sniff, "delimiter", options->dialect.delimiter);
	}
	if (!is_given(given, "quote") && count_quotes(lines, options->dialect.delimiter, '\'') > 2 &&
		count_quotes(lines, options->dialect.delimiter, '"') == 0)
	{
		WhCsvOptions trial = *options;

		trial.dialect.quote = '\'';
		try_dialect(name, &trial, &split);
		if (!split.bad && split.fitting >= best.fitting)
		{
			options->dialect.quote = '\'';
			propose(sniff, "quote", "'");
			best = split;
		}
	}
	if (!is_given(given, "escape"))
	{
		bool		any = false;

		for (int i = 0; i < lines->n && !any; i++)
			any = strstr(lines->text[i], "\\\"") != NULL || strstr(lines->text[i], "\\,") != NULL ||
				strstr(lines->text[i], "\\\\") != NULL;
		if (any)
		{
			WhCsvOptions trial = *options;

			trial.dialect.escape = '\\';
			try_dialect(name, &trial, &split);
			if (!split.bad && (best.bad || split.fitting > best.fitting))
			{
				options->dialect.escape = '\\';
				propose(sniff, "escape", "\\");
				best = split;
			}
		}
	}
	if (best.bad && !is_given(given, "quote") && options->dialect.quote == '"')
	{
		WhCsvOptions trial = *options;

		trial.dialect.quote = -1;
		try_dialect(name, &trial, &split);
		if (split.fitting > best.fitting)
		{
			options->dialect.quote = -1;
			propose(sniff, "quote", "");
			best = split;
		}
	}
	if (!is_given(given, "skip") && best.fitting > 1 && best.first_line > 1 && best.first_line <= MOST_SKIPPED &&
		!(lines->n > 0 && pg_strncasecmp(lines->text[0], "sep=", 4) == 0 && best.first_line == 2) &&
		options->comment == NULL)
	{
		options->skip = best.first_line - 1;
		propose(sniff, "skip", psprintf("%d", options->skip));
	}
	if (!is_given(given, "skip_footer") && best.fitting > 1 && best.footer > 0)
	{
		options->skip_footer = best.footer;
		propose(sniff, "skip_footer", psprintf("%d", best.footer));
		note(sniff, psprintf("the last %d line(s) are taken for no data (option skip_footer)", best.footer));
	}
}

/* Take the keys of a JSON object as columns; returns false when it is none. */
static bool
take_keys(WhCsvSniff *sniff, const char *line, int len)
{
	WhJsonText	json = {.start = line, .end = line + len, .context = CurrentMemoryContext};
	const char *p = wh_json_skip_space(line, line + len);

	if (p >= json.end || *p++ != '{')
		return false;
	for (;;)
	{
		bool		escaped;
		const char *end;
		char	   *key;
		int			k;

		p = wh_json_skip_space(p, json.end);
		if (p < json.end && *p == '}')
			return true;
		if (p >= json.end || *p != '"' || (end = wh_json_scan_string(&json, p + 1, &escaped)) == NULL)
			return false;
		key = pnstrdup(p + 1, end - p - 1);
		p = wh_json_skip_space(end + 1, json.end);
		if (p >= json.end || *p != ':' || (p = wh_json_skip_value(&json, wh_json_skip_space(p + 1, json.end), 1)) == NULL)
			return false;
		for (k = 0; k < sniff->ncolumns; k++)
			if (strcmp(sniff->columns[k].header, key) == 0)
				break;
		if (k == sniff->ncolumns && !escaped)
		{
			sniff->columns = sniff->columns ? repalloc(sniff->columns, sizeof(WhCsvSniffColumn) * (k + 1)) :
				palloc(sizeof(WhCsvSniffColumn));
			memset(&sniff->columns[k], 0, sizeof(WhCsvSniffColumn));
			wh_csv_guess_start(&sniff->columns[k].guess);
			sniff->columns[k].header = key;
			sniff->ncolumns++;
		}
		p = wh_json_skip_space(p, json.end);
		if (p < json.end && *p == ',')
			p++;
	}
}

/* See whether each line is a JSON object. */
static void
find_json(WhCsvSniff *sniff, List *given, const Lines *lines)
{
	if (is_given(given, "format") ? sniff->options.format != WH_CSV_JSON : lines->n == 0 || lines->text[0][0] != '{')
		return;
	for (int i = 0; i < lines->n; i++)
		if (!take_keys(sniff, lines->text[i], lines->len[i]))
		{
			sniff->ncolumns = 0;
			return;
		}
	sniff->options.format = WH_CSV_JSON;
	sniff->options.header = WH_CSV_HEADER_NONE;
	sniff->options.dialect.delimiter[0] = '\0';
	sniff->options.dialect.quote = -1;
	if (!is_given(given, "format"))
		propose(sniff, "format", "json");
}

/* See whether the lines have fixed columns: blanks in the same places of all. */
static void
find_fixed(WhCsvSniff *sniff, List *given, const Lines *lines)
{
	int			longest = 0;
	bool	   *used;
	int			columns = 0;

	if (is_given(given, "format") || lines->n < 3)
		return;
	for (int i = 0; i < lines->n; i++)
		longest = Max(longest, lines->len[i]);
	if (longest > 2000)
		return;
	used = palloc0(longest + 2);
	for (int i = 0; i < lines->n; i++)
		for (int k = 0; k < lines->len[i]; k++)
		{
			if (IS_HIGHBIT_SET(lines->text[i][k]) || lines->text[i][k] == '\t')
				return;
			used[k] |= lines->text[i][k] != ' ';
		}
	for (int k = 0; k < longest; k++)
		columns += used[k] && (k == 0 || !used[k - 1]);
	if (columns < 2)
		return;
	sniff->options.format = WH_CSV_FIXED;
	sniff->options.header = WH_CSV_HEADER_NONE;
	sniff->options.dialect.delimiter[0] = '\0';
	sniff->options.dialect.quote = -1;
	propose(sniff, "format", "fixed");
	sniff->columns = palloc0(sizeof(WhCsvSniffColumn) * columns);
	for (int k = 0; k < longest; k++)
	{
		if (!used[k])
			continue;
		if (k == 0 || !used[k - 1])
		{
			/* The field takes the blanks before it, which numbers have. */
			sniff->columns[sniff->ncolumns].from = sniff->ncolumns == 0 ? 1 : sniff->columns[sniff->ncolumns - 1].to + 1;
			wh_csv_guess_start(&sniff->columns[sniff->ncolumns].guess);
			sniff->ncolumns++;
		}
		sniff->columns[sniff->ncolumns - 1].to = k + 1;
	}
}

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
	WhCsvReader *reader = open_file(name, options);
	WhJsonFields *json = NULL;
	WhJsonValue *values = NULL;
	WhCsvNext	next;
	Kept		first,
				last;
	bool		has_first = false;
	bool		has_last = false;
	bool		wants_header = options->format == WH_CSV_DELIMITED ? !is_given(given, "header") || options->header == WH_CSV_HEADER_MATCH :
		options->format == WH_CSV_FIXED && !is_given(given, "header");
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
	while (n < SNIFF_RECORDS && (next = read_next(reader, name, n == 0 && !has_first)) != WH_CSV_END)
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
		if (total && first_file && options->skip_footer == 0 && !is_given(given, "skip_footer") && json == NULL)
		{
			options->skip_footer = 1;
			propose(sniff, "skip_footer", "1");
			note(sniff, pstrdup("the last line has values of other types and is taken for a total (option skip_footer)"));
			n--;
		}
		else
			for (int i = 0; i < fields; i++)
				if (map[i] >= 0 && last.text[i])
					wh_csv_guess_value(guesser, &sniff->columns[map[i]].guess, last.text[i], last.len[i], last.quoted[i]);
	}
	if (first_file && has_first && wants_header)
	{
		if (is_given(given, "header") || is_header(sniff, guesser, &first, n == 0))
		{
			take_header(sniff, name, &first);
			options->header = options->format == WH_CSV_FIXED ? WH_CSV_HEADER_SKIP : WH_CSV_HEADER_MATCH;
			if (options->format == WH_CSV_FIXED)
				propose(sniff, "header", "skip");
		}
		else
		{
			guess_kept(sniff, guesser, &first);
			options->header = WH_CSV_HEADER_NONE;
			if (options->format == WH_CSV_DELIMITED)
				propose(sniff, "header", "none");
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
			note(sniff, psprintf("column %s: %s", column->name, column->type.note));
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
	Lines	   *lines = palloc0(sizeof(Lines));
	ListCell   *lc;

	wh_csv_options_init(&sniff->options);
	wh_csv_options_apply(&sniff->options, given);
	wh_csv_options_check(&sniff->options);
	guesser = wh_csv_guesser_create(sniff->options.field.format.date_format);
	sniff->options.directory = directory;
	sniff->table_options = list_copy(given);
	read_lines(name, &sniff->options, lines);
	if (lines->n == 0)
		return sniff;
	find_encoding(sniff, lines);
	find_json(sniff, given, lines);
	if (sniff->options.format == WH_CSV_FIXED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the columns of a file of format fixed cannot be guessed when the format is given"),
				 errhint("Leave the option \"format\" out, or write the table's columns with their option \"position\".")));
	if (sniff->options.format == WH_CSV_DELIMITED)
	{
		Split		split;

		if (!is_given(given, "comment"))
			find_comment(sniff, lines);
		find_dialect(sniff, given, name, lines);
		try_dialect(name, &sniff->options, &split);
		if (split.fields == 1 && !is_given(given, "delimiter"))
			find_fixed(sniff, given, lines);
	}
	foreach(lc, names)
		look_at_file(sniff, given, guesser, lfirst(lc), lc == list_head(names));
	name_columns(sniff);
	choose_types(sniff);
	if (sniff->misfits > 0)
		note(sniff, psprintf("%lld of the records looked at do not fit", (long long) sniff->misfits));
	return sniff;
}
