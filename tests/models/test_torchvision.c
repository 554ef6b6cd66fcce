/* The networks that have torchvision's names, against torchvision itself
 * (tests/golden/torchvision): names, shapes and order of the parameters, scores, features and class
 * maps as it is and with the last halving left out, and the gradients of torch's autograd;
 * parameters and multiply-adds as published. */

#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/arch.h"
#include "models/file/match.h"
#include "plan/session.h"
#include "support/formula.h"
#include "support/golden.h"
#include "train/loss.h"
#include "train/tape.h"
#include "wsol/session_cam.h"

#define CLASSES 7

/* Parameters with 1000 classes and billions of multiply-adds, for an image of this side, as
 * torchvision publishes them with its weights. */
static const struct row {
    const char *name;
    uint64_t params;
    int side;
    double gmac;
} rows[] = {
    {"resnet18", 11689512, 224, 1.814},          {"resnet34", 21797672, 224, 3.664},
    {"resnet101", 44549160, 224, 7.801},         {"resnet152", 60192808, 224, 11.514},
    {"resnext50_32x4d", 25028904, 224, 4.230},   {"mobilenet_v2", 3504872, 224, 0.301},
    {"mobilenet_v3_large", 5483032, 224, 0.217}, {"mobilenet_v3_small", 2542856, 224, 0.057},
    {"efficientnet_b0", 5288548, 224, 0.386},    {"efficientnet_b1", 7794184, 240, 0.687},
    {"efficientnet_b2", 9109994, 288, 1.088},    {"efficientnet_b3", 12233232, 300, 1.827},
    {"efficientnet_b4", 19341616, 380, 4.394},   {"densenet121", 7978856, 224, 2.834},
    {"convnext_tiny", 28589128, 224, 4.456},
};

/* Those with squeeze and excitation, which torchvision does not have: its modules with a block of
 * make.py in each of theirs. */
static const char *const excited[] = {"resnet18_se", "resnet34_se", "resnet101_se", "resnet152_se"};

struct net {
    json_t *golden;
    struct adl_arch arch;
    struct adl_graph *graph;
    float **params;
    float *input; /* H x W x 3 */
    int h, w;
};

static bool open_net(struct net *net, const char *name, int last_stride)
{
    struct adl_error err = {0};
    char path[100];
    size_t rank;

    *net = (struct net){0};
    snprintf(path, sizeof path, "torchvision/%s.json", name);
    net->golden = golden_load(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(net->golden);
    int *shape = golden_ints(golden_get(net->golden, "input"), &rank);
    net->h = shape[2];
    net->w = shape[3];
    adl_free(shape);
    adl_arch_init(&net->arch, adl_backbone_find(name));
    CU_ASSERT_EQUAL(net->arch.last_stride, 2);
    net->arch.last_stride = last_stride;
    net->arch.num_classes = CLASSES;
    net->graph = adl_arch_build(&net->arch, net->h, net->w, &err);
    TEST_OK(net->graph ? 0 : -1, &err);
    return net->graph != NULL;
}

static void close_net(struct net *net)
{
    for (int i = 0; net->params && i < adl_graph_param_count(net->graph); i++)
        adl_free(net->params[i]);
    adl_free(net->params);
    adl_free(net->input);
    adl_graph_free(net->graph);
    json_decref(net->golden);
}

/* Computes the parameters and the input. */
static void fill_net(struct net *net)
{
    json_t *records = golden_get(net->golden, "params");
    int count = adl_graph_param_count(net->graph);
    size_t plane = (size_t)net->h * (size_t)net->w;

    CU_ASSERT_EQUAL_FATAL((size_t)count, json_array_size(records));
    net->params = adl_calloc((size_t)count, sizeof *net->params);
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(net->graph, i);
        json_t *record = json_array_get(records, (size_t)i);
        net->params[i] = adl_malloc(param->count, sizeof(float));
        formula_param(param->name, golden_double(record, "a"),
                      (double)(float)golden_double(record, "b"), param->count, net->params[i]);
    }
    float *nchw = adl_malloc(3 * plane, sizeof *nchw);
    net->input = adl_malloc(3 * plane, sizeof *net->input);
    formula_param("input", 0, 2, 3 * plane, nchw);
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < plane; i++)
            net->input[i * 3 + c] = nchw[c * plane + i];
    adl_free(nchw);
}

