/*
 * kafka_source.c
 *	  The messages of a Kafka foreign table, partition by partition, for feeds.
 *
 * Keeps the next offset of each partition: behind the last row handed out, and
 * beyond what no row comes from, such as ends of transactions, once the end of
 * the partition is reached.
 *
 * Runs in backends and workers.  Opening a source and taking rows need a
 * transaction; the source itself outlives it.  Takes no locks.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "foreign/foreign.h"
#include "lib/ilist.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka_message.h"
#include "kafka_source.h"

/* How long the end of a transaction waits for a broker to take note of offsets. */
#define LATE_COMMIT_MS	1000

struct WhKafkaSource
{
	dlist_node	node;			/* in the list of commits at the transaction's end */
	WhKafkaTable *table;
	WhKafkaConsumer *consumer;
	WhKafkaDecoder *decoder;
	MemoryContext context;
	WhKafkaPlace *places;		/* next offsets */
	int			nplaces;
	WhKafkaSourceRow row;
};

/* Say whether a relation is a foreign table of wh_kafka. */
bool
wh_kafka_is_kafka_table(Oid relid)
{
	ForeignServer *server;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	server = GetForeignServer(GetForeignTable(relid)->serverid);
	return strcmp(GetForeignDataWrapper(server->fdwid)->fdwname, "wh_kafka") == 0;
}

/*
 * Open the source of a foreign table in the current memory context, with the
 * user mapping of userid.  group names the consumer for commits of offsets to
 * the broker; NULL = none are done.
 */
WhKafkaSource *
wh_kafka_source_open(Oid relid, Oid userid, const char *group)
{
	WhKafkaSource *source = palloc0(sizeof(WhKafkaSource));

	source->context = CurrentMemoryContext;
	source->table = wh_kafka_table_get(relid, userid);
	source->decoder = wh_kafka_decoder_create(source->table, NULL);
	source->row.row.values = palloc0(sizeof(Datum) * Max(source->table->natts, 1));
	source->row.row.isnull = palloc0(sizeof(bool) * Max(source->table->natts, 1));
	source->consumer = wh_kafka_consumer_open(source->table, &(WhKafkaConsumerOptions) {
		.group = group, .report_out_of_range = true
	});
	return source;
}

/* Close a source before its memory context does. */
void
wh_kafka_source_close(WhKafkaSource *source)
{
	wh_kafka_consumer_close(source->consumer);
}

/*
 * Say, without waiting, whether the brokers have answered since the source was
 * opened, or will not: then whatever asks them is quick to say so.
 */
bool
wh_kafka_source_connected(WhKafkaSource *source)
{
	return wh_kafka_consumer_connected(source->consumer);
}

/* Return the topic's name. */
const char *
wh_kafka_source_topic(WhKafkaSource *source)
{
	return source->table->topic;
}

/*
 * Ask the brokers which partitions there are now, and how far they reach.  The
 * array is allocated in the current memory context.
 */
int
wh_kafka_source_partitions(WhKafkaSource *source, WhKafkaPartition **partitions)
{
	int			count = wh_kafka_consumer_partitions(source->consumer);
	WhKafkaPlace *low = palloc(sizeof(WhKafkaPlace) * Max(count, 1));
	WhKafkaPlace *end = palloc(sizeof(WhKafkaPlace) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		low[i] = (WhKafkaPlace) {i, WH_KAFKA_EARLIEST};
		end[i] = (WhKafkaPlace) {i, WH_KAFKA_LATEST};
	}
	wh_kafka_consumer_find(source->consumer, low, count);
	wh_kafka_consumer_find(source->consumer, end, count);
	*partitions = palloc(sizeof(WhKafkaPartition) * Max(count, 1));
	for (int i = 0; i < count; i++)
		(*partitions)[i] = (WhKafkaPartition) {i, low[i].offset, Max(low[i].offset, end[i].offset)};
	pfree(low);
	pfree(end);
	return count;
}

/*
 * Replace the offset of each place, which is WH_KAFKA_EARLIEST,
 * WH_KAFKA_LATEST or a time (wh_kafka_milliseconds), by the number of the
 * offset there; for a time after the last message, by the end.
 */
void
wh_kafka_source_find(WhKafkaSource *source, WhKafkaPlace *places, int nplaces)
{
	wh_kafka_consumer_find(source->consumer, places, nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		if (places[i].offset == WH_KAFKA_LATEST)
			wh_kafka_consumer_find(source->consumer, &places[i], 1);
	}
}

/* Say how a stored next offset fits what a partition has. */
WhKafkaContinuity
wh_kafka_continuity(const WhKafkaPartition *partition, int64 stored)
{
	if (stored > partition->end)
		return WH_KAFKA_RECREATED;
	return stored < partition->low ? WH_KAFKA_LOST : WH_KAFKA_CONTINUES;
}

/* Read from these places on, and from no others. */
void
wh_kafka_source_start(WhKafkaSource *source, const WhKafkaPlace *places, int nplaces)
{
	if (source->places)
		pfree(source->places);
	source->places = MemoryContextAlloc(source->context, sizeof(WhKafkaPlace) * Max(nplaces, 1));
	memcpy(source->places, places, sizeof(WhKafkaPlace) * nplaces);
	source->nplaces = nplaces;
	wh_kafka_consumer_assign(source->consumer, places, nplaces);
}

/* Find the place of a partition; NULL = it is not read. */
static WhKafkaPlace *
find_place(WhKafkaSource *source, int32 partition)
{
	if (partition < source->nplaces && source->places[partition].partition == partition)
		return &source->places[partition];
	for (int i = 0; i < source->nplaces; i++)
	{
		if (source->places[i].partition == partition)
			return &source->places[i];
	}
	return NULL;
}

