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
#include "port/pg_bswap.h"
#include "port/pg_crc32c.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_source.h"
#include "kafka/kafka_time.h"

/* How long the end of a transaction waits for a broker to take note of offsets. */
#define LATE_COMMIT_MS	1000

/* Of a packed mark: offset, timestamp, CRC. */
#define MARK_BYTES	20

struct WhKafkaSource
{
	dlist_node	node;			/* in the list of commits at the transaction's end */
	WhKafkaTable *table;
	WhKafkaConsumer *consumer;
	WhKafkaDecoder *decoder;
	MemoryContext context;
	WhKafkaPlace *places;		/* next offsets */
	bool	   *at_end;			/* the broker has nothing more for us there, by place */
	WhKafkaMark *marks;			/* of the messages before them, by place, to be checked once; or NULL */
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
 * Wait this long at most for the answer to a question.  Where no broker has
 * taken the connection yet, ask when wh_kafka_source_connected only.
 */
void
wh_kafka_source_set_patience(WhKafkaSource *source, int patience_ms)
{
	wh_kafka_consumer_set_patience(source->consumer, patience_ms);
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

/* Remember a message as the last one read from its partition. */
void
wh_kafka_mark_set(WhKafkaMark *mark, const WhKafkaMessage *message)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	if (message->key)
		COMP_CRC32C(crc, message->key, message->key_len);
	if (message->value)
		COMP_CRC32C(crc, message->value, message->value_len);
	FIN_CRC32C(crc);
	mark->partition = message->partition;
	mark->offset = message->offset;
	mark->timestamp = message->timestamp;
	mark->crc = crc;
}

/* Write a mark as bytes, in the current memory context. */
bytea *
wh_kafka_mark_pack(const WhKafkaMark *mark)
{
	bytea	   *packed = palloc(VARHDRSZ + MARK_BYTES);
	uint64		offset = pg_hton64((uint64) mark->offset);
	uint64		timestamp = pg_hton64((uint64) mark->timestamp);
	uint32		crc = pg_hton32(mark->crc);

	SET_VARSIZE(packed, VARHDRSZ + MARK_BYTES);
	memcpy(VARDATA(packed), &offset, 8);
	memcpy(VARDATA(packed) + 8, &timestamp, 8);
	memcpy(VARDATA(packed) + 16, &crc, 4);
	return packed;
}

/* Read a mark that was packed; NULL = nothing is known. */
void
wh_kafka_mark_unpack(WhKafkaMark *mark, int32 partition, const bytea *packed)
{
	uint64		offset;
	uint64		timestamp;
	uint32		crc;

	*mark = (WhKafkaMark) {.partition = partition, .offset = -1};
	if (packed == NULL || VARSIZE_ANY_EXHDR(packed) != MARK_BYTES)
		return;
	memcpy(&offset, VARDATA_ANY(packed), 8);
	memcpy(&timestamp, VARDATA_ANY(packed) + 8, 8);
	memcpy(&crc, VARDATA_ANY(packed) + 16, 4);
	mark->offset = (int64) pg_ntoh64(offset);
	mark->timestamp = (int64) pg_ntoh64(timestamp);
	mark->crc = pg_ntoh32(crc);
}

/*
 * Read the messages of marks again, and say whether another one stands in the
 * place of any.  Reading has to be started anew afterwards.
 */
bool
wh_kafka_source_check(WhKafkaSource *source, WhKafkaMark *marks, int nmarks)
{
	WhKafkaPlace *places = palloc(sizeof(WhKafkaPlace) * Max(nmarks, 1));
	bool	   *waiting = palloc0(sizeof(bool) * Max(nmarks, 1));
	int			n = 0;
	bool		differs = false;

	for (int i = 0; i < nmarks; i++)
	{
		waiting[i] = marks[i].offset >= 0;
		if (waiting[i])
			places[n++] = (WhKafkaPlace) {marks[i].partition, marks[i].offset};
	}
	if (n > 0)
		wh_kafka_consumer_assign(source->consumer, places, n);
	while (n > 0)
	{
		WhKafkaMessage message;
		WhKafkaEvent event = wh_kafka_consumer_next(source->consumer, -1, &message);

		for (int i = 0; i < nmarks; i++)
		{
			WhKafkaMark now = {0};

			if (marks[i].partition != message.partition || !waiting[i])
				continue;
			waiting[i] = false;
			n--;
			if (event != WH_KAFKA_MESSAGE || message.offset != marks[i].offset)
				continue;
			wh_kafka_mark_set(&now, &message);
			marks[i].differs = now.timestamp != marks[i].timestamp || now.crc != marks[i].crc;
			differs |= marks[i].differs;
		}
	}
	pfree(places);
	pfree(waiting);
	return differs;
}

/* Read from these places on, and from no others. */
void
wh_kafka_source_start(WhKafkaSource *source, const WhKafkaPlace *places, int nplaces)
{
	wh_kafka_source_resume(source, places, NULL, nplaces);
}

/*
 * The same, with the marks, one by place, of the messages before them: those
 * are read first, and wh_kafka_source_next refuses to go on when another message
 * is in the place of one.
 */
void
wh_kafka_source_resume(WhKafkaSource *source, const WhKafkaPlace *places, const WhKafkaMark *marks, int nplaces)
{
	WhKafkaPlace *from = palloc(sizeof(WhKafkaPlace) * Max(nplaces, 1));

	if (source->places)
		pfree(source->places);
	if (source->marks)
		pfree(source->marks);
	if (source->at_end)
		pfree(source->at_end);
	source->at_end = MemoryContextAllocZero(source->context, sizeof(bool) * Max(nplaces, 1));
	source->places = MemoryContextAlloc(source->context, sizeof(WhKafkaPlace) * Max(nplaces, 1));
	source->marks = MemoryContextAlloc(source->context, sizeof(WhKafkaMark) * Max(nplaces, 1));
	memcpy(source->places, places, sizeof(WhKafkaPlace) * nplaces);
	memcpy(from, places, sizeof(WhKafkaPlace) * nplaces);
	source->nplaces = nplaces;
	for (int i = 0; i < nplaces; i++)
	{
		source->marks[i].offset = -1;
		if (marks == NULL || marks[i].offset < 0 || marks[i].offset >= places[i].offset)
			continue;
		source->marks[i] = marks[i];
		from[i].offset = marks[i].offset;
	}
	wh_kafka_consumer_assign(source->consumer, from, nplaces);
	pfree(from);
}

/* Refuse to go on when a message is another one than the mark of its place says. */
static void
check_mark(WhKafkaSource *source, WhKafkaMark *mark, const WhKafkaMessage *message)
{
	WhKafkaMark expected = *mark;

	mark->offset = -1;
	if (message->offset != expected.offset)
		return;
	wh_kafka_mark_set(mark, message);
	mark->offset = -1;
	if (mark->timestamp != expected.timestamp || mark->crc != expected.crc)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("topic \"%s\", partition %d: the message at offset %lld is another one than was read there",
						source->table->topic, message->partition, (long long) message->offset),
				 errdetail("The topic was deleted and made again, or the broker has lost messages and given their offsets to others."),
				 errhint("To read the topic from its start, as its next generation, use wh.seek_feed(<feed>, 'earliest').")));
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
				if (unlikely(source->marks[place - source->places].offset >= 0))
					check_mark(source, &source->marks[place - source->places], message);
				/* librdkafka may hand out what precedes the place in its batch */
				if (message->offset < place->offset)
					continue;
				wh_kafka_decode(source->decoder, message, &source->row.row, true);
				place->offset = message->offset + 1;
				source->at_end[place - source->places] = false;
				return event;
			case WH_KAFKA_END:
				place->offset = Max(place->offset, message->offset);
				source->at_end[place - source->places] = true;
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

		if (place == NULL)
			continue;
		place->offset = Max(place->offset, message.offset);
		source->at_end[place - source->places] = true;
	}
	return event == WH_KAFKA_MESSAGE;
}

