/*
 * run.h
 *	  One cycle: feeds, then dimensions and facts, component by component.
 */
#ifndef WH_RUN_H
#define WH_RUN_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

/* How often a feed or a component is tried that another transaction is in the way of. */
#define WH_RUN_TRIES 6

/* What was asked for, and what has come of it; lists are in a context that outlives transactions. */
typedef struct WhRun
{
	bool		nonatomic;		/* transactions may be ended in between */
	bool		full_refresh;
	bool		wait;			/* for another run's locks */
	bool		publish_anyway; /* even what reads a feed that failed */
	bool		together;		/* all components in one transaction */
	List	   *objects;		/* ids of dimensions and facts: only their components; NIL = all */
	List	   *failed;			/* names of feeds, and of what a publish failed at */
	List	   *failed_feeds;	/* their ids */
	List	   *withheld;		/* names of components that read a feed that failed */
	List	   *looked;			/* ids of what was looked at without failing */
	List	   *warnings;		/* texts, for the end */
	ErrorData  *error;			/* of the last publish that failed */
} WhRun;

extern List *wh_run_feeds(Datum names, bool all);
extern void wh_run_cycle(WhRun *run, List *feed_ids);

/* run_publish.c */
extern void wh_run_publish(WhRun *run);

/* run_report.c */
extern void wh_run_next_transaction(const WhRun *run);
extern bool wh_run_is_contention(const ErrorData *error);
extern void wh_run_pause(int tries);
extern void wh_run_log_failure(int64 batch_id, const char *kind, const char *object, const ErrorData *error);
extern void wh_run_report(const WhRun *run);

#endif							/* WH_RUN_H */
