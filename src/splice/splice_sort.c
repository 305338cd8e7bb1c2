/*
 * splice_sort.c
 *	  Sorts the records of keyed loads by key, event time and position.
 *
 * Runs inside wh_ingest_feed; uses maintenance_work_mem, then temporary files.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "splice/splice.h"

/*
 * Give the collation to sort a key column by.  Only equal keys must come
 * together, so bytes do where equality is that of bytes.
 */
static Oid
sort_collation(Form_pg_attribute att)
{
	Oid			type = getBaseType(att->atttypid);

	if ((type == TEXTOID || type == VARCHAROID || type == BPCHAROID) &&
		get_collation_isdeterministic(att->attcollation))
		return C_COLLATION_OID;
	return att->attcollation;
}

/* Prepare comparisons by the key, and the layout of sorted rows; once per run. */
void
wh_sort_prepare(WhIngest *ing)
{
	MemoryContext old;

	if (ing->sort_desc != NULL)
		return;
	old = MemoryContextSwitchTo(ing->context);
	/* An append feed may have to say what a record was that loses. */
	ing->sort_has_raw = ing->feed->load == WH_LOAD_APPEND && ing->kind != WH_SOURCE_RELATION &&
		ing->feed->redact == NIL;
	ing->sort_desc = CreateTemplateTupleDesc(ing->desc->natts + (ing->sort_has_raw ? 3 : 2));
	for (int i = 1; i <= ing->desc->natts; i++)
		TupleDescCopyEntry(ing->sort_desc, i, ing->desc, i);
	TupleDescInitEntry(ing->sort_desc, wh_sort_major(ing), "major", INT8OID, -1, 0);
	TupleDescInitEntry(ing->sort_desc, wh_sort_minor(ing), "minor", INT8OID, -1, 0);
	if (ing->sort_has_raw)
		TupleDescInitEntry(ing->sort_desc, wh_sort_raw(ing), "raw", BYTEAOID, -1, 0);
	for (int i = 0; i < ing->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->desc, ing->key_staged[i] - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR | TYPECACHE_CMP_PROC_FINFO);

		if (!OidIsValid(type->lt_opr) || !OidIsValid(type->cmp_proc))
			elog(ERROR, "key column \"%s\" cannot be sorted", NameStr(att->attname));
		ing->key_type[i] = type;
		ing->key_collation[i] = sort_collation(att);
	}
	ing->sort_slot = MakeSingleTupleTableSlot(ing->sort_desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
}

/* Open a sort by key, event time and position. */
Tuplesortstate *
wh_sort_open(WhIngest *ing)
{
	Tuplesortstate *sort;
	AttrNumber	columns[WH_MAX_KEY + 3];
	Oid			operators[WH_MAX_KEY + 3];
	Oid			collations[WH_MAX_KEY + 3];
	bool		nulls_first[WH_MAX_KEY + 3];
	int			n = 0;
	MemoryContext old;

	wh_sort_prepare(ing);
	old = MemoryContextSwitchTo(ing->context);
	for (; n < ing->nkeys; n++)
	{
		columns[n] = ing->key_staged[n];
		operators[n] = ing->key_type[n]->lt_opr;
		collations[n] = ing->key_collation[n];
		nulls_first[n] = false;
	}
#define ADD_COLUMN(column, type) \
	(columns[n] = (column), collations[n] = InvalidOid, nulls_first[n] = false, \
	 operators[n++] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr)
	ADD_COLUMN(ing->ours.effective_from, TIMESTAMPTZOID);
	ADD_COLUMN(wh_sort_major(ing), INT8OID);
	ADD_COLUMN(wh_sort_minor(ing), INT8OID);
	sort = tuplesort_begin_heap(ing->sort_desc, n, columns, operators, collations, nulls_first,
								maintenance_work_mem, NULL, TUPLESORT_NONE);
	MemoryContextSwitchTo(old);
	return sort;
}

/* Open the sort of a run, or of one file of a snapshot feed. */
void
wh_sort_begin(WhIngest *ing)
{
	ing->sort = wh_sort_open(ing);
	ing->sort_rows = 0;
}

/* Compare two rows by the key, as the sort does. */
int
wh_sort_key_compare(WhIngest *ing, Datum *a, Datum *b)
{
	for (int i = 0; i < ing->nkeys; i++)
	{
		int			n = ing->key_staged[i] - 1;
		int			result = DatumGetInt32(FunctionCall2Coll(&ing->key_type[i]->cmp_proc_finfo,
															 ing->key_collation[i], a[n], b[n]));

		if (result != 0)
			return result;
	}
	return 0;
}

/* Tell whether two rows have the same key. */
bool
wh_sort_same_key(WhIngest *ing, Datum *a, Datum *b)
{
	return wh_sort_key_compare(ing, a, b) == 0;
}

/* Take a record, whose scratch row is filled: into the sort, unless it may go straight in. */
void
wh_splice_put(WhIngest *ing, WhIngestRow *row)
{
	TupleTableSlot *slot;
	int64		major = 0;
	int64		minor = 0;

	/* what waits for its turn goes nowhere else */
	if (wh_tombstone_is_untimed(ing, row))
		wh_tombstone_mark(ing);
	else if (ing->sort == NULL && ing->hold == NULL && wh_ordered_put(ing))
		return;
	if (ing->sort == NULL)
		wh_sort_begin(ing);
	if (ing->feed->load == WH_LOAD_SNAPSHOT)
	{
		if (ing->snapshot_time == DT_NOBEGIN)
			ing->snapshot_time = row->event_time;
		else if (ing->snapshot_time != row->event_time)
			ing->snapshot_mixed = true;
	}
	slot = ing->sort_slot;
	if (ing->kind == WH_SOURCE_CSV)
		major = wh_position(ing->unit_rank, row->source.low);
	else if (ing->kind == WH_SOURCE_RELATION && ing->is_retry)
		major = wh_position(ing->unit->unit_no, row->source.low);
	else if (ing->kind == WH_SOURCE_KAFKA)
	{
		const char *slash = strrchr(ing->unit->name, '/');

		major = wh_position(ing->unit->generation, row->source.low);
		minor = slash ? atoi(slash + 1) : 0;
	}
	ing->values[wh_sort_major(ing) - 1] = Int64GetDatum(major);
	ing->isnull[wh_sort_major(ing) - 1] = false;
	ing->values[wh_sort_minor(ing) - 1] = Int64GetDatum(minor);
	ing->isnull[wh_sort_minor(ing) - 1] = false;
	ExecClearTuple(slot);
	if (ing->sort_has_raw)
	{
		ing->isnull[wh_sort_raw(ing) - 1] = row->source.raw == NULL;
		if (row->source.raw)
		{
			bytea	   *raw = palloc(VARHDRSZ + row->source.raw_len);

			SET_VARSIZE(raw, VARHDRSZ + row->source.raw_len);
			memcpy(VARDATA(raw), row->source.raw, row->source.raw_len);
			ing->values[wh_sort_raw(ing) - 1] = PointerGetDatum(raw);
		}
	}
	memcpy(slot->tts_values, ing->values, sizeof(Datum) * ing->sort_desc->natts);
	memcpy(slot->tts_isnull, ing->isnull, sizeof(bool) * ing->sort_desc->natts);
	ExecStoreVirtualTuple(slot);
	tuplesort_puttupleslot(ing->sort, slot);
	ing->sort_rows++;
}
