/*
 * settings.c
 *	  Defines the widgets_wh.* configuration parameters, in alphabetical order.
 *
 * Runs in _PG_init, in the postmaster when preloaded or in the backend that
 * first loads the library.  Takes no locks.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "settings.h"

int			wh_csv_buffer_size = 256 * 1024;
bool		wh_csv_fast_split = true;
char	   *wh_model_options = NULL;

/* Define every parameter and reserve the prefix. */
void
wh_settings_init(void)
{
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
	DefineCustomStringVariable(WH_SETTING_PREFIX ".model_options",
							   "Options that a model's script reads, as JSON.",
							   "Set by wh.create_model; to be set by hand where psql runs a script.",
							   &wh_model_options,
							   "{}",
							   PGC_USERSET,
							   GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);

	MarkGUCPrefixReserved(WH_SETTING_PREFIX);
}
