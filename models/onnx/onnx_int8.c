/* Writes models in 8 bits as ONNX.
 *
 * Which nodes read bytes follows the rules of plan/quantise.c, except that a plan also asks whether
 * 8 bits are faster on the processor: here every convolution that may run in 8 bits does. Float32
 * stay the one that reads the image, and what computes scores and class maps from the features.
 * Pools and joins of bytes give bytes. A plan adds a residual before it rounds; here the map in
 * front of a sum is rounded too, because runtimes have an operator that adds bytes.
 *
 * A convolution with its batch norm has weights of signed bytes, whose scales are multiplied by the
 * norm's factors, and a bias of 32-bit integers in units of the input's scale times the weights',
 * as the operator for bytes needs it. A channel's scale is raised where its bias would not fit; its
 * weights, which are next to nothing then, are rounded again. An activation stands between the
 * convolution and the QuantizeLinear, which runtimes remove where the rounding clamps as well. */

#include "models/onnx/onnx_int8.h"

#include <math.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/size.h"
#include "kernels/conv_int8.h"
#include "ops/conv/conv_geometry.h"
#include "ops/ops.h"

/* The largest magnitude of a bias, with room for what is added to it. */
#define MOST_BIAS 0x1p30
#define LEAST_SCALE 0x1p-100

/* Values are those of the graph, except that a layer of training only stands for its input. */
struct adl_onnx_int8 {
    const struct adl_model *model;
    const struct adl_graph *graph;
    const struct adl_shape *shapes;
    struct adl_arena arena; /* names */

    /* By node. */
    bool *reads;  /* it reads bytes */
    bool *folded; /* a batch norm that is written with the convolution before it */

    /* By value. */
    int *readers, *reader; /* how many nodes and outputs read it; the last of these nodes */
    bool *made;            /* a node that reads bytes makes it */
    bool *wanted;          /* a node reads it as bytes */
    bool *exact;           /* floats are read before they are rounded */
    bool *joined;          /* its range is that of the map that it becomes part of */
    struct adl_int8_range *ranges;
    const char **rounded; /* the name of the rounded map; NULL: none yet */
};

/* --- the graph ------------------------------------------------------------------------- */

static int node_index(const struct adl_onnx_int8 *q, const struct adl_node *node)
{
    return adl_graph_value(q->graph, node->output)->node;
}

static int source(const struct adl_onnx_int8 *q, int value)
{
    for (;;) {
        int index = adl_graph_value(q->graph, value)->node;
        if (index < 0 || !adl_graph_node(q->graph, index)->def->training_only)
            return value;
        value = adl_graph_node(q->graph, index)->inputs[0];
    }
}

static int input_value(const struct adl_onnx_int8 *q, const struct adl_node *node, int input)
{
    return source(q, node->inputs[input]);
}

static bool is_written(const struct adl_node *node)
{
    return !node->training_only && !node->def->training_only;
}

static bool known(const struct adl_onnx_int8 *q, int value)
{
    return q->ranges[value].scale > 0;
}

/* Counts the readers of each value, and marks those whose floats are needed. */
static void find_readers(struct adl_onnx_int8 *q)
{
    const struct adl_foreground_head *head = q->model->foreground;

    for (int i = 0; i < adl_graph_node_count(q->graph); i++) {
        const struct adl_node *node = adl_graph_node(q->graph, i);
        for (int k = 0; is_written(node) && k < node->input_count; k++) {
            q->readers[input_value(q, node, k)]++;
            q->reader[input_value(q, node, k)] = i;
        }
    }
    for (int which = 0; which < ADL_OUTPUT_KEPT; which++) {
        int value = adl_graph_output(q->graph, (enum adl_output)which);
        if (value >= 0)
            q->exact[source(q, value)] = true;
    }
    for (int i = 0; head && i < head->layer_count; i++)
        q->exact[source(q, head->layers[i].value)] = true;
    for (int v = 0; v < adl_graph_value_count(q->graph); v++)
        q->readers[v] += q->exact[v];
}

/* Returns the only node that reads a value; NULL if there are others, or an output. */
static const struct adl_node *only_reader(const struct adl_onnx_int8 *q, int value)
{
    return q->readers[value] == 1 ? adl_graph_node(q->graph, q->reader[value]) : NULL;
}

/* Returns the batch norm that is written with a convolution; NULL: there is none. */
static const struct adl_node *norm_of(const struct adl_onnx_int8 *q, const struct adl_node *conv)
{
    const struct adl_node *reader = only_reader(q, conv->output);
    return reader && reader->def == &adl_op_batchnorm ? reader : NULL;
}

static bool is_activation(const struct adl_node *node)
{
    return node->def == &adl_op_relu || node->def == &adl_op_relu6;
}

