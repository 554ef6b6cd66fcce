/* Implements the definitions of the ops in double, one function for each. */

#include "support/gradient_reference.h"

#include <math.h>

#include "base/mem.h"
#include "ops/ops.h"
#include "support/methods.h"
#include "support/test.h"

/* The evaluation of one node: its maps and parameters. */
struct call {
    const struct adl_node *node;
    const struct adl_train_mode *mode;
    int batch;
    const double *in[ADL_MAX_OP_INPUTS];
    struct adl_shape in_shape[ADL_MAX_OP_INPUTS], shape;
    const double *params[ADL_MAX_OP_PARAMS];
    double *out;
};

static size_t at(struct adl_shape s, int n, int h, int w, int c)
{
    return (((size_t)n * (size_t)s.h + (size_t)h) * (size_t)s.w + (size_t)w) * (size_t)s.c +
           (size_t)c;
}

static size_t count_of(const struct call *call)
{
    return (size_t)call->batch * adl_shape_count(call->shape);
}

/* Returns the padding before the first row or column: half of the padding that "SAME" adds. */
static int same_padding(int in, int out, int size, int stride)
{
    int total = (out - 1) * stride + size - in;
    return total > 0 ? total / 2 : 0;
}

/* The innermost loop runs over the outputs of a group, with the weights transposed to [r, s, c][k]
 * for it: finite differences run each convolution a hundred times. */
static void run_conv(const struct call *call)
{
    const struct adl_conv_attr *a = call->node->attr;
    struct adl_shape in = call->in_shape[0], out = call->shape;
    int groups = a->groups ? a->groups : 1, group_c = in.c / groups, group_k = out.c / groups;
    int top = a->tf_same ? same_padding(in.h, out.h, a->r, a->stride) : a->pad_top;
    int left = a->tf_same ? same_padding(in.w, out.w, a->s, a->stride) : a->pad_left;
    int taps = a->r * a->s, dilation = a->dilation ? a->dilation : 1;
    double *weights = adl_malloc((size_t)(taps * group_c * out.c), sizeof *weights);

    for (int k = 0; k < out.c; k++)
        for (int c = 0; c < group_c; c++)
            for (int tap = 0; tap < taps; tap++)
                weights[(tap * group_c + c) * out.c + k] =
                    call->params[0][(k * group_c + c) * taps + tap];
    for (int n = 0; n < call->batch; n++)
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++) {
                double *sums = call->out + at(out, n, p, q, 0);
                for (int k = 0; k < out.c; k++)
                    sums[k] = a->bias ? call->params[1][k] : 0;
                for (int tap = 0; tap < taps; tap++) {
                    int h = p * a->stride + tap / a->s * dilation - top;
                    int w = q * a->stride + tap % a->s * dilation - left;
                    if (h < 0 || h >= in.h || w < 0 || w >= in.w)
                        continue;
                    for (int c = 0; c < group_c; c++)
                        for (int g = 0; g < groups; g++) {
                            double x = call->in[0][at(in, n, h, w, g * group_c + c)];
                            const double *from = weights + (tap * group_c + c) * out.c;
                            for (int k = g * group_k; k < (g + 1) * group_k; k++)
                                sums[k] += x * from[k];
                        }
                }
            }
    adl_free(weights);
}

static void run_batchnorm(const struct call *call)
{
    const struct adl_batchnorm_attr *a = call->node->attr;
    size_t channels = (size_t)call->shape.c, count = count_of(call), n = count / channels;
    for (size_t c = 0; c < channels; c++) {
        double mean = call->params[2][c], var = call->params[3][c];
        if (!call->mode->frozen_batchnorm) {
            mean = var = 0;
            for (size_t i = c; i < count; i += channels)
                mean += call->in[0][i] / (double)n;
            for (size_t i = c; i < count; i += channels)
                var += (call->in[0][i] - mean) * (call->in[0][i] - mean) / (double)n;
        }
        for (size_t i = c; i < count; i += channels)
            call->out[i] = (call->in[0][i] - mean) / sqrt(var + a->eps) * call->params[0][c] +
                           call->params[1][c];
    }
}

