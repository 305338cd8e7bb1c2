/*
 * dimension_states.c
 *	  From the rows of a definition's query for one key to its states: what holds
 *	  from when on, with gaps.
 *
 * One function for each form in which rows come: at the key's points, at the
 * beginnings of one feed's versions, as a whole, current rows, and rows that say
 * themselves from when on they hold.  Runs in the transaction of the publish, in
 * the memory context of one key; takes no locks.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/timestamp.h"

#include "base/time_zone.h"
#include "dimension/dimension_states.h"

/* Read the query's columns of a row; the first of them is at 'offset' + 1. */
static void
state_values(WhDimensionPass *pass, HeapTuple tuple, TupleDesc tupdesc, int offset, WhState *state)
{
	WhDimension *d = pass->dimension;

	state->values = palloc(sizeof(Datum) * Max(d->ncolumns, 1));
	state->isnull = palloc(sizeof(bool) * Max(d->ncolumns, 1));
	heap_deform_tuple(tuple, tupdesc, pass->row_values, pass->row_isnull);
	for (int i = 0; i < d->ncolumns; i++)
	{
		state->values[i] = pass->row_values[pass->column[i] + offset - 1];
		state->isnull[i] = pass->row_isnull[pass->column[i] + offset - 1];
	}
}

/* Read the row at a time, if there is one; more rows at it are warnings. */
static void
state_at(WhDimensionPass *pass, WhMergeSide *rows, int *r, TimestampTz at, WhState *state)
{
	int			nkey = pass->dimension->nkey;
	bool		isnull;

	state->at = at;
	state->values = NULL;
	state->isnull = NULL;
	for (; *r < rows->group.ntuples; (*r)++)
	{
		HeapTuple	tuple = rows->group.tuples[*r];
		TupleDesc	tupdesc = rows->cursor->tupdesc;

		if (DatumGetTimestampTz(heap_getattr(tuple, nkey + 1, tupdesc, &isnull)) != at)
			return;
		if (state->values)
			pass->counts->warnings++;
		else
			state_values(pass, tuple, tupdesc, nkey + 1, state);
	}
}

/* States of history 'auto': a state for each point, with or without a row. */
WhState *
wh_dimension_states_as_of(WhDimensionPass *pass, WhMerge *merge, int *nstates)
{
	WhMergeSide *points = &merge->sides[2];
	WhState    *states = palloc(sizeof(WhState) * Max(points->group.ntuples, 1));
	int			r = 0;
	bool		isnull;

	for (int p = 0; p < points->group.ntuples; p++)
		state_at(pass, &merge->sides[0], &r,
				 DatumGetTimestampTz(heap_getattr(points->group.tuples[p], pass->dimension->nkey + 1,
												  points->cursor->tupdesc, &isnull)), &states[p]);
	if (r < merge->sides[0].group.ntuples)
		elog(ERROR, "a row of dimension \"%s\" is at no change point", pass->dimension->name);
	*nstates = points->group.ntuples;
	return states;
}

/*
 * The same from rows at the beginnings of one feed's versions, which say when
 * the version ends: a state at each beginning, and where a gap begins.
 */
WhState *
wh_dimension_states_direct(WhDimensionPass *pass, WhMerge *merge, int *nstates)
{
	WhGroup    *rows = &merge->sides[0].group;
	TupleDesc	tupdesc = merge->sides[0].cursor->tupdesc;
	int			nkey = pass->dimension->nkey;
	WhState    *states = palloc0(sizeof(WhState) * Max(rows->ntuples * 2, 1));
	TimestampTz open_until = DT_NOEND;
	int			n = 0;

	for (int r = 0; r < rows->ntuples; r++)
	{
		WhState    *state = &states[n];
		bool		isnull;
		TimestampTz from = DatumGetTimestampTz(heap_getattr(rows->tuples[r], nkey + 1, tupdesc, &isnull));

		if (r > 0 && states[n - 1].at == from)
		{
			pass->counts->warnings++;
			continue;
		}
		if (r > 0 && open_until < from)
		{
			state->at = open_until;
			state = &states[++n];
		}
		state->at = from;
		state_values(pass, rows->tuples[r], tupdesc, nkey + 2, state);
		n++;
		open_until = DatumGetTimestampTz(pass->row_values[nkey + 1]);
	}
	if (open_until < DT_NOEND)
		states[n++].at = open_until;
	*nstates = n;
	return states;
}

/*
 * Give the time of the point that ended an existing version.  A grain has moved
 * the end to the start of the next one, and will again: the point was before.
 */
static TimestampTz
ended_at(const WhDimension *d, TimestampTz to)
{
	return d->grain == WH_GRAIN_NONE ? to : to - 1;
}

/*
 * States of a query as a whole: what the existing versions say of the time
 * before the pass's first point, then the rows that were computed.
 */
