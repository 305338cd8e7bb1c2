/*
 * batch_log.h
 *	  The log of batches: wh.batch and wh.batch_step.
 */
#ifndef WH_BATCH_LOG_H
#define WH_BATCH_LOG_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/block.h"

/* What a batch did to one relation. */
typedef struct WhBatchStep
{
	int64		object_id;
	const char *object;
	Oid			staged_relid;	/* of first_block, or InvalidOid */
	BlockNumber first_block;
	int64		rows_read;
	int64		rows_staged;
	int64		rows_rejected;
	int64		rows_repeated;
	int64		rows_superseded;
	int64		rows_inserted;
	int64		rows_updated;
	int64		rows_deleted;
	int64		rows_repointed;
	int64		warnings;
	int64		units_read;
	int64		units_skipped;
	TimestampTz started_at;
} WhBatchStep;

extern int64 wh_batch_start(const char *kind, int64 object_id, const char *object);
extern int64 wh_batch_start_publish(List *object_ids);
extern void wh_batch_step(int64 batch_id, int step, const WhBatchStep *counts);
extern void wh_batch_finish(int64 batch_id);
extern void wh_batch_fail(int64 batch_id, const ErrorData *error);
extern void wh_batch_failed_at(int64 batch_id, int64 object_id, const char *object);
extern int64 wh_batch_renumber(int64 batch_id);
extern void wh_batch_forget(int64 batch_id);
extern bool wh_batch_purge_due(void);
extern void wh_batch_purge(void);

#endif							/* WH_BATCH_LOG_H */
