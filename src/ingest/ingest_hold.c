/*
 * ingest_hold.c
 *	  Keeps the records and error events of a batch until it is its turn to be
 *	  written.
 *
 * For partition workers, which read a topic side by side without the feed's
 * lock and write one after the other under it.  Runs inside wh_ingest_batch;
 * what exceeds maintenance_work_mem goes to temporary files.  Records of keyed
 * feeds wait in their sort instead; see splice_sort.c.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "ingest/ingest_event.h"

typedef struct WhHold
{
	Tuplestorestate *rows;		/* as the staging table has them; NULL = none */
	Tuplestorestate *events;	/* as wh_event_desc has them; NULL = none */
	TupleDesc	event_desc;
} WhHold;

/* Keep records and events from now on, instead of writing them. */
void
wh_hold_begin(WhIngest *ing)
{
	ing->hold = MemoryContextAllocZero(ing->context, sizeof(WhHold));
	ing->staging->is_held = true;
}

static Tuplestorestate *
make_store(WhIngest *ing)
{
	MemoryContext old = MemoryContextSwitchTo(ing->context);
	Tuplestorestate *store = tuplestore_begin_heap(false, false, maintenance_work_mem);

	MemoryContextSwitchTo(old);
	return store;
}

/* Keep the record in the scratch row. */
void
wh_hold_row(WhIngest *ing)
{
	if (ing->hold->rows == NULL)
		ing->hold->rows = make_store(ing);
	tuplestore_putvalues(ing->hold->rows, ing->staging->desc, ing->staging->values, ing->staging->isnull);
}

/* Keep an error event, as wh_event_form made it. */
void
wh_hold_event(WhIngest *ing, Datum *values, bool *isnull)
{
	WhHold	   *hold = ing->hold;

	if (hold->events == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(ing->context);

		hold->event_desc = wh_event_desc();
		MemoryContextSwitchTo(old);
		hold->events = make_store(ing);
	}
	tuplestore_putvalues(hold->events, hold->event_desc, values, isnull);
}

/* Write the kept events. */
static void
release_events(WhIngest *ing, WhHold *hold)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(hold->event_desc, &TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(hold->events, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		wh_event_insert(ing, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Write the kept records, with the batch's number of now. */
static void
release_rows(WhIngest *ing, WhHold *hold)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(ing->staging->desc, &TTSOpsMinimalTuple);
	WhBulkWriter *writer = wh_staging_writer(ing->staging);

	while (tuplestore_gettupleslot(hold->rows, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		slot->tts_values[ing->staging->ours.batch_id - 1] = Int64GetDatum(ing->batch_id);
		wh_bulk_insert(writer, slot->tts_values, slot->tts_isnull);
	}
	ExecDropSingleTupleTableSlot(slot);
}

/* Write what was kept; what follows is written at once. */
void
wh_hold_release(WhIngest *ing)
{
	WhHold	   *hold = ing->hold;

	ing->hold = NULL;
	ing->staging->is_held = false;
	if (hold->events)
	{
		release_events(ing, hold);
		tuplestore_end(hold->events);
	}
	if (hold->rows)
	{
		release_rows(ing, hold);
		tuplestore_end(hold->rows);
	}
}

/* Forget what was kept, if anything, sorted records as well. */
void
wh_hold_drop(WhIngest *ing)
{
	if (ing->hold && ing->hold->events)
		tuplestore_end(ing->hold->events);
	if (ing->hold && ing->hold->rows)
		tuplestore_end(ing->hold->rows);
	ing->hold = NULL;
	wh_splice_drop(ing->staging);
}
