/*
 * ingest_error.c
 *	  Makes error events: of records that are not staged, and why.
 *
 * Runs inside wh_ingest_feed.  Events are written at once (ingest_event.c), or
 * kept until it is the batch's turn (ingest_hold.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "metadata/catalog.h"
#include "ingest/ingest_event.h"
#include "ingest/ingest_state.h"

/* Bytes of a record, or of its texts, that an event keeps; as JSON they may be six times as many. */
#define EVENT_MAX (64 * 1024 * 1024)

/* Bytes of a message, which may quote the record. */
#define MESSAGE_MAX 8192

/* Hash a record, for the uniqueness of its event. */
static bytea *
record_hash(const void *data, Size len)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(ctx) < 0 || pg_cryptohash_update(ctx, data, len) < 0 ||
		pg_cryptohash_final(ctx, (uint8 *) VARDATA(result), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not hash a record: %s", pg_cryptohash_error(ctx));
	pg_cryptohash_free(ctx);
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	return result;
}

static bytea *
make_bytea(const char *data, Size len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

/* Tell whether a column is redacted. */
static bool
is_redacted(WhIngest *ing, const char *column)
{
	ListCell   *lc;

	foreach(lc, ing->feed->redact)
	{
		if (strcmp(((WhRedaction *) lfirst(lc))->column, column) == 0)
			return true;
	}
	return false;
}

/* Tell whether a record came without a value in a column that must have one. */
static bool
was_null(List *errors, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, errors)
	{
		WhRowError *error = lfirst(lc);

		if (error->attnum == attnum && error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
			return true;
	}
	return false;
}

/* Append a text as a JSON string, or what there is room for. */
static void
append_text(StringInfo json, char *text, Size *room, StringInfo cut)
{
	Size		len = strlen(text);

	if (len > *room)
	{
		if (cut)
			appendBinaryStringInfo(cut, VARDATA(record_hash(text, len)), PG_SHA256_DIGEST_LENGTH);
		len = pg_mbcliplen(text, len, *room);
		text[len] = '\0';
	}
	*room -= len;
	escape_json(json, text);
}

/*
 * Write a row as a JSON object of its source columns' text: as they are staged,
 * or, when row is not NULL, as that record has them.  With redacted_only, just
 * the redacted columns; their values that were null at first are left out there,
 * and null here.  Texts are cut when there are more than EVENT_MAX bytes of them;
 * cut, unless NULL, then holds the hashes of those that were.
 */
static char *
row_as_json(WhIngest *ing, Datum *values, bool *isnull, const WhIngestRow *row, bool redacted_only, StringInfo cut)
{
	StringInfoData json;
	bool		first = true;
	Size		room = EVENT_MAX;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < ing->source_desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(ing->source_desc, i);
		int			n = row ? i : ing->staged_of[i] - 1;
		bool		redacted = is_redacted(ing, NameStr(att->attname));
		bool		no_value = row && redacted && was_null(row->source.errors, i + 1);
		Oid			output;
		bool		varlena;

		if (att->attisdropped || n < 0)
			continue;
		if (redacted_only && (!redacted || no_value))
			continue;
		if (!first)
			appendStringInfoString(&json, ", ");
		first = false;
		escape_json(&json, NameStr(att->attname));
		appendStringInfoString(&json, ": ");
		if (row && row->source.unread && row->source.unread[i] && !redacted)
			append_text(&json, row->source.unread[i], &room, cut);
		else if (isnull[n] || no_value)
			appendStringInfoString(&json, "null");
		else
		{
			getTypeOutputInfo(att->atttypid, &output, &varlena);
			append_text(&json, OidOutputFunctionCall(output, values[n]), &room, cut);
		}
	}
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Give an error's message, cut when it is very long. */
static const char *
message_of(const WhRowError *error)
{
	Size		len = strlen(error->message);

	if (len <= MESSAGE_MAX)
		return error->message;
	return psprintf("%.*s...", pg_mbcliplen(error->message, len, MESSAGE_MAX), error->message);
}

/* Write errors as the JSON array of column errors. */
static char *
errors_as_json(WhIngest *ing, List *errors)
{
	StringInfoData json;
	ListCell   *lc;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(lc, errors)
	{
		WhRowError *error = lfirst(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&json, ", ");
		appendStringInfoString(&json, "{\"column\": ");
		if (error->attnum > 0)
			escape_json(&json, NameStr(TupleDescAttr(ing->source_desc, error->attnum - 1)->attname));
		else
			appendStringInfoString(&json, "null");
		appendStringInfo(&json, ", \"sqlstate\": \"%s\", \"message\": ", unpack_sql_state(error->sqlerrcode));
		escape_json(&json, message_of(error));
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	return json.data;
}

/*
 * Give the texts of a record's key columns, as an array, or NULL when one is null or
 * was not read.  column has their attribute numbers in values.
 */
static ArrayType *
key_texts(WhIngest *ing, TupleDesc desc, const AttrNumber *column, Datum *values, bool *isnull)
{
	Datum		texts[WH_MAX_KEY];

	if (ing->staging->nkeys == 0)
		return NULL;
	for (int i = 0; i < ing->staging->nkeys; i++)
	{
		Oid			output;
		bool		varlena;

		if (isnull[column[i] - 1])
			return NULL;
		getTypeOutputInfo(TupleDescAttr(desc, column[i] - 1)->atttypid, &output, &varlena);
		texts[i] = CStringGetTextDatum(OidOutputFunctionCall(output, values[column[i] - 1]));
	}
	return construct_array(texts, ing->staging->nkeys, TEXTOID, -1, false, TYPALIGN_INT);
}

/* Said of a record whose columns cannot be told apart, when some are redacted. */
static WhRowError raw_withheld = {0, ERRCODE_BAD_COPY_FILE_FORMAT,
	"the raw record is not stored: its redacted columns cannot be told apart"};

/* Said of a record of which only a part is kept. */
static WhRowError raw_cut = {0, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	"only a part of the record is stored: it is longer than 64 MB"};

/* Tell whether the record as a whole is wrong, not only some column. */
static bool
has_record_error(List *errors)
{
	ListCell   *lc;

	foreach(lc, errors)
	{
		if (((WhRowError *) lfirst(lc))->attnum == 0)
			return true;
	}
	return false;
}

/* Hash a record by its row: texts that were cut count whole. */
static bytea *
json_hash(const char *json, StringInfo cut)
{
	bytea	   *hash = record_hash(json, strlen(json));

	if (cut->len == 0)
		return hash;
	appendBinaryStringInfo(cut, VARDATA(hash), PG_SHA256_DIGEST_LENGTH);
	return record_hash(cut->data, cut->len);
}

/* What is known of a record when its event is made. */
typedef struct RejectedRecord
{
	int64		position;		/* of the record in staging's terms */
	WhUnit	   *unit;			/* NULL for a read of a relation */
	int64		low;
	int64		byte_offset;	/* -1 = none */
	TimestampTz message_time;
	TimestampTz event_time;
	bytea	   *raw;			/* NULL = none */
	const char *raw_form;
	char	   *redacted;		/* redacted values as JSON; NULL = none */
	bytea	   *hash;
	ArrayType  *key;			/* texts of the key's columns; NULL = could not be read */
	const WhSourceRow *source;	/* for the message's key and headers; NULL = not at hand */
} RejectedRecord;

static void
open_rejects(WhIngest *ing)
{
	if (ing->rejects == NULL)
		ing->rejects = AllocSetContextCreate(ing->context, "widgets_wh error event", ALLOCSET_DEFAULT_SIZES);
}

/* Give the name of the column that an error is of; NULL = it is of the record. */
static const char *
column_of(WhIngest *ing, const WhRowError *error)
{
	return error->attnum > 0 ? NameStr(TupleDescAttr(ing->source_desc, error->attnum - 1)->attname) : NULL;
}

/* Write one event, unless it is there, now or when it is the batch's turn. */
static void
write_event(WhIngest *ing, const RejectedRecord *record, List *errors)
{
	WhRowError *first = linitial(errors);
	WhErrorEvent event = {
		.object_id = ing->feed->feed_id,
		.feed = ing->feed->name,
		.byte_offset = -1,
		.message_time = DT_NOBEGIN,
		.position = record->position,
		.event_time = record->event_time,
		.raw = record->raw,
		.raw_form = record->raw ? record->raw_form : NULL,
		.redacted = record->redacted,
		.hash = record->hash,
		.record_key = record->key,
		.errors = errors_as_json(ing, errors),
		.column = column_of(ing, first),
		.sqlerrcode = first->sqlerrcode,
		.message = message_of(first),
	};
	Datum		values[WH_EVENT_COLUMNS];
	bool		isnull[WH_EVENT_COLUMNS];

	if (record->unit && ing->kind == WH_SOURCE_CSV)
	{
		event.file = record->unit->name;
		event.line = record->low;
		event.byte_offset = record->byte_offset;
	}
	else if (record->unit && ing->kind == WH_SOURCE_KAFKA)
	{
		char	   *topic = pstrdup(record->unit->name);
		char	   *slash = strrchr(topic, '/');

		if (slash)
			*slash = '\0';
		event.topic = topic;
		event.partition = slash ? atoi(slash + 1) : 0;
		event.offset = record->low;
		event.message_time = record->message_time;
		if (record->source && record->source->key)
			event.message_key = make_bytea(record->source->key, record->source->key_len);
		if (record->source)
			event.message_headers = record->source->headers;
	}
	/* A relation gives the same row at each read: it is one event. */
	if (ing->kind == WH_SOURCE_RELATION)
		event.read_no = wh_position_unit(record->position);
	wh_event_form(&event, values, isnull);
	if (ing->hold)
		wh_hold_event(ing, values, isnull);
	else
		wh_event_insert(ing, values, isnull);
}

/* Count a reject, and stop the feed when there are too many. */
static void
count_reject(WhIngest *ing, List *errors)
{
	WhFeed	   *feed = ing->feed;
	WhRowError *first = linitial(errors);

	ing->result->counts.rows_rejected++;
	/* those of a retry were allowed before */
	if (feed->reject_limit >= 0 && !ing->is_retry && ing->result->counts.rows_rejected > feed->reject_limit)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("feed \"%s\" rejects more than %lld records", feed->name,
						(long long) feed->reject_limit),
				 errdetail("The last of them: %s.", first->message),
				 errhint("Nothing of this run is kept. Correct the source, or raise reject_limit with wh.alter_feed.")));
}

