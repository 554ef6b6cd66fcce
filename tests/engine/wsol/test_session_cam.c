/* plan/classes.c and wsol/session_cam.c: the maps of single classes of a classifier of several
 * layers are those that the graph computes for all classes, in plain C. */

#include "support/test.h"

#include <string.h>

#include "base/mem.h"
#include "eval/range_fit.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/oracle.h"
#include "support/plan_run.h"
#include "wsol/session_cam.h"

enum { CLASSES = 7, HIDDEN = 21, SIDE = 13 };

static int copied_linear(struct adl_graph *g, int map, const char *name, int k)
{
    adl_graph_begin_copy(g, "map");
    map = adl_linear(g, map, name, k, false);
    adl_graph_end_copy(g);
    return map;
}

/* A convolution, then layer norm, weights for the channels, a linear layer, GELU, and another. A
 * layer that has no derivative among those of a plan is added as the last one if `other`; with
 * `two`, there is a convolution before, whose map may be bytes. */
static struct adl_graph *net(bool other, bool two, struct adl_error *err)
{
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, err);
    int x = two ? adl_conv(g, 0, "stem", adl_conv_centred(16, 3, 3, 1)) : 0;
    x = adl_conv(g, x, "conv", adl_conv_centred(18, 3, 3, 2));
    int v = adl_global_avgpool(g, x, "pool"), norm = adl_layernorm(g, v, "norm", 1e-5);
    int affine = adl_channel_affine(g, norm, "affine", "affine.weight", "affine.bias");
    int first = adl_linear(g, affine, "first", HIDDEN, true);
    int gelu = adl_elementwise(g, first, "gelu", &adl_op_gelu, (struct adl_elementwise_attr){0});

    int map = adl_layernorm_slope(g, x, v, "norm.map", 1e-5);
    adl_graph_begin_copy(g, "map");
    map = adl_channel_affine(g, map, "affine", "affine.weight", NULL);
    adl_graph_end_copy(g);
    map = copied_linear(g, map, "first", HIDDEN);
    int slope = adl_slope(g, first, "slope", &adl_op_gelu, (struct adl_elementwise_attr){0});
    map = adl_scale(g, map, slope, "gelu.map");
    int logits = adl_linear(g, gelu, "second", CLASSES, true);
    map = copied_linear(g, map, "second", CLASSES);
    if (other)
        map = adl_relu(g, map, "relu.map");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_output(g, ADL_OUTPUT_CLASS_MAP, map);
    CU_ASSERT_EQUAL_FATAL(adl_graph_finish(g, err), 0);
    return g;
}

/* Compares the map of each class, and with several classes the mean over those with the highest
 * logits and the class, with what the graph says. */
static void compare_maps(const struct adl_graph *g, const struct adl_session *session,
                         float *const *oracle, int several)
{
    const struct adl_map_rule rule = {.classes = several};
    const float *logits = oracle[adl_graph_output(g, ADL_OUTPUT_LOGITS)];
    const float *all = oracle[adl_graph_output(g, ADL_OUTPUT_CLASS_MAP)];
    struct adl_shape shape = adl_graph_value(g, adl_graph_output(g, ADL_OUTPUT_FEATURES))->shape;
    size_t pixels = (size_t)shape.h * (size_t)shape.w;

    for (int k = 0; k < CLASSES; k++) {
        float cam[SIDE * SIDE];
        double want[SIDE * SIDE] = {0};
        int taken = 0;
        adl_session_cam(session, 0, k, &rule, cam);
        for (int other = 0; other < CLASSES; other++) {
            int above = 0; /* classes with higher logits, the one that is asked for left out */
            for (int i = 0; i < CLASSES; i++)
                above += i != k && logits[i] > logits[other];
            if (other != k && above >= several - 1)
                continue;
            taken++;
            for (size_t p = 0; p < pixels; p++)
                want[p] += (double)all[p * CLASSES + (size_t)other];
        }
        CU_ASSERT_EQUAL(taken, several > 1 ? several : 1);
        for (size_t p = 0; p < pixels; p++)
            want[p] /= taken;
        test_close("map of a class", cam, want, pixels, 2e-5);
    }
}

