/*
 * ingest_stream.c
 *	  A topic that stays open between the batches of a worker.
 *
 * Each batch compares what is stored with what the stream stored last, and
 * starts again from there when somebody else has moved it.
 *
 * One worker alone holds the feed's lock through its batch.  Workers that share
 * a topic read side by side without it and write in turns: when a batch is
 * read, decoded and sorted, wh_ingest_take_turn takes the lock, and what was
 * true when reading began is checked to be true still: the definitions, the
 * offsets of our partitions, the topic's generation.  From there to the end of
 * the transaction it is like any other batch, with the next number.  When
 * something has changed the batch is dropped: nothing of it was written.
 *
 * Runs inside wh_ingest_batch, as the feed's owner, and between batches in the
 * worker.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ingest/ingest_kafka.h"

/* How long a batch waits for messages that are on their way. */
#define WAIT_MS 50

/* How long a broker may take to answer, while the worker's other feeds wait. */
#define PATIENCE_MS 3000

/*
 * Open the source of a stream, in a transaction; connects later.  Leaves it
 * closed when the feed is dropped.
 */
void
wh_ingest_stream_open(int64 feed_id, WhIngestStream *stream)
{
	WhFeed	   *feed = wh_feed_get(feed_id, true);
	char	   *group;
	MemoryContext old;
	Oid			user;
	int			sec;

	if (feed == NULL)
		return;
	group = wh_topic_group(feed);
	old = MemoryContextSwitchTo(stream->context);
	/* before anything is read that may change meanwhile */
	stream->changes_seen = *stream->changes;
	GetUserIdAndSecContext(&user, &sec);
	SetUserIdAndSecContext(feed->owner, sec | SECURITY_RESTRICTED_OPERATION);
	stream->source = wh_kafka_source_open(feed->source, feed->owner, group);
	SetUserIdAndSecContext(user, sec);
	wh_kafka_source_set_patience(stream->source, PATIENCE_MS);
	stream->reassign = true;
	MemoryContextSwitchTo(old);
}

/* Close the source of a stream. */
void
wh_ingest_stream_close(WhIngestStream *stream)
{
	stream->source = NULL;
	stream->stored = NULL;
	stream->npartitions = 0;
	stream->reassign = false;
	stream->more = false;
	MemoryContextReset(stream->context);
}

/* Say whether offsets have moved, past what no row comes from, since they were stored. */
bool
wh_ingest_stream_behind(const WhIngestStream *stream)
{
	const WhKafkaPlace *places;
	int			n = wh_kafka_source_places(stream->source, &places);

	for (int i = 0; i < n; i++)
	{
		if (places[i].partition < stream->npartitions &&
			places[i].offset > Max(stream->stored[places[i].partition], 0))
			return true;
	}
	return false;
}

/* Say whether there seem to be messages that wait for a transaction's end, which was not so in the last batch. */
bool
wh_ingest_stream_may_wait(const WhIngestStream *stream)
{
	const WhKafkaPlace *places;
	int			n = wh_kafka_source_places(stream->source, &places);
	bool		any = false;

	for (int i = 0; i < n; i++)
		any |= wh_kafka_source_may_wait(stream->source, places[i].partition);
	return any && !stream->waits;
}

/*
 * Find the units of the partitions as they are now; false = they are not as
 * this stream left them.
 */
static bool
continue_reading(WhIngest *ing, WhTopicRead *topic)
{
	WhIngestStream *stream = ing->stream;

	topic->generation = stream->generation;
	wh_topic_name_reads(ing, topic, stream->npartitions);
	for (int i = 0; i < topic->count; i++)
	{
		WhPartitionRead *read = &topic->reads[i];

		read->end = PG_INT64_MAX;
		if (read->unit && read->unit->generation > stream->generation)
			return false;
		if (read->unit && read->unit->generation < stream->generation)
			read->unit = NULL;
		if (read->is_mine && (read->unit ? read->unit->size : -1) != stream->stored[i])
			return false;
	}
	return true;
}

/* Remember what is stored after this batch, if it commits. */
static void
remember_stored(WhIngestStream *stream, WhTopicRead *topic)
{
	if (stream->npartitions != topic->count)
	{
		stream->npartitions = topic->count;
		stream->stored = MemoryContextAlloc(stream->context, sizeof(int64) * Max(topic->count, 1));
	}
	for (int i = 0; i < topic->count; i++)
		stream->stored[i] = topic->reads[i].unit ? topic->reads[i].unit->size : -1;
	stream->generation = topic->generation;
}

