/*
 * fact_rows.c
 *	  The rows of a fact: from the query's columns to the table's.
 *
 * Part of a fact's publish; see fact_publish.c for where it runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "dimension/dimension_publish.h"
#include "fact/fact_rows.h"
#include "base/object_name.h"
#include "base/row_image.h"
#include "base/time_zone.h"

/* Write one natural key column as the dimension's type. */
char *
wh_fact_natural_key_sql(const WhFactPass *pass, const char *alias, AttrNumber attno, WhDimension *d, int k)
{
	Form_pg_attribute att = TupleDescAttr(pass->fact->tupdesc, attno - 1);
	Form_pg_attribute key = TupleDescAttr(d->tupdesc, d->key[k] - 1);
	char	   *column = psprintf("%s.%s", alias, quote_identifier(NameStr(att->attname)));

	if (att->atttypid == key->atttypid)
		return column;
	if (key->atttypid == DATEOID && att->atttypid == TIMESTAMPTZOID)
		return psprintf("(%s AT TIME ZONE %s)::date", column, quote_literal_cstr(pass->fact->time_zone));
	return psprintf("%s::%s", column, wh_type_name(key->atttypid));
}

/* Append ", <event time>, <natural keys>" over the query's columns of an alias. */
void
wh_fact_append_extra(StringInfo sql, const WhFactPass *pass, const char *alias)
{
	WhFact	   *f = pass->fact;
	char	   *event_time = psprintf("%s.%s", alias, quote_identifier(f->event_time));

	appendStringInfo(sql, ", %s", wh_time_sql(event_time,
											  TupleDescAttr(f->tupdesc, f->event_time_attr - 1)->atttypid,
											  f->time_zone));
	for (int i = 0; i < f->ndimensions; i++)
		for (int k = 0; k < f->dimensions[i].ncolumns; k++)
			appendStringInfo(sql, ", %s", wh_fact_natural_key_sql(pass, alias, f->dimensions[i].column[k],
														  wh_lookup_dimension(pass->lookups[i]), k));
}

/* Write the SELECT of source rows over a query that gives the fact's columns. */
char *
wh_fact_source_sql(const WhFactPass *pass, const char *inner)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT q.*");
	wh_fact_append_extra(&sql, pass, "q");
	appendStringInfo(&sql, " FROM (%s) q", inner);
	return sql.data;
}

/* Write the SELECT of (ctid, the table's columns), in the order of the grain. */
char *
wh_fact_existing_sql(const WhFactPass *pass, const WhTouched *touched)
{
	WhFact	   *f = pass->fact;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT f.ctid, ");
	wh_append_row(&sql, "f", f->tupdesc);
	appendStringInfo(&sql, " FROM %s f WHERE true", f->qualified);
	if (touched)
		wh_touched_condition(&sql, "f", touched, f->grain_name);
	appendStringInfoString(&sql, " ORDER BY ");
	for (int i = 0; i < f->ngrain; i++)
		appendStringInfo(&sql, "%sf.%s", i ? ", " : "", quote_identifier(f->grain_name[i]));
	return sql.data;
}

/* Refuse source rows, the query's columns after some others, of other types than the tables'. */
void
wh_fact_check_source(const WhFactPass *pass, TupleDesc tupdesc, int offset)
{
	WhFact	   *f = pass->fact;
	int			next = offset + f->ncolumns + 1;

	wh_catalog_check_result(f->name, f->tupdesc, f->column, f->ncolumns, tupdesc, NULL, offset);
	for (int i = 0; i < f->ndimensions; i++)
	{
		WhDimension *d = wh_lookup_dimension(pass->lookups[i]);

		wh_catalog_check_result(d->name, d->tupdesc, d->key, d->nkey, tupdesc, NULL, next);
		next += d->nkey;
	}
}

/* Give the number of columns of a source row. */
int
wh_fact_source_width(const WhFact *f)
{
	int			width = f->ncolumns + 1;

	for (int i = 0; i < f->ndimensions; i++)
		width += f->dimensions[i].ncolumns;
	return width;
}

/* Look up the surrogate keys of a row into their places in values. */
void
wh_fact_keys(WhFactPass *pass, const Datum *extra, const bool *extra_isnull,
			 Datum *values, bool *isnull)
{
	WhFact	   *f = pass->fact;
	TimestampTz at = extra_isnull[0] ? 0 : DatumGetTimestampTz(extra[0]);
	int			next = 1;

	/* a row without a time follows the last version, so any change concerns it */
	if (extra_isnull[0])
		pass->latest = DT_NOEND;
	else if (at > pass->latest)
		pass->latest = at;
	for (int i = 0; i < f->ndimensions; i++)
	{
		int64		key = wh_lookup_find(pass->lookups[i], extra + next, extra_isnull + next,
										 at, !extra_isnull[0]);

		values[f->dimensions[i].key - 1] = Int64GetDatum(key);
		isnull[f->dimensions[i].key - 1] = false;
		next += f->dimensions[i].ncolumns;
	}
}

