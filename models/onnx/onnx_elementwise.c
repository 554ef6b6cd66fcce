/* Writes activations, ops on channels, and pools of any form, as nodes of operator set 10. What
 * that set does not have (HardSwish, Gelu, LayerNormalization) is written as the operators that
 * exporters of that time wrote. */

#include <math.h>
#include <stdio.h>

#include "base/size.h"
#include "models/onnx/onnx_parts.h"
#include "ops/ops.h"

static const char *output_of(const struct adl_onnx_writer *w, const struct adl_node *node)
{
    return w->names[node->output];
}

/* Writes an operator whose second input is a number. */
static void write_with(struct adl_onnx_writer *w, const char *op, const char *a, double number,
                       const char *output)
{
    char name[sizeof(struct adl_onnx_inner) + 16];
    snprintf(name, sizeof name, "%s.number", output);
    adl_onnx_add_tensor(w, name, NULL, 0, &(float){(float)number});
    adl_onnx_write_op(w, op, a, name, output);
}

static void write_affine(struct adl_onnx_writer *w, const struct adl_node *node, const char *input)
{
    const struct adl_elementwise_attr *a = node->attr;
    struct adl_onnx_inner product = adl_onnx_inner(w, node, "product");
    write_with(w, "Mul", input, (double)a->a, product.text);
    write_with(w, "Add", product.text, (double)a->b, output_of(w, node));
}

static void write_hard_sigmoid(struct adl_onnx_writer *w, const char *input, double alpha,
                               double beta, const char *output)
{
    struct adl_protobuf message = adl_onnx_node("HardSigmoid", output);
    adl_onnx_take(&message, input);
    adl_onnx_set_float(&message, "alpha", alpha);
    adl_onnx_set_float(&message, "beta", beta);
    adl_onnx_finish(w, &message, output);
}

/* x (1 + erf(x / sqrt 2)) / 2, or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)) in place of erf. */
static void write_gelu(struct adl_onnx_writer *w, const struct adl_node *node, const char *input)
{
    struct adl_onnx_inner scaled = adl_onnx_inner(w, node, "scaled"),
                          curve = adl_onnx_inner(w, node, "curve");
    struct adl_onnx_inner one = adl_onnx_inner(w, node, "one"),
                          product = adl_onnx_inner(w, node, "product");
    if (node->def == &adl_op_gelu_tanh) {
        struct adl_onnx_inner square = adl_onnx_inner(w, node, "square"),
                              cube = adl_onnx_inner(w, node, "cube");
        struct adl_onnx_inner small = adl_onnx_inner(w, node, "small"),
                              sum = adl_onnx_inner(w, node, "sum");
        adl_onnx_write_op(w, "Mul", input, input, square.text);
        adl_onnx_write_op(w, "Mul", square.text, input, cube.text);
        write_with(w, "Mul", cube.text, 0.044715, small.text);
        adl_onnx_write_op(w, "Add", input, small.text, sum.text);
        write_with(w, "Mul", sum.text, sqrt(2 / acos(-1)), scaled.text);
        adl_onnx_write_op(w, "Tanh", scaled.text, NULL, curve.text);
    } else {
        write_with(w, "Mul", input, sqrt(0.5), scaled.text);
        adl_onnx_write_op(w, "Erf", scaled.text, NULL, curve.text);
    }
    write_with(w, "Add", curve.text, 1, one.text);
    adl_onnx_write_op(w, "Mul", input, one.text, product.text);
    write_with(w, "Mul", product.text, 0.5, output_of(w, node));
}

