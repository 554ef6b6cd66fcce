/* The backbones as graphs: names, shapes and order of the parameters and shapes of values
 * compared with PyTorch's, counts with the published tables. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/size.h"
#include "ops/ops.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/nets.h"
#include "support/test.h"

static void check_params(const struct test_net *net, const char *case_name)
{
    json_t *records = golden_get(net->golden, "params");
    int count = adl_graph_param_count(net->graph);
    if ((size_t)count != json_array_size(records)) {
        TEST_FAIL("%s: %d parameters, PyTorch has %zu", case_name, count, json_array_size(records));
        return;
    }
    for (int i = 0; i < count; i++) {
        const struct adl_param *param = adl_graph_param(net->graph, i);
        json_t *record = json_array_get(records, (size_t)i), *shape = golden_get(record, "shape");
        if (strcmp(param->name, golden_string(record, "name")) != 0)
            TEST_FAIL("%s: parameter %d is %s, not %s", case_name, i, param->name,
                      golden_string(record, "name"));
        if ((size_t)param->rank != json_array_size(shape))
            TEST_FAIL("%s: %s has rank %d", case_name, param->name, param->rank);
        size_t elements = 1;
        for (int d = 0; d < param->rank; d++) {
            size_t want = (size_t)json_integer_value(json_array_get(shape, (size_t)d));
            if (param->shape[d] != want)
                TEST_FAIL("%s: %s: side %d is %zu, not %zu", case_name, param->name, d,
                          param->shape[d], want);
            elements *= want;
        }
        CU_ASSERT_EQUAL(param->count, elements);
    }
}

static void check_stages(const struct test_net *net, const char *case_name)
{
    json_t *records = golden_get(net->golden, "stages"), *record;
    size_t i;
    int before = 0;
    json_array_foreach(records, i, record)
    {
        const char *name = golden_string(record, "name");
        json_t *shape = golden_get(record, "shape");
        int id = adl_graph_find_value(net->graph, name);
        if (id < 0) {
            TEST_FAIL("%s: no value is called %s", case_name, name);
            continue;
        }
        if (id <= before)
            TEST_FAIL("%s: %s is computed before the stage in front of it", case_name, name);
        before = id;
        int want[3] = {1, 1, 1}; /* C, H, W */
        for (size_t d = 1; d < json_array_size(shape); d++)
            want[d - 1] = (int)json_integer_value(json_array_get(shape, d));
        struct adl_shape got = adl_graph_value(net->graph, id)->shape;
        if (got.c != want[0] || got.h != want[1] || got.w != want[2])
            TEST_FAIL("%s: %s is %dx%dx%d, not %dx%dx%d", case_name, name, got.c, got.h, got.w,
                      want[0], want[1], want[2]);
    }
}

static void check_outputs(const struct test_net *net, const char *case_name)
{
    const struct adl_graph *graph = net->graph;
    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
    int features = adl_graph_output(graph, ADL_OUTPUT_FEATURES);
    int class_map = adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP);
    bool has_class_map =
        net->arch.backbone == &adl_backbone_inception_v3 || adl_arch_branches(&net->arch);
    bool has_cam = json_object_get(net->golden, "cam") != NULL;
    json_t *shape =
        golden_get(golden_get(net->golden, has_cam ? "cam" : "final_feature_map"), "shape");
    int side = (int)json_integer_value(json_array_get(shape, has_cam ? 1 : 2));

    if (logits < 0 || features < 0 || (class_map >= 0) != has_class_map) {
        TEST_FAIL("%s: outputs %d %d %d", case_name, logits, features, class_map);
        return;
    }
    CU_ASSERT_EQUAL(adl_graph_value(graph, logits)->shape.c, net->arch.num_classes);
    CU_ASSERT_EQUAL(adl_shape_count(adl_graph_value(graph, logits)->shape),
                    (size_t)net->arch.num_classes);
    struct adl_shape map = adl_graph_value(graph, features)->shape;
    CU_ASSERT_EQUAL(map.h, side);
    CU_ASSERT_EQUAL(map.w, side);
    int classifier = adl_graph_classifier(graph);
    if (has_class_map)
        CU_ASSERT_EQUAL(adl_graph_value(graph, class_map)->shape.c, net->arch.num_classes);
    /* The map of ACoL is no weighted sum of features. */
    if (classifier < 0 && adl_arch_branches(&net->arch) == &adl_method_acol)
        return;
    CU_ASSERT_FATAL(classifier >= 0);
    CU_ASSERT_EQUAL(adl_graph_param(graph, classifier)->shape[0], (size_t)net->arch.num_classes);
    CU_ASSERT_EQUAL(adl_graph_param(graph, classifier)->shape[1], (size_t)map.c);
}