static void check_params(const struct net *net, const char *name)
{
    json_t *records = golden_get(net->golden, "params");
    int count = adl_graph_param_count(net->graph);

    if ((size_t)count != json_array_size(records)) {
        TEST_FAIL("%s: %d parameters, torchvision has %zu", name, count, json_array_size(records));
        return;
    }
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(net->graph, i);
        json_t *record = json_array_get(records, (size_t)i), *shape = golden_get(record, "shape");
        bool same = strcmp(param->name, golden_string(record, "name")) == 0 &&
                    (size_t)param->rank == json_array_size(shape);
        for (int d = 0; same && d < param->rank; d++)
            same = param->shape[d] == (size_t)json_integer_value(json_array_get(shape, (size_t)d));
        if (!same)
            TEST_FAIL("%s: parameter %d is %s, torchvision's is %s, or has another shape", name, i,
                      param->name, golden_string(record, "name"));
    }
}

static void names_are_torchvisions(void)
{
    for (size_t i = 0; i < ADL_COUNT(rows); i++)
        for (int stride = 1; stride <= 2; stride++) {
            struct net net;
            if (open_net(&net, rows[i].name, stride)) {
                check_params(&net, rows[i].name);
                CU_ASSERT_EQUAL(rows[i].params,
                                (uint64_t)golden_double(net.golden, "parameters_1000"));
            }
            close_net(&net);
        }
    for (size_t i = 0; i < ADL_COUNT(excited); i++) {
        struct net net;
        if (open_net(&net, excited[i], 2))
            check_params(&net, excited[i]);
        close_net(&net);
    }
}

/* Returns the billions of multiply-adds up to the scores: what only a class map needs comes after
 * them. */
static double scores_gmac(const struct adl_graph *graph, const struct adl_shape *shapes)
{
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
    uint64_t macs = 0;
    for (int i = 0; i <= adl_graph_value(graph, logits)->node; i++)
        macs += adl_node_macs(adl_graph_node(graph, i), shapes);
    return (double)macs * 1e-9;
}

static void counts_are_the_published_ones(void)
{
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        adl_arch_init(&arch, adl_backbone_find(rows[i].name));
        struct adl_graph *graph = adl_arch_build(&arch, rows[i].side, rows[i].side, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
        struct adl_shape *shapes = adl_malloc((size_t)adl_graph_value_count(graph), sizeof *shapes);
        TEST_OK(adl_graph_infer(graph, rows[i].side, rows[i].side, shapes, &err), &err);
        double gmac = scores_gmac(graph, shapes);
        if (adl_graph_trainable(graph) != rows[i].params)
            TEST_FAIL("%s has %llu parameters", rows[i].name,
                      (unsigned long long)adl_graph_trainable(graph));
        if (fabs(gmac - rows[i].gmac) > 0.0006 + 0.002 * rows[i].gmac)
            TEST_FAIL("%s costs %.4f GMAC, not %.3f", rows[i].name, gmac, rows[i].gmac);
        adl_free(shapes);
        adl_graph_free(graph);
    }
}

/* Compares with the golden numbers `key` of a result. */
static void check_numbers(const char *name, const json_t *result, const char *key, const float *got,
                          size_t count)
{
    size_t golden = 0;
    double *want = golden_doubles(golden_get(result, key), &golden), largest = 1;
    char what[100];

    CU_ASSERT_EQUAL_FATAL(golden, count);
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(want[i]));
    snprintf(what, sizeof what, "%s %s", name, key);
    test_close(what, got, want, count, 2e-5 * largest);
    adl_free(want);
}

static void check_values(const char *name, int stride)
{
    struct adl_error err = {0};
    struct net net;

    if (!open_net(&net, name, stride))
        return;
    fill_net(&net);
    json_t *result = golden_get(net.golden, stride == 1 ? "last stride 1" : "as it is");
    const struct adl_plan_options options = {.input_h = net.h, .input_w = net.w};
    struct adl_plan *plan =
        adl_plan_create(net.graph, (const float *const *)net.params, &options, &err);
    struct adl_session *session = plan ? adl_session_create(plan, NULL, 1, &err) : NULL;
    TEST_OK(session ? 0 : -1, &err);
    memcpy(adl_session_input(session, 0), net.input,
           (size_t)net.h * (size_t)net.w * 3 * sizeof *net.input);
    adl_session_run(session, 1);
    check_numbers(name, result, "logits", adl_session_output(session, ADL_OUTPUT_LOGITS, 0),
                  CLASSES);

    struct adl_shape features = adl_plan_output_shape(plan, ADL_OUTPUT_FEATURES);
    size_t pixels = (size_t)features.h * (size_t)features.w;
    float *cam = adl_malloc(pixels, sizeof *cam), means[16];
    adl_session_cam(session, 0, golden_int(result, "class"), &(struct adl_map_rule){0}, cam);
    check_numbers(name, result, "cam", cam, pixels);
    for (size_t c = 0; c < ADL_COUNT(means); c++) {
        double sum = 0;
        for (size_t i = 0; i < pixels; i++)
            sum += (double)adl_session_output(session, ADL_OUTPUT_FEATURES,
                                              0)[i * (size_t)features.c + c];
        means[c] = (float)(sum / (double)pixels);
    }
    check_numbers(name, result, "features_mean", means, ADL_COUNT(means));
    adl_free(cam);
    adl_session_free(session);
    adl_plan_unref(plan);
    close_net(&net);
}

