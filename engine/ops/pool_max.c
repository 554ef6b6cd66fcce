/* The maximum of each channel over the map, H x W x C to 1 x 1 x C:
 *
 *     y[c] = max over i,j of x[i,j,c]
 *
 * The gradient goes to the first position that has the maximum, as PyTorch's does; a NaN is the
 * maximum. */

#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/train.h"

static int pool_max_infer(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){1, 1, in->c};
    return 0;
}

static void pool_max_map(const float *x, size_t count, size_t channels, float *y)
{
    memcpy(y, x, channels * sizeof *y);
    for (size_t i = channels; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            y[c] = x[i + c] > y[c] || (isnan(x[i + c]) && !isnan(y[c])) ? x[i + c] : y[c];
}

static void pool_max_forward(const struct adl_op_call *call)
{
    size_t count = adl_shape_count(*call->in_shape), channels = (size_t)call->in_shape->c;
    for (size_t n = 0; n < (size_t)call->batch; n++)
        pool_max_map(call->in[0] + n * count, count, channels, call->out + n * channels);
}

static void pool_max_image(const struct adl_train_call *call, size_t n)
{
    size_t count = adl_shape_count(*call->in_shape), channels = (size_t)call->in_shape->c;
    pool_max_map(call->in[0] + n * count, count, channels, call->out + n * channels);
}

static void pool_max_image_back(const struct adl_train_call *call, size_t n)
{
    size_t count = adl_shape_count(*call->in_shape), channels = (size_t)call->in_shape->c;
    const float *x = call->in[0] + n * count, *y = call->out + n * channels;
    const float *dy = call->grad_out + n * channels;
    float *dx = call->grad_in[0] + n * count;

    if (!call->add_in[0])
        memset(dx, 0, count * sizeof *dx);
    for (size_t c = 0; c < channels; c++)
        for (size_t i = c; i < count; i += channels)
            if (x[i] == y[c] || isnan(x[i])) {
                dx[i] += dy[c];
                break;
            }
}

static void pool_max_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_max_image);
}

static void pool_max_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, pool_max_image_back);
}

static const struct adl_op_train training = {
    .reads_out = true, .forward = pool_max_train, .backward = pool_max_backward};

const struct adl_op_def adl_op_global_maxpool = {.name = "global_maxpool",
                                                 .infer = pool_max_infer,
                                                 .forward = pool_max_forward,
                                                 .train = &training};

int adl_global_maxpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_global_maxpool, NULL, 0, &input, 1, NULL, 0);
}
