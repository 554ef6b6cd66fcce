/* The parameters of the model that a graph becomes, and how much may be copied for them. */

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "io/torch.h"
#include "models/onnx_in/import.h"

int adl_import_spend(struct adl_import *im, size_t count, size_t size, struct adl_error *err)
{
    size_t bytes;
    if (adl_size_mul(count, size, &bytes) < 0 || bytes > im->room)
        return adl_fail(err, ADL_ERR_LIMIT,
                        "the weights of the network and the constants that it computes take more "
                        "than %d times the bytes of the file and more than %zu MiB",
                        ADL_LIMIT_ONNX_EXPANSION, ADL_LIMIT_ONNX_EXPANSION_BYTES / ADL_MIB);
    im->room -= bytes;
    return 0;
}

const char *adl_import_param_name(struct adl_import *im, const struct adl_onnx_node_proto *node,
                                  const char *origin, const char *role)
{
    char bare[ADL_LIMIT_TENSOR_NAME_BYTES + 1];

    if (origin) {
        /* What reads model files removes the prefixes of PyTorch's wrappers. */
        adl_torch_unwrap(origin, strlen(origin), bare);
        if (*bare && !adl_tensors_find(im->weights, bare))
            return adl_arena_printf(&im->arena, "%s", bare);
    }
    const char *of = *node->name ? node->name : node->output_count ? node->outputs[0] : "node";
    char name[ADL_IMPORT_NAME_BYTES + 64];
    int length = snprintf(name, sizeof name - 16, "%.*s.%s", ADL_IMPORT_NAME_BYTES, of, role);
    for (int tries = 0; adl_tensors_find(im->weights, name); tries++)
        snprintf(name + length, sizeof name - (size_t)length, "_%d",
                 tries < ADL_IMPORT_TRIES ? tries + 1 : ++im->numbered);
    return adl_arena_printf(&im->arena, "%s", name);
}

/* Returns the elements of a shape; SIZE_MAX if they are too many to count. */
static size_t elements_of(int rank, const size_t *shape)
{
    size_t count = 1;

    for (int i = 0; i < rank; i++)
        if (adl_size_mul(count, shape[i], &count) < 0)
            count = SIZE_MAX;
    return count;
}

const char *adl_import_param(struct adl_import *im, const struct adl_onnx_node_proto *node,
                             const char *origin, const char *role, int rank, const size_t *shape,
                             float (*element)(const void *context, size_t i), const void *context,
                             struct adl_error *err)
{
    const char *name = adl_import_param_name(im, node, origin, role);
    if (!name) {
        adl_fail_nomem(err, "the ONNX graph");
        return NULL;
    }
    const size_t count = elements_of(rank, shape);
    struct adl_tensor *tensor =
        adl_import_spend(im, count, sizeof(float), err) == 0
            ? adl_tensors_add_unset(im->weights, name, ADL_F32, rank, shape, err)
            : NULL;
    if (!tensor)
        return NULL;
    float *values = tensor->data;
    for (size_t i = 0; i < tensor->count; i++)
        values[i] = element(context, i);
    return name;
}

static float tensor_element(const void *context, size_t i)
{
    return (float)adl_onnx_tensor_number(context, i);
}

const char *adl_import_tensor_param(struct adl_import *im, const struct adl_onnx_node_proto *node,
                                    const struct adl_import_value *value, const char *role,
                                    int rank, const size_t *shape, struct adl_error *err)
{
    const size_t count = elements_of(rank, shape);
    if (!value || value->kind != ADL_IMPORT_CONSTANT || !adl_onnx_tensor_is_real(value->tensor) ||
        value->tensor->count != count) {
        adl_import_refuse(node, err, "its %s is not a constant of %zu floats", role, count);
        return NULL;
    }
    return adl_import_param(im, node, value->origin, role, rank, shape, tensor_element,
                            value->tensor, err);
}
