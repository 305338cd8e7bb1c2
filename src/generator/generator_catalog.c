/*
 * generator_catalog.c
 *	  Declares generators, and reads and writes their catalogs.
 *
 * Runs in the backend, in the caller's transaction; reading also in parallel
 * workers, and needs an SPI connection.  The catalogs are read and written as the owner of schema wh, so
 * that users need no rights on them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "generator/generator_catalog.h"
#include "metadata/catalog_user.h"

PG_FUNCTION_INFO_V1(wh_create_generator);
PG_FUNCTION_INFO_V1(wh_drop_generator);

/* Advisory lock of those who take a new batch number; see WH_FEED_LOCK_CLASS for the feeds' ones. */
#define BATCH_LOCK_CLASS 0x77680004

/* Read a table's generator; false when it has none. */
bool
wh_generator_fetch(Oid relid, WhDefinition *definition)
{
	Oid			types[] = {REGCLASSOID};
	Datum		args[] = {ObjectIdGetDatum(relid)};
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT columns, mutable_columns, updated_at, dirt, next_row FROM wh.generator WHERE relation = $1",
						lengthof(args), types, args))
		return false;
	definition->columns = DatumGetJsonbP(row.values[0]);
	definition->mutable_columns = DatumGetArrayTypeP(row.values[1]);
	definition->updated_at = row.isnull[2] ? NULL : TextDatumGetCString(row.values[2]);
	definition->dirt = DatumGetJsonbP(row.values[3]);
	definition->next_row = DatumGetInt64(row.values[4]);
	return true;
}

/* Write a table's generator; a new declaration keeps the state of the old one. */
static void
store(Oid relid, Jsonb *columns, ArrayType *mutable_columns, const char *updated_at, Jsonb *dirt, const char *key)
{
	Oid			types[] = {REGCLASSOID, JSONBOID, TEXTARRAYOID, TEXTOID, JSONBOID, TEXTOID};
	Datum		args[] = {ObjectIdGetDatum(relid), JsonbPGetDatum(columns), PointerGetDatum(mutable_columns),
		updated_at ? CStringGetTextDatum(updated_at) : (Datum) 0, JsonbPGetDatum(dirt),
	key ? CStringGetTextDatum(key) : (Datum) 0};
	char		nulls[] = {' ', ' ', ' ', updated_at ? ' ' : 'n', ' ', key ? ' ' : 'n', '\0'};

	(void) wh_catalog_execute("INSERT INTO wh.generator (relation, columns, mutable_columns, updated_at, dirt, key)"
							  " VALUES ($1, $2, $3, $4, $5, $6)"
							  " ON CONFLICT (relation) DO UPDATE SET columns = excluded.columns,"
							  " mutable_columns = excluded.mutable_columns, updated_at = excluded.updated_at,"
							  " dirt = excluded.dirt, key = excluded.key",
							  lengthof(args), types, args, nulls);
}

/*
 * Return the number of the batch to use: the newest to link in, else a new one,
 * which nobody else gets: others wait for the end of the transaction.
 */
int
wh_generator_next_batch(bool link_parent)
{
	LOCKTAG		tag;
	WhRow		row;
	int			newest = 0;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, BATCH_LOCK_CLASS, 0, WH_LOCK_FIELD);
	if (!link_parent)
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	/* With a snapshot that sees what was committed before the lock. */
	if (wh_catalog_row(&row, "SELECT coalesce(max(batch_id), 0) FROM wh.generator_batch", 0, NULL, NULL))
		newest = DatumGetInt32(row.values[0]);
	if (link_parent && newest > 0)
		return newest;
	if (newest == PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("there is no batch number after %d", newest),
				 errhint("Name one by batch_id.")));
	return Max(newest, 0) + 1;
}

