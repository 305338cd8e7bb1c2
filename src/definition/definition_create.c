/*
 * definition_create.c
 *	  What the creation of dimensions and facts has in common.
 *
 * A definition's query is stored as a view, so that renames, dependencies and
 * dumps work as for any view.  Needs an SPI connection; runs as the user who
 * creates, in the caller's transaction.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "metadata/catalog.h"
#include "definition/definition_create.h"
#include "definition/definition_run.h"
#include "definition/whole.h"
#include "feed/feed.h"
#include "base/spi_query.h"
#include "query/query_owners.h"

/* Read a text[] argument that must have 1 to max distinct names. */
char	  **
wh_text_array_arg(ArrayType *array, int *n, const char *what, int max)
{
	char	  **names;

	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain NULL", what)));
	names = wh_catalog_text_array(PointerGetDatum(array), n);
	if (*n == 0 || *n > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must name 1 to %d columns", what, max)));
	for (int i = 0; i < *n; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("%s names column \"%s\" twice", what, names[i])));
	return names;
}

/* Refuse a text that is not exactly one SELECT. */
static void
check_one_select(const char *query)
{
	List	   *statements = pg_parse_query(query);

	if (list_length(statements) != 1 ||
		!IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt) ||
		castNode(SelectStmt, linitial_node(RawStmt, statements)->stmt)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the query must be exactly one SELECT")));
}

/* Error context: a position is one in the definition, not in the statement that called us. */
static void
place_in_query(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
}

/*
 * Store the query as view <name>_definition and give the view.  One that it
 * replaces is put aside; the caller drops it with wh_definition_drop_view once
 * the catalog names the new one.
 */
Oid
wh_definition_view(const WhObjectName *object, const char *query, Oid replaced)
{
	char	   *view = wh_object_name_add(object, "_definition");
	char	   *text = pstrdup(query);
	int			len = strlen(text);
	Oid			created;
	RawStmt    *raw;
	List	   *written;
	Relation	rel;
	ErrorContextCallback place;

	place.callback = place_in_query;
	place.arg = text;
	place.previous = error_context_stack;
	error_context_stack = &place;
	check_one_select(query);
	raw = linitial_node(RawStmt, pg_parse_query(query));
	written = wh_owners_written(raw->stmt);
	wh_purity_check_words((Node *) parse_analyze_fixedparams(raw, query, NULL, 0, NULL), query, "the query");
	error_context_stack = place.previous;
	while (len > 0 && (text[len - 1] == ';' || isspace((unsigned char) text[len - 1])))
		text[--len] = '\0';
	if (OidIsValid(replaced))
		wh_spi_execute(psprintf("ALTER VIEW %s RENAME TO %s", wh_relation_name(replaced),
								quote_identifier(psprintf("wh_replaced_%u", replaced))),
					   0, NULL, NULL, NULL);
	/* a line comment at the query's end must not swallow what follows */
	wh_spi_execute(psprintf("CREATE VIEW %s AS %s\n",
							quote_qualified_identifier(object->schema, view), text),
				   0, NULL, NULL, NULL);
	created = get_relname_relid(view, get_namespace_oid(object->schema, false));
	rel = relation_open(created, AccessShareLock);
	wh_owners_check((Node *) get_view_query(rel), written);
	relation_close(rel, NoLock);
	wh_definition_order_aggregates(created);
	return created;
}

/* Copy the view's row type. */
TupleDesc
wh_definition_columns(Oid view)
{
	Relation	rel = relation_open(view, AccessShareLock);
	TupleDesc	columns = CreateTupleDescCopy(RelationGetDescr(rel));

	relation_close(rel, NoLock);
	return columns;
}

/* Find a column of the query; what names the argument in the error. */
AttrNumber
wh_definition_column(TupleDesc columns, const char *name, const char *what)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < columns->natts; i++)
	{
		const char *column = NameStr(TupleDescAttr(columns, i)->attname);

		if (strcmp(column, name) == 0)
			return i + 1;
		appendStringInfo(&list, "%s%s", i ? ", " : "", column);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("%s: the query has no column \"%s\"", what, name),
			 errdetail("Its columns are: %s.", list.data)));
	return InvalidAttrNumber;
}

