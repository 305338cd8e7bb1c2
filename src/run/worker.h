/*
 * worker.h
 *	  The background worker that loads Kafka feeds and publishes.
 */
#ifndef WH_WORKER_H
#define WH_WORKER_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "ingest/ingest.h"

/* A Kafka feed as the worker has it. */
typedef struct WhWorkerFeed
{
	int64		feed_id;
	Oid			source;
	char	   *name;
	bool		is_paused;
	bool		is_listed;		/* seen when the catalog was read last */
	WhIngestStream stream;
	bool		is_connected;	/* the brokers have answered, or will not */
	TimestampTz next_batch;		/* not before */
	TimestampTz next_check;		/* of the number of partitions */
	bool		is_reported;	/* that it streams, since this process began */
	int			failures;		/* in a row */
	int			contentions;	/* in a row: somebody else was faster, or had a lock */
	char	   *trouble;		/* the connection's, as it was reported; NULL = none */
	int64		rows_seen;		/* since rate_since */
	TimestampTz rate_since;
} WhWorkerFeed;

/* worker.c */
extern void wh_worker_register(void);

/* worker_pool.c */
extern int	wh_pool_supervise(TimestampTz now, TimestampTz *until);
extern void wh_pool_end(void);
extern const char *wh_pool_join(Datum arg);
extern int	wh_pool_share(int *nshares);
extern void wh_pool_news(void);

/* worker_feed.c */
extern void wh_worker_feeds_share(List *feeds, int new_share, int new_nshares);
extern void wh_worker_feeds_init(MemoryContext context);
extern List *wh_worker_feeds_list(List *feeds);
extern bool wh_worker_feed_step(WhWorkerFeed *feed, bool *ingested);
extern void wh_worker_feed_forget(WhWorkerFeed *feed);

#endif							/* WH_WORKER_H */
