/* plan/quantise, plan/step_int8 and eval/range_fit: a network in 8 bits stays close to the same
 * network in float32, has the same bits however it is run, and converts maps only where it has
 * to. */

#include "support/test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/range_fit.h"
#include "ops/ops.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/plan_run.h"

#define SIDE 20
#define IMAGES 3

/* Depthwise and 1x1 convolutions, a residual, signed maps, and branches with both kinds of pooling
 * that are joined; `pool_stride` is that of the last halving. */
static struct adl_graph *network(int pool_stride)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){SIDE, SIDE, 3}, &err);
    struct adl_conv_attr depthwise = adl_conv_centred(16, 3, 3, 1);
    depthwise.groups = 16;

    int x = test_conv_block(g, 0, "stem", adl_conv_centred(16, 3, 3, 1));
    x = test_conv_block(g, x, "depthwise", depthwise);
    x = test_conv_block(g, x, "pointwise", adl_conv_centred(40, 1, 1, 1));
    int y = adl_batchnorm(g, adl_conv(g, x, "side", adl_conv_centred(40, 1, 1, 1)), "side_bn", 0.1);
    x = adl_relu(g, adl_add(g, y, x, "sum"), "sum_relu");
    x = test_conv_block(g, x, "halved", adl_conv_centred(20, 3, 3, 2));
    int branches[4] = {
        test_conv_block(g, x, "branch0", adl_conv_centred(17, 1, 1, 1)),
        adl_avgpool(g, x, "branch1", (struct adl_pool_attr){3, 1, 1, false}),
        adl_maxpool(g, x, "branch2", (struct adl_pool_attr){3, 1, 1, false}),
        adl_conv(g, x, "branch3", adl_conv_centred(8, 1, 1, 1)),
    };
    x = adl_concat(g, branches, 4, "joined");
    x = adl_maxpool(g, x, "pool", (struct adl_pool_attr){2, pool_stride, 0, false});
    x = test_conv_block(g, x, "last", adl_conv_centred(24, 1, 1, 1));
    test_plan_classifier(g, x);
    return g;
}

struct scene {
    struct adl_graph *graph;
    float **params; /* rounded */
    struct adl_quantisation *quantisation;
};

static void fill(float *input, int image)
{
    char name[16];
    snprintf(name, sizeof name, "image%d", image);
    formula_param(name, 0, 2, SIDE * SIDE * 3, input);
}

static void open_scene(struct scene *s)
{
    struct adl_error err = {0};

    s->graph = network(2);
    s->params = test_plan_params(s->graph, 0.3);
    struct adl_range_fit *fit =
        adl_range_fit_create(s->graph, (const float *const *)s->params, SIDE, SIDE, &err);
    TEST_OK(fit ? 0 : -1, &err);
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            TEST_OK(adl_range_fit_begin_second(fit, &err), &err);
        for (int i = 0; i < IMAGES; i++) {
            fill(adl_range_fit_input(fit), i);
            adl_range_fit_observe(fit);
        }
    }
    s->quantisation = adl_range_fit_finish(fit, &err);
    TEST_OK(s->quantisation ? 0 : -1, &err);
    adl_range_fit_round(fit, s->quantisation, NULL, s->params);
    adl_range_fit_free(fit);
}

static void close_scene(struct scene *s)
{
    test_plan_params_free(s->graph, s->params);
    adl_quantisation_free(s->quantisation);
    adl_graph_free(s->graph);
}

static struct adl_plan *make_plan(const struct scene *s, bool int8, unsigned disabled)
{
    struct adl_error err = {0};
    const struct adl_plan_options options = {.input_h = SIDE,
                                             .input_w = SIDE,
                                             .disabled = disabled,
                                             .precision =
                                                 int8 ? ADL_PRECISION_INT8 : ADL_PRECISION_F32,
                                             .quantisation = s->quantisation,
                                             .all_int8 = true};
    struct adl_plan *plan =
        adl_plan_create(s->graph, (const float *const *)s->params, &options, &err);
    TEST_OK(plan ? 0 : -1, &err);
    return plan;
}

