/*
 * catalog_user.c
 *	  The one way into the rights of the catalogs' owner, and to SQL on them.
 *
 * Whoever may execute our functions needs no right on our tables.  Runs in the
 * caller's transaction.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "metadata/catalog_user.h"

#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

/*
 * Become the owner of the catalogs, with a search path that nobody else can write
 * to: whoever calls must not have his own functions run as that owner.  The way
 * back is wh_surroundings_leave; an error undoes it by itself.
 */
void
wh_catalog_enter(WhSurroundings *saved)
{
	Oid			relid = get_relname_relid("feed", get_namespace_oid(WH_SCHEMA, false));
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for the catalog of feeds");
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	saved->guc_level = NewGUCNestLevel();
	if (strcmp(namespace_search_path, SAFE_SEARCH_PATH) != 0)
		(void) set_config_option("search_path", SAFE_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * The same as wh_spi_rows, wh_spi_row and wh_spi_execute, as the owner of the
 * catalogs: whoever may execute our functions needs no right on our tables.
 */
WhRow *
wh_catalog_rows(int *nrows, const char *sql, int nargs, Oid *types, Datum *args)
{
	WhSurroundings saved;
	WhRow	   *rows;

	wh_catalog_enter(&saved);
	rows = wh_spi_rows(nrows, sql, nargs, types, args);
	wh_surroundings_leave(&saved);
	return rows;
}

bool
wh_catalog_row(WhRow *row, const char *sql, int nargs, Oid *types, Datum *args)
{
	int			n;
	WhRow	   *rows = wh_catalog_rows(&n, sql, nargs, types, args);

	if (n > 0)
		*row = rows[0];
	return n > 0;
}

uint64
wh_catalog_execute(const char *sql, int nargs, Oid *types, Datum *args, const char *nulls)
{
	WhSurroundings saved;
	uint64		processed;

	wh_catalog_enter(&saved);
	processed = wh_spi_execute(sql, nargs, types, args, nulls);
	wh_surroundings_leave(&saved);
	return processed;
}
