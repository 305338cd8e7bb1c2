/*
 * generator_group.c
 *	  Reads the rows that references and parents take their values from.
 *
 * The backend reads what the generator needs of the other tables once, with
 * the snapshot of the statement, into memory; workers get it from there.  What
 * needs no query is read by a plain scan of the table, in half the time.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "generator/generator_catalog.h"
#include "generator/generator_group.h"
#include "metadata/catalog_user.h"

/* The keys of the parents made in the batch. */
typedef struct KeyRanges
{
	char	   *column;
	int			count;
	int64	   *first;
	int64	   *last;
	double		keys;			/* all together */
} KeyRanges;

/* Takes the rows of a query into a group. */
typedef struct QueryReceiver
{
	DestReceiver pub;
	WhGroupReceiver *receiver;
} QueryReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	WhGroupReceiver *receiver = ((QueryReceiver *) self)->receiver;
	WhGroup    *group = receiver->group;

	slot_getallattrs(slot);
	wh_generator_receive(receiver, slot->tts_values, slot->tts_isnull, NULL,
						 group->is_linked ? DatumGetInt64(slot->tts_values[group->ncolumns]) : 0);
	return true;
}

static void
receive_start(DestReceiver *self, int operation, TupleDesc tupdesc)
{
}

static void
receive_end(DestReceiver *self)
{
}

/* Find the keys of the parents that the batch has made. */
static KeyRanges *
find_ranges(WhGenerator *generator, WhGroup *group)
{
	KeyRanges  *ranges = palloc0(sizeof(KeyRanges));
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		args[] = {CStringGetTextDatum(group->relation), Int32GetDatum(generator->request.batch_id)};
	WhRow	   *rows = wh_catalog_rows(&ranges->count,
									   "SELECT g.key, b.first_key, b.last_key"
									   " FROM wh.generator_batch b JOIN wh.generator g USING (relation)"
									   " WHERE b.relation = $1::regclass AND b.batch_id = $2 AND b.inserted > 0 AND g.key IS NOT NULL"
									   " ORDER BY b.first_key",
									   lengthof(args), types, args);

	if (ranges->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no rows of %s were generated in batch %d to link to", group->relation,
						generator->request.batch_id),
				 errhint("Generate rows of %s in the same batch first, or leave out link_parent.",
						 group->relation)));
	ranges->column = TextDatumGetCString(rows[0].values[0]);
	ranges->first = palloc(sizeof(int64) * ranges->count);
	ranges->last = palloc(sizeof(int64) * ranges->count);
	for (int i = 0; i < ranges->count; i++)
	{
		ranges->first[i] = DatumGetInt64(rows[i].values[1]);
		ranges->last[i] = DatumGetInt64(rows[i].values[2]);
		ranges->keys += (double) ranges->last[i] - ranges->first[i] + 1;
	}
	return ranges;
}

static bool
is_in_ranges(const KeyRanges *ranges, int64 key)
{
	for (int i = 0; i < ranges->count; i++)
		if (key >= ranges->first[i] && key <= ranges->last[i])
			return true;
	return false;
}

/*
 * Open the other table for a plain scan, or return NULL when its rows must come
 * from a query: because of rights, policies, inheritance, a condition, a cast,
 * or because an index brings a few of many parents sooner.  places gets where
 * the group's columns are, key the number of the parent's key.
 */
static Relation
open_plain(WhGroup *group, const KeyRanges *ranges, int *places, AttrNumber *key)
{
	List	   *name = textToQualifiedNameList(cstring_to_text(group->relation));
	Relation	relation = table_openrv(makeRangeVarFromNameList(name), AccessShareLock);
	Oid			relid = RelationGetRelid(relation);
	bool		is_plain = group->where == NULL && relation->rd_rel->relkind == RELKIND_RELATION &&
		!relation->rd_rel->relhassubclass && ExecutorCheckPerms_hook == NULL &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(relid, InvalidOid, true) == RLS_NONE;

	for (int i = 0; is_plain && i < group->ncolumns; i++)
	{
		AttrNumber	number = get_attnum(relid, group->columns[i]);
		WhColumn   *target = group->targets[i];
		Form_pg_attribute attribute;

		if (number <= 0)
		{
			is_plain = false;
			break;
		}
		attribute = TupleDescAttr(RelationGetDescr(relation), number - 1);
		/* Generated columns that are not stored come by a query only. */
		is_plain = (attribute->attgenerated == '\0' || attribute->attgenerated == ATTRIBUTE_GENERATED_STORED) &&
			attribute->atttypid == target->type &&
			(target->typmod < 0 || target->typmod == attribute->atttypmod);
		places[i] = number - 1;
	}
	if (is_plain && ranges)
	{
		Oid			type = get_atttype(relid, *key = get_attnum(relid, ranges->column));

		is_plain = (type == INT2OID || type == INT4OID || type == INT8OID) &&
			ranges->keys >= relation->rd_rel->reltuples / 4;
	}
	if (is_plain)
		return relation;
	/* the query locks it again */
	table_close(relation, NoLock);
	return NULL;
}

