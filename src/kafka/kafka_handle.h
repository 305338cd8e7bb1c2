/*
 * kafka_handle.h
 *	  What the files of the Kafka client share.  Only they include this file,
 *	  and with it librdkafka's.
 */
#ifndef WH_KAFKA_HANDLE_H
#define WH_KAFKA_HANDLE_H

#include "compat.h"
#include "kafka/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <pthread.h>

#include "lib/ilist.h"

/* Log lines kept between two polls; more are counted only. */
#define WH_KAFKA_LOG_LINES	8

/*
 * A handle of librdkafka.  Its callbacks, which run inside of poll calls of
 * this process, only note what happened here.
 */
typedef struct WhKafkaHandle
{
	dlist_node	node;			/* in the list of this process' handles that are open, or are ending */
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	char	   *topic_name;
	char	   *servers;
	int			wakeup[2];		/* pipe that librdkafka writes to; -1 = none */
	int			timeout_ms;		/* without an answer for this long, give up */
	int			patience_ms;	/* the same for a question that the caller waits for */
	TimestampTz opened_at;
	bool		is_connected;	/* a broker has answered since */

	/* noted by callbacks */
	rd_kafka_resp_err_t cause;	/* why connections fail; login and TLS come first */
	char		cause_text[512];
	bool		all_down;
	int			nlogs;
	int			log_level[WH_KAFKA_LOG_LINES];
	char		log[WH_KAFKA_LOG_LINES][256];

	/* freed with the handle */
	rd_kafka_queue_t *queue;
	rd_kafka_message_t *current;	/* the message the caller has */
	rd_kafka_message_t **messages;	/* fetched after it */
	int			nmessages;
	int			next_message;

	/* while it ends: see kafka_close.c */
	rd_kafka_t *ending;
	bool		has_thread;
	pthread_t	thread;
	TimestampTz ending_since;
	bool		is_released;	/* its memory context is gone */
} WhKafkaHandle;

typedef void (*WhKafkaConfigure) (rd_kafka_conf_t *conf);

extern WhKafkaHandle *wh_kafka_handle_open(WhKafkaTable *table, rd_kafka_type_t type,
										   const char *const *settings, WhKafkaConfigure configure);
extern void wh_kafka_handle_keep(WhKafkaHandle *handle);
extern void wh_kafka_handle_close(WhKafkaHandle *handle);
extern void wh_kafka_handle_release(void *arg);
extern void wh_kafka_handle_wake_on(WhKafkaHandle *handle, rd_kafka_queue_t *queue);
extern int	wh_kafka_handle_poll(WhKafkaHandle *handle);
extern void wh_kafka_handle_wait(WhKafkaHandle *handle, long timeout_ms);
extern void wh_kafka_handle_drain(WhKafkaHandle *handle);
extern bool wh_kafka_handle_retry(WhKafkaHandle *handle, rd_kafka_resp_err_t err,
								  TimestampTz since, int *slice_ms);
extern bool wh_kafka_handle_connected(WhKafkaHandle *handle);
extern bool wh_kafka_handle_refused(const WhKafkaHandle *handle);
extern WH_NORETURN void wh_kafka_raise(WhKafkaHandle *handle, rd_kafka_resp_err_t err,
									   const char *reason, const char *what);

#endif							/* WH_KAFKA_HANDLE_H */
