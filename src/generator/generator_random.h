/*
 * generator_random.h
 *	  Random numbers of the data generator, equal on every machine.
 *
 * A number depends only on what it is for (seed, table, column, row), never on
 * what was drawn before, so rows can be made in any order by any process.
 * Only integer arithmetic and the basic operations of IEEE 754 are used; the
 * C library's log, exp and pow differ in the last bit from one to another.
 */
#ifndef WH_GENERATOR_RANDOM_H
#define WH_GENERATOR_RANDOM_H

#include "postgres.h"

/* Ask the processor for memory that is needed soon. */
#ifdef __GNUC__
#define wh_prefetch(address) __builtin_prefetch(address)
#else
#define wh_prefetch(address) ((void) (address))
#endif

/* Most ranks that are drawn together. */
#define WH_ZIPF_ROWS 32

#define WH_RANDOM_GOLDEN UINT64CONST(0x9E3779B97F4A7C15)

/* A sequence of draws: SplitMix64 (Steele, Lea and Flood, 2014). */
typedef struct WhRandom
{
	uint64		state;
} WhRandom;

/* A choice among count outcomes by weight, by alias tables. */
typedef struct WhAlias
{
	int			count;
	uint64	   *threshold;
	int		   *alias;
} WhAlias;

/*
 * Zipf's law over ranks 1 to n: few by alias tables, more by inversion with a
 * guide table, many by rejection-inversion.
 */
typedef struct WhZipf
{
	WhAlias		few;			/* count 0: more */
	double	   *cumulative;		/* share of the ranks up to this one; NULL: many */
	uint16	   *guide;
	double		n;
	double		exponent;
	double		h_first;
	double		h_last;
	double		shortcut;
} WhZipf;

/* Scramble 64 bits (Stafford's variant 13 of the MurmurHash3 finalizer). */
static inline uint64
wh_random_mix(uint64 x)
{
	x ^= x >> 30;
	x *= UINT64CONST(0xBF58476D1CE4E5B9);
	x ^= x >> 27;
	x *= UINT64CONST(0x94D049BB133111EB);
	x ^= x >> 31;
	return x;
}

/* Start the draws of one row of one stream. */
static inline WhRandom
wh_random_start(uint64 stream, int64 row)
{
	WhRandom	random;

	random.state = wh_random_mix(stream + (uint64) row * WH_RANDOM_GOLDEN);
	return random;
}

static inline uint64
wh_random_next(WhRandom *random)
{
	random->state += WH_RANDOM_GOLDEN;
	return wh_random_mix(random->state);
}

/* Return a uniform number of [0, 1) with 53 random bits. */
static inline double
wh_random_double(WhRandom *random)
{
	return (double) (wh_random_next(random) >> 11) * (1.0 / 9007199254740992.0);
}

/* Return a uniform integer of [0, n); n > 0.  The bias is below n / 2^64. */
static inline uint64
wh_random_below(WhRandom *random, uint64 n)
{
	uint64		x = wh_random_next(random);
	uint64		lo = (x & 0xFFFFFFFF) * (n & 0xFFFFFFFF);
	uint64		mid1 = (x >> 32) * (n & 0xFFFFFFFF) + (lo >> 32);
	uint64		mid2 = (x & 0xFFFFFFFF) * (n >> 32) + (mid1 & 0xFFFFFFFF);

	return (x >> 32) * (n >> 32) + (mid1 >> 32) + (mid2 >> 32);
}

/* Return a share of [0, 1] as a threshold for 63 random bits. */
static inline uint64
wh_random_share(double share)
{
	return (uint64) (share * 9223372036854775808.0);
}

extern double wh_random_log(double x);
extern double wh_random_exp(double x);
extern double wh_random_normal(WhRandom *random);
extern void wh_random_zipf_init(WhZipf *zipf, int64 n, double exponent);
extern void wh_random_zipf_rows(const WhZipf *zipf, uint64 stream, int64 row, int count, int64 *ranks);
extern int64 wh_random_zipf(const WhZipf *zipf, WhRandom *random);
extern void wh_random_alias_init(WhAlias *alias, int count, const double *weights);
extern int	wh_random_alias(const WhAlias *alias, WhRandom *random);
extern uint64 wh_random_hash(const char *bytes, Size len);

#endif							/* WH_GENERATOR_RANDOM_H */
