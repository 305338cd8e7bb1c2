/*
 * object_name.h
 *	  Names of feeds, dimensions and facts, as users write them.
 */
#ifndef WH_OBJECT_NAME_H
#define WH_OBJECT_NAME_H

#include "fmgr.h"

#include "widgets_wh.h"

typedef struct WhObjectName
{
	char	   *schema;
	char	   *name;
	char	   *qualified;		/* quoted where needed, for SQL and messages */
} WhObjectName;

extern void wh_check_arguments(FunctionCallInfo fcinfo, const char *const *names, int n);
extern char *wh_text_arg(FunctionCallInfo fcinfo, int n, const char *argument);
extern WhObjectName wh_object_name(const char *text, const char *default_schema);
extern char *wh_object_name_add(const WhObjectName *object, const char *suffix);
extern void wh_object_schema_ensure(const char *schema);
extern void wh_object_name_check_free(const WhObjectName *object, const char *suffix);
extern void wh_relation_check_exists(Oid relid);
extern char *wh_relation_name(Oid relid);
extern char *wh_type_name(Oid type);
extern void wh_relation_check_owner(Oid relid);
extern void wh_relation_become_owner(Oid relid, Oid *user, int *sec_context);

#endif							/* WH_OBJECT_NAME_H */
