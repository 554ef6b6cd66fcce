/* base/rng: published vectors, and statistical properties of the draws. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"

/* From the authors' splitmix64.c with the seed 1234567. */
static void splitmix_equals_the_reference(void)
{
    static const uint64_t want[] = {6457827717110365317U, 3203168211198807973U,
                                    9817491932198370423U, 4593380528125082431U,
                                    16408922859458223821U};
    uint64_t state = 1234567;
    for (size_t i = 0; i < ADL_COUNT(want); i++)
        CU_ASSERT_EQUAL(adl_rng_splitmix(&state), want[i]);
}

/* From the authors' xoshiro256starstar.c with the state 1, 2, 3, 4. */
static void xoshiro_equals_the_reference(void)
{
    static const uint64_t want[] = {11520U,
                                    0U,
                                    1509978240U,
                                    1215971899390074240U,
                                    1216172134540287360U,
                                    607988272756665600U,
                                    16172922978634559625U,
                                    8476171486693032832U,
                                    10595114339597558777U,
                                    2904607092377533576U};
    struct adl_rng rng = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ADL_COUNT(want); i++)
        CU_ASSERT_EQUAL(adl_rng_next(&rng), want[i]);
}

static void each_number_of_the_seed_counts(void)
{
    struct adl_rng a, b;
    adl_rng_seed(&a, 1, 2, 3);
    adl_rng_seed(&b, 1, 2, 3);
    CU_ASSERT_EQUAL(adl_rng_next(&a), adl_rng_next(&b));
    static const uint64_t others[][3] = {{0, 2, 3}, {2, 1, 3}, {1, 3, 2}, {1, 2, 4}, {3, 2, 1}};
    for (size_t i = 0; i < ADL_COUNT(others); i++) {
        adl_rng_seed(&a, 1, 2, 3);
        adl_rng_seed(&b, others[i][0], others[i][1], others[i][2]);
        CU_ASSERT_NOT_EQUAL(adl_rng_next(&a), adl_rng_next(&b));
    }
}

/* Chi-squared with 9 degrees of freedom exceeds 33.7 once in ten thousand. */
static void small_bounds_are_even(void)
{
    enum { DRAWS = 100000, BOUND = 10 };
    unsigned counts[BOUND] = {0};
    double chi = 0;
    struct adl_rng rng;
    adl_rng_seed(&rng, 5, 0, 0);
    for (int i = 0; i < DRAWS; i++)
        counts[adl_rng_below(&rng, BOUND)]++;
    for (int i = 0; i < BOUND; i++)
        chi += pow(counts[i] - (double)DRAWS / BOUND, 2) / ((double)DRAWS / BOUND);
    CU_ASSERT(chi < 33.7);
    CU_ASSERT_EQUAL(adl_rng_below(&rng, 1), 0);
    /* A bound of two thirds of 2^64: without rejection the lower half would come
     * up twice as often. */
    uint64_t bound = UINT64_C(3) << 62, low = 0;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t x = adl_rng_below(&rng, bound);
        CU_ASSERT_FATAL(x < bound);
        low += x < bound / 2;
    }
    CU_ASSERT(fabs((double)low / DRAWS - 0.5) < 0.01);
}

static void moments_are_right(void)
{
    enum { DRAWS = 200000 };
    double sum = 0, squares = 0, fourth = 0, uniform = 0;
    struct adl_rng rng;
    adl_rng_seed(&rng, 6, 0, 0);
    for (int i = 0; i < DRAWS; i++) {
        double u = adl_rng_uniform(&rng), x = adl_rng_normal(&rng);
        CU_ASSERT_FATAL(u >= 0 && u < 1);
        uniform += u;
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
    }
    CU_ASSERT(fabs(uniform / DRAWS - 0.5) < 0.005);
    CU_ASSERT(fabs(sum / DRAWS) < 0.01);
    CU_ASSERT(fabs(squares / DRAWS - 1) < 0.02);
    CU_ASSERT(fabs(fourth / DRAWS - 3) < 0.2);
    struct adl_rng least = {{0, 0, 0, 1}}; /* its first draw is 0 */
    CU_ASSERT_EQUAL(adl_rng_normal(&least), 0);
}

/* The 24 orders of four items are equally likely: chi-squared with 23 degrees of freedom
 * exceeds 56.0 once in ten thousand. */
static void shuffles_are_even(void)
{
    enum { ROUNDS = 48000 };
    unsigned counts[256] = {0}, orders = 0;
    double chi = 0;
    struct adl_rng rng;
    adl_rng_seed(&rng, 7, 0, 0);
    for (int round = 0; round < ROUNDS; round++) {
        size_t items[4] = {0, 1, 2, 3};
        adl_rng_shuffle(&rng, items, 4);
        counts[items[0] | items[1] << 2 | items[2] << 4 | items[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        orders += counts[i] > 0;
        chi += counts[i] > 0 ? pow(counts[i] - ROUNDS / 24.0, 2) / (ROUNDS / 24.0) : 0;
    }
    CU_ASSERT_EQUAL(orders, 24);
    CU_ASSERT(chi < 56);
    adl_rng_shuffle(&rng, NULL, 0);
}

static void goes_on_where_it_was_saved(void)
{
    unsigned char bytes[ADL_RNG_BYTES], zeros[ADL_RNG_BYTES] = {0};
    struct adl_error err = {0};
    struct adl_rng a, b = {{9, 9, 9, 9}};
    adl_rng_seed(&a, 8, 0, 0);
    adl_rng_next(&a);
    adl_rng_save(&a, bytes);
    TEST_OK(adl_rng_restore(&b, bytes, &err), &err);
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(adl_rng_next(&a), adl_rng_next(&b));
    CU_ASSERT_EQUAL(adl_rng_restore(&b, zeros, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_EQUAL(adl_rng_next(&a), adl_rng_next(&b));
}

TEST_SUITE(rng, {"splitmix64 equals the reference", splitmix_equals_the_reference},
           {"xoshiro256** equals the reference", xoshiro_equals_the_reference},
           {"each number of the seed counts", each_number_of_the_seed_counts},
           {"bounded numbers are even", small_bounds_are_even},
           {"moments are right", moments_are_right}, {"shuffles are even", shuffles_are_even},
           {"goes on where it was saved", goes_on_where_it_was_saved});
