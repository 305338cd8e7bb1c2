/*
 * splice_scan.c
 *	  Finds the staged versions of a key through the unique index of its table,
 *	  or among the rows that a first load put in before it began to sort.
 *
 * Runs inside wh_ingest_feed under the active snapshot, which does not see what
 * is written from then on: a key is looked at once (a snapshot feed takes a new
 * snapshot for each file).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/own_table.h"
#include "base/unique_index.h"
#include "splice/splice_version.h"

/* Open the unique index on the key (and effective_from, when there is one). */
static Relation
open_index(WhStaging *staging, Relation table, int ncolumns)
{
	AttrNumber	columns[WH_MAX_KEY + 1];
	Oid			index;

	for (int i = 0; i < staging->nkeys; i++)
		columns[i] = staging->key[i];
	if (ncolumns > staging->nkeys)
		columns[staging->nkeys] = staging->ours.effective_from;
	index = wh_unique_index(table, columns, ncolumns);
	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the unique index of \"%s\" is missing", RelationGetRelationName(table)),
				 errhint("Create a unique index on the key%s of the feed.",
						 ncolumns > staging->nkeys ? " and effective_from" : "")));
	return index_open(index, NoLock);
}

static void
init_key(Relation index, int column, StrategyNumber strategy, ScanKey key)
{
	Oid			family = index->rd_opfamily[column];
	Oid			type = index->rd_opcintype[column];
	Oid			operator = get_opfamily_member(family, type, type, strategy);

	if (!OidIsValid(operator))
		elog(ERROR, "missing operator %d of type %u in family %u", strategy, type, family);
	ScanKeyEntryInitialize(key, 0, column + 1, strategy, InvalidOid, index->rd_indcollation[column],
						   get_opcode(operator), (Datum) 0);
}

/* Read the next row of an ordered scan. */
static void
next_ordered(WhStagedScan *scan)
{
	scan->has_row = table_scan_getnextslot(scan->ordered, ForwardScanDirection, scan->slot);
	if (scan->has_row)
		slot_getallattrs(scan->slot);
}

/* Begin to read the rows that this run put in, in the order of their keys. */
static void
open_ordered(WhStagedScan *scan)
{
	wh_ordered_end(scan->staging);
	/* From the first block on, which other scans of the table must not change. */
	scan->ordered = table_beginscan_strat(scan->table, GetActiveSnapshot(), 0, NULL, true, false);
	scan->slot = table_slot_create(scan->table, NULL);
	next_ordered(scan);
}

/* Go on to the row of a key, which comes after those asked for before. */
static bool
find_ordered(WhStagedScan *scan, Datum *values)
{
	int			cmp = -1;

	while (scan->has_row && (cmp = wh_sort_key_compare(scan->staging, scan->slot->tts_values, values)) < 0)
	{
		CHECK_FOR_INTERRUPTS();
		next_ordered(scan);
	}
	return scan->has_row && cmp == 0;
}

static TimestampTz
ordered_from(WhStagedScan *scan)
{
	return DatumGetTimestampTz(scan->slot->tts_values[scan->staging->ours.effective_from - 1]);
}

/*
 * Note the highest first key column that is staged, if keys compare as the
 * index has them: keys beyond it are new, and need not be looked for.
 */
static void
find_highest(WhStagedScan *scan)
{
	WhStaging  *staging = scan->staging;
	int			n = staging->key[0] - 1;
	Form_pg_attribute att = TupleDescAttr(staging->desc, n);
	IndexScanDesc last;

	if (OidIsValid(att->attcollation) || scan->index->rd_indoption[0] != 0 ||
		scan->index->rd_opfamily[0] != staging->key_type[0]->btree_opf ||
		scan->index->rd_opcintype[0] != staging->key_type[0]->type_id)
		return;
	last = wh_index_beginscan(scan->table, scan->index, GetActiveSnapshot(), 0);
	index_rescan(last, NULL, 0, NULL, 0);
	if (index_getnext_slot(last, BackwardScanDirection, scan->slot))
	{
		bool		isnull;
		Datum		value = slot_getattr(scan->slot, staging->key[0], &isnull);

		/* a NULL, which no feed stages, would stand behind all values */
		scan->has_highest = !isnull;
		if (!isnull)
			scan->highest = datumCopy(value, att->attbyval, att->attlen);
	}
	ExecClearTuple(scan->slot);
	index_endscan(last);
}

/* Say whether a key lies beyond all that were staged when the scan was opened. */
static bool
is_beyond(WhStagedScan *scan, Datum *values)
{
	WhStaging  *staging = scan->staging;

	return scan->has_highest &&
		DatumGetInt32(FunctionCall2Coll(&staging->key_type[0]->cmp_proc_finfo, InvalidOid,
										values[staging->key[0] - 1], scan->highest)) > 0;
}

