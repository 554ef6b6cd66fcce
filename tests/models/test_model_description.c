/* The description in a model file: hostile ones are refused, and what the caller requests is
 * checked against them. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/description.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/small_model.h"
#include "support/test.h"

#define ARCH "\"arch\": {\"name\": \"mobilenet_v1\", \"width\": 0.25, \"num_classes\": 5}"

/* Thresholds of classes come back from a file, hold for their classes alone, and are dropped with
 * any change of the rule. */
static void class_thresholds_are_kept(void)
{
    static const float own[] = {0.25F, -1, 1, -1, 0};
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    model_must(model != NULL, &err);
    model->map.threshold = 0.5;
    TEST_OK(adl_model_set_class_thresholds(model, own, &err), &err);
    TEST_OK(adl_model_save(model, model_tmp_path("own.safetensors"), &err), &err);
    struct adl_model *back = adl_model_load(model_tmp_path("own.safetensors"), NULL, &err);
    model_must(back != NULL, &err);
    for (size_t c = 0; c < ADL_COUNT(own); c++)
        CU_ASSERT_EQUAL(adl_map_rule_of_class(&back->map, c).threshold,
                        own[c] >= 0 ? (double)own[c] : 0.5);
    struct adl_map_changes changes = ADL_MAP_NO_CHANGES;
    TEST_OK(adl_model_change_map(back, &changes, &err), &err);
    CU_ASSERT_PTR_NOT_NULL(back->map.class_thresholds);
    changes.normalise = ADL_MAP_IVR;
    TEST_OK(adl_model_change_map(back, &changes, &err), &err);
    CU_ASSERT_PTR_NULL(back->map.class_thresholds);
    changes = (struct adl_map_changes)ADL_MAP_NO_CHANGES;
    changes.threshold = 0.5;
    TEST_OK(adl_model_change_map(model, &changes, &err), &err);
    CU_ASSERT_PTR_NULL(model->map.class_thresholds);
    adl_model_free(back);
    adl_model_free(model);
}

/* That images may have several classes comes back from a file, and a file of one class does not
 * mention it. */
static void labels_are_kept(void)
{
    struct adl_error err = {0};
    for (int several = 0; several < 2; several++) {
        struct adl_model *model = model_small();
        model_must(model != NULL, &err);
        model->labels.several = several;
        model->labels.threshold = 0.25;
        char *text = adl_model_description(model, &err);
        model_must(text != NULL, &err);
        CU_ASSERT_EQUAL(strstr(text, "multi_label") != NULL, several);
        adl_free(text);
        TEST_OK(adl_model_save(model, model_tmp_path("labels.safetensors"), &err), &err);
        struct adl_model *back = adl_model_load(model_tmp_path("labels.safetensors"), NULL, &err);
        model_must(back != NULL, &err);
        CU_ASSERT(back->labels.several == several &&
                  back->labels.threshold == (several ? 0.25 : 0.5));
        adl_model_free(back);
        adl_model_free(model);
    }
}

