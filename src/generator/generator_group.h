/*
 * generator_group.h
 *	  Reads the rows that references and parents take their values from.
 */
#ifndef WH_GENERATOR_GROUP_H
#define WH_GENERATOR_GROUP_H

#include "generator/generator.h"

/* Takes the rows of another table into a group; starts as zeros. */
typedef struct WhGroupReceiver
{
	WhGenerator *generator;
	WhGroup    *group;
	int64		allocated;
	Size		nbytes;
	Size		bytes_allocated;
	Size	   *longest;		/* value by reference of each column */
	bool	   *may_be_short;	/* may values of each column have a header of one byte? */
	bool		has_null;
	int64	   *keys;			/* of linked parents, else NULL */
	bool		is_sorted;		/* by these */
} WhGroupReceiver;

extern void wh_generator_receive_start(WhGroupReceiver *receiver, WhGenerator *generator, WhGroup *group);
extern void wh_generator_receive(WhGroupReceiver *receiver, const Datum *values, const bool *nulls,
								 const int *places, int64 key);
extern void wh_generator_receive_end(WhGroupReceiver *receiver);
extern void wh_generator_load_groups(WhGenerator *generator);
extern int64 wh_generator_count_parents(WhGenerator *generator);
extern Size wh_generator_shared_groups_size(WhGenerator *generator);
extern void wh_generator_share_groups(WhGenerator *generator, char *memory);
extern void wh_generator_attach_groups(WhGenerator *generator, char *memory);

#endif							/* WH_GENERATOR_GROUP_H */
