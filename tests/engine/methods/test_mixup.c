/* methods/mixup: what the mixed images are sums of, and how often and how much is mixed. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "support/formula.h"
#include "support/methods.h"

enum { COUNT = 5, HEIGHT = 7, WIDTH = 9, IMAGE = HEIGHT * WIDTH * 3 };

static float images[COUNT * IMAGE], mixed[COUNT * IMAGE];
static size_t partners[COUNT];

static struct adl_method_batch mix(double probability, double alpha, uint64_t key)
{
    struct adl_method_batch batch = {
        .images = images,
        .input = mixed,
        .count = COUNT,
        .height = HEIGHT,
        .width = WIDTH,
        .values = test_method_values("mixup-prob", probability, "mixup-alpha", alpha, NULL),
        .key = key,
        .partners = partners};
    formula_param("images", 0, 2, COUNT * IMAGE, images);
    memset(mixed, 0, sizeof mixed);
    adl_method_input(adl_method_alone(&adl_method_mixup), &batch);
    return batch;
}

/* Each image is the sum of itself and its partner, weighted as the loss is; the partners are a
 * permutation. */
static void sums_images_as_labels(void)
{
    size_t others = 0;
    for (uint64_t key = 0; key < 100; key++) {
        struct adl_method_batch batch = mix(1, 1, key);
        bool used[COUNT] = {false};
        CU_ASSERT(batch.share > 0 && batch.share < 1);
        for (size_t i = 0; i < COUNT; i++) {
            CU_ASSERT_FATAL(partners[i] < COUNT && !used[partners[i]]);
            used[partners[i]] = true;
            others += partners[i] != i;
            for (size_t k = 0; k < IMAGE; k++)
                CU_ASSERT_DOUBLE_EQUAL((double)mixed[i * IMAGE + k],
                                       (1 - batch.share) * (double)images[i * IMAGE + k] +
                                           batch.share * (double)images[partners[i] * IMAGE + k],
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
        CU_ASSERT(share > 0 || memcmp(mixed, images, sizeof images) == 0);
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
