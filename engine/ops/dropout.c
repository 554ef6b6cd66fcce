/* Dropout: a training-only op, the identity at inference. */

#include <string.h>

#include "ops/identity.h"
#include "ops/ops.h"
#include "ops/train.h"

/* Kept values are scaled by 1 / (1 - rate). The mask is not stored: the same
 * numbers are drawn again in the backward. */
static float factor(const struct adl_train_call *call, size_t i)
{
    const struct adl_dropout_attr *a = call->node->attr;
    return adl_train_uniform(call, i) < a->rate ? 0 : (float)(1 / (1 - a->rate));
}

static void drop_piece(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    for (size_t i = first; i < last; i++)
        call->out[i] = call->mode->dropout ? call->in[0][i] * factor(call, i) : call->in[0][i];
}

static void drop_back(const struct adl_train_call *call, size_t piece, size_t first, size_t last)
{
    (void)piece;
    float *to = call->grad_in[0];
    for (size_t i = first; i < last; i++) {
        float g = call->mode->dropout ? call->grad_out[i] * factor(call, i) : call->grad_out[i];
        to[i] = call->add_in[0] ? to[i] + g : g;
    }
}

static void train_forward(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch * adl_shape_count(call->out_shape), 65536,
                     drop_piece);
}

static void train_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, (size_t)call->batch * adl_shape_count(call->out_shape), 65536,
                         drop_back);
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
