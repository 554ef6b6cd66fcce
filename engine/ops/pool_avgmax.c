/* Global average and maximum pooling side by side: the two descriptions of a map from which CBAM
 * computes the weights of its channels (Woo et al., "CBAM", ECCV 2018). H x W x C becomes a map of
 * two pixels, 2 x 1 x C, so that the two layers after it are applied to both descriptions with the
 * same weights:
 *
 *     y[0,c] = 1 / (H W) sum over i,j of x[i,j,c],   y[1,c] = max over i,j of x[i,j,c]
 *
 *     dx[i,j,c] (+)= dy[0,c] / (H W) + (dy[1,c] where x[i,j,c] is the first maximum, else 0)
 *
 * "First" is in row-major order, as in PyTorch's max_pool2d. A NaN is the maximum. The plain
 * forward sums in double, the training step in float, pixel after pixel. */

#include <math.h>
#include <string.h>

#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

static int pool_avgmax_infer(const struct adl_node *node, const struct adl_shape *in,
                             struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){2, 1, in->c};
    return 0;
}

static void pool_avgmax_forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->in_shape->c;
    size_t pixels = adl_shape_count(*call->in_shape) / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++) {
        const float *x = call->in[0] + n * pixels * channels;
        float *y = call->out + 2 * n * channels;
        for (size_t c = 0; c < channels; c++) {
            double sum = 0;
            float most = x[c];
            for (size_t i = 0; i < pixels; i++) {
                float value = x[i * channels + c];
                sum += (double)value;
                most = value > most || isnan(value) ? value : most;
            }
            y[c] = (float)(sum / (double)pixels);
            y[channels + c] = most;
        }
    }
}

void adl_max_over_pixels(const float *x, size_t ldx, size_t pixels, size_t channels, float *y,
                         float *where)
{
    memcpy(y, x, channels * sizeof *y);
    if (where)
        memset(where, 0, channels * sizeof *where);
    for (size_t i = 1; i < pixels; i++) {
        const float *pixel = x + i * ldx;
        if (!where) {
            for (size_t c = 0; c < channels; c++)
                y[c] = pixel[c] > y[c] || pixel[c] != pixel[c] ? pixel[c] : y[c];
            continue;
        }
        for (size_t c = 0; c < channels; c++)
            if (pixel[c] > y[c] || pixel[c] != pixel[c]) {
                y[c] = pixel[c];
                where[c] = (float)i;
            }
    }
}

/* --- training: the numbers of the pixels with the maxima are saved as floats, which are exact
 * below 2^24, more pixels than the input of a network may have. */

static size_t pool_avgmax_saved(const struct adl_node *node, int batch, const struct adl_shape *in,
                                struct adl_shape out)
{
    (void)node;
    (void)out;
    return (size_t)batch * (size_t)in->c;
}

static void pool_avgmax_image(const struct adl_train_call *call, size_t n)
{
    size_t channels = (size_t)call->in_shape->c, count = adl_shape_count(*call->in_shape);
    const float *x = call->in[0] + n * count;
    float *y = call->out + 2 * n * channels;
    adl_sum_over_pixels(x, channels, count / channels, channels, y);
    for (size_t c = 0; c < channels; c++)
        y[c] /= (float)(count / channels);
    adl_max_over_pixels(x, channels, count / channels, channels, y + channels,
                        call->saved + n * channels);
}

static void pool_avgmax_image_back(const struct adl_train_call *call, size_t n)
{
    size_t channels = (size_t)call->in_shape->c, count = adl_shape_count(*call->in_shape);
    const float *dy = call->grad_out + 2 * n * channels, *where = call->saved + n * channels;
    float *dx = call->grad_in[0] + n * count;
    float factor = 1 / (float)(count / channels);
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            dx[i + c] = (call->add_in[0] ? dx[i + c] : 0) + dy[c] * factor;
    for (size_t c = 0; c < channels; c++)
        dx[(size_t)where[c] * channels + c] += dy[channels + c];
}

static void pool_avgmax_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_avgmax_image);
}

static void pool_avgmax_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, pool_avgmax_image_back);
}

static const struct adl_op_train training = {.drops_in = true,
                                             .saved_floats = pool_avgmax_saved,
                                             .forward = pool_avgmax_train,
                                             .backward = pool_avgmax_backward};

const struct adl_op_def adl_op_global_avgmaxpool = {.name = "global_avgmaxpool",
                                                    .infer = pool_avgmax_infer,
                                                    .forward = pool_avgmax_forward,
                                                    .train = &training};

int adl_global_avgmaxpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_global_avgmaxpool, NULL, 0, &input, 1, NULL, 0);
}
