/* methods/acol and methods/spg in the backbones: names, what a model file says of them, the same
 * bits for any threads and memory, and gradients for every parameter. Values are compared with
 * PyTorch's in test_class_maps, test_plan_goldens and test_train_goldens. */

#include "support/test.h"

#include <jansson.h>
#include <string.h>

#include "base/size.h"
#include "models/arch.h"
#include "support/method_step.h"
#include "support/methods.h"

enum { SIDE = 64, CLASSES = 5 };

static const struct adl_method *const methods[] = {&adl_method_acol, &adl_method_spg};

static struct adl_arch arch_of(const struct adl_backbone *backbone, const struct adl_method *method)
{
    struct adl_arch arch;
    adl_arch_init(&arch, backbone);
    arch.methods = adl_method_alone(method);
    arch.num_classes = CLASSES;
    arch.width = 0.25;
    return arch;
}

static void the_same_bits_for_any_threads_and_memory(void)
{
    struct adl_error err = {0};
    for (size_t i = 0; i < ADL_COUNT(methods); i++) {
        struct adl_arch arch = arch_of(&adl_backbone_mobilenet_v1, methods[i]);
        struct adl_graph *graph = adl_arch_build(&arch, SIDE, SIDE, &err);
        CU_ASSERT_FATAL(graph != NULL);
        uint64_t bits = method_step_bits(graph, methods[i], ADL_TAPE_SHARED, 1);
        CU_ASSERT_EQUAL(method_step_bits(graph, methods[i], ADL_TAPE_SHARED, 3), bits);
        CU_ASSERT_EQUAL(method_step_bits(graph, methods[i], ADL_TAPE_KEPT, 2), bits);
        bits = method_step_bits(graph, methods[i], ADL_TAPE_BF16, 1);
        CU_ASSERT_EQUAL(method_step_bits(graph, methods[i], ADL_TAPE_BF16, 3), bits);
        adl_graph_free(graph);
    }
}

/* Parameters with 200 classes, counted in the reference implementation; its networks with finer
 * maps have as many. The other two are this project's own. */
static void parameters_are_those_of_the_reference(void)
{
    static const struct {
        const struct adl_backbone *backbone;
        uint64_t acol, spg;
    } want[] = {{&adl_backbone_vgg16, 43440336, 28977162},
                {&adl_backbone_resnet50, 80545232, 61671690},
                {&adl_backbone_inception_v3, 42410096, 37634986},
                {&adl_backbone_resnet50_se, 0, 0},
                {&adl_backbone_mobilenet_v1, 0, 0}};
    struct adl_error err = {0};
    for (size_t i = 0; i < ADL_COUNT(want); i++)
        for (size_t m = 0; m < ADL_COUNT(methods); m++)
            for (int large = 0; large < 2; large++) {
                struct adl_arch arch = arch_of(want[i].backbone, methods[m]);
                arch.num_classes = 200;
                arch.large_feature_map = large;
                struct adl_graph *graph = adl_arch_build(&arch, 224, 224, &err);
                TEST_OK(graph ? 0 : -1, &err);
                if (!graph)
                    continue;
                int map = adl_graph_output(graph, ADL_OUTPUT_CLASS_MAP);
                struct adl_shape shape = adl_graph_value(graph, map)->shape;
                CU_ASSERT(shape.h == (large ? 28 : 14) && shape.w == shape.h && shape.c == 200);
                if (want[i].acol)
                    CU_ASSERT_EQUAL(adl_graph_trainable(graph), m ? want[i].spg : want[i].acol);
                adl_graph_free(graph);
            }
}

/* --- names -------------------------------------------------------------------------------- */

static void check_name(const struct adl_arch *from, const struct adl_arch *to, const char *name,
                       const char *want)
{
    char out[128];
    bool changed = from->backbone->renumber(from, to, name, out, sizeof out);
    CU_ASSERT_EQUAL(changed, strcmp(name, want) != 0);
    if (changed && strcmp(out, want) != 0)
        TEST_FAIL("%s became %s, not %s", name, out, want);
}

