/*
 * generator_arithmetic.c
 *	  Sums, products and roundings of whole numbers, numeric and times, without
 *	  the executor.
 *
 * The common expressions of a generator are like quantity * unit_price and
 * ordered_at + delay * interval '1 second'.  These are compiled to steps over
 * 64-bit integers: a numeric is units of its last digit, an interval is
 * microseconds.  The result is exactly PostgreSQL's; whatever these steps
 * cannot do, errors included, is left to the executor, row by row.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

#include "generator/generator.h"
#include "value/numeric_units.h"

#define MAX_STEPS 24
#define MAX_DEPTH 8

/* Up to here, the double precision arithmetic of intervals is exact. */
#define EXACT_DOUBLE (INT64CONST(1) << 53)

typedef enum StepKind
{
	/* Push a value. */
	STEP_CONSTANT,
	STEP_INT2,
	STEP_INT4,
	STEP_INT8,
	STEP_NUMERIC,
	STEP_TIME,
	/* Replace the topmost value. */
	STEP_NEGATE,
	STEP_ROUND,					/* to the step's scale; below its units, if these are not 0 */
	/* Replace the two topmost values. */
	STEP_INT4_ADD,
	STEP_INT4_SUBTRACT,
	STEP_INT4_MULTIPLY,
	STEP_INT8_ADD,
	STEP_INT8_SUBTRACT,
	STEP_INT8_MULTIPLY,
	STEP_NUMERIC_ADD,
	STEP_NUMERIC_SUBTRACT,
	STEP_NUMERIC_MULTIPLY,
	STEP_INTERVAL_MULTIPLY,
	STEP_TIME_ADD,
	STEP_TIME_SUBTRACT,
	/* Leave the value alone: whole numbers are numerics of scale 0. */
	STEP_NOTHING
} StepKind;

typedef struct Number
{
	int64		units;
	int			scale;
} Number;

typedef struct Step
{
	StepKind	kind;
	int			column;			/* of the generator's row */
	Number		number;
} Step;

struct WhArithmetic
{
	Oid			type;			/* of the result */
	int			nsteps;
	Step		steps[MAX_STEPS];
};

/* Functions that are one step, after those of their arguments. */
static const struct
{
	Oid			function;
	StepKind	kind;
}			functions[] =
{
	{F_INT4_INT2, STEP_NOTHING},
	{F_INT8_INT2, STEP_NOTHING},
	{F_INT8_INT4, STEP_NOTHING},
	{F_FLOAT8_INT2, STEP_NOTHING},
	{F_FLOAT8_INT4, STEP_NOTHING},
	{F_NUMERIC_INT2, STEP_NOTHING},
	{F_NUMERIC_INT4, STEP_NOTHING},
	{F_NUMERIC_INT8, STEP_NOTHING},
	{F_NUMERIC_UMINUS, STEP_NEGATE},
	{F_INT4PL, STEP_INT4_ADD},
	{F_INT4MI, STEP_INT4_SUBTRACT},
	{F_INT4MUL, STEP_INT4_MULTIPLY},
	{F_INT8PL, STEP_INT8_ADD},
	{F_INT84PL, STEP_INT8_ADD},
	{F_INT48PL, STEP_INT8_ADD},
	{F_INT8MI, STEP_INT8_SUBTRACT},
	{F_INT84MI, STEP_INT8_SUBTRACT},
	{F_INT48MI, STEP_INT8_SUBTRACT},
	{F_INT8MUL, STEP_INT8_MULTIPLY},
	{F_INT84MUL, STEP_INT8_MULTIPLY},
	{F_INT48MUL, STEP_INT8_MULTIPLY},
	{F_NUMERIC_ADD, STEP_NUMERIC_ADD},
	{F_NUMERIC_SUB, STEP_NUMERIC_SUBTRACT},
	{F_NUMERIC_MUL, STEP_NUMERIC_MULTIPLY},
	{F_INTERVAL_MUL, STEP_INTERVAL_MULTIPLY},
	{F_MUL_D_INTERVAL, STEP_INTERVAL_MULTIPLY},
	{F_TIMESTAMP_PL_INTERVAL, STEP_TIME_ADD},
	{F_TIMESTAMPTZ_PL_INTERVAL, STEP_TIME_ADD},
	{F_TIMESTAMP_MI_INTERVAL, STEP_TIME_SUBTRACT},
	{F_TIMESTAMPTZ_MI_INTERVAL, STEP_TIME_SUBTRACT}
};

/* Compiling ------------------------------------------------------------------ */

static bool
add_step(WhArithmetic *arithmetic, StepKind kind, int column, int64 units, int scale)
{
	Step	   *step;

	if (arithmetic->nsteps == MAX_STEPS)
		return false;
	step = &arithmetic->steps[arithmetic->nsteps++];
	step->kind = kind;
	step->column = column;
	step->number.units = units;
	step->number.scale = scale;
	return true;
}

