/* Global average pooling ("GAP"): the mean of each channel over the map, H x W x C to
 * 1 x 1 x C.
 *
 *     y[c] = 1 / (H W) sum over i,j of x[i,j,c],   dx[i,j,c] (+)= dy[c] / (H W)
 *
 * The plain forward sums in double; the training step sums in float, channel by channel
 * along the vectors, ADL_SUM_PIXELS pixels at a time. */

#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

static int pool_global_infer(const struct adl_node *node, const struct adl_shape *in,
                             struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){1, 1, in->c};
    return 0;
}

static void pool_global_forward(const struct adl_op_call *call)
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

static void pool_global_image(const struct adl_train_call *call, size_t piece, size_t first,
                              size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->in_shape->c;
    size_t count = adl_shape_count(*call->in_shape);
    for (size_t n = first; n < last; n++) {
        const float *x = call->in[0] + n * count;
        float *y = call->out + n * channels;
        adl_sum_over_pixels(x, channels, count / channels, channels, y);
        for (size_t c = 0; c < channels; c++)
            y[c] /= (float)(count / channels);
    }
}

static void pool_global_image_back(const struct adl_train_call *call, size_t piece, size_t first,
                                   size_t last)
{
    (void)piece;
    size_t channels = (size_t)call->in_shape->c;
    size_t count = adl_shape_count(*call->in_shape);
    float factor = 1 / (float)(count / channels);
    for (size_t n = first; n < last; n++) {
        const float *dy = call->grad_out + n * channels;
        float *dx = call->grad_in[0] + n * count;
        for (size_t i = 0; i < count; i += channels)
            for (size_t c = 0; c < channels; c++)
                dx[i + c] = (call->add_in[0] ? dx[i + c] : 0) + dy[c] * factor;
    }
}

static void pool_global_train(const struct adl_train_call *call)
{
    adl_train_pieces(call, (size_t)call->batch, 1, pool_global_image);
}

static void pool_global_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_pieces(call, (size_t)call->batch, 1, pool_global_image_back);
}

static const struct adl_op_train training = {
    .drops_in = true, .forward = pool_global_train, .backward = pool_global_backward};

const struct adl_op_def adl_op_global_avgpool = {.name = "global_avgpool",
                                                 .infer = pool_global_infer,
                                                 .forward = pool_global_forward,
                                                 .train = &training};

int adl_global_avgpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_global_avgpool, NULL, 0, &input, 1, NULL, 0);
}
