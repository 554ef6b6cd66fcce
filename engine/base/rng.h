#ifndef ADL_BASE_RNG_H
#define ADL_BASE_RNG_H

/* Random numbers that depend on a seed alone: xoshiro256** (Blackman and Vigna, "Scrambled
 * Linear Pseudorandom Number Generators", ACM TOMS 2021), seeded by SplitMix64 (Steele et
 * al., OOPSLA 2014). The state is explicit and 32 bytes long, so that a training run can
 * save and resume it. One thread at a time; not for secrets. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct adl_rng {
    uint64_t state[4]; /* not all zero */
};

/* Starts the generator for one purpose: `round` may be an epoch and `item` an image or a
 * layer. The same three numbers give the same draws, so threads need not draw in a fixed
 * order from a shared generator. */
void adl_rng_seed(struct adl_rng *rng, uint64_t seed, uint64_t round, uint64_t item);

/* Returns the next 64 random bits. */
uint64_t adl_rng_next(struct adl_rng *rng);

/* Returns a uniform x with 0 <= x < 1, a multiple of 2^-53. */
double adl_rng_uniform(struct adl_rng *rng);
/* Returns a uniform x with from <= x < to; rounding may give `to` itself. */
double adl_rng_between(struct adl_rng *rng, double from, double to);
/* Returns an integer x with 0 <= x < bound, each as likely as any other; bound >= 1. */
uint64_t adl_rng_below(struct adl_rng *rng, uint64_t bound);
/* Returns a number from the normal distribution of mean 0 and variance 1. */
double adl_rng_normal(struct adl_rng *rng);

/* Puts the items in a random order, each order as likely as any other (Fisher and Yates). */
void adl_rng_shuffle(struct adl_rng *rng, size_t *items, size_t count);

/* Save and restore the state as bytes, little-endian on every machine. adl_rng_restore fails
 * with ADL_ERR_FORMAT on 32 zeros, a state that xoshiro never leaves; `rng` is then
 * unchanged. */
#define ADL_RNG_BYTES 32
void adl_rng_save(const struct adl_rng *rng, unsigned char bytes[ADL_RNG_BYTES]);
int adl_rng_restore(struct adl_rng *rng, const unsigned char bytes[ADL_RNG_BYTES],
                    struct adl_error *err) ADL_MUST_CHECK;

/* Returns the next number of SplitMix64, whose state is a single word. SplitMix64 fills the
 * state of the generator above; dropout, which draws millions of numbers in a step, uses it
 * directly, which is why it is inline. */
static inline uint64_t adl_rng_splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

#endif
