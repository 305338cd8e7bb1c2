/*
 * feed_alter.c
 *	  wh.alter_feed and wh.drop_feed.
 *
 * Runs in the caller's transaction, under the feed's lock, for the owner of the
 * staging relation; catalog rows are written as the catalog's owner.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "feed/feed.h"
#include "metadata/catalog_user.h"
#include "feed/feed_check.h"
#include "base/object_name.h"

PG_FUNCTION_INFO_V1(wh_alter_feed);
PG_FUNCTION_INFO_V1(wh_drop_feed);

/* Find a feed by name, for a caller who may change it, and lock it. */
static WhFeed *
open_feed(const char *name)
{
	WhFeed	   *feed = wh_feed_by_name(name);

	wh_relation_check_owner(feed->relation);
	wh_feed_lock(feed->feed_id, true);
	return wh_feed_get(feed->feed_id, false);
}

/* Run a statement with the feed's id as $1 and one more argument as $2. */
static void
update_catalog(int64 feed_id, const char *sql, Oid type, Datum arg, bool isnull)
{
	Oid			types[2] = {INT8OID, type};
	Datum		args[2] = {Int64GetDatum(feed_id), arg};
	WhSurroundings saved;

	wh_catalog_enter(&saved);
	if (SPI_execute_with_args(sql, 2, types, args, isnull ? " n" : NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "could not run \"%s\"", sql);
	wh_surroundings_leave(&saved);
}

/* True when the feed has staged rows. */
static bool
has_rows(WhFeed *feed)
{
	if (SPI_execute(psprintf("SELECT FROM %s", wh_relation_name(wh_feed_table(feed))), true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read staged rows");
	return SPI_processed > 0;
}

/* Add columns that the source has got since to the staging relations. */
static void
add_new_columns(WhFeed *feed, Relation source)
{
	TupleDesc	desc = RelationGetDescr(source);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || get_attnum(wh_feed_table(feed), NameStr(att->attname)) > 0)
			continue;
		wh_feed_check_column_name(NameStr(att->attname));
		wh_feed_add_column(feed, att);
	}
}

/* Note which staged columns the source has not any more: they are null from now on. */
static void
note_missing_columns(WhFeed *feed, Relation source)
{
	Relation	staged = relation_open(wh_feed_table(feed), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(staged);
	Datum	   *missing = palloc(sizeof(Datum) * desc->natts);
	int			nmissing = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || wh_feed_is_our_column(NameStr(att->attname)) ||
			get_attnum(RelationGetRelid(source), NameStr(att->attname)) != InvalidAttrNumber)
			continue;
		missing[nmissing++] = CStringGetTextDatum(NameStr(att->attname));
		ereport(NOTICE,
				(errmsg("column \"%s\" is missing from the source of feed \"%s\"; it is null from now on",
						NameStr(att->attname), feed->name)));
	}
	relation_close(staged, NoLock);
	if (nmissing > 0 || strstr(feed->options, "missing_columns"))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET options = options"
					   " OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('missing_columns', $2)"
					   " WHERE feed_id OPERATOR(pg_catalog.=) $1", TEXTARRAYOID,
					   PointerGetDatum(construct_array(missing, nmissing, TEXTOID, -1, false, TYPALIGN_INT)), false);
}

#define ARG_TEXT(n) text_to_cstring(PG_GETARG_TEXT_PP(n))

/*
 * wh.alter_feed(feed, deleted_when, watermark, watermark_overlap, redact,
 * time_zone, reject_limit, is_paused): null leaves a property as it is; an
 * empty text, or a negative reject_limit, takes it away.
 */
