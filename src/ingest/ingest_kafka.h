/*
 * ingest_kafka.h
 *	  A feed's topic being read: what runs and workers share.
 */
#ifndef WH_INGEST_KAFKA_H
#define WH_INGEST_KAFKA_H

#include "ingest/ingest_state.h"
#include "kafka/kafka_source.h"

typedef struct WhPartitionRead
{
	WhUnit	   *unit;			/* NULL until there is something to remember */
	char	   *name;
	int64		end;
	bool		is_mine;		/* is read by us; else by another worker */
	bool		is_done;
	bool		has_mark;
	WhKafkaMark mark;			/* of the last message of this batch */
} WhPartitionRead;

typedef struct WhTopicRead
{
	WhKafkaSource *source;
	int			count;			/* partitions of the topic */
	WhPartitionRead *reads;		/* by partition */
	int64		generation;
	MemoryContext scratch;		/* of one message */
} WhTopicRead;

/* ingest_topic.c */
extern char *wh_topic_group(const WhFeed *feed);
extern void wh_topic_name_reads(WhIngest *ing, WhTopicRead *topic, int count);
extern WhKafkaPlace *wh_topic_start(WhIngest *ing, WhTopicRead *topic, WhKafkaPartition *partitions);
extern void wh_topic_take_message(WhIngest *ing, WhTopicRead *topic, WhKafkaSourceRow *message);
extern void wh_topic_save_places(WhIngest *ing, WhTopicRead *topic);
extern bool wh_topic_note_state(WhIngest *ing, WhTopicRead *topic);

/* ingest_stream.c */
extern void wh_ingest_read_stream(WhIngest *ing, WhTopicRead *topic);

#endif							/* WH_INGEST_KAFKA_H */
