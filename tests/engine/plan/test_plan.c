/* plan/ and base/pool: each pass keeps the result, memory is never shared by
 * living values, running out of memory is an error. */

#include "support/test.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/methods.h"
#include "support/oracle.h"
#include "support/plan_run.h"
#include "support/step_graphs.h"

/* 3x3 with bias, to k channels of the same size. */
static struct adl_conv_attr conv3(int k)
{
    struct adl_conv_attr conv = step_conv3(k);
    conv.bias = true;
    return conv;
}

/* The ops of the attention networks on a map of 12 channels: a batch norm after a linear layer,
 * gates with a residual and without, a dilated convolution, and a map enlarged to the size of x. */
static int attention(struct adl_graph *g, int x)
{
    struct adl_conv_attr c1 = {.k = 12, .r = 1, .s = 1, .stride = 1};
    struct adl_conv_attr one = {.k = 1, .r = 1, .s = 1, .stride = 1};
    struct adl_conv_attr dilated = conv3(12);
    dilated.dilation = 2;
    dilated.pad_top = dilated.pad_left = dilated.pad_bottom = dilated.pad_right = 2;
    int v = adl_linear(g, adl_global_avgmaxpool(g, x, "pools"), "mlp", 12, true);
    v = adl_relu(g, adl_batchnorm(g, v, "mlp_bn", 1e-3), "mlp_relu");
    v = adl_global_sumpool(g, v, "mlp_sum");
    int p = adl_conv(g, adl_channelpool(g, x, "channels"), "channels_conv", one);
    p = adl_sigmoid(g, p, "pixel_gate");
    int weighted =
        adl_relu(g, adl_add(g, adl_gate(g, x, p, "pixels", false), x, "pixels_add"), "pixels_relu");
    int outer = adl_sigmoid(g, adl_gate(g, v, p, "outer", false), "outer_sigmoid");
    x = adl_gate(g, weighted, outer, "elements", true);
    int small = adl_maxpool(g, x, "small", (struct adl_pool_attr){3, 2, 1, false});
    small = adl_conv(g, adl_conv(g, small, "small_dilated", dilated), "small_conv", c1);
    return adl_relu6(g, adl_add(g, adl_upsample(g, small, x, "large"), x, "large_add"),
                     "large_relu");
}

/* A small network with every kind of op: a residual with a convolution on each
 * side, squeeze and excitation, branches joined twice over, a value used both
 * in a branch and beside it, ADL and dropout in the middle, grouped and
 * depthwise convolutions, activations that are curves. */
static struct adl_graph *every_op_strided(int h, int w, int stem_stride, int pool_stride,
                                          struct adl_error *err)
{
    struct adl_graph *g = adl_graph_create((struct adl_shape){h, w, 3}, err);
    if (!g)
        return NULL;
    struct adl_conv_attr c3 = conv3(12);
    struct adl_conv_attr c1 = {.k = 12, .r = 1, .s = 1, .stride = 1};
    struct adl_conv_attr same = {.k = 12, .r = 3, .s = 3, .stride = stem_stride, .tf_same = true};

    int x = adl_relu(g, adl_batchnorm(g, adl_conv(g, 0, "stem", same), "stem_bn", 1e-3), "stem_x");
    int a = adl_batchnorm(g, adl_conv(g, x, "a", c3), "a_bn", 1e-5);
    int b = adl_batchnorm(g, adl_conv(g, x, "b", c1), "b_bn", 1e-5);
    x = test_adl_layer(g, adl_relu(g, adl_add(g, a, b, "ab"), "ab_relu"), "adl");

    int squeeze = adl_global_avgpool(g, x, "squeeze");
    int gate = adl_relu(g, adl_linear(g, squeeze, "fc1", 4, true), "fc1_relu");
    gate = adl_sigmoid(g, adl_linear(g, gate, "fc2", 12, true), "gate");
    x = adl_relu6(g, adl_add(g, adl_scale(g, x, gate, "scaled"), x, "se"), "se_relu");

    x = attention(g, x);

