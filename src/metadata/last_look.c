/*
 * last_look.c
 *	  Writes when each object was last looked at: wh.last_look.
 *
 * A cycle that finds nothing new writes nothing, but that it has looked must be
 * known.  So the time is overwritten where it stands, in the row itself, under
 * the page's lock and with a WAL record of its own: no new row version, no
 * transaction number, no commit; 35 objects are one page and one record.  It is
 * there at once and for everybody, whatever becomes of the transaction.  Nobody
 * else changes these rows; one that is missing is inserted in the ordinary way.
 * Needs an SPI connection.  Holds RowExclusiveLock on the table meanwhile, which
 * keeps out what would rewrite it.
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "metadata/catalog_user.h"
#include "metadata/last_look.h"

/* The columns of a row: both of fixed length, and never null. */
typedef struct LastLook
{
	int64		object_id;
	TimestampTz looked_at;
} LastLook;

static bool
contains(List *ids, int64 id)
{
	ListCell   *lc;

	foreach(lc, ids)
	{
		if (*(int64 *) lfirst(lc) == id)
			return true;
	}
	return false;
}

/* Find a row's columns on a page, or NULL when there is none. */
static LastLook *
row_on_page(Page page, OffsetNumber offset)
{
	ItemId		item = PageGetItemId(page, offset);
	HeapTupleHeader tuple;

	if (!ItemIdIsNormal(item))
		return NULL;
	tuple = (HeapTupleHeader) PageGetItem(page, item);
	if ((tuple->t_infomask & HEAP_HASNULL) || HeapTupleHeaderGetNatts(tuple) != 2 ||
		ItemIdGetLength(item) != tuple->t_hoff + sizeof(LastLook))
		return NULL;
	return (LastLook *) ((char *) tuple + tuple->t_hoff);
}

/* Overwrite the times of some objects' rows on one page. */
static void
overwrite_page(Relation rel, BlockNumber block, List *ids, TimestampTz now)
{
	Buffer		buffer = ReadBuffer(rel, block);
	GenericXLogState *xlog;
	Page		page;
	bool		changed = false;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	xlog = GenericXLogStart(rel);
	page = GenericXLogRegisterBuffer(xlog, buffer, 0);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++)
	{
		LastLook   *row = row_on_page(page, i);

		if (row == NULL || !contains(ids, row->object_id))
			continue;
		row->looked_at = now;
		changed = true;
	}
	if (changed)
		GenericXLogFinish(xlog);
	else
		GenericXLogAbort(xlog);
	UnlockReleaseBuffer(buffer);
}

/* List the objects that have a row. */
static List *
with_row(void)
{
	List	   *ids = NIL;
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT object_id FROM wh.last_look", 0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		int64	   *id = palloc(sizeof(int64));

		*id = DatumGetInt64(rows[i].values[0]);
		ids = lappend(ids, id);
	}
	return ids;
}

/* Note that objects (int64 *) were looked at just now. */
void
wh_note_looks(List *object_ids)
{
	TimestampTz now = GetCurrentTimestamp();
	Relation	rel;
	List	   *known;
	ListCell   *lc;
	BlockNumber nblocks;

	if (object_ids == NIL || XactReadOnly)
		return;
	known = with_row();
	foreach(lc, object_ids)
	{
		if (!contains(known, *(int64 *) lfirst(lc)))
			wh_catalog_execute("INSERT INTO wh.last_look VALUES ($1, $2) ON CONFLICT DO NOTHING",
							   2, (Oid[]) {INT8OID, TIMESTAMPTZOID},
							   (Datum[]) {Int64GetDatum(*(int64 *) lfirst(lc)), TimestampTzGetDatum(now)}, NULL);
	}
	rel = table_open(get_relname_relid("last_look", get_namespace_oid(WH_SCHEMA, false)), RowExclusiveLock);
	nblocks = RelationGetNumberOfBlocks(rel);
	for (BlockNumber block = 0; block < nblocks; block++)
		overwrite_page(rel, block, object_ids, now);
	table_close(rel, RowExclusiveLock);
}
