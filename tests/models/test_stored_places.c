/* models/backbones/stored_places: our own backbones, written as ONNX and read back, have the places
 * of ADL where the reference implementation and the paper put them, and each layer stands behind
 * the value that it is named after. */

#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "models/backbones/stored.h"
#include "models/file/load.h"
#include "models/onnx/onnx.h"
#include "models/onnx_in/onnx_in.h"
#include "ops/ops.h"
#include "support/methods.h"
#include "support/small_model.h"

/* The backbone, 4 classes, written as ONNX and read; ends the running test if that fails. */
static struct adl_model *through_onnx(const char *name, int side)
{
    struct adl_error err = {0};
    struct adl_arch arch;
    char path[300];
    snprintf(path, sizeof path, "%s", model_tmp_path("places.onnx"));
    adl_arch_init(&arch, adl_backbone_find(name));
    arch.num_classes = 4;
    arch.width = arch.backbone->has_options ? 0.25 : 1;
    struct adl_model *model = adl_model_create(&arch, side, side, &err);
    model_must(model != NULL, &err);
    TEST_OK(adl_onnx_write(model, path, &err), &err);
    adl_model_free(model);
    model = adl_onnx_in_load(path, NULL, &err);
    model_must(model != NULL, &err);
    return model;
}

static void defaults_are_the_reference_s(void)
{
    static const struct {
        const char *backbone, *places;
    } rows[] = {{"resnet50_se", "layer3.0,layer4.0,layer4.2,"},
                {"resnet50", "layer3.0,layer4.0,layer4.2,"},
                {"resnet50_cbam", "layer3.0,layer4.0,layer4.2,"},
                {"mobilenet_v1", "blocks.5,blocks.11,blocks.12,"}};
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_error err = {0};
        char text[300];
        struct adl_model *model = through_onnx(rows[i].backbone, 96);
        TEST_OK(adl_model_set_methods(model, test_adl_if(true), &err), &err);
        CU_ASSERT_STRING_EQUAL(test_adl_layers(model->graph, text, sizeof text), rows[i].places);
        adl_model_free(model);
    }
}

/* Nothing passes around a place: every node above it reads nothing below it. */
static void nothing_passes_around_a_place(void)
{
    static const char *const names[] = {"resnet50_bam", "inception_v3", "vgg16"};
    for (size_t i = 0; i < ADL_COUNT(names); i++) {
        struct adl_model *model = through_onnx(names[i], 96);
        const struct adl_stored *stored = model->stored;
        CU_ASSERT(stored->place_count > 5 && stored->place_default != 0);
        for (int p = 0; p < stored->place_count; p++)
            for (int n = stored->places[p]; n < stored->features; n++)
                for (int k = 0; k < stored->nodes[n].input_count; k++)
                    CU_ASSERT(stored->nodes[n].inputs[k] >= stored->places[p]);
        adl_model_free(model);
    }
}

/* With each place alone there is one layer, behind it, and the parameters are the same. */
static void each_place_works(void)
{
    struct adl_model *model = through_onnx("mobilenet_v1", 64);
    const char *name;
    for (int i = 0; (name = adl_arch_place_name(&model->arch, i)); i++) {
        struct adl_error err = {0};
        char text[300], wanted[300];
        TEST_OK(adl_arch_set_places(&model->arch, name, &err), &err);
        TEST_OK(adl_model_set_methods(model, test_adl_if(true), &err), &err);
        snprintf(wanted, sizeof wanted, "%s,", name);
        CU_ASSERT_STRING_EQUAL(test_adl_layers(model->graph, text, sizeof text), wanted);
    }
    adl_model_free(model);
}

TEST_SUITE(stored_places, {"defaults are the reference's", defaults_are_the_reference_s},
           {"nothing passes around a place", nothing_passes_around_a_place},
           {"each place works", each_place_works});
TEST_SLOW(defaults_are_the_reference_s);
TEST_SLOW(nothing_passes_around_a_place);
TEST_UNWATCHED(defaults_are_the_reference_s);
