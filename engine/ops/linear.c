/* A fully connected layer of C inputs and K outputs, as PyTorch's Linear: on a vector, or on each
 * pixel of a map by itself. For the N vectors or pixels of a batch, X (N x C), with W (K x C) and
 * b (K):
 *
 *     Y = X W' + b
 *     dW += dY' X,   db += the column sums of dY,   dX (+)= dY W
 *
 * Each line is one matrix product of OpenBLAS, on one thread: these products are small
 * compared with any convolution. */

#include "kernels/blas.h"
#include "ops/ops.h"
#include "ops/train.h"

static int linear_infer(const struct adl_node *node, const struct adl_shape *in,
                        struct adl_shape *out, struct adl_error *err)
{
    const struct adl_linear_attr *a = node->attr;
    (void)err;
    *out = (struct adl_shape){in->h, in->w, a->k};
    return 0;
}

static uint64_t linear_macs(const struct adl_node *node, const struct adl_shape *in,
                            struct adl_shape out)
{
    (void)node;
    return (uint64_t)in->c * (uint64_t)adl_shape_count(out);
}

/* Returns the vectors of a batch. */
static size_t linear_rows(int batch, struct adl_shape shape)
{
    return (size_t)batch * (size_t)shape.h * (size_t)shape.w;
}

static void linear_forward(const struct adl_op_call *call)
{
    const struct adl_linear_attr *a = call->node->attr;
    const float *weight = call->params[0], *bias = a->bias ? call->params[1] : NULL;
    size_t channels = (size_t)call->in_shape->c, outputs = (size_t)a->k;
    for (size_t n = 0; n < linear_rows(call->batch, call->out_shape); n++)
        for (size_t k = 0; k < outputs; k++) {
            double sum = bias ? (double)bias[k] : 0;
            for (size_t c = 0; c < channels; c++)
                sum += (double)weight[k * channels + c] * (double)call->in[0][n * channels + c];
            call->out[n * outputs + k] = (float)sum;
        }
}

static void linear_train(const struct adl_train_call *call)
{
    const struct adl_linear_attr *a = call->node->attr;
    size_t n = linear_rows(call->batch, call->out_shape), k = (size_t)a->k;
    size_t c = (size_t)call->in_shape->c;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++)
            call->out[i * k + j] = a->bias ? call->params[1][j] : 0;
    adl_sgemm(false, true, n, k, c, call->in[0], c, call->params[0], c, 1, call->out, k);
}

static void linear_backward(const struct adl_train_call *call)
{
    const struct adl_linear_attr *a = call->node->attr;
    size_t n = linear_rows(call->batch, call->out_shape), k = (size_t)a->k;
    size_t c = (size_t)call->in_shape->c;
    if (call->grad_params[0])
        adl_sgemm(true, false, k, c, n, call->grad_out, k, call->in[0], c, 1, call->grad_params[0],
                  c);
    for (size_t i = 0; a->bias && call->grad_params[1] && i < n; i++)
        for (size_t j = 0; j < k; j++)
            call->grad_params[1][j] += call->grad_out[i * k + j];
    if (call->grad_in[0])
        adl_sgemm(false, false, n, c, k, call->grad_out, k, call->params[0], c,
                  call->add_in[0] ? 1 : 0, call->grad_in[0], c);
}

static const struct adl_op_train training = {.forward = linear_train, .backward = linear_backward};

const struct adl_op_def adl_op_linear = {.name = "linear",
                                         .infer = linear_infer,
                                         .macs = linear_macs,
                                         .forward = linear_forward,
                                         .train = &training};

int adl_linear_named(struct adl_graph *graph, int input, const char *name, int k,
                     const char *weight, const char *bias)
{
    struct adl_linear_attr attr = {k, bias != NULL};
    int params[2] = {-1, -1};
    if (input < 0)
        return -1;
    if (k < 1)
        return adl_graph_fail(graph, "%s has %d outputs, but must have at least 1", name, k);
    size_t c = (size_t)adl_graph_value(graph, input)->shape.c;
    params[0] =
        adl_graph_add_param(graph, weight, ADL_PARAM_LINEAR_WEIGHT, 2, (size_t[]){(size_t)k, c});
    if (bias)
        params[1] = adl_graph_add_param(graph, bias, ADL_PARAM_BIAS, 1, (size_t[]){(size_t)k});
    return adl_graph_add(graph, name, &adl_op_linear, &attr, sizeof attr, &input, 1, params,
                         bias ? 2 : 1);
}

int adl_linear(struct adl_graph *graph, int input, const char *name, int k, bool bias)
{
    return adl_linear_named(graph, input, name, k, adl_graph_name(graph, "%s.weight", name),
                            bias ? adl_graph_name(graph, "%s.bias", name) : NULL);
}
