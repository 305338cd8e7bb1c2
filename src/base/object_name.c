/*
 * object_name.c
 *	  Names of feeds, dimensions and facts, as users write them.
 *
 * A plain name goes to a default schema, which is made when missing.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/schemacmds.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/rel.h"
#include "utils/regproc.h"

#include "compat.h"

#include "base/object_name.h"

/* Refuse NULL in arguments of an SQL function; those without a name here may be NULL. */
void
wh_check_arguments(FunctionCallInfo fcinfo, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (names[i] && PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", names[i])));
}

/* Read a text argument of an SQL function, refusing NULL. */
char *
wh_text_arg(FunctionCallInfo fcinfo, int n, const char *argument)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", argument)));
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * Parse a name, possibly schema-qualified and quoted.  The result is in the
 * current memory context.
 */
WhObjectName
wh_object_name(const char *text, const char *default_schema)
{
	WhObjectName object;
	List	   *parts = wh_string_to_names(text);

	if (list_length(parts) == 1)
	{
		object.schema = pstrdup(default_schema);
		object.name = strVal(linitial(parts));
	}
	else if (list_length(parts) == 2)
	{
		object.schema = strVal(linitial(parts));
		object.name = strVal(lsecond(parts));
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid name \"%s\"", text),
				 errhint("Write a plain name, or schema.name.")));
	object.qualified = (char *) quote_qualified_identifier(object.schema, object.name);
	return object;
}

/* Give the plain name with a suffix, refusing what PostgreSQL would cut off. */
char *
wh_object_name_add(const WhObjectName *object, const char *suffix)
{
	char	   *name = psprintf("%s%s", object->name, suffix);

	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name \"%s\" is too long", name),
				 errdetail("Names have at most %d bytes; \"%s\" is added to \"%s\".",
						   NAMEDATALEN - 1, suffix, object->name),
				 errhint("Choose a shorter name.")));
	return name;
}

/* Make a schema unless it exists. */
void
wh_object_schema_ensure(const char *schema)
{
	if (!OidIsValid(get_namespace_oid(schema, true)))
	{
		MemoryContext caller = CurrentMemoryContext;
		char	   *sql = psprintf("CREATE SCHEMA %s", quote_identifier(schema));

		if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not run \"%s\"", sql);
		MemoryContextSwitchTo(caller);
	}
}

/* Refuse a relation name that is taken. */
void
wh_object_name_check_free(const WhObjectName *object, const char *suffix)
{
	char	   *name = wh_object_name_add(object, suffix);
	Oid			nsp = get_namespace_oid(object->schema, true);

	if (OidIsValid(nsp) && OidIsValid(get_relname_relid(name, nsp)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists",
						quote_qualified_identifier(object->schema, name)),
				 errhint("Choose another name, or drop the existing object first.")));
}

/* Give a relation's qualified name, quoted where needed. */
char *
wh_relation_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/*
 * Give a type's qualified name for a cast that leaves the length alone: plain
 * "character" is character(1), and "bit" is bit(1).
 */
char *
wh_type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* Refuse the OID of no relation, such as 0. */
void
wh_relation_check_exists(Oid relid)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
}

/* Refuse whoever does not own the relation. */
void
wh_relation_check_owner(Oid relid)
{
	if (!wh_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/*
 * Refuse whoever does not own the relation, and act as its owner: a superuser who
 * alters somebody's object must not run that owner's functions with his own
 * rights.  The caller goes back by SetUserIdAndSecContext; an error does by itself.
 */
void
wh_relation_become_owner(Oid relid, Oid *user, int *sec_context)
{
	Relation	rel;

	wh_relation_check_owner(relid);
	rel = relation_open(relid, AccessShareLock);
	GetUserIdAndSecContext(user, sec_context);
	SetUserIdAndSecContext(rel->rd_rel->relowner, *sec_context | SECURITY_RESTRICTED_OPERATION);
	relation_close(rel, NoLock);
}
