/*
 * kafka_fdw.c
 *	  Handler of the foreign-data wrapper wh_kafka.
 *
 * Its callbacks are in kafka_plan.c, kafka_scan.c and kafka_modify.c; its
 * validator is in kafka_options.c.
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "kafka/kafka_scan.h"

PG_FUNCTION_INFO_V1(wh_kafka_handler);

/* Return the wrapper's callbacks. */
Datum
wh_kafka_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	wh_kafka_plan_routines(routine);
	wh_kafka_scan_routines(routine);
	wh_kafka_modify_routines(routine);
	PG_RETURN_POINTER(routine);
}
