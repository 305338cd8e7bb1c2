/*
 * fact_lookup.c
 *	  Surrogate keys by natural key and event time.
 *
 * A dimension's versions are kept in memory by natural key: all of them when
 * many lookups are to come, else those that are asked for, read through the
 * index on (natural key, effective_from).  A key without versions gets an
 * inferred member (rule 16).  Lives in the publish, under its snapshot.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/rbtree.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "dimension/dimension_splice.h"
#include "fact/fact_lookup.h"
#include "definition/publish.h"

/* 0001-01-01: the surrogate key of a day before it would not be above zero. */
#define FIRST_DAY (-730119)

typedef struct Opening
{
	TimestampTz from;
	int64		key;
} Opening;

/* A natural key; its first column beside, where a comparison finds it soonest. */
typedef struct MemberKey
{
	Datum		first;
	const Datum *all;			/* only read from the second column on: a member with one has NULL */
} MemberKey;

/* The versions of one natural key, by opening time. */
typedef struct Member
{
	uint32		hash;
	char		status;
	bool		unsorted;		/* openings are in the order in which they came */
	int			nopenings;
	int			allocated;
	MemberKey	natural_key;
	Opening		first;
	Opening    *openings;		/* all of them, when more than one */
} Member;

static inline bool member_equal(WhLookup *lookup, MemberKey a, MemberKey b);

#define SH_PREFIX members
#define SH_ELEMENT_TYPE Member
#define SH_KEY_TYPE MemberKey
#define SH_KEY natural_key
#define SH_HASH_KEY(tb, key) wh_lookup_hash_key(tb->private_data, key)
#define SH_EQUAL(tb, a, b) member_equal(tb->private_data, a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
static inline uint32 wh_lookup_hash_key(WhLookup *lookup, MemberKey key);

typedef enum KeyKind
{
	KEY_INT,					/* by value, equal when the Datums are */
	KEY_OTHER
} KeyKind;

#include "lib/simplehash.h"

/* A member in a tree, where the key cannot be hashed. */
typedef struct TreeMember
{
	RBTNode		node;
	Member		member;
} TreeMember;

struct WhLookup
{
	WhDimension *dimension;
	int64		batch_id;
	MemoryContext context;
	members_hash *members;		/* by hash, or: */
	RBTree	   *tree;			/* by order */
	bool		complete;		/* all versions are in memory */
	int			nkey;
	KeyKind		kind[WH_MAX_KEY];
	Oid			type[WH_MAX_KEY];
	bool		byval[WH_MAX_KEY];
	int16		len[WH_MAX_KEY];
	Oid			collation[WH_MAX_KEY];
	FmgrInfo	hash[WH_MAX_KEY];
	FmgrInfo	equal[WH_MAX_KEY];
	FmgrInfo	compare[WH_MAX_KEY];	/* with a tree only */
	Relation	rel;			/* the dimension's table */
	/* reading single members */
	Relation	index;
	TupleTableSlot *slot;
	RegProcedure scan_equal[WH_MAX_KEY];
	/* writing inferred ones */
	WhBulkWriter *writer;
	int64		inferred;
};

static inline uint32
hash_column(WhLookup *lookup, int i, Datum value)
{
	if (lookup->kind[i] == KEY_INT)
		return (uint32) (((uint64) value * UINT64CONST(0x9E3779B97F4A7C15)) >> 32);
	return DatumGetUInt32(FunctionCall1Coll(&lookup->hash[i], lookup->collation[i], value));
}

static inline uint32
wh_lookup_hash_key(WhLookup *lookup, MemberKey key)
{
	uint32		hash = hash_column(lookup, 0, key.first);

	for (int i = 1; i < lookup->nkey; i++)
		hash = hash_combine(hash, hash_column(lookup, i, key.all[i]));
	return hash;
}

static inline bool
column_equal(WhLookup *lookup, int i, Datum a, Datum b)
{
	return lookup->kind[i] == KEY_INT ? a == b :
		DatumGetBool(FunctionCall2Coll(&lookup->equal[i], lookup->collation[i], a, b));
}

static inline bool
member_equal(WhLookup *lookup, MemberKey a, MemberKey b)
{
	if (!column_equal(lookup, 0, a.first, b.first))
		return false;
	for (int i = 1; i < lookup->nkey; i++)
		if (!column_equal(lookup, i, a.all[i], b.all[i]))
			return false;
	return true;
}

