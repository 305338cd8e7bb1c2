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
#include "catalog/pg_collation_d.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "csv/csv_option_value.h"
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
	{"comment", ForeignTableRelationId},
	{"compression", ForeignTableRelationId},
	{"currency", ForeignTableRelationId},
	{"date_format", ForeignTableRelationId},
	{"decimal", ForeignTableRelationId},
	{"delimiter", ForeignTableRelationId},
	{"encoding", ForeignTableRelationId},
	{"escape", ForeignTableRelationId},
	{"extra_columns", ForeignTableRelationId},
	{"filename", ForeignTableRelationId},
	{"format", ForeignTableRelationId},
	{"header", ForeignTableRelationId},
	{"long_records", ForeignTableRelationId},
	{"max_record_size", ForeignTableRelationId},
	{"missing_columns", ForeignTableRelationId},
	{"name_case", ForeignTableRelationId},
	{"negative", ForeignTableRelationId},
	{"null", ForeignTableRelationId},
	{"pattern", ForeignTableRelationId},
	{"percent", ForeignTableRelationId},
	{"quote", ForeignTableRelationId},
	{"quoted_null", ForeignTableRelationId},
	{"settle", ForeignTableRelationId},
	{"short_records", ForeignTableRelationId},
	{"skip", ForeignTableRelationId},
	{"skip_footer", ForeignTableRelationId},
	{"thousands", ForeignTableRelationId},
	{"time_zone", ForeignTableRelationId},
	{"trim", ForeignTableRelationId},
	{"currency", AttributeRelationId},
	{"date_format", AttributeRelationId},
	{"decimal", AttributeRelationId},
	{"match", AttributeRelationId},
	{"metadata", AttributeRelationId},
	{"name", AttributeRelationId},
	{"negative", AttributeRelationId},
	{"null", AttributeRelationId},
	{"occurrence", AttributeRelationId},
	{"path", AttributeRelationId},
	{"percent", AttributeRelationId},
	{"position", AttributeRelationId},
	{"quoted_null", AttributeRelationId},
	{"thousands", AttributeRelationId},
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
	strcpy(options->dialect.delimiter, ",");
	options->dialect.quote = '"';
	options->dialect.escape = -1;
	wh_value_format_init(&options->field.format);
	options->field.nulls = list_make1("");
	options->encoding = -1;
	options->compression = WH_CSV_AUTO;
	options->max_record = WH_CSV_MAX_RECORD;
}

/* Read the encoding, to which PostgreSQL's names are known, and UTF-16. */
static void
set_encoding(WhCsvOptions *options, const char *value)
{
	options->utf16 = pg_strncasecmp(value, "utf16", 5) == 0 || pg_strncasecmp(value, "utf-16", 6) == 0;
	if (options->utf16)
	{
		const char *order = value + (value[3] == '-' ? 6 : 5);

		options->big_endian = pg_strcasecmp(order, "be") == 0;
		options->encoding = PG_UTF8;
		if (options->big_endian || *order == '\0' || pg_strcasecmp(order, "le") == 0)
			return;
	}
	options->encoding = pg_char_to_encoding(value);
	if (options->encoding < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"encoding\": \"%s\"", value),
				 errhint("It must be the name of an encoding that PostgreSQL knows, UTF16, UTF16LE or UTF16BE.")));
}

/* Read a delimiter of one or several bytes. */
static void
set_delimiter(WhCsvOptions *options, const char *value)
{
	if (*value == '\0' || strlen(value) > WH_CSV_DELIMITER || strpbrk(value, "\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"delimiter\": \"%s\"", value),
				 errhint("It must be one to %d bytes, without a line end.", WH_CSV_DELIMITER)));
	strcpy(options->dialect.delimiter, value);
	options->delimiter_given = true;
}

