/*
 * value_arena.h
 *	  Memory of the values of one record.
 */
#ifndef WH_VALUE_ARENA_H
#define WH_VALUE_ARENA_H

#include "widgets_wh.h"

#include "utils/memutils.h"

/*
 * Where values that do not fit a Datum live: one block, used again after each
 * reset, and a memory context for what does not fit it.
 */
typedef struct WhValueArena
{
	char	   *next;			/* free space of the block */
	char	   *limit;
	char	   *block;
	MemoryContext overflow;
	bool		overflow_used;
} WhValueArena;

extern WhValueArena *wh_value_arena_create(MemoryContext parent);
extern void wh_value_arena_reset_overflow(WhValueArena *arena);
extern void *wh_value_alloc_overflow(WhValueArena *arena, Size size);

/* Free every value made since the last reset. */
static inline void
wh_value_arena_reset(WhValueArena *arena)
{
	arena->next = arena->block;
	if (unlikely(arena->overflow_used))
		wh_value_arena_reset_overflow(arena);
}

/* Get memory, aligned for every type, until the arena's next reset. */
static inline void *
wh_value_alloc(WhValueArena *arena, Size size)
{
	char	   *p = arena->next;

	if (unlikely(size > (Size) (arena->limit - p)))
		return wh_value_alloc_overflow(arena, size);
	arena->next = p + MAXALIGN(size);
	return p;
}

#endif							/* WH_VALUE_ARENA_H */
