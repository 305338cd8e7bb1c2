/*
 * ingest.h
 *	  Loads what is new in a feed's source into its staged relations.
 */
#ifndef WH_INGEST_H
#define WH_INGEST_H

#include "batch_log.h"
#include "feed.h"

typedef struct WhIngestResult
{
	WhBatchStep counts;			/* read = staged + rejected + repeated + superseded */
	bool		changed;		/* something was written: log the batch */
	bool		staged_changed; /* staged rows were added, rewritten or removed */
} WhIngestResult;

extern bool wh_ingest_may_have_news(const WhFeed *feed);
extern void wh_ingest_feed(int64 feed_id, int64 batch_id, WhIngestResult *result);

#endif							/* WH_INGEST_H */