static bool is_larger(const char *name)
{
    static const char *const larger[] = {"resnet34",        "resnet101",       "resnet152",
                                         "efficientnet_b1", "efficientnet_b2", "efficientnet_b3"};
    for (size_t i = 0; i < ADL_COUNT(larger); i++)
        if (!strcmp(name, larger[i]))
            return true;
    return false;
}

/* GOLDEN=NAME: only this network, as it is (tests/arm/check.sh). */
static void values_are_torchvisions(void)
{
    const char *golden = getenv("GOLDEN");

    if (golden && *golden) {
        check_values(golden, 2);
        return;
    }
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        check_values(rows[i].name, 2);
        /* Others of the family are built by the same lines. */
        if (!is_larger(rows[i].name))
            check_values(rows[i].name, 1);
    }
    for (size_t i = 0; i < ADL_COUNT(excited); i++)
        check_values(excited[i], 2);
    check_values(excited[0], 1);
}
TEST_SLOW(values_are_torchvisions);

/* --- training ----------------------------------------------------------------------------------
 */

#define TRAIN_SIDE 96
#define TRAIN_BATCH 2

/* Compares one parameter's gradient, or its running statistics, with the golden length and product
 * (make.py). */
static void check_sums(const char *net, const char *name, const float *values, size_t count,
                       const json_t *sums)
{
    double length = json_number_value(json_array_get(sums, 0));
    double product = json_number_value(json_array_get(sums, 1)), squares = 0, got = 0;
    char stream[200];

    snprintf(stream, sizeof stream, "%s.grad", name);
    for (size_t i = 0; i < count; i++) {
        squares += (double)values[i] * (double)values[i];
        got += (double)values[i] * formula_u(stream, i);
    }
    /* Rounding to float32 in all layers below, for gradients that nearly cancel as well. */
    double most = 2e-3 * length + 1e-6;
    if (fabs(sqrt(squares) - length) > most || fabs(got - product) > most)
        TEST_FAIL("%s: %s has length %g and product %g, not %g and %g", net, name, sqrt(squares),
                  got, length, product);
}

static void check_training(const char *name)
{
    struct adl_error err = {0};
    struct net net;
    const size_t plane = TRAIN_SIDE * TRAIN_SIDE, image = 3 * plane;

    if (!open_net(&net, name, 2))
        return;
    fill_net(&net);
    json_t *want = golden_get(net.golden, "training");
    size_t rank, count = (size_t)adl_graph_param_count(net.graph);
    int *labels = golden_ints(golden_get(want, "labels"), &rank);
    float **grads = adl_calloc(count, sizeof *grads);
    float *nchw = adl_malloc(TRAIN_BATCH * image, sizeof *nchw);
    struct adl_tape *tape = adl_tape_create(net.graph, TRAIN_SIDE, TRAIN_SIDE, TRAIN_BATCH,
                                            ADL_TAPE_SHARED, NULL, &err);
    TEST_OK(tape ? 0 : -1, &err);
    for (size_t i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(net.graph, (int)i);
        if (param->role != ADL_PARAM_BN_MEAN && param->role != ADL_PARAM_BN_VAR)
            grads[i] = adl_calloc(param->count, sizeof **grads);
    }
    formula_param("images", 0, 2, TRAIN_BATCH * image, nchw);
    for (size_t n = 0; n < TRAIN_BATCH; n++)
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < plane; i++)
                adl_tape_input(tape)[n * image + i * 3 + c] = nchw[n * image + c * plane + i];
    const struct adl_train_mode mode = {.bn_momentum = 0.1, .frozen_batchnorm = true};
    const struct adl_targets targets = {.labels = labels};
    adl_tape_forward(tape, TRAIN_BATCH, net.params, &mode);
    double loss = adl_cross_entropy(adl_tape_logits(tape), &targets, TRAIN_BATCH, CLASSES,
                                    adl_tape_logits_grad(tape), NULL);
    adl_tape_backward(tape, net.params, &mode, grads);
    CU_ASSERT_DOUBLE_EQUAL(loss, golden_double(want, "loss"), 1e-4);
    for (size_t i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(net.graph, (int)i);
        check_sums(name, param->name, grads[i] ? grads[i] : net.params[i], param->count,
                   json_array_get(golden_get(want, "sums"), i));
        adl_free(grads[i]);
    }
    adl_free(grads);
    adl_free(nchw);
    adl_free(labels);
    adl_tape_free(tape);
    close_net(&net);
}

