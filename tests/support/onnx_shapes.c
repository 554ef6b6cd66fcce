/* Infers the shapes of operators' outputs, from their definitions in ONNX's documentation.
 * Attributes that the writer always sets have no default here. */

#include "support/onnx_shapes.h"

#include <string.h>

#include "support/test.h"

const struct onnx_known *onnx_find(const struct onnx_table *table, struct onnx_slice name)
{
    for (size_t i = 0; i < table->count; i++)
        if (onnx_slice_same(table->entries[i].name, name))
            return &table->entries[i];
    return NULL;
}

bool onnx_same_dims(const struct onnx_known *a, const int64_t *dims, size_t rank)
{
    return a->rank == rank && memcmp(a->dims, dims, rank * sizeof *dims) == 0;
}

/* Returns the integers of an attribute, which must have `count` of them; zeros if it is absent. */
static const int64_t *ints(const struct onnx_node *node, const char *name, size_t count)
{
    static const int64_t zeros[ONNX_MAX_LIST];
    const struct onnx_attribute *attribute = onnx_attribute(node, name);
    if (!attribute)
        return zeros;
    CU_ASSERT_EQUAL(attribute->type, 7);
    CU_ASSERT_EQUAL(attribute->int_count, count);
    return attribute->ints;
}

static int64_t integer(const struct onnx_node *node, const char *name, int64_t absent)
{
    const struct onnx_attribute *attribute = onnx_attribute(node, name);
    if (!attribute)
        return absent;
    CU_ASSERT_EQUAL(attribute->type, 2);
    return attribute->i;
}

/* Infers the output of a sliding window: floor((in + pads - kernel) / stride) + 1. */
static bool slide(const struct onnx_node *node, const struct onnx_known *in, struct onnx_known *out)
{
    const int64_t *kernel = ints(node, "kernel_shape", 2), *pads = ints(node, "pads", 4);
    const int64_t *strides = ints(node, "strides", 2);
    for (size_t i = 0; i < 2; i++) {
        int64_t stride = onnx_attribute(node, "strides") ? strides[i] : 1;
        int64_t room = in->dims[2 + i] + pads[i] + pads[2 + i] - kernel[i];
        if (stride < 1 || room < 0 || kernel[i] < 1 || pads[i] < 0 || pads[2 + i] < 0 ||
            pads[i] >= kernel[i] || pads[2 + i] >= kernel[i])
            return false;
        out->dims[2 + i] = room / stride + 1;
    }
    return true;
}

bool onnx_is_constant(const struct onnx_known *in, const void *raw, size_t length)
{
    return in->tensor && in->tensor->raw.length == length &&
           memcmp(in->tensor->raw.data, raw, length) == 0;
}

static bool infer_conv(const struct onnx_node *node, const struct onnx_known *const *in,
                       struct onnx_known *out)
{
    const struct onnx_known *weight = in[1];
    const int64_t *kernel = ints(node, "kernel_shape", 2);
    int64_t group = integer(node, "group", 1);
    if (in[0]->rank != 4 || weight->rank != 4 || in[0]->dims[1] != weight->dims[1] * group ||
        weight->dims[0] % group != 0 || memcmp(kernel, weight->dims + 2, 2 * sizeof *kernel) != 0 ||
        (node->input_count == 3 && !onnx_same_dims(in[2], weight->dims, 1)))
        return false;
    out->dims[1] = weight->dims[0];
    return slide(node, in[0], out);
}

static bool infer_concat(const struct onnx_node *node, const struct onnx_known *const *in,
                         struct onnx_known *out)
{
    out->dims[1] = 0;
    for (size_t i = 0; i < node->input_count; i++) {
        if (in[i]->rank != 4 || memcmp(in[i]->dims + 2, out->dims + 2, 2 * sizeof(int64_t)) != 0)
            return false;
        out->dims[1] += in[i]->dims[1];
    }
    return integer(node, "axis", 99) == 1;
}