Datum
wh_alter_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed;
	Relation	source;
	int			level;
	Datum		overlap;

	feed = open_feed(wh_text_arg(fcinfo, 0, "feed"));
	level = wh_pin_settings();
	source = relation_open(feed->source, AccessShareLock);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	if (!PG_ARGISNULL(1))
		feed->deleted_when = *ARG_TEXT(1) ? ARG_TEXT(1) : NULL;
	if (!PG_ARGISNULL(2))
	{
		char	   *watermark = *ARG_TEXT(2) ? ARG_TEXT(2) : NULL;

		/* The value seen belongs to the old column: read everything once. */
		if (watermark == NULL || feed->watermark == NULL || strcmp(watermark, feed->watermark) != 0)
			update_catalog(feed->feed_id, "UPDATE wh.feed SET watermark = $2, watermark_value = NULL"
						   " WHERE feed_id OPERATOR(pg_catalog.=) $1",
						   TEXTOID, watermark ? CStringGetTextDatum(watermark) : (Datum) 0, watermark == NULL);
		feed->watermark = watermark;
	}
	overlap = PG_ARGISNULL(3) ?
		DirectFunctionCall3(interval_in, CStringGetDatum(feed->watermark_overlap),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)) : PG_GETARG_DATUM(3);
	if (!PG_ARGISNULL(4))
		feed->redact = wh_feed_redact_list(PG_GETARG_JSONB_P(4));
	if (!PG_ARGISNULL(5) && strcmp(feed->time_zone, ARG_TEXT(5)) != 0)
	{
		feed->time_zone = ARG_TEXT(5);
		if (has_rows(feed))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot change the time zone of feed \"%s\": it has staged rows", feed->name),
					 errdetail("Their event times were taken in the old time zone."),
					 errhint("Make a new feed.")));
	}
	wh_feed_check_watermark(feed, source, overlap);
	wh_feed_check_expressions(feed, source);

	if (!PG_ARGISNULL(1))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET deleted_when = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   TEXTOID, feed->deleted_when ? CStringGetTextDatum(feed->deleted_when) : (Datum) 0,
					   feed->deleted_when == NULL);
	if (!PG_ARGISNULL(3))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET watermark_overlap = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   INTERVALOID, overlap, false);
	if (!PG_ARGISNULL(4))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET redact = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   JSONBOID, PG_GETARG_DATUM(4), false);
	if (!PG_ARGISNULL(5))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET time_zone = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   TEXTOID, CStringGetTextDatum(feed->time_zone), false);
	if (!PG_ARGISNULL(6))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET reject_limit = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   INT8OID, PG_GETARG_DATUM(6), PG_GETARG_INT64(6) < 0);
	if (!PG_ARGISNULL(7))
		update_catalog(feed->feed_id, "UPDATE wh.feed SET is_paused = $2 WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   BOOLOID, PG_GETARG_DATUM(7), false);
	if (!PG_ARGISNULL(8))
	{
		if (strcmp(ARG_TEXT(8), "error") != 0 && strcmp(ARG_TEXT(8), "continue") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("on_lost_messages must be 'error' or 'continue'")));
		update_catalog(feed->feed_id, "UPDATE wh.feed SET options = options"
					   " OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('on_lost_messages', $2)"
					   " WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   TEXTOID, CStringGetTextDatum(ARG_TEXT(8)), false);
	}
	add_new_columns(feed, source);
	note_missing_columns(feed, source);
	SPI_finish();
	wh_feed_invalidate(feed);
	relation_close(source, NoLock);
	AtEOXact_GUC(false, level);
	PG_RETURN_VOID();
}

/* Refuse to drop a feed that a dimension or fact reads. */
static void
check_unused(WhFeed *feed)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(feed->feed_id)};
	WhSurroundings saved;

	wh_catalog_enter(&saved);
	if (SPI_execute_with_args("SELECT string_agg(DISTINCT coalesce(d.relation, f.relation)::text, ', ')"
							  " FROM wh.input i LEFT JOIN wh.dimension d ON d.dimension_id OPERATOR(pg_catalog.=) i.object_id"
							  " LEFT JOIN wh.fact f ON f.fact_id OPERATOR(pg_catalog.=) i.object_id"
							  " WHERE i.feed_id OPERATOR(pg_catalog.=) $1",
							  1, types, args, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what a feed is used for");
	wh_surroundings_leave(&saved);
	if (SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop feed \"%s\": it is read by %s", feed->name,
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)),
				 errhint("Drop what reads it first, with wh.drop_dimension or wh.drop_fact.")));
}

static void
drop(const char *kind, Oid relid)
{
	char	   *sql;

	if (!OidIsValid(relid))
		return;
	sql = psprintf("DROP %s %s", kind, wh_relation_name(relid));
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not run \"%s\"", sql);
}

/* wh.drop_feed(feed): its relations and what the catalog knows of it. */
Datum
wh_drop_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = open_feed(wh_text_arg(fcinfo, 0, "feed"));
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(feed->feed_id)};
	WhSurroundings saved;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	check_unused(feed);
	wh_catalog_enter(&saved);
	if (SPI_execute_with_args("DELETE FROM wh.feed WHERE feed_id OPERATOR(pg_catalog.=) $1",
							  1, types, args, NULL, false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not remove a feed from the catalog");
	wh_surroundings_leave(&saved);
	if (OidIsValid(feed->history))
		drop("VIEW", feed->relation);
	drop("TABLE", wh_feed_table(feed));
	drop("TABLE", feed->change_log);
	SPI_finish();
	PG_RETURN_VOID();
}
