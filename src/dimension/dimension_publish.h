/*
 * dimension_publish.h
 *	  Dimensions as a stage of a publish, and their inferred members.
 */
#ifndef WH_DIMENSION_PUBLISH_H
#define WH_DIMENSION_PUBLISH_H

#include "definition/publish.h"

extern const WhPublishStage wh_dimension_stage;

/* inferred.c */
extern void wh_inferred_release(WhPublish *publish, int64 dimension_id, int64 key);
extern int64 wh_inferred_clean(int64 dimension_id, const WhReleased *released);

#endif							/* WH_DIMENSION_PUBLISH_H */
