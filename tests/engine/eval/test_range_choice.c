/* eval/range_choice: the ranges that are taken keep the network's outputs better than the others,
 * by errors that the test computes itself, whichever those are. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/range_choice.h"
#include "ops/ops.h"
#include "support/plan_run.h"

enum { SIDE = 10, CHANNELS = 3, VALUES = SIDE * SIDE * CHANNELS, IMAGES = 80, LARGE = 4 };

/* A few images are `times` as large as the others. */
struct scene {
    struct adl_graph *graph;
    float **params;
    float times;
    struct adl_range_fit *fit;
    struct adl_range_choice *choice;
    struct adl_quantisation *quantisation;
    float *features[IMAGES], *logits[IMAGES]; /* in float32 */
    size_t floats, classes;
};

static bool draw(void *context, size_t image, float *input)
{
    const struct scene *s = context;
    struct adl_rng rng;

    adl_rng_seed(&rng, 12, image, 0);
    for (int i = 0; i < VALUES; i++)
        input[i] = (float)adl_rng_normal(&rng) * (image < LARGE ? s->times : 1);
    return true;
}

static float *copy(const float *from, size_t count)
{
    float *to = adl_malloc(count, sizeof *to);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    memcpy(to, from, count * sizeof *to);
    return to;
}

static void open_scene(struct scene *s, int layers, float times)
{
    struct adl_error err = {0};
    char name[16];
    int x = 0;

    *s = (struct scene){.times = times};
    s->graph = adl_graph_create((struct adl_shape){SIDE, SIDE, CHANNELS}, &err);
    for (int i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "layer%d", i);
        x = test_conv_block(s->graph, x, name, adl_conv_centred(32, i ? 1 : 3, i ? 1 : 3, 1));
    }
    test_plan_classifier(s->graph, x);
    s->params = test_plan_params(s->graph, 0.3);
    s->fit = adl_range_fit_create(s->graph, (const float *const *)s->params, SIDE, SIDE, &err);
    TEST_OK(s->fit ? 0 : -1, &err);
    s->choice = adl_range_choice_create(s->fit, IMAGES, &err);
    TEST_OK(s->choice ? 0 : -1, &err);
    s->floats = adl_shape_count(adl_range_fit_shape(s->fit, ADL_OUTPUT_FEATURES));
    s->classes = adl_shape_count(adl_range_fit_shape(s->fit, ADL_OUTPUT_LOGITS));
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            TEST_OK(adl_range_fit_begin_second(s->fit, &err), &err);
        for (size_t i = 0; i < IMAGES; i++) {
            draw(s, i, adl_range_fit_input(s->fit));
            adl_range_fit_observe(s->fit);
            if (!pass)
                continue;
            adl_range_choice_note(s->choice, s->fit, i);
            s->features[i] = copy(adl_range_fit_output(s->fit, ADL_OUTPUT_FEATURES), s->floats);
            s->logits[i] = copy(adl_range_fit_output(s->fit, ADL_OUTPUT_LOGITS), s->classes);
        }
    }
    s->quantisation = adl_range_fit_finish(s->fit, &err);
    TEST_OK(s->quantisation ? 0 : -1, &err);
    adl_range_fit_round(s->fit, s->quantisation, NULL, s->params);
}

static void close_scene(struct scene *s)
{
    for (size_t i = 0; i < IMAGES; i++) {
        adl_free(s->features[i]);
        adl_free(s->logits[i]);
    }
    adl_quantisation_free(s->quantisation);
    adl_range_choice_free(s->choice);
    adl_range_fit_free(s->fit);
    test_plan_params_free(s->graph, s->params);
    adl_graph_free(s->graph);
}

static double probability(const float *logits, size_t count, size_t class_id)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += exp((double)logits[i] - (double)logits[class_id]);
    return 1 / sum;
}

/* Returns the mean error over all images with the ranges that are set. */
static double error_of(struct scene *s)
{
    struct adl_error err = {0};
    struct adl_session *session =
        adl_range_fit_session(s->fit, (const float *const *)s->params, s->quantisation, &err);
    double sum = 0;

    TEST_OK(session ? 0 : -1, &err);
    for (size_t i = 0; i < IMAGES; i++) {
        double squares = 0, error = 0;
        draw(s, i, adl_session_input(session, 0));
        adl_session_run(session, 1);
        const float *features = adl_session_output(session, ADL_OUTPUT_FEATURES, 0),
                    *logits = adl_session_output(session, ADL_OUTPUT_LOGITS, 0);
        for (size_t k = 0; k < s->floats; k++) {
            squares += pow((double)s->features[i][k], 2);
            error += pow((double)features[k] - (double)s->features[i][k], 2);
        }
        sum += fmin(error / squares, 1);
        for (size_t k = 0; k < s->classes; k++) {
            double p = probability(s->logits[i], s->classes, k);
            sum += p * log(p / probability(logits, s->classes, k));
        }
    }
    adl_session_free(session);
    return sum / IMAGES;
}

/* Lets the choice be made; checks that it is the best one, and returns which one it is. */
static enum adl_range_weight choose(int layers, float times)
{
    struct scene s;
    struct adl_error err = {0};
    enum adl_range_weight best = ADL_RANGE_ALIKE;
    double least = HUGE_VAL;

    open_scene(&s, layers, times);
    TEST_OK(adl_range_choice_run(s.choice, s.fit, (const float *const *)s.params, draw, &s,
                                 s.quantisation, &err),
            &err);
    double chosen = error_of(&s);
    for (int w = 0; w < ADL_RANGE_WEIGHTS; w++) {
        adl_range_fit_ranges(s.fit, (enum adl_range_weight)w, s.quantisation);
        double error = error_of(&s);
        if (error < least) {
            least = error;
            best = (enum adl_range_weight)w;
        }
    }
    /* Not all images are tried, so a difference may be overlooked if it is small. */
    if (!(chosen <= 1.05 * least))
        TEST_FAIL("%d layers, images %g times as large: %g, where %g is possible", layers,
                  (double)times, chosen, least);
    close_scene(&s);
    return best;
}

static void the_choice_is_the_better_one(void)
{
    bool won[ADL_RANGE_WEIGHTS] = {false};
    static const struct {
        int layers;
        float times;
    } cases[] = {{1, 1}, {6, 12}, {12, 50}};

    for (size_t i = 0; i < ADL_COUNT(cases); i++)
        won[choose(cases[i].layers, cases[i].times)] = true;
    /* Otherwise the test would say nothing. */
    CU_ASSERT_TRUE(won[ADL_RANGE_ALIKE]);
    CU_ASSERT_TRUE(won[ADL_RANGE_SMALL]);
}

/* One that was not noted, or cannot be read again, is left out; with none there is still a choice.
 */
static bool unreadable(void *context, size_t image, float *input)
{
    (void)context;
    (void)image;
    (void)input;
    return false;
}

static void images_that_are_gone_are_left_out(void)
{
    struct scene s;
    struct adl_error err = {0};

    open_scene(&s, 1, 1);
    TEST_OK(adl_range_choice_run(s.choice, s.fit, (const float *const *)s.params, unreadable, NULL,
                                 s.quantisation, &err),
            &err);
    CU_ASSERT_TRUE(s.quantisation->ranges[1].scale > 0);
    close_scene(&s);
}

TEST_SUITE(range_choice, {"the choice is the better one", the_choice_is_the_better_one},
           {"images that are gone are left out", images_that_are_gone_are_left_out});
