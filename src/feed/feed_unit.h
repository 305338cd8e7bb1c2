/*
 * feed_unit.h
 *	  The units of a feed's source (files' contents, partitions, reads), and
 *	  positions in them.
 */
#ifndef WH_FEED_UNIT_H
#define WH_FEED_UNIT_H

#include "feed/feed.h"
#include "feed/feed_check.h"

/* Bits of a source position that say where in the unit the record stood. */
#define WH_POSITION_BITS 40
#define wh_position(unit_no, low) (((int64) (unit_no) << WH_POSITION_BITS) | (low))
#define wh_position_unit(position) ((position) >> WH_POSITION_BITS)
#define wh_position_low(position) ((position) & ((INT64CONST(1) << WH_POSITION_BITS) - 1))

/* One unit of a source; see wh.source_unit. */
typedef struct WhUnit
{
	int64		unit_no;		/* hash key */
	char	   *name;
	int64		generation;
	int64		size;			/* -1 = unknown */
	int64		end_offset;		/* of a partition when it was read last; -1 = unknown */
	bytea	   *checksum;		/* NULL = none */
	char	   *file_state;		/* NULL = none */
	bytea	   *header;			/* of a file, to be stored; never read back; NULL = none */
	TimestampTz event_time;		/* of a snapshot; DT_NOBEGIN = none */
	bool		is_complete;
	bool		is_new;			/* no catalog row yet */
	bool		is_changed;		/* catalog row to be updated */
	bool		is_touched;		/* same, but only how the file system shows it */
} WhUnit;

/* All units of a feed. */
typedef struct WhUnits
{
	const WhFeed *feed;
	WhFeedSource kind;			/* orders positions */
	MemoryContext context;
	struct HTAB *table;			/* of WhUnit, by unit_no; NULL until needed */
	int64		last_no;		/* highest unit_no */
} WhUnits;

extern WhUnits *wh_units_open(const WhFeed *feed, WhFeedSource kind);
extern void wh_units_load(WhUnits *units);
extern void wh_units_reload(WhUnits *units);
extern WhUnit *wh_unit_find(WhUnits *units, int64 unit_no);
extern WhUnit *wh_unit_add(WhUnits *units, const char *name, int64 generation);
extern WhUnit *wh_unit_add_read(WhUnits *units, int64 read_no, TimestampTz event_time, bool is_complete);
extern int	wh_position_compare(WhUnits *units, int64 a, int64 b);
extern bool wh_units_save(WhUnits *units, int64 batch_id);

#endif							/* WH_FEED_UNIT_H */
