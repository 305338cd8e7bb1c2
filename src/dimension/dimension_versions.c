/*
 * dimension_versions.c
 *	  From the states of one natural key to the versions it should have.
 *
 * Pure functions of memory: no table is read or written here.  Results are in
 * the memory context that is current at the call; values are shared with the
 * states they came from.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "dimension/dimension_versions.h"

/* Prepare the comparisons of a dimension's columns. */
WhVersionBuilder *
wh_versions_builder(const WhDimension *dimension)
{
	WhVersionBuilder *builder = palloc0(sizeof(WhVersionBuilder));

	builder->dimension = dimension;
	builder->columns = palloc0(sizeof(WhColumnCompare) * Max(dimension->ncolumns, 1));
	for (int i = 0; i < dimension->ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(dimension->tupdesc, dimension->column[i] - 1);
		WhColumnCompare *column = &builder->columns[i];
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR_FINFO);

		column->byval = att->attbyval;
		column->len = att->attlen;
		column->collation = att->attcollation;
		column->has_equal = OidIsValid(type->eq_opr_finfo.fn_oid);
		if (column->has_equal)
			fmgr_info_copy(&column->equal, &type->eq_opr_finfo, CurrentMemoryContext);
	}
	return builder;
}

/* Say whether two values are equal by their type (rule 9); NULL equals NULL. */
static bool
value_equal(const WhVersionBuilder *builder, int i, Datum a, bool anull, Datum b, bool bnull)
{
	WhColumnCompare *column = &builder->columns[i];

	if (anull || bnull)
		return anull && bnull;
	if (datum_image_eq(a, b, column->byval, column->len))
		return true;
	if (!column->has_equal)
		return false;
	return DatumGetBool(FunctionCall2Coll(&column->equal, column->collation, a, b));
}

/* Say whether two versions hold the same bytes in every column of the query. */
bool
wh_versions_same_image(const WhVersionBuilder *builder, const WhVersion *a, const WhVersion *b)
{
	const WhDimension *d = builder->dimension;

	for (int i = 0; i < d->ncolumns; i++)
	{
		WhColumnCompare *column = &builder->columns[i];

		if (a->isnull[i] != b->isnull[i])
			return false;
		if (!a->isnull[i] && !datum_image_eq(a->values[i], b->values[i], column->byval, column->len))
			return false;
		if (d->previous[i])
		{
			if (a->previous_isnull[i] != b->previous_isnull[i])
				return false;
			if (!a->previous_isnull[i] &&
				!datum_image_eq(a->previous[i], b->previous[i], column->byval, column->len))
				return false;
		}
	}
	return true;
}

/* Give the first time at which it is this local time: an hour may come twice. */
static TimestampTz
first_time(Datum zone, Datum local)
{
	TimestampTz at = DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone, local));
	TimestampTz earlier = at - USECS_PER_HOUR;

	if (DatumGetTimestamp(DirectFunctionCall2(timestamptz_zone, zone, TimestampTzGetDatum(earlier))) ==
		DatumGetTimestamp(local))
		return earlier;
	return at;
}

/* Give the start of the grain that holds a time, and of the one after it. */
static void
grain_bounds(const WhDimension *d, TimestampTz at, TimestampTz *start, TimestampTz *next)
{
	static const char *const unit[] = {"", "hour", "day", "week", "month"};
	Datum		zone = CStringGetTextDatum(d->time_zone);
	Datum		local,
				local_start;
	Interval	step = {0, 0, 0};

	if (TIMESTAMP_NOT_FINITE(at))
	{
		*start = *next = at;
		return;
	}
	local = DirectFunctionCall2(timestamptz_zone, zone, TimestampTzGetDatum(at));
	local_start = DirectFunctionCall2(timestamp_trunc, CStringGetTextDatum(unit[d->grain]), local);
	switch (d->grain)
	{
		case WH_GRAIN_HOUR:
			step.time = USECS_PER_HOUR;
			break;
		case WH_GRAIN_DAY:
			step.day = 1;
			break;
		case WH_GRAIN_WEEK:
			step.day = 7;
			break;
		default:
			step.month = 1;
	}
	*start = first_time(zone, local_start);
	*next = first_time(zone, DirectFunctionCall2(timestamp_pl_interval, local_start, IntervalPGetDatum(&step)));
}

/* Give the start of the grain that holds a time; the time itself without a grain. */
TimestampTz
wh_versions_grain_start(const WhDimension *d, TimestampTz at)
{
	TimestampTz start = at,
				next;

	if (d->grain != WH_GRAIN_NONE)
		grain_bounds(d, at, &start, &next);
	return start;
}

