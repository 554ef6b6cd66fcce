/* plan/: every backbone and variant against PyTorch's values, stage by stage
 * (tests/golden/backbones), on the CPU path in force. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/nets.h"
#include "wsol/session_cam.h"

/* The golden input, batch x H x W x 3. */
static float *golden_input(const struct test_net *net, int *batch, int *h, int *w)
{
    json_t *input = golden_get(net->golden, "input");
    size_t rank = 0;
    int *shape = golden_ints(golden_get(input, "shape"), &rank);
    *batch = shape[0];
    *h = shape[2];
    *w = shape[3];
    adl_free(shape);

    size_t plane = (size_t)*h * (size_t)*w, count = (size_t)*batch * 3 * plane;
    float *nchw = adl_malloc(count, sizeof *nchw), *nhwc = adl_malloc(count, sizeof *nhwc);
    formula_image(golden_string(input, "name"), *batch, 3, *h, *w, nchw);
    for (size_t n = 0; n < (size_t)*batch; n++)
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < plane; i++)
                nhwc[(n * plane + i) * 3 + c] = nchw[(n * 3 + c) * plane + i];
    adl_free(nchw);
    return nhwc;
}

/* A golden case with its weights and its input, `batch` images of h x w pixels and `image` floats
 * each. */
struct golden {
    struct test_net net;
    float *input;
    int batch, h, w;
    size_t image;
};

/* On failure the running test fails, and there is nothing to close. */
static bool open_golden(struct golden *c, const char *test_case)
{
    if (test_net_open(&c->net, test_case) < 0 || test_net_fill(&c->net) < 0)
        return false;
    c->input = golden_input(&c->net, &c->batch, &c->h, &c->w);
    c->image = (size_t)c->h * (size_t)c->w * 3;
    return true;
}

static void close_golden(struct golden *c)
{
    adl_free(c->input);
    test_net_close(&c->net);
}

/* Copies image n of the case to the session's image `slot`. */
static void load(const struct golden *c, int n, struct adl_session *session, int slot)
{
    memcpy(adl_session_input(session, slot), c->input + (size_t)n * c->image,
           c->image * sizeof *c->input);
}

/* Compares a tensor record with maps of the first `batch` images, NHWC one after another. */
static void check_record(const char *test_case, const char *name, const json_t *record,
                         const float *maps, int batch, struct adl_shape shape)
{
    size_t samples = 0, indices = 0;
    double *want = golden_doubles(json_object_get(record, "f64"), &samples);
    json_t *idx = json_object_get(record, "idx");
    int *at = idx ? golden_ints(idx, &indices) : NULL;
    double tol = json_number_value(json_object_get(record, "tol"));
    size_t plane = (size_t)shape.h * (size_t)shape.w, channels = (size_t)shape.c;
    float *got = adl_malloc(samples, sizeof *got);
    char what[160];
    size_t compared = 0;

    if (!at && samples % (plane * channels) != 0)
        TEST_FAIL("%s %s: %zu golden values for maps of %zu", test_case, name, samples,
                  plane * channels);
    for (size_t i = 0; i < samples; i++) {
        size_t flat = at ? (size_t)at[i] : i; /* row-major N, C, H, W */
        size_t n = flat / (channels * plane), c = flat / plane % channels, p = flat % plane;
        if (n >= (size_t)batch)
            continue;
        got[compared] = maps[(n * plane + p) * channels + c];
        want[compared++] = want[i];
    }
    CU_ASSERT(compared >= samples / 3 && (at || compared == (size_t)batch * plane * channels));
    snprintf(what, sizeof what, "%s %s", test_case, name);
    test_close(what, got, want, compared, tol);
    adl_free(got);
    adl_free(at);
    adl_free(want);
}