/*
 * Say whether all that the brokers give us now is read: up to the end, or to a
 * transaction that is open.
 */
bool
wh_kafka_source_caught_up(WhKafkaSource *source)
{
	for (int i = 0; i < source->nplaces; i++)
	{
		int64		end = wh_kafka_consumer_seen_end(source->consumer, source->places[i].partition);

		if (!source->at_end[i] && (end < 0 || source->places[i].offset < end))
			return false;
	}
	return true;
}

/* Say whether a partition was read to its end for us since it was started, with nothing after that. */
bool
wh_kafka_source_at_end(WhKafkaSource *source, int32 partition)
{
	WhKafkaPlace *place = find_place(source, partition);

	return place && source->at_end[place - source->places];
}

/*
 * Ask whether messages of a partition wait for the end of a transaction: it has
 * more than was read, and the end for us is where we are.  The end that was
 * seen is older than the answer, so no message that has just come looks so.
 */
bool
wh_kafka_source_waits(WhKafkaSource *source, int32 partition)
{
	WhKafkaPlace *place = find_place(source, partition);
	WhKafkaPlace end = {partition, WH_KAFKA_LATEST};

	if (place == NULL || wh_kafka_consumer_seen_end(source->consumer, partition) <= place->offset)
		return false;
	wh_kafka_consumer_find(source->consumer, &end, 1);
	return end.offset == place->offset;
}

/* Say, without asking, whether it may be so. */
bool
wh_kafka_source_may_wait(WhKafkaSource *source, int32 partition)
{
	WhKafkaPlace *place = find_place(source, partition);

	return wh_kafka_source_at_end(source, partition) &&
		wh_kafka_consumer_seen_end(source->consumer, partition) > place->offset;
}

/* Warn of columns whose field none of the messages had that were read so far. */
void
wh_kafka_source_warn(WhKafkaSource *source, int64 *warnings)
{
	wh_kafka_warn_unseen(source->decoder, warnings);
}

/* Give a partition's end as the broker told it last; -1 = not known. */
int64
wh_kafka_source_seen_end(WhKafkaSource *source, int32 partition)
{
	return wh_kafka_consumer_seen_end(source->consumer, partition);
}

/* Say, without waiting, whether the topic is known to have a partition. */
bool
wh_kafka_source_has_partition(WhKafkaSource *source, int32 partition)
{
	return wh_kafka_consumer_has_partition(source->consumer, partition);
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
