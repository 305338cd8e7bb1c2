/*
 * dimension_splice.h
 *	  Writes the wanted versions of a key over the existing ones.
 */
#ifndef WH_DIMENSION_SPLICE_H
#define WH_DIMENSION_SPLICE_H

#include "widgets_wh.h"

#include "access/htup.h"

#include "base/bulk_writer.h"
#include "dimension/dimension_versions.h"
#include "definition/publish.h"

typedef struct WhDimensionSplice
{
	WhDimension *dimension;
	WhVersionBuilder *builder;
	WhBulkWriter *writer;
	WhDimensionChanges *changes;
	int64		batch_id;
} WhDimensionSplice;

extern void wh_dimension_splice(WhDimensionSplice *splice, WhVersion *wanted, int nwanted,
								WhVersion *existing, int nexisting);
extern void wh_dimension_version_read(const WhDimension *dimension, HeapTuple tuple,
									  TupleDesc tupdesc, WhVersion *version);
extern void wh_dimension_insert(WhDimension *dimension, WhBulkWriter *writer,
								const WhVersion *version, int64 batch_id);
extern Oid	wh_dimension_index(const WhDimension *dimension);
extern void wh_dimension_ensure_index(const WhDimension *dimension);

#endif							/* WH_DIMENSION_SPLICE_H */
