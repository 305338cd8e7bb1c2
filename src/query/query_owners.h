/*
 * query_owners.h
 *	  Whose functions, operators and types a definition or an expression reaches.
 */
#ifndef WH_QUERY_OWNERS_H
#define WH_QUERY_OWNERS_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

extern List *wh_owners_written(Node *raw);
extern void wh_owners_check(Node *analysed, List *written);

#endif							/* WH_QUERY_OWNERS_H */
