/*
 * own_ddl.c
 *	  Alters the engine's own relations, and tells such statements from a user's.
 *
 * An event trigger (metadata/ddl_guard.c) refuses to change the columns of the
 * engine's relations by hand.  What the engine itself changes, by the functions
 * wh.alter_..., goes through wh_alter_own.  What lets it pass is a variable of the
 * process, which no SQL can set, and which names one relation: a user's function that runs in the middle of the statement (the CHECK of a domain) can alter
 * no other, and PostgreSQL refuses to alter that one again while it is altered.
 *
 * Runs in the caller's transaction and needs an SPI connection; takes the locks of
 * the statement.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"

#include "base/own_ddl.h"
#include "base/spi_query.h"

static Oid	altered = InvalidOid;

/* Find the relation that a statement alters or replaces. */
static Oid
relation_of(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			return RangeVarGetRelid(((AlterTableStmt *) statement)->relation, NoLock, false);
		case T_RenameStmt:
			return RangeVarGetRelid(((RenameStmt *) statement)->relation, NoLock, false);
		case T_ViewStmt:
			return RangeVarGetRelid(((ViewStmt *) statement)->view, NoLock, false);
		default:
			elog(ERROR, "unexpected statement of kind %d", (int) nodeTag(statement));
			return InvalidOid;
	}
}

/*
 * Run statements that alter one of the engine's relations: ALTER TABLE, ALTER
 * VIEW, CREATE OR REPLACE VIEW.  They name it with its schema.
 */
void
wh_alter_own(const char *sql)
{
	Oid			outer = altered;

	altered = relation_of(linitial_node(RawStmt, pg_parse_query(sql))->stmt);
	PG_TRY();
	{
		wh_spi_execute(sql, 0, NULL, NULL, NULL);
	}
	PG_FINALLY();
	{
		altered = outer;
	}
	PG_END_TRY();
}

/* Tell whether the engine itself is altering the relation. */
bool
wh_is_altering(Oid relid)
{
	return OidIsValid(relid) && relid == altered;
}
