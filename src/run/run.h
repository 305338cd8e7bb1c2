/*
 * run.h
 *	  One cycle: feeds, then dimensions, then facts.
 */
#ifndef WH_RUN_H
#define WH_RUN_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

typedef struct WhRun
{
	bool		nonatomic;		/* transactions may be ended in between */
	bool		full_refresh;
	bool		wait;			/* for another run's locks */
	bool		publish_anyway; /* even if a feed failed */
	bool		published;
	List	   *failed;			/* names of feeds */
	MemoryContext context;		/* outlives transactions */
} WhRun;

extern List *wh_run_feeds(Datum names, bool all);
extern void wh_run_cycle(WhRun *run, List *feed_ids);

#endif							/* WH_RUN_H */
