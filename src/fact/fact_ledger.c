/*
 * fact_ledger.c
 *	  Facts of mode ledger: a correction is a reversal row and a new row.
 *
 * The query is evaluated as of every change (rule 18): each version of a grain
 * posts a row at its beginning, and its end posts the reversal, with negated
 * measures.  Measures are the columns of a number type or interval that are
 * neither grain, event time nor natural key.  See fact_publish.c for where it
 * runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "fact/fact_rows.h"
#include "base/merge_groups.h"

/* A row that the ledger should have. */
typedef struct Posting
{
	TimestampTz at;
	bool		is_reversal;
	TimestampTz reverses;
	HeapTuple	source;
} Posting;

typedef struct Ledger
{
	WhFactPass *pass;
	FmgrInfo   *negate;			/* per column of the query; fn_oid 0 = no measure */
	TupleDesc	source_desc;
	int			offset;			/* columns before the query's in a source row */
} Ledger;

static bool
is_measure(const WhFact *f, int column)
{
	AttrNumber	attno = f->column[column];

	if (attno == f->event_time_attr)
		return false;
	for (int i = 0; i < f->ngrain; i++)
		if (f->grain[i] == attno)
			return false;
	for (int i = 0; i < f->ndimensions; i++)
		for (int k = 0; k < f->dimensions[i].ncolumns; k++)
			if (f->dimensions[i].column[k] == attno)
				return false;
	switch (TupleDescAttr(f->tupdesc, attno - 1)->atttypid)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case INTERVALOID:
			return true;
	}
	return false;
}

static void
prepare_negation(Ledger *ledger)
{
	WhFact	   *f = ledger->pass->fact;

	ledger->negate = palloc0(sizeof(FmgrInfo) * f->ncolumns);
	for (int i = 0; i < f->ncolumns; i++)
		if (is_measure(f, i))
		{
			Oid			type = TupleDescAttr(f->tupdesc, f->column[i] - 1)->atttypid;
			Oid			op = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("-")),
											  InvalidOid, type);

			fmgr_info(get_opcode(op), &ledger->negate[i]);
		}
}

static TimestampTz
time_of(HeapTuple tuple, AttrNumber attno, TupleDesc tupdesc)
{
	bool		isnull;

	return DatumGetTimestampTz(heap_getattr(tuple, attno, tupdesc, &isnull));
}

