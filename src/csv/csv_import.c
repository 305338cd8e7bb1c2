/*
 * csv_import.c
 *	  IMPORT FOREIGN SCHEMA from a wh_csv server: a table per file, or per
 *	  family of files such as order_2024-01-03.csv, order_2024-01-04.csv.
 *
 * Runs in the statement's transaction; takes no locks.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_table.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/resowner.h"

#include "csv/csv_fdw.h"
#include "csv/csv_list.h"
#include "csv/csv_name.h"
#include "csv/csv_options.h"
#include "csv/csv_sniff.h"
#include "csv/csv_statement.h"

/* Files of a family that are looked at. */
#define FAMILY_SAMPLE	8

/* Files that become one table. */
typedef struct Family
{
	char	   *table;
	char	   *stem;			/* of the file name; NULL = one plain file */
	char	   *suffix;			/* .csv, .csv.gz, ... */
	bool		mixed;			/* suffixes differ */
	List	   *files;			/* names below the directory */
} Family;

static const char *const suffixes[] = {
	".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.zst", NULL
};

/* Return the suffix of a file's name, or NULL when it is no CSV file. */
static const char *
csv_suffix(const char *name)
{
	Size		len = strlen(name);
	int			i;

	for (i = 0; suffixes[i]; i++)
	{
		Size		n = strlen(suffixes[i]);

		if (len > n && pg_strcasecmp(name + len - n, suffixes[i]) == 0)
			return name + len - n;
	}
	return NULL;
}

/*
 * Return the length of name before the number or date that ends it, with what
 * separates them; 0 when there is none.
 */
static int
stem_length(const char *name, int len)
{
	int			i = len;

	while (i > 0 && strchr("0123456789-_T:. ", name[i - 1]) != NULL)
		i--;
	while (i < len && !(strchr("-_. ", name[i]) != NULL && name[i + 1] >= '0' && name[i + 1] <= '9'))
		i++;
	return i < len ? i + 1 : 0;
}

/* Find or make the family of a table name. */
static Family *
find_family(List **families, const char *stem, const char *suffix)
{
	Family	   *family;
	ListCell   *lc;

	foreach(lc, *families)
	{
		family = lfirst(lc);
		if (family->stem != NULL && strcmp(family->stem, stem) == 0)
		{
			family->mixed |= strcmp(family->suffix, suffix) != 0;
			return family;
		}
	}
	family = palloc0(sizeof(Family));
	family->stem = pstrdup(stem);
	family->suffix = pstrdup(suffix);
	*families = lappend(*families, family);
	return family;
}

/* Sort the files into families. */
static List *
find_families(List *files)
{
	List	   *families = NIL;
	ListCell   *lc,
			   *other;

	foreach(lc, files)
	{
		WhCsvFileInfo *file = lfirst(lc);
		const char *slash = strrchr(file->name, '/');
		const char *base = slash ? slash + 1 : file->name;
		const char *suffix = csv_suffix(base);
		Family	   *family;
		int			len,
					stem;

		if (suffix == NULL)
			continue;
		if (file->size < 0)
		{
			ereport(WARNING,
					(errmsg("no table is made for \"%s\": it is no file that can be read", file->name)));
			continue;
		}
		len = strlen(base) - strlen(suffix);
		stem = stem_length(base, len);
		if (stem > 0)
			family = find_family(&families, pnstrdup(base, stem), suffix);
		else
		{
			family = palloc0(sizeof(Family));
			family->suffix = pstrdup(suffix);
			families = lappend(families, family);
		}
		family->table = wh_csv_plain_name(pnstrdup(base, stem > 1 ? stem - 1 : len));
		family->files = lappend(family->files, file->name);
	}

	/* Two of one name: the later gets a number. */
	foreach(lc, families)
	{
		Family	   *family = lfirst(lc);
		char	   *base = family->table;
		int			n = 2;

		for (other = list_head(families); other != lc;)
		{
			if (strcmp(((Family *) lfirst(other))->table, family->table) == 0)
			{
				family->table = psprintf("%.*s_%d", NAMEDATALEN - 8, base, n++);
				other = list_head(families);
			}
			else
				other = lnext(families, other);
		}
	}
	return families;
}

