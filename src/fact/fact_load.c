/*
 * fact_load.c
 *	  Loads rows of a fact as the query yields them, without sorting.
 *
 * A first load goes straight into the empty table, whose unique index on the
 * grain is made afterwards.  Rows that were only added to an event feed are
 * checked against that index one by one.  Rows that meet another row of their
 * grain are left to the merge, which knows which comes first.  See
 * fact_publish.c for where it runs.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "fact/fact_rows.h"
#include "base/object_name.h"
#include "base/own_table.h"
#include "base/spi_query.h"
#include "base/subtransaction.h"
#include "base/unique_index.h"

typedef struct SeenGrain
{
	uint64		hash;
	char		status;
} SeenGrain;

#define SH_PREFIX seen
#define SH_ELEMENT_TYPE SeenGrain
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(tb, key) ((uint32) ((key) >> 32))
#define SH_EQUAL(tb, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Loader
{
	WhFactPass *pass;
	int64		nrows;
	/* checking rows against those that exist, and among themselves */
	bool		check;
	FmgrInfo	hash[WH_MAX_KEY];
	seen_hash  *seen;
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	MemoryContext context;		/* of the scan */
	TupleTableSlot *slot;
	RegProcedure equal[WH_MAX_KEY];
	TypeCacheEntry *first_type; /* of the grain's first column; NULL = highest is not known */
	Datum		highest;		/* first column of the grain among the rows that exist */
	WhTouched	suspects;		/* grains left to the merge */
} Loader;

/* Give the fact's unique index on the grain, and for ledgers the posting, or InvalidOid. */
static Oid
grain_index(const WhFact *f)
{
	Relation	rel = table_open(f->relid, AccessShareLock);
	AttrNumber	columns[WH_MAX_KEY + 2];
	int			n = f->ngrain;
	Oid			index;

	memcpy(columns, f->grain, sizeof(AttrNumber) * f->ngrain);
	if (f->mode == WH_FACT_LEDGER)
	{
		columns[n++] = f->posted_at;
		columns[n++] = f->is_reversal;
	}
	index = wh_unique_index(rel, columns, n);
	table_close(rel, NoLock);
	return index;
}

/* Say whether the fact's unique index exists yet. */
bool
wh_fact_has_index(const WhFact *f)
{
	return OidIsValid(grain_index(f));
}

