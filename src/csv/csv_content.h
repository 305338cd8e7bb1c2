/*
 * csv_content.h
 *	  What the first bytes of a file say about it, and UTF-16.
 */
#ifndef WH_CSV_CONTENT_H
#define WH_CSV_CONTENT_H

#include "widgets_wh.h"

/* Bytes of a file's beginning that are enough. */
#define WH_CSV_MAGIC	512

/* UTF-16 that becomes UTF-8, piece by piece. */
typedef struct WhCsvUtf16
{
	bool		big_endian;
	int			nkept;			/* bytes of an unfinished character */
	unsigned char kept[4];
} WhCsvUtf16;

/* Bytes of UTF-8 that n bytes of UTF-16 and what was kept become at most. */
#define WH_CSV_UTF8_SIZE(n)	(((n) + 4) / 2 * 3 + 4)

extern const char *wh_csv_looks_like(const char *data, Size len);
extern bool wh_csv_is_utf16(const char *data, Size len, bool *big_endian);
extern Size wh_csv_utf16_decode(WhCsvUtf16 *state, const char *in, Size len, bool at_end, char *out);

#endif							/* WH_CSV_CONTENT_H */