/* Returns the value at the end of what a plan fuses with the node that makes this one. */
static int end_of(const struct adl_onnx_int8 *q, int value)
{
    const struct adl_node *reader = only_reader(q, value);
    return reader && is_activation(reader) ? reader->output : value;
}

/* --- deciding ---------------------------------------------------------------------------- */

static bool conv_reads(const struct adl_onnx_int8 *q, const struct adl_node *node)
{
    int x = input_value(q, node, 0), features = adl_graph_output(q->graph, ADL_OUTPUT_FEATURES);
    const struct adl_node *norm = norm_of(q, node);
    struct adl_conv conv = adl_conv_describe(node->attr, q->shapes[x], q->shapes[node->output]);

    return q->model->quantisation->scales[node->params[0]] && x != 0 && x != source(q, features) &&
           node->params[0] != adl_graph_classifier(q->graph) &&
           adl_conv_int8_supports(&conv, false) && known(q, x) &&
           known(q, end_of(q, norm ? norm->output : node->output));
}

static bool add_reads(const struct adl_onnx_int8 *q, const struct adl_node *node)
{
    bool any = false, all = known(q, end_of(q, node->output));
    for (int k = 0; k < node->input_count; k++) {
        int x = input_value(q, node, k);
        any |= q->made[x];
        all &= x != 0 && known(q, x);
    }
    return any && all;
}

static bool pool_reads(const struct adl_onnx_int8 *q, const struct adl_node *node)
{
    return q->made[input_value(q, node, 0)] && !q->exact[node->output] && known(q, node->output);
}

static bool concat_reads(struct adl_onnx_int8 *q, const struct adl_node *node)
{
    bool all = !q->exact[node->output] && known(q, node->output);
    for (int k = 0; k < node->input_count; k++) {
        int x = input_value(q, node, k);
        all &= q->made[x] && !q->exact[x] && !q->joined[x];
    }
    for (int k = 0; all && k < node->input_count; k++)
        q->joined[input_value(q, node, k)] = true;
    return all;
}

static void choose(struct adl_onnx_int8 *q)
{
    for (int i = 0; i < adl_graph_node_count(q->graph); i++) {
        const struct adl_node *node = adl_graph_node(q->graph, i);
        if (!is_written(node))
            continue;
        if (node->def == &adl_op_conv)
            q->reads[i] = conv_reads(q, node);
        else if (node->def == &adl_op_add)
            q->reads[i] = add_reads(q, node);
        else if (node->def == &adl_op_concat)
            q->reads[i] = concat_reads(q, node);
        else if (node->def == &adl_op_maxpool || node->def == &adl_op_avgpool)
            q->reads[i] = pool_reads(q, node);
        else if (is_activation(node) && q->readers[input_value(q, node, 0)] == 1)
            q->made[node->output] = q->made[input_value(q, node, 0)];
        if (!q->reads[i])
            continue;
        const struct adl_node *norm = node->def == &adl_op_conv ? norm_of(q, node) : NULL;
        if (norm)
            q->folded[node_index(q, norm)] = true;
        q->made[norm ? norm->output : node->output] = true;
        for (int k = 0; k < node->input_count; k++)
            q->wanted[input_value(q, node, k)] = true;
    }
}

/* Maps that are joined have the range of the joined one, which may be part of another. Maximum
 * pooling keeps the range of its input, unless its output is joined. */
static void share_ranges(struct adl_onnx_int8 *q)
{
    int count = adl_graph_node_count(q->graph);

    for (int i = count - 1; i >= 0; i--) {
        const struct adl_node *node = adl_graph_node(q->graph, i);
        for (int k = 0; q->reads[i] && node->def == &adl_op_concat && k < node->input_count; k++)
            q->ranges[input_value(q, node, k)] = q->ranges[node->output];
    }
    for (int i = 0; i < count; i++) {
        const struct adl_node *node = adl_graph_node(q->graph, i);
        if (q->reads[i] && node->def == &adl_op_maxpool && !q->joined[node->output])
            q->ranges[node->output] = q->ranges[input_value(q, node, 0)];
    }
}

