/*
 * catalog.c
 *	  Reads and writes the rows of dimensions, facts and their inputs.
 *
 * Every function needs an SPI connection and runs in the caller's transaction.
 * Results are in the memory context that is current at the call.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "metadata/catalog.h"
#include "base/object_name.h"
#include "base/own_table.h"

/* Give the elements of a text[] as C strings. */
char	  **
wh_catalog_text_array(Datum array, int *n)
{
	Datum	   *elements;
	char	  **result;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, n);
	result = palloc(sizeof(char *) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		result[i] = TextDatumGetCString(elements[i]);
	return result;
}

/* What was dropped by hand is left out. */
static List *
objects_of(const char *table, const char *id_column, const char *kind)
{
	List	   *objects = NIL;
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, psprintf("SELECT d.%s, pg_catalog.format('%%I.%%I', s.nspname, c.relname)"
													 " FROM wh.%s d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.relation::oid"
													 " JOIN pg_catalog.pg_namespace s ON s.oid OPERATOR(pg_catalog.=) c.relnamespace"
													 " ORDER BY 1", id_column, table), 0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		WhObject   *object = palloc(sizeof(WhObject));

		object->id = DatumGetInt64(rows[i].values[0]);
		object->kind = kind;
		object->name = TextDatumGetCString(rows[i].values[1]);
		objects = lappend(objects, object);
	}
	return objects;
}

/* Give all dimensions (WhObject *), in the order they were made. */
List *
wh_catalog_dimensions(void)
{
	return objects_of("dimension", "dimension_id", "dimension");
}

/* Give all facts (WhObject *), in the order they were made. */
List *
wh_catalog_facts(void)
{
	return objects_of("fact", "fact_id", "fact");
}

static AttrNumber
attribute_number(TupleDesc tupdesc, const char *name)
{
	for (int i = 0; i < tupdesc->natts; i++)
		if (!TupleDescAttr(tupdesc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(tupdesc, i)->attname), name) == 0)
			return i + 1;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" is missing from the table of a dimension or fact", name),
			 errdetail("It was dropped or renamed behind the engine's back."),
			 errhint("Put it back; columns are changed with wh.alter_dimension and wh.alter_fact.")));
	return InvalidAttrNumber;
}

/*
 * Refuse a definition of another owner than the table's: its text would run
 * with the rights of somebody who cannot see to it.
 */
static void
check_one_owner(Relation rel, Oid definition)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(definition));
	Oid			owner = rel->rd_rel->relowner;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	if (owner != rel->rd_rel->relowner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" and its definition have different owners", RelationGetRelationName(rel)),
				 errhint("ALTER VIEW %s OWNER TO %s;", wh_relation_name(definition),
						 quote_identifier(GetUserNameFromId(rel->rd_rel->relowner, false)))));
}

/*
 * Lock the table of a dimension or fact until the transaction ends.  Who waits
 * for a DROP TABLE is told so here.
 */
static void
lock_table(Oid relid, Oid definition)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 OidIsValid(definition) && get_rel_name(definition) ?
				 errmsg("the table of definition \"%s\" was dropped", wh_relation_name(definition)) :
				 errmsg("the table of a dimension or fact was dropped"),
				 errhint("The next run leaves it out. Drop dimensions and facts with wh.drop_dimension and wh.drop_fact.")));
	check_one_owner(rel, definition);
	relation_close(rel, NoLock);
}

/* Copy the row type of a relation; the lock is kept until the transaction ends. */
static TupleDesc
relation_tupdesc(Oid relid)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	TupleDesc	tupdesc = CreateTupleDescCopy(RelationGetDescr(rel));

	relation_close(rel, NoLock);
	return tupdesc;
}

static int
scd_of(Jsonb *scd, const char *column, int default_scd)
{
	JsonbValue	key,
			   *value;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, column);
	key.val.string.len = strlen(column);
	value = findJsonbValueFromContainer(&scd->root, JB_FOBJECT, &key);
	if (value == NULL)
		return default_scd;
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, NumericGetDatum(value->val.numeric)));
}

/* Give the surrogate key of a day (DateADT). */
int64
wh_date_key(int32 date)
{
	int			year,
				month,
				day;

	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	return (int64) year * 10000 + month * 100 + day;
}

static WhGrain
grain_of(const char *name)
{
	if (name == NULL)
		return WH_GRAIN_NONE;
	if (strcmp(name, "hour") == 0)
		return WH_GRAIN_HOUR;
	if (strcmp(name, "day") == 0)
		return WH_GRAIN_DAY;
	if (strcmp(name, "week") == 0)
		return WH_GRAIN_WEEK;
	return WH_GRAIN_MONTH;
}

