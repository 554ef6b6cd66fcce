/* Writes the ops of attention networks as nodes of operator set 10. Its Resize has one
 * way to place pixels, so a resize is written as two products with constant matrices, whose
 * rows hold the weights of the two input rows or columns that an output row or column lies between.
 */

#include "base/mem.h"
#include "models/onnx/onnx_parts.h"
#include "ops/resize.h"

static void write_pair(struct adl_onnx_writer *w, const char *a, const char *b, int axis,
                       const char *output)
{
    struct adl_protobuf concat = adl_onnx_node("Concat", output);
    adl_onnx_take(&concat, a);
    adl_onnx_take(&concat, b);
    adl_onnx_set_int(&concat, "axis", axis);
    adl_onnx_finish(w, &concat, output);
}

void adl_onnx_write_sumpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    adl_onnx_write_reduction(w, "ReduceSum", w->names[node->inputs[0]], (int[]){2, 3}, 2,
                             w->names[node->output]);
}

void adl_onnx_write_avgmaxpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_onnx_inner mean = adl_onnx_inner(w, node, "mean");
    const struct adl_onnx_inner most = adl_onnx_inner(w, node, "max");
    const char *input = w->names[node->inputs[0]];
    adl_onnx_write_op(w, "GlobalAveragePool", input, NULL, mean.text);
    adl_onnx_write_op(w, "GlobalMaxPool", input, NULL, most.text);
    write_pair(w, mean.text, most.text, 2, w->names[node->output]);
}

void adl_onnx_write_channelpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_onnx_inner mean = adl_onnx_inner(w, node, "mean");
    const struct adl_onnx_inner most = adl_onnx_inner(w, node, "max");
    const char *input = w->names[node->inputs[0]];
    adl_onnx_write_reduction(w, "ReduceMax", input, (int[]){1}, 1, most.text);
    adl_onnx_write_reduction(w, "ReduceMean", input, (int[]){1}, 1, mean.text);
    write_pair(w, most.text, mean.text, 1, w->names[node->output]);
}

/* x g, or x + x g for x (1 + g); Mul and Add broadcast vectors and maps of one channel. */
void adl_onnx_write_gate(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_gate_attr *attr = node->attr;
    const struct adl_onnx_inner product = adl_onnx_inner(w, node, "times");
    const char *x = w->names[node->inputs[0]], *g = w->names[node->inputs[1]];
    if (!attr->plus_one) {
        adl_onnx_write_op(w, "Mul", x, g, w->names[node->output]);
        return;
    }
    adl_onnx_write_op(w, "Mul", x, g, product.text);
    adl_onnx_write_op(w, "Add", product.text, x, w->names[node->output]);
}

/* How the values of an axis are made of others: `attr` as in ops/resize.h, with this scale. */
struct axis {
    const struct adl_resize_attr *attr; /* NULL: bilinear with the corners on each other */
    double scale;
    int from, to;
};

static struct adl_between between(const struct axis *axis, int position)
{
    return axis->attr ? adl_resize_at(axis->attr, axis->scale, position, axis->from, axis->to)
                      : adl_between_corners(position, axis->from, axis->to);
}

/* Adds the matrix that makes axis->to values of axis->from: to x from, or transposed. */
static bool add_matrix(struct adl_onnx_writer *w, const char *name, const struct axis *axis,
                       bool transposed)
{
    int from = axis->from, to = axis->to;
    float *matrix = adl_calloc((size_t)from * (size_t)to, sizeof *matrix);
    if (!matrix)
        return false;
    for (int i = 0; i < to; i++) {
        struct adl_between at = between(axis, i);
        matrix[transposed ? at.first * to + i : i * from + at.first] += 1 - at.t;
        matrix[transposed ? at.second * to + i : i * from + at.second] += at.t;
    }
    const size_t dims[] = {(size_t)(transposed ? from : to), (size_t)(transposed ? to : from)};
    adl_onnx_add_tensor(w, name, dims, 2, matrix);
    adl_free(matrix);
    return true;
}

static bool write_products(struct adl_onnx_writer *w, const struct adl_node *node,
                           const struct axis *rows, const struct axis *columns)
{
    const struct adl_onnx_inner left = adl_onnx_inner(w, node, "rows");
    const struct adl_onnx_inner right = adl_onnx_inner(w, node, "columns");
    const struct adl_onnx_inner tall = adl_onnx_inner(w, node, "tall");
    if (!add_matrix(w, left.text, rows, false) || !add_matrix(w, right.text, columns, true))
        return false;
    adl_onnx_write_op(w, "MatMul", left.text, w->names[node->inputs[0]], tall.text);
    adl_onnx_write_op(w, "MatMul", tall.text, right.text, w->names[node->output]);
    return true;
}

bool adl_onnx_write_upsample(struct adl_onnx_writer *w, const struct adl_node *node)
{
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    return write_products(w, node, &(struct axis){.from = in.h, .to = out.h},
                          &(struct axis){.from = in.w, .to = out.w});
}

bool adl_onnx_write_resize(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_resize_attr *a = node->attr;
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    return write_products(w, node, &(struct axis){a, a->h ? 0 : a->scale_h, in.h, out.h},
                          &(struct axis){a, a->w ? 0 : a->scale_w, in.w, out.w});
}

/* A convolution whose kernel is zero. */
bool adl_onnx_write_blank(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_blank_attr *a = node->attr;
    const struct adl_onnx_inner name = adl_onnx_inner(w, node, "zeros");
    const size_t dims[] = {(size_t)a->k, (size_t)w->shapes[node->inputs[0]].c, 1, 1};
    float *zeros = adl_calloc(dims[0] * dims[1], sizeof *zeros);
    if (!zeros)
        return false;
    adl_onnx_add_tensor(w, name.text, dims, 4, zeros);
    adl_free(zeros);
    struct adl_protobuf conv = adl_onnx_node("Conv", w->names[node->output]);
    adl_onnx_take(&conv, w->names[node->inputs[0]]);
    adl_onnx_take(&conv, name.text);
    adl_onnx_set_ints(&conv, "kernel_shape", (int[]){1, 1}, 2);
    adl_onnx_finish(w, &conv, w->names[node->output]);
    return true;
}
