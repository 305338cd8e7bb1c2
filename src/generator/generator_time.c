/*
 * generator_time.c
 *	  Column kinds date and timestamp.
 *
 * Prepared once per process, filled once per row.  A time is found from a
 * uniform number through cumulative weights of days, then of the hours of a
 * day, then evenly within the hour.  All times are without time zone, in UTC.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "generator/generator.h"

typedef struct TimeState
{
	bool		has_time;
	bool		is_ascending;	/* later rows of a request are later */
	bool		is_zipf;		/* the more recent, the more frequent */
	bool		is_normal;
	Timestamp	from;			/* half open */
	Timestamp	to;
	int			first_day;
	int			ndays;
	double	   *days;			/* cumulative weights of days, the last is the total; NULL = even */
	double		hours[25];		/* cumulative weights of hours, from 0 to 1 */
	bool		has_hours;
	WhZipf		zipf;
} TimeState;

/* The year, week and day of a shop, where a declaration does not say its own. */
static const double default_months[12] = {
	0.82, 0.80, 0.92, 0.93, 1.00, 0.98, 0.94, 0.97, 0.95, 1.02, 1.25, 1.42
};
static const double default_weekdays[7] = {	/* Monday first */
	0.93, 0.90, 0.92, 0.97, 1.12, 1.22, 0.94
};
static const double default_hours[24] = {
	0.20, 0.12, 0.08, 0.06, 0.07, 0.15, 0.35, 0.60, 0.85, 1.05, 1.20, 1.28,
	1.30, 1.22, 1.15, 1.15, 1.20, 1.30, 1.45, 1.60, 1.65, 1.45, 0.95, 0.45
};

/* Parse a date or timestamp as UTC. */
static Timestamp
parse_time(const WhSpec *spec, const char *name)
{
	char	   *text = wh_spec_text(spec, name, NULL);
	Timestamp	result = DatumGetTimestamp(DirectFunctionCall3(timestamp_in, CStringGetDatum(text),
															   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));

	if (TIMESTAMP_NOT_FINITE(result))
		wh_spec_error(spec, "options \"from\" and \"to\" must be finite");
	return result;
}

static int
day_of(Timestamp time)
{
	return (int) (time / USECS_PER_DAY - (time % USECS_PER_DAY < 0 ? 1 : 0));
}

/* Cumulate the weights of the days from first_day on. */
static void
weigh_days(TimeState *state, const double *weekdays, const double *months, double growth)
{
	state->days = palloc(sizeof(double) * (state->ndays + 1));
	state->days[0] = 0;
	for (int i = 0; i < state->ndays; i++)
	{
		int			julian = state->first_day + i + POSTGRES_EPOCH_JDATE;
		int			year;
		int			month;
		int			day;
		Timestamp	start = (int64) (state->first_day + i) * USECS_PER_DAY;
		Timestamp	end = start + USECS_PER_DAY;
		double		weight;

		j2date(julian, &year, &month, &day);
		/* Only the part of the first and last day that is in the range. */
		weight = (double) (Min(end, state->to) - Max(start, state->from)) / (double) USECS_PER_DAY;
		if (weekdays)
			weight *= weekdays[(j2day(julian) + 6) % 7];
		if (months)
			weight *= months[month - 1];
		if (growth > -1 && growth != 0)
			weight *= wh_random_exp(wh_random_log(1 + growth) * (i / 365.25));
		state->days[i + 1] = state->days[i] + weight;
	}
}

/* Return the interval of cumulative weights that holds x, and the place within it. */
static int
find(const double *cumulative, int count, double x, double *rest)
{
	int			low = 0;
	int			high = count - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (cumulative[middle] <= x)
			low = middle;
		else
			high = middle - 1;
	}
	*rest = cumulative[low + 1] > cumulative[low] ?
		(x - cumulative[low]) / (cumulative[low + 1] - cumulative[low]) : 0;
	if (*rest >= 1)
		*rest = 0.9999999999;
	return low;
}

/* Return the time at a place u of [0, 1) of the range. */
static Timestamp
time_at(const TimeState *state, double u)
{
	double		rest;
	int			day;
	Timestamp	start;
	Timestamp	end;

	if (state->days == NULL && !state->has_hours)
	{
		Timestamp	time = state->from + (int64) (u * (double) (state->to - state->from));

		return Min(time, state->to - 1);
	}
	if (state->days)
		day = find(state->days, state->ndays, u * state->days[state->ndays], &rest);
	else
	{
		day = (int) (u * state->ndays);
		rest = u * state->ndays - day;
	}
	start = (int64) (state->first_day + day) * USECS_PER_DAY;
	end = start + USECS_PER_DAY;
	if (start >= state->from && end <= state->to && state->has_hours)
	{
		double		minute;
		int			hour = find(state->hours, 24, rest, &minute);

		return start + hour * USECS_PER_HOUR + (int64) (minute * (double) USECS_PER_HOUR);
	}
	start = Max(start, state->from);
	end = Min(end, state->to);
	return start + (int64) (rest * (double) (end - start));
}

static void
fill_time(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	TimeState  *state = column->state;
	Timestamp	value;
	double		u;

	if (state->is_zipf)
	{
		int64		age = wh_random_zipf(&state->zipf, random);
		Timestamp	start = (int64) (state->first_day + state->ndays - age) * USECS_PER_DAY;
		Timestamp	end = Min(start + USECS_PER_DAY, state->to);

		start = Max(start, state->from);
		value = start + (int64) (wh_random_double(random) * (double) (end - start));
	}
	else
	{
		if (state->is_normal)
			do
				u = 0.5 + wh_random_normal(random) / 6;
			while (u < 0 || u >= 1);
		else
			u = wh_random_double(random);
		if (state->is_ascending && generator->variation == 0 && generator->request.rows > 0)
			u = ((double) (generator->row - generator->request.first_row) + u) / (double) generator->request.rows;
		value = time_at(state, u);
	}
	/* Whole seconds, as most systems keep them. */
	value -= ((value % USECS_PER_SEC) + USECS_PER_SEC) % USECS_PER_SEC;
	if (value < state->from)
		value = state->from;
	wh_value_time(generator, column, value, state->has_time);
}

