/*
 * kafka_functions.c
 *	  wh.kafka_errors: messages that a feed would reject.
 *
 * Runs in backends, in the caller's transaction; takes no locks.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "kafka/kafka_message.h"
#include "kafka/kafka_source.h"

PG_FUNCTION_INFO_V1(wh_kafka_errors);

/* Columns of the result. */
enum
{
	ERRORS_PARTITION,
	ERRORS_OFFSET,
	ERRORS_TIMESTAMP,
	ERRORS_KEY,
	ERRORS_HEADERS,
	ERRORS_RAW_RECORD,
	ERRORS_COLUMN,
	ERRORS_SQLSTATE,
	ERRORS_MESSAGE,
	ERRORS_COLUMNS
};

static Datum
make_bytes(const char *data, Size len)
{
	return PointerGetDatum(cstring_to_text_with_len(data, len));
}

/* Add the errors of a message to the result. */
static void
put_errors(ReturnSetInfo *rsinfo, Oid relid, const WhKafkaSourceRow *row)
{
	const WhKafkaMessage *message = &row->message;
	ListCell   *lc;

	foreach(lc, row->row.errors)
	{
		const WhRowError *error = lfirst(lc);
		Datum		values[ERRORS_COLUMNS] = {0};
		bool		nulls[ERRORS_COLUMNS] = {0};
		char	   *headers = wh_kafka_headers_json(message);

		values[ERRORS_PARTITION] = Int32GetDatum(message->partition);
		values[ERRORS_OFFSET] = Int64GetDatum(message->offset);
		values[ERRORS_TIMESTAMP] = TimestampTzGetDatum(row->row.source_time);
		nulls[ERRORS_TIMESTAMP] = TIMESTAMP_NOT_FINITE(row->row.source_time);
		nulls[ERRORS_KEY] = message->key == NULL;
		if (message->key)
			values[ERRORS_KEY] = make_bytes(message->key, message->key_len);
		nulls[ERRORS_HEADERS] = headers == NULL;
		if (headers)
			values[ERRORS_HEADERS] = DirectFunctionCall1(jsonb_in, CStringGetDatum(headers));
		nulls[ERRORS_RAW_RECORD] = row->row.raw == NULL;
		if (row->row.raw)
			values[ERRORS_RAW_RECORD] = make_bytes(row->row.raw, row->row.raw_len);
		nulls[ERRORS_COLUMN] = error->attnum == 0;
		if (error->attnum)
			values[ERRORS_COLUMN] = CStringGetTextDatum(get_attname(relid, error->attnum, false));
		values[ERRORS_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		values[ERRORS_MESSAGE] = CStringGetTextDatum(error->message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * wh.kafka_errors(foreign_table regclass): read the whole topic and return
 * every error of every message.
 */
Datum
wh_kafka_errors(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	AclResult	acl = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	MemoryContext context;
	MemoryContext scratch;
	MemoryContext oldcontext;
	WhKafkaSource *source;
	WhKafkaPartition *partitions;
	WhKafkaPlace *starts;
	int			count;
	int			reading;

	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
	if (!wh_kafka_is_kafka_table(relid))
		ereport(ERROR,
				errcode(ERRCODE_WRONG_OBJECT_TYPE),
				errmsg("\"%s\" is not a Kafka table", get_rel_name(relid)));
	InitMaterializedSRF(fcinfo, 0);

	context = AllocSetContextCreate(CurrentMemoryContext, "widgets_wh Kafka errors", ALLOCSET_DEFAULT_SIZES);
	scratch = AllocSetContextCreate(context, "widgets_wh Kafka error", ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	source = wh_kafka_source_open(relid, GetUserId(), NULL);
	count = reading = wh_kafka_source_partitions(source, &partitions);
	starts = palloc(sizeof(WhKafkaPlace) * Max(count, 1));
	for (int i = 0; i < count; i++)
		starts[i] = (WhKafkaPlace) {partitions[i].partition, partitions[i].low};
	wh_kafka_source_start(source, starts, count);

	MemoryContextSwitchTo(scratch);
	while (reading > 0)
	{
		WhKafkaSourceRow *row;
		WhKafkaEvent event = wh_kafka_source_next(source, -1, &row);
		const WhKafkaPlace *places;

		if (event == WH_KAFKA_OUT_OF_RANGE)
			ereport(ERROR,
					errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("topic \"%s\" lost messages of partition %d while they were read",
						   wh_kafka_source_topic(source), row->partition));
		if (event == WH_KAFKA_MESSAGE && row->row.low < partitions[row->partition].end)
			put_errors(rsinfo, relid, row);
		MemoryContextReset(scratch);
		reading = 0;
		wh_kafka_source_places(source, &places);
		for (int i = 0; i < count; i++)
			reading += places[i].offset < partitions[i].end;
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
	return (Datum) 0;
}
