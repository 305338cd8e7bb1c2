/*
 * surroundings.c
 *	  Under whose rights and which settings the engine works.
 *
 * Whatever a user wrote (definitions, expressions, conversions) runs as the
 * owner of the table that it fills, as a security-restricted operation, under
 * one fixed list of settings, whoever calls and whatever the session has set.
 * An error needs no way back: the end of the (sub)transaction undoes both.
 */
#include "postgres.h"

#include "access/relation.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/surroundings.h"

/*
 * What a conversion, an expression or a query may depend on.  The names are in
 * the order of PostgreSQL's documentation.
 */
static const char *const pinned_settings[][2] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"TimeZone", "UTC"},
	{"DateStyle", "ISO, YMD"},
	{"IntervalStyle", "postgres"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"lc_numeric", "C"},
	{"lc_time", "C"},
	{"xmlbinary", "base64"},
	{"xmloption", "content"},
	{"array_nulls", "on"},
	{"transform_null_equals", "off"},
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"lc_monetary", "C"},
	{"default_text_search_config", "pg_catalog.simple"},
	{"quote_all_identifiers", "off"},
	{"row_security", "on"},
};

/* How the owner's queries are planned. */
static const char *const planner_settings[][2] = {
	/* touched keys are few: lookups through indexes are what we want */
	{"random_page_cost", "1.1"},
	/* rows come through cursors, and all of them are read */
	{"cursor_tuple_fraction", "1.0"},
	{"jit", "off"},
	{"plan_cache_mode", "auto"},
	{"constraint_exclusion", "partition"},
	{"from_collapse_limit", "8"},
	{"join_collapse_limit", "8"},
	{"geqo", "on"},
	{"enable_bitmapscan", "on"},
	{"enable_gathermerge", "on"},
	{"enable_hashagg", "on"},
	{"enable_hashjoin", "on"},
	{"enable_incremental_sort", "on"},
	{"enable_indexonlyscan", "on"},
	{"enable_indexscan", "on"},
	{"enable_material", "on"},
	{"enable_memoize", "on"},
	{"enable_mergejoin", "on"},
	{"enable_nestloop", "on"},
	{"enable_parallel_append", "on"},
	{"enable_parallel_hash", "on"},
	{"enable_partition_pruning", "on"},
	{"enable_seqscan", "on"},
	{"enable_sort", "on"},
	{"enable_tidscan", "on"},
};

static void
pin(const char *const (*settings)[2], int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(GetConfigOption(settings[i][0], false, false), settings[i][1]) != 0)
			(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
									 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Pin the settings that could change what an expression or a conversion gives.
 * Returns the nest level for AtEOXact_GUC(false, level).
 */
int
wh_pin_settings(void)
{
	int			level = NewGUCNestLevel();

	pin(pinned_settings, lengthof(pinned_settings));
	return level;
}

/*
 * The engine may use as much memory for a sort or a hash table as the making of
 * an index may.
 */
static void
raise_work_mem(void)
{
	char		value[32];

	if (work_mem >= maintenance_work_mem)
		return;
	snprintf(value, sizeof(value), "%d", maintenance_work_mem);
	(void) set_config_option("work_mem", value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Become the owner of a relation, under the pinned settings. */
void
wh_owner_enter(Oid relid, WhSurroundings *saved)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	Oid			owner = rel->rd_rel->relowner;

	relation_close(rel, NoLock);
	GetUserIdAndSecContext(&saved->user, &saved->sec_context);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_RESTRICTED_OPERATION);
	saved->guc_level = wh_pin_settings();
	pin(planner_settings, lengthof(planner_settings));
	raise_work_mem();
	/* another's policies are an error: they would filter in silence, and run his functions with these rights */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* Go back to what was before; an error needs no undoing. */
void
wh_surroundings_leave(const WhSurroundings *saved)
{
	AtEOXact_GUC(false, saved->guc_level);
	SetUserIdAndSecContext(saved->user, saved->sec_context);
}