static void
make_index_work(void *arg)
{
	const WhFact *f = arg;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s (", f->qualified);
	for (int i = 0; i < f->ngrain; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "", quote_identifier(f->grain_name[i]));
	appendStringInfoString(&sql, f->mode == WH_FACT_LEDGER ? ", posted_at, is_reversal)" : ")");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
}

/*
 * Make the unique index on the grain.  Gives false when two rows have the same
 * grain; nothing is made then.
 */
bool
wh_fact_make_index(WhFactPass *pass)
{
	ErrorData  *error;

	/* a table in use gets no index */
	table_close(pass->rel, NoLock);
	error = wh_subtransaction(make_index_work, pass->fact, false);
	pass->rel = table_open(pass->fact->relid, RowExclusiveLock);
	wh_table_check_same(pass->rel, pass->fact->tupdesc);

	if (error && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	return error == NULL;
}

static bool
grain_is_null(const WhFact *f, const bool *source_isnull)
{
	for (int i = 0; i < f->ngrain; i++)
		if (source_isnull[f->grain_index[i]])
			return true;
	return false;
}

static void
add_suspect(Loader *loader, const Datum *source)
{
	WhFact	   *f = loader->pass->fact;
	Datum		values[WH_MAX_KEY];
	bool		isnull[WH_MAX_KEY] = {false};

	for (int i = 0; i < f->ngrain; i++)
		values[i] = source[f->grain_index[i]];
	tuplestore_putvalues(loader->suspects.store, loader->suspects.tupdesc, values, isnull);
	loader->suspects.nrows++;
}

/*
 * Note the highest first column of the grain that exists, when the index has
 * values in the order of their type: what lies beyond it is new.
 */
static void
find_highest(Loader *loader)
{
	WhFact	   *f = loader->pass->fact;
	Form_pg_attribute att = TupleDescAttr(f->tupdesc, f->grain[0] - 1);
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_CMP_PROC_FINFO);
	IndexScanDesc last;

	if (OidIsValid(att->attcollation) || loader->index->rd_indoption[0] != 0 ||
		loader->index->rd_opfamily[0] != type->btree_opf ||
		loader->index->rd_opcintype[0] != type->type_id)
		return;
	last = wh_index_beginscan(loader->rel, loader->index, GetActiveSnapshot(), 0);
	index_rescan(last, NULL, 0, NULL, 0);
	if (index_getnext_slot(last, BackwardScanDirection, loader->slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(loader->slot, f->grain[0], &isnull);

		/* a NULL, which no grain holds, would stand behind all values */
		if (!isnull)
		{
			loader->highest = datumCopy(value, att->attbyval, att->attlen);
			loader->first_type = type;
		}
	}
	ExecClearTuple(loader->slot);
	index_endscan(last);
}

/* Say whether a row of this grain exists, or came before in this load. */
static bool
meets_other(Loader *loader, const Datum *source)
{
	WhFact	   *f = loader->pass->fact;
	ScanKeyData keys[WH_MAX_KEY];
	uint64		hash = 0;
	bool		found;
	MemoryContext old;

	for (int i = 0; i < f->ngrain; i++)
	{
		Datum		value = source[f->grain_index[i]];
		Oid			collation = TupleDescAttr(f->tupdesc, f->grain[i] - 1)->attcollation;

		hash = hash_combine64(hash, DatumGetUInt64(FunctionCall2Coll(&loader->hash[i], collation, value,
																	 UInt64GetDatum(0))));
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid, collation,
							   loader->equal[i], value);
	}
	(void) seen_insert(loader->seen, hash, &found);
	if (found)
		return true;
	if (loader->first_type &&
		DatumGetInt32(FunctionCall2Coll(&loader->first_type->cmp_proc_finfo, InvalidOid,
										source[f->grain_index[0]], loader->highest)) > 0)
		return false;
	/* we are inside an executor, whose memory goes before the scan does */
	old = MemoryContextSwitchTo(loader->context);
	index_rescan(loader->scan, keys, f->ngrain, NULL, 0);
	found = index_getnext_slot(loader->scan, ForwardScanDirection, loader->slot);
	ExecClearTuple(loader->slot);
	MemoryContextSwitchTo(old);
	return found;
}

static void
load_row(TupleTableSlot *slot, void *arg)
{
	Loader	   *loader = arg;
	WhFactPass *pass = loader->pass;

	if (loader->nrows++ == 0)
		wh_fact_check_source(pass, slot->tts_tupleDescriptor, 0);
	slot_getallattrs(slot);
	if (grain_is_null(pass->fact, slot->tts_isnull))
		wh_fact_error(pass, slot->tts_values, slot->tts_isnull, ERRCODE_NOT_NULL_VIOLATION,
					  "a column of the grain is NULL");
	else if (loader->check && meets_other(loader, slot->tts_values))
		add_suspect(loader, slot->tts_values);
	else
	{
		wh_fact_build(pass, slot->tts_values, slot->tts_isnull);
		wh_bulk_insert(pass->writer, pass->values, pass->isnull);
	}
}

static void
prepare_suspects(Loader *loader)
{
	WhFact	   *f = loader->pass->fact;
	WhTouched  *s = &loader->suspects;

	s->nkeys = f->ngrain;
	s->tupdesc = CreateTemplateTupleDesc(f->ngrain);
	for (int i = 0; i < f->ngrain; i++)
	{
		Form_pg_attribute att = TupleDescAttr(f->tupdesc, f->grain[i] - 1);

		s->keys[i] = i;
		TupleDescInitEntry(s->tupdesc, i + 1, psprintf("k%d", i + 1), att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(s->tupdesc, i + 1, att->attcollation);
	}
	s->store = tuplestore_begin_heap(true, false, work_mem);
}

/* Merge the grains that were left: in the order of the query, its own included. */
static void
merge_suspects(Loader *loader)
{
	WhFactPass *pass = loader->pass;
	WhFact	   *f = pass->fact;
	StringInfoData sql;

	if (loader->suspects.nrows == 0)
		return;
	wh_bulk_flush(pass->writer);
	CommandCounterIncrement();
	wh_snapshot_advance();
	wh_touched_register(&loader->suspects);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < f->ncolumns; i++)
		appendStringInfo(&sql, "%sq.%s", i ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(f->tupdesc, f->column[i] - 1)->attname)));
	appendStringInfo(&sql, " FROM (SELECT w.*, row_number() OVER () AS wh_row FROM (%s) w) q WHERE true",
					 pass->plan->whole_sql);
	wh_touched_condition(&sql, "q", &loader->suspects, f->grain_name);
	appendStringInfoString(&sql, " ORDER BY q.wh_row");
	wh_fact_merge(pass, sql.data, &loader->suspects);
	wh_touched_unregister();
}

/* Find the grains that several rows of the table have, and remove those rows. */
static void
take_repeats(Loader *loader)
{
	WhFactPass *pass = loader->pass;
	WhFact	   *f = pass->fact;
	StringInfoData list,
				columns;
	TupleDesc	tupdesc;

	initStringInfo(&list);
	initStringInfo(&columns);
	for (int i = 0; i < f->ngrain; i++)
	{
		const char *name = quote_identifier(f->grain_name[i]);

		appendStringInfo(&list, "%s%s", i ? ", " : "", name);
		appendStringInfo(&columns, "%s%s AS k%d", i ? ", " : "", name, i + 1);
	}
	loader->suspects.store = wh_spi_store(psprintf("SELECT %s FROM %s GROUP BY %s HAVING count(*) > 1",
												   columns.data, f->qualified, list.data),
										  &tupdesc, &loader->suspects.nrows);
}

