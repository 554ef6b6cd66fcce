/* A class map that says nothing, for networks whose end has none: zeros at each pixel for each of k
 * classes, H x W x C to H x W x k. Joined with the map of another layer (wsol/layer_map.h) it
 * leaves that map. It reads nothing of its input but the shape, which gets no gradient. */

#include <string.h>

#include "ops/ops.h"
#include "ops/train.h"

static int blank_infer(const struct adl_node *node, const struct adl_shape *in,
                       struct adl_shape *out, struct adl_error *err)
{
    const struct adl_blank_attr *a = node->attr;
    (void)err;
    *out = (struct adl_shape){in->h, in->w, a->k};
    return 0;
}

static void blank_forward(const struct adl_op_call *call)
{
    memset(call->out, 0,
           (size_t)call->batch * adl_shape_count(call->out_shape) * sizeof *call->out);
}

static void blank_train(const struct adl_train_call *call)
{
    memset(call->out, 0,
           (size_t)call->batch * adl_shape_count(call->out_shape) * sizeof *call->out);
}

static void blank_backward(const struct adl_train_call *call)
{
    (void)call;
}

static const struct adl_op_train training = {
    .drops_in = true, .detached = 1, .forward = blank_train, .backward = blank_backward};

const struct adl_op_def adl_op_blank = {
    .name = "blank", .infer = blank_infer, .forward = blank_forward, .train = &training};

int adl_blank(struct adl_graph *graph, int input, const char *name, int k)
{
    const struct adl_blank_attr attr = {k};
    return adl_graph_add(graph, name, &adl_op_blank, &attr, sizeof attr, &input, 1, NULL, 0);
}