/* Read a text that separates groups of digits: one character, not a digit. */
static const char *
separator(const char *name, const char *value)
{
	if (*value == '\0' || pg_mblen(value) != (int) strlen(value) || strchr("0123456789+-eE", *value) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It must be one character that is no part of a number.")));
	return value;
}

/*
 * Read an option of a table or column that says how fields become values;
 * returns false when it is none.
 */
bool
wh_csv_field_option(WhCsvFieldOptions *field, const char *name, const char *value)
{
	WhValueFormat *format = &field->format;

	if (strcmp(name, "date_format") == 0)
	{
		char	   *message;

		format->date_format = pg_strcasecmp(value, "ISO") == 0 ? NULL : value;
		if (format->date_format && wh_date_pattern_compile(value, &message) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid value for option \"date_format\": \"%s\"", value),
					 errdetail("In this format, %s.", message),
					 errhint("Write ISO, excel, excel1904, epoch, epoch_ms, or letters such as DD.MM.YYYY HH24:MI:SS.")));
	}
	else if (strcmp(name, "decimal") == 0)
		format->decimal = *separator(name, value);
	else if (strcmp(name, "thousands") == 0)
		format->thousands = *value ? separator(name, value) : NULL;
	else if (strcmp(name, "negative") == 0)
	{
		int			choice = wh_csv_choice(name, value, (const char *const[]) {"minus", "parentheses", "trailing", "any", NULL});

		format->parentheses = choice == 1 || choice == 3;
		format->trailing_minus = choice == 2 || choice == 3;
	}
	else if (strcmp(name, "percent") == 0)
		format->percent = (WhValuePercent) wh_csv_choice(name, value, (const char *const[]) {"error", "keep", "divide", NULL});
	else if (strcmp(name, "currency") == 0)
	{
		List	   *signs = *value ? wh_csv_text_list(name, value) : NIL;
		const char **array = palloc0(sizeof(char *) * (list_length(signs) + 1));

		for (int i = 0; i < list_length(signs); i++)
		{
			array[i] = list_nth(signs, i);
			if (*array[i] == '\0')
				wh_csv_bad_value(name, value, "signs that are not empty");
		}
		format->currencies = signs ? array : NULL;
	}
	else if (strcmp(name, "null") == 0)
		field->nulls = wh_csv_text_list(name, value);
	else if (strcmp(name, "quoted_null") == 0)
		field->quoted_null = (WhCsvQuotedNull) wh_csv_choice(name, value, (const char *const[]) {"never", "not_text", "always", NULL});
	else
		return false;
	return true;
}

