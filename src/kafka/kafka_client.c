/*
 * kafka_client.c
 *	  Handles of librdkafka: settings, life, errors, logs and waiting.
 *
 * The Kafka client is kafka_client.c, kafka_consumer.c and kafka_producer.c;
 * nothing else sees rdkafka.h.  A handle is made in the process that uses it.
 * It belongs to a memory context, whose reset closes it (kafka_close.c): an
 * aborted statement leaves no thread behind.
 *
 * librdkafka has threads of its own, which never run code of PostgreSQL or of
 * ours: errors and logs come through queues that this process polls, and the
 * callbacks only note them.  Waiting is on the process' latch and on a pipe
 * that librdkafka writes to.
 *
 * Runs in backends and workers; takes no locks.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "kafka/kafka_handle.h"

/* How long one blocking call of librdkafka may take before we look at interrupts. */
#define FIRST_SLICE_MS	200
#define LAST_SLICE_MS	1000

/* How long no broker at all may be reachable before that is an error. */
#define ALL_DOWN_MS		2000

/* Settings that every handle starts with. */
static const char *const default_settings[] = {
	"log.queue", "true",
	"client.id", "widgets_wh",
	"socket.keepalive.enable", "true",
	"socket.timeout.ms", "30000",
	"reconnect.backoff.ms", "50",
	"reconnect.backoff.max.ms", "2000",
	NULL
};

/*
 * Check a setting's name and value as librdkafka does.  Raises an error that
 * shows no secret.
 */
void
wh_kafka_check_setting(const WhKafkaSetting *setting)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		reason[256];
	rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, setting->name, setting->value,
												reason, sizeof(reason));

	rd_kafka_conf_destroy(conf);
	if (res == RD_KAFKA_CONF_UNKNOWN)
		ereport(ERROR,
				errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("this librdkafka has no setting for option \"%s\"", setting->option));
	if (res != RD_KAFKA_CONF_OK)
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				errmsg("invalid value for option \"%s\"", setting->option),
				setting->secret ? 0 : errdetail("%s.", reason));
}

/* Say whether this librdkafka was built with a feature, as its builtin.features names it. */
bool
wh_kafka_has_feature(const char *feature)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		list[1024];
	size_t		size = sizeof(list);
	bool		found = false;

	if (rd_kafka_conf_get(conf, "builtin.features", list, &size) == RD_KAFKA_CONF_OK)
	{
		char	   *next;

		for (char *name = strtok_r(list, ", ", &next); name; name = strtok_r(NULL, ", ", &next))
			found |= strcmp(name, feature) == 0;
	}
	rd_kafka_conf_destroy(conf);
	return found;
}

/* Note a log line; called by librdkafka inside of our poll. */
static void
note_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	WhKafkaHandle *handle = rd_kafka_opaque(rk);

	if (handle == NULL || handle->nlogs >= WH_KAFKA_LOG_LINES)
		return;
	handle->log_level[handle->nlogs] = level;
	strlcpy(handle->log[handle->nlogs++], text, sizeof(handle->log[0]));
}

static bool
is_login_error(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__AUTHENTICATION || err == RD_KAFKA_RESP_ERR__SSL ||
		err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

/* Note an error of a connection; called by librdkafka inside of our poll. */
static void
note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	WhKafkaHandle *handle = opaque;

	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
	{
		handle->all_down = true;
		return;
	}
	if (handle->cause && is_login_error(handle->cause))
		return;
	handle->cause = err;
	strlcpy(handle->cause_text, reason, sizeof(handle->cause_text));
}

/* Open the pipe that wakes us; raises an error. */
static void
open_wakeup(WhKafkaHandle *handle)
{
	if (!AcquireExternalFD())
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not open a connection to Kafka: too many open files"));
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		ereport(ERROR,
				errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				errmsg("could not open a connection to Kafka: too many open files"));
	}
	if (pipe2(handle->wakeup, O_NONBLOCK | O_CLOEXEC) != 0)
	{
		int			save_errno = errno;

		ReleaseExternalFD();
		ReleaseExternalFD();
		errno = save_errno;
		ereport(ERROR, errcode_for_socket_access(), errmsg("could not create a pipe: %m"));
	}
}

