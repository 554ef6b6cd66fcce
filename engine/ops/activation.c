/* Activations, element by element:
 *
 *     relu     y = max(x, 0)               dy/dx = 1 where y > 0, else 0
 *     relu6    y = min(max(x, 0), 6)       dy/dx = 1 where 0 < y < 6, else 0
 *     sigmoid  y = 1 / (1 + exp(-x))       dy/dx = y (1 - y)
 *
 * All three derivatives follow from the output, so a training step does not keep the
 * input, and the output may be written over it (in_place). At 0 and at 6 the derivative
 * is taken as 0, as in PyTorch. NaN stays NaN and passes the gradient, as an input that is
 * not clamped (so does PyTorch, but for the vectorised loop of its ReLU6). */

#include <math.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

static size_t activation_count(const struct adl_op_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

/* A NaN compares false with both bounds and stays one. */
static float activation_clamp(float x, float lo, float hi)
{
    x = x < lo ? lo : x;
    return x > hi ? hi : x;
}

static void activation_relu_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < activation_count(call); i++)
        call->out[i] = activation_clamp(call->in[0][i], 0, INFINITY);
}

static void activation_relu6_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < activation_count(call); i++)
        call->out[i] = activation_clamp(call->in[0][i], 0, 6);
}

static void activation_sigmoid_forward(const struct adl_op_call *call)
{
    for (size_t i = 0; i < activation_count(call); i++)
        call->out[i] = (float)(1 / (1 + exp(-(double)call->in[0][i])));
}

/* --- training ----------------------------------------------------------------------- */

/* Elements of a task: 256 KiB. */
#define PIECE_FLOATS ((size_t)65536)

static size_t activation_train_count(const struct adl_train_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

/* Computes min(max(x, 0), hi) over one piece. */
static void activation_clamp_piece(const struct adl_train_call *call, size_t first, size_t last,
                                   float hi)
{
    call->kernels->pointwise(&(struct adl_pointwise){.x = call->in[0] + first,
                                                     .out = call->out + first,
                                                     .pixels = 1,
                                                     .channels = last - first,
                                                     .lo = 0,
                                                     .hi = hi});
}

static void activation_relu_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                  size_t last)
{
    (void)piece;
    activation_clamp_piece(call, first, last, INFINITY);
}

static void activation_relu6_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                   size_t last)
{
    (void)piece;
    activation_clamp_piece(call, first, last, 6);
}

static void activation_sigmoid_piece(const struct adl_train_call *call, size_t piece, size_t first,
                                     size_t last)
{
    (void)piece;
    for (size_t i = first; i < last; i++)
        call->out[i] = (float)(1 / (1 + exp(-(double)call->in[0][i])));
}

/* Computes dx (+)= dy f'(x), with f' from the output; dx may be the memory of dy. */
static void activation_relu_piece_back(const struct adl_train_call *call, size_t piece,
                                       size_t first, size_t last)
{
    (void)piece;
    call->kernels->relu_back(call->out + first, INFINITY, last - first, call->grad_out + first,
                             call->grad_in[0] + first, call->add_in[0]);
}

static void activation_relu6_piece_back(const struct adl_train_call *call, size_t piece,
                                        size_t first, size_t last)
{
    (void)piece;
    call->kernels->relu_back(call->out + first, 6, last - first, call->grad_out + first,
                             call->grad_in[0] + first, call->add_in[0]);
}

static void activation_sigmoid_piece_back(const struct adl_train_call *call, size_t piece,
                                          size_t first, size_t last)
{
    (void)piece;
    float *to = call->grad_in[0];
    for (size_t i = first; i < last; i++) {
        float g = call->grad_out[i] * call->out[i] * (1 - call->out[i]);
        to[i] = call->add_in[0] ? to[i] + g : g;
    }
}

static void activation_relu_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS, activation_relu_piece);
}

static void activation_relu6_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS, activation_relu6_piece);
}

static void activation_sigmoid_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS, activation_sigmoid_piece);
}

static void activation_relu_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS,
                         activation_relu_piece_back);
}

static void activation_relu6_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS,
                         activation_relu6_piece_back);
}

static void activation_sigmoid_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, activation_train_count(call), PIECE_FLOATS,
                         activation_sigmoid_piece_back);
}

static const struct adl_op_train relu_training = {.in_place = true,
                                                  .reads_out = true,
                                                  .drops_in = true,
                                                  .by_image = true,
                                                  .clamp_hi = INFINITY,
                                                  .forward = activation_relu_train,
                                                  .backward = activation_relu_backward};
static const struct adl_op_train relu6_training = {.in_place = true,
                                                   .reads_out = true,
                                                   .drops_in = true,
                                                   .by_image = true,
                                                   .clamp_hi = 6,
                                                   .forward = activation_relu6_train,
                                                   .backward = activation_relu6_backward};
static const struct adl_op_train sigmoid_training = {.in_place = true,
                                                     .reads_out = true,
                                                     .drops_in = true,
                                                     .by_image = true,
                                                     .forward = activation_sigmoid_train,
                                                     .backward = activation_sigmoid_backward};

const struct adl_op_def adl_op_relu = {.name = "relu",
                                       .infer = adl_infer_same,
                                       .forward = activation_relu_forward,
                                       .train = &relu_training};
const struct adl_op_def adl_op_relu6 = {.name = "relu6",
                                        .infer = adl_infer_same,
                                        .forward = activation_relu6_forward,
                                        .train = &relu6_training};
const struct adl_op_def adl_op_sigmoid = {.name = "sigmoid",
                                          .infer = adl_infer_same,
                                          .forward = activation_sigmoid_forward,
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
