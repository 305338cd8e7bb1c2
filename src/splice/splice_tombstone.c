/*
 * splice_tombstone.c
 *	  Gives tombstones their time: the records of one key, sorted once more.
 *
 * A tombstone has no time at the source.  It says that its key is gone after
 * what precedes it in its partition: it counts just after the latest record
 * there, whether that is staged or comes with it.  When that is a delete, the
 * tombstone is its echo and states nothing.  When nothing precedes it, it counts
 * at its message's time, but before what follows it in its partition.
 *
 * So what a key's records come to depends on their order in the partition alone,
 * never on Kafka's clock beside the source's, nor on how they were batched.
 *
 * Tombstones stand before the other records of their key in the sort of a run;
 * only keys that have one are sorted again.  Runs inside wh_ingest_feed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "splice/splice_version.h"

/* What counts of a record to find the times of tombstones. */
typedef struct Record
{
	int64		position;
	TimestampTz time;			/* of a tombstone: its message's */
	TimestampTz next;			/* earliest time of those that follow in the partition */
	int			number;			/* in the sort */
	bool		is_tombstone;
	bool		is_delete;
	bool		is_void;		/* a tombstone that states nothing */
} Record;

/* A record is marked as a tombstone by an event time that none has; effective_to keeps its message's. */
static bool
is_tombstone(WhStaging *staging, TupleTableSlot *slot)
{
	return DatumGetTimestampTz(slot->tts_values[staging->ours.effective_from - 1]) == DT_NOBEGIN;
}

/* Mark the record in the scratch row as a tombstone, whose time is to be found. */
void
wh_tombstone_mark(WhStaging *staging)
{
	staging->values[staging->ours.effective_to - 1] = staging->values[staging->ours.effective_from - 1];
	staging->values[staging->ours.effective_from - 1] = TimestampTzGetDatum(DT_NOBEGIN);
}

static int
compare_positions(const void *a, const void *b)
{
	const Record *x = a;
	const Record *y = b;

	return x->position < y->position ? -1 : x->position > y->position ? 1 : x->number - y->number;
}

static int
compare_numbers(const void *a, const void *b)
{
	return ((const Record *) a)->number - ((const Record *) b)->number;
}

#define same_unit(a, b) (wh_position_unit(a) == wh_position_unit(b))

/*
 * Find the latest staged version of a tombstone's key that precedes it, among
 * those later than what is known; false = there is none.  Sets is_void when what
 * is staged follows it: then it was read before.
 */
static bool
find_staged(WhStaging *staging, WhStagedScan *scan, Datum *values, WhStagedVersion *version, Record *tombstone, Record *latest)
{
	TimestampTz before = DT_NOEND;

	while (wh_staged_before(scan, values, before, version))
	{
		if (same_unit(version->position, tombstone->position))
		{
			if (version->position >= tombstone->position)
				tombstone->is_void |= !staging->is_retry;
			else if (latest->time == DT_NOBEGIN || version->from >= latest->time)
			{
				*latest = (Record) {.position = version->position, .time = version->from,
					.is_delete = DatumGetBool(version->values[staging->ours.is_deleted - 1])};
				return true;
			}
			else
				return false;
		}
		if (scan->ordered)
			return false;
		before = version->from;
	}
	return false;
}

/* Give the tombstones among records that are sorted by position their times. */
static void
set_times(WhStaging *staging, WhStagedScan *scan, Datum *values, WhStagedVersion *version, Record *records, int n)
{
	Record		latest = {.time = DT_NOBEGIN};
	TimestampTz next = DT_NOEND;

	for (int i = n - 1; i >= 0; i--)
	{
		if (i + 1 < n && !same_unit(records[i].position, records[i + 1].position))
			next = DT_NOEND;
		records[i].next = next;
		if (!records[i].is_tombstone)
			next = Min(next, records[i].time);
	}
	for (int i = 0; i < n; i++)
	{
		Record	   *record = &records[i];

		if (i == 0 || !same_unit(record->position, record[-1].position))
			latest.time = DT_NOBEGIN;
		if (record->is_tombstone)
		{
			(void) find_staged(staging, scan, values, version, record, &latest);
			if (latest.time == DT_NOBEGIN)
				record->time = Min(record->time, record->next - 1);
			else
			{
				record->is_void |= latest.is_delete;
				record->time = latest.time + 1;
			}
		}
		if (!record->is_void && (latest.time == DT_NOBEGIN || record->time >= latest.time))
			latest = *record;
	}
}

