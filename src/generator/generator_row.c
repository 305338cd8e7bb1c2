/*
 * generator_row.c
 *	  Makes one row: every column in order, then its faults.
 *
 * Runs once per row in any process that makes rows.  Values are in the
 * generator's row context until its owner resets that.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "generator/generator.h"

/* Fill one column of the current row. */
void
wh_generator_fill_column(WhGenerator *generator, WhColumn *column)
{
	WhRandom	random = wh_random_start(column->stream ^ generator->variation, generator->row);

	if (column->null_share)
	{
		/* Columns of one reference are NULL together. */
		WhRandom	nulls = column->group ?
		wh_random_start(~column->group->stream ^ generator->variation, generator->row) : random;

		if ((wh_random_next(&nulls) >> 1) < column->null_share)
		{
			generator->isnull[column->index] = true;
			return;
		}
		(void) wh_random_next(&random);
	}
	column->fill(generator, column, &random);
	if (column->ndirt && !generator->isnull[column->index])
	{
		random = wh_random_start(~column->stream ^ generator->variation, generator->row);
		wh_generator_apply_dirt(generator, column, &random);
	}
}

/* Fill every column of a new row; row is its number, from 1. */
void
wh_generator_fill_row(WhGenerator *generator, int64 row)
{
	MemoryContext old_context = MemoryContextSwitchTo(generator->row_context);

	generator->row = row;
	for (int i = 0; i < generator->norder; i++)
	{
		WhColumn   *column = generator->order[i];

		if (column->is_drawn || column->null_share || column->ndirt)
			wh_generator_fill_column(generator, column);
		else
			column->fill(generator, column, NULL);
	}
	MemoryContextSwitchTo(old_context);
}

/* Raise an error when a NULL breaks the domain of its column; values have been checked as they were made. */
void
wh_generator_check_domain(WhGenerator *generator, WhColumn *column)
{
	if (column->has_domain_checks && generator->isnull[column->index])
		domain_check((Datum) 0, true, column->type, &column->domain_state, generator->context);
}

/* Return the current row in a slot of the table's type. */
TupleTableSlot *
wh_generator_row_slot(WhGenerator *generator)
{
	TupleTableSlot *slot = generator->row_slot;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, generator->values, sizeof(Datum) * generator->natts);
	memcpy(slot->tts_isnull, generator->isnull, sizeof(bool) * generator->natts);
	return ExecStoreVirtualTuple(slot);
}

/* Raise an error when the current row breaks a constraint. */
void
wh_generator_check_row(WhGenerator *generator)
{
	TupleConstr *constr = generator->tupdesc->constr;
	bool		is_partition = generator->relation->rd_rel->relispartition;
	TupleTableSlot *slot;

	for (int i = 0; generator->has_domain_checks && i < generator->natts; i++)
		wh_generator_check_domain(generator, &generator->columns[i]);
	if (constr == NULL && !is_partition)
		return;
	if (constr && constr->num_check == 0 && !is_partition)
	{
		bool		broken = false;

		for (int i = 0; i < generator->natts; i++)
			broken |= generator->isnull[i] && generator->columns[i].not_null;
		if (!broken)
			return;
	}
	slot = wh_generator_row_slot(generator);
	if (is_partition)
		(void) ExecPartitionCheck(generator->result_rel, slot, generator->estate, true);
	if (constr)
		ExecConstraints(generator->result_rel, slot, generator->estate);
	ResetPerTupleExprContext(generator->estate);
}
