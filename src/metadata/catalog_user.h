/*
 * catalog_user.h
 *	  The one way into the rights of the catalogs' owner, and to SQL on them.
 */
#ifndef WH_CATALOG_USER_H
#define WH_CATALOG_USER_H

#include "widgets_wh.h"

#include "base/spi_query.h"
#include "base/surroundings.h"

extern void wh_catalog_enter(WhSurroundings *saved);
extern bool wh_catalog_row(WhRow *row, const char *sql, int nargs, Oid *types, Datum *args);
extern WhRow *wh_catalog_rows(int *nrows, const char *sql, int nargs, Oid *types, Datum *args);
extern uint64 wh_catalog_execute(const char *sql, int nargs, Oid *types, Datum *args,
								 const char *nulls);

#endif							/* WH_CATALOG_USER_H */