/* Drop the batch, and begin the next one from what is stored. */
static void
give_up(WhIngest *ing)
{
	ing->stream->reassign = true;
	ing->stream->more = false;
	ing->result->overtaken = true;
}

/*
 * Give our partitions units before their messages are read without the lock:
 * numbers of units are given out under it.
 */
static void
add_units(WhIngest *ing, WhTopicRead *topic, const WhKafkaPlace *places)
{
	for (int i = 0; i < topic->count; i++)
	{
		WhPartitionRead *read = &topic->reads[i];

		if (!read->is_mine || read->unit || read->end <= 0)
			continue;
		read->unit = wh_unit_add(ing->units, read->name, topic->generation);
		read->unit->size = places[i].offset;
		read->unit->end_offset = read->end;
	}
}

/* Begin, or begin anew, to read from what is stored; false = try again. */
static bool
start_stream(WhIngest *ing, WhTopicRead *topic)
{
	WhKafkaPartition *partitions;
	int			count = wh_kafka_source_partitions(topic->source, &partitions);
	WhKafkaPlace *places;

	if (ing->hold)
	{
		/*
		 * Brokers that do not answer were waited for without the lock.  Now
		 * what is stored may have passed the ends that were seen then, and
		 * an end before a stored offset says that the topic is another one.
		 */
		if (!wh_ingest_take_turn(ing))
			return false;
		count = wh_kafka_source_partitions(topic->source, &partitions);
	}
	wh_topic_name_reads(ing, topic, count);
	places = wh_topic_start(ing, topic, partitions);
	if (ing->hold)
		add_units(ing, topic, places);
	ing->stream->reassign = false;
	return true;
}

/* Read messages within the bounds of a batch. */
static void
read_messages(WhIngest *ing, WhTopicRead *topic)
{
	WhIngestStream *stream = ing->stream;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), stream->max_ms);
	int64		rows = 0;

	while (rows < stream->max_rows)
	{
		WhKafkaSourceRow *row;
		WhKafkaEvent event = wh_kafka_source_next(topic->source, 0, &row);

		if (event == WH_KAFKA_NOTHING)
		{
			if (wh_kafka_source_caught_up(topic->source))
			{
				stream->more = false;
				break;
			}
			event = wh_kafka_source_next(topic->source, WAIT_MS, &row);
		}
		if (event == WH_KAFKA_MESSAGE)
		{
			if (ing->hold && topic->reads[row->partition].unit == NULL)
			{
				stream->reassign = true;	/* the first one of a partition: see add_units */
				break;
			}
			wh_topic_take_message(ing, topic, row);
			rows++;
		}
		else if (event == WH_KAFKA_OUT_OF_RANGE)
		{
			stream->reassign = true;
			break;
		}
		/* looking at the clock costs as much as a short message */
		if ((rows & 63) == 0 && GetCurrentTimestamp() >= deadline)
			break;
		if (event == WH_KAFKA_NOTHING && GetCurrentTimestamp() >= deadline)
			break;
	}
	wh_ingest_pipe_flush(ing);
}

/* Read what there is, within the bounds of a batch. */
void
wh_ingest_read_stream(WhIngest *ing, WhTopicRead *topic)
{
	WhIngestStream *stream = ing->stream;
	bool		in_turns = ing->hold != NULL;

	/*
	 * The source's columns are locked now; until then they may have changed
	 * since the topic was opened, whose messages are decoded into those of
	 * then.
	 */
	if (*stream->changes != stream->changes_seen)
	{
		give_up(ing);
		return;
	}
	topic->source = stream->source;
	stream->more = true;
	if (stream->reassign || !continue_reading(ing, topic))
	{
		if (!start_stream(ing, topic))
		{
			give_up(ing);
			return;
		}
		/* the turn is taken: messages are left to the next batch */
		if (!in_turns)
			read_messages(ing, topic);
	}
	else
	{
		read_messages(ing, topic);
		if (in_turns && (!wh_ingest_take_turn(ing) || !continue_reading(ing, topic)))
		{
			give_up(ing);
			return;
		}
	}
	wh_topic_save_places(ing, topic);
	stream->waits = wh_topic_note_state(ing, topic);
	for (int i = 0; i < topic->count; i++)
		ing->result->counts.units_read += topic->reads[i].unit && topic->reads[i].unit->is_changed;
	ing->result->counts.units_skipped = topic->count - ing->result->counts.units_read;
	remember_stored(stream, topic);
}
