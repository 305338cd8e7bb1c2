/*
 * fact_merge.c
 *	  Writes the wanted rows of a fact over the existing ones, by grain.
 *
 * Wanted and existing rows are read in step, in the order of the grain; only
 * differences are written.  See fact_publish.c for where it runs.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "fact/fact_rows.h"
#include "base/merge_groups.h"

/* Report source rows with a NULL in the grain. */
static void
refuse_null_grain(HeapTuple tuple, TupleDesc tupdesc, void *arg)
{
	WhFactPass *pass = arg;

	heap_deform_tuple(tuple, tupdesc, pass->source_values, pass->source_isnull);
	wh_fact_error(pass, pass->source_values, pass->source_isnull, ERRCODE_NOT_NULL_VIOLATION,
				  "a column of the grain is NULL");
}

/* Report all rows of a grain but the first. */
static void
refuse_repeats(WhFactPass *pass, WhMergeSide *rows)
{
	for (int i = 1; i < rows->group.ntuples; i++)
	{
		heap_deform_tuple(rows->group.tuples[i], rows->cursor->tupdesc,
						  pass->source_values, pass->source_isnull);
		wh_fact_error(pass, pass->source_values, pass->source_isnull, ERRCODE_CARDINALITY_VIOLATION,
					  "another row of the query has the same grain and comes first");
	}
}

static bool
reads_events_only(const WhQueryPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->inputs)
		if (((WhQueryInput *) lfirst(lc))->kind != WH_INPUT_EVENT)
			return false;
	return true;
}

/* Say whether one of the rows of a grain, but the first, holds what the table's row does. */
static bool
is_among_repeats(const WhFactPass *pass, const WhMergeSide *rows, const Datum *old_values,
				 const bool *old_isnull)
{
	WhFact	   *f = pass->fact;
	TupleDesc	desc = rows->cursor->tupdesc;

	for (int i = 1; i < rows->group.ntuples; i++)
	{
		bool		same = true;

		for (int c = 0; c < f->ncolumns && same; c++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, c);
			int			old = f->column[c] - 1;
			bool		isnull;
			Datum		value = heap_getattr(rows->group.tuples[i], c + 1, desc, &isnull);

			same = isnull == old_isnull[old] &&
				(isnull || datum_image_eq(value, old_values[old], att->attbyval, att->attlen));
		}
		if (same)
			return true;
	}
	return false;
}

/*
 * Say whether the table's row stays although pass->values differs, in mode
 * append.  Rows of events are never changed: when another one comes first now,
 * it came late, and the order decides (rule 4), not the arrival.  Else the
 * source's row was changed, which the mode forbids.
 */
static bool
stays(const WhFactPass *pass, const WhMergeSide *wanted, const Datum *old_values, const bool *old_isnull)
{
	return pass->fact->mode == WH_FACT_APPEND && !pass->publish->overwrite &&
		!wh_fact_same_payload(pass, old_values, old_isnull) &&
		!reads_events_only(pass->plan) &&
		!is_among_repeats(pass, wanted, old_values, old_isnull);
}

/* Bring the row of one grain from what exists to what is wanted. */
static void
merge_group(WhFactPass *pass, WhMergeSide *wanted, WhMergeSide *existing)
{
	int			natts = existing->cursor->tupdesc->natts;
	Datum	   *old_values = palloc(sizeof(Datum) * natts);
	bool	   *old_isnull = palloc(sizeof(bool) * natts);
	ItemPointer tid = NULL;

	if (existing->group.ntuples > 0)
	{
		heap_deform_tuple(existing->group.tuples[0], existing->cursor->tupdesc, old_values, old_isnull);
		tid = (ItemPointer) DatumGetPointer(old_values[0]);
		old_values++;
		old_isnull++;
	}
	if (wanted->group.ntuples == 0)
	{
		wh_bulk_delete(pass->writer, tid);
		wh_fact_release(pass, old_values, NULL);
		return;
	}
	refuse_repeats(pass, wanted);
	heap_deform_tuple(wanted->group.tuples[0], wanted->cursor->tupdesc,
					  pass->source_values, pass->source_isnull);
	wh_fact_build(pass, pass->source_values, pass->source_isnull);
	if (tid == NULL)
		wh_bulk_insert(pass->writer, pass->values, pass->isnull);
	else if (!wh_fact_same(pass, old_values, old_isnull))
	{
		if (stays(pass, wanted, old_values, old_isnull))
		{
			wh_fact_error(pass, pass->source_values, pass->source_isnull, ERRCODE_UNIQUE_VIOLATION,
						  "the fact has a row of this grain with another content, and its mode is append");
			/* its lookups may have made members that nothing refers to */
			wh_fact_release(pass, pass->values, old_values);
			return;
		}
		wh_bulk_update(pass->writer, tid, pass->values, pass->isnull);
		wh_fact_release(pass, old_values, pass->values);
	}
}

/*
 * Merge the rows of a query (ordered by the grain) with the existing rows of
 * the touched units, or of the whole fact if touched is NULL.
 */
void
wh_fact_merge(WhFactPass *pass, const char *inner, const WhTouched *touched)
{
	WhFact	   *f = pass->fact;
	WhMerge    *merge = wh_merge_open(f->ngrain);
	AttrNumber	source_grain[WH_MAX_KEY],
				existing_grain[WH_MAX_KEY];

	for (int i = 0; i < f->ngrain; i++)
	{
		source_grain[i] = f->grain_index[i] + 1;
		existing_grain[i] = f->grain[i] + 1;	/* ctid comes first */
	}
	merge->null_key = refuse_null_grain;
	merge->null_key_arg = pass;
	wh_merge_add(merge, wh_fact_source_sql(pass, inner), source_grain);
	wh_fact_check_source(pass, merge->sides[0].cursor->tupdesc, 0);
	wh_merge_add(merge, wh_fact_existing_sql(pass, touched), existing_grain);
	while (wh_merge_next(merge))
	{
		MemoryContext old = MemoryContextSwitchTo(merge->group_context);

		merge_group(pass, &merge->sides[0], &merge->sides[1]);
		MemoryContextSwitchTo(old);
	}
	wh_merge_close(merge);
}