/* Set one setting; raises an error that shows no secret. */
static void
set(rd_kafka_conf_t *conf, const WhKafkaSetting *setting)
{
	char		reason[256];

	if (rd_kafka_conf_set(conf, setting->name, setting->value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
		return;
	rd_kafka_conf_destroy(conf);
	wh_kafka_check_setting(setting);
	elog(ERROR, "librdkafka refuses setting \"%s\"", setting->name);
}

/*
 * Open a handle for a table, in the current memory context.  settings are
 * pairs of librdkafka's names and values, ended by NULL, that the table's
 * options may change; configure may set callbacks.
 */
WhKafkaHandle *
wh_kafka_handle_open(WhKafkaTable *table, rd_kafka_type_t type, const char *const *settings,
					 WhKafkaConfigure configure)
{
	WhKafkaHandle *handle;
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	char	   *topic_name = pstrdup(table->topic);
	char	   *servers = NULL;
	rd_kafka_conf_t *conf;
	char		reason[512];
	char		value[32];
	size_t		size = sizeof(value);
	const char *const *all[] = {default_settings, settings};
	ListCell   *lc;

	conf = rd_kafka_conf_new();
	for (int i = 0; i < lengthof(all); i++)
	{
		for (const char *const *pair = all[i]; *pair; pair += 2)
			set(conf, &(WhKafkaSetting) {pair[0], pair[0], pair[1], false});
	}
	foreach(lc, table->settings)
	{
		const WhKafkaSetting *setting = lfirst(lc);

		set(conf, setting);
		if (strcmp(setting->name, "bootstrap.servers") == 0)
			servers = pstrdup(setting->value);
	}
	/* its callbacks may note something until its threads have ended */
	handle = MemoryContextAllocZero(TopMemoryContext, sizeof(WhKafkaHandle));
	handle->topic_name = topic_name;
	handle->servers = servers;
	rd_kafka_conf_set_opaque(conf, handle);
	rd_kafka_conf_set_log_cb(conf, note_log);
	rd_kafka_conf_set_error_cb(conf, note_error);
	rd_kafka_conf_enable_sasl_queue(conf, 1);
	if (configure)
		configure(conf);
	rd_kafka_conf_get(conf, "socket.timeout.ms", value, &size);
	handle->timeout_ms = handle->patience_ms = Max(atoi(value), 1000);

	PG_TRY();
	{
		open_wakeup(handle);
	}
	PG_CATCH();
	{
		rd_kafka_conf_destroy(conf);
		pfree(handle);
		PG_RE_THROW();
	}
	PG_END_TRY();
	handle->rk = rd_kafka_new(type, conf, reason, sizeof(reason));
	if (handle->rk == NULL)
	{
		rd_kafka_conf_destroy(conf);
		for (int i = 0; i < 2; i++)
		{
			close(handle->wakeup[i]);
			ReleaseExternalFD();
		}
		pfree(handle);
		ereport(ERROR,
				errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				errmsg("could not make a Kafka client"),
				errdetail("%s.", reason));
	}
	wh_kafka_handle_keep(handle);
	callback->func = wh_kafka_handle_release;
	callback->arg = handle;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);

	handle->opened_at = GetCurrentTimestamp();
	rd_kafka_set_log_queue(handle->rk, NULL);
	rd_kafka_error_destroy(rd_kafka_sasl_background_callbacks_enable(handle->rk));
	handle->topic = rd_kafka_topic_new(handle->rk, handle->topic_name, NULL);
	if (handle->topic == NULL)
		wh_kafka_raise(handle, rd_kafka_last_error(), NULL, "could not use topic");
	return handle;
}

/* Let a queue of librdkafka wake wh_kafka_handle_wait. */
void
wh_kafka_handle_wake_on(WhKafkaHandle *handle, rd_kafka_queue_t *queue)
{
	rd_kafka_queue_io_event_enable(queue, handle->wakeup[1], "1", 1);
}

/*
 * Serve what librdkafka has noted: delivery reports, errors, log lines, which
 * go to the server's log.  Returns the number of things served.
 */
int
wh_kafka_handle_poll(WhKafkaHandle *handle)
{
	int			served = rd_kafka_poll(handle->rk, 0);

	for (int i = 0; i < handle->nlogs; i++)
		ereport(handle->log_level[i] <= 5 ? LOG : DEBUG1,
				errmsg_internal("Kafka: %s", handle->log[i]),
				errhidestmt(true));
	handle->nlogs = 0;
	return served;
}

/*
 * Wait until librdkafka has something for us, the latch is set, or the time
 * in milliseconds is over; then look at interrupts.
 */
void
wh_kafka_handle_wait(WhKafkaHandle *handle, long timeout_ms)
{
	int			events;

	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   handle->wakeup[0], timeout_ms, PG_WAIT_EXTENSION);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	wh_kafka_handle_drain(handle);
}

/* Empty the pipe, so that it tells of what comes from now on. */
void
wh_kafka_handle_drain(WhKafkaHandle *handle)
{
	char		buffer[64];

	while (read(handle->wakeup[0], buffer, sizeof(buffer)) > 0)
		;
}

/*
 * After a blocking call of librdkafka that failed with err, say whether to
 * call it again, with slice_ms as its time; raises an error when there is no
 * hope.  Such calls are made in slices, as nothing wakes them.  Set slice_ms
 * to 0 before the first one, and call this before it with no error.  Who has
 * little patience is to ask only when wh_kafka_handle_connected.
 */
