/*
 * ingest_file.c
 *	  Reads a feed's files: those whose content is not the last one loaded under
 *	  their name.
 *
 * Runs inside wh_ingest_feed, as the feed's owner.  All files of a run are read
 * in the byte order of their names, in one transaction.  What was read is
 * remembered in wh.source_unit by name, size and SHA-256, and by the state that
 * the file system shows, so that an unchanged file is not opened at all.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "csv/csv_reader.h"
#include "csv/csv_source.h"
#include "ingest/ingest_state.h"

/*
 * A file changed this shortly before it was read could be changed again without
 * a new change time.  Whole seconds are the sign of a coarse file system.
 */
#define RACY_USECS 50000
#define RACY_USECS_COARSE (2 * USECS_PER_SEC)

/* Give the state to remember, or NULL when it could hide a later change. */
static char *
trusted_state(WhIngest *ing, const char *state, TimestampTz read_start)
{
	const char *slash = state ? strrchr(state, '/') : NULL;
	long long	seconds;
	long		nanos;
	TimestampTz changed;

	if (slash == NULL || sscanf(slash + 1, "%lld.%ld", &seconds, &nanos) != 2)
		return NULL;
	changed = (seconds - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY) * USECS_PER_SEC +
		nanos / 1000;
	if (changed > read_start - (nanos == 0 ? RACY_USECS_COARSE : RACY_USECS))
		return NULL;
	return MemoryContextStrdup(ing->context, state);
}

typedef struct NameEntry
{
	const char *name;			/* hash key */
	WhUnit	   *latest;			/* of the highest generation */
} NameEntry;

static uint32
hash_name(const void *key, Size keysize)
{
	const char *name = *(const char *const *) key;

	return string_hash(name, strlen(name) + 1);
}

