/* Backbones in 8 bits, with weights computed from their names: it runs, most of it in bytes,
 * and what it computes stays close to float32. Random weights amplify the rounding from layer to
 * layer, more than those of a trained network, and the more the more layers are faster in bytes. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval/range_fit.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/nets.h"
#include "support/plan_run.h"

#define SIDE 96

static float *features(const struct adl_graph *graph, float *const *params,
                       const struct adl_quantisation *quantisation, enum adl_precision precision,
                       size_t *count, int *int8_steps)
{
    struct adl_error err = {0};
    const struct adl_plan_options options = {.input_h = SIDE,
                                             .input_w = SIDE,
                                             .precision = precision,
                                             .quantisation = quantisation,
                                             .all_int8 = true};
    struct adl_plan *plan = adl_plan_create(graph, (const float *const *)params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    formula_param("image", 0, 2, SIDE * SIDE * 3, adl_session_input(session, 0));
    adl_session_run(session, 1);
    *count = adl_shape_count(adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES));
    float *copy = adl_malloc(*count, sizeof *copy);
    memcpy(copy, adl_session_output(session, ADL_OUTPUT_FEATURES, 0), *count * sizeof *copy);
    *int8_steps = 0;
    for (int i = 0; i < adl_plan_step_count(plan); i++) {
        struct adl_step_info info;
        adl_plan_step_info(plan, i, &info);
        *int8_steps += !strcmp(info.kernel, "int8");
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    return copy;
}

/* `least`: convolutions that may run in 8 bits. */
static void check(const char *name, int least)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    size_t count;
    int steps;
    TEST_OK(test_net_arch(&arch, name, 5), &err);
    struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
    TEST_OK(graph ? 0 : -1, &err);
    float **params = test_plan_params(graph, 0.1);
    struct adl_range_fit *fit =
        adl_range_fit_create(graph, (const float *const *)params, SIDE, SIDE, &err);
    TEST_OK(fit ? 0 : -1, &err);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            TEST_OK(adl_range_fit_begin_second(fit, &err), &err);
        formula_param("image", 0, 2, SIDE * SIDE * 3, adl_range_fit_input(fit));
        adl_range_fit_observe(fit);
    }
    struct adl_quantisation *q = adl_range_fit_finish(fit, &err);
    TEST_OK(q ? 0 : -1, &err);
    float *want = features(graph, params, NULL, ADL_PRECISION_F32, &count, &steps);
    adl_range_fit_round(fit, q, NULL, params);
    adl_range_fit_free(fit);
    float *got = features(graph, params, q, ADL_PRECISION_INT8, &count, &steps);
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - (double)want[i], 2);
        size += pow((double)want[i], 2);
    }
    if (!(sqrt(error / size) < 0.2) || steps < least)
        TEST_FAIL("%s: relative error %.3f, %d steps in 8 bits", name, sqrt(error / size), steps);
    adl_free(want);
    adl_free(got);
    adl_quantisation_free(q);
    for (int i = 0; i < adl_graph_param_count(graph); i++)
        adl_free(params[i]);
    adl_free(params);
    adl_graph_free(graph);
}

static void mobilenet_v1(void)
{
    check("mobilenet_v1_100_relu6_cam", 26);
}
TEST_SLOW(mobilenet_v1);

static void resnet50_se(void)
{
    check("resnet50_se_adl", 30);
}
TEST_SLOW(resnet50_se);
TEST_UNWATCHED(resnet50_se);

static void inception_v3(void)
{
    check("inception_v3_cam", 20);
}
TEST_SLOW(inception_v3);
TEST_UNWATCHED(inception_v3);

TEST_SUITE(backbones_int8, {"mobilenet_v1", mobilenet_v1}, {"resnet50_se", resnet50_se},
           {"inception_v3", inception_v3});
