/*
 * worker_pool.c
 *	  The partition workers of a database: started, watched and ended by its
 *	  worker, the leader, when widgets_wh.kafka_workers is more than 1.
 *
 * They are dynamic background workers, numbered from 0; the number of workers
 * among which partitions are divided stands in a shared memory segment that
 * lives as long as the leader.  Who owns a partition is a matter of speed only:
 * offsets are compared and set under the feed's lock, so two workers that both
 * think it theirs, for a moment, do no harm.
 *
 * Runs in the leader, except for wh_pool_join, wh_pool_share and wh_pool_news,
 * which run in partition workers.  Takes no locks.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "settings.h"
#include "run/worker.h"

#define FIRST_RESTART_MS	1000	/* doubled each time a worker ends soon */
#define LAST_RESTART_MS		60000
#define NO_SLOT_MS			60000	/* how often to look for a free slot */

/* In shared memory. */
typedef struct PoolShared
{
	pg_atomic_uint32 count;		/* workers that divide the partitions */
} PoolShared;

typedef struct PoolWorker
{
	BackgroundWorkerHandle *handle; /* NULL = none runs */
	TimestampTz started_at;
	TimestampTz start_at;		/* not before */
	int			restart_ms;
} PoolWorker;

static PoolShared *shared;
static dsm_handle shared_handle;
static PoolWorker workers[WH_MAX_KAFKA_WORKERS];
static int	wanted;				/* as the setting has it */
static int	count;				/* as many as there are slots for */
static TimestampTz more_at;		/* when to look for more slots */
static bool has_told;			/* that there are too few */

static void
end_worker(PoolWorker *worker)
{
	if (worker->handle == NULL)
		return;
	TerminateBackgroundWorker(worker->handle);
	pfree(worker->handle);
	worker->handle = NULL;
	worker->start_at = 0;
}

static void
end_all(int code, Datum arg)
{
	for (int i = 0; i < WH_MAX_KAFKA_WORKERS; i++)
		end_worker(&workers[i]);
}

/* Make the shared memory; partition workers end when the leader does. */
static void
create_shared(void)
{
	dsm_segment *segment = dsm_create(sizeof(PoolShared), 0);

	dsm_pin_mapping(segment);
	shared = dsm_segment_address(segment);
	shared_handle = dsm_segment_handle(segment);
	pg_atomic_init_u32(&shared->count, 0);
	before_shmem_exit(end_all, (Datum) 0);
}

/* Start worker number i; false = no slot is free. */
static bool
start_worker(int i)
{
	BackgroundWorker worker = {0};
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		done;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(shared_handle);
	strlcpy(worker.bgw_library_name, "widgets_wh", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "wh_partition_worker_main", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "widgets_wh kafka worker", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "widgets_wh kafka worker %d of %.60s", i, MyBgworkerEntry->bgw_extra);
	snprintf(worker.bgw_extra, BGW_EXTRALEN, "%d %d %s", i, MyProcPid, MyBgworkerEntry->bgw_extra);
	done = RegisterDynamicBackgroundWorker(&worker, &workers[i].handle);
	MemoryContextSwitchTo(old);
	if (done)
		workers[i].started_at = GetCurrentTimestamp();
	else
		workers[i].handle = NULL;
	return done;
}

/* Note the workers that have ended, and when to start them again. */
static void
look_for_ended(TimestampTz now)
{
	for (int i = 0; i < WH_MAX_KAFKA_WORKERS; i++)
	{
		PoolWorker *worker = &workers[i];
		pid_t		pid;

		if (worker->handle == NULL || GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			continue;
		pfree(worker->handle);
		worker->handle = NULL;
		if (TimestampDifferenceExceeds(worker->started_at, now, LAST_RESTART_MS))
			worker->restart_ms = 0;
		worker->restart_ms = Min(Max(worker->restart_ms * 2, FIRST_RESTART_MS), LAST_RESTART_MS);
		worker->start_at = TimestampTzPlusMilliseconds(now, worker->restart_ms);
	}
}

/* Divide the partitions among so many workers. */
static void
set_count(int new_count)
{
	count = new_count;
	pg_atomic_write_u32(&shared->count, count);
	for (int i = count; i < WH_MAX_KAFKA_WORKERS; i++)
		end_worker(&workers[i]);
}

/* Start those again that have ended; with fewer of them when there is no slot. */
static void
start_ended(TimestampTz now, TimestampTz *until)
{
	for (int i = 0; i < count; i++)
	{
		if (workers[i].handle)
			continue;
		if (now < workers[i].start_at)
			*until = Min(*until, workers[i].start_at);
		else if (!start_worker(i))
		{
			/* the last one's slot will be for this one */
			set_count(count - 1);
			*until = Min(*until, TimestampTzPlusMilliseconds(now, FIRST_RESTART_MS));
			return;
		}
	}
}

/* Start more of them, as far as there are slots. */
static void
start_more(TimestampTz now)
{
	int			n = count;

	more_at = TimestampTzPlusMilliseconds(now, NO_SLOT_MS);
	while (n < wanted && start_worker(n))
		n++;
	if (n < wanted && !has_told)
		ereport(LOG,
				(errmsg("too few slots for background workers: %s.kafka_workers is %d, and %d can run",
						WH_SETTING_PREFIX, wanted, n),
				 errhint("You might need to increase max_worker_processes.")));
	has_told |= n < wanted;
	set_count(n);
}

/*
 * Start and end partition workers as the setting says.  Returns how many divide
 * the partitions; 0 = the leader loads them itself.  until is moved to when this
 * must be called again, whatever happens.
 */
int
wh_pool_supervise(TimestampTz now, TimestampTz *until)
{
	int			setting = wh_kafka_workers > 1 ? wh_kafka_workers : 0;

	if (shared == NULL && setting == 0)
		return 0;
	if (shared == NULL)
		create_shared();
	if (setting != wanted)
	{
		wanted = setting;
		has_told = false;
		more_at = now;
		if (count > wanted)
			set_count(wanted);
	}
	look_for_ended(now);
	start_ended(now, until);
	if (count < wanted && now >= more_at)
		start_more(now);
	if (count < wanted)
		*until = Min(*until, more_at);
	return count;
}

/* End the partition workers, while there is nothing for them to do. */
void
wh_pool_end(void)
{
	if (shared == NULL)
		return;
	wanted = 0;
	set_count(0);
}

static int	my_number;
static int	leader_pid;

/* Join the pool, in a partition worker; returns the database's name. */
const char *
wh_pool_join(Datum arg)
{
	const char *extra = MyBgworkerEntry->bgw_extra;
	int			name_at = 0;
	dsm_segment *segment = dsm_attach(DatumGetUInt32(arg));

	/* the leader has ended since */
	if (segment == NULL)
		proc_exit(0);
	dsm_pin_mapping(segment);
	shared = dsm_segment_address(segment);
	if (sscanf(extra, "%d %d %n", &my_number, &leader_pid, &name_at) < 2)
		elog(ERROR, "unknown form of a worker's argument");
	return extra + name_at;
}

/* Say which share of the partitions is ours now; ends the process when the leader has ended. */
int
wh_pool_share(int *nshares)
{
	if (BackendPidGetProc(leader_pid) == NULL)
		proc_exit(0);
	*nshares = pg_atomic_read_u32(&shared->count);
	return my_number;
}

/* Wake the leader: there is something to publish. */
void
wh_pool_news(void)
{
	PGPROC	   *leader = BackendPidGetProc(leader_pid);

	if (leader)
		SetLatch(&leader->procLatch);
}
