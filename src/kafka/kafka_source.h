/*
 * kafka_source.h
 *	  The messages of a Kafka foreign table, partition by partition, for feeds.
 *
 * How a feed uses it:
 *
 *		source = wh_kafka_source_open(relid, owner, group);
 *		n = wh_kafka_source_partitions(source, &partitions);
 *		for each of them choose the next offset to read: the stored one, when
 *			wh_kafka_continuity says it can be; else by where the feed starts
 *			(wh_kafka_source_find)
 *		wh_kafka_source_resume(source, places, marks, n);
 *		while the batch has room
 *			wh_kafka_source_next(source, timeout_ms, &row): a row, an end, nothing
 *		wh_kafka_source_places(source, &places): the next offset of each partition,
 *			to be stored in the transaction that stages the rows
 *		commit; then wh_kafka_source_commit(source), for lag tools
 *
 * The source may live longer than a transaction: the next batch goes on with
 * wh_kafka_source_next.  After a rollback call wh_kafka_source_start again with
 * the stored offsets.  It belongs to the memory context it was opened in.
 *
 * A topic that was deleted and made again cannot be told by an identity, which
 * librdkafka 2.0 does not show.  It is told by an end before the stored offset,
 * or, when it has grown past that, by the last message read, whose mark is kept:
 * it is read again when reading starts, or by wh_kafka_source_check.
 */
#ifndef WH_KAFKA_SOURCE_H
#define WH_KAFKA_SOURCE_H

#include "kafka/kafka_client.h"
#include "value/source.h"

typedef struct WhKafkaSource WhKafkaSource;

typedef struct WhKafkaPartition
{
	int32		partition;
	int64		low;			/* earliest retained offset */
	int64		end;			/* next offset, not counting open transactions */
} WhKafkaPartition;

/* How a stored offset fits a partition. */
typedef enum WhKafkaContinuity
{
	WH_KAFKA_CONTINUES,
	WH_KAFKA_LOST,				/* messages before low are not retained any more */
	WH_KAFKA_RECREATED			/* it is beyond the end: another topic of that name */
} WhKafkaContinuity;

/*
 * What is remembered of the last message read from a partition.  When it is
 * not there any more, retention or compaction has removed it, and nothing can
 * be said; but another message at its offset is one of another topic.
 */
typedef struct WhKafkaMark
{
	int32		partition;
	int64		offset;			/* -1 = nothing is known */
	int64		timestamp;
	uint32		crc;			/* CRC-32C of key and value */
	bool		differs;		/* another message is there: set by wh_kafka_source_check */
} WhKafkaMark;

/* A message as a row.  Lives until the next one is asked for. */
typedef struct WhKafkaSourceRow
{
	WhSourceRow row;			/* low is the offset */
	int32		partition;
	WhKafkaMessage message;		/* key, and for wh_kafka_headers_json */
} WhKafkaSourceRow;

extern bool wh_kafka_is_kafka_table(Oid relid);
extern WhKafkaSource *wh_kafka_source_open(Oid relid, Oid userid, const char *group);
extern void wh_kafka_source_close(WhKafkaSource *source);
extern void wh_kafka_source_set_patience(WhKafkaSource *source, int patience_ms);
extern bool wh_kafka_source_connected(WhKafkaSource *source);
extern const char *wh_kafka_source_topic(WhKafkaSource *source);
extern int	wh_kafka_source_partitions(WhKafkaSource *source, WhKafkaPartition **partitions);
extern void wh_kafka_source_find(WhKafkaSource *source, WhKafkaPlace *places, int nplaces);
extern WhKafkaContinuity wh_kafka_continuity(const WhKafkaPartition *partition, int64 stored);
extern void wh_kafka_mark_set(WhKafkaMark *mark, const WhKafkaMessage *message);
extern bytea *wh_kafka_mark_pack(const WhKafkaMark *mark);
extern void wh_kafka_mark_unpack(WhKafkaMark *mark, int32 partition, const bytea *packed);
extern bool wh_kafka_source_check(WhKafkaSource *source, WhKafkaMark *marks, int nmarks);
extern void wh_kafka_source_start(WhKafkaSource *source, const WhKafkaPlace *places, int nplaces);
extern void wh_kafka_source_resume(WhKafkaSource *source, const WhKafkaPlace *places,
								   const WhKafkaMark *marks, int nplaces);
extern WhKafkaEvent wh_kafka_source_next(WhKafkaSource *source, int timeout_ms, WhKafkaSourceRow **row);
extern bool wh_kafka_source_ready(WhKafkaSource *source);
extern bool wh_kafka_source_caught_up(WhKafkaSource *source);
extern bool wh_kafka_source_at_end(WhKafkaSource *source, int32 partition);
extern bool wh_kafka_source_waits(WhKafkaSource *source, int32 partition);
extern bool wh_kafka_source_may_wait(WhKafkaSource *source, int32 partition);
extern void wh_kafka_source_warn(WhKafkaSource *source, int64 *warnings);
extern int64 wh_kafka_source_seen_end(WhKafkaSource *source, int32 partition);
extern bool wh_kafka_source_has_partition(WhKafkaSource *source, int32 partition);
extern int	wh_kafka_source_fd(WhKafkaSource *source);
extern int	wh_kafka_source_places(WhKafkaSource *source, const WhKafkaPlace **places);
extern void wh_kafka_source_commit_late(WhKafkaSource *source);
extern bool wh_kafka_source_commit(WhKafkaSource *source);
extern const char *wh_kafka_source_trouble(WhKafkaSource *source);

#endif							/* WH_KAFKA_SOURCE_H */
