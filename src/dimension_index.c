/*
 * dimension_index.c
 *	  The indexes of a dimension's table: its primary key, and the unique index
 *	  on (natural key, effective_from).
 *
 * Both are made at the end of the first publish, which so needs not keep them
 * row by row.  Making one keeps no reader waiting, as REINDEX or ALTER TABLE
 * would.  Runs in the transaction of the publish; takes ShareLock on the table
 * when it makes an index.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "dimension_splice.h"
#include "spi_query.h"

/* Give the unique index on (natural key, effective_from), or InvalidOid. */
Oid
wh_dimension_index(const WhDimension *d)
{
	Relation	rel = table_open(d->relid, AccessShareLock);
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;
	Oid			result = InvalidOid;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		fits = index->rd_index->indisunique && index->rd_index->indisvalid &&
			index->rd_index->indnkeyatts == d->nkey + 1 &&
			index->rd_index->indkey.values[d->nkey] == d->effective_from;

		for (int i = 0; i < d->nkey && fits; i++)
			fits = index->rd_index->indkey.values[i] == d->key[i];
		index_close(index, AccessShareLock);
		if (fits)
			result = lfirst_oid(lc);
	}
	list_free(indexes);
	table_close(rel, NoLock);
	return result;
}

/* Say whether the table has its primary key. */
static bool
has_primary_key(const WhDimension *d)
{
	Relation	rel = table_open(d->relid, AccessShareLock);
	bool		result = OidIsValid(RelationGetPrimaryKeyIndex(rel));

	table_close(rel, NoLock);
	return result;
}

/* Make the primary key, as ALTER TABLE does, but without its lock that excludes readers. */
static void
make_primary_key(const WhDimension *d)
{
	IndexStmt  *stmt = makeNode(IndexStmt);
	IndexElem  *column = makeNode(IndexElem);

	column->name = pstrdup(NameStr(TupleDescAttr(d->tupdesc, 0)->attname));
	stmt->relation = makeRangeVar(get_namespace_name(get_rel_namespace(d->relid)), get_rel_name(d->relid), -1);
	stmt->accessMethod = pstrdup(DEFAULT_INDEX_TYPE);
	stmt->indexParams = list_make1(column);
	stmt->unique = true;
	stmt->primary = true;
	stmt->isconstraint = true;
	wh_define_index(d->relid, stmt);
	CommandCounterIncrement();
}

/*
 * Make the table's indexes unless they are there: at the end of the first
 * publish.  Needs an SPI connection.
 */
void
wh_dimension_ensure_indexes(const WhDimension *d)
{
	StringInfoData sql;

	if (OidIsValid(wh_dimension_index(d)))
		return;
	if (!has_primary_key(d))
		make_primary_key(d);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s (", d->qualified);
	for (int k = 0; k < d->nkey; k++)
		appendStringInfo(&sql, "%s, ", quote_identifier(d->key_name[k]));
	appendStringInfoString(&sql, "effective_from)");
	wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
}
