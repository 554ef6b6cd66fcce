/* Computes operators whose inputs are constants: the arithmetic on shapes that exporters write
 * around a Reshape, and the layouts of weights. Only Transpose, Reshape and the like take tensors
 * of any size; arithmetic is limited to ADL_LIMIT_ONNX_FOLDED elements. */

#include <math.h>
#include <string.h>

#include "base/size.h"
#include "models/onnx_in/import.h"
#include "models/onnx_in/import_fold.h"

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

static int fold_cast(struct adl_import *im, const struct adl_onnx_node_proto *node,
                     struct adl_error *err)
{
    const struct adl_onnx_tensor *in = adl_import_in(im, node, 0)->tensor;
    int64_t to = adl_import_attr_int(node, "to", 0), *ints;
    float *reals;

    if (to == ADL_ONNX_TYPE_FLOAT || to == ADL_ONNX_TYPE_DOUBLE || to == ADL_ONNX_TYPE_HALF) {
        if (!adl_import_make(im, node, in->rank, in->dims, NULL, &reals, err))
            return -1;
        for (size_t i = 0; i < in->count; i++)
            reals[i] = (float)adl_onnx_tensor_number(in, i);
        return 1;
    }
    if (!adl_import_make(im, node, in->rank, in->dims, &ints, NULL, err))
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
    if (!adl_import_make(im, node, shape->rank, shape->dims, real ? NULL : &ints,
                         real ? &reals : NULL, err))
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
        adl_import_make(im, node, rank, dims, real ? NULL : &ints, real ? &reals : NULL, err);
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
