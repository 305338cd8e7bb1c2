/*
 * csv_table.c
 *	  What a CSV foreign table is made of: options, columns and files, and
 *	  whether its owner may read them.
 *
 * Runs in any backend, in the caller's transaction; takes AccessShareLock on
 * the table and keeps it.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "csv/csv_option_value.h"
#include "csv/csv_source.h"

/* Name of the foreign data wrapper. */
#define WRAPPER		"wh_csv"

/* Bytes hashed at a time. */
#define HASH_CHUNK	(256 * 1024)

/* Say whether a relation is a foreign table of wrapper wh_csv. */
bool
wh_csv_is_csv_table(Oid relid)
{
	ForeignServer *server;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	server = GetForeignServer(GetForeignServerIdByRelId(relid));
	return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, WRAPPER) == 0;
}

/* Read the options of a column; desc says its type. */
static void
read_column(WhCsvTable *table, WhCsvColumn *column, Form_pg_attribute att)
{
	ListCell   *lc;

	column->attnum = att->attnum;
	column->names = list_make1(pstrdup(NameStr(att->attname)));
	column->field = table->options.field;
	if (OidIsValid(table->relid))
	{
		foreach(lc, GetForeignColumnOptions(table->relid, att->attnum))
		{
			DefElem    *def = lfirst(lc);
			char	   *value = defGetString(def);

			if (wh_csv_field_option(&column->field, def->defname, value))
				continue;
			if (strcmp(def->defname, "name") == 0)
				column->names = wh_csv_text_list("name", value);
			else if (strcmp(def->defname, "occurrence") == 0)
				column->occurrence = wh_csv_count("occurrence", value, 0, 1, MaxAttrNumber);
			else if (strcmp(def->defname, "path") == 0)
				column->path = value;
			else if (strcmp(def->defname, "position") == 0)
				wh_csv_position("position", value, &column->from, &column->to);
			else if (strcmp(def->defname, "match") == 0)
				column->match = value;
			else if (strcmp(value, "filename") == 0)
				column->is_filename = true;
			else
				column->is_line = true;
		}
	}
	if (column->is_filename && column->match == NULL && att->atttypid != TEXTOID)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" with metadata \"filename\" must be of type text",
						NameStr(att->attname)),
				 errhint("With the column option \"match\", a part of the name can have any type.")));
	if (column->is_line && att->atttypid != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" with metadata \"line\" must be of type bigint",
						NameStr(att->attname))));
	if (column->match && !column->is_filename)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"match\" of column \"%s\" needs metadata \"filename\"", NameStr(att->attname))));
	if (table->options.format == WH_CSV_FIXED && column->from == 0 && !column->is_filename && !column->is_line)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("column \"%s\" of a table of format fixed has no option \"position\"", NameStr(att->attname)),
				 errhint("Write, for instance, OPTIONS (position '1-8').")));
}

/* Fill in the columns of a table whose options are known. */
static void
read_columns(WhCsvTable *table)
{
	int			i;

	table->columns = palloc0(sizeof(WhCsvColumn) * Max(table->desc->natts, 1));
	for (i = 0; i < table->desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table->desc, i);
		WhCsvColumn *column = &table->columns[table->ncolumns];

		if (att->attisdropped || att->attgenerated)
			continue;
		read_column(table, column, att);
		table->ncolumns++;
		if (!column->is_filename && !column->is_line)
			table->nfields++;
	}
}

/* Make a table that is in no catalog; desc and options are copied flatly. */
WhCsvTable *
wh_csv_table_make(TupleDesc desc, const WhCsvOptions *options)
{
	WhCsvTable *table = palloc0(sizeof(WhCsvTable));

	table->options = *options;
	if (options->time_zone)
		table->zone = pg_tzset(options->time_zone);
	table->desc = CreateTupleDescCopy(desc);
	read_columns(table);
	return table;
}

/* Check that the files named are those the table may read. */
static void
check_access(WhCsvTable *table, Oid owner)
{
	const WhCsvOptions *options = &table->options;
	const char *name = options->filename ? options->filename : options->pattern;

	if (options->directory != NULL)
	{
		if (is_absolute_path(name))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("file \"%s\" is outside of the directory of its server", name),
					 errhint("File names are relative to the server's option \"directory\".")));
		return;
	}
	wh_csv_require_server_files(owner,
								"The table's server has no option \"directory\", and the table's owner may not name other files.");
	if (!is_absolute_path(name))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("file name \"%s\" is relative, but its server has no option \"directory\"", name)));
}

/*
 * Read what there is to know about a CSV table, in the current memory context.
 * Raises 42501 when it names files its owner may not read.
 */
WhCsvTable *
wh_csv_table_open(Oid relid)
{
	WhCsvTable *table = palloc0(sizeof(WhCsvTable));
	ForeignTable *foreign = GetForeignTable(relid);
	ForeignServer *server = GetForeignServer(foreign->serverid);
	Relation	rel = table_open(relid, AccessShareLock);

	table->relid = relid;
	wh_csv_options_init(&table->options);
	wh_csv_options_apply(&table->options, server->options);
	wh_csv_options_apply(&table->options, foreign->options);
	wh_csv_options_check(&table->options);
	if (table->options.time_zone)
		table->zone = pg_tzset(table->options.time_zone);
	table->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	check_access(table, rel->rd_rel->relowner);
	read_columns(table);
	table_close(rel, NoLock);
	return table;
}

/*
 * Set the zone of times that are written without one, by its checked name,
 * unless the table's own option says it.
 */
void
wh_csv_table_set_zone(WhCsvTable *table, const char *zone)
{
	if (table->options.time_zone)
		return;
	table->zone = pg_tzset(zone);
	if (table->zone == NULL)
		elog(ERROR, "time zone \"%s\" was not checked", zone);
}

/*
 * List the table's files, as WhCsvFileInfo in byte order of their names, without
 * those that changed within its time to settle.  The one file of option
 * "filename" is listed even when it is not there.
 */
List *
wh_csv_table_files(WhCsvTable *table)
{
	const WhCsvOptions *options = &table->options;
	List	   *files = options->pattern ? wh_csv_list_pattern(options->directory, options->pattern) :
		list_make1(wh_csv_file_info(options->directory, options->filename));
	List	   *settled = NIL;
	time_t		now = time(NULL);
	ListCell   *lc;

	if (options->settle == 0)
		return files;
	foreach(lc, files)
	{
		WhCsvFileInfo *file = lfirst(lc);

		if (file->size < 0 || now - file->modified >= options->settle)
			settled = lappend(settled, file);
	}
	return settled;
}

/*
 * Compute the SHA-256 of a file's stored bytes (WH_CSV_CHECKSUM_LENGTH).
 * Returns false and the error, its message in the current memory context, when
 * it can't be read.
 */
bool
wh_csv_table_checksum(WhCsvTable *table, const char *name, uint8 *checksum,
					  WhRowError *err)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "widgets_wh CSV checksum",
												  ALLOCSET_DEFAULT_SIZES);
	WhCsvFile  *file = wh_csv_file_open(context, table->options.directory, name,
										WH_CSV_PLAIN, true, err);
	bool		ok = false;

	if (file != NULL)
	{
		char	   *buf = MemoryContextAlloc(context, HASH_CHUNK);
		ssize_t		n;

		while ((n = wh_csv_file_read(file, buf, HASH_CHUNK, err)) > 0)
			;
		ok = n == 0 && wh_csv_file_checksum(file, checksum);
		wh_csv_file_close(file);
	}
	MemoryContextDelete(context);
	return ok;
}
