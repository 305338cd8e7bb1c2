/*
 * merge_groups.h
 *	  Reads two sorted queries in step, a key at a time.
 */
#ifndef WH_MERGE_GROUPS_H
#define WH_MERGE_GROUPS_H

#include "widgets_wh.h"

#include "access/htup.h"
#include "utils/sortsupport.h"

#include "spi_query.h"

/* The rows of one side that have the current key. */
typedef struct WhGroup
{
	HeapTuple  *tuples;
	int			ntuples;
	int			allocated;
} WhGroup;

typedef struct WhMergeSide
{
	WhCursor   *cursor;
	AttrNumber	first_key;		/* key columns are neighbours, from here */
	HeapTuple	next;			/* first row not yet in a group, or NULL */
	WhGroup		group;
} WhMergeSide;

typedef struct WhMerge
{
	int			nkey;
	SortSupportData sort[WH_MAX_KEY];
	WhMergeSide left;
	WhMergeSide right;
	int64		null_keys;		/* rows passed over because of a NULL in the key */
	MemoryContext group_context;	/* rows of the current groups; reset by next */
	MemoryContext ahead_context;	/* rows read ahead */
} WhMerge;

extern WhMerge *wh_merge_open(const char *left_sql, AttrNumber left_key,
							  const char *right_sql, AttrNumber right_key, int nkey);
extern bool wh_merge_next(WhMerge *merge);
extern void wh_merge_close(WhMerge *merge);

#endif							/* WH_MERGE_GROUPS_H */
