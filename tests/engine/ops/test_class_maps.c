/* ops/erase, ops/map_union and ops/guidance against PyTorch's values of the reference
 * implementation (tests/golden/methods/acol.json, spg.json), and their edges. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "methods/methods.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/train_step.h"
#include "train/loss.h"

static size_t option_called(const char *name)
{
    const struct adl_method_option *option;
    for (size_t i = 0; (option = adl_method_option_at(i, NULL)); i++)
        if (strcmp(option->name, name) == 0)
            return i;
    CU_FAIL_FATAL("no such option");
    return 0;
}

/* Finishes the graph and adds parameters and a tape that keeps all values. */
static void net_open(struct train_step *net, int batch)
{
    struct adl_error err = {0};
    TEST_OK(adl_graph_finish(net->graph, &err), &err);
    size_t count = (size_t)adl_graph_param_count(net->graph);
    struct adl_shape in = adl_graph_value(net->graph, 0)->shape;
    net->batch = batch;
    net->params = adl_calloc(count, sizeof *net->params);
    net->grads = adl_calloc(count, sizeof *net->grads);
    for (size_t i = 0; i < count; i++) {
        net->params[i] = adl_calloc(adl_graph_param(net->graph, (int)i)->count, sizeof(float));
        net->grads[i] = adl_calloc(adl_graph_param(net->graph, (int)i)->count, sizeof(float));
    }
    net->tape = adl_tape_create(net->graph, in.h, in.w, batch, ADL_TAPE_KEPT, NULL, &err);
    CU_ASSERT_FATAL(net->tape != NULL);
}

/* Compares values, N x H x W x C, with a golden record, of all or of sampled values in the order
 * N, C, H, W. */
static void compare(const json_t *results, const char *name, const float *nhwc, int batch,
                    struct adl_shape shape)
{
    const json_t *record = golden_get(results, name);
    size_t count = (size_t)batch * adl_shape_count(shape), samples, indices = 0;
    double *want = golden_doubles(golden_get(record, "f64"), &samples);
    json_t *idx = json_object_get(record, "idx");
    int *at = idx ? golden_ints(idx, &indices) : NULL;
    float *nchw = adl_malloc(count, sizeof *nchw), *got = adl_malloc(samples, sizeof *got);
    train_step_to_nchw(nhwc, batch, shape, nchw);
    for (size_t i = 0; i < samples; i++)
        got[i] = nchw[at ? (size_t)at[i] : i];
    test_close(name, got, want, samples, golden_double(record, "tol"));
    adl_free(got);
    adl_free(nchw);
    adl_free(at);
    adl_free(want);
}

/* Writes an input of a golden case, N x H x W x C, which is "image NAME" times a scale. */
static void image_input(const json_t *inputs, const char *name, int batch, struct adl_shape shape,
                        float *nhwc)
{
    const json_t *input = golden_get(inputs, name);
    size_t count = (size_t)batch * adl_shape_count(shape);
    float *nchw = adl_malloc(count, sizeof *nchw);
    formula_image(golden_string(input, "name"), batch, shape.c, shape.h, shape.w, nchw);
    for (size_t i = 0; i < count; i++)
        nchw[i] *= (float)golden_double(input, "scale");
    train_step_to_nhwc(nchw, batch, shape, nhwc);
    adl_free(nchw);
}

/* Checks the two cases of a golden file. */
static void check_cases(const char *file, void (*check)(const json_t *test_case))
{
    json_t *golden = golden_load(file), *test_case;
    size_t i;
    json_array_foreach(golden_get(golden, "cases"), i, test_case) check(test_case);
    CU_ASSERT_EQUAL(i, 2);
    json_decref(golden);
}

/* --- erasing and the union ----------------------------------------------------------------- */

enum { ERASE_N = 3, ERASE_CLASSES = 5 };
#define ERASE_SHAPE ((struct adl_shape){7, 6, 4})

static struct adl_conv_attr conv_attr(int k, int side)
{
    struct adl_conv_attr attr = adl_conv_centred(k, side, side, 1);
    attr.bias = true;
    return attr;
}

static int small_classifier(struct adl_graph *g, int x, const char *name)
{
    x = adl_conv(g, x, adl_graph_name(g, "%s.0", name), conv_attr(6, 3));
    x = adl_relu(g, x, adl_graph_name(g, "%s.1", name));
    return adl_conv(g, x, adl_graph_name(g, "%s.2", name), conv_attr(ERASE_CLASSES, 1));
}