struct adl_onnx_int8 *adl_onnx_int8_create(const struct adl_model *model,
                                           const struct adl_shape *shapes, struct adl_error *err)
{
    struct adl_onnx_int8 *q = adl_calloc(1, sizeof *q);
    size_t nodes = (size_t)adl_graph_node_count(model->graph);
    size_t values = (size_t)adl_graph_value_count(model->graph);

    if (!q)
        goto failed;
    q->model = model;
    q->graph = model->graph;
    q->shapes = shapes;
    q->reads = adl_calloc(nodes, sizeof *q->reads);
    q->folded = adl_calloc(nodes, sizeof *q->folded);
    q->readers = adl_calloc(values, sizeof *q->readers);
    q->reader = adl_calloc(values, sizeof *q->reader);
    q->made = adl_calloc(values, sizeof *q->made);
    q->wanted = adl_calloc(values, sizeof *q->wanted);
    q->exact = adl_calloc(values, sizeof *q->exact);
    q->joined = adl_calloc(values, sizeof *q->joined);
    q->ranges = adl_calloc(values, sizeof *q->ranges);
    q->rounded = adl_calloc(values, sizeof *q->rounded);
    if (!q->reads || !q->folded || !q->readers || !q->reader || !q->made || !q->wanted ||
        !q->exact || !q->joined || !q->ranges || !q->rounded)
        goto failed;
    for (size_t v = 0; v < values; v++)
        q->ranges[v] = model->quantisation->ranges[v];
    find_readers(q);
    choose(q);
    share_ranges(q);
    return q;
failed:
    adl_fail_nomem(err, "the ONNX graph");
    adl_onnx_int8_free(q);
    return NULL;
}

void adl_onnx_int8_free(struct adl_onnx_int8 *int8)
{
    if (!int8)
        return;
    adl_arena_release(&int8->arena);
    adl_free(int8->reads);
    adl_free(int8->folded);
    adl_free(int8->readers);
    adl_free(int8->reader);
    adl_free(int8->made);
    adl_free(int8->wanted);
    adl_free(int8->exact);
    adl_free(int8->joined);
    adl_free(int8->ranges);
    adl_free(int8->rounded);
    adl_free(int8);
}

const char *adl_onnx_int8_input(const struct adl_onnx_int8 *int8, const struct adl_node *node,
                                int input)
{
    if (!int8 || !int8->reads[node_index(int8, node)])
        return NULL;
    return int8->rounded[input_value(int8, node, input)];
}

bool adl_onnx_int8_leaves(const struct adl_onnx_int8 *int8, const struct adl_node *node)
{
    int index = int8 ? node_index(int8, node) : -1;
    return index < 0 || !(int8->folded[index] || (int8->reads[index] && node->def == &adl_op_conv));
}

/* --- rounding maps ------------------------------------------------------------------------- */

static const char *name(struct adl_onnx_int8 *q, const char *of, const char *part)
{
    return adl_arena_printf(&q->arena, "%s.%s", of, part);
}

/* Writes a QuantizeLinear or DequantizeLinear. axis: of the scales; -1: there is one. */
static void write_linear(struct adl_onnx_writer *w, const char *op, const char *input,
                         const char *scale, const char *zero, int axis, const char *output)
{
    struct adl_protobuf node = adl_onnx_node(op, output);
    adl_onnx_take(&node, input);
    adl_onnx_take(&node, scale);
    adl_onnx_take(&node, zero);
    if (axis >= 0)
        adl_onnx_set_int(&node, "axis", axis);
    adl_onnx_finish(w, &node, output);
}

int adl_onnx_int8_round(struct adl_onnx_writer *w, int value, struct adl_error *err)
{
    struct adl_onnx_int8 *q = w->int8;
    const char *input = w->names[value];

    if (!q->wanted[value])
        return 0;
    const char *scale = name(q, input, "scale"), *zero = name(q, input, "zero_point");
    const char *bytes = name(q, input, "bytes"), *rounded = name(q, input, "rounded");
    if (!scale || !zero || !bytes || !rounded)
        return adl_fail_nomem(err, "the ONNX graph");
    const uint8_t byte = (uint8_t)q->ranges[value].zero;
    adl_onnx_add_tensor(w, scale, NULL, 0, &q->ranges[value].scale);
    adl_onnx_add_elements(w, zero, NULL, 0, ADL_ONNX_UINT8, &byte, 1);
    write_linear(w, "QuantizeLinear", input, scale, zero, -1, bytes);
    write_linear(w, "DequantizeLinear", bytes, scale, zero, -1, rounded);
    q->rounded[value] = rounded;
    /* Floats that are read elsewhere are those of the bytes, unless they are asked for exactly. */
    if (q->made[value] && !q->exact[value])
        w->names[value] = rounded;
    return 0;
}

/* --- convolutions ------------------------------------------------------------------------------
 */

/* The parameters of a convolution with its batch norm, as the file has them. */
struct folded {
    size_t channels, each; /* output channels, and the weights of one */
    int8_t *weights;
    float *scales;
    int32_t *bias;
    float *bias_scales;
    int8_t *zeros; /* zero points, all 0: of the weights, and as 32-bit integers of the bias */
};