static void
delete_row(WhFactPass *pass, WhCursor *cursor, HeapTuple tuple)
{
	Datum	   *values = palloc(sizeof(Datum) * cursor->tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * cursor->tupdesc->natts);

	heap_deform_tuple(tuple, cursor->tupdesc, values, isnull);
	wh_bulk_delete(pass->writer, (ItemPointer) DatumGetPointer(values[0]));
	/* members inferred for it may have no other row */
	wh_fact_release(pass, values + 1, NULL);
	pfree(values);
	pfree(isnull);
}

static void
delete_suspects(Loader *loader)
{
	WhCursor   *cursor;
	HeapTuple	tuple;

	wh_touched_register(&loader->suspects);
	cursor = wh_cursor_open(wh_fact_existing_sql(loader->pass, &loader->suspects));
	while (wh_cursor_next(cursor, &tuple))
		delete_row(loader->pass, cursor, tuple);
	wh_cursor_close(cursor);
	wh_touched_unregister();
	CommandCounterIncrement();
	wh_snapshot_advance();
}

/*
 * Load all rows into the empty table, and make its unique index.  Opens and
 * closes pass->writer.
 */
void
wh_fact_load(WhFactPass *pass)
{
	Loader		loader = {.pass = pass};
	WhFact	   *f = pass->fact;

	for (int i = 0; i < f->ndimensions; i++)
		wh_lookup_expect(pass->lookups[i], 1e9);
	pass->writer = wh_bulk_open(f->relid, false);
	wh_spi_each(wh_fact_source_sql(pass, psprintf("SELECT * FROM %s", wh_relation_name(f->definition))),
				load_row, &loader);
	pass->counts->rows_inserted += pass->writer->inserted;
	wh_bulk_close(pass->writer);
	wh_snapshot_advance();
	if (wh_fact_make_index(pass))
		return;

	/* several rows of a grain: take all of them out, and merge these grains */
	prepare_suspects(&loader);
	tuplestore_end(loader.suspects.store);
	take_repeats(&loader);
	pass->writer = wh_bulk_open(f->relid, false);
	delete_suspects(&loader);
	merge_suspects(&loader);
	tuplestore_end(loader.suspects.store);
	pass->counts->rows_inserted += pass->writer->inserted - pass->writer->deleted;
	wh_bulk_close(pass->writer);
	wh_snapshot_advance();
	if (!wh_fact_make_index(pass))
		elog(ERROR, "fact \"%s\" still has two rows of one grain", f->name);
}

static void
open_check(Loader *loader)
{
	WhFact	   *f = loader->pass->fact;

	loader->check = true;
	loader->context = CurrentMemoryContext;
	loader->seen = seen_create(CurrentMemoryContext, 1024, NULL);
	loader->rel = table_open(f->relid, AccessShareLock);
	loader->index = index_open(grain_index(f), AccessShareLock);
	loader->slot = table_slot_create(loader->rel, NULL);
	loader->scan = wh_index_beginscan(loader->rel, loader->index, GetActiveSnapshot(), f->ngrain);
	for (int i = 0; i < f->ngrain; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(TupleDescAttr(f->tupdesc, f->grain[i] - 1)->atttypid,
												 TYPECACHE_HASH_EXTENDED_PROC_FINFO | TYPECACHE_EQ_OPR);

		fmgr_info_copy(&loader->hash[i], &type->hash_extended_proc_finfo, CurrentMemoryContext);
		loader->equal[i] = get_opcode(type->eq_opr);
	}
	find_highest(loader);
}

static bool
grain_is_hashable(const WhFact *f)
{
	for (int i = 0; i < f->ngrain; i++)
		if (!OidIsValid(lookup_type_cache(TupleDescAttr(f->tupdesc, f->grain[i] - 1)->atttypid,
										  TYPECACHE_HASH_EXTENDED_PROC)->hash_extended_proc))
			return false;
	return true;
}

/*
 * Add the rows of a query that gives new rows only.  pass->writer is open.
 * Gives false, having done nothing, when the grain cannot be hashed.
 */
bool
wh_fact_append(WhFactPass *pass, const char *inner)
{
	Loader		loader = {.pass = pass};

	if (!grain_is_hashable(pass->fact))
		return false;
	open_check(&loader);
	prepare_suspects(&loader);
	wh_spi_each(wh_fact_source_sql(pass, inner), load_row, &loader);
	index_endscan(loader.scan);
	ExecDropSingleTupleTableSlot(loader.slot);
	index_close(loader.index, NoLock);
	table_close(loader.rel, NoLock);
	seen_destroy(loader.seen);
	merge_suspects(&loader);
	tuplestore_end(loader.suspects.store);
	return true;
}