/* Say whether the statement wants a table. */
static bool
is_wanted(ImportForeignSchemaStmt *stmt, const char *table)
{
	ListCell   *lc;
	bool		named = false;

	foreach(lc, stmt->table_list)
		named |= strcmp(((RangeVar *) lfirst(lc))->relname, table) == 0;
	return stmt->list_type == FDW_IMPORT_SCHEMA_ALL ||
		named == (stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO);
}

/* Choose the files of a family to look at, spread evenly. */
static List *
sample_files(List *files)
{
	List	   *result = NIL;
	int			n = list_length(files);
	int			take = Min(n, FAMILY_SAMPLE);
	int			i;

	for (i = 0; i < take; i++)
		result = lappend(result, list_nth(files, take == 1 ? 0 : (int) ((int64) i * (n - 1) / (take - 1))));
	return result;
}

/* Write a name so that a pattern takes it as it is. */
static char *
pattern_of_name(const char *name)
{
	StringInfoData out;

	initStringInfo(&out);
	for (; *name; name++)
		appendStringInfo(&out, strchr("[*?\\", *name) ? "[%c]" : "%c", *name);
	return out.data;
}

/*
 * Look at the files of a family within a subtransaction.  Returns NULL and warns
 * when there can be no table for them.
 */
static WhCsvSniff *
sniff_family(const char *directory, Family *family, List *given)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	WhCsvSniff *volatile sniff = NULL;
	const char *file = linitial(family->files);
	ListCell   *lc;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		sniff = wh_csv_sniff(directory, sample_files(family->files), given);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		/* What is not about the file ends the statement: a cancel, a lack of memory. */
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			ReThrowError(error);
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("no table is made for file \"%s\": %s", file, error->message)));
		return NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (sniff->ncolumns == 0)
	{
		ereport(WARNING,
				(errmsg("file \"%s\" is empty: no table is made for it", file)));
		return NULL;
	}
	foreach(lc, sniff->notes)
		ereport(WARNING,
				(errmsg("table \"%s\", file \"%s\": %s", family->table, file, (char *) lfirst(lc))));
	return sniff;
}

/*
 * Write the CREATE FOREIGN TABLE statements of IMPORT FOREIGN SCHEMA.  The
 * remote schema is "." or a directory below the server's.
 */
List *
wh_csv_import(ImportForeignSchemaStmt *stmt, Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	WhCsvOptions options;
	List	   *commands = NIL;
	List	   *files;
	ListCell   *lc;
	char	   *prefix = "";

	wh_csv_options_known(stmt->options, ForeignTableRelationId);
	wh_csv_options_of_a_file(stmt->options);
	wh_csv_options_init(&options);
	wh_csv_options_apply(&options, server->options);
	if (options.directory == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"directory\" to import from", server->servername)));
	if (strcmp(stmt->remote_schema, ".") != 0)
	{
		if (is_absolute_path(stmt->remote_schema) || wh_csv_is_glob(stmt->remote_schema) ||
			strstr(stmt->remote_schema, "..") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("schema \"%s\" is outside of the directory of its server", stmt->remote_schema),
					 errhint("Name \".\" or a directory below the server's.")));
		prefix = psprintf("%s/", stmt->remote_schema);
	}

	files = wh_csv_list_pattern(options.directory, psprintf("%s*", prefix));
	foreach(lc, find_families(files))
	{
		Family	   *family = lfirst(lc);
		WhCsvSniff *sniff;
		const char *option = "filename";
		char	   *value = linitial(family->files);

		if (!is_wanted(stmt, family->table))
			continue;
		sniff = sniff_family(options.directory, family, stmt->options);
		if (sniff == NULL)
			continue;
		if (family->stem != NULL)
		{
			option = "pattern";
			value = psprintf("%s%s[0-9]*%s", pattern_of_name(prefix), pattern_of_name(family->stem),
							 family->mixed ? ".[cCtT][sS][vV]*" : family->suffix);
		}
		commands = lappend(commands,
						   wh_csv_sniff_statement(sniff, stmt->local_schema, family->table,
												  server->servername, option, value));
	}
	return commands;
}
