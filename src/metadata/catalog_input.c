/*
 * catalog_input.c
 *	  What dimensions and facts read, how far they have used it, and where what is
 *	  new begins.
 *
 * Every function needs an SPI connection and runs in the caller's transaction.
 * Results are in the memory context that is current at the call.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "metadata/catalog.h"

/* Give what an object reads (WhInput *). */
List *
wh_catalog_inputs(int64 object_id)
{
	int			n;
	List	   *inputs = NIL;
	WhRow	   *rows = wh_catalog_rows(&n, "SELECT i.relation::oid, i.feed_id, i.used_batch_id, f.last_batch_id,"
								   " coalesce(f.history, f.relation)::oid, f.change_log::oid,"
								   " pg_catalog.encode(i.content_hash, 'hex')"
								   " FROM wh.input i LEFT JOIN wh.feed f"
								   " ON f.feed_id OPERATOR(pg_catalog.=) i.feed_id"
								   " WHERE i.object_id OPERATOR(pg_catalog.=) $1"
								   " ORDER BY i.relation::oid",
								   1, (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(object_id)});

	for (int r = 0; r < n; r++)
	{
		WhInput    *input = palloc0(sizeof(WhInput));
		WhRow	   *row = &rows[r];

		input->relid = DatumGetObjectId(row->values[0]);
		input->feed_id = row->isnull[1] ? 0 : DatumGetInt64(row->values[1]);
		input->has_used = !row->isnull[2];
		input->used_batch_id = row->isnull[2] ? 0 : DatumGetInt64(row->values[2]);
		input->last_batch_id = row->isnull[3] ? 0 : DatumGetInt64(row->values[3]);
		input->history = row->isnull[4] ? InvalidOid : DatumGetObjectId(row->values[4]);
		input->change_log = row->isnull[5] ? InvalidOid : DatumGetObjectId(row->values[5]);
		input->hash = row->isnull[6] ? NULL : TextDatumGetCString(row->values[6]);
		inputs = lappend(inputs, input);
	}
	return inputs;
}

/* Store how far an input is used: its used_batch_id and hash. */
void
wh_catalog_input_used(int64 object_id, const WhInput *input)
{
	Datum		args[4] = {Int64GetDatum(object_id), ObjectIdGetDatum(input->relid),
		Int64GetDatum(input->used_batch_id),
	input->hash ? CStringGetTextDatum(input->hash) : (Datum) 0};

	wh_catalog_execute("UPDATE wh.input SET used_batch_id = $3,"
				   " content_hash = pg_catalog.decode($4, 'hex')"
				   " WHERE object_id OPERATOR(pg_catalog.=) $1 AND relation::oid OPERATOR(pg_catalog.=) $2",
				   4, (Oid[]) {INT8OID, OIDOID, INT8OID, TEXTOID}, args,
				   input->hash ? NULL : "   n");
}

/*
 * Say from which block on the rows can be that were added since the input was
 * last used; false = anywhere, as when the table was rewritten since.
 */
bool
wh_input_first_block(const WhInput *input, int64 *block)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT min(s.first_block), bool_and(s.file_node IS NOT DISTINCT FROM"
					" pg_catalog.pg_relation_filenode($3)::pg_catalog.int8 OPERATOR(pg_catalog.#) $4)"
					" FROM wh.batch_step s WHERE s.object_id OPERATOR(pg_catalog.=) $1"
					" AND s.batch_id OPERATOR(pg_catalog.>) $2"
					" AND s.first_block IS NOT NULL",
					4, (Oid[]) {INT8OID, INT8OID, OIDOID, INT8OID},
					(Datum[]) {Int64GetDatum(input->feed_id), Int64GetDatum(input->used_batch_id),
	ObjectIdGetDatum(input->history), Int64GetDatum((int64) GetSystemIdentifier())}))
		return false;
	if (row.isnull[0] || row.isnull[1] || !DatumGetBool(row.values[1]))
		return false;
	*block = DatumGetInt64(row.values[0]);
	return true;
}

/* Give the number of rows added since the input was last used. */
double
wh_input_new_rows(const WhInput *input)
{
	WhRow		row;

	if (!wh_catalog_row(&row, "SELECT coalesce(sum(rows_staged), 0)::float8 FROM wh.batch_step"
					" WHERE object_id OPERATOR(pg_catalog.=) $1 AND batch_id OPERATOR(pg_catalog.>) $2",
					2, (Oid[]) {INT8OID, INT8OID},
					(Datum[]) {Int64GetDatum(input->feed_id), Int64GetDatum(input->used_batch_id)}))
		elog(ERROR, "no count of changed rows");
	return DatumGetFloat8(row.values[0]);
}