static void descriptions_are_checked(void)
{
    static const struct {
        const char *text;
        enum adl_error_kind kind; /* NONE: accepted */
    } cases[] = {
        {"{" ARCH "}", ADL_ERR_NONE},
        {"{\"version\": 1, \"future\": {\"a\": [1]}, " ARCH "}", ADL_ERR_NONE},
        {"{" ARCH ", \"classes\": []}", ADL_ERR_NONE},
        {"{" ARCH ", \"classes\": null, \"training\": null}", ADL_ERR_NONE},
        {"{" ARCH ", \"input\": {\"size\": [224, 224], \"std\": [-1, 2, 3.5]}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"threshold\": 0}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"threshold\": 1}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": [0, null, 1, 0.25, null]}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": null}}", ADL_ERR_NONE},
        {"{" ARCH ", \"multi_label\": {}}", ADL_ERR_NONE},
        {"{" ARCH ", \"multi_label\": null}", ADL_ERR_NONE},
        {"{" ARCH ", \"multi_label\": {\"threshold\": 0}}", ADL_ERR_NONE},
        {"{" ARCH ", \"multi_label\": true}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"multi_label\": {\"threshold\": 1.5}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"multi_label\": {\"threshold\": -1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"multi_label\": {\"threshold\": null}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"multi_label\": {\"threshold\": \"0.5\"}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": [0.5]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": 0.5}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": [0, 0, 0, 0, 1.5]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": [0, 0, 0, 0, -1]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"class_thresholds\": [0, 0, 0, 0, \"1\"]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"map_layer\": \"gradcam++:blocks.4\"}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"map_layer\": \"blocks.4\"}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"map_layer\": null}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"map_layer\": \"none\"}}", ADL_ERR_NONE},
        {"{" ARCH ", \"cam\": {\"map_layer\": 4}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"map_layer\": \"scorecam:blocks.4\"}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"map_layer\": \"\\u001b[1m\"}}", ADL_ERR_FORMAT},
        {"", ADL_ERR_FORMAT},
        {"{", ADL_ERR_FORMAT},
        {"[]", ADL_ERR_FORMAT},
        {"null", ADL_ERR_FORMAT},
        {"{" ARCH "} x", ADL_ERR_FORMAT},
        {"{}", ADL_ERR_FORMAT},
        {"{" ARCH ", " ARCH "}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": \"1\"}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": 0}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"version\": 2}", ADL_ERR_UNSUPPORTED},
        {"{\"arch\": []}", ADL_ERR_FORMAT},
        {"{\"arch\": {\"name\": \"vit\"}}", ADL_ERR_UNSUPPORTED},
        {"{" ARCH ", \"classes\": [\"a\"]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": {\"a\": 1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": [\"a\", \"b\", \"c\", \"d\", 5]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"classes\": [\"a\", \"b\", \"c\", \"d\", \"\\u0000\"]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": 224}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": 224}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [0, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224, 4097]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224, 4294967520]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [-1, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"size\": [224.5, 224]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, 1e300]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, 1e999]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, \"0\"]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"mean\": [0, 0, NaN]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": [1, 0, 1]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": [1, 1e-60, 1]}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"input\": {\"std\": null}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": 0.35}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": -0.1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": 1.1}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"cam\": {\"threshold\": \"high\"}}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"training\": [1]}", ADL_ERR_FORMAT},
        {"{" ARCH ", \"metrics\": \"good\"}", ADL_ERR_FORMAT},
        /* The weights are not those that the description promises. */
        {"{\"arch\": {\"name\": \"vgg16\", \"num_classes\": 65536}}", ADL_ERR_FORMAT},
        {"{\"arch\": {\"name\": \"mobilenet_v1\", \"width\": 1, \"num_classes\": 5}}",
         ADL_ERR_FORMAT},
    };
    struct adl_model *model = model_small();
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0}, write_err = {0};
        TEST_OK(adl_tensors_set_meta(model->weights, "adl", cases[i].text, &write_err), &write_err);
        TEST_OK(adl_safetensors_write(model_tmp_path("hostile.safetensors"), model->weights,
                                      &write_err),
                &write_err);
        struct adl_model *back = adl_model_load(model_tmp_path("hostile.safetensors"), NULL, &err);
        if ((back == NULL) != (cases[i].kind != ADL_ERR_NONE) || err.kind != cases[i].kind)
            TEST_FAIL("%s: %s", cases[i].text, back ? "accepted" : err.message);
        if (!back && !strstr(err.message, "hostile.safetensors"))
            TEST_FAIL("does not name the file: %s", err.message);
        if (back) {
            float image_net_mean[3] = {0.485f, 0.456f, 0.406f};
            CU_ASSERT_EQUAL(back->input_h, 224);
            CU_ASSERT_TRUE(model_same_floats(back->mean, image_net_mean, 3));
            CU_ASSERT_PTR_NULL(back->classes);
        }
        adl_model_free(back);
    }
    adl_model_free(model);
}