/* Refuse columns of the query that are named like the engine's own. */
void
wh_definition_check_names(TupleDesc columns, const char *const *reserved, int nreserved)
{
	for (int i = 0; i < columns->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(columns, i)->attname);

		if (strcmp(name, "?column?") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("column %d of the query has no name", i + 1),
					 errhint("Give it a name with AS.")));
		if (strncmp(name, "wh_", 3) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_RESERVED_NAME),
					 errmsg("column name \"%s\" begins like the engine's own", name),
					 errhint("Give the column another name in the query, with AS; names that begin with wh_ stand in its statements.")));
		for (int r = 0; r < nreserved; r++)
			if (strcmp(name, reserved[r]) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_RESERVED_NAME),
						 errmsg("column name \"%s\" is used by the table itself", name),
						 errhint("Give the column another name in the query, with AS.")));
	}
}

/* Refuse a key column whose type has no order, or that is a whole row. */
void
wh_definition_check_sortable(TupleDesc columns, AttrNumber attno, const char *what)
{
	Form_pg_attribute att = TupleDescAttr(columns, attno - 1);

	if (type_is_rowtype(att->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s column \"%s\" is a whole row", what, NameStr(att->attname)),
				 errhint("Name the columns that make the key.")));
	if (!OidIsValid(lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR)->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("%s column \"%s\" has type %s, which cannot be compared", what,
						NameStr(att->attname), format_type_be(att->atttypid)),
				 errhint("Cast it in the query to a type that can, such as text.")));
}

/* Give a column's type and collation, as CREATE TABLE wants them. */
char *
wh_definition_column_type(Form_pg_attribute att)
{
	char	   *type = format_type_extended(att->atttypid, att->atttypmod,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);

	if (OidIsValid(att->attcollation) && att->attcollation != get_typcollation(att->atttypid))
		return psprintf("%s COLLATE %s", type, generate_collation_name(att->attcollation));
	return type;
}

/* Append "name type [COLLATE ...], " for a table definition. */
void
wh_definition_append_column(StringInfo sql, Form_pg_attribute att, const char *name)
{
	appendStringInfo(sql, "%s %s, ", quote_identifier(name), wh_definition_column_type(att));
}

/* Refuse a relation that the user, who will own the definition, may not read. */
static void
check_readable(Oid relid, const char *name)
{
	if (OidIsValid(relid) && pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for relation \"%s\"", wh_relation_name(relid)),
				 errdetail("What reads \"%s\" is computed from it, with the rights of its own owner.", name),
				 errhint("Who reads a feed needs SELECT on its staging relation, its history and its change log.")));
}

/* Refuse a feed of which the user may not read every relation. */
static void
check_feed_readable(int64 feed_id)
{
	WhFeed	   *feed = wh_feed_get(feed_id, false);

	check_readable(feed->relation, feed->name);
	check_readable(feed->history, feed->name);
	check_readable(feed->change_log, feed->name);
}

/*
 * Refuse a definition that reads an object computed after its own, or itself:
 * its result would depend on what the last publish left.  Dimensions come before
 * facts, each in the order of their ids.
 */
static void
check_order(int64 object_id, Oid object, Oid relid)
{
	WhRow		row;

	if (wh_catalog_row(&row, "SELECT 1 FROM"
					   " (SELECT dimension_id AS id, relation, 1 AS stage FROM wh.dimension"
					   "  UNION ALL SELECT fact_id, relation, 2 FROM wh.fact) o,"
					   " (SELECT CASE WHEN EXISTS (SELECT FROM wh.fact WHERE fact_id = $1) THEN 2 ELSE 1 END AS stage) own"
					   " WHERE o.relation = $2::regclass AND (o.stage, o.id) >= (own.stage, $1)",
					   2, (Oid[]) {INT8OID, OIDOID}, (Datum[]) {Int64GetDatum(object_id), ObjectIdGetDatum(relid)}))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the definition of \"%s\" cannot read \"%s\"", wh_relation_name(object), wh_relation_name(relid)),
				 errdetail("A publish computes dimensions, then facts, each in the order in which they were made."),
				 errhint("Read the staged relations that it is made from.")));
}

