/*
 * generator_run.c
 *	  wh.generate: makes new rows and changes existing ones, in one transaction.
 *
 * Runs in the backend, in the caller's transaction.  Takes SHARE ROW EXCLUSIVE
 * on the table, and on tables its foreign keys point to.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "common/int.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/object_name.h"
#include "generator/generator_catalog.h"
#include "generator/generator_group.h"
#include "generator/generator_update.h"
#include "generator/generator_write.h"

PG_FUNCTION_INFO_V1(wh_generate);

#define MAX_WORKERS 64

/* Raise an error when the table has what bulk writing cannot honour. */
static void
check_relation(Relation relation)
{
	TriggerDesc *triggers = relation->trigdesc;
	char	   *name = RelationGetRelationName(relation);

	if (check_enable_rls(RelationGetRelid(relation), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of relation \"%s\" cannot be generated: it has row-level security", name)));
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgisinternal || trigger->tgenabled == TRIGGER_DISABLED || !TRIGGER_FOR_INSERT(trigger->tgtype))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rows of relation \"%s\" cannot be generated: bulk writing does not fire its trigger \"%s\"",
						name, trigger->tgname),
				 errhint("Disable the trigger, or generate into another table and copy from there.")));
	}
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
		if (triggers->triggers[i].tgisinternal && triggers->triggers[i].tgdeferrable &&
			OidIsValid(triggers->triggers[i].tgconstrindid) && !OidIsValid(triggers->triggers[i].tgconstrrelid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("rows of relation \"%s\" cannot be generated: it has a deferrable unique constraint",
							name)));
}

/*
 * Return the table's foreign keys.  One that points to a partitioned table has
 * entries of its own for the partitions, which no row has to obey.
 */
static List *
foreign_keys(Relation relation)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, copyObject(RelationGetFKeyList(relation)))
	{
		ForeignKeyCacheInfo *key = lfirst(cell);
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(key->conoid));
		HeapTuple	parent = NULL;

		if (HeapTupleIsValid(tuple))
		{
			parent = SearchSysCache1(CONSTROID, ObjectIdGetDatum(((Form_pg_constraint) GETSTRUCT(tuple))->conparentid));
			ReleaseSysCache(tuple);
		}
		if (!HeapTupleIsValid(parent) || ((Form_pg_constraint) GETSTRUCT(parent))->conrelid != key->conrelid)
			result = lappend(result, key);
		if (HeapTupleIsValid(parent))
			ReleaseSysCache(parent);
	}
	return result;
}

/* Lock the tables that foreign keys point to, so that the check of new rows holds. */
static void
lock_referenced(Relation relation)
{
	ListCell   *cell;

	foreach(cell, foreign_keys(relation))
	{
		ForeignKeyCacheInfo *key = lfirst(cell);

		LockRelationOid(key->confrelid, ShareRowExclusiveLock);
		if (get_rel_relkind(key->confrelid) == RELKIND_PARTITIONED_TABLE)
			(void) find_all_inheritors(key->confrelid, ShareRowExclusiveLock, NULL);
	}
}

/*
 * Check the new rows against the foreign keys; condition picks them.  Looks at
 * what is in the other tables now, not at what the transaction's snapshot shows.
 */
static void
check_foreign_keys(Relation relation, const char *condition)
{
	ListCell   *cell;

	foreach(cell, foreign_keys(relation))
	{
		ForeignKeyCacheInfo *key = lfirst(cell);
		bool		is_partitioned = get_rel_relkind(key->confrelid) == RELKIND_PARTITIONED_TABLE;
		StringInfoData sql;

		initStringInfo(&sql);
		appendStringInfo(&sql, "SELECT 1 FROM ONLY %s n WHERE %s",
						 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
													RelationGetRelationName(relation)), condition);
		for (int i = 0; i < key->nkeys; i++)
			appendStringInfo(&sql, " AND n.%s IS NOT NULL",
							 quote_identifier(get_attname(key->conrelid, key->conkey[i], false)));
		appendStringInfo(&sql, " AND NOT EXISTS (SELECT 1 FROM %s%s r WHERE ", is_partitioned ? "" : "ONLY ",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(key->confrelid)),
													get_rel_name(key->confrelid)));
		for (int i = 0; i < key->nkeys; i++)
			appendStringInfo(&sql, "%sn.%s = r.%s", i ? " AND " : "",
							 quote_identifier(get_attname(key->conrelid, key->conkey[i], false)),
							 quote_identifier(get_attname(key->confrelid, key->confkey[i], false)));
		appendStringInfoString(&sql, ") LIMIT 1");
		PushActiveSnapshot(GetLatestSnapshot());
		if (SPI_execute(sql.data, true, 1) != SPI_OK_SELECT)
			elog(ERROR, "checking a foreign key failed");
		PopActiveSnapshot();
		if (SPI_processed > 0)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("generated rows of relation \"%s\" violate foreign key constraint \"%s\"",
							RelationGetRelationName(relation), get_constraint_name(key->conoid)),
					 errhint("Declare the column with kind \"reference\" or \"parent\".")));
	}
}

