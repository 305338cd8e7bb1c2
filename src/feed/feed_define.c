/*
 * feed_define.c
 *	  wh.create_feed: checks a definition and makes its relations.
 *
 * Runs in the caller's transaction as the calling user, who owns what is made;
 * only the catalog's row is written as the catalog's owner.
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
#include "utils/timestamp.h"

#include "feed/feed.h"
#include "metadata/catalog_user.h"
#include "feed/feed_check.h"
#include "base/object_name.h"

PG_FUNCTION_INFO_V1(wh_create_feed);

/* Write the catalog's row and give the feed's id. */
static int64
insert_feed(const WhFeed *feed, const char *load, Datum key, Datum redact, Datum overlap)
{
	Oid			types[13] = {REGCLASSOID, REGCLASSOID, REGCLASSOID, REGCLASSOID, TEXTOID, TEXTARRAYOID,
	TEXTOID, TEXTOID, TEXTOID, INTERVALOID, JSONBOID, TEXTOID, INT8OID};
	Datum		args[13];
	char		nulls[13];
	bool		isnull;
	WhSurroundings saved;
	int64		feed_id;

#define SET_OID(n, oid) \
	(args[n] = ObjectIdGetDatum(oid), nulls[n] = OidIsValid(oid) ? ' ' : 'n')
#define SET_TEXT(n, text) \
	(args[n] = (text) ? CStringGetTextDatum(text) : (Datum) 0, nulls[n] = (text) ? ' ' : 'n')
	memset(nulls, ' ', sizeof(nulls));
	SET_OID(0, feed->relation);
	SET_OID(1, feed->history);
	SET_OID(2, feed->change_log);
	SET_OID(3, feed->source);
	SET_TEXT(4, load);
	args[5] = key;
	SET_TEXT(6, feed->sequence_by);
	SET_TEXT(7, feed->deleted_when);
	SET_TEXT(8, feed->watermark);
	args[9] = overlap;
	args[10] = redact;
	SET_TEXT(11, feed->time_zone);
	args[12] = Int64GetDatum(feed->reject_limit);
	nulls[12] = feed->reject_limit >= 0 ? ' ' : 'n';

	wh_catalog_enter(&saved);
	if (SPI_execute_with_args("INSERT INTO wh.feed (relation, history, change_log, source, load, key,"
							  " sequence_by, deleted_when, watermark, watermark_overlap, redact,"
							  " time_zone, reject_limit)"
							  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
							  " RETURNING feed_id",
							  13, types, args, nulls, false, 0) != SPI_OK_INSERT_RETURNING)
		elog(ERROR, "could not write the feed");
	feed_id = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	wh_surroundings_leave(&saved);
	return feed_id;
}

#define OPTIONAL_TEXT(n) (PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n)))

/* wh.create_feed(...) returns regclass: the staging relation. */
Datum
wh_create_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed = palloc0(sizeof(WhFeed));
	WhObjectName object = wh_object_name(wh_text_arg(fcinfo, 0, "feed"), WH_FEED_SCHEMA);
	char	   *load = wh_text_arg(fcinfo, 2, "load");
	Datum		key;
	Datum		overlap;
	Datum		redact;
	Relation	source;
	int			level;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "source")));
	key = PG_ARGISNULL(3) ? PointerGetDatum(construct_empty_array(TEXTOID)) : PG_GETARG_DATUM(3);
	overlap = PG_ARGISNULL(7) ?
		DirectFunctionCall3(interval_in, CStringGetDatum("0"), ObjectIdGetDatum(InvalidOid),
							Int32GetDatum(-1)) : PG_GETARG_DATUM(7);
	redact = PG_ARGISNULL(8) ? DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")) : PG_GETARG_DATUM(8);

	feed->source = PG_GETARG_OID(1);
	feed->name = object.qualified;
	feed->load = wh_feed_check_load(load);
	feed->key = wh_feed_text_list(DatumGetArrayTypeP(key));
	feed->sequence_by = OPTIONAL_TEXT(4);
	feed->deleted_when = OPTIONAL_TEXT(5);
	feed->watermark = OPTIONAL_TEXT(6);
	feed->redact = wh_feed_redact_list(DatumGetJsonbP(redact));
	feed->time_zone = PG_ARGISNULL(9) ? pstrdup("UTC") : text_to_cstring(PG_GETARG_TEXT_PP(9));
	feed->reject_limit = PG_ARGISNULL(10) ? -1 : PG_GETARG_INT64(10);
	if (!PG_ARGISNULL(10) && feed->reject_limit < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reject_limit must not be negative")));

	wh_object_name_check_free(&object, "");
	if (feed->load != WH_LOAD_APPEND)
		wh_object_name_check_free(&object, "_history");
	if (feed->key != NIL)
		wh_object_name_check_free(&object, "_change");

	level = wh_pin_settings();
	source = try_relation_open(feed->source, AccessShareLock);
	if (source == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the source of feed \"%s\" does not exist", feed->name)));
	wh_feed_check_source(feed, source);
	wh_feed_check_key(feed, source);
	wh_feed_check_watermark(feed, source, overlap);
	wh_feed_check_expressions(feed, source);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	wh_object_schema_ensure(object.schema);
	wh_feed_make_relations(feed, object.schema, object.name, source);
	feed->feed_id = insert_feed(feed, load, key, redact, overlap);
	SPI_finish();
	if (feed->sequence_by == NULL)
		ereport(NOTICE,
				(errmsg("feed \"%s\" has no sequence_by: a record's event time is %s", feed->name,
						wh_feed_source_kind(source) == WH_SOURCE_KAFKA ?
						"its message's timestamp" : "the start of the batch that first reads it"),
				 errdetail("It is stored with the record and never computed again.")));
	relation_close(source, NoLock);
	AtEOXact_GUC(false, level);
	PG_RETURN_OID(feed->relation);
}