/* Sets the parameters of the case; that of "feature" is the identity. */
static void set_params(struct train_step *net, const json_t *inputs)
{
    for (int i = 0; i < adl_graph_param_count(net->graph); i++) {
        const struct adl_param *p = adl_graph_param(net->graph, i);
        const json_t *input = json_object_get(inputs, p->name);
        if (input)
            formula_param(golden_string(input, "name"), golden_double(input, "a"),
                          (double)(float)golden_double(input, "b"), p->count, net->params[i]);
        else if (p->rank > 1)
            for (size_t k = 0; k < p->shape[0]; k++)
                net->params[i][k * p->shape[1] + k] = 1;
    }
}

static void check_erasing(const json_t *test_case)
{
    const json_t *inputs = golden_get(test_case, "inputs");
    const json_t *results = golden_get(test_case, "results");
    struct adl_error err = {0};
    struct train_step net = {.graph = adl_graph_create(ERASE_SHAPE, &err)};
    struct adl_graph *g = net.graph;
    size_t count;
    int *labels = golden_ints(golden_get(test_case, "labels"), &count);
    double threshold = golden_double(test_case, "threshold");
    struct adl_train_mode mode = {.method_layers = true,
                                  .labels = labels,
                                  .method_values =
                                      test_method_values("acol-threshold", threshold, NULL)};

    int feature = adl_conv(g, 0, "feature", conv_attr(ERASE_SHAPE.c, 1));
    int first = small_classifier(g, feature, "classifier_A");
    int logits = adl_global_avgpool(g, first, "logits");
    /* The threshold at inference is another one, which training does not read. */
    int erased = adl_erase(g, feature, first, logits, "erase",
                           (struct adl_erase_attr){0.01, option_called("acol-threshold")});
    int second = small_classifier(g, erased, "classifier_B");
    int both = adl_map_union(g, (const int[]){first, second}, 2, "union");
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, logits);
    adl_graph_set_output(g, ADL_OUTPUT_CLASS_MAP, both);
    adl_graph_add_tap(g, adl_global_avgpool(g, second, "logit_b"));
    net_open(&net, ERASE_N);
    set_params(&net, inputs);
    image_input(inputs, "feature", ERASE_N, ERASE_SHAPE, adl_tape_input(net.tape));
    adl_tape_forward(net.tape, ERASE_N, net.params, &mode);
    const struct adl_targets targets = {.labels = labels};
    double loss =
        adl_method_loss(adl_method_alone(&adl_method_acol), net.tape, &targets, &mode, 1, NULL);
    adl_tape_backward(net.tape, net.params, &mode, net.grads);

    struct adl_shape vector = {1, 1, ERASE_CLASSES}, maps = {7, 6, ERASE_CLASSES}, map = {7, 6, 1};
    compare(results, "logits", adl_tape_logits(net.tape), ERASE_N, vector);
    compare(results, "logit_b", adl_tape_tap(net.tape, 0), ERASE_N, vector);
    compare(results, "feat_map_a", adl_tape_value(net.tape, first), ERASE_N, maps);
    compare(results, "feat_map_b", adl_tape_value(net.tape, second), ERASE_N, maps);
    int node = adl_graph_value(g, erased)->node;
    compare(results, "erase_mask", adl_tape_saved(net.tape, node), ERASE_N, map);
    float cam[ERASE_N * 42];
    for (size_t i = 0; i < ADL_COUNT(cam); i++)
        cam[i] = adl_tape_value(net.tape, both)[i * ERASE_CLASSES + (size_t)labels[i / 42]];
    compare(results, "cam", cam, ERASE_N, map);
    float loss_float = (float)loss;
    compare(results, "loss", &loss_float, 1, (struct adl_shape){1, 1, 1});
    compare(results, "grad.feature", adl_tape_grad(net.tape, feature), ERASE_N, ERASE_SHAPE);
    for (int i = 0; i < adl_graph_param_count(g); i++) {
        const struct adl_param *p = adl_graph_param(g, i);
        char name[80];
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (strncmp(p->name, "classifier", 10) == 0)
            compare(results, name, net.grads[i], 1, (struct adl_shape){1, 1, (int)p->count});
    }
    adl_free(labels);
    train_step_close(&net);
}