/*
 * Collapse states to one per grain (rule 12): the last point of a grain that
 * yields a row opens at the grain's start; an end moves to the start of the
 * next grain.  Works in place and gives the new number of states; each output
 * state needs at most the room of the inputs read so far, plus one.
 */
static int
collapse(const WhDimension *d, WhState *in, int n, WhState *out)
{
	int			m = 0;
	int			i = 0;

	while (i < n)
	{
		TimestampTz start,
					next;
		int			last_row = -1;
		int			j;

		grain_bounds(d, in[i].at, &start, &next);
		for (j = i; j < n && (in[j].at < next || j == i); j++)
			if (in[j].values)
				last_row = j;
		if (last_row >= 0)
		{
			/* an end that moved to this very start is overtaken */
			if (m > 0 && out[m - 1].at == start)
				m--;
			out[m] = in[last_row];
			out[m++].at = start;
		}
		if (in[j - 1].values == NULL)
		{
			out[m].at = next;
			out[m].values = NULL;
			out[m++].isnull = NULL;
		}
		i = j;
	}
	return m;
}

/* Fill the columns of SCD types 0, 1 and 3 from all versions, in time order. */
static void
spread_scd(const WhVersionBuilder *builder, WhVersion *v, int n)
{
	const WhDimension *d = builder->dimension;

	for (int c = 0; c < d->ncolumns; c++)
	{
		int			source = d->scd[c] == WH_SCD_KEEP ? 0 : n - 1;
		int			before;
		Datum		value;
		bool		isnull;

		if (d->scd[c] == WH_SCD_VERSION)
			continue;
		value = v[source].values[c];
		isnull = v[source].isnull[c];
		before = n - 2;
		while (d->scd[c] == WH_SCD_PREVIOUS && before >= 0 &&
			   value_equal(builder, c, v[before].values[c], v[before].isnull[c], value, isnull))
			before--;
		for (int i = 0; i < n && d->scd[c] == WH_SCD_PREVIOUS; i++)
		{
			v[i].previous_isnull[c] = before < 0 || v[before].isnull[c];
			v[i].previous[c] = before < 0 ? (Datum) 0 : v[before].values[c];
		}
		for (int i = 0; i < n; i++)
		{
			v[i].values[c] = value;
			v[i].isnull[c] = isnull;
		}
	}
}

static bool
has_spread(const WhDimension *d)
{
	for (int c = 0; c < d->ncolumns; c++)
		if (d->scd[c] != WH_SCD_VERSION)
			return true;
	return false;
}

static bool
versions_equal(const WhVersionBuilder *builder, const WhVersion *a, const WhVersion *b)
{
	for (int c = 0; c < builder->dimension->ncolumns; c++)
		if (!value_equal(builder, c, a->values[c], a->isnull[c], b->values[c], b->isnull[c]))
			return false;
	return true;
}

/*
 * Build the versions of one key from its states, which are in time order with
 * one state per time.  The values of the states may be changed.
 */
WhVersion *
wh_versions_build(const WhVersionBuilder *builder, WhState *states, int nstates, int *nversions)
{
	const WhDimension *d = builder->dimension;
	WhVersion  *v = palloc(sizeof(WhVersion) * Max(nstates, 1));
	int			n = 0;
	int			merged = 0;

	if (d->grain != WH_GRAIN_NONE)
	{
		WhState    *out = palloc(sizeof(WhState) * (nstates * 2 + 1));

		nstates = collapse(d, states, nstates, out);
		states = out;
		v = repalloc(v, sizeof(WhVersion) * Max(nstates, 1));
	}
	for (int i = 0; i < nstates; i++)
	{
		WhVersion  *version;

		if (states[i].values == NULL)
			continue;
		version = &v[n++];
		memset(version, 0, sizeof(WhVersion));
		version->from = states[i].at;
		version->to = i + 1 < nstates ? states[i + 1].at : DT_NOEND;
		version->values = states[i].values;
		version->isnull = states[i].isnull;
	}
	if (n > 0 && has_spread(d))
	{
		for (int i = 0; i < n; i++)
		{
			v[i].previous = palloc0(sizeof(Datum) * d->ncolumns);
			v[i].previous_isnull = palloc0(sizeof(bool) * d->ncolumns);
		}
		spread_scd(builder, v, n);
	}
	for (int i = 0; i < n; i++)
	{
		if (merged > 0 && v[merged - 1].to == v[i].from && versions_equal(builder, &v[merged - 1], &v[i]))
			v[merged - 1].to = v[i].to;
		else
			v[merged++] = v[i];
	}
	for (int i = 0; i < merged; i++)
		v[i].is_current = v[i].to == DT_NOEND;
	*nversions = merged;
	return v;
}
