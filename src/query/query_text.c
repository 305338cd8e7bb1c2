/*
 * query_text.c
 *	  From text to query trees and back, for the analysis of definitions.
 *
 * All text made here is to be read under an empty search_path: names are
 * qualified, operators are written OPERATOR(schema.name).  Parsing takes
 * AccessShareLock on the relations named, to the end of the transaction.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "query/query_internal.h"

/* Parse and analyse exactly one statement, with $n of the given types. */
Query *
wh_query_parse(const char *sql, Oid *param_types, int nparams, QueryEnvironment *env)
{
	List	   *raw = pg_parse_query(sql);

	if (list_length(raw) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("a definition must be exactly one query")));
	return parse_analyze_fixedparams(linitial_node(RawStmt, raw), sql, param_types, nparams, env);
}

/* Announce one ephemeral relation to parse analysis. */
static void
announce_relation(QueryEnvironment *env, const char *name, TupleDesc desc)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));

	enr->md.name = pstrdup(name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 1000;
	register_ENR(env, enr);
}

/* Make an environment in which wh_points and wh_touched are known. */
QueryEnvironment *
wh_query_environment(QueryAnalysis *qa)
{
	QueryEnvironment *env = create_queryEnv();
	TupleDesc	keys = CreateTemplateTupleDesc(qa->nkeys);
	TupleDesc	points = CreateTemplateTupleDesc(qa->nkeys + 1);

	for (int i = 0; i < qa->nkeys; i++)
	{
		char	   *name = psprintf("k%d", i + 1);

		TupleDescInitEntry(keys, i + 1, name, qa->key_types[i], qa->key_typmods[i], 0);
		TupleDescInitEntryCollation(keys, i + 1, qa->key_collations[i]);
		TupleDescInitEntry(points, i + 1, name, qa->key_types[i], qa->key_typmods[i], 0);
		TupleDescInitEntryCollation(points, i + 1, qa->key_collations[i]);
	}
	TupleDescInitEntry(points, qa->nkeys + 1, "t", TIMESTAMPTZOID, -1, 0);
	announce_relation(env, WH_TOUCHED_NAME, keys);
	announce_relation(env, WH_POINTS_NAME, points);
	return env;
}

/* Make an environment in which wh_points is known as a query as a whole reads it. */
QueryEnvironment *
wh_query_whole_environment(void)
{
	QueryEnvironment *env = create_queryEnv();
	TupleDesc	points = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(points, 1, "t", TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(points, 2, "until", TIMESTAMPTZOID, -1, 0);
	announce_relation(env, WH_POINTS_NAME, points);
	return env;
}

/*
 * Make a tree printable: the deparser prefers the syntactic name of a Var,
 * which may point into join entries that were rebuilt, and knows no ephemeral
 * relation, which prints well as a reference to a CTE.
 */
static bool
printable_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		((Var *) node)->varnosyn = 0;
		((Var *) node)->varattnosyn = 0;
		return false;
	}
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_NAMEDTUPLESTORE)
		{
			rte->rtekind = RTE_CTE;
			rte->ctename = rte->enrname;
			rte->enrname = NULL;
			rte->ctelevelsup = 0;
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, printable_walker, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, printable_walker, context);
}

/* Print a query, which is changed on the way; search_path must be empty. */
char *
wh_query_deparse(Query *query)
{
	printable_walker((Node *) query, NULL);
	return pg_get_querydef(query, false);
}

/* Return a relation's qualified and quoted name. */
char *
wh_query_relation_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

/* Append OPERATOR(schema.name). */
void
wh_query_append_operator(StringInfo buf, Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(buf, "OPERATOR(%s.%s)",
					 quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

/* Print a term, its leaf being called "alias"; search_path must be empty. */
char *
wh_query_term_text(QueryAnalysis *qa, QueryTerm *term, const char *alias)
{
	if (term->leaf < 0)
		return deparse_expression(term->expr, NIL, false, false);
	return deparse_expression(term->expr,
							  deparse_context_for(alias, wh_query_leaf(qa, term->leaf)->relid),
							  true, false);
}

/* Return a type's default equality operator, or raise an error. */
Oid
wh_query_equality_operator(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);

	if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->lt_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s cannot be a key: it has no order", format_type_be(type)),
				 errhint("Cast the column to a type with a B-tree operator class, such as text.")));
	return entry->eq_opr;
}

/* Turn a range table entry into a subquery under the name it had. */
void
wh_query_to_subquery(RangeTblEntry *rte, Query *subquery, bool lateral)
{
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = subquery;
	if (rte->alias == NULL)
		rte->alias = makeAlias(rte->eref->aliasname, NIL);
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->lateral = lateral;
	WH_RTE_CLEAR_PERMISSIONS(rte);
}

/* Return "alias.k1 AS prefix1, ..." (or without AS when prefix is NULL). */
char *
wh_query_key_list(QueryAnalysis *qa, const char *alias, const char *prefix)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 1; i <= qa->nkeys; i++)
	{
		appendStringInfo(&buf, "%s%s.k%d", i > 1 ? ", " : "", alias, i);
		if (prefix)
			appendStringInfo(&buf, " AS %s%d", prefix, i);
	}
	return buf.data;
}

/* List a leaf's columns as the query numbers them, from "h". */
void
wh_query_append_columns(StringInfo buf, QueryLeaf *leaf, const char *presence)
{
	int			natts = wh_query_relation_natts(leaf->relid);

	for (int i = 1; i <= natts; i++)
	{
		Oid			type,
					collation;
		int32		typmod;

		get_atttypetypmodcoll(leaf->relid, i, &type, &typmod, &collation);
		if (i > 1)
			appendStringInfoString(buf, ", ");
		if (OidIsValid(type))
			appendStringInfo(buf, "h.%s", quote_identifier(get_attname(leaf->relid, i, false)));
		else
			appendStringInfo(buf, "NULL::pg_catalog.int4 AS wh_dropped_%d", i);
	}
	if (leaf->whole_row)
		appendStringInfo(buf, ", %s", presence);
}