static void names_are_pytorchs(void)
{
    for (const char *const *name = test_net_cases; *name; name++) {
        struct test_net net;
        if (test_net_open(&net, *name) < 0)
            continue;
        check_params(&net, *name);
        check_stages(&net, *name);
        check_outputs(&net, *name);
        test_net_close(&net);
    }
}

static void names_are_unique(void)
{
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        for (int adl = 0; adl < 2; adl++) {
            struct adl_error err = {0};
            struct adl_arch arch;
            adl_arch_init(&arch, *b);
            arch.methods = test_adl_if(adl);
            struct adl_graph *graph = adl_arch_build(&arch, 224, 224, &err);
            CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
            for (int i = 0; i < adl_graph_value_count(graph); i++)
                if (adl_graph_find_value(graph, adl_graph_value(graph, i)->name) != i)
                    TEST_FAIL("%s: two values are called %s", (*b)->name,
                              adl_graph_value(graph, i)->name);
            for (int i = 0; i < adl_graph_param_count(graph); i++)
                if (adl_graph_find_param(graph, adl_graph_param(graph, i)->name) != i)
                    TEST_FAIL("%s: two parameters are called %s", (*b)->name,
                              adl_graph_param(graph, i)->name);
            adl_graph_free(graph);
        }
}

/* Counted by PyTorch on the reference's own models; GMAC at 224 x 224 with 200
 * classes. */
static const struct {
    const char *name;
    uint64_t params_200, params_1000;
    double gmac_14, gmac_28; /* 0: unknown */
} published[] = {
    {"vgg16", 19639304, 20459304, 16.27, 0},      {"resnet50", 23917832, 25557032, 6.21, 19.08},
    {"resnet50_se", 26448824, 28088024, 6.21, 0}, {"inception_v3", 25687976, 26507976, 6.24, 20.75},
    {"mobilenet_v1", 3411976, 4231976, 0.80, 0},  {"resnet50_cbam", 26450424, 28089624, 0, 0},
    {"resnet50_bam", 24275899, 25915099, 0, 0},   {"ran56", 30171528, 31810728, 0, 0},
};

