/*
 * csv_fdw.h
 *	  Parts of the foreign data wrapper wh_csv.
 */
#ifndef WH_CSV_FDW_H
#define WH_CSV_FDW_H

#include "widgets_wh.h"

#include "foreign/fdwapi.h"

extern bool wh_csv_analyze(Relation rel, AcquireSampleRowsFunc *func,
						   BlockNumber *pages);
extern List *wh_csv_import(ImportForeignSchemaStmt *stmt, Oid server);

#endif							/* WH_CSV_FDW_H */