void adl_onnx_write_elementwise(struct adl_onnx_writer *w, const struct adl_node *node,
                                const char *input)
{
    const struct adl_elementwise_attr *a = node->attr;
    const char *output = output_of(w, node);
    struct adl_onnx_inner gate = adl_onnx_inner(w, node, "gate");

    if (node->def == &adl_op_clip) {
        adl_onnx_write_clip(w, input, (double)a->a, (double)a->b, output);
    } else if (node->def == &adl_op_affine) {
        write_affine(w, node, input);
    } else if (node->def == &adl_op_leaky_relu) {
        struct adl_protobuf leaky = adl_onnx_node("LeakyRelu", output);
        adl_onnx_take(&leaky, input);
        adl_onnx_set_float(&leaky, "alpha", (double)a->a);
        adl_onnx_finish(w, &leaky, output);
    } else if (node->def == &adl_op_hard_sigmoid) {
        write_hard_sigmoid(w, input, (double)a->a, (double)a->b, output);
    } else if (node->def == &adl_op_hard_swish) {
        write_hard_sigmoid(w, input, 1.0 / 6, 0.5, gate.text);
        adl_onnx_write_op(w, "Mul", input, gate.text, output);
    } else if (node->def == &adl_op_silu) {
        adl_onnx_write_op(w, "Sigmoid", input, NULL, gate.text);
        adl_onnx_write_op(w, "Mul", input, gate.text, output);
    } else if (node->def == &adl_op_gelu || node->def == &adl_op_gelu_tanh) {
        write_gelu(w, node, input);
    } else {
        adl_onnx_write_op(w, node->def == &adl_op_erf ? "Erf" : "Tanh", input, NULL, output);
    }
}

/* --- channels ------------------------------------------------------------------------------------
 */

/* Adds a list of integers as an initializer. */
static void add_list(struct adl_onnx_writer *w, const char *name, const int64_t *values,
                     size_t count)
{
    adl_onnx_add_elements(w, name, &count, 1, ADL_ONNX_INT64, values, count * sizeof *values);
}

/* Writes a parameter of C numbers as C x 1 x 1, so that it counts for the channels of a map. */
static void write_per_channel(struct adl_onnx_writer *w, const struct adl_node *node, int param,
                              const char *op, const char *input, const char *output)
{
    struct adl_onnx_inner shape =
        adl_onnx_inner(w, node, *op == 'M' ? "weight_shape" : "bias_shape");
    struct adl_onnx_inner values =
        adl_onnx_inner(w, node, *op == 'M' ? "weight_values" : "bias_values");
    add_list(w, shape.text, (int64_t[]){w->shapes[node->output].c, 1, 1}, 3);
    adl_onnx_write_op(w, "Reshape", adl_graph_param(w->graph, param)->name, shape.text,
                      values.text);
    adl_onnx_write_op(w, op, input, values.text, output);
}

void adl_onnx_write_channel_affine(struct adl_onnx_writer *w, const struct adl_node *node,
                                   const char *input)
{
    struct adl_onnx_inner product = adl_onnx_inner(w, node, "product");
    bool both = node->param_count == 2;
    for (int i = 0; i < node->param_count; i++) {
        bool weight = adl_graph_param(w->graph, node->params[i])->role == ADL_PARAM_BN_WEIGHT;
        const char *to = both && i == 0 ? product.text : output_of(w, node);
        write_per_channel(w, node, node->params[i], weight ? "Mul" : "Add", input, to);
        input = to;
    }
}

/* Writes mean and spread of the channels of a value: x - mean, and the root of the variance. */
static void write_moments(struct adl_onnx_writer *w, const struct adl_node *node, const char *input,
                          double eps, const char *centred, const char *root)
{
    struct adl_onnx_inner mean = adl_onnx_inner(w, node, "mean"),
                          square = adl_onnx_inner(w, node, "square");
    struct adl_onnx_inner variance = adl_onnx_inner(w, node, "variance"),
                          sum = adl_onnx_inner(w, node, "sum");
    adl_onnx_write_reduction(w, "ReduceMean", input, (int[]){1}, 1, mean.text);
    adl_onnx_write_op(w, "Sub", input, mean.text, centred);
    adl_onnx_write_op(w, "Mul", centred, centred, square.text);
    adl_onnx_write_reduction(w, "ReduceMean", square.text, (int[]){1}, 1, variance.text);
    write_with(w, "Add", variance.text, eps, sum.text);
    adl_onnx_write_op(w, "Sqrt", sum.text, NULL, root);
}

