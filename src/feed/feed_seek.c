/*
 * feed_seek.c
 *	  wh.seek_feed: sets where a feed reads its topic on.
 *
 * Runs in the caller's transaction, under the feed's lock, for the owner of the
 * staging relation.  Asks the brokers for offsets as the feed's owner.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "metadata/catalog.h"
#include "feed/feed.h"
#include "kafka/kafka_message.h"
#include "kafka/kafka_source.h"
#include "kafka/kafka_time.h"
#include "base/object_name.h"

PG_FUNCTION_INFO_V1(wh_seek_feed);

/* Take a number from the object of offsets; -1 = the partition is not in it. */
static int64
given_offset(Jsonb *offsets, int32 partition)
{
	char		name[16];
	JsonbValue	buffer;
	JsonbValue *value;

	pg_ltoa(partition, name);
	value = getKeyJsonValueFromContainer(&offsets->root, name, strlen(name), &buffer);
	if (value == NULL)
		return -1;
	if (value->type == jbvNumeric)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		char	   *end;
		int64		offset;

		errno = 0;
		offset = strtoi64(text, &end, 10);
		if (*end == '\0' && errno == 0 && offset >= 0)
			return offset;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the offset of partition %d is not a whole number of at least 0", partition)));
}

/* Check that the object of offsets names partitions that there are, and no others. */
static void
check_offsets(Jsonb *offsets, int count)
{
	int			known = 0;

	if (!JB_ROOT_IS_OBJECT(offsets))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offsets must be an object of partitions with numbers"),
				 errhint("For example: {\"0\": 1200, \"1\": 0}.")));
	for (int i = 0; i < count; i++)
		known += given_offset(offsets, i) >= 0;
	if (known != JB_ROOT_COUNT(offsets))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("offsets name a partition that the topic does not have"),
				 errdetail("Its partitions are 0 to %d.", count - 1)));
}

/* Give the stored next offset of a partition, or -1. */
static int64
stored_offset(WhFeed *feed, const char *unit)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT size FROM wh.source_unit WHERE feed_id OPERATOR(pg_catalog.=) $1"
						" AND name OPERATOR(pg_catalog.=) $2 ORDER BY generation DESC LIMIT 1",
						2, (Oid[]) {INT8OID, TEXTOID},
						(Datum[]) {Int64GetDatum(feed->feed_id), CStringGetTextDatum(unit)}) || row.isnull[0])
		return -1;
	return DatumGetInt64(row.values[0]);
}

/*
 * Tell whether the topic is another one of that name than the one that was
 * read: it has fewer partitions, ends before what was read, or has another
 * message there.
 */
static bool
is_another_topic(WhFeed *feed, WhKafkaSource *source, WhKafkaPartition *partitions, int count)
{
	WhKafkaMark *marks = palloc(sizeof(WhKafkaMark) * Max(count, 1));
	WhRow		more;

	if (wh_catalog_row(&more, "SELECT FROM (SELECT name, generation, max(generation) OVER () AS latest FROM wh.source_unit"
					   "  WHERE feed_id OPERATOR(pg_catalog.=) $1 AND pg_catalog.starts_with(name, $2)) AS u"
					   " WHERE generation OPERATOR(pg_catalog.=) latest"
					   "  AND pg_catalog.substring(name, '[0-9]+$')::int OPERATOR(pg_catalog.>=) $3 LIMIT 1",
					   3, (Oid[]) {INT8OID, TEXTOID, INT4OID},
					   (Datum[]) {Int64GetDatum(feed->feed_id),
						   CStringGetTextDatum(psprintf("%s/", wh_kafka_source_topic(source))), Int32GetDatum(count)}))
		return true;
	for (int i = 0; i < count; i++)
	{
		WhRow		row;

		wh_kafka_mark_unpack(&marks[i], i, NULL);
		if (!wh_catalog_row(&row, "SELECT size, checksum FROM wh.source_unit WHERE feed_id OPERATOR(pg_catalog.=) $1"
							" AND name OPERATOR(pg_catalog.=) $2 ORDER BY generation DESC LIMIT 1",
							2, (Oid[]) {INT8OID, TEXTOID},
							(Datum[]) {Int64GetDatum(feed->feed_id),
								CStringGetTextDatum(psprintf("%s/%d", wh_kafka_source_topic(source), i))}))
			continue;
		if (!row.isnull[0] && wh_kafka_continuity(&partitions[i], DatumGetInt64(row.values[0])) == WH_KAFKA_RECREATED)
			return true;
		if (!row.isnull[1])
			wh_kafka_mark_unpack(&marks[i], i, DatumGetByteaPP(row.values[1]));
		if (marks[i].offset < partitions[i].low)
			marks[i].offset = -1;
		if (marks[i].offset >= partitions[i].end)
			return true;
	}
	return wh_kafka_source_check(source, marks, count);
}

/*
 * Store the next offset of a partition.  What was known of the last message
 * read is forgotten: it need not stand before the new place.
 */
