/*
 * publish.h
 *	  One publish: all dimensions, then all facts, in one transaction.
 */
#ifndef WH_PUBLISH_H
#define WH_PUBLISH_H

#include "widgets_wh.h"

#include "utils/tuplestore.h"

#include "base/statistics.h"
#include "metadata/batch_log.h"
#include "metadata/catalog.h"

/*
 * The natural keys of a dimension whose lookups changed in this publish, for
 * re-pointing facts: rows of (k1 .. kn, from_time).  A fact with an event time
 * before from_time finds the version it found before.
 */
typedef struct WhDimensionChanges
{
	WhDimension *dimension;
	TupleDesc	tupdesc;
	Tuplestorestate *store;
	int64		nrows;
	TimestampTz lowest;			/* of all from_times */
} WhDimensionChanges;

/* Members of a dimension that a fact row refers to no more. */
typedef struct WhReleased
{
	int64		dimension_id;
	int			nkeys;
	int			allocated;
	int64	   *keys;			/* may hold repeats */
} WhReleased;

typedef struct WhPublish
{
	int64		batch_id;
	List	   *objects;		/* ids of what is published; NIL = all */
	bool		full_refresh;
	bool		overwrite;		/* a definition changed: rows of mode append change too */
	WhObject   *at;				/* what is being published; the name is the caller's */
	List	   *steps;			/* of WhBatchStep, done so far */
	List	   *changes;		/* of WhDimensionChanges */
	List	   *lookups;		/* of the facts: WhLookup, one per dimension that one uses */
	List	   *released;		/* of WhReleased */
	MemoryContext context;		/* lives as long as the publish */
	MemoryContext caller;		/* of the steps */
} WhPublish;

/* A kind of object, and what a publish does with it. */
typedef struct WhPublishStage
{
	const char *catalog;		/* its table in schema wh, and that table's key */
	const char *id_column;
	List	   *(*objects) (void);	/* all of them, in order (WhObject *) */
	bool		(*publish) (WhPublish *publish, int64 id, WhBatchStep *counts); /* false: nothing to do */
	void		(*settle) (WhPublish *publish); /* after all stages; may be NULL */
} WhPublishStage;

extern void wh_publish_add_stage(const WhPublishStage *stage);
extern void wh_publish_note(WhPublish *publish, const WhPublishStage *stage, WhBatchStep *counts);
extern void wh_publish_lock(bool wait);
extern List *wh_publish_news(void);
extern List *wh_publish(int64 batch_id, List *objects, bool full_refresh, bool overwrite, WhObject *at);
extern void wh_publish_purge(void);
extern WhDimensionChanges *wh_publish_changes(WhPublish *publish, int64 dimension_id);

#endif							/* WH_PUBLISH_H */
