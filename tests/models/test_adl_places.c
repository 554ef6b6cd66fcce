/* --adl-positions: the places of ADL in a network, as names, as JSON and in the graph. */

#include "support/test.h"

#include <string.h>

#include "base/size.h"
#include "models/arch.h"
#include "ops/ops.h"
#include "support/methods.h"
#include "support/nets.h"

/* The graph of a backbone with ADL behind `places`; NULL: behind the default ones. */
static struct adl_graph *build(const char *backbone, const char *places, bool adl)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, adl_backbone_find(backbone));
    arch.methods = test_adl_if(adl);
    if (places)
        TEST_OK(adl_arch_set_places(&arch, places, &err), &err);
    struct adl_graph *graph = adl_arch_build(&arch, 64, 64, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(graph);
    return graph;
}

static const char *const free_backbones[] = {
    "mobilenet_v1",       "resnet50_se",        "inception_v3",
    "resnet50_cbam",      "resnet50_bam",       "ran56",
    "resnet18",           "resnet152",          "mobilenet_v2",
    "mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_b0",
    "densenet121",        "convnext_tiny"};

static void defaults_are_these(void)
{
    static const char *const names[] = {"blocks.5,blocks.11,blocks.12",
                                        "layer3.0,layer4.0,layer4.2",
                                        "Mixed_5d,Mixed_6e,SPG_A3_2b",
                                        "layer3.0,layer4.0,layer4.2",
                                        "layer3.0,layer4.0,layer4.2",
                                        "residual_block3,residual_block4,mpool2",
                                        "layer3.0,layer4.0,layer4.1",
                                        "layer3.0,layer4.0,layer4.2",
                                        "features.7.conv.1,features.14.conv.1,features.18",
                                        "features.7.block.1,features.13.block.1,features.16",
                                        "features.4.block.1,features.9.block.1,features.12",
                                        "features.4.0.block.1,features.6.0.block.1,features.8",
                                        "features.transition2,features.transition3,features.relu5",
                                        "features.5.0,features.7.0,features.7.2"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        char by_default[256], by_name[256];
        struct adl_graph *a = build(free_backbones[i], NULL, true);
        struct adl_graph *b = build(free_backbones[i], names[i], true);
        test_adl_layers(a, by_default, sizeof by_default);
        CU_ASSERT_STRING_EQUAL(by_default, test_adl_layers(b, by_name, sizeof by_name));
        CU_ASSERT_EQUAL(strncmp(by_default, names[i], strlen(names[i])), 0);
        CU_ASSERT_EQUAL(strlen(by_default), strlen(names[i]) + 1);
        adl_graph_free(a);
        adl_graph_free(b);
    }
}

/* With each place alone there is one ADL layer, behind it, and the parameters are the same. */
static void each_place_works(void)
{
    for (size_t i = 0; i < ADL_COUNT(free_backbones); i++) {
        const struct adl_backbone *backbone = adl_backbone_find(free_backbones[i]);
        struct adl_graph *plain = build(free_backbones[i], NULL, false);
        for (const char *const *place = backbone->adl_places; *place; place++) {
            char before[256], wanted[64];
            struct adl_graph *graph = build(free_backbones[i], *place, true);
            snprintf(wanted, sizeof wanted, "%s,", *place);
            CU_ASSERT_STRING_EQUAL(test_adl_layers(graph, before, sizeof before), wanted);
            CU_ASSERT_EQUAL_FATAL(adl_graph_param_count(graph), adl_graph_param_count(plain));
            for (int p = 0; p < adl_graph_param_count(graph); p++)
                CU_ASSERT_STRING_EQUAL(adl_graph_param(graph, p)->name,
                                       adl_graph_param(plain, p)->name);
            adl_graph_free(graph);
        }
        char none[256];
        CU_ASSERT_STRING_EQUAL(test_adl_layers(plain, none, sizeof none), "");
        adl_graph_free(plain);
    }
}

static void wrong_names_are_refused(void)
{
    static const struct {
        const char *backbone, *places;
        enum adl_error_kind kind;
    } cases[] = {
        {"mobilenet_v1", "", ADL_ERR_ARG},
        {"mobilenet_v1", "blocks.13", ADL_ERR_ARG},
        {"mobilenet_v1", "blocks.1,", ADL_ERR_ARG},
        {"mobilenet_v1", ",blocks.1", ADL_ERR_ARG},
        {"mobilenet_v1", "blocks.", ADL_ERR_ARG},
        {"mobilenet_v1", "blocks.1 ,blocks.2", ADL_ERR_ARG},
        {"resnet50_se", "layer4.3", ADL_ERR_ARG},
        {"inception_v3", "Mixed_5e\n", ADL_ERR_ARG},
        {"vgg16", "features.3", ADL_ERR_UNSUPPORTED},
        {"resnet50", "layer3.0", ADL_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        adl_arch_init(&arch, adl_backbone_find(cases[i].backbone));
        uint32_t before = arch.adl_places;
        CU_ASSERT_EQUAL(adl_arch_set_places(&arch, cases[i].places, &err), -1);
        if (err.kind != cases[i].kind)
            TEST_FAIL("%s: %s", cases[i].places, err.message);
        CU_ASSERT_PTR_NULL(strchr(err.message, '\n'));
        CU_ASSERT_EQUAL(arch.adl_places, before);
    }
}

static void places_survive_json(void)
{
    struct adl_error err = {0};
    struct adl_arch arch, back;
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    TEST_OK(adl_arch_set_places(&arch, "blocks.12,blocks.0,blocks.0", &err), &err);
    for (int adl = 0; adl < 2; adl++) {
        arch.methods = test_adl_if(adl);
        json_t *json = adl_arch_to_json(&arch);
        CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "adl_positions")), adl ? 2u : 0u);
        TEST_OK(adl_arch_from_json(&back, json, &err), &err);
        CU_ASSERT_EQUAL(back.adl_places,
                        adl ? arch.adl_places : adl_backbone_mobilenet_v1.adl_default);
        json_decref(json);
    }
    /* The default is not written. */
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.methods = adl_method_alone(&adl_method_adl);
    json_t *json = adl_arch_to_json(&arch);
    CU_ASSERT_PTR_NULL(json_object_get(json, "adl_positions"));
    json_decref(json);
}

static void wrong_json_is_refused(void)
{
    static const char *const texts[] = {
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": null}",
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": []}",
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": \"blocks.0\"}",
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": [0]}",
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": [\"blocks.0\", \"blocks.0,\"]}",
        "{\"name\": \"mobilenet_v1\", \"adl_positions\": [\"\"]}",
        "{\"name\": \"vgg16\", \"adl_positions\": [\"features.0\"]}",
    };
    for (size_t i = 0; i < ADL_COUNT(texts); i++) {
        struct adl_error err = {0};
        struct adl_arch arch;
        json_t *json = json_loads(texts[i], 0, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(json);
        CU_ASSERT_EQUAL(adl_arch_from_json(&arch, json, &err), -1);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
        json_decref(json);
    }
}

static void every_allocation_may_fail(void)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_inception_v3);
    arch.methods = adl_method_alone(&adl_method_adl);
    TEST_OK(adl_arch_set_places(&arch, "Mixed_5b,Mixed_6a,SPG_A3_1b", &err), &err);
    test_net_starve(&arch, 7);
}

TEST_SUITE(adl_places, {"the defaults are these", defaults_are_these},
           {"each place works", each_place_works},
           {"wrong names are refused", wrong_names_are_refused},
           {"places survive JSON", places_survive_json},
           {"wrong JSON is refused", wrong_json_is_refused},
           {"every allocation may fail", every_allocation_may_fail});
