/*
 * query_hints.c
 *	  Notes which indexes the SQL of a plan wants and does not have.
 *
 * Runs in the process that analyses a query; takes AccessShareLock on
 * relations whose indexes it looks at, to the end of the transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "query/query_internal.h"

/* Return the relation that an index for a leaf would be on. */
Oid
wh_query_indexed_relation(QueryLeaf *leaf)
{
	return leaf->kind == WH_INPUT_HISTORY ? leaf->history : leaf->relid;
}

/* Tell if a valid index starts with the columns, in any order. */
static bool
index_exists(Oid relid, List *columns)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		found = false;
	ListCell   *lc,
			   *ln;

	foreach(lc, RelationGetIndexList(rel))
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);
		int			n = list_length(columns);
		bool		all = index->indisvalid && index->indnkeyatts >= n &&
			heap_attisnull(tuple, Anum_pg_index_indpred, NULL);

		for (int i = 0; i < n && all; i++)
		{
			AttrNumber	attno = index->indkey.values[i];
			bool		has = false;

			foreach(ln, columns)
				has |= attno > 0 && strcmp(get_attname(relid, attno, false), lfirst(ln)) == 0;
			all = has;
		}
		found |= all;
		ReleaseSysCache(tuple);
	}
	table_close(rel, NoLock);
	return found;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* Note that lookups by these terms (plain columns of the leaf) want an index. */
void
wh_query_add_hint(List **hints, QueryLeaf *leaf, List *terms)
{
	WhIndexHint *hint;
	List	   *columns = NIL;
	ListCell   *lc;

	if (leaf->kind == WH_INPUT_LOOKUP)
		return;
	foreach(lc, terms)
	{
		QueryTerm  *term = lfirst(lc);
		char	   *name;

		if (term->leaf != leaf->id || !IsA(term->expr, Var))
			continue;
		name = get_attname(leaf->relid, ((Var *) term->expr)->varattno, false);
		if (!list_member(columns, makeString(name)))
			columns = lappend(columns, makeString(name));
	}
	if (columns == NIL)
		return;
	foreach(lc, columns)
		lfirst(lc) = strVal(lfirst(lc));
	list_sort(columns, compare_names);
	foreach(lc, *hints)
	{
		WhIndexHint *h = lfirst(lc);
		ListCell   *a,
				   *b;
		bool		same = h->relid == wh_query_indexed_relation(leaf) && list_length(h->columns) == list_length(columns);

		if (same)
			forboth(a, h->columns, b, columns)
				same &= strcmp(lfirst(a), lfirst(b)) == 0;
		if (same)
			return;
	}
	if (index_exists(wh_query_indexed_relation(leaf), columns))
		return;
	hint = palloc(sizeof(WhIndexHint));
	hint->relid = wh_query_indexed_relation(leaf);
	hint->columns = columns;
	*hints = lappend(*hints, hint);
}
