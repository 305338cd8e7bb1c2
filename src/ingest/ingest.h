/*
 * ingest.h
 *	  Loads what is new in a feed's source into its staged relations.
 */
#ifndef WH_INGEST_H
#define WH_INGEST_H

#include "metadata/batch_log.h"
#include "feed/feed.h"

typedef struct WhIngestResult
{
	WhBatchStep counts;			/* read = staged + rejected + repeated + superseded */
	int64		batch_id;		/* may be a later one than that of the start */
	bool		changed;		/* something was written: log the batch */
	bool		staged_changed; /* staged rows were added, rewritten or removed */
	bool		overtaken;		/* somebody else was faster: nothing is written */
} WhIngestResult;

/*
 * A topic that stays open between batches.  After a batch that failed its
 * source must be closed: what it has given is lost to it.
 */
typedef struct WhIngestStream
{
	MemoryContext context;		/* of the source; outlives transactions */
	struct WhKafkaSource *source;	/* NULL = to be opened by the next batch */
	bool		reassign;		/* partitions have come, or an offset is out of range */
	int			share;			/* of the topic's partitions; see wh_ingest_stream_reads */
	int			nshares;		/* more than 1: others read the rest, writing is in turns */
	const uint64 *changes;		/* counts changes of definitions */
	uint64		changes_seen;	/* when the source was opened */
	int			npartitions;	/* of the topic; read or not */
	int64	   *stored;			/* next offsets that were stored last; -1 = none */
	int64		generation;		/* of the topic */
	int64		max_rows;		/* bounds of a batch */
	int			max_ms;
	bool		more;			/* the last batch ended at a bound */
	bool		waits;			/* messages wait for the end of a transaction, as of the last batch */
} WhIngestStream;

extern void wh_ingest_stream_open(int64 feed_id, WhIngestStream *stream);
extern bool wh_ingest_stream_reads(const WhIngestStream *stream, int64 feed_id, int32 partition);
extern bool wh_ingest_stream_behind(const WhIngestStream *stream);
extern bool wh_ingest_stream_may_wait(const WhIngestStream *stream);
extern void wh_ingest_stream_close(WhIngestStream *stream);
extern void wh_ingest_batch(int64 feed_id, int64 batch_id, WhIngestStream *stream, WhIngestResult *result);
extern void wh_ingest_reload(int64 feed_id, int64 batch_id, WhIngestResult *result);
extern void wh_ingest_retry(int64 feed_id, int64 batch_id, WhIngestResult *result);
extern bool wh_ingest_may_have_news(const WhFeed *feed);
extern void wh_ingest_feed(int64 feed_id, int64 batch_id, WhIngestResult *result);

#endif							/* WH_INGEST_H */
