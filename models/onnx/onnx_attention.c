/* Writes the ops of attention networks as nodes of operator set 10. Its Resize has no
 * align_corners, so a bilinear enlargement is written as two products with constant matrices, whose
 * rows hold the weights of the two input rows or columns that an output row or column lies between.
 */

#include <stdio.h>

#include "base/mem.h"
#include "models/onnx/onnx_parts.h"
#include "ops/between.h"
#include "ops/ops.h"

/* Room for the name of a value inside of an op. */
enum { NAME_BYTES = 512 };

static const char *inner(const struct adl_onnx_writer *w, const struct adl_node *node,
                         const char *part, char *text)
{
    snprintf(text, NAME_BYTES, "%s.%s", w->names[node->output], part);
    return text;
}

/* Writes an operator of one or two inputs (the second may be NULL). */
static void write_op(struct adl_onnx_writer *w, const char *op, const char *a, const char *b,
                     const char *output)
{
    struct adl_protobuf message = adl_onnx_node(op, output);
    adl_onnx_take(&message, a);
    if (b)
        adl_onnx_take(&message, b);
    adl_onnx_finish(w, &message, output);
}

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
    char mean[NAME_BYTES], most[NAME_BYTES];
    const char *input = w->names[node->inputs[0]];
    write_op(w, "GlobalAveragePool", input, NULL, inner(w, node, "mean", mean));
    write_op(w, "GlobalMaxPool", input, NULL, inner(w, node, "max", most));
    write_pair(w, mean, most, 2, w->names[node->output]);
}

void adl_onnx_write_channelpool(struct adl_onnx_writer *w, const struct adl_node *node)
{
    char mean[NAME_BYTES], most[NAME_BYTES];
    const char *input = w->names[node->inputs[0]];
    adl_onnx_write_reduction(w, "ReduceMax", input, (int[]){1}, 1, inner(w, node, "max", most));
    adl_onnx_write_reduction(w, "ReduceMean", input, (int[]){1}, 1, inner(w, node, "mean", mean));
    write_pair(w, most, mean, 1, w->names[node->output]);
}

/* x g, or x + x g for x (1 + g); Mul and Add broadcast vectors and maps of one channel. */
void adl_onnx_write_gate(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const struct adl_gate_attr *attr = node->attr;
    char product[NAME_BYTES];
    const char *x = w->names[node->inputs[0]], *g = w->names[node->inputs[1]];
    if (!attr->plus_one) {
        write_op(w, "Mul", x, g, w->names[node->output]);
        return;
    }
    write_op(w, "Mul", x, g, inner(w, node, "times", product));
    write_op(w, "Add", product, x, w->names[node->output]);
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
    char rows[NAME_BYTES], columns[NAME_BYTES], tall[NAME_BYTES];
    struct adl_shape in = w->shapes[node->inputs[0]], out = w->shapes[node->output];
    if (!add_enlarging(w, inner(w, node, "rows", rows), in.h, out.h, false) ||
        !add_enlarging(w, inner(w, node, "columns", columns), in.w, out.w, true))
        return false;
    write_op(w, "MatMul", rows, w->names[node->inputs[0]], inner(w, node, "tall", tall));
    write_op(w, "MatMul", tall, columns, w->names[node->output]);
    return true;
}
