/*
 * generator_update.h
 *	  Changes existing rows.
 */
#ifndef WH_GENERATOR_UPDATE_H
#define WH_GENERATOR_UPDATE_H

#include "generator/generator.h"

extern int64 wh_generator_update(WhGenerator *generator, int64 updates, int64 before_key);

#endif							/* WH_GENERATOR_UPDATE_H */
