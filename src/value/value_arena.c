/*
 * value_arena.c
 *	  Memory of the values of one record, used again for the next one.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "value/value_arena.h"

/* Room of the arena's block: enough for a record of usual size. */
#define ARENA_BLOCK		(64 * 1024)

/* Make an arena below parent. */
WhValueArena *
wh_value_arena_create(MemoryContext parent)
{
	WhValueArena *arena = MemoryContextAllocZero(parent, sizeof(WhValueArena));

	arena->block = MemoryContextAlloc(parent, ARENA_BLOCK);
	arena->next = arena->block;
	arena->limit = arena->block + ARENA_BLOCK;
	arena->overflow = AllocSetContextCreate(parent, "widgets_wh values",
											ALLOCSET_DEFAULT_SIZES);
	return arena;
}

/* Free what did not fit the block. */
void
wh_value_arena_reset_overflow(WhValueArena *arena)
{
	MemoryContextReset(arena->overflow);
	arena->overflow_used = false;
}

/* Get memory outside of the block. */
void *
wh_value_alloc_overflow(WhValueArena *arena, Size size)
{
	arena->overflow_used = true;
	return MemoryContextAlloc(arena->overflow, size);
}
