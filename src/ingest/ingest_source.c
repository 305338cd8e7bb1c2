/*
 * ingest_source.c
 *	  Reads a feed's source, whatever kind it is.
 */
#include "postgres.h"

#include "ingest/ingest_state.h"

/* Give every record that is new in the source to wh_ingest_row. */
void
wh_ingest_read_source(WhIngest *ing)
{
	switch (ing->kind)
	{
		case WH_SOURCE_RELATION:
			wh_ingest_read_relation(ing);
			break;
		case WH_SOURCE_CSV:
			wh_ingest_read_files(ing);
			break;
		case WH_SOURCE_KAFKA:
			wh_ingest_read_topic(ing);
			break;
	}
}
