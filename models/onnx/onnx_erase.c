/* Writes the op that erases a map where one class is active (ops/erase.c), as nodes of operator
 * set 10. An ONNX file cannot be asked for a class, so the class is that of the highest logit.
 *
 * With the map x, the class maps a and the logits l of an image,
 *
 *     chosen = sum over the classes c of a[c] onehot(argmax l)[c]        [N, 1, h, w]
 *     n      = (chosen - min) / max(max - min, tiny)
 *     y      = x cast(n < threshold or not max - min > 0)
 *
 * A product with a one-hot vector picks the class's map as it is: all other terms are 0. */

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "models/onnx/onnx_parts.h"
#include "ops/ops.h"

/* The name of a value inside of the op. */
struct name {
    char text[400];
};

static struct name inner(const struct adl_onnx_writer *w, const struct adl_node *node,
                         const char *part)
{
    struct name name;
    snprintf(name.text, sizeof name.text, "%.300s.%s", w->names[node->output], part);
    return name;
}

/* Begins an operator of one or two inputs (the second may be NULL). */
static struct adl_protobuf start(const char *op, const char *a, const char *b, const char *output)
{
    struct adl_protobuf message = adl_onnx_node(op, output);
    adl_onnx_take(&message, a);
    if (b)
        adl_onnx_take(&message, b);
    return message;
}

/* Writes an operator without attributes, and returns the name of its value. */
static struct name write_op(struct adl_onnx_writer *w, const struct adl_node *node, const char *op,
                            const char *a, const char *b, const char *part)
{
    struct name name = inner(w, node, part);
    struct adl_protobuf message = start(op, a, b, name.text);
    adl_onnx_finish(w, &message, name.text);
    return name;
}

static struct name write_reduction(struct adl_onnx_writer *w, const struct adl_node *node,
                                   const char *op, const char *input, const int *axes, size_t count,
                                   const char *part)
{
    struct name name = inner(w, node, part);
    adl_onnx_write_reduction(w, op, input, axes, count, name.text);
    return name;
}

/* Adds a number that broadcasts to every map. */
static struct name add_number(struct adl_onnx_writer *w, const struct adl_node *node,
                              const char *part, double value)
{
    struct name name = inner(w, node, part);
    adl_onnx_add_tensor(w, name.text, (const size_t[]){1, 1}, 2, &(float){(float)value});
    return name;
}

/* Writes the map of the class with the highest logit, of equal ones the first, as ArgMax has it. */
static struct name write_chosen(struct adl_onnx_writer *w, const struct adl_node *node)
{
    const char *maps = w->names[node->inputs[1]], *logits = w->names[node->inputs[2]];
    struct name best = inner(w, node, "best"), onehot = inner(w, node, "onehot");
    struct name classes = inner(w, node, "classes"), values = inner(w, node, "off_on");
    struct adl_protobuf argmax = start("ArgMax", logits, NULL, best.text);

    adl_onnx_set_int(&argmax, "axis", 1);
    adl_onnx_set_int(&argmax, "keepdims", 0);
    adl_onnx_finish(w, &argmax, best.text); /* N x 1 x 1 */
    adl_onnx_add_index(w, classes.text, w->shapes[node->inputs[1]].c);
    adl_onnx_add_tensor(w, values.text, (const size_t[]){2}, 1, (const float[]){0, 1});
    struct adl_protobuf message = start("OneHot", best.text, classes.text, onehot.text);
    adl_onnx_take(&message, values.text);
    adl_onnx_set_int(&message, "axis", 1);
    adl_onnx_finish(w, &message, onehot.text); /* N x classes x 1 x 1 */
    struct name picked = write_op(w, node, "Mul", maps, onehot.text, "picked");
    return write_reduction(w, node, "ReduceSum", picked.text, (const int[]){1}, 1, "chosen");
}

void adl_onnx_write_erase(struct adl_onnx_writer *w, const struct adl_node *node)
{
    static const int positions[] = {2, 3};
    const struct adl_erase_attr *attr = node->attr;
    struct name chosen = write_chosen(w, node);
    struct name least = write_reduction(w, node, "ReduceMin", chosen.text, positions, 2, "least");
    struct name most = write_reduction(w, node, "ReduceMax", chosen.text, positions, 2, "most");
    struct name range = write_op(w, node, "Sub", most.text, least.text, "range");
    struct name divisor = inner(w, node, "divisor"), mask = inner(w, node, "mask");

    adl_onnx_write_clip(w, range.text, (double)FLT_MIN, (double)INFINITY, divisor.text);
    struct name shifted = write_op(w, node, "Sub", chosen.text, least.text, "shifted");
    struct name part = write_op(w, node, "Div", shifted.text, divisor.text, "normalised");
    struct name threshold = add_number(w, node, "threshold", attr->threshold);
    struct name zero = add_number(w, node, "zero", 0);
    struct name below = write_op(w, node, "Less", part.text, threshold.text, "below");
    struct name varies = write_op(w, node, "Greater", range.text, zero.text, "varies");
    struct name constant = write_op(w, node, "Not", varies.text, NULL, "constant");
    struct name kept = write_op(w, node, "Or", below.text, constant.text, "kept");
    struct adl_protobuf cast = start("Cast", kept.text, NULL, mask.text);
    adl_onnx_set_int(&cast, "to", ADL_ONNX_FLOAT);
    adl_onnx_finish(w, &cast, mask.text);
    struct adl_protobuf mul =
        start("Mul", w->names[node->inputs[0]], mask.text, w->names[node->output]);
    adl_onnx_finish(w, &mul, w->names[node->output]);
}
