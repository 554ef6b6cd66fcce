/* A map times a vector, channel by channel: squeeze-and-excitation. */

#include "ops/ops.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    (void)node;
    if (in[1].h != 1 || in[1].w != 1 || in[1].c != in[0].c)
        return adl_fail(err, ADL_ERR_ARG, "cannot scale %d channels by a %dx%dx%d vector", in[0].c,
                        in[1].h, in[1].w, in[1].c);
    *out = in[0];
    return 0;
}

static void forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++)
        for (size_t i = 0; i < pixels; i++)
            for (size_t c = 0; c < channels; c++) {
                size_t at = (n * pixels + i) * channels + c;
                call->out[at] = call->in[0][at] * call->in[1][n * channels + c];
            }
}

const struct adl_op_def adl_op_scale = {.name = "scale", .infer = infer, .forward = forward};

int adl_scale(struct adl_graph *graph, int map, int vector, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_scale, NULL, 0, (int[]){map, vector}, 2, NULL, 0);
}
