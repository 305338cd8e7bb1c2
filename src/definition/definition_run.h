/*
 * definition_run.h
 *	  The surroundings in which a definition's queries run.
 */
#ifndef WH_DEFINITION_RUN_H
#define WH_DEFINITION_RUN_H

#include "widgets_wh.h"

#include "utils/tuplestore.h"

#include "base/surroundings.h"
#include "metadata/catalog.h"

extern Tuplestorestate *wh_changed_register(const WhInput *input, const char *name);
extern char *wh_lookup_hash(Oid relid, Oid object);
extern List *wh_inputs_changed(List *inputs, Oid object, bool *whole);
extern void wh_inputs_used(int64 object_id, List *inputs);

#endif							/* WH_DEFINITION_RUN_H */
