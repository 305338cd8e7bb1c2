/*
 * source.h
 *	  What a feed reads, row by row, whatever the source is.
 *
 * A source fills one WhSourceRow per record.  A record that cannot be read or
 * converted is returned all the same, with its errors: the feed turns it into
 * error events and goes on.  Only what makes the whole source unusable is
 * raised with ereport.
 */
#ifndef WH_SOURCE_H
#define WH_SOURCE_H

#include "widgets_wh.h"

#include "access/attnum.h"
#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"

/* One thing wrong with a record. */
typedef struct WhRowError
{
	AttrNumber	attnum;			/* column of the source relation, 0 = the record */
	int			sqlerrcode;
	char	   *message;
} WhRowError;

/*
 * One record.  Memory belongs to the source and lives until the next record is
 * asked for, unless the source says otherwise.
 */
typedef struct WhSourceRow
{
	Datum	   *values;			/* one per attribute of the source relation */
	bool	   *isnull;
	int64		low;			/* line (from 1), or offset, or 0 */
	int64		byte_offset;	/* of the record in its file, -1 = none */
	TimestampTz source_time;	/* the message's time; DT_NOBEGIN = none */
	bool		tombstone;		/* a message that only says: key deleted */
	bool		is_change;		/* a tombstone that is a record of its own: events may be deletes */
	bool		is_echo;		/* a tombstone that only repeats the delete before it */
	AttrNumber	deleted_at;		/* of a tombstone: the column that says when, if it has a value; 0 = none does */
	const char *raw;			/* the record as it came; NULL = none; may hold NULs */
	Size		raw_len;
	bool		is_part;		/* raw is not all of the record */
	const char *key;			/* the message's key; NULL = none; may hold NULs */
	Size		key_len;
	const char *headers;		/* the message's headers as JSON; NULL = none */
	List	   *errors;			/* of WhRowError; NIL = a good record */
	char	  **unread;			/* texts that were not converted, by attribute; NULL = none kept */
	int64		event_id;		/* the error event that is tried again; 0 = none */
	Bitmapset  *as_stored;		/* columns whose values are redacted already */
} WhSourceRow;

#endif							/* WH_SOURCE_H */
