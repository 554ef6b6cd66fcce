/* Operators on constants whose output has elements of the inputs, in another order or shape: parts
 * of lists of extents, and the layouts of weights. */

#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"
#include "models/onnx_in/import_fold.h"

int adl_import_pick_gather(struct adl_import *im, const struct adl_onnx_node_proto *node,
                           struct adl_error *err)
{
    const struct adl_onnx_tensor *from = adl_import_in(im, node, 0)->tensor;
    const struct adl_onnx_tensor *at = adl_import_in(im, node, 1)->tensor;
    struct adl_import_list list;

    if (from->rank != 1 || !adl_onnx_tensor_is_int(at))
        return 0;
    if (!adl_import_make_list(im, node, from, at->rank, at->dims, &list, err))
        return -1;
    for (size_t i = 0; i < at->count; i++) {
        int64_t index = adl_onnx_tensor_int(at, i);
        index += index < 0 ? from->dims[0] : 0;
        if (index < 0 || index >= from->dims[0])
            return adl_import_refuse(node, err, "index %lld is beyond its %lld elements",
                                     (long long)index, (long long)from->dims[0]);
        adl_import_list_set(&list, i, from, (size_t)index);
    }
    return 1;
}

int adl_import_pick_concat(struct adl_import *im, const struct adl_onnx_node_proto *node,
                           struct adl_error *err)
{
    const struct adl_onnx_tensor *first = adl_import_in(im, node, 0)->tensor;
    int64_t total = 0;
    struct adl_import_list list;
    size_t at = 0;

    for (size_t i = 0; i < node->input_count; i++) {
        const struct adl_import_value *in = adl_import_in(im, node, i);
        if (!in || in->tensor->rank != 1 ||
            adl_onnx_tensor_is_int(in->tensor) != adl_onnx_tensor_is_int(first))
            return 0;
        total += in->tensor->dims[0];
    }
    if (!adl_import_make_list(im, node, first, 1, &total, &list, err))
        return -1;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct adl_onnx_tensor *in = adl_import_in(im, node, i)->tensor;
        for (size_t k = 0; k < in->count; k++)
            adl_import_list_set(&list, at++, in, k);
    }
    return 1;
}

/* Slice along one axis, in any steps, from operator set 10 on. */
int adl_import_pick_slice(struct adl_import *im, const struct adl_onnx_node_proto *node,
                          struct adl_error *err)
{
    const struct adl_onnx_tensor *from = adl_import_in(im, node, 0)->tensor;
    int64_t start, end, axis = 0, step = 1, dims[ADL_LIMIT_RANK];
    size_t outer = 1, inner = 1, at = 0;
    struct adl_import_list list;

    if (adl_import_ints(im, node, "starts", 1, &start, 1) != 1 ||
        adl_import_ints(im, node, "ends", 2, &end, 1) != 1 ||
        adl_import_ints(im, node, "axes", 3, &axis, 1) < 0 ||
        adl_import_ints(im, node, "steps", 4, &step, 1) < 0 || step == 0 || step > INT32_MAX ||
        step < -INT32_MAX)
        return 0;
    axis += axis < 0 ? from->rank : 0;
    if (axis < 0 || axis >= from->rank)
        return 0;
    /* Steps back begin at the last element at most, and end before the first one. */
    const int64_t size = from->dims[axis], back = step < 0;
    start = ADL_MIN(ADL_MAX(start < 0 ? start + size : start, 0), size - back);
    end = ADL_MIN(ADL_MAX(end < 0 ? end + size : end, -back), size - back);
    const int64_t span = back ? start - end : end - start, stride = back ? -step : step;
    memcpy(dims, from->dims, sizeof dims);
    dims[axis] = span > 0 ? (span + stride - 1) / stride : 0;
    for (int i = 0; i < from->rank; i++)
        if (i != axis)
            *(i < axis ? &outer : &inner) *= (size_t)from->dims[i];
    if (!adl_import_make_list(im, node, from, from->rank, dims, &list, err))
        return -1;
    for (size_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < dims[axis]; i++)
            for (size_t k = 0; k < inner; k++)
                adl_import_list_set(&list, at++, from,
                                    (o * (size_t)size + (size_t)(start + i * step)) * inner + k);
    return 1;
}