/* Raise an error because rows would get keys that their column cannot hold. */
static void
keys_end(WhGenerator *generator)
{
	WhColumn   *key = generator->key;

	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 key ? errmsg("too many rows: their keys do not fit column \"%s\" of type %s", key->name,
						  format_type_with_typemod(key->type, key->typmod)) :
			 errmsg("too many rows"),
			 errhint("Generate fewer rows, or widen the type of the key.")));
}

/* Raise an error when the rows to come have numbers, or keys, beyond what there is. */
static void
check_numbers(WhGenerator *generator)
{
	WhColumn   *key = generator->key;
	int64		last_row;
	int64		last_key;

	if (pg_add_s64_overflow(generator->request.first_row, generator->request.rows, &last_row))
		keys_end(generator);
	last_row--;
	if (key && (pg_mul_s64_overflow(last_row - 1, generator->key_step, &last_key) ||
				pg_add_s64_overflow(last_key, generator->key_start, &last_key) ||
				(key->target == WH_TARGET_INT2 && last_key > PG_INT16_MAX) ||
				(key->target == WH_TARGET_INT4 && last_key > PG_INT32_MAX)))
		keys_end(generator);
}

/* Return the key of a row, or the highest number when it has none. */
static int64
key_of_row(WhGenerator *generator, int64 row)
{
	int64		key;

	if (pg_mul_s64_overflow(row - 1, generator->key_step, &key) ||
		pg_add_s64_overflow(key, generator->key_start, &key))
		return PG_INT64_MAX;
	return key;
}

/* Return the number of the row after the highest key in the table. */
static int64
next_row(WhGenerator *generator, int64 stored)
{
	bool		isnull;
	Datum		value;
	int64		result = stored;

	if (generator->key == NULL || generator->key->is_hidden)
		return stored;
	SPI_execute(psprintf("SELECT pg_catalog.max(%s)::pg_catalog.int8 FROM ONLY %s",
						 quote_identifier(generator->key->name),
						 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(generator->relation)),
													RelationGetRelationName(generator->relation))), true, 0);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull && DatumGetInt64(value) >= generator->key_start)
	{
		int64		next;

		if (pg_sub_s64_overflow(DatumGetInt64(value), generator->key_start, &next) ||
			pg_add_s64_overflow(next / generator->key_step, 2, &next))
			keys_end(generator);
		result = Max(stored, next);
	}
	return result;
}

/* Insert the rows of the request, which is complete now. */
static void
insert_rows(WhGenerator *generator, int workers, WhResult *result)
{
	WhRequest  *request = &generator->request;
	char	   *condition;

	result->inserted = wh_generator_write(generator, workers);
	CommandCounterIncrement();
	if (generator->key && !generator->key->is_hidden)
	{
		result->has_keys = true;
		result->first_key = key_of_row(generator, request->first_row);
		result->last_key = key_of_row(generator, request->first_row + request->rows - 1);
		condition = psprintf("n.%s BETWEEN " INT64_FORMAT " AND " INT64_FORMAT,
							 quote_identifier(generator->key->name), result->first_key, result->last_key);
	}
	else
		condition = psprintf("n.xmin = '%u'::pg_catalog.xid", GetCurrentTransactionId());
	check_foreign_keys(generator->relation, condition);
}

/* Compile the generator of a table for a request, as the table's owner. */
static WhGenerator *
open_generator(Relation relation, WhDefinition *definition, const WhRequest *request)
{
	WhGenerator *generator = wh_generator_compile(relation, definition->columns, definition->mutable_columns,
												  definition->updated_at, definition->dirt, request);
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr && i < constr->num_check; i++)
		if (!wh_generator_is_safe_in_workers(stringToNode(constr->check[i].ccbin)))
			generator->is_parallel_safe = false;
	return generator;
}

