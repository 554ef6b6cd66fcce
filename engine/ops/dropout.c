/* Dropout (Srivastava et al. 2014), as PyTorch's Dropout. In training each element is zeroed
 * with probability `rate`, independently, and the others are scaled so that the expected
 * value does not change:
 *
 *     y = x m / (1 - rate),   dx (+)= dy m / (1 - rate),   m = 0 with probability rate, else 1
 *
 * At inference it is the identity. The mask is not stored: drawing it again in the backward
 * pass is as fast as reading it. */

#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* Elements of a task: 256 KiB. */
#define PIECE_FLOATS ((size_t)65536)

/* Computes to (+)= from m / (1 - rate) for the elements first .. last-1. One random number of
 * 64 bits serves two neighbouring elements, with 32 bits each; PIECE_FLOATS is even, so that
 * pairs do not depend on how the work is divided. */
static void dropout_run(const struct adl_train_call *call, const float *from, float *to, bool add,
                        size_t first, size_t last)
{
    double rate = ((const struct adl_dropout_attr *)call->node->attr)->rate;
    uint64_t limit = (uint64_t)(rate * 0x1p32);
    const float factors[2] = {(float)(1 / (1 - rate)), 0}; /* indexed by "dropped": no branch */
    uint64_t seed = adl_train_seed(call);

    for (size_t i = first; i < last; i += 2) {
        uint64_t state = seed + i, draws = adl_rng_splitmix(&state);
        for (size_t j = i; j < ADL_MIN(i + 2, last); j++, draws >>= 32) {
            float value = from[j] * factors[(uint32_t)draws < limit];
            to[j] = add ? to[j] + value : value;
        }
    }
}

static void dropout_piece(const struct adl_train_call *call, size_t piece, size_t first,
                          size_t last)
{
    (void)piece;
    dropout_run(call, call->in[0], call->out, false, first, last);
}

static void dropout_piece_back(const struct adl_train_call *call, size_t piece, size_t first,
                               size_t last)
{
    (void)piece;
    dropout_run(call, call->grad_out, call->grad_in[0], call->add_in[0], first, last);
}

static size_t dropout_count(const struct adl_train_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

static void dropout_train(const struct adl_train_call *call)
{
    if (call->mode->dropout)
        adl_train_pieces(call, dropout_count(call), PIECE_FLOATS, dropout_piece);
    else if (call->out != call->in[0])
        memcpy(call->out, call->in[0], dropout_count(call) * sizeof *call->out);
}

static void dropout_backward(const struct adl_train_call *call)
{
    if (!call->grad_in[0])
        return;
    if (call->mode->dropout)
        adl_train_pieces(call, dropout_count(call), PIECE_FLOATS, dropout_piece_back);
    else
        adl_train_pass_on(call, 0, call->grad_out);
}

static const struct adl_op_train training = {
    .in_place = true, .drops_in = true, .forward = dropout_train, .backward = dropout_backward};

const struct adl_op_def adl_op_dropout = {.name = "dropout",
                                          .training_only = true,
                                          .infer = adl_infer_same,
                                          .forward = adl_forward_copy,
                                          .train = &training};

int adl_dropout(struct adl_graph *graph, int input, const char *name, double rate)
{
    struct adl_dropout_attr attr = {rate};
    return adl_graph_add(graph, name, &adl_op_dropout, &attr, sizeof attr, &input, 1, NULL, 0);
}
