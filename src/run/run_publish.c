/*
 * run_publish.c
 *	  The second half of a cycle: publishes components, each in a transaction of
 *	  its own, so that one that fails keeps only itself as it was.
 *
 * Outside a transaction block a publish is a REPEATABLE READ transaction, begun
 * after the publish lock was had; one that another transaction was in the way of
 * is tried again.  A component that reads a feed that failed in this run is
 * withheld.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "base/id_list.h"
#include "base/subtransaction.h"
#include "definition/component.h"
#include "definition/publish.h"
#include "metadata/batch_log.h"
#include "run/run.h"

typedef struct PublishWork
{
	WhRun	   *run;
	List	   *objects;
	int64		batch_id;
	WhObject	at;				/* where an error was */
} PublishWork;

static void
publish_work(void *arg)
{
	PublishWork *work = arg;

	wh_publish_lock(work->run->wait);
	(void) wh_publish(work->batch_id, work->objects, work->run->full_refresh, false, &work->at);
	wh_batch_finish(work->batch_id);
}

/* Note a component that was not published; the run goes on with the others. */
static void
note_failure(WhRun *run, const WhComponent *component, const PublishWork *work, ErrorData *error)
{
	const char *name = work->at.id != 0 ? work->at.name : component->name;

	if (work->at.id != 0)
		wh_batch_failed_at(work->batch_id, work->at.id, work->at.name);
	wh_run_log_failure(work->batch_id, work->at.id != 0 ? work->at.kind : "publish", name, error);
	run->failed = lappend(run->failed, pstrdup(name));
	run->error = error;
}

/* Say of a component that failed what the run's error may not say. */
static void
warn_of_failure(const WhRun *run, const WhComponent *component)
{
	ereport(WARNING,
			(errcode(run->error->sqlerrcode),
			 errmsg("%s was not published: %s", (char *) llast(run->failed), run->error->message),
			 list_length(component->objects) > 1 ?
			 errdetail("As they were stay also those connected with it: %s.", component->name) : 0));
}

/* Try to publish a component; false = another transaction was in the way. */
static bool
try_component(WhRun *run, const WhComponent *component, bool is_last_try)
{
	PublishWork work = {.run = run, .objects = component->objects};
	ErrorData  *error;
	bool		again = false;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	work.batch_id = wh_batch_start_publish(component->objects);
	PopActiveSnapshot();
	if (run->nonatomic)
	{
		/* the lock must be had before the snapshot is taken */
		SPI_commit();
		wh_publish_lock(run->wait);
		(void) set_config_option("transaction_isolation", "repeatable read", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	error = wh_subtransaction(publish_work, &work, false);
	if (error && wh_run_is_contention(error) && !run->nonatomic)
		ReThrowError(error);
	else if (error && wh_run_is_contention(error) && !is_last_try)
	{
		wh_batch_forget(work.batch_id);
		again = true;
	}
	else if (error)
		note_failure(run, component, &work, error);
	else
		foreach(lc, component->objects)
			run->looked = wh_list_add_id(run->looked, *(int64 *) lfirst(lc));
	PopActiveSnapshot();
	wh_run_next_transaction(run);
	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error && !again)
		warn_of_failure(run, component);
	return !again;
}

static bool
is_withheld(const WhRun *run, const WhComponent *component)
{
	ListCell   *lc;

	if (run->publish_anyway || run->failed_feeds == NIL)
		return false;
	if (run->together)
		return true;
	foreach(lc, run->failed_feeds)
	{
		if (wh_list_has_id(component->feeds, *(int64 *) lfirst(lc)))
			return true;
	}
	return false;
}

static void
run_component(WhRun *run, const WhComponent *component)
{
	ListCell   *lc;

	if (is_withheld(run, component))
	{
		run->withheld = lappend(run->withheld, component->name);
		return;
	}
	if (!component->has_news && !run->full_refresh)
	{
		foreach(lc, component->objects)
			run->looked = wh_list_add_id(run->looked, *(int64 *) lfirst(lc));
		return;
	}
	for (int tries = 1; !try_component(run, component, tries == WH_RUN_TRIES); tries++)
		wh_run_pause(tries);
}

/* List the components of the run: all, or those of the objects that were asked for. */
static List *
components_of(const WhRun *run)
{
	List	   *wanted = NIL;
	ListCell   *lc;

	foreach(lc, wh_components())
	{
		WhComponent *component = lfirst(lc);
		bool		is_wanted = run->objects == NIL;
		ListCell   *lo;

		foreach(lo, run->objects)
			is_wanted |= wh_list_has_id(component->objects, *(int64 *) lfirst(lo));
		if (is_wanted)
			wanted = lappend(wanted, component);
	}
	return run->together && wanted != NIL ? list_make1(wh_components_joined(wanted)) : wanted;
}

/* Publish what is new. */
void
wh_run_publish(WhRun *run)
{
	List	   *components;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	components = components_of(run);
	PopActiveSnapshot();
	foreach(lc, components)
		run_component(run, lfirst(lc));
}
