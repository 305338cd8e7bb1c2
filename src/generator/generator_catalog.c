/*
 * generator_catalog.c
 *	  Declares generators, and reads and writes their catalogs.
 *
 * Runs in the backend, in the caller's transaction; reading also in parallel
 * workers.  The catalogs are read and written as the owner of schema wh, so
 * that users need no rights on them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
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

#include "generator/generator_catalog.h"

PG_FUNCTION_INFO_V1(wh_create_generator);
PG_FUNCTION_INFO_V1(wh_drop_generator);

/* Advisory lock of those who take a new batch number; see WH_FEED_LOCK_CLASS for the feeds' ones. */
#define BATCH_LOCK_CLASS 0x77680004

/* Take on another identity; give it back with wh_generator_come_back. */
void
wh_generator_become(Oid user, int context, WhIdentity *identity)
{
	GetUserIdAndSecContext(&identity->user, &identity->context);
	SetUserIdAndSecContext(user, identity->context | context);
}

/* Take on the identity of the owner of schema wh. */
void
wh_generator_become_owner(WhIdentity *identity)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum(WH_SCHEMA));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "schema \"%s\" does not exist", WH_SCHEMA);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	wh_generator_become(owner, SECURITY_LOCAL_USERID_CHANGE, identity);
}

void
wh_generator_come_back(const WhIdentity *identity)
{
	SetUserIdAndSecContext(identity->user, identity->context);
}

static void
connect_spi(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

static void
execute(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls, bool read_only, int expected)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, nulls, read_only, 0);

	if (result != expected)
		elog(ERROR, "\"%s\" failed: %s", sql, SPI_result_code_string(result));
}

/* Read a table's generator; false when it has none. */
bool
wh_generator_fetch(Oid relid, WhDefinition *definition)
{
	MemoryContext caller = CurrentMemoryContext;
	WhIdentity	identity;
	Oid			types[1] = {REGCLASSOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	bool		found;

	memset(definition, 0, sizeof(*definition));
	wh_generator_become_owner(&identity);
	connect_spi();
	execute("SELECT columns, mutable_columns, updated_at, dirt, next_row FROM wh.generator WHERE relation = $1",
			1, types, values, NULL, true, SPI_OK_SELECT);
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		MemoryContext old_context = MemoryContextSwitchTo(caller);
		bool		isnull;
		Datum		value;

		definition->columns = DatumGetJsonbPCopy(SPI_getbinval(tuple, tupdesc, 1, &isnull));
		definition->mutable_columns = DatumGetArrayTypePCopy(SPI_getbinval(tuple, tupdesc, 2, &isnull));
		value = SPI_getbinval(tuple, tupdesc, 3, &isnull);
		definition->updated_at = isnull ? NULL : TextDatumGetCString(value);
		definition->dirt = DatumGetJsonbPCopy(SPI_getbinval(tuple, tupdesc, 4, &isnull));
		definition->next_row = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 5, &isnull));
		MemoryContextSwitchTo(old_context);
	}
	SPI_finish();
	wh_generator_come_back(&identity);
	return found;
}

/* Write a table's generator; a new declaration keeps the state of the old one. */
void
wh_generator_store(Oid relid, Jsonb *columns, ArrayType *mutable_columns, const char *updated_at, Jsonb *dirt,
				   const char *key)
{
	WhIdentity	identity;
	Oid			types[6] = {REGCLASSOID, JSONBOID, TEXTARRAYOID, TEXTOID, JSONBOID, TEXTOID};
	Datum		values[6] = {ObjectIdGetDatum(relid), JsonbPGetDatum(columns), PointerGetDatum(mutable_columns), 0,
	JsonbPGetDatum(dirt), 0};
	char		nulls[6] = {' ', ' ', ' ', updated_at ? ' ' : 'n', ' ', key ? ' ' : 'n'};

	if (updated_at)
		values[3] = CStringGetTextDatum(updated_at);
	if (key)
		values[5] = CStringGetTextDatum(key);
	wh_generator_become_owner(&identity);
	connect_spi();
	execute("INSERT INTO wh.generator (relation, columns, mutable_columns, updated_at, dirt, key)"
			" VALUES ($1, $2, $3, $4, $5, $6)"
			" ON CONFLICT (relation) DO UPDATE SET columns = excluded.columns,"
			" mutable_columns = excluded.mutable_columns, updated_at = excluded.updated_at,"
			" dirt = excluded.dirt, key = excluded.key",
			6, types, values, nulls, false, SPI_OK_INSERT);
	SPI_finish();
	wh_generator_come_back(&identity);
}