    struct adl_conv_attr depthwise = c3;
    depthwise.groups = 12;
    struct adl_conv_attr grouped = c3;
    grouped.groups = 3;
    grouped.k = 9;
    const struct adl_elementwise_attr none = {0};
    int branches[4] = {
        adl_elementwise(g, adl_conv(g, x, "branch0", grouped), "branch0_silu", &adl_op_silu, none),
        adl_relu6(g, adl_conv(g, x, "branch1", depthwise), "branch1_relu"),
        adl_avgpool(g, x, "branch2", (struct adl_pool_attr){3, 1, 1, false}),
        x,
    };
    int joined = adl_concat(g, branches, 4, "joined");
    int twice[2] = {adl_dropout(g, joined, "dropout", 0.5), branches[0]};
    x = adl_concat(g, twice, 2, "twice");
    x = adl_maxpool(g, x, "pool", (struct adl_pool_attr){3, pool_stride, 1, true});
    x = adl_elementwise(g, adl_conv(g, x, "swished", c3), "swish", &adl_op_hard_swish, none);
    x = adl_relu(g, adl_conv(g, x, "last", c3), "last_relu");
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    int logits = adl_linear(g, adl_global_avgpool(g, x, "gap"), "fc", 5, true);
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_classifier(g, adl_graph_find_param(g, "fc.weight"));
    if (adl_graph_finish(g, err) < 0) {
        adl_graph_free(g);
        return NULL;
    }
    return g;
}

static struct adl_graph *every_op(int h, int w, struct adl_error *err)
{
    return every_op_strided(h, w, 2, 2, err);
}

static void close_graph(struct adl_graph *g, float **params)
{
    test_plan_params_free(g, params);
    adl_graph_free(g);
}

/* Returns the graph of every op for side x side pixels and sets its parameters; close_graph() frees
 * both. */