WhState *
wh_dimension_states_whole(WhDimensionPass *pass, WhMerge *merge, const WhVersion *existing, int nexisting, int *nstates)
{
	int			ncomputed;
	WhState    *computed = wh_dimension_states_direct(pass, merge, &ncomputed);
	WhState    *states = palloc0(sizeof(WhState) * (nexisting * 2 + ncomputed + 1));
	TimestampTz open_until = pass->from;
	int			n = 0;

	for (int i = 0; i < nexisting && existing[i].from < pass->from; i++)
	{
		if (existing[i].is_inferred)
			continue;
		if (n > 0 && open_until < existing[i].from)
			states[n++].at = ended_at(pass->dimension, open_until);
		states[n].at = existing[i].from;
		states[n].values = existing[i].values;
		states[n++].isnull = existing[i].isnull;
		open_until = existing[i].to;
	}
	/* no row at the first point ends what was there before it */
	if (n > 0 && (ncomputed == 0 || computed[0].at > Min(open_until, pass->from)))
		states[n++].at = open_until <= pass->from ? ended_at(pass->dimension, open_until) : pass->from;
	memcpy(states + n, computed, sizeof(WhState) * ncomputed);
	*nstates = n + ncomputed;
	return states;
}

/* States of history 'none': the first row holds for all time. */
WhState *
wh_dimension_states_current(WhDimensionPass *pass, WhMerge *merge, int *nstates)
{
	WhGroup    *rows = &merge->sides[0].group;
	WhState    *state = palloc(sizeof(WhState));

	*nstates = rows->ntuples > 0 ? 1 : 0;
	if (rows->ntuples > 0)
	{
		state->at = DT_NOBEGIN;
		state_values(pass, rows->tuples[0], merge->sides[0].cursor->tupdesc, 0, state);
		pass->counts->warnings += rows->ntuples - 1;
	}
	return state;
}

typedef struct TimedRow
{
	TimestampTz at;
	TimestampTz until;
	int			row;
} TimedRow;

static int
timed_row_cmp(const void *a, const void *b)
{
	const TimedRow *x = a,
			   *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->row - y->row;
}

/* Read a time of the query's result as timestamptz; false if it is NULL. */
static bool
row_time(WhDimensionPass *pass, HeapTuple tuple, TupleDesc tupdesc, AttrNumber attno, TimestampTz *at)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, attno, tupdesc, &isnull);

	if (isnull)
		return false;
	*at = wh_time_in_zone(value, TupleDescAttr(tupdesc, attno - 1)->atttypid,
						  pass->dimension->time_zone);
	return true;
}

/* States of history 'query': the query says from when each row holds. */
WhState *
wh_dimension_states_of_query(WhDimensionPass *pass, WhMerge *merge, int *nstates)
{
	WhGroup    *rows = &merge->sides[0].group;
	TupleDesc	tupdesc = merge->sides[0].cursor->tupdesc;
	TimedRow   *timed = palloc(sizeof(TimedRow) * Max(rows->ntuples, 1));
	WhState    *states = palloc0(sizeof(WhState) * Max(rows->ntuples * 2, 1));
	int			ntimed = 0;
	int			n = 0;

	for (int r = 0; r < rows->ntuples; r++)
	{
		TimedRow   *row = &timed[ntimed];

		row->row = r;
		row->until = DT_NOEND;
		if (!row_time(pass, rows->tuples[r], tupdesc, pass->from_column, &row->at) ||
			row->at == DT_NOEND)
		{
			pass->counts->warnings++;
			continue;
		}
		if (pass->to_column)
			(void) row_time(pass, rows->tuples[r], tupdesc, pass->to_column, &row->until);
		if (row->until > row->at)
			ntimed++;
	}
	qsort(timed, ntimed, sizeof(TimedRow), timed_row_cmp);
	for (int i = 0; i < ntimed; i++)
	{
		if (i > 0 && timed[i].at == timed[i - 1].at)
		{
			pass->counts->warnings++;
			timed[i].until = timed[i - 1].until;
			continue;
		}
		if (i > 0 && timed[i - 1].until < timed[i].at)
			states[n++].at = timed[i - 1].until;
		states[n].at = timed[i].at;
		state_values(pass, rows->tuples[timed[i].row], tupdesc, 0, &states[n++]);
	}
	if (ntimed > 0 && timed[ntimed - 1].until < DT_NOEND)
		states[n++].at = timed[ntimed - 1].until;
	*nstates = n;
	return states;
}

WhVersion *
wh_dimension_existing_versions(WhDimensionPass *pass, WhMerge *merge, int *n)
{
	WhMergeSide *side = &merge->sides[1];
	WhVersion  *versions = palloc(sizeof(WhVersion) * Max(side->group.ntuples, 1));

	for (int i = 0; i < side->group.ntuples; i++)
		wh_dimension_version_read(pass->dimension, side->group.tuples[i],
								  side->cursor->tupdesc, &versions[i]);
	*n = side->group.ntuples;
	return versions;
}
