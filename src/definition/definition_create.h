/*
 * definition_create.h
 *	  What the creation of dimensions and facts has in common.
 */
#ifndef WH_DEFINITION_CREATE_H
#define WH_DEFINITION_CREATE_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"

#include "base/object_name.h"
#include "query/query_plan.h"

extern char **wh_text_array_arg(ArrayType *array, int *n, const char *what, int max);
extern Oid	wh_definition_view(const WhObjectName *object, const char *query, Oid replaced);
extern void wh_definition_order_aggregates(Oid view);
extern void wh_definition_drop_view(Oid view);
extern TupleDesc wh_definition_columns(Oid view);
extern AttrNumber wh_definition_column(TupleDesc columns, const char *name, const char *what);
extern void wh_definition_check_names(TupleDesc columns, const char *const *reserved, int nreserved);
extern void wh_definition_check_sortable(TupleDesc columns, AttrNumber attno, const char *what);
extern char *wh_definition_column_type(Form_pg_attribute att);
extern void wh_definition_append_column(StringInfo sql, Form_pg_attribute att, const char *name);
extern void wh_definition_record_inputs(int64 object_id, Oid object, const WhQueryPlan *plan);
extern void wh_definition_make_indexes(const WhQueryPlan *plan);
extern void wh_definition_drop(Oid table, Oid view);

#endif							/* WH_DEFINITION_CREATE_H */
