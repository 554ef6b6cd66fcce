/* The few-box head in a model file: it comes back as it was written, with the layers that it reads,
 * and a damaged one is refused by name. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "models/file/save.h"
#include "models/model.h"
#include "support/head.h"
#include "support/small_model.h"
#include "support/test.h"

static void the_head_comes_back(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    char before[65];

    adl_model_update_digest(model);
    memcpy(before, model->digest, sizeof before);
    test_give_head(model, "head_file");
    adl_model_update_digest(model);
    CU_ASSERT_STRING_NOT_EQUAL(before, model->digest);
    TEST_OK(adl_model_save(model, model_tmp_path("head.safetensors"), &err), &err);
    struct adl_model *back = adl_model_load(model_tmp_path("head.safetensors"), NULL, &err);
    model_must(back != NULL, &err);
    test_check_head(back, "head_file");
    CU_ASSERT_STRING_EQUAL(back->digest, model->digest);
    for (int i = 0; i < back->foreground->layer_count; i++)
        CU_ASSERT_STRING_EQUAL(
            adl_graph_value(back->graph, back->foreground->layers[i].value)->name,
            back->foreground->layers[i].name);
    TEST_OK(adl_model_set_foreground(back, NULL, &err), &err);
    CU_ASSERT(back->foreground == NULL && back->map.foreground == NULL);
    adl_model_free(back);
    adl_model_free(model);
}

/* At an input of 16x16 the last map and blocks.10 are single positions. */
static void single_positions_are_maps(void)
{
    struct adl_error err = {0};
    struct adl_arch arch = model_small_arch();
    struct adl_model *model = adl_model_create(&arch, 16, 16, &err);
    model_must(model != NULL, &err);
    test_give_head(model, "head_file");
    TEST_OK(adl_model_save(model, model_tmp_path("point.safetensors"), &err), &err);
    struct adl_model *back = adl_model_load(model_tmp_path("point.safetensors"), NULL, &err);
    model_must(back != NULL, &err);
    test_check_head(back, "head_file");
    adl_model_free(back);
    adl_model_free(model);
}

/* Gives a tensor a name that readers ignore. */
static void set_aside(struct adl_tensors *tensors, const struct adl_tensor *tensor)
{
    struct adl_error err = {0};
    size_t index = 0;

    while (adl_tensors_at(tensors, index) != tensor)
        index++;
    TEST_OK(adl_tensors_rename(tensors, index, "foreground.aside", &err), &err);
}

static void damaged_heads_are_named(void)
{
    static const struct {
        const char *tensor; /* to add, in place of one of that name */
        size_t count;
        float value;
        const char *message;
    } cases[] = {
        {"foreground.weight", 3, 0, "foreground.weight has 3 values"},
        {"foreground.bias", 2, 0, "foreground.bias has 2 values"},
        {"foreground.bias", 1, NAN, "foreground.bias: value 0 is not finite"},
        {"foreground.blocks.4.weight", 1, 0, "foreground.blocks.4.weight has 1 values"},
        {"foreground.blocks.10.weight", 0, INFINITY, "foreground.blocks.10.weight: value 0"},
        {"foreground.blocks.9.weight", 1, 0, "reads at most 2 layers"},
        {"foreground.blocks.99.weight", 1, 0, "no layer \"blocks.99\""},
        {"foreground.blocks.12.weight", 1, 0, "anyway"},
        {"foreground..weight", 1, 0, "no layer \"\""},
    };
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        struct adl_error err = {0};
        struct adl_model *model = model_small();
        test_give_head(model, "head_file");
        TEST_OK(adl_model_save(model, model_tmp_path("damaged.safetensors"), &err), &err);
        adl_model_free(model);
        struct adl_tensors *tensors =
            adl_safetensors_read(model_tmp_path("damaged.safetensors"), &err);
        model_must(tensors != NULL, &err);
        const struct adl_tensor *old = adl_tensors_find(tensors, cases[i].tensor);
        size_t count = cases[i].count ? cases[i].count : old->count;
        if (old && old->count != count)
            set_aside(tensors, old);
        const struct adl_tensor *tensor = adl_tensors_find(tensors, cases[i].tensor);
        if (!tensor)
            tensor = adl_tensors_add(tensors, cases[i].tensor, ADL_F32, 1, &count, &err);
        model_must(tensor != NULL, &err);
        ((float *)tensor->data)[0] = cases[i].value;
        TEST_OK(adl_safetensors_write(model_tmp_path("damaged.safetensors"), tensors, &err), &err);
        adl_tensors_free(tensors);
        model = adl_model_load(model_tmp_path("damaged.safetensors"), NULL, &err);
        CU_ASSERT_PTR_NULL(model);
        CU_ASSERT_EQUAL(err.kind, ADL_ERR_FORMAT);
        if (!model && !strstr(err.message, cases[i].message))
            TEST_FAIL("case %zu: %s", i, err.message);
        adl_model_free(model);
    }
}

TEST_SUITE(head_file, {"the head comes back", the_head_comes_back},
           {"single positions are maps", single_positions_are_maps},
           {"damaged heads are named", damaged_heads_are_named});
