/*
 * csv_statement.h
 *	  Names and statements for what was found in a CSV file.
 */
#ifndef WH_CSV_STATEMENT_H
#define WH_CSV_STATEMENT_H

#include "widgets_wh.h"

#include "csv/csv_sniff.h"

extern char *wh_csv_sniff_statement(const WhCsvSniff *sniff, const char *schema,
									const char *table, const char *server,
									const char *option, const char *value);
extern const char *wh_csv_server_of_file(const char *path, const char **name, bool *found);

#endif							/* WH_CSV_STATEMENT_H */
