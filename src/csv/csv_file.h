/*
 * csv_file.h
 *	  The bytes of a CSV file, decompressed.
 */
#ifndef WH_CSV_FILE_H
#define WH_CSV_FILE_H

#include "widgets_wh.h"

#include "value/source.h"

/* Length of a content checksum (SHA-256). */
#define WH_CSV_CHECKSUM_LENGTH	32

typedef enum WhCsvCompression
{
	WH_CSV_AUTO,				/* by the file name's suffix */
	WH_CSV_PLAIN,
	WH_CSV_GZIP,
	WH_CSV_ZSTD
} WhCsvCompression;

typedef struct WhCsvFile WhCsvFile;

extern int	wh_csv_open_path(const char *directory, const char *name,
							 WhRowError *err);
extern WhCsvFile *wh_csv_file_open(MemoryContext context, const char *directory,
								   const char *name,
								   WhCsvCompression compression, bool checksum,
								   WhRowError *err);
extern ssize_t wh_csv_file_read(WhCsvFile *file, char *buf, Size size,
								WhRowError *err);
extern const char *wh_csv_file_name(const WhCsvFile *file);
extern bool wh_csv_file_checksum(WhCsvFile *file, uint8 *checksum);
extern int64 wh_csv_file_stored_bytes(WhCsvFile *file);
extern void wh_csv_file_close(WhCsvFile *file);

#endif							/* WH_CSV_FILE_H */
