/*
 * splice_merge.c
 *	  Merges sorted records with what is staged: upsert histories, and append
 *	  tables with a key.
 *
 * Runs inside wh_ingest_feed.  Each key of the run is looked at once: its
 * records, in order, beside its staged versions from the one before the first
 * record to the first one after the last.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "splice/splice_version.h"

typedef struct Merge
{
	WhStaging  *staging;
	WhStagedScan *scan;
	TupleTableSlot *in;			/* next sorted record */
	bool		has_in;
	Tuplesortstate *group;		/* of one key with tombstones; NULL = records come from the run's sort */
	TupleTableSlot *next;		/* the first record behind that group */
	bool		has_next;
	bool		has_tombstones;	/* there may be some, in this load */
	WhStagedVersion  *record;			/* the record at hand */
	WhStagedVersion  *rival;			/* another one of the same time */
	WhStagedVersion  *pending;		/* last version of the key so far: its end is open */
	WhStagedVersion  *staged;			/* next staged version of the key */
	bool		has_pending;
	bool		has_staged;
} Merge;

static void
swap(WhStagedVersion **a, WhStagedVersion **b)
{
	WhStagedVersion  *c = *a;

	*a = *b;
	*b = c;
}

static void
fetch_in(Merge *merge)
{
	merge->has_in = tuplesort_gettupleslot(merge->group ? merge->group : merge->staging->sort, true, false,
										   merge->in, NULL);
	if (!merge->has_in && merge->group)
	{
		tuplesort_end(merge->group);
		merge->group = NULL;
		merge->has_in = merge->has_next;
		if (merge->has_next)
			ExecCopySlot(merge->in, merge->next);
	}
	if (merge->has_in)
		slot_getallattrs(merge->in);
}

/*
 * Before a key's first record is merged: when it is a tombstone, sort the key's
 * records with the times that tombstones have.  false = none is left.
 */
static bool
begin_key(Merge *merge)
{
	if (!merge->has_tombstones)
		return merge->has_in;
	while (merge->has_in && merge->group == NULL)
	{
		merge->group = wh_tombstone_sort(merge->staging, merge->scan, merge->record, merge->in,
										 merge->next, &merge->has_next);
		if (merge->group == NULL)
			return true;
		fetch_in(merge);
	}
	return merge->has_in;
}

static void
fetch_staged(Merge *merge)
{
	merge->has_staged = wh_staged_next(merge->scan, merge->staged);
}

/* Tell whether the next record has the key of a version. */
static bool
in_same_key(Merge *merge, WhStagedVersion *version)
{
	return merge->has_in && wh_sort_same_key(merge->staging, merge->in->tts_values, version->values);
}

static bool
in_same_time(Merge *merge)
{
	return DatumGetTimestampTz(merge->in->tts_values[merge->staging->ours.effective_from - 1]) ==
		merge->record->from;
}

/* Tell whether two sorted records stood at the same place of the source. */
static bool
same_place(WhStaging *staging, WhStagedVersion *a, WhStagedVersion *b)
{
	int			n = wh_sort_major(staging) - 1;

	return a->values[n] == b->values[n] && a->values[n + 1] == b->values[n + 1];
}

/* Write the pending version, which ends at a time, and make another one pending. */
static void
pass_on(Merge *merge, TimestampTz to, WhStagedVersion **next)
{
	if (merge->has_pending)
		wh_version_write(merge->staging, merge->pending, to);
	merge->has_pending = next != NULL;
	if (next)
		swap(&merge->pending, next);
}

/* Take the next record: the last one at its event time, counting the others. */
static void
take_last_of_time(Merge *merge)
{
	WhStaging  *staging = merge->staging;

	wh_version_take(staging, merge->record, merge->in);
	fetch_in(merge);
	while (in_same_key(merge, merge->record) && in_same_time(merge))
	{
		int			image;

		wh_version_take(staging, merge->rival, merge->in);
		image = wh_version_image_compare(staging, merge->rival, merge->record);
		if (image == 0)
			staging->counts->rows_repeated++;
		else
			staging->counts->rows_superseded++;
		if (image >= 0 || !same_place(staging, merge->rival, merge->record))
			swap(&merge->record, &merge->rival);
		fetch_in(merge);
	}
}

/* Put a record beside the staged version of the same time, now pending. */
static void
meet_staged(Merge *merge)
{
	WhStaging  *staging = merge->staging;
	int			image = wh_version_image_compare(staging, merge->record, merge->pending);
	int			place = wh_position_compare(staging->units, merge->record->position, merge->pending->position);

	if (image == 0)
	{
		staging->counts->rows_repeated++;
		/* Reads of a relation follow each other: theirs need not be raised. */
		if (place > 0 && staging->kind != WH_SOURCE_RELATION)
		{
			merge->pending->position = merge->record->position;
			merge->pending->is_raised = true;
		}
	}
	else if (place > 0 || (place == 0 && image > 0))
	{
		wh_version_replace(staging, merge->pending, merge->record);
		if (wh_version_is_of_run(staging, merge->pending))
			staging->counts->rows_superseded++;
		else
			staging->counts->rows_staged++;
	}
	else
		staging->counts->rows_superseded++;
}

