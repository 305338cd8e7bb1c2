/*
 * feed_unit.c
 *	  The units of a feed's source, and the order of positions in them.
 *
 * Units are read once per load of a feed and written back at its end, in the
 * caller's transaction, under the feed's lock.  Positions are compared by their units' names and generations:
 * numbers of units follow arrival, which must not matter.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "feed/feed_unit.h"
#include "metadata/catalog_user.h"

/* Copy a column that may be null into the current context. */
static char *
text_or_null(HeapTuple tuple, TupleDesc desc, int column)
{
	return SPI_getvalue(tuple, desc, column);
}

/* Begin with the units of a feed; nothing is read yet. */
WhUnits *
wh_units_open(const WhFeed *feed, WhFeedSource kind)
{
	WhUnits    *units = palloc0(sizeof(WhUnits));

	units->feed = feed;
	units->kind = kind;
	units->context = CurrentMemoryContext;
	return units;
}

static void
make_table(WhUnits *units)
{
	HASHCTL		ctl;

	if (units->table)
		return;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(WhUnit);
	ctl.hcxt = units->context;
	units->table = hash_create("widgets_wh units", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Read all units of the feed as they are now.  Those that are known already
 * stay where they are.
 */
void
wh_units_reload(WhUnits *units)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(units->feed->feed_id)};
	WhSurroundings saved;

	make_table(units);
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT unit_no, name, generation, size, checksum, file_state, event_time, is_complete, end_offset"
							  " FROM wh.source_unit WHERE feed_id OPERATOR(pg_catalog.=) $1",
							  1, types, args, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the units of a feed");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(units->context);
		bool		isnull;
		int64		unit_no = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		WhUnit	   *unit = hash_search(units->table, &unit_no, HASH_ENTER, NULL);
		Datum		value;

		unit->name = text_or_null(tuple, desc, 2);
		unit->generation = DatumGetInt64(SPI_getbinval(tuple, desc, 3, &isnull));
		value = SPI_getbinval(tuple, desc, 4, &isnull);
		unit->size = isnull ? -1 : DatumGetInt64(value);
		value = SPI_getbinval(tuple, desc, 5, &isnull);
		unit->checksum = isnull ? NULL : DatumGetByteaPCopy(value);
		unit->file_state = text_or_null(tuple, desc, 6);
		unit->header = NULL;
		value = SPI_getbinval(tuple, desc, 7, &isnull);
		unit->event_time = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		unit->is_complete = DatumGetBool(SPI_getbinval(tuple, desc, 8, &isnull));
		value = SPI_getbinval(tuple, desc, 9, &isnull);
		unit->end_offset = isnull ? -1 : DatumGetInt64(value);
		unit->is_new = unit->is_changed = unit->is_touched = false;
		units->last_no = Max(units->last_no, unit_no);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	wh_surroundings_leave(&saved);
}

/* Read all units of the feed, once. */
void
wh_units_load(WhUnits *units)
{
	if (units->table == NULL)
		wh_units_reload(units);
}

/* Find a unit by its number; it must be there. */
WhUnit *
wh_unit_find(WhUnits *units, int64 unit_no)
{
	WhUnit	   *unit;

	wh_units_load(units);
	unit = hash_search(units->table, &unit_no, HASH_FIND, NULL);
	if (unit == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("unit %lld of feed \"%s\" is not in wh.source_unit",
						(long long) unit_no, units->feed->name)));
	return unit;
}

/* Add a unit with the next free number; it is written by wh_units_save. */
WhUnit *
wh_unit_add(WhUnits *units, const char *name, int64 generation)
{
	int64		unit_no;
	WhUnit	   *unit;

	wh_units_load(units);
	unit_no = ++units->last_no;
	unit = hash_search(units->table, &unit_no, HASH_ENTER, NULL);
	unit->name = MemoryContextStrdup(units->context, name);
	unit->generation = generation;
	unit->size = unit->end_offset = -1;
	unit->checksum = NULL;
	unit->file_state = NULL;
	unit->header = NULL;
	unit->event_time = DT_NOBEGIN;
	unit->is_complete = true;
	unit->is_new = true;
	unit->is_changed = unit->is_touched = false;
	return unit;
}

/*
 * Add the unit of a read of a relation, unless it is known.  Its number is the
 * read's; the units of earlier reads are not needed and stay unread.
 */
WhUnit *
wh_unit_add_read(WhUnits *units, int64 read_no, TimestampTz event_time, bool is_complete)
{
	WhUnit	   *unit;
	bool		found;

	make_table(units);
	unit = hash_search(units->table, &read_no, HASH_ENTER, &found);
	if (found)
		return unit;
	memset((char *) unit + sizeof(int64), 0, sizeof(WhUnit) - sizeof(int64));
	unit->name = "read";
	unit->generation = read_no;
	unit->size = unit->end_offset = -1;
	unit->event_time = event_time;
	unit->is_complete = is_complete;
	unit->is_new = true;
	return unit;
}