/* Order two members of a tree; for rbtree. */
static int
compare_members(const RBTNode *a, const RBTNode *b, void *arg)
{
	WhLookup   *lookup = arg;
	const MemberKey *x = &((const TreeMember *) a)->member.natural_key;
	const MemberKey *y = &((const TreeMember *) b)->member.natural_key;
	int			result = DatumGetInt32(FunctionCall2Coll(&lookup->compare[0], lookup->collation[0], x->first, y->first));

	for (int i = 1; i < lookup->nkey && result == 0; i++)
		result = DatumGetInt32(FunctionCall2Coll(&lookup->compare[i], lookup->collation[i], x->all[i], y->all[i]));
	return result;
}

static void
keep_member(RBTNode *existing, const RBTNode *newdata, void *arg)
{
}

static RBTNode *
new_member(void *arg)
{
	return MemoryContextAllocZero(((WhLookup *) arg)->context, sizeof(TreeMember));
}

static void
make_tree(WhLookup *lookup)
{
	MemoryContext old = MemoryContextSwitchTo(lookup->context);

	lookup->tree = rbt_create(sizeof(TreeMember), compare_members, keep_member, new_member, NULL, lookup);
	MemoryContextSwitchTo(old);
}

static Member *
find_member(WhLookup *lookup, const Datum *key)
{
	TreeMember	sought = {.member.natural_key = {key[0], key}};
	RBTNode    *found;

	if (lookup->members)
		return members_lookup(lookup->members, sought.member.natural_key);
	found = rbt_find(lookup->tree, &sought.node);
	return found ? &((TreeMember *) found)->member : NULL;
}

/* Find or make a member; a new one holds the caller's key until it is copied. */
static Member *
insert_member(WhLookup *lookup, const Datum *key, bool *found)
{
	TreeMember	sought = {.member.natural_key = {key[0], key}};
	bool		is_new;
	RBTNode    *node;

	if (lookup->members)
		return members_insert(lookup->members, sought.member.natural_key, found);
	node = rbt_insert(lookup->tree, &sought.node, &is_new);
	*found = !is_new;
	return &((TreeMember *) node)->member;
}

/*
 * Open lookups into a dimension.  The struct of the dimension is shared: its
 * next_key grows with inferred members.
 */
WhLookup *
wh_lookup_open(WhDimension *dimension, int64 batch_id)
{
	WhLookup   *lookup = palloc0(sizeof(WhLookup));
	bool		by_order = false;

	lookup->dimension = dimension;
	lookup->batch_id = batch_id;
	lookup->nkey = dimension->nkey;
	/* open until the end: no function that runs meanwhile can alter it */
	lookup->rel = table_open(dimension->relid, AccessShareLock);
	wh_catalog_check_dimension(dimension, lookup->rel);
	lookup->context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh lookup",
											ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < dimension->nkey; i++)
	{
		Form_pg_attribute att = TupleDescAttr(dimension->tupdesc, dimension->key[i] - 1);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_HASH_PROC | TYPECACHE_HASH_PROC_FINFO |
												 TYPECACHE_EQ_OPR_FINFO | TYPECACHE_CMP_PROC_FINFO | TYPECACHE_BTREE_OPFAMILY);

		lookup->type[i] = att->atttypid;
		if (!OidIsValid(type->hash_proc))
			by_order = true;
		lookup->byval[i] = att->attbyval;
		lookup->len[i] = att->attlen;
		lookup->collation[i] = att->attcollation;
		if (att->atttypid == INT4OID || att->atttypid == INT8OID || att->atttypid == INT2OID ||
			att->atttypid == DATEOID)
			lookup->kind[i] = KEY_INT;
		else
		{
			lookup->kind[i] = KEY_OTHER;
			if (OidIsValid(type->hash_proc))
				fmgr_info_copy(&lookup->hash[i], &type->hash_proc_finfo, lookup->context);
			fmgr_info_copy(&lookup->equal[i], &type->eq_opr_finfo, lookup->context);
		}
		fmgr_info_copy(&lookup->compare[i], &type->cmp_proc_finfo, lookup->context);
		lookup->scan_equal[i] = get_opcode(type->eq_opr);
	}
	if (by_order)
		make_tree(lookup);
	else
		lookup->members = members_create(lookup->context, 1024, lookup);
	return lookup;
}

/* Give the dimension that lookups go into. */
WhDimension *
wh_lookup_dimension(WhLookup *lookup)
{
	return lookup->dimension;
}

