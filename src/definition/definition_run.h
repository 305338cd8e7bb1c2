/*
 * definition_run.h
 *	  The surroundings in which a definition's queries run.
 */
#ifndef WH_DEFINITION_RUN_H
#define WH_DEFINITION_RUN_H

#include "widgets_wh.h"

#include "utils/tuplestore.h"

#include "metadata/catalog.h"

/* What to put back. */
typedef struct WhSurroundings
{
	Oid			user;
	int			sec_context;
	int			guc_level;
} WhSurroundings;

extern void wh_definition_enter(Oid relid, WhSurroundings *saved);
extern void wh_definition_leave(const WhSurroundings *saved);
extern Tuplestorestate *wh_changed_register(const WhInput *input, const char *name);
extern bool wh_changed_first_block(const WhInput *input, int64 *block);
extern double wh_changed_rows(const WhInput *input);
extern char *wh_lookup_hash(Oid relid, Oid object);
extern List *wh_inputs_changed(List *inputs, Oid object, bool *whole);
extern void wh_inputs_used(int64 object_id, List *inputs);

#endif							/* WH_DEFINITION_RUN_H */
