/*
 * fact_rows.h
 *	  One fact's publish in progress, and the rows that go through it.
 */
#ifndef WH_FACT_ROWS_H
#define WH_FACT_ROWS_H

#include "widgets_wh.h"

#include "access/htup.h"
#include "lib/stringinfo.h"
#include "utils/tuplestore.h"

#include "base/bulk_writer.h"
#include "fact/fact_lookup.h"
#include "definition/publish.h"
#include "query/query_plan.h"
#include "definition/touched.h"

/*
 * A source row is: the query's columns, the event time as timestamptz, the
 * natural keys of all dimensions one after the other.  "extra" is what follows
 * the query's columns.
 */
typedef struct WhFactPass
{
	WhPublish  *publish;
	WhFact	   *fact;
	Relation	rel;			/* its table, open */
	const WhQueryPlan *plan;
	WhLookup  **lookups;		/* per dimension of the fact */
	WhBulkWriter *writer;
	WhBatchStep *counts;
	TimestampTz latest;			/* event time met so far */
	Tuplestorestate *errors;	/* (record, sqlstate, message, event_time) */
	TupleDesc	error_desc;
	int64		nerrors;
	TupleDesc	query_desc;		/* the query's columns, as they are in the table */
	Datum	   *values;			/* room for a row of the table */
	bool	   *isnull;
	Datum	   *source_values;	/* room for a source row with what comes before it */
	bool	   *source_isnull;
} WhFactPass;

extern char *wh_fact_natural_key_sql(const WhFactPass *pass, const char *alias, AttrNumber attno,
									 WhDimension *d, int k);
extern void wh_fact_append_extra(StringInfo sql, const WhFactPass *pass, const char *alias);
extern char *wh_fact_source_sql(const WhFactPass *pass, const char *inner);
extern char *wh_fact_existing_sql(const WhFactPass *pass, const WhTouched *touched);
extern void wh_fact_check_source(const WhFactPass *pass, TupleDesc tupdesc, int offset);
extern int	wh_fact_source_width(const WhFact *fact);
extern void wh_fact_build(WhFactPass *pass, const Datum *source, const bool *source_isnull);
extern void wh_fact_keys(WhFactPass *pass, const Datum *extra, const bool *extra_isnull,
						 Datum *values, bool *isnull);
extern bool wh_fact_same(const WhFactPass *pass, const Datum *old_values, const bool *old_isnull);
extern bool wh_fact_same_payload(const WhFactPass *pass, const Datum *old_values,
								 const bool *old_isnull);
extern void wh_fact_release(WhFactPass *pass, const Datum *old_values, const Datum *new_values);
extern void wh_fact_error(WhFactPass *pass, const Datum *source, const bool *source_isnull,
						  int sqlerrcode, const char *message);

/* fact_merge.c */
extern void wh_fact_merge(WhFactPass *pass, const char *inner, const WhTouched *touched);
extern void wh_fact_merge_ledger(WhFactPass *pass, const char *inner, const WhTouched *touched);

/* fact_load.c */
extern void wh_fact_load(WhFactPass *pass);
extern bool wh_fact_append(WhFactPass *pass, const char *inner);
extern bool wh_fact_has_index(const WhFact *fact);
extern bool wh_fact_make_index(WhFactPass *pass);

/* fact_repoint.c */
extern void wh_fact_repoint(WhFactPass *pass);

#endif							/* WH_FACT_ROWS_H */
