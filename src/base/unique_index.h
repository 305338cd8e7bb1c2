/*
 * unique_index.h
 *	  The unique index of one of the engine's tables.
 */
#ifndef WH_UNIQUE_INDEX_H
#define WH_UNIQUE_INDEX_H

#include "widgets_wh.h"

#include "access/attnum.h"
#include "utils/rel.h"

extern Oid	wh_unique_index(Relation table, const AttrNumber *attnums, int n);

#endif							/* WH_UNIQUE_INDEX_H */