/* Log what a request did, and where the next one goes on. */
void
wh_generator_log(const WhRequest *request, const WhResult *result, int64 next_row)
{
	Oid			types[] = {INT4OID, REGCLASSOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPOID,
	TIMESTAMPOID, JSONBOID};
	Datum		args[] = {Int32GetDatum(request->batch_id), ObjectIdGetDatum(request->relid),
		Int64GetDatum(request->seed), Int64GetDatum(result->inserted), Int64GetDatum(result->updated),
		Int64GetDatum(result->first_key), Int64GetDatum(result->last_key), TimestampGetDatum(request->window_from),
	TimestampGetDatum(request->window_to), JsonbPGetDatum(result->dirt)};
	char		key = result->has_keys ? ' ' : 'n';
	char		window = request->has_window ? ' ' : 'n';
	char		nulls[] = {' ', ' ', ' ', ' ', ' ', key, key, window, window, ' ', '\0'};
	Oid			next_types[] = {REGCLASSOID, INT8OID};
	Datum		next_args[] = {ObjectIdGetDatum(request->relid), Int64GetDatum(next_row)};

	/* Another transaction may have taken the step meanwhile: look again. */
	while (wh_catalog_execute("INSERT INTO wh.generator_batch (batch_id, step, relation, seed, inserted, updated, first_key,"
							  " last_key, time_from, time_to, dirt)"
							  " SELECT $1, coalesce(max(step), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
							  " FROM wh.generator_batch WHERE batch_id = $1 ON CONFLICT DO NOTHING",
							  lengthof(args), types, args, nulls) == 0)
		;
	(void) wh_catalog_execute("UPDATE wh.generator SET next_row = $2 WHERE relation = $1",
							  lengthof(next_args), next_types, next_args, NULL);
}

/* Raise an error when a whole row cannot come twice. */
static void
check_duplicates(Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		bool		is_unique = HeapTupleIsValid(tuple) && ((Form_pg_index) GETSTRUCT(tuple))->indisunique;

		if (HeapTupleIsValid(tuple))
			ReleaseSysCache(tuple);
		if (is_unique)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("relation \"%s\" cannot have duplicate rows", RelationGetRelationName(relation)),
					 errdetail("Its index \"%s\" is unique.", get_rel_name(lfirst_oid(cell))),
					 errhint("Leave out the fault duplicate, or generate into a table without keys.")));
	}
}

/* wh.create_generator(relation, columns, mutable_columns, updated_at, dirt) */
Datum
wh_create_generator(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Jsonb	   *columns;
	Relation	relation;
	WhGenerator *generator;
	WhRequest	request;
	char	   *updated_at = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));

	for (int i = 0; i < 5; i++)
		if (i != 3 && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("only updated_at may be null")));
	relid = PG_GETARG_OID(0);
	wh_relation_check_exists(relid);
	columns = PG_GETARG_JSONB_P(1);
	relation = table_open(relid, ShareRowExclusiveLock);
	if (relation->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a plain table", RelationGetRelationName(relation)),
				 errhint("Generate into a plain table, and copy the rows from there.")));
	if (IsCatalogRelation(relation))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" is a system catalog", RelationGetRelationName(relation)),
				 errhint("Generate into a table of your own.")));
	if (!wh_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, RelationGetRelationName(relation));
	memset(&request, 0, sizeof(request));
	request.relid = relid;
	generator = wh_generator_compile(relation, columns, PG_GETARG_ARRAYTYPE_P(2), updated_at,
									 PG_GETARG_JSONB_P(4), &request);
	if (generator->duplicate_share)
		check_duplicates(relation);
	SPI_connect();
	store(relid, columns, PG_GETARG_ARRAYTYPE_P(2), updated_at, PG_GETARG_JSONB_P(4),
		  generator->key && !generator->key->is_hidden ? generator->key->name : NULL);
	SPI_finish();
	MemoryContextDelete(generator->context);
	table_close(relation, NoLock);
	PG_RETURN_VOID();
}

/* wh.drop_generator(relation); of a table that is gone, anyone may. */
Datum
wh_drop_generator(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	char	   *name = get_rel_name(relid);
	Oid			types[1] = {REGCLASSOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	if (name && !wh_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	SPI_connect();
	if (wh_catalog_execute("DELETE FROM wh.generator WHERE relation = $1", 1, types, values, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" has no generator", name ? name : psprintf("%u", relid))));
	SPI_finish();
	PG_RETURN_VOID();
}
