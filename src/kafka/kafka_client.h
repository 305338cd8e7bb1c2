/*
 * kafka_client.h
 *	  Connections to Kafka.  Hides librdkafka from everything else.
 *
 * A consumer or producer belongs to the memory context it was made in, and is
 * closed, its threads ended, when that context is reset or deleted.
 */
#ifndef WH_KAFKA_CLIENT_H
#define WH_KAFKA_CLIENT_H

#include "kafka/kafka_options.h"

#include "datatype/timestamp.h"

typedef struct WhKafkaConsumer WhKafkaConsumer;
typedef struct WhKafkaProducer WhKafkaProducer;

/* Offsets that stand for a place instead of a number. */
#define WH_KAFKA_EARLIEST	(-2)
#define WH_KAFKA_LATEST		(-1)

/* A partition and a place in it. */
typedef struct WhKafkaPlace
{
	int32		partition;
	int64		offset;
} WhKafkaPlace;

/*
 * A message.  Key and value may be NULL, are never NUL-terminated, and live
 * until the next message is asked for.
 */
typedef struct WhKafkaMessage
{
	int32		partition;
	int64		offset;
	int64		timestamp;		/* milliseconds since 1970, -1 = none */
	const char *key;
	Size		key_len;
	const char *value;
	Size		value_len;
	void	   *handle;			/* for wh_kafka_message_header; NULL = not from a broker now */
	const char *headers;		/* as JSON, when handle is NULL; NULL = none */
} WhKafkaMessage;

/* What wh_kafka_consumer_next found. */
typedef enum WhKafkaEvent
{
	WH_KAFKA_NOTHING,			/* until the time was over */
	WH_KAFKA_MESSAGE,
	WH_KAFKA_END,				/* of a partition; the message tells which and the next offset */
	WH_KAFKA_OUT_OF_RANGE		/* the place to read is not retained any more */
} WhKafkaEvent;

/* How to open a consumer. */
typedef struct WhKafkaConsumerOptions
{
	const char *group;			/* for committed offsets; NULL = none are committed */
	bool		report_out_of_range;	/* else reading goes on from the earliest message */
} WhKafkaConsumerOptions;

extern void wh_kafka_check_setting(const WhKafkaSetting *setting);
extern bool wh_kafka_is_stuck(void);
extern bool wh_kafka_has_feature(const char *feature);

extern WhKafkaConsumer *wh_kafka_consumer_open(WhKafkaTable *table, const WhKafkaConsumerOptions *options);
extern void wh_kafka_consumer_close(WhKafkaConsumer *consumer);
extern void wh_kafka_consumer_set_patience(WhKafkaConsumer *consumer, int patience_ms);
extern int	wh_kafka_consumer_partitions(WhKafkaConsumer *consumer);
extern bool wh_kafka_consumer_has_partition(WhKafkaConsumer *consumer, int32 partition);
extern void wh_kafka_consumer_find(WhKafkaConsumer *consumer, WhKafkaPlace *places, int nplaces);
extern void wh_kafka_consumer_assign(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces);
extern void wh_kafka_consumer_pause(WhKafkaConsumer *consumer, int32 partition);
extern WhKafkaEvent wh_kafka_consumer_next(WhKafkaConsumer *consumer, int timeout_ms, WhKafkaMessage *message);
extern WhKafkaEvent wh_kafka_consumer_peek(WhKafkaConsumer *consumer, WhKafkaMessage *message);
extern int64 wh_kafka_consumer_seen_end(WhKafkaConsumer *consumer, int32 partition);
extern int	wh_kafka_consumer_fd(WhKafkaConsumer *consumer);
extern bool wh_kafka_consumer_connected(WhKafkaConsumer *consumer);
extern void wh_kafka_consumer_commit_wait(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces,
										  long timeout_ms);
extern bool wh_kafka_consumer_commit(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces);
extern const char *wh_kafka_consumer_trouble(WhKafkaConsumer *consumer);
extern bool wh_kafka_message_header(const WhKafkaMessage *message, int i, const char **name,
									const char **value, Size *value_len);

extern WhKafkaProducer *wh_kafka_producer_open(WhKafkaTable *table);
extern void wh_kafka_producer_close(WhKafkaProducer *producer);
extern void wh_kafka_producer_add_header(WhKafkaProducer *producer, const char *name,
										 const char *value, Size value_len);
extern void wh_kafka_producer_send(WhKafkaProducer *producer, const WhKafkaMessage *message);
extern int64 wh_kafka_producer_flush(WhKafkaProducer *producer);

#endif							/* WH_KAFKA_CLIENT_H */
