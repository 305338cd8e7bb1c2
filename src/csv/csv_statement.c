/*
 * csv_statement.c
 *	  Writes the CREATE FOREIGN TABLE for what was found in a file, and finds the
 *	  server that can read it.
 *
 * Runs in any backend; reads pg_foreign_server under AccessShareLock.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "compat.h"
#include "csv/csv_statement.h"

/* Add an option to a list of them. */
static void
add_option(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "%s%s %s", out->len ? ", " : "", quote_identifier(name), quote_literal_cstr(value));
}

/* Write a column's options, without the parentheses. */
static char *
column_options(const WhCsvSniff *sniff, const WhCsvSniffColumn *column)
{
	const WhCsvColumnType *type = &column->type;
	const WhCsvFieldOptions *table = &sniff->options.field;
	StringInfoData out;

	initStringInfo(&out);
	if (column->header && sniff->options.header != WH_CSV_HEADER_SKIP && strcmp(column->header, column->name) != 0)
	{
		/* A name that looks like a list is written as one. */
		add_option(&out, "name", column->header[0] == '{' ? psprintf("{\"%s\"}", column->header) : column->header);
	}
	if (column->occurrence > 0 && sniff->options.header == WH_CSV_HEADER_MATCH)
		add_option(&out, "occurrence", psprintf("%d", column->occurrence));
	if (column->from > 0)
		add_option(&out, "position", psprintf("%d-%d", column->from, column->to));
	if (type->date_format && table->format.date_format == NULL)
		add_option(&out, "date_format", type->date_format);
	if (type->decimal != '.' && table->format.decimal == '.')
		add_option(&out, "decimal", psprintf("%c", type->decimal));
	if (type->thousands && table->format.thousands == NULL)
		add_option(&out, "thousands", type->thousands);
	if (type->negative)
		add_option(&out, "negative", type->negative);
	if (type->percent && table->format.percent == WH_PERCENT_ERROR)
		add_option(&out, "percent", type->percent);
	if (type->currency)
		add_option(&out, "currency", type->currency);
	if (type->nulls && list_length(table->nulls) == 1)
		add_option(&out, "null", type->nulls);
	if (type->quoted_null && table->quoted_null == WH_CSV_QUOTED_NEVER)
		add_option(&out, "quoted_null", "not_text");
	return out.data;
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
	StringInfoData options;
	ListCell   *lc;

	initStringInfo(&out);
	appendStringInfo(&out, "CREATE FOREIGN TABLE %s (\n",
					 quote_qualified_identifier(schema, table));
	for (int i = 0; i < sniff->ncolumns; i++)
	{
		WhCsvSniffColumn *column = &sniff->columns[i];
		char	   *own = column_options(sniff, column);

		appendStringInfo(&out, "    %s %s", quote_identifier(column->name), format_type_be(column->type.type));
		if (*own)
			appendStringInfo(&out, " OPTIONS (%s)", own);
		appendStringInfoString(&out, i + 1 < sniff->ncolumns ? ",\n" : "\n");
	}
	initStringInfo(&options);
	add_option(&options, option, value);
	foreach(lc, sniff->table_options)
		add_option(&options, ((DefElem *) lfirst(lc))->defname, defGetString(lfirst(lc)));
	appendStringInfo(&out, ") SERVER %s OPTIONS (%s)", quote_identifier(server), options.data);
	return out.data;
}

/*
 * Find a server of the wrapper by which the current user can read a file: one
 * whose directory is above it, or one without a directory; of several the one
 * named files, or the nearest.  *name is what a table calls the file.  *found
 * is false when there is none, and the server's name is only a proposal.
 */
const char *
wh_csv_server_of_file(const char *path, const char **name, bool *found)
{
	Oid			wrapper = get_foreign_data_wrapper_oid("wh_csv", true);
	const char *result = "files";
	int			best = 0;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	*name = path;
	*found = false;
	rel = table_open(ForeignServerRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
		ForeignServer *server;
		const char *directory = NULL;
		ListCell   *lc;
		int			score = 1;

		if (form->srvfdw != wrapper || wh_server_aclcheck(form->oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
			continue;
		server = GetForeignServer(form->oid);
		foreach(lc, server->options)
			directory = defGetString(lfirst(lc));
		if (directory)
		{
			Size		len = strlen(directory);

			while (len > 0 && directory[len - 1] == '/')
				len--;
			if (strncmp(path, directory, len) != 0 || path[len] != '/' || path[len + 1] == '\0')
				continue;
			score = 2 + len;
		}
		if (strcmp(server->servername, "files") == 0)
			score += MAXPGPATH;
		if (score <= best)
			continue;
		best = score;
		result = server->servername;
		*found = true;
		*name = path;
		if (directory)
			for (*name += strlen(directory); **name == '/'; (*name)++)
				;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}