static bool
compile_column(WhArithmetic *arithmetic, const Var *var)
{
	StepKind	kind;

	switch (var->vartype)
	{
		case INT2OID:
			kind = STEP_INT2;
			break;
		case INT4OID:
			kind = STEP_INT4;
			break;
		case INT8OID:
			kind = STEP_INT8;
			break;
		case NUMERICOID:
			kind = STEP_NUMERIC;
			break;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			kind = STEP_TIME;
			break;
		default:
			return false;
	}
	return add_step(arithmetic, kind, var->varattno - 1, 0, 0);
}

static bool
compile_constant(WhArithmetic *arithmetic, const Const *constant)
{
	int64		units;
	int			scale = 0;
	double		real;
	Interval   *interval;

	if (constant->constisnull)
		return false;
	switch (constant->consttype)
	{
		case INT2OID:
			units = DatumGetInt16(constant->constvalue);
			break;
		case INT4OID:
			units = DatumGetInt32(constant->constvalue);
			break;
		case INT8OID:
			units = DatumGetInt64(constant->constvalue);
			break;
		case NUMERICOID:
			if (!wh_numeric_get_units(constant->constvalue, &units, &scale))
				return false;
			break;
		case FLOAT8OID:
			real = DatumGetFloat8(constant->constvalue);
			if (isnan(real) || fabs(real) >= (double) EXACT_DOUBLE || real != rint(real))
				return false;
			units = (int64) real;
			break;
		case INTERVALOID:
			interval = DatumGetIntervalP(constant->constvalue);
			if (interval->month != 0 || interval->day != 0)
				return false;
			units = interval->time;
			break;
		default:
			return false;
	}
	return add_step(arithmetic, STEP_CONSTANT, 0, units, scale);
}

/* Compile a rounding: round(x, n), or making x a numeric(p, s). */
static bool
compile_rounding(WhArithmetic *arithmetic, Oid function, List *args)
{
	Const	   *second = lsecond(args);
	int			value;
	int			precision;
	int			scale;

	if (!IsA(second, Const) || second->constisnull)
		return false;
	value = DatumGetInt32(second->constvalue);
	if (function == F_ROUND_NUMERIC_INT4)
		return value >= 0 && value <= WH_UNITS_MAX_SCALE &&
			add_step(arithmetic, STEP_ROUND, 0, 0, value);
	if (value < (int) VARHDRSZ)
		return true;
	precision = ((value - VARHDRSZ) >> 16) & 0xffff;
	scale = (value - VARHDRSZ) & 0x7ff;
	return scale <= WH_UNITS_MAX_SCALE &&
		add_step(arithmetic, STEP_ROUND, 0, wh_power_of_ten(Min(precision, 18)), scale);
}

static bool
compile(WhArithmetic *arithmetic, Node *node, int depth)
{
	Oid			function;
	List	   *args;

	if (depth > MAX_DEPTH)
		return false;
	if (IsA(node, Var))
		return compile_column(arithmetic, (Var *) node);
	if (IsA(node, Const))
		return compile_constant(arithmetic, (Const *) node);
	if (IsA(node, OpExpr))
	{
		function = ((OpExpr *) node)->opfuncid;
		args = ((OpExpr *) node)->args;
	}
	else if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else
		return false;
	if (function == F_ROUND_NUMERIC_INT4 || function == F_NUMERIC_NUMERIC_INT4)
		return compile(arithmetic, linitial(args), depth) && compile_rounding(arithmetic, function, args);
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (functions[i].function != function)
			continue;
		/* A value of the left side waits for the right one. */
		for (int arg = 0; arg < list_length(args); arg++)
			if (!compile(arithmetic, list_nth(args, arg), depth + arg))
				return false;
		return functions[i].kind == STEP_NOTHING || add_step(arithmetic, functions[i].kind, 0, 0, 0);
	}
	return false;
}

/*
 * Compile a planned expression over the generator's row to steps, in the
 * current memory context.  Returns NULL when it is not arithmetic.
 */
WhArithmetic *
wh_arithmetic_compile(Node *expression)
{
	WhArithmetic *arithmetic = palloc0(sizeof(WhArithmetic));

	arithmetic->type = exprType(expression);
	switch (arithmetic->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			if (compile(arithmetic, expression, 1))
				return arithmetic;
			break;
		default:
			break;
	}
	pfree(arithmetic);
	return NULL;
}

/* Running -------------------------------------------------------------------- */

/* Bring a number to a scale: away from zero when digits are lost and in the middle. */
static inline bool
rescale(Number *number, int scale)
{
	if (scale > number->scale)
	{
		if (pg_mul_s64_overflow(number->units, wh_power_of_ten(scale - number->scale), &number->units))
			return false;
	}
	else if (scale < number->scale)
	{
		int64		divisor = wh_power_of_ten(number->scale - scale);
		int64		rest = number->units % divisor;

		number->units /= divisor;
		if (rest >= divisor / 2)
			number->units++;
		else if (rest <= -(divisor / 2))
			number->units--;
	}
	number->scale = scale;
	return true;
}

