/*
 * batch_log.c
 *	  The log of batches: wh.batch and wh.batch_step.
 *
 * A batch's row is committed before its work starts, so that a crash leaves a
 * trace; its steps and its end commit with the work.  Every function needs an
 * SPI connection.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "metadata/alert.h"
#include "metadata/batch_log.h"
#include "metadata/catalog.h"

/*
 * Write the row of a new batch and give its id: 'ingest' of a feed, or
 * 'publish' of everything, of which object is NULL.
 */
int64
wh_batch_start(const char *kind, int64 object_id, const char *object)
{
	Oid			types[3] = {TEXTOID, INT8OID, TEXTOID};
	Datum		args[3] = {CStringGetTextDatum(kind), Int64GetDatum(object_id),
	CStringGetTextDatum(object ? object : "")};
	WhRow		row;

	if (!wh_catalog_row(&row, "INSERT INTO wh.batch (kind, object_id, object)"
						" VALUES ($1, nullif($2, 0), nullif($3, '')) RETURNING batch_id", 3, types, args))
		elog(ERROR, "could not log the start of a batch");
	return DatumGetInt64(row.values[0]);
}

/* Write the row of a new publish of some dimensions and facts, and give its id. */
int64
wh_batch_start_publish(List *object_ids)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(list_length(object_ids), 1));
	WhRow		row;
	ListCell   *lc;

	foreach(lc, object_ids)
		ids[foreach_current_index(lc)] = Int64GetDatum(*(int64 *) lfirst(lc));
	if (!wh_catalog_row(&row, "INSERT INTO wh.batch (kind, objects) VALUES ('publish', $1) RETURNING batch_id",
						1, (Oid[]) {INT8ARRAYOID},
						(Datum[]) {PointerGetDatum(construct_array(ids, list_length(object_ids), INT8OID, 8,
																   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE))}))
		elog(ERROR, "could not log the start of a batch");
	return DatumGetInt64(row.values[0]);
}

/* Log what the batch did to one relation; duration runs from counts->started_at. */
void
wh_batch_step(int64 batch_id, int step, const WhBatchStep *counts)
{
	Oid			types[20] = {INT8OID, INT4OID, INT8OID, TEXTOID, INT8OID, OIDOID};
	Datum		args[20];
	char		nulls[21];
	int			n = 0;

	memset(nulls, ' ', sizeof(nulls));
	nulls[20] = '\0';
	args[n++] = Int64GetDatum(batch_id);
	args[n++] = Int32GetDatum(step);
	args[n++] = Int64GetDatum(counts->object_id);
	args[n++] = CStringGetTextDatum(counts->object);
	nulls[n] = nulls[n + 1] = OidIsValid(counts->staged_relid) ? ' ' : 'n';
	args[n++] = Int64GetDatum((int64) counts->first_block);
	args[n++] = ObjectIdGetDatum(counts->staged_relid);
	args[n++] = Int64GetDatum(counts->rows_read);
	args[n++] = Int64GetDatum(counts->rows_staged);
	args[n++] = Int64GetDatum(counts->rows_rejected);
	args[n++] = Int64GetDatum(counts->rows_repeated);
	args[n++] = Int64GetDatum(counts->rows_superseded);
	args[n++] = Int64GetDatum(counts->rows_inserted);
	args[n++] = Int64GetDatum(counts->rows_updated);
	args[n++] = Int64GetDatum(counts->rows_deleted);
	args[n++] = Int64GetDatum(counts->rows_repointed);
	args[n++] = Int64GetDatum(counts->warnings);
	args[n++] = Int64GetDatum(counts->units_read);
	args[n++] = Int64GetDatum(counts->units_skipped);
	for (int i = 6; i < n; i++)
		types[i] = INT8OID;
	types[n] = TIMESTAMPTZOID;
	args[n++] = TimestampTzGetDatum(counts->started_at);
	types[n] = INT8OID;
	args[n++] = Int64GetDatum((int64) GetSystemIdentifier());
	wh_catalog_execute("INSERT INTO wh.batch_step VALUES ($1, $2, $3, $4, $5,"
							  " pg_catalog.pg_relation_filenode($6)::pg_catalog.int8 OPERATOR(pg_catalog.#) $20, $7, $8, $9,"
							  " $10, $11, $12, $13, $14, $15, $16, $17, $18,"
							  " pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) $19)",
					   n, types, args, nulls);
}

/* Log that the batch succeeded. */
void
wh_batch_finish(int64 batch_id)
{
	wh_catalog_execute("UPDATE wh.batch SET state = 'succeeded', finished_at = pg_catalog.clock_timestamp()"
					   " WHERE batch_id OPERATOR(pg_catalog.=) $1",
					   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(batch_id)}, NULL);
}

/* Log that the batch failed: readers see the error without values of records. */
void
wh_batch_fail(int64 batch_id, const ErrorData *error)
{
	char	   *detail = wh_public_detail(error);
	Oid			types[4] = {INT8OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		args[4] = {Int64GetDatum(batch_id), CStringGetTextDatum(wh_public_message(error)),
		detail ? CStringGetTextDatum(detail) : (Datum) 0,
	CStringGetTextDatum(unpack_sql_state(error->sqlerrcode))};

	wh_catalog_execute("UPDATE wh.batch SET state = 'failed', message = $2, detail = $3, sqlstate = $4,"
					   " finished_at = pg_catalog.clock_timestamp()"
					   " WHERE batch_id OPERATOR(pg_catalog.=) $1",
					   4, types, args, detail ? NULL : "  n ");
}

/* Log the dimension or fact that a publish failed at. */
void
wh_batch_failed_at(int64 batch_id, int64 object_id, const char *object)
{
	wh_catalog_execute("UPDATE wh.batch SET object_id = $2, object = $3 WHERE batch_id OPERATOR(pg_catalog.=) $1",
					   3, (Oid[]) {INT8OID, INT8OID, TEXTOID},
					   (Datum[]) {Int64GetDatum(batch_id), Int64GetDatum(object_id), CStringGetTextDatum(object)}, NULL);
}

/*
 * Give a batch the next number.  Batches of a feed must commit in the order of
 * their numbers: how far a reader has used a feed is one number.
 */
int64
wh_batch_renumber(int64 batch_id)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(batch_id)};
	WhRow		row;

	if (!wh_catalog_row(&row, "UPDATE wh.batch SET batch_id = pg_catalog.nextval('wh.batch_id_seq')"
						" WHERE batch_id OPERATOR(pg_catalog.=) $1 RETURNING batch_id", 1, types, args))
		elog(ERROR, "batch " INT64_FORMAT " is missing", batch_id);
	return DatumGetInt64(row.values[0]);
}

/* Remove the row of a batch that found nothing to do. */
void
wh_batch_forget(int64 batch_id)
{
	Oid			types[1] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(batch_id)};

	wh_catalog_execute("DELETE FROM wh.batch WHERE batch_id OPERATOR(pg_catalog.=) $1",
					   1, types, args, NULL);
}
