/* Dropout: a training-only op, the identity at inference. */

#include <string.h>

#include "ops/ops.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = *in;
    return 0;
}

static void forward(const struct adl_op_call *call)
{
    memcpy(call->out, call->in[0],
           (size_t)call->batch * adl_shape_count(call->out_shape) * sizeof(float));
}

const struct adl_op_def adl_op_dropout = {
    .name = "dropout", .training_only = true, .infer = infer, .forward = forward};

int adl_dropout(struct adl_graph *graph, int input, const char *name, double rate)
{
    struct adl_dropout_attr attr = {rate};
    return adl_graph_add(graph, name, &adl_op_dropout, &attr, sizeof attr, &input, 1, NULL, 0);
}