void adl_onnx_write_layernorm(struct adl_onnx_writer *w, const struct adl_node *node,
                              const char *input)
{
    const struct adl_layernorm_attr *a = node->attr;
    struct adl_onnx_inner centred = adl_onnx_inner(w, node, "centred"),
                          root = adl_onnx_inner(w, node, "root");
    write_moments(w, node, input, a->eps, centred.text, root.text);
    adl_onnx_write_op(w, "Div", centred.text, root.text, output_of(w, node));
}

/* (d - mean(d) - y mean(y d)) / root, where y is the normalised vector. */
void adl_onnx_write_layernorm_slope(struct adl_onnx_writer *w, const struct adl_node *node,
                                    const char *input)
{
    const struct adl_layernorm_attr *a = node->attr;
    struct adl_onnx_inner centred = adl_onnx_inner(w, node, "centred"),
                          root = adl_onnx_inner(w, node, "root");
    struct adl_onnx_inner y = adl_onnx_inner(w, node, "normalised"),
                          shift = adl_onnx_inner(w, node, "shift");
    struct adl_onnx_inner shifted = adl_onnx_inner(w, node, "shifted"),
                          product = adl_onnx_inner(w, node, "product");
    struct adl_onnx_inner along = adl_onnx_inner(w, node, "along"),
                          part = adl_onnx_inner(w, node, "part");
    struct adl_onnx_inner rest = adl_onnx_inner(w, node, "rest");
    write_moments(w, node, w->names[node->inputs[1]], a->eps, centred.text, root.text);
    adl_onnx_write_op(w, "Div", centred.text, root.text, y.text);
    adl_onnx_write_reduction(w, "ReduceMean", input, (int[]){1}, 1, shift.text);
    adl_onnx_write_op(w, "Sub", input, shift.text, shifted.text);
    adl_onnx_write_op(w, "Mul", input, y.text, product.text);
    adl_onnx_write_reduction(w, "ReduceMean", product.text, (int[]){1}, 1, along.text);
    adl_onnx_write_op(w, "Mul", y.text, along.text, part.text);
    adl_onnx_write_op(w, "Sub", shifted.text, part.text, rest.text);
    adl_onnx_write_op(w, "Div", rest.text, root.text, output_of(w, node));
}

/* Writes 1 where a comparison holds, else 0; `part` names the comparison. */
static void write_where(struct adl_onnx_writer *w, const struct adl_node *node, const char *part,
                        const char *op, const char *a, double number, const char *output)
{
    struct adl_onnx_inner truth = adl_onnx_inner(w, node, part);
    write_with(w, op, a, number, truth.text);
    struct adl_protobuf cast = adl_onnx_node("Cast", output);
    adl_onnx_take(&cast, truth.text);
    adl_onnx_set_int(&cast, "to", ADL_ONNX_FLOAT);
    adl_onnx_finish(w, &cast, output);
}

bool adl_onnx_write_slope(struct adl_onnx_writer *w, const struct adl_node *node, const char *input)
{
    const struct adl_slope_attr *a = node->attr;
    struct adl_onnx_inner size = adl_onnx_inner(w, node, "size"),
                          within = adl_onnx_inner(w, node, "within");
    struct adl_onnx_inner sixth = adl_onnx_inner(w, node, "sixth"),
                          part = adl_onnx_inner(w, node, "part");
    struct adl_onnx_inner gate = adl_onnx_inner(w, node, "gate");

    if (a->of == &adl_op_relu) {
        write_where(w, node, "holds", "Greater", input, 0, output_of(w, node));
        return true;
    }
    if (a->of == &adl_op_clip) {
        struct adl_onnx_inner above = adl_onnx_inner(w, node, "above"),
                              below = adl_onnx_inner(w, node, "below");
        write_where(w, node, "is_above", "Greater", input, (double)a->numbers.a, above.text);
        write_where(w, node, "is_below", "Less", input, (double)a->numbers.b, below.text);
        adl_onnx_write_op(w, "Mul", above.text, below.text, output_of(w, node));
        return true;
    }
    if (a->of != &adl_op_hard_swish)
        return false;
    /* The gate plus x / 6 where |x| < 3. */
    adl_onnx_write_op(w, "Abs", input, NULL, size.text);
    write_where(w, node, "holds", "Less", size.text, 3, within.text);
    write_with(w, "Mul", input, 1.0 / 6, sixth.text);
    adl_onnx_write_op(w, "Mul", sixth.text, within.text, part.text);
    write_hard_sigmoid(w, input, 1.0 / 6, 0.5, gate.text);
    adl_onnx_write_op(w, "Add", gate.text, part.text, output_of(w, node));
    return true;
}

