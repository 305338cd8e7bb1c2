/*
 * dimension_splice.c
 *	  Writes the wanted versions of a key over the existing ones.
 *
 * Surrogate keys pass by rule 15 of the contract: a version takes the key of
 * the existing one with its opening time; else of the first overlapping
 * unmatched one with equal content; else a new one.  An inferred member's key
 * passes to the first version.  Runs in the transaction of the publish.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/unique_index.h"
#include "dimension/dimension_splice.h"
#include "base/spi_query.h"

/*
 * Read an existing version from a row of (ctid, the table's columns).  Values
 * point into the tuple.
 */
void
wh_dimension_version_read(const WhDimension *d, HeapTuple tuple, TupleDesc tupdesc, WhVersion *v)
{
	Datum	   *values = palloc(sizeof(Datum) * tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * tupdesc->natts);

	heap_deform_tuple(tuple, tupdesc, values, isnull);
	memset(v, 0, sizeof(WhVersion));
	v->tid = *(ItemPointer) DatumGetPointer(values[0]);
	values++;
	isnull++;
	v->key = DatumGetInt64(values[0]);
	v->values = palloc(sizeof(Datum) * Max(d->ncolumns, 1));
	v->isnull = palloc(sizeof(bool) * Max(d->ncolumns, 1));
	for (int i = 0; i < d->ncolumns; i++)
	{
		v->values[i] = values[d->column[i] - 1];
		v->isnull[i] = isnull[d->column[i] - 1];
	}
	v->from = DatumGetTimestampTz(values[d->effective_from - 1]);
	v->to = DatumGetTimestampTz(values[d->effective_to - 1]);
	v->is_current = DatumGetBool(values[d->is_current - 1]);
	v->is_inferred = DatumGetBool(values[d->is_inferred - 1]);
	v->previous = palloc0(sizeof(Datum) * Max(d->ncolumns, 1));
	v->previous_isnull = palloc0(sizeof(bool) * Max(d->ncolumns, 1));
	for (int i = 0; i < d->ncolumns; i++)
		if (d->previous[i])
		{
			v->previous[i] = values[d->previous[i] - 1];
			v->previous_isnull[i] = isnull[d->previous[i] - 1];
		}
}

/* Lay a version out as a row of the table. */
static void
version_row(const WhDimension *d, const WhVersion *v, int64 batch_id, Datum *values, bool *isnull)
{
	memset(isnull, true, sizeof(bool) * d->tupdesc->natts);
#define SET(attno, value, null) (values[(attno) - 1] = (value), isnull[(attno) - 1] = (null))
	SET(1, Int64GetDatum(v->key), false);
	for (int i = 0; i < d->ncolumns; i++)
	{
		SET(d->column[i], v->values[i], v->isnull[i]);
		if (d->previous[i] && v->previous)
			SET(d->previous[i], v->previous[i], v->previous_isnull[i]);
	}
	SET(d->effective_from, TimestampTzGetDatum(v->from), false);
	SET(d->effective_to, TimestampTzGetDatum(v->to), false);
	SET(d->is_current, BoolGetDatum(v->is_current), false);
	SET(d->is_inferred, BoolGetDatum(v->is_inferred), false);
	SET(d->batch, Int64GetDatum(batch_id), false);
#undef SET
}

/* Insert a version, which has its surrogate key. */
void
wh_dimension_insert(WhDimension *d, WhBulkWriter *writer, const WhVersion *v, int64 batch_id)
{
	Datum	   *values = palloc(sizeof(Datum) * d->tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * d->tupdesc->natts);

	version_row(d, v, batch_id, values, isnull);
	wh_bulk_insert(writer, values, isnull);
	pfree(values);
	pfree(isnull);
}

static void
update_version(WhDimensionSplice *s, const WhVersion *v, ItemPointer tid)
{
	WhDimension *d = s->dimension;
	Datum	   *values = palloc(sizeof(Datum) * d->tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * d->tupdesc->natts);

	version_row(d, v, s->batch_id, values, isnull);
	wh_bulk_update(s->writer, tid, values, isnull);
}

static bool
overlap(const WhVersion *a, const WhVersion *b)
{
	return a->from < b->to && b->from < a->to;
}