static void requests_are_reconciled(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    struct adl_arch arch = model_small_arch(), other;
    struct adl_model_options options = {0};
    TEST_OK(adl_model_save(model, model_tmp_path("said.safetensors"), &err), &err);
    TEST_OK(adl_tensors_set_meta(model->weights, "torch.architecture", "resnet50", &err), &err);

    /* Only the name is requested: width and classes come from the file. */
    adl_arch_init(&other, &adl_backbone_mobilenet_v1);
    other.methods = adl_method_alone(&adl_method_adl);
    options.arch = &other;
    struct adl_model *back = adl_model_load(model_tmp_path("said.safetensors"), &options, &err);
    model_must(back != NULL, &err);
    CU_ASSERT_EQUAL(back->arch.width, 0.25);
    CU_ASSERT_EQUAL(back->arch.num_classes, 5);
    CU_ASSERT_TRUE(adl_arch_has_layers(&back->arch));
    CU_ASSERT_TRUE(adl_graph_find_value(back->graph, "adl.after_block5") > 0);
    adl_model_free(back);

    const struct adl_arch wrong[] = {
        {.backbone = &adl_backbone_vgg16, .num_classes = 5, .bn_eps = 1e-5},
        {.backbone = arch.backbone, .num_classes = 6, .bn_eps = 1e-5, .width = 1, .last_stride = 1},
        {.backbone = arch.backbone,
         .num_classes = 5,
         .bn_eps = 1e-5,
         .width = 0.5,
         .last_stride = 1},
        {.backbone = arch.backbone,
         .num_classes = 5,
         .bn_eps = 1e-5,
         .width = 0.25,
         .activation = ADL_ACT_RELU6,
         .last_stride = 1},
    };
    for (size_t i = 0; i < ADL_COUNT(wrong); i++) {
        err = (struct adl_error){0};
        options.arch = &wrong[i];
        CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("said.safetensors"), &options, &err));
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_ARG);
    }

    /* Without a description the caller has to say it. */
    struct adl_tensors *bare = adl_tensors_create(&err);
    model_must(bare != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(model->weights, i);
        char name[200];
        snprintf(name, sizeof name, "module.%s", from->name);
        struct adl_tensor *to = adl_tensors_add(bare, name, ADL_F32, from->rank, from->shape, &err);
        model_must(to != NULL, &err);
        memcpy(to->data, from->data, from->count * sizeof(float));
    }
    CU_ASSERT_PTR_NOT_NULL(
        adl_tensors_add(bare, "module.bn1.num_batches_tracked", ADL_I64, 0, NULL, &err));
    TEST_OK(adl_tensors_set_meta(bare, "torch.architecture", "my_mobilenet", &err), &err);
    TEST_OK(adl_safetensors_write(model_tmp_path("bare.safetensors"), bare, &err), &err);
    adl_tensors_free(bare);

    err = (struct adl_error){0};
    CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("bare.safetensors"), NULL, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "--arch"));
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "my_mobilenet"));

    err = (struct adl_error){0};
    options.arch = &arch;
    back = adl_model_load(model_tmp_path("bare.safetensors"), &options, &err);
    if (!back)
        TEST_FAIL("%s", err.message);
    else
        CU_ASSERT_TRUE(model_same_weights(model, back));
    adl_model_free(back);

    /* The classifier has another number of rows than classes were requested. */
    err = (struct adl_error){0};
    arch.num_classes = 6;
    CU_ASSERT_PTR_NULL(adl_model_load(model_tmp_path("bare.safetensors"), &options, &err));
    CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "fc.weight is [5, 256], not [6, 256]"));
    adl_model_free(model);
}

TEST_SUITE(model_description, {"class thresholds are kept", class_thresholds_are_kept},
           {"labels are kept", labels_are_kept},
           {"descriptions are checked", descriptions_are_checked},
           {"requests are reconciled with the file", requests_are_reconciled});
