/* Batch normalisation with running statistics (inference).
 * Ioffe & Szegedy 2015; PyTorch's BatchNorm2d in eval mode. */

#include <math.h>

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
    const struct adl_batchnorm_attr *a = call->node->attr;
    const float *weight = call->params[0], *bias = call->params[1];
    const float *mean = call->params[2], *var = call->params[3];
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = (size_t)call->batch * adl_shape_count(call->out_shape) / channels;

    for (size_t c = 0; c < channels; c++) {
        double scale = (double)weight[c] / sqrt((double)var[c] + a->eps);
        for (size_t i = 0; i < pixels; i++)
            call->out[i * channels + c] =
                (float)(((double)call->in[0][i * channels + c] - (double)mean[c]) * scale +
                        (double)bias[c]);
    }
}

const struct adl_op_def adl_op_batchnorm = {
    .name = "batchnorm", .infer = infer, .forward = forward};

int adl_batchnorm(struct adl_graph *graph, int input, const char *name, double eps)
{
    static const struct {
        const char *suffix;
        enum adl_param_role role;
    } rows[] = {{"weight", ADL_PARAM_BN_WEIGHT},
                {"bias", ADL_PARAM_BN_BIAS},
                {"running_mean", ADL_PARAM_BN_MEAN},
                {"running_var", ADL_PARAM_BN_VAR}};
    struct adl_batchnorm_attr attr = {eps};
    int params[4];

    if (input < 0)
        return -1;
    size_t channels = (size_t)adl_graph_value(graph, input)->shape.c;
    for (int i = 0; i < 4; i++)
        params[i] = adl_graph_add_param(graph, adl_graph_name(graph, "%s.%s", name, rows[i].suffix),
                                        rows[i].role, 1, &channels);
    return adl_graph_add(graph, name, &adl_op_batchnorm, &attr, sizeof attr, &input, 1, params, 4);
}
