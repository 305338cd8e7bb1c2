/*
 * row_form.h
 *	  Forms tuples of one table, faster than heap_form_tuple.
 */
#ifndef WH_ROW_FORM_H
#define WH_ROW_FORM_H

#include "widgets_wh.h"

#include "access/htup.h"
#include "access/tupdesc.h"

typedef struct WhRowForm WhRowForm;

/* Room that a tuple formed by wh_row_form may need. */
#define WH_ROW_FORM_BYTES 2560

extern WhRowForm *wh_row_form_make(TupleDesc tupdesc);
extern HeapTuple wh_row_form(const WhRowForm *form, char *room, const Datum *values, const bool *isnull);

#endif							/* WH_ROW_FORM_H */
