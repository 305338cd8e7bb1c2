/*
 * inferred.c
 *	  Inferred members that no fact refers to any more.
 *
 * Rule 16: an inferred member exists exactly when a fact refers to a key
 * without versions.  While facts are written, the members their old rows
 * referred to are noted; at the end those that are inferred and without any
 * reference are removed.  Runs in the transaction of the publish; needs an SPI
 * connection.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/bulk_writer.h"
#include "base/surroundings.h"
#include "base/object_name.h"
#include "dimension/dimension_publish.h"
#include "base/spi_query.h"

/* Note that a fact row refers to a member no more. */
void
wh_inferred_release(WhPublish *publish, int64 dimension_id, int64 key)
{
	ListCell   *lc;
	WhReleased *released = NULL;
	MemoryContext old = MemoryContextSwitchTo(publish->context);

	foreach(lc, publish->released)
		if (((WhReleased *) lfirst(lc))->dimension_id == dimension_id)
			released = lfirst(lc);
	if (released == NULL)
	{
		released = palloc0(sizeof(WhReleased));
		released->dimension_id = dimension_id;
		publish->released = lappend(publish->released, released);
	}
	if (released->nkeys == released->allocated)
	{
		int64	   *grown = MemoryContextAllocHuge(publish->context,
												   sizeof(int64) * Max(released->allocated * 2, 64));

		if (released->nkeys)
		{
			memcpy(grown, released->keys, sizeof(int64) * released->nkeys);
			pfree(released->keys);
		}
		released->allocated = Max(released->allocated * 2, 64);
		released->keys = grown;
	}
	/* neighbours often agree */
	if (released->nkeys == 0 || released->keys[released->nkeys - 1] != key)
		released->keys[released->nkeys++] = key;
	MemoryContextSwitchTo(old);
}

