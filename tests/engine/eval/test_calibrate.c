/* eval/calibrate: the choice of a map rule, checked with the evaluator of the metrics and with
 * maps whose best rule is known. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/calibrate.h"
#include "support/map_samples.h"
#include "wsol/evaluator.h"

enum { IMAGES = 25 };

/* Draws one object of 4 x 4 to 7 x 7 cells. Inside the object, the map of the positive weights is 1
 * to 1.5 with a peak of 4; outside, it is noise from 0 to `background`. The map of all weights is
 * nothing but that noise. */
static void draw_one(struct adl_calibrate_sample *one, size_t i, struct adl_rng *rng,
                     double background)
{
    int side = 4 + (int)adl_rng_below(rng, 4);
    int x = (int)adl_rng_below(rng, (size_t)(MAP_SIDE - side));
    int y = (int)adl_rng_below(rng, (size_t)(MAP_SIDE - side));

    (void)i;
    for (int w = 0; w < 2; w++) {
        one->cams[w] = adl_malloc(MAP_SIDE * MAP_SIDE, sizeof(float));
        for (size_t k = 0; k < MAP_SIDE * MAP_SIDE; k++)
            one->cams[w][k] = (float)(background * adl_rng_uniform(rng));
    }
    for (int row = y; row < y + side; row++)
        for (int column = x; column < x + side; column++)
            one->cams[1][row * MAP_SIDE + column] = (float)(1 + 0.5 * adl_rng_uniform(rng));
    one->cams[1][y * MAP_SIDE + x] = 4;
    one->truth[0] = map_samples_box(x, y, side, side);
}

static void make_samples(struct adl_calibrate_samples *s, double background)
{
    map_samples_make(s, IMAGES, 1, draw_one, background);
}

/* Returns the percentage of images whose box the evaluator counts as correct at the
 * rule's threshold. */
static double measured(const struct adl_calibrate_samples *s, const struct adl_map_rule *rule)
{
    struct adl_evaluator evaluator;
    static double map[MAP_INPUT * MAP_INPUT];
    struct adl_error err = {0};
    TEST_OK(adl_evaluator_init(&evaluator, 0.01, rule->threshold, &err), &err);
    for (size_t i = 0; i < s->count; i++) {
        const struct adl_calibrate_sample *one = &s->items[i];
        TEST_OK(adl_map_make(rule, one->cams[rule->weights], MAP_SIDE, MAP_SIDE, map, MAP_INPUT,
                             MAP_INPUT, NULL, &err),
                &err);
        const struct adl_eval_image image = {.map = map,
                                             .height = MAP_INPUT,
                                             .width = MAP_INPUT,
                                             .truth = one->truth,
                                             .truth_count = one->truth_count};
        TEST_OK(adl_evaluator_add(&evaluator, &image, &err), &err);
    }
    double result = adl_evaluator_result(&evaluator).gt_known_loc;
    adl_evaluator_release(&evaluator);
    return result;
}

static struct adl_calibration calibrate(const struct adl_calibrate_samples *s, int threads,
                                        enum adl_calibrate_goal goal)
{
    struct adl_error err = {0};
    struct adl_calibration found;
    struct adl_pool *pool = threads ? adl_pool_create(threads, &err) : NULL;
    const struct adl_calibrate_options options = {
        .goal = goal, .current = {.threshold = 0.3}, .pool = pool};
    TEST_OK(adl_calibrate_choose(s, 1, &options, &found, &err), &err);
    adl_pool_free(pool);
    return found;
}

/* Objects whose maps have to be cut high in class 0, where a bright surround is not part of the
 * object, and low in class 1, where most of the object is dim. */
