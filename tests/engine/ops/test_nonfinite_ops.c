/* ops/: where NaN, infinities and zeros come out of each op, forward and backward, on every
 * instruction set that this machine has and in plain C, against PyTorch. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/str.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/oracle.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT
enum { BATCH = 2, SIDE = 5, CHANNELS = 9, COUNT = BATCH * SIDE * SIDE * CHANNELS };

static int build_relu(struct adl_graph *g)
{
    return adl_relu(g, X, "relu");
}

static int build_relu6(struct adl_graph *g)
{
    return adl_relu6(g, X, "relu6");
}

static int build_sigmoid(struct adl_graph *g)
{
    return adl_sigmoid(g, X, "sigmoid");
}

static int build_maxpool(struct adl_graph *g)
{
    return adl_maxpool(g, X, "pool", (struct adl_pool_attr){.size = 3, .stride = 2, .pad = 1});
}

static int build_avgpool(struct adl_graph *g)
{
    return adl_avgpool(g, X, "pool", (struct adl_pool_attr){.size = 2, .stride = 2});
}

static int build_global(struct adl_graph *g)
{
    return adl_global_avgpool(g, X, "gap");
}

static int build_linear(struct adl_graph *g)
{
    return adl_linear(g, adl_global_avgpool(g, X, "gap"), "fc", 4, true);
}

static int build_add(struct adl_graph *g)
{
    return adl_relu(g, adl_add(g, X, adl_sigmoid(g, X, "sigmoid"), "add"), "relu");
}

static int build_concat(struct adl_graph *g)
{
    return adl_concat(g, (int[]){X, adl_relu(g, X, "relu")}, 2, "concat");
}

static int build_scale(struct adl_graph *g)
{
    return adl_scale(g, X, adl_sigmoid(g, adl_global_avgpool(g, X, "gap"), "gate"), "scale");
}

static int build_batchnorm(struct adl_graph *g)
{
    return adl_relu(g, adl_batchnorm(g, X, "bn", 1e-5), "relu");
}

static int build_adl(struct adl_graph *g)
{
    return test_adl_layer(g, X, "adl");
}

static int build_gate(struct adl_graph *g)
{
    return adl_gate(g, X, adl_sigmoid(g, X, "sigmoid"), "gate", false);
}

static int build_gate_plus_one(struct adl_graph *g)
{
    return adl_gate(g, X, adl_sigmoid(g, X, "sigmoid"), "gate", true);
}

static int build_upsample(struct adl_graph *g)
{
    return adl_upsample(g, build_avgpool(g), X, "up");
}

static int build_channelpool(struct adl_graph *g)
{
    return adl_channelpool(g, X, "channels");
}

/* The map of class 0, which is the label of every image. */
static int build_erase(struct adl_graph *g)
{
    return adl_erase(g, X, X, adl_global_avgpool(g, X, "gap"), "erase",
                     (struct adl_erase_attr){.threshold = 0.5});
}

/* The union passes no gradient, so the input is added to it. */
static int build_union(struct adl_graph *g)
{
    int maps[] = {X, adl_relu(g, X, "relu")};
    return adl_add(g, adl_map_union(g, maps, 2, "union"), X, "add");
}

static const struct op_case {
    const char *name;
    int (*build)(struct adl_graph *graph);
    enum adl_draw draw;
    bool training_only; /* inference computes something else */
} cases[] = {
    {"relu", build_relu, 0, false},
    {"relu6", build_relu6, 0, false},
    {"sigmoid", build_sigmoid, 0, false},
    {"maxpool", build_maxpool, 0, false},
    {"avgpool", build_avgpool, 0, false},
    {"global average", build_global, 0, false},
    {"linear", build_linear, 0, false},
    {"add, relu", build_add, 0, false},
    {"concat", build_concat, 0, false},
    {"scale", build_scale, 0, false},
    {"batch norm, relu", build_batchnorm, 0, true},
    {"drop mask", build_adl, ADL_DRAW_DROP, true},
    {"importance map", build_adl, ADL_DRAW_IMPORTANCE, true},
    {"gate", build_gate, 0, false},
    {"gate, plus one", build_gate_plus_one, 0, false},
    {"upsample", build_upsample, 0, false},
    {"channelpool", build_channelpool, 0, false},
    {"erase", build_erase, 0, true},
    {"map union", build_union, 0, false},
};

static float number_of(char code)
{
    return code == 'n' ? NAN : code == '+' ? INFINITY : -INFINITY;
}

static char code_of(float v)
{
    return (char)(isnan(v) ? 'n' : isinf(v) ? v > 0 ? '+' : '-' : v == 0 ? '0' : '.');
}

/* The kinds of the values of a batch of maps, which the file has as N x C x H x W. */
static void compare(const char *what, const char *want, const float *nhwc, struct adl_shape shape)
{
    size_t count = BATCH * adl_shape_count(shape), wrong = 0;
    float *nchw = adl_malloc(count, sizeof *nchw);
    train_step_to_nchw(nhwc, BATCH, shape, nchw);
    CU_ASSERT_EQUAL_FATAL(strlen(want), count);
    for (size_t i = 0; i < count; i++)
        if (code_of(nchw[i]) != want[i] && wrong++ == 0)
            TEST_FAIL("%s: element %zu is %g, want %c", what, i, (double)nchw[i], want[i]);
    CU_ASSERT_EQUAL(wrong, 0);
    adl_free(nchw);
}