/*
 * Return the number of the batch to use: the newest to link in, else a new one,
 * which nobody else gets: others wait for the end of the transaction.
 */
int
wh_generator_next_batch(bool link_parent)
{
	WhIdentity	identity;
	LOCKTAG		tag;
	bool		isnull;
	int			newest;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, BATCH_LOCK_CLASS, 0, WH_LOCK_FIELD);
	if (!link_parent)
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	wh_generator_become_owner(&identity);
	connect_spi();
	/* Not read only: with a snapshot that sees what was committed before the lock. */
	execute("SELECT coalesce(pg_catalog.max(batch_id), 0) FROM wh.generator_batch", 0, NULL, NULL, NULL, false,
			SPI_OK_SELECT);
	newest = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	wh_generator_come_back(&identity);
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
	WhIdentity	identity;
	Oid			types[10] = {INT4OID, REGCLASSOID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPOID,
	TIMESTAMPOID, JSONBOID};
	Datum		values[10] = {Int32GetDatum(request->batch_id), ObjectIdGetDatum(request->relid),
		Int64GetDatum(request->seed), Int64GetDatum(result->inserted), Int64GetDatum(result->updated),
		Int64GetDatum(result->first_key), Int64GetDatum(result->last_key), TimestampGetDatum(request->window_from),
	TimestampGetDatum(request->window_to), JsonbPGetDatum(result->dirt)};
	char		nulls[10];
	Oid			next_types[2] = {REGCLASSOID, INT8OID};
	Datum		next_values[2] = {ObjectIdGetDatum(request->relid), Int64GetDatum(next_row)};

	memset(nulls, ' ', sizeof(nulls));
	if (!result->has_keys)
		nulls[5] = nulls[6] = 'n';
	if (!request->has_window)
		nulls[7] = nulls[8] = 'n';
	wh_generator_become_owner(&identity);
	connect_spi();
	/* Another transaction may have taken the step meanwhile: look again. */
	do
		execute("INSERT INTO wh.generator_batch (batch_id, step, relation, seed, inserted, updated, first_key, last_key,"
				" time_from, time_to, dirt) SELECT $1, coalesce(pg_catalog.max(step), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10"
				" FROM wh.generator_batch WHERE batch_id = $1 ON CONFLICT DO NOTHING",
				10, types, values, nulls, false, SPI_OK_INSERT);
	while (SPI_processed == 0);
	execute("UPDATE wh.generator SET next_row = $2 WHERE relation = $1", 2, next_types, next_values, NULL, false,
			SPI_OK_UPDATE);
	SPI_finish();
	wh_generator_come_back(&identity);
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
	wh_generator_store(relid, columns, PG_GETARG_ARRAYTYPE_P(2), updated_at, PG_GETARG_JSONB_P(4),
					   generator->key && !generator->key->is_hidden ? generator->key->name : NULL);
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
	WhIdentity	identity;
	uint64		deleted;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("relation must not be null")));
	if (name && !wh_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	wh_generator_become_owner(&identity);
	connect_spi();
	execute("DELETE FROM wh.generator WHERE relation = $1", 1, types, values, NULL, false, SPI_OK_DELETE);
	deleted = SPI_processed;
	SPI_finish();
	wh_generator_come_back(&identity);
	if (deleted == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" has no generator", name ? name : psprintf("%u", relid))));
	PG_RETURN_VOID();
}
