/*
 * id_list.h
 *	  Lists of the ids of feeds, dimensions and facts: of int64 *, in the memory
 *	  context that was current when one was added.
 */
#ifndef WH_ID_LIST_H
#define WH_ID_LIST_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

extern bool wh_list_has_id(const List *ids, int64 id);
extern List *wh_list_add_id(List *ids, int64 id);

#endif							/* WH_ID_LIST_H */
