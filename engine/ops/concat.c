/* Maps of one size joined along the channels. */

#include <string.h>

#include "ops/ops.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    *out = in[0];
    for (int i = 1; i < node->input_count; i++) {
        if (in[i].h != in[0].h || in[i].w != in[0].w)
            return adl_fail(err, ADL_ERR_ARG, "cannot join a %dx%d and a %dx%d map", in[0].h,
                            in[0].w, in[i].h, in[i].w);
        out->c += in[i].c;
    }
    return 0;
}

static void forward(const struct adl_op_call *call)
{
    size_t pixels = (size_t)call->batch * (size_t)call->out_shape.h * (size_t)call->out_shape.w;
    size_t at = 0;
    for (int i = 0; i < call->node->input_count; i++) {
        size_t c = (size_t)call->in_shape[i].c;
        for (size_t pixel = 0; pixel < pixels; pixel++)
            memcpy(call->out + pixel * (size_t)call->out_shape.c + at, call->in[i] + pixel * c,
                   c * sizeof(float));
        at += c;
    }
}

const struct adl_op_def adl_op_concat = {.name = "concat", .infer = infer, .forward = forward};

int adl_concat(struct adl_graph *graph, const int *inputs, int count, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_concat, NULL, 0, inputs, count, NULL, 0);
}