void adl_onnx_write_shuffle(struct adl_onnx_writer *w, const struct adl_node *node,
                            const char *input)
{
    const struct adl_shuffle_attr *a = node->attr;
    struct adl_shape s = w->shapes[node->output];
    struct adl_onnx_inner apart = adl_onnx_inner(w, node, "groups"),
                          turned = adl_onnx_inner(w, node, "turned");
    struct adl_onnx_inner to = adl_onnx_inner(w, node, "to_groups"),
                          back = adl_onnx_inner(w, node, "to_map");
    add_list(w, to.text, (int64_t[]){0, a->groups, s.c / a->groups, s.h, s.w}, 5);
    adl_onnx_write_op(w, "Reshape", input, to.text, apart.text);
    struct adl_protobuf transpose = adl_onnx_node("Transpose", turned.text);
    adl_onnx_take(&transpose, apart.text);
    adl_onnx_set_ints(&transpose, "perm", (int[]){0, 2, 1, 3, 4}, 5);
    adl_onnx_finish(w, &transpose, turned.text);
    add_list(w, back.text, (int64_t[]){0, s.c, s.h, s.w}, 4);
    adl_onnx_write_op(w, "Reshape", turned.text, back.text, output_of(w, node));
}

void adl_onnx_write_slice(struct adl_onnx_writer *w, const struct adl_node *node, const char *input)
{
    const struct adl_slice_attr *a = node->attr;
    const struct {
        const char *part;
        int64_t value;
    } rows[] = {{"starts", a->first}, {"ends", a->first + a->count}, {"axes", 1}};
    struct adl_protobuf slice = adl_onnx_node("Slice", output_of(w, node));
    adl_onnx_take(&slice, input);
    for (size_t i = 0; i < ADL_COUNT(rows); i++) {
        struct adl_onnx_inner name = adl_onnx_inner(w, node, rows[i].part);
        add_list(w, name.text, &rows[i].value, 1);
        adl_onnx_take(&slice, name.text);
    }
    adl_onnx_finish(w, &slice, output_of(w, node));
}

/* --- pools ---------------------------------------------------------------------------------------
 */

void adl_onnx_write_pool_any(struct adl_onnx_writer *w, const struct adl_node *node,
                             const char *input)
{
    const struct adl_pool_any_attr *a = node->attr;
    struct adl_protobuf pool =
        adl_onnx_node(a->average ? "AveragePool" : "MaxPool", output_of(w, node));
    adl_onnx_take(&pool, input);
    adl_onnx_set_ints(&pool, "kernel_shape", (int[]){a->r, a->s}, 2);
    adl_onnx_set_ints(&pool, "strides", (int[]){a->stride_h, a->stride_w}, 2);
    adl_onnx_set_ints(&pool, "pads", (int[]){a->top, a->left, a->bottom, a->right}, 4);
    if (a->ceil_mode)
        adl_onnx_set_int(&pool, "ceil_mode", 1);
    if (a->average)
        adl_onnx_set_int(&pool, "count_include_pad", a->count_padding);
    adl_onnx_finish(w, &pool, output_of(w, node));
}
