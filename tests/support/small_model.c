/* Makes a small model for tests, and a file that does not fit it. */

#include "support/small_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "io/safetensors.h"
#include "models/file/save.h"
#include "support/formula.h"
#include "support/test.h"

void model_must(bool ok, const struct adl_error *err)
{
    if (ok)
        return;
    printf("    %s\n", err->message);
    CU_FAIL_FATAL("cannot go on");
    abort(); /* not reached: CUnit has left the test */
}

bool model_same_floats(const float *a, const float *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(a[i] == b[i]))
            return false;
    return true;
}

const char *model_tmp_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
    return path;
}

struct adl_arch model_small_arch(void)
{
    struct adl_arch arch;
    adl_arch_init(&arch, &adl_backbone_mobilenet_v1);
    arch.num_classes = 5;
    arch.width = 0.25;
    return arch;
}

struct adl_model *model_small(void)
{
    struct adl_error err = {0};
    struct adl_arch arch = model_small_arch();
    struct adl_model *model = adl_model_create(&arch, 64, 48, &err);
    model_must(model != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *tensor = adl_tensors_at(model->weights, i);
        formula_param(tensor->name, 0.5, 0.25, tensor->count, tensor->data);
    }
    return model;
}

void model_small_save(const char *path)
{
    struct adl_error err = {0};
    struct adl_model *model = model_small();
    TEST_OK(adl_model_save(model, path, &err), &err);
    adl_model_free(model);
}

bool model_same_weights(const struct adl_model *a, const struct adl_model *b)
{
    bool same = adl_tensors_count(a->weights) == adl_tensors_count(b->weights);
    for (size_t i = 0; same && i < adl_tensors_count(a->weights); i++) {
        const struct adl_tensor *x = adl_tensors_at(a->weights, i);
        const struct adl_tensor *y = adl_tensors_at(b->weights, i);
        same = strcmp(x->name, y->name) == 0 && x->count == y->count &&
               model_same_floats(x->data, y->data, x->count) && b->params[i] == y->data;
    }
    return same;
}

void model_write_misfit(const struct adl_model *model, const char *path)
{
    struct adl_error err = {0};
    struct adl_tensors *tensors = adl_tensors_create(&err);
    model_must(tensors != NULL, &err);
    for (size_t i = 0; i < adl_tensors_count(model->weights); i++) {
        const struct adl_tensor *from = adl_tensors_at(model->weights, i);
        const char *name = from->name;
        size_t shape[4];
        memcpy(shape, from->shape, sizeof shape);
        if (strcmp(name, "bn1.running_var") == 0)
            continue;
        if (strcmp(name, "blocks.3.pw.weight") == 0)
            name = "blocks.3.pw_conv.weight";
        if (strncmp(name, "fc.", 3) == 0)
            shape[0] = 7;
        struct adl_tensor *to = adl_tensors_add(tensors, name, ADL_F32, from->rank, shape, &err);
        model_must(to != NULL, &err);
        memcpy(to->data, from->data, ADL_MIN(from->count, to->count) * sizeof(float));
    }
    model_must(adl_tensors_add(tensors, "classifier.0.weight\n", ADL_F32, 2, (size_t[]){3, 4},
                               &err) != NULL,
               &err);
    model_must(adl_tensors_add(tensors, "blocks.0.dw_bn.num_batches_tracked", ADL_I64, 0, NULL,
                               &err) != NULL,
               &err);
    TEST_OK(adl_safetensors_write(path, tensors, &err), &err);
    adl_tensors_free(tensors);
}
