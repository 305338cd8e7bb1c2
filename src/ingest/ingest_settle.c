/*
 * ingest_settle.c
 *	  Settles error events: those whose file or table was read whole without
 *	  them since, and those whose key has a later record now.
 *
 * Runs at the end of wh_ingest_feed, in its transaction and under the feed's
 * lock.  Texts of keys are made as the feed's owner; events are written as the
 * owner of the catalogs.  A feed without open events pays one look into an index.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "ingest/ingest_state.h"
#include "metadata/catalog.h"

typedef struct WhSettle
{
	List	   *seen;			/* of bytea *: hashes of records that have their event already */
	List	   *files;			/* of char *: names of files that were read to their end */
} WhSettle;

static WhSettle *
open_settle(WhIngest *ing)
{
	if (ing->settle == NULL)
		ing->settle = MemoryContextAllocZero(ing->context, sizeof(WhSettle));
	return ing->settle;
}

/* Note that a record was rejected again: its event stays as it is. */
void
wh_settle_note_seen(WhIngest *ing, const bytea *hash)
{
	WhSettle   *settle = open_settle(ing);
	MemoryContext old = MemoryContextSwitchTo(ing->context);
	bytea	   *copy = palloc(VARSIZE_ANY(hash));

	memcpy(copy, hash, VARSIZE_ANY(hash));
	settle->seen = lappend(settle->seen, copy);
	MemoryContextSwitchTo(old);
}

/* Note that a content of a file was read to its end. */
void
wh_settle_note_whole(WhIngest *ing, const char *file)
{
	WhSettle   *settle = open_settle(ing);
	MemoryContext old = MemoryContextSwitchTo(ing->context);

	settle->files = lappend(settle->files, pstrdup(file));
	MemoryContextSwitchTo(old);
}

static bool
has_open_events(WhIngest *ing)
{
	WhRow		row;

	return wh_catalog_row(&row, "SELECT 1 FROM wh.error_event WHERE object_id = $1 AND state = 'open' LIMIT 1",
						  1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(ing->feed->feed_id)});
}

static Datum
hashes_array(List *hashes)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(hashes), 1));
	ListCell   *lc;

	foreach(lc, hashes)
		elements[foreach_current_index(lc)] = PointerGetDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, list_length(hashes), BYTEAOID, -1, false, TYPALIGN_INT));
}

static Datum
names_array(List *names)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(names), 1));
	ListCell   *lc;

	foreach(lc, names)
		elements[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, list_length(names), TEXTOID, -1, false, TYPALIGN_INT));
}

/* Settle the older events of what was read whole and did not give their records again. */
static uint64
settle_read(WhIngest *ing)
{
	List	   *files = ing->settle ? ing->settle->files : NIL;
	List	   *seen = ing->settle ? ing->settle->seen : NIL;
	bool		table = ing->kind == WH_SOURCE_RELATION && ing->feed->watermark == NULL;

	if (ing->is_retry || (files == NIL && !table))
		return 0;
	return wh_catalog_execute(psprintf("UPDATE wh.error_event SET state = 'settled', settled_by = 'read',"
									   " closed_at = pg_catalog.clock_timestamp() WHERE object_id = $1 AND state = 'open' AND batch_id < $2"
									   " AND record_hash <> ALL ($3)%s", table ? "" : " AND file = ANY ($4)"),
							  table ? 3 : 4, (Oid[]) {INT8OID, INT8OID, BYTEAARRAYOID, TEXTARRAYOID},
							  (Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(ing->batch_id),
							  hashes_array(seen), names_array(files)}, NULL);
}

/*
 * Settle events whose key has got a later record: staged by a later batch and not
 * before the event's time, or of a later time.
 */
static uint64
settle_keys(WhIngest *ing)
{
	const WhBatchStep *counts = &ing->result->counts;
	StringInfoData sql;
	TupleDesc	desc;
	Tuplestorestate *store;
	int64		nrows;
	uint64		settled = 0;

	if (ing->staging->nkeys == 0 || !OidIsValid(counts->staged_relid))
		return 0;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ARRAY[");
	for (int i = 0; i < ing->staging->nkeys; i++)
		appendStringInfo(&sql, "%spg_catalog.format('%%s', h.%s)", i > 0 ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(ing->staging->desc, ing->staging->key[i] - 1)->attname)));
	appendStringInfo(&sql, "] AS record_key, pg_catalog.max(h.effective_from) AS latest FROM %s h"
					 " WHERE h.batch_id OPERATOR(pg_catalog.=) " INT64_FORMAT
					 " AND h.ctid OPERATOR(pg_catalog.>=) '(%u,0)'::pg_catalog.tid GROUP BY 1",
					 wh_relation_name(counts->staged_relid), ing->batch_id, counts->first_block);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	store = wh_spi_store(sql.data, &desc, &nrows);
	PopActiveSnapshot();
	if (nrows > 0)
	{
		wh_spi_register("wh_staged_keys", desc, store, nrows);
		settled = wh_catalog_execute("UPDATE wh.error_event e"
									 " SET state = 'settled', settled_by = 'key', closed_at = pg_catalog.clock_timestamp()"
									 " FROM wh_staged_keys k WHERE e.object_id = $1 AND e.state = 'open'"
									 " AND pg_catalog.hash_array(e.record_key) = pg_catalog.hash_array(k.record_key)"
									 " AND e.record_key = k.record_key"
									 " AND (e.batch_id < $2 AND (e.event_time IS NULL OR e.event_time <= k.latest)"
									 "      OR e.event_time < k.latest)",
									 2, (Oid[]) {INT8OID, INT8OID},
									 (Datum[]) {Int64GetDatum(ing->feed->feed_id), Int64GetDatum(ing->batch_id)},
									 NULL);
		wh_spi_unregister("wh_staged_keys");
	}
	tuplestore_end(store);
	return settled;
}

/* Settle what this ingest has made good; its rows are written, its counts known. */
void
wh_ingest_settle(WhIngest *ing)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (has_open_events(ing) && settle_read(ing) + settle_keys(ing) > 0)
		ing->result->changed = true;
	SPI_finish();
}
