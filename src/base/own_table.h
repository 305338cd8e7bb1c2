/*
 * own_table.h
 *	  Is a table of the engine still what the engine made?
 */
#ifndef WH_OWN_TABLE_H
#define WH_OWN_TABLE_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "utils/rel.h"

extern void wh_table_check(Relation rel);
extern void wh_table_check_same(Relation rel, TupleDesc expected);
extern void wh_column_check(const char *table, Form_pg_attribute att, Oid type, int32 typmod, Oid collation);

#endif							/* WH_OWN_TABLE_H */