/* Say whether two source rows agree in all columns of the query. */
static bool
same_payload(Ledger *ledger, HeapTuple a, HeapTuple b)
{
	TupleDesc	desc = ledger->source_desc;

	for (int i = 1; i <= ledger->pass->fact->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, ledger->offset + i - 1);
		bool		anull,
					bnull;
		Datum		avalue = heap_getattr(a, ledger->offset + i, desc, &anull);
		Datum		bvalue = heap_getattr(b, ledger->offset + i, desc, &bnull);

		if (anull != bnull || (!anull && !datum_image_eq(avalue, bvalue, att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

/* List the postings of one grain, from its points and the rows at them. */
static Posting *
wanted_postings(Ledger *ledger, WhMergeSide *rows, WhMergeSide *points, int *n)
{
	int			ngrain = ledger->pass->fact->ngrain;
	Posting    *postings = palloc(sizeof(Posting) * (points->group.ntuples * 2 + 1));
	HeapTuple	open = NULL;
	TimestampTz opened = 0;
	int			r = 0;

	*n = 0;
	for (int p = 0; p < points->group.ntuples; p++)
	{
		TimestampTz at = time_of(points->group.tuples[p], ngrain + 1, points->cursor->tupdesc);
		HeapTuple	row = NULL;

		for (; r < rows->group.ntuples; r++)
		{
			HeapTuple	tuple = rows->group.tuples[r];

			if (time_of(tuple, ngrain + 1, rows->cursor->tupdesc) != at)
				break;
			if (row == NULL)
				row = tuple;
			else
				ledger->pass->counts->warnings++;
		}
		if (open && row && same_payload(ledger, open, row))
			continue;
		if (open)
			postings[(*n)++] = (Posting) {at, true, opened, open};
		if (row)
			postings[(*n)++] = (Posting) {at, false, 0, row};
		open = row;
		opened = at;
	}
	return postings;
}

/* Build the table's row of a posting in pass->values. */
static void
build_posting(Ledger *ledger, const Posting *posting)
{
	WhFactPass *pass = ledger->pass;
	WhFact	   *f = pass->fact;

	heap_deform_tuple(posting->source, ledger->source_desc, pass->source_values, pass->source_isnull);
	wh_fact_build(pass, pass->source_values + ledger->offset, pass->source_isnull + ledger->offset);
	for (int i = 0; posting->is_reversal && i < f->ncolumns; i++)
	{
		Datum	   *value = &pass->values[f->column[i] - 1];

		if (OidIsValid(ledger->negate[i].fn_oid) && !pass->isnull[f->column[i] - 1])
			*value = FunctionCall1(&ledger->negate[i], *value);
	}
	pass->values[f->posted_at - 1] = TimestampTzGetDatum(posting->at);
	pass->values[f->is_reversal - 1] = BoolGetDatum(posting->is_reversal);
	pass->values[f->reverses_posted_at - 1] = TimestampTzGetDatum(posting->reverses);
	pass->isnull[f->posted_at - 1] = pass->isnull[f->is_reversal - 1] = false;
	pass->isnull[f->reverses_posted_at - 1] = !posting->is_reversal;
}

/* Bring the postings of one grain from what exists to what is wanted. */
static void
merge_group(Ledger *ledger, WhMerge *merge)
{
	WhFactPass *pass = ledger->pass;
	WhMergeSide *existing = &merge->sides[1];
	int			natts = existing->cursor->tupdesc->natts;
	int			nwanted;
	Posting    *wanted = wanted_postings(ledger, &merge->sides[0], &merge->sides[2], &nwanted);
	bool	   *done = palloc0(sizeof(bool) * Max(nwanted, 1));

	for (int e = 0; e < existing->group.ntuples; e++)
	{
		Datum	   *values = palloc(sizeof(Datum) * natts);
		bool	   *isnull = palloc(sizeof(bool) * natts);
		ItemPointer tid;
		int			w;

		heap_deform_tuple(existing->group.tuples[e], existing->cursor->tupdesc, values, isnull);
		tid = (ItemPointer) DatumGetPointer(values[0]);
		values++;
		isnull++;
		for (w = 0; w < nwanted; w++)
			if (!done[w] && wanted[w].at == DatumGetTimestampTz(values[pass->fact->posted_at - 1]) &&
				wanted[w].is_reversal == DatumGetBool(values[pass->fact->is_reversal - 1]))
				break;
		if (w == nwanted)
		{
			wh_bulk_delete(pass->writer, tid);
			wh_fact_release(pass, values, NULL);
			continue;
		}
		done[w] = true;
		build_posting(ledger, &wanted[w]);
		if (!wh_fact_same(pass, values, isnull))
		{
			wh_bulk_update(pass->writer, tid, pass->values, pass->isnull);
			wh_fact_release(pass, values, pass->values);
		}
	}
	for (int w = 0; w < nwanted; w++)
		if (!done[w])
		{
			build_posting(ledger, &wanted[w]);
			wh_bulk_insert(pass->writer, pass->values, pass->isnull);
		}
}

/*
 * Merge the as-of rows of a query, whose points are registered, with the
 * existing postings of the touched grains, or of all if touched is NULL.
 */
void
wh_fact_merge_ledger(WhFactPass *pass, const char *inner, const WhTouched *touched)
{
	WhFact	   *f = pass->fact;
	WhMerge    *merge = wh_merge_open(f->ngrain);
	AttrNumber	leading[WH_MAX_KEY],
				existing_grain[WH_MAX_KEY];
	Ledger		ledger = {.pass = pass, .offset = f->ngrain + 1};

	for (int i = 0; i < f->ngrain; i++)
	{
		leading[i] = i + 1;
		existing_grain[i] = f->grain[i] + 1;
	}
	wh_merge_add(merge, wh_fact_source_sql(pass, inner), leading);
	wh_fact_check_source(pass, merge->sides[0].cursor->tupdesc, ledger.offset);
	wh_merge_add(merge, wh_fact_existing_sql(pass, touched), existing_grain);
	wh_merge_add(merge, "SELECT * FROM " WH_POINTS_NAME, leading);
	ledger.source_desc = merge->sides[0].cursor->tupdesc;
	prepare_negation(&ledger);
	while (wh_merge_next(merge))
	{
		MemoryContext old = MemoryContextSwitchTo(merge->group_context);

		merge_group(&ledger, merge);
		MemoryContextSwitchTo(old);
	}
	wh_merge_close(merge);
}
