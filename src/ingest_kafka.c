/*
 * ingest_kafka.c
 *	  Reads a feed's topic from the stored offsets on: to the ends seen at the
 *	  start, or, for the worker, within the bounds of a batch.
 *
 * Runs inside wh_ingest_feed, as the feed's owner, under the feed's lock.  A
 * partition is a unit of the source, named topic/partition; its next offset
 * stands in the unit's size and commits with the rows.  When the topic was made
 * anew, all partitions start a new generation.
 *
 * The worker's source stays open between batches.  Each batch compares what is
 * stored with what it stored last, and starts again from there when somebody
 * else has moved it.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "ingest_state.h"
#include "kafka_message.h"
#include "kafka_source.h"

/* How long a batch of the worker waits for messages that are on their way. */
#define WAIT_MS 50

typedef struct PartitionRead
{
	WhUnit	   *unit;			/* NULL until there is something to remember */
	char	   *name;
	int64		end;
	bool		is_done;
	WhKafkaMark mark;			/* of the last message of this batch */
	bool		has_mark;
} PartitionRead;

typedef struct TopicRead
{
	WhKafkaSource *source;
	int			count;			/* partitions */
	PartitionRead *reads;
	int64		generation;
	MemoryContext scratch;		/* of one message */
} TopicRead;

/* Find a unit by its name and generation, 0 = the latest; NULL = there is none. */
static WhUnit *
find_unit(WhIngest *ing, const char *name, int64 generation)
{
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;
	WhUnit	   *found = NULL;

	hash_seq_init(&seq, ing->units);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		if (strcmp(unit->name, name) != 0 || (generation > 0 && unit->generation != generation))
			continue;
		if (found == NULL || unit->generation > found->generation)
			found = unit;
	}
	return found;
}

/* Say that messages are gone: an error, unless the feed is to go on without them. */
static void
lose_messages(WhIngest *ing, const char *topic, WhUnit *unit, const WhKafkaPartition *partition)
{
	char	   *message = psprintf("topic \"%s\", partition %d: messages from offset %lld to %lld are not retained any more",
								   topic, partition->partition, (long long) unit->size,
								   (long long) partition->low - 1);

	/* jsonb writes it in this one way */
	if (strstr(ing->feed->options, "\"on_lost_messages\": \"continue\"") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s", message),
				 errdetail("Feed \"%s\" has not read them.", ing->feed->name),
				 errhint("To go on without them, use wh.alter_feed(..., on_lost_messages => 'continue'), or wh.seek_feed.")));
	ereport(WARNING,
			(errmsg("%s", message),
			 errdetail("Feed \"%s\" has not read them.", ing->feed->name)));
	ing->result->counts.warnings++;
	wh_ingest_note_gap(ing, unit, unit->size, message);
}

/* Choose where each partition is read from, and the topic's generation. */
static void
choose_places(WhIngest *ing, TopicRead *topic, WhKafkaPartition *partitions, WhKafkaPlace *places)
{
	const char *name = wh_kafka_source_topic(topic->source);
	bool		recreated = false;

	topic->generation = 1;
	for (int i = 0; i < topic->count; i++)
	{
		PartitionRead *read = &topic->reads[i];

		read->name = psprintf("%s/%d", name, partitions[i].partition);
		read->end = partitions[i].end;
		read->unit = find_unit(ing, read->name, 0);
		if (read->unit)
		{
			topic->generation = Max(topic->generation, read->unit->generation);
			recreated |= wh_kafka_continuity(&partitions[i], read->unit->size) == WH_KAFKA_RECREATED;
		}
	}
	if (recreated)
	{
		topic->generation++;
		ing->result->counts.warnings++;
		ereport(WARNING,
				(errmsg("topic \"%s\" of feed \"%s\" was made anew: it is read from its start", name, ing->feed->name)));
	}
	for (int i = 0; i < topic->count; i++)
	{
		PartitionRead *read = &topic->reads[i];

		places[i].partition = partitions[i].partition;
		places[i].offset = partitions[i].low;
		if (read->unit && read->unit->generation < topic->generation)
			read->unit = NULL;
		if (read->unit == NULL)
			continue;
		if (wh_kafka_continuity(&partitions[i], read->unit->size) == WH_KAFKA_LOST)
			lose_messages(ing, name, read->unit, &partitions[i]);
		else
			places[i].offset = read->unit->size;
	}
}

