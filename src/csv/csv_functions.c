/*
 * csv_functions.c
 *	  SQL functions over CSV files: wh.read_csv, wh.sniff_csv, wh.csv_errors.
 *
 * Run in the caller's transaction and with the caller's rights; take
 * AccessShareLock on the foreign table they are given.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#include "csv/csv_name.h"
#include "csv/csv_sniff.h"
#include "csv/csv_source.h"
#include "csv/csv_statement.h"

PG_FUNCTION_INFO_V1(wh_read_csv);
PG_FUNCTION_INFO_V1(wh_sniff_csv);
PG_FUNCTION_INFO_V1(wh_csv_errors);

/* Options that read_csv takes, in the order of its arguments. */
static const char *const read_csv_arguments[] = {
	"filename", "header", "delimiter", "quote", "null", "encoding",
	"compression", "max_record_size", "extra_columns"
};

/* Take the file name argument of a function, from someone who may read it. */
static char *
filename_argument(FunctionCallInfo fcinfo, const char *function)
{
	char	   *name;

	wh_csv_require_server_files(GetUserId(),
								psprintf("Function %s reads any file that the server's operating system user can read.", function));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("file name must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!is_absolute_path(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("file name \"%s\" is not an absolute path", name)));
	return name;
}

/* Read an argument of options, a JSON object, as those of a table. */
static List *
options_argument(FunctionCallInfo fcinfo, int n)
{
	List	   *defs = NIL;
	Jsonb	   *object;
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *name = NULL;
	int			depth = 0;

	if (PG_ARGISNULL(n))
		return NIL;
	object = PG_GETARG_JSONB_P(n);
	iterator = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		const char *text = NULL;

		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_BEGIN_OBJECT && depth == 0)
			depth++;
		else if (token == WJB_VALUE && depth == 1 && name)
		{
			if (value.type == jbvString)
				text = pnstrdup(value.val.string.val, value.val.string.len);
			else if (value.type == jbvBool)
				text = value.val.boolean ? "true" : "false";
			else if (value.type == jbvNumeric)
				text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
		}
		if (text != NULL)
			defs = lappend(defs, makeDefElem(name, (Node *) makeString(pstrdup(text)), -1));
		else if (token != WJB_KEY && token != WJB_BEGIN_OBJECT && token != WJB_END_OBJECT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("options must be a JSON object of texts, numbers and booleans")));
	}
	wh_csv_options_known(defs, ForeignTableRelationId);
	wh_csv_options_of_a_file(defs);
	return defs;
}

/*
 * wh.read_csv(filename text, ...) RETURNS SETOF record: the rows of a file, in
 * the columns of the caller's column list.
 */
Datum
wh_read_csv(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = filename_argument(fcinfo, "wh.read_csv");
	WhCsvOptions options;
	List	   *defs = NIL;
	WhCsvTable *table;
	WhCsvScan  *scan;
	WhSourceRow *row;
	int			i;

	for (i = 0; i < (int) lengthof(read_csv_arguments); i++)
		if (!PG_ARGISNULL(i))
			defs = lappend(defs, makeDefElem(pstrdup(read_csv_arguments[i]),
											 (Node *) makeString(text_to_cstring(PG_GETARG_TEXT_PP(i))),
											 -1));
	defs = list_concat(defs, options_argument(fcinfo, lengthof(read_csv_arguments)));
	wh_csv_options_init(&options);
	wh_csv_options_apply(&options, defs);
	wh_csv_options_check(&options);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	table = wh_csv_table_make(result->setDesc, &options);
	scan = wh_csv_begin(table, name, NULL, 0);
	while ((row = wh_csv_next(scan)) != NULL)
		tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->isnull);
	wh_csv_end(scan);
	return (Datum) 0;
}

/* Make an array of texts. */
static Datum
text_array(List *texts)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(texts), 1));

	for (int i = 0; i < list_length(texts); i++)
		elements[i] = CStringGetTextDatum(list_nth(texts, i));
	return PointerGetDatum(construct_array(elements, list_length(texts), TEXTOID, -1, false, TYPALIGN_INT));
}