/* The convolutions that SPG has in Sequentials of its own are those of pretrained weights. */
static void names_follow_the_stages(void)
{
    static const struct {
        const struct adl_backbone *backbone;
        const char *cam, *adl, *spg;
    } names[] = {
        {&adl_backbone_vgg16, "features.14.weight", "features.14.weight", "features.14.weight"},
        {&adl_backbone_vgg16, "features.17.weight", "features.18.weight", "SPG_A_1.0.weight"},
        {&adl_backbone_vgg16, "features.21.bias", "features.22.bias", "SPG_A_1.4.bias"},
        {&adl_backbone_vgg16, "features.24.weight", "features.26.weight", "SPG_A_2.0.weight"},
        {&adl_backbone_vgg16, "features.28.bias", "features.30.bias", "SPG_A_2.4.bias"},
        {&adl_backbone_resnet50, "layer2.3.conv1.weight", "layer2.3.conv1.weight",
         "layer2.3.conv1.weight"},
        {&adl_backbone_resnet50, "layer3.0.downsample.0.weight", "layer3.0.downsample.0.weight",
         "SPG_A1.0.downsample.0.weight"},
        {&adl_backbone_resnet50, "layer3.1.bn2.bias", "layer3.2.bn2.bias", "SPG_A2.0.bn2.bias"},
        {&adl_backbone_resnet50, "layer3.5.conv3.weight", "layer3.6.conv3.weight",
         "SPG_A2.4.conv3.weight"},
        {&adl_backbone_resnet50, "layer4.2.conv3.weight", "layer4.3.conv3.weight",
         "layer4.2.conv3.weight"}};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        struct adl_arch cam = arch_of(names[i].backbone, &adl_method_cam);
        struct adl_arch adl = arch_of(names[i].backbone, &adl_method_adl);
        struct adl_arch spg = arch_of(names[i].backbone, &adl_method_spg);
        check_name(&cam, &spg, names[i].cam, names[i].spg);
        check_name(&spg, &cam, names[i].spg, names[i].cam);
        check_name(&spg, &adl, names[i].spg, names[i].adl);
        check_name(&adl, &cam, names[i].adl, names[i].cam);
    }
    /* With finer maps, pools of stride 1 keep their numbers, and those of others are left out. */
    struct adl_arch acol = arch_of(&adl_backbone_vgg16, &adl_method_acol);
    struct adl_arch cam = arch_of(&adl_backbone_vgg16, &adl_method_cam);
    acol.large_feature_map = cam.large_feature_map = true;
    check_name(&acol, &cam, "features.28.weight", "features.27.weight");
    struct adl_arch spg = arch_of(&adl_backbone_vgg16, &adl_method_spg);
    char out[128];
    CU_ASSERT(!spg.backbone->renumber(&spg, &cam, "SPG_A_3.0.weight", out, sizeof out));
    CU_ASSERT(!spg.backbone->renumber(&spg, &cam, "SPG_A_1.1.weight", out, sizeof out));
}

