/*
 * csv_options.c
 *	  Options of the foreign data wrapper wh_csv: validates and reads them, and
 *	  says who may name a file of the server's machine.
 *
 * Runs in any backend, in the caller's transaction; takes no locks.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_authid_d.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "csv/csv_options.h"

/* Lowest byte that may be part of a longer character in some encoding. */
#define FIRST_TRAIL_BYTE	0x30

/* Edits that make another option name no likely meaning. */
#define CLOSEST_OPTION		4

typedef struct WhCsvOption
{
	const char *name;
	Oid			catalog;		/* where it may be given */
} WhCsvOption;

static const WhCsvOption valid_options[] = {
	{"directory", ForeignServerRelationId},
	{"compression", ForeignTableRelationId},
	{"delimiter", ForeignTableRelationId},
	{"encoding", ForeignTableRelationId},
	{"extra_columns", ForeignTableRelationId},
	{"filename", ForeignTableRelationId},
	{"header", ForeignTableRelationId},
	{"max_record_size", ForeignTableRelationId},
	{"null", ForeignTableRelationId},
	{"pattern", ForeignTableRelationId},
	{"quote", ForeignTableRelationId},
	{"metadata", AttributeRelationId},
	{"name", AttributeRelationId},
	{NULL, InvalidOid}
};

PG_FUNCTION_INFO_V1(wh_csv_fdw_validator);

/* Raise 42501 unless role is a member of pg_read_server_files. */
void
wh_csv_require_server_files(Oid role, const char *detail)
{
	if (!has_privs_of_role(role, ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server's machine"),
				 errdetail("%s", detail),
				 errhint("Only members of pg_read_server_files may do this.")));
}

/* Say whether a file name has wildcards. */
bool
wh_csv_is_glob(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

/* Set every option to its default. */
void
wh_csv_options_init(WhCsvOptions *options)
{
	memset(options, 0, sizeof(*options));
	options->header = WH_CSV_HEADER_MATCH;
	options->delimiter = ',';
	options->quote = '"';
	options->null_string = "";
	options->encoding = -1;
	options->compression = WH_CSV_AUTO;
	options->max_record = WH_CSV_MAX_RECORD;
}

/* Raise the error of an option whose value is none of those allowed. */
static void
bad_value(const char *option, const char *value, const char *allowed)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
			 errhint("Valid values are: %s.", allowed)));
}

/* Read an option that is one byte. */
static char
one_byte(const char *option, const char *value)
{
	if (strlen(value) != 1 || *value == '\n' || *value == '\r' || IS_HIGHBIT_SET(*value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
				 errhint("It must be a single one-byte character, and no line end.")));
	return *value;
}

/* Refuse a path with a component "..". */
static void
check_path(const char *option, const char *path)
{
	const char *p = path;

	if (*path == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" must not be empty", option)));
	while (p != NULL)
	{
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("option \"%s\" must not contain \"..\"", option)));
		p = strchr(p, '/');
		if (p != NULL)
			p++;
	}
}

/* Read max_record_size: bytes, or a number with a unit. */
static Size
record_size(const char *value)
{
	int			n;
	const char *hint = NULL;

	if (!parse_int(value, &n, GUC_UNIT_BYTE, &hint) || n < 1 || n > (int) (MaxAllocSize / 2))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"max_record_size\": \"%s\"", value),
				 hint ? errhint("%s", _(hint)) :
				 errhint("It must be between 1 and %d bytes.", (int) (MaxAllocSize / 2))));
	return n;
}