static int
column_index(const AttrNumber *columns, int ncolumns, AttrNumber attno)
{
	for (int i = 0; i < ncolumns; i++)
		if (columns[i] == attno)
			return i;
	elog(ERROR, "attribute %d is no column of the query", attno);
	return -1;
}

static bool
is_named(Form_pg_attribute att, const char *name)
{
	return strcmp(NameStr(att->attname), name) == 0;
}

/*
 * Find the query's columns in the table.  Those of a date dimension, which has
 * no query, are all but the key and the housekeeping ones.
 */
static void
dimension_columns(WhDimension *d, Jsonb *scd, int default_scd)
{
	TupleDesc	query = d->is_date ? d->tupdesc : relation_tupdesc(d->definition);

	d->query = query;
	d->column = palloc0(sizeof(AttrNumber) * query->natts);
	d->scd = palloc0(sizeof(WhScdType) * query->natts);
	d->previous = palloc0(sizeof(AttrNumber) * query->natts);
	for (int i = 0; i < query->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(query, i);
		const char *name = NameStr(att->attname);
		int			n = d->ncolumns;

		if (d->is_date && (i == 0 || att->attisdropped || is_named(att, "is_current") ||
						   is_named(att, "is_inferred") || is_named(att, "batch_id")))
			continue;
		/* the times of history 'query' become the versions' own */
		if (is_named(att, "effective_from") || is_named(att, "effective_to"))
			continue;
		d->column[n] = attribute_number(d->tupdesc, name);
		d->scd[n] = scd_of(scd, name, default_scd);
		for (int k = 0; k < d->nkey; k++)
			if (strcmp(d->key_name[k], name) == 0)
				d->scd[n] = WH_SCD_VERSION;
		if (d->scd[n] == WH_SCD_PREVIOUS)
			d->previous[n] = attribute_number(d->tupdesc, psprintf("previous_%s", name));
		d->ncolumns++;
	}
}

/* Read one dimension; its table stays locked in AccessShare mode. */
WhDimension *
wh_catalog_dimension(int64 id)
{
	WhDimension *d = palloc0(sizeof(WhDimension));
	WhRow		row;
	int			default_scd;
	Jsonb	   *scd;
	char	  **keys;
	char	   *history;

	if (!wh_catalog_row(&row, "SELECT relation::oid, definition::oid, kind, natural_key, scd, default_scd,"
					" history, effective_grain, time_zone, next_key"
					" FROM wh.dimension WHERE dimension_id OPERATOR(pg_catalog.=) $1",
					1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}))
		elog(ERROR, "dimension " INT64_FORMAT " is missing", id);
	d->id = id;
	d->relid = DatumGetObjectId(row.values[0]);
	d->definition = row.isnull[1] ? InvalidOid : DatumGetObjectId(row.values[1]);
	d->is_date = strcmp(TextDatumGetCString(row.values[2]), "date") == 0;
	keys = wh_catalog_text_array(row.values[3], &d->nkey);
	scd = DatumGetJsonbP(row.values[4]);
	default_scd = DatumGetInt32(row.values[5]);
	history = TextDatumGetCString(row.values[6]);
	d->history = strcmp(history, "auto") == 0 ? WH_HISTORY_AUTO :
		strcmp(history, "query") == 0 ? WH_HISTORY_QUERY : WH_HISTORY_NONE;
	d->grain = grain_of(row.isnull[7] ? NULL : TextDatumGetCString(row.values[7]));
	d->time_zone = TextDatumGetCString(row.values[8]);
	d->next_key = DatumGetInt64(row.values[9]);
	lock_table(d->relid, d->definition);
	d->name = get_rel_name(d->relid);
	d->qualified = wh_relation_name(d->relid);
	d->tupdesc = relation_tupdesc(d->relid);
	d->effective_from = attribute_number(d->tupdesc, "effective_from");
	d->effective_to = attribute_number(d->tupdesc, "effective_to");
	d->is_current = attribute_number(d->tupdesc, "is_current");
	d->is_inferred = attribute_number(d->tupdesc, "is_inferred");
	d->batch = attribute_number(d->tupdesc, "batch_id");
	memcpy(d->key_name, keys, sizeof(char *) * d->nkey);
	dimension_columns(d, scd, default_scd);
	for (int i = 0; i < d->nkey; i++)
	{
		d->key[i] = attribute_number(d->tupdesc, keys[i]);
		d->key_index[i] = column_index(d->column, d->ncolumns, d->key[i]);
	}
	return d;
}