/* Record what a definition reads, and say what will cost a full computation. */
void
wh_definition_record_inputs(int64 object_id, Oid object, const WhQueryPlan *plan)
{
	ListCell   *lc;

	wh_catalog_execute("DELETE FROM wh.input WHERE object_id OPERATOR(pg_catalog.=) $1",
				   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(object_id)}, NULL);
	if (plan->whole)
		wh_whole_announce(plan);
	foreach(lc, plan->inputs)
	{
		WhQueryInput *input = lfirst(lc);
		Datum		args[3] = {Int64GetDatum(object_id), ObjectIdGetDatum(input->relid),
		Int64GetDatum(input->feed_id)};

		if (input->feed_id != 0)
			check_feed_readable(input->feed_id);
		/* a load in progress may have seen that nothing reads the feed, and keep no old images */
		if (input->feed_id != 0)
			wh_feed_lock(input->feed_id, true);
		if (input->feed_id == 0)
		{
			check_order(object_id, object, input->relid);
			(void) wh_lookup_hash(input->relid, object);
		}
		else if (input->whole)
			ereport(NOTICE,
					(errmsg("every change of \"%s\" recomputes the whole query",
							get_rel_name(input->relid)),
					 input->whole_reason ? errdetail("%s", input->whole_reason) : 0));
		wh_catalog_execute("INSERT INTO wh.input (object_id, relation, feed_id)"
					   " VALUES ($1, $2::regclass, $3)",
					   3, (Oid[]) {INT8OID, OIDOID, INT8OID}, args,
					   input->feed_id == 0 ? "  n" : NULL);
	}
}

/* Make the indexes by which touched keys are looked up. */
void
wh_definition_make_indexes(const WhQueryPlan *plan)
{
	ListCell   *lc,
			   *l2;

	foreach(lc, plan->index_hints)
	{
		WhIndexHint *hint = lfirst(lc);
		StringInfoData sql;
		const char *separator = "";
		bool		is_ours = wh_class_ownercheck(hint->relid, GetUserId());

		initStringInfo(&sql);
		appendStringInfo(&sql, "CREATE INDEX ON %s (", wh_relation_name(hint->relid));
		foreach(l2, hint->columns)
		{
			appendStringInfo(&sql, "%s%s", separator, quote_identifier(lfirst(l2)));
			separator = ", ";
		}
		appendStringInfoChar(&sql, ')');
		if (is_ours)
			wh_spi_execute(sql.data, 0, NULL, NULL, NULL);
		else
			ereport(NOTICE,
					(errmsg("\"%s\" should have an index, which only its owner can make",
							wh_relation_name(hint->relid)),
					 errdetail("By it touched keys are looked up; without it each publish reads the whole table."),
					 errhint("%s;", sql.data)));
	}
}

/* Drop a definition's view, which the catalog names no more. */
void
wh_definition_drop_view(Oid view)
{
	if (OidIsValid(view))
		wh_spi_execute(psprintf("DROP VIEW %s", wh_relation_name(view)), 0, NULL, NULL, NULL);
}

/* Drop an object's table and its view, which the catalog names no more. */
void
wh_definition_drop(Oid table, Oid view)
{
	wh_definition_drop_view(view);
	/* somebody may have made it something else */
	wh_spi_execute(psprintf("DROP %s %s", get_rel_relkind(table) == RELKIND_VIEW ? "VIEW" :
							get_rel_relkind(table) == RELKIND_FOREIGN_TABLE ? "FOREIGN TABLE" : "TABLE",
							wh_relation_name(table)), 0, NULL, NULL, NULL);
}
