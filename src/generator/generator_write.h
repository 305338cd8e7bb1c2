/*
 * generator_write.h
 *	  Makes the rows of a request and writes them.
 */
#ifndef WH_GENERATOR_WRITE_H
#define WH_GENERATOR_WRITE_H

#include "generator/generator.h"

extern int64 wh_generator_write(WhGenerator *generator, int workers);

#endif							/* WH_GENERATOR_WRITE_H */
