/*
 * init.c
 *	  Entry point of the library.
 *
 * Runs once per process that loads it (in the postmaster when preloaded).
 * Creates no handle, file or thread: those belong to the process that uses
 * them.
 */
#include "postgres.h"

#include "fmgr.h"

#include "dimension/dimension_create.h"
#include "dimension/dimension_publish.h"
#include "fact/fact_create.h"
#include "fact/fact_publish.h"
#include "settings.h"
#include "run/worker.h"

WH_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	wh_settings_init();
	wh_feed_add_reader(&wh_dimension_reader);
	wh_feed_add_reader(&wh_fact_reader);
	wh_publish_add_stage(&wh_dimension_stage);
	wh_publish_add_stage(&wh_fact_stage);
	wh_worker_register();
}
