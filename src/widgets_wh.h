/*
 * widgets_wh.h
 *	  Names shared by every file of the extension.
 */
#ifndef WIDGETS_WH_H
#define WIDGETS_WH_H

#include "compat.h"

/* Messages are ours: see wh_public_message. */
#undef TEXTDOMAIN
#define TEXTDOMAIN PG_TEXTDOMAIN("widgets_wh")

#define WH_VERSION "1.0"

/* Schema of the extension's own objects. */
#define WH_SCHEMA "wh"

/* Prefix of the extension's settings. */
#define WH_SETTING_PREFIX "widgets_wh"

/* Highest number of columns in a natural key, a grain or a feed's key. */
#define WH_MAX_KEY 16

/*
 * Last field of our advisory locks.  Those that SQL can take have 1 and 2: nobody
 * can hold one of ours by pg_advisory_lock().
 */
#define WH_LOCK_FIELD 3

#endif							/* WIDGETS_WH_H */
