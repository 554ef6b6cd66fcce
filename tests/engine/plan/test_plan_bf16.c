/* Plans with weights in bfloat16: what they compute is what float32 computes with the rounded
 * weights, up to its rounding errors; they take less memory, and have the same bits however they
 * run. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/bf16.h"
#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/plan_run.h"

#define SIDE 20
#define IMAGES 3

/* Kernels for which there is an algorithm in bfloat16 and some for which there is none: depthwise,
 * few channels, a linear layer. */
static struct adl_graph *network(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
    struct adl_conv_attr depthwise = adl_conv_centred(32, 3, 3, 1);
    depthwise.groups = 32;

    int x = test_conv_block(g, 0, "stem", adl_conv_centred(32, 3, 3, 1));
    x = test_conv_block(g, x, "depthwise", depthwise);
    x = test_conv_block(g, x, "wide", adl_conv_centred(160, 1, 1, 1));
    int y =
        adl_batchnorm(g, adl_conv(g, x, "side", adl_conv_centred(160, 3, 3, 1)), "side_bn", 0.1);
    x = adl_relu(g, adl_add(g, y, x, "sum"), "sum_relu");
    x = test_conv_block(g, x, "halved", adl_conv_centred(200, 3, 3, 2));
    x = test_conv_block(g, x, "last", adl_conv_centred(70, 1, 1, 1));
    test_plan_classifier(g, x);
    return g;
}

struct scene {
    struct adl_graph *graph;
    float **params; /* rounded */
};

static void open_scene(struct scene *s)
{
    s->graph = network();
    s->params = test_plan_params(s->graph, 0.3);
    for (int i = 0; i < adl_graph_param_count(s->graph); i++) {
        const struct adl_param *p = adl_graph_param(s->graph, i);
        for (size_t j = 0; adl_quantisation_takes_bf16(p) && j < p->count; j++)
            s->params[i][j] = adl_bf16_to_float(adl_bf16_from_float(s->params[i][j]));
    }
}

static void close_scene(struct scene *s)
{
    test_plan_params_free(s->graph, s->params);
    adl_graph_free(s->graph);
}

static struct adl_plan *make_plan(const struct scene *s, enum adl_precision precision,
                                  unsigned disabled)
{
    struct adl_error err = {0};
    const struct adl_plan_options options = {
        .input_h = SIDE, .input_w = SIDE, .disabled = disabled, .precision = precision};
    struct adl_plan *plan =
        adl_plan_create(s->graph, (const float *const *)s->params, &options, &err);
    TEST_OK(plan ? 0 : -1, &err);
    return plan;
}

static void fill(float *input, int image)
{
    formula_param("image", 0, image == 0 ? 2 : 1, (size_t)SIDE * SIDE * 3, input);
}

static float *run(struct adl_plan *plan, int threads, int batch, size_t *count)
{
    return test_plan_features(plan, threads, batch, fill, count);
}

/* Returns how many steps have an algorithm with `name` in its name. */
static int steps_named(const struct adl_plan *plan, const char *name)
{
    int count = 0;
    for (int i = 0; i < adl_plan_step_count(plan); i++) {
        struct adl_step_info info;
        adl_plan_step_info(plan, i, &info);
        count += strstr(info.kernel, name) != NULL;
    }
    return count;
}

/* Algorithms differ between both plans, so the errors are those of sums in float32; where the
 * processor multiplies bfloat16, those of rounded maps. */
static void it_computes_what_float32_does_with_these_weights(void)
{
    struct scene s;
    size_t count, floats = 0;
    open_scene(&s);
    struct adl_plan *plan = make_plan(&s, ADL_PRECISION_BF16, 0);
    struct adl_plan *reference = make_plan(&s, ADL_PRECISION_F32, 0);
    float *got = run(plan, 1, 1, &count), *want = run(reference, 1, 1, &count);
    double most = 0, bound = steps_named(plan, "dot-bf16") ? 1e-2 : 1e-5;

    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= bound * most)) {
            TEST_FAIL("value %zu is %g, not %g", i, (double)got[i], (double)want[i]);
            break;
        }
    for (int i = 0; i < adl_graph_param_count(s.graph); i++)
        floats += adl_graph_param(s.graph, i)->count;
    if (strcmp(adl_plan_isa_name(plan), "generic") != 0) {
        CU_ASSERT(steps_named(plan, "bf16") >= 1);
        /* Panels are padded, and some steps stay in float32. */
        CU_ASSERT(adl_plan_weight_bytes(plan) < 5 * floats);
        CU_ASSERT(adl_plan_weight_bytes(plan) < adl_plan_weight_bytes(reference));
    }
    CU_ASSERT_EQUAL(steps_named(reference, "bf16"), 0);
    adl_free(got);
    adl_free(want);
    adl_plan_unref(plan);
    adl_plan_unref(reference);
    close_scene(&s);
}

static void the_bits_are_the_same_however_it_runs(void)
{
    static const unsigned disabled[] = {0, ADL_PASS_PLACE, ADL_PASS_CONCAT};
    struct scene s;
    size_t count;
    open_scene(&s);
    struct adl_plan *plan = make_plan(&s, ADL_PRECISION_BF16, 0);
    float *want = run(plan, 1, 1, &count);

    for (size_t i = 0; i < ADL_COUNT(disabled); i++)
        for (int threads = 1; threads <= 3; threads += 2)
            for (int batch = 1; batch <= IMAGES; batch++) {
                struct adl_plan *other = make_plan(&s, ADL_PRECISION_BF16, disabled[i]);
                float *got = run(other, threads, batch, &count);
                CU_ASSERT_EQUAL(memcmp(got, want, count * sizeof *got), 0);
                adl_free(got);
                adl_plan_unref(other);
            }
    adl_free(want);
    adl_plan_unref(plan);
    close_scene(&s);
}

/* A plan made from another shares its packed weights. */
static void resized_plans_keep_the_weights(void)
{
    struct adl_error err = {0};
    struct scene s;
    size_t count;
    open_scene(&s);
    struct adl_plan *base = make_plan(&s, ADL_PRECISION_BF16, 0);
    struct adl_plan *same = adl_plan_resize(base, s.graph, SIDE, SIDE, &err);
    TEST_OK(same ? 0 : -1, &err);
    float *want = run(base, 1, 1, &count), *got = run(same, 2, 1, &count);
    CU_ASSERT_EQUAL(memcmp(got, want, count * sizeof *got), 0);
    CU_ASSERT_EQUAL(adl_plan_weight_bytes(same), 0);
    CU_ASSERT_EQUAL(steps_named(same, "bf16"), steps_named(base, "bf16"));
    adl_free(want);
    adl_free(got);
    adl_plan_unref(same);
    adl_plan_unref(base);
    close_scene(&s);
}

TEST_SUITE(plan_bf16,
           {"it computes what float32 does with these weights",
            it_computes_what_float32_does_with_these_weights},
           {"the bits are the same however it runs", the_bits_are_the_same_however_it_runs},
           {"resized plans keep the weights", resized_plans_keep_the_weights});