static void run_pool(const struct call *call)
{
    const struct adl_pool_attr *a = call->node->attr;
    struct adl_shape in = call->in_shape[0], out = call->shape;
    bool max = call->node->def == &adl_op_maxpool;
    for (int n = 0; n < call->batch; n++)
        for (int p = 0; p < out.h; p++)
            for (int q = 0; q < out.w; q++)
                for (int c = 0; c < out.c; c++) {
                    double most = -INFINITY, sum = 0;
                    for (int r = 0; r < a->size; r++)
                        for (int s = 0; s < a->size; s++) {
                            int h = p * a->stride + r - a->pad, w = q * a->stride + s - a->pad;
                            if (h < 0 || h >= in.h || w < 0 || w >= in.w)
                                continue;
                            most = fmax(most, call->in[0][at(in, n, h, w, c)]);
                            sum += call->in[0][at(in, n, h, w, c)];
                        }
                    call->out[at(out, n, p, q, c)] = max ? most : sum / (a->size * a->size);
                }
}

static void run_global_avgpool(const struct call *call)
{
    struct adl_shape in = call->in_shape[0];
    for (int n = 0; n < call->batch; n++)
        for (int c = 0; c < in.c; c++) {
            double sum = 0;
            for (int h = 0; h < in.h; h++)
                for (int w = 0; w < in.w; w++)
                    sum += call->in[0][at(in, n, h, w, c)];
            call->out[at(call->shape, n, 0, 0, c)] = sum / (in.h * in.w);
        }
}

static void run_linear(const struct call *call)
{
    const struct adl_linear_attr *a = call->node->attr;
    int channels = call->in_shape[0].c;
    for (int n = 0; n < call->batch * call->shape.h * call->shape.w; n++)
        for (int k = 0; k < a->k; k++) {
            double sum = a->bias ? call->params[1][k] : 0;
            for (int c = 0; c < channels; c++)
                sum += call->params[0][k * channels + c] * call->in[0][n * channels + c];
            call->out[n * a->k + k] = sum;
        }
}

/* The mean and the maximum, or the sum, of each channel. */
static void run_pools(const struct call *call)
{
    struct adl_shape in = call->in_shape[0];
    bool add = call->node->def == &adl_op_global_sumpool;
    for (int n = 0; n < call->batch; n++)
        for (int c = 0; c < in.c; c++) {
            double sum = 0, most = -INFINITY;
            for (int h = 0; h < in.h; h++)
                for (int w = 0; w < in.w; w++) {
                    sum += call->in[0][at(in, n, h, w, c)];
                    most = fmax(most, call->in[0][at(in, n, h, w, c)]);
                }
            call->out[at(call->shape, n, 0, 0, c)] = add ? sum : sum / (in.h * in.w);
            if (!add)
                call->out[at(call->shape, n, 1, 0, c)] = most;
        }
}

static void run_channelpool(const struct call *call)
{
    size_t channels = (size_t)call->in_shape[0].c;
    for (size_t i = 0; i < count_of(call) / 2; i++) {
        double sum = 0, most = -INFINITY;
        for (size_t c = 0; c < channels; c++) {
            sum += call->in[0][i * channels + c];
            most = fmax(most, call->in[0][i * channels + c]);
        }
        call->out[2 * i] = most;
        call->out[2 * i + 1] = sum / (double)channels;
    }
}

