/*
 * widgets_wh.h
 *	  Names shared by every file of the extension.
 */
#ifndef WIDGETS_WH_H
#define WIDGETS_WH_H

#include "compat.h"

#define WH_VERSION "1.0"

/* Schema of the extension's own objects. */
#define WH_SCHEMA "wh"

/* Prefix of the extension's settings. */
#define WH_SETTING_PREFIX "widgets_wh"

/* Highest number of columns in a natural key, a grain or a feed's key. */
#define WH_MAX_KEY 16

#endif							/* WIDGETS_WH_H */
