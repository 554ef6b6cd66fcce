/* train/: three training steps of whole networks against PyTorch's: losses, gradients,
 * parameters, running statistics and the masks of the ADL layers. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/arch.h"
#include "ops/ops.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/nets.h"
#include "support/train_step.h"
#include "train/loss.h"
#include "train/optimizer.h"

#define STEPS 3

/* One case with everything needed to train it. */
struct trained {
    const char *name;
    json_t *golden;
    struct adl_arch arch;
    struct adl_graph *graph;
    struct adl_pool *pool;
    struct adl_tape *tape;
    struct adl_optimizer *optimizer;
    struct adl_train_mode mode;
    float *input;
    int batch, labels[16];
};

static void close_case(struct trained *t)
{
    adl_free(t->input);
    adl_optimizer_free(t->optimizer);
    adl_tape_free(t->tape);
    adl_pool_free(t->pool);
    adl_graph_free(t->graph);
    json_decref(t->golden);
}

static const json_t *find_param(const struct trained *t, const char *name)
{
    json_t *record;
    size_t i;
    json_array_foreach(golden_get(t->golden, "params"), i,
                       record) if (strcmp(golden_string(record, "name"), name) == 0) return record;
    return NULL;
}

/* Computes the parameters by their formula, and takes those as heads that the reference
 * puts in the group with the higher rate. */
static int make_optimizer(struct trained *t, struct adl_error *err)
{
    int count = adl_graph_param_count(t->graph), result = -1;
    float **start = adl_calloc((size_t)count, sizeof *start);
    CU_ASSERT_EQUAL((size_t)count, json_array_size(golden_get(t->golden, "params")));
    for (int i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(t->graph, i);
        const json_t *record = find_param(t, p->name);
        if (!record) {
            adl_fail(err, ADL_ERR_NOT_FOUND, "%s is not in the golden file", p->name);
            goto out;
        }
        start[i] = adl_malloc(p->count, sizeof **start);
        formula_param(p->name, golden_double(record, "a"),
                      (double)(float)golden_double(record, "b"), p->count, start[i]);
    }
    t->optimizer = adl_optimizer_create(t->graph, (const float *const *)start, err);
    if (!t->optimizer)
        goto out;
    for (int i = 0; i < count; i++) {
        const char *name = adl_graph_param(t->graph, i)->name;
        const json_t *group = json_object_get(find_param(t, name), "group");
        bool head = t->arch.backbone->is_head(name);
        if (group && head != (json_integer_value(group) == 1))
            TEST_FAIL("%s: %s is in the wrong group", t->name, name);
        if (head)
            adl_optimizer_set_head(t->optimizer, i);
    }
    result = 0;
out:
    for (int i = 0; i < count; i++)
        adl_free(start[i]);
    adl_free(start);
    return result;
}

static int open_case(struct trained *t, const char *name)
{
    struct adl_error err = {0};
    char path[128];
    size_t count;
    *t = (struct trained){.name = name};
    snprintf(path, sizeof path, "training/%s.json", name);
    t->golden = golden_load(path);
    if (!t->golden)
        return -1;
    const json_t *input = golden_get(t->golden, "input");
    int *shape = golden_ints(golden_get(input, "shape"), &count);
    int *labels = golden_ints(golden_get(t->golden, "labels"), &count);
    struct adl_shape in = {shape[2], shape[3], shape[1]};
    t->batch = shape[0];
    memcpy(t->labels, labels, count * sizeof *labels);
    adl_free(shape);
    adl_free(labels);
    if (test_net_arch(&t->arch, golden_string(t->golden, "case"), 10) < 0)
        goto out;
    size_t floats = (size_t)t->batch * adl_shape_count(in);
    float *nchw = adl_malloc(floats, sizeof *nchw);
    t->input = adl_malloc(floats, sizeof *t->input);
    formula_image(golden_string(input, "name"), t->batch, in.c, in.h, in.w, nchw);
    train_step_to_nhwc(nchw, t->batch, in, t->input);
    adl_free(nchw);

    t->mode = (struct adl_train_mode){.bn_momentum = 0.1,
                                      .method_layers = adl_arch_has_method(&t->arch),
                                      .method_values = test_method_values(NULL),
                                      .labels = t->labels};
    if (adl_arch_has_layers(&t->arch)) {
        bool drop = strcmp(golden_string(t->golden, "adl_outcome"), "drop") == 0;
        t->mode.method_values = test_adl_values(drop ? ADL_DRAW_DROP : ADL_DRAW_IMPORTANCE, 0.75,
                                                golden_double(t->golden, "adl_gamma"));
    }
    t->graph = adl_arch_build(&t->arch, in.h, in.w, &err);
    t->pool = adl_pool_create(2, &err);
    t->tape = t->graph
                  ? adl_tape_create(t->graph, in.h, in.w, t->batch, ADL_TAPE_KEPT, t->pool, &err)
                  : NULL;
    if (!t->tape || make_optimizer(t, &err) < 0)
        goto out;
    return 0;
out:
    TEST_FAIL("%s: %s", name, err.message);
    close_case(t);
    return -1;
}

