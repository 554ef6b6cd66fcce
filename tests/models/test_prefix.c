/* Names with something in front of them, and the number of classes that nobody says. The names
 * are those of PyTorch's module tree: a member's name, and those of its wrappers. */

#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/load.h"
#include "support/small_model.h"
#include "support/test.h"

/* Writes the weights with `prefix` in front of all names, or `head` where it is given and the
 * name begins with "fc". */
static void write_prefixed(const struct adl_model *model, const char *prefix, const char *head,
                           const char *path)
{
    struct adl_error err = {0};
    struct adl_tensors *set = adl_tensors_create(&err);
    model_must(set != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *t = adl_tensors_at(model->weights, i);
        char name[200];
        snprintf(name, sizeof name, "%s%s", head && !strncmp(t->name, "fc", 2) ? head : prefix,
                 t->name);
        struct adl_tensor *copy = adl_tensors_add(set, name, t->dtype, t->rank, t->shape, &err);
        model_must(copy != NULL, &err);
        memcpy(copy->data, t->data, adl_tensor_bytes(t));
    }
    TEST_OK(adl_safetensors_write(path, set, &err), &err);
    adl_tensors_free(set);
}

static void expect_same(const struct adl_model *model, const char *path, const char *key)
{
    struct adl_error err = {0};
    struct adl_arch arch = model_small_arch();
    const struct adl_model_options options = {.arch = &arch, .key = key};
    struct adl_model *back = adl_model_load(path, &options, &err);
    if (!back)
        TEST_FAIL("%s", err.message);
    else
        CU_ASSERT_TRUE(model_same_weights(model, back));
    adl_model_free(back);
}

/* torch.compile, FSDP or activation checkpointing of the blocks alone. */
static void wrappers_of_parts_are_taken_away(void)
{
    static const char *const wrappers[] = {"_orig_mod", "module", "_checkpoint_wrapped_module",
                                           "_fsdp_wrapped_module._orig_mod"};
    const char *path = model_tmp_path("wrapped.safetensors");
    for (size_t k = 0; k < ADL_COUNT(wrappers); k++) {
        struct adl_error err = {0};
        struct adl_model *model = model_small(), *plain = model_small();
        for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
            const char *name = adl_tensors_at(model->weights, i)->name, *dot = strchr(name, '.');
            char wrapped[200];
            snprintf(wrapped, sizeof wrapped, "%.*s.%s%s", (int)(dot - name), name, wrappers[k],
                     dot);
            if (!strncmp(name, "blocks.", 7))
                TEST_OK(adl_tensors_rename(model->weights, i, wrapped, &err), &err);
        }
        write_prefixed(model, "net.", NULL, path);
        expect_same(plain, path, NULL);
        adl_model_free(model);
        adl_model_free(plain);
    }
}

static void prefixes_are_taken_away(void)
{
    static const struct {
        const char *prefix, *head;
    } cases[] = {
        {"", NULL},
        {"model.", NULL},
        {"net.", NULL},
        {"backbone.", NULL},
        {"encoder.", NULL},
        {"module.model.", NULL},
        {"model._orig_mod.", NULL},
        {"_orig_mod.module.", NULL},
        {"module.", NULL},
        {"0.", NULL},
        {"any.thing.at.all.", NULL},
        {"model.backbone.", "model."},
        {"encoder.", ""},
    };
    struct adl_model *model = model_small();
    const char *path = model_tmp_path("prefixed.safetensors");
    for (size_t i = 0; i < ADL_COUNT(cases); i++) {
        write_prefixed(model, cases[i].prefix, cases[i].head, path);
        expect_same(model, path, NULL);
    }
    adl_model_free(model);
}

/* vgg16 with ADL has other numbers in its names than without. */
static void prefixed_names_of_other_variants_are_mapped(void)
{
    struct adl_error err = {0};
    struct adl_arch cam, adl;
    adl_arch_init(&cam, &adl_backbone_vgg16);
    cam.num_classes = 3;
    adl = cam;
    adl.methods = adl_method_alone(&adl_method_adl);
    struct adl_model *model = adl_model_create(&adl, 64, 64, &err);
    model_must(model != NULL, &err);
    for (int i = 0; i < adl_graph_param_count(model->graph); i++)
        adl_model_param(model, i)[0] = (float)(i + 1);
    write_prefixed(model, "net.", NULL, model_tmp_path("vgg.safetensors"));
    cam.num_classes = 1000;
    const struct adl_model_options options = {.arch = &cam, .infer_classes = true};
    struct adl_model *back = adl_model_load(model_tmp_path("vgg.safetensors"), &options, &err);
    if (!back)
        TEST_FAIL("%s", err.message);
    else
        CU_ASSERT_EQUAL(back->arch.num_classes, 3);
    for (int i = 0; back && i < adl_graph_param_count(back->graph); i++)
        CU_ASSERT_EQUAL(back->params[i][0], (float)(i + 1));
    adl_model_free(back);
    adl_model_free(model);
}

