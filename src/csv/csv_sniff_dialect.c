/*
 * csv_sniff_dialect.c
 *	  Finds how a CSV file is written: encoding, format, comments, delimiter,
 *	  quote, and the lines to skip.
 *
 * First the lines: encoding, comments, JSON.  Then delimiter and quote, by how
 * many records they split into the same number of fields; what stands before and
 * behind these is skipped.  Runs in any backend; takes no locks.
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
#include "value/json_scan.h"

/* How much of each file is looked at. */
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
bool
wh_csv_sniff_is_given(List *given, const char *name)
{
	ListCell   *lc;

	foreach(lc, given)
		if (strcmp(((DefElem *) lfirst(lc))->defname, name) == 0)
			return true;
	return false;
}

/* Note an option of the table. */
void
wh_csv_sniff_propose(WhCsvSniff *sniff, const char *name, const char *value)
{
	sniff->table_options = lappend(sniff->table_options,
								   makeDefElem(pstrdup(name), (Node *) makeString(pstrdup(value)), -1));
}

void
wh_csv_sniff_note(WhCsvSniff *sniff, char *text)
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
WhCsvReader *
wh_csv_sniff_open(const char *name, const WhCsvOptions *options)
{
	WhRowError	error;
	WhCsvReader *reader = wh_csv_reader_open(CurrentMemoryContext, options, name, false, &error);

	if (reader == NULL)
		raise(name, &error);
	reader->limit = SNIFF_BYTES;
	return reader;
}

/* Read the next record; raises what ends the file, or is wrong with the first record. */
WhCsvNext
wh_csv_sniff_read(WhCsvReader *reader, const char *name, bool first)
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
	reader = wh_csv_sniff_open(name, &plain);
	for (;;)
	{
		WhCsvNext	next = wh_csv_sniff_read(reader, name, lines->n == 0);

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
	wh_csv_sniff_propose(sniff, "encoding", "WIN1252");
	wh_csv_sniff_note(sniff, psprintf("the file is not in %s: Windows-1252 is a guess (option encoding)",
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
	wh_csv_sniff_propose(sniff, "comment", "#");
}

/* Split the sample by a dialect. */
static void
try_dialect(const char *name, const WhCsvOptions *options, Split *split)
{
	WhCsvReader *reader = wh_csv_sniff_open(name, options);
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

	if (wh_csv_sniff_is_given(given, "delimiter") || (lines->n > 0 && pg_strncasecmp(lines->text[0] + (lines->text[0][0] == '"'), "sep=", 4) == 0))
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
			wh_csv_sniff_propose(sniff, "delimiter", options->dialect.delimiter);
	}
	if (!wh_csv_sniff_is_given(given, "quote") && count_quotes(lines, options->dialect.delimiter, '\'') > 2 &&
		count_quotes(lines, options->dialect.delimiter, '"') == 0)
	{
		WhCsvOptions trial = *options;

		trial.dialect.quote = '\'';
		try_dialect(name, &trial, &split);
		if (!split.bad && split.fitting >= best.fitting)
		{
			options->dialect.quote = '\'';
			wh_csv_sniff_propose(sniff, "quote", "'");
			best = split;
		}
	}
	if (!wh_csv_sniff_is_given(given, "escape"))
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
				wh_csv_sniff_propose(sniff, "escape", "\\");
				best = split;
			}
		}
	}
	if (best.bad && !wh_csv_sniff_is_given(given, "quote") && options->dialect.quote == '"')
	{
		WhCsvOptions trial = *options;

		trial.dialect.quote = -1;
		try_dialect(name, &trial, &split);
		if (split.fitting > best.fitting)
		{
			options->dialect.quote = -1;
			wh_csv_sniff_propose(sniff, "quote", "");
			best = split;
		}
	}
	if (!wh_csv_sniff_is_given(given, "skip") && best.fitting > 1 && best.first_line > 1 && best.first_line <= MOST_SKIPPED &&
		!(lines->n > 0 && pg_strncasecmp(lines->text[0], "sep=", 4) == 0 && best.first_line == 2) &&
		options->comment == NULL)
	{
		options->skip = best.first_line - 1;
		wh_csv_sniff_propose(sniff, "skip", psprintf("%d", options->skip));
	}
	if (!wh_csv_sniff_is_given(given, "skip_footer") && best.fitting > 1 && best.footer > 0)
	{
		options->skip_footer = best.footer;
		wh_csv_sniff_propose(sniff, "skip_footer", psprintf("%d", best.footer));
		wh_csv_sniff_note(sniff, psprintf("the last %d line(s) are taken for no data (option skip_footer)", best.footer));
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
	if (wh_csv_sniff_is_given(given, "format") ? sniff->options.format != WH_CSV_JSON : lines->n == 0 || lines->text[0][0] != '{')
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
	if (!wh_csv_sniff_is_given(given, "format"))
		wh_csv_sniff_propose(sniff, "format", "json");
}

/* See whether the lines have fixed columns: blanks in the same places of all. */
static void
find_fixed(WhCsvSniff *sniff, List *given, const Lines *lines)
{
	int			longest = 0;
	bool	   *used;
	int			columns = 0;

	if (wh_csv_sniff_is_given(given, "format") || lines->n < 3)
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
	wh_csv_sniff_propose(sniff, "format", "fixed");
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

/*
 * Find the options of a file that are not given: encoding, format, comments,
 * delimiter, quote, and what to skip; proposes them and sets them in the
 * sniffed options.  Returns false for an empty file.
 */
bool
wh_csv_find_dialect(WhCsvSniff *sniff, List *given, const char *name)
{
	Lines	   *lines = palloc0(sizeof(Lines));

	read_lines(name, &sniff->options, lines);
	if (lines->n == 0)
		return false;
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

		if (!wh_csv_sniff_is_given(given, "comment"))
			find_comment(sniff, lines);
		find_dialect(sniff, given, name, lines);
		try_dialect(name, &sniff->options, &split);
		if (split.fields == 1 && !wh_csv_sniff_is_given(given, "delimiter"))
			find_fixed(sniff, given, lines);
	}
	return true;
}
