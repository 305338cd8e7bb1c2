/*
 * ingest_kafka.c
 *	  Reads a feed's topic from the stored offsets on to the ends seen at the
 *	  start.  For the worker, which goes on and on, see ingest_stream.c.
 *
 * Runs inside wh_ingest_feed, as the feed's owner, under the feed's lock.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "ingest/ingest_kafka.h"

/* Read every partition up to the end it had at the start. */
static void
read_to_ends(WhIngest *ing, WhTopicRead *topic)
{
	WhKafkaPartition *partitions;
	WhKafkaPlace *places;
	int			waiting = 0;
	bool		has_moved = false;
	/* to the end of the transaction, when the offsets are told to the broker */
	MemoryContext old = MemoryContextSwitchTo(AllocSetContextCreate(CurTransactionContext, "widgets_wh topic",
																	ALLOCSET_SMALL_SIZES));

	topic->source = wh_kafka_source_open(ing->feed->source, ing->feed->owner, wh_topic_group(ing->feed));
	MemoryContextSwitchTo(old);
	wh_topic_name_reads(ing, topic, wh_kafka_source_partitions(topic->source, &partitions));
	places = wh_topic_start(ing, topic, partitions);
	for (int i = 0; i < topic->count; i++)
	{
		topic->reads[i].is_done = places[i].offset >= topic->reads[i].end;
		waiting += !topic->reads[i].is_done;
	}
	ing->result->counts.units_read = waiting;
	ing->result->counts.units_skipped = topic->count - waiting;
	while (waiting > 0)
	{
		WhKafkaSourceRow *row;
		WhKafkaEvent event = wh_kafka_source_next(topic->source, -1, &row);
		WhPartitionRead *read;
		bool		was_done;

		CHECK_FOR_INTERRUPTS();
		if (event == WH_KAFKA_NOTHING)
			continue;
		if (row->partition >= topic->count)
			elog(ERROR, "message of unknown partition %d", row->partition);
		read = &topic->reads[row->partition];
		was_done = read->is_done;
		if (event == WH_KAFKA_MESSAGE)
			wh_topic_take_message(ing, topic, row);
		else
			read->is_done = true;	/* out of range: the next run says what is lost */
		waiting -= read->is_done && !was_done;
	}
	wh_ingest_pipe_flush(ing);
	wh_topic_save_places(ing, topic);
	wh_topic_note_state(ing, topic);
	for (int i = 0; i < topic->count; i++)
		has_moved |= topic->reads[i].unit && (topic->reads[i].unit->is_new || topic->reads[i].unit->is_changed);
	if (has_moved)
		wh_kafka_source_commit_late(topic->source);
	else
		wh_kafka_source_close(topic->source);
}

/* Read what is new in the feed's topic. */
void
wh_ingest_read_topic(WhIngest *ing)
{
	WhTopicRead topic = {0};

	topic.scratch = AllocSetContextCreate(ing->context, "widgets_wh message", ALLOCSET_SMALL_SIZES);
	wh_units_load(ing->units);
	if (ing->stream)
		wh_ingest_read_stream(ing, &topic);
	else
		read_to_ends(ing, &topic);
}
