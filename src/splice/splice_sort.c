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

#include "splice/splice_version.h"

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
wh_sort_prepare(WhStaging *staging)
{
	MemoryContext old;

	if (staging->sort_desc != NULL)
		return;
	old = MemoryContextSwitchTo(staging->context);
	/* An append feed may have to say what a record was that loses. */
	staging->sort_has_raw = staging->feed->load == WH_LOAD_APPEND && staging->kind != WH_SOURCE_RELATION &&
		staging->feed->redact == NIL;
	staging->sort_desc = CreateTemplateTupleDesc(staging->desc->natts + (staging->sort_has_raw ? 3 : 2));
	for (int i = 1; i <= staging->desc->natts; i++)
		TupleDescCopyEntry(staging->sort_desc, i, staging->desc, i);
	TupleDescInitEntry(staging->sort_desc, wh_sort_major(staging), "major", INT8OID, -1, 0);
	TupleDescInitEntry(staging->sort_desc, wh_sort_minor(staging), "minor", INT8OID, -1, 0);
	if (staging->sort_has_raw)
		TupleDescInitEntry(staging->sort_desc, wh_sort_raw(staging), "raw", BYTEAOID, -1, 0);
	for (int i = 0; i < staging->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(staging->desc, staging->key[i] - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR | TYPECACHE_CMP_PROC_FINFO);

		if (!OidIsValid(type->lt_opr) || !OidIsValid(type->cmp_proc))
			elog(ERROR, "key column \"%s\" cannot be sorted", NameStr(att->attname));
		staging->key_type[i] = type;
		staging->key_collation[i] = sort_collation(att);
	}
	staging->sort_slot = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(old);
}

/* Open a sort by key, event time and position. */
Tuplesortstate *
wh_sort_open(WhStaging *staging)
{
	Tuplesortstate *sort;
	AttrNumber	columns[WH_MAX_KEY + 3];
	Oid			operators[WH_MAX_KEY + 3];
	Oid			collations[WH_MAX_KEY + 3];
	bool		nulls_first[WH_MAX_KEY + 3];
	int			n = 0;
	MemoryContext old;

	wh_sort_prepare(staging);
	old = MemoryContextSwitchTo(staging->context);
	for (; n < staging->nkeys; n++)
	{
		columns[n] = staging->key[n];
		operators[n] = staging->key_type[n]->lt_opr;
		collations[n] = staging->key_collation[n];
		nulls_first[n] = false;
	}
#define ADD_COLUMN(column, type) \
	(columns[n] = (column), collations[n] = InvalidOid, nulls_first[n] = false, \
	 operators[n++] = lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr)
	ADD_COLUMN(staging->ours.effective_from, TIMESTAMPTZOID);
	ADD_COLUMN(wh_sort_major(staging), INT8OID);
	ADD_COLUMN(wh_sort_minor(staging), INT8OID);
	sort = tuplesort_begin_heap(staging->sort_desc, n, columns, operators, collations, nulls_first,
								maintenance_work_mem, NULL, TUPLESORT_NONE);
	MemoryContextSwitchTo(old);
	return sort;
}

/* Open the sort of a run, or of one file of a snapshot feed. */
void
wh_sort_begin(WhStaging *staging)
{
	staging->sort = wh_sort_open(staging);
	staging->sort_rows = 0;
}

/* Compare two rows by the key, as the sort does. */
int
wh_sort_key_compare(WhStaging *staging, Datum *a, Datum *b)
{
	for (int i = 0; i < staging->nkeys; i++)
	{
		int			n = staging->key[i] - 1;
		int			result = DatumGetInt32(FunctionCall2Coll(&staging->key_type[i]->cmp_proc_finfo,
															 staging->key_collation[i], a[n], b[n]));

		if (result != 0)
			return result;
	}
	return 0;
}

/* Tell whether two rows have the same key. */
bool
wh_sort_same_key(WhStaging *staging, Datum *a, Datum *b)
{
	return wh_sort_key_compare(staging, a, b) == 0;
}

/* Sort what was taken so far, while the batch waits for its turn. */
void
wh_splice_sort_early(WhStaging *staging)
{
	if (staging->sort)
		tuplesort_performsort(staging->sort);
	staging->sort_is_done = staging->sort != NULL;
}

/* Forget what is being sorted, if anything. */
void
wh_splice_drop(WhStaging *staging)
{
	if (staging->sort)
		tuplesort_end(staging->sort);
	staging->sort = NULL;
}