/* Give each wanted version the existing one whose surrogate key it takes, or -1. */
static void
match(WhDimensionSplice *s, WhVersion *wanted, int nwanted, WhVersion *existing, int nexisting,
	  int *match_of)
{
	int			w,
				e;
	int			first_unmatched = 0;

	for (w = 0; w < nwanted; w++)
		match_of[w] = -1;
	if (nwanted > 0 && nexisting == 1 && existing[0].is_inferred)
	{
		match_of[0] = 0;
		existing[0].matched = true;
		return;
	}
	for (w = 0, e = 0; w < nwanted && e < nexisting;)
	{
		if (wanted[w].from < existing[e].from)
			w++;
		else if (wanted[w].from > existing[e].from)
			e++;
		else
		{
			match_of[w++] = e;
			existing[e++].matched = true;
		}
	}
	for (w = 0; w < nwanted; w++)
	{
		if (match_of[w] >= 0)
			continue;
		while (first_unmatched < nexisting && existing[first_unmatched].to <= wanted[w].from)
			first_unmatched++;
		for (e = first_unmatched; e < nexisting && existing[e].from < wanted[w].to; e++)
			if (!existing[e].matched && !existing[e].is_inferred && overlap(&wanted[w], &existing[e]) &&
				wh_versions_same_image(s->builder, &wanted[w], &existing[e]))
			{
				match_of[w] = e;
				existing[e].matched = true;
				break;
			}
	}
}

/*
 * Note from when on lookups of the key change.  A lookup finds the last
 * version that opened at or before the event time, else the first one: so the
 * first opening counts as minus infinity.  No fact refers to a key that had no
 * version, inferred ones included.
 */
static void
note_change(WhDimensionSplice *s, WhVersion *wanted, int nwanted, WhVersion *existing, int nexisting)
{
	WhDimension *d = s->dimension;
	const WhVersion *any = nwanted > 0 ? wanted : existing;
	int			same = 0;
	TimestampTz from;
	Datum		values[WH_MAX_KEY + 1];
	bool		isnull[WH_MAX_KEY + 1] = {false};

	if (nexisting == 0)
		return;
	while (same < nwanted && same < nexisting && wanted[same].key == existing[same].key &&
		   (same == 0 || wanted[same].from == existing[same].from))
		same++;
	if (same == nwanted && same == nexisting)
		return;
	if (same == 0)
		from = DT_NOBEGIN;
	else if (same == nwanted)
		from = existing[same].from;
	else if (same == nexisting)
		from = wanted[same].from;
	else
		from = Min(wanted[same].from, existing[same].from);
	for (int i = 0; i < d->nkey; i++)
		values[i] = any->values[d->key_index[i]];
	values[d->nkey] = TimestampTzGetDatum(from);
	tuplestore_putvalues(s->changes->store, s->changes->tupdesc, values, isnull);
	s->changes->nrows++;
	s->changes->lowest = Min(s->changes->lowest, from);
}

/*
 * Make the versions of one key exactly the wanted ones; both lists are in time
 * order.  Only differences are written.  An inferred member stays when nothing
 * is wanted: only facts decide about it.
 */
void
wh_dimension_splice(WhDimensionSplice *s, WhVersion *wanted, int nwanted,
					WhVersion *existing, int nexisting)
{
	int		   *match_of;

	if (nwanted == 0 && nexisting == 1 && existing[0].is_inferred)
		return;
	match_of = palloc(sizeof(int) * Max(nwanted, 1));
	match(s, wanted, nwanted, existing, nexisting, match_of);
	for (int e = 0; e < nexisting; e++)
		if (!existing[e].matched)
			wh_bulk_delete(s->writer, &existing[e].tid);
	for (int w = 0; w < nwanted; w++)
	{
		WhVersion  *old = match_of[w] >= 0 ? &existing[match_of[w]] : NULL;

		if (old == NULL)
		{
			wanted[w].key = s->dimension->next_key++;
			continue;
		}
		wanted[w].key = old->key;
		if (old->from != wanted[w].from || old->to != wanted[w].to ||
			old->is_current != wanted[w].is_current || old->is_inferred ||
			!wh_versions_same_image(s->builder, old, &wanted[w]))
			update_version(s, &wanted[w], &old->tid);
	}
	for (int w = 0; w < nwanted; w++)
		if (match_of[w] < 0)
			wh_dimension_insert(s->dimension, s->writer, &wanted[w], s->batch_id);
	note_change(s, wanted, nwanted, existing, nexisting);
}

/* Give the unique index on (natural key, effective_from), or InvalidOid. */
Oid
wh_dimension_index(const WhDimension *d)
{
	Relation	rel = table_open(d->relid, AccessShareLock);
	AttrNumber	columns[WH_MAX_KEY + 1];
	Oid			index;

	memcpy(columns, d->key, sizeof(AttrNumber) * d->nkey);
	columns[d->nkey] = d->effective_from;
	index = wh_unique_index(rel, columns, d->nkey + 1);
	table_close(rel, NoLock);
	return index;
}

/*
 * Make the unique index unless it is there: at the end of the first load, which
 * so needs not keep it row by row.  Needs an SPI connection; readers go on.
 */
void
wh_dimension_ensure_index(const WhDimension *d)
{
	StringInfoData sql;

	if (OidIsValid(wh_dimension_index(d)))
		return;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s (", d->qualified);
	for (int k = 0; k < d->nkey; k++)
		appendStringInfo(&sql, "%s, ", quote_identifier(d->key_name[k]));
	appendStringInfoString(&sql, "effective_from)");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
}
