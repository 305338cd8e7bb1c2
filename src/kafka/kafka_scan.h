/*
 * kafka_scan.h
 *	  Callbacks of the Kafka foreign-data wrapper, by the files that have them.
 */
#ifndef WH_KAFKA_SCAN_H
#define WH_KAFKA_SCAN_H

#include "widgets_wh.h"

#include "foreign/fdwapi.h"

extern void wh_kafka_plan_routines(FdwRoutine *routine);
extern void wh_kafka_scan_routines(FdwRoutine *routine);
extern void wh_kafka_modify_routines(FdwRoutine *routine);

/* Pushed-down conditions: which column, compared how. */
typedef enum WhKafkaBound
{
	WH_KAFKA_PARTITION_EQUAL,
	WH_KAFKA_PARTITION_ANY,		/* of an array */
	WH_KAFKA_PARTITION_FROM,	/* >= */
	WH_KAFKA_PARTITION_AFTER,	/* > */
	WH_KAFKA_PARTITION_TO,		/* <= */
	WH_KAFKA_PARTITION_BEFORE,	/* < */
	WH_KAFKA_OFFSET_EQUAL,
	WH_KAFKA_OFFSET_FROM,
	WH_KAFKA_OFFSET_AFTER,
	WH_KAFKA_OFFSET_TO,
	WH_KAFKA_OFFSET_BEFORE,
	WH_KAFKA_TIME_FROM,			/* also for > and = */
} WhKafkaBound;

/*
 * What the plan of a scan carries in fdw_private.  fdw_exprs holds the values
 * that the bounds compare with, fdw_recheck_quals nothing.
 */
enum
{
	WH_KAFKA_PLAN_COLUMNS,		/* IntList: attributes that are used */
	WH_KAFKA_PLAN_BOUNDS,		/* IntList: WhKafkaBound, one per fdw_exprs */
	WH_KAFKA_PLAN_QUALS			/* String: the conditions, for EXPLAIN */
};

#endif							/* WH_KAFKA_SCAN_H */