static void check(bool other, unsigned disabled, bool resized, size_t classes)
{
    struct adl_error err = {0};
    struct adl_graph *g = net(other, false, &err);
    float **params = test_plan_params(g, 0.3);
    float input[SIDE * SIDE * 3];
    formula_param("input", 0, 1, SIDE * SIDE * 3, input);
    float **oracle = oracle_run(g, params, input, 1);
    int side = resized ? 2 * SIDE : SIDE;
    const struct adl_plan_options options = {
        .input_h = side, .input_w = side, .disabled = disabled};
    struct adl_plan *base = adl_plan_create(g, (const float *const *)params, &options, &err);
    struct adl_plan *plan = base && resized ? adl_plan_resize(base, g, SIDE, SIDE, &err) : base;
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;

    TEST_OK(session ? 0 : -1, &err);
    if (session) {
        memcpy(adl_session_input(session, 0), input, sizeof input);
        adl_session_run(session, 1);
        CU_ASSERT_EQUAL(adl_plan_class_count(plan), classes);
        CU_ASSERT_EQUAL(adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP).c, classes ? 0 : CLASSES);
        for (int several = 0; several <= 3; several += 3)
            compare_maps(g, session, oracle, several);
    }
    adl_session_free(session);
    if (plan != base)
        adl_plan_unref(plan);
    adl_plan_unref(base);
    oracle_free(g, oracle);
    test_plan_params_free(g, params);
    adl_graph_free(g);
}

static void maps_of_single_classes(void)
{
    check(false, 0, false, CLASSES);
    check(false, 0, true, CLASSES);
    check(false, ADL_PASS_FOLD | ADL_PASS_FUSE | ADL_PASS_PLACE, false, CLASSES);
}

/* In 8 bits the list of steps gets conversions between those before the classifier; the maps are
 * those of the plan that makes all of them. */
static void maps_in_8_bits(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = net(false, true, &err);
    float **params = test_plan_params(g, 0.3), input[SIDE * SIDE * 3];
    struct adl_session *sessions[2];
    formula_param("input", 0, 1, SIDE * SIDE * 3, input);
    struct adl_range_fit *fit =
        adl_range_fit_create(g, (const float *const *)params, SIDE, SIDE, &err);
    TEST_OK(fit ? 0 : -1, &err);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            TEST_OK(adl_range_fit_begin_second(fit, &err), &err);
        memcpy(adl_range_fit_input(fit), input, sizeof input);
        adl_range_fit_observe(fit);
    }
    struct adl_quantisation *q = adl_range_fit_finish(fit, &err);
    TEST_OK(q ? 0 : -1, &err);
    adl_range_fit_round(fit, q, NULL, params);
    adl_range_fit_free(fit);
    for (int all = 0; all < 2; all++) {
        const struct adl_plan_options options = {.input_h = SIDE,
                                                 .input_w = SIDE,
                                                 .disabled = all ? ADL_PASS_CLASSES : 0,
                                                 .precision = ADL_PRECISION_INT8,
                                                 .quantisation = q,
                                                 .all_int8 = true};
        struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
        sessions[all] = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
        TEST_OK(sessions[all] ? 0 : -1, &err);
        adl_plan_unref(plan);
        memcpy(adl_session_input(sessions[all], 0), input, sizeof input);
        adl_session_run(sessions[all], 1);
    }
    CU_ASSERT_EQUAL(adl_plan_class_count(adl_session_plan(sessions[0])), CLASSES);
    struct adl_shape shape =
        adl_plan_output_shape(adl_session_plan(sessions[1]), ADL_OUTPUT_CLASS_MAP);
    const float *maps = adl_session_output(sessions[1], ADL_OUTPUT_CLASS_MAP, 0);
    size_t pixels = (size_t)shape.h * (size_t)shape.w;
    for (int k = 0; k < CLASSES; k++) {
        const struct adl_map_rule rule = {.classes = 1};
        float cam[SIDE * SIDE];
        double want[SIDE * SIDE];
        adl_session_cam(sessions[0], 0, k, &rule, cam);
        for (size_t p = 0; p < pixels; p++)
            want[p] = (double)maps[p * CLASSES + (size_t)k];
        test_close("map in 8 bits", cam, want, pixels, 2e-5);
    }
    adl_session_free(sessions[0]);
    adl_session_free(sessions[1]);
    adl_quantisation_free(q);
    test_plan_params_free(g, params);
    adl_graph_free(g);
}

static void maps_of_all_classes(void)
{
    check(false, ADL_PASS_CLASSES, false, 0);
    check(true, 0, false, 0);
}

TEST_SUITE(session_cam, {"maps of single classes are those of the graph", maps_of_single_classes},
           {"in 8 bits as well", maps_in_8_bits},
           {"all classes where the pass is left out or finds another layer", maps_of_all_classes});
