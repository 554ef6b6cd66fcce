/* A map x (H x W x C) times a vector v (1 x 1 x C), channel by channel: the gate of a
 * squeeze-and-excitation block (Hu et al. 2018).
 *
 *     y[i,j,c] = x[i,j,c] v[c]
 *     dx[i,j,c] (+)= dy[i,j,c] v[c],   dv[c] (+)= sum over i,j of dy[i,j,c] x[i,j,c]
 */

#include <string.h>

#include "ops/ops.h"
#include "ops/train.h"

static int scale_infer(const struct adl_node *node, const struct adl_shape *in,
                       struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    if (in[1].h != 1 || in[1].w != 1 || in[1].c != in[0].c)
        return adl_fail(err, ADL_ERR_ARG, "cannot scale %d channels by a %dx%dx%d vector", in[0].c,
                        in[1].h, in[1].w, in[1].c);
    *out = in[0];
    return 0;
}

static void scale_forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t pixels = adl_shape_count(call->out_shape) / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++)
        for (size_t i = 0; i < pixels; i++)
            for (size_t c = 0; c < channels; c++) {
                size_t index = (n * pixels + i) * channels + c;
                call->out[index] = call->in[0][index] * call->in[1][n * channels + c];
            }
}

static void scale_image(const struct adl_train_call *call, size_t first)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t count = adl_shape_count(call->out_shape);
    const float *x = call->in[0] + first * count, *v = call->in[1] + first * channels;
    float *y = call->out + first * count;
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            y[i + c] = x[i + c] * v[c];
}

/* Computes both gradients of one image; dv is summed in float, pixel after pixel. */
static void scale_image_back(const struct adl_train_call *call, size_t first)
{
    size_t channels = (size_t)call->out_shape.c;
    size_t count = adl_shape_count(call->out_shape);
    const float *x = call->in[0] + first * count, *v = call->in[1] + first * channels;
    const float *dy = call->grad_out + first * count;
    float *dx = call->grad_in[0] ? call->grad_in[0] + first * count : NULL;
    float *dv = call->grad_in[1] ? call->grad_in[1] + first * channels : NULL;

    if (dv && !call->add_in[1])
        memset(dv, 0, channels * sizeof *dv);
    for (size_t i = 0; dv && i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            dv[c] += dy[i + c] * x[i + c];
    for (size_t i = 0; dx && i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            dx[i + c] = (call->add_in[0] ? dx[i + c] : 0) + dy[i + c] * v[c];
}

static void scale_train(const struct adl_train_call *call)
{
    adl_train_images(call, scale_image);
}

static void scale_backward(const struct adl_train_call *call)
{
    adl_train_images(call, scale_image_back);
}

static const struct adl_op_train training = {.forward = scale_train, .backward = scale_backward};

const struct adl_op_def adl_op_scale = {
    .name = "scale", .infer = scale_infer, .forward = scale_forward, .train = &training};

int adl_scale(struct adl_graph *graph, int map, int vector, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_scale, NULL, 0, (int[]){map, vector}, 2, NULL, 0);
}