/* Bring two numbers to the greater of their scales. */
static inline bool
align(Number *a, Number *b)
{
	return rescale(a, Max(a->scale, b->scale)) && rescale(b, Max(a->scale, b->scale));
}

static inline bool
is_int4(int64 value)
{
	return value >= PG_INT32_MIN && value <= PG_INT32_MAX;
}

/* Do a step that takes one value, or two, of which a is to the left. */
static inline bool
calculate(const Step *step, Number *a, Number *b)
{
	switch (step->kind)
	{
		case STEP_NEGATE:
			a->units = -a->units;
			return true;
		case STEP_ROUND:
			return rescale(a, step->number.scale) &&
				(step->number.units == 0 || (a->units < step->number.units && a->units > -step->number.units));
		case STEP_INT4_ADD:
			a->units += b->units;
			return is_int4(a->units);
		case STEP_INT4_SUBTRACT:
			a->units -= b->units;
			return is_int4(a->units);
		case STEP_INT4_MULTIPLY:
			a->units *= b->units;
			return is_int4(a->units);
		case STEP_INT8_ADD:
			return !pg_add_s64_overflow(a->units, b->units, &a->units);
		case STEP_INT8_SUBTRACT:
			return !pg_sub_s64_overflow(a->units, b->units, &a->units);
		case STEP_INT8_MULTIPLY:
			return !pg_mul_s64_overflow(a->units, b->units, &a->units);
		case STEP_NUMERIC_ADD:
			return align(a, b) && !pg_add_s64_overflow(a->units, b->units, &a->units);
		case STEP_NUMERIC_SUBTRACT:
			return align(a, b) && !pg_sub_s64_overflow(a->units, b->units, &a->units);
		case STEP_NUMERIC_MULTIPLY:
			a->scale += b->scale;
			return a->scale <= 18 && !pg_mul_s64_overflow(a->units, b->units, &a->units);
		case STEP_INTERVAL_MULTIPLY:
			return a->units > -EXACT_DOUBLE && a->units < EXACT_DOUBLE &&
				b->units > -EXACT_DOUBLE && b->units < EXACT_DOUBLE &&
				!pg_mul_s64_overflow(a->units, b->units, &a->units) &&
				a->units > -EXACT_DOUBLE && a->units < EXACT_DOUBLE;
		case STEP_TIME_ADD:
			return !pg_add_s64_overflow(a->units, b->units, &a->units) && IS_VALID_TIMESTAMP(a->units);
		case STEP_TIME_SUBTRACT:
			return !pg_sub_s64_overflow(a->units, b->units, &a->units) && IS_VALID_TIMESTAMP(a->units);
		default:
			return false;
	}
}

/*
 * Compute the expression over a row.  A numeric result is in buffer, of
 * WH_NUMERIC_BUFFER bytes.  Returns false when the executor has to do it.
 */
bool
wh_arithmetic_run(const WhArithmetic *arithmetic, const Datum *values, const bool *isnull, char *buffer,
				  Datum *result, bool *result_isnull)
{
	Number		stack[MAX_DEPTH + 2];
	Number	   *top = stack - 1;

	for (int i = 0; i < arithmetic->nsteps; i++)
	{
		const Step *step = &arithmetic->steps[i];

		if (step->kind > STEP_TIME)
		{
			if (step->kind >= STEP_INT4_ADD)
				top--;
			if (!calculate(step, top, top + 1))
				return false;
			continue;
		}
		top++;
		if (step->kind == STEP_CONSTANT)
		{
			*top = step->number;
			continue;
		}
		/* All functions are strict, but an error comes before a NULL to its right. */
		if (isnull[step->column])
			return false;
		top->scale = 0;
		switch (step->kind)
		{
			case STEP_INT2:
				top->units = DatumGetInt16(values[step->column]);
				break;
			case STEP_INT4:
				top->units = DatumGetInt32(values[step->column]);
				break;
			case STEP_INT8:
				top->units = DatumGetInt64(values[step->column]);
				break;
			case STEP_TIME:
				top->units = DatumGetTimestamp(values[step->column]);
				if (TIMESTAMP_NOT_FINITE(top->units))
					return false;
				break;
			default:
				if (!wh_numeric_get_units(values[step->column], &top->units, &top->scale))
					return false;
				break;
		}
	}
	*result_isnull = false;
	switch (arithmetic->type)
	{
		case INT2OID:
			*result = Int16GetDatum((int16) top->units);
			return true;
		case INT4OID:
			*result = Int32GetDatum((int32) top->units);
			return true;
		case NUMERICOID:
			*result = PointerGetDatum(buffer);
			return wh_numeric_put_units(buffer, top->units, top->scale);
		case INT8OID:
			*result = Int64GetDatum(top->units);
			return true;
		default:
			*result = TimestampGetDatum(top->units);
			return true;
	}
}
