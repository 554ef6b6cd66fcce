/* xoshiro256** and the distributions drawn with it.
 *
 * xoshiro256** has a state of four 64-bit words and a period of 2^256 - 1. A step shifts,
 * rotates and XORs the words (a linear map over bits); the output scrambles one word by
 * multiplications and a rotation, since the words themselves would fail tests for linear
 * dependence. It was chosen for its small state, which fits into a checkpoint, and because
 * the same few lines give the same numbers on every machine; rand() does not. */

#include "base/rng.h"

#include <math.h>
#include <string.h>

/* The state is four outputs of SplitMix64, started from `seed`, `round` and `item`. Each of
 * these is mixed before the next is XORed in, so that inputs that differ by one in any of the
 * three give unrelated states. */
void adl_rng_seed(struct adl_rng *rng, uint64_t seed, uint64_t round, uint64_t item)
{
    uint64_t mixed = seed;
    mixed = adl_rng_splitmix(&mixed) ^ round;
    mixed = adl_rng_splitmix(&mixed) ^ item;
    for (size_t i = 0; i < 4; i++)
        rng->state[i] = adl_rng_splitmix(&mixed);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t adl_rng_next(struct adl_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

double adl_rng_uniform(struct adl_rng *rng)
{
    return (double)(adl_rng_next(rng) >> 11) * 0x1p-53;
}

double adl_rng_between(struct adl_rng *rng, double from, double to)
{
    return from + (to - from) * adl_rng_uniform(rng);
}

/* x % bound alone would favour small values, since 2^64 is in general not a multiple of
 * `bound`. The lowest 2^64 mod `bound` values of x are rejected, so that the number of the
 * others is a multiple of `bound`; in unsigned arithmetic, 2^64 mod `bound` is -bound %
 * bound. */
uint64_t adl_rng_below(struct adl_rng *rng, uint64_t bound)
{
    uint64_t remainder = -bound % bound, x;
    do
        x = adl_rng_next(rng);
    while (x < remainder);
    return x % bound;
}

/* The Box-Muller transform: for independent uniform u and v, sqrt(-2 ln(1 - u)) cos(2 pi v)
 * is normal. The sine in place of the cosine gives a second normal number, which is not kept,
 * so that the four words remain the whole state. */
double adl_rng_normal(struct adl_rng *rng)
{
    double radius = sqrt(-2 * log(1 - adl_rng_uniform(rng)));
    return radius * cos(2 * M_PI * adl_rng_uniform(rng));
}

void adl_rng_shuffle(struct adl_rng *rng, size_t *items, size_t count)
{
    for (size_t left = count; left > 1; left--) {
        size_t chosen = (size_t)adl_rng_below(rng, left), last = items[left - 1];
        items[left - 1] = items[chosen];
        items[chosen] = last;
    }
}

void adl_rng_save(const struct adl_rng *rng, unsigned char bytes[ADL_RNG_BYTES])
{
    for (size_t i = 0; i < ADL_RNG_BYTES; i++)
        bytes[i] = (unsigned char)(rng->state[i / 8] >> (i % 8 * 8));
}

int adl_rng_restore(struct adl_rng *rng, const unsigned char bytes[ADL_RNG_BYTES],
                    struct adl_error *err)
{
    struct adl_rng read = {{0}};

    for (size_t i = 0; i < ADL_RNG_BYTES; i++)
        read.state[i / 8] |= (uint64_t)bytes[i] << (i % 8 * 8);
    if (!(read.state[0] | read.state[1] | read.state[2] | read.state[3]))
        return adl_fail(err, ADL_ERR_FORMAT,
                        "the state of the random number generator is all zeros");
    *rng = read;
    return 0;
}