/*
 * Give the marks of the last messages read, to be looked at again: a topic that
 * was made anew and has grown past the stored offset since has others there.
 * Where nothing new is to be read, there is no need, unless the source stays
 * open.
 */
static WhKafkaMark *
stored_marks(WhIngest *ing, TopicRead *topic, WhKafkaPartition *partitions)
{
	WhKafkaMark *marks = palloc(sizeof(WhKafkaMark) * Max(topic->count, 1));

	for (int i = 0; i < topic->count; i++)
	{
		WhUnit	   *unit = topic->reads[i].unit;

		wh_kafka_mark_unpack(&marks[i], partitions[i].partition, unit ? unit->checksum : NULL);
		if (marks[i].offset < partitions[i].low || (ing->stream == NULL && unit->size >= partitions[i].end))
			marks[i].offset = -1;
	}
	return marks;
}

/* Ask for the partitions, and start reading at the stored offsets. */
static WhKafkaPlace *
start_reading(WhIngest *ing, TopicRead *topic)
{
	WhKafkaPartition *partitions;
	WhKafkaPlace *places;

	topic->count = wh_kafka_source_partitions(topic->source, &partitions);
	topic->reads = palloc0(sizeof(PartitionRead) * Max(topic->count, 1));
	places = palloc0(sizeof(WhKafkaPlace) * Max(topic->count, 1));
	choose_places(ing, topic, partitions, places);
	wh_kafka_source_resume(topic->source, places, stored_marks(ing, topic, partitions), topic->count);
	return places;
}

/* Give one message to the pipe. */
static void
take_message(WhIngest *ing, TopicRead *topic, WhKafkaSourceRow *message)
{
	PartitionRead *read = &topic->reads[message->partition];
	WhSourceRow row = message->row;
	MemoryContext old = MemoryContextSwitchTo(topic->scratch);

	if (read->unit == NULL)
		read->unit = wh_unit_add(ing, read->name, topic->generation);
	ing->unit = read->unit;
	wh_kafka_mark_set(&read->mark, &message->message);
	read->has_mark = true;
	if (ing->feed->redact == NIL)
	{
		row.key = message->message.key;
		row.key_len = message->message.key_len;
		row.headers = wh_kafka_headers_json(&message->message);
	}
	else
	{
		/* Nobody can tell which of the bytes are to be redacted. */
		row.raw = NULL;
		row.raw_len = 0;
	}
	wh_ingest_row(ing, &row);
	if (row.low + 1 >= read->end)
		read->is_done = true;
	MemoryContextSwitchTo(old);
	MemoryContextReset(topic->scratch);
}

/* Note in the units how far each partition was read. */
static void
save_places(WhIngest *ing, TopicRead *topic)
{
	const WhKafkaPlace *reached;
	int			n = wh_kafka_source_places(topic->source, &reached);

	for (int i = 0; i < n; i++)
	{
		PartitionRead *read = &topic->reads[reached[i].partition];
		int64		end = wh_kafka_source_seen_end(topic->source, reached[i].partition);

		/* where nothing was ever, there is nothing to lose */
		if (read->unit == NULL && reached[i].offset > 0)
			read->unit = wh_unit_add(ing, read->name, topic->generation);
		if (read->unit == NULL || read->unit->size == reached[i].offset)
			continue;
		read->unit->size = reached[i].offset;
		read->unit->end_offset = Max(end, reached[i].offset);
		read->unit->is_changed = true;
		if (read->has_mark)
		{
			MemoryContext old = MemoryContextSwitchTo(ing->context);

			read->unit->checksum = wh_kafka_mark_pack(&read->mark);
			MemoryContextSwitchTo(old);
		}
	}
	ing->unit = NULL;
}

