/*
 * feed_dismiss.c
 *	  wh.dismiss_error_events: closes error events that need nobody's attention.
 *
 * Runs in the caller's transaction, for the owner of the feed or fact.  The
 * condition is evaluated with the caller's rights; the events are then closed as
 * the owner of the catalogs.  Locks the events' rows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/object_name.h"
#include "base/spi_query.h"
#include "feed/feed.h"
#include "feed/feed_check.h"
#include "metadata/catalog.h"

PG_FUNCTION_INFO_V1(wh_dismiss_error_events);

/* Find a feed or a fact that the caller owns. */
static int64
owned_object(const char *name)
{
	int64		id = wh_catalog_find("fact", name);
	WhFeed	   *feed;

	if (id != 0)
	{
		wh_relation_check_owner(wh_catalog_fact(id)->relid);
		return id;
	}
	feed = wh_feed_by_name(name);
	wh_relation_check_owner(feed->relation);
	return feed->feed_id;
}

/* Give the ids of the object's open events that the condition holds for, as an array. */
static Datum
matching_events(int64 object_id, const char *condition)
{
	char	   *sql = psprintf("SELECT coalesce(pg_catalog.array_agg(error_event_id), '{}')"
							   " FROM wh.error_event WHERE object_id = $1 AND state = 'open' AND (%s\n)",
							   condition);
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(object_id)};
	SPIPlanPtr	plan = SPI_prepare(sql, 1, types);
	bool		isnull;

	if (plan == NULL || list_length(SPI_plan_get_plan_sources(plan)) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the condition is more than one expression")));
	if (SPI_execute_plan(plan, args, NULL, false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the condition is no expression over the columns of wh.error_event")));
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
}

/* wh.dismiss_error_events(feed text, condition text) returns bigint: how many. */
Datum
wh_dismiss_error_events(PG_FUNCTION_ARGS)
{
	char	   *name = wh_text_arg(fcinfo, 0, "feed");
	char	   *condition = PG_ARGISNULL(1) ? "true" : text_to_cstring(PG_GETARG_TEXT_PP(1));
	int64		object_id;
	uint64		dismissed;
	Datum		ids;

	SPI_connect();
	object_id = owned_object(name);
	ids = matching_events(object_id, condition);
	dismissed = wh_catalog_execute("UPDATE wh.error_event SET state = 'dismissed', closed_at = pg_catalog.clock_timestamp()"
								   " WHERE object_id = $1 AND state = 'open' AND error_event_id = ANY ($2)",
								   2, (Oid[]) {INT8OID, INT8ARRAYOID},
								   (Datum[]) {Int64GetDatum(object_id), ids}, NULL);
	SPI_finish();
	PG_RETURN_INT64(dismissed);
}
