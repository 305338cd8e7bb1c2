/*
 * kafka_producer.c
 *	  Sends messages to one topic, each exactly once and in order.
 *
 * The producer is idempotent: librdkafka's retries neither repeat nor reorder
 * messages.  Sending only queues; a flush waits until the brokers have
 * confirmed every message, and raises what they refused.
 *
 * Runs in backends and workers; takes no locks.  See kafka_client.c for the
 * life of the connection.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "kafka/kafka_handle.h"

struct WhKafkaProducer
{
	WhKafkaHandle *handle;
	rd_kafka_headers_t *headers;	/* of the next message */
	int64		sent;			/* since the last flush */
	int64		failed;
	rd_kafka_resp_err_t err;	/* of the first failure */
};

static const char *const producer_settings[] = {
	"enable.idempotence", "true",
	"message.timeout.ms", "60000",
	"topic.metadata.propagation.max.ms", "3000",
	"linger.ms", "5",
	"queue.buffering.max.messages", "100000",
	"queue.buffering.max.kbytes", "65536",
	"message.max.bytes", "8000000",
	NULL
};

/* Note a message's fate; called by librdkafka inside of our poll. */
static void
note_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	WhKafkaProducer *producer = message->_private;

	if (message->err)
	{
		if (producer->failed++ == 0)
			producer->err = message->err;
	}
}

static void
report_deliveries(rd_kafka_conf_t *conf)
{
	rd_kafka_conf_set_dr_msg_cb(conf, note_delivery);
}

static void
free_headers(void *arg)
{
	WhKafkaProducer *producer = arg;

	if (producer->headers)
		rd_kafka_headers_destroy(producer->headers);
	producer->headers = NULL;
}

/*
 * Open a producer to a table's topic in the current memory context, which
 * closes it.  Connects later.
 */
WhKafkaProducer *
wh_kafka_producer_open(WhKafkaTable *table)
{
	WhKafkaProducer *producer = palloc0(sizeof(WhKafkaProducer));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	rd_kafka_queue_t *queue;

	callback->func = free_headers;
	callback->arg = producer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	producer->handle = wh_kafka_handle_open(table, RD_KAFKA_PRODUCER, producer_settings, report_deliveries);
	queue = rd_kafka_queue_get_main(producer->handle->rk);
	wh_kafka_handle_wake_on(producer->handle, queue);
	rd_kafka_queue_destroy(queue);
	return producer;
}

/* Close a producer before its memory context does; unsent messages are lost. */
void
wh_kafka_producer_close(WhKafkaProducer *producer)
{
	free_headers(producer);
	wh_kafka_handle_close(producer->handle);
}

/* Add a header to the next message; value may be NULL. */
void
wh_kafka_producer_add_header(WhKafkaProducer *producer, const char *name, const char *value, Size value_len)
{
	if (producer->headers == NULL)
		producer->headers = rd_kafka_headers_new(8);
	rd_kafka_header_add(producer->headers, name, -1, value, value ? value_len : 0);
}

/* Raise what happened to earlier messages. */
static void
raise_failure(WhKafkaProducer *producer)
{
	rd_kafka_resp_err_t err = producer->err;

	if (producer->failed == 0)
		return;
	producer->failed = 0;
	wh_kafka_raise(producer->handle, err, NULL, "could not write to topic");
}

/*
 * Queue a message: its partition (-1 = by key), timestamp (-1 = now), key and
 * value, which are copied, and the headers added before.  Waits while the queue
 * is full; raises an error when an earlier message was refused.
 */
void
wh_kafka_producer_send(WhKafkaProducer *producer, const WhKafkaMessage *message)
{
	WhKafkaHandle *handle = producer->handle;

	for (;;)
	{
		rd_kafka_vu_t parts[] = {
			{RD_KAFKA_VTYPE_RKT, .u.rkt = handle->topic},
			{RD_KAFKA_VTYPE_PARTITION, .u.i32 = message->partition},
			{RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
			{RD_KAFKA_VTYPE_KEY, .u.mem = {(void *) message->key, message->key_len}},
			{RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *) message->value, message->value_len}},
			{RD_KAFKA_VTYPE_OPAQUE, .u.ptr = producer},
			{RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = message->timestamp < 0 ? 0 : message->timestamp},
			{RD_KAFKA_VTYPE_HEADERS, .u.headers = producer->headers},
		};
		rd_kafka_error_t *error = rd_kafka_produceva(handle->rk, parts,
													 lengthof(parts) - (producer->headers ? 0 : 1));
		rd_kafka_resp_err_t err;
		char	   *reason;

		if (error == NULL)
		{
			/* it belongs to the message now */
			producer->headers = NULL;
			producer->sent++;
			if (producer->sent % 256 == 0)
				wh_kafka_handle_poll(handle);
			if (unlikely(producer->failed))
				raise_failure(producer);
			return;
		}
		err = rd_kafka_error_code(error);
		reason = pstrdup(rd_kafka_error_string(error));
		rd_kafka_error_destroy(error);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			wh_kafka_raise(handle, err, reason, "could not write to topic");
		pfree(reason);
		if (wh_kafka_handle_poll(handle) == 0)
			wh_kafka_handle_wait(handle, 1000);
		raise_failure(producer);
		if (wh_kafka_handle_refused(handle))
			wh_kafka_raise(handle, RD_KAFKA_RESP_ERR_NO_ERROR, NULL, "could not write to topic");
	}
}

/*
 * Wait until every message sent is confirmed by the brokers; returns how many
 * since the last flush.  Raises an error when one was refused or not confirmed
 * in time; the others may be in the topic all the same.
 */
int64
wh_kafka_producer_flush(WhKafkaProducer *producer)
{
	WhKafkaHandle *handle = producer->handle;
	int64		sent;

	for (;;)
	{
		wh_kafka_handle_poll(handle);
		raise_failure(producer);
		if (rd_kafka_outq_len(handle->rk) == 0)
			break;
		if (wh_kafka_handle_refused(handle))
			wh_kafka_raise(handle, RD_KAFKA_RESP_ERR_NO_ERROR, NULL, "could not write to topic");
		wh_kafka_handle_wait(handle, 1000);
	}
	sent = producer->sent;
	producer->sent = 0;
	return sent;
}
