/* Global average pooling: each channel's mean over the map. */

#include "ops/ops.h"

static int infer(const struct adl_node *node, const struct adl_shape *in, struct adl_shape *out,
                 struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){1, 1, in->c};
    return 0;
}

static void forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->in_shape->c;
    size_t pixels = adl_shape_count(*call->in_shape) / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++) {
        const float *x = call->in[0] + n * pixels * channels;
        for (size_t c = 0; c < channels; c++) {
            double sum = 0;
            for (size_t i = 0; i < pixels; i++)
                sum += (double)x[i * channels + c];
            call->out[n * channels + c] = (float)(sum / (double)pixels);
        }
    }
}

const struct adl_op_def adl_op_global_avgpool = {
    .name = "global_avgpool", .infer = infer, .forward = forward};

int adl_global_avgpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_global_avgpool, NULL, 0, &input, 1, NULL, 0);
}