static void
store_offset(WhFeed *feed, const char *unit, const char *topic, const WhKafkaPartition *partition, int64 offset,
			 int64 generation)
{
	Oid			types[6] = {INT8OID, TEXTOID, INT8OID, INT8OID, TEXTOID, INT8OID};
	Datum		args[6] = {Int64GetDatum(feed->feed_id), CStringGetTextDatum(unit), Int64GetDatum(offset),
		Int64GetDatum(partition->end), CStringGetTextDatum(psprintf("%s/", topic)), Int64GetDatum(generation)};

	if (generation == 0 &&
		wh_catalog_execute("UPDATE wh.source_unit SET size = $3, end_offset = $4, checksum = NULL"
						   " WHERE feed_id OPERATOR(pg_catalog.=) $1 AND name OPERATOR(pg_catalog.=) $2"
						   " AND generation OPERATOR(pg_catalog.=) (SELECT max(generation) FROM wh.source_unit"
						   "  WHERE feed_id OPERATOR(pg_catalog.=) $1 AND pg_catalog.starts_with(name, $5))",
						   5, types, args, NULL) > 0)
		return;
	wh_catalog_execute("INSERT INTO wh.source_unit (feed_id, unit_no, name, generation, size, end_offset, batch_id)"
					   " SELECT $1, coalesce(max(unit_no), 0) OPERATOR(pg_catalog.+) 1, $2,"
					   "  coalesce(nullif($6, 0), max(generation) FILTER (WHERE pg_catalog.starts_with(name, $5)), 1), $3, $4, 0"
					   " FROM wh.source_unit WHERE feed_id OPERATOR(pg_catalog.=) $1",
					   6, types, args, NULL);
}

/* Give the generation after the topic's last one. */
static int64
next_generation(WhFeed *feed, const char *topic)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT coalesce(max(generation), 0) OPERATOR(pg_catalog.+) 1 FROM wh.source_unit"
						" WHERE feed_id OPERATOR(pg_catalog.=) $1 AND pg_catalog.starts_with(name, $2)",
						2, (Oid[]) {INT8OID, TEXTOID},
						(Datum[]) {Int64GetDatum(feed->feed_id), CStringGetTextDatum(psprintf("%s/", topic))}))
		elog(ERROR, "could not read the generation of a topic");
	return DatumGetInt64(row.values[0]);
}

/* wh.seek_feed(feed text, place text, "time" timestamptz, offsets jsonb) */
Datum
wh_seek_feed(PG_FUNCTION_ARGS)
{
	WhFeed	   *feed;
	char	   *place = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	Jsonb	   *offsets = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	WhKafkaSource *source;
	WhKafkaPartition *partitions;
	WhKafkaPlace *places;
	const char *topic;
	int			count;
	int64		generation = 0;	/* a new one; 0 = none */

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("feed must not be null")));
	if ((place != NULL) + !PG_ARGISNULL(2) + (offsets != NULL) != 1 ||
		(place && strcmp(place, "earliest") != 0 && strcmp(place, "latest") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("where to go must be given in one way"),
				 errhint("Give place as 'earliest' or 'latest', or at as a time, or offsets as an object.")));
	feed = wh_feed_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	wh_relation_check_owner(feed->relation);
	wh_feed_lock(feed->feed_id, true);
	/* See what was loaded while the lock was waited for. */
	PushActiveSnapshot(GetTransactionSnapshot());
	feed = wh_feed_get(feed->feed_id, false);
	if (!wh_kafka_is_kafka_table(feed->source))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("feed \"%s\" does not read a Kafka topic", feed->name)));
	source = wh_kafka_source_open(feed->source, feed->owner, NULL);
	topic = wh_kafka_source_topic(source);
	count = wh_kafka_source_partitions(source, &partitions);
	if (offsets)
		check_offsets(offsets, count);
	places = palloc(sizeof(WhKafkaPlace) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		places[i].partition = i;
		if (offsets)
			places[i].offset = given_offset(offsets, i);
		else if (place)
			places[i].offset = strcmp(place, "earliest") == 0 ? partitions[i].low : partitions[i].end;
		else
			/* less than 0 stands for a place, not a time */
			places[i].offset = Max(wh_kafka_milliseconds(PG_GETARG_TIMESTAMPTZ(2)), 0);
	}
	if (!PG_ARGISNULL(2))
		wh_kafka_source_find(source, places, count);
	SPI_connect();
	if (is_another_topic(feed, source, partitions, count))
		generation = next_generation(feed, topic);
	wh_kafka_source_close(source);
	for (int i = 0; i < count; i++)
	{
		char	   *unit = psprintf("%s/%d", topic, i);

		if (places[i].offset < 0 && generation > 0)
			places[i].offset = partitions[i].low;
		if (places[i].offset < 0)
			continue;
		if (offsets && (places[i].offset < partitions[i].low || places[i].offset > partitions[i].end))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("partition %d of topic \"%s\" has no offset %lld", i, topic, (long long) places[i].offset),
					 errdetail("It has the offsets from %lld to %lld.",
							   (long long) partitions[i].low, (long long) partitions[i].end)));
		if (generation == 0 && feed->load == WH_LOAD_APPEND && feed->key == NIL && feed->last_batch_id > 0 &&
			places[i].offset < stored_offset(feed, unit))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot go back in the topic of feed \"%s\": it is an append feed without key", feed->name),
					 errdetail("What it has staged would be staged again."),
					 errhint("Make a new feed.")));
		store_offset(feed, unit, topic, &partitions[i], places[i].offset, generation);
	}
	SPI_finish();
	PopActiveSnapshot();
	wh_feed_invalidate(feed);
	PG_RETURN_VOID();
}