/* Add a version of a member; versions may come in any order. */
static void
add_opening(WhLookup *lookup, const Datum *key, TimestampTz from, int64 surrogate)
{
	bool		found;
	Member	   *m;
	MemoryContext old = MemoryContextSwitchTo(lookup->context);
	int			i;

	m = insert_member(lookup, key, &found);
	if (!found)
	{
		Datum	   *copy = lookup->nkey > 1 ? palloc(sizeof(Datum) * lookup->nkey) : NULL;

		m->natural_key.first = datumCopy(key[0], lookup->byval[0], lookup->len[0]);
		m->natural_key.all = copy;
		for (i = 1; i < lookup->nkey; i++)
			copy[i] = datumCopy(key[i], lookup->byval[i], lookup->len[i]);
		m->nopenings = 0;
		m->allocated = 0;
		m->unsorted = false;
	}
	if (m->nopenings == 0)
	{
		m->first.from = from;
		m->first.key = surrogate;
		m->nopenings = 1;
	}
	else
	{
		if (m->nopenings >= m->allocated)
		{
			int			allocated = Max(m->allocated * 2, 2);
			Opening    *grown = palloc_extended(sizeof(Opening) * allocated, MCXT_ALLOC_HUGE);

			if (m->allocated)
			{
				memcpy(grown, m->openings, sizeof(Opening) * m->nopenings);
				pfree(m->openings);
			}
			else
				grown[0] = m->first;
			m->openings = grown;
			m->allocated = allocated;
		}
		/* a table in any order must not cost the square of a key's versions: they are sorted when asked for */
		m->unsorted |= m->openings[m->nopenings - 1].from > from;
		m->openings[m->nopenings].from = from;
		m->openings[m->nopenings].key = surrogate;
		m->nopenings++;
	}
	MemoryContextSwitchTo(old);
}

static void
add_slot(WhLookup *lookup, TupleTableSlot *slot)
{
	WhDimension *d = lookup->dimension;
	Datum		key[WH_MAX_KEY];
	bool		isnull;
	Datum		from,
				surrogate;

	for (int i = 0; i < lookup->nkey; i++)
	{
		key[i] = slot_getattr(slot, d->key[i], &isnull);
		if (isnull)
			return;				/* members -1 and -2 */
	}
	surrogate = slot_getattr(slot, 1, &isnull);
	from = slot_getattr(slot, d->effective_from, &isnull);
	add_opening(lookup, key, DatumGetTimestampTz(from), DatumGetInt64(surrogate));
}

/* Read all versions, about so many, into memory. */
static void
load_all(WhLookup *lookup, double versions)
{
	TableScanDesc scan = table_beginscan(lookup->rel, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(lookup->rel, NULL);

	/*
	 * Growing the table step by step costs as much as filling it; one too large
	 * is slow to search. Take members to have two versions.
	 */
	if (lookup->members)
	{
		members_destroy(lookup->members);
		lookup->members = members_create(lookup->context, (uint32) Min(Max(versions / 2, 1024), 1e9), lookup);
	}
	else
		make_tree(lookup);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		add_slot(lookup, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	lookup->complete = true;
}

/* Say how many lookups are to come: many are served from memory. */
void
wh_lookup_expect(WhLookup *lookup, double nrows)
{
	double		members;

	if (lookup->complete)
		return;
	members = lookup->rel->rd_rel->reltuples;
	if (members < 0)
		members = RelationGetNumberOfBlocks(lookup->rel) * 50.0;
	if (members < 10000 || nrows > members / 10)
	{
		if (lookup->writer)
		{
			/* what is read below must hold the members inferred so far */
			wh_lookup_flush(lookup);
			CommandCounterIncrement();
			wh_snapshot_advance();
		}
		load_all(lookup, members);
	}
}

/* Open the unique index on (natural key, effective_from). */
static void
open_index(WhLookup *lookup)
{
	WhDimension *d = lookup->dimension;
	Oid			index = wh_dimension_index(d);

	if (!OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("dimension \"%s\" has lost its unique index on the natural key and effective_from",
						d->name),
				 errhint("Create it again.")));
	lookup->index = index_open(index, AccessShareLock);
	lookup->slot = table_slot_create(lookup->rel, NULL);
}

/* Read one member's versions through the index. */
static void
load_member(WhLookup *lookup, const Datum *key)
{
	ScanKeyData keys[WH_MAX_KEY];
	IndexScanDesc scan;

	/* we may be inside an executor, whose memory goes before the scan does */
	MemoryContext old = MemoryContextSwitchTo(lookup->context);

	if (lookup->index == NULL)
		open_index(lookup);
	for (int i = 0; i < lookup->nkey; i++)
		ScanKeyEntryInitialize(&keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   lookup->collation[i], lookup->scan_equal[i], key[i]);
	/* a scan must not outlive the snapshot that is active now */
	scan = wh_index_beginscan(lookup->rel, lookup->index, GetActiveSnapshot(), lookup->nkey);
	index_rescan(scan, keys, lookup->nkey, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, lookup->slot))
		add_slot(lookup, lookup->slot);
	ExecClearTuple(lookup->slot);
	index_endscan(scan);
	MemoryContextSwitchTo(old);
}

