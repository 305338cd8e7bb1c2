/*
 * generator_catalog.h
 *	  Reads and writes wh.generator and wh.generator_batch.
 */
#ifndef WH_GENERATOR_CATALOG_H
#define WH_GENERATOR_CATALOG_H

#include "generator/generator.h"

/* A row of wh.generator, in the current memory context. */
typedef struct WhDefinition
{
	Jsonb	   *columns;
	ArrayType  *mutable_columns;
	char	   *updated_at;		/* NULL = none */
	Jsonb	   *dirt;
	int64		next_row;
} WhDefinition;

/* What a call of wh.generate did. */
typedef struct WhResult
{
	int64		inserted;
	int64		updated;
	bool		has_keys;
	int64		first_key;
	int64		last_key;
	Jsonb	   *dirt;
} WhResult;

extern bool wh_generator_fetch(Oid relid, WhDefinition *definition);
extern int	wh_generator_next_batch(bool link_parent);
extern void wh_generator_log(const WhRequest *request, const WhResult *result, int64 next_row);

#endif							/* WH_GENERATOR_CATALOG_H */