/*
 * Get the next message as a row, all of its errors in it, waiting up to
 * timeout_ms, -1 = as long as the brokers answer.  Returns WH_KAFKA_MESSAGE;
 * WH_KAFKA_END, the end of partition (*row)->partition is reached for now;
 * WH_KAFKA_OUT_OF_RANGE, it does not retain its next offset any more, and
 * nothing is read from it until the next start; or WH_KAFKA_NOTHING, the time
 * is over.
 */
WhKafkaEvent
wh_kafka_source_next(WhKafkaSource *source, int timeout_ms, WhKafkaSourceRow **row)
{
	for (;;)
	{
		WhKafkaMessage *message = &source->row.message;
		WhKafkaEvent event = wh_kafka_consumer_next(source->consumer, timeout_ms, message);
		WhKafkaPlace *place;

		*row = &source->row;
		if (event == WH_KAFKA_NOTHING)
			return event;
		source->row.partition = message->partition;
		place = find_place(source, message->partition);
		if (place == NULL)
			continue;
		switch (event)
		{
			case WH_KAFKA_MESSAGE:
				/* librdkafka may hand out what precedes the place in its batch */
				if (message->offset < place->offset)
					continue;
				wh_kafka_decode(source->decoder, message, &source->row.row, true);
				place->offset = message->offset + 1;
				return event;
			case WH_KAFKA_END:
				place->offset = Max(place->offset, message->offset);
				return event;
			default:
				return event;
		}
	}
}

/*
 * Say, without waiting and without a transaction, whether there is something
 * for wh_kafka_source_next to give or raise.
 */
bool
wh_kafka_source_ready(WhKafkaSource *source)
{
	WhKafkaMessage message;
	WhKafkaEvent event;

	while ((event = wh_kafka_consumer_peek(source->consumer, &message)) == WH_KAFKA_END)
	{
		WhKafkaPlace *place = find_place(source, message.partition);

		if (place)
			place->offset = Max(place->offset, message.offset);
	}
	return event == WH_KAFKA_MESSAGE;
}

/* Say whether all that the brokers have told of is read. */
bool
wh_kafka_source_caught_up(WhKafkaSource *source)
{
	for (int i = 0; i < source->nplaces; i++)
	{
		int64		end = wh_kafka_consumer_seen_end(source->consumer, source->places[i].partition);

		if (end < 0 || source->places[i].offset < end)
			return false;
	}
	return true;
}

/* Give a partition's end as the broker told it last; -1 = not known. */
int64
wh_kafka_source_seen_end(WhKafkaSource *source, int32 partition)
{
	return wh_kafka_consumer_seen_end(source->consumer, partition);
}

/* Ask the brokers how many partitions there are now. */
int
wh_kafka_source_count(WhKafkaSource *source)
{
	return wh_kafka_consumer_partitions(source->consumer);
}

/* Give a file descriptor that becomes readable when wh_kafka_source_ready should be asked. */
int
wh_kafka_source_fd(WhKafkaSource *source)
{
	return wh_kafka_consumer_fd(source->consumer);
}

/*
 * Return the next offset of each partition that is read; the array belongs to
 * the source and changes with the next row.
 */
int
wh_kafka_source_places(WhKafkaSource *source, const WhKafkaPlace **places)
{
	*places = source->places;
	return source->nplaces;
}

/*
 * Tell the broker the next offsets, for tools that show lag; to be called after
 * they are committed here.  Does not wait; false = it could not be done now.
 */
bool
wh_kafka_source_commit(WhKafkaSource *source)
{
	return wh_kafka_consumer_commit(source->consumer, source->places, source->nplaces);
}

/* Sources whose offsets are told to the broker when the transaction commits. */
static dlist_head late_commits = DLIST_STATIC_INIT(late_commits);

/* Forget a source that goes with its context: at the end, or with a subtransaction. */
static void
forget_late_commit(void *arg)
{
	WhKafkaSource *source = arg;

	dlist_delete(&source->node);
}

/* Called in the end of every transaction, where nothing may fail. */
static void
commit_late(XactEvent event, void *arg)
{
	TimestampTz deadline;
	dlist_iter	iter;

	if (event != XACT_EVENT_COMMIT || dlist_is_empty(&late_commits))
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LATE_COMMIT_MS);
	dlist_foreach(iter, &late_commits)
	{
		WhKafkaSource *source = dlist_container(WhKafkaSource, node, iter.cur);

		wh_kafka_consumer_commit_wait(source->consumer, source->places, source->nplaces,
									  TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline));
	}
}

/*
 * Read no more, and tell the broker the next offsets if and when the
 * transaction commits.  The source lives in CurTransactionContext or below.
 */
void
wh_kafka_source_commit_late(WhKafkaSource *source)
{
	static bool registered = false;
	MemoryContextCallback *callback = MemoryContextAllocZero(source->context, sizeof(MemoryContextCallback));

	if (!registered)
		RegisterXactCallback(commit_late, NULL);
	registered = true;
	wh_kafka_consumer_assign(source->consumer, NULL, 0);
	dlist_push_tail(&late_commits, &source->node);
	callback->func = forget_late_commit;
	callback->arg = source;
	MemoryContextRegisterResetCallback(source->context, callback);
}

/* Say what is wrong with the connection now; NULL = nothing is known to be. */
const char *
wh_kafka_source_trouble(WhKafkaSource *source)
{
	return wh_kafka_consumer_trouble(source->consumer);
}
