/*
 * query_plan.h
 *	  From an ordinary SELECT over staged relations to the SQL that keeps its
 *	  result incremental and historical.
 *
 * A plan holds only text and descriptions.  The caller registers ephemeral
 * named relations with SPI (SPI_register_relation) and runs the text, as the
 * definition's owner, under search_path '' or 'pg_catalog' and TimeZone UTC:
 *
 *	  wh_changed_<feed>   images of one feed's changed rows, old and new, with
 *						  the columns of the history (or event) table
 *	  wh_touched		  touched keys, columns k1..kn (mode CURRENT: those of
 *						  the unit only, k2 and k3 say)
 *	  wh_points			  change points, columns k1..kn and t timestamptz
 *
 * Everything is allocated in the caller's memory context.
 */
#ifndef WH_QUERY_PLAN_H
#define WH_QUERY_PLAN_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

#define WH_TOUCHED_NAME "wh_touched"
#define WH_POINTS_NAME "wh_points"

typedef enum WhQueryMode
{
	WH_QUERY_AS_OF,				/* evaluated as of every change of any input, by touched keys */
	WH_QUERY_AS_OF_OR_WHOLE,	/* the same; as a whole where keys cannot be followed */
	WH_QUERY_CURRENT			/* evaluated on current rows */
} WhQueryMode;

typedef enum WhInputKind
{
	WH_INPUT_HISTORY,			/* view of current rows; its history has the versions */
	WH_INPUT_EVENT,				/* append table: in effect from effective_from on */
	WH_INPUT_VERSIONS,			/* a history table read directly: every version is a row */
	WH_INPUT_LOOKUP				/* any other relation: it has no time */
} WhInputKind;

/* How changed images of an input give touched keys, or some columns of them. */
typedef struct WhQueryTouched
{
	int			nkeys;			/* how many of the key's columns */
	int			keys[WH_MAX_KEY];	/* which, from 0, ascending */
	int			unit;			/* mode CURRENT: index into the plan's units */
	char	   *sql;			/* SELECT DISTINCT k<i>, ... FROM wh_changed_<feed> ... */
} WhQueryTouched;

/* A relation the query reads, once, however often the query names it. */
typedef struct WhQueryInput
{
	Oid			relid;			/* as the query names it */
	Oid			image_relid;	/* whose columns its changed images have; InvalidOid for a lookup */
	int64		feed_id;		/* 0 for a lookup */
	WhInputKind kind;
	Bitmapset  *columns;		/* attribute numbers of relid that the query reads */
	char	   *changed_name;	/* wh_changed_<feed>; NULL for a lookup */
	List	   *touched;		/* of WhQueryTouched, at most one per set of key columns */
	bool		whole;			/* a change of it may change any row of the result */
	char	   *whole_reason;	/* why, as a sentence; NULL unless whole */
	char	   *first_change_sql;	/* a query as a whole: the first time that its changed images concern */
} WhQueryInput;

/*
 * A query that is evaluated as a whole as of points in time, because its keys
 * cannot be followed.  wh_points has columns t and until then, without keys.
 */
typedef struct WhQueryWhole
{
	char	   *times_sql;		/* every time at which an input's version begins or ends: t */
	char	   *rows_sql;		/* wh_k1..wh_kn, wh_t, wh_until, then result; reads wh_points */
	char	   *message;		/* why keys cannot be followed: what mode AS_OF says of it */
	char	   *detail;			/* or NULL */
	char	   *hint;			/* what to write instead, or NULL */
} WhQueryWhole;

/* Mode CURRENT: the query for the rows of touched units only. */
typedef struct WhQueryUnit
{
	int			nkeys;
	int			keys[WH_MAX_KEY];
	char	   *restricted_sql; /* the query's columns; reads wh_touched */
	char	   *restricted_nulls_sql;	/* the same where NULL matches NULL: slower, for touched units with a NULL */
} WhQueryUnit;

/* An index that lookups by touched key want.  None is listed that exists. */
typedef struct WhIndexHint
{
	Oid			relid;
	List	   *columns;		/* of char * */
} WhIndexHint;

typedef struct WhQueryPlan
{
	WhQueryMode mode;
	int			nkeys;
	char	   *key_names[WH_MAX_KEY];
	AttrNumber	key_attnos[WH_MAX_KEY]; /* in result */
	Oid			key_types[WH_MAX_KEY];
	int32		key_typmods[WH_MAX_KEY];
	Oid			key_collations[WH_MAX_KEY];
	TupleDesc	result;			/* the query's own output columns */
	List	   *inputs;			/* of WhQueryInput */
	List	   *index_hints;	/* of WhIndexHint */

	/* mode AS_OF */
	char	   *points_sql;		/* k1..kn, t of touched keys; reads wh_touched */
	char	   *all_points_sql; /* k1..kn, t of all keys */
	char	   *as_of_sql;		/* wh_k1..wh_kn, wh_t, then result; reads wh_points */
	char	   *hot_as_of_sql;	/* the same rows, near-linear for a key with very many versions */

	/*
	 * When the key's points are just the ends of one feed's versions, there
	 * is no need of points: the rows at the beginning of each version, as
	 * as_of_sql gives them, with the end of the version after wh_t.  NULL in
	 * other cases.
	 */
	char	   *direct_sql;		/* wh_k1..wh_kn, wh_t, wh_until, then result */
	char	   *direct_touched_sql; /* of touched keys; reads wh_touched */

	/*
	 * Mode AS_OF_OR_WHOLE, when keys cannot be followed: then mode is AS_OF, and
	 * none of the above is there.  NULL in other cases.
	 */
	WhQueryWhole *whole;

	/* mode CURRENT */
	List	   *units;			/* of WhQueryUnit */
	char	   *whole_sql;		/* all rows of the query */
} WhQueryPlan;

/*
 * hot_as_of_sql is for keys with thousands of points: put those keys' points
 * into a wh_points of their own and run it on them.  Points that are no end of
 * a version (a caller's own) are right in as_of_sql, except for a query over
 * one feed alone, which joins on effective_from = t.
 *
 * Rows whose key has a NULL are not in mode AS_OF.  In mode CURRENT touched_sql
 * yields NULLs, restricted_sql matches none of them.  A row may belong to
 * touched units of several kinds: it is then computed for each.
 *
 * Run them with cursor_tuple_fraction = 1 when by cursor, and random_page_cost
 * = 1.1: the default makes the planner read whole tables for 10,000 keys.
 *
 * as_of_sql, restricted_sql and whole_sql end in ORDER BY the key, t, the
 * query's own ORDER BY, then every column: of several rows for one key at one
 * instant, the first is the one to take.
 *
 * Both functions raise an error that names the construct and offers another
 * way when the query cannot be taken.  Text is parsed under the current
 * search_path.
 */
extern WhQueryPlan *wh_query_plan_view(Oid definition, char **key_names, int nkeys, WhQueryMode mode);
extern WhQueryPlan *wh_query_plan_text(const char *sql, char **key_names, int nkeys, WhQueryMode mode);

extern const char *wh_query_kind_name(WhInputKind kind);

/*
 * Raise an error if an expression or query calls volatile functions or reads
 * the clock, the user or settings.  "what" names it in the message, such as
 * 'screen "price_positive"'.
 */
extern void wh_purity_check(Node *node, const char *what);
extern void wh_purity_check_words(Node *node, const char *text, const char *what);

#endif							/* WH_QUERY_PLAN_H */
