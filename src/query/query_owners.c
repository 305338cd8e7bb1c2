/*
 * query_owners.c
 *	  Whose functions, operators and types a definition or an expression reaches.
 *
 * Definitions and expressions of feeds run with their owner's rights, again and again.  Plain names find
 * relations of schemas staging and public, in which others may be allowed to
 * create; but a function, operator, type or cast of another plain role must not
 * take the place of the one that was meant (as in CVE-2018-1058).  So each one that
 * a definition uses is its owner's or a superuser's, or is written with its
 * schema.  A cast cannot be written so.
 *
 * Runs when a definition is created or altered, or an expression is analysed, as
 * the owner, under the search path in which the text is read.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "query/query_owners.h"

/* What is written with its schema: names of two parts, "schema.name". */
typedef struct OwnerCheck
{
	List	   *qualified;		/* of char * */
} OwnerCheck;

/* Tell whether what belongs to a role may be reached by a plain name. */
static bool
is_trusted(Oid owner)
{
	return owner == GetUserId() || superuser_arg(owner);
}

static void
refuse(const char *what, const char *schema, const char *name, Oid owner)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s %s.%s belongs to role \"%s\"", what, quote_identifier(schema), name,
					GetUserNameFromId(owner, false)),
			 errdetail("The definition would run it with the rights of role \"%s\".",
					   GetUserNameFromId(GetUserId(), false)),
			 errhint("If that is what you want, write its schema, as in schema.function(...), OPERATOR(schema.=) or"
					 " schema.type. Casts must be superusers' or your own.")));
}

static void
check_object(OwnerCheck *check, const char *what, Oid schema, const char *name, Oid owner)
{
	char	   *schema_name;
	ListCell   *lc;

	if (is_trusted(owner))
		return;
	schema_name = get_namespace_name(schema);
	foreach(lc, check->qualified)
		if (strcmp(lfirst(lc), psprintf("%s.%s", schema_name, name)) == 0)
			return;
	refuse(what, schema_name, name, owner);
}

static bool
check_function(Oid funcid, void *context)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	check_object(context, "function", form->pronamespace, NameStr(form->proname), form->proowner);
	ReleaseSysCache(tuple);
	return false;
}

static void
check_operator(OwnerCheck *check, Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	check_object(check, "operator", form->oprnamespace, NameStr(form->oprname), form->oprowner);
	ReleaseSysCache(tuple);
}

/*
 * The operator comes first: its function, which nobody writes, is trusted with
 * it when it is written with its schema.
 */
static bool
analysed_walker(Node *node, void *context)
{
	OwnerCheck *check = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			check_operator(check, ((OpExpr *) node)->opno);
			break;
		case T_ScalarArrayOpExpr:
			check_operator(check, ((ScalarArrayOpExpr *) node)->opno);
			break;
		case T_RowCompareExpr:
			foreach(lc, ((RowCompareExpr *) node)->opnos)
				check_operator(check, lfirst_oid(lc));
			break;
		case T_SortGroupClause:
			check_operator(check, ((SortGroupClause *) node)->eqop);
			check_operator(check, ((SortGroupClause *) node)->sortop);
			return false;
		case T_Query:
			return query_tree_walker((Query *) node, analysed_walker, context, QTW_EXAMINE_SORTGROUP);
		default:
			(void) check_functions_in_node(node, check_function, context);
			break;
	}
	return expression_tree_walker(node, analysed_walker, context);
}

static void
note_name(OwnerCheck *check, List *name)
{
	if (list_length(name) == 2)
		check->qualified = lappend(check->qualified,
								   psprintf("%s.%s", strVal(linitial(name)), strVal(lsecond(name))));
}

/* Look up a type that is written without its schema. */
static void
check_type(OwnerCheck *check, const TypeName *name)
{
	Type		type;
	Form_pg_type form;

	if (list_length(name->names) != 1)
		return;
	type = LookupTypeName(NULL, name, NULL, true);
	if (type == NULL)
		return;
	form = (Form_pg_type) GETSTRUCT(type);
	check_object(check, "type", form->typnamespace, NameStr(form->typname), form->typowner);
	ReleaseSysCache(type);
}

static bool
raw_walker(Node *node, void *context)
{
	OwnerCheck *check = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncCall:
			note_name(check, ((FuncCall *) node)->funcname);
			break;
		case T_A_Expr:
			note_name(check, ((A_Expr *) node)->name);
			break;
		case T_SubLink:
			note_name(check, ((SubLink *) node)->operName);
			break;
		case T_SortBy:
			note_name(check, ((SortBy *) node)->useOp);
			break;
		case T_TypeName:
			check_type(check, (TypeName *) node);
			return false;
		default:
			break;
	}
	return raw_expression_tree_walker(node, raw_walker, context);
}

/*
 * Give what a parse tree, not yet analysed, writes with its schema, for
 * wh_owners_check; and refuse types that another plain role owns and that are
 * written without: an analysis would call their input functions.
 */
List *
wh_owners_written(Node *raw)
{
	OwnerCheck	check = {NIL};

	(void) raw_walker(raw, &check);
	return check.qualified;
}

/*
 * Refuse a query or an expression that reaches, by a plain name or a cast, what
 * another plain role owns.
 */
void
wh_owners_check(Node *analysed, List *written)
{
	OwnerCheck	check = {written};

	(void) analysed_walker(analysed, &check);
}