static void draw_two_kinds(struct adl_calibrate_sample *one, size_t i, struct adl_rng *rng,
                           double surround)
{
    int x = 2 + (int)adl_rng_below(rng, 6), y = 2 + (int)adl_rng_below(rng, 6);

    one->class_id = (int)(i % 2);
    for (int w = 0; w < 2; w++) {
        one->cams[w] = adl_calloc(MAP_SIDE * MAP_SIDE, sizeof(float));
        for (int row = y - 2; row < y + 6; row++)
            for (int column = x - 2; column < x + 6; column++) {
                bool inside = row >= y && row < y + 4 && column >= x && column < x + 4;
                float value = inside ? 1 : (float)surround;
                one->cams[w][row * MAP_SIDE + column] = value;
            }
    }
    one->truth[0] = i % 2 ? map_samples_box(x - 2, y - 2, 8, 8) : map_samples_box(x, y, 4, 4);
}

/* With one threshold half of the boxes are right, with one for each class all. Where a common
 * threshold is as good, there is no other. */
static void classes_have_thresholds(void)
{
    struct adl_calibrate_samples samples;
    struct adl_error err = {0};
    struct adl_calibration found;
    struct adl_calibrate_options options = {.current = {.threshold = 0.3}, .per_class = true};

    map_samples_make(&samples, 60, 1, draw_two_kinds, 0.5);
    TEST_OK(adl_calibrate_choose(&samples, 1, &options, &found, &err), &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found.class_thresholds);
    struct adl_map_rule high = adl_map_rule_of_class(&found.rule, 0);
    struct adl_map_rule low = adl_map_rule_of_class(&found.rule, 1);
    CU_ASSERT(high.threshold > low.threshold);
    CU_ASSERT_EQUAL(found.cross_validated, 100);
    CU_ASSERT_EQUAL(found.fitted, 100);
    CU_ASSERT(found.common < 60 && found.own_thresholds >= 1);
    /* Of the current rule, the thresholds of classes count too. */
    options.current = found.rule;
    struct adl_calibration again;
    TEST_OK(adl_calibrate_choose(&samples, 1, &options, &again, &err), &err);
    CU_ASSERT_EQUAL(again.before, 100);
    adl_calibration_release(&again);
    adl_calibration_release(&found);
    for (size_t i = 0; i < samples.count; i++)
        samples.items[i].class_id = 0;
    options.current = (struct adl_map_rule){.threshold = 0.3};
    TEST_OK(adl_calibrate_choose(&samples, 1, &options, &found, &err), &err);
    CU_ASSERT_PTR_NULL(found.class_thresholds);
    adl_calibration_release(&found);
    adl_calibrate_samples_release(&samples);
}

