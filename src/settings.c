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

/* Define every parameter and reserve the prefix. */
void
wh_settings_init(void)
{
	MarkGUCPrefixReserved(WH_SETTING_PREFIX);
}
