/* The sum of each channel over the map, H x W x C to 1 x 1 x C: in CBAM, of what the same layers
 * make of the average and of the maximum.
 *
 *     y[c] = sum over i,j of x[i,j,c],   dx[i,j,c] (+)= dy[c]
 */

#include <string.h>

#include "base/size.h"
#include "kernels/kernel.h"
#include "ops/ops.h"
#include "ops/plain_loops.h"
#include "ops/train.h"

enum { LANES = 64 }; /* channels that are summed side by side */

static int pool_sum_infer(const struct adl_node *node, const struct adl_shape *in,
                          struct adl_shape *out, struct adl_error *err)
{
    (void)node;
    (void)err;
    *out = (struct adl_shape){1, 1, in->c};
    return 0;
}

static void pool_sum_forward(const struct adl_op_call *call)
{
    size_t channels = (size_t)call->in_shape->c;
    size_t pixels = adl_shape_count(*call->in_shape) / channels;
    for (size_t n = 0; n < (size_t)call->batch; n++)
        for (size_t c = 0; c < channels; c++) {
            double sum = 0;
            for (size_t i = 0; i < pixels; i++)
                sum += (double)call->in[0][(n * pixels + i) * channels + c];
            call->out[n * channels + c] = (float)sum;
        }
}

void adl_sum_over_pixels(const float *x, size_t ldx, size_t pixels, size_t channels, float *y)
{
    for (size_t i = 0; i < pixels; i += ADL_SUM_PIXELS) {
        const size_t end = ADL_MIN(i + ADL_SUM_PIXELS, pixels);
        for (size_t c = 0; c < channels; c += LANES) {
            const size_t lanes = ADL_MIN(channels - c, (size_t)LANES);
            float part[LANES];
            memcpy(part, x + i * ldx + c, lanes * sizeof *part);
            for (size_t k = i + 1; k < end; k++)
                for (size_t lane = 0; lane < lanes; lane++)
                    part[lane] += x[k * ldx + c + lane];
            for (size_t lane = 0; lane < lanes; lane++)
                y[c + lane] = i ? y[c + lane] + part[lane] : part[lane];
        }
    }
}

static void pool_sum_image(const struct adl_train_call *call, size_t n)
{
    size_t channels = (size_t)call->in_shape->c, count = adl_shape_count(*call->in_shape);
    adl_sum_over_pixels(call->in[0] + n * count, channels, count / channels, channels,
                        call->out + n * channels);
}

static void pool_sum_image_back(const struct adl_train_call *call, size_t n)
{
    size_t channels = (size_t)call->in_shape->c, count = adl_shape_count(*call->in_shape);
    const float *dy = call->grad_out + n * channels;
    float *dx = call->grad_in[0] + n * count;
    for (size_t i = 0; i < count; i += channels)
        for (size_t c = 0; c < channels; c++)
            dx[i + c] = (call->add_in[0] ? dx[i + c] : 0) + dy[c];
}

static void pool_sum_train(const struct adl_train_call *call)
{
    adl_train_images(call, pool_sum_image);
}

static void pool_sum_backward(const struct adl_train_call *call)
{
    if (call->grad_in[0])
        adl_train_images(call, pool_sum_image_back);
}

static const struct adl_op_train training = {
    .drops_in = true, .forward = pool_sum_train, .backward = pool_sum_backward};

const struct adl_op_def adl_op_global_sumpool = {.name = "global_sumpool",
                                                 .infer = pool_sum_infer,
                                                 .forward = pool_sum_forward,
                                                 .train = &training};

int adl_global_sumpool(struct adl_graph *graph, int input, const char *name)
{
    return adl_graph_add(graph, name, &adl_op_global_sumpool, NULL, 0, &input, 1, NULL, 0);
}