static void the_choice_is_as_good_as_it_says(void)
{
    struct adl_calibrate_samples samples;
    make_samples(&samples, 0.9);
    struct adl_calibration found = calibrate(&samples, 0, ADL_CALIBRATE_MAX_BOX_ACC);
    CU_ASSERT_EQUAL(found.rule.weights, ADL_MAP_WEIGHTS_POSITIVE);
    CU_ASSERT_DOUBLE_EQUAL(found.fitted, measured(&samples, &found.rule), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(found.before,
                           measured(&samples, &(struct adl_map_rule){.threshold = 0.3}), 1e-9);
    CU_ASSERT(found.fitted > 90 && found.cross_validated > 80 && found.before < 50);
    CU_ASSERT(found.images == IMAGES && found.boxes == IMAGES);
    double share = found.cross_validated / 100;
    CU_ASSERT_DOUBLE_EQUAL(found.standard_error, 100 * sqrt(share * (1 - share) / IMAGES), 1e-9);
    adl_calibrate_samples_release(&samples);
}

/* The noise is brighter than the objects: some rule and threshold fit best, which says
 * nothing about other images. */
static void a_fit_to_noise_is_found_out(void)
{
    struct adl_calibrate_samples samples;
    make_samples(&samples, 50);
    struct adl_calibration found = calibrate(&samples, 0, ADL_CALIBRATE_MAX_BOX_ACC);
    CU_ASSERT(found.cross_validated <= found.fitted);
    CU_ASSERT(found.cross_validated < 50);
    adl_calibrate_samples_release(&samples);
}

static void threads_change_nothing(void)
{
    struct adl_calibrate_samples samples;
    make_samples(&samples, 0.9);
    for (int goal = 0; goal < 2; goal++) {
        struct adl_calibration one = calibrate(&samples, 1, (enum adl_calibrate_goal)goal);
        struct adl_calibration three = calibrate(&samples, 3, (enum adl_calibrate_goal)goal);
        CU_ASSERT(adl_map_rule_equal(&one.rule, &three.rule));
        CU_ASSERT(one.fitted == three.fitted && one.cross_validated == three.cross_validated);
    }
    adl_calibrate_samples_release(&samples);
}

/* The same images with maps that noise hides, and with better ones for other views. */
static void the_best_views_are_chosen(void)
{
    struct adl_calibrate_samples sets[2];
    struct adl_calibrate_options options = {.current = {.threshold = 0.3}};
    struct adl_calibration found, alone;
    struct adl_error err = {0};
    make_samples(&sets[0], 50);
    make_samples(&sets[1], 0.9);
    sets[1].views = (struct adl_map_views){.flip = true, .scale_count = 2, .scales = {1, 1.43}};
    TEST_OK(adl_calibrate_choose(sets, 2, &options, &found, &err), &err);
    TEST_OK(adl_calibrate_choose(&sets[1], 1, &options, &alone, &err), &err);
    CU_ASSERT(found.set == 1 && adl_map_views_equal(&found.rule.views, &sets[1].views));
    CU_ASSERT(adl_map_rule_equal(&found.rule, &alone.rule));
    CU_ASSERT_EQUAL(found.fitted, alone.fitted);
    /* The current rule is that of the first set. */
    CU_ASSERT_DOUBLE_EQUAL(found.before, measured(&sets[0], &options.current), 1e-9);

    /* A set that is there only to compare with is not chosen, however good. */
    sets[1].compared = true;
    options.current.views = sets[1].views;
    TEST_OK(adl_calibrate_choose(sets, 2, &options, &found, &err), &err);
    CU_ASSERT(found.set == 0 && adl_map_views_plain(&found.rule.views));
    CU_ASSERT_DOUBLE_EQUAL(found.before, measured(&sets[1], &options.current), 1e-9);

    sets[1].count--;
    CU_ASSERT_EQUAL(adl_calibrate_choose(sets, 2, &options, &found, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_IO);
    sets[1].count++;
    adl_calibrate_samples_release(&sets[0]);
    adl_calibrate_samples_release(&sets[1]);
}

static void too_few_images_are_refused(void)
{
    struct adl_calibrate_samples samples;
    struct adl_calibration found;
    struct adl_error err = {0};
    const struct adl_calibrate_options options = {.current = {.threshold = 0.3}};
    make_samples(&samples, 0.9);
    size_t count = samples.count;
    samples.count = 1;
    CU_ASSERT_EQUAL(adl_calibrate_choose(&samples, 1, &options, &found, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    samples.count = count;
    adl_calibrate_samples_release(&samples);
}

static void survives_no_memory(void)
{
    struct adl_calibrate_samples samples;
    const struct adl_calibrate_options options = {.current = {.threshold = 0.3}};
    make_samples(&samples, 0.9);
    size_t count = samples.count;
    samples.count = 2;
    for (uint64_t nth = 1, failed = 1; failed; nth++) {
        struct adl_calibration found;
        struct adl_error err = {0};
        adl_mem_fail_nth(nth);
        int result = adl_calibrate_choose(&samples, 1, &options, &found, &err);
        adl_mem_fail_nth(0);
        failed = result < 0;
        CU_ASSERT_EQUAL(err.kind, result < 0 ? ADL_ERR_NOMEM : ADL_ERR_NONE);
        /* Every map that is made allocates; to let a few of them fail is enough. */
        nth += nth > 20 ? 97 : 0;
    }
    samples.count = count;
    adl_calibrate_samples_release(&samples);
}

TEST_SUITE(calibrate, {"classes have thresholds", classes_have_thresholds},
           {"the choice is as good as it says", the_choice_is_as_good_as_it_says},
           {"a fit to noise is found out", a_fit_to_noise_is_found_out},
           {"threads change nothing", threads_change_nothing},
           {"the best views are chosen", the_best_views_are_chosen},
           {"too few images are refused", too_few_images_are_refused},
           {"survives running out of memory", survives_no_memory});