/* Refuse a table one of whose columns has not the type of a column of the query. */
static void
check_query_column(const char *table, Form_pg_attribute att, TupleDesc query, const char *name)
{
	Form_pg_attribute wanted = TupleDescAttr(query, attribute_number(query, name) - 1);

	wh_column_check(table, att, wanted->atttypid, wanted->atttypmod, wanted->attcollation);
}

/*
 * Refuse a dimension's table, open and locked, that is not what it was made as,
 * or not any more what d was read from.
 */
void
wh_catalog_check_dimension(const WhDimension *d, Relation rel)
{
	wh_table_check(rel);
	wh_table_check_same(rel, d->tupdesc);
#define CHECK(attno, type) wh_column_check(d->name, TupleDescAttr(d->tupdesc, (attno) - 1), type, -1, InvalidOid)
	CHECK(1, INT8OID);
	CHECK(d->effective_from, TIMESTAMPTZOID);
	CHECK(d->effective_to, TIMESTAMPTZOID);
	CHECK(d->is_current, BOOLOID);
	CHECK(d->is_inferred, BOOLOID);
	CHECK(d->batch, INT8OID);
	for (int i = 0; d->is_date && i < d->nkey; i++)
		CHECK(d->key[i], DATEOID);
#undef CHECK
	for (int i = 0; !d->is_date && i < d->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(d->tupdesc, d->column[i] - 1);

		check_query_column(d->name, att, d->query, NameStr(att->attname));
		if (d->previous[i])
			check_query_column(d->name, TupleDescAttr(d->tupdesc, d->previous[i] - 1), d->query,
							   NameStr(att->attname));
	}
}

/* The same for a fact. */
void
wh_catalog_check_fact(const WhFact *f, Relation rel)
{
	wh_table_check(rel);
	wh_table_check_same(rel, f->tupdesc);
#define CHECK(attno, type) wh_column_check(f->name, TupleDescAttr(f->tupdesc, (attno) - 1), type, -1, InvalidOid)
	CHECK(f->batch, INT8OID);
	for (int i = 0; i < f->ndimensions; i++)
		CHECK(f->dimensions[i].key, INT8OID);
	if (f->mode == WH_FACT_LEDGER)
	{
		CHECK(f->posted_at, TIMESTAMPTZOID);
		CHECK(f->is_reversal, BOOLOID);
		CHECK(f->reverses_posted_at, TIMESTAMPTZOID);
	}
#undef CHECK
	for (int i = 0; i < f->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(f->tupdesc, f->column[i] - 1);

		check_query_column(f->name, att, f->query, NameStr(att->attname));
	}
}

/* Refuse rows of other types than those of a table's columns, per column of the query. */
void
wh_catalog_check_result(const char *name, TupleDesc table, const AttrNumber *column, int ncolumns,
						TupleDesc result, const AttrNumber *of_result, int offset)
{
	for (int i = 0; i < ncolumns; i++)
	{
		int			at = (of_result ? of_result[i] - 1 : i) + offset;
		Form_pg_attribute att = TupleDescAttr(table, column[i] - 1);

		if (at >= result->natts || TupleDescAttr(result, at)->atttypid != att->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the query of \"%s\" gives column \"%s\" another type than its table", name,
							NameStr(att->attname)),
					 errdetail("What the query reads was changed during the run, or behind the engine's back."),
					 errhint("Run again; if that does not help, call wh.alter_dimension or wh.alter_fact.")));
	}
}

static void
fact_dimensions(WhFact *f)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT role, columns, dimension_id, key_column"
								   " FROM wh.fact_dimension WHERE fact_id OPERATOR(pg_catalog.=) $1"
								   " ORDER BY ordinal",
								   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(f->id)});

	f->ndimensions = n;
	f->dimensions = palloc0(sizeof(WhFactDimension) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		WhFactDimension *fd = &f->dimensions[i];
		char	  **columns = wh_catalog_text_array(rows[i].values[1], &fd->ncolumns);

		fd->role = TextDatumGetCString(rows[i].values[0]);
		fd->dimension_id = DatumGetInt64(rows[i].values[2]);
		fd->key = attribute_number(f->tupdesc, TextDatumGetCString(rows[i].values[3]));
		for (int k = 0; k < fd->ncolumns; k++)
		{
			fd->column_name[k] = columns[k];
			fd->column[k] = attribute_number(f->tupdesc, columns[k]);
		}
	}
}

