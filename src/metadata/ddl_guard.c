/*
 * ddl_guard.c
 *	  Event trigger that refuses to change the engine's relations by hand.
 *
 * The engine writes its tables by itself: columns, constraints, inheritance,
 * triggers or rules that somebody gives them would be passed over, or fail every
 * run.  wh.alter_feed, wh.alter_dimension and wh.alter_fact change them.  Indexes,
 * UNIQUE constraints, comments, rights, owners, names, schemas, storage, statistics
 * and policies of row security stay free: the owner's, as whom the engine works,
 * are not under policies.
 *
 * What a statement did is read from PostgreSQL's list of its commands, after it
 * was done: ALTER TABLE subcommand by subcommand, so that none that is not known
 * here passes.  Runs at the end of every DDL statement, in its transaction, as the
 * owner of the catalogs; takes AccessShareLock on the catalogs.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"
#include "tcop/deparse_utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/own_ddl.h"
#include "base/spi_query.h"
#include "metadata/catalog.h"

/* The relations of the engine, and what each is. */
#define OWN_RELATIONS \
	"own(relid, kind, name) AS MATERIALIZED (" \
	" SELECT r.relid, 'feed', f.relation::text FROM wh.feed f," \
	"        LATERAL (VALUES (f.relation::oid), (f.history::oid), (f.change_log::oid)) r(relid)" \
	" UNION ALL SELECT r.relid, 'dimension', d.relation::text FROM wh.dimension d," \
	"        LATERAL (VALUES (d.relation::oid), (d.definition::oid)) r(relid)" \
	" UNION ALL SELECT r.relid, 'fact', f.relation::text FROM wh.fact f," \
	"        LATERAL (VALUES (f.relation::oid), (f.definition::oid)) r(relid)" \
	" UNION ALL SELECT c.oid, 'catalog', c.oid::regclass::text FROM pg_class c" \
	"        WHERE c.relnamespace = 'wh'::regnamespace AND c.relkind IN ('r', 'v'))"

PG_FUNCTION_INFO_V1(wh_guard_ddl);

/* Refuse a command. */
static void
refuse(const char *tag, const char *kind, const char *name, Oid relid, const char *what)
{
	bool		is_view = get_rel_relkind(relid) == RELKIND_VIEW;

	if (strcmp(kind, "catalog") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s is not for the catalogs of widgets_wh", tag),
				 errdetail("%s of \"%s\" belong to the extension.", what, name)));
	else if (is_view && strcmp(kind, "feed") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the definition of %s by %s", name, tag),
				 errhint("Use wh.alter_%s, which computes everything from the new query.", kind)));
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot change a relation of %s %s", tag, kind, name),
				 errdetail("%s of \"%s\" are the engine's, which writes it.", what,
						   get_rel_name(relid)),
				 errhint("Use wh.alter_%s. Indexes, UNIQUE constraints, rights, names and storage can be changed by hand.", kind)));
}

/* Tell whether a relation is a plain heap, apart from what its columns are. */
static bool
is_heap(Oid relid)
{
	WhRow		row;

	return wh_spi_row(&row, "SELECT FROM pg_class c JOIN pg_am m ON m.oid = c.relam"
					  " WHERE c.oid = $1 AND m.amname = 'heap'",
					  1, (Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)});
}

/* Tell whether a relation has a primary key. */
static bool
has_primary_key(Oid relid)
{
	WhRow		row;

	return wh_spi_row(&row, "SELECT FROM pg_index WHERE indrelid = $1 AND indisprimary",
					  1, (Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)});
}

/*
 * Tell whether a relation of the engine stays what it is.  A dump gives a
 * dimension its primary key again by ALTER TABLE, and switches triggers off and
 * on; what makes a table plain again is welcome.
 */
static bool
is_harmless(const AlterTableCmd *command, Oid relid, const char *kind)
{
	bool		is_view = get_rel_relkind(relid) == RELKIND_VIEW;
	bool		is_dimension = strcmp(kind, "dimension") == 0;

	switch (command->subtype)
	{
		case AT_ChangeOwner:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
			return true;
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetLogged:
		case AT_SetTableSpace:
		case AT_ReplicaIdentity:
		case AT_EnableTrig:
		case AT_EnableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrig:
		case AT_DisableTrigAll:
		case AT_DisableTrigUser:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_NoForceRowSecurity:
		case AT_DropInherit:
		case AT_DropOf:
			return !is_view;
		case AT_SetAccessMethod:
			return is_heap(relid);
		case AT_SetNotNull:
			/* the surrogate key, as a part of ADD PRIMARY KEY */
			return is_dimension && command->name && get_attnum(relid, command->name) == 1;
		case AT_AddIndex:
		case AT_AddIndexConstraint:
			{
				IndexStmt  *index = castNode(IndexStmt, command->def);

				/* what can be deferred is a trigger */
				return !index->deferrable && index->excludeOpNames == NIL &&
					(is_dimension || !index->primary) && strcmp(kind, "catalog") != 0;
			}
		case AT_DropConstraint:
			return strcmp(kind, "catalog") != 0 && (!is_dimension || has_primary_key(relid));
		default:
			return false;
	}
}