/* Build the table's row of a source row in pass->values, with its keys. */
void
wh_fact_build(WhFactPass *pass, const Datum *source, const bool *source_isnull)
{
	WhFact	   *f = pass->fact;

	memset(pass->isnull, true, sizeof(bool) * f->tupdesc->natts);
	wh_fact_keys(pass, source + f->ncolumns, source_isnull + f->ncolumns, pass->values, pass->isnull);
	for (int i = 0; i < f->ncolumns; i++)
	{
		pass->values[f->column[i] - 1] = source[i];
		pass->isnull[f->column[i] - 1] = source_isnull[i];
	}
	pass->values[f->batch - 1] = Int64GetDatum(pass->publish->batch_id);
	pass->isnull[f->batch - 1] = false;
}

static bool
same_value(const WhFactPass *pass, const Datum *old_values, const bool *old_isnull, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(pass->fact->tupdesc, attno - 1);
	int			i = attno - 1;

	if (old_isnull[i] || pass->isnull[i])
		return old_isnull[i] && pass->isnull[i];
	return datum_image_eq(old_values[i], pass->values[i], att->attbyval, att->attlen);
}

/* Say whether an existing row holds the same bytes as pass->values; the batch aside. */
bool
wh_fact_same(const WhFactPass *pass, const Datum *old_values, const bool *old_isnull)
{
	for (AttrNumber attno = 1; attno <= pass->fact->tupdesc->natts; attno++)
		if (attno != pass->fact->batch && !TupleDescAttr(pass->fact->tupdesc, attno - 1)->attisdropped &&
			!same_value(pass, old_values, old_isnull, attno))
			return false;
	return true;
}

/* The same for the query's columns only. */
bool
wh_fact_same_payload(const WhFactPass *pass, const Datum *old_values, const bool *old_isnull)
{
	for (int i = 0; i < pass->fact->ncolumns; i++)
		if (!same_value(pass, old_values, old_isnull, pass->fact->column[i]))
			return false;
	return true;
}

/* Note the members that a row refers to no more; new_values NULL: it is deleted. */
void
wh_fact_release(WhFactPass *pass, const Datum *old_values, const Datum *new_values)
{
	WhFact	   *f = pass->fact;

	for (int i = 0; i < f->ndimensions; i++)
	{
		AttrNumber	attno = f->dimensions[i].key;
		int64		key = DatumGetInt64(old_values[attno - 1]);

		if (key > 0 && (new_values == NULL || DatumGetInt64(new_values[attno - 1]) != key))
			wh_inferred_release(pass->publish, f->dimensions[i].dimension_id, key);
	}
}

/* Note a source row that the fact refuses; it becomes an error event at the end. */
void
wh_fact_error(WhFactPass *pass, const Datum *source, const bool *source_isnull,
			  int sqlerrcode, const char *message)
{
	WhFact	   *f = pass->fact;
	HeapTuple	tuple;
	Datum		values[4];
	bool		isnull[4] = {false};

	if (pass->error_desc == NULL)
	{
		/* we may be in the memory of one group, they live as long as the pass */
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(pass->values));

		pass->error_desc = CreateTemplateTupleDesc(4);
		TupleDescInitEntry(pass->error_desc, 1, "record", TEXTOID, -1, 0);
		TupleDescInitEntry(pass->error_desc, 2, "sqlstate", TEXTOID, -1, 0);
		TupleDescInitEntry(pass->error_desc, 3, "message", TEXTOID, -1, 0);
		TupleDescInitEntry(pass->error_desc, 4, "event_time", TIMESTAMPTZOID, -1, 0);
		pass->errors = tuplestore_begin_heap(true, false, work_mem);
		BlessTupleDesc(pass->query_desc);
		MemoryContextSwitchTo(old);
	}
	tuple = heap_form_tuple(pass->query_desc, (Datum *) source, (bool *) source_isnull);
	values[0] = CStringGetTextDatum(OidOutputFunctionCall(F_RECORD_OUT,
														  heap_copy_tuple_as_datum(tuple, pass->query_desc)));
	values[1] = CStringGetTextDatum(unpack_sql_state(sqlerrcode));
	values[2] = CStringGetTextDatum(message);
	values[3] = source[f->ncolumns];
	isnull[3] = source_isnull[f->ncolumns];
	tuplestore_putvalues(pass->errors, pass->error_desc, values, isnull);
	pass->nerrors++;
	pass->counts->rows_rejected++;
}
