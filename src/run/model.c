/*
 * model.c
 *	  wh.create_model: runs the script of a model that is installed beside the
 *	  extension.
 *
 * Reads only <sharedir>/extension/widgets_wh/models/<model>/<role>.sql; names
 * are of a-z, 0-9 and _, so no path leads out of it.  The script runs in the
 * caller's transaction with the caller's rights.  It reads its options from
 * the parameter widgets_wh.model_options, and declares each in a comment:
 *
 *	  -- option directory: where the files are
 *
 * A line "\ir <role>.<part>.sql" stands for that file, as it does in psql.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "port.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "settings.h"

#define OPTION_MARK "-- option "
#define INCLUDE_MARK "\\ir "

static char *
models_directory(void)
{
	char		share[MAXPGPATH];

	get_share_path(my_exec_path, share);
	return psprintf("%s/extension/widgets_wh/models", share);
}

static bool
is_model_name(const char *name)
{
	return name[0] != '\0' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* Add the roles of one model to a list such as "a (warehouse), b (operations, warehouse)". */
static void
append_roles(StringInfo list, const char *directory, const char *model)
{
	char	   *path = psprintf("%s/%s", directory, model);
	DIR		   *dir = AllocateDir(path);
	struct dirent *entry;
	int			nroles = 0;

	if (dir == NULL)
		return;
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		int			len = strlen(entry->d_name) - strlen(".sql");
		char	   *role = len > 0 ? pnstrdup(entry->d_name, len) : NULL;

		if (role == NULL || strcmp(entry->d_name + len, ".sql") != 0 || !is_model_name(role))
			continue;
		if (nroles++ == 0)
			appendStringInfo(list, "%s%s (", list->len ? ", " : "", model);
		else
			appendStringInfoString(list, ", ");
		appendStringInfoString(list, role);
	}
	if (nroles > 0)
		appendStringInfoChar(list, ')');
	FreeDir(dir);
}

/* Say which models there are, with their roles. */
static char *
available_models(const char *directory)
{
	StringInfoData list;
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	initStringInfo(&list);
	if (dir != NULL)
	{
		while ((entry = ReadDir(dir, directory)) != NULL)
			if (is_model_name(entry->d_name))
				append_roles(&list, directory, entry->d_name);
		FreeDir(dir);
	}
	return list.len ? list.data : pstrdup("none");
}

/* Read a file of a model, in the current memory context; NULL when it is not there. */
static char *
read_model_file(const char *path)
{
	StringInfoData text;
	char		buffer[8192];
	size_t		n;
	FILE	   *file = AllocateFile(path, "r");

	if (file == NULL)
		return NULL;
	initStringInfo(&text);
	while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
		appendBinaryStringInfo(&text, buffer, n);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	FreeFile(file);
	pg_verify_mbstr(PG_UTF8, text.data, text.len, false);
	return pg_any_to_server(text.data, text.len, PG_UTF8);
}

/* Put the parts of a script in the place of the lines that name them. */
static char *
include_parts(const char *script, const char *directory, const char *role)
{
	StringInfoData all;
	int			prefix_len = strlen(INCLUDE_MARK) + strlen(role);
	char	   *prefix = psprintf(INCLUDE_MARK "%s.", role);

	initStringInfo(&all);
	while (*script != '\0')
	{
		int			len = strcspn(script, "\n");

		if (strncmp(script, prefix, prefix_len + 1) == 0)
		{
			char	   *part = pnstrdup(script + prefix_len + 1, len - prefix_len - 1);
			char	   *suffix = strstr(part, ".sql");
			char	   *text = NULL;

			if (suffix != NULL && suffix[strlen(".sql")] == '\0')
			{
				*suffix = '\0';
				if (is_model_name(part))
					text = read_model_file(psprintf("%s/%s.%s.sql", directory, role, part));
			}
			if (text == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_FILE),
						 errmsg("the script of a model has no part \"%s.%s\"", role, part)));
			appendStringInfoString(&all, text);
		}
		else
			appendBinaryStringInfo(&all, script, len);
		appendStringInfoChar(&all, '\n');
		script += len + (script[len] == '\n');
	}
	return all.data;
}

/* Read a script, in the current memory context. */
static char *
read_script(const char *model, const char *role)
{
	char	   *models = models_directory();
	char	   *directory = psprintf("%s/%s", models, model);
	char	   *script = NULL;

	if (is_model_name(model) && is_model_name(role))
		script = read_model_file(psprintf("%s/%s.sql", directory, role));
	if (script == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("model \"%s\" with role \"%s\" does not exist", model, role),
				 errhint("Models and their roles are: %s.", available_models(models))));
	return include_parts(script, directory, role);
}