static float *run(struct adl_plan *plan, int threads, int batch, size_t *count)
{
    return test_plan_features(plan, threads, batch, fill, count);
}

static double relative_error(const float *got, const float *want, size_t count)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - (double)want[i], 2);
        size += pow((double)want[i], 2);
    }
    return sqrt(error / size);
}

static int count_kernels(const struct adl_plan *plan, const char *kernel)
{
    int count = 0;
    for (int i = 0; i < adl_plan_step_count(plan); i++) {
        struct adl_step_info info;
        adl_plan_step_info(plan, i, &info);
        count += !strcmp(info.kernel, kernel);
    }
    return count;
}

/* 8 bits have a signal-to-noise ratio of about 50 dB at best for each map; a few per cent after
 * nine layers of random weights. The map stays in bytes from the stem to the features. */
static void the_network_stays_close_and_in_bytes(void)
{
    struct scene s;
    size_t count;
    open_scene(&s);
    struct adl_plan *plan = make_plan(&s, true, 0), *reference = make_plan(&s, false, 0);
    float *got = run(plan, 1, 1, &count), *want = run(reference, 1, 1, &count);

    CU_ASSERT(relative_error(got, want, count) < 0.03);
    CU_ASSERT(relative_error(got, want, count) > 0);
    CU_ASSERT_EQUAL(count_kernels(plan, "int8"), 7);
    CU_ASSERT_EQUAL(count_kernels(plan, "to bytes"), 1);
    CU_ASSERT_EQUAL(count_kernels(plan, "to floats"), 0);
    CU_ASSERT_EQUAL(count_kernels(plan, "concat"), 0);
    CU_ASSERT_EQUAL(count_kernels(reference, "int8"), 0);
    CU_ASSERT_EQUAL(adl_plan_macs(plan), adl_plan_macs(reference));
    adl_free(got);
    adl_free(want);
    adl_plan_unref(plan);
    adl_plan_unref(reference);
    close_scene(&s);
}

/* Whatever the threads, the batch and the memory; also without slices of the joined map. */
static void the_bits_are_the_same_however_it_runs(void)
{
    static const unsigned disabled[] = {0, ADL_PASS_PLACE, ADL_PASS_CONCAT, ADL_PASS_PAIR};
    struct scene s;
    size_t count;
    open_scene(&s);
    struct adl_plan *plan = make_plan(&s, true, 0);
    float *want = run(plan, 1, 1, &count);

    for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++)
        for (int threads = 1; threads <= 3; threads += 2)
            for (int batch = 1; batch <= IMAGES; batch++) {
                struct adl_plan *other = make_plan(&s, true, disabled[i]);
                float *got = run(other, threads, batch, &count);
                CU_ASSERT_EQUAL(memcmp(got, want, count * sizeof *got), 0);
                adl_free(got);
                adl_plan_unref(other);
            }
    adl_free(want);
    adl_plan_unref(plan);
    close_scene(&s);
}

/* Steps that are not fused or folded run in float32, with conversions around them. */
static void float_steps_between_get_conversions(void)
{
    static const unsigned disabled[] = {ADL_PASS_FOLD, ADL_PASS_FUSE, ADL_PASS_FOLD | ADL_PASS_FUSE,
                                        ADL_PASS_STRIP};
    struct scene s;
    size_t count;
    open_scene(&s);
    struct adl_plan *reference = make_plan(&s, false, 0);
    float *want = run(reference, 1, 1, &count);

    for (size_t i = 0; i < sizeof disabled / sizeof *disabled; i++) {
        struct adl_plan *plan = make_plan(&s, true, disabled[i]);
        float *got = run(plan, 1, 1, &count);
        CU_ASSERT(relative_error(got, want, count) < 0.05);
        adl_free(got);
        adl_plan_unref(plan);
    }
    adl_free(want);
    adl_plan_unref(reference);
    close_scene(&s);
}

