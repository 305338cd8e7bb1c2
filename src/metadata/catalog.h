/*
 * catalog.h
 *	  Dimensions, facts and their inputs, as the catalogs have them.
 */
#ifndef WH_CATALOG_H
#define WH_CATALOG_H

#include "widgets_wh.h"

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "metadata/catalog_user.h"

/* SCD types of a column. */
typedef enum WhScdType
{
	WH_SCD_KEEP = 0,			/* the earliest value */
	WH_SCD_OVERWRITE = 1,		/* the latest value */
	WH_SCD_VERSION = 2,			/* a version of its own */
	WH_SCD_PREVIOUS = 3			/* the latest, and the distinct one before it */
} WhScdType;

typedef enum WhHistory
{
	WH_HISTORY_AUTO,
	WH_HISTORY_QUERY,
	WH_HISTORY_NONE
} WhHistory;

typedef enum WhGrain
{
	WH_GRAIN_NONE,
	WH_GRAIN_HOUR,
	WH_GRAIN_DAY,
	WH_GRAIN_WEEK,
	WH_GRAIN_MONTH
} WhGrain;

typedef enum WhFactMode
{
	WH_FACT_APPEND,
	WH_FACT_UPSERT,
	WH_FACT_LEDGER
} WhFactMode;

/*
 * A dimension.  Its table has the surrogate key as first column; the query's
 * columns, previous_<column> for each column of SCD type 3, effective_from,
 * effective_to, is_current, is_inferred and batch_id follow, in any order: they
 * are found by name.
 */
typedef struct WhDimension
{
	int64		id;
	Oid			relid;
	Oid			definition;		/* InvalidOid for a date dimension */
	char	   *name;			/* plain name */
	char	   *qualified;
	bool		is_date;
	int			nkey;
	AttrNumber	key[WH_MAX_KEY];	/* attribute numbers of the natural key */
	int			key_index[WH_MAX_KEY];	/* which of the query's columns, from 0 */
	char	   *key_name[WH_MAX_KEY];
	int			ncolumns;		/* of the query */
	AttrNumber *column;			/* attribute number per column of the query */
	WhScdType  *scd;			/* per column of the query, from 0 */
	AttrNumber *previous;		/* attribute of previous_<column>, or 0 */
	WhHistory	history;
	WhGrain		grain;
	char	   *time_zone;
	int64		next_key;
	TupleDesc	tupdesc;		/* of the table; attribute 1 is the key */
	TupleDesc	query;			/* of the definition */
	AttrNumber	effective_from;
	AttrNumber	effective_to;
	AttrNumber	is_current;
	AttrNumber	is_inferred;
	AttrNumber	batch;
} WhDimension;

/* The surrogate key of a day: year, month and day as one number. */
extern int64 wh_date_key(int32 date);

/* One use of a dimension by a fact. */
typedef struct WhFactDimension
{
	char	   *role;
	int64		dimension_id;
	int			ncolumns;
	char	   *column_name[WH_MAX_KEY];
	AttrNumber	column[WH_MAX_KEY]; /* attribute numbers in the fact's table */
	AttrNumber	key;			/* attribute number of the surrogate key */
} WhFactDimension;

/*
 * A fact.  Its table's columns are the surrogate keys, the query's columns, for
 * ledger facts posted_at, is_reversal and reverses_posted_at, and batch_id, in
 * any order: they are found by name.
 */
typedef struct WhFact
{
	int64		id;
	Oid			relid;
	Oid			definition;
	char	   *name;
	char	   *qualified;
	int			ngrain;
	AttrNumber	grain[WH_MAX_KEY];
	int			grain_index[WH_MAX_KEY];	/* which of the query's columns, from 0 */
	char	   *grain_name[WH_MAX_KEY];
	char	   *event_time;
	AttrNumber	event_time_attr;
	WhFactMode	mode;
	char	   *time_zone;
	TimestampTz latest_event_time;	/* no row has a later one */
	int			ndimensions;
	WhFactDimension *dimensions;
	int			ncolumns;		/* of the query */
	AttrNumber *column;			/* attribute number per column of the query */
	AttrNumber	posted_at;		/* mode ledger only */
	AttrNumber	is_reversal;
	AttrNumber	reverses_posted_at;
	AttrNumber	batch;
	TupleDesc	tupdesc;
	TupleDesc	query;			/* of the definition */
} WhFact;

/* A dimension or a fact, by name. */
typedef struct WhObject
{
	int64		id;				/* 0 = none */
	const char *kind;			/* "dimension" or "fact" */
	char	   *name;			/* qualified and quoted */
} WhObject;

/* A relation that a dimension or a fact reads. */
typedef struct WhInput
{
	Oid			relid;
	int64		feed_id;		/* 0 = a plain lookup table */
	bool		has_used;
	int64		used_batch_id;	/* valid if has_used */
	int64		last_batch_id;	/* of the feed; 0 = nothing staged yet */
	Oid			history;		/* the feed's table of all versions or events */
	Oid			change_log;
	char	   *hash;			/* a lookup table's content hash when last used, in hex */
} WhInput;

extern List *wh_catalog_dimensions(void);
extern List *wh_catalog_facts(void);
extern WhDimension *wh_catalog_dimension(int64 id);
extern WhFact *wh_catalog_fact(int64 id);
extern void wh_catalog_check_dimension(const WhDimension *dimension, Relation rel);
extern void wh_catalog_check_fact(const WhFact *fact, Relation rel);
extern void wh_catalog_check_result(const char *name, TupleDesc table, const AttrNumber *column, int ncolumns,
									TupleDesc result, const AttrNumber *of_result, int offset);
extern int64 wh_catalog_find(const char *catalog, const char *name);
extern int64 wh_catalog_object_id(const char *catalog, const char *name);
extern List *wh_catalog_inputs(int64 object_id);
extern void wh_catalog_input_used(int64 object_id, const WhInput *input);
extern bool wh_input_first_block(const WhInput *input, int64 *block);
extern double wh_input_new_rows(const WhInput *input);
extern void wh_catalog_next_key(const WhDimension *dimension);
extern void wh_catalog_last_batch(const char *catalog, const char *id_column,
								  int64 id, int64 batch_id);
extern char **wh_catalog_text_array(Datum array, int *n);

#endif							/* WH_CATALOG_H */