/* Give the partition in a unit's name, "topic/partition". */
static int
unit_partition(const WhUnit *unit)
{
	const char *slash = strrchr(unit->name, '/');

	return slash ? atoi(slash + 1) : 0;
}

/* Compare two positions as rule 1 orders them. */
int
wh_position_compare(WhUnits *units, int64 a, int64 b)
{
	int64		low_a = wh_position_low(a);
	int64		low_b = wh_position_low(b);

#define COMPARE(x, y) do { if ((x) != (y)) return (x) < (y) ? -1 : 1; } while (0)
	if (units->kind == WH_SOURCE_RELATION || wh_position_unit(a) == wh_position_unit(b))
		COMPARE(a, b);
	else
	{
		WhUnit	   *unit_a = wh_unit_find(units, wh_position_unit(a));
		WhUnit	   *unit_b = wh_unit_find(units, wh_position_unit(b));

		if (units->kind == WH_SOURCE_KAFKA)
		{
			COMPARE(unit_a->generation, unit_b->generation);
			COMPARE(low_a, low_b);
			COMPARE(unit_partition(unit_a), unit_partition(unit_b));
		}
		else
		{
			int			names = strcmp(unit_a->name, unit_b->name);

			COMPARE(names, 0);
			COMPARE(unit_a->generation, unit_b->generation);
			COMPARE(low_a, low_b);
		}
	}
	return 0;
}

/*
 * Write units that are new or changed, in a batch; needs no SPI connection.  Gives
 * whether there were any, those aside that only look otherwise to the file system.
 */
bool
wh_units_save(WhUnits *units, int64 batch_id)
{
	HASH_SEQ_STATUS seq;
	WhUnit	   *unit;
	WhSurroundings saved;
	bool		changed = false;
	Oid			types[12] = {INT8OID, INT8OID, TEXTOID, INT8OID, INT8OID, BYTEAOID, TEXTOID,
	TIMESTAMPTZOID, BOOLOID, INT8OID, INT8OID, BYTEAOID};

	if (units->table == NULL)
		return false;
	wh_catalog_enter(&saved);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	hash_seq_init(&seq, units->table);
	while ((unit = hash_seq_search(&seq)) != NULL)
	{
		Datum		args[12];
		char		nulls[12];

		if (!unit->is_new && !unit->is_changed && !unit->is_touched)
			continue;
		memset(nulls, ' ', sizeof(nulls));
		args[0] = Int64GetDatum(units->feed->feed_id);
		args[1] = Int64GetDatum(unit->unit_no);
		args[2] = CStringGetTextDatum(unit->name);
		args[3] = Int64GetDatum(unit->generation);
		args[4] = Int64GetDatum(unit->size);
		nulls[4] = unit->size >= 0 ? ' ' : 'n';
		args[5] = PointerGetDatum(unit->checksum);
		nulls[5] = unit->checksum ? ' ' : 'n';
		args[6] = unit->file_state ? CStringGetTextDatum(unit->file_state) : (Datum) 0;
		nulls[6] = unit->file_state ? ' ' : 'n';
		args[7] = TimestampTzGetDatum(unit->event_time);
		nulls[7] = unit->event_time != DT_NOBEGIN ? ' ' : 'n';
		args[8] = BoolGetDatum(unit->is_complete);
		args[9] = Int64GetDatum(batch_id);
		args[10] = Int64GetDatum(unit->end_offset);
		nulls[10] = unit->end_offset >= 0 ? ' ' : 'n';
		args[11] = PointerGetDatum(unit->header);
		nulls[11] = unit->header ? ' ' : 'n';
		if (unit->is_new)
		{
			if (SPI_execute_with_args("INSERT INTO wh.source_unit (feed_id, unit_no, name, generation,"
									  " size, checksum, file_state, event_time, is_complete, batch_id, end_offset, header)"
									  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
									  12, types, args, nulls, false, 0) != SPI_OK_INSERT)
				elog(ERROR, "could not write a unit of a feed");
		}
		else if (SPI_execute_with_args("UPDATE wh.source_unit SET generation = $4, size = $5, checksum = $6,"
									   " file_state = $7, event_time = $8, is_complete = $9, end_offset = $11, header = coalesce($12, header)"
									   " WHERE feed_id OPERATOR(pg_catalog.=) $1"
									   " AND unit_no OPERATOR(pg_catalog.=) $2 AND name IS NOT NULL"
									   " AND $3 IS NOT NULL AND $10 IS NOT NULL",
									   12, types, args, nulls, false, 0) != SPI_OK_UPDATE)
			elog(ERROR, "could not write a unit of a feed");
		changed |= unit->is_new || unit->is_changed;
		unit->is_new = unit->is_changed = unit->is_touched = false;
	}
	SPI_finish();
	wh_surroundings_leave(&saved);
	return changed;
}
