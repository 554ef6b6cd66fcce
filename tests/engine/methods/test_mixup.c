/* methods/mixup: what the mixed images are sums of, and how often and how much is mixed. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "support/formula.h"
#include "support/methods.h"
#include "support/mix_batch.h"

static struct adl_method_batch mix(double probability, double alpha, uint64_t key)
{
    formula_param("images", 0, 2, MIX_COUNT * MIX_IMAGE, mix_images);
    return mix_batch(&adl_method_mixup,
                     test_method_values("mixup-prob", probability, "mixup-alpha", alpha, NULL),
                     key);
}

/* Each image is the sum of itself and its partner, weighted as the loss is; the partners are a
 * permutation. */
static void sums_images_as_labels(void)
{
    size_t others = 0;
    for (uint64_t key = 0; key < 100; key++) {
        struct adl_method_batch batch = mix(1, 1, key);
        bool used[MIX_COUNT] = {false};
        CU_ASSERT(batch.share > 0 && batch.share < 1);
        for (size_t i = 0; i < MIX_COUNT; i++) {
            CU_ASSERT_FATAL(mix_partners[i] < MIX_COUNT && !used[mix_partners[i]]);
            used[mix_partners[i]] = true;
            others += mix_partners[i] != i;
            for (size_t k = 0; k < MIX_IMAGE; k++)
                CU_ASSERT_DOUBLE_EQUAL((double)mix_mixed[i * MIX_IMAGE + k],
                                       (1 - batch.share) * (double)mix_images[i * MIX_IMAGE + k] +
                                           batch.share *
                                               (double)mix_images[mix_partners[i] * MIX_IMAGE + k],
                                       1e-6);
        }
    }
    /* Four of five images of a random order have another place. */
    CU_ASSERT(others > 350 && others < 450);
}

/* Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)). */
static void draws_the_weights_of_the_definition(void)
{
    enum { DRAWS = 4000 };
    static const double alphas[] = {0.1, 0.2, 1, 4};
    for (size_t i = 0; i < ADL_COUNT(alphas); i++) {
        double sum = 0, squares = 0, variance = 1 / (4 * (2 * alphas[i] + 1));
        for (uint64_t key = 0; key < DRAWS; key++) {
            double share = mix(1, alphas[i], key * 977).share;
            sum += share;
            squares += share * share;
        }
        double mean = sum / DRAWS;
        CU_ASSERT_DOUBLE_EQUAL(mean, 0.5, 5 * sqrt(variance / DRAWS));
        CU_ASSERT_DOUBLE_EQUAL(squares / DRAWS - mean * mean, variance, 0.02);
    }
}

/* An unchanged batch has no share; the key alone decides. */
static void changes_as_many_batches_as_asked(void)
{
    size_t changed = 0;
    for (uint64_t key = 0; key < 1000; key++) {
        double share = mix(0.3, 1, key).share;
        changed += share > 0;
        CU_ASSERT(share > 0 || memcmp(mix_mixed, mix_images, sizeof mix_images) == 0);
        CU_ASSERT_EQUAL(mix(0.3, 1, key).share, share);
    }
    CU_ASSERT(changed > 230 && changed < 370);
}

static void what_combines_is_taken(void)
{
    static const char *const taken[] = {"adl,mixup", "has,mixup", "mixup,cutout,dropblock"},
                             *const refused[] = {"cutmix,mixup", "mixup,bas", "mixup,acol",
                                                 "mixup,ae"};
    struct adl_method_set set;
    for (size_t i = 0; i < ADL_COUNT(taken); i++) {
        struct adl_error err = {0};
        TEST_OK(adl_method_set_parse(taken[i], &set, &err), &err);
    }
    for (size_t i = 0; i < ADL_COUNT(refused); i++) {
        struct adl_error err = {0};
        CU_ASSERT(adl_method_set_parse(refused[i], &set, &err) < 0);
        CU_ASSERT(strstr(err.message, "mixup") && strstr(err.message, "cannot be combined: "));
    }
}

TEST_SUITE(mixup, {"sums images as labels", sums_images_as_labels},
           {"draws the weights of the definition", draws_the_weights_of_the_definition},
           {"changes as many batches as asked", changes_as_many_batches_as_asked},
           {"what combines is taken", what_combines_is_taken});
