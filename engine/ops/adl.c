/* The attention-based dropout layer (Choe & Shim, CVPR 2019). Its place in
 * the network is part of the graph; at inference it is the identity. */

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

const struct adl_op_def adl_op_adl = {
    .name = "adl", .training_only = true, .infer = infer, .forward = forward};

int adl_adl(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_adl, NULL, 0, &input, 1, NULL, 0);
}
