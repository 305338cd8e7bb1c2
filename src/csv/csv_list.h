/*
 * csv_list.h
 *	  Which files a CSV table has.
 */
#ifndef WH_CSV_LIST_H
#define WH_CSV_LIST_H

#include "widgets_wh.h"

#include "nodes/pg_list.h"

/* A file, as it was when listed. */
typedef struct WhCsvFileInfo
{
	char	   *name;			/* relative to the directory, or as given; valid text */
	char	   *path;			/* for messages and the operating system */
	time_t		modified;
	int64		size;			/* stored bytes; -1 = could not be looked at */
	char	   *state;			/* device, inode, size and change time; NULL with size -1 */
} WhCsvFileInfo;

extern List *wh_csv_list_pattern(const char *directory, const char *pattern);
extern double wh_csv_list_size(List *files);
extern WhCsvFileInfo *wh_csv_file_info(const char *directory, const char *name);

#endif							/* WH_CSV_LIST_H */
