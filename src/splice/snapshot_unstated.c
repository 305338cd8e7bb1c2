/*
 * snapshot_unstated.c
 *	  The keys that a feed's snapshots do not state: those whose rows were
 *	  rejected.
 *
 * They are kept in wh.rejected_key, because a snapshot that arrives late must
 * know them, as text under the pinned settings.  They are read once per load.
 * Runs inside wh_ingest_feed, as the feed's owner, who alone makes texts of keys
 * and keys of texts; the catalog is read and written as its owner.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "metadata/catalog_user.h"
#include "splice/snapshot.h"

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

struct WhUnstated
{
	MemoryContext context;
	KeySet		kept;			/* of all units */
	KeySet		own;			/* of the snapshot being read */
};

static int
compare_keys(WhStaging *staging, Datum *a, Datum *b)
{
	for (int i = 0; i < staging->nkeys; i++)
	{
		int			result = DatumGetInt32(FunctionCall2Coll(&staging->key_type[i]->cmp_proc_finfo,
															 staging->key_collation[i], a[i], b[i]));

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
add_key(WhStaging *staging, KeySet *set, int64 unit_no, Datum *key)
{
	MemoryContext old = MemoryContextSwitchTo(staging->unstated->context);
	UnstatedKey *added;

	if (set->nkeys == set->room)
	{
		set->room = Max(16, set->room * 2);
		set->keys = set->keys == NULL ? palloc(sizeof(UnstatedKey) * set->room) :
			repalloc(set->keys, sizeof(UnstatedKey) * set->room);
	}
	added = &set->keys[set->nkeys++];
	added->unit_no = unit_no;
	added->key = palloc(sizeof(Datum) * staging->nkeys);
	for (int i = 0; i < staging->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(staging->desc, staging->key[i] - 1);

		added->key[i] = datumCopy(key[i], att->attbyval, att->attlen);
	}
	set->is_sorted = false;
	MemoryContextSwitchTo(old);
}

/* Find the key in values among those that a unit leaves unstated, or NULL. */
static UnstatedKey *
find_key(WhStaging *staging, KeySet *set, int64 unit_no, Datum *values)
{
	Datum		key[WH_MAX_KEY];
	UnstatedKey wanted = {unit_no, key};

	if (set->nkeys == 0)
		return NULL;
	if (!set->is_sorted)
	{
		qsort_arg(set->keys, set->nkeys, sizeof(UnstatedKey), compare_unstated, staging);
		set->is_sorted = true;
	}
	for (int i = 0; i < staging->nkeys; i++)
		key[i] = values[staging->key[i] - 1];
	return bsearch_arg(&wanted, set->keys, set->nkeys, sizeof(UnstatedKey), compare_unstated, staging);
}

/* Read the keys that were kept; sets staging->unstated while it does. */
WhUnstated *
wh_unstated_open(WhStaging *staging)
{
	WhUnstated *unstated = palloc0(sizeof(WhUnstated));
	WhRow	   *rows;
	int			n;

	unstated->context = CurrentMemoryContext;
	staging->unstated = unstated;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rows = wh_catalog_rows(&n, "SELECT unit_no, key FROM wh.rejected_key WHERE feed_id OPERATOR(pg_catalog.=) $1",
						   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(staging->feed->feed_id)});
	for (int i = 0; i < n; i++)
	{
		List	   *texts = wh_feed_text_list(DatumGetArrayTypeP(rows[i].values[1]));
		Datum		key[WH_MAX_KEY];

		if (list_length(texts) != staging->nkeys)
			continue;
		for (int k = 0; k < staging->nkeys; k++)
		{
			Form_pg_attribute att = TupleDescAttr(staging->desc, staging->key[k] - 1);
			int32		typmod = att->atttypmod;
			Oid			type = getBaseTypeAndTypmod(att->atttypid, &typmod);
			Oid			input;
			Oid			param;

			/* the base type's: a domain's checks may have become others since */
			getTypeInputInfo(type, &input, &param);
			key[k] = OidInputFunctionCall(input, list_nth(texts, k), param, typmod);
		}
		add_key(staging, &unstated->kept, DatumGetInt64(rows[i].values[0]), key);
	}
	SPI_finish();
	return unstated;
}

/* Tell whether a unit leaves the key in values unstated. */
bool
wh_unstated_has(WhStaging *staging, int64 unit_no, Datum *values)
{
	return find_key(staging, &staging->unstated->kept, unit_no, values) != NULL;
}

/* Forget the unstated keys of the snapshot before. */
void
wh_unstated_begin_own(WhStaging *staging)
{
	staging->unstated->own.nkeys = 0;
}

/* Note that the snapshot being read does not state a key, given by key column. */
void
wh_unstated_add_own(WhStaging *staging, Datum *key)
{
	add_key(staging, &staging->unstated->own, 0, key);
}

/* Tell whether the snapshot being read does not state the key in values. */
bool
wh_unstated_own_has(WhStaging *staging, Datum *values)
{
	return find_key(staging, &staging->unstated->own, 0, values) != NULL;
}

/* Let the snapshot at hand leave unstated what a unit does. */
void
wh_unstated_load_own(WhStaging *staging, int64 unit_no)
{
	WhUnstated *unstated = staging->unstated;

	for (int n = 0; n < unstated->kept.nkeys; n++)
	{
		UnstatedKey *key = &unstated->kept.keys[n];

		if (key->unit_no == unit_no)
			add_key(staging, &unstated->own, 0, key->key);
	}
}

/* Note that the snapshot at hand states the key in values after all. */
void
wh_unstated_own_states(WhStaging *staging, Datum *values)
{
	KeySet	   *own = &staging->unstated->own;
	UnstatedKey *found = find_key(staging, own, 0, values);
	UnstatedKey *key;

	if (found == NULL)
		return;
	for (key = found + 1; key < own->keys + own->nkeys && compare_keys(staging, key->key, found->key) == 0; key++)
		key->unit_no = STATED;
	for (key = found - 1; key >= own->keys && compare_keys(staging, key->key, found->key) == 0; key--)
		key->unit_no = STATED;
	found->unit_no = STATED;
}

/* Give a key's texts as an array. */
static Datum
key_texts(WhStaging *staging, Datum *key)
{
	Datum		texts[WH_MAX_KEY];

	for (int k = 0; k < staging->nkeys; k++)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(TupleDescAttr(staging->desc, staging->key[k] - 1)->atttypid, &output, &varlena);
		texts[k] = CStringGetTextDatum(OidOutputFunctionCall(output, key[k]));
	}
	return PointerGetDatum(construct_array(texts, staging->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Keep the unstated keys of the snapshot that was read, as those of a unit. */
void
wh_unstated_keep_own(WhStaging *staging, int64 unit_no)
{
	WhUnstated *unstated = staging->unstated;
	Oid			types[3] = {INT8OID, INT8OID, TEXTARRAYOID};
	Datum		args[3] = {Int64GetDatum(staging->feed->feed_id), Int64GetDatum(unit_no)};

	if (unstated->own.nkeys == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	/* a retry has begun with those that were kept */
	if (staging->is_retry)
		wh_catalog_execute("DELETE FROM wh.rejected_key WHERE feed_id OPERATOR(pg_catalog.=) $1"
						   " AND unit_no OPERATOR(pg_catalog.=) $2", 2, types, args, NULL);
	for (int n = 0; n < unstated->own.nkeys; n++)
	{
		UnstatedKey *key = &unstated->own.keys[n];

		if (key->unit_no == STATED)
			continue;
		args[2] = key_texts(staging, key->key);
		wh_catalog_execute("INSERT INTO wh.rejected_key (feed_id, unit_no, key)"
						   " SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM wh.rejected_key"
						   " WHERE feed_id OPERATOR(pg_catalog.=) $1 AND unit_no OPERATOR(pg_catalog.=) $2"
						   " AND key OPERATOR(pg_catalog.=) $3)", 3, types, args, NULL);
		add_key(staging, &unstated->kept, unit_no, key->key);
	}
	SPI_finish();
}
