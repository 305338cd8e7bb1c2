/*
 * splice_snapshots.c
 *	  The snapshots of a feed: their times, and the keys they do not state.
 *
 * Read once per ingest.  The keys whose rows were rejected are kept in
 * wh.rejected_key, as text under the pinned settings, because a snapshot that
 * arrives late must know them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "splice/splice_snapshot.h"
#include "metadata/catalog_user.h"

/* Unit of a key that is stated after all. */
#define STATED (-1)

/* A key that a unit does not state. */
typedef struct UnstatedKey
{
	int64		unit_no;
	Datum	   *key;
} UnstatedKey;

typedef struct KeySet
{
	UnstatedKey *keys;			/* sorted by key, then unit, once is_sorted */
	int			nkeys;
	int			room;
	bool		is_sorted;
} KeySet;

struct WhSnapshots
{
	MemoryContext context;
	WhSnapshot *snapshots;		/* by time */
	int			nsnapshots;
	int			room;
	KeySet		kept;			/* of all units */
	KeySet		own;			/* of the snapshot being read */
};

/* Give the index of the first snapshot at or after a time. */
static int
search(WhSnapshots *snapshots, TimestampTz time)
{
	int			low = 0;
	int			high = snapshots->nsnapshots;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (snapshots->snapshots[middle].time < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Find the snapshot of a time, or NULL. */
WhSnapshot *
wh_snapshots_find(WhSnapshots *snapshots, TimestampTz time)
{
	int			n = search(snapshots, time);

	return n < snapshots->nsnapshots && snapshots->snapshots[n].time == time ? &snapshots->snapshots[n] : NULL;
}

/* Give the time of the last snapshot; DT_NOBEGIN when there is none. */
TimestampTz
wh_snapshots_last(WhSnapshots *snapshots)
{
	return snapshots->nsnapshots > 0 ? snapshots->snapshots[snapshots->nsnapshots - 1].time : DT_NOBEGIN;
}

/* Tell whether there are snapshots after a time. */
bool
wh_snapshots_are_later(WhSnapshots *snapshots, TimestampTz time)
{
	return wh_snapshots_last(snapshots) > time;
}

/* Note that a unit counts at a time. */
void
wh_snapshots_set(WhSnapshots *snapshots, TimestampTz time, int64 unit_no, bool is_complete)
{
	int			n = search(snapshots, time);
	WhSnapshot *snapshot;

	if (n == snapshots->nsnapshots || snapshots->snapshots[n].time != time)
	{
		if (snapshots->nsnapshots == snapshots->room)
		{
			snapshots->room = Max(16, snapshots->room * 2);
			snapshots->snapshots = snapshots->snapshots == NULL ?
				MemoryContextAlloc(snapshots->context, sizeof(WhSnapshot) * snapshots->room) :
				repalloc(snapshots->snapshots, sizeof(WhSnapshot) * snapshots->room);
		}
		memmove(&snapshots->snapshots[n + 1], &snapshots->snapshots[n],
				sizeof(WhSnapshot) * (snapshots->nsnapshots - n));
		snapshots->nsnapshots++;
	}
	snapshot = &snapshots->snapshots[n];
	snapshot->time = time;
	snapshot->unit_no = unit_no;
	snapshot->is_complete = is_complete;
}

static int
compare_keys(WhIngest *ing, Datum *a, Datum *b)
{
	for (int i = 0; i < ing->nkeys; i++)
	{
		int			result = DatumGetInt32(FunctionCall2Coll(&ing->key_type[i]->cmp_proc_finfo,
															 ing->key_collation[i], a[i], b[i]));

		if (result != 0)
			return result;
	}
	return 0;
}

static int
compare_unstated(const void *a, const void *b, void *arg)
{
	const UnstatedKey *x = a;
	const UnstatedKey *y = b;
	int			result = compare_keys(arg, x->key, y->key);

	return result != 0 ? result : x->unit_no < y->unit_no ? -1 : x->unit_no > y->unit_no;
}

static void
add_key(WhIngest *ing, WhSnapshots *snapshots, KeySet *set, int64 unit_no, Datum *key)
{
	MemoryContext old = MemoryContextSwitchTo(snapshots->context);
	UnstatedKey *added;

	if (set->nkeys == set->room)
	{
		set->room = Max(16, set->room * 2);
		set->keys = set->keys == NULL ? palloc(sizeof(UnstatedKey) * set->room) :
			repalloc(set->keys, sizeof(UnstatedKey) * set->room);
	}
	added = &set->keys[set->nkeys++];
	added->unit_no = unit_no;
	added->key = palloc(sizeof(Datum) * ing->nkeys);
	for (int i = 0; i < ing->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->desc, ing->key_staged[i] - 1);

		added->key[i] = datumCopy(key[i], att->attbyval, att->attlen);
	}
	set->is_sorted = false;
	MemoryContextSwitchTo(old);
}

/* Find the key in values among those that a unit leaves unstated, or NULL. */
static UnstatedKey *
find_key(WhIngest *ing, KeySet *set, int64 unit_no, Datum *values)
{
	Datum		key[WH_MAX_KEY];
	UnstatedKey wanted = {unit_no, key};

	if (set->nkeys == 0)
		return NULL;
	if (!set->is_sorted)
	{
		qsort_arg(set->keys, set->nkeys, sizeof(UnstatedKey), compare_unstated, ing);
		set->is_sorted = true;
	}
	for (int i = 0; i < ing->nkeys; i++)
		key[i] = values[ing->key_staged[i] - 1];
	return bsearch_arg(&wanted, set->keys, set->nkeys, sizeof(UnstatedKey), compare_unstated, ing);
}

/* Tell whether a unit leaves the key in values unstated. */
static bool
has_key(WhIngest *ing, KeySet *set, int64 unit_no, Datum *values)
{
	return find_key(ing, set, unit_no, values) != NULL;
}

/* Read the snapshots of the feed. */
WhSnapshots *
wh_snapshots_open(WhIngest *ing)
{
	WhSnapshots *snapshots = palloc0(sizeof(WhSnapshots));
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(ing->feed->feed_id)};
	WhSurroundings saved;

	snapshots->context = CurrentMemoryContext;
	wh_units_load(ing);
	hash_seq_init(&seq, ing->units);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		WhSnapshot *rival;

		if (unit->event_time == DT_NOBEGIN)
			continue;
		rival = wh_snapshots_find(snapshots, unit->event_time);
		if (rival == NULL || wh_position_compare(ing, wh_position(rival->unit_no, 0),
												 wh_position(unit->unit_no, 0)) < 0)
			wh_snapshots_set(snapshots, unit->event_time, unit->unit_no, unit->is_complete);
	}

	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT unit_no, key FROM wh.rejected_key WHERE feed_id OPERATOR(pg_catalog.=) $1",
							  1, types, args, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read rejected keys");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int64		unit_no = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		List	   *texts = wh_feed_text_list(DatumGetArrayTypeP(SPI_getbinval(tuple, desc, 2, &isnull)));
		Datum		key[WH_MAX_KEY];

		if (list_length(texts) != ing->nkeys)
			continue;
		for (int k = 0; k < ing->nkeys; k++)
		{
			Form_pg_attribute att = TupleDescAttr(ing->desc, ing->key_staged[k] - 1);
			Oid			input;
			Oid			param;

			getTypeInputInfo(att->atttypid, &input, &param);
			key[k] = OidInputFunctionCall(input, list_nth(texts, k), param, att->atttypmod);
		}
		add_key(ing, snapshots, &snapshots->kept, unit_no, key);
	}
	SPI_finish();
	wh_surroundings_leave(&saved);
	return snapshots;
}