/*
 * Tell whether something of a record is not in what its event stores: values
 * that were not read and are not kept as text, originals of redacted ones.
 */
static bool
is_incomplete(WhIngest *ing, WhIngestRow *row)
{
	ListCell   *lc;

	if (row->source.is_part)
		return true;
	foreach(lc, row->errors)
	{
		WhRowError *error = lfirst(lc);
		bool		redacted;

		if (error->attnum == 0 || error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
			continue;
		redacted = is_redacted(ing, NameStr(TupleDescAttr(ing->source_desc, error->attnum - 1)->attname));
		if (list_member_ptr(row->source.errors, error) ?
			redacted || (row->source.raw == NULL &&
						 (row->source.unread == NULL || row->source.unread[error->attnum - 1] == NULL)) :
			redacted && row->source.isnull[error->attnum - 1])
			return true;
	}
	return false;
}

/* Give the event of a record that has failed again the reasons of now. */
static void
update_event(WhIngest *ing, WhIngestRow *row)
{
	WhRowError *first = linitial(row->errors);
	const char *column = column_of(ing, first);
	Oid			types[7] = {INT8OID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	Datum		args[7];
	char		nulls[8] = "       ";
	MemoryContext old = MemoryContextSwitchTo(ing->context);
	int64	   *id = palloc(sizeof(int64));

	*id = row->source.event_id;
	ing->failed_events = lappend(ing->failed_events, id);
	MemoryContextSwitchTo(old);
	args[0] = Int64GetDatum(*id);
	args[1] = DirectFunctionCall1(jsonb_in, CStringGetDatum(errors_as_json(ing, row->errors)));
	args[2] = column ? CStringGetTextDatum(column) : (Datum) 0;
	nulls[2] = column ? ' ' : 'n';
	args[3] = CStringGetTextDatum(unpack_sql_state(first->sqlerrcode));
	args[4] = CStringGetTextDatum(message_of(first));
	args[5] = Int64GetDatum(ing->batch_id);
	args[6] = TimestampTzGetDatum(row->event_time);
	nulls[6] = row->event_time == DT_NOBEGIN ? 'n' : ' ';
	SPI_connect();
	if (wh_catalog_execute("UPDATE wh.error_event SET errors = $2, \"column\" = $3, sqlstate = $4, message = $5,"
						   " batch_id = $6, event_time = coalesce($7, event_time)"
						   " WHERE error_event_id OPERATOR(pg_catalog.=) $1"
						   " AND errors OPERATOR(pg_catalog.<>) $2", 7, types, args, nulls) > 0)
		ing->result->changed = true;
	SPI_finish();
}

/*
 * Write the error event of a record, or the new reasons into the one it has.
 * Values are redacted already, and so is the raw record: its source leaves it
 * out where it cannot be redacted.
 */
void
wh_ingest_reject(WhIngest *ing, WhIngestRow *row)
{
	RejectedRecord record;
	StringInfoData cut;
	bool		is_cut = false;
	MemoryContext old;

	open_rejects(ing);
	count_reject(ing, row->errors);
	old = MemoryContextSwitchTo(ing->rejects);
	initStringInfo(&cut);
	if (row->source.event_id > 0)
	{
		update_event(ing, row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(ing->rejects);
		return;
	}
	memset(&record, 0, sizeof(record));
	record.unit = ing->unit;
	record.source = &row->source;
	record.low = row->source.low;
	record.byte_offset = row->source.byte_offset;
	record.message_time = row->source.source_time;
	record.event_time = row->event_time;
	/* the time it was read is its event time, also when it is tried again */
	if (record.event_time == DT_NOBEGIN && ing->feed->sequence_by == NULL)
		record.event_time = row->source.source_time != DT_NOBEGIN ? row->source.source_time : ing->batch_start;
	record.position = wh_position(ing->unit ? ing->unit->unit_no : ing->feed->reads + 1, row->source.low);
	record.raw_form = is_incomplete(ing, row) ? "part" : row->source.raw ? "record" : "row";
	if (row->source.raw)
	{
		record.hash = record_hash(row->source.raw, row->source.raw_len);
		record.raw = make_bytea(row->source.raw, Min(row->source.raw_len, EVENT_MAX));
		is_cut = row->source.raw_len > EVENT_MAX;
	}
	else
	{
		char	   *json = row_as_json(ing, row->source.values, row->source.isnull, row, false, &cut);

		is_cut = cut.len > 0;
		record.hash = json_hash(json, &cut);
		if (ing->kind != WH_SOURCE_RELATION && has_record_error(row->source.errors))
		{
			if (ing->feed->redact != NIL)
				row->errors = lappend(row->errors, &raw_withheld);
		}
		else if (!row->source.tombstone)
			record.raw = make_bytea(json, strlen(json));
	}
	if (record.raw && is_cut)
	{
		record.raw_form = "part";
		row->errors = lappend(row->errors, &raw_cut);
	}
	if (record.raw && ing->feed->redact != NIL)
		record.redacted = row_as_json(ing, row->source.values, row->source.isnull, row, true, NULL);
	if (!has_record_error(row->source.errors))
		record.key = key_texts(ing, ing->source_desc, ing->key_source, row->source.values, row->source.isnull);
	write_event(ing, &record, row->errors);
	MemoryContextSwitchTo(old);
	MemoryContextReset(ing->rejects);
}

/*
 * Write the error event of a record that had been taken, and loses against
 * another one; for staging, arg is the WhIngest.
 */
void
wh_ingest_reject_lost(void *arg, const WhLostRecord *lost)
{
	WhIngest   *ing = arg;
	WhStaging  *staging = ing->staging;
	RejectedRecord record;
	WhRowError	error = {0, lost->sqlerrcode, unconstify(char *, lost->message)};
	MemoryContext old;
	StringInfoData cut;
	char	   *json;

	if (lost->is_of_run)
		count_reject(ing, list_make1(&error));
	open_rejects(ing);
	old = MemoryContextSwitchTo(ing->rejects);
	memset(&record, 0, sizeof(record));
	record.byte_offset = -1;
	record.message_time = DT_NOBEGIN;
	record.event_time = DatumGetTimestampTz(lost->values[staging->ours.effective_from - 1]);
	record.position = DatumGetInt64(lost->values[staging->ours.source_position - 1]);
	if (ing->kind != WH_SOURCE_RELATION)
	{
		record.unit = wh_unit_find(ing->units, wh_position_unit(record.position));
		record.low = wh_position_low(record.position);
	}
	/* The hash is over the values, whether the record itself is at hand or not. */
	initStringInfo(&cut);
	json = row_as_json(ing, lost->values, lost->isnull, NULL, false, &cut);
	record.hash = json_hash(json, &cut);
	record.raw = lost->raw ? lost->raw : make_bytea(json, strlen(json));
	record.raw_form = !lost->raw ? cut.len > 0 ? "part" : "row" : "record";
	if (lost->raw && VARSIZE_ANY_EXHDR(lost->raw) > EVENT_MAX)
	{
		record.raw = make_bytea(VARDATA_ANY(lost->raw), EVENT_MAX);
		record.raw_form = "part";
	}
	if (ing->feed->redact != NIL)
		record.redacted = row_as_json(ing, lost->values, lost->isnull, NULL, true, NULL);
	/* what lost against another record of its key is not made good by a later one */
	if (lost->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		record.key = key_texts(ing, staging->desc, staging->key, lost->values, lost->isnull);
	write_event(ing, &record, list_make1(&error));
	MemoryContextSwitchTo(old);
	MemoryContextReset(ing->rejects);
}

/*
 * Write the error event of messages that are not there any more, from offset
 * from on.  It counts as no record.
 */
void
wh_ingest_note_gap(WhIngest *ing, WhUnit *unit, int64 from, const char *message)
{
	RejectedRecord record;
	WhRowError	error = {0, ERRCODE_DATA_EXCEPTION, unconstify(char *, message)};
	MemoryContext old;

	open_rejects(ing);
	old = MemoryContextSwitchTo(ing->rejects);
	memset(&record, 0, sizeof(record));
	record.unit = unit;
	record.low = from;
	record.byte_offset = -1;
	record.message_time = record.event_time = DT_NOBEGIN;
	record.position = wh_position(unit->unit_no, from);
	record.hash = record_hash(message, strlen(message));
	write_event(ing, &record, list_make1(&error));
	MemoryContextSwitchTo(old);
	MemoryContextReset(ing->rejects);
}