/* A plan of the same size made from another has its bits; one with a second end has the map of the
 * network with the other stride. */
static void plans_made_from_it_keep_the_bytes(void)
{
    struct adl_error err = {0};
    struct scene s;
    size_t count, wide;
    open_scene(&s);
    struct adl_graph *strided = network(1);
    struct adl_plan *base = make_plan(&s, true, 0);
    struct adl_plan *same = adl_plan_resize(base, s.graph, SIDE, SIDE, &err);
    struct adl_plan *both = adl_plan_with_map(base, strided, SIDE, SIDE, &err);
    struct adl_plan *alone = adl_plan_resize(base, strided, SIDE, SIDE, &err);
    TEST_OK(same && both && alone ? 0 : -1, &err);
    float *want = run(base, 1, 1, &count), *got = run(same, 1, 1, &count);
    CU_ASSERT_EQUAL(memcmp(got, want, count * sizeof *got), 0);
    float *map = run(both, 2, 1, &wide), *want_map = run(alone, 1, 1, &wide);
    CU_ASSERT(wide > count);
    CU_ASSERT_EQUAL(memcmp(map, want_map, wide * sizeof *map), 0);
    adl_free(want);
    adl_free(got);
    adl_free(map);
    adl_free(want_map);
    adl_plan_unref(same);
    adl_plan_unref(both);
    adl_plan_unref(alone);
    adl_plan_unref(base);
    adl_graph_free(strided);
    close_scene(&s);
}

/* A map that is kept as an output is float32 there, and bytes again for the steps after it. */
static void kept_maps_are_float(void)
{
    struct adl_error err = {0};
    struct scene s;
    open_scene(&s);
    int kept = adl_graph_find_value(s.graph, "pointwise_relu");
    struct adl_plan_options options = {.input_h = SIDE,
                                       .input_w = SIDE,
                                       .precision = ADL_PRECISION_INT8,
                                       .quantisation = s.quantisation,
                                       .all_int8 = true};
    adl_plan_keep(&options, kept);
    struct adl_plan *plan =
        adl_plan_create(s.graph, (const float *const *)s.params, &options, &err);
    options.precision = ADL_PRECISION_F32;
    struct adl_plan *reference =
        adl_plan_create(s.graph, (const float *const *)s.params, &options, &err);
    TEST_OK(plan && reference ? 0 : -1, &err);
    CU_ASSERT_EQUAL(count_kernels(plan, "int8"), 7);
    CU_ASSERT_EQUAL(count_kernels(plan, "to bytes"), 2);
    struct adl_plan *plans[2] = {plan, reference};
    struct adl_session *sessions[2];
    const float *maps[2];
    enum adl_output which = (enum adl_output)adl_plan_kept(plan, kept);
    for (int i = 0; i < 2; i++) {
        sessions[i] = adl_session_create(plans[i], NULL, 1, &err);
        TEST_OK(sessions[i] ? 0 : -1, &err);
        fill(adl_session_input(sessions[i], 0), 0);
        adl_session_run(sessions[i], 1);
        maps[i] = adl_session_output(sessions[i], which, 0);
    }
    size_t count = adl_shape_count(adl_plan_output_shape(plan, which));
    CU_ASSERT(relative_error(maps[0], maps[1], count) < 0.02);
    for (int i = 0; i < 2; i++) {
        adl_session_free(sessions[i]);
        adl_plan_unref(plans[i]);
    }
    close_scene(&s);
}

/* Plain C is slower in 8 bits, so a plan of it has none, nor has one of NEON without the dot
 * products of bytes, whose kernels are plain C; AVX2 is faster. */