/* Look at the commands on the engine's own relations. */
static void
check_relations(void)
{
	int			n;
	WhRow	   *rows = wh_spi_rows(&n,
								   "WITH " OWN_RELATIONS
								   " SELECT c.command_tag, o.kind, o.name, o.relid, c.classid = 'pg_class'::regclass,"
								   "        c.objsubid, c.command"
								   " FROM pg_event_trigger_ddl_commands() c"
								   " LEFT JOIN pg_rewrite w ON c.classid = 'pg_rewrite'::regclass AND w.oid = c.objid"
								   " LEFT JOIN pg_trigger t ON c.classid = 'pg_trigger'::regclass AND t.oid = c.objid"
								   " JOIN own o ON o.relid = CASE c.classid WHEN 'pg_class'::regclass THEN c.objid"
								   "                          ELSE coalesce(w.ev_class, t.tgrelid) END",
								   0, NULL, NULL);

	for (int i = 0; i < n; i++)
	{
		char	   *tag = TextDatumGetCString(rows[i].values[0]);
		char	   *kind = TextDatumGetCString(rows[i].values[1]);
		char	   *name = TextDatumGetCString(rows[i].values[2]);
		Oid			relid = DatumGetObjectId(rows[i].values[3]);
		bool		is_relation = DatumGetBool(rows[i].values[4]);
		CollectedCommand *command = (CollectedCommand *) DatumGetPointer(rows[i].values[6]);

		if (wh_is_altering(relid))
			continue;
		if (command->type == SCT_AlterTable)
		{
			ListCell   *lc;

			foreach(lc, command->d.alterTable.subcmds)
			{
				CollectedATSubcmd *sub = lfirst(lc);

				if (!is_harmless(castNode(AlterTableCmd, sub->parsetree), relid, kind))
					refuse(tag, kind, name, relid, "Columns, constraints and the like");
			}
		}
		else if (strcmp(tag, "CREATE VIEW") == 0)
			refuse("CREATE OR REPLACE VIEW", kind, name, relid, "Query and columns");
		else if (strcmp(tag, "CREATE RULE") == 0 || strcmp(tag, "CREATE TRIGGER") == 0)
			refuse(tag, kind, name, relid, "Rules and triggers");
		else if (is_relation && DatumGetInt32(rows[i].values[5]) != 0 && strncmp(tag, "ALTER", 5) == 0)
			refuse(tag, kind, name, relid, "Names of columns");
	}
}

/* Look at other tables that would inherit from one of ours, or refer to it. */
static void
check_neighbours(void)
{
	int			n;
	WhRow	   *rows = wh_spi_rows(&n,
								   "WITH " OWN_RELATIONS ","
								   " command AS MATERIALIZED (SELECT command_tag, objid FROM pg_event_trigger_ddl_commands()"
								   "                          WHERE classid = 'pg_class'::regclass)"
								   " SELECT c.command_tag, o.kind, o.name, o.relid, 'Inheritance and partitions'"
								   " FROM command c JOIN pg_inherits i ON c.objid IN (i.inhrelid, i.inhparent)"
								   " JOIN own o ON o.relid IN (i.inhrelid, i.inhparent)"
								   " JOIN pg_class t ON t.oid = i.inhrelid AND t.relkind NOT IN ('i', 'I')"
								   " UNION ALL"
								   " SELECT c.command_tag, o.kind, o.name, o.relid, 'Triggers of foreign keys'"
								   " FROM command c JOIN pg_constraint k ON k.conrelid = c.objid AND k.contype = 'f'"
								   " JOIN own o ON o.relid = k.confrelid"
								   " WHERE c.objid NOT IN (SELECT relid FROM own WHERE relid IS NOT NULL)",
								   0, NULL, NULL);

	for (int i = 0; i < n; i++)
		refuse(TextDatumGetCString(rows[i].values[0]), TextDatumGetCString(rows[i].values[1]),
			   TextDatumGetCString(rows[i].values[2]), DatumGetObjectId(rows[i].values[3]),
			   TextDatumGetCString(rows[i].values[4]));
}

