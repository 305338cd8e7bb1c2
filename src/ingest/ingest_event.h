/*
 * ingest_event.h
 *	  An error event on its way to wh.error_event.
 */
#ifndef WH_INGEST_EVENT_H
#define WH_INGEST_EVENT_H

#include "ingest/ingest_state.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "utils/array.h"

/* One event.  Texts and numbers that are NULL, or say so below, are null in the table. */
typedef struct WhErrorEvent
{
	int64		object_id;		/* the feed */
	const char *feed;
	const char *file;
	int64		line;			/* of the file; 0 = none */
	int64		byte_offset;	/* -1 = none */
	const char *topic;			/* NULL: there is no partition and offset either */
	int32		partition;
	int64		offset;
	TimestampTz message_time;	/* DT_NOBEGIN = none */
	bytea	   *message_key;
	const char *message_headers;	/* JSON */
	int64		read_no;		/* of a relation; 0 = none: there is a position */
	int64		position;		/* of the record in staging's terms */
	TimestampTz event_time;		/* DT_NOBEGIN = none */
	bytea	   *raw;			/* the record */
	const char *raw_form;		/* see wh.error_event */
	const char *redacted;		/* redacted values as JSON */
	bytea	   *hash;			/* of the record */
	const char *errors;			/* JSON */
	const char *column;			/* of the first error; NULL = the record */
	int			sqlerrcode;
	const char *message;
	ArrayType  *record_key;		/* texts of the key's columns */
} WhErrorEvent;

/* Columns of an event as a row; see ingest_event.c. */
#define WH_EVENT_COLUMNS 24

extern TupleDesc wh_event_desc(void);
extern void wh_event_form(const WhErrorEvent *event, Datum *values, bool *isnull);
extern void wh_event_insert(WhIngest *ing, Datum *values, const bool *isnull);

#endif							/* WH_INGEST_EVENT_H */
