/*
 * ingest_topic.c
 *	  A feed's topic and its partitions: where reading begins, what a message is
 *	  to the feed, how far it was read.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  A partition is a unit of the
 * source, named topic/partition; its next offset stands in the unit's size and
 * commits with the rows.  When the topic was made anew, all partitions start a
 * new generation.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "ingest/ingest_kafka.h"
#include "kafka/kafka_message.h"

/* Say whether a partition belongs to the stream's share of a feed's topic. */
bool
wh_ingest_stream_reads(const WhIngestStream *stream, int64 feed_id, int32 partition)
{
	return stream->nshares <= 1 || (feed_id + partition) % stream->nshares == stream->share;
}

/* Name our group of consumers, in which offsets are told to the broker. */
char *
wh_topic_group(const WhFeed *feed)
{
	return psprintf("widgets_wh.%s.%s", get_database_name(MyDatabaseId), feed->name);
}

/* Give the partition of a unit; -1 = it is of another topic, which the table had before. */
static int
partition_of(const WhUnit *unit, const char *topic, size_t topic_len)
{
	if (strncmp(unit->name, topic, topic_len) != 0 || unit->name[topic_len] != '/')
		return -1;
	return atoi(unit->name + topic_len + 1);
}

/*
 * Make the entries of so many partitions, each with its latest unit.  Marks of
 * messages read in this batch are kept.
 */
void
wh_topic_name_reads(WhIngest *ing, WhTopicRead *topic, int count)
{
	WhPartitionRead *before = topic->count == count ? topic->reads : NULL;
	const char *name = wh_kafka_source_topic(topic->source);
	size_t		name_len = strlen(name);
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;

	topic->count = count;
	topic->reads = palloc0(sizeof(WhPartitionRead) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		WhPartitionRead *read = &topic->reads[i];

		read->name = psprintf("%s/%d", name, i);
		if (before)
		{
			read->mark = before[i].mark;
			read->has_mark = before[i].has_mark;
		}
		read->is_mine = ing->stream == NULL || wh_ingest_stream_reads(ing->stream, ing->feed->feed_id, i);
	}
	hash_seq_init(&seq, ing->units->table);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		int			i = partition_of(unit, name, name_len);

		if (i >= 0 && i < count &&
			(topic->reads[i].unit == NULL || unit->generation > topic->reads[i].unit->generation))
			topic->reads[i].unit = unit;
	}
}

/* Say that messages are gone: an error, unless the feed is to go on without them. */
static void
lose_messages(WhIngest *ing, const char *topic, WhUnit *unit, const WhKafkaPartition *partition)
{
	char	   *message = psprintf("topic \"%s\", partition %d: messages from offset %lld to %lld are not retained any more",
								   topic, partition->partition, (long long) unit->size,
								   (long long) partition->low - 1);

	if (!wh_feed_has_option(ing->feed, "on_lost_messages", "continue"))
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

/*
 * Find the latest generation of the topic that was read, and the number of
 * partitions that it had at least.
 */
static void
find_generation(WhIngest *ing, WhTopicRead *topic, int *count)
{
	const char *name = wh_kafka_source_topic(topic->source);
	size_t		len = strlen(name);
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;

	topic->generation = 1;
	*count = 0;
	hash_seq_init(&seq, ing->units->table);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		int			i = partition_of(unit, name, len);

		if (i < 0 || unit->generation < topic->generation)
			continue;
		if (unit->generation > topic->generation)
			*count = 0;
		topic->generation = unit->generation;
		*count = Max(*count, i + 1);
	}
}

/*
 * Find the topic's generation.  Only partitions that have a unit of the latest
 * one can show that the topic was made anew since; the others start over.
 */
static void
choose_generation(WhIngest *ing, WhTopicRead *topic, WhKafkaPartition *partitions)
{
	bool		recreated = false;
	int			count_read;

	find_generation(ing, topic, &count_read);
	for (int i = 0; i < topic->count; i++)
	{
		WhUnit	   *unit = topic->reads[i].unit;

		recreated |= unit && unit->generation == topic->generation &&
			wh_kafka_continuity(&partitions[i], unit->size) == WH_KAFKA_RECREATED;
	}
	if (recreated)
	{
		topic->generation++;
		ing->result->counts.warnings++;
		ereport(WARNING,
				(errmsg("topic \"%s\" of feed \"%s\" was made anew: it is read from its start",
						wh_kafka_source_topic(topic->source), ing->feed->name)));
	}
	/* a broker that does not know of all partitions yet looks the same */
	else if (count_read > topic->count)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("topic \"%s\" has no partition %d any more", wh_kafka_source_topic(topic->source), count_read - 1),
				 errdetail("Feed \"%s\" has read it. The topic was deleted and made again with fewer partitions.", ing->feed->name),
				 errhint("To read the topic from its start, as its next generation, use wh.seek_feed(<feed>, 'earliest').")));
	for (int i = 0; i < topic->count; i++)
	{
		if (topic->reads[i].unit && topic->reads[i].unit->generation < topic->generation)
			topic->reads[i].unit = NULL;
	}
}

