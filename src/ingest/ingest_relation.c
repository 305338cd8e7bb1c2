/*
 * ingest_relation.c
 *	  Reads a feed's source with a query: tables, views, other foreign tables.
 *
 * Runs inside wh_ingest_feed, as the feed's owner, under the active snapshot.
 * A watermark limits the query to what may be new: the highest value seen less
 * an overlap, for changes that were committed late.  The new highest value is
 * stored in the transaction that stages the rows.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "ingest/ingest_state.h"
#include "base/object_name.h"
#include "base/spi_query.h"

typedef struct RelationRead
{
	WhIngest   *ing;
	WhSourceRow row;
	AttrNumber *attnum;			/* source column of each query column */
	AttrNumber	watermark;		/* 0 = none */
	Oid			watermark_type;
	TypeCacheEntry *type;
	bool		has_highest;
	Datum		highest;
	Timestamp	now;			/* start of the batch, in the feed's time zone */
} RelationRead;

/* True for a value that would end all pulls: nothing comes after infinity or NaN. */
static bool
is_infinite(Oid type, Datum value)
{
	switch (type)
	{
		case DATEOID:
			return DATE_NOT_FINITE(DatumGetDateADT(value));
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value));
		case FLOAT4OID:
			return isnan(DatumGetFloat4(value)) || isinf(DatumGetFloat4(value));
		case FLOAT8OID:
			return isnan(DatumGetFloat8(value)) || isinf(DatumGetFloat8(value));
		case NUMERICOID:
			return numeric_is_nan(DatumGetNumeric(value)) || numeric_is_inf(DatumGetNumeric(value));
		default:
			return false;
	}
}

/*
 * Take a time to come for the present: one wrong date must not hide what is
 * written until then.  Rows from there on are read again and again, and known.
 */
static Datum
not_after_now(const RelationRead *read, Datum value)
{
	switch (read->watermark_type)
	{
		case DATEOID:
			return DateADTGetDatum(Min(DatumGetDateADT(value), (DateADT) (read->now / USECS_PER_DAY)));
		case TIMESTAMPOID:
			return TimestampGetDatum(Min(DatumGetTimestamp(value), read->now));
		case TIMESTAMPTZOID:
			return TimestampTzGetDatum(Min(DatumGetTimestampTz(value), read->ing->batch_start));
		default:
			return value;
	}
}

/* Remember the highest watermark among the rows. */
static void
see_watermark(RelationRead *read, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(read->ing->source_desc, read->watermark - 1);

	if (is_infinite(read->watermark_type, value))
		return;
	value = not_after_now(read, value);
	if (read->has_highest &&
		DatumGetInt32(FunctionCall2Coll(&read->type->cmp_proc_finfo, att->attcollation,
										value, read->highest)) <= 0)
		return;
	if (read->has_highest && !att->attbyval)
		pfree(DatumGetPointer(read->highest));
	read->highest = datumCopy(value, att->attbyval, att->attlen);
	read->has_highest = true;
}

static void
take_row(TupleTableSlot *slot, void *arg)
{
	RelationRead *read = arg;
	WhIngest   *ing = read->ing;
	int			natts = slot->tts_tupleDescriptor->natts;
	MemoryContext old = MemoryContextSwitchTo(ing->context);

	slot_getallattrs(slot);
	for (int i = 0; i < natts; i++)
	{
		read->row.values[read->attnum[i] - 1] = slot->tts_values[i];
		read->row.isnull[read->attnum[i] - 1] = slot->tts_isnull[i];
	}
	if (read->watermark > 0 && !read->row.isnull[read->watermark - 1])
		see_watermark(read, read->row.values[read->watermark - 1]);
	wh_ingest_row(ing, &read->row);
	MemoryContextSwitchTo(old);
}

