/* Builds the networks of tests/golden/backbones as graphs with formula weights. */

#include "support/nets.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "support/formula.h"
#include "support/golden.h"
#include "support/methods.h"
#include "support/test.h"

const char *const test_net_cases[] = {
    "vgg16_cam",
    "vgg16_cam_lfm",
    "vgg16_adl",
    "vgg16_acol",
    "vgg16_spg",
    "resnet50_cam",
    "resnet50_adl",
    "resnet50_spg",
    "resnet50_se_cam",
    "resnet50_cbam_cam",
    "resnet50_bam_cam",
    "ran56_cam",
    "inception_v3_cam",
    "inception_v3_cam_lfm",
    "inception_v3_adl",
    "inception_v3_spg",
    "mobilenet_v1_100_relu_cam",
    "mobilenet_v1_100_relu6_cam",
    NULL,
};

int test_net_arch(struct adl_arch *arch, const char *case_name, int num_classes)
{
    const struct adl_backbone *backbone = NULL;
    /* The longest name that matches is chosen: resnet50_se rather than resnet50. */
    for (const struct adl_backbone *const *b = adl_backbones; *b; b++)
        if (strncmp(case_name, (*b)->name, strlen((*b)->name)) == 0 &&
            (!backbone || strlen((*b)->name) > strlen(backbone->name)))
            backbone = *b;
    if (!backbone) {
        TEST_FAIL("no backbone for the case %s", case_name);
        return -1;
    }
    adl_arch_init(arch, backbone);
    arch->num_classes = num_classes;
    arch->methods = test_adl_if(strstr(case_name, "_adl") != NULL);
    if (strstr(case_name, "_acol"))
        arch->methods = adl_method_alone(&adl_method_acol);
    if (strstr(case_name, "_spg"))
        arch->methods = adl_method_alone(&adl_method_spg);
    arch->large_feature_map = strstr(case_name, "_lfm") != NULL;
    if (backbone->has_options) {
        int percent = 100;
        sscanf(case_name + strlen(backbone->name), "_%d", &percent);
        arch->width = percent / 100.0;
        arch->activation = strstr(case_name, "_relu6") ? ADL_ACT_RELU6 : ADL_ACT_RELU;
    }
    return 0;
}

int test_net_open(struct test_net *net, const char *case_name)
{
    struct adl_error err = {0};
    char path[128];
    memset(net, 0, sizeof *net);
    snprintf(path, sizeof path, "backbones/%s_224x224.json", case_name);
    net->golden = golden_load(path);
    if (!net->golden)
        return -1;

    json_t *logits = golden_get(golden_get(net->golden, "logits"), "shape");
    int classes = (int)json_integer_value(json_array_get(logits, 1));
    json_t *shape = golden_get(golden_get(net->golden, "input"), "shape");
    int h = (int)json_integer_value(json_array_get(shape, 2));
    int w = (int)json_integer_value(json_array_get(shape, 3));

    ADL_TRY(test_net_arch(&net->arch, case_name, classes));
    net->graph = adl_arch_build(&net->arch, h, w, &err);
    if (!net->graph) {
        TEST_FAIL("%s: %s", case_name, err.message);
        goto out;
    }
    net->params = adl_calloc((size_t)adl_graph_param_count(net->graph), sizeof *net->params);
    if (!net->params) {
        TEST_FAIL("%s: out of memory", case_name);
        goto out;
    }
    return 0;
out:
    test_net_close(net);
    return -1;
}

void test_net_starve(const struct adl_arch *arch, uint64_t step)
{
    size_t blocks = adl_mem_stats().live_blocks;
    bool built = false;
    for (uint64_t n = 1; !built; n += step) {
        struct adl_error err = {0};
        adl_mem_fail_nth(n);
        struct adl_graph *graph = adl_arch_build(arch, 64, 64, &err);
        adl_mem_fail_nth(0);
        built = graph != NULL;
        adl_graph_free(graph);
        CU_ASSERT_EQUAL(adl_mem_stats().live_blocks, blocks);
        CU_ASSERT_EQUAL(err.kind, built ? ADL_ERR_NONE : ADL_ERR_NOMEM);
    }
}

json_t *test_net_golden_param(const struct test_net *net, const char *name)
{
    json_t *params = json_object_get(net->golden, "params"), *record;
    size_t i;
    json_array_foreach(params, i,
                       record) if (strcmp(golden_string(record, "name"), name) == 0) return record;
    return NULL;
}

int test_net_fill(struct test_net *net)
{
    for (int i = 0; i < adl_graph_param_count(net->graph); i++) {
        const struct adl_param *param = adl_graph_param(net->graph, i);
        const json_t *record = test_net_golden_param(net, param->name);
        if (!record) {
            TEST_FAIL("%s is not among the golden parameters", param->name);
            return -1;
        }
        if (!net->params[i])
            net->params[i] = adl_malloc(param->count, sizeof(float));
        if (!net->params[i]) {
            TEST_FAIL("%s: out of memory", param->name);
            return -1;
        }
        formula_param(param->name, golden_double(record, "a"),
                      (double)(float)golden_double(record, "b"), param->count, net->params[i]);
    }
    return 0;
}

void test_net_close(struct test_net *net)
{
    for (int i = 0; net->params && i < adl_graph_param_count(net->graph); i++)
        adl_free(net->params[i]);
    adl_free(net->params);
    adl_graph_free(net->graph);
    json_decref(net->golden);
    memset(net, 0, sizeof *net);
}