/* Look at composite types that a column of ours is made of. */
static void
check_types(void)
{
	WhRow		row;

	if (wh_spi_row(&row,
				   "WITH RECURSIVE " OWN_RELATIONS ","
				   " used(tag, type) AS ("
				   "  SELECT d.command_tag, c.reltype FROM pg_event_trigger_ddl_commands() d"
				   "  JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind = 'c'"
				   "  WHERE d.command_tag = 'ALTER TYPE'"
				   "  UNION"
				   "  SELECT u.tag, t.type FROM used u, LATERAL ("
				   "   SELECT oid AS type FROM pg_type WHERE typelem = u.type OR typbasetype = u.type"
				   "   UNION ALL SELECT rngtypid FROM pg_range WHERE rngsubtype = u.type"
				   "   UNION ALL SELECT rngmultitypid FROM pg_range WHERE rngsubtype = u.type"
				   "   UNION ALL SELECT c.reltype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
				   "             WHERE a.atttypid = u.type AND NOT a.attisdropped AND c.reltype <> 0) t)"
				   " SELECT u.tag, o.kind, o.name, a.attname::text, o.relid FROM used u"
				   " JOIN pg_attribute a ON a.atttypid = u.type AND NOT a.attisdropped"
				   " JOIN own o ON o.relid = a.attrelid LIMIT 1", 0, NULL, NULL))
	{
		char	   *kind = TextDatumGetCString(row.values[1]);

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot change the type of a column of %s %s", TextDatumGetCString(row.values[0]), kind,
						TextDatumGetCString(row.values[2])),
				 errdetail("Column \"%s\" of \"%s\" has values of the type.", TextDatumGetCString(row.values[3]),
						   get_rel_name(DatumGetObjectId(row.values[4]))),
				 errhint("Make a new type, and change the column with wh.alter_%s.", kind)));
	}
}

/* Tell whether CREATE TABLE makes a table that inherits, is a partition, or refers to another. */
static bool
has_neighbours(const CreateStmt *create)
{
	ListCell   *lc,
			   *l2;

	if (create->inhRelations != NIL || create->partbound || create->constraints != NIL)
		return true;
	foreach(lc, create->tableElts)
	{
		Node	   *element = lfirst(lc);

		if (IsA(element, Constraint) && castNode(Constraint, element)->contype == CONSTR_FOREIGN)
			return true;
		if (!IsA(element, ColumnDef))
			continue;
		foreach(l2, castNode(ColumnDef, element)->constraints)
			if (lfirst_node(Constraint, l2)->contype == CONSTR_FOREIGN)
				return true;
	}
	return false;
}

/*
 * Tell whether a statement can be one that is refused.  The looks below cost
 * milliseconds, and most statements need none.
 */
static bool
needs_a_look(const EventTriggerData *data)
{
	switch (data->tag)
	{
		case CMDTAG_COMMENT:
		case CMDTAG_CREATE_FUNCTION:
		case CMDTAG_CREATE_INDEX:
		case CMDTAG_CREATE_PROCEDURE:
		case CMDTAG_CREATE_SEQUENCE:
		case CMDTAG_CREATE_SERVER:
		case CMDTAG_CREATE_TABLE_AS:
		case CMDTAG_DROP_FUNCTION:
		case CMDTAG_DROP_INDEX:
		case CMDTAG_DROP_SCHEMA:
		case CMDTAG_DROP_TABLE:
		case CMDTAG_DROP_VIEW:
		case CMDTAG_GRANT:
		case CMDTAG_REVOKE:
			return false;
		case CMDTAG_CREATE_TABLE:
			return !IsA(data->parsetree, CreateStmt) || has_neighbours(castNode(CreateStmt, data->parsetree));
		default:
			return true;
	}
}

/* wh.guard_ddl() returns event_trigger */
Datum
wh_guard_ddl(PG_FUNCTION_ARGS)
{
	const EventTriggerData *data;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("wh.guard_ddl() is an event trigger")));
	/* an upgrade of the extension alters what is its own */
	if (creating_extension && CurrentExtensionObject == get_extension_oid("widgets_wh", true))
		PG_RETURN_NULL();
	data = (EventTriggerData *) fcinfo->context;
	if (!needs_a_look(data))
		PG_RETURN_NULL();
	SPI_connect();
	check_relations();
	check_neighbours();
	if (data->tag == CMDTAG_ALTER_TYPE)
		check_types();
	SPI_finish();
	PG_RETURN_NULL();
}
