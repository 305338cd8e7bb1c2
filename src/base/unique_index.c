/*
 * unique_index.c
 *	  The unique index of one of the engine's tables.
 *
 * Users may add indexes to these tables.  The engine's own is told from the
 * catalog entry: a B-tree over exactly the columns asked for, in this order and
 * in their types' default comparison, unique for all rows, at once and valid.
 * Another one that fulfils all of it serves as well.  Runs in the caller's
 * transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "base/unique_index.h"

/* Say whether an index is a whole one over the columns; opclasses and collations included. */
static bool
fits(Relation table, Relation index, const AttrNumber *attnums, int n)
{
	Form_pg_index form = index->rd_index;
	oidvector  *classes;
	bool		isnull;

	if (!form->indisunique || !form->indisvalid || !form->indisready || !form->indimmediate ||
		form->indnkeyatts != n || index->rd_rel->relam != BTREE_AM_OID ||
		RelationGetIndexPredicate(index) != NIL || RelationGetIndexExpressions(index) != NIL)
		return false;
	classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, index->rd_indextuple,
															Anum_pg_index_indclass, &isnull));
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att;

		if (form->indkey.values[i] != attnums[i])
			return false;
		att = TupleDescAttr(RelationGetDescr(table), attnums[i] - 1);
		if (index->rd_indcollation[i] != att->attcollation ||
			classes->values[i] != GetDefaultOpClass(att->atttypid, BTREE_AM_OID))
			return false;
	}
	return true;
}

/*
 * Give the unique index on exactly these columns, or InvalidOid.  It is locked
 * in AccessShare mode, until the end of the transaction.
 */
Oid
wh_unique_index(Relation table, const AttrNumber *attnums, int n)
{
	List	   *indexes = RelationGetIndexList(table);
	ListCell   *lc;
	Oid			result = InvalidOid;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		found = fits(table, index, attnums, n);

		index_close(index, found ? NoLock : AccessShareLock);
		if (found)
		{
			result = lfirst_oid(lc);
			break;
		}
	}
	list_free(indexes);
	return result;
}