/* Infers the output of Pad: rows and columns of zeros around a map. */
static bool infer_pad(const struct onnx_node *node, const struct onnx_known *in,
                      struct onnx_known *out)
{
    const int64_t *pads = ints(node, "pads", 8);
    out->dims[2] += pads[2] + pads[6];
    out->dims[3] += pads[3] + pads[7];
    return node->input_count == 1 && in->rank == 4 && !onnx_attribute(node, "mode") &&
           !onnx_attribute(node, "value") && pads[0] == 0 && pads[1] == 0 && pads[4] == 0 &&
           pads[5] == 0;
}

static bool is_float(const struct onnx_node *node, const char *name, float want)
{
    const struct onnx_attribute *attribute = onnx_attribute(node, name);
    return attribute && attribute->type == 1 && attribute->f == want;
}

static bool ends_with(struct onnx_slice text, const char *end)
{
    size_t length = strlen(end);
    return text.length > length && memcmp(text.data + text.length - length, end, length) == 0;
}

/* Checks the inputs of BatchNormalization, which are in ONNX's order, by PyTorch's names. */
static bool infer_batchnorm(const struct onnx_node *node, const struct onnx_known *const *in,
                            float want)
{
    const struct onnx_attribute *epsilon = onnx_attribute(node, "epsilon");
    bool fine = node->input_count == 5 && in[0]->rank == 4 && epsilon && epsilon->type == 1 &&
                epsilon->f == want;
    static const char *const ends[] = {".weight", ".bias", ".running_mean", ".running_var"};
    for (size_t i = 1; fine && i < 5; i++)
        fine = onnx_same_dims(in[i], &in[0]->dims[1], 1) && ends_with(in[i]->name, ends[i - 1]);
    return fine;
}

/* The shape of a node's value; starts as that of its first input. */
bool onnx_infer(const struct onnx_node *node, const struct onnx_known *const *in, float epsilon,
                struct onnx_known *out)
{
    struct onnx_slice op = node->op;
    *out = (struct onnx_known){.name = node->outputs[0], .rank = in[0]->rank};
    memcpy(out->dims, in[0]->dims, sizeof out->dims);

    if (onnx_slice_is(op, "Conv"))
        return infer_conv(node, in, out);
    if (onnx_slice_is(op, "BatchNormalization"))
        return infer_batchnorm(node, in, epsilon);
    if (onnx_slice_is(op, "Relu") || onnx_slice_is(op, "Sigmoid") || onnx_slice_is(op, "Identity"))
        return node->input_count == 1;
    if (onnx_slice_is(op, "Clip"))
        return node->input_count == 1 && is_float(node, "min", 0) && is_float(node, "max", 6);
    if (onnx_slice_is(op, "MaxPool"))
        return slide(node, in[0], out) && integer(node, "ceil_mode", 0) == 0;
    if (onnx_slice_is(op, "AveragePool"))
        return slide(node, in[0], out) && integer(node, "count_include_pad", 0) == 1;
    if (onnx_slice_is(op, "GlobalAveragePool")) {
        out->dims[2] = out->dims[3] = 1;
        return in[0]->rank == 4;
    }
    if (onnx_slice_is(op, "Flatten")) {
        out->rank = 2;
        return integer(node, "axis", 1) == 1 && in[0]->dims[2] == 1 && in[0]->dims[3] == 1;
    }
    if (onnx_slice_is(op, "Pad"))
        return infer_pad(node, in[0], out);
    if (onnx_slice_is(op, "Add"))
        return onnx_same_dims(in[1], in[0]->dims, in[0]->rank);
    if (onnx_slice_is(op, "Mul"))
        return in[0]->rank == 4 && onnx_same_dims(in[1], (int64_t[]){-1, in[0]->dims[1], 1, 1}, 4);
    if (onnx_slice_is(op, "Concat"))
        return infer_concat(node, in, out);
    return false;
}
