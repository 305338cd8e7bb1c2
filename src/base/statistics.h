/*
 * statistics.h
 *	  What a transaction needs to read well what it wrote.
 */
#ifndef WH_STATISTICS_H
#define WH_STATISTICS_H

#include "widgets_wh.h"

extern void wh_snapshot_advance(void);
extern void wh_analyze_after(Oid relid, int64 changed_rows);

#endif							/* WH_STATISTICS_H */