/* Note what counts of the record in a slot. */
static Record
take_record(WhStaging *staging, TupleTableSlot *slot, int number)
{
	bool		tombstone = is_tombstone(staging, slot);

	return (Record) {
		.position = DatumGetInt64(slot->tts_values[staging->ours.source_position - 1]),
		.time = DatumGetTimestampTz(slot->tts_values[(tombstone ? staging->ours.effective_to : staging->ours.effective_from) - 1]),
		.number = number, .is_tombstone = tombstone,
		.is_delete = DatumGetBool(slot->tts_values[staging->ours.is_deleted - 1])
	};
}

/* Put a record into the sort, a tombstone at its time, or count that it states nothing. */
static void
put(WhStaging *staging, Tuplesortstate *sort, TupleTableSlot *slot, TupleTableSlot *scratch, const Record *record)
{
	if (!record->is_tombstone)
		tuplesort_puttupleslot(sort, slot);
	else if (record->is_void)
		staging->counts->rows_superseded++;
	else
	{
		int			natts = staging->sort_desc->natts;

		ExecClearTuple(scratch);
		memcpy(scratch->tts_values, slot->tts_values, sizeof(Datum) * natts);
		memcpy(scratch->tts_isnull, slot->tts_isnull, sizeof(bool) * natts);
		scratch->tts_values[staging->ours.effective_from - 1] = TimestampTzGetDatum(record->time);
		scratch->tts_values[staging->ours.effective_to - 1] = TimestampTzGetDatum(DT_NOEND);
		ExecStoreVirtualTuple(scratch);
		tuplesort_puttupleslot(sort, scratch);
	}
}

/*
 * Sort the records of one key again, the first of which is in slot "in" and is a
 * tombstone.  Afterwards slot "next" holds the first record of the next key, if
 * has_next.  NULL = the first record is no tombstone: nothing is done.
 */
Tuplesortstate *
wh_tombstone_sort(WhStaging *staging, WhStagedScan *scan, WhStagedVersion *version,
				  TupleTableSlot *in, TupleTableSlot *next, bool *has_next)
{
	Tuplesortstate *sort;
	Tuplestorestate *group;
	TupleTableSlot *slot;
	TupleTableSlot *scratch;
	int			size = 64;
	int			n = 0;
	Record	   *records;

	if (!is_tombstone(staging, in))
		return NULL;
	sort = wh_sort_open(staging);
	records = palloc(sizeof(Record) * size);
	group = tuplestore_begin_heap(false, false, work_mem);
	slot = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	scratch = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsVirtual);
	tuplestore_puttupleslot(group, in);
	records[n++] = take_record(staging, in, 0);
	while ((*has_next = tuplesort_gettupleslot(staging->sort, true, false, next, NULL)))
	{
		slot_getallattrs(next);
		if (!wh_sort_same_key(staging, next->tts_values, in->tts_values))
			break;
		if (n == size)
			records = repalloc_huge(records, sizeof(Record) * (size *= 2));
		tuplestore_puttupleslot(group, next);
		records[n] = take_record(staging, next, n);
		n++;
	}
	qsort(records, n, sizeof(Record), compare_positions);
	set_times(staging, scan, in->tts_values, version, records, n);
	qsort(records, n, sizeof(Record), compare_numbers);
	for (int i = 0; tuplestore_gettupleslot(group, true, false, slot); i++)
	{
		slot_getallattrs(slot);
		put(staging, sort, slot, scratch, &records[i]);
	}
	tuplestore_end(group);
	pfree(records);
	ExecDropSingleTupleTableSlot(slot);
	ExecDropSingleTupleTableSlot(scratch);
	tuplesort_performsort(sort);
	return sort;
}