/*
 * Find the first snapshot after a time that states the key in values: the one
 * of its next staged version (known, DT_NOEND for none), or one that it is
 * absent from.
 */
WhSnapshot *
wh_snapshots_next_stating(WhIngest *ing, WhSnapshots *snapshots, TimestampTz time, Datum *values,
						  TimestampTz known)
{
	for (int n = search(snapshots, time + 1); n < snapshots->nsnapshots; n++)
	{
		WhSnapshot *snapshot = &snapshots->snapshots[n];

		if (snapshot->time == known)
			return snapshot;
		if (snapshot->is_complete && !has_key(ing, &snapshots->kept, snapshot->unit_no, values))
			return snapshot;
	}
	return NULL;
}

/* Forget the unstated keys of the snapshot before. */
void
wh_snapshots_clear_own(WhSnapshots *snapshots)
{
	snapshots->own.nkeys = 0;
}

/* Note that the snapshot being read does not state the key of a record. */
void
wh_snapshots_add_own(WhIngest *ing, WhSnapshots *snapshots, WhIngestRow *row)
{
	Datum		key[WH_MAX_KEY];

	for (int i = 0; i < ing->nkeys; i++)
		key[i] = row->source.values[ing->key_source[i] - 1];
	add_key(ing, snapshots, &snapshots->own, 0, key);
}

