/*
 * query_staged.c
 *	  What the catalog wh.feed says of the relations a query reads.
 *
 * Runs in the process that analyses a query, in its transaction.  Takes
 * AccessShareLock on wh.feed and keeps it to the end of the transaction.
 * Reads the table itself, not by SQL: whoever may use a function of the
 * extension may have a query analysed, without rights on the catalog.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "query/query_internal.h"

/* Fetch a column of a row of wh.feed by name. */
static Datum
feed_column(HeapTuple tuple, Relation feed, const char *name, bool *isnull)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(feed), name);

	if (attno == InvalidAttrNumber)
		elog(ERROR, "catalog wh.feed has no column \"%s\"", name);
	return heap_getattr(tuple, attno, RelationGetDescr(feed), isnull);
}

/* Return every feed as a list of StagedRelation. */
List *
wh_query_read_feeds(void)
{
	List	   *result = NIL;
	Oid			feed_oid = get_relname_relid("feed", get_namespace_oid(WH_SCHEMA, false));
	Relation	feed = table_open(feed_oid, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan = systable_beginscan(feed, InvalidOid, false, snapshot, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		StagedRelation *s = palloc0(sizeof(StagedRelation));
		bool		isnull;
		Datum		value;
		Datum	   *names;
		int			nnames;

		s->feed_id = DatumGetInt64(feed_column(tuple, feed, "feed_id", &isnull));
		s->relation = DatumGetObjectId(feed_column(tuple, feed, "relation", &isnull));
		value = feed_column(tuple, feed, "history", &isnull);
		s->history = isnull ? InvalidOid : DatumGetObjectId(value);
		value = feed_column(tuple, feed, "key", &isnull);
		deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL, &nnames);
		for (int i = 0; i < nnames; i++)
			s->key = lappend(s->key, TextDatumGetCString(names[i]));
		result = lappend(result, s);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(feed, NoLock);
	return result;
}

/* Find the feed of a relation and how the relation stands to it; NULL: a lookup. */
StagedRelation *
wh_query_find_staged(List *staged, Oid relid, WhInputKind *kind)
{
	ListCell   *lc;

	foreach(lc, staged)
	{
		StagedRelation *s = lfirst(lc);

		if (s->relation == relid)
		{
			*kind = OidIsValid(s->history) ? WH_INPUT_HISTORY : WH_INPUT_EVENT;
			return s;
		}
		if (s->history == relid)
		{
			*kind = WH_INPUT_VERSIONS;
			return s;
		}
	}
	*kind = WH_INPUT_LOOKUP;
	return NULL;
}
