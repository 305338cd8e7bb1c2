/*
 * row_image.h
 *	  Rows of the engine's tables: read with columns at their attribute numbers,
 *	  compared by the bytes of their values.
 */
#ifndef WH_ROW_IMAGE_H
#define WH_ROW_IMAGE_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"

extern int	wh_image_compare_value(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null);
extern int	wh_image_compare(TupleDesc desc, const AttrNumber *columns, int ncolumns,
							 Datum *a, bool *a_null, Datum *b, bool *b_null);

extern void wh_append_row(StringInfo sql, const char *alias, TupleDesc tupdesc);

#endif							/* WH_ROW_IMAGE_H */
