/*
 * kafka_close.c
 *	  Closes handles of librdkafka, which may never end.
 *
 * rd_kafka_destroy joins librdkafka's threads, and these can wait for ever: in
 * 2.0.2 and later a partition whose topic was deleted keeps a reference to
 * itself (librdkafka issues 4362, 4674).  So it runs in a thread of its own,
 * which calls nothing but that.  We wait for it for a moment; then it goes on
 * while the process works.  A process where one has not ended after a while is
 * stuck: a worker ends then, and is started again.
 *
 * All handles that are left at the end of a process are closed at once, as
 * librdkafka's threads must not outlive its libraries.  When they have not
 * ended in time, the process leaves by _exit, after all that PostgreSQL does at
 * its end, and the kernel takes the threads along.
 *
 * Runs in backends and workers, in callbacks of memory contexts and at the end
 * of processes, where nothing may fail; takes no locks.
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "kafka/kafka_handle.h"

#define WAIT_MS		500			/* how long a close waits for threads to end */
#define EXIT_MS		2000		/* the same for all of a process that ends */
#define STUCK_MS	3000		/* then they never will */

static dlist_head handles = DLIST_STATIC_INIT(handles);
static dlist_head endings = DLIST_STATIC_INIT(endings);

/* Leave without what the libraries do at the end: librdkafka's threads run still. */
static void
leave(int code, Datum arg)
{
	if (!dlist_is_empty(&endings))
		_exit(code);
}

/* Destroy what is ending; runs in a thread of its own. */
static void *
destroy(void *rk)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

/* Wait for a handle's threads to end, until a time; says whether they have. */
static bool
has_ended(WhKafkaHandle *handle, TimestampTz until)
{
	struct timespec deadline;
	long		wait_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

	if (!handle->has_thread)
		return false;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += wait_ms / 1000;
	deadline.tv_nsec += wait_ms % 1000 * 1000000;
	if (deadline.tv_nsec >= 1000000000)
	{
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	if (pthread_timedjoin_np(handle->thread, NULL, &deadline) != 0)
		return false;
	dlist_delete(&handle->node);
	handle->ending = NULL;
	/* not before: librdkafka writes to it */
	for (int i = 0; i < 2; i++)
	{
		close(handle->wakeup[i]);
		ReleaseExternalFD();
	}
	return true;
}

static bool
is_stuck(const WhKafkaHandle *handle)
{
	return TimestampDifferenceExceeds(handle->ending_since, GetCurrentTimestamp(), STUCK_MS);
}

/* Free the handles that have ended, or end until a time. */
static void
free_ended(TimestampTz until)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &endings)
	{
		WhKafkaHandle *handle = dlist_container(WhKafkaHandle, node, iter.cur);

		if (has_ended(handle, is_stuck(handle) ? 0 : until) && handle->is_released)
			pfree(handle);
	}
}

/* Begin to end a handle's threads. */
static void
begin_to_end(WhKafkaHandle *handle)
{
	sigset_t	all;
	sigset_t	before;

	if (handle->current)
		rd_kafka_message_destroy(handle->current);
	handle->current = NULL;
	for (; handle->next_message < handle->nmessages; handle->next_message++)
		rd_kafka_message_destroy(handle->messages[handle->next_message]);
	if (handle->queue)
		rd_kafka_queue_destroy(handle->queue);
	if (handle->topic)
		rd_kafka_topic_destroy(handle->topic);
	dlist_delete(&handle->node);
	handle->ending = handle->rk;
	handle->rk = NULL;
	handle->ending_since = GetCurrentTimestamp();
	dlist_push_tail(&endings, &handle->node);

	/* signals are for this process' own thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	handle->has_thread = pthread_create(&handle->thread, NULL, destroy, handle->ending) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void
close_at_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&handles))
		begin_to_end(dlist_head_element(WhKafkaHandle, node, &handles));
	free_ended(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), EXIT_MS));
}

/* Take care of a new handle: it is closed at the end of the process at the latest. */
void
wh_kafka_handle_keep(WhKafkaHandle *handle)
{
	static bool registered = false;

	if (!registered)
	{
		before_shmem_exit(close_at_exit, (Datum) 0);
		on_proc_exit(leave, (Datum) 0);
		registered = true;
	}
	free_ended(0);
	dlist_push_head(&handles, &handle->node);
}

/*
 * Close a handle; it can be closed again.  Sends and reads nothing more.  Waits
 * for its threads to end, but not for long.
 */
void
wh_kafka_handle_close(WhKafkaHandle *handle)
{
	if (handle->rk == NULL)
		return;
	begin_to_end(handle);
	(void) has_ended(handle, TimestampTzPlusMilliseconds(handle->ending_since, WAIT_MS));
}

/* Close and free a handle, now or when it has ended; called by its memory context. */
void
wh_kafka_handle_release(void *arg)
{
	WhKafkaHandle *handle = arg;

	wh_kafka_handle_close(handle);
	handle->is_released = true;
	if (handle->ending == NULL)
		pfree(handle);
}

/*
 * Say whether the threads of a handle that was closed do not end: they cost
 * memory and time for as long as this process lives.
 */
bool
wh_kafka_is_stuck(void)
{
	dlist_iter	iter;

	free_ended(0);
	dlist_foreach(iter, &endings)
	{
		WhKafkaHandle *handle = dlist_container(WhKafkaHandle, node, iter.cur);

		if (is_stuck(handle))
			return true;
	}
	return false;
}