bool
wh_kafka_handle_retry(WhKafkaHandle *handle, rd_kafka_resp_err_t err, TimestampTz since, int *slice_ms)
{
	TimestampTz now;

	CHECK_FOR_INTERRUPTS();
	wh_kafka_handle_poll(handle);
	if (*slice_ms == 0)
	{
		*slice_ms = FIRST_SLICE_MS;
		/* whoever could answer has not taken the connection in all the time there was */
		return handle->patience_ms == handle->timeout_ms || !wh_kafka_handle_connected(handle) || handle->is_connected;
	}
	*slice_ms = Min(*slice_ms * 2, LAST_SLICE_MS);
	if (wh_kafka_handle_refused(handle))
		return false;
	now = GetCurrentTimestamp();
	if (TimestampDifferenceExceeds(since, now, handle->patience_ms))
		return false;
	/* who opened long before and only now asks has waited already */
	(void) wh_kafka_handle_connected(handle);
	if (!handle->is_connected)
		since = handle->opened_at;
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
			if (handle->all_down && TimestampDifferenceExceeds(since, now, ALL_DOWN_MS))
				return false;
			break;
		case RD_KAFKA_RESP_ERR_NO_ERROR:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
		case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
		case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
		case RD_KAFKA_RESP_ERR__WAIT_COORD:
			/* the cluster is changing: these come back at once, so wait here */
			wh_kafka_handle_wait(handle, 100);
			break;
		default:
			return false;
	}
	return true;
}

/*
 * Say, without waiting, whether a broker has answered since the handle was
 * opened.  True as well when none will, or none has for so long that asking one
 * is an error.
 */
bool
wh_kafka_handle_connected(WhKafkaHandle *handle)
{
	char	   *cluster;

	wh_kafka_handle_poll(handle);
	if (!handle->is_connected && (cluster = rd_kafka_clusterid(handle->rk, 0)) != NULL)
	{
		rd_kafka_mem_free(handle->rk, cluster);
		handle->is_connected = true;
	}
	return handle->is_connected || wh_kafka_handle_refused(handle) ||
		TimestampDifferenceExceeds(handle->opened_at, GetCurrentTimestamp(),
								   handle->all_down ? Min(ALL_DOWN_MS, handle->timeout_ms) : handle->timeout_ms);
}

/* Say whether a broker refused our login, or we its certificate. */
bool
wh_kafka_handle_refused(const WhKafkaHandle *handle)
{
	return handle->cause && is_login_error(handle->cause);
}

/* Choose the SQLSTATE of an error of librdkafka. */
static int
sqlstate_of(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__SSL:
			return ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
			return ERRCODE_CONNECTION_FAILURE;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
			return ERRCODE_FDW_TABLE_NOT_FOUND;
		case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
		case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		default:
			return ERRCODE_FDW_ERROR;
	}
}

/* Say what the user can do about an error; NULL = nothing in particular. */
static const char *
hint_of(rd_kafka_resp_err_t err)
{
	switch (sqlstate_of(err))
	{
		case ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION:
			if (err == RD_KAFKA_RESP_ERR__SSL)
				return "Check security_protocol, ssl_ca_location (or ssl_ca_pem) and the name in bootstrap_servers.";
			return "Check that a broker runs there, and option bootstrap_servers of the server.";
		case ERRCODE_CONNECTION_FAILURE:
			return "Check the brokers; option socket_timeout_ms says how long to wait.";
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return "Check username and password of the user mapping, and sasl_mechanism of the server.";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return "Grant the user the operation in the broker's access control lists.";
		case ERRCODE_FDW_TABLE_NOT_FOUND:
			return "Create the topic on the broker, or correct option topic of the foreign table.";
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return "The topic's max.message.bytes and the option message_max_bytes limit a message's size.";
		default:
			return NULL;
	}
}

/*
 * Raise an error of librdkafka; what says what could not be done to the topic.
 * A refused login or certificate behind it is told instead.
 */
void
wh_kafka_raise(WhKafkaHandle *handle, rd_kafka_resp_err_t err, const char *reason, const char *what)
{
	const char *hint;

	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR_NO_ERROR:
			if (handle->cause)
			{
				err = handle->cause;
				reason = handle->cause_text;
			}
			else if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
				err = RD_KAFKA_RESP_ERR__TIMED_OUT;
			break;
		default:
			break;
	}
	hint = hint_of(err);
	ereport(ERROR,
			errcode(sqlstate_of(err)),
			errmsg("%s \"%s\" at %s: %s", what, handle->topic_name, handle->servers, rd_kafka_err2str(err)),
			reason ? errdetail("%s", reason) : 0,
			hint ? errhint("%s", hint) : 0);
}