/* --- PyTorch's values -------------------------------------------------------------------- */

static void check_loss(const struct trained *t, size_t step, double loss)
{
    const json_t *record = golden_get(t->golden, "loss");
    double want = json_number_value(json_array_get(golden_get(record, "f64"), step));
    double tol = json_number_value(json_array_get(golden_get(record, "tol"), step));
    double allowed = fmax(3 * tol, 1e-3 * want);
    if (!(fabs(loss - want) <= allowed))
        TEST_FAIL("%s: the loss of step %zu is %.9g, expected %.9g", t->name, step, loss, want);
    else
        CU_PASS("");
}

static void check_logits(const struct trained *t)
{
    size_t count;
    const json_t *record = golden_get(t->golden, "logits_step0");
    double *want = golden_doubles(golden_get(record, "f64"), &count);
    test_close(t->name, adl_tape_logits(t->tape), want, count, golden_double(record, "tol"));
    adl_free(want);
}

/* The drop masks of the first step: outputs are 0 or the unchanged input. */
static void check_masks(const struct trained *t)
{
    const json_t *layers = json_object_get(t->golden, "adl");
    size_t layer = 0, wrong = 0;
    for (int n = 0; layers && n < adl_graph_node_count(t->graph); n++) {
        const struct adl_node *node = adl_graph_node(t->graph, n);
        if (node->def != adl_method_adl.layer)
            continue;
        struct adl_shape s = adl_tape_shape(t->tape, node->output);
        size_t pixels = (size_t)s.h * (size_t)s.w;
        const float *x = adl_tape_value(t->tape, node->inputs[0]);
        const float *y = adl_tape_value(t->tape, node->output);
        const json_t *masks = golden_get(json_array_get(layers, layer++), "kept_by_drop_mask");
        for (size_t i = 0; i < (size_t)t->batch * pixels; i++) {
            const char *mask = json_string_value(json_array_get(masks, i / pixels));
            CU_ASSERT_FATAL(mask && strlen(mask) == pixels);
            for (size_t c = 0; c < (size_t)s.c; c++) {
                size_t at = i * (size_t)s.c + c;
                wrong += y[at] != (mask[i % pixels] == '1' ? x[at] : 0);
            }
        }
    }
    CU_ASSERT_EQUAL(layer, layers ? json_array_size(layers) : 0);
    if (wrong)
        TEST_FAIL("%s: %zu values do not follow from inputs and drop masks", t->name, wrong);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double norm_of(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

/* Counts the samples of one parameter, and those that are off by more than
 * max(tol, room). */
static size_t count_far(const json_t *record, const json_t *values, const float *got, double room,
                        size_t *samples)
{
    size_t count, far = 0;
    int *idx = golden_ints(golden_get(record, "idx"), &count);
    double *want = golden_doubles(golden_get(values, "f64"), &count);
    double allowed = fmax(golden_double(values, "tol"), room);
    for (size_t i = 0; i < count; i++)
        far += !(fabs((double)got[idx[i]] - want[i]) <= allowed);
    adl_free(idx);
    adl_free(want);
    *samples += count;
    return far;
}

/* Rounding may carry a single ReLU over its threshold, so each norm and sample has a wider
 * tolerance, but their median has not. */
static void check_gradients(const struct trained *t)
{
    int count = adl_graph_param_count(t->graph);
    double *ratios = adl_malloc((size_t)count, sizeof *ratios);
    size_t used = 0, samples = 0;
    for (int i = 0; i < count; i++) {
        const struct adl_param *p = adl_graph_param(t->graph, i);
        const json_t *record = find_param(t, p->name), *grad = json_object_get(record, "grad");
        const float *got = adl_optimizer_grads(t->optimizer)[i];
        CU_ASSERT_EQUAL(grad == NULL, got == NULL);
        if (!grad)
            continue;
        if (count_far(record, grad, got, 0.05 * golden_double(grad, "absmax"), &samples))
            TEST_FAIL("%s: gradient of %s", t->name, p->name);
        const json_t *norm = json_object_get(grad, "norm");
        if (!norm)
            continue;
        double want = golden_double(norm, "f64"), tol = golden_double(norm, "tol");
        double off = fabs(norm_of(got, p->count) - want);
        if (!(off <= fmax(tol, 0.05 * want)))
            TEST_FAIL("%s: the gradient of %s has norm %.9g, expected %.9g", t->name, p->name,
                      norm_of(got, p->count), want);
        ratios[used++] = off / fmax(tol, 0.002 * want);
    }
    qsort(ratios, used, sizeof *ratios, by_size);
    CU_ASSERT(samples > 0);
    if (used > 0 && !(ratios[used / 2] <= 1))
        TEST_FAIL("%s: the median norm of the gradients is off by %.2f times the tolerance",
                  t->name, ratios[used / 2]);
    adl_free(ratios);
}

/* Parameters and running statistics after a step: 95 % of the samples have to agree. */
static void check_params(const struct trained *t, const char *key)
{
    size_t samples = 0, far = 0;
    for (int i = 0; i < adl_graph_param_count(t->graph); i++) {
        const struct adl_param *p = adl_graph_param(t->graph, i);
        const json_t *record = find_param(t, p->name);
        const json_t *after = golden_get(record, key);
        double change = golden_double(golden_get(after, "change_norm"), "f64");
        far += count_far(record, after, adl_optimizer_params(t->optimizer)[i],
                         0.01 * change / sqrt((double)p->count), &samples);
    }
    if (20 * far > samples)
        TEST_FAIL("%s: %zu of %zu samples of %s are off", t->name, far, samples, key);
    else
        CU_PASS("");
}

static double forward(struct trained *t)
{
    size_t floats = (size_t)t->batch * adl_shape_count(adl_tape_shape(t->tape, 0));
    memcpy(adl_tape_input(t->tape), t->input, floats * sizeof *t->input);
    adl_tape_forward(t->tape, t->batch, adl_optimizer_params(t->optimizer), &t->mode);
    const struct adl_targets targets = {.labels = t->labels};
    return adl_method_loss(t->arch.methods, t->tape, &targets, &t->mode, 1, NULL);
}

static void check_case(const char *name)
{
    struct trained t;
    if (open_case(&t, name) < 0)
        return;
    const json_t *options = golden_get(t.golden, "optimizer");
    double lr = golden_double(options, "lr"), head = golden_double(options, "lr_classifier");
    struct adl_sgd sgd = {.momentum = golden_double(options, "momentum"),
                          .weight_decay = golden_double(options, "weight_decay"),
                          .nesterov = json_is_true(golden_get(options, "nesterov"))};
    for (size_t step = 0; step < STEPS; step++) {
        check_loss(&t, step, forward(&t));
        if (step == 0) {
            check_logits(&t);
            check_masks(&t);
        }
        adl_optimizer_zero_grads(t.optimizer);
        adl_tape_backward(t.tape, adl_optimizer_params(t.optimizer), &t.mode,
                          adl_optimizer_grads(t.optimizer));
        if (step == 0)
            check_gradients(&t);
        adl_optimizer_step(t.optimizer, &sgd, lr, head / lr, t.pool);
        if (step == 0)
            check_params(&t, "after1");
    }
    check_params(&t, "after3");
    check_loss(&t, STEPS, forward(&t));
    close_case(&t);
}

static void vgg16(void)
{
    check_case("vgg16_adl_drop_64x64");
}

static void two_classifiers(void)
{
    check_case("vgg16_acol_64x64");
}

static void guided_branches(void)
{
    check_case("resnet50_spg_64x64");
}

static void resnet50(void)
{
    check_case("resnet50_adl_importance_64x64");
}

static void resnet50_se(void)
{
    check_case("resnet50_se_cam_64x64");
}

static void resnet50_cbam(void)
{
    check_case("resnet50_cbam_cam_64x64");
}

static void resnet50_bam(void)
{
    check_case("resnet50_bam_cam_64x64");
}

static void inception_v3(void)
{
    check_case("inception_v3_cam_64x64");
}

static void mobilenet_v1(void)
{
    check_case("mobilenet_v1_100_relu_cam_96x96");
    check_case("mobilenet_v1_100_relu_adl_drop_96x96");
    check_case("mobilenet_v1_100_relu_adl_importance_96x96");
}

TEST_SUITE(train_goldens, {"vgg16 with drop masks", vgg16},
           {"vgg16 with two classifiers", two_classifiers},
           {"resnet50 with guided branches", guided_branches},
           {"resnet50 with importance maps", resnet50}, {"resnet50_se", resnet50_se},
           {"resnet50_cbam", resnet50_cbam}, {"resnet50_bam", resnet50_bam},
           {"inception_v3", inception_v3}, {"mobilenet_v1, all three", mobilenet_v1});
TEST_UNWATCHED(two_classifiers);
TEST_UNWATCHED(guided_branches);
TEST_UNWATCHED(resnet50_cbam);
TEST_UNWATCHED(vgg16);
TEST_UNWATCHED(resnet50);
TEST_UNWATCHED(resnet50_se);
TEST_UNWATCHED(inception_v3);
TEST_SLOW(vgg16);
TEST_SLOW(two_classifiers);
TEST_SLOW(guided_branches);
TEST_SLOW(resnet50);
TEST_SLOW(resnet50_se);
TEST_SLOW(resnet50_cbam);
TEST_SLOW(resnet50_bam);
TEST_SLOW(inception_v3);
TEST_UNWATCHED(resnet50_bam);