/* Read an option that says which lines and fields are data; false when it is none. */
static bool
shape_option(WhCsvOptions *options, const char *name, const char *value)
{
	WhCsvDialect *dialect = &options->dialect;

	if (strcmp(name, "format") == 0)
		options->format = (WhCsvFormat) wh_csv_choice(name, value, (const char *const[]) {"csv", "fixed", "json", NULL});
	else if (strcmp(name, "header") == 0)
	{
		options->header = (WhCsvHeader) wh_csv_choice(name, value, (const char *const[]) {"match", "skip", "none", NULL});
		options->header_given = true;
	}
	else if (strcmp(name, "delimiter") == 0)
		set_delimiter(options, value);
	else if (strcmp(name, "quote") == 0)
		dialect->quote = wh_csv_one_byte_or_none(name, value);
	else if (strcmp(name, "escape") == 0)
		dialect->escape = wh_csv_one_byte_or_none(name, value);
	else if (strcmp(name, "trim") == 0)
		dialect->trim = wh_csv_boolean(name, value);
	else if (strcmp(name, "comment") == 0)
		options->comment = *value ? value : NULL;
	else if (strcmp(name, "skip") == 0)
		options->skip = wh_csv_count(name, value, 0, 0, 1000000);
	else if (strcmp(name, "skip_footer") == 0)
		options->skip_footer = wh_csv_count(name, value, 0, 0, 10000);
	else if (strcmp(name, "extra_columns") == 0)
		options->extra_error = wh_csv_choice(name, value, (const char *const[]) {"ignore", "error", NULL}) == 1;
	else if (strcmp(name, "missing_columns") == 0)
		options->missing_null = wh_csv_choice(name, value, (const char *const[]) {"error", "null", NULL}) == 1;
	else if (strcmp(name, "name_case") == 0)
		options->any_case = wh_csv_choice(name, value, (const char *const[]) {"match", "ignore", NULL}) == 1;
	else if (strcmp(name, "short_records") == 0)
		options->pad_short = wh_csv_choice(name, value, (const char *const[]) {"error", "pad", NULL}) == 1;
	else if (strcmp(name, "long_records") == 0)
		options->long_records = (WhCsvLong) wh_csv_choice(name, value, (const char *const[]) {"error", "empty", "ignore", NULL});
	else
		return false;
	return true;
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

		if (wh_csv_field_option(&options->field, name, value) || shape_option(options, name, value))
			continue;
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
			wh_csv_check_path(name, value);
			options->filename = value;
		}
		else if (strcmp(name, "pattern") == 0)
		{
			wh_csv_check_path(name, value);
			options->pattern = value;
		}
		else if (strcmp(name, "encoding") == 0)
			set_encoding(options, value);
		else if (strcmp(name, "compression") == 0)
			options->compression = (WhCsvCompression) wh_csv_choice(name, value, (const char *const[]) {"auto", "none", "gzip", "zstd", NULL});
		else if (strcmp(name, "max_record_size") == 0)
			options->max_record = wh_csv_count(name, value, GUC_UNIT_BYTE, 1, (int) (MaxAllocSize / 2));
		else if (strcmp(name, "settle") == 0)
			options->settle = wh_csv_count(name, value, GUC_UNIT_S, 0, PG_INT32_MAX);
		else if (strcmp(name, "time_zone") == 0)
		{
			if (pg_tzset(value) == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("time zone \"%s\" not recognized", value)));
			options->time_zone = value;
		}
		else if (strcmp(name, "metadata") == 0)
			(void) wh_csv_choice(name, value, (const char *const[]) {"filename", "line", NULL});
		else if (strcmp(name, "match") == 0)
			(void) RE_compile_and_cache(cstring_to_text(value), REG_ADVANCED, C_COLLATION_OID);
		else if (strcmp(name, "position") == 0)
		{
			int			from,
						to;

			wh_csv_position(name, value, &from, &to);
		}
		else if (strcmp(name, "occurrence") == 0)
			(void) wh_csv_count(name, value, 0, 1, MaxAttrNumber);
		else if (strcmp(name, "name") != 0 && strcmp(name, "path") != 0)
			elog(ERROR, "unexpected option \"%s\"", name);
	}
	if (options->format != WH_CSV_DELIMITED)
	{
		if (!options->header_given)
			options->header = WH_CSV_HEADER_NONE;
		options->dialect.delimiter[0] = '\0';
		options->dialect.quote = options->dialect.escape = -1;
	}
}

/* Check options that must fit each other. */
void
wh_csv_options_check(const WhCsvOptions *options)
{
	const WhCsvDialect *dialect = &options->dialect;
	bool		trails = (unsigned char) dialect->delimiter[0] >= FIRST_TRAIL_BYTE ||
		dialect->quote >= FIRST_TRAIL_BYTE || dialect->escape >= FIRST_TRAIL_BYTE;

	if (dialect->quote >= 0 && strchr(dialect->delimiter, dialect->quote) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"delimiter\" and \"quote\" must differ")));
	if (dialect->escape >= 0 && (unsigned char) dialect->delimiter[0] == dialect->escape)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"delimiter\" and \"escape\" must differ")));
	if (options->filename != NULL && options->pattern != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"filename\" and \"pattern\" exclude each other")));
	if (options->format != WH_CSV_DELIMITED && options->header == WH_CSV_HEADER_MATCH)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("a file of format fixed or json has no header to match"),
				 errhint("Write header 'skip' when its first line is no data.")));
	if (options->field.format.thousands && options->field.format.thousands[0] == options->field.format.decimal)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"decimal\" and \"thousands\" must differ"),
				 errhint("The decimal point is \".\" unless the option says otherwise.")));
	if (options->encoding >= 0 && PG_ENCODING_IS_CLIENT_ONLY(options->encoding) && trails)
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

/* Raise the error of the first option that is not valid in a catalog. */
void
wh_csv_options_known(List *defs, Oid catalog)
{
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
}

/* Refuse options that say which files a table has: here they are known. */
void
wh_csv_options_of_a_file(List *defs)
{
	ListCell   *lc;

	foreach(lc, defs)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;

		if (strcmp(name, "filename") == 0 || strcmp(name, "pattern") == 0 || strcmp(name, "settle") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("option \"%s\" cannot be given here", name)));
	}
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

	wh_csv_options_known(defs, catalog);
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
