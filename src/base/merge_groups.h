/*
 * merge_groups.h
 *	  Reads several sorted queries in step, a key at a time.
 */
#ifndef WH_MERGE_GROUPS_H
#define WH_MERGE_GROUPS_H

#include "widgets_wh.h"

#include "access/htup.h"
#include "utils/sortsupport.h"

#include "base/spi_query.h"

/* The rows of one side that have the current key. */
typedef struct WhGroup
{
	HeapTuple  *tuples;
	int			ntuples;
	int			allocated;
} WhGroup;

#define WH_MERGE_SIDES 3

typedef struct WhMergeSide
{
	WhCursor   *cursor;
	AttrNumber	keys[WH_MAX_KEY];	/* where the key's columns are */
	HeapTuple	next;			/* first row not yet in a group, the cursor's, or NULL */
	WhGroup		group;
} WhMergeSide;

typedef struct WhMerge
{
	int			nkey;
	SortSupportData sort[WH_MAX_KEY];
	int			nsides;
	WhMergeSide sides[WH_MERGE_SIDES];
	int64		null_keys;		/* rows passed over because of a NULL in the key */
	void		(*null_key) (HeapTuple tuple, TupleDesc tupdesc, void *arg);	/* or NULL */
	void	   *null_key_arg;
	MemoryContext group_context;	/* rows of the current groups; reset by next */
	MemoryContext context;		/* of the merge */
} WhMerge;

extern WhMerge *wh_merge_open(int nkey);
extern void wh_merge_add(WhMerge *merge, const char *sql, const AttrNumber *keys);
extern bool wh_merge_next(WhMerge *merge);
extern void wh_merge_close(WhMerge *merge);

#endif							/* WH_MERGE_GROUPS_H */
