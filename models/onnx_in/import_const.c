/* Computes operators whose inputs are constants: the arithmetic on shapes that exporters write
 * around a Reshape, and the layouts of weights. Only Transpose, Reshape and the like take tensors
 * of any size; arithmetic is limited to ADL_LIMIT_ONNX_FOLDED elements. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"
#include "models/onnx_in/import_fold.h"

/* Returns a number without its fraction; the nearest int64 if it is none. */
static int64_t whole(double value)
{
    if (!(value > -0x1p63))
        return isnan(value) ? 0 : INT64_MIN;
    return value < 0x1p63 ? (int64_t)value : INT64_MAX;
}

static int fold_constant(struct adl_import *im, const struct adl_onnx_node_proto *node,
                         struct adl_error *err)
{
    const struct adl_onnx_attr *tensor = adl_onnx_attr_find(node, "value");
    const struct adl_onnx_attr *one = adl_onnx_attr_find(node, "value_int");
    const struct adl_onnx_attr *real = adl_onnx_attr_find(node, "value_float");
    const struct adl_onnx_attr *many = adl_onnx_attr_find(node, "value_ints");
    const struct adl_onnx_attr *floats = adl_onnx_attr_find(node, "value_floats");
    struct adl_import_value *out = adl_import_out(im, node, 0);
    int64_t *ints = NULL, count = 0;
    float *reals = NULL;

    if (out && tensor && tensor->kind == ADL_ONNX_ATTR_TENSOR) {
        out->kind = ADL_IMPORT_CONSTANT;
        out->tensor = tensor->tensor;
        return 1;
    }
    if (one && adl_import_make(im, node, 0, &count, &ints, NULL, err)) {
        ints[0] = one->i;
        return 1;
    }
    if (real && adl_import_make(im, node, 0, &count, NULL, &reals, err)) {
        reals[0] = real->f;
        return 1;
    }
    if (many && many->kind == ADL_ONNX_ATTR_INTS) {
        count = (int64_t)many->count;
        if (!adl_import_make(im, node, 1, &count, &ints, NULL, err))
            return -1;
        memcpy(ints, many->ints, many->count * sizeof *ints);
        return 1;
    }
    if (floats && floats->kind == ADL_ONNX_ATTR_FLOATS) {
        count = (int64_t)floats->count;
        if (!adl_import_make(im, node, 1, &count, NULL, &reals, err))
            return -1;
        memcpy(reals, floats->floats, floats->count * sizeof *reals);
        return 1;
    }
    return err->kind ? -1 : adl_import_refuse(node, err, "it has no value that is read");
}

/* Returns an end of a part of a list of `count`, which may be counted from behind or lie beyond. */
static int64_t end_of(int64_t at, int64_t count)
{
    return ADL_MIN(ADL_MAX(at < 0 ? at + count : at, 0), count);
}

/* The extents of a map are those with the padding around it. From operator set 15 on, Shape takes a
 * part of them. */
static int fold_shape(struct adl_import *im, const struct adl_onnx_node_proto *node,
                      struct adl_error *err)
{
    const struct adl_import_value *in = adl_import_in(im, node, 0);
    bool map = in->kind == ADL_IMPORT_MAP;
    int64_t rank = map ? (int64_t)strlen(in->axes) : in->tensor->rank, *ints;
    int64_t first = end_of(adl_import_attr_int(node, "start", 0), rank);
    int64_t last = end_of(adl_import_attr_int(node, "end", rank), rank);
    const int64_t count = ADL_MAX(last - first, 0);

