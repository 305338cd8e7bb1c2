/*
 * settings.c
 *	  Defines the widgets_wh.* configuration parameters, in alphabetical order.
 *
 * Runs in _PG_init, in the postmaster when preloaded or in the backend that
 * first loads the library.  Takes no locks.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "settings.h"

int			wh_batch_interval = 200;
int			wh_batch_retention = 14 * 24 * 60;
int			wh_batch_rows = 100000;
int			wh_csv_buffer_size = 256 * 1024;
bool		wh_csv_fast_split = true;
char	   *wh_databases = NULL;
int			wh_kafka_workers = 1;
char	   *wh_model_options = NULL;
int			wh_publish_interval = 1000;
int			wh_whole_query_limit = 1000;

/* Define every parameter and reserve the prefix. */
void
wh_settings_init(void)
{
	DefineCustomIntVariable(WH_SETTING_PREFIX ".batch_interval",
							"Longest time for which the worker gathers messages in one transaction.",
							"Batches of a feed that has caught up begin no sooner after each other.",
							&wh_batch_interval,
							200, 1, 60 * 1000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".batch_retention",
							"How long batches stay in wh.batch.",
							"0 keeps all of them.",
							&wh_batch_retention,
							14 * 24 * 60, 0, INT_MAX,
							PGC_SUSET,
							GUC_UNIT_MIN,
							NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".batch_rows",
							"Most messages that the worker loads in one transaction.",
							NULL,
							&wh_batch_rows,
							100000, 1, INT_MAX,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".csv_buffer_size",
							"Bytes read from a CSV file at a time.",
							"For tests: results must not depend on it.",
							&wh_csv_buffer_size,
							256 * 1024, 1, 64 * 1024 * 1024,
							PGC_USERSET,
							GUC_UNIT_BYTE | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							NULL, NULL, NULL);
	DefineCustomBoolVariable(WH_SETTING_PREFIX ".csv_fast_split",
							 "Finds CSV fields without quotes 64 bytes at a time.",
							 "For tests: when off, libcsv reads every byte.",
							 &wh_csv_fast_split,
							 true,
							 PGC_USERSET,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	/* a parameter of the postmaster cannot be made in a backend, which needs it not */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomStringVariable(WH_SETTING_PREFIX ".databases",
								   "Databases that get a background worker, separated by commas.",
								   "Needs widgets_wh in shared_preload_libraries.",
								   &wh_databases,
								   "",
								   PGC_POSTMASTER,
								   GUC_LIST_INPUT,
								   NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".kafka_workers",
							"Most workers that load the Kafka feeds of a database side by side.",
							"With 1, the worker of the database loads them itself.",
							&wh_kafka_workers,
							1, 1, WH_MAX_KAFKA_WORKERS,
							PGC_SIGHUP,
							0,
							NULL, NULL, NULL);
	DefineCustomStringVariable(WH_SETTING_PREFIX ".model_options",
							   "Options that a model's script reads, as JSON.",
							   "Set by wh.create_model; to be set by hand where psql runs a script.",
							   &wh_model_options,
							   "{}",
							   PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".publish_interval",
							"Time between two publishes of the worker, when there is news.",
							NULL,
							&wh_publish_interval,
							1000, 10, 24 * 3600 * 1000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable(WH_SETTING_PREFIX ".whole_query_limit",
							"Millions of rows that a publish may read for a query that is evaluated as a whole.",
							"Such a query reads its inputs once for each of their changes.",
							&wh_whole_query_limit,
							1000, 1, INT_MAX,
							PGC_SUSET,
							0,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved(WH_SETTING_PREFIX);
}
