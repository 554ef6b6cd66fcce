/* The gradient of the input of a convolution with a stride: for each output
 * pixel the product of its gradient with the weights gives what every tap of
 * its window receives, which is then added where the tap lies. A task is one
 * image, since windows overlap. */

#include <string.h>

#include "base/size.h"
#include "kernels/blas.h"
#include "ops/conv/conv_train.h"

#define BLOCK_ROWS ((size_t)64)

static size_t depth_of(const struct adl_conv *v)
{
    return (size_t)(v->c / v->groups) * (size_t)v->r * (size_t)v->s;
}

size_t adl_conv_grad_input_scratch(const struct adl_conv *v, int batch, int threads)
{
    (void)batch;
    return (size_t)v->k * depth_of(v) + (size_t)threads * BLOCK_ROWS * depth_of(v);
}

static bool is_depthwise(const struct adl_conv *v)
{
    return v->groups == v->c && v->groups == v->k;
}

struct job {
    const struct adl_conv *conv;
    const struct adl_kernels *kernels;
    const float *weights; /* K x (R, S, C/groups); depthwise: taps x channels */
    const float *grad_out;
    float *grad_in;
    bool add;
    float *workers;
};

/* Adds the taps of one output pixel: depth values of one group. */
static void scatter(const struct adl_conv *v, size_t m, size_t group, const float *taps,
                    float *grad_in)
{
    size_t channels = (size_t)(v->c / v->groups);
    int top = (int)(m / (size_t)v->q) * v->stride - v->pad_top;
    int left = (int)(m % (size_t)v->q) * v->stride - v->pad_left;
    for (int r = 0; r < v->r; r++)
        for (int s = 0; s < v->s; s++, taps += channels) {
            if (top + r < 0 || top + r >= v->h || left + s < 0 || left + s >= v->w)
                continue;
            float *to = grad_in + ((size_t)(top + r) * (size_t)v->w + (size_t)(left + s)) * v->ldx +
                        group * channels;
            for (size_t c = 0; c < channels; c++)
                to[c] += taps[c];
        }
}

/* Depthwise: a tap receives grad_out times its weight, a row at a time;
 * weights are taps x channels. */
static void depthwise_image(const struct job *job, const float *grad_out, float *grad_in)
{
    const struct adl_conv *v = job->conv;
    size_t channels = (size_t)v->c, stride = (size_t)v->stride;
    for (int p = 0; p < v->p; p++, grad_out += (size_t)v->q * channels)
        for (int r = 0; r < v->r; r++) {
            int row = p * v->stride + r - v->pad_top;
            if (row < 0 || row >= v->h)
                continue;
            float *to = grad_in + (size_t)row * (size_t)v->w * channels;
            for (int s = 0; s < v->s; s++) {
                struct adl_conv_span span = adl_conv_span(v, s);
                if (span.count > 0)
                    job->kernels->spread(grad_out + (size_t)span.q * channels,
                                         job->weights + (size_t)(r * v->s + s) * channels, channels,
                                         (size_t)span.count, channels,
                                         to + (size_t)span.column * channels, stride * channels);
            }
        }
}

static void run_image(void *context, size_t n, int worker)
{
    const struct job *job = context;
    const struct adl_conv *v = job->conv;
    size_t channels = (size_t)(v->k / v->groups), depth = depth_of(v);
    size_t pixels = (size_t)v->p * (size_t)v->q, in_count = (size_t)v->h * (size_t)v->w * v->ldx;
    float *taps = job->workers + (size_t)worker * BLOCK_ROWS * depth;
    float *grad_in = job->grad_in + n * in_count;
    const float *grad_out = job->grad_out + n * pixels * v->ldo;

    if (!job->add)
        memset(grad_in, 0, in_count * sizeof *grad_in);
    if (is_depthwise(v)) {
        depthwise_image(job, grad_out, grad_in);
        return;
    }
    for (size_t group = 0; group < (size_t)v->groups; group++)
        for (size_t m = 0; m < pixels; m += BLOCK_ROWS) {
            size_t count = ADL_MIN(BLOCK_ROWS, pixels - m);
            adl_sgemm(false, false, count, depth, channels,
                      grad_out + m * v->ldo + group * channels, v->ldo,
                      job->weights + group * channels * depth, depth, 0, taps, depth);
            for (size_t i = 0; i < count; i++)
                scatter(v, m + i, group, taps + i * depth, grad_in);
        }
}

void adl_conv_grad_input(const struct adl_conv *v, const struct adl_kernels *kernels, int batch,
                         const float *weights, const float *grad_out, float *grad_in, bool add,
                         float *scratch, struct adl_pool *pool)
{
    size_t taps = (size_t)v->r * (size_t)v->s, channels = (size_t)(v->c / v->groups);
    float *turned = scratch;
    for (size_t k = 0; k < (size_t)v->k; k++)
        for (size_t c = 0; c < channels; c++)
            for (size_t tap = 0; tap < taps; tap++)
                turned[is_depthwise(v) ? tap * (size_t)v->k + k : (k * taps + tap) * channels + c] =
                    weights[(k * channels + c) * taps + tap];
    struct job job = {
        v, kernels, turned, grad_out, grad_in, add, scratch + (size_t)v->k * depth_of(v)};
    adl_pool_for(pool, (size_t)batch, run_image, &job);
}
