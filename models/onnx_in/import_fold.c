/* Constants that are made while a graph is read. */

#include "models/onnx_in/import_fold.h"

#include <string.h>

#include "base/mem.h"
#include "base/size.h"

/* Adds a constant of this shape and makes it the node's output; its elements, all 0, are int64
 * (*ints) or float (*reals). NULL with an error. */
struct adl_onnx_tensor *adl_import_make(struct adl_import *im,
                                        const struct adl_onnx_node_proto *node, int rank,
                                        const int64_t *dims, int64_t **ints, float **reals,
                                        struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct adl_onnx_tensor *tensor = adl_arena_alloc(&im->arena, 1, sizeof *tensor);
    size_t count = 1;

    if (!out || rank > ADL_LIMIT_RANK) {
        adl_import_refuse(node, err, "its output is missing or has too many dimensions");
        return NULL;
    }
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || adl_size_mul(count, (size_t)dims[i], &count) < 0 ||
            count > ADL_LIMIT_PROTOBUF_BYTES) {
            adl_import_refuse(node, err, "its output has an impossible shape");
            return NULL;
        }
    if (adl_import_spend(im, count + 1, ints ? sizeof **ints : sizeof **reals, err) < 0)
        return NULL;
    void *data = tensor
                     ? adl_arena_alloc(&im->arena, count + 1, ints ? sizeof **ints : sizeof **reals)
                     : NULL;
    if (!data) {
        adl_fail_nomem(err, "the ONNX graph");
        return NULL;
    }
    *tensor = (struct adl_onnx_tensor){.name = "",
                                       .type = ints ? ADL_ONNX_TYPE_INT64 : ADL_ONNX_TYPE_FLOAT,
                                       .rank = rank,
                                       .count = count};
    memcpy(tensor->dims, dims, (size_t)rank * sizeof *dims);
    if (ints)
        tensor->ints = *ints = data;
    else
        tensor->raw = (unsigned char *)(*reals = data);
    out->kind = ADL_IMPORT_CONSTANT;
    out->tensor = tensor;
    return tensor;
}

int adl_import_view(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    const struct adl_import_value *in, int rank, const int64_t *dims,
                    struct adl_error *err)
{
    struct adl_import_value *out = adl_import_out(im, node, 0);
    struct adl_onnx_tensor *tensor = adl_arena_alloc(&im->arena, 1, sizeof *tensor);
    size_t count = 1;

    if (!tensor)
        return adl_fail_nomem(err, "the ONNX graph");
    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || adl_size_mul(count, (size_t)dims[i], &count) < 0)
            count = SIZE_MAX;
    if (!out || count != in->tensor->count || rank > ADL_LIMIT_RANK)
        return adl_import_refuse(node, err, "the shape does not have the elements of its input");
    *tensor = *in->tensor;
    tensor->rank = rank;
    memcpy(tensor->dims, dims, (size_t)rank * sizeof *dims);
    out->kind = ADL_IMPORT_CONSTANT;
    out->tensor = tensor;
    out->origin = in->origin;
    return 1;
}

struct adl_onnx_tensor *adl_import_make_list(struct adl_import *im,
                                             const struct adl_onnx_node_proto *node,
                                             const struct adl_onnx_tensor *like, int rank,
                                             const int64_t *dims, struct adl_import_list *list,
                                             struct adl_error *err)
{
    bool ints = adl_onnx_tensor_is_int(like);
    *list = (struct adl_import_list){NULL, NULL};
    return adl_import_make(im, node, rank, dims, ints ? &list->ints : NULL,
                           ints ? NULL : &list->reals, err);
}

void adl_import_list_set(struct adl_import_list *list, size_t i, const struct adl_onnx_tensor *from,
                         size_t at)
{
    if (list->ints)
        list->ints[i] = adl_onnx_tensor_int(from, at);
    else
        list->reals[i] = (float)adl_onnx_tensor_number(from, at);
}