    if (!adl_import_make(im, node, 1, &count, &ints, NULL, err))
        return -1;
    for (int i = 0; i < (int)count; i++) {
        int axis = (int)first + i;
        char letter = map ? in->axes[axis] : '\0';
        ints[i] = map ? adl_import_extent(im, in, axis) : in->tensor->dims[axis];
        if (letter == 'H' || letter == 'W')
            ints[i] += in->pads[letter == 'W'] + in->pads[2 + (letter == 'W')];
    }
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

/* Returns an element as a whole number of a type. */
static int64_t cast_int(const struct adl_onnx_tensor *in, size_t i, int64_t to)
{
    bool is_int = adl_onnx_tensor_is_int(in);
    int64_t value = is_int ? adl_onnx_tensor_int(in, i) : whole(adl_onnx_tensor_number(in, i));

    switch (to) {
    case ADL_ONNX_TYPE_BOOL:
        return is_int ? value != 0
                      : adl_onnx_tensor_number(in, i) < 0 || adl_onnx_tensor_number(in, i) > 0;
    case ADL_ONNX_TYPE_UINT8: return (uint8_t)value;
    case ADL_ONNX_TYPE_INT8: return (int8_t)value;
    case ADL_ONNX_TYPE_INT32: return (int32_t)value;
    default: return value;
    }
}

static int fold_cast(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_onnx_tensor *in = adl_import_in(im, node, 0)->tensor;
    int64_t to = adl_import_attr_int(node, "to", 0), *ints;
    float *reals;

    if (to == ADL_ONNX_TYPE_FLOAT || to == ADL_ONNX_TYPE_DOUBLE || to == ADL_ONNX_TYPE_HALF ||
        to == ADL_ONNX_TYPE_BF16) {
        if (!adl_import_make(im, node, in->rank, in->dims, NULL, &reals, err))
            return -1;
        for (size_t i = 0; i < in->count; i++)
            reals[i] = (float)adl_onnx_tensor_number(in, i);
        return 1;
    }
    struct adl_onnx_tensor *made = adl_import_make(im, node, in->rank, in->dims, &ints, NULL, err);
    if (!made)
        return -1;
    /* The type of a zero point is that of the bytes. */
    if (to == ADL_ONNX_TYPE_UINT8 || to == ADL_ONNX_TYPE_INT8 || to == ADL_ONNX_TYPE_INT32 ||
        to == ADL_ONNX_TYPE_BOOL)
        made->type = (int)to;
    for (size_t i = 0; i < in->count; i++)
        ints[i] = cast_int(in, i, to);
    return 1;
}

static double fold_apply(char op, double a, double b)
{
    return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : b != 0 ? a / b : 0;
}

/* Sets `dims` to the shape that two shapes, aligned at their ends, are repeated to, and returns its
 * rank; -1 if they do not fit. */
static int broadcast(const struct adl_onnx_tensor *a, const struct adl_onnx_tensor *b,
                     int64_t dims[ADL_LIMIT_RANK])
{
    int rank = ADL_MAX(a->rank, b->rank);
    for (int i = 0; i < rank; i++) {
        int64_t x = i < rank - a->rank ? 1 : a->dims[i - (rank - a->rank)];
        int64_t y = i < rank - b->rank ? 1 : b->dims[i - (rank - b->rank)];
        if (x != y && x != 1 && y != 1)
            return -1;
        dims[i] = x == 1 ? y : x;
    }
    return rank;
}

/* Returns the index of the element of a tensor that is repeated at `at` in a shape of this rank. */
static size_t repeated_at(const struct adl_onnx_tensor *t, const int64_t *at, int rank)
{
    size_t index = 0;
    for (int i = 0; i < t->rank; i++)
        index = index * (size_t)t->dims[i] + (t->dims[i] == 1 ? 0 : (size_t)at[i + rank - t->rank]);
    return index;
}

static int fold_arithmetic(struct adl_import *im, const struct adl_onnx_node_proto *node, bool real,
                           struct adl_error *err)
{
    const struct adl_onnx_tensor *a = adl_import_in(im, node, 0)->tensor;
    const struct adl_onnx_tensor *b = adl_import_in(im, node, 1)->tensor;
    char op = *node->op == 'A' ? '+' : *node->op == 'S' ? '-' : *node->op == 'M' ? '*' : '/';
    int64_t dims[ADL_LIMIT_RANK], at[ADL_LIMIT_RANK] = {0}, *ints = NULL, total = 1;
    float *reals = NULL;
    int rank = broadcast(a, b, dims);

    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(total, dims[i], &total) || total > ADL_LIMIT_ONNX_FOLDED)
            return 0;
    if (rank < 0)
        return 0;
    if (!adl_import_make(im, node, rank, dims, real ? NULL : &ints, real ? &reals : NULL, err))
        return -1;
    for (size_t i = 0; i < (size_t)total; i++) {
        double value = fold_apply(op, adl_onnx_tensor_number(a, repeated_at(a, at, rank)),
                                  adl_onnx_tensor_number(b, repeated_at(b, at, rank)));
        if (real)
            reals[i] = (float)value;
        else
            ints[i] = whole(value);
        for (int k = rank - 1; k >= 0 && ++at[k] == dims[k]; k--)
            at[k] = 0;
    }
    return 1;
}

/* Operators of one input that change each element. */
static int fold_unary(struct adl_import *im, const struct adl_onnx_node_proto *node, bool real,
                      struct adl_error *err)
{
    const struct adl_onnx_tensor *in = adl_import_in(im, node, 0)->tensor;
    float *reals;

    if (!real || !adl_import_make(im, node, in->rank, in->dims, NULL, &reals, err))
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
    const struct adl_onnx_tensor *fill =
        value && value->tensor && value->tensor->count == 1 ? value->tensor : NULL;
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
        adl_import_make(im, node, rank, dims, real ? NULL : &ints, real ? &reals : NULL, err);
    for (size_t i = 0; t && i < t->count; i++)
        if (real)
            reals[i] = fill ? (float)adl_onnx_tensor_number(fill, 0) : 0;
        else
            ints[i] = fill ? adl_onnx_tensor_int(fill, 0) : 0;
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
    if (strcmp(op, "QuantizeLinear") == 0)
        return adl_import_quantize(im, node, err);
    if (strcmp(op, "Identity") == 0)
        return adl_import_view(im, node, first, first->tensor->rank, first->tensor->dims, err);
    if (strcmp(op, "Transpose") == 0)
        return adl_import_pick_transpose(im, node, err);
    if (strcmp(op, "Reshape") == 0)
        return adl_import_pick_reshape(im, node, err);
    if (strcmp(op, "Unsqueeze") == 0)
        return adl_import_pick_unsqueeze(im, node, err);
    if (strcmp(op, "Squeeze") == 0)
        return adl_import_pick_squeeze(im, node, err);
    if (!fold_is_small(im, node, &real))
        return 0;
    if (strcmp(op, "ConstantOfShape") == 0)
        return fold_filled(im, node, err);
    if (strcmp(op, "Gather") == 0 && fold_has(im, node, 1))
        return adl_import_pick_gather(im, node, err);
    if (strcmp(op, "Concat") == 0)
        return adl_import_pick_concat(im, node, err);
    if (strcmp(op, "Slice") == 0)
        return adl_import_pick_slice(im, node, err);
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