int adl_import_pick_unsqueeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
                              struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    int64_t axes[ADL_LIMIT_RANK], dims[ADL_LIMIT_RANK];
    int count = adl_import_ints(im, node, "axes", 1, axes, ADL_LIMIT_RANK), from = 0;
    int rank = in->tensor->rank + count;

    if (count < 0 || rank > ADL_LIMIT_RANK)
        return 0;
    for (int i = 0; i < rank; i++) {
        bool added = false;
        for (int k = 0; k < count; k++)
            added |= (axes[k] < 0 ? axes[k] + rank : axes[k]) == i;
        if (!added && from >= in->tensor->rank)
            return adl_import_refuse(node, err, "its axes do not fit its input");
        dims[i] = added ? 1 : in->tensor->dims[from++];
    }
    return adl_import_view(im, node, in, rank, dims, err);
}

int adl_import_pick_squeeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
                            struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    int64_t axes[ADL_LIMIT_RANK], dims[ADL_LIMIT_RANK];
    int count = adl_import_ints(im, node, "axes", 1, axes, ADL_LIMIT_RANK), rank = 0;

    for (int i = 0; i < in->tensor->rank; i++) {
        bool gone = count <= 0;
        for (int k = 0; k < count; k++)
            gone |= (axes[k] < 0 ? axes[k] + in->tensor->rank : axes[k]) == i;
        if (!gone || in->tensor->dims[i] != 1)
            dims[rank++] = in->tensor->dims[i];
    }
    return adl_import_view(im, node, in, rank, dims, err);
}

int adl_import_pick_reshape(struct adl_import *im, const struct adl_onnx_node_proto *node,
                            struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    int64_t dims[ADL_LIMIT_RANK], known = 1;
    int rank = adl_import_ints(im, node, "shape", 1, dims, ADL_LIMIT_RANK), open = -1;

    for (int i = 0; i < rank; i++) {
        if (dims[i] == 0 && i < in->tensor->rank)
            dims[i] = in->tensor->dims[i];
        if (dims[i] == -1)
            open = i;
        else if (__builtin_mul_overflow(known, dims[i], &known))
            return adl_import_refuse(node, err, "its shape is too large");
    }
    if (rank < 0)
        return 0;
    if (open >= 0)
        dims[open] = known > 0 ? (int64_t)in->tensor->count / known : 0;
    return adl_import_view(im, node, in, rank, dims, err);
}

/* Transposes weights, and pads that are computed: element by element. */
int adl_import_pick_transpose(struct adl_import *im, const struct adl_onnx_node_proto *node,
                              struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    const struct adl_onnx_tensor *t = in->tensor;
    int64_t perm[ADL_LIMIT_RANK], dims[ADL_LIMIT_RANK], at[ADL_LIMIT_RANK] = {0};
    size_t strides[ADL_LIMIT_RANK];
    int count = adl_import_attr_ints(node, "perm", perm, ADL_LIMIT_RANK);
    struct adl_import_list list;

    if (t->rank > ADL_LIMIT_RANK || (count != 0 && count != t->rank))
        return adl_import_refuse(node, err, "perm does not have the axes of its input");
    if (!adl_onnx_tensor_is_real(t) &&
        !(adl_onnx_tensor_is_int(t) && t->count <= ADL_LIMIT_ONNX_FOLDED))
        return 0;
    for (int i = 0; i < t->rank; i++) {
        int axis = count ? (int)perm[i] : t->rank - 1 - i;
        if (axis < 0 || axis >= t->rank)
            return adl_import_refuse(node, err, "perm does not have the axes of its input");
        dims[i] = t->dims[axis];
        strides[i] = 1;
        for (int k = axis + 1; k < t->rank; k++)
            strides[i] *= (size_t)t->dims[k];
    }
    struct adl_onnx_tensor *made = adl_import_make_list(im, node, t, t->rank, dims, &list, err);
    if (!made)
        return -1;
    /* A perm that names an axis twice would have another number of elements. */
    if (made->count != t->count)
        return adl_import_refuse(node, err, "perm does not have the axes of its input");
    for (size_t i = 0; i < made->count; i++) {
        size_t from = 0;
        for (int k = 0; k < t->rank; k++)
            from += (size_t)at[k] * strides[k];
        adl_import_list_set(&list, i, t, ADL_MIN(from, t->count - 1));
        for (int k = t->rank - 1; k >= 0 && ++at[k] == dims[k]; k--)
            at[k] = 0;
    }
    adl_import_out(im, node, 0)->origin = in->origin;
    return 1;
}