/* Open a scan.  When the table is empty, nothing is opened or ever found. */
WhStagedScan *
wh_staged_open(WhStaging *staging)
{
	WhStagedScan *scan = palloc0(sizeof(WhStagedScan));
	bool		is_history = staging->feed->load != WH_LOAD_APPEND;
	Snapshot	snapshot = GetActiveSnapshot();
	int			nkeys = staging->nkeys + (is_history ? 1 : 0);

	scan->staging = staging;
	scan->table = relation_open(staging->table, AccessShareLock);
	if (staging->ordered_rows > 0)
	{
		open_ordered(scan);
		return scan;
	}
	wh_table_check_same(scan->table, staging->desc);
	if (RelationGetNumberOfBlocks(scan->table) == 0)
	{
		relation_close(scan->table, NoLock);
		scan->table = NULL;
		return scan;
	}
	scan->index = open_index(staging, scan->table, nkeys);
	for (int i = 0; i < staging->nkeys; i++)
	{
		init_key(scan->index, i, BTEqualStrategyNumber, &scan->forward_keys[i]);
		scan->backward_keys[i] = scan->forward_keys[i];
	}
	if (is_history)
	{
		init_key(scan->index, staging->nkeys, BTGreaterEqualStrategyNumber, &scan->forward_keys[staging->nkeys]);
		init_key(scan->index, staging->nkeys, BTLessStrategyNumber, &scan->backward_keys[staging->nkeys]);
		scan->backward = wh_index_beginscan(scan->table, scan->index, snapshot, nkeys);
	}
	scan->forward = wh_index_beginscan(scan->table, scan->index, snapshot, nkeys);
	scan->held = palloc0(sizeof(Datum) * staging->desc->natts);
	scan->slot = table_slot_create(scan->table, NULL);
	find_highest(scan);
	return scan;
}

static void
set_key(WhStagedScan *scan, ScanKeyData *keys, Datum *values, TimestampTz time)
{
	for (int i = 0; i < scan->staging->nkeys; i++)
		keys[i].sk_argument = values[scan->staging->key[i] - 1];
	keys[scan->staging->nkeys].sk_argument = TimestampTzGetDatum(time);
}

/* Copy a key: the index compares with it whenever the scan goes on to another page. */
static void
hold_key(WhStagedScan *scan, Datum *values)
{
	WhStaging  *staging = scan->staging;

	for (int i = 0; i < staging->nkeys; i++)
	{
		int			n = staging->key[i] - 1;
		Form_pg_attribute att = TupleDescAttr(staging->desc, n);

		if (!att->attbyval && scan->held[n])
			pfree(DatumGetPointer(scan->held[n]));
		scan->held[n] = datumCopy(values[n], att->attbyval, att->attlen);
	}
}

/* Find the last version of the key in values that begins before a time. */
bool
wh_staged_before(WhStagedScan *scan, Datum *values, TimestampTz time, WhStagedVersion *version)
{
	if (scan->table == NULL)
		return false;
	if (scan->ordered)
	{
		if (!find_ordered(scan, values) || ordered_from(scan) >= time)
			return false;
		wh_version_load(scan->staging, version, scan->slot);
		return true;
	}
	if (is_beyond(scan, values))
		return false;
	set_key(scan, scan->backward_keys, values, time);
	index_rescan(scan->backward, scan->backward_keys, scan->staging->nkeys + 1, NULL, 0);
	if (!index_getnext_slot(scan->backward, BackwardScanDirection, scan->slot))
		return false;
	wh_version_load(scan->staging, version, scan->slot);
	return true;
}

/*
 * Go to the first version of the key in values that begins at or after a time
 * (to the row of the key, for an append feed).
 */
void
wh_staged_seek(WhStagedScan *scan, Datum *values, TimestampTz time)
{
	if (scan->table == NULL)
		return;
	if (scan->ordered)
	{
		scan->is_found = find_ordered(scan, values) &&
			(scan->staging->feed->load == WH_LOAD_APPEND || ordered_from(scan) >= time);
		return;
	}
	scan->is_found = !is_beyond(scan, values);
	if (!scan->is_found)
		return;
	hold_key(scan, values);
	set_key(scan, scan->forward_keys, scan->held, time);
	index_rescan(scan->forward, scan->forward_keys,
				 scan->staging->nkeys + (scan->backward ? 1 : 0), NULL, 0);
}

/* Read the next version after wh_staged_seek. */
bool
wh_staged_next(WhStagedScan *scan, WhStagedVersion *version)
{
	if (scan->ordered)
	{
		/* a key has one row here */
		if (!scan->is_found)
			return false;
		scan->is_found = false;
		wh_version_load(scan->staging, version, scan->slot);
		return true;
	}
	if (scan->table == NULL || !scan->is_found ||
		!index_getnext_slot(scan->forward, ForwardScanDirection, scan->slot))
		return false;
	wh_version_load(scan->staging, version, scan->slot);
	return true;
}

/* Close the scan; the table stays locked. */
void
wh_staged_close(WhStagedScan *scan)
{
	if (scan->table == NULL)
		return;
	ExecDropSingleTupleTableSlot(scan->slot);
	if (scan->ordered)
		table_endscan(scan->ordered);
	else
	{
		index_endscan(scan->forward);
		if (scan->backward)
			index_endscan(scan->backward);
		index_close(scan->index, NoLock);
	}
	relation_close(scan->table, NoLock);
	scan->table = NULL;
}