static void run_gate(const struct call *call)
{
    const struct adl_gate_attr *a = call->node->attr;
    struct adl_shape s = call->shape, x = call->in_shape[0], g = call->in_shape[1];
    for (int n = 0; n < call->batch; n++)
        for (int h = 0; h < s.h; h++)
            for (int w = 0; w < s.w; w++)
                for (int c = 0; c < s.c; c++) {
                    bool vector = x.h == 1 && x.w == 1;
                    double v = call->in[0][at(x, n, vector ? 0 : h, vector ? 0 : w, c)];
                    double gate = call->in[1][at(g, n, h, w, g.c == 1 ? 0 : c)];
                    call->out[at(s, n, h, w, c)] = v * (a->plus_one ? 1 + gate : gate);
                }
}

static void run_upsample(const struct call *call)
{
    struct adl_shape s = call->shape, x = call->in_shape[0];
    for (int n = 0; n < call->batch; n++)
        for (int h = 0; h < s.h; h++)
            for (int w = 0; w < s.w; w++)
                for (int c = 0; c < s.c; c++) {
                    double y = s.h > 1 ? h * (x.h - 1.0) / (s.h - 1) : 0;
                    double z = s.w > 1 ? w * (x.w - 1.0) / (s.w - 1) : 0;
                    double sum = 0; /* of all pixels, with the weights of two triangles */
                    for (int i = 0; i < x.h; i++)
                        for (int j = 0; j < x.w; j++)
                            sum += fmax(0, 1 - fabs(y - i)) * fmax(0, 1 - fabs(z - j)) *
                                   call->in[0][at(x, n, i, j, c)];
                    call->out[at(s, n, h, w, c)] = sum;
                }
}

static void run_concat(const struct call *call)
{
    struct adl_shape out = call->shape;
    for (int n = 0; n < call->batch; n++)
        for (int h = 0; h < out.h; h++)
            for (int w = 0; w < out.w; w++)
                for (int i = 0, to = 0; i < call->node->input_count; i++)
                    for (int c = 0; c < call->in_shape[i].c; c++)
                        call->out[at(out, n, h, w, to++)] =
                            call->in[i][at(call->in_shape[i], n, h, w, c)];
}

static void run_adl(const struct call *call)
{
    struct adl_shape s = call->shape;
    const struct adl_train_mode *mode = call->mode;
    /* The draw, the drop rate and the threshold are the first options. */
    const union adl_method_value *values =
        mode->method_layers ? adl_method_values(mode->method_values, &adl_method_adl) : NULL;
    for (int n = 0; n < call->batch; n++) {
        double most = -INFINITY;
        for (int pass = 0; pass < 2; pass++)
            for (int h = 0; h < s.h; h++)
                for (int w = 0; w < s.w; w++) {
                    double mean = 0, factor;
                    for (int c = 0; c < s.c; c++)
                        mean += call->in[0][at(s, n, h, w, c)] / s.c;
                    if (pass == 0)
                        most = fmax(most, mean);
                    factor = values && values[0].integer == ADL_DRAW_DROP
                                 ? mean < values[2].number * most
                                 : 1 / (1 + exp(-mean));
                    for (int c = 0; c < s.c; c++)
                        call->out[at(s, n, h, w, c)] =
                            call->in[0][at(s, n, h, w, c)] * (mode->method_layers ? factor : 1);
                }
    }
}

static void run_pointwise(const struct call *call)
{
    const struct adl_op_def *def = call->node->def;
    size_t pixels = (size_t)call->shape.h * (size_t)call->shape.w, channels = (size_t)call->shape.c;
    for (size_t i = 0; i < count_of(call); i++) {
        double x = call->in[0][i];
        if (def == &adl_op_relu)
            x = fmax(x, 0);
        else if (def == &adl_op_relu6)
            x = fmin(fmax(x, 0), 6);
        else if (def == &adl_op_sigmoid)
            x = 1 / (1 + exp(-x));
        else if (def == &adl_op_add)
            x += call->in[1][i];
        else if (def == &adl_op_scale)
            x *= call->in[1][i / (pixels * channels) * channels + i % channels];
        else if (def != &adl_op_dropout)
            TEST_FAIL("the reference has no %s", def->name);
        call->out[i] = x;
    }
}

