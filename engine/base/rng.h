#ifndef ADL_BASE_RNG_H
#define ADL_BASE_RNG_H

/* Random numbers that depend on a seed alone: xoshiro256** (Blackman and Vigna,
 * ACM TOMS 2021), seeded by SplitMix64 (Steele et al., OOPSLA 2014). The state
 * is explicit and 32 bytes, so that a run can be stopped and continued. One
 * thread at a time; not for secrets. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_rng {
    uint64_t state[4]; /* not all zero */
};

/* The generator of one thing in one round: the same three numbers give the same
 * draws, whichever thread asks and in whichever order. */
void adl_rng_seed(struct adl_rng *rng, uint64_t seed, uint64_t round, uint64_t thing);

uint64_t adl_rng_next(struct adl_rng *rng);

/* 0 <= x < 1, a multiple of 2^-53. */
double adl_rng_uniform(struct adl_rng *rng);
/* from <= x < to; rounding may give `to` itself. */
double adl_rng_between(struct adl_rng *rng, double from, double to);
/* 0 <= x < bound, each as likely as any other; bound at least 1. */
uint64_t adl_rng_below(struct adl_rng *rng, uint64_t bound);
/* Mean 0, variance 1. */
double adl_rng_normal(struct adl_rng *rng);

/* Every order is equally likely (Fisher and Yates). */
void adl_rng_shuffle(struct adl_rng *rng, size_t *items, size_t count);

/* The state as bytes, the same on every machine. Restoring fails with FORMAT on
 * 32 zeros, which is no state; then `rng` is untouched. */
#define ADL_RNG_BYTES 32
void adl_rng_save(const struct adl_rng *rng, unsigned char bytes[ADL_RNG_BYTES]);
int adl_rng_restore(struct adl_rng *rng, const unsigned char bytes[ADL_RNG_BYTES],
                    struct adl_error *err) ADL_MUST_CHECK;

/* SplitMix64's next number: what fills the state of the generator above. Here, for
 * dropout draws millions in a step. */
static inline uint64_t adl_rng_splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

#endif
