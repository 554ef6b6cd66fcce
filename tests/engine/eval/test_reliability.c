/* eval/reliability: errors that can be computed by hand, and what chance alone gives, compared with
 * the exact distribution. */

#include "support/test.h"

#include "eval/reliability.h"

static void errors_are_those_of_the_definition(void)
{
    struct adl_reliability r = {0};
    CU_ASSERT_EQUAL(adl_reliability_error(&r), 0);
    CU_ASSERT_EQUAL(adl_reliability_chance(&r), 0);
    /* Two answers at 0.85 and 0.89, one of them right: |1.74 - 1|. One at 1, right: 0. One at 0.1,
     * on the lower edge of its bin, wrong: 0.1. Out of range counts as the nearest confidence. */
    adl_reliability_add(&r, 0.85, true);
    adl_reliability_add(&r, 0.89, false);
    adl_reliability_add(&r, 1.5, true);
    adl_reliability_add(&r, 0.1, false);
    CU_ASSERT_DOUBLE_EQUAL(adl_reliability_error(&r), (0.74 + 0.1) / 4, 1e-12);
    CU_ASSERT(r.bins[8].count == 2 && r.bins[9].count == 1 && r.bins[1].count == 1);
}

/* Exact values: the mean of |r - sum of p| over the Poisson binomial distribution of each bin, by
 * convolution in numpy. */
static void chance_is_near_the_exact_one(void)
{
    struct adl_reliability even = {0}, sure = {0};
    for (int i = 0; i < 200; i++)
        adl_reliability_add(&even, (i + 0.5) / 200, false);
    CU_ASSERT_DOUBLE_EQUAL(adl_reliability_chance(&even), 0.0688307, 0.002);
    for (int i = 0; i < 30; i++)
        adl_reliability_add(&sure, 0.97, true);
    adl_reliability_add(&sure, 0.5, true);
    CU_ASSERT_DOUBLE_EQUAL(adl_reliability_chance(&sure), 0.0394133, 0.004);
}

TEST_SUITE(reliability, {"errors are those of the definition", errors_are_those_of_the_definition},
           {"chance is near the exact one", chance_is_near_the_exact_one});