/* Read options from DefElems, each checked by itself. */
void
wh_csv_options_apply(WhCsvOptions *options, List *defs)
{
	ListCell   *lc;

	foreach(lc, defs)
	{
		DefElem    *def = lfirst(lc);
		char	   *name = def->defname;
		char	   *value = defGetString(def);

		if (strcmp(name, "directory") == 0)
		{
			if (!is_absolute_path(value))
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("option \"directory\" must be an absolute path")));
			options->directory = value;
		}
		else if (strcmp(name, "filename") == 0)
		{
			check_path(name, value);
			options->filename = value;
		}
		else if (strcmp(name, "pattern") == 0)
		{
			check_path(name, value);
			options->pattern = value;
		}
		else if (strcmp(name, "header") == 0)
		{
			if (strcmp(value, "match") == 0)
				options->header = WH_CSV_HEADER_MATCH;
			else if (strcmp(value, "skip") == 0)
				options->header = WH_CSV_HEADER_SKIP;
			else if (strcmp(value, "none") == 0)
				options->header = WH_CSV_HEADER_NONE;
			else
				bad_value(name, value, "match, skip, none");
		}
		else if (strcmp(name, "delimiter") == 0)
			options->delimiter = one_byte(name, value);
		else if (strcmp(name, "quote") == 0)
			options->quote = one_byte(name, value);
		else if (strcmp(name, "null") == 0)
			options->null_string = value;
		else if (strcmp(name, "encoding") == 0)
		{
			options->encoding = pg_char_to_encoding(value);
			if (options->encoding < 0)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("invalid value for option \"encoding\": \"%s\"", value),
						 errhint("It must be the name of an encoding that PostgreSQL knows.")));
		}
		else if (strcmp(name, "compression") == 0)
		{
			if (strcmp(value, "auto") == 0)
				options->compression = WH_CSV_AUTO;
			else if (strcmp(value, "none") == 0)
				options->compression = WH_CSV_PLAIN;
			else if (strcmp(value, "gzip") == 0)
				options->compression = WH_CSV_GZIP;
			else if (strcmp(value, "zstd") == 0)
				options->compression = WH_CSV_ZSTD;
			else
				bad_value(name, value, "auto, gzip, zstd, none");
		}
		else if (strcmp(name, "max_record_size") == 0)
			options->max_record = record_size(value);
		else if (strcmp(name, "extra_columns") == 0)
		{
			if (strcmp(value, "ignore") == 0)
				options->extra_error = false;
			else if (strcmp(value, "error") == 0)
				options->extra_error = true;
			else
				bad_value(name, value, "ignore, error");
		}
		else if (strcmp(name, "metadata") == 0)
		{
			if (strcmp(value, "filename") != 0 && strcmp(value, "line") != 0)
				bad_value(name, value, "filename, line");
		}
		else if (strcmp(name, "name") != 0)
			elog(ERROR, "unexpected option \"%s\"", name);
	}
}

/* Check options that must fit each other. */
void
wh_csv_options_check(const WhCsvOptions *options)
{
	if (options->delimiter == options->quote)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" must differ")));
	if (options->filename != NULL && options->pattern != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"filename\" and \"pattern\" exclude each other")));
	if (options->encoding >= 0 && PG_ENCODING_IS_CLIENT_ONLY(options->encoding) &&
		((unsigned char) options->delimiter >= FIRST_TRAIL_BYTE ||
		 (unsigned char) options->quote >= FIRST_TRAIL_BYTE))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("delimiter or quote can be part of a character in encoding %s",
						pg_encoding_to_char(options->encoding)),
				 errhint("Use a comma, a tab, or another character below \"0\".")));
}

/* Raise the error of an option that is not valid where it was given. */
static void
unknown_option(const char *name, Oid catalog)
{
	const WhCsvOption *option;
	const char *closest = NULL;
	int			closest_distance = CLOSEST_OPTION + 1;
	int			len = strlen(name);
	StringInfoData names;

	initStringInfo(&names);
	for (option = valid_options; option->name; option++)
	{
		int			distance;

		if (option->catalog != catalog)
			continue;
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", option->name);
		if (len > NAMEDATALEN)
			continue;
		distance = varstr_levenshtein_less_equal(name, len, option->name,
												 strlen(option->name), 1, 1, 1,
												 CLOSEST_OPTION, true);
		if (distance < closest_distance && distance < len)
		{
			closest = option->name;
			closest_distance = distance;
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ? errhint("Perhaps you meant the option \"%s\".", closest) :
			 names.len ? errhint("Valid options here are: %s.", names.data) :
			 errhint("There are no valid options in this context.")));
}

/*
 * wh.wh_csv_validator(options text[], catalog oid): validate the options of a
 * wrapper, server, user mapping, table or column.
 */
Datum
wh_csv_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *defs = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	WhCsvOptions options;
	ListCell   *lc;

	foreach(lc, defs)
	{
		DefElem    *def = lfirst(lc);
		const WhCsvOption *option;

		for (option = valid_options; option->name; option++)
			if (option->catalog == catalog && strcmp(option->name, def->defname) == 0)
				break;
		if (option->name == NULL)
			unknown_option(def->defname, catalog);
	}

	wh_csv_options_init(&options);
	wh_csv_options_apply(&options, defs);
	wh_csv_options_check(&options);
	if (options.directory != NULL)
		wh_csv_require_server_files(GetUserId(),
									"The option \"directory\" decides which files can be read.");
	if ((options.filename && is_absolute_path(options.filename)) ||
		(options.pattern && is_absolute_path(options.pattern)))
		wh_csv_require_server_files(GetUserId(),
									"The file named is outside of a server's directory.");
	if (catalog == ForeignTableRelationId && !options.filename && !options.pattern)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("either \"filename\" or \"pattern\" is required for a table of wrapper wh_csv")));
	PG_RETURN_VOID();
}
