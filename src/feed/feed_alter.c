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
#include "feed/feed_follow.h"
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

/* True when the feed has staged rows. */
static bool
has_rows(WhFeed *feed)
{
	if (SPI_execute(psprintf("SELECT FROM %s", wh_relation_name(wh_feed_table(feed))), true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read staged rows");
	return SPI_processed > 0;
}

/* Note which staged columns the source has not any more: they are null from now on. */
static ArrayType *
missing_columns(WhFeed *feed, Relation source)
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
	return construct_array(missing, nmissing, TEXTOID, -1, false, TYPALIGN_INT);
}

/* What a call of wh.alter_feed changes: NULL, or no value, leaves a property as it is. */
typedef struct AlterArgs
{
	char	   *deleted_when;	/* empty: none any more */
	char	   *watermark;		/* the same */
	Interval   *watermark_overlap;
	Jsonb	   *redact;
	char	   *time_zone;
	bool		has_reject_limit;
	int64		reject_limit;	/* negative: none any more */
	bool		has_paused;
	bool		is_paused;
	char	   *on_lost_messages;
	char	   *on_source_change;
	ArrayType  *missing_columns;
	bool		changes_watermark;	/* to another column, or to none */
} AlterArgs;

/* The arguments of wh.alter_feed, in the order of its declaration. */
enum
{
	ARG_FEED, ARG_DELETED_WHEN, ARG_WATERMARK, ARG_WATERMARK_OVERLAP, ARG_REDACT, ARG_TIME_ZONE,
	ARG_REJECT_LIMIT, ARG_IS_PAUSED, ARG_ON_LOST_MESSAGES, ARG_ON_SOURCE_CHANGE
};

static char *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/* Read an argument that is one of two words, or null. */
static char *
word_or_null(FunctionCallInfo fcinfo, int n, const char *name, const char *one, const char *other)
{
	char	   *word = text_or_null(fcinfo, n);

	if (word && strcmp(word, one) != 0 && strcmp(word, other) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be '%s' or '%s'", name, one, other)));
	return word;
}

static void
read_args(FunctionCallInfo fcinfo, AlterArgs *args)
{
	memset(args, 0, sizeof(*args));
	args->deleted_when = text_or_null(fcinfo, ARG_DELETED_WHEN);
	args->watermark = text_or_null(fcinfo, ARG_WATERMARK);
	args->watermark_overlap = PG_ARGISNULL(ARG_WATERMARK_OVERLAP) ? NULL : PG_GETARG_INTERVAL_P(ARG_WATERMARK_OVERLAP);
	args->redact = PG_ARGISNULL(ARG_REDACT) ? NULL : PG_GETARG_JSONB_P(ARG_REDACT);
	args->time_zone = text_or_null(fcinfo, ARG_TIME_ZONE);
	args->has_reject_limit = !PG_ARGISNULL(ARG_REJECT_LIMIT);
	args->reject_limit = args->has_reject_limit ? PG_GETARG_INT64(ARG_REJECT_LIMIT) : 0;
	args->has_paused = !PG_ARGISNULL(ARG_IS_PAUSED);
	args->is_paused = args->has_paused && PG_GETARG_BOOL(ARG_IS_PAUSED);
	args->on_lost_messages = word_or_null(fcinfo, ARG_ON_LOST_MESSAGES, "on_lost_messages", "error", "continue");
	args->on_source_change = word_or_null(fcinfo, ARG_ON_SOURCE_CHANGE, "on_source_change", "error", "follow");
}

/* Tell whether the call changes something that is checked against the source. */
static bool
needs_source(const AlterArgs *args)
{
	return args->deleted_when || args->watermark || args->watermark_overlap || args->redact || args->time_zone;
}

/* Take the new properties into the feed, and refuse what its source cannot have. */
static void
change_feed(WhFeed *feed, AlterArgs *args, Relation source)
{
	Datum		overlap;

	if (args->deleted_when)
		feed->deleted_when = *args->deleted_when ? args->deleted_when : NULL;
	if (args->watermark)
	{
		char	   *watermark = *args->watermark ? args->watermark : NULL;

		args->changes_watermark = watermark == NULL || feed->watermark == NULL ||
			strcmp(watermark, feed->watermark) != 0;
		feed->watermark = watermark;
	}
	overlap = args->watermark_overlap ? IntervalPGetDatum(args->watermark_overlap) :
		DirectFunctionCall3(interval_in, CStringGetDatum(feed->watermark_overlap),
							ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	if (args->redact)
		feed->redact = wh_feed_redact_list(args->redact);
	if (args->time_zone && strcmp(feed->time_zone, args->time_zone) != 0)
	{
		feed->time_zone = args->time_zone;
		if (has_rows(feed))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot change the time zone of feed \"%s\": it has staged rows", feed->name),
					 errdetail("Their event times were taken in the old time zone."),
					 errhint("Make a new feed.")));
	}
	wh_feed_check_watermark(feed, source, overlap);
	wh_feed_check_expressions(feed, source);
}