/* Read every partition up to the end it had at the start. */
static void
read_to_ends(WhIngest *ing, TopicRead *topic)
{
	WhKafkaPlace *places;
	int			waiting = 0;

	topic->source = wh_kafka_source_open(ing->feed->source, ing->feed->owner, NULL);
	places = start_reading(ing, topic);
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
		PartitionRead *read;
		bool		was_done;

		CHECK_FOR_INTERRUPTS();
		if (event == WH_KAFKA_NOTHING)
			continue;
		if (row->partition >= topic->count)
			elog(ERROR, "message of unknown partition %d", row->partition);
		read = &topic->reads[row->partition];
		was_done = read->is_done;
		if (event == WH_KAFKA_MESSAGE)
			take_message(ing, topic, row);
		else
			read->is_done = true;	/* out of range: the next run says what is lost */
		waiting -= read->is_done && !was_done;
	}
	wh_ingest_pipe_flush(ing);
	save_places(ing, topic);
	wh_kafka_source_close(topic->source);
}

/* Close the source of a stream; the next batch opens it again. */
void
wh_ingest_stream_close(WhIngestStream *stream)
{
	stream->source = NULL;
	stream->stored = NULL;
	stream->nstored = 0;
	stream->reassign = false;
	MemoryContextReset(stream->context);
}

/* Say whether offsets have moved, past what no row comes from, since they were stored. */
bool
wh_ingest_stream_behind(const WhIngestStream *stream)
{
	const WhKafkaPlace *places;
	int			n = wh_kafka_source_places(stream->source, &places);

	for (int i = 0; i < Min(n, stream->nstored); i++)
	{
		if (places[i].offset > Max(stream->stored[i], 0))
			return true;
	}
	return false;
}

/* Find the units of the partitions; false = they are not as this stream left them. */
static bool
continue_reading(WhIngest *ing, TopicRead *topic)
{
	WhIngestStream *stream = ing->stream;
	const WhKafkaPlace *places;

	topic->generation = stream->generation;
	topic->count = wh_kafka_source_places(topic->source, &places);
	topic->reads = palloc0(sizeof(PartitionRead) * Max(topic->count, 1));
	for (int i = 0; i < topic->count; i++)
	{
		PartitionRead *read = &topic->reads[i];

		read->name = psprintf("%s/%d", wh_kafka_source_topic(topic->source), places[i].partition);
		read->end = PG_INT64_MAX;
		read->unit = find_unit(ing, read->name, 0);
		if (read->unit && read->unit->generation > stream->generation)
			return false;
		if (read->unit && read->unit->generation < stream->generation)
			read->unit = NULL;
		if ((read->unit ? read->unit->size : -1) != stream->stored[i])
			return false;
	}
	return true;
}

/* Remember what is stored after this batch, if it commits. */
static void
remember_stored(WhIngestStream *stream, TopicRead *topic)
{
	if (stream->nstored != topic->count)
	{
		stream->nstored = topic->count;
		stream->stored = MemoryContextAlloc(stream->context, sizeof(int64) * Max(topic->count, 1));
	}
	for (int i = 0; i < topic->count; i++)
		stream->stored[i] = topic->reads[i].unit ? topic->reads[i].unit->size : -1;
	stream->generation = topic->generation;
}

/* Read what there is, within the bounds of a batch. */
static void
read_batch(WhIngest *ing, TopicRead *topic)
{
	WhIngestStream *stream = ing->stream;
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), stream->max_ms);
	int64		rows = 0;

	if (stream->source == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(stream->context);

		stream->source = wh_kafka_source_open(ing->feed->source, ing->feed->owner,
											  psprintf("widgets_wh.%s.%s", get_database_name(MyDatabaseId), ing->feed->name));
		MemoryContextSwitchTo(old);
		stream->reassign = true;
	}
	topic->source = stream->source;
	if (stream->reassign || !continue_reading(ing, topic))
		start_reading(ing, topic);
	stream->reassign = false;
	stream->more = true;
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
			take_message(ing, topic, row);
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
	save_places(ing, topic);
	for (int i = 0; i < topic->count; i++)
		ing->result->counts.units_read += topic->reads[i].unit && topic->reads[i].unit->is_changed;
	ing->result->counts.units_skipped = topic->count - ing->result->counts.units_read;
	remember_stored(stream, topic);
}

/* Read what is new in the feed's topic. */
void
wh_ingest_read_topic(WhIngest *ing)
{
	TopicRead	topic = {0};

	topic.scratch = AllocSetContextCreate(ing->context, "widgets_wh message", ALLOCSET_SMALL_SIZES);
	wh_units_load(ing);
	if (ing->stream)
		read_batch(ing, &topic);
	else
		read_to_ends(ing, &topic);
}
