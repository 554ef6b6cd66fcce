/* ops/ and train/tape: the gradients of the input and of every parameter equal finite
 * differences of the definition in double, at awkward shapes and on every instruction
 * set, and are the same to the last bit for any number of threads. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/gradient_reference.h"
#include "support/methods.h"
#include "support/step_graphs.h"
#include "support/train_step.h"

#define X TRAIN_STEP_INPUT

/* --- the graphs ----------------------------------------------------------------------- */

/* Single convolutions. */
static const struct {
    const char *name;
    int batch;
    struct adl_shape in;
    struct adl_conv_attr attr;
} convs[] = {
    {"1x1", 2, {5, 3, 7}, {.k = 5, .r = 1, .s = 1, .stride = 1, .bias = true}},
    {"1x1 s2", 3, {5, 4, 7}, {.k = 11, .r = 1, .s = 1, .stride = 2}},
    {"1x1 of one pixel", 1, {1, 1, 1}, {.k = 1, .r = 1, .s = 1, .stride = 1, .bias = true}},
    {"1x1 wide", 2, {4, 4, 33}, {.k = 67, .r = 1, .s = 1, .stride = 1}},
    {"1x1 by Strassen", 3, {9, 11, 257}, {.k = 259, .r = 1, .s = 1, .stride = 1, .bias = true}},
    {"1x1 in padding", 2, {3, 4, 3}, {4, 1, 1, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3", 2, {7, 5, 3}, {5, 3, 3, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3 valid", 2, {7, 5, 3}, {5, 3, 3, 1, 0, 0, 0, 0, 0, true, false, 0}},
    {"3x3 full", 2, {3, 5, 3}, {4, 3, 3, 1, 2, 2, 2, 2, 0, false, false, 0}},
    {"3x3 beyond full", 2, {3, 2, 3}, {4, 3, 3, 1, 3, 4, 3, 4, 0, false, false, 0}},
    {"3x3 of one pixel", 3, {1, 1, 5}, {7, 3, 3, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3 of one row", 1, {1, 13, 3}, {5, 3, 3, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3 lopsided", 2, {6, 7, 3}, {4, 3, 3, 1, 0, 1, 2, 0, 0, true, false, 0}},
    {"3x3 lopsided s2", 2, {6, 7, 3}, {4, 3, 3, 2, 0, 1, 2, 0, 0, true, false, 0}},
    {"3x3 s2 odd", 2, {7, 5, 3}, {5, 3, 3, 2, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3 s2 even", 2, {8, 6, 3}, {5, 3, 3, 2, 1, 1, 1, 1, 0, false, false, 0}},
    {"3x3 same s2 even", 2, {8, 6, 3}, {.k = 5, .r = 3, .s = 3, .stride = 2, .tf_same = true}},
    {"3x3 same s2 odd", 2, {7, 5, 3}, {.k = 5, .r = 3, .s = 3, .stride = 2, .tf_same = true}},
    {"2x2 same", 2, {5, 4, 3}, {.k = 5, .r = 2, .s = 2, .stride = 1, .tf_same = true}},
    {"5x3", 1, {9, 7, 2}, {3, 5, 3, 1, 2, 1, 2, 1, 0, true, false, 0}},
    {"1x7", 2, {3, 11, 3}, {5, 1, 7, 1, 0, 3, 0, 3, 0, false, false, 0}},
    {"7x1", 2, {11, 3, 3}, {5, 7, 1, 1, 3, 0, 3, 0, 0, false, false, 0}},
    {"7x7 s2", 2, {13, 11, 3}, {4, 7, 7, 2, 3, 3, 3, 3, 0, false, false, 0}},
    {"2x2 s3 leaves gaps", 2, {8, 9, 3}, {5, 2, 2, 3, 0, 0, 0, 0, 0, true, false, 0}},
    {"many pixels", 1, {19, 17, 3}, {5, 3, 3, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"many pixels s2", 1, {25, 23, 2}, {3, 3, 3, 2, 1, 1, 1, 1, 0, true, false, 0}},
    {"3x3 by Winograd, lopsided", 3, {38, 39, 33}, {33, 3, 3, 1, 0, 1, 2, 0, 0, true, false, 0}},
    {"deep", 1, {3, 3, 67}, {5, 3, 3, 1, 1, 1, 1, 1, 0, false, false, 0}},
    {"deep s2", 9, {3, 3, 67}, {3, 3, 3, 2, 1, 1, 1, 1, 0, false, false, 0}},
    {"many channels out", 1, {2, 3, 5}, {131, 3, 3, 1, 1, 1, 1, 1, 0, true, false, 0}},
    {"dilated", 2, {9, 8, 3}, {5, 3, 3, 1, 2, 2, 2, 2, 0, true, false, 2}},
    {"dilated 4 beyond the map", 2, {3, 5, 4}, {6, 3, 3, 1, 4, 4, 4, 4, 0, true, false, 4}},
    {"dilated s2, lopsided", 3, {11, 9, 2}, {3, 3, 2, 2, 3, 0, 1, 2, 0, false, false, 3}},
    {"dilated, valid, many channels",
     2,
     {11, 12, 33},
     {34, 3, 3, 1, 0, 0, 0, 0, 0, true, false, 3}},
    {"dilated 1x1", 2, {4, 3, 5}, {4, 1, 1, 1, 0, 0, 0, 0, 0, true, false, 3}},
    {"groups", 2, {5, 7, 6}, {9, 3, 3, 1, 1, 1, 1, 1, 3, true, false, 0}},
    {"groups s2", 2, {5, 6, 6}, {4, 3, 3, 2, 1, 1, 1, 1, 2, true, false, 0}},
    {"groups 1x1", 2, {3, 5, 10}, {15, 1, 1, 1, 0, 0, 0, 0, 5, false, false, 0}},
    {"depthwise", 2, {7, 5, 13}, {13, 3, 3, 1, 1, 1, 1, 1, 13, false, false, 0}},
    {"depthwise s2 odd", 2, {7, 5, 5}, {5, 3, 3, 2, 1, 1, 1, 1, 5, true, false, 0}},
    {"depthwise s2 even", 2, {8, 6, 17}, {17, 3, 3, 2, 1, 1, 1, 1, 17, false, false, 0}},
    {"depthwise same", 2, {8, 7, 19}, {19, 3, 3, 2, 0, 0, 0, 0, 19, false, true, 0}},
    {"depthwise 5x5", 2, {6, 7, 3}, {3, 5, 5, 1, 2, 2, 2, 2, 3, false, false, 0}},
    {"depthwise of one pixel", 2, {1, 1, 9}, {9, 3, 3, 1, 1, 1, 1, 1, 9, false, false, 0}},
    {"depthwise beyond full", 1, {2, 1, 3}, {3, 3, 3, 1, 3, 3, 3, 3, 3, false, false, 0}},
    {"depthwise wide", 2, {7, 5, 37}, {37, 3, 3, 1, 1, 1, 1, 1, 37, true, false, 0}},
    {"depthwise wide lopsided", 3, {9, 6, 16}, {16, 3, 3, 1, 0, 1, 2, 0, 16, false, false, 0}},
    {"depthwise wide beyond full", 1, {2, 1, 19}, {19, 3, 3, 1, 3, 3, 3, 3, 19, false, false, 0}},
    {"depthwise wide s3", 2, {8, 9, 21}, {21, 3, 3, 3, 1, 1, 1, 1, 21, false, false, 0}},
    {"depthwise, two of each", 2, {5, 7, 5}, {10, 3, 3, 1, 1, 1, 1, 1, 5, true, false, 0}},
    {"depthwise, two of each s2", 2, {5, 6, 5}, {10, 3, 3, 2, 1, 1, 1, 1, 5, true, false, 0}},
};

/* Both read the input: the second adds its gradient to the first's. */
static int two_wide(struct adl_graph *g)
{
    return adl_add(g, adl_conv(g, X, "a", step_conv1(256)), adl_conv(g, X, "b", step_conv1(256)),
                   "sum");
}

static int batchnorm(struct adl_graph *g)
{
    return adl_batchnorm(g, X, "bn", 1e-3);
}

static int relu(struct adl_graph *g)
{
    return adl_relu(g, X, "relu");
}

static int relu6(struct adl_graph *g)
{
    /* The sum of two values, so that some are above 6. */
    return adl_relu6(
        g,
        adl_add(g, adl_batchnorm(g, X, "bn", 1e-6), adl_conv(g, X, "conv", step_conv3(3)), "sum"),
        "relu6");
}

static int sigmoid(struct adl_graph *g)
{
    return adl_sigmoid(g, X, "sigmoid");
}

static int maxpool3_s2_p1(struct adl_graph *g)
{
    return adl_maxpool(g, X, "pool", (struct adl_pool_attr){3, 2, 1, false});
}

static int maxpool3_s2_ceil(struct adl_graph *g)
{
    return adl_maxpool(g, X, "pool", (struct adl_pool_attr){3, 2, 0, true});
}

static int maxpool2_ceil(struct adl_graph *g)
{
    return adl_maxpool(g, X, "pool", (struct adl_pool_attr){2, 2, 0, true});
}

static int maxpool3_s1(struct adl_graph *g)
{
    return adl_maxpool(g, X, "pool", (struct adl_pool_attr){3, 1, 1, false});
}

static int avgpool3_s1(struct adl_graph *g)
{
    return adl_avgpool(g, X, "pool", (struct adl_pool_attr){3, 1, 1, false});
}

static int avgpool3_s2(struct adl_graph *g)
{
    return adl_avgpool(g, X, "pool", (struct adl_pool_attr){3, 2, 1, false});
}

static int classifier(struct adl_graph *g)
{
    return adl_linear(g, adl_global_avgpool(g, X, "gap"), "fc", 7, true);
}

static int classifier_without_bias(struct adl_graph *g)
{
    return adl_linear(g, adl_global_avgpool(g, X, "gap"), "fc", 1, false);
}

static int adl(struct adl_graph *g)
{
    return test_adl_layer(g, X, "adl");
}

static const struct {
    const char *name;
    int (*build)(struct adl_graph *graph);
    int batch;
    struct adl_shape in;
    bool frozen;
    enum adl_draw draw;
} layers[] = {
    {"two 1x1 by Strassen", two_wide, 3, {9, 11, 257}, .frozen = false},
    {"batchnorm", batchnorm, 3, {5, 3, 7}, .frozen = false},
    {"batchnorm of one channel", batchnorm, 2, {1, 2, 1}, .frozen = false},
    {"batchnorm of one value", batchnorm, 1, {1, 1, 3}, .frozen = false},
    {"batchnorm, many pixels", batchnorm, 2, {19, 17, 19}, .frozen = false},
    {"batchnorm frozen", batchnorm, 3, {5, 3, 7}, .frozen = true},
    {"batchnorm frozen, many pixels", batchnorm, 2, {19, 17, 3}, .frozen = true},
    {"relu", relu, 2, {5, 3, 7}, .frozen = false},
    {"relu6", relu6, 2, {5, 4, 3}, .frozen = false},
    {"sigmoid", sigmoid, 2, {5, 3, 7}, .frozen = false},
    {"maxpool 3 s2 p1 odd", maxpool3_s2_p1, 2, {7, 5, 3}, .frozen = false},
    {"maxpool 3 s2 p1 even", maxpool3_s2_p1, 2, {8, 6, 3}, .frozen = false},
    {"maxpool 3 s2 p1 of one pixel", maxpool3_s2_p1, 2, {1, 1, 3}, .frozen = false},
    {"maxpool 3 s2 ceil", maxpool3_s2_ceil, 2, {8, 6, 3}, .frozen = false},
    {"maxpool 2 ceil", maxpool2_ceil, 2, {7, 5, 17}, .frozen = false},
    {"maxpool 3 s1", maxpool3_s1, 2, {5, 4, 3}, .frozen = false},
    {"avgpool 3 s1", avgpool3_s1, 2, {5, 4, 3}, .frozen = false},
    {"avgpool 3 s2", avgpool3_s2, 2, {8, 5, 3}, .frozen = false},
    {"classifier", classifier, 5, {3, 5, 11}, .frozen = false},
    {"classifier without bias", classifier_without_bias, 1, {1, 1, 3}, .frozen = false},
    {"adl drop", adl, 3, {5, 4, 3}, .draw = ADL_DRAW_DROP},
    {"adl importance", adl, 3, {5, 4, 3}, .draw = ADL_DRAW_IMPORTANCE},
    {"a value added to itself", step_added_to_itself, 2, {3, 5, 3}, .frozen = false},
    {"a value joined with itself", step_joined_with_itself, 2, {3, 5, 3}, .frozen = false},
    {"read by all, adl drop", step_read_by_all, 2, {6, 5, 3}, .draw = ADL_DRAW_DROP},
    {"read by all, adl importance", step_read_by_all, 2, {5, 4, 3}, .draw = ADL_DRAW_IMPORTANCE},
    {"in place chain", step_in_place_chain, 2, {5, 7, 3}, .frozen = false},
    {"residual", step_residual, 2, {5, 4, 3}, .draw = ADL_DRAW_DROP},
    {"residual, frozen", step_residual, 2, {5, 4, 3}, .frozen = true, .draw = ADL_DRAW_IMPORTANCE},
    {"cbam", step_cbam, 3, {5, 4, 7}, .frozen = false},
    {"cbam, many channels", step_cbam, 2, {3, 4, 37}, .frozen = true},
    {"bam", step_bam, 4, {7, 5, 19}, .frozen = false},
    {"enlarged", step_enlarged, 2, {9, 7, 5}, .frozen = false},
    {"enlarged from one row", step_enlarged, 2, {1, 6, 3}, .frozen = false},
    {"attention of all", step_attention_of_all, 3, {4, 5, 18}, .frozen = false},
    {"dead branch", step_dead_branch, 2, {4, 5, 3}, .frozen = false},
};

/* --- checking --------------------------------------------------------------------------- */

/* Elements of a large tensor that are compared: the first, the last, and some between
 * them, at a stride that visits all channels and columns. */
#define SAMPLES ((size_t)60)
/* Fewer for the largest graphs: each sample costs two runs of the slow reference. */
#define LARGE ((size_t)20000)
#define FEW_SAMPLES ((size_t)17)

static size_t sample_count(size_t count)
{
    return count > LARGE ? FEW_SAMPLES : ADL_MIN(count, SAMPLES);
}

static size_t sample_at(size_t i, size_t count)
{
    return count <= SAMPLES ? i : i * (count - 1) / (sample_count(count) - 1);
}

/* The expected values of one case. */
struct expected {
    double *output;
    int params;
    double **grads; /* samples: by parameter id, then the input's */
};

static void expect(const struct train_step *step, const struct adl_train_mode *mode,
                   const float *input, const float *cotangent, struct expected *e)
{
    struct reference ref;
    const struct adl_graph *g = step->graph;
    int params = adl_graph_param_count(g), output = train_step_output(step);
    size_t count = train_step_count(step, output);
    e->params = params;
    reference_open(&ref, g, mode, step->batch, input, step->params);
    reference_run(&ref);
    e->output = adl_malloc(count, sizeof *e->output);
    memcpy(e->output, ref.values[output], count * sizeof *e->output);
    e->grads = adl_calloc((size_t)params + 1, sizeof *e->grads);
    for (int i = 0; i <= params; i++) {
        size_t all = i < params ? adl_graph_param(g, i)->count : train_step_count(step, 0);
        double *at = i < params ? ref.params[i] : ref.values[0];
        e->grads[i] = adl_malloc(sample_count(all), sizeof **e->grads);
        for (size_t j = 0; j < sample_count(all); j++)
            e->grads[i][j] = reference_gradient(&ref, output, cotangent, at + sample_at(j, all));
    }
    reference_close(&ref);
}

static void release(struct expected *e)
{
    for (int i = 0; e->grads && i <= e->params; i++)
        adl_free(e->grads[i]);
    adl_free(e->grads);
    adl_free(e->output);
}

/* The tolerance is relative to the largest value of the tensor; the differences are exact
 * to 1e-8. */
static void compare(const char *name, const char *what, const float *got, size_t all,
                    const double *want, bool sampled)
{
    char text[160];
    float few[SAMPLES];
    double most = 0;
    size_t count = sampled ? sample_count(all) : all;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs(want[i]));
    for (size_t i = 0; sampled && i < count; i++)
        few[i] = got[sample_at(i, all)];
    snprintf(text, sizeof text, "%s: %s", name, what);
    test_close(text, sampled ? few : got, want, count, 5e-6 * most + 1e-6);
}

static void check_against(const char *name, struct train_step *step, const struct expected *e)
{
    const struct adl_graph *g = step->graph;
    int params = adl_graph_param_count(g), output = train_step_output(step);
    compare(name, "output", train_step_result(step), train_step_count(step, output), e->output,
            false);
    for (int i = 0; i < params; i++)
        if (adl_graph_param(g, i)->role != ADL_PARAM_BN_MEAN &&
            adl_graph_param(g, i)->role != ADL_PARAM_BN_VAR)
            compare(name, adl_graph_param(g, i)->name, step->grads[i], adl_graph_param(g, i)->count,
                    e->grads[i], true);
    compare(name, "input", train_step_grad_input(step), train_step_count(step, 0), e->grads[params],
            true);
}

/* A case: how its graph is built, and its mode. */
struct gradient_case {
    const char *name;
    int (*build)(struct adl_graph *graph);
    const struct adl_conv_attr *conv; /* in place of build */
    int batch;
    struct adl_shape in;
    struct adl_train_mode mode;
};

static int open_case(const struct gradient_case *c, int threads, struct train_step *step)
{
    struct adl_graph *g = train_step_begin(c->in.h, c->in.w, c->in.c);
    if (!g)
        return -1;
    int output = c->conv ? adl_conv(g, X, "conv", *c->conv) : c->build(g);
    return train_step_open(step, g, output, c->batch, threads);
}

/* Steps with one instruction set, on one thread and on several. */
static void check_on(const struct gradient_case *c, enum adl_isa isa, const float *input,
                     const float *cotangent, struct expected *e)
{
    uint64_t bits = 0;
    char name[128];
    snprintf(name, sizeof name, "%s on %s", c->name, adl_isa_name(isa));
    setenv("ADL_CPU", adl_isa_name(isa), 1);
    for (int threads = 1; threads <= 3; threads++) {
        struct train_step step;
        if (open_case(c, threads, &step) < 0)
            return;
        if (!e->grads)
            expect(&step, &c->mode, input, cotangent, e);
        train_step_run(&step, input, cotangent, &c->mode);
        if (threads == 1) {
            check_against(name, &step, e);
            bits = train_step_bits(&step);
        } else if (bits != train_step_bits(&step)) {
            TEST_FAIL("%s: %d threads give another result", name, threads);
        }
        train_step_close(&step);
    }
}

/* More than any output here has. */
#define MAX_OUTPUT ((size_t)150000)

static void check_case(const struct gradient_case *c)
{
    struct expected e = {0};
    const char *forced = getenv("ADL_CPU");
    char *kept = forced ? adl_strdup(forced) : NULL;
    size_t count = (size_t)c->batch * adl_shape_count(c->in);
    float *input = adl_malloc(count, sizeof *input);
    float *cotangent = adl_malloc(MAX_OUTPUT, sizeof *cotangent);
    formula_param("gradients.input", 0, 2, count, input);
    formula_param("gradients.cotangent", 0, 1, MAX_OUTPUT, cotangent);
    for (enum adl_isa isa = ADL_ISA_GENERIC; isa <= ADL_ISA_AVX512; isa++)
        if (adl_isa_available(isa))
            check_on(c, isa, input, cotangent, &e);
    if (kept)
        setenv("ADL_CPU", kept, 1);
    else
        unsetenv("ADL_CPU");
    release(&e);
    adl_free(kept);
    adl_free(cotangent);
    adl_free(input);
}

static void convolutions(void)
{
    for (size_t i = 0; i < ADL_COUNT(convs); i++) {
        struct adl_conv_attr attr = convs[i].attr;
        attr.groups = attr.groups ? attr.groups : 1;
        struct gradient_case c = {
            .name = convs[i].name, .conv = &attr, .batch = convs[i].batch, .in = convs[i].in};
        check_case(&c);
    }
}

static void other_layers(void)
{
    for (size_t i = 0; i < ADL_COUNT(layers); i++) {
        struct gradient_case c = {
            .name = layers[i].name,
            .build = layers[i].build,
            .batch = layers[i].batch,
            .in = layers[i].in,
            .mode = {.bn_momentum = 0.1,
                     .frozen_batchnorm = layers[i].frozen,
                     .method_layers = true,
                     .method_values = test_adl_values(layers[i].draw, 0.75, 0.6)}};
        check_case(&c);
    }
}

TEST_SUITE(gradients, {"convolutions at awkward shapes", convolutions},
           {"the other layers, shared values and memory", other_layers});
TEST_SLOW(convolutions);
TEST_SLOW(other_layers);