/* Write what the call changes. */
static void
store(const WhFeed *feed, const AlterArgs *args)
{
#define TEXT_OR_NULL(text) (text) ? CStringGetTextDatum(text) : (Datum) 0
	const struct
	{
		Oid			type;
		Datum		value;
		bool		is_given;
	}			properties[] = {
		{INT8OID, Int64GetDatum(feed->feed_id), true},
		{TEXTOID, TEXT_OR_NULL(args->deleted_when), args->deleted_when != NULL},
		{TEXTOID, TEXT_OR_NULL(args->watermark), args->watermark != NULL},
		{BOOLOID, BoolGetDatum(args->changes_watermark), true},
		{INTERVALOID, PointerGetDatum(args->watermark_overlap), args->watermark_overlap != NULL},
		{JSONBOID, PointerGetDatum(args->redact), args->redact != NULL},
		{TEXTOID, TEXT_OR_NULL(args->time_zone), args->time_zone != NULL},
		{INT8OID, Int64GetDatum(args->reject_limit), args->has_reject_limit},
		{BOOLOID, BoolGetDatum(args->is_paused), args->has_paused},
		{TEXTOID, TEXT_OR_NULL(args->on_lost_messages), args->on_lost_messages != NULL},
		{TEXTOID, TEXT_OR_NULL(args->on_source_change), args->on_source_change != NULL},
		{TEXTARRAYOID, PointerGetDatum(args->missing_columns), args->missing_columns != NULL}
	};
#undef TEXT_OR_NULL
	Oid			types[lengthof(properties)];
	Datum		values[lengthof(properties)];
	char		nulls[lengthof(properties) + 1];

	for (int i = 0; i < lengthof(properties); i++)
	{
		types[i] = properties[i].type;
		values[i] = properties[i].value;
		nulls[i] = properties[i].is_given ? ' ' : 'n';
	}
	nulls[lengthof(properties)] = '\0';
	/* The value seen belongs to the old watermark: read everything once. */
	(void) wh_catalog_execute("UPDATE wh.feed SET"
							  " deleted_when = CASE WHEN $2 IS NULL THEN deleted_when ELSE nullif($2, '') END,"
							  " watermark = CASE WHEN $3 IS NULL THEN watermark ELSE nullif($3, '') END,"
							  " watermark_value = CASE WHEN $4 THEN NULL ELSE watermark_value END,"
							  " watermark_overlap = coalesce($5, watermark_overlap),"
							  " redact = coalesce($6, redact),"
							  " time_zone = coalesce($7, time_zone),"
							  " reject_limit = CASE WHEN $8 IS NULL THEN reject_limit WHEN $8 >= 0 THEN $8 END,"
							  " is_paused = coalesce($9, is_paused),"
							  " options = options || jsonb_strip_nulls(jsonb_build_object('on_lost_messages', $10,"
							  "   'on_source_change', $11, 'missing_columns', $12))"
							  " WHERE feed_id = $1", lengthof(properties), types, values, nulls);
}

/*
 * wh.alter_feed(feed, deleted_when, watermark, watermark_overlap, redact,
 * time_zone, reject_limit, is_paused, on_lost_messages, on_source_change): null
 * leaves a property as it is; an empty text, or a negative reject_limit, takes it
 * away.  Staging follows the source's columns.
 */
Datum
wh_alter_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = open_feed(wh_text_arg(fcinfo, ARG_FEED, "feed"));
	Relation	source;
	AlterArgs	args;
	int			level = wh_pin_settings();

	read_args(fcinfo, &args);
	SPI_connect();
	source = try_relation_open(feed->source, AccessShareLock);
	if (source == NULL && (needs_source(&args) || !(args.has_paused || args.has_reject_limit)))
		source = wh_feed_open_source(feed);	/* an error */
	if (source)
	{
		if (needs_source(&args))
			change_feed(feed, &args, source);
		/* A feed is paused whatever its source has become. */
		if (!args.is_paused)
		{
			wh_feed_follow_source(feed, source);
			args.missing_columns = missing_columns(feed, source);
		}
		relation_close(source, NoLock);
	}
	store(feed, &args);
	SPI_finish();
	wh_feed_invalidate(feed);
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
