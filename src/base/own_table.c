/*
 * own_table.c
 *	  Is a table of the engine still what the engine made?
 *
 * Users own the tables that the engine fills and may alter them; the engine
 * writes them past the executor, by the types that it remembers.  So each run
 * looks at the table that it has locked and open, which nobody can alter from
 * then on, before it reads a value as something that it may not be.  The event
 * trigger of the extension refuses most of such changes when they are made; what
 * is found here came past it.  Runs in the caller's transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/own_table.h"

/* Say whether Citus has spread a table over other servers; its heap here stays empty. */
static bool
is_distributed(Oid relid)
{
	Oid			catalog = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(catalog))
		return false;
	rel = table_open(catalog, AccessShareLock);
	ScanKeyInit(&key, get_attnum(catalog, "logicalrelid"), BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* Say what a relation has become, if it is no plain table of its own any more. */
static const char *
other_kind(Relation rel)
{
	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
			break;
		case RELKIND_VIEW:
			return "a view";
		case RELKIND_PARTITIONED_TABLE:
			return "a partitioned table";
		case RELKIND_FOREIGN_TABLE:
			return "a foreign table";
		default:
			return "no table";
	}
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		return "a table of another access method";
	if (rel->rd_rel->relispartition)
		return "a partition";
	if (has_superclass(RelationGetRelid(rel)) || has_subclass(RelationGetRelid(rel)))
		return "a table with inheritance";
	if (is_distributed(RelationGetRelid(rel)))
		return "a distributed table";
	return NULL;
}

/* Say what has been added that writing past the executor would silently leave out. */
static const char *
addition(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (rel->rd_rules)
		return "a rule";
	if (rel->rd_rel->relrowsecurity && rel->rd_rel->relforcerowsecurity)
		return "forced row level security";
	if (constr && constr->num_check > 0)
		return "a check constraint";
	if (constr && constr->has_generated_stored)
		return "a generated column";
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		if (!rel->trigdesc->triggers[i].tgisinternal &&
			rel->trigdesc->triggers[i].tgenabled != TRIGGER_DISABLED)
			return psprintf("trigger \"%s\"", rel->trigdesc->triggers[i].tgname);
	return NULL;
}

/* Refuse a table that is not a plain writable heap of its own. */
void
wh_table_check(Relation rel)
{
	const char *what = other_kind(rel);

	if (what)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is %s now", RelationGetRelationName(rel), what),
				 errdetail("widgets_wh made it as a plain table and writes it in bulk."),
				 errhint("Make it a plain table again, or drop what it belongs to and create that anew.")));
	what = addition(rel);
	if (what)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has %s", RelationGetRelationName(rel), what),
				 errdetail("widgets_wh writes this table in bulk, past constraints and triggers."),
				 errhint("Drop it. Conditions on records are screens; columns belong into the definition's query.")));
}

/* Refuse a column of another type than the engine takes it for; typmod -2: any. */
void
wh_column_check(const char *table, Form_pg_attribute att, Oid type, int32 typmod, Oid collation)
{
	if (att->atttypid == type && (typmod == -2 || att->atttypmod == typmod) && att->attcollation == collation)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of table \"%s\" has changed its type", NameStr(att->attname), table),
			 errdetail("It should be %s%s and is %s%s.", format_type_with_typemod(type, typmod == -2 ? -1 : typmod),
					   att->atttypid == type && OidIsValid(collation) && collation != att->attcollation ?
					   psprintf(" COLLATE %s", quote_identifier(get_collation_name(collation))) : "",
					   format_type_with_typemod(att->atttypid, att->atttypmod),
					   att->atttypid == type && OidIsValid(att->attcollation) && collation != att->attcollation ?
					   psprintf(" COLLATE %s", quote_identifier(get_collation_name(att->attcollation))) : ""),
			 errhint("Change it back. Columns are changed with wh.alter_feed, wh.alter_dimension and wh.alter_fact.")));
}

/* Refuse an open table that is not any more what was read of it before. */
void
wh_table_check_same(Relation rel, TupleDesc expected)
{
	TupleDesc	now = RelationGetDescr(rel);
	bool		same = now->natts == expected->natts;

	for (int i = 0; i < expected->natts && same; i++)
	{
		Form_pg_attribute a = TupleDescAttr(now, i),
					b = TupleDescAttr(expected, i);

		same = a->attisdropped == b->attisdropped;
		if (same && !a->attisdropped)
			wh_column_check(RelationGetRelationName(rel), a, b->atttypid, b->atttypmod, b->attcollation);
	}
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("columns of table \"%s\" were added or dropped during the run", RelationGetRelationName(rel)),
				 errhint("Columns are changed with wh.alter_feed, wh.alter_dimension and wh.alter_fact.")));
}