/* wh.sniff_csv(filename text, options jsonb): a row that says what the file looks like. */
Datum
wh_sniff_csv(PG_FUNCTION_ARGS)
{
	static const char *const headers[] = {"match", "skip", "none"};
	char	   *path = filename_argument(fcinfo, "wh.sniff_csv");
	char	   *base = strrchr(path, '/') + 1;
	WhCsvSniff *sniff = wh_csv_sniff(NULL, list_make1(path), options_argument(fcinfo, 1));
	TupleDesc	desc;
	List	   *columns = NIL;
	List	   *types = NIL;
	Datum		values[8];
	bool		isnull[8] = {0};
	const char *server;
	const char *name;
	bool		found;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (sniff->ncolumns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("file \"%s\" is empty", path)));
	for (int i = 0; i < sniff->ncolumns; i++)
	{
		columns = lappend(columns, sniff->columns[i].name);
		types = lappend(types, format_type_be(sniff->columns[i].type.type));
	}
	server = wh_csv_server_of_file(path, &name, &found);
	if (!found)
		sniff->notes = lappend(sniff->notes, psprintf("no server of wrapper wh_csv reads this file: make server \"%s\" first", server));
	values[0] = CStringGetTextDatum(sniff->options.dialect.delimiter);
	values[1] = CStringGetTextDatum(headers[sniff->options.header]);
	values[2] = text_array(columns);
	values[3] = text_array(types);
	values[4] = Int64GetDatum(sniff->records);
	values[5] = CStringGetTextDatum(psprintf("%s;",
											 wh_csv_sniff_statement(sniff, NULL,
																	wh_csv_plain_name(pnstrdup(base, strcspn(base, "."))),
																	server, "filename", name)));
	values[6] = Int64GetDatum(sniff->misfits);
	values[7] = text_array(sniff->notes);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, isnull)));
}

/* Add the errors of a row to the result of wh.csv_errors. */
static void
put_errors(ReturnSetInfo *result, TupleDesc desc, const char *file, WhSourceRow *row)
{
	ListCell   *lc;

	foreach(lc, row->errors)
	{
		WhRowError *error = lfirst(lc);
		Datum		values[7];
		bool		isnull[7] = {0};

		values[0] = CStringGetTextDatum(file);
		values[1] = Int64GetDatum(row->low);
		isnull[1] = row->low == 0;
		values[2] = Int64GetDatum(row->byte_offset);
		isnull[2] = row->low == 0;
		if (error->attnum > 0)
			values[3] = CStringGetTextDatum(NameStr(TupleDescAttr(desc, error->attnum - 1)->attname));
		else
			isnull[3] = true;
		values[4] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		values[5] = CStringGetTextDatum(error->message);
		if (row->raw != NULL)
			values[6] = PointerGetDatum(cstring_to_text_with_len(row->raw, row->raw_len));
		else
			isnull[6] = true;
		tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
	}
}

/*
 * wh.csv_errors(foreign_table regclass): everything in a table's files that
 * can't be read or converted, a row per error.
 */
Datum
wh_csv_errors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	WhCsvTable *table;
	ListCell   *lc;

	if (!wh_csv_is_csv_table(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation with OID %u is not a foreign table of wrapper wh_csv", relid)));
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(relid));

	InitMaterializedSRF(fcinfo, 0);
	table = wh_csv_table_open(relid);
	foreach(lc, wh_csv_table_files(table))
	{
		WhCsvFileInfo *file = lfirst(lc);
		WhCsvScan  *scan = wh_csv_begin(table, file->name, NULL, WH_CSV_COLLECT);
		WhSourceRow *row;
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
													  "widgets_wh CSV errors",
													  ALLOCSET_DEFAULT_SIZES);
		MemoryContext old = MemoryContextSwitchTo(context);

		while ((row = wh_csv_next(scan)) != NULL)
		{
			if (row->errors == NIL)
				continue;
			put_errors(result, table->desc, file->name, row);
			MemoryContextReset(context);
		}
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		wh_csv_end(scan);
	}
	return (Datum) 0;
}
