/*
 * csv_name.h
 *	  Plain names for tables and columns.
 */
#ifndef WH_CSV_NAME_H
#define WH_CSV_NAME_H

#include "widgets_wh.h"

extern char *wh_csv_plain_name(const char *name);

#endif							/* WH_CSV_NAME_H */