/* Say whether the script declares an option; add all it declares to a list. */
static bool
script_has_option(const char *script, const char *option, StringInfo list)
{
	bool		found = false;

	resetStringInfo(list);
	while (script != NULL)
	{
		if (strncmp(script, OPTION_MARK, strlen(OPTION_MARK)) == 0)
		{
			const char *name = script + strlen(OPTION_MARK);
			int			len = strcspn(name, ":\n");

			if (name[len] == ':')
			{
				appendStringInfo(list, "%s%.*s", list->len ? ", " : "", len, name);
				found |= len == strlen(option) && strncmp(name, option, len) == 0;
			}
		}
		script = strchr(script, '\n');
		if (script != NULL)
			script++;
	}
	return found;
}

/* Refuse options that the script does not declare. */
static void
check_options(const char *model, const char *script, Jsonb *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	StringInfoData list;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be an object, such as {\"directory\": \"/srv/shop\"}")));
	initStringInfo(&list);
	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		char	   *option;

		if (token != WJB_KEY)
			continue;
		option = pnstrdup(v.val.string.val, v.val.string.len);
		if (!script_has_option(script, option, &list))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("model \"%s\" has no option \"%s\"", model, option),
					 list.len ? errhint("Its options are: %s.", list.data) :
					 errhint("It has no options.")));
		(void) JsonbIteratorNext(&it, &v, true);	/* its value is the script's matter */
	}
}

/* What an error in a script says of where it was. */
typedef struct ScriptContext
{
	const char *model;
	const char *role;
} ScriptContext;

static void
script_error_callback(void *arg)
{
	ScriptContext *context = arg;

	errcontext("script of model \"%s\", role \"%s\"", context->model, context->role);
}

/* Return the text of a statement, without the comments before it. */
static char *
statement_text(const char *script, const RawStmt *statement)
{
	const char *start = script + statement->stmt_location;
	const char *end = statement->stmt_len > 0 ? start + statement->stmt_len : start + strlen(start);

	for (;;)
	{
		start += strspn(start, " \t\r\n");
		if (strncmp(start, "--", 2) != 0)
			break;
		start += strcspn(start, "\n");
	}
	return pnstrdup(start, end - start);
}

/* Of a statement in an error's context, leave the first line: some are pages long. */
static void
shorten_context(ErrorData *error, const char *statement)
{
	char	   *place = error->context ? strstr(error->context, statement) : NULL;
	int			line = strcspn(statement, "\n");

	if (place != NULL && statement[line] != '\0')
		error->context = psprintf("%.*s%.*s ...%s", (int) (place - error->context), error->context, line, statement,
								  place + strlen(statement));
}

/* Run a statement of a script; an error shows the first line of it. */
static int
run_statement(const char *statement)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int result = 0;

	PG_TRY();
	{
		result = SPI_execute(statement, false, 0);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		shorten_context(error, statement);
		ReThrowError(error);
	}
	PG_END_TRY();
	return result;
}

/*
 * Run a script, statement by statement: each is analysed after those before it
 * have run, and an error shows the one that failed.
 */
static void
run_script(const char *model, const char *role, const char *script)
{
	ScriptContext context = {model, role};
	ErrorContextCallback callback;
	ListCell   *cell;

	callback.callback = script_error_callback;
	callback.arg = &context;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	SPI_connect();
	foreach(cell, raw_parser(script, RAW_PARSE_DEFAULT))
	{
		int			result = run_statement(statement_text(script, lfirst_node(RawStmt, cell)));

		if (result < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("could not run the script of model \"%s\": %s", model,
							SPI_result_code_string(result)),
					 errhint("A script must not begin or end a transaction.")));
	}
	SPI_finish();
	error_context_stack = callback.previous;
}

PG_FUNCTION_INFO_V1(wh_create_model);

/* wh.create_model(model, role, options) returns void */
Datum
wh_create_model(PG_FUNCTION_ARGS)
{
	char	   *model,
			   *role,
			   *script;
	Jsonb	   *options;
	int			nest;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of wh.create_model must not be NULL")));
	model = text_to_cstring(PG_GETARG_TEXT_PP(0));
	role = text_to_cstring(PG_GETARG_TEXT_PP(1));
	options = PG_GETARG_JSONB_P(2);
	script = read_script(model, role);
	check_options(model, script, options);

	nest = NewGUCNestLevel();
	(void) set_config_option(WH_SETTING_PREFIX ".model_options",
							 JsonbToCString(NULL, &options->root, VARSIZE(options)),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	run_script(model, role, script);
	AtEOXact_GUC(true, nest);
	PG_RETURN_VOID();
}
