/*
 * csv_text.c
 *	  The bytes of fields: into the database's encoding, and back into a record
 *	  from which some columns are cut out; and what is said of those in error.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "csv/csv_scan.h"

/* Say file, line and column of whatever is raised. */
void
wh_csv_error_context(void *arg)
{
	WhCsvScan  *scan = arg;

	if (scan->reader == NULL || scan->reader->line == 0)
		errcontext("CSV file \"%s\"", scan->name);
	else if (scan->current > 0)
		errcontext("CSV file \"%s\", line %lld, column \"%s\"", scan->name,
				   (long long) scan->reader->line,
				   NameStr(TupleDescAttr(scan->table->desc, scan->current - 1)->attname));
	else
		errcontext("CSV file \"%s\", line %lld", scan->name,
				   (long long) scan->reader->line);
}

/* Note an error of the row, or raise it. */
void
wh_csv_add_error(WhCsvScan *scan, AttrNumber attnum, int sqlerrcode,
				 const char *message)
{
	WhRowError *error;
	MemoryContext old;

	if (!scan->collect)
	{
		scan->current = attnum;
		ereport(ERROR,
				(errcode(sqlerrcode),
				 errmsg_internal("%s", message)));
	}
	old = MemoryContextSwitchTo(scan->row_context);
	scan->row_context_used = true;
	error = palloc(sizeof(WhRowError));
	error->attnum = attnum;
	error->sqlerrcode = sqlerrcode;
	error->message = pstrdup(message);
	scan->row.errors = lappend(scan->row.errors, error);
	MemoryContextSwitchTo(old);
}

/* Begin the message of bytes that are wrong: their values in hexadecimal. */
static char *
show_bytes(const char *s, Size len, int encoding)
{
	StringInfoData buf;
	int			n = Min((Size) pg_encoding_max_length(encoding), len);
	int			i;

	n = Min(n, pg_encoding_mblen(encoding, s));
	initStringInfo(&buf);
	for (i = 0; i < n; i++)
		appendStringInfo(&buf, "%s0x%02x", i ? " " : "", (unsigned char) s[i]);
	return buf.data;
}

/*
 * Bring text into the database's encoding.  The result may be in the arena.
 * Returns false and the error's message when it is no text.
 */
bool
wh_csv_decode(WhCsvScan *scan, const char **s, Size *len, char **message)
{
	int			database = GetDatabaseEncoding();
	int			source = scan->encoding;
	const char *p;
	int			valid;
	char	   *out;
	int			done;

	p = memchr(*s, '\0', *len);
	if (p != NULL)
	{
		*message = psprintf("invalid byte sequence for encoding \"%s\": 0x00",
							pg_encoding_to_char(source));
		return false;
	}
	valid = pg_encoding_verifymbstr(source, *s, *len);
	if ((Size) valid != *len)
	{
		*message = psprintf("invalid byte sequence for encoding \"%s\": %s",
							pg_encoding_to_char(source),
							show_bytes(*s + valid, *len - valid, source));
		return false;
	}
	if (source == database || !OidIsValid(scan->conversion))
		return true;
	for (p = *s; p < *s + *len && !IS_HIGHBIT_SET(*p); p++)
		;
	if (p == *s + *len)
		return true;
	out = wh_value_alloc(scan->arena, *len * MAX_CONVERSION_GROWTH + 1);
	done = pg_do_encoding_conversion_buf(scan->conversion, source, database,
										 (unsigned char *) unconstify(char *, *s), *len,
										 (unsigned char *) out,
										 *len * MAX_CONVERSION_GROWTH + 1, true);
	if ((Size) done != *len)
	{
		*message = psprintf("character with byte sequence %s in encoding \"%s\" has no equivalent in encoding \"%s\"",
							show_bytes(*s + done, *len - done, source),
							pg_encoding_to_char(source),
							pg_encoding_to_char(database));
		return false;
	}
	*s = out;
	*len = strlen(out);
	return true;
}

/* Append text as a field of the file, quoted when it has to be. */
static void
append_field(StringInfo out, WhCsvScan *scan, const WhCsvColumn *column, const char *text)
{
	const WhCsvDialect *dialect = &scan->reader->dialect;
	const char *null_string = linitial(column->field.nulls);
	const char *p;

	if (text == NULL)
	{
		appendStringInfoString(out, null_string);
		return;
	}
	if (dialect->quote < 0 ||
		(strcmp(text, null_string) != 0 && strpbrk(text, dialect->delimiter) == NULL &&
		 strchr(text, dialect->quote) == NULL && strpbrk(text, "\r\n") == NULL &&
		 (dialect->escape < 0 || strchr(text, dialect->escape) == NULL)))
	{
		appendStringInfoString(out, text);
		return;
	}
	appendStringInfoChar(out, dialect->quote);
	for (p = text; *p; p++)
	{
		if (*p == dialect->quote)
			appendStringInfoChar(out, dialect->quote);
		else if (*p == dialect->escape)
			appendStringInfoChar(out, dialect->escape);
		appendStringInfoChar(out, *p);
	}
	appendStringInfoChar(out, dialect->quote);
}

/* Find a column by its number. */
static const WhCsvColumn *
column_of(const WhCsvTable *table, AttrNumber attnum)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (table->columns[i].attnum == attnum)
			return &table->columns[i];
	elog(ERROR, "no column %d", attnum);
}

/*
 * Write the current record again with some columns replaced: attnums says
 * which, replacements[attnum - 1] by what (NULL = the file's null).  All other
 * bytes stay as they are.
 *
 * Returns memory of the current context, or NULL when the record could not be
 * split into its columns, so that nobody can tell where a column's bytes are.
 */
char *
wh_csv_raw_without(WhCsvScan *scan, Bitmapset *attnums,
				   const char *const *replacements, Size *len)
{
	WhCsvRecord *record;
	StringInfoData out;
	int			i,
				a;
	uint32		start = 0;

	if (!scan->split || scan->ended || scan->table->options.format != WH_CSV_DELIMITED)
		return NULL;
	record = scan->reader->record;
	initStringInfo(&out);
	for (i = 0; i < record->nfields; i++)
	{
		for (a = -1; (a = bms_next_member(attnums, a)) >= 0;)
			if (a > 0 && a <= scan->table->desc->natts && scan->field_of[a - 1] == i)
				break;
		if (i > 0)
			appendStringInfoString(&out, scan->reader->dialect.delimiter);
		if (a >= 0)
		{
			const char *text = replacements[a - 1];

			if (text != NULL)
				text = pg_server_to_any(text, strlen(text), scan->encoding);
			append_field(&out, scan, column_of(scan->table, a), text);
		}
		else
			appendBinaryStringInfo(&out, record->data + start, record->ends[i] - start);
		start = record->ends[i] + record->step;
	}
	*len = out.len;
	return out.data;
}
