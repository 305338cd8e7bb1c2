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
 * that the bounds compare with, then as many conditions as they were written,
 * for EXPLAIN.  Their text is made when it is asked for: the planner cannot
 * print a parameter whose plan is not made yet.
 */
enum
{
	WH_KAFKA_PLAN_COLUMNS,		/* IntList: attributes that are used */
	WH_KAFKA_PLAN_BOUNDS		/* IntList: WhKafkaBound */
};

#endif							/* WH_KAFKA_SCAN_H */
