/* Writes the ops of attention networks as nodes of operator set 10. Its Resize has no
 * align_corners, so a bilinear enlargement is written as two products with constant matrices, whose
 * rows hold the weights of the two input rows or columns that an output row or column lies between.
 */

#include "base/mem.h"
#include "models/onnx/onnx_parts.h"
#include "ops/between.h"
#include "ops/ops.h"

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

/* Adds the matrix that enlarges `from` values to `to`: to x from, or transposed. */
static bool add_enlarging(struct adl_onnx_writer *w, const char *name, int from, int to,
                          bool transposed)
{
    float *matrix = adl_calloc((size_t)from * (size_t)to, sizeof *matrix);
    if (!matrix)
        return false;
    for (int i = 0; i < to; i++) {
        struct adl_between at = adl_between_corners(i, from, to);
        matrix[transposed ? at.first * to + i : i * from + at.first] += 1 - at.t;
        matrix[transposed ? at.second * to + i : i * from + at.second] += at.t;
    }
    const size_t dims[] = {(size_t)(transposed ? from : to), (size_t)(transposed ? to : from)};
    adl_onnx_add_tensor(w, name, dims, 2, matrix);
    adl_free(matrix);
    return true;
}

bool adl_onnx_write_upsample(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_onnx_inner rows = adl_onnx_inner(w, node, "rows");
    const struct adl_onnx_inner columns = adl_onnx_inner(w, node, "columns");
    const struct adl_onnx_inner tall = adl_onnx_inner(w, node, "tall");
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    if (!add_enlarging(w, rows.text, in.h, out.h, false) ||
        !add_enlarging(w, columns.text, in.w, out.w, true))
        return false;
    adl_onnx_write_op(w, "MatMul", rows.text, w->names[node->inputs[0]], tall.text);
    adl_onnx_write_op(w, "MatMul", tall.text, columns.text, w->names[node->output]);
    return true;
}
