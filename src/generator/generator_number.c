/*
 * generator_number.c
 *	  Column kinds sequence, integer, number, money, boolean and choice.
 *
 * Prepared once per process, filled once per row.
 */
#include "postgres.h"

#include "generator/generator.h"

typedef enum Distribution
{
	UNIFORM,
	NORMAL,
	LOGNORMAL,
	ZIPF
} Distribution;

typedef struct NumberState
{
	Distribution distribution;
	int			scale;
	int64		unit;			/* 10^scale */
	int64		min;			/* in units of 10^-scale, like all below */
	int64		max;
	double		mean;			/* or the median of a lognormal */
	double		deviation;		/* or the sigma of a lognormal */
	WhZipf		zipf;
	int			nendings;
	int64	   *endings;		/* fractions that prices end with */
} NumberState;

typedef struct ChoiceState
{
	WhAlias		alias;
	bool	   *isnull;
	Datum	   *values;
} ChoiceState;

/* Sequence ------------------------------------------------------------------- */

static void
fill_sequence(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	wh_value_integer(generator, column,
					 generator->key_start + (generator->row - 1) * generator->key_step);
}

/* Prepare the key: start + step * (number of the row - 1). */
void
wh_generator_prepare_sequence(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"start", "step", NULL};

	wh_spec_check_options(spec, "sequence", options);
	if (generator->key)
		wh_spec_error(spec, "a table can have only one sequence");
	if (column->target > WH_TARGET_NUMERIC)
		wh_spec_error(spec, "a sequence must be of a whole-number type");
	generator->key = column;
	generator->key_start = wh_spec_integer(spec, "start", 1);
	generator->key_step = wh_spec_integer(spec, "step", 1);
	if (generator->key_step <= 0)
		wh_spec_error(spec, "option \"step\" must be positive");
	column->fill = fill_sequence;
	column->is_drawn = false;
}

/* Numbers -------------------------------------------------------------------- */

static int64
draw_number(const NumberState *state, WhRandom *random)
{
	for (int try = 0;; try++)
	{
		double		x;

		switch (state->distribution)
		{
			case UNIFORM:
				return state->min + (int64) wh_random_below(random, (uint64) (state->max - state->min) + 1);
			case ZIPF:
				return state->min + wh_random_zipf(&state->zipf, random) - 1;
			case NORMAL:
				x = state->mean + state->deviation * wh_random_normal(random);
				break;
			default:
				x = state->mean * wh_random_exp(state->deviation * wh_random_normal(random));
				break;
		}
		/* The distribution is cut at both ends, not piled up there. */
		if (x >= (double) state->min - 0.5 && x < (double) state->max + 0.5)
		{
			int64		value = (int64) (x + (x < 0 ? -0.5 : 0.5));

			return Max(state->min, Min(state->max, value));
		}
		if (try >= 1000)
			return state->min + (int64) wh_random_below(random, (uint64) (state->max - state->min) + 1);
	}
}

static void
fill_number(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	NumberState *state = column->state;
	int64		value = draw_number(state, random);

	if (state->nendings)
	{
		int64		whole = value - value % state->unit;

		value = whole + state->endings[wh_random_below(random, state->nendings)];
		if (value > state->max)
			value -= state->unit;
		if (value < state->min)
			value += state->unit;
	}
	wh_value_scaled(generator, column, value, state->scale);
}

