/* Checkpoints of the reference implementation, which have no description: the names of their
 * tensors, as its networks call them, are those of our graphs in the same order; the number of
 * classes is that of the classifier, wherever a method puts it; and a file whose method was not
 * given is told apart. The names were taken from its networks: those of CAM are in
 * tests/golden/backbones, HaS and CutMix have the same, and ACoL replaces what follows the last map
 * by two branches of three convolutions. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "methods/methods.h"
#include "models/file/load.h"
#include "models/model.h"
#include "support/golden.h"
#include "support/small_model.h"
#include "support/test.h"

static const char *const backbones[] = {"vgg16", "resnet50", "inception_v3"};

static struct adl_arch arch_of(const char *backbone, const char *method)
{
    struct adl_arch arch;
    adl_arch_init(&arch, adl_backbone_find(backbone));
    arch.num_classes = 10;
    arch.methods = adl_method_alone(adl_method_find(method));
    return arch;
}

/* --- names --------------------------------------------------------------------------------- */

/* Appends the names of ACoL's branches. */
static void add_branches(json_t *names)
{
    for (int i = 0; i < 12; i++)
        json_array_append_new(names, json_sprintf("classifier_%c.%d.%s", "AB"[i / 6], i % 6 / 2 * 2,
                                                  i % 2 ? "bias" : "weight"));
}

/* Compares the names of a network with a list. */
static void compare(const char *backbone, const char *method, const json_t *names)
{
    struct adl_arch arch = arch_of(backbone, method);
    struct adl_error err = {0};
    struct adl_graph *graph = adl_arch_build(&arch, 64, 64, &err);

    if (!graph) {
        TEST_FAIL("%s %s: %s", backbone, method, err.message);
        return;
    }
    if (json_array_size(names) != (size_t)adl_graph_param_count(graph))
        TEST_FAIL("%s %s has %d parameters, not %zu", backbone, method,
                  adl_graph_param_count(graph), json_array_size(names));
    for (int i = 0; i < adl_graph_param_count(graph); i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        if (name && strcmp(name, adl_graph_param(graph, i)->name) != 0)
            TEST_FAIL("%s %s: %s, not %s", backbone, method, adl_graph_param(graph, i)->name, name);
    }
    adl_graph_free(graph);
}

static void names_are_the_references(void)
{
    static const char *const heads[] = {"conv6.", "fc.", "SPG_"};

    for (size_t i = 0; i < ADL_COUNT(backbones); i++) {
        char file[80];
        snprintf(file, sizeof file, "backbones/%s_cam_224x224.json", backbones[i]);
        json_t *golden = golden_load(file);
        json_t *names = json_array(), *acol = json_array();
        const json_t *param;
        size_t k;
        if (!golden)
            return;
        json_array_foreach(json_object_get(golden, "params"), k, param)
        {
            json_t *name = json_object_get(param, "name");
            const char *text = json_string_value(name);
            bool head =
                strncmp(text, "fc.", 3) == 0 || strncmp(text, heads[i], strlen(heads[i])) == 0;
            json_array_append(names, name);
            if (!head)
                json_array_append(acol, name);
        }
        add_branches(acol);
        compare(backbones[i], "cam", names);
        compare(backbones[i], "has", names);
        compare(backbones[i], "cutmix", names);
        compare(backbones[i], "acol", acol);
        json_decref(names);
        json_decref(acol);
        json_decref(golden);
    }
}

/* --- classes and methods -------------------------------------------------------------------- */

/* Writes tensors with the names of a network's parameters, of one value each, which no loader may
 * accept; with `shapes` those of the classifiers, of 10 classes, have their shapes. */
static void save_names(const struct adl_arch *arch, bool shapes, const char *path)
{
    struct adl_error err = {0};
    struct adl_graph *graph = adl_arch_build(arch, 64, 64, &err);
    struct adl_tensors *tensors = adl_tensors_create(&err);
    size_t one[4] = {1, 1, 1, 1};

    for (int i = 0; graph && tensors && i < adl_graph_param_count(graph); i++) {
        const struct adl_param *param = adl_graph_param(graph, i);
        bool classes = shapes && param->shape[0] == 10;
        if (!adl_tensors_add(tensors, param->name, ADL_F32, param->rank,
                             classes ? param->shape : one, &err))
            break;
    }
    TEST_OK(err.kind ? -1 : adl_safetensors_write(path, tensors, &err), &err);
    adl_tensors_free(tensors);
    adl_graph_free(graph);
}

/* Loads the file as a network whose number of classes is not known, and returns what is wrong. */
static struct adl_error load(const char *backbone, const char *method, const char *path)
{
    struct adl_arch arch = arch_of(backbone, method);
    struct adl_model_options options = {.arch = &arch, .infer_classes = true};
    struct adl_error err = {0};

    arch.num_classes = 1000;
    struct adl_model *model = adl_model_load(path, &options, &err);
    CU_ASSERT_PTR_NULL(model);
    adl_model_free(model);
    return err;
}

/* Only the shapes of the classifiers are right, which is enough for their number, and the file is
 * small. */
static void classes_are_counted(void)
{
    static const char *const methods[] = {"cam", "adl", "acol", "spg"};
    const char *path = model_tmp_path("checkpoint.safetensors");

    for (size_t i = 0; i < ADL_COUNT(backbones); i++)
        for (size_t k = 0; k < ADL_COUNT(methods); k++) {
            struct adl_arch arch = arch_of(backbones[i], methods[k]);
            save_names(&arch, true, path);
            struct adl_error err = load(backbones[i], methods[k], path);
            if (!strstr(err.message, " with 10 classes: "))
                TEST_FAIL("%s %s: %s", backbones[i], methods[k], err.message);
        }
}

static void methods_are_told_apart(void)
{
    static const char *const methods[] = {"acol", "spg"};
    const char *path = model_tmp_path("checkpoint.safetensors");
    char hint[60];

    for (size_t i = 0; i < ADL_COUNT(backbones); i++)
        for (size_t k = 0; k < ADL_COUNT(methods); k++) {
            struct adl_arch arch = arch_of(backbones[i], methods[k]);
            save_names(&arch, false, path);
            snprintf(hint, sizeof hint, "; their names are those of --method %s", methods[k]);
            struct adl_error plain = load(backbones[i], "cam", path);
            struct adl_error right = load(backbones[i], methods[k], path);
            if (!strstr(plain.message, hint) || strstr(right.message, "--method"))
                TEST_FAIL("%s %s: %s; %s", backbones[i], methods[k], plain.message, right.message);
        }
}

TEST_SUITE(checkpoints, {"names are those of the reference", names_are_the_references},
           {"the classifier has the number of classes", classes_are_counted},
           {"the method of a file is told", methods_are_told_apart});
