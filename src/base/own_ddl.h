/*
 * own_ddl.h
 *	  Alters the engine's own relations, and tells such statements from a user's.
 */
#ifndef WH_OWN_DDL_H
#define WH_OWN_DDL_H

#include "widgets_wh.h"

extern void wh_alter_own(const char *sql);
extern bool wh_is_altering(Oid relid);

#endif							/* WH_OWN_DDL_H */