static void erasing_is_that_of_the_reference(void)
{
    check_cases("methods/acol.json", check_erasing);
}

/* Runs the plain definition on one image of 1 x 4 positions with 2 channels and 2 classes. */
static void erase_plain(const float *maps, const float *logits, const int *asked, float *out)
{
    static const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){1, 4, 2}, &err);
    int vector = adl_global_avgpool(g, 0, "logits");
    adl_erase(g, 0, 0, vector, "erase", (struct adl_erase_attr){0.7, 0});
    TEST_OK(adl_graph_finish(g, &err), &err);
    struct adl_op_call call = {.node = adl_graph_node(g, 1),
                               .batch = 1,
                               .in = (const float *const[]){x, maps, logits},
                               .in_shape =
                                   (const struct adl_shape[]){{1, 4, 2}, {1, 4, 2}, {1, 1, 2}},
                               .out = out,
                               .out_shape = {1, 4, 2},
                               .asked = asked};
    adl_op_erase.forward(&call);
    adl_graph_free(g);
}

/* At inference the best class decides, of equal ones the first, unless another is asked for. What
 * is exactly at the threshold is erased; a constant map and one with NaN erase nothing. */
static void the_class_that_is_asked_for_decides(void)
{
    /* Normalised, class 0 is 0, 0.7, 0.6, 1 and class 1 is 1, 0, 0, 0. */
    static const float maps[8] = {-1, 3, 6, 1, 5, 1, 9, 1};
    static const float by_0[8] = {1, 2, 0, 0, 5, 6, 0, 0}, by_1[8] = {0, 0, 3, 4, 5, 6, 7, 8};
    static const float all[8] = {1, 2, 3, 4, 5, 6, 7, 8}, zeros[8] = {0};
    static const float equal[2] = {2, 2}, second[2] = {1, 2};
    float out[8], bad[8];
    const int none = -1, beyond = 2, zero = 0, one = 1;
    erase_plain(maps, equal, NULL, out);
    CU_ASSERT_EQUAL(memcmp(out, by_0, sizeof out), 0);
    erase_plain(maps, second, &none, out);
    CU_ASSERT_EQUAL(memcmp(out, by_1, sizeof out), 0);
    erase_plain(maps, second, &beyond, out);
    CU_ASSERT_EQUAL(memcmp(out, by_1, sizeof out), 0);
    erase_plain(maps, second, &zero, out);
    CU_ASSERT_EQUAL(memcmp(out, by_0, sizeof out), 0);
    erase_plain(maps, equal, &one, out);
    CU_ASSERT_EQUAL(memcmp(out, by_1, sizeof out), 0);
    erase_plain(zeros, equal, NULL, out);
    CU_ASSERT_EQUAL(memcmp(out, all, sizeof out), 0);
    for (int i = 0; i < 8; i++)
        bad[i] = NAN;
    erase_plain(bad, equal, NULL, out);
    CU_ASSERT_EQUAL(memcmp(out, all, sizeof out), 0);
}

/* --- guidance ------------------------------------------------------------------------------ */

enum { GUIDE_N = 2, GUIDE_SIDE = 14, GUIDE_CLASSES = 5 };
static const char *const guide_maps[] = {"feat_map", "logits_b1", "logits_b2", "logits_c"};

/* A network whose four maps are channels of its input, so that their gradients can be read. */
static void guide_open(struct train_step *net, int values[4])
{
    struct adl_error err = {0};
    struct adl_graph *g =
        adl_graph_create((struct adl_shape){GUIDE_SIDE, GUIDE_SIDE, GUIDE_CLASSES + 3}, &err);
    *net = (struct train_step){.graph = g};
    for (int i = 0; i < 4; i++)
        values[i] =
            adl_conv(g, 0, guide_maps[i],
                     (struct adl_conv_attr){
                         .k = i ? 1 : GUIDE_CLASSES, .r = 1, .s = 1, .stride = 1, .groups = 1});
    adl_graph_set_output(g, ADL_OUTPUT_LOGITS, adl_global_avgpool(g, values[0], "logits"));
    adl_graph_add_tap(g, adl_guidance(g, values, "guidance", option_called("spg-threshold-1h")));
    net_open(net, GUIDE_N);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < (i ? 1 : (size_t)GUIDE_CLASSES); k++)
            net->params[i][k * (GUIDE_CLASSES + 3) + (i ? GUIDE_CLASSES + i - 1 : k)] = 1;
}

