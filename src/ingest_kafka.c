/*
 * ingest_kafka.c
 *	  Reads a feed's topic from the stored offsets to the ends seen at the start.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  A partition is a unit of
 * the source, named topic/partition; its next offset stands in the unit's size
 * and commits with the rows.  When the topic was made anew, all partitions
 * start a new generation.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "ingest_state.h"
#include "kafka_message.h"
#include "kafka_source.h"

typedef struct PartitionRead
{
	WhUnit	   *unit;			/* NULL until there is something to remember */
	char	   *name;
	int64		end;
	bool		is_done;
} PartitionRead;

/* Find the unit of the latest generation with a name, or NULL. */
static WhUnit *
latest_unit(WhIngest *ing, const char *name)
{
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;
	WhUnit	   *latest = NULL;

	hash_seq_init(&seq, ing->units);
	while ((unit = hash_seq_search(&seq)) != NULL)
		if (strcmp(unit->name, name) == 0 && (latest == NULL || unit->generation > latest->generation))
			latest = unit;
	return latest;
}

/* Choose where each partition is read from; gives the topic's generation. */
static int64
choose_places(WhIngest *ing, const char *topic, WhKafkaPartition *partitions, int count,
			  PartitionRead *reads, WhKafkaPlace *places)
{
	int64		generation = 1;
	bool		recreated = false;

	for (int i = 0; i < count; i++)
	{
		reads[i].name = psprintf("%s/%d", topic, partitions[i].partition);
		reads[i].end = partitions[i].end;
		reads[i].unit = latest_unit(ing, reads[i].name);
		if (reads[i].unit)
		{
			generation = Max(generation, reads[i].unit->generation);
			recreated |= wh_kafka_continuity(&partitions[i], reads[i].unit->size) == WH_KAFKA_RECREATED;
		}
	}
	if (recreated)
	{
		generation++;
		ing->result->counts.warnings++;
		ereport(WARNING,
				(errmsg("topic \"%s\" of feed \"%s\" was made anew: it is read from its start", topic, ing->feed->name)));
	}
	for (int i = 0; i < count; i++)
	{
		places[i].partition = partitions[i].partition;
		places[i].offset = partitions[i].low;
		if (reads[i].unit && reads[i].unit->generation < generation)
			reads[i].unit = NULL;
		if (reads[i].unit == NULL)
			continue;
		if (wh_kafka_continuity(&partitions[i], reads[i].unit->size) == WH_KAFKA_LOST)
		{
			ing->result->counts.warnings++;
			ereport(WARNING,
					(errmsg("topic \"%s\", partition %d: messages from offset %lld to %lld are not retained any more",
							topic, partitions[i].partition, (long long) reads[i].unit->size,
							(long long) partitions[i].low - 1),
					 errdetail("Feed \"%s\" has not read them.", ing->feed->name)));
		}
		else
			places[i].offset = reads[i].unit->size;
	}
	return generation;
}

/* Give one message to the pipe. */
static void
take_message(WhIngest *ing, WhKafkaSourceRow *message, PartitionRead *read, int64 generation,
			 MemoryContext scratch)
{
	WhSourceRow row = message->row;
	MemoryContext old = MemoryContextSwitchTo(scratch);

	if (read->unit == NULL)
		read->unit = wh_unit_add(ing, read->name, generation);
	ing->unit = read->unit;
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
	MemoryContextReset(scratch);
}

/* Read every partition up to the end it had at the start. */
void
wh_ingest_read_topic(WhIngest *ing)
{
	WhKafkaSource *source = wh_kafka_source_open(ing->feed->source, ing->feed->owner, NULL);
	WhKafkaPartition *partitions;
	int			count = wh_kafka_source_partitions(source, &partitions);
	PartitionRead *reads = palloc0(sizeof(PartitionRead) * Max(count, 1));
	WhKafkaPlace *places = palloc0(sizeof(WhKafkaPlace) * Max(count, 1));
	const WhKafkaPlace *reached;
	MemoryContext scratch = AllocSetContextCreate(ing->context, "widgets_wh message",
												  ALLOCSET_SMALL_SIZES);
	int64		generation;
	int			nreached;
	int			waiting = 0;

	wh_units_load(ing);
	generation = choose_places(ing, wh_kafka_source_topic(source), partitions, count, reads, places);
	for (int i = 0; i < count; i++)
	{
		reads[i].is_done = places[i].offset >= reads[i].end;
		waiting += !reads[i].is_done;
	}
	ing->result->counts.units_read = waiting;
	ing->result->counts.units_skipped = count - waiting;
	if (waiting == 0)
	{
		wh_kafka_source_close(source);
		return;
	}
	wh_kafka_source_start(source, places, count);
	while (waiting > 0)
	{
		WhKafkaSourceRow *row;
		WhKafkaEvent event = wh_kafka_source_next(source, -1, &row);
		PartitionRead *read;
		bool		was_done;

		CHECK_FOR_INTERRUPTS();
		if (event == WH_KAFKA_NOTHING)
			continue;
		if (row->partition >= count)
			elog(ERROR, "message of unknown partition %d", row->partition);
		read = &reads[row->partition];
		was_done = read->is_done;
		if (event == WH_KAFKA_MESSAGE)
			take_message(ing, row, read, generation, scratch);
		else
			read->is_done = true;	/* out of range: the next run says what is lost */
		waiting -= read->is_done && !was_done;
	}
	wh_ingest_pipe_flush(ing);
	nreached = wh_kafka_source_places(source, &reached);
	for (int i = 0; i < nreached; i++)
	{
		WhUnit	   *unit = reads[reached[i].partition].unit;

		if (unit == NULL || unit->size == reached[i].offset)
			continue;
		unit->size = reached[i].offset;
		unit->is_changed = true;
	}
	wh_kafka_source_close(source);
	ing->unit = NULL;
}
