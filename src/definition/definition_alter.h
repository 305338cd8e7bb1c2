/*
 * definition_alter.h
 *	  Changes the table of a dimension or fact to fit a changed query.
 */
#ifndef WH_DEFINITION_ALTER_H
#define WH_DEFINITION_ALTER_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "nodes/pg_list.h"

extern void wh_alter_want_column(const char *table, TupleDesc current, Form_pg_attribute att,
								 const char *name, bool is_key);
extern void wh_alter_drop_others(const char *table, TupleDesc current, List *wanted);
extern void wh_alter_publish(int64 object_id);

#endif							/* WH_DEFINITION_ALTER_H */