/*
 * Give the mark of the last message read from a partition, to be looked at
 * again: a topic that was made anew and has grown past the stored offset since
 * has another one there.  Where nothing new is to be read, there is no need,
 * unless the source stays open.
 */
static WhKafkaMark
stored_mark(WhIngest *ing, const WhUnit *unit, const WhKafkaPartition *partition)
{
	WhKafkaMark mark;

	wh_kafka_mark_unpack(&mark, partition->partition, unit ? unit->checksum : NULL);
	if (mark.offset < partition->low || (ing->stream == NULL && unit->size >= partition->end))
		mark.offset = -1;
	return mark;
}

/*
 * Choose where each of our partitions is read from, and start reading there.
 * Gives the places, by partition.
 */
WhKafkaPlace *
wh_topic_start(WhIngest *ing, WhTopicRead *topic, WhKafkaPartition *partitions)
{
	WhKafkaPlace *places = palloc0(sizeof(WhKafkaPlace) * Max(topic->count, 1));
	WhKafkaPlace *ours = palloc0(sizeof(WhKafkaPlace) * Max(topic->count, 1));
	WhKafkaMark *marks = palloc0(sizeof(WhKafkaMark) * Max(topic->count, 1));
	int			nours = 0;

	choose_generation(ing, topic, partitions);
	for (int i = 0; i < topic->count; i++)
	{
		WhPartitionRead *read = &topic->reads[i];

		read->end = partitions[i].end;
		places[i] = (WhKafkaPlace) {i, partitions[i].low};
		if (read->unit && read->is_mine &&
			wh_kafka_continuity(&partitions[i], read->unit->size) == WH_KAFKA_LOST)
			lose_messages(ing, wh_kafka_source_topic(topic->source), read->unit, &partitions[i]);
		else if (read->unit)
			places[i].offset = read->unit->size;
		if (!read->is_mine)
			continue;
		marks[nours] = stored_mark(ing, read->unit, &partitions[i]);
		ours[nours++] = places[i];
	}
	wh_kafka_source_resume(topic->source, ours, marks, nours);
	return places;
}

/* Give one message to the pipe. */
void
wh_topic_take_message(WhIngest *ing, WhTopicRead *topic, WhKafkaSourceRow *message)
{
	WhPartitionRead *read = &topic->reads[message->partition];
	WhSourceRow row = message->row;
	MemoryContext old = MemoryContextSwitchTo(topic->scratch);

	if (unlikely(row.low >> WH_POSITION_BITS != 0))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("offset %lld of \"%s\" is too high", (long long) row.low, read->name),
				 errdetail("A feed reads offsets up to %lld.", (long long) wh_position_low(-1))));
	if (read->unit == NULL)
		read->unit = wh_unit_add(ing->units, read->name, topic->generation);
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
void
wh_topic_save_places(WhIngest *ing, WhTopicRead *topic)
{
	const WhKafkaPlace *reached;
	int			n = wh_kafka_source_places(topic->source, &reached);

	for (int i = 0; i < n; i++)
	{
		WhPartitionRead *read = &topic->reads[reached[i].partition];
		int64		end = wh_kafka_source_seen_end(topic->source, reached[i].partition);

		/* where nothing was ever, there is nothing to lose */
		if (read->unit == NULL && reached[i].offset > 0)
		{
			if (ing->hold)
				ing->stream->reassign = true;	/* it gets a unit before it is read: see ingest_stream.c */
			else
				read->unit = wh_unit_add(ing->units, read->name, topic->generation);
		}
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

/*
 * Note of which partitions more was seen than can be read, as a transaction is
 * open there, and warn of fields that no message had; returns whether messages wait.
 */
bool
wh_topic_note_state(WhIngest *ing, WhTopicRead *topic)
{
	const WhKafkaPlace *reached;
	int			n = wh_kafka_source_places(topic->source, &reached);
	bool		any = false;

	for (int i = 0; i < n; i++)
	{
		WhUnit	   *unit = topic->reads[reached[i].partition].unit;
		int64		end = wh_kafka_source_seen_end(topic->source, reached[i].partition);
		bool		waits;

		/* a run has read to the end; a stream that has not is to come back */
		if (ing->stream ? !wh_kafka_source_at_end(topic->source, reached[i].partition) : end < 0)
		{
			any |= unit && !unit->is_complete;
			continue;
		}
		waits = wh_kafka_source_waits(topic->source, reached[i].partition);
		any |= waits;
		if (unit == NULL || (unit->is_complete == !waits && (!waits || unit->end_offset == end)))
			continue;
		unit->is_complete = !waits;
		unit->end_offset = Max(end, unit->size);
		unit->is_changed = true;
	}
	wh_kafka_source_warn(topic->source, &ing->result->counts.warnings);
	return any;
}