static void gradients_are_torchs(void)
{
    static const char *const names[] = {"resnet18",    "resnext50_32x4d",    "mobilenet_v2",
                                        "resnet18_se", "mobilenet_v3_small", "efficientnet_b0",
                                        "densenet121", "convnext_tiny"};
    for (size_t i = 0; i < (TEST_WATCHED ? 1 : ADL_COUNT(names)); i++)
        check_training(names[i]);
}
TEST_SLOW(gradients_are_torchs);

/* --- names in older files ----------------------------------------------------------------------
 */

/* The weights that torchvision publishes for DenseNet have the names of before its version 0.3. */
static void former_names_are_found(void)
{
    struct adl_error err = {0};
    struct adl_match match;
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_densenet121);
    struct adl_graph *graph = adl_arch_build(&arch, 64, 64, &err);
    struct adl_tensors *tensors = adl_tensors_create(&err);
    CU_ASSERT_FATAL(graph && tensors);
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        char name[100];
        static const char *const parts[] = {"norm1", "norm2", "conv1", "conv2"};
        snprintf(name, sizeof name, "%s", param->name);
        for (size_t p = 0; p < ADL_COUNT(parts) && strstr(name, "denselayer"); p++) {
            char *at = strstr(name, parts[p]);
            if (at)
                snprintf(name, sizeof name, "%.*s.%s", (int)(at + 4 - name), param->name,
                         param->name + (at + 4 - name));
        }
        CU_ASSERT(adl_tensors_add(tensors, name, ADL_F32, param->rank, param->shape, &err) != NULL);
    }
    CU_ASSERT_PTR_NOT_NULL(
        adl_tensors_find(tensors, "features.denseblock4.denselayer16.conv.2.weight"));
    CU_ASSERT_PTR_NULL(adl_tensors_find(tensors, "features.denseblock4.denselayer16.conv2.weight"));
    TEST_OK(adl_match_find(&match, &arch, graph, tensors, &err), &err);
    CU_ASSERT_EQUAL(match.fitting, (size_t)adl_graph_param_count(graph));
    CU_ASSERT(match.missing == 0 && match.unexpected == 0 && match.misshapen == 0);
    adl_match_release(&match);
    adl_tensors_free(tensors);
    adl_graph_free(graph);
}

/* The names and shapes of timm's networks, as far as they are others: those of the first and the
 * last layers and of a block of each kind, written down from its code. */
