/* Computes operators whose inputs are constants: the arithmetic on shapes that exporters write
 * around a Reshape, and the layouts of weights. Only Transpose, Reshape and the like take tensors
 * of any size; arithmetic is limited to ADL_LIMIT_ONNX_FOLDED elements. */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/size.h"
#include "models/onnx_in/import.h"

/* Adds a constant of this shape and makes it the node's output; its elements, all 0, are int64
 * (*ints) or float (*reals). NULL with an error. */
static struct adl_onnx_tensor *fold_make(struct adl_import *im,
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

/* Makes the output a tensor with the elements of another one and this shape. */
static int fold_view(struct adl_import *im, const struct adl_onnx_node_proto *node,
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

static int fold_constant(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    const struct adl_onnx_attr *tensor = adl_onnx_attr_find(node, "value");
    const struct adl_onnx_attr *one = adl_onnx_attr_find(node, "value_int");
    const struct adl_onnx_attr *real = adl_onnx_attr_find(node, "value_float");
    const struct adl_onnx_attr *many = adl_onnx_attr_find(node, "value_ints");
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int64_t *ints = NULL, count = 0;
    float *reals = NULL;

    if (out && tensor && tensor->kind == ADL_ONNX_ATTR_TENSOR) {
        out->kind = ADL_IMPORT_CONSTANT;
        out->tensor = tensor->tensor;
        return 1;
    }
    if (one && fold_make(im, node, 0, &count, &ints, NULL, err)) {
        ints[0] = one->i;
        return 1;
    }
    if (real && fold_make(im, node, 0, &count, NULL, &reals, err)) {
        reals[0] = real->f;
        return 1;
    }
    if (many && many->kind == ADL_ONNX_ATTR_INTS) {
        count = (int64_t)many->count;
        if (!fold_make(im, node, 1, &count, &ints, NULL, err))
            return -1;
        memcpy(ints, many->ints, many->count * sizeof *ints);
        return 1;
    }
    return err->kind ? -1 : adl_import_refuse(node, err, "it has no value that is read");
}

static int fold_shape(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    bool map = in->kind == ADL_IMPORT_MAP;
    int64_t rank = map ? (int64_t)strlen(in->axes) : in->tensor->rank, *ints;

    if (!fold_make(im, node, 1, &rank, &ints, NULL, err))
        return -1;
    for (int i = 0; i < (int)rank; i++)
        ints[i] = map ? adl_import_extent(im, in, i) : in->tensor->dims[i];
    return 1;
}

/* Returns whether all inputs are constants of a few integers or reals. */
static bool fold_is_small(const struct adl_import *im, const struct adl_onnx_node_proto *node,
                          bool *real)
{
    *real = false;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct adl_import_value *in = adl_import_in(im, node, i);
        if (!in)
            continue;
        if (in->kind != ADL_IMPORT_CONSTANT || in->tensor->count > ADL_LIMIT_ONNX_FOLDED)
            return false;
        *real |= adl_onnx_tensor_is_real(in->tensor);
    }
    return true;
}

/* A constant that is being made of elements of others: integers, or else floats. */
struct list {
    int64_t *ints;
    float *reals;
};

/* Makes the output a constant with elements of the type of `like`; NULL with an error. */
static struct adl_onnx_tensor *fold_list(struct adl_import *im,
                                         const struct adl_onnx_node_proto *node,
                                         const struct adl_onnx_tensor *like, int rank,
                                         const int64_t *dims, struct list *list,
                                         struct adl_error *err)
{
    bool ints = adl_onnx_tensor_is_int(like);
    *list = (struct list){NULL, NULL};
    return fold_make(im, node, rank, dims, ints ? &list->ints : NULL, ints ? NULL : &list->reals,
                     err);
}

static void list_set(struct list *list, size_t i, const struct adl_onnx_tensor *from, size_t at)
{
    if (list->ints)
        list->ints[i] = adl_onnx_tensor_int(from, at);
    else
        list->reals[i] = (float)adl_onnx_tensor_number(from, at);
}

static int fold_gather(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_onnx_tensor *from = adl_import_in(im, node, 0)->tensor;
    const struct adl_onnx_tensor *at = adl_import_in(im, node, 1)->tensor;
    struct list list;

    if (from->rank != 1 || !adl_onnx_tensor_is_int(at))
        return 0;
    if (!fold_list(im, node, from, at->rank, at->dims, &list, err))
        return -1;
    for (size_t i = 0; i < at->count; i++) {
        int64_t index = adl_onnx_tensor_int(at, i);
        index += index < 0 ? from->dims[0] : 0;
        if (index < 0 || index >= from->dims[0])
            return adl_import_refuse(node, err, "index %lld is beyond its %lld elements",
                                     (long long)index, (long long)from->dims[0]);
        list_set(&list, i, from, (size_t)index);
    }
    return 1;
}

static int fold_concat(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_onnx_tensor *first = adl_import_in(im, node, 0)->tensor;
    int64_t total = 0;
    struct list list;
    size_t at = 0;

    for (size_t i = 0; i < node->input_count; i++) {
        const struct adl_import_value *in = adl_import_in(im, node, i);
        if (!in || in->tensor->rank != 1 ||
            adl_onnx_tensor_is_int(in->tensor) != adl_onnx_tensor_is_int(first))
            return 0;
        total += in->tensor->dims[0];
    }
    if (!fold_list(im, node, first, 1, &total, &list, err))
        return -1;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct adl_onnx_tensor *in = adl_import_in(im, node, i)->tensor;
        for (size_t k = 0; k < in->count; k++)
            list_set(&list, at++, in, k);
    }
    return 1;
}