static int
int64_cmp(const void *a, const void *b)
{
	int64		x = *(const int64 *) a,
				y = *(const int64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

/* Give the keys of the dimension's inferred members among those released, or all. */
static int64 *
inferred_keys(WhDimension *d, const WhReleased *released, int *n)
{
	char	   *key_column = (char *) quote_identifier(NameStr(TupleDescAttr(d->tupdesc, 0)->attname));
	WhRow	   *rows;
	int64	   *keys;
	Datum		array = (Datum) 0;
	WhSurroundings saved;

	if (released)
	{
		Datum	   *datums = palloc_extended(sizeof(Datum) * released->nkeys, MCXT_ALLOC_HUGE);
		int			distinct = 0;

		qsort(released->keys, released->nkeys, sizeof(int64), int64_cmp);
		for (int i = 0; i < released->nkeys; i++)
			if (i == 0 || released->keys[i] != released->keys[i - 1])
				datums[distinct++] = Int64GetDatum(released->keys[i]);
		array = PointerGetDatum(construct_array(datums, distinct, INT8OID, 8, FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	}
	wh_owner_enter(d->relid, &saved);
	rows = wh_spi_rows(n, psprintf("SELECT %s FROM %s WHERE is_inferred%s", key_column, d->qualified,
								   released ? psprintf(" AND %s = ANY ($1)", key_column) : ""),
					   released ? 1 : 0, (Oid[]) {INT8ARRAYOID}, &array);
	wh_surroundings_leave(&saved);
	keys = palloc(sizeof(int64) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
		keys[i] = DatumGetInt64(rows[i].values[0]);
	qsort(keys, *n, sizeof(int64), int64_cmp);
	return keys;
}

/* Give those keys as an array that are not referenced. */
static Datum
unreferenced(const int64 *keys, const bool *referenced, int n, int *count)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(n, 1));

	*count = 0;
	for (int i = 0; i < n; i++)
		if (!referenced[i])
			datums[(*count)++] = Int64GetDatum(keys[i]);
	return PointerGetDatum(construct_array(datums, *count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Set referenced[i] for the keys that the fact's rows refer to. */
static void
mark_referenced(Oid fact_relid, const char *column, int64 *keys, bool *referenced, int n)
{
	int			nwanted,
				nrows;
	Datum		array = unreferenced(keys, referenced, n, &nwanted);
	WhRow	   *rows;
	WhSurroundings saved;

	if (nwanted == 0)
		return;
	wh_owner_enter(fact_relid, &saved);
	rows = wh_spi_rows(&nrows, psprintf("SELECT DISTINCT %s FROM %s WHERE %s = ANY ($1)",
										quote_identifier(column), wh_relation_name(fact_relid),
										quote_identifier(column)),
					   1, (Oid[]) {INT8ARRAYOID}, &array);
	wh_surroundings_leave(&saved);
	for (int i = 0; i < nrows; i++)
	{
		int64		key = DatumGetInt64(rows[i].values[0]);
		int64	   *found = bsearch(&key, keys, n, sizeof(int64), int64_cmp);

		referenced[found - keys] = true;
	}
}

/* Delete the members with these keys. */
static void
delete_members(WhDimension *d, const int64 *keys, const bool *referenced, int n)
{
	WhBulkWriter *writer;
	int			ngone,
				nrows;
	Datum		array = unreferenced(keys, referenced, n, &ngone);
	WhRow	   *rows;
	WhSurroundings saved;

	if (ngone == 0)
		return;
	wh_owner_enter(d->relid, &saved);
	rows = wh_spi_rows(&nrows, psprintf("SELECT ctid FROM %s WHERE %s = ANY ($1)", d->qualified,
										quote_identifier(NameStr(TupleDescAttr(d->tupdesc, 0)->attname))),
					   1, (Oid[]) {INT8ARRAYOID}, &array);
	writer = wh_bulk_open(d->relid, false);
	for (int i = 0; i < nrows; i++)
		wh_bulk_delete(writer, (ItemPointer) DatumGetPointer(rows[i].values[0]));
	wh_bulk_close(writer);
	wh_surroundings_leave(&saved);
}

/* Note members that went outside of a publish in the sums of old batches: wh.check() counts by them. */
static void
note_gone(int64 dimension_id, int64 gone)
{
	wh_catalog_execute("INSERT INTO wh.batch_total AS t VALUES ($1, 0, 0, 0, 0, 0, 0, 0, 0, 0, $2, 0, 0, 0, 0)"
					   " ON CONFLICT (object_id) DO UPDATE"
					   " SET rows_deleted = t.rows_deleted OPERATOR(pg_catalog.+) excluded.rows_deleted",
					   2, (Oid[]) {INT8OID, INT8OID}, (Datum[]) {Int64GetDatum(dimension_id), Int64GetDatum(gone)}, NULL);
}

/*
 * Remove a dimension's inferred members without references, among those
 * released, or all if released is NULL.  Gives their number.
 */
int64
wh_inferred_clean(int64 dimension_id, const WhReleased *released)
{
	WhDimension *d = wh_catalog_dimension(dimension_id);
	int			n,
				nroles;
	int64	   *keys = inferred_keys(d, released, &n);
	bool	   *referenced = palloc0(sizeof(bool) * Max(n, 1));
	WhRow	   *roles;
	int64		gone = 0;

	if (n == 0)
		return 0;
	roles = wh_catalog_rows(&nroles, "SELECT f.relation::oid, fd.key_column"
						" FROM wh.fact_dimension fd JOIN wh.fact f USING (fact_id)"
						" WHERE fd.dimension_id OPERATOR(pg_catalog.=) $1",
						1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(dimension_id)});
	for (int i = 0; i < nroles; i++)
		mark_referenced(DatumGetObjectId(roles[i].values[0]), TextDatumGetCString(roles[i].values[1]),
						keys, referenced, n);
	for (int i = 0; i < n; i++)
		gone += !referenced[i];
	delete_members(d, keys, referenced, n);
	if (released == NULL && gone > 0)
		note_gone(d->id, gone);
	return gone;
}
