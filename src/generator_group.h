/*
 * generator_group.h
 *	  Reads the rows that references and parents take their values from.
 */
#ifndef WH_GENERATOR_GROUP_H
#define WH_GENERATOR_GROUP_H

#include "generator.h"

extern void wh_generator_load_groups(WhGenerator *generator);
extern int64 wh_generator_count_parents(WhGenerator *generator);
extern Size wh_generator_shared_groups_size(WhGenerator *generator);
extern void wh_generator_share_groups(WhGenerator *generator, char *memory);
extern void wh_generator_attach_groups(WhGenerator *generator, char *memory);

#endif							/* WH_GENERATOR_GROUP_H */
