/* eval/calibrate_objects: the choice on maps whose right prominence is known. */

#include "support/test.h"

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/calibrate_objects.h"
#include "support/map_samples.h"
#include "wsol/localize.h"

enum { IMAGES = 24 };

/* The first `pairs` of every other image have two objects of 5 x 7 cells beside each other, with a
 * gap of one column that is less than half as bright; the others have one of 11 x 7, whose middle
 * column is a quarter darker. Only a prominence between the two tells them apart, or an area
 * between those that the halves have above the two saddles. */
static void draw_one_or_two(struct adl_calibrate_sample *one, size_t i, struct adl_rng *rng,
                            double pairs)
{
    bool two = i % 2 == 0 && (double)(i / 2) < pairs;
    int x0 = 1 + (int)adl_rng_below(rng, 2), y0 = 1 + (int)adl_rng_below(rng, 5);
    float *cam = one->cams[0] = adl_calloc(MAP_SIDE * MAP_SIDE, sizeof *cam);

    CU_ASSERT_PTR_NOT_NULL_FATAL(cam);
    for (int y = y0; y < y0 + 7; y++)
        for (int x = x0; x < x0 + 11; x++) {
            double level = x - x0 != 5 ? 1 : two ? 0.4 : 0.72;
            cam[y * MAP_SIDE + x] = (float)(level + 0.02 * adl_rng_uniform(rng));
        }
    one->truth_count = two ? 2 : 1;
    for (int k = 0; k < 2; k++) {
        int left = two ? x0 + 6 * k : x0, right = two ? left + 5 : x0 + 11;
        one->truth[k] = map_samples_box(left, y0, right - left, 7);
    }
}

static void make_samples(struct adl_calibrate_samples *s, size_t pairs)
{
    map_samples_make(s, IMAGES, 2, draw_one_or_two, (double)pairs);
}

static struct adl_calibrated_objects choose(size_t pairs, int threads)
{
    const struct adl_map_rule rule = {.threshold = 0.3};
    struct adl_calibrated_objects found;
    struct adl_calibrate_samples samples;
    struct adl_error err = {0};
    struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
    make_samples(&samples, pairs);
    TEST_OK(adl_calibrate_objects(&samples, &rule, pool, &found, &err), &err);
    adl_calibrate_samples_release(&samples);
    adl_pool_free(pool);
    return found;
}