/* Tell whether the snapshot being read does not state the key in values. */
bool
wh_snapshots_own_has(WhIngest *ing, WhSnapshots *snapshots, Datum *values)
{
	return has_key(ing, &snapshots->own, 0, values);
}

/* Let the snapshot at hand leave unstated what a unit does. */
void
wh_snapshots_load_own(WhIngest *ing, WhSnapshots *snapshots, int64 unit_no)
{
	for (int n = 0; n < snapshots->kept.nkeys; n++)
	{
		UnstatedKey *key = &snapshots->kept.keys[n];

		if (key->unit_no == unit_no)
			add_key(ing, snapshots, &snapshots->own, 0, key->key);
	}
}

/* Note that the snapshot at hand states the key in values after all. */
void
wh_snapshots_own_state(WhIngest *ing, WhSnapshots *snapshots, Datum *values)
{
	KeySet	   *own = &snapshots->own;
	UnstatedKey *found = find_key(ing, own, 0, values);
	UnstatedKey *key;

	if (found == NULL)
		return;
	for (key = found + 1; key < own->keys + own->nkeys && compare_keys(ing, key->key, found->key) == 0; key++)
		key->unit_no = STATED;
	for (key = found - 1; key >= own->keys && compare_keys(ing, key->key, found->key) == 0; key--)
		key->unit_no = STATED;
	found->unit_no = STATED;
}

/* Keep the unstated keys of the snapshot that was read, as those of a unit. */
void
wh_snapshots_keep_own(WhIngest *ing, WhSnapshots *snapshots, int64 unit_no)
{
	Oid			types[3] = {INT8OID, INT8OID, TEXTARRAYOID};
	WhSurroundings saved;

	if (snapshots->own.nkeys == 0)
		return;
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* a retry has begun with those that were kept */
	if (ing->is_retry &&
		SPI_execute_with_args("DELETE FROM wh.rejected_key WHERE feed_id OPERATOR(pg_catalog.=) $1"
							  " AND unit_no OPERATOR(pg_catalog.=) $2", 2, types,
							  (Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(unit_no)},
							  NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not remove rejected keys");
	for (int n = 0; n < snapshots->own.nkeys; n++)
	{
		Datum	   *key = snapshots->own.keys[n].key;
		Datum		texts[WH_MAX_KEY];
		Datum		args[3] = {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(unit_no)};

		if (snapshots->own.keys[n].unit_no == STATED)
			continue;

		for (int k = 0; k < ing->nkeys; k++)
		{
			Oid			output;
			bool		varlena;

			getTypeOutputInfo(TupleDescAttr(ing->desc, ing->key_staged[k] - 1)->atttypid, &output, &varlena);
			texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, key[k]));
		}
		args[2] = PointerGetDatum(construct_array(texts, ing->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
		if (SPI_execute_with_args("INSERT INTO wh.rejected_key (feed_id, unit_no, key)"
								  " SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM wh.rejected_key"
								  " WHERE feed_id OPERATOR(pg_catalog.=) $1 AND unit_no OPERATOR(pg_catalog.=) $2"
								  " AND key OPERATOR(pg_catalog.=) $3)",
								  3, types, args, NULL, false, 0) != SPI_OK_INSERT)
			elog(ERROR, "could not write a rejected key");
		add_key(ing, snapshots, &snapshots->kept, unit_no, key);
	}
	SPI_finish();
	wh_surroundings_leave(&saved);
}