static void run_node(const struct call *call)
{
    const struct adl_op_def *def = call->node->def;
    if (def == &adl_op_conv)
        run_conv(call);
    else if (def == &adl_op_batchnorm)
        run_batchnorm(call);
    else if (def == &adl_op_maxpool || def == &adl_op_avgpool)
        run_pool(call);
    else if (def == &adl_op_global_avgpool)
        run_global_avgpool(call);
    else if (def == &adl_op_global_sumpool || def == &adl_op_global_avgmaxpool)
        run_pools(call);
    else if (def == &adl_op_channelpool)
        run_channelpool(call);
    else if (def == &adl_op_gate)
        run_gate(call);
    else if (def == &adl_op_upsample)
        run_upsample(call);
    else if (def == &adl_op_linear)
        run_linear(call);
    else if (def == &adl_op_concat)
        run_concat(call);
    else if (def == adl_method_adl.layer)
        run_adl(call);
    else
        run_pointwise(call);
}

void reference_run(struct reference *ref)
{
    const struct adl_graph *g = ref->graph;
    for (int i = 0; i < adl_graph_node_count(g); i++) {
        const struct adl_node *node = adl_graph_node(g, i);
        struct call call = {.node = node,
                            .mode = ref->mode,
                            .batch = ref->batch,
                            .shape = adl_graph_value(g, node->output)->shape,
                            .out = ref->values[node->output]};
        for (int j = 0; j < node->input_count; j++) {
            call.in[j] = ref->values[node->inputs[j]];
            call.in_shape[j] = adl_graph_value(g, node->inputs[j])->shape;
        }
        for (int j = 0; j < node->param_count; j++)
            call.params[j] = node->params[j] < 0 ? NULL : ref->params[node->params[j]];
        run_node(&call);
    }
}

static double *widened(const float *from, size_t count)
{
    double *to = adl_malloc(count, sizeof *to);
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i];
    return to;
}

void reference_open(struct reference *ref, const struct adl_graph *graph,
                    const struct adl_train_mode *mode, int batch, const float *input,
                    float *const *params)
{
    int values = adl_graph_value_count(graph), count = adl_graph_param_count(graph);
    *ref = (struct reference){.graph = graph, .mode = mode, .batch = batch};
    ref->values = adl_calloc((size_t)values, sizeof *ref->values);
    ref->params = adl_calloc((size_t)count + 1, sizeof *ref->params);
    for (int i = 0; i < values; i++) {
        size_t floats = (size_t)batch * adl_shape_count(adl_graph_value(graph, i)->shape);
        ref->values[i] = i ? adl_calloc(floats, sizeof **ref->values) : widened(input, floats);
    }
    for (int i = 0; i < count; i++)
        ref->params[i] = widened(params[i], adl_graph_param(graph, i)->count);
}

void reference_close(struct reference *ref)
{
    for (int i = 0; i < adl_graph_value_count(ref->graph); i++)
        adl_free(ref->values[i]);
    for (int i = 0; i < adl_graph_param_count(ref->graph); i++)
        adl_free(ref->params[i]);
    adl_free(ref->values);
    adl_free(ref->params);
}

static double weighted_sum(struct reference *ref, int output, const float *cotangent)
{
    double sum = 0;
    reference_run(ref);
    size_t count = (size_t)ref->batch * adl_shape_count(adl_graph_value(ref->graph, output)->shape);
    for (size_t i = 0; i < count; i++)
        sum += ref->values[output][i] * (double)cotangent[i];
    return sum;
}

double reference_gradient(struct reference *ref, int output, const float *cotangent,
                          double *element)
{
    const double h = 0x1p-20;
    double kept = *element;
    *element = kept + h;
    double up = weighted_sum(ref, output, cotangent);
    *element = kept - h;
    double down = weighted_sum(ref, output, cotangent);
    *element = kept;
    return (up - down) / (2 * h);
}
