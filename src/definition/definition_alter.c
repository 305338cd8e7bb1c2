/*
 * definition_alter.c
 *	  Changes the table of a dimension or fact to fit a changed query, and fills
 *	  it again.
 *
 * Columns are matched by name: new ones are added, those the query has no more
 * are dropped, one whose type changed is widened where nothing is lost, else
 * replaced.  Then the object is computed
 * from staging in the same transaction, by difference, so that surrogate keys of
 * the versions that remain stay.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/own_ddl.h"
#include "base/retype.h"
#include "metadata/batch_log.h"
#include "metadata/catalog.h"
#include "definition/component.h"
#include "definition/definition_alter.h"
#include "definition/definition_create.h"
#include "definition/publish.h"

static Form_pg_attribute
find_column(TupleDesc table, const char *name)
{
	for (int i = 0; i < table->natts; i++)
		if (!TupleDescAttr(table, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(table, i)->attname), name) == 0)
			return TupleDescAttr(table, i);
	return NULL;
}

static bool
same_type(Form_pg_attribute a, Form_pg_attribute b)
{
	return a->atttypid == b->atttypid && a->atttypmod == b->atttypmod &&
		a->attcollation == b->attcollation;
}

static void
add_column(const char *table, Form_pg_attribute att, const char *name)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "ALTER TABLE %s ADD COLUMN ", table);
	wh_definition_append_column(&sql, att, name);
	sql.data[sql.len - 2] = '\0';	/* its last ", " */
	wh_alter_own(sql.data);
}

/*
 * Make the table have a column of this name and the type of att.  Key columns
 * must not change their type: nothing would remain of what is there.
 */
void
wh_alter_want_column(const char *table, TupleDesc current, Form_pg_attribute att, const char *name,
					 bool is_key)
{
	Form_pg_attribute existing = find_column(current, name);

	if (existing && same_type(existing, att))
		return;
	if (existing && wh_type_widens(existing->atttypid, existing->atttypmod, att->atttypid, att->atttypmod) &&
		(att->atttypid != TIMESTAMPTZOID || existing->atttypid == TIMESTAMPTZOID))
	{
		WhRetype	retype = {name, wh_definition_column_type(att)};

		wh_retype(existing->attrelid, list_make1(&retype));
		return;
	}
	if (is_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the type of key column \"%s\" of %s cannot change", name, table),
				 errhint("Drop the object and create it anew.")));
	if (existing)
		wh_alter_own(psprintf("ALTER TABLE %s DROP COLUMN %s", table, quote_identifier(name)));
	add_column(table, att, name);
}

/* Drop the table's columns that are not among the wanted names. */
void
wh_alter_drop_others(const char *table, TupleDesc current, List *wanted)
{
	ListCell   *lc;

	for (int i = 0; i < current->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(current, i);

		if (att->attisdropped)
			continue;
		foreach(lc, wanted)
			if (strcmp(lfirst(lc), NameStr(att->attname)) == 0)
				break;
		if (lc == NULL)
			wh_alter_own(psprintf("ALTER TABLE %s DROP COLUMN %s", table,
								  quote_identifier(NameStr(att->attname))));
	}
}

/* Compute the object anew, and what is connected with it; its inputs have been recorded as never used. */
void
wh_alter_publish(int64 object_id)
{
	List	   *objects = wh_component_of(object_id);
	int64		batch_id;

	wh_publish_lock(true);
	batch_id = wh_batch_start_publish(objects);
	(void) wh_publish(batch_id, objects, false, true, NULL);
	wh_batch_finish(batch_id);
}