/* Returns the factor of a batch norm for a channel, and moves its shift to *bias. */
static double fold_norm(const struct adl_onnx_int8 *q, const struct adl_node *norm, size_t k,
                        double *bias)
{
    const float *const *p = q->model->params;
    const struct adl_batchnorm_attr *attr = norm->attr;
    double weight = (double)p[norm->params[0]][k], shift = (double)p[norm->params[1]][k];
    double mean = (double)p[norm->params[2]][k], variance = (double)p[norm->params[3]][k];
    double factor = weight / sqrt(variance + attr->eps);

    *bias = (*bias - mean) * factor + shift;
    return factor;
}

static void fold_channel(const struct adl_onnx_int8 *q, const struct adl_node *node,
                         struct folded *f, size_t k)
{
    const struct adl_node *norm = norm_of(q, node);
    const struct adl_conv_attr *attr = node->attr;
    const float *weights = q->model->params[node->params[0]] + k * f->each;
    double scale = (double)q->model->quantisation->scales[node->params[0]][k];
    double bias = attr->bias ? (double)q->model->params[node->params[1]][k] : 0;
    double in = (double)q->ranges[input_value(q, node, 0)].scale;
    double factor = norm ? fold_norm(q, norm, k, &bias) : 1;
    double least = fmax(LEAST_SCALE, fabs(bias) / (in * MOST_BIAS));
    float step = (float)fmax(scale * fabs(factor), least);

    for (size_t i = 0; i < f->each; i++) {
        double whole = fmin(fmax(nearbyint((double)weights[i] / scale), -127), 127);
        f->weights[k * f->each + i] = (int8_t)nearbyint(whole * scale * factor / (double)step);
    }
    f->scales[k] = step;
    f->bias_scales[k] = (float)(in * (double)step);
    f->bias[k] = (int32_t)nearbyint(bias / (in * (double)step));
}

/* Adds a tensor with its scales and zero points, and the node that multiplies them; returns the
 * name of its output, NULL when out of memory. */
static const char *write_scaled(struct adl_onnx_writer *w, const char *of, const char *part,
                                const struct adl_param *shape, enum adl_onnx_element element,
                                const struct folded *f)
{
    bool bias = element == ADL_ONNX_INT32;
    size_t width = bias ? sizeof *f->bias : sizeof *f->weights;
    const char *tensor = name(w->int8, of, part);
    const char *scale = tensor ? name(w->int8, tensor, "scale") : NULL;
    const char *zero = tensor ? name(w->int8, tensor, "zero_point") : NULL;
    const char *floats = tensor ? name(w->int8, tensor, "rounded") : NULL;

    if (!scale || !zero || !floats)
        return NULL;
    adl_onnx_add_elements(w, tensor, shape->shape, bias ? 1 : (size_t)shape->rank, element,
                          bias ? (const void *)f->bias : f->weights,
                          (bias ? f->channels : f->channels * f->each) * width);
    adl_onnx_add_tensor(w, scale, &f->channels, 1, bias ? f->bias_scales : f->scales);
    adl_onnx_add_elements(w, zero, &f->channels, 1, element, f->zeros, f->channels * width);
    write_linear(w, "DequantizeLinear", tensor, scale, zero, 0, floats);
    return floats;
}

int adl_onnx_int8_write(struct adl_onnx_writer *w, const struct adl_node *node,
                        struct adl_error *err)
{
    struct adl_onnx_int8 *q = w->int8;

    if (adl_onnx_int8_leaves(q, node))
        return 0;
    if (q->folded[node_index(q, node)])
        return 1;
    const struct adl_node *norm = norm_of(q, node);
    const struct adl_param *param = adl_graph_param(q->graph, node->params[0]);
    const char *output = w->names[norm ? norm->output : node->output];
    struct folded f = {.channels = param->shape[0], .each = param->count / param->shape[0]};
    int result = -1;

    f.weights = adl_malloc(param->count, sizeof *f.weights);
    f.scales = adl_malloc(f.channels, sizeof *f.scales);
    f.bias = adl_malloc(f.channels, sizeof *f.bias);
    f.bias_scales = adl_malloc(f.channels, sizeof *f.bias_scales);
    f.zeros = adl_calloc(f.channels, sizeof *f.bias);
    if (!f.weights || !f.scales || !f.bias || !f.bias_scales || !f.zeros)
        goto out;
    for (size_t k = 0; k < f.channels; k++)
        fold_channel(q, node, &f, k);
    const char *weight = write_scaled(w, output, "weight", param, ADL_ONNX_INT8, &f);
    const char *bias = write_scaled(w, output, "bias", param, ADL_ONNX_INT32, &f);
    if (!weight || !bias)
        goto out;
    adl_onnx_write_conv(w, node, adl_onnx_int8_input(q, node, 0), weight, bias, output);
    result = 1;
out:
    adl_free(f.weights);
    adl_free(f.scales);
    adl_free(f.bias);
    adl_free(f.bias_scales);
    adl_free(f.zeros);
    return result < 0 ? adl_fail_nomem(err, "the ONNX graph") : result;
}