/* Slice of a list, from operator set 10 on. */
static int fold_slice(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_onnx_tensor *from = adl_import_in(im, node, 0)->tensor;
    int64_t start, end, step = 1;
    int64_t size = from->rank == 1 ? from->dims[0] : 0;
    struct list list;

    if (from->rank != 1 || adl_import_ints(im, node, "starts", 1, &start, 1) != 1 ||
        adl_import_ints(im, node, "ends", 2, &end, 1) != 1 ||
        adl_import_ints(im, node, "steps", 4, &step, 1) < 0 || step != 1)
        return 0;
    start = ADL_MIN(ADL_MAX(start < 0 ? start + size : start, 0), size);
    end = ADL_MIN(ADL_MAX(end < 0 ? end + size : end, start), size);
    const int64_t count = end - start;
    if (!fold_list(im, node, from, 1, &count, &list, err))
        return -1;
    for (int64_t i = 0; i < count; i++)
        list_set(&list, (size_t)i, from, (size_t)(start + i));
    return 1;
}

static int fold_unsqueeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
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
    return fold_view(im, node, in, rank, dims, err);
}

static int fold_squeeze(struct adl_import *im, const struct adl_onnx_node_proto *node,
                        struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    int64_t dims[ADL_LIMIT_RANK];
    int rank = 0;

    for (int i = 0; i < in->tensor->rank; i++)
        if (in->tensor->dims[i] != 1)
            dims[rank++] = in->tensor->dims[i];
    return fold_view(im, node, in, rank, dims, err);
}

static int fold_reshape(struct adl_import *im, const struct adl_onnx_node_proto *node,
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
    return fold_view(im, node, in, rank, dims, err);
}

