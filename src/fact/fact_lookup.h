/*
 * fact_lookup.h
 *	  Surrogate keys by natural key and event time.
 */
#ifndef WH_FACT_LOOKUP_H
#define WH_FACT_LOOKUP_H

#include "widgets_wh.h"

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"

#include "base/bulk_writer.h"
#include "metadata/catalog.h"

/* Surrogate keys of the members that every dimension has. */
#define WH_KEY_UNKNOWN (-1)
#define WH_KEY_NOT_APPLICABLE (-2)

typedef struct WhLookup WhLookup;

extern WhLookup *wh_lookup_open(WhDimension *dimension, int64 batch_id);
extern WhDimension *wh_lookup_dimension(WhLookup *lookup);
extern void wh_lookup_expect(WhLookup *lookup, double nrows);
extern int64 wh_lookup_find(WhLookup *lookup, const Datum *key, const bool *isnull,
							TimestampTz at, bool has_time);
extern int64 wh_lookup_inferred(const WhLookup *lookup);
extern void wh_lookup_flush(WhLookup *lookup);
extern void wh_lookup_close(WhLookup *lookup);

#endif							/* WH_FACT_LOOKUP_H */