static const union adl_method_value *thresholds(const double *t)
{
    return test_method_values("spg-threshold-1h", t[0], "spg-threshold-1l", t[1],
                              "spg-threshold-2h", t[2], "spg-threshold-2l", t[3],
                              "spg-threshold-3h", t[4], "spg-threshold-3l", t[5], NULL);
}

/* Writes the four maps of a case side by side. */
static void guide_input(const json_t *inputs, float *input)
{
    const size_t pixels = (size_t)GUIDE_N * GUIDE_SIDE * GUIDE_SIDE, all = GUIDE_CLASSES + 3;
    float *map = adl_malloc(pixels * GUIDE_CLASSES, sizeof *map);
    for (size_t i = 0; i < 4; i++) {
        size_t channels = i ? 1 : GUIDE_CLASSES, first = i ? GUIDE_CLASSES + i - 1 : 0;
        image_input(inputs, guide_maps[i], GUIDE_N,
                    (struct adl_shape){GUIDE_SIDE, GUIDE_SIDE, (int)channels}, map);
        for (size_t p = 0; p < pixels; p++)
            memcpy(input + p * all + first, map + p * channels, channels * sizeof *map);
    }
    adl_free(map);
}

static void check_guidance(const json_t *test_case)
{
    const json_t *results = golden_get(test_case, "results");
    struct train_step net;
    int values[4];
    size_t count;
    int *labels = golden_ints(golden_get(test_case, "labels"), &count);
    double *t = golden_doubles(golden_get(test_case, "thresholds_high_low"), &count);
    struct adl_train_mode mode = {
        .method_layers = true, .labels = labels, .method_values = thresholds(t)};
    guide_open(&net, values);
    guide_input(golden_get(test_case, "inputs"), adl_tape_input(net.tape));
    adl_tape_forward(net.tape, GUIDE_N, net.params, &mode);
    const struct adl_targets targets = {.labels = labels};
    double loss =
        adl_method_loss(adl_method_alone(&adl_method_spg), net.tape, &targets, &mode, 1, NULL);
    adl_tape_backward(net.tape, net.params, &mode, net.grads);

    float loss_float = (float)loss;
    compare(results, "loss", &loss_float, 1, (struct adl_shape){1, 1, 1});
    static const char *const counts[] = {"mask_counts.b2_att", "mask_counts.b1_b2i",
                                         "mask_counts.c_fus"};
    const float *sums = adl_tape_tap(net.tape, 0);
    for (size_t k = 0; k < ADL_COUNT(counts); k++) {
        double *want = golden_doubles(golden_get(golden_get(results, counts[k]), "f64"), &count);
        for (size_t n = 0; n < GUIDE_N; n++)
            CU_ASSERT_EQUAL((double)sums[6 * n + 2 * k + 1], want[3 * n] + want[3 * n + 1]);
        adl_free(want);
    }
    for (int i = 0; i < 4; i++) {
        char name[80];
        snprintf(name, sizeof name, "grad.%s", guide_maps[i]);
        compare(results, name, adl_tape_grad(net.tape, values[i]), GUIDE_N,
                adl_tape_shape(net.tape, values[i]));
    }
    adl_free(t);
    adl_free(labels);
    train_step_close(&net);
}

static void guidance_is_that_of_the_reference(void)
{
    check_cases("methods/spg.json", check_guidance);
}

static double guide_loss(struct train_step *net, const struct adl_train_mode *mode)
{
    const struct adl_targets targets = {.labels = mode->labels};
    adl_tape_forward(net->tape, GUIDE_N, net->params, mode);
    return adl_method_loss(adl_method_alone(&adl_method_spg), net->tape, &targets, mode, 1, NULL);
}

/* Masks do not depend on the third map, nor on the second one with these thresholds for most
 * pixels, so differences of the loss show the gradient. */