/* Read one fact; its table stays locked in AccessShare mode. */
WhFact *
wh_catalog_fact(int64 id)
{
	WhFact	   *f = palloc0(sizeof(WhFact));
	WhRow		row;
	TupleDesc	query;
	char	  **grain;
	char	   *mode;

	if (!wh_catalog_row(&row, "SELECT relation::oid, definition::oid, grain, event_time, mode, time_zone,"
					" coalesce(latest_event_time, '-infinity')"
					" FROM wh.fact WHERE fact_id OPERATOR(pg_catalog.=) $1",
					1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(id)}))
		elog(ERROR, "fact " INT64_FORMAT " is missing", id);
	f->id = id;
	f->relid = DatumGetObjectId(row.values[0]);
	f->definition = DatumGetObjectId(row.values[1]);
	grain = wh_catalog_text_array(row.values[2], &f->ngrain);
	f->event_time = TextDatumGetCString(row.values[3]);
	mode = TextDatumGetCString(row.values[4]);
	f->mode = strcmp(mode, "append") == 0 ? WH_FACT_APPEND :
		strcmp(mode, "upsert") == 0 ? WH_FACT_UPSERT : WH_FACT_LEDGER;
	f->time_zone = TextDatumGetCString(row.values[5]);
	f->latest_event_time = DatumGetTimestampTz(row.values[6]);
	lock_table(f->relid, f->definition);
	f->name = get_rel_name(f->relid);
	f->qualified = wh_relation_name(f->relid);
	f->tupdesc = relation_tupdesc(f->relid);
	f->batch = attribute_number(f->tupdesc, "batch_id");
	if (f->mode == WH_FACT_LEDGER)
	{
		f->posted_at = attribute_number(f->tupdesc, "posted_at");
		f->is_reversal = attribute_number(f->tupdesc, "is_reversal");
		f->reverses_posted_at = attribute_number(f->tupdesc, "reverses_posted_at");
	}
	query = f->query = relation_tupdesc(f->definition);
	f->ncolumns = query->natts;
	f->column = palloc(sizeof(AttrNumber) * Max(f->ncolumns, 1));
	for (int i = 0; i < f->ncolumns; i++)
		f->column[i] = attribute_number(f->tupdesc, NameStr(TupleDescAttr(query, i)->attname));
	for (int i = 0; i < f->ngrain; i++)
	{
		f->grain_name[i] = grain[i];
		f->grain[i] = attribute_number(f->tupdesc, grain[i]);
		f->grain_index[i] = column_index(f->column, f->ncolumns, f->grain[i]);
	}
	f->event_time_attr = attribute_number(f->tupdesc, f->event_time);
	fact_dimensions(f);
	return f;
}

/* Find a dimension or fact (catalog says which) by the name a user gave; 0 = none. */
int64
wh_catalog_find(const char *catalog, const char *name)
{
	WhObjectName object = wh_object_name(name, "mart");
	Oid			nsp = get_namespace_oid(object.schema, true);
	Oid			relid = OidIsValid(nsp) ? get_relname_relid(object.name, nsp) : InvalidOid;
	WhRow		row;
	char	   *sql = psprintf("SELECT %s_id FROM wh.%s WHERE relation OPERATOR(pg_catalog.=) $1",
							   catalog, catalog);

	if (!OidIsValid(relid) ||
		!wh_catalog_row(&row, sql, 1, (Oid[]) {REGCLASSOID}, (Datum[]) {ObjectIdGetDatum(relid)}))
		return 0;
	return DatumGetInt64(row.values[0]);
}

/* The same; one that does not exist is an error. */
int64
wh_catalog_object_id(const char *catalog, const char *name)
{
	int64		id = wh_catalog_find(catalog, name);

	if (id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("%s \"%s\" does not exist", catalog, name),
				 errhint("SELECT * FROM wh.status lists what there is.")));
	return id;
}

/* Store the dimension's next surrogate key. */
void
wh_catalog_next_key(const WhDimension *dimension)
{
	Datum		args[2] = {Int64GetDatum(dimension->id), Int64GetDatum(dimension->next_key)};

	wh_catalog_execute("UPDATE wh.dimension SET next_key = $2"
				   " WHERE dimension_id OPERATOR(pg_catalog.=) $1"
				   " AND next_key OPERATOR(pg_catalog.<>) $2",
				   2, (Oid[]) {INT8OID, INT8OID}, args, NULL);
}

/* Store the last batch that changed a dimension or fact. */
void
wh_catalog_last_batch(const char *catalog, const char *id_column, int64 id, int64 batch_id)
{
	Datum		args[2] = {Int64GetDatum(id), Int64GetDatum(batch_id)};
	char	   *sql = psprintf("UPDATE wh.%s SET last_batch_id = $2 WHERE %s OPERATOR(pg_catalog.=) $1",
							   catalog, id_column);

	wh_catalog_execute(sql, 2, (Oid[]) {INT8OID, INT8OID}, args, NULL);
}