/* A file with two networks: which one is for the user to say. */
static void two_networks_are_a_choice(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    struct adl_tensors *set = adl_tensors_create(&err);
    struct adl_arch arch = model_small_arch();
    const char *path = model_tmp_path("two.safetensors");
    model_must(set != NULL, &err);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
            const struct adl_tensor *t = adl_tensors_at(model->weights, i);
            char name[200];
            snprintf(name, sizeof name, "%s.%s", k ? "student" : "teacher", t->name);
            struct adl_tensor *copy = adl_tensors_add(set, name, t->dtype, t->rank, t->shape, &err);
            model_must(copy != NULL, &err);
            if (k)
                memcpy(copy->data, t->data, adl_tensor_bytes(t));
        }
    TEST_OK(adl_safetensors_write(path, set, &err), &err);
    const struct adl_model_options options = {.arch = &arch};
    struct adl_model *back = adl_model_load(path, &options, &err);
    CU_ASSERT_PTR_NULL(back);
    if (!strstr(err.message, "\"student\"") || !strstr(err.message, "\"teacher\""))
        TEST_FAIL("%s", err.message);
    adl_model_free(back);
    expect_same(model, path, "student");
    adl_tensors_free(set);

    /* The names that begin with a prefix and a dot, whatever else there is. */
    const struct adl_model_options prefixed = {.arch = &arch, .prefix = "student"};
    err = (struct adl_error){0};
    back = adl_model_load(path, &prefixed, &err);
    CU_ASSERT_TRUE(back && model_same_weights(model, back));
    adl_model_free(back);
    const struct adl_model_options unknown = {.arch = &arch, .prefix = "stud"};
    CU_ASSERT_PTR_NULL(adl_model_load(path, &unknown, &err));
    CU_ASSERT(err.kind == ADL_ERR_NOT_FOUND && strstr(err.message, "--prefix \"stud\"") &&
              strstr(err.message, "teacher.conv1.weight"));
    adl_model_free(model);
}

/* What torchvision's networks have beside them for training is no mistake. */
static void auxiliary_classifiers_are_left_out(void)
{
    static const char *const names[] = {"AuxLogits.fc.weight", "aux1.conv.bn.bias",
                                        "aux2.fc2.bias"};
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    const char *path = model_tmp_path("aux.safetensors");
    write_prefixed(model, "", NULL, path);
    struct adl_tensors *set = adl_safetensors_read(path, &err);
    model_must(set != NULL, &err);
    for (size_t i = 0; i < ADL_COUNT(names); i++)
        model_must(adl_tensors_add(set, names[i], ADL_F32, 1, &(size_t){3}, &err) != NULL, &err);
    TEST_OK(adl_safetensors_write(path, set, &err), &err);
    expect_same(model, path, NULL);
    adl_tensors_free(set);
    adl_model_free(model);
}

static void classes_are_counted_in_the_file(void)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    const char *path = model_tmp_path("five.safetensors");
    struct adl_arch arch = model_small_arch();
    write_prefixed(model, "net.", NULL, path);
    arch.num_classes = 1000;
    struct adl_model_options options = {.arch = &arch, .infer_classes = true};
    struct adl_model *back = adl_model_load(path, &options, &err);
    if (!back) {
        TEST_FAIL("%s", err.message);
    } else {
        CU_ASSERT_EQUAL(back->arch.num_classes, 5);
        CU_ASSERT_EQUAL(back->class_count, 5);
        CU_ASSERT_TRUE(back->note && strstr(back->note, "5 classes"));
        CU_ASSERT_TRUE(model_same_weights(model, back));
    }
    adl_model_free(back);
    /* A number that the user gave is not replaced. */
    options.infer_classes = false;
    back = adl_model_load(path, &options, &err);
    CU_ASSERT_PTR_NULL(back);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "1000 classes"));
    adl_model_free(back);
    adl_model_free(model);
}

TEST_SUITE(model_prefix, {"prefixes are taken away", prefixes_are_taken_away},
           {"wrappers of parts are taken away", wrappers_of_parts_are_taken_away},
           {"prefixed names of other variants are mapped",
            prefixed_names_of_other_variants_are_mapped},
           {"two networks are a choice", two_networks_are_a_choice},
           {"auxiliary classifiers are left out", auxiliary_classifiers_are_left_out},
           {"classes are counted in the file", classes_are_counted_in_the_file});