/* Give the literal from which on the source is read, or NULL for all of it. */
static char *
lower_bound(WhIngest *ing, Oid type)
{
	WhFeed	   *feed = ing->feed;
	const char *type_name = wh_type_name(type);
	const char *value = feed->watermark_value;
	WhRow		row;

	if (value == NULL || ing->is_reload)
		return NULL;
	if (type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID)
	{
		char	   *sql = psprintf("SELECT CAST(CAST(CAST(%s AS %s) - CAST(%s AS interval) AS %s) AS text)",
								   quote_literal_cstr(value), type_name,
								   quote_literal_cstr(feed->watermark_overlap), type_name);

		if (!wh_spi_row(&row, sql, 0, NULL, NULL))
			elog(ERROR, "could not compute a watermark");
		value = TextDatumGetCString(row.values[0]);
	}
	return psprintf("CAST(%s AS %s)", quote_literal_cstr(value), type_name);
}

/* Read what is new in the source relation. */
void
wh_ingest_read_relation(WhIngest *ing)
{
	WhFeed	   *feed = ing->feed;
	RelationRead read;
	StringInfoData sql;
	int			n = 0;

	memset(&read, 0, sizeof(read));
	read.ing = ing;
	read.row.values = palloc0(sizeof(Datum) * ing->source_desc->natts);
	read.row.isnull = palloc(sizeof(bool) * ing->source_desc->natts);
	memset(read.row.isnull, true, sizeof(bool) * ing->source_desc->natts);
	read.row.byte_offset = -1;
	read.row.source_time = DT_NOBEGIN;
	/* In a snapshot, 0 is the position of deletes that absence implies. */
	read.row.low = feed->load == WH_LOAD_SNAPSHOT ? 1 : 0;
	read.attnum = palloc(sizeof(AttrNumber) * ing->source_desc->natts);

	/* Rows are written while the query runs, which a parallel plan forbids. */
	(void) set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->source_desc, i);

		if (att->attisdropped)
			continue;
		appendStringInfo(&sql, "%s%s", n > 0 ? ", " : "", quote_identifier(NameStr(att->attname)));
		read.attnum[n++] = i + 1;
	}
	appendStringInfo(&sql, " FROM %s", wh_relation_name(feed->source));
	if (feed->watermark)
	{
		char	   *bound;

		read.watermark = get_attnum(feed->source, feed->watermark);
		if (read.watermark <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("watermark column \"%s\" of feed \"%s\" does not exist in its source",
							feed->watermark, feed->name)));
		read.watermark_type = getBaseType(TupleDescAttr(ing->source_desc, read.watermark - 1)->atttypid);
		read.type = lookup_type_cache(read.watermark_type, TYPECACHE_CMP_PROC_FINFO);
		read.now = DatumGetTimestamp(DirectFunctionCall2(timestamptz_zone, CStringGetTextDatum(feed->time_zone),
														 TimestampTzGetDatum(ing->batch_start)));
		bound = lower_bound(ing, read.watermark_type);
		if (bound)
			appendStringInfo(&sql, " WHERE %s >= %s", quote_identifier(feed->watermark), bound);
		/* a row without watermark may be new at any time */
		if (bound && !TupleDescAttr(ing->source_desc, read.watermark - 1)->attnotnull)
			appendStringInfo(&sql, " OR %s IS NULL", quote_identifier(feed->watermark));
	}
	if (feed->load == WH_LOAD_SNAPSHOT)
		wh_snapshot_begin(ing->staging);
	wh_spi_each(sql.data, take_row, &read);
	MemoryContextSwitchTo(ing->context);
	wh_ingest_pipe_flush(ing);
	if (feed->load == WH_LOAD_SNAPSHOT)
		wh_snapshot_end(ing->staging, NULL);
	else if (feed->load == WH_LOAD_UPSERT && ing->is_reload)
		wh_reload_delete_missing(ing);
	SPI_finish();
	MemoryContextSwitchTo(ing->context);
	if (read.has_highest)
	{
		Oid			output;
		bool		varlena;

		getTypeOutputInfo(read.watermark_type, &output, &varlena);
		ing->watermark_seen = OidOutputFunctionCall(output, read.highest);
	}
	ing->result->counts.units_read = 1;
}
