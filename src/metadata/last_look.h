/*
 * last_look.h
 *	  When each object was last looked at, without failing.
 */
#ifndef WH_LAST_LOOK_H
#define WH_LAST_LOOK_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

extern void wh_note_looks(List *object_ids);

#endif							/* WH_LAST_LOOK_H */
