/* Dropout: a training-only op, the identity at inference. */

#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

#define PIECE ((size_t)65536)

/* to (+)= from with a share `rate` of its elements dropped and the others scaled by
 * 1 / (1 - rate). A random number draws for two neighbours, 32 bits each. The mask
 * is not stored: to draw it again in the backward is as fast as to read it. */
static void drop(const struct adl_train_call *call, const float *from, float *to, bool add,
                 size_t first, size_t last)
{
    double rate = ((const struct adl_dropout_attr *)call->node->attr)->rate;
    uint64_t limit = (uint64_t)(rate * 0x1p32);
    const float factors[2] = {(float)(1 / (1 - rate)), 0}; /* picked without a branch */
    uint64_t seed = adl_train_seed(call);

    for (size_t i = first; i < last; i += 2) {
        uint64_t state = seed + i, draws = adl_rng_splitmix(&state);
        for (size_t j = i; j < ADL_MIN(i + 2, last); j++, draws >>= 32) {
            float value = from[j] * factors[(uint32_t)draws < limit];
            to[j] = add ? to[j] + value : value;
        }
    }
}

static void drop_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    drop(call, call->in[0], call->out, false, first, last);
}

static void drop_back(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    drop(call, call->grad_out, call->grad_in[0], call->add_in[0], first, last);
}

static size_t count_of(const struct adl_train_call *call)
{
    return (size_t)call->batch * adl_shape_count(call->out_shape);
}

static void train_forward(const struct adl_train_call *call)
{
    if (call->mode->dropout)
        adl_train_pieces(call, count_of(call), PIECE, drop_piece);
    else if (call->out != call->in[0])
        memcpy(call->out, call->in[0], count_of(call) * sizeof *call->out);
}

static void train_backward(const struct adl_train_call *call)
{
    if (!call->grad_in[0])
        return;
    if (call->mode->dropout)
        adl_train_pieces(call, count_of(call), PIECE, drop_back);
    else
        adl_train_pass_on(call, 0, call->grad_out);
}

static const struct adl_op_train training = {
    .in_place = true, .drops_in = true, .forward = train_forward, .backward = train_backward};

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
