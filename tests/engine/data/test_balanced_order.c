/* data/balanced_order: how often classes and images are drawn. */

#include "data/balanced_order.h"

#include <math.h>

#include "base/mem.h"
#include "base/size.h"
#include "support/test.h"

/* Eleven images of five classes; class 1 and the last have none. */
static const int classes[] = {2, 0, 2, 2, 3, 2, 0, 2, 2, 2, 2};
enum { IMAGES = ADL_COUNT(classes), CLASSES = 5, DRAWS = 30000 };

static struct adl_balanced_order *create(struct adl_error *err)
{
    static struct adl_dataset_image images[IMAGES];
    struct adl_dataset data = {.images = images, .count = IMAGES, .class_count = CLASSES};
    for (size_t i = 0; i < IMAGES; i++)
        images[i].class_id = classes[i];
    return adl_balanced_order_create(&data, err);
}

/* Each of the three classes comes in a third of the draws, each of its n images in 1 / (3 n). */
static void classes_are_equally_likely(void)
{
    struct adl_error err = {0};
    static size_t drawn[DRAWS];
    size_t counts[IMAGES] = {0}, sizes[CLASSES] = {0};
    struct adl_rng rng;
    struct adl_balanced_order *order = create(&err);
    CU_ASSERT_FATAL(order != NULL);
    adl_rng_seed(&rng, 3, 0, 0);
    adl_balanced_order_draw(order, &rng, drawn, DRAWS);
    for (size_t i = 0; i < DRAWS; i++) {
        CU_ASSERT_FATAL(drawn[i] < IMAGES);
        counts[drawn[i]]++;
    }
    for (size_t i = 0; i < IMAGES; i++)
        sizes[classes[i]]++;
    for (size_t i = 0; i < IMAGES; i++) {
        double p = 1 / (3 * (double)sizes[classes[i]]);
        CU_ASSERT_DOUBLE_EQUAL((double)counts[i] / DRAWS, p, 5 * sqrt(p * (1 - p) / DRAWS));
    }
    adl_balanced_order_free(order);
}

static void out_of_memory_is_an_error(void)
{
    size_t blocks = adl_mem_stats().live_blocks;
    for (uint64_t n = 1;; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        struct adl_balanced_order *order = create(&err);
        adl_mem_fail_nth(0);
        adl_balanced_order_free(order);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        if (order)
            break;
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_NOMEM);
    }
}

TEST_SUITE(balanced_order, {"classes are equally likely", classes_are_equally_likely},
           {"out of memory is an error", out_of_memory_is_an_error});