/* Every module's output, with nothing folded, fused or overwritten. */
static void check_stages(const char *test_case)
{
    struct adl_error err = {0};
    struct golden c;
    struct adl_plan *plan = NULL;
    struct adl_session *session = NULL;

    if (!open_golden(&c, test_case))
        return;
    struct adl_plan_options options = {
        .input_h = c.h,
        .input_w = c.w,
        .disabled = ADL_PASS_FOLD | ADL_PASS_FUSE | ADL_PASS_CONCAT | ADL_PASS_PLACE |
                    ADL_PASS_STRIP | ADL_PASS_PAIR,
    };
    plan = adl_plan_create(c.net.graph, (const float *const *)c.net.params, &options, &err);
    session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    json_t *stages = golden_get(c.net.golden, "stages");
    size_t count = json_array_size(stages);
    float **maps = adl_calloc(count, sizeof *maps);

    for (int n = 0; session && n < c.batch; n++) {
        load(&c, n, session, 0);
        adl_session_run(session, 1);
        for (size_t i = 0; i < count; i++) {
            const char *name = golden_string(json_array_get(stages, i), "name");
            int value = adl_graph_find_value(c.net.graph, name);
            if (value < 0) {
                TEST_FAIL("%s: the graph has no value %s", test_case, name);
                continue;
            }
            size_t size = adl_shape_count(adl_graph_value(c.net.graph, value)->shape);
            if (!maps[i])
                maps[i] = adl_malloc((size_t)c.batch * size, sizeof **maps);
            CU_ASSERT_EQUAL(adl_session_value(session, value, 0, maps[i] + (size_t)n * size), 0);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *stage = json_array_get(stages, i);
        const char *name = golden_string(stage, "name");
        int value = adl_graph_find_value(c.net.graph, name);
        if (maps[i])
            check_record(test_case, name, stage, maps[i], c.batch,
                         adl_graph_value(c.net.graph, value)->shape);
        adl_free(maps[i]);
    }
    adl_free(maps);
    adl_session_free(session);
    adl_plan_unref(plan);
    close_golden(&c);
}

/* Winograd convolution must not cost accuracy: differences relative to the
 * largest logit. */
static void check_share(const char *test_case, const float *got, const double *want, size_t count)
{
    double worst = 0, most = 0;
    for (size_t k = 0; k < count; k++) {
        worst = fmax(worst, fabs((double)got[k] - want[k]));
        most = fmax(most, fabs(want[k]));
    }
    if (!(worst <= 1e-5 * most))
        TEST_FAIL("%s: logits differ by %.2g of the largest", test_case, worst / most);
}

/* Outputs of the finished plan, all passes on. */
static void check_outputs(const char *test_case, const struct test_net *net,
                          const struct adl_session *session, int batch)
{
    const struct adl_plan *plan = adl_session_plan(session);
    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    struct adl_shape map = adl_plan_output_shape(plan, ADL_OUTPUT_CLASS_MAP);
    size_t classes = (size_t)adl_plan_output_shape(plan, ADL_OUTPUT_LOGITS).c;
    size_t pixels = (size_t)features.h * (size_t)features.w;
    size_t count = 0;
    double *logits = golden_doubles(golden_get(golden_get(net->golden, "logits"), "f64"), &count);
    int *top1 = golden_ints(golden_get(net->golden, "top1"), &count);
    int *labels = golden_ints(golden_get(net->golden, "cam_labels"), &count);
    double tol = golden_double(net->golden, "logits_tol");
    const char *cam_key = json_object_get(net->golden, "cam_sum") ? "cam_sum" : "cam";

    /* The last map: of classes where the network ends in one. */
    enum adl_output last = map.c ? ADL_OUTPUT_CLASS_MAP : ADL_OUTPUT_FEATURES;
    struct adl_shape last_shape = map.c ? map : features;
    float *cams = adl_malloc((size_t)batch * pixels, sizeof *cams);
    float *maps = adl_malloc((size_t)batch * adl_shape_count(last_shape), sizeof *maps);
    for (int n = 0; n < batch; n++) {
        const float *got = adl_session_output(session, ADL_OUTPUT_LOGITS, n);
        size_t best = 0;
        test_close(test_case, got, logits + (size_t)n * classes, classes, tol);
        check_share(test_case, got, logits + (size_t)n * classes, classes);
        for (size_t k = 1; k < classes; k++)
            best = got[k] > got[best] ? k : best;
        CU_ASSERT_EQUAL((int)best, top1[n]);
        adl_session_cam(session, n, labels[n], &(struct adl_map_rule){0},
                        cams + (size_t)n * pixels);
        memcpy(maps + (size_t)n * adl_shape_count(last_shape), adl_session_output(session, last, n),
               adl_shape_count(last_shape) * sizeof *maps);
    }
    check_record(test_case, cam_key, golden_get(net->golden, cam_key), cams, batch,
                 (struct adl_shape){features.h, features.w, 1});
    json_t *last_map = json_object_get(net->golden, "final_feature_map");
    if (last_map)
        check_record(test_case, "final_feature_map", last_map, maps, batch, last_shape);
    adl_free(maps);
    adl_free(cams);
    adl_free(labels);
    adl_free(top1);
    adl_free(logits);
}

/* Asks for the golden classes, which changes the maps of a network that erases alone. Image i of
 * the session is image (first + i) % batch of the file. */
static void ask(const struct test_net *net, struct adl_session *session, int first, int count)
{
    size_t batch = 0;
    int *labels = golden_ints(golden_get(net->golden, "cam_labels"), &batch);
    for (int n = 0; n < count; n++)
        adl_session_ask(session, n, labels[(size_t)(first + n) % batch]);
    adl_free(labels);
}

/* Whether image `a` of one run has the same bits as image `b` of another. */
static bool same_bits(const struct adl_session *x, int a, const struct adl_session *y, int b)
{
    const struct adl_plan *plan = adl_session_plan(x);
    for (int which = 0; which < ADL_OUTPUT_COUNT; which++) {
        const float *p = adl_session_output(x, (enum adl_output)which, a);
        const float *q = adl_session_output(y, (enum adl_output)which, b);
        size_t count = adl_shape_count(adl_plan_output_shape(plan, (enum adl_output)which));
        if (p && memcmp(p, q, count * sizeof *p) != 0)
            return false;
    }
    return true;
}

/* The finished plan on the first image, once: all of a network that an emulated processor has time
 * for. */
static void check_once(const char *test_case)
{
    struct adl_error err = {0};
    struct golden c;

    if (!open_golden(&c, test_case))
        return;
    struct adl_plan_options options = {.input_h = c.h, .input_w = c.w};
    struct adl_plan *plan =
        adl_plan_create(c.net.graph, (const float *const *)c.net.params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    if (session) {
        load(&c, 0, session, 0);
        ask(&c.net, session, 0, 1);
        adl_session_run(session, 1);
        check_outputs(test_case, &c.net, session, 1);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    close_golden(&c);
}

static void run_apart(void *session, size_t index, int worker)
{
    adl_session_run_image(session, (int)index, worker);
}

static void check_plan(const char *test_case)
{
    struct adl_error err = {0};
    struct golden c;

    if (!open_golden(&c, test_case))
        return;
    struct adl_plan_options options = {.input_h = c.h, .input_w = c.w};
    struct adl_pool *pool = adl_pool_create(2, &err);
    struct adl_plan *plan =
        adl_plan_create(c.net.graph, (const float *const *)c.net.params, &options, &err);
    /* Packed by both threads. */
    options.pool = pool;
    struct adl_plan *other =
        adl_plan_create(c.net.graph, (const float *const *)c.net.params, &options, &err);
    struct adl_session *one = plan ? adl_session_create(plan, NULL, c.batch, &err) : NULL;
    struct adl_session *two = other ? adl_session_create(other, pool, 3, &err) : NULL;
    TEST_OK(one && two ? 0 : -1, &err);
    if (one && two) {
        for (int n = 0; n < c.batch; n++)
            load(&c, n, one, n);
        ask(&c.net, one, 0, c.batch);
        adl_session_run(one, c.batch);
        check_outputs(test_case, &c.net, one, c.batch);

        /* Images 1 0 1 on two threads: two run side by side, the third is
         * spread over both. */
        for (int n = 0; n < 3; n++)
            load(&c, (n + 1) % 2, two, n);
        ask(&c.net, two, 1, 3);
        adl_session_run(two, 3);
        CU_ASSERT(same_bits(two, 0, one, 1));
        CU_ASSERT(same_bits(two, 1, one, 0));
        CU_ASSERT(same_bits(two, 2, one, 1));

        /* Each on a thread of its own. */
        for (int n = 0; n < 3; n++)
            load(&c, n % 2, two, n);
        ask(&c.net, two, 0, 3);
        adl_pool_for(pool, 3, run_apart, two);
        for (int n = 0; n < 3; n++)
            CU_ASSERT(same_bits(two, n, one, n % 2));
    }
    adl_session_free(two);
    adl_session_free(one);
    adl_plan_unref(plan);
    adl_plan_unref(other);
    adl_pool_free(pool);
    close_golden(&c);
}

/* A plan that was made for from_h x from_w, and for MobileNet with a last stride of 2, is used for
 * the size and the strides of the golden values. The weights are gone by then. */
static void check_resized(const char *test_case, int from_h, int from_w)
{
    struct adl_error err = {0};
    struct golden c;

    if (!open_golden(&c, test_case))
        return;
    struct adl_arch arch = c.net.arch;
    if (arch.backbone->has_options)
        arch.last_stride = 2;
    struct adl_graph *graph = adl_arch_build(&arch, from_h, from_w, &err);
    struct adl_plan_options options = {.input_h = from_h, .input_w = from_w};
    struct adl_plan *base =
        graph ? adl_plan_create(graph, (const float *const *)c.net.params, &options, &err) : NULL;
    for (int i = 0; i < adl_graph_param_count(c.net.graph); i++)
        memset(c.net.params[i], 0xff, adl_graph_param(c.net.graph, i)->count * sizeof(float));
    struct adl_plan *plan = base ? adl_plan_resize(base, c.net.graph, c.h, c.w, &err) : NULL;
    size_t own = base ? adl_plan_weight_bytes(base) : 0;
    adl_plan_unref(base);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, c.batch, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    if (session) {
        CU_ASSERT(own > 0 && adl_plan_weight_bytes(plan) == 0);
        for (int n = 0; n < c.batch; n++)
            load(&c, n, session, n);
        adl_session_run(session, c.batch);
        check_outputs(test_case, &c.net, session, c.batch);
    }
    adl_session_free(session);
    adl_plan_unref(plan);
    adl_graph_free(graph);
    close_golden(&c);
}

static void resized_plans_equal_pytorch(void)
{
    static const char *const cases[] = {"mobilenet_v1_100_relu6_cam", "vgg16_cam",
                                        "resnet50_se_cam", "inception_v3_cam"};
    for (size_t i = 0; i < (TEST_WATCHED ? 1 : sizeof cases / sizeof *cases); i++)
        for (int larger = 0; larger < 2; larger++)
            check_resized(cases[i], larger ? 400 : 160, larger ? 352 : 96);
}

/* MobileNet trained with a last stride of 2, and its map with one of 1: at a size at which the last
 * depthwise convolution and the 1x1 convolution after it are one step, and at the golden one. */
static void two_ends_equal_pytorch(void)
{
    struct adl_error err = {0};
    struct golden c;

    if (!open_golden(&c, "mobilenet_v1_100_relu_cam"))
        return;
    for (int from = 224; from <= 640; from += 416) {
        struct adl_arch arch = c.net.arch;
        arch.last_stride = 2;
        struct adl_graph *graph = adl_arch_build(&arch, from, from, &err);
        struct adl_plan_options options = {.input_h = from, .input_w = from};
        struct adl_plan *base =
            graph ? adl_plan_create(graph, (const float *const *)c.net.params, &options, &err)
                  : NULL;
        struct adl_plan *halved = base ? adl_plan_resize(base, graph, c.h, c.w, &err) : NULL;
        struct adl_plan *plain = base ? adl_plan_resize(base, c.net.graph, c.h, c.w, &err) : NULL;
        struct adl_plan *both = base ? adl_plan_with_map(base, c.net.graph, c.h, c.w, &err) : NULL;
        CU_ASSERT_FATAL(halved && plain && both);
        struct adl_session *sessions[] = {adl_session_create(halved, NULL, 1, &err),
                                          adl_session_create(plain, NULL, 1, &err),
                                          adl_session_create(both, NULL, 1, &err)};
        for (int n = 0; n < c.batch; n++) {
            for (int i = 0; i < 3; i++) {
                load(&c, n, sessions[i], 0);
                adl_session_run(sessions[i], 1);
            }
            size_t classes = (size_t)adl_plan_output_shape(both, ADL_OUTPUT_LOGITS).c;
            size_t map = adl_shape_count(adl_plan_output_shape(both, ADL_OUTPUT_FEATURES));
            CU_ASSERT(!memcmp(adl_session_output(sessions[2], ADL_OUTPUT_LOGITS, 0),
                              adl_session_output(sessions[0], ADL_OUTPUT_LOGITS, 0),
                              classes * sizeof(float)));
            CU_ASSERT(!memcmp(adl_session_output(sessions[2], ADL_OUTPUT_FEATURES, 0),
                              adl_session_output(sessions[1], ADL_OUTPUT_FEATURES, 0),
                              map * sizeof(float)));
        }
        /* The part that both have in common runs once. */
        CU_ASSERT(adl_plan_macs(both) < adl_plan_macs(halved) + adl_plan_macs(plain) / 2);
        for (int i = 0; i < 3; i++)
            adl_session_free(sessions[i]);
        adl_plan_unref(halved);
        adl_plan_unref(plain);
        adl_plan_unref(both);
        adl_plan_unref(base);
        adl_graph_free(graph);
    }
    close_golden(&c);
}

/* Returns whether a network is checked: one that is small under a sanitizer, and on another path
 * than this processor's own those without a method, whose kernels and shapes are the same. */
static bool is_checked(const char *test_case)
{
    const char *slow = getenv("SLOW"), *path = getenv("ADL_CPU");

    if (TEST_WATCHED)
        return strcmp(test_case, "mobilenet_v1_100_relu6_cam") == 0;
    return !path || !*path || (slow && *slow) || strstr(test_case, "_cam");
}

static void check_cases(void (*check)(const char *test_case))
{
    for (int i = 0; test_net_cases[i]; i++)
        if (is_checked(test_net_cases[i]))
            check(test_net_cases[i]);
}

static void stages_equal_pytorch(void)
{
    check_cases(check_stages);
}

/* GOLDEN=NAME: only this network, and once (tests/arm/check.sh). */
static void outputs_equal_pytorch(void)
{
    const char *golden = getenv("GOLDEN");

    if (golden && *golden)
        check_once(golden);
    else
        check_cases(check_plan);
}

TEST_SUITE(plan_goldens, {"every stage of every backbone equals PyTorch's", stages_equal_pytorch},
           {"outputs equal PyTorch's, for any batch and thread count the same bits",
            outputs_equal_pytorch},
           {"a plan for another size and other strides equals PyTorch's with the same weights",
            resized_plans_equal_pytorch},
           {"a plan with two ends equals the networks of both", two_ends_equal_pytorch});
TEST_SLOW(stages_equal_pytorch);
TEST_SLOW(outputs_equal_pytorch);
TEST_SLOW(resized_plans_equal_pytorch);
TEST_SLOW(two_ends_equal_pytorch);
