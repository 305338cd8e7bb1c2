/*
 * kafka_consumer.c
 *	  Reads messages of one topic from given places.
 *
 * Partitions are assigned by the caller, never by a consumer group, and the
 * caller keeps the offsets; they can be committed to the broker besides, for
 * tools that show lag.  Messages of aborted transactions are left out.
 *
 * Runs in backends and workers; takes no locks.  See kafka_client.c for the
 * life of the connection.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "kafka/kafka_handle.h"

/* Messages taken from librdkafka at once. */
#define BATCH	1000

struct WhKafkaConsumer
{
	WhKafkaHandle *handle;
	TimestampTz heard;			/* when something came last */
	int64		queue_bytes;	/* limit of the queue of fetched messages, if we look after it */
	int64		taken_bytes;	/* of the queue, since its fetching was looked after */
	bool		report_out_of_range;
};

/*
 * What a consumer holds of fetched messages is limited in bytes alone.  We are
 * in no session of a group; its time-out is how long closing waits for a commit
 * of offsets whose coordinator is not there.
 */
static const char *const consumer_settings[] = {
	"group.id", "widgets_wh",
	"enable.auto.commit", "false",
	"enable.auto.offset.store", "false",
	"enable.partition.eof", "true",
	"allow.auto.create.topics", "false",
	"session.timeout.ms", "100",
	"heartbeat.interval.ms", "50",
	"isolation.level", "read_committed",
	"queued.max.messages.kbytes", "65536",
	"queued.min.messages", "10000000",
	"topic.metadata.refresh.interval.ms", "5000",
	"fetch.wait.max.ms", "100",
	"fetch.error.backoff.ms", "100",
	NULL
};

/* The first librdkafka that looks again at a full queue as soon as it is told to. */
#define REFILLS_ITSELF	0x02020000

static void
refill_soon(rd_kafka_conf_t *conf)
{
	if (rd_kafka_version() >= REFILLS_ITSELF)
		rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", NULL, 0);
}

static void
reset_to_earliest(rd_kafka_conf_t *conf)
{
	refill_soon(conf);
	rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", NULL, 0);
}

static void
reset_is_error(rd_kafka_conf_t *conf)
{
	refill_soon(conf);
	rd_kafka_conf_set(conf, "auto.offset.reset", "error", NULL, 0);
}

/*
 * Open a consumer of a table's topic in the current memory context, which
 * closes it.  Connects later.
 */
WhKafkaConsumer *
wh_kafka_consumer_open(WhKafkaTable *table, const WhKafkaConsumerOptions *consumer_options)
{
	WhKafkaConsumer *consumer = palloc0(sizeof(WhKafkaConsumer));
	WhKafkaHandle *handle;
	WhKafkaTable with_group = *table;
	char		value[32];
	size_t		size = sizeof(value);

	if (consumer_options->group)
	{
		WhKafkaSetting *setting = palloc0(sizeof(WhKafkaSetting));

		setting->option = "group_id";
		setting->name = "group.id";
		setting->value = consumer_options->group;
		/* an option of the table comes later in the list, and wins */
		with_group.settings = lcons(setting, list_copy(table->settings));
	}
	consumer->report_out_of_range = consumer_options->report_out_of_range;
	handle = wh_kafka_handle_open(&with_group, RD_KAFKA_CONSUMER, consumer_settings,
								  consumer->report_out_of_range ? reset_is_error : reset_to_earliest);
	consumer->handle = handle;
	if (rd_kafka_version() < REFILLS_ITSELF &&
		rd_kafka_conf_get(rd_kafka_conf(handle->rk), "queued.max.messages.kbytes", value, &size) == RD_KAFKA_CONF_OK)
		consumer->queue_bytes = strtoll(value, NULL, 10) * 1024;
	handle->messages = palloc(sizeof(rd_kafka_message_t *) * BATCH);
	handle->queue = rd_kafka_queue_get_consumer(handle->rk);
	wh_kafka_handle_wake_on(handle, handle->queue);
	return consumer;
}

/* Close a consumer before its memory context does. */
void
wh_kafka_consumer_close(WhKafkaConsumer *consumer)
{
	wh_kafka_handle_close(consumer->handle);
}

/* Wait this long at most for the answer to a question. */
void
wh_kafka_consumer_set_patience(WhKafkaConsumer *consumer, int patience_ms)
{
	consumer->handle->patience_ms = Min(consumer->handle->timeout_ms, patience_ms);
}