/* By substring of the name, as the reference implementation chooses rates. */
static void heads_are_those_of_the_reference(void)
{
    static const struct {
        const struct adl_backbone *backbone;
        const char *name;
        bool head;
    } names[] = {{&adl_backbone_vgg16, "SPG_A_1.0.weight", true},
                 {&adl_backbone_vgg16, "classifier_A.0.bias", true},
                 {&adl_backbone_vgg16, "features.14.weight", false},
                 {&adl_backbone_resnet50, "SPG_A4.weight", false},
                 {&adl_backbone_resnet50, "SPG_B_shared.0.weight", false},
                 {&adl_backbone_resnet50, "classifier_B.4.weight", false},
                 {&adl_backbone_resnet50, "layer4.0.conv1.weight", true},
                 {&adl_backbone_resnet50, "classifier_cls.0.weight", true},
                 {&adl_backbone_inception_v3, "classifier_A.0.weight", true},
                 {&adl_backbone_inception_v3, "SPG_B_1a.0.weight", true},
                 {&adl_backbone_inception_v3, "Mixed_6e.branch1x1.conv.weight", false},
                 {&adl_backbone_mobilenet_v1, "SPG_C.0.weight", true},
                 {&adl_backbone_mobilenet_v1, "classifier_B.0.weight", true},
                 {&adl_backbone_mobilenet_v1, "blocks.12.pw.weight", false}};
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        if (names[i].backbone->is_head(names[i].name) != names[i].head)
            TEST_FAIL("%s of %s", names[i].name, names[i].backbone->name);
}

/* --- the file ------------------------------------------------------------------------------- */

/* The threshold of the network at inference is in the file, unless it is the default. */
static void files_record_the_threshold(void)
{
    struct adl_error err = {0};
    struct adl_arch arch = arch_of(&adl_backbone_mobilenet_v1, &adl_method_acol), read;
    json_t *json = adl_arch_to_json(&arch);
    CU_ASSERT_PTR_NULL(json_object_get(json, "acol_threshold"));
    TEST_OK(adl_arch_from_json(&read, json, &err), &err);
    CU_ASSERT(adl_method_set_has(read.methods, &adl_method_acol));
    json_decref(json);

    adl_method_network_values(test_method_values("acol-threshold", 0.85, NULL), arch.method_values);
    json = adl_arch_to_json(&arch);
    CU_ASSERT_EQUAL(json_real_value(json_object_get(json, "acol_threshold")), 0.85);
    TEST_OK(adl_arch_from_json(&read, json, &err), &err);
    struct adl_graph *graph = adl_arch_build(&read, SIDE, SIDE, &err);
    CU_ASSERT_FATAL(graph != NULL);
    for (int i = 0; i < adl_graph_node_count(graph); i++)
        if (adl_graph_node(graph, i)->def == &adl_op_erase)
            CU_ASSERT_EQUAL(
                ((const struct adl_erase_attr *)adl_graph_node(graph, i)->attr)->threshold, 0.85);
    adl_graph_free(graph);
    json_object_set_new(json, "acol_threshold", json_real(1.5));
    CU_ASSERT(adl_arch_from_json(&read, json, &err) < 0);
    CU_ASSERT_STRING_EQUAL(err.message, "arch: acol_threshold is 1.5, not 0 to 1");
    json_decref(json);
}

/* Residual attention has no place for branches. */
static void a_network_without_base_is_refused(void)
{
    for (size_t i = 0; i < ADL_COUNT(methods); i++) {
        struct adl_error err = {0};
        struct adl_arch arch = arch_of(&adl_backbone_ran56, methods[i]);
        CU_ASSERT(adl_arch_check(&arch, &err) < 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "is not available for ran56"));
    }
}

static void combinations_are_refused(void)
{
    static const char *const sets[] = {"acol,spg", "acol,bas", "adl,acol", "spg,cutmix"};
    struct adl_method_set set;
    for (size_t i = 0; i < ADL_COUNT(sets); i++) {
        struct adl_error err = {0};
        CU_ASSERT(adl_method_set_parse(sets[i], &set, &err) < 0);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }
}

TEST_SUITE(branches,
           {"the same bits for any threads and memory", the_same_bits_for_any_threads_and_memory},
           {"parameters are those of the reference", parameters_are_those_of_the_reference},
           {"names follow the stages", names_follow_the_stages},
           {"heads are those of the reference", heads_are_those_of_the_reference},
           {"files record the threshold", files_record_the_threshold},
           {"a network without base is refused", a_network_without_base_is_refused},
           {"combinations are refused", combinations_are_refused});
