/* Activations, element by element. */

#include <math.h>

#include "ops/ops.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = *in;
    return 0;
}

static size_t count(const struct adl_op_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

static void relu_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < count(call); i++)
        call->out[i] = fmaxf(call->in[0][i], 0);
}

static void relu6_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < count(call); i++)
        call->out[i] = fminf(fmaxf(call->in[0][i], 0), 6);
}

static void sigmoid_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < count(call); i++)
        call->out[i] = (float)(1 / (1 + exp(-(double)call->in[0][i])));
}

const struct adl_op_def adl_op_relu = {.name = "relu", .infer = infer, .forward = relu_forward};
const struct adl_op_def adl_op_relu6 = {.name = "relu6", .infer = infer, .forward = relu6_forward};
const struct adl_op_def adl_op_sigmoid = {
    .name = "sigmoid", .infer = infer, .forward = sigmoid_forward};

int adl_relu(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_relu, NULL, 0, &input, 1, NULL, 0);
}

int adl_relu6(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_relu6, NULL, 0, &input, 1, NULL, 0);
}

int adl_sigmoid(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_sigmoid, NULL, 0, &input, 1, NULL, 0);
}