/* Merge all records of one key. */
static void
merge_key(Merge *merge)
{
	WhStaging  *staging = merge->staging;
	bool		states_only = staging->kind == WH_SOURCE_RELATION && staging->feed->sequence_by == NULL;

	take_last_of_time(merge);
	merge->has_pending = wh_staged_before(merge->scan, merge->record->values, merge->record->from,
										  merge->pending);
	wh_staged_seek(merge->scan, merge->record->values, merge->record->from);
	fetch_staged(merge);
	for (;;)
	{
		while (merge->has_staged && merge->staged->from <= merge->record->from)
		{
			pass_on(merge, merge->staged->from, &merge->staged);
			fetch_staged(merge);
		}
		if (merge->has_pending && merge->pending->from == merge->record->from)
			meet_staged(merge);
		else if (states_only && merge->has_pending && !merge->has_staged &&
				 wh_version_image_compare(staging, merge->record, merge->pending) == 0)
			staging->counts->rows_repeated++;
		else
		{
			pass_on(merge, merge->record->from, &merge->record);
			staging->counts->rows_staged++;
		}
		/* Whichever way it went, the pending version has the key. */
		if (!in_same_key(merge, merge->pending))
			break;
		take_last_of_time(merge);
	}
	pass_on(merge, merge->has_staged ? merge->staged->from : DT_NOEND, NULL);
}

/* Make a record that loses against another one of its key an error event. */
static void
conflict(WhStaging *staging, WhStagedVersion *version)
{
	WhLostRecord lost = {
		.values = version->values,
		.isnull = version->isnull,
		/* One that an earlier run staged was counted then, and its rival is now. */
		.is_of_run = !version->is_stored || wh_version_is_of_run(staging, version),
		.sqlerrcode = ERRCODE_UNIQUE_VIOLATION,
		.message = "another record with the same key and another payload comes before it",
	};

	if (!version->is_stored && staging->sort_has_raw && !version->isnull[wh_sort_raw(staging) - 1])
		lost.raw = DatumGetByteaPP(version->values[wh_sort_raw(staging) - 1]);
	staging->lose(staging->lose_arg, &lost);
}

/* Merge all records of one key of an append feed: the lowest in order stays. */
static void
merge_event(Merge *merge)
{
	WhStaging  *staging = merge->staging;
	WhStagedVersion  *best;
	int			order;

	wh_version_take(staging, merge->record, merge->in);
	fetch_in(merge);
	/* Records of one place (a relation's) are ordered by image. */
	while (in_same_key(merge, merge->record) && in_same_time(merge))
	{
		wh_version_take(staging, merge->rival, merge->in);
		if (!same_place(staging, merge->rival, merge->record))
			break;
		order = wh_version_image_compare(staging, merge->rival, merge->record);
		if (order == 0)
			staging->counts->rows_repeated++;
		else
		{
			if (order < 0)
				swap(&merge->record, &merge->rival);
			conflict(staging, merge->rival);
		}
		fetch_in(merge);
	}
	wh_staged_seek(merge->scan, merge->record->values, 0);
	fetch_staged(merge);
	best = merge->record;
	if (merge->has_staged)
	{
		WhStagedVersion  *staged = merge->staged;
		int			image = wh_version_image_compare(staging, merge->record, staged);

		order = merge->record->from != staged->from ? (merge->record->from < staged->from ? -1 : 1) :
			wh_position_compare(staging->units, merge->record->position, staged->position);
		if (order == 0)
			order = image;
		if (image == 0)
		{
			staging->counts->rows_repeated++;
			/* The lowest place of a record is its place, whichever came first. */
			if (order < 0 && merge->record->from != staged->from)
				wh_version_replace(staging, staged, merge->record);
			else if (order < 0)
			{
				staged->position = merge->record->position;
				staged->is_raised = true;
			}
		}
		else if (order < 0)
		{
			conflict(staging, staged);
			wh_version_replace(staging, staged, merge->record);
			if (!wh_version_is_of_run(staging, staged))
				staging->counts->rows_staged++;
		}
		else
			conflict(staging, merge->record);
		wh_version_write(staging, staged, DT_NOEND);
		best = staged;
	}
	else
	{
		wh_version_write(staging, merge->record, DT_NOEND);
		staging->counts->rows_staged++;
	}
	while (in_same_key(merge, best))
	{
		wh_version_take(staging, merge->rival, merge->in);
		if (wh_version_image_compare(staging, merge->rival, best) == 0)
			staging->counts->rows_repeated++;
		else
			conflict(staging, merge->rival);
		fetch_in(merge);
	}
}

/* Merge everything that was sorted into staging. */
void
wh_splice_finish(WhStaging *staging)
{
	Merge		merge;

	if (staging->sort == NULL)
		return;
	memset(&merge, 0, sizeof(merge));
	merge.staging = staging;
	if (!staging->sort_is_done)
		tuplesort_performsort(staging->sort);
	merge.in = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	merge.record = wh_version_make(staging);
	merge.rival = wh_version_make(staging);
	merge.pending = wh_version_make(staging);
	merge.staged = wh_version_make(staging);
	merge.scan = wh_staged_open(staging);
	merge.next = MakeSingleTupleTableSlot(staging->sort_desc, &TTSOpsMinimalTuple);
	merge.has_tombstones = staging->kind == WH_SOURCE_KAFKA && staging->feed->load == WH_LOAD_UPSERT;
	fetch_in(&merge);
	while (begin_key(&merge))
	{
		CHECK_FOR_INTERRUPTS();
		if (staging->feed->load == WH_LOAD_APPEND)
			merge_event(&merge);
		else
			merge_key(&merge);
	}
	wh_staged_close(merge.scan);
	ExecDropSingleTupleTableSlot(merge.in);
	ExecDropSingleTupleTableSlot(merge.next);
	tuplesort_end(staging->sort);
	staging->sort = NULL;
}
