/*
 * csv_sniff_dialect.h
 *	  Finds how a CSV file is written, for the sniffer.
 */
#ifndef WH_CSV_SNIFF_DIALECT_H
#define WH_CSV_SNIFF_DIALECT_H

#include "widgets_wh.h"

#include "csv/csv_reader.h"
#include "csv/csv_sniff.h"

extern bool wh_csv_find_dialect(WhCsvSniff *sniff, List *given, const char *name);

/* What the rest of the sniffer shares with it. */
extern bool wh_csv_sniff_is_given(List *given, const char *name);
extern void wh_csv_sniff_propose(WhCsvSniff *sniff, const char *name, const char *value);
extern void wh_csv_sniff_note(WhCsvSniff *sniff, char *text);
extern WhCsvReader *wh_csv_sniff_open(const char *name, const WhCsvOptions *options);
extern WhCsvNext wh_csv_sniff_read(WhCsvReader *reader, const char *name, bool first);

#endif							/* WH_CSV_SNIFF_DIALECT_H */