/* Return the key of a parent, of an integer type. */
static int64
key_of(Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

/* Read the group's rows by a plain scan of the table. */
static void
scan_plain(WhGroupReceiver *receiver, Relation relation, const KeyRanges *ranges, const int *places, AttrNumber key)
{
	WhGroup    *group = receiver->group;
	TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	Oid			type = ranges ? TupleDescAttr(RelationGetDescr(relation), key - 1)->atttypid : InvalidOid;
	int			natts = key;

	for (int i = 0; i < group->ncolumns; i++)
		natts = Max(natts, places[i] + 1);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		int64		number = 0;

		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, natts);
		if (ranges)
		{
			if (slot->tts_isnull[key - 1])
				continue;
			number = key_of(type, slot->tts_values[key - 1]);
			if (!is_in_ranges(ranges, number))
				continue;
		}
		wh_generator_receive(receiver, slot->tts_values, slot->tts_isnull, places, number);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
}

/* Read the group's rows by a query. */
static void
run_query(WhGroupReceiver *receiver, const KeyRanges *ranges)
{
	WhGroup    *group = receiver->group;
	QueryReceiver query;
	StringInfoData sql;
	SPIExecuteOptions options;
	SPIPlanPtr	plan;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < group->ncolumns; i++)
		appendStringInfo(&sql, "%s%s::%s", i ? ", " : "", quote_identifier(group->columns[i]),
						 format_type_with_typemod(group->targets[i]->type, group->targets[i]->typmod));
	if (ranges)
		appendStringInfo(&sql, ", %s::pg_catalog.int8", quote_identifier(ranges->column));
	appendStringInfo(&sql, " FROM %s WHERE (%s)", group->relation, group->where ? group->where : "true");
	for (int i = 0; ranges && i < ranges->count; i++)
		appendStringInfo(&sql, "%s %s BETWEEN " INT64_FORMAT " AND " INT64_FORMAT, i ? " OR" : " AND (",
						 quote_identifier(ranges->column), ranges->first[i], ranges->last[i]);
	if (ranges)
		appendStringInfoChar(&sql, ')');

	memset(&query, 0, sizeof(query));
	query.pub.receiveSlot = receive_row;
	query.pub.rStartup = receive_start;
	query.pub.rShutdown = receive_end;
	query.pub.rDestroy = receive_end;
	query.pub.mydest = DestNone;
	query.receiver = receiver;
	/* A query of a worker, or beside workers, must not ask for workers itself. */
	plan = SPI_prepare_cursor(sql.data, 0, NULL, 0);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	memset(&options, 0, sizeof(options));
	options.read_only = true;
	options.dest = &query.pub;
	if (SPI_execute_plan_extended(plan, &options) < 0)
		elog(ERROR, "SPI_execute_plan_extended failed");
}

/* Read the other table's columns of one group. */
static void
load_group(WhGenerator *generator, WhGroup *group)
{
	WhGroupReceiver receiver;
	KeyRanges  *ranges = NULL;
	Relation	relation;
	int		   *places;
	AttrNumber	key = 0;
	MemoryContext old_context;

	group->is_loaded = true;
	group->is_linked = group->kind == WH_GROUP_PARENT && generator->request.per_parent > 0;
	if (group->is_linked)
		ranges = find_ranges(generator, group);
	memset(&receiver, 0, sizeof(receiver));
	wh_generator_receive_start(&receiver, generator, group);
	places = palloc(sizeof(int) * group->ncolumns);
	relation = open_plain(group, ranges, places, &key);
	if (relation)
	{
		scan_plain(&receiver, relation, ranges, places, key);
		table_close(relation, NoLock);
	}
	else
		run_query(&receiver, ranges);

	if (group->nrows == 0 && group->is_linked)
		return;
	if (group->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing to link to: no row of %s can be referenced", group->relation),
				 errhint("Generate rows of %s first.", group->relation)));
	wh_generator_receive_end(&receiver);
	old_context = MemoryContextSwitchTo(generator->context);
	if (group->popularity > 0)
		wh_random_zipf_init(&group->zipf, group->nrows, group->popularity);
	MemoryContextSwitchTo(old_context);
}

/* Read all that the generator refers to; an error when there is nothing. */
void
wh_generator_load_groups(WhGenerator *generator)
{
	for (int i = 0; i < generator->ngroups; i++)
		if (generator->groups[i]->kind != WH_GROUP_PLACE && !generator->groups[i]->is_loaded)
			load_group(generator, generator->groups[i]);
}

/* Load the parents made in the batch and return their number. */
int64
wh_generator_count_parents(WhGenerator *generator)
{
	for (int i = 0; i < generator->ngroups; i++)
	{
		WhGroup    *group = generator->groups[i];

		if (group->kind != WH_GROUP_PARENT)
			continue;
		load_group(generator, group);
		return group->nrows;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("relation \"%s\" has no parent to link to", generator->name),
			 errhint("Declare a column of kind \"parent\", or leave out link_parent.")));
	return 0;
}
