/* Activations, element by element. */

#include <math.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

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

/* --- training: everything the backward needs is in the output ------------------- */

#define PIECE ((size_t)65536)

static size_t train_count(const struct adl_train_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

/* max(x, 0), and min with hi, over one piece. */
static void clamp_piece(const struct adl_train_call *call, size_t first, size_t last, float hi)
{
    call->kernels->pointwise(&(struct adl_pointwise){.x = call->in[0] + first,
                                                     .out = call->out + first,
                                                     .pixels = 1,
                                                     .channels = last - first,
                                                     .lo = 0,
                                                     .hi = hi});
}

static void relu_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    clamp_piece(call, first, last, INFINITY);
}

static void relu6_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    clamp_piece(call, first, last, 6);
}

static void sigmoid_piece(const struct adl_train_call *call, size_t piece, size_t first,
                          size_t last)
{
    (void)piece;
    for (size_t i = first; i < last; i++)
        call->out[i] = (float)(1 / (1 + exp(-(double)call->in[0][i])));
}

/* grad_in = grad_out * f'(x), with f' from the output; grad_in may be grad_out. */
static void relu_back(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    call->kernels->relu_back(call->out + first, INFINITY, last - first, call->grad_out + first,
                             call->grad_in[0] + first, call->add_in[0]);
}

static void relu6_back(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    call->kernels->relu_back(call->out + first, 6, last - first, call->grad_out + first,
                             call->grad_in[0] + first, call->add_in[0]);
}

static void sigmoid_back(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    float *to = call->grad_in[0];
    for (size_t i = first; i < last; i++) {
        float g = call->grad_out[i] * call->out[i] * (1 - call->out[i]);
        to[i] = call->add_in[0] ? to[i] + g : g;
    }
}

static void relu_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, train_count(call), PIECE, relu_piece);
}

static void relu6_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, train_count(call), PIECE, relu6_piece);
}

static void sigmoid_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, train_count(call), PIECE, sigmoid_piece);
}

static void relu_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, train_count(call), PIECE, relu_back);
}

static void relu6_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, train_count(call), PIECE, relu6_back);
}

static void sigmoid_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, train_count(call), PIECE, sigmoid_back);
}

static const struct adl_op_train relu_training = {.in_place = true,
                                                  .reads_out = true,
                                                  .drops_in = true,
                                                  .clamp_hi = INFINITY,
                                                  .forward = relu_train,
                                                  .backward = relu_backward};
static const struct adl_op_train relu6_training = {.in_place = true,
                                                   .reads_out = true,
                                                   .drops_in = true,
                                                   .clamp_hi = 6,
                                                   .forward = relu6_train,
                                                   .backward = relu6_backward};
static const struct adl_op_train sigmoid_training = {.in_place = true,
                                                     .reads_out = true,
                                                     .drops_in = true,
                                                     .forward = sigmoid_train,
                                                     .backward = sigmoid_backward};

const struct adl_op_def adl_op_relu = {
    .name = "relu", .infer = adl_infer_same, .forward = relu_forward, .train = &relu_training};
const struct adl_op_def adl_op_relu6 = {
    .name = "relu6", .infer = adl_infer_same, .forward = relu6_forward, .train = &relu6_training};
const struct adl_op_def adl_op_sigmoid = {.name = "sigmoid",
                                          .infer = adl_infer_same,
                                          .forward = sigmoid_forward,
                                          .train = &sigmoid_training};

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