/* Return a time of change after another: in the window, else within 30 days. */
Timestamp
wh_generator_time_later(WhGenerator *generator, Timestamp than, WhRandom *random)
{
	const WhRequest *request = &generator->request;
	Timestamp	from = than + USECS_PER_SEC;
	Timestamp	to = than + 30 * USECS_PER_DAY;
	Timestamp	value;

	if (request->has_window && request->window_to > from)
	{
		from = Max(from, request->window_from);
		to = request->window_to;
	}
	value = from + (int64) wh_random_below(random, (uint64) (to - from));
	value -= ((value % USECS_PER_SEC) + USECS_PER_SEC) % USECS_PER_SEC;
	return value > than ? value : than + 1;
}

static double *
weights_option(const WhSpec *spec, const char *name, int expected, const char *message)
{
	int			count;
	double	   *result = wh_spec_numbers(spec, name, &count);

	if (result && count != expected)
		wh_spec_error(spec, message);
	return result;
}

/* Prepare kinds date and timestamp. */
void
wh_generator_prepare_time(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"from", "to", "distribution", "weekly", "monthly", "hourly", "growth",
	"exponent", "order", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	char	   *distribution = wh_spec_text(spec, "distribution", "uniform");
	char	   *order = wh_spec_text(spec, "order", "random");
	TimeState  *state = palloc0(sizeof(TimeState));
	const double *weekly;
	const double *monthly;
	const double *hourly;
	double		growth;
	bool		is_seasonal;

	wh_spec_check_options(spec, kind, options);
	column->state = state;
	column->fill = fill_time;
	state->has_time = strcmp(kind, "timestamp") == 0;
	column->is_text_date = column->target >= WH_TARGET_TEXT;
	column->date_has_time = state->has_time;
	if (column->target < WH_TARGET_DATE)
		wh_spec_error(spec, "the column must be of a date, timestamp or text type");

	if (wh_spec_has(spec, "from") != wh_spec_has(spec, "to"))
		wh_spec_error(spec, "options \"from\" and \"to\" go together");
	if (wh_spec_has(spec, "from"))
	{
		state->from = parse_time(spec, "from");
		state->to = parse_time(spec, "to");
		/* The last day of a range of dates is in it. */
		if (!state->has_time)
			state->to += USECS_PER_DAY;
		if (state->to <= state->from)
			wh_spec_error(spec, "option \"to\" must be after \"from\"");
	}
	else if (generator->request.has_window)
	{
		state->from = generator->request.window_from;
		state->to = generator->request.window_to;
	}
	else if (generator->request.rows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\" has no range of time", column->name),
				 errhint("Give wh.generate a time_from and time_to, or the column's generator a \"from\" and \"to\".")));
	else
		state->to = USECS_PER_DAY;
	if (state->to - state->from > (int64) 200000 * USECS_PER_DAY)
		wh_spec_error(spec, "a range of time must be shorter than 200000 days");
	state->first_day = day_of(state->from);
	state->ndays = day_of(state->to - 1) - state->first_day + 1;

	if (strcmp(order, "ascending") == 0)
		state->is_ascending = true;
	else if (strcmp(order, "random") != 0)
		wh_spec_error(spec, "option \"order\" must be random or ascending");
	is_seasonal = strcmp(distribution, "seasonal") == 0;
	state->is_zipf = strcmp(distribution, "zipf") == 0;
	state->is_normal = strcmp(distribution, "normal") == 0;
	if (!is_seasonal && !state->is_zipf && !state->is_normal && strcmp(distribution, "uniform") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\": distribution \"%s\" does not exist", column->name, distribution),
				 errhint("The distributions of times are: uniform, seasonal, normal, zipf.")));
	if (state->is_zipf)
	{
		double		exponent = wh_spec_number(spec, "exponent", 1);

		if (!(exponent > 0 && exponent <= 10))
			wh_spec_error(spec, "option \"exponent\" must be above 0 and at most 10");
		wh_random_zipf_init(&state->zipf, state->ndays, exponent);
	}
	weekly = weights_option(spec, "weekly", 7, "option \"weekly\" must have 7 weights, Monday first");
	monthly = weights_option(spec, "monthly", 12, "option \"monthly\" must have 12 weights");
	hourly = weights_option(spec, "hourly", 24, "option \"hourly\" must have 24 weights");
	growth = wh_spec_number(spec, "growth", 0);
	if (!(growth > -1 && growth < 100))
		wh_spec_error(spec, "option \"growth\", a year's, must be above -1 and below 100");
	if (is_seasonal)
	{
		weekly = weekly ? weekly : default_weekdays;
		monthly = monthly ? monthly : default_months;
		if (state->has_time)
			hourly = hourly ? hourly : default_hours;
	}
	if (weekly || monthly || growth != 0)
	{
		weigh_days(state, weekly, monthly, growth);
		if (!(state->days[state->ndays] > 0))
			wh_spec_error(spec, "no day of the range has a weight above 0");
	}
	if (hourly)
	{
		double		sum = 0;

		state->has_hours = true;
		for (int i = 0; i < 24; i++)
			sum += hourly[i];
		state->hours[0] = 0;
		for (int i = 0; i < 24; i++)
			state->hours[i + 1] = state->hours[i] + hourly[i] / sum;
		state->hours[24] = 1;
	}
}
