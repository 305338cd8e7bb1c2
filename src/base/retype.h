/*
 * retype.h
 *	  Wider types for columns of the engine's tables.
 */
#ifndef WH_RETYPE_H
#define WH_RETYPE_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

/* A column that gets another type. */
typedef struct WhRetype
{
	const char *column;
	const char *type;			/* as ALTER TABLE wants it, with its collation */
	const char *value;			/* expression for what is stored; NULL: the cast */
} WhRetype;

extern bool wh_type_holds(Oid type, int32 typmod, Oid from, int32 from_typmod);
extern bool wh_type_widens(Oid from, int32 from_typmod, Oid to, int32 to_typmod);
extern void wh_retype(Oid relid, List *columns);

#endif							/* WH_RETYPE_H */