static int
match_name(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Find the last content of each name. */
static HTAB *
latest_units(WhIngest *ing)
{
	HASHCTL		ctl;
	HTAB	   *names;
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(char *);
	ctl.entrysize = sizeof(NameEntry);
	ctl.hash = hash_name;
	ctl.match = match_name;
	ctl.hcxt = ing->context;
	names = hash_create("widgets_wh file names", 64, &ctl,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	wh_units_load(ing->units);
	hash_seq_init(&seq, ing->units->table);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		bool		found;
		NameEntry  *entry = hash_search(names, &unit->name, HASH_ENTER, &found);

		if (!found || entry->latest->generation < unit->generation)
			entry->latest = unit;
	}
	return names;
}

static bytea *
keep_checksum(WhIngest *ing, const uint8 *checksum)
{
	bytea	   *result = MemoryContextAlloc(ing->context, VARHDRSZ + WH_CSV_CHECKSUM_LENGTH);

	SET_VARSIZE(result, VARHDRSZ + WH_CSV_CHECKSUM_LENGTH);
	memcpy(VARDATA(result), checksum, WH_CSV_CHECKSUM_LENGTH);
	return result;
}

/* Tell whether a file has the content of a unit, reading it when it must be. */
static bool
same_content(WhCsvTable *table, WhCsvFileInfo *info, WhUnit *unit)
{
	uint8		checksum[WH_CSV_CHECKSUM_LENGTH];
	WhRowError	error;

	if (info->size != unit->size)
		return false;
	if (!wh_csv_table_checksum(table, info->name, checksum, &error))
		return false;			/* reading it will say what is wrong */
	return VARSIZE_ANY_EXHDR(unit->checksum) == WH_CSV_CHECKSUM_LENGTH &&
		memcmp(VARDATA_ANY(unit->checksum), checksum, WH_CSV_CHECKSUM_LENGTH) == 0;
}

/*
 * Keep a file's header, by which its rejected records can be tried again.  What
 * is skipped unseen may be no header but something to be redacted.
 */
static void
keep_header(WhIngest *ing, WhCsvTable *table, WhCsvScan *scan)
{
	Size		len;
	const char *header = wh_csv_header(scan, &len);

	if (header == NULL || (ing->feed->redact != NIL && table->options.header != WH_CSV_HEADER_MATCH))
		return;
	ing->unit->header = MemoryContextAlloc(ing->context, VARHDRSZ + len);
	SET_VARSIZE(ing->unit->header, VARHDRSZ + len);
	memcpy(VARDATA(ing->unit->header), header, len);
	ing->unit->is_changed = true;
}

/* Read the records of one file; returns whether it was read to its end. */
static bool
read_records(WhIngest *ing, WhCsvTable *table, WhCsvFileInfo *info, bool *checksum_known,
			 uint8 *checksum)
{
	WhCsvScan  *scan = wh_csv_begin(table, info->name, NULL, WH_CSV_COLLECT | WH_CSV_CHECKSUM);
	WhSourceRow *row;
	bool		complete;
	int64		read_before = ing->result->counts.rows_read;
	int64		rejected_before = ing->result->counts.rows_rejected;

	if (ing->feed->redact == NIL)
	{
		/* Convert straight into the scratch row where columns are in their places. */
		if (ing->same_places)
			wh_csv_set_output(scan, ing->staging->values, ing->staging->isnull);
		while ((row = wh_csv_next(scan)) != NULL)
			wh_ingest_row(ing, row);
	}
	else
	{
		Bitmapset  *redacted = NULL;
		char	  **nothing = palloc0(sizeof(char *) * ing->source_desc->natts);
		MemoryContext scratch = AllocSetContextCreate(ing->context, "widgets_wh redacted record",
													  ALLOCSET_DEFAULT_SIZES);
		ListCell   *lc;

		foreach(lc, ing->feed->redact)
		{
			const char *column = ((WhRedaction *) lfirst(lc))->column;

			for (int i = 0; i < ing->source_desc->natts; i++)
				if (strcmp(NameStr(TupleDescAttr(ing->source_desc, i)->attname), column) == 0)
					redacted = bms_add_member(redacted, i + 1);
		}
		while ((row = wh_csv_next(scan)) != NULL)
		{
			WhSourceRow clean = *row;
			MemoryContext old = MemoryContextSwitchTo(scratch);

			clean.raw = wh_csv_raw_without(scan, redacted, (const char *const *) nothing, &clean.raw_len);
			wh_ingest_row(ing, &clean);
			MemoryContextSwitchTo(old);
			MemoryContextReset(scratch);
		}
		MemoryContextDelete(scratch);
	}
	wh_ingest_pipe_flush(ing);
	complete = !wh_csv_failed(scan);
	/* a failure of the first record is one of the file, which is tried again */
	if (ing->result->counts.rows_rejected > rejected_before &&
		(complete || ing->result->counts.rows_read > read_before + 1))
		keep_header(ing, table, scan);
	*checksum_known = wh_csv_checksum(scan, checksum);
	wh_csv_end(scan);
	return complete;
}

/* Load a file's content as a unit. */
static void
load_content(WhIngest *ing, WhCsvTable *table, WhCsvFileInfo *info, WhUnit *unit)
{
	WhBatchStep *counts = &ing->result->counts;
	int64		rows_before = counts->rows_read;
	TimestampTz start = GetCurrentTimestamp();
	uint8		checksum[WH_CSV_CHECKSUM_LENGTH];
	bool		checksum_known;
	bool		complete;

	ing->unit = unit;
	if (ing->feed->load == WH_LOAD_SNAPSHOT)
		wh_snapshot_begin(ing->staging);
	complete = read_records(ing, table, info, &checksum_known, checksum);
	if (!complete)
	{
		ing->staging->snapshot_incomplete = true;
		if (counts->rows_read - rows_before <= 1)
		{
			/* Nothing of it was read: try again next time. */
			if (ing->feed->load == WH_LOAD_SNAPSHOT)
				wh_splice_drop(ing->staging);
			return;
		}
	}
	if (ing->feed->load == WH_LOAD_SNAPSHOT)
		wh_snapshot_end(ing->staging, unit);
	if (!checksum_known)
	{
		WhRowError	error;

		if (!wh_csv_table_checksum(table, info->name, checksum, &error))
			ereport(ERROR,
					(errcode(error.sqlerrcode),
					 errmsg_internal("%s", error.message)));
	}
	unit->size = info->size;
	unit->checksum = keep_checksum(ing, checksum);
	unit->file_state = trusted_state(ing, info->state, start);
	unit->is_changed = true;
	if (complete)
		wh_settle_note_whole(ing, unit->name);
	counts->units_read++;
}

/* Load every file whose content is new. */
void
wh_ingest_read_files(WhIngest *ing)
{
	WhFeed	   *feed = ing->feed;
	WhCsvTable *table = wh_csv_table_open(feed->source);
	List	   *files = wh_csv_table_files(table);
	HTAB	   *names = latest_units(ing);
	ListCell   *lc;

	wh_csv_table_set_zone(table, feed->time_zone);
	foreach(lc, files)
	{
		WhCsvFileInfo *info = lfirst(lc);
		NameEntry  *entry = hash_search(names, &info->name, HASH_FIND, NULL);
		WhUnit	   *latest = entry ? entry->latest : NULL;
		TimestampTz start = GetCurrentTimestamp();

		CHECK_FOR_INTERRUPTS();
		ing->unit_rank = foreach_current_index(lc);
		if (latest == NULL)
			load_content(ing, table, info, wh_unit_add(ing->units, info->name, 1));
		else if (latest->checksum == NULL)
			load_content(ing, table, info, latest);	/* tried before, not read */
		else if (ing->is_reload && same_content(table, info, latest))
			load_content(ing, table, info, latest);
		else if (latest->file_state && info->state && strcmp(latest->file_state, info->state) == 0)
			ing->result->counts.units_skipped++;
		else if (same_content(table, info, latest))
		{
			char	   *state = trusted_state(ing, info->state, start);

			if (state && (latest->file_state == NULL || strcmp(state, latest->file_state) != 0))
			{
				latest->file_state = state;
				latest->is_touched = true;
			}
			ing->result->counts.units_skipped++;
		}
		else if (feed->load == WH_LOAD_APPEND && feed->key == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("file \"%s\" of feed \"%s\" has a new content", info->name, feed->name),
					 errdetail("An append feed without key cannot tell its new records from those already staged."),
					 errhint("Deliver new records under a new file name, or make the feed with a key.")));
		else
			load_content(ing, table, info, wh_unit_add(ing->units, info->name, latest->generation + 1));
	}
	ing->unit = NULL;
}