static float *source(const json_t *golden)
{
    float nchw[COUNT], *nhwc = adl_malloc(COUNT, sizeof *nhwc);
    const char *place;
    json_t *kind;
    for (int i = 0; i < COUNT; i++)
        nchw[i] = (float)(i * 7919 % 1021 - 510) / 255.25f + 0.001f;
    json_object_foreach(golden_get(golden, "planted"), place, kind) nchw[atoi(place)] =
        number_of(*json_string_value(kind));
    train_step_to_nhwc(nchw, BATCH, (struct adl_shape){SIDE, SIDE, CHANNELS}, nhwc);
    return nhwc;
}

static float *cotangent_of(struct adl_shape shape)
{
    size_t count = BATCH * adl_shape_count(shape);
    float *nchw = adl_malloc(count, sizeof *nchw), *nhwc = adl_malloc(count, sizeof *nhwc);
    for (size_t i = 0; i < count; i++)
        nchw[i] = (float)((int)i * 31 % 97 - 48) / 24.25f + 0.001f;
    train_step_to_nhwc(nchw, BATCH, shape, nhwc);
    adl_free(nchw);
    return nhwc;
}

static void check_inference(const struct train_step *step, const char *what, const char *want,
                            const float *x)
{
    struct adl_error err = {0};
    struct adl_shape shape = adl_graph_value(step->graph, train_step_output(step))->shape;
    float **plain = oracle_run(step->graph, step->params, x, BATCH);
    compare(what, want, plain[train_step_output(step)], shape);
    oracle_free(step->graph, plain);

    struct adl_plan_options options = {.input_h = SIDE, .input_w = SIDE};
    struct adl_plan *plan =
        adl_plan_create(step->graph, (const float *const *)step->params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, BATCH, &err) : NULL;
    float *out = adl_malloc(BATCH * adl_shape_count(shape), sizeof *out);
    TEST_OK(session ? 0 : -1, &err);
    for (int n = 0; session && n < BATCH; n++)
        memcpy(adl_session_input(session, n), x + (ptrdiff_t)n * COUNT / BATCH,
               COUNT / BATCH * sizeof *x);
    if (session)
        adl_session_run(session, BATCH);
    for (int n = 0; session && n < BATCH; n++)
        memcpy(out + (size_t)n * adl_shape_count(shape),
               adl_session_output(session, ADL_OUTPUT_LOGITS, n),
               adl_shape_count(shape) * sizeof *out);
    if (session)
        compare(what, want, out, shape);
    adl_free(out);
    adl_session_free(session);
    adl_plan_unref(plan);
}

/* Weights 1 and biases 0, as in the file. */
static void plain_batchnorm(const struct train_step *step)
{
    for (int i = 0; i < adl_graph_param_count(step->graph); i++) {
        const struct adl_param *param = adl_graph_param(step->graph, i);
        for (size_t j = 0; j < param->count; j++)
            if (param->role == ADL_PARAM_BN_WEIGHT)
                step->params[i][j] = 1;
            else if (param->role == ADL_PARAM_BN_BIAS)
                step->params[i][j] = 0;
    }
}

static void check_op(const struct op_case *c, enum adl_isa isa, const json_t *results,
                     const float *x)
{
    struct adl_train_mode mode = {.bn_momentum = 0.1,
                                  .method_layers = true,
                                  .method_values = test_adl_values(c->draw, 0.5, 0.75)};
    struct train_step step;
    char what[96];
    struct adl_graph *g = train_step_begin(SIDE, SIDE, CHANNELS);
    if (!g || train_step_open(&step, g, c->build(g), BATCH, 2) < 0)
        return;
    plain_batchnorm(&step);
    struct adl_shape shape = adl_graph_value(g, train_step_output(&step))->shape;
    float *cotangent = cotangent_of(shape);
    const char *output = golden_string(results, "output");
    snprintf(what, sizeof what, "%s at inference, %s", c->name, adl_isa_name(isa));
    if (!c->training_only)
        check_inference(&step, what, output, x);
    train_step_run(&step, x, cotangent, &mode);
    snprintf(what, sizeof what, "%s in training, %s", c->name, adl_isa_name(isa));
    compare(what, output, train_step_result(&step), shape);
    snprintf(what, sizeof what, "gradient of %s, %s", c->name, adl_isa_name(isa));
    compare(what, golden_string(results, "grad"), train_step_grad_input(&step),
            (struct adl_shape){SIDE, SIDE, CHANNELS});
    adl_free(cotangent);
    train_step_close(&step);
}

static void ops_propagate(void)
{
    const char *forced = getenv("ADL_CPU");
    char *kept = forced ? adl_strdup(forced) : NULL;
    json_t *golden = golden_load("methods/nonfinite.json"), *results;
    float *x = source(golden);
    size_t i;
    for (enum adl_isa isa = ADL_ISA_GENERIC; isa <= ADL_ISA_AVX512; isa++) {
        if (!adl_isa_available(isa))
            continue;
        setenv("ADL_CPU", adl_isa_name(isa), 1);
        json_array_foreach(golden_get(golden, "cases"), i, results)
        {
            CU_ASSERT_STRING_EQUAL_FATAL(golden_string(results, "name"), cases[i].name);
            check_op(&cases[i], isa, results, x);
        }
    }
    if (kept)
        setenv("ADL_CPU", kept, 1);
    else
        unsetenv("ADL_CPU");
    adl_free(kept);
    adl_free(x);
    json_decref(golden);
}

TEST_SUITE(nonfinite_ops, {"NaN and infinities come out where PyTorch has them", ops_propagate});