/* Prepare kinds integer, number and money. */
void
wh_generator_prepare_number(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"min", "max", "distribution", "mean", "deviation", "median", "sigma",
	"exponent", "scale", "endings", NULL};
	char	   *kind = wh_spec_text(spec, "kind", NULL);
	char	   *distribution = wh_spec_text(spec, "distribution", "uniform");
	bool		is_money = strcmp(kind, "money") == 0;
	NumberState *state = palloc0(sizeof(NumberState));
	double		unit = 1;
	double		min;
	double		max;
	double	   *endings;

	wh_spec_check_options(spec, kind, options);
	state->scale = (int) wh_spec_integer(spec, "scale", strcmp(kind, "integer") == 0 ? 0 : 2);
	if (state->scale < 0 || state->scale > 9)
		wh_spec_error(spec, "option \"scale\" must be between 0 and 9");
	for (int i = 0; i < state->scale; i++)
		unit *= 10;
	state->unit = (int64) unit;
	min = wh_spec_number(spec, "min", is_money ? 1 : 0);
	max = wh_spec_number(spec, "max", is_money ? 1000 : 100);
	if (!(min <= max) || min * unit < -9e15 || max * unit > 9e15)
		wh_spec_error(spec, "options \"min\" and \"max\" must be in order and below 9e15 units of the last digit");
	state->min = (int64) (min * unit + (min < 0 ? -0.5 : 0.5));
	state->max = (int64) (max * unit + (max < 0 ? -0.5 : 0.5));
	if (strcmp(distribution, "uniform") == 0)
		state->distribution = UNIFORM;
	else if (strcmp(distribution, "normal") == 0)
	{
		state->distribution = NORMAL;
		state->mean = wh_spec_number(spec, "mean", (min + max) / 2) * unit;
		state->deviation = wh_spec_number(spec, "deviation", (max - min) / 6) * unit;
	}
	else if (strcmp(distribution, "lognormal") == 0)
	{
		state->distribution = LOGNORMAL;
		if (min <= 0)
			wh_spec_error(spec, "a lognormal distribution needs \"min\" above 0");
		state->mean = wh_spec_number(spec, "median", min * 3 < max ? min * 3 : (min + max) / 2) * unit;
		state->deviation = wh_spec_number(spec, "sigma", 0.8);
	}
	else if (strcmp(distribution, "zipf") == 0)
	{
		double		exponent = wh_spec_number(spec, "exponent", 1);

		state->distribution = ZIPF;
		if (!(exponent > 0 && exponent <= 10))
			wh_spec_error(spec, "option \"exponent\" must be above 0 and at most 10");
		wh_random_zipf_init(&state->zipf, state->max - state->min + 1, exponent);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("generator of column \"%s\": distribution \"%s\" does not exist", column->name, distribution),
				 errhint("The distributions are: uniform, normal, lognormal, zipf.")));
	if (state->deviation < 0)
		wh_spec_error(spec, "options \"deviation\" and \"sigma\" must not be negative");
	endings = wh_spec_numbers(spec, "endings", &state->nendings);
	if (state->nendings && (min < 0 || state->max - state->min < state->unit))
		wh_spec_error(spec, "option \"endings\" needs a range of at least 1 above 0");
	state->endings = palloc(sizeof(int64) * (state->nendings + 1));
	for (int i = 0; i < state->nendings; i++)
	{
		state->endings[i] = (int64) (endings[i] * unit + 0.5);
		if (state->endings[i] >= state->unit)
			wh_spec_error(spec, "option \"endings\" must be fractions below 1, such as 0.99");
	}
	column->state = state;
	column->fill = fill_number;
}

/* Truth values and choices ----------------------------------------------------- */

static void
fill_boolean(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	wh_value_boolean(generator, column, (wh_random_next(random) >> 1) < *(uint64 *) column->state);
}

/* Prepare kind boolean: true for a share of rows. */
void
wh_generator_prepare_boolean(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"share", NULL};
	uint64	   *state = palloc(sizeof(uint64));

	wh_spec_check_options(spec, "boolean", options);
	*state = wh_random_share(wh_spec_has(spec, "share") ? wh_spec_share(spec, "share") : 0.5);
	column->state = state;
	column->fill = fill_boolean;
}

static void
fill_choice(WhGenerator *generator, WhColumn *column, WhRandom *random)
{
	ChoiceState *state = column->state;
	int			i = wh_random_alias(&state->alias, random);

	generator->values[column->index] = state->values[i];
	generator->isnull[column->index] = state->isnull[i];
}

/* Prepare kind choice: one of "values", by "weights". */
void
wh_generator_prepare_choice(WhGenerator *generator, WhColumn *column, const WhSpec *spec)
{
	static const char *const options[] = {"values", "weights", NULL};
	ChoiceState *state = palloc0(sizeof(ChoiceState));
	int			count;
	int			nweights;
	double	   *weights;

	wh_spec_check_options(spec, "choice", options);
	column->words = wh_spec_values(spec, "values", &count);
	if (count == 0)
		wh_spec_error(spec, "kind \"choice\" needs option \"values\", an array that is not empty");
	column->nwords = count;
	weights = wh_spec_numbers(spec, "weights", &nweights);
	if (weights == NULL)
	{
		weights = palloc(sizeof(double) * count);
		for (int i = 0; i < count; i++)
			weights[i] = 1;
	}
	else if (nweights != count)
		wh_spec_error(spec, "options \"values\" and \"weights\" must have the same length");
	wh_random_alias_init(&state->alias, count, weights);
	state->values = palloc0(sizeof(Datum) * count);
	state->isnull = palloc0(sizeof(bool) * count);
	for (int i = 0; i < count; i++)
	{
		state->isnull[i] = column->words[i] == NULL;
		if (column->words[i])
			state->values[i] = InputFunctionCall(&column->input, column->words[i], column->typioparam,
												 column->typmod);
	}
	column->state = state;
	column->fill = fill_choice;
}
