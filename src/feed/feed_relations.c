/*
 * feed_relations.c
 *	  Makes the relations of a feed: its table, view, index and change log.
 *
 * Runs in the caller's transaction, as the user who will own them, with an SPI
 * connection.  docs/architecture.md says what each column holds.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "feed/feed.h"
#include "base/object_name.h"
#include "base/own_ddl.h"

/* Room on each page for the new version of a row whose interval is closed. */
#define HISTORY_FILLFACTOR 90

static void
run(const char *sql)
{
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", sql);
}

/* Give the type and collation that a column of the source is staged with, as CREATE TABLE wants them. */
char *
wh_feed_column_type(Form_pg_attribute att)
{
	Oid			type = att->atttypid;
	int32		typmod = att->atttypmod;
	char	   *name;

	/* A delete leaves columns null that a domain may forbid to be null. */
	if (get_typtype(type) == TYPTYPE_DOMAIN && DomainHasConstraints(type))
		type = getBaseTypeAndTypmod(type, &typmod);
	name = format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	if (OidIsValid(att->attcollation) && att->attcollation != get_typcollation(type))
		return psprintf("%s COLLATE %s", name, generate_collation_name(att->attcollation));
	return name;
}

/* Append a column's name, type and collation, as CREATE TABLE wants them. */
static void
append_column(StringInfo sql, Form_pg_attribute att)
{
	appendStringInfo(sql, "%s %s", quote_identifier(NameStr(att->attname)), wh_feed_column_type(att));
}

static void
append_source_columns(StringInfo sql, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		append_column(sql, att);
		appendStringInfoString(sql, ", ");
	}
}

static void
append_key(StringInfo sql, List *key)
{
	ListCell   *lc;

	foreach(lc, key)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		appendStringInfoString(sql, quote_identifier((char *) lfirst(lc)));
	}
}

static Oid
relation_oid(const char *schema, const char *name)
{
	return get_relname_relid(name, get_namespace_oid(schema, false));
}

static void
comment_on(const char *kind, const char *qualified, const char *text)
{
	run(psprintf("COMMENT ON %s %s IS %s", kind, qualified, quote_literal_cstr(text)));
}

/* Make all relations of a new feed and note their OIDs in it. */
void
wh_feed_make_relations(WhFeed *feed, const char *schema, const char *relname, Relation source)
{
	TupleDesc	desc = RelationGetDescr(source);
	bool		is_append = feed->load == WH_LOAD_APPEND;
	char	   *table_name = is_append ? pstrdup(relname) : psprintf("%s_history", relname);
	char	   *change_name = psprintf("%s_change", relname);
	const char *table = quote_qualified_identifier(schema, table_name);
	const char *change = quote_qualified_identifier(schema, change_name);
	StringInfoData sql;
	Oid			table_oid;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE %s (", table);
	append_source_columns(&sql, desc);
	appendStringInfoString(&sql, "effective_from timestamptz NOT NULL, ");
	if (!is_append)
		appendStringInfoString(&sql, "effective_to timestamptz NOT NULL, is_deleted boolean NOT NULL, ");
	appendStringInfoString(&sql, "batch_id bigint NOT NULL, source_position bigint NOT NULL)");
	if (!is_append)
		appendStringInfo(&sql, " WITH (fillfactor = %d)", HISTORY_FILLFACTOR);
	run(sql.data);
	comment_on("TABLE", table, is_append ? "staged events, written by widgets_wh" :
			   "every version of every key, written by widgets_wh");
	table_oid = relation_oid(schema, table_name);

	if (feed->key != NIL)
	{
		resetStringInfo(&sql);
		appendStringInfo(&sql, "CREATE UNIQUE INDEX ON %s (", table);
		append_key(&sql, feed->key);
		appendStringInfoString(&sql, is_append ? ")" : ", effective_from)");
		run(sql.data);

		resetStringInfo(&sql);
		appendStringInfo(&sql, "CREATE TABLE %s (", change);
		append_source_columns(&sql, desc);
		appendStringInfoString(&sql, "effective_from timestamptz, ");
		if (!is_append)
			appendStringInfoString(&sql, "effective_to timestamptz, is_deleted boolean, ");
		appendStringInfoString(&sql, "batch_id bigint, source_position bigint, change_batch_id bigint NOT NULL)");
		run(sql.data);
		/* so that used rows can be deleted even where every table is published */
		run(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", change));
		comment_on("TABLE", change, "rewritten and removed staged rows that some reader has not used yet, written by widgets_wh");
		feed->change_log = relation_oid(schema, change_name);
	}

	if (is_append)
		feed->relation = table_oid;
	else
	{
		const char *view = quote_qualified_identifier(schema, relname);

		resetStringInfo(&sql);
		appendStringInfo(&sql, "CREATE VIEW %s AS SELECT ", view);
		for (int i = 0, n = 0; i < desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			if (!att->attisdropped)
				appendStringInfo(&sql, "%s%s", n++ > 0 ? ", " : "",
								 quote_identifier(NameStr(att->attname)));
		}
		appendStringInfo(&sql, " FROM %s WHERE effective_to = 'infinity' AND NOT is_deleted", table);
		run(sql.data);
		comment_on("VIEW", view, "current rows of the feed");
		feed->history = table_oid;
		feed->relation = relation_oid(schema, relname);
	}
}

/* Add a column of the source to all relations of a feed, null in existing rows. */
void
wh_feed_add_column(WhFeed *feed, Form_pg_attribute att)
{
	StringInfoData column;

	initStringInfo(&column);
	append_column(&column, att);
	wh_alter_own(psprintf("ALTER TABLE %s ADD COLUMN %s", wh_relation_name(wh_feed_table(feed)), column.data));
	if (OidIsValid(feed->change_log))
		wh_alter_own(psprintf("ALTER TABLE %s ADD COLUMN %s", wh_relation_name(feed->change_log), column.data));
	if (OidIsValid(feed->history))
	{
		/* A view keeps its columns and takes new ones at its end. */
		Datum		query = DirectFunctionCall1(pg_get_viewdef, ObjectIdGetDatum(feed->relation));
		char	   *old = TextDatumGetCString(query);
		char	   *from = strstr(old, "\n   FROM ");

		if (from == NULL)
			elog(ERROR, "could not read the definition of view %s", feed->name);
		*from = '\0';
		wh_alter_own(psprintf("CREATE OR REPLACE VIEW %s AS %s, %s\n   FROM %s", feed->name, old,
							  quote_identifier(NameStr(att->attname)), from + strlen("\n   FROM ")));
	}
}