static struct adl_graph *open_graph(int side, float ***params)
{
    struct adl_error err = {0};
    struct adl_graph *g = every_op(side, side, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(g);
    *params = test_plan_params(g, 0.3);
    return g;
}

static void compare_output(const char *what, const struct adl_graph *g,
                           const struct adl_session *session, enum adl_output which,
                           float *const *oracle)
{
    int value = adl_graph_output(g, which);
    size_t count = adl_shape_count(adl_graph_value(g, value)->shape);
    double *want = adl_malloc(count, sizeof *want);
    for (size_t i = 0; i < count; i++)
        want[i] = (double)oracle[value][i];
    test_close(what, adl_session_output(session, which, 0), want, count, 2e-5);
    adl_free(want);
}

static void passes_keep_the_result(void)
{
    struct adl_error err = {0};
    static const int sizes[][2] = {{32, 32}, {17, 23}, {9, 5}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int h = sizes[s][0], w = sizes[s][1];
        struct adl_graph *g = every_op(h, w, &err);
        TEST_OK(g ? 0 : -1, &err);
        if (!g)
            return;
        float **params = test_plan_params(g, 0.3);
        size_t count = (size_t)(h * w * 3);
        float *input = adl_malloc(count, sizeof *input);
        formula_param("input", 0, 1, count, input);
        float **oracle = oracle_run(g, params, input, 1);

        /* Every subset of the passes. */
        for (unsigned without = 0; without < 64; without++) {
            struct adl_plan_options options = {.input_h = h, .input_w = w, .disabled = without};
            struct adl_plan *plan =
                adl_plan_create(g, (const float *const *)params, &options, &err);
            struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
            TEST_OK(session ? 0 : -1, &err);
            if (session) {
                char what[64];
                snprintf(what, sizeof what, "%dx%d without passes %#x", h, w, without);
                memcpy(adl_session_input(session, 0), input, count * sizeof *input);
                adl_session_run(session, 1);
                adl_session_run(session, 1); /* nothing may be left over from a run */
                compare_output(what, g, session, ADL_OUTPUT_FEATURES, oracle);
                compare_output(what, g, session, ADL_OUTPUT_LOGITS, oracle);
            }
            adl_session_free(session);
            adl_plan_unref(plan);
        }
        oracle_free(g, oracle);
        adl_free(input);
        close_graph(g, params);
    }
}

/* Sets of passes that are left out. */
static const unsigned disabled[] = {0, 63, ADL_PASS_CONCAT, ADL_PASS_FUSE | ADL_PASS_PLACE};

/* Plans the graph of every op for 16x16 pixels. */
static struct adl_plan *plan_16x16(const struct adl_graph *g, float *const *params,
                                   unsigned without)
{
    struct adl_error err = {0};
    const struct adl_plan_options options = {.input_h = 16, .input_w = 16, .disabled = without};
    struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
    TEST_OK(plan ? 0 : -1, &err);
    return plan;
}

/* A plan for one size, used for others, whatever its passes were. */
static void resizing_keeps_the_result(void)
{
    struct adl_error err = {0};
    static const int sizes[][2] = {{32, 32}, {17, 23}, {9, 5}, {70, 41}};
    float **params;
    struct adl_graph *from = open_graph(16, &params);

    for (size_t d = 0; d < ADL_COUNT(disabled); d++) {
        struct adl_plan *base = plan_16x16(from, params, disabled[d]);
        for (size_t s = 0; base && s < ADL_COUNT(sizes); s++) {
            int h = sizes[s][0], w = sizes[s][1];
            struct adl_graph *g = every_op(h, w, &err);
            size_t count = (size_t)(h * w * 3);
            float *input = adl_malloc(count, sizeof *input);
            formula_param("input", 0, 1, count, input);
            float **oracle = oracle_run(g, params, input, 1);
            struct adl_plan *plan = adl_plan_resize(base, s % 2 ? from : g, h, w, &err);
            struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
            TEST_OK(session ? 0 : -1, &err);
            if (session) {
                memcpy(adl_session_input(session, 0), input, count * sizeof *input);
                adl_session_run(session, 1);
                compare_output("resized", g, session, ADL_OUTPUT_FEATURES, oracle);
                compare_output("resized", g, session, ADL_OUTPUT_LOGITS, oracle);
            }
            adl_session_free(session);
            adl_plan_unref(plan);
            oracle_free(g, oracle);
            adl_free(input);
            adl_graph_free(g);
        }
        adl_plan_unref(base);
    }
    close_graph(from, params);
}

/* The map is that of the network with other strides, the logits are those of the first, whether
 * the two part near the end or at the beginning, and whatever the passes were. */
static void two_ends_are_two_networks(void)
{
    struct adl_error err = {0};
    static const int strides[][2] = {{2, 1}, {1, 2}};
    static const int sizes[][2] = {{32, 32}, {17, 23}, {70, 41}};
    float **params;
    struct adl_graph *from = open_graph(16, &params);

    for (size_t d = 0; d < ADL_COUNT(disabled); d++) {
        struct adl_plan *base = plan_16x16(from, params, disabled[d]);
        for (size_t s = 0; base && s < ADL_COUNT(sizes) * ADL_COUNT(strides); s++) {
            int h = sizes[s / 2][0], w = sizes[s / 2][1];
            struct adl_graph *of_logits = every_op(h, w, &err);
            struct adl_graph *of_map =
                every_op_strided(h, w, strides[s % 2][0], strides[s % 2][1], &err);
            size_t count = (size_t)(h * w * 3);
            float *input = adl_malloc(count, sizeof *input);
            formula_param("input", 0, 1, count, input);
            float **logits = oracle_run(of_logits, params, input, 1);
            float **map = oracle_run(of_map, params, input, 1);
            struct adl_plan *plan = adl_plan_with_map(base, of_map, h, w, &err);
            struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
            TEST_OK(session ? 0 : -1, &err);
            if (session) {
                struct adl_str text = {0};
                memcpy(adl_session_input(session, 0), input, count * sizeof *input);
                adl_session_run(session, 1);
                compare_output("two ends", of_map, session, ADL_OUTPUT_FEATURES, map);
                compare_output("two ends", of_logits, session, ADL_OUTPUT_LOGITS, logits);
                adl_plan_dump(plan, &text);
                CU_ASSERT(text.data && !text.failed);
                adl_str_release(&text);
            }
            adl_session_free(session);
            adl_plan_unref(plan);
            oracle_free(of_logits, logits);
            oracle_free(of_map, map);
            adl_free(input);
            adl_graph_free(of_logits);
            adl_graph_free(of_map);
        }
        adl_plan_unref(base);
    }
    close_graph(from, params);
}

static void resizing_fails_cleanly(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = every_op(16, 16, &err);
    struct adl_graph *halved = every_op_strided(16, 16, 2, 1, &err);
    struct adl_graph *other = adl_graph_create((struct adl_shape){16, 16, 3}, &err);
    float **params = test_plan_params(g, 0.3);
    struct adl_plan_options options = {.input_h = 16, .input_w = 16};
    struct adl_plan *base = adl_plan_create(g, (const float *const *)params, &options, &err);
    TEST_OK(base && other ? 0 : -1, &err);

    CU_ASSERT_PTR_NULL(adl_plan_resize(base, other, 16, 16, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_INTERNAL);
    adl_error_clear(&err);
    CU_ASSERT_PTR_NULL(adl_plan_resize(base, g, 0, 16, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);

    size_t before = adl_mem_stats().live_blocks;
    struct adl_session *session = NULL;
    for (uint64_t n = 1; !session; n++) {
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        struct adl_plan *plan = adl_plan_with_map(base, halved, 24, 20, &err);
        session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
        adl_mem_fail_nth(0);
        adl_plan_unref(plan);
        CU_ASSERT(session || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    adl_plan_unref(base);
    adl_session_free(session);
    adl_graph_free(other);
    adl_graph_free(halved);
    close_graph(g, params);
}

/* Convolutions that Winograd's algorithm is fastest for, with weights of several
 * times their size: some get smaller ones, and the result is the same. */
static void packed_weights_are_limited(void)
{
    struct adl_error err = {0};
    struct adl_conv_attr c3 = conv3(64);
    struct adl_graph *g = adl_graph_create((struct adl_shape){14, 14, 3}, &err);
    int x = adl_conv(g, 0, "first", c3);
    x = adl_relu(g, adl_conv(g, x, "second", c3), "second_relu");
    x = adl_relu(g, adl_conv(g, x, "third", c3), "third_relu");
    x = adl_conv(g, x, "fourth", c3);
    adl_graph_set_output(g, ADL_OUTPUT_FEATURES, x);
    TEST_OK(adl_graph_finish(g, &err), &err);
    float **params = test_plan_params(g, 0.3), input[14 * 14 * 3];
    formula_param("input", 0, 1, ADL_COUNT(input), input);
    float **oracle = oracle_run(g, params, input, 1);

    struct adl_plan_options options = {.input_h = 14, .input_w = 14};
    struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    if (session) {
        size_t floats = 0;
        int ahead = 0, compact = 0;
        for (int i = 0; i < adl_graph_param_count(g); i++)
            floats += adl_graph_param(g, i)->count;
        for (int i = 0; i < adl_plan_step_count(plan); i++) {
            struct adl_step_info info;
            adl_plan_step_info(plan, i, &info);
            ahead += strcmp(info.kernel, "winograd6") == 0 || strcmp(info.kernel, "winograd8") == 0;
            compact += strncmp(info.kernel, "winograd", 8) == 0 && strchr(info.kernel, 'c');
        }
        CU_ASSERT((double)adl_plan_weight_bytes(plan) < 3.35 * (double)(floats * sizeof(float)));
        if (strcmp(adl_plan_isa_name(plan), "generic") != 0)
            CU_ASSERT(ahead > 0 && compact > 0);
        memcpy(adl_session_input(session, 0), input, sizeof input);
        adl_session_run(session, 1);
        compare_output("small weights", g, session, ADL_OUTPUT_FEATURES, oracle);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    oracle_free(g, oracle);
    close_graph(g, params);
}

/* Each once, and overwritten then. */
struct released {
    const struct adl_graph *graph;
    float **params;
    int *times;
};

static void overwrite(void *context, int param)
{
    struct released *released = context;
    for (size_t i = 0; i < adl_graph_param(released->graph, param)->count; i++)
        released->params[param][i] = NAN;
    released->times[param]++;
}

static void released_parameters_are_not_read_again(void)
{
    struct adl_error err = {0};
    int h = 17, w = 23;
    struct adl_graph *g = every_op(h, w, &err);
    float **params = test_plan_params(g, 0.3);
    int count = adl_graph_param_count(g);
    size_t pixels = (size_t)(h * w * 3);
    struct released released = {g, params, adl_calloc((size_t)count, sizeof(int))};
    float *input = adl_malloc(pixels, sizeof *input);
    formula_param("input", 0, 1, pixels, input);
    float **oracle = oracle_run(g, params, input, 1);

    struct adl_pool *pool = adl_pool_create(3, &err);
    struct adl_plan_options options = {.input_h = h,
                                       .input_w = w,
                                       .pool = pool,
                                       .release = overwrite,
                                       .release_context = &released};
    struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    if (session) {
        memcpy(adl_session_input(session, 0), input, pixels * sizeof *input);
        adl_session_run(session, 1);
        compare_output("parameters released", g, session, ADL_OUTPUT_LOGITS, oracle);
    }
    for (int i = 0; i < count; i++) {
        enum adl_param_role role = adl_graph_param(g, i)->role;
        bool large = role == ADL_PARAM_CONV_WEIGHT || role == ADL_PARAM_LINEAR_WEIGHT;
        CU_ASSERT_EQUAL(released.times[i], large);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_pool_free(pool);
    oracle_free(g, oracle);
    adl_free(input);
    adl_free(released.times);
    close_graph(g, params);
}

static void plans_shrink(void)
{
    struct adl_error err = {0};
    float **params;
    struct adl_graph *g = open_graph(32, &params);
    struct adl_plan_options all = {.input_h = 32, .input_w = 32};
    struct adl_plan_options none = all;
    none.disabled =
        ADL_PASS_STRIP | ADL_PASS_FOLD | ADL_PASS_FUSE | ADL_PASS_CONCAT | ADL_PASS_PLACE;
    struct adl_plan *a = adl_plan_create(g, (const float *const *)params, &all, &err);
    struct adl_plan *b = adl_plan_create(g, (const float *const *)params, &none, &err);
    TEST_OK(a && b ? 0 : -1, &err);
    CU_ASSERT_EQUAL(adl_plan_step_count(b), adl_graph_node_count(g));
    /* Three batch norms, two residual additions, five activations, the ADL
     * layer, the dropout and the first join (its last piece is copied) go. */
    CU_ASSERT(adl_plan_step_count(a) <= adl_graph_node_count(g) - 12);
    CU_ASSERT(adl_plan_arena_bytes(a) < adl_plan_arena_bytes(b) / 2);
    struct adl_str text = {0};
    adl_plan_dump(a, &text);
    CU_ASSERT(strstr(text.data, "clamp[0, 6]") != NULL);
    adl_str_release(&text);
    adl_plan_unref(a);
    adl_plan_unref(b);
    close_graph(g, params);
}

/* Each allocation of building a graph, then of planning it, fails in turn. */
static void memory_runs_out(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = NULL;
    size_t before = adl_mem_stats().live_blocks;
    for (uint64_t n = 1; !g; n++) {
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        g = every_op(16, 16, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(g || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }

    float **params = test_plan_params(g, 0.3);
    struct adl_plan_options options = {.input_h = 16, .input_w = 16};
    struct adl_session *session = NULL;
    before = adl_mem_stats().live_blocks;
    for (uint64_t n = 1; !session; n++) {
        adl_error_clear(&err);
        adl_mem_fail_nth(n);
        struct adl_plan *plan = adl_plan_create(g, (const float *const *)params, &options, &err);
        session = plan ? adl_session_create(plan, NULL, 2, &err) : NULL;
        adl_mem_fail_nth(0);
        adl_plan_unref(plan);
        CU_ASSERT(session || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    adl_session_free(session);
    CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, before);
    close_graph(g, params);
}

static void impossible_inputs_are_refused(void)
{
    struct adl_error err = {0};
    float **params;
    struct adl_graph *g = open_graph(32, &params);
    CU_ASSERT_PTR_NULL(adl_plan_create(g, (const float *const *)params,
                                       &(struct adl_plan_options){.input_h = 0, .input_w = 5},
                                       &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    close_graph(g, params);

    adl_error_clear(&err);
    g = adl_graph_create((struct adl_shape){2, 2, 3}, &err);
    adl_conv(g, 0, "big", (struct adl_conv_attr){.k = 4, .r = 5, .s = 5, .stride = 1});
    adl_relu(g, -1, "after");
    CU_ASSERT_EQUAL(adl_graph_finish(g, &err), -1);
    CU_ASSERT(strstr(err.message, "big") && strstr(err.message, "5x5"));
    adl_graph_free(g);
}

static void cpu_paths_are_checked(void)
{
    struct adl_error err = {0};
    enum adl_isa isa;
    const char *was = getenv("ADL_CPU");
    char *saved = was ? adl_strdup(was) : NULL;
    setenv("ADL_CPU", "pentium", 1);
    CU_ASSERT_EQUAL(adl_isa_choose(ADL_ISA_AUTO, &isa, &err), -1);
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    adl_error_clear(&err);
    setenv("ADL_CPU", "generic", 1);
    TEST_OK(adl_isa_choose(ADL_ISA_AUTO, &isa, &err), &err);
    CU_ASSERT_EQUAL(isa, ADL_ISA_GENERIC);
    unsetenv("ADL_CPU");
    TEST_OK(adl_isa_choose(ADL_ISA_AUTO, &isa, &err), &err);
    CU_ASSERT(adl_isa_available(isa));
    if (saved)
        setenv("ADL_CPU", saved, 1);
    adl_free(saved);
}

/* --- the thread pool ------------------------------------------------------------ */

struct tally {
    _Atomic int seen[1000];
    _Atomic bool worker_out_of_range;
};

static void count_index(void *context, size_t i, int worker)
{
    struct tally *tally = context;
    if (worker < 0 || worker >= 3)
        tally->worker_out_of_range = true;
    atomic_fetch_add(&tally->seen[i], 1);
}

static void pool_runs_each_index_once(void)
{
    struct adl_error err = {0};
    struct adl_pool *pool = adl_pool_create(3, &err);
    TEST_OK(pool ? 0 : -1, &err);
    static struct tally tally;
    memset(&tally, 0, sizeof tally);
    static const size_t counts[] = {0, 1, 2, 3, 1000};
    int rounds = 200;
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            adl_pool_for(pool, counts[i], count_index, &tally);
    bool right = true;
    for (size_t i = 0; i < 1000; i++) {
        int want = 0;
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++)
            want += i < counts[j] ? rounds : 0;
        right &= tally.seen[i] == want;
    }
    CU_ASSERT(right && !tally.worker_out_of_range);
    adl_pool_free(pool);
    CU_ASSERT_PTR_NULL(adl_pool_create(0, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
}

TEST_SUITE(plan, {"every subset of the passes keeps the result", passes_keep_the_result},
           {"a plan keeps the result at other sizes", resizing_keeps_the_result},
           {"a plan with two ends gives the results of two networks", two_ends_are_two_networks},
           {"a plan that cannot be resized is an error", resizing_fails_cleanly},
           {"packed weights are limited", packed_weights_are_limited},
           {"released parameters are not read again", released_parameters_are_not_read_again},
           {"passes shorten the plan and its memory", plans_shrink},
           {"running out of memory at any allocation is an error", memory_runs_out},
           {"impossible inputs are refused by name", impossible_inputs_are_refused},
           {"ADL_CPU is checked", cpu_paths_are_checked},
           {"the pool runs each index once", pool_runs_each_index_once});