static void timms_names_are_found(void)
{
    static const struct {
        const struct adl_backbone *backbone;
        struct {
            const char *name;
            size_t shape[4];
        } tensors[16];
    } nets[] = {
        {&adl_backbone_efficientnet_b0,
         {{"conv_stem.weight", {32, 3, 3, 3}},
          {"bn1.running_mean", {32}},
          {"blocks.0.0.conv_dw.weight", {32, 1, 3, 3}},
          {"blocks.0.0.se.conv_reduce.weight", {8, 32, 1, 1}},
          {"blocks.0.0.se.conv_expand.bias", {32}},
          {"blocks.0.0.conv_pw.weight", {16, 32, 1, 1}},
          {"blocks.0.0.bn2.weight", {16}},
          {"blocks.2.1.conv_pw.weight", {240, 40, 1, 1}},
          {"blocks.2.1.bn1.bias", {240}},
          {"blocks.2.1.conv_dw.weight", {240, 1, 5, 5}},
          {"blocks.2.1.se.conv_reduce.bias", {10}},
          {"blocks.2.1.conv_pwl.weight", {40, 240, 1, 1}},
          {"blocks.6.0.bn3.running_var", {320}},
          {"conv_head.weight", {1280, 320, 1, 1}},
          {"bn2.weight", {1280}},
          {"classifier.weight", {1000, 1280}}}},
        {&adl_backbone_mobilenet_v2,
         {{"conv_stem.weight", {32, 3, 3, 3}},
          {"bn1.weight", {32}},
          {"blocks.0.0.conv_dw.weight", {32, 1, 3, 3}},
          {"blocks.0.0.conv_pw.weight", {16, 32, 1, 1}},
          {"blocks.0.0.bn2.weight", {16}},
          {"blocks.1.1.conv_pw.weight", {144, 24, 1, 1}},
          {"blocks.3.2.conv_dw.weight", {384, 1, 3, 3}},
          {"blocks.4.0.conv_pwl.weight", {96, 384, 1, 1}},
          {"blocks.5.2.bn3.weight", {160}},
          {"blocks.6.0.conv_pwl.weight", {320, 960, 1, 1}},
          {"conv_head.weight", {1280, 320, 1, 1}},
          {"bn2.running_var", {1280}},
          {"classifier.bias", {1000}}}},
        {&adl_backbone_convnext_tiny,
         {{"stem.0.weight", {96, 3, 4, 4}},
          {"stem.1.bias", {96}},
          {"stages.0.blocks.2.gamma", {96}},
          {"stages.1.downsample.0.weight", {96}},
          {"stages.1.downsample.1.weight", {192, 96, 2, 2}},
          {"stages.1.blocks.0.conv_dw.weight", {192, 1, 7, 7}},
          {"stages.2.blocks.8.norm.weight", {384}},
          {"stages.2.blocks.8.mlp.fc1.weight", {1536, 384}},
          {"stages.3.blocks.2.mlp.fc2.bias", {768}},
          {"head.norm.weight", {768}},
          {"head.fc.weight", {1000, 768}}}},
    };

    for (size_t i = 0; i < ADL_COUNT(nets); i++) {
        struct adl_error err = {0};
        struct adl_match match;
        struct adl_arch arch;
        size_t count = 0;
        adl_arch_init(&arch, nets[i].backbone);
        struct adl_graph *graph = adl_arch_build(&arch, 64, 64, &err);
        struct adl_tensors *tensors = adl_tensors_create(&err);
        CU_ASSERT_FATAL(graph && tensors);
        for (; count < ADL_COUNT(nets[i].tensors) && nets[i].tensors[count].name; count++) {
            int rank = 0;
            while (rank < 4 && nets[i].tensors[count].shape[rank])
                rank++;
            CU_ASSERT(adl_tensors_add(tensors, nets[i].tensors[count].name, ADL_F32, rank,
                                      nets[i].tensors[count].shape, &err) != NULL);
        }
        TEST_OK(adl_match_find(&match, &arch, graph, tensors, &err), &err);
        if (match.fitting != count || match.misshapen || match.unexpected)
            TEST_FAIL("%s: %zu of %zu fit, %zu have another shape, %zu are unknown",
                      nets[i].backbone->name, match.fitting, count, match.misshapen,
                      match.unexpected);
        adl_match_release(&match);
        adl_tensors_free(tensors);
        adl_graph_free(graph);
    }
}

/* No two parameters have one former name, and each is that of a layer of timm's. */
static void former_names_differ(void)
{
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        adl_arch_init(&arch, adl_backbone_find(rows[i].name));
        struct adl_graph *graph = adl_arch_build(&arch, 64, 64, &err);
        struct adl_tensors *names = adl_tensors_create(&err);
        CU_ASSERT_FATAL(graph && names);
        int count = arch.backbone->former_name ? adl_graph_param_count(graph) : 0;
        for (int k = 0; k < count; k++) {
            char text[120];
            const char *name = adl_graph_param(graph, k)->name;
            bool other = arch.backbone->former_name(name, text, sizeof text);
            if (!other && arch.backbone != &adl_backbone_densenet121)
                TEST_FAIL("%s: %s has no other name", rows[i].name, name);
            if (!adl_tensors_add(names, other ? text : name, ADL_F32, 1, &(size_t){1}, &err))
                TEST_FAIL("%s: %s: %s", rows[i].name, name, err.message);
        }
        adl_tensors_free(names);
        adl_graph_free(graph);
    }
}

TEST_SUITE(torchvision, {"names are torchvision's", names_are_torchvisions},
           {"counts are the published ones", counts_are_the_published_ones},
           {"values are torchvision's", values_are_torchvisions},
           {"gradients are torch's", gradients_are_torchs},
           {"former names are found", former_names_are_found},
           {"timm's names are found", timms_names_are_found},
           {"former names differ", former_names_differ});