static void the_prominence_between_dents_and_gaps_is_found(void)
{
    const struct adl_calibrated_objects one = choose(IMAGES / 2, 0), three = choose(IMAGES / 2, 3);
    CU_ASSERT(one.chosen);
    CU_ASSERT_EQUAL(one.several, IMAGES / 2);
    CU_ASSERT(one.rule.prominence >= 0.2 || one.rule.area >= 0.1);
    CU_ASSERT_DOUBLE_EQUAL(one.fitted, 100, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(one.cross_validated, 100, 1e-9);
    CU_ASSERT(one.regions < 50);
    CU_ASSERT(one.rule.prominence == three.rule.prominence && one.rule.area == three.rule.area);
    CU_ASSERT(one.fitted == three.fitted && one.regions == three.regions);
}

/* Draws two bright blocks far from each other, whose true boxes are set later. */
static void draw_blocks(struct adl_calibrate_sample *one, size_t i, struct adl_rng *rng, double how)
{
    float *cam = one->cams[0] = adl_calloc(MAP_SIDE * MAP_SIDE, sizeof *cam);

    (void)how;
    CU_ASSERT_PTR_NOT_NULL_FATAL(cam);
    for (int y = 2; y < 6; y++)
        for (int x = 1; x < 4; x++) {
            cam[(y + (int)(i % 3)) * MAP_SIDE + x] = (float)(1 + 0.01 * adl_rng_uniform(rng));
            cam[(y + 4) * MAP_SIDE + x + 7] = (float)(1 + 0.01 * adl_rng_uniform(rng));
        }
}

/* Makes the true boxes twice as high as the regions of the map, so that their IoU is exactly 0.5:
 * with the ends that a data set's boxes have, one pixel past the object. */
static void double_the_regions(struct adl_calibrate_samples *s, const struct adl_map_rule *rule)
{
    const struct adl_class_map size = {.input_h = MAP_INPUT, .input_w = MAP_INPUT};
    static double map[MAP_INPUT * MAP_INPUT];
    struct adl_localizer localizer = {0};
    struct adl_error err = {0};

    for (size_t i = 0; i < s->count; i++) {
        struct adl_localization place = {0};
        TEST_OK(adl_map_make_unclipped(rule, s->items[i].cams[0], MAP_SIDE, MAP_SIDE, map,
                                       MAP_INPUT, MAP_INPUT, NULL, &err),
                &err);
        TEST_OK(adl_localizer_load(&localizer, map, MAP_INPUT, MAP_INPUT, true, &err), &err);
        TEST_OK(adl_localizer_cut(&localizer, rule, &size, map, ADL_BOXES_ALL, MAP_INPUT, MAP_INPUT,
                                  &place, &err),
                &err);
        CU_ASSERT_EQUAL_FATAL(place.box_count, 2);
        for (size_t k = 0; k < 2; k++) {
            struct adl_box box = place.boxes[k].box;
            int height = box.y1 - box.y0 + 1;
            int first = box.y0 + 2 * height < MAP_INPUT ? box.y0 : box.y0 - height;
            CU_ASSERT(first >= 0 && first + 2 * height < MAP_INPUT && box.x1 + 1 < MAP_INPUT);
            s->items[i].truth[k] = (struct adl_box){box.x0, first, box.x1 + 1, first + 2 * height};
        }
        adl_localization_release(&place);
    }
    adl_localizer_release(&localizer);
}

static void true_boxes_end_one_pixel_past_the_object(void)
{
    const struct adl_map_rule rule = {.threshold = 0.5};
    struct adl_calibrated_objects found;
    struct adl_calibrate_samples samples;
    struct adl_error err = {0};

    map_samples_make(&samples, ADL_CALIBRATE_SEVERAL, 2, draw_blocks, 0);
    double_the_regions(&samples, &rule);
    TEST_OK(adl_calibrate_objects(&samples, &rule, NULL, &found, &err), &err);
    CU_ASSERT_DOUBLE_EQUAL(found.regions, 100, 1e-9);
    adl_calibrate_samples_release(&samples);
}

static void too_few_images_are_no_ground_for_a_choice(void)
{
    const struct adl_calibrated_objects few = choose(ADL_CALIBRATE_SEVERAL - 1, 0);
    CU_ASSERT(!few.chosen);
    CU_ASSERT_EQUAL(few.several, ADL_CALIBRATE_SEVERAL - 1);
    CU_ASSERT(choose(ADL_CALIBRATE_SEVERAL, 0).chosen);
}

static void survives_no_memory(void)
{
    const struct adl_map_rule rule = {.threshold = 0.3};
    struct adl_calibrate_samples samples;
    make_samples(&samples, IMAGES / 2);
    samples.count = 10;
    struct adl_mem_stats before = adl_mem_stats();
    uint64_t nth = 0;
    int result;
    do {
        struct adl_calibrated_objects found;
        struct adl_error err = {0};
        nth += 1 + nth / 8; /* thousands of allocations: all of the first, then fewer */
        adl_mem_fail_nth(nth);
        result = adl_calibrate_objects(&samples, &rule, NULL, &found, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before.live_blocks);
    } while (result < 0 && nth < 100000);
    CU_ASSERT_EQUAL(result, 0);
    samples.count = IMAGES;
    adl_calibrate_samples_release(&samples);
}

TEST_SUITE(calibrate_objects,
           {"the prominence between dents and gaps is found",
            the_prominence_between_dents_and_gaps_is_found},
           {"too few images are no ground for a choice", too_few_images_are_no_ground_for_a_choice},
           {"true boxes end one pixel past the object", true_boxes_end_one_pixel_past_the_object},
           {"choosing survives running out of memory", survives_no_memory});