static void float_where_bytes_are_slower(void)
{
    struct scene s;
    open_scene(&s);
    for (int isa = ADL_ISA_GENERIC; isa <= ADL_ISA_AVX2; isa++) {
        struct adl_error err = {0};
        const struct adl_plan_options options = {.input_h = SIDE,
                                                 .input_w = SIDE,
                                                 .isa = (enum adl_isa)isa,
                                                 .precision = ADL_PRECISION_INT8,
                                                 .quantisation = s.quantisation};
        if (!adl_isa_available((enum adl_isa)isa))
            continue;
        struct adl_plan *plan =
            adl_plan_create(s.graph, (const float *const *)s.params, &options, &err);
        TEST_OK(plan ? 0 : -1, &err);
        bool slow = isa == ADL_ISA_GENERIC || (isa == ADL_ISA_NEON && !adl_cpu_has_dotprod());
        CU_ASSERT((count_kernels(plan, "int8") == 0) == slow);
        CU_ASSERT((count_kernels(plan, "to bytes") == 0) == slow);
        adl_plan_unref(plan);
    }
    close_scene(&s);
}

static void ranges_hold_zero_exactly(void)
{
    static const double ends[][2] = {{0, 6},   {-1, 3}, {-5, 0},   {2, 3},
                                     {-3, -2}, {0, 0},  {-1e-3, 9}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct adl_int8_range r = adl_quantisation_range(ends[i][0], ends[i][1]);
        double least = fmin(ends[i][0], 0), most = fmax(ends[i][1], 0);
        CU_ASSERT(r.zero >= 0 && r.zero <= 255 && r.scale > 0);
        /* Neither end is further than half a step out of reach. */
        CU_ASSERT((double)r.scale * (0 - r.zero) <= least + 0.51 * (double)r.scale);
        CU_ASSERT((double)r.scale * (255 - r.zero) >= most - 0.51 * (double)r.scale);
    }
    CU_ASSERT_EQUAL(adl_quantisation_range(0, 255).zero, 0);
    CU_ASSERT_EQUAL(adl_quantisation_range(0, 255).scale, 1);
    CU_ASSERT_EQUAL(adl_quantisation_range(-128, 127).zero, 128);
}

static void running_out_of_memory_is_an_error(void)
{
    struct scene s;
    open_scene(&s);
    const struct adl_plan_options options = {.input_h = SIDE,
                                             .input_w = SIDE,
                                             .precision = ADL_PRECISION_INT8,
                                             .quantisation = s.quantisation,
                                             .all_int8 = true};
    size_t before = adl_mem_stats().live_blocks;
    struct adl_plan *plan = NULL;
    for (uint64_t n = 1; !plan; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        plan = adl_plan_create(s.graph, (const float *const *)s.params, &options, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(plan || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    adl_plan_unref(plan);
    struct adl_range_fit *fit = NULL;
    before = adl_mem_stats().live_blocks;
    for (uint64_t n = 1; !fit; n++) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        fit = adl_range_fit_create(s.graph, (const float *const *)s.params, SIDE, SIDE, &err);
        adl_mem_fail_nth(0);
        CU_ASSERT(fit || (err.kind == ADL_ERR_NOMEM && adl_mem_stats().live_blocks == before));
    }
    adl_range_fit_free(fit);
    close_scene(&s);
}

TEST_SUITE(plan_int8,
           {"the network stays close to float32, and in bytes",
            the_network_stays_close_and_in_bytes},
           {"the bits are the same however it runs", the_bits_are_the_same_however_it_runs},
           {"float steps between get conversions", float_steps_between_get_conversions},
           {"plans made from it keep the bytes", plans_made_from_it_keep_the_bytes},
           {"kept maps are float", kept_maps_are_float},
           {"float where bytes are slower", float_where_bytes_are_slower},
           {"ranges hold zero exactly", ranges_hold_zero_exactly},
           {"running out of memory is an error", running_out_of_memory_is_an_error});