/* Transposes weights: element by element. */
static int fold_transpose(struct adl_import *im, const struct adl_onnx_node_proto *node,
                          struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    const struct adl_onnx_tensor *t = in->tensor;
    int64_t perm[ADL_LIMIT_RANK], dims[ADL_LIMIT_RANK], at[ADL_LIMIT_RANK] = {0};
    size_t strides[ADL_LIMIT_RANK];
    int count = adl_import_attr_ints(node, "perm", perm, ADL_LIMIT_RANK);
    float *reals;

    if (t->rank > ADL_LIMIT_RANK || (count != 0 && count != t->rank))
        return adl_import_refuse(node, err, "perm does not have the axes of its input");
    if (!adl_onnx_tensor_is_real(t))
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
    struct adl_onnx_tensor *made = fold_make(im, node, t->rank, dims, NULL, &reals, err);
    if (!made)
        return -1;
    /* A perm that names an axis twice would have another number of elements. */
    if (made->count != t->count)
        return adl_import_refuse(node, err, "perm does not have the axes of its input");
    for (size_t i = 0; i < made->count; i++) {
        size_t from = 0;
        for (int k = 0; k < t->rank; k++)
            from += (size_t)at[k] * strides[k];
        reals[i] = (float)adl_onnx_tensor_number(t, ADL_MIN(from, t->count - 1));
        for (int k = t->rank - 1; k >= 0 && ++at[k] == dims[k]; k--)
            at[k] = 0;
    }
    adl_import_out(im, node, 0)->origin = in->origin;
    return 1;
}

static int fold_cast(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_onnx_tensor *in = adl_import_in(im, node, 0)->tensor;
    int64_t to = adl_import_attr_int(node, "to", 0), *ints;
    float *reals;

    if (to == ADL_ONNX_TYPE_FLOAT || to == ADL_ONNX_TYPE_DOUBLE || to == ADL_ONNX_TYPE_HALF) {
        if (!fold_make(im, node, in->rank, in->dims, NULL, &reals, err))
            return -1;
        for (size_t i = 0; i < in->count; i++)
            reals[i] = (float)adl_onnx_tensor_number(in, i);
        return 1;
    }
    if (!fold_make(im, node, in->rank, in->dims, &ints, NULL, err))
        return -1;
    for (size_t i = 0; i < in->count; i++) {
        double value = adl_onnx_tensor_number(in, i);
        ints[i] = fabs(value) < 1e15 ? (int64_t)value : 0;
    }
    return 1;
}

static double fold_apply(char op, double a, double b)
{
    return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : b != 0 ? a / b : 0;
}

/* Arithmetic with a scalar or between equal shapes. */
static int fold_arithmetic(struct adl_import *im, const struct adl_onnx_node_proto *node, bool real,
                           struct adl_error *err)
{
    const struct adl_onnx_tensor *a = adl_import_in(im, node, 0)->tensor;
    const struct adl_onnx_tensor *b = adl_import_in(im, node, 1)->tensor;
    const struct adl_onnx_tensor *shape = a->count >= b->count ? a : b;
    char op = *node->op == 'A' ? '+' : *node->op == 'S' ? '-' : *node->op == 'M' ? '*' : '/';
    int64_t *ints = NULL;
    float *reals = NULL;

    if (a->count != b->count && a->count != 1 && b->count != 1)
        return 0;
    if (!fold_make(im, node, shape->rank, shape->dims, real ? NULL : &ints, real ? &reals : NULL,
                   err))
        return -1;
    for (size_t i = 0; i < shape->count; i++) {
        double value = fold_apply(op, adl_onnx_tensor_number(a, a->count == 1 ? 0 : i),
                                  adl_onnx_tensor_number(b, b->count == 1 ? 0 : i));
        if (real)
            reals[i] = (float)value;
        else
            ints[i] = fabs(value) < 1e15 ? (int64_t)value : 0;
    }
    return 1;
}

/* Operators of one input that change each element. */
static int fold_unary(struct adl_import *im, const struct adl_onnx_node_proto *node, bool real,
                      struct adl_error *err)
{
    const struct adl_onnx_tensor *in = adl_import_in(im, node, 0)->tensor;
    float *reals;

    if (!real || !fold_make(im, node, in->rank, in->dims, NULL, &reals, err))
        return real ? -1 : 0;
    for (size_t i = 0; i < in->count; i++) {
        double x = adl_onnx_tensor_number(in, i);
        reals[i] = (float)(*node->op == 'S' ? sqrt(x) : *node->op == 'N' ? -x : floor(x));
    }
    return 1;
}