/* Make an inferred member for a key without versions. */
static Member *
infer(WhLookup *lookup, const Datum *key)
{
	WhDimension *d = lookup->dimension;
	WhVersion	v = {0};
	Datum	   *values = palloc0(sizeof(Datum) * Max(d->ncolumns, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(d->ncolumns, 1));

	memset(isnull, true, sizeof(bool) * d->ncolumns);
	for (int i = 0; i < d->nkey; i++)
	{
		values[d->key_index[i]] = key[i];
		isnull[d->key_index[i]] = false;
	}
	v.from = DT_NOBEGIN;
	v.to = DT_NOEND;
	v.values = values;
	v.isnull = isnull;
	v.is_current = true;
	v.is_inferred = true;
	v.key = d->is_date ? wh_date_key(DatumGetDateADT(key[0])) : d->next_key++;
	if (lookup->writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(lookup->context);

		lookup->writer = wh_bulk_open(d->relid, false);
		MemoryContextSwitchTo(old);
	}
	wh_dimension_insert(d, lookup->writer, &v, lookup->batch_id);
	lookup->inferred++;
	add_opening(lookup, key, DT_NOBEGIN, v.key);
	pfree(values);
	pfree(isnull);
	return find_member(lookup, key);
}

/* Say whether a value can be a natural key at all. */
static bool
usable(WhLookup *lookup, const Datum *key)
{
	for (int i = 0; i < lookup->nkey; i++)
		if (lookup->type[i] == DATEOID &&
			(DATE_NOT_FINITE(DatumGetDateADT(key[i])) ||
			 (lookup->dimension->is_date && DatumGetDateADT(key[i]) < FIRST_DAY)))
			return false;
	return true;
}

static int
opening_cmp(const void *a, const void *b)
{
	TimestampTz x = ((const Opening *) a)->from,
				y = ((const Opening *) b)->from;

	return x < y ? -1 : x > y;
}

/*
 * Find the surrogate key of a natural key at an event time (rule 17); without
 * a time, the last version's.
 */
int64
wh_lookup_find(WhLookup *lookup, const Datum *key, const bool *isnull, TimestampTz at, bool has_time)
{
	Member	   *m;
	int			nulls = 0;
	int			low,
				high;

	for (int i = 0; i < lookup->nkey; i++)
		nulls += isnull[i];
	if (nulls > 0)
		return nulls == lookup->nkey ? WH_KEY_NOT_APPLICABLE : WH_KEY_UNKNOWN;
	if (!usable(lookup, key))
		return WH_KEY_UNKNOWN;
	m = find_member(lookup, key);
	if (m == NULL && !lookup->complete)
	{
		load_member(lookup, key);
		m = find_member(lookup, key);
	}
	if (m == NULL)
		m = infer(lookup, key);
	if (m->nopenings == 1)
		return m->first.key;
	if (m->unsorted)
	{
		qsort(m->openings, m->nopenings, sizeof(Opening), opening_cmp);
		m->unsorted = false;
	}
	if (!has_time)
		return m->openings[m->nopenings - 1].key;
	low = 0;
	high = m->nopenings;
	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (m->openings[mid].from <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return m->openings[Max(low - 1, 0)].key;
}

/* Give the number of inferred members made so far. */
int64
wh_lookup_inferred(const WhLookup *lookup)
{
	return lookup->inferred;
}

/* Write the inferred members made so far. */
void
wh_lookup_flush(WhLookup *lookup)
{
	if (lookup->writer)
		wh_bulk_close(lookup->writer);
	lookup->writer = NULL;
}

static void
close_index(WhLookup *lookup)
{
	if (lookup->index)
	{
		ExecDropSingleTupleTableSlot(lookup->slot);
		index_close(lookup->index, NoLock);
	}
	lookup->index = NULL;
}

/* End lookups, writing what is left to write. */
void
wh_lookup_close(WhLookup *lookup)
{
	wh_lookup_flush(lookup);
	close_index(lookup);
	table_close(lookup->rel, NoLock);
	MemoryContextDelete(lookup->context);
}
