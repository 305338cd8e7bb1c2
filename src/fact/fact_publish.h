/*
 * fact_publish.h
 *	  Facts as a stage of a publish.
 */
#ifndef WH_FACT_PUBLISH_H
#define WH_FACT_PUBLISH_H

#include "definition/publish.h"

extern const WhPublishStage wh_fact_stage;

#endif							/* WH_FACT_PUBLISH_H */