/* Say, without waiting, whether the brokers have answered, or will not. */
bool
wh_kafka_consumer_connected(WhKafkaConsumer *consumer)
{
	return wh_kafka_handle_connected(consumer->handle);
}

/*
 * Ask how many partitions the topic has now.  Raises an error when there is no
 * such topic or no answer.
 */
int
wh_kafka_consumer_partitions(WhKafkaConsumer *consumer)
{
	WhKafkaHandle *handle = consumer->handle;
	TimestampTz since = GetCurrentTimestamp();
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	int			slice_ms = 0;

	while (wh_kafka_handle_retry(handle, err, since, &slice_ms))
	{
		const rd_kafka_metadata_t *metadata;
		int			count;

		err = rd_kafka_metadata(handle->rk, 0, handle->topic, &metadata, slice_ms);
		if (err)
			continue;
		count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
		err = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
		rd_kafka_metadata_destroy(metadata);
		if (!err)
			return count;
	}
	wh_kafka_raise(handle, err, NULL, "could not read topic");
}

/*
 * Say, without waiting, whether the topic is known to have a partition.  The
 * brokers are asked every 5 s, in the background.
 */
bool
wh_kafka_consumer_has_partition(WhKafkaConsumer *consumer, int32 partition)
{
	int64_t		low;
	int64_t		high;

	return rd_kafka_get_watermark_offsets(consumer->handle->rk, consumer->handle->topic_name,
										  partition, &low, &high) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/*
 * Replace the offset of each place, which is WH_KAFKA_EARLIEST,
 * WH_KAFKA_LATEST or a time in milliseconds since 1970, by the offset of the
 * earliest retained message, of the end (before an open transaction), or of
 * the first message of at least that time, WH_KAFKA_LATEST when there is none.
 */
void
wh_kafka_consumer_find(WhKafkaConsumer *consumer, WhKafkaPlace *places, int nplaces)
{
	WhKafkaHandle *handle = consumer->handle;
	TimestampTz since = GetCurrentTimestamp();
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
	int			slice_ms = 0;

	if (nplaces == 0)
		return;
	while (wh_kafka_handle_retry(handle, err, since, &slice_ms))
	{
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(nplaces);

		for (int i = 0; i < nplaces; i++)
			rd_kafka_topic_partition_list_add(list, handle->topic_name, places[i].partition)->offset = places[i].offset;
		err = rd_kafka_offsets_for_times(handle->rk, list, slice_ms);
		for (int i = 0; i < nplaces && !err; i++)
			err = list->elems[i].err;
		if (!err)
		{
			for (int i = 0; i < nplaces; i++)
			{
				rd_kafka_topic_partition_t *found =
					rd_kafka_topic_partition_list_find(list, handle->topic_name, places[i].partition);

				places[i].offset = found->offset;
			}
		}
		rd_kafka_topic_partition_list_destroy(list);
		if (!err)
			return;
	}
	wh_kafka_raise(handle, err, NULL, "could not find offsets of topic");
}

static void
drop_fetched(WhKafkaConsumer *consumer)
{
	WhKafkaHandle *handle = consumer->handle;

	if (handle->current)
		rd_kafka_message_destroy(handle->current);
	handle->current = NULL;
	for (; handle->next_message < handle->nmessages; handle->next_message++)
		rd_kafka_message_destroy(handle->messages[handle->next_message]);
}

/*
 * Read from these places, and from no others, from now on.  What was fetched
 * before and not asked for is dropped.
 */
void
wh_kafka_consumer_assign(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces)
{
	WhKafkaHandle *handle = consumer->handle;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(nplaces);
	rd_kafka_resp_err_t err;

	drop_fetched(consumer);
	for (int i = 0; i < nplaces; i++)
		rd_kafka_topic_partition_list_add(list, handle->topic_name, places[i].partition)->offset = places[i].offset;
	/* a pause outlives the assignment that it was made in */
	rd_kafka_resume_partitions(handle->rk, list);
	err = rd_kafka_assign(handle->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err)
		wh_kafka_raise(handle, err, NULL, "could not read topic");
	consumer->heard = GetCurrentTimestamp();
}

/* Fetch no more of a partition; what was fetched already still comes. */
void
wh_kafka_consumer_pause(WhKafkaConsumer *consumer, int32 partition)
{
	WhKafkaHandle *handle = consumer->handle;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(list, handle->topic_name, partition);
	rd_kafka_pause_partitions(handle->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* Say whether an event is only a connection's trouble, or a group's, which we do not use. */
static bool
is_harmless(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR__BAD_MSG:
		case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		case RD_KAFKA_RESP_ERR_INVALID_MSG:
		case RD_KAFKA_RESP_ERR__FATAL:
			return false;
		default:
			return true;
	}
}

/* Say what to make of an event that is no message; raises what is fatal. */
static WhKafkaEvent
judge(WhKafkaConsumer *consumer, rd_kafka_message_t *event)
{
	WhKafkaHandle *handle = consumer->handle;

	switch (event->err)
	{
		case RD_KAFKA_RESP_ERR__PARTITION_EOF:
			return WH_KAFKA_END;
		case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
		case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
			return WH_KAFKA_OUT_OF_RANGE;
		default:
			break;
	}
	if (!is_harmless(event->err))
	{
		char	   *reason = pstrdup(rd_kafka_message_errstr(event));
		rd_kafka_resp_err_t err = event->err;

		rd_kafka_message_destroy(event);
		handle->current = NULL;
		wh_kafka_raise(handle, err, reason, "could not read topic");
	}
	return WH_KAFKA_NOTHING;
}

/*
 * See to it that a queue that was full is filled again while much of it is
 * left.  In a librdkafka that does not, a broker's thread that found it full
 * sleeps for a second, unless there is something else to do: ask it for the
 * ends of the partitions.
 */
static void
keep_fetching(WhKafkaConsumer *consumer)
{
	rd_kafka_topic_partition_list_t *list;

	if (consumer->queue_bytes == 0 || consumer->taken_bytes < consumer->queue_bytes / 4)
		return;
	consumer->taken_bytes = 0;
	if (rd_kafka_assignment(consumer->handle->rk, &list))
		return;
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].offset = RD_KAFKA_OFFSET_END;
	/* the answer does not matter, so one that is late is not waited for */
	(void) rd_kafka_offsets_for_times(consumer->handle->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

/*
 * Get the next message of any assigned partition, waiting up to timeout_ms,
 * -1 = as long as the brokers answer.  Messages of one partition come in
 * order.  Raises an error when nothing came for the time of socket_timeout_ms,
 * not even that an end was reached, though it was waited for.
 */
WhKafkaEvent
wh_kafka_consumer_next(WhKafkaConsumer *consumer, int timeout_ms, WhKafkaMessage *message)
{
	WhKafkaHandle *handle = consumer->handle;
	TimestampTz since = 0;

	for (;;)
	{
		if (handle->current)
		{
			rd_kafka_message_destroy(handle->current);
			handle->current = NULL;
		}
		while (handle->next_message < handle->nmessages)
		{
			rd_kafka_message_t *event = handle->messages[handle->next_message++];

			handle->current = event;
			message->partition = event->partition;
			message->offset = event->offset;
			if (likely(!event->err))
			{
				message->timestamp = rd_kafka_message_timestamp(event, NULL);
				message->key = event->key;
				message->key_len = event->key_len;
				message->value = event->payload;
				message->value_len = event->len;
				message->handle = event;
				consumer->taken_bytes += event->len + event->key_len;
				return WH_KAFKA_MESSAGE;
			}
			else
			{
				WhKafkaEvent kind = judge(consumer, event);

				if (kind != WH_KAFKA_NOTHING)
					return kind;
			}
			rd_kafka_message_destroy(event);
			handle->current = NULL;
		}

		CHECK_FOR_INTERRUPTS();
		keep_fetching(consumer);
		handle->next_message = 0;
		handle->nmessages = rd_kafka_consume_batch_queue(handle->queue, 0, handle->messages, BATCH);
		if (handle->nmessages < 0)
		{
			handle->nmessages = 0;
			wh_kafka_raise(handle, rd_kafka_last_error(), NULL, "could not read topic");
		}
		wh_kafka_handle_poll(handle);
		if (handle->nmessages > 0)
		{
			consumer->heard = 0;
			handle->all_down = false;
			continue;
		}

		/* nothing there: wait */
		if (since == 0)
		{
			since = GetCurrentTimestamp();
			if (consumer->heard == 0)
				consumer->heard = since;
		}
		if (wh_kafka_handle_refused(handle))
			wh_kafka_raise(handle, RD_KAFKA_RESP_ERR_NO_ERROR, NULL, "could not read topic");
		if (timeout_ms < 0)
		{
			if (TimestampDifferenceExceeds(consumer->heard, GetCurrentTimestamp(), handle->timeout_ms))
				wh_kafka_raise(handle, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, "could not read topic");
			wh_kafka_handle_wait(handle, 1000);
		}
		else
		{
			long		left = timeout_ms - TimestampDifferenceMilliseconds(since, GetCurrentTimestamp());

			if (left <= 0)
				return WH_KAFKA_NOTHING;
			wh_kafka_handle_wait(handle, left);
		}
	}
}

/*
 * Look, without waiting and without a transaction, for something that
 * wh_kafka_consumer_next would give or raise: WH_KAFKA_MESSAGE.  An end of a
 * partition is taken and told: WH_KAFKA_END.
 */
WhKafkaEvent
wh_kafka_consumer_peek(WhKafkaConsumer *consumer, WhKafkaMessage *message)
{
	WhKafkaHandle *handle = consumer->handle;

	for (;;)
	{
		while (handle->next_message < handle->nmessages)
		{
			rd_kafka_message_t *event = handle->messages[handle->next_message];
			rd_kafka_resp_err_t err = event->err;

			if (!err || (err != RD_KAFKA_RESP_ERR__PARTITION_EOF && !is_harmless(err)))
				return WH_KAFKA_MESSAGE;
			handle->next_message++;
			message->partition = event->partition;
			message->offset = event->offset;
			rd_kafka_message_destroy(event);
			if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
				return WH_KAFKA_END;
		}
		wh_kafka_handle_drain(handle);
		handle->next_message = 0;
		handle->nmessages = rd_kafka_consume_batch_queue(handle->queue, 0, handle->messages, BATCH);
		wh_kafka_handle_poll(handle);
		if (handle->nmessages <= 0)
		{
			handle->nmessages = 0;
			return WH_KAFKA_NOTHING;
		}
		consumer->heard = 0;
		handle->all_down = false;
	}
}

/* Give a partition's end as the broker told it last; -1 = not known. */
int64
wh_kafka_consumer_seen_end(WhKafkaConsumer *consumer, int32 partition)
{
	WhKafkaHandle *handle = consumer->handle;
	int64_t		low;
	int64_t		high;

	if (rd_kafka_get_watermark_offsets(handle->rk, handle->topic_name, partition, &low, &high) || high < 0)
		return -1;
	return high;
}

/* Give a file descriptor that becomes readable when there is something to look for. */
int
wh_kafka_consumer_fd(WhKafkaConsumer *consumer)
{
	return consumer->handle->wakeup[0];
}

/*
 * Tell the broker how far the group has got, for tools that show lag.  Does
 * not wait for the answer; returns false when that cannot be done now.
 */
bool
wh_kafka_consumer_commit(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces)
{
	WhKafkaHandle *handle = consumer->handle;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(nplaces);
	rd_kafka_resp_err_t err;

	for (int i = 0; i < nplaces; i++)
		rd_kafka_topic_partition_list_add(list, handle->topic_name, places[i].partition)->offset = places[i].offset;
	err = rd_kafka_commit(handle->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
	return !err;
}

/*
 * The same, waiting for the answer, whatever it is, for timeout_ms at most.
 * Raises no error and looks at no interrupts.
 */
void
wh_kafka_consumer_commit_wait(WhKafkaConsumer *consumer, const WhKafkaPlace *places, int nplaces,
							  long timeout_ms)
{
	WhKafkaHandle *handle = consumer->handle;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(nplaces);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(handle->rk);
	rd_kafka_event_t *event;

	for (int i = 0; i < nplaces; i++)
		rd_kafka_topic_partition_list_add(list, handle->topic_name, places[i].partition)->offset = places[i].offset;
	if (!rd_kafka_commit_queue(handle->rk, list, queue, NULL, NULL) &&
		(event = rd_kafka_queue_poll(queue, timeout_ms)) != NULL)
		rd_kafka_event_destroy(event);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
}

/*
 * Say what is wrong with the connection; NULL = nothing is known to be.  The
 * text lives until the next call of the consumer.
 */
const char *
wh_kafka_consumer_trouble(WhKafkaConsumer *consumer)
{
	WhKafkaHandle *handle = consumer->handle;

	wh_kafka_handle_poll(handle);
	if (wh_kafka_handle_refused(handle) || (handle->all_down && handle->cause))
		return handle->cause_text;
	return handle->all_down ? "no broker can be reached" : NULL;
}

/*
 * Get header number i of a message, from 0; false = there is none.  The value
 * may be NULL.
 */
bool
wh_kafka_message_header(const WhKafkaMessage *message, int i, const char **name,
						const char **value, Size *value_len)
{
	rd_kafka_headers_t *headers;
	const void *data;

	if (rd_kafka_message_headers(message->handle, &headers) ||
		rd_kafka_header_get_all(headers, i, name, &data, value_len))
		return false;
	*value = data;
	return true;
}