static void gradients_are_differences(void)
{
    static const double t[] = {0.7, 0.01, 0.5, 0.05, 0.7, 0.1};
    const int labels[] = {1, 3};
    struct adl_train_mode mode = {
        .method_layers = true, .labels = labels, .method_values = thresholds(t)};
    const size_t all = GUIDE_CLASSES + 3;
    struct train_step net;
    int values[4];
    json_t *golden = golden_load("methods/spg.json");
    guide_open(&net, values);
    float *input = adl_tape_input(net.tape);
    guide_input(golden_get(json_array_get(golden_get(golden, "cases"), 0), "inputs"), input);
    (void)guide_loss(&net, &mode);
    adl_tape_backward(net.tape, net.params, &mode, net.grads);
    for (size_t p = 3; p < (size_t)GUIDE_N * GUIDE_SIDE * GUIDE_SIDE; p += 37) {
        double grad = (double)adl_tape_grad(net.tape, values[3])[p];
        float *at = input + p * all + all - 1, old = *at;
        *at = old + 0.05f;
        double above = guide_loss(&net, &mode);
        *at = old - 0.05f;
        double below = guide_loss(&net, &mode);
        *at = old;
        CU_ASSERT_DOUBLE_EQUAL((above - below) / 0.1, grad, 2e-5);
    }
    json_decref(golden);
    train_step_close(&net);
}

/* Where a mask ignores every pixel, its term is 0 and has no gradient; a constant class map has no
 * mask at all. */
static void ignored_pixels_cost_nothing(void)
{
    static const double none[] = {0.7, 0, 1, 0, 1, 0};
    const int labels[] = {0, 0};
    struct adl_train_mode mode = {
        .method_layers = true, .labels = labels, .method_values = thresholds(none)};
    struct train_step net;
    int values[4];
    guide_open(&net, values);
    memset(adl_tape_input(net.tape), 0,
           sizeof(float) * GUIDE_N * GUIDE_SIDE * GUIDE_SIDE * (GUIDE_CLASSES + 3));
    /* The sigmoid is 1/2 everywhere: above 0.7 times the maximum, so all pixels are the object. */
    double loss = guide_loss(&net, &mode);
    CU_ASSERT_DOUBLE_EQUAL(loss, log(5) + 2 * log(2), 1e-5);
    CU_ASSERT_EQUAL(adl_tape_tap(net.tape, 0)[1], 0);
    CU_ASSERT_EQUAL(adl_tape_tap_grad(net.tape, 0)[0], 0);
    CU_ASSERT_EQUAL(adl_tape_tap(net.tape, 0)[3], 224 * 224);
    adl_tape_backward(net.tape, net.params, &mode, net.grads);
    for (size_t p = 0; p < (size_t)GUIDE_N * GUIDE_SIDE * GUIDE_SIDE; p++)
        CU_ASSERT_EQUAL(adl_tape_grad(net.tape, values[2])[p], 0);
    train_step_close(&net);
}

static void shapes_have_to_fit(void)
{
    struct adl_error err = {0};
    struct adl_graph *g = adl_graph_create((struct adl_shape){4, 4, 3}, &err);
    int half = adl_maxpool(g, 0, "half", (struct adl_pool_attr){.size = 2, .stride = 2});
    int logits = adl_global_avgpool(g, 0, "logits");
    CU_ASSERT_EQUAL(adl_erase(g, half, 0, logits, "erase", (struct adl_erase_attr){0.7, 0}), -1);
    CU_ASSERT(adl_graph_finish(g, &err) < 0);
    CU_ASSERT_STRING_EQUAL(err.message, "erase: a map of 2x2 is erased by one of 4x4");
    adl_graph_free(g);
    g = adl_graph_create((struct adl_shape){4, 4, 3}, &err);
    half = adl_maxpool(g, 0, "half", (struct adl_pool_attr){.size = 2, .stride = 2});
    CU_ASSERT_EQUAL(adl_map_union(g, (const int[]){0, half}, 2, "union"), -1);
    adl_graph_free(g);
    g = adl_graph_create((struct adl_shape){4, 4, 3}, &err);
    CU_ASSERT_EQUAL(adl_guidance(g, (const int[]){0, 0, 0, 0}, "guidance", 0), -1);
    adl_graph_free(g);
}

TEST_SUITE(class_maps, {"erasing is that of the reference", erasing_is_that_of_the_reference},
           {"the class that is asked for decides", the_class_that_is_asked_for_decides},
           {"guidance is that of the reference", guidance_is_that_of_the_reference},
           {"gradients are differences", gradients_are_differences},
           {"ignored pixels cost nothing", ignored_pixels_cost_nothing},
           {"shapes have to fit", shapes_have_to_fit});