static int fold_filled(struct adl_import *im, const struct adl_onnx_node_proto *node,
                       struct adl_error *err)
{
    const struct adl_onnx_attr *value = adl_onnx_attr_find(node, "value");
    bool real = !value || !value->tensor || adl_onnx_tensor_is_real(value->tensor);
    double fill = value && value->tensor && value->tensor->count == 1
                      ? adl_onnx_tensor_number(value->tensor, 0)
                      : 0;
    int64_t dims[ADL_LIMIT_RANK], *ints = NULL, total = 1;
    int rank = adl_import_ints(im, node, "shape", 0, dims, ADL_LIMIT_RANK);
    float *reals = NULL;

    for (int i = 0; i < rank; i++)
        if (dims[i] < 0 || __builtin_mul_overflow(total, dims[i], &total) ||
            total > ADL_LIMIT_ONNX_FOLDED)
            return 0;
    if (rank < 0)
        return 0;
    struct adl_onnx_tensor *t =
        fold_make(im, node, rank, dims, real ? NULL : &ints, real ? &reals : NULL, err);
    for (size_t i = 0; t && i < t->count; i++)
        if (real)
            reals[i] = (float)fill;
        else
            ints[i] = (int64_t)fill;
    return t ? 1 : -1;
}

/* Returns whether input i is a constant. */
static bool fold_has(const struct adl_import *im, const struct adl_onnx_node_proto *node, size_t i)
{
    const struct adl_import_value *in = adl_import_in(im, node, i);
    return in && in->kind == ADL_IMPORT_CONSTANT;
}

int adl_import_fold(struct adl_import *im, const struct adl_onnx_node_proto *node,
                    struct adl_error *err)
{
    const char *op = node->op;
    const struct adl_import_value *first = adl_import_in(im, node, 0);
    bool real;

    if (strcmp(op, "Constant") == 0)
        return fold_constant(im, node, err);
    if (!first || first->kind == ADL_IMPORT_NOT_YET)
        return 0;
    if (strcmp(op, "Shape") == 0)
        return fold_shape(im, node, err);
    if (first->kind != ADL_IMPORT_CONSTANT)
        return 0;
    if (strcmp(op, "DequantizeLinear") == 0)
        return adl_import_dequantize(im, node, err);
    if (strcmp(op, "Identity") == 0)
        return fold_view(im, node, first, first->tensor->rank, first->tensor->dims, err);
    if (strcmp(op, "Transpose") == 0)
        return fold_transpose(im, node, err);
    if (strcmp(op, "Reshape") == 0)
        return fold_reshape(im, node, err);
    if (strcmp(op, "Unsqueeze") == 0)
        return fold_unsqueeze(im, node, err);
    if (strcmp(op, "Squeeze") == 0)
        return fold_squeeze(im, node, err);
    if (!fold_is_small(im, node, &real))
        return 0;
    if (strcmp(op, "ConstantOfShape") == 0)
        return fold_filled(im, node, err);
    if (strcmp(op, "Gather") == 0 && fold_has(im, node, 1))
        return fold_gather(im, node, err);
    if (strcmp(op, "Concat") == 0)
        return fold_concat(im, node, err);
    if (strcmp(op, "Slice") == 0)
        return fold_slice(im, node, err);
    if (strcmp(op, "Cast") == 0)
        return fold_cast(im, node, err);
    if ((strcmp(op, "Add") == 0 || strcmp(op, "Sub") == 0 || strcmp(op, "Mul") == 0 ||
         strcmp(op, "Div") == 0) &&
        fold_has(im, node, 1))
        return fold_arithmetic(im, node, real, err);
    if (strcmp(op, "Sqrt") == 0 || strcmp(op, "Neg") == 0 || strcmp(op, "Floor") == 0)
        return fold_unary(im, node, real, err);
    return 0;
}
