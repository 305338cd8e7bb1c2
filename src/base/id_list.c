/*
 * id_list.c
 *	  Lists of the ids of feeds, dimensions and facts.
 *
 * Runs in any backend; takes no locks.
 */
#include "postgres.h"

#include "base/id_list.h"

/* Tell whether a list of ids (int64 *) has one. */
bool
wh_list_has_id(const List *ids, int64 id)
{
	ListCell   *lc;

	foreach(lc, ids)
	{
		if (*(int64 *) lfirst(lc) == id)
			return true;
	}
	return false;
}

/* Add an id to a list, unless it is there. */
List *
wh_list_add_id(List *ids, int64 id)
{
	int64	   *copy;

	if (wh_list_has_id(ids, id))
		return ids;
	copy = palloc(sizeof(int64));
	*copy = id;
	return lappend(ids, copy);
}
