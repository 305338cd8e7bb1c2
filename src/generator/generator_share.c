/*
 * generator_share.c
 *	  Hands the rows that references take their values from to parallel workers.
 *
 * The backend has read them (generator_group.c) and copies them to the shared
 * memory of the parallel operation; workers use them there.  All cells are
 * values or offsets, so they mean the same in every process.
 */
#include "postgres.h"

#include "storage/shmem.h"
#include "utils/memutils.h"

#include "generator/generator_group.h"

/* What a process shares of a group with its workers, before its arrays. */
typedef struct SharedGroup
{
	int64		nrows;
	Size		nbytes;
	bool		is_linked;
	bool		has_null;
} SharedGroup;

/* Return the size of one loaded group in shared memory. */
static Size
shared_size(const WhGroup *group)
{
	Size		cells = (Size) group->nrows * group->ncolumns;

	return MAXALIGN(sizeof(SharedGroup)) + MAXALIGN(sizeof(WhCellKind) * group->ncolumns) + sizeof(Datum) * cells +
		(group->isnull ? MAXALIGN(sizeof(bool) * cells) : 0) + MAXALIGN(group->nbytes);
}

/* Return the size of what wh_generator_share_groups writes; all is loaded. */
Size
wh_generator_shared_groups_size(WhGenerator *generator)
{
	Size		size = 0;

	for (int i = 0; i < generator->ngroups; i++)
		if (generator->groups[i]->kind != WH_GROUP_PLACE)
			size = add_size(size, shared_size(generator->groups[i]));
	return size;
}

static char *
write_array(char *next, const void *array, Size size)
{
	if (size > 0)
		memcpy(next, array, size);
	return next + MAXALIGN(size);
}

/* Copy the loaded groups to shared memory. */
void
wh_generator_share_groups(WhGenerator *generator, char *memory)
{
	for (int i = 0; i < generator->ngroups; i++)
	{
		WhGroup    *group = generator->groups[i];
		Size		cells = (Size) group->nrows * group->ncolumns;
		SharedGroup header;

		if (group->kind == WH_GROUP_PLACE)
			continue;
		memset(&header, 0, sizeof(header));
		header.nrows = group->nrows;
		header.nbytes = group->nbytes;
		header.is_linked = group->is_linked;
		header.has_null = group->isnull != NULL;
		memory = write_array(memory, &header, sizeof(header));
		memory = write_array(memory, group->cell_kinds, sizeof(WhCellKind) * group->ncolumns);
		memory = write_array(memory, group->values, sizeof(Datum) * cells);
		if (group->isnull)
			memory = write_array(memory, group->isnull, sizeof(bool) * cells);
		memory = write_array(memory, group->bytes, group->nbytes);
	}
}

/*
 * Use the groups in shared memory, which the same generator, compiled from the
 * same declaration in the leader, has written.
 */
void
wh_generator_attach_groups(WhGenerator *generator, char *memory)
{
	for (int i = 0; i < generator->ngroups; i++)
	{
		WhGroup    *group = generator->groups[i];
		SharedGroup *header = (SharedGroup *) memory;
		MemoryContext old_context;
		Size		cells;

		if (group->kind == WH_GROUP_PLACE)
			continue;
		cells = (Size) header->nrows * group->ncolumns;
		group->is_loaded = true;
		group->is_linked = header->is_linked;
		group->nrows = header->nrows;
		group->nbytes = header->nbytes;
		memory += MAXALIGN(sizeof(SharedGroup));
		group->cell_kinds = (WhCellKind *) memory;
		memory += MAXALIGN(sizeof(WhCellKind) * group->ncolumns);
		group->values = (Datum *) memory;
		memory += sizeof(Datum) * cells;
		if (header->has_null)
		{
			group->isnull = (bool *) memory;
			memory += MAXALIGN(sizeof(bool) * cells);
		}
		group->bytes = memory;
		memory += MAXALIGN(group->nbytes);
		old_context = MemoryContextSwitchTo(generator->context);
		if (group->popularity > 0 && group->nrows > 0)
			wh_random_zipf_init(&group->zipf, group->nrows, group->popularity);
		MemoryContextSwitchTo(old_context);
	}
}