static void
check_argument(bool ok, const char *message)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", message)));
}

/*
 * wh.generate(relation, inserts, updates, link_parent, batch_id, seed, workers,
 * time_from, time_to)
 */
Datum
wh_generate(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0);
	int64		inserts = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	int64		updates = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT64(2);
	bool		link_parent = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	int			workers = PG_ARGISNULL(6) ? 1 : PG_GETARG_INT32(6);
	WhRequest	request;
	WhDefinition definition;
	WhResult	result;
	WhGenerator *generator;
	MemoryContext caller = CurrentMemoryContext;
	Oid			user;
	int			sec_context;
	Relation	relation;
	TupleDesc	tupdesc;
	Datum		values[6];
	bool		nulls[6] = {false};
	int64		next;

	check_argument(!PG_ARGISNULL(0), "relation must not be null");
	wh_relation_check_exists(relid);
	check_argument(inserts >= 0 && updates >= 0, "inserts and updates must not be negative");
	check_argument(workers >= 1 && workers <= MAX_WORKERS, "workers must be between 1 and 64");
	check_argument(PG_ARGISNULL(7) == PG_ARGISNULL(8), "time_from and time_to go together");
	memset(&request, 0, sizeof(request));
	memset(&result, 0, sizeof(result));
	request.relid = relid;
	request.seed = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	if (!PG_ARGISNULL(7))
	{
		request.has_window = true;
		request.window_from = PG_GETARG_TIMESTAMP(7);
		request.window_to = PG_GETARG_TIMESTAMP(8);
		check_argument(!TIMESTAMP_NOT_FINITE(request.window_from) && !TIMESTAMP_NOT_FINITE(request.window_to) &&
					   request.window_from < request.window_to, "time_to must be after time_from, both finite");
	}
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PreventCommandIfReadOnly("wh.generate()");
	if (IsInParallelMode())
		elog(ERROR, "wh.generate cannot run in a parallel operation");

	SPI_connect();
	/* Before the table's lock, so that those who wait for a number hold nothing. */
	request.batch_id = PG_ARGISNULL(4) ? wh_generator_next_batch(link_parent) : PG_GETARG_INT32(4);
	relation = table_open(relid, ShareRowExclusiveLock);
	if (inserts > 0 && pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
	if (updates > 0 && pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(relation));
	/* See what was committed before the lock was granted. */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!wh_generator_fetch(relid, &definition))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" has no generator", RelationGetRelationName(relation)),
				 errhint("Declare one with wh.create_generator.")));
	if (relation->rd_rel->relkind != RELKIND_RELATION)
		elog(ERROR, "relation \"%s\" is not a plain table", RelationGetRelationName(relation));
	PopActiveSnapshot();

	/* Expressions run as the table's owner, as its defaults and constraints would for him. */
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	if (inserts > 0)
	{
		check_relation(relation);
		lock_referenced(relation);
	}
	/* The same for the locks on other tables. */
	PushActiveSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();

	request.rows = inserts;
	request.per_parent = link_parent ? inserts : 0;
	request.first_row = 1;
	generator = open_generator(relation, &definition, &request);
	next = next_row(generator, definition.next_row);
	generator->request.first_row = next;
	if (link_parent && inserts > 0 &&
		pg_mul_s64_overflow(inserts, wh_generator_count_parents(generator), &generator->request.rows))
		check_argument(false, "too many rows");
	if (generator->request.rows > 0)
		check_numbers(generator);
	if (updates > 0)
		result.updated = wh_generator_update(generator, updates, key_of_row(generator, next));
	if (generator->request.rows > 0)
	{
		/* Updates left new row versions; the rows to come must see them. */
		CommandCounterIncrement();
		UpdateActiveSnapshotCommandId();
		insert_rows(generator, workers, &result);
		next += generator->request.rows;
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(caller);
	result.dirt = wh_generator_dirt_report(generator);
	SetUserIdAndSecContext(user, sec_context);
	wh_generator_log(&generator->request, &result, next);

	values[0] = Int32GetDatum(request.batch_id);
	values[1] = Int64GetDatum(result.inserted);
	values[2] = Int64GetDatum(result.updated);
	values[3] = Int64GetDatum(result.first_key);
	values[4] = Int64GetDatum(result.last_key);
	values[5] = JsonbPGetDatum(result.dirt);
	nulls[3] = nulls[4] = !result.has_keys;
	MemoryContextDelete(generator->context);
	SPI_finish();
	table_close(relation, NoLock);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