static double gmac(const struct adl_graph *graph)
{
    struct adl_error err = {0};
    struct adl_shape *shapes = adl_malloc((size_t)adl_graph_value_count(graph), sizeof *shapes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(shapes);
    TEST_OK(adl_graph_infer(graph, 224, 224, shapes, &err), &err);
    double result = (double)adl_graph_macs(graph, shapes) * 1e-9;
    adl_free(shapes);
    return result;
}

static void counts_are_the_published_ones(void)
{
    for (size_t i = 0; i < ADL_COUNT(published); i++)
        for (int variant = 0; variant < 8; variant++) {
            struct adl_error err = {0};
            struct adl_arch arch;
            adl_arch_init(&arch, adl_backbone_find(published[i].name));
            arch.num_classes = variant & 1 ? 200 : 1000;
            arch.methods = test_adl_if(variant & 2);
            arch.large_feature_map = variant & 4;
            struct adl_graph *graph = adl_arch_build(&arch, 224, 224, &err);
            CU_ASSERT_PTR_NOT_NULL_FATAL(graph);

            uint64_t want = variant & 1 ? published[i].params_200 : published[i].params_1000;
            if (adl_graph_trainable(graph) != want)
                TEST_FAIL("%s has %llu parameters, not %llu", published[i].name,
                          (unsigned long long)adl_graph_trainable(graph), (unsigned long long)want);
            double g = arch.large_feature_map ? published[i].gmac_28 : published[i].gmac_14;
            double got = gmac(graph);
            if (g > 0 && arch.num_classes == 200 && (got < g - 0.0051 || got > g + 0.0051))
                TEST_FAIL("%s costs %.4f GMAC, not %.2f", published[i].name, got, g);
            int side = arch.large_feature_map ? 28 : 14;
            int features = adl_graph_output(graph, ADL_OUTPUT_FEATURES);
            CU_ASSERT_EQUAL(adl_graph_value(graph, features)->shape.h, side);
            adl_graph_free(graph);
        }
}

/* Google's networks, with 7x7 maps and 1001 classes: millions of parameters as
 * published with the weights, millions of multiply-adds as in the paper's
 * table 6. */
static void mobilenet_comes_in_all_sizes(void)
{
    static const struct {
        double width, millions, mmacs;
    } google[] = {{1, 4.24, 569}, {0.75, 2.59, 325}, {0.5, 1.34, 149}, {0.25, 0.47, 41}};
    for (size_t i = 0; i < ADL_COUNT(google); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
        arch.num_classes = 1001;
        arch.width = google[i].width;
        arch.last_stride = 2;
        arch.padding = ADL_PAD_TF_SAME;
        arch.activation = ADL_ACT_RELU6;
        struct adl_graph *graph = adl_arch_build(&arch, 224, 224, &err);
        CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
        CU_ASSERT_DOUBLE_EQUAL((double)adl_graph_trainable(graph) * 1e-6, google[i].millions, 0.01);
        if (fabs(gmac(graph) * 1e3 - google[i].mmacs) > 1)
            TEST_FAIL("width %g costs %.2f million, not %.0f", google[i].width, gmac(graph) * 1e3,
                      google[i].mmacs);
        int features = adl_graph_output(graph, ADL_OUTPUT_FEATURES);
        CU_ASSERT_EQUAL(adl_graph_value(graph, features)->shape.h, 7);
        adl_graph_free(graph);
    }
}

static void odd_sizes_work_or_fail_cleanly(void)
{
    static const int sizes[][2] = {{97, 131}, {131, 97}, {32, 32}, {33, 47}, {15, 15}, {1, 1},
                                   {2, 300},  {7, 5},    {17, 16}, {0, 5},   {5, -1},  {4097, 9}};
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        for (size_t i = 0; i < ADL_COUNT(sizes); i++)
            for (int variant = 0; variant < 8; variant++) {
                struct adl_error err = {0};
                struct adl_arch arch;
                int h = sizes[i][0], w = sizes[i][1];
                adl_arch_init(&arch, *b);
                arch.methods = test_adl_if(variant & 1);
                arch.large_feature_map = variant & 2;
                arch.padding = variant & 4 ? ADL_PAD_TF_SAME : ADL_PAD_SYMMETRIC;
                struct adl_graph *graph = adl_arch_build(&arch, h, w, &err);
                if (graph) {
                    int logits = adl_graph_output(graph, ADL_OUTPUT_LOGITS);
                    CU_ASSERT_EQUAL(adl_graph_value(graph, logits)->shape.c, 1000);
                } else {
                    CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
                    if (h >= 32 && w >= 32 && h <= ADL_LIMIT_INPUT_SIDE)
                        TEST_FAIL("%s at %d x %d: %s", (*b)->name, h, w, err.message);
                }
                adl_graph_free(graph);
            }
}

static void arch_survives_json(void)
{
    struct adl_error err = {0};
    struct adl_arch arch, back;
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.num_classes = 77;
    arch.width = 0.75;
    arch.activation = ADL_ACT_RELU6;
    arch.padding = ADL_PAD_TF_SAME;
    arch.last_stride = 2;
    arch.bn_eps = 0.001;
    arch.methods = adl_method_alone(&adl_method_adl);
    arch.large_feature_map = true;
    json_t *json = adl_arch_to_json(&arch);
    TEST_OK(adl_arch_from_json(&back, json, &err), &err);
    CU_ASSERT_PTR_EQUAL(back.backbone, arch.backbone);
    CU_ASSERT_EQUAL(back.num_classes, 77);
    CU_ASSERT_EQUAL(back.width, 0.75);
    CU_ASSERT_EQUAL(back.activation, ADL_ACT_RELU6);
    CU_ASSERT_EQUAL(back.padding, ADL_PAD_TF_SAME);
    CU_ASSERT_EQUAL(back.last_stride, 2);
    CU_ASSERT_EQUAL(back.bn_eps, 0.001);
    CU_ASSERT_TRUE(adl_arch_has_layers(&back));
    CU_ASSERT_TRUE(back.large_feature_map);
    json_decref(json);

    char text[100];
    adl_arch_describe(&arch, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "mobilenet_v1 0.75 relu6 tf_same stride 2 large feature map adl");
}

static void arch_json_is_checked(void)
{
    static const struct {
        const char *text;
        enum adl_error_kind kind; /* NONE: accepted */
    } cases[] = {
        {"{\"name\": \"inception_v3\"}", ADL_ERR_NONE},
        {"{\"name\": \"vgg16\", \"width\": \"ignored\", \"new\": [1]}", ADL_ERR_NONE},
        {"[]", ADL_ERR_FORMAT},
        {"{}", ADL_ERR_FORMAT},
        {"{\"name\": 5}", ADL_ERR_FORMAT},
        {"{\"name\": \"alexnet\\n\"}", ADL_ERR_UNSUPPORTED},
        {"{\"name\": \"vgg16\", \"num_classes\": 0}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"num_classes\": 65537}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"num_classes\": 4294967297}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"num_classes\": 10.0}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"bn_eps\": 0}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"bn_eps\": -1e-5}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"bn_eps\": \"1e-5\"}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"adl\": 1}", ADL_ERR_FORMAT},
        {"{\"name\": \"vgg16\", \"large_feature_map\": null}", ADL_ERR_FORMAT},
        {"{\"name\": \"mobilenet_v1\", \"width\": 0}", ADL_ERR_FORMAT},
        {"{\"name\": \"mobilenet_v1\", \"width\": 1e9}", ADL_ERR_FORMAT},
        {"{\"name\": \"mobilenet_v1\", \"activation\": \"gelu\"}", ADL_ERR_FORMAT},
        {"{\"name\": \"mobilenet_v1\", \"padding\": 1}", ADL_ERR_FORMAT},
        {"{\"name\": \"mobilenet_v1\", \"last_stride\": 3}", ADL_ERR_FORMAT},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        json_t *json = json_loads(cases[i].text, 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(json);
        int result = adl_arch_from_json(&arch, json, &err);
        if ((result < 0) != (cases[i].kind != ADL_ERR_NONE) || err.kind != cases[i].kind)
            TEST_FAIL("%s: %d %s", cases[i].text, result, err.message);
        CU_ASSERT_PTR_NULL(strchr(err.message, '\n'));
        if (i == 0)
            CU_ASSERT_EQUAL(arch.bn_eps, 1e-3);
        json_decref(json);
    }
}

static void renumbering_goes_both_ways(void)
{
    static const char *const names[] = {"vgg16", "resnet50"};
    for (size_t n = 0; n < ADL_COUNT(names); n++)
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++) {
                struct adl_error err = {0};
                struct adl_arch from, to;
                char moved[256], back[256];
                adl_arch_init(&from, adl_backbone_find(names[n]));
                to = from;
                from.methods = test_adl_if(a & 1), from.large_feature_map = a & 2;
                to.methods = test_adl_if(b & 1), to.large_feature_map = b & 2;
                struct adl_graph *graph_from = adl_arch_build(&from, 64, 64, &err);
                struct adl_graph *graph_to = adl_arch_build(&to, 64, 64, &err);
                CU_ASSERT_FATAL(graph_from && graph_to);
                for (int i = 0; i < adl_graph_param_count(graph_from); i++) {
                    const char *name = adl_graph_param(graph_from, i)->name;
                    const char *want = adl_graph_param(graph_to, i)->name;
                    if (!from.backbone->renumber(&from, &to, name, moved, sizeof moved))
                        snprintf(moved, sizeof moved, "%s", name);
                    if (strcmp(moved, want) != 0)
                        TEST_FAIL("%s becomes %s, not %s", name, moved, want);
                    if (!from.backbone->renumber(&to, &from, moved, back, sizeof back))
                        snprintf(back, sizeof back, "%s", moved);
                    CU_ASSERT_STRING_EQUAL(back, name);
                }
                adl_graph_free(graph_from);
                adl_graph_free(graph_to);
            }
    /* Names that only look similar are not changed. */
    struct adl_arch plain, adl;
    char out[64];
    adl_arch_init(&plain, &adl_backbone_resnet50);
    adl = plain;
    adl.methods = adl_method_alone(&adl_method_adl);
    static const char *const strange[] = {
        "layer3",     "layer3.1",   "layer3.",    "layer31.1.x",        "layer3. 1.x",
        "layer2.1.x", "layer3.0.x", "layer3.9.x", "features.17.weight", ""};
    for (size_t i = 0; i < ADL_COUNT(strange); i++)
        CU_ASSERT_FALSE(plain.backbone->renumber(&plain, &adl, strange[i], out, sizeof out));
}

static void every_allocation_may_fail(void)
{
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_resnet50_se);
    arch.methods = adl_method_alone(&adl_method_adl);
    test_net_starve(&arch, 1);
}

TEST_SUITE(models, {"names, shapes and order are PyTorch's", names_are_pytorchs},
           {"names are unique", names_are_unique},
           {"counts are the published ones", counts_are_the_published_ones},
           {"MobileNet comes in all sizes", mobilenet_comes_in_all_sizes},
           {"odd sizes work or fail cleanly", odd_sizes_work_or_fail_cleanly},
           {"an architecture survives JSON", arch_survives_json},
           {"architecture JSON is checked", arch_json_is_checked},
           {"renumbering goes both ways", renumbering_goes_both_ways},
           {"every allocation may fail", every_allocation_may_fail});
