/*
 * generator_random.c
 *	  Distributions of the data generator: normal, Zipf, weighted choice.
 *
 * Pure functions, for any process.  Must be compiled without contraction of
 * a * b + c into one operation, which rounds once instead of twice: the
 * Makefile says so.
 */
#include "postgres.h"

#include "generator/generator_random.h"

/* Up to so many ranks, tables stay in the processor's cache. */
#define ZIPF_FEW 1024

/*
 * Up to so many, the tables that inversion needs are made in a millisecond, and
 * it mostly looks at their first entries, those of the frequent ranks.
 */
#define ZIPF_MORE 65536
#define ZIPF_GUIDE_BITS 14

#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10

static uint64
double_bits(double x)
{
	uint64		bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static double
bits_double(uint64 bits)
{
	double		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* Return the natural logarithm of a positive, normal number. */
double
wh_random_log(double x)
{
	uint64		bits = double_bits(x);
	int			exponent = (int) (bits >> 52) - 1023;
	double		mantissa = bits_double((bits & UINT64CONST(0x000FFFFFFFFFFFFF)) |
									   UINT64CONST(0x3FF0000000000000));
	double		f;
	double		s;
	double		sum;

	if (mantissa > 1.4142135623730951)
	{
		mantissa *= 0.5;
		exponent++;
	}
	/* log(m) = 2 atanh((m - 1) / (m + 1)) */
	f = (mantissa - 1.0) / (mantissa + 1.0);
	s = f * f;
	sum = 1.0 / 19.0;
	sum = sum * s + 1.0 / 17.0;
	sum = sum * s + 1.0 / 15.0;
	sum = sum * s + 1.0 / 13.0;
	sum = sum * s + 1.0 / 11.0;
	sum = sum * s + 1.0 / 9.0;
	sum = sum * s + 1.0 / 7.0;
	sum = sum * s + 1.0 / 5.0;
	sum = sum * s + 1.0 / 3.0;
	sum = sum * s + 1.0;
	return exponent * LN2_HIGH + (2.0 * f * sum + exponent * LN2_LOW);
}

/* Return e to the x, for x of [-700, 700]; beyond, the value at the end. */
double
wh_random_exp(double x)
{
	int			k;
	double		r;
	double		sum;

	if (x > 700.0)
		x = 700.0;
	if (x < -700.0)
		x = -700.0;
	k = (int) (x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
	r = (x - k * LN2_HIGH) - k * LN2_LOW;
	sum = 1.0 / 6227020800.0;
	sum = sum * r + 1.0 / 479001600.0;
	sum = sum * r + 1.0 / 39916800.0;
	sum = sum * r + 1.0 / 3628800.0;
	sum = sum * r + 1.0 / 362880.0;
	sum = sum * r + 1.0 / 40320.0;
	sum = sum * r + 1.0 / 5040.0;
	sum = sum * r + 1.0 / 720.0;
	sum = sum * r + 1.0 / 120.0;
	sum = sum * r + 1.0 / 24.0;
	sum = sum * r + 1.0 / 6.0;
	sum = sum * r + 0.5;
	sum = sum * r + 1.0;
	sum = sum * r + 1.0;
	return sum * bits_double((uint64) (1023 + k) << 52);
}

static double
square_root(double x)
{
	double		y = wh_random_exp(0.5 * wh_random_log(x));

	return 0.5 * (y + x / y);
}

/*
 * Draw from the standard normal distribution, by the inverse of its
 * distribution function: Wichura, "Algorithm AS 241", PPND7 (seven digits).
 */
double
wh_random_normal(WhRandom *random)
{
	double		p = wh_random_double(random);
	double		q;
	double		r;
	double		x;

	if (p == 0.0)
		p = 0.5 / 9007199254740992.0;
	q = p - 0.5;
	if (q > -0.425 && q < 0.425)
	{
		r = 0.180625 - q * q;
		return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
			(((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
	}
	r = square_root(-wh_random_log(q < 0 ? p : 1.0 - p));
	if (r <= 5.0)
	{
		r -= 1.6;
		x = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
			((0.12021132975 * r + 0.73700164250) * r + 1.0);
	}
	else
	{
		r -= 5.0;
		x = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) /
			((0.012258202635 * r + 0.24197894225) * r + 1.0);
	}
	return q < 0 ? -x : x;
}

/*
 * Zipf by rejection-inversion: Hörmann and Derflinger, "Rejection-inversion to
 * generate variates from monotone discrete distributions", 1996.  The helpers
 * are log(1 + x) / x and (e^x - 1) / x, by series where x is small.
 */
static double
zipf_log1p_over(double x)
{
	if (x > -1e-4 && x < 1e-4)
		return 1.0 - x * (0.5 - x * (1.0 / 3.0 - 0.25 * x));
	return wh_random_log(1.0 + x) / x;
}

static double
zipf_expm1_over(double x)
{
	if (x > -1e-4 && x < 1e-4)
		return 1.0 + x * 0.5 * (1.0 + x * (1.0 / 3.0) * (1.0 + 0.25 * x));
	return (wh_random_exp(x) - 1.0) / x;
}

static double
zipf_h(const WhZipf *zipf, double x)
{
	return wh_random_exp(-zipf->exponent * wh_random_log(x));
}

static double
zipf_h_integral(const WhZipf *zipf, double x)
{
	double		log_x = wh_random_log(x);

	return zipf_expm1_over((1.0 - zipf->exponent) * log_x) * log_x;
}

static double
zipf_h_integral_inverse(const WhZipf *zipf, double x)
{
	double		t = x * (1.0 - zipf->exponent);

	if (t < -0.999999999999)
		t = -0.999999999999;
	return wh_random_exp(zipf_log1p_over(t) * x);
}

/*
 * Prepare inversion: the guide leads from the leading bits of a uniform number
 * to the first rank it can mean (Chen and Asau, 1974).
 */
static void
zipf_init_guide(WhZipf *zipf, int n, double exponent)
{
	double	   *cumulative = palloc(sizeof(double) * n);
	uint16	   *guide = palloc(sizeof(uint16) * (1 << ZIPF_GUIDE_BITS));
	double		sum = 0;
	int			k = 0;

	for (int i = 0; i < n; i++)
	{
		sum += exponent == 1.0 ? 1.0 / (i + 1) : wh_random_exp(-exponent * wh_random_log(i + 1));
		cumulative[i] = sum;
	}
	for (int i = 0; i < n; i++)
		cumulative[i] /= sum;
	/* Above any uniform number, whatever the rounding. */
	cumulative[n - 1] = 2.0;
	for (int g = 0; g < 1 << ZIPF_GUIDE_BITS; g++)
	{
		while (cumulative[k] <= (double) g / (1 << ZIPF_GUIDE_BITS))
			k++;
		guide[g] = (uint16) k;
	}
	zipf->cumulative = cumulative;
	zipf->guide = guide;
}

/*
 * Prepare draws of ranks 1 to n; n >= 1, exponent > 0.  Allocates in the
 * current memory context.
 */
void
wh_random_zipf_init(WhZipf *zipf, int64 n, double exponent)
{
	zipf->few.count = 0;
	zipf->cumulative = NULL;
	zipf->guide = NULL;
	if (n <= ZIPF_FEW)
	{
		double	   *weights = palloc(sizeof(double) * n);

		for (int k = 0; k < n; k++)
			weights[k] = wh_random_exp(-exponent * wh_random_log(k + 1));
		wh_random_alias_init(&zipf->few, (int) n, weights);
		pfree(weights);
		return;
	}
	if (n <= ZIPF_MORE)
	{
		zipf_init_guide(zipf, (int) n, exponent);
		return;
	}
	zipf->n = (double) n;
	zipf->exponent = exponent;
	zipf->h_first = zipf_h_integral(zipf, 1.5) - 1.0;
	zipf->h_last = zipf_h_integral(zipf, n + 0.5);
	zipf->shortcut = 2.0 - zipf_h_integral_inverse(zipf, zipf_h_integral(zipf, 2.5) - zipf_h(zipf, 2.0));
}

/* Return the rank of a uniform number, at or after index k. */
static inline int64
zipf_invert(const WhZipf *zipf, uint64 x, int k)
{
	double		share = (double) (x >> 11) * (1.0 / 9007199254740992.0);

	while (zipf->cumulative[k] <= share)
		k++;
	return k + 1;
}

/* Draw a rank, 1 the most frequent. */
int64
wh_random_zipf(const WhZipf *zipf, WhRandom *random)
{
	if (zipf->few.count > 0)
		return wh_random_alias(&zipf->few, random) + 1;
	if (zipf->cumulative)
	{
		uint64		x = wh_random_next(random);

		return zipf_invert(zipf, x, zipf->guide[x >> (64 - ZIPF_GUIDE_BITS)]);
	}
	for (;;)
	{
		double		u = zipf->h_last + wh_random_double(random) * (zipf->h_first - zipf->h_last);
		double		x = zipf_h_integral_inverse(zipf, u);
		double		k = (double) (int64) (x + 0.5);

		if (k < 1.0)
			k = 1.0;
		else if (k > zipf->n)
			k = zipf->n;
		if (k - x <= zipf->shortcut ||
			u >= zipf_h_integral(zipf, k + 0.5) - zipf_h(zipf, k))
			return (int64) k;
	}
}

/*
 * Draw the ranks of several rows of one stream, as wh_random_zipf does at their
 * start; what it looks up is fetched from memory for all at a time.
 */
void
wh_random_zipf_rows(const WhZipf *zipf, uint64 stream, int64 row, int count, int64 *ranks)
{
	uint64		x[WH_ZIPF_ROWS];
	int			start[WH_ZIPF_ROWS];

	Assert(count <= WH_ZIPF_ROWS);
	if (zipf->cumulative == NULL)
	{
		for (int i = 0; i < count; i++)
		{
			WhRandom	random = wh_random_start(stream, row + i);

			ranks[i] = wh_random_zipf(zipf, &random);
		}
		return;
	}
	for (int i = 0; i < count; i++)
	{
		WhRandom	random = wh_random_start(stream, row + i);

		x[i] = wh_random_next(&random);
		start[i] = zipf->guide[x[i] >> (64 - ZIPF_GUIDE_BITS)];
		wh_prefetch(&zipf->cumulative[start[i]]);
	}
	for (int i = 0; i < count; i++)
		ranks[i] = zipf_invert(zipf, x[i], start[i]);
}

/*
 * Prepare draws of 0 to count - 1 by weight: Vose, "A linear algorithm for
 * generating random numbers with a given distribution", 1991.  Weights must
 * not be negative, and their sum must be positive.  Allocates in the current
 * memory context.
 */
void
wh_random_alias_init(WhAlias *alias, int count, const double *weights)
{
	double	   *scaled = palloc(sizeof(double) * count);
	int		   *small = palloc(sizeof(int) * count);
	int		   *large = palloc(sizeof(int) * count);
	int			nsmall = 0;
	int			nlarge = 0;
	double		sum = 0;

	alias->count = count;
	alias->threshold = palloc(sizeof(uint64) * count);
	alias->alias = palloc(sizeof(int) * count);
	for (int i = 0; i < count; i++)
		sum += weights[i];
	for (int i = 0; i < count; i++)
	{
		scaled[i] = weights[i] * count / sum;
		if (scaled[i] < 1.0)
			small[nsmall++] = i;
		else
			large[nlarge++] = i;
	}
	while (nsmall > 0 && nlarge > 0)
	{
		int			s = small[--nsmall];
		int			l = large[nlarge - 1];

		alias->threshold[s] = wh_random_share(scaled[s]);
		alias->alias[s] = l;
		scaled[l] = (scaled[l] + scaled[s]) - 1.0;
		if (scaled[l] < 1.0)
		{
			nlarge--;
			small[nsmall++] = l;
		}
	}
	while (nlarge > 0)
	{
		int			l = large[--nlarge];

		alias->threshold[l] = PG_UINT64_MAX;
		alias->alias[l] = l;
	}
	/* Left over by rounding only; an outcome of weight 0 always has a partner. */
	while (nsmall > 0)
	{
		int			s = small[--nsmall];

		alias->threshold[s] = PG_UINT64_MAX;
		alias->alias[s] = s;
	}
	pfree(scaled);
	pfree(small);
	pfree(large);
}

/* Draw an outcome. */
int
wh_random_alias(const WhAlias *alias, WhRandom *random)
{
	int			i = (int) wh_random_below(random, alias->count);
	int			other = alias->alias[i];

	/* Both are at hand: which one it is cannot be foreseen. */
	return (wh_random_next(random) >> 1) < alias->threshold[i] ? i : other;
}

/* Hash bytes to 64 bits, equal on every machine (FNV-1a, scrambled). */
uint64
wh_random_hash(const char *bytes, Size len)
{
	uint64		hash = UINT64CONST(0xCBF29CE484222325);

	for (Size i = 0; i < len; i++)
	{
		hash ^= (unsigned char) bytes[i];
		hash *= UINT64CONST(0x100000001B3);
	}
	return wh_random_mix(hash);
}
